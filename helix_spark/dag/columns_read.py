"""Which columns of a table its readers take, as far as their declarations and the plans that functions build say. No
Spark: a plan rests on it.

What these cannot rule out counts as read.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from helix_spark.dag.node import Dag
from helix_spark.workflow.operators import (
    ApplyStage,
    Assemble,
    Bucket,
    EncodeCategories,
    FitCategories,
    FitQuantiles,
    FitStage,
    Interact,
    Operator,
    OwnSplit,
    Select,
    Split,
    Stage,
    split_columns,
    split_of_fit,
)

_STARS = re.compile(r"(?:^|[(,.])\s*\*")
"""A star that means all columns; behind anything else it multiplies."""

_BY_FORMULA = frozenset({"RFormula", "SQLTransformer"})
"""Feature stages of which a text says what they read."""

_BY_DEFAULT = ("features", "label")
"""Columns that feature stages read where their parameters do not name others."""

_OPEN = re.compile(r"`|\bselect\b", re.IGNORECASE)
"""Backticks may hold a pattern of names, a query may have stars of its own."""


@dataclass(frozen=True, slots=True)
class Reads:
    """What one reader takes of one table.

    Attributes:
        names: columns that it names.
        text: SQL over the table's columns.
        whole: it may read any column.
    """

    names: frozenset[str] = frozenset()
    text: str = ""
    whole: bool = False


WHOLE = Reads(whole=True)


@runtime_checkable
class Planned(Protocol):
    """A function of which it is known what it builds."""

    def reads_of(self, place: int) -> Reads:
        """What it reads of the table that is its input at a place."""


def declared_reads(dag: Dag, name: str, source: str) -> Reads:
    """What a reader's declaration, or its plan, says of its reading one of its input tables."""
    reader = dag[name]
    operator = reader.operator
    if isinstance(operator, Planned):
        found = [operator.reads_of(place) for place, one in enumerate(reader.inputs) if one == source]
        return found[0] if len(found) == 1 else WHOLE
    if reader.inputs.index(source) != 0 or reader.inputs.count(source) > 1:
        return WHOLE  # ready-made operators read columns of their first input alone
    match operator:
        case Select(columns=columns) | Interact(columns=columns):
            return reads_by_name(columns)
        case FitCategories() | EncodeCategories() | FitQuantiles() | Bucket():
            return _divided(reads_by_name([operator.column]), split_of_fit(operator))
        case Assemble():
            return _of_examples(operator)
        case FitStage(stage=stage, rows=rows):
            return _divided(_of_stage(stage, () if rows == "all" else ("split",)), split_of_fit(operator))
        case ApplyStage(stage=None):
            fit = dag[reader.inputs[-1]].operator
            return _of_stage(fit.stage) if isinstance(fit, FitStage) else WHOLE
        case ApplyStage(stage=Stage() as stage):
            return _of_stage(stage)
    return WHOLE  # predictions keep their rows


def named_columns(operator: Operator) -> list[str]:
    """The columns that a ready-made operator names, all of which its table must have."""
    match operator:
        case Select(columns=columns):
            return list(columns)
        case Interact(columns=columns):
            return [column for column in columns if isinstance(column, str)]
        case Assemble(split=OwnSplit(), keep=keep):
            return [one for one in keep if isinstance(one, str)]
        case Assemble(split=split, keep=keep):
            return [*(one for one in keep if isinstance(one, str)), *split_columns(split)]
        case _:
            column = getattr(operator, "column", None)
            return [*([column] if isinstance(column, str) else []), *split_columns(split_of_fit(operator))]


def taken(reads: Reads, columns: Iterable[str]) -> tuple[str, ...]:
    """Those of `columns` that may be read.

    >>> taken(Reads(names=frozenset({"Age"}), text="pay > 5 * 10"), ["age", "pay", "sex"])
    ('age', 'pay')
    >>> taken(Reads(text="count(*) > 1"), ["age"])
    ('age',)
    """
    if reads.whole or _STARS.search(reads.text) or _OPEN.search(reads.text):
        return tuple(columns)
    # Spark finds columns in whatever case they are written.
    named, text = {name.casefold() for name in reads.names}, reads.text.casefold()
    return tuple(column for column in columns if column.casefold() in named or column.casefold() in text)


def _of_examples(examples: Assemble) -> Reads:
    named = reads_by_name(kept for kept in examples.keep if isinstance(kept, str))
    label = examples.label if isinstance(examples.label, str) else ""
    return _divided(replace(named, text=label), examples.split)


def _divided(reads: Reads, split: Split | None) -> Reads:
    """What is read of a table whose rows are divided: by columns that are named, else by all that is in them."""
    if split is None:
        return reads
    by = reads_by_name(names) if (names := split_columns(split)) else WHOLE
    return replace(reads, names=reads.names | by.names, whole=reads.whole or by.whole)


def _of_stage(stage: Stage, more: tuple[str, ...] = ()) -> Reads:
    """Spark ML's feature stages read the columns that their parameters name. Learners, the author's own stages and
    instances that were set up elsewhere may look at what they like."""
    path = stage.make if isinstance(stage.make, str) else ""
    if inspect.isclass(stage.make):
        path = f"{stage.make.__module__}.{stage.make.__qualname__}"
    module, _, name = path.rpartition(".")
    if module != "pyspark.ml.feature" or name in _BY_FORMULA:
        return WHOLE
    given = [value for _, value in stage.parameters]
    listed = [one for value in given if isinstance(value, list | tuple) for one in value]
    return reads_by_name([*given, *listed, *_BY_DEFAULT, *more])


def reads_by_name(columns: Iterable[object]) -> Reads:
    """What is read by these names, and no other way."""
    names = frozenset(column for column in columns if isinstance(column, str))
    if any("." in name or "`" in name for name in names):
        return WHOLE  # a part of a column, or a quoted name: which column that is, Spark decides
    return Reads(names=names)
