"""Ready-made extractors and examples as operators with inputs. An extractor's fit is a node, `NAME.fit`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from helix_spark.errors import Location, OperatorError
from helix_spark.workflow import operators
from helix_spark.workflow.declaration import Node, NodeRef, Wishes
from helix_spark.workflow.declared_at import caller
from helix_spark.workflow.operators import Bucket, ColumnSource, FitStage, Kind, Operator, Result, Split, several
from helix_spark.workflow.parameters import check_stage, class_of

Column: TypeAlias = str | NodeRef


@dataclass(frozen=True, slots=True, init=False)
class Fields:
    """Unchanged columns: as a scanner, a narrower table; as an extractor, a feature (several columns form a vector).

    Raises:
        OperatorError: there is no column, or a name is no text.

    >>> Fields("age", "hours_per_week").columns
    ('age', 'hours_per_week')
    """

    columns: tuple[str, ...]

    def __init__(self, *columns: str) -> None:
        if not columns or not all(isinstance(column, str) for column in columns):
            raise OperatorError(
                "Fields takes one or more column names", where=caller(), remedy='for example hx.Fields("age")'
            )
        object.__setattr__(self, "columns", columns)


@dataclass(frozen=True, slots=True)
class OneHot:
    """A one-hot vector of a column: a slot for each category, most frequent first, and a last slot for all others.

    The categories are a node of their own, ``NAME.fit``.

    Attributes:
        column: the name of a column of the table, or an extractor of the table.
        drop_last: True to drop the last slot, which the others determine (Spark ML's default).
    """

    column: Column
    drop_last: bool = True


@dataclass(frozen=True, slots=True)
class Bucketizer:
    """The bucket of a number, counted from 0, or a one-hot vector of the bucket.

    Attributes:
        column: the name of a numeric column of the table, or an extractor of the table.
        bins: the number of buckets, at least 2; their boundaries are learned so that each has about equally many rows.
        splits: fixed boundaries instead, in ascending order; the first and last buckets are open.
        one_hot: True for a one-hot vector.
        relative_error: the error of the learned quantiles, as a share of the rows.

    Raises:
        OperatorError: both or neither of `bins` and `splits`, fewer than 2 bins, or splits that do not ascend.
    """

    column: Column
    bins: int | None = None
    splits: Sequence[float] | None = None
    one_hot: bool = False
    relative_error: float = 0.001

    def __post_init__(self) -> None:
        if (self.bins is None) == (self.splits is None):
            raise OperatorError("Bucketizer takes either bins or splits", where=caller(), remedy="for example bins=10")
        if self.bins is not None and (isinstance(self.bins, bool) or not isinstance(self.bins, int) or self.bins < 2):
            raise OperatorError(f"Bucketizer needs at least 2 bins, not {self.bins!r}", where=caller())
        if self.splits is not None:
            values = tuple(float(split) for split in self.splits)
            if not values or list(values) != sorted(set(values)):
                raise OperatorError(f"Bucketizer's splits must ascend, not {list(values)}", where=caller())
            object.__setattr__(self, "splits", values)


@dataclass(frozen=True, slots=True, init=False)
class Interaction:
    """All products of two or more features (columns or extractors), as a vector.

    Raises:
        OperatorError: there are fewer than two.
    """

    columns: tuple[Column, ...]

    def __init__(self, *columns: Column) -> None:
        if len(columns) < 2:
            raise OperatorError("Interaction takes two or more features", where=caller())
        object.__setattr__(self, "columns", columns)


Naming = Callable[[NodeRef | str], str]
"""A function that returns the name of a node; raises OperatorError for a node of another workflow."""


def extractor(
    name: str, what: Any, base: str, parameters: Mapping[str, Any], split: Split | None, wishes: Wishes,
    naming: Naming, where: Location,
) -> tuple[Node, ...]:
    """Return the nodes of a ready-made extractor of the table `base`: its fit on the training rows of `split`, if it
    learns, and its column. Raises OperatorError for invalid parameters, or for `keep` or `split` of an extractor that
    does not learn."""
    fit, apply, inputs = _operators(name, what, base, parameters, naming, where)
    column = Node(name, Kind.EXTRACTOR, apply, inputs, Result.COLUMN, where, base=base, wishes=wishes)
    if fit is not None:
        result = Result.MODEL if isinstance(fit, FitStage) else Result.VALUE
        fit = replace(fit, split=split)
        fit_node = Node(f"{name}.fit", Kind.EXTRACTOR, fit, inputs, result, where, wishes=wishes)
        return fit_node, replace(column, inputs=(*inputs, fit_node.name), wishes=Wishes(exclude=wishes.exclude))
    if split is not None:
        raise OperatorError(
            f"extractor {name!r} learns nothing from rows, so it takes no split", where=where, remedy="remove split="
        )
    if wishes.keep != "auto":
        raise OperatorError(
            f"extractor {name!r} learns nothing that could be kept: its column is stored in the examples that have it",
            where=where,
            remedy=f'write keep="{wishes.keep}" in the synthesizer that assembles it',
        )
    return (column,)


def _operators(
    name: str, what: Any, base: str, parameters: Mapping[str, Any], naming: Naming, where: Location
) -> tuple[operators.FitCategories | operators.FitQuantiles | FitStage | None, Operator, tuple[str, ...]]:
    """Return the operator that learns (or None), the operator that computes the column, and the inputs of both."""
    if isinstance(what, Fields | OneHot | Bucketizer | Interaction) and parameters:
        raise OperatorError(
            f"{type(what).__name__} was given {', '.join(parameters)} outside its parentheses", where=where,
            remedy=f"write hx.{type(what).__name__}(..., {next(iter(parameters))}=...)",
        )
    if isinstance(what, Fields):
        return None, operators.Select(what.columns), (base,)
    if isinstance(what, Interaction):
        inputs, sources = _inputs(base, what.columns, naming)
        return None, operators.Interact(sources), inputs
    if isinstance(what, OneHot | Bucketizer):
        inputs, (column,) = _inputs(base, (what.column,), naming)
        if isinstance(what, OneHot):
            return operators.FitCategories(column), operators.EncodeCategories(column, what.drop_last), inputs
        if what.bins is None:
            return None, Bucket(column, tuple(what.splits or ()), what.one_hot), inputs
        learned = operators.FitQuantiles(column, what.bins, what.relative_error)
        return learned, Bucket(column, None, what.one_hot), inputs
    check_stage(Kind.EXTRACTOR, name, what, parameters, where)
    columns = {key: value for key, value in parameters.items() if isinstance(value, NodeRef)}
    stage = operators.Stage(what, tuple((key, value) for key, value in parameters.items() if key not in columns))
    inputs, sources = _inputs(base, tuple(columns.values()), naming)
    wired = tuple(zip(columns, sources, strict=True))
    bases = class_of(what).__mro__  # compared by name, without importing Spark
    if any(base.__name__ == "Transformer" and base.__module__ == "pyspark.ml.base" for base in bases):
        return None, operators.ApplyStage(stage, wired), inputs
    return FitStage(stage, wired), operators.ApplyStage(None, wired), inputs


def _inputs(
    base: str, columns: Iterable[str | NodeRef], naming: Naming
) -> tuple[tuple[str, ...], tuple[ColumnSource, ...]]:
    """Return the inputs that the columns need, the base table first, and the operator's references to the columns."""
    inputs, sources = [base], list[ColumnSource]()
    for column in columns:
        if isinstance(column, str):
            sources.append(column)
        else:
            name = naming(column)
            if name not in inputs[1:]:
                inputs.append(name)
            sources.append(operators.Input(inputs.index(name, 1)))
    return tuple(inputs), tuple(sources)


def examples(
    name: str, base: str, features: Sequence[NodeRef], label: str | NodeRef | None, split: Split | None,
    keep: Sequence[str | NodeRef], wishes: Wishes, naming: Naming, where: Location,
) -> Node:
    """Return the node that assembles extractors of the table `base` into examples. Raises OperatorError without
    features, for a feature that is no extractor, or for a kept column whose name is taken."""
    features, keep = several("features", features, where), several("keep", keep, where)
    kept_extractors = [column for column in keep if isinstance(column, NodeRef)]
    _check_examples(name, features, kept_extractors, where)
    extractors: list[NodeRef] = [*features, *([label] if isinstance(label, NodeRef) else []), *kept_extractors]
    inputs, sources = _inputs(base, extractors, naming)
    source_of: dict[Any, Any] = dict(zip(extractors, sources, strict=True))
    columns = tuple(
        operators.KeptColumn(column.name, source_of[column]) if isinstance(column, NodeRef) else column
        for column in keep
    )
    target = source_of[label] if isinstance(label, NodeRef) else label
    operator = operators.Assemble(tuple(source_of[feature] for feature in features), target, split, columns)
    return Node(name, Kind.SYNTHESIZER, operator, inputs, Result.TABLE, where, wishes=wishes)


def _check_examples(name: str, features: Sequence[object], kept_extractors: Sequence[NodeRef], where: Location) -> None:
    if not features:
        raise OperatorError(f"synthesizer {name!r} was given no features", where=where)
    if not all(isinstance(feature, NodeRef) for feature in features):
        raise OperatorError(
            f"a feature of {name!r} is not an extractor", where=where,
            remedy='turn a plain column into one with wf.extractor("x", hx.Fields("x"), on=table)',
        )
    clash = next((column.name for column in kept_extractors if column.name in ("features", "label", "split")), None)
    if clash is not None:
        raise OperatorError(
            f"{name!r} keeps the extractor {clash!r}, but examples already have a column of that name", where=where,
            remedy="give the extractor another name",
        )


def split_from(kind: Kind, name: str, split: object, where: Location) -> Split | None:
    """Return the split; text is the name of a column. Raises OperatorError for another type."""
    if isinstance(split, str) and split:
        return operators.ColumnSplit(split)
    if split is None or isinstance(split, Split):
        return split
    raise OperatorError(
        f"the split of {kind} {name!r} is a {type(split).__name__}", where=where,
        remedy='for example split=hx.HashSplit(test=0.2), split=hx.TimeSplit("day", before="2013-10-01"), or the name '
        "of a column that marks each row as a training or test row",
    )
