"""Options that take several things: one text is one thing, and not its letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set, ValuesView
from typing import Any

from helix_spark.errors import Location, OperatorError


def several(option: str, value: object, where: Location | None = None, *, ordered: bool = True) -> tuple[Any, ...]:
    """Return the items of an option that takes several.

    Args:
        ordered: their order counts.

    Raises:
        OperatorError: it is one thing: of a text the letters would be taken, of a DataFrame the names of its columns.
            Or it is a set, whose order differs from process to process, where order counts.

    >>> several("exclude", ["bins", "seed"])
    ('bins', 'seed')
    """
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | Set | ValuesView | Iterator):
        one = f'"{value}"' if isinstance(value, str) else f"a {type(value).__name__}"
        raise OperatorError(
            f"{option} takes a list, not {one} alone", where=where,
            remedy=f"write [{one}]" if isinstance(value, str) else f"put it in brackets: {option}=[...]",
        )
    if ordered and isinstance(value, set | frozenset):
        raise OperatorError(
            f"{option} takes a list: the order of a set differs from process to process", where=where,
            remedy=f"write {option}=[...]",
        )
    return tuple(value)
