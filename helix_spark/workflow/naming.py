"""What a workflow or a node may be called: any line of text, for names are shown in lists, in lines and as file
names."""

from __future__ import annotations

import re

LONGEST_NAME = 2_000
"""Letters; more than anybody reads."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Letters that are none: ends of lines, and what a terminal obeys."""


def is_name(name: object) -> bool:
    """Whether something names a workflow or a node.

    >>> is_name("marital status"), is_name("größe"), is_name(""), is_name("a\\nb"), is_name(3)
    (True, True, False, False, False)
    """
    return isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and CONTROL.search(name) is None
