"""Operators as frozen data: what a node does, apart from which nodes it reads.

An operator speaks of its inputs by position (`Input(0)`), never by name, so that renaming a node changes nothing.
The five families are those of Helix (Xin et al., PVLDB 12(4), section 3): scanners, extractors, synthesizers,
learners, reducers; sources feed them, and `predict` applies what a learner learned.
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
    """Return the items of an option that takes several. Raises OperatorError where it is one thing (of a text the
    letters would be taken, of a DataFrame the names of its columns), or, where order counts, a set, whose order differs
    from process to process.

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
    """What a node's result is. A column has no life apart from the table it extends; it is never stored alone."""

    TABLE = "table"
    COLUMN = "column"
    MODEL = "model"
    VALUE = "value"


class Form(StrEnum):
    """How a function wants an argument, or what it returns, as its annotation says."""

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
"""Which rows of split examples a learner fits on or `predict` scores."""

LEFT_BY_PREDICT = ("features", "rawPrediction")
"""Columns that predictions go without unless they are asked for: vectors that few look at."""


@dataclass(frozen=True, slots=True)
class Input:
    """The node's input at this position."""

    index: int


ColumnSource = str | Input
"""A column of the base table by name, or the column that an input node makes."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the author's. `forms[i]` is how it wants input i, `arguments[i]` the name it gives it. Of one of
    Spark's tables `by_code` says why it is known by its code and not by what it builds, as what follows "it"."""

    call: Callable[..., Any]
    arguments: tuple[str, ...]
    forms: tuple[Form, ...]
    returns: Form
    by_code: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Stage:
    """A Spark ML estimator or transformer that will be built when it runs, of parameters for its constructor. `make` is
    its class, the dotted path of its class, a function without parameters that returns one, or one."""

    make: Any
    parameters: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """Reads a source."""

    source: Source


@dataclass(frozen=True, slots=True)
class Select:
    """Some columns of a table (a scanner), or as one feature (an extractor; a vector where they are several)."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FitCategories:
    """Learns the categories of a column, most frequent first; ties in alphabetical order. A value: list of text. The
    rows are the training rows of `split`, all for None; so of `FitQuantiles` and `FitStage`."""

    column: ColumnSource
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class EncodeCategories:
    """One-hot vector of a column by the categories of the last input; unseen ones get a place of their own.
    `drop_last` leaves out the last place, which the others determine."""

    column: ColumnSource
    drop_last: bool


@dataclass(frozen=True, slots=True)
class FitQuantiles:
    """Learns the boundaries of `bins` buckets that hold about equally many rows. A value: list of numbers."""

    column: ColumnSource
    bins: int
    relative_error: float
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """The bucket a number falls into: by fixed boundaries, or by those of the last input where `splits` is None."""

    column: ColumnSource
    splits: tuple[float, ...] | None
    one_hot: bool


@dataclass(frozen=True, slots=True)
class Interact:
    """All products of the features it reads, as a vector."""

    columns: tuple[ColumnSource, ...]


@dataclass(frozen=True, slots=True)
class FitStage:
    """Fits an estimator to its first input.

    Attributes:
        columns: the stage's column parameters that are inputs.
        rows: which rows; None lets the split of the examples decide: that of their declaration when the workflow is
            compiled, else their column `split` if they have one.
    """

    stage: Stage
    columns: tuple[tuple[str, ColumnSource], ...] = ()
    rows: Rows | None = "all"
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class ApplyStage:
    """The column a transformer makes: of `stage` itself, or of the fitted model in the last input if it is None."""

    stage: Stage | None
    columns: tuple[tuple[str, ColumnSource], ...] = ()


@dataclass(frozen=True, slots=True)
class HashSplit:
    """A split of examples by a hash of the row, so that a row stays on its side however it is read.

    A synthesizer hashes the columns of the table that it is made of, and so does an extractor that is given a split:
    what extractors add counts in neither. One split is therefore the same rows for both, wherever both stand on one
    table; on tables with other columns it is where `key` names columns that both have, with the same values.

    Attributes:
        test: share of test rows, between 0 and 1.
        seed: another seed, another division.
        key: the columns that identify an example; all columns of the table if empty. Equal rows go together.

    Raises:
        OperatorError: `test` is no such share, or `seed` no whole number.

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
                remedy="for example hx.HashSplit(test=0.2); without test rows, leave split out",
            )
        if not isinstance(self.seed, Integral) or isinstance(self.seed, bool):  # 1.0 equals 1, and divides otherwise
            raise OperatorError(
                f"the seed of a split is a whole number, not {self.seed!r}", where=caller(), remedy="for example seed=1"
            )
        # A copy: a list may be changed later on, and an iterator would be empty when rows are divided.
        object.__setattr__(self, "key", several("key", self.key, caller()))


