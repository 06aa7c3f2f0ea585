"""What SQL text says of tables, views and functions, told from its words: there is no session to parse it."""

from __future__ import annotations

import re

_IS_SQL = re.compile(r"(?i:\bselect\b|^\s*(?:from|join)\b)|\b(?:FROM|JOIN)\b")
_BEGINS = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(?:select|with|from)\b", re.IGNORECASE | re.DOTALL)
_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`""", re.DOTALL,
)
_KEYWORD = re.compile(r"`(?:from|join)`", re.IGNORECASE)
_CALL = re.compile(r"\b(?!(?:from|join|as)\b)(\w+)\s*\((?!\s*select\b)[^()]*\)", re.IGNORECASE)
_CALLED = "\x00"
"""Stands for the parentheses of a call: ``extract(YEAR FROM day)`` reads no table, nor does ``FROM range(3)``."""

_COMPARED = re.compile(r"\bis\s+(?:not\s+)?distinct\s+from\b", re.IGNORECASE)
_NAMED_BY_ITSELF = re.compile(rf"(\w+)`?{_CALLED}?\s+as\s*\(", re.IGNORECASE)
_READ = re.compile(
    r"\b(?:from|join)\b[\s(]*(.*?)(?=\b(?:from|join|on|using|where|group|order|sort|cluster|distribute|having|limit|window"
    r"|select|lateral|union|intersect|except|minus)\b|[();]|$)",
    re.IGNORECASE | re.DOTALL,
)
_PUT_IN = re.compile(r"\b(?:from|join)\s*(?:$|%|\{\d*\})", re.IGNORECASE)
_TABLE = re.compile(rf"\s*`?(\w+)\b`?(?!\s*{_CALLED})")
_VIEW = re.compile(
    r"\bcreate\s+(?:or\s+replace\s+)?(?:global\s+)?temp(?:orary)?\s+view\s+(?:if\s+not\s+exists\s+)?`?(\w*)",
    re.IGNORECASE,
)
_FUNCTION = re.compile(r"\b([A-Za-z_]\w*)\s*\(")


def is_sql(text: str) -> bool:
    """Whether a text, or a piece of one, looks like a query in SQL.

    >>> is_sql("select 1"), is_sql("SELECT 1 " + "FROM t"), is_sql(" FROM t"), is_sql("no rows from a file")
    (True, True, True, False)
    """
    return _IS_SQL.search(text) is not None


def tables_named(*texts: str) -> frozenset[str]:
    """The tables and views, in lower case, that SQL reads by their names and does not define itself.

    Args:
        texts: of one query, or pieces of which it is made. The name of a table that is put into one is empty.

    >>> tables_named("SELECT max(n)\\nFROM Prices"), tables_named("SELECT extract(YEAR FROM day(t)) FROM {rows}")
    (frozenset({'prices'}), frozenset())
    >>> tables_named("WITH t(n) AS (SELECT * FROM {rows}) SELECT * FROM t"), tables_named("SELECT * FROM VALUES (1)")
    (frozenset(), frozenset())
    >>> sorted(tables_named("SELECT 1 FROM {rows} r, days JOIN months ON r.a IS NOT DISTINCT FROM b"))
    ['days', 'months']
    >>> sorted(tables_named("SELECT 1 FROM (a JOIN b USING (id)) JOIN (SELECT 1 FROM range(3)) c LEFT JOIN d ON (c.x)"))
    ['a', 'b', 'd']
    >>> tables_named("SELECT n FROM ", " WHERE n > 1"), tables_named("SELECT n FROM %s"), tables_named("... JOIN {}")
    (frozenset({''}), frozenset({''}), frozenset({''}))
    >>> tables_named("SELECT 1 FROM {rows} WHERE sort = 'mail from Bob'"), tables_named("' FROM t WHERE sort = '")
    (frozenset(), frozenset({'t'}))
    >>> sorted(tables_named("SELECT max(n) -- don't round\\nFROM prices -- won't be null"))
    ['prices']
    >>> tables_named("SELECT a, `from` -- taken from the input\\nFROM {rows} -- all, also late")
    frozenset()
    """
    plain = [_COMPARED.sub("=", _without_calls(_without_literals(text))) for text in texts]
    own = {name.lower() for text in plain for name in _NAMED_BY_ITSELF.findall(text)}
    return frozenset(name for text in plain for name in _read(text)) - own


def views_made(text: str) -> frozenset[str]:
    """The views, in lower case, that SQL registers with the session.

    >>> views_made("CREATE OR REPLACE TEMP VIEW People AS SELECT * FROM {rows}")
    frozenset({'people'})
    """
    return frozenset(name.lower() for name in _VIEW.findall(text))


def functions_called(text: str) -> frozenset[str]:
    """The words that SQL may call as functions.

    >>> sorted(functions_called("sum(clean (age)) + 1"))
    ['clean', 'sum']
    """
    return frozenset(_FUNCTION.findall(text))


def _without_literals(text: str) -> str:
    """Without the words in strings and comments, and columns that are named as keywords; a text that does not begin a
    query may begin in the midst of one."""
    def plain(token: re.Match[str]) -> str:
        found = token[0]
        if found[0] == "'":
            return "''"
        if found[0] in "-/":
            return " "
        return "`_`" if _KEYWORD.fullmatch(found) else found

    return _TOKEN.sub(plain, text) if _BEGINS.match(text) else text


def _without_calls(text: str) -> str:
    while (shorter := _CALL.sub(rf"\1{_CALLED}", text)) != text:
        text = shorter
    return text


def _read(text: str) -> list[str]:
    parts = [part for clause in _READ.finditer(text) for part in clause[1].split(",")]
    named = [table[1].lower() for part in parts if (table := _TABLE.match(part))]
    return [*named, ""] if _PUT_IN.search(text) else named
