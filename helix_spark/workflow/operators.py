"""Operators as frozen data: what a node computes, without the names of its inputs.

An operator refers to its inputs by position (`Input(0)`), so that renaming a node changes nothing. The five families
are those of Helix (Xin et al., PVLDB 12(4), section 3): scanners, extractors, synthesizers, learners, reducers. Sources
feed them, and `predict` applies a learner's model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set, ValuesView
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from numbers import Integral, Real
from typing import Any, Literal

from helix_spark.errors import Location, OperatorError
from helix_spark.since_python_311 import StrEnum
from helix_spark.workflow.declared_at import caller
from helix_spark.workflow.sources import Source


def several(option: str, value: object, where: Location | None = None, *, ordered: bool = True) -> tuple[Any, ...]:
    """Return the items of an option that takes a list. Raises OperatorError for a single value (iterating over a string
    would give its letters, over a DataFrame its column names), and for a set if `ordered`.

    >>> several("exclude", ["bins", "seed"])
    ('bins', 'seed')
    """
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | Set | ValuesView | Iterator):
        description = f'"{value}"' if isinstance(value, str) else f"a {type(value).__name__}"
        raise OperatorError(
            f"{option} takes a list, not {description} alone", where=where,
            remedy=f"write [{description}]" if isinstance(value, str) else f"put it in brackets: {option}=[...]",
        )
    if ordered and isinstance(value, set | frozenset):
        raise OperatorError(
            f"{option} takes a list: the order of a set differs from process to process", where=where,
            remedy=f"write {option}=[...]",
        )
    return tuple(value)


class Kind(StrEnum):
    """The operator family of a node."""

    SOURCE = "source"
    SCANNER = "scanner"
    EXTRACTOR = "extractor"
    SYNTHESIZER = "synthesizer"
    LEARNER = "learner"
    PREDICT = "predict"
    REDUCER = "reducer"

    @property
    def article(self) -> str:
        return "an" if self.value[0] in "aeiou" else "a"


class Result(StrEnum):
    """The type of a node's result. A column is part of the table that it extends, and is never stored alone."""

    TABLE = "table"
    COLUMN = "column"
    MODEL = "model"
    VALUE = "value"


class Form(StrEnum):
    """The type of a function's argument or result, as annotated."""

    SPARK = "pyspark.sql.DataFrame"
    PANDAS = "pandas.DataFrame"
    ARROW = "pyarrow.Table"
    COLUMN = "pyspark.sql.Column"
    MODEL = "model"
    VALUE = "value"
    ANY = "any"


COLLECTED = frozenset({Form.PANDAS, Form.ARROW})
"""Forms of tables whose rows are collected into this process."""

Rows = Literal["train", "test", "all"]
"""Rows of split examples that a learner fits or `predict` scores."""

LEFT_BY_PREDICT = ("features", "rawPrediction")
"""Large vectors that predictions drop unless `keep_columns` names them."""


@dataclass(frozen=True, slots=True)
class Input:
    """The node's input at this position."""

    index: int


ColumnSource = str | Input
"""A column of the base table by name, or the column that an input node computes."""


@dataclass(frozen=True, slots=True)
class Function:
    """An author's function, with the parameter and the form of each input. `by_code` is the reason why a function of
    Spark tables is identified by its code and not by its plan: a clause after "it"."""

    call: Callable[..., Any]
    arguments: tuple[str, ...]
    forms: tuple[Form, ...]
    returns: Form
    by_code: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Stage:
    """A Spark ML stage, built when it runs. `make` is its class, a dotted path, a function for it, or itself."""

    make: Any
    parameters: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """Read a source."""

    source: Source


@dataclass(frozen=True, slots=True)
class Select:
    """Select columns: as a table (a scanner), or as one feature (an extractor; several columns form a vector)."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FitCategories:
    """Learn the categories of a column, a list of text: most frequent first, ties in alphabetical order. Like
    `FitQuantiles` and `FitStage`, it reads the training rows of `split`, or all rows for None."""

    column: ColumnSource
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class EncodeCategories:
    """One-hot encode a column by the last input's categories. Unseen ones share the last slot; `drop_last` drops it."""

    column: ColumnSource
    drop_last: bool


@dataclass(frozen=True, slots=True)
class FitQuantiles:
    """Learn the boundaries, a list of numbers, of `bins` buckets with about equally many rows each."""

    column: ColumnSource
    bins: int
    relative_error: float
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """Compute a number's bucket: by fixed boundaries, or by those of the last input if `splits` is None."""

    column: ColumnSource
    splits: tuple[float, ...] | None
    one_hot: bool


@dataclass(frozen=True, slots=True)
class Interact:
    """Compute all products of the features, as a vector."""

    columns: tuple[ColumnSource, ...]


@dataclass(frozen=True, slots=True)
class FitStage:
    """Fit an estimator to the first input.

    Attributes:
        columns: the stage's column parameters that are inputs.
        rows: the rows to fit; None lets the split of the examples decide. That is the split of their declaration when
            the workflow is compiled, else their column `split` if they have one.
    """

    stage: Stage
    columns: tuple[tuple[str, ColumnSource], ...] = ()
    rows: Rows | None = "all"
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class ApplyStage:
    """Compute a column with the transformer `stage`, or with the fitted model in the last input if it is None."""

    stage: Stage | None
    columns: tuple[tuple[str, ColumnSource], ...] = ()


