"""Text for people, with control characters, direction marks and invalid characters escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence

_INVISIBLE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters except newline and tab
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # text direction
    "\u2028\u2029\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # further line ends, invisible marks and tags
    "\ud800-\udfff\ufffe\uffff"  # surrogates and noncharacters
    "]"
)


def visible(text: str, encoding: str = "utf-8") -> str:
    """Escape the characters of a text that are invisible or missing in the encoding.

    >>> visible("a\\x1b[2Jb"), visible("exe.\\u202egnp"), visible("\\ud800"), visible("größe\\n\\t", "ascii")
    ('a\\\\x1b[2Jb', 'exe.\\\\u202egnp', '\\\\ud800', 'gr\\\\xf6\\\\xdfe\\n\\t')
    """
    escaped = _INVISIBLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
    return escaped if escaped.isascii() else escaped.encode(encoding, "backslashreplace").decode(encoding)


def cut(text: str, most: int) -> str:
    """Return a text cut to at most `most` characters.

    >>> cut("wide", 4), cut("wider", 4)
    ('wide', 'wid…')
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def shortened(name: str, most: int) -> str:
    """Return a name cut in its middle to at most `most` characters, as names often differ at their ends.

    >>> shortened("marital_status_is.fit", 12)
    'marita…s.fit'
    """
    tail = (most - 1) // 2
    return name if len(name) <= most else f"{name[:most - 1 - tail]}…{name[-tail:]}"


def named(names: Sequence[str], most: int | None = None) -> str:
    """Return names as text: at most `most`, and the number of the remaining ones.

    >>> named(["a", "b", "c"], 3), named(["a", "b", "c", "d", "e"], 3)
    ('`a`, `b`, `c`', '`a`, `b`, `c` and 2 more')
    """
    listed = ", ".join(f"`{name}`" for name in names[:most])
    return listed if most is None or len(names) <= most else f"{listed} and {len(names) - most} more"


LONGEST_NAME = 2_000
"""Maximum characters of a workflow's or node's name."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Control characters, including newlines."""


def is_name(name: object) -> bool:
    """Return whether a value is a valid name of a workflow or a node.

    >>> is_name("marital status"), is_name("größe"), is_name(""), is_name("a\\nb"), is_name(3)
    (True, True, False, False, False)
    """
    return isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and CONTROL.search(name) is None
