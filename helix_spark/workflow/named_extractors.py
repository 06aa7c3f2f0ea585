"""Ready-made extractors, as the author names them; `Workflow.extractor` turns each into operators and their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from helix_spark.errors import OperatorError
from helix_spark.workflow.declared_at import caller

if TYPE_CHECKING:
    from typing import TypeAlias

    from helix_spark.workflow.declaration import NodeRef

    Column: TypeAlias = str | NodeRef


@dataclass(frozen=True, slots=True, init=False)
class Fields:
    """Columns as they are: as a scanner, a narrower table; as an extractor, a feature (a vector where several).

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
    """One-hot vector of a text column, or of another extractor. Its categories are learned once and kept apart.

    Attributes:
        column: a column of the table, or an extractor of it.
        drop_last: leave out the last place, which the others determine (Spark ML's default).
    """

    column: Column
    drop_last: bool = True


@dataclass(frozen=True, slots=True)
class Bucketizer:
    """The bucket that a number falls into, counted from 0.

    Attributes:
        column: a numeric column of the table, or an extractor of it.
        bins: learn this many buckets that hold about equally many rows; or
        splits: use these boundaries (ascending; the first and last buckets are open).
        one_hot: make it a one-hot vector.
        relative_error: of the learned quantiles.
    """

    column: Column
    bins: int | None = None
    splits: Sequence[float] | None = None
    one_hot: bool = False
    relative_error: float = 0.001

    def __post_init__(self) -> None:
        if (self.bins is None) == (self.splits is None):
            raise OperatorError(
                "Bucketizer takes either bins or splits", where=caller(), remedy="for example bins=10"
            )
        if self.bins is not None and (isinstance(self.bins, bool) or not isinstance(self.bins, int) or self.bins < 2):
            raise OperatorError(f"Bucketizer needs at least 2 bins, not {self.bins!r}", where=caller())
        if self.splits is not None:
            values = tuple(float(split) for split in self.splits)
            if not values or list(values) != sorted(set(values)):
                raise OperatorError(f"Bucketizer's splits must ascend, not {list(values)}", where=caller())
            object.__setattr__(self, "splits", values)


@dataclass(frozen=True, slots=True, init=False)
class Interaction:
    """All products of two or more features (columns or extractors), as a vector."""

    columns: tuple[Column, ...]

    def __init__(self, *columns: Column) -> None:
        if len(columns) < 2:
            raise OperatorError("Interaction takes two or more features", where=caller())
        object.__setattr__(self, "columns", columns)
