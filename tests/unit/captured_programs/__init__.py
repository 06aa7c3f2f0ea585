"""Small programs that build plans, one of each sort that people write. Each is a function of tables: `rows` has the
columns of `ROWS`, `other` those of `OTHERS`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

ROWS = (
    "id long, k string, v double, v2 double, flag boolean, day date, at timestamp, arr array<int>,"
    " s struct<f: int, g: string>, m map<string, int>, j string"
)
OTHERS = "id long, k string, w double"


def programs() -> Mapping[str, Callable[..., Any]]:
    """All programs by the name of their module and their own."""
    from tests.unit.captured_programs import (
        expressions,
        literals,
        ml_stages,
        python_code,
        registered,
        statements,
        subqueries,
        tables,
    )

    modules = (tables, expressions, literals, python_code, subqueries, statements, registered, ml_stages)
    return {f"{module.__name__.rpartition('.')[2]}.{name}": one for module in modules for name,
        one in _functions(module)}


def _functions(module: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, one in vars(module).items():
        if inspect.isfunction(one) and one.__module__ == module.__name__ and set(inputs_of(one)) <= {"rows", "other"}:
            yield name, one


def inputs_of(program: Callable[..., Any]) -> list[str]:
    """The tables that a program is a function of, by name."""
    return list(inspect.signature(program).parameters)
