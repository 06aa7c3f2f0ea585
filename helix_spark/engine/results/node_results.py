"""Results while a session lives: tables in the forms in which they were had, columns, models and plain values."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

from helix_spark.engine.spark.borrowed import is_alive
from helix_spark.engine.spark.driver_client import driver_client, settle
from helix_spark.engine.spark.gateway import spark_errors
from helix_spark.errors import ResultTypeError
from helix_spark.plans.stage_references import PARTS, moved_stage

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame


KeepRows = Callable[[str, Any], bool]
"""Keeps rows in memory for later runs, by the signature of a result; returns whether it does."""


class TableResult:
    """One table, as a Spark DataFrame or a pyarrow Table; the other form is made when it is first asked for. `arrow`
    makes the pyarrow Table without Spark; None if that takes Spark.

    Attributes:
        read_seconds: what reading its rows from the catalog took, where they were read by themselves.
        loaded: whether it was loaded. Its rows here may lack the classes of vectors, and the metadata of columns.
        across: what a DataFrame of pandas calls its columns together; for people, for it is not stored.
        kept: whether its DataFrame stands over rows that a server has kept in memory since an earlier run.
    """

    read_seconds: float | None = None

    def __init__(
        self, frame: Callable[[], DataFrame], arrow: Callable[[], pa.Table] | None = None, *, loaded: bool = False,
        kept: bool = False, across: str = "",
    ) -> None:
        self._make_frame, self._make_arrow = frame, arrow
        self.loaded, self.kept, self.across = loaded, kept, across
        self._frame: DataFrame | None = None
        self._persisted: DataFrame | None = None
        self._arrow: pa.Table | None = None
        self._lock = RLock()

    @property
    def collected(self) -> bool:
        """Whether its rows are in this process already."""
        return self._arrow is not None

    @property
    def at_hand(self) -> bool:
        """Whether it is written from rows in this process, and not as a DataFrame."""
        return self._arrow is not None and self._frame is None and not self.loaded

    @property
    def framed(self) -> bool:
        return self._frame is not None

    @property
    def through_frame(self) -> bool:
        """Whether its rows come into this process by way of its DataFrame, which fills its pin."""
        return self._make_arrow is None

    @property
    def pinned(self) -> bool:
        """Whether its rows are kept in memory, once they are computed."""
        return self._persisted is not None or self.kept

    @property
    def in_memory(self) -> bool:
        """Whether writing it computes nothing: its rows are pinned, or were here before its DataFrame was made."""
        return self.pinned or (self.collected and not self.through_frame)

    @property
    def lost(self) -> bool:
        """Whether its DataFrame was made in a session that has ended."""
        frame = self._frame
        return frame is not None and not is_alive(frame.sparkSession)

    def frame(self) -> DataFrame:
        """Return the table as a Spark DataFrame; every column nullable, as when it is loaded."""
        with self._lock:
            if self._frame is None:
                self._frame = self._make_frame()
            return self._frame

    def arrow(self) -> pa.Table:
        """Return the table's rows in this process; Spark ML vectors as lists of numbers."""
        with self._lock:
            if self._arrow is None:
                self._arrow = self._make_arrow() if self._make_arrow is not None else collect(self.frame())
            return self._arrow

    def pandas(self) -> pd.DataFrame:
        """Return the table's rows as a pandas DataFrame of the caller's own."""
        frame: pd.DataFrame = self.arrow().to_pandas()
        return frame

    def pin(self) -> None:
        """Keep its rows in memory from when they are first computed on; `frame` stands over these rows.

        A persisted DataFrame still carries the plan of all that it was made from, which Spark analyses again for each
        column that is added. What stands over the rows alone has a plan of one relation; a server elsewhere finds them
        by the whole plan.
        """
        from pyspark import StorageLevel

        with self._lock:
            frame = self.frame()
            if self.kept:
                return
            settle(frame)
            self._persisted = persisted = marked(frame).persist(StorageLevel.MEMORY_AND_DISK)
            self._frame = persisted
            if (client := driver_client(frame.sparkSession)) is not None:
                self._frame = client.over_rows(persisted)

    def hand_over(self, signature: str, keep: KeepRows) -> None:
        """Leave its rows in memory to the server, by the result's signature, if they are pinned and it keeps them."""
        with self._lock, suppress(*spark_errors()):
            if self._persisted is not None and keep(signature, self.frame()):
                self._persisted = None

    def unpin(self) -> None:
        """Release its rows in memory; a later use computes them again."""
        with self._lock:
            if (persisted := self._persisted) is not None:
                self._persisted = None
                with suppress(*spark_errors()):  # a JVM that has ended holds nothing any more
                    self._frame = persisted.unpersist()

    def persisted(self) -> DataFrame:
        """Return the table as the DataFrame that Spark knows to be persisted, where it is pinned: an estimator that
        persists its input unless that is done already asks for that. Else the same as `frame`."""
        with self._lock:
            return self._persisted if self._persisted is not None else self.frame()