@dataclass(frozen=True, slots=True)
class ColumnSplit:
    """A split that a column of the table names: ``split="part"``.

    Test rows are those with ``"test"``, ``true`` or ``1``, training rows those with ``"train"``, ``false`` or ``0``, in
    any case of letters. Any other value, null too, is an error.
    """

    column: str


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """A split of examples by time: rows before a moment are training rows, rows from then on are test rows.

    Attributes:
        column: a date or a timestamp, text that Spark casts to one, or a number such as a year.
        before: the moment: a `date`, a `datetime`, text in ISO format, or a number. A date begins at midnight in
            Spark's session time zone.

    Raises:
        OperatorError: `column` is no name, or `before` none of these.

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
        pass  # the sentence below covers it
    raise OperatorError(
        f"a split by time ends its training rows before a date, a time or a number, not {before!r}", where=caller(),
        remedy='for example hx.TimeSplit("day", before="2013-10-01")',
    )


Split = HashSplit | ColumnSplit | TimeSplit
"""How rows are divided into train and test."""


@dataclass(frozen=True, slots=True)
class KeptColumn:
    """An extractor's column that examples keep, and what it is called there."""

    name: str
    column: Input


@dataclass(frozen=True, slots=True)
class Assemble:
    """Examples: a vector `features` of the feature inputs in order, `label`, `split`, and the columns to keep.

    Attributes:
        label: SQL text over the base table's columns, an input, or None.
        split: how rows are divided; None leaves that to the column `split` of the table, if it has one.
        keep: further columns, of the base table or of extractors: weights, and what those who look at results want.
    """

    features: tuple[Input, ...]
    label: str | Input | None
    split: Split | None
    keep: tuple[str | KeptColumn, ...] = ()


@dataclass(frozen=True, slots=True)
class Predict:
    """Applies the model in input 0 to the examples in input 1: to `rows` as of `FitStage`, with the columns among
    LEFT_BY_PREDICT, in their order, that are kept."""

    rows: Rows | None
    keep: tuple[str, ...] = ()


Operator = (
    Read | Function | Select | FitCategories | EncodeCategories | FitQuantiles | Bucket | Interact
    | FitStage | ApplyStage | Assemble | Predict
)


def split_of_fit(operator: Operator) -> Split | None:
    """Return the split whose training rows alone an operator learns from; None where it has none."""
    return operator.split if isinstance(operator, FitCategories | FitQuantiles | FitStage) else None


def named_columns(operator: Operator) -> list[str]:
    """Return the columns that a ready-made operator names, all of which its table must have."""
    match operator:
        case Select(columns=columns):
            return list(columns)
        case Interact(columns=columns):
            return [column for column in columns if isinstance(column, str)]
    keep: Sequence[object] = operator.keep if isinstance(operator, Assemble) else (getattr(operator, "column", None),)
    split = operator.split if isinstance(operator, Assemble) else split_of_fit(operator)
    divides = () if split is None else split.key if isinstance(split, HashSplit) else (split.column,)
    return [*(one for one in keep if isinstance(one, str)), *divides]
