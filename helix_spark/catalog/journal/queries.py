"""A query of a journal's table, its answer as values of Python, and what deltalake's errors say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helix_spark.catalog.journal.own_files import StrangeFilesError

if TYPE_CHECKING:
    from deltalake import DeltaTable

_FIRST_ROWS, _PIECE, _MOST_LETTERS = 64, 16 << 20, 512 << 20
"""How many rows become Python's values at first, letters that are to become so at once, and those of an answer at most.
A text that a file has once may be in each of its rows."""


def answer(table: DeltaTable, sql: str) -> dict[str, list[Any]]:
    """The columns that a query gives. In `sql` the table is called ``journal``.

    Raises FileNotFoundError for a file that is gone, StrangeFilesError for more letters than records have, and what
    deltalake raises.
    """
    from deltalake import QueryBuilder

    try:
        result = QueryBuilder().register("journal", table).execute(sql).read_all()
    except BaseException as error:
        if is_deltas(error) and "not found" in str(error):
            raise FileNotFoundError(str(error)) from error
        raise
    found: dict[str, list[Any]] = {name: [] for name in result.column_names}
    start, rows, letters = 0, _FIRST_ROWS, 0
    while start < result.num_rows:
        piece, before = result.slice(start, min(rows, result.num_rows - start)), letters
        for name in found:
            values = list(piece.column(name).to_pylist())
            letters += sum(len(one) for one in values if isinstance(one, str))
            found[name] += values
        if letters > _MOST_LETTERS:
            raise StrangeFilesError(f"it has more than {letters:,} letters in what was asked for")
        start += rows
        rows = max(1, min(rows * 4, _PIECE * rows // (letters - before + 1)))
    return found


def text_literal(value: str) -> str:
    """A text as it stands in a query.

    >>> text_literal("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"


def is_deltas(error: BaseException) -> bool:
    """Whether an error says that a table cannot be read or written.

    A stream's errors are bare `Exception`s with a text; so are no others that are ours. A damaged footer makes the
    reader panic, which reaches us as a `PanicException` that no package exports.
    """
    from deltalake.exceptions import DeltaError

    if isinstance(error, DeltaError | OSError):
        return True
    return type(error) is Exception or type(error).__name__ == "PanicException"


def cause(error: BaseException) -> str:
    """The innermost cause: deltalake puts each layer's name before it, and a stack trace below."""
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return first_line.rsplit(" error: ", 1)[-1]
