"""Names that a library looks up among a function's variables because a text mentions them, as pandas does for
``rows.query("x > @LIMIT")``.

No syntax refers to such a variable, yet the result depends on what it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from helix_spark.signature.forms import Call

TEXT_METHODS = frozenset({"query", "eval"})
"""pandas' methods that look up what follows an @."""

_AFTER_AT = re.compile(r"@\s*([A-Za-z_]\w*)")
_WORD = re.compile(r"[A-Za-z_]\w*")
_READ_VARIABLES = re.compile(
    r"pandas\.(\w+\.)*eval$|duckdb\.(\w+\.)*(sql|query|execute|query_df)$|numexpr\.(\w+\.)*(evaluate|validate)$"
    r"|statsmodels\.formula\.\w+(\.\w+)*$|patsy\.(\w+\.)*(dmatrix|dmatrices)$"
)
"""Functions that look up any word of a text."""


def names_in_texts(calls: Iterable[tuple[Call, str | None, str | None]]) -> Iterator[tuple[str | None, int]]:
    """Names that are looked up, with the line of each call; None for a call whose text is not known.

    Args:
        calls: each with the dotted name of what is called, None if that is not known, and the text that it is given:
            empty if it is given none, None if that is not known.

    >>> query = Call(None, "query", "", None, 3, (), ())
    >>> list(names_in_texts([(query, None, "age > @LIMIT"), (query, None, None)]))
    [('LIMIT', 3), (None, 3)]
    """
    for call, called, text in calls:
        if called is None and call.method in TEXT_METHODS:
            words = _AFTER_AT
        elif called is not None and _READ_VARIABLES.match(called):
            words = _WORD
        else:
            continue
        if text is None:
            yield None, call.line
        else:
            yield from ((name, call.line) for name in dict.fromkeys(words.findall(text)))