@dataclass(frozen=True, slots=True)
class ColumnResult:
    """A column that can be added to its base table, after those that it `needs`. `stages` makes the stages of Spark ML
    that add several together, from what `make` has of each; without, `make` makes the expression for a DataFrame."""

    column: str
    base: TableResult
    needs: tuple[ColumnResult, ...]
    stages: Callable[[Sequence[ColumnResult]], list[Any]] | None
    make: Any


@dataclass(frozen=True, slots=True)
class ModelResult:
    """A fitted Spark ML model, or a transformer; `read_seconds` is what reading it took; None if it was not read."""

    model: Any
    read_seconds: float | None = None

    def copy(self) -> Any:
        """Return a copy, whose parameters may be set. PySpark copies no search that kept only the best model."""
        from pyspark.ml.param import Params

        if not isinstance(self.model, Params):
            return self.model.copy() if hasattr(self.model, "copy") else self.model

        def copied(one: Any) -> Any:
            if vars(one).keys().isdisjoint(PARTS):
                return one.copy()
            made = Params.copy(one)
            vars(made).update({name: list(value) for name, value in vars(made).items() if isinstance(value, list)})
            return made

        return moved_stage(self.model, copied)


@dataclass(frozen=True, slots=True)
class ValueResult:
    """A plain value, in the form in which it is stored."""

    value: Any

    def copy(self) -> Any:
        return deepcopy(self.value)


NodeResult = TableResult | ColumnResult | ModelResult | ValueResult


@dataclass(slots=True)
class _HeldResult:
    """A result in memory; `last` is the newest run that is of a version with it."""

    result: NodeResult
    last: int
    is_named: bool


class MemoryTier:
    """The results that a session holds, by signature, while recent versions have them: all but columns."""

    def __init__(self) -> None:
        self._held: dict[str, _HeldResult] = {}
        self._run = 0
        self._lock = RLock()

    @property
    def signatures(self) -> frozenset[str]:
        with self._lock:
            return frozenset(self._held)

    def get(self, signature: str) -> NodeResult | None:
        held = self._held.get(signature)
        return None if held is None else held.result

    def put(self, result: NodeResult, signature: str | None = None) -> None:
        """Hold a result: tables with rows in memory alone. Without a signature it is for its own iteration."""
        if isinstance(result, ColumnResult):
            return
        if isinstance(result, TableResult) and not (result.pinned or result.collected):
            return
        key = signature or uuid.uuid4().hex
        with self._lock:
            if self.get(key) is not result:
                self.drop(key)
            self._held[key] = _HeldResult(result, self._run, signature is not None)

    def drop(self, signature: str) -> None:
        with self._lock:
            if (held := self._held.pop(signature, None)) is not None and isinstance(held.result, TableResult):
                held.result.unpin()

    def next_version(self, signatures: Iterable[str]) -> None:
        """Begin a run of a version with these signatures, and release what no recent version had."""
        with self._lock:
            self._run += 1
            for signature in self._held.keys() & set(signatures):
                self._held[signature].last = self._run
            # People go back one or two edits.
            for signature in [one for one, held in self._held.items() if held.last < self._run - 3]:
                self.drop(signature)

    def hand_over(self, keep: KeepRows) -> None:
        """Leave the rows of tables that a later run may reuse to the server."""
        with self._lock:
            for signature, held in self._held.items():
                if held.is_named and isinstance(held.result, TableResult):
                    held.result.hand_over(signature, keep)

    def clear(self) -> None:
        with self._lock:
            for signature in list(self._held):
                self.drop(signature)


