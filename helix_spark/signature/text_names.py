"""Names that a library looks up among a function's variables because a text mentions them, as pandas does for
``rows.query("x > @LIMIT")``.

No syntax refers to such a variable, yet the result depends on what it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from helix_spark.signature.forms import Call
from helix_spark.signature.given_texts import Texts

TEXT_METHODS = frozenset({"query", "eval"})
"""pandas' methods that look up what follows an @."""

_AFTER_AT = re.compile(r"@\s*([A-Za-z_]\w*)")
_WORD = re.compile(r"[A-Za-z_]\w*")
_READ_VARIABLES = re.compile(
    r"pandas\.(\w+\.)*eval$|duckdb\.(\w+\.)*(sql|query|execute|query_df)$|numexpr\.(\w+\.)*(evaluate|validate)$"
    r"|statsmodels\.formula\.\w+(\.\w+)*$|patsy\.(\w+\.)*(dmatrix|dmatrices)$"
)
"""Functions that look up any word of a text."""


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What a function's calls look up by name.

    Attributes:
        names: that the texts mention which are passed, or which may be where that is not known.
        open: whether a text is not known.
        lines: of the calls whose text is put together on the spot, of which names there may be more.
    """

    names: tuple[str, ...] = ()
    open: bool = False
    lines: tuple[int, ...] = ()


def looked_up(calls: Iterable[tuple[Call, str | None]], texts: Texts) -> LookedUp:
    """The names that are looked up in texts.

    Args:
        calls: each with the dotted name of what is called; None if that is not known.

    >>> from helix_spark.signature.forms import Argument
    >>> text, local = Argument("'age > @LIMIT'"), Argument()
    >>> looked_up([(Call(None, "query", "", None, 3, (text,), ()), None)], Texts())
    LookedUp(names=('LIMIT',), open=False, lines=())
    >>> looked_up([(Call(None, "query", "", None, 3, (local,), ()), None)], Texts(own=("age > @LEAST",)))
    LookedUp(names=('LEAST',), open=True, lines=())
    """
    names: dict[str, None] = {}
    unknown: list[tuple[int, bool]] = []
    for call, called in calls:
        words = _words(call, called)
        if words is None:
            continue
        given = texts.given(call)
        searched = (*given.known, *(texts.candidates if given.open else ()))
        names.update(dict.fromkeys(name for text in searched for name in words.findall(text)))
        unknown += [(call.line, given.made)] if given.open else []
    return LookedUp(tuple(names), bool(unknown), tuple(line for line, made in unknown if made))


def _words(call: Call, called: str | None) -> re.Pattern[str] | None:
    """What of its text a call looks up."""
    if called is None and call.method in TEXT_METHODS:
        return _AFTER_AT
    return _WORD if called is not None and _READ_VARIABLES.match(called) else None
