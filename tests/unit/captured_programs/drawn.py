"""Programs that hypothesis draws: tables made of tables, with columns named by themselves and by any table there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

COLUMNS = "a long, b long, c long"
"""Of both inputs."""

NAMES = ("a", "b", "c", "x", "A")


@dataclass(frozen=True)
class Named:
    """A column by its name, of a table or by itself.

    Attributes:
        table: its place among the tables that there are, from the last one backwards; None for none.
    """

    name: str
    table: int | None

    def of(self, tables: Sequence[DataFrame]) -> Column:
        if self.table is None:
            return F.col(self.name)
        return tables[-1 - self.table % len(tables)][self.name]

    def __str__(self) -> str:
        return f"col({self.name})" if self.table is None else f"t[-{self.table + 1}].{self.name}"


@dataclass(frozen=True)
class Step:
    """One table made of one or two that there are.

    Attributes:
        kind: one of `_KINDS`.
        of: the places of the tables, from the last one backwards.
        columns: that it is made with.
        names: of what it makes.
    """

    kind: str
    of: tuple[int, int]
    columns: tuple[Named, ...]
    names: tuple[str, ...]

    def made_of(self, tables: Sequence[DataFrame]) -> DataFrame:
        one, two = (tables[-1 - place % len(tables)] for place in self.of)
        return _KINDS[self.kind](one, two, [column.of(tables) for column in self.columns], self.names)

    def __str__(self) -> str:
        return f"{self.kind}{self.of}({', '.join(map(str, self.columns))} -> {', '.join(self.names)})"


@dataclass(frozen=True)
class Program:
    """Steps one after the other; the last table is what it returns."""

    steps: tuple[Step, ...]

    def __call__(self, rows: DataFrame, other: DataFrame) -> DataFrame:
        tables = [other, rows]
        for step in self.steps:
            tables.append(step.made_of(tables))
        return tables[-1]

    def __str__(self) -> str:
        return "; ".join(map(str, self.steps))


def _select(one: DataFrame, _: DataFrame, columns: Sequence[Column], names: Sequence[str]) -> DataFrame:
    return one.select(columns[0], (columns[1] + 1).alias(names[0]), columns[2].alias(names[1]))


def _join(how: str) -> Callable[..., DataFrame]:
    return lambda one, two, columns, names: one.join(two, columns[0] == columns[1], how)


_KINDS: Mapping[str, Callable[[DataFrame, DataFrame, Sequence[Column], Sequence[str]], DataFrame]] = {
    "filter": lambda one, two, columns, names: one.filter(columns[0] > 1),
    "select": _select,
    "select plainly": lambda one, two, columns, names: one.select(*columns),
    "select all": lambda one, two, columns, names: one.select("*", columns[0].alias(names[0])),
    "with column": lambda one, two, columns, names: one.withColumn(names[0], columns[0] * 2),
    "with columns": lambda one, two, columns, names: one.withColumns(
        {names[0]: columns[0] + 3, names[1]: columns[1] - columns[2]}),
    "drop": lambda one, two, columns, names: one.drop(names[0]),
    "drop a column": lambda one, two, columns, names: one.drop(columns[0]),
    "rename": lambda one, two, columns, names: one.withColumnRenamed(names[0], names[1]),
    "sort": lambda one, two, columns, names: one.sort(columns[0], columns[1].desc()),
    "distinct": lambda one, two, columns, names: one.distinct(),
    "without nulls": lambda one, two, columns, names: one.dropna(),
    "fill nulls": lambda one, two, columns, names: one.fillna(7, [names[0]]),
    "alias": lambda one, two, columns, names: one.alias(names[0]),
    "group": lambda one, two, columns, names: one.groupBy(columns[0]).agg(F.sum(columns[1]).alias(names[0])),
    "union": lambda one, two, columns, names: one.union(two),
    "join": _join("inner"),
    "left join": _join("left"),
    "semi join": _join("semi"),
    "join on names": lambda one, two, columns, names: one.join(two, names[0]),
}

_NAME = st.sampled_from(NAMES)
_NEAR = st.sampled_from([0, 0, 0, 0, 0, 1, 1, 2, 3])
_NAMED = st.builds(Named, _NAME, st.one_of(st.none(), _NEAR))
_STEP = st.builds(
    Step, st.sampled_from([*_KINDS, "filter", "select", "with column", "sort"]), st.tuples(_NEAR, _NEAR),
    st.tuples(_NAMED, _NAMED, _NAMED), st.lists(_NAME, min_size=2, max_size=2, unique_by=str.lower).map(tuple),
)
PROGRAMS = st.builds(Program, st.lists(_STEP, min_size=1, max_size=5).map(tuple))


@st.composite
def said_otherwise(draw: Callable[..., Any]) -> tuple[Program, Program]:
    """A program, and one that names some of its columns by another table, or by none."""
    program: Program = draw(PROGRAMS)
    steps = list(program.steps)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(steps) - 1))
        columns = list(steps[at].columns)
        which = draw(st.integers(0, len(columns) - 1))
        columns[which] = replace(columns[which], table=draw(st.one_of(st.none(), _NEAR)))
        steps[at] = replace(steps[at], columns=tuple(columns))
    return program, Program(tuple(steps))