def collect(frame: DataFrame) -> pa.Table:
    """Return a DataFrame's rows in this process; vectors unwrapped, so that no form needs Spark's classes."""
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql import functions as F

    if vectors := {field.name for field in frame.schema.fields if isinstance(field.dataType, VectorUDT)}:
        from pyspark.ml.functions import vector_to_array

        frame = frame.select(
            *(vector_to_array(F.col(quoted(c))).alias(c) if c in vectors else F.col(quoted(c)) for c in frame.columns)
        )
    return frame.toArrow()


def marked(frame: DataFrame) -> DataFrame:
    """Return the same rows by a plan that is equal to no other, under a true condition that the optimiser removes.

    Spark knows a plan by its text: paths, options, the bytes of a UDF. Over files that have changed since, a table that
    is cached from before would answer for it.
    """
    from pyspark.sql import functions as F

    mark = uuid.uuid4().hex
    return frame.where(F.lit(mark) == F.lit(mark))


def nullable(frame: DataFrame) -> DataFrame:
    """Return the same rows with every column nullable, as they are when read back from Delta, so that what is computed
    and what is loaded have one schema. The optimiser removes the empty side, so it costs nothing when run, and leaves
    the rows divided and ordered as the author had them."""
    settle(frame)
    if (relaxed := frame.schema.toNullable()) == frame.schema:
        return frame
    return frame.union(frame.sparkSession.createDataFrame([], relaxed))


def quoted(column: str) -> str:
    """Return a column's name as Spark reads it, dots and spaces and all."""
    return "`" + column.replace("`", "``") + "`"


def plain(value: object, node: str) -> Any:
    """Return a value as it will be stored and read back: JSON's types, numbers of numpy as Python's. Raises
    ResultTypeError where it has no such form.

    >>> plain({"a": (1, 2.5)}, "m")
    {'a': [1, 2.5]}
    """
    match value:
        case None | bool():
            return value
        case str():
            return str.__str__(value)  # of a class of its own, as numpy's, the text alone
        case int():
            if value.bit_length() > 14_000:  # Python refuses to write, and to read, more than 4,300 digits
                raise ResultTypeError(
                    f"{node!r} returned a whole number of more than 4,000 digits, which cannot be stored",
                    remedy="return it as text by hex(), or its logarithm",
                )
            return int(value)
        case float():
            return float(value)
        case Mapping():
            return _with_text_keys(value, node)
        case list() | tuple():
            return [plain(item, node) for item in value]
    if type(value).__module__.split(".")[0] == "numpy":
        made = value.tolist()  # type: ignore[attr-defined]  # numpy scalars and arrays alike
        if type(made) is not type(value):  # what Python has no number for stays what it is
            return plain(made, node)
    raise ResultTypeError(
        f"{node!r} returned a {type(value).__module__}.{type(value).__qualname__}, which is not a plain value",
        remedy="return numbers, text, lists and dicts of them, or annotate the table that it returns "
        "(-> DataFrame, pd.DataFrame or pa.Table)",
    )


def _with_text_keys(value: Mapping[Any, Any], node: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, item in value.items():
        if (text := str(plain(key, node))) in made:
            raise ResultTypeError(
                f"{node!r} returned a dict with two keys that are {text!r} when they are text, as stored ones are",
                remedy="return keys that are text",
            )
        made[text] = plain(item, node)
    return made
