"""Names that a library looks up among a function's variables because a text mentions them, as pandas does for
``rows.query("x > @LIMIT")``.

No syntax refers to such a variable, yet the result depends on what it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from helix_spark.signature.functions.given_texts import Texts
from helix_spark.signature.text.forms import Call

TEXT_METHODS = frozenset({"query", "eval"})
"""pandas' methods that look up what follows an @."""

_OF_CLASS = re.compile(r"pandas\.(\w+\.)*DataFrame\.(query|eval)$")
"""The same, called of the class: what they are called of is their first argument."""

_AFTER_AT = re.compile(r"@\s*([A-Za-z_]\w*)")
_WORD = re.compile(r"[A-Za-z_]\w*")
_MADE = {_AFTER_AT: re.compile(r"@\s*\w*\0"), _WORD: re.compile(r"\w\0|\0\w")}
"""Where a text that is put together puts a name together. What is put into one as a whole is a text of its own."""

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
        lines: of the calls whose text has a name that is put together.
    """

    names: tuple[str, ...] = ()
    open: bool = False
    lines: tuple[int, ...] = ()


def looked_up(calls: Iterable[tuple[Call, str | None]], texts: Texts) -> LookedUp:
    """The names that are looked up in texts.

    Args:
        calls: each with the dotted name of what is called; None if that is not known.

    >>> from helix_spark.signature.text.forms import Argument
    >>> text, local = Argument("'age > @LIMIT'"), Argument()
    >>> looked_up([(Call(None, "query", "", None, 3, (text,), ()), None)], Texts())
    LookedUp(names=('LIMIT',), open=False, lines=())
    >>> looked_up([(Call(None, "query", "", None, 3, (local,), ()), None)], Texts(own=("age > @LEAST",)))
    LookedUp(names=('LEAST',), open=True, lines=())
    >>> made = Argument(made="text", template="age > @LEAST_\\0")
    >>> looked_up([(Call(None, "query", "", None, 3, (made,), ()), None)], Texts(own=("age > @LEAST_",))).lines
    (3,)
    """
    names: dict[str, None] = {}
    lines: list[int] = []
    is_open = False
    for call, called in calls:
        words = _words(call, called)
        if words is None:
            continue
        of_class = called is not None and _OF_CLASS.match(called)
        given = texts.given(replace(call, arguments=call.arguments[1:]) if of_class else call)
        searched = (*given.known, *(texts.candidates if given.open else ()))
        names.update(dict.fromkeys(name for text in searched for name in words.findall(text)))
        is_open = is_open or given.open
        lines += [call.line] if any(_MADE[words].search(one.template) for one in call.given) else []
    return LookedUp(tuple(names), is_open, tuple(lines))


def _words(call: Call, called: str | None) -> re.Pattern[str] | None:
    """What of its text a call looks up."""
    if (called is None and call.method in TEXT_METHODS) or (called is not None and _OF_CLASS.match(called)):
        return _AFTER_AT
    return _WORD if called is not None and _READ_VARIABLES.match(called) else None