@dataclass(frozen=True, slots=True)
class HashSplit:
    """A split of examples by a hash of the row, so that a row's side does not depend on the order of reading.

    A synthesizer and an extractor with a split both hash the columns of the table that they read, without the columns
    that extractors add. So on one table the same split selects the same rows for both. For tables with different
    columns, `key` must name columns that both have, with the same values.

    Attributes:
        test: share of test rows, between 0 and 1 (both excluded).
        seed: an integer; another seed divides the rows differently.
        key: names of the columns that identify an example; all columns of the table if empty. Rows with equal values
            get the same side.

    Raises:
        OperatorError: `test` is no such share, or `seed` no integer.

    >>> HashSplit(test=0.2, seed=1).key
    ()
    """

    test: float = 0.2
    seed: int = 0
    key: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.test, Real | Decimal) or not 0 < float(self.test) < 1:
            raise OperatorError(
                f"the share of test rows is a number between 0 and 1, not {self.test!r}", where=caller(),
                remedy="for example hx.HashSplit(test=0.2); for no test rows, omit split=",
            )
        if not isinstance(self.seed, Integral) or isinstance(self.seed, bool):  # 1.0 equals 1, but divides differently
            raise OperatorError(
                f"the seed of a split is a whole number, not {self.seed!r}", where=caller(), remedy="for example seed=1"
            )
        # Copy it: a list may change later, and an iterator can be read only once.
        object.__setattr__(self, "key", several("key", self.key, caller()))


@dataclass(frozen=True, slots=True)
class ColumnSplit:
    """A split by a column of the table: ``split="part"``.

    Rows with ``"test"``, ``true`` or ``1`` are test rows; rows with ``"train"``, ``false`` or ``0`` are training rows.
    Case does not matter. Any other value, null included, is an error.
    """

    column: str


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """A split of examples by time: rows before a moment are training rows, the others are test rows.

    Attributes:
        column: name of a column of dates, timestamps, text that Spark casts to either, or numbers such as years.
        before: the moment: a `date`, a `datetime`, text in ISO format, or a number. A date begins at midnight in
            Spark's session time zone.

    Raises:
        OperatorError: `column` is no text or empty, or `before` has another type or format.

    >>> TimeSplit("day", before="2013-10-01").before
    '2013-10-01'
    """

    column: str
    before: str | float | date = field(kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.column, str) or not self.column:
            raise OperatorError(
                f"a split by time names its column, not {self.column!r}", where=caller(),
                remedy='for example hx.TimeSplit("day", before="2013-10-01")',
            )
        object.__setattr__(self, "before", _moment(self.before))


def _moment(before: object) -> str | float:
    if isinstance(before, Real) and not isinstance(before, bool) and isfinite(before):
        return int(before) if isinstance(before, Integral) else float(before)
    text = before.isoformat() if isinstance(before, date) else before
    try:
        if isinstance(text, str):
            datetime.fromisoformat(text)
            return text
    except ValueError:
        pass  # raises the error below
    raise OperatorError(
        f"before= of a split by time is a date, a time or a number, not {before!r}", where=caller(),
        remedy='for example hx.TimeSplit("day", before="2013-10-01")',
    )


Split = HashSplit | ColumnSplit | TimeSplit
"""A division of rows into training and test rows."""


@dataclass(frozen=True, slots=True)
class KeptColumn:
    """An extractor's column that examples keep, under this name."""

    name: str
    column: Input


@dataclass(frozen=True, slots=True)
class Assemble:
    """Assemble examples: a vector `features` of the feature inputs in order, `label`, `split`, and columns to keep.

    Attributes:
        label: SQL text over the base table's columns, an input, or None.
        split: the division of the rows; None uses the column `split` of the table, if it has one.
        keep: further columns of the base table or of extractors, such as weights.
    """

    features: tuple[Input, ...]
    label: str | Input | None
    split: Split | None
    keep: tuple[str | KeptColumn, ...] = ()


@dataclass(frozen=True, slots=True)
class Predict:
    """Apply the model in input 0 to `rows` (see `FitStage`) of input 1; `keep` has columns of LEFT_BY_PREDICT."""

    rows: Rows | None
    keep: tuple[str, ...] = ()


Operator = (
    Read | Function | Select | FitCategories | EncodeCategories | FitQuantiles | Bucket | Interact
    | FitStage | ApplyStage | Assemble | Predict
)


def split_of_fit(operator: Operator) -> Split | None:
    """Return the split whose training rows an operator learns from, or None."""
    return operator.split if isinstance(operator, FitCategories | FitQuantiles | FitStage) else None


def named_columns(operator: Operator) -> list[str]:
    """Return the columns that a ready-made operator requires of its table."""
    match operator:
        case Select(columns=columns):
            return list(columns)
        case Interact(columns=columns):
            return [column for column in columns if isinstance(column, str)]
    keep: Sequence[object] = operator.keep if isinstance(operator, Assemble) else (getattr(operator, "column", None),)
    split = operator.split if isinstance(operator, Assemble) else split_of_fit(operator)
    split_columns = () if split is None else split.key if isinstance(split, HashSplit) else (split.column,)
    return [*(column for column in keep if isinstance(column, str)), *split_columns]
