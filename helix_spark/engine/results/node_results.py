"""Results in memory: tables as DataFrames or Arrow, columns, models and plain values."""

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
"""A function that keeps a table in memory for later runs, by the signature of its result; returns whether it does."""


class TableResult:
    """One table, as a Spark DataFrame or a pyarrow Table; the other form is created when it is first needed.
    `arrow` creates the pyarrow Table without Spark; None if that takes Spark.

    Attributes:
        read_seconds: seconds of reading its rows from the catalog; None if they were not read on their own.
        loaded: True if it was loaded. Its rows here may lack the classes of vectors, and the metadata of columns.
        across: the pandas name of its columns' index; for display, as it is not stored.
        kept: True if its DataFrame reads rows that a server has kept in memory since an earlier run.
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
        """True if its rows are in this process."""
        return self._arrow is not None

    @property
    def at_hand(self) -> bool:
        """True if it is written from rows in this process, not as a DataFrame."""
        return self._arrow is not None and self._frame is None and not self.loaded

    @property
    def framed(self) -> bool:
        return self._frame is not None

    @property
    def through_frame(self) -> bool:
        """True if its rows come into this process through its DataFrame, which fills its pin."""
        return self._make_arrow is None

    @property
    def pinned(self) -> bool:
        """True if its rows stay in memory once they are computed."""
        return self._persisted is not None or self.kept

    @property
    def in_memory(self) -> bool:
        """True if writing it computes nothing: its rows are pinned, or were here before its DataFrame was created."""
        return self.pinned or (self.collected and not self.through_frame)

    @property
    def lost(self) -> bool:
        """True if its DataFrame is of a session that has ended."""
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
        """Return the table's rows as a new pandas DataFrame."""
        frame: pd.DataFrame = self.arrow().to_pandas()
        return frame

    def pin(self) -> None:
        """Keep its rows in memory once they are computed; `frame` then reads these rows.

        A persisted DataFrame still has the plan that it was built with, which Spark analyses again for each column that
        is added. A DataFrame over the rows alone has a plan of one relation, but needs the classic session.
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
        """Leave its pinned rows in memory to the server, by the result's signature, if the server keeps them."""
        with self._lock, suppress(*spark_errors()):
            if self._persisted is not None and keep(signature, self.frame()):
                self._persisted = None

    def unpin(self) -> None:
        """Release its rows in memory; a later use computes them again."""
        with self._lock:
            if (persisted := self._persisted) is not None:
                self._persisted = None
                with suppress(*spark_errors()):  # a JVM that has ended has no pins
                    self._frame = persisted.unpersist()

    def persisted(self) -> DataFrame:
        """Return a pinned table as Spark persists it, else `frame`: some estimators persist any other input."""
        with self._lock:
            return self._persisted if self._persisted is not None else self.frame()


@dataclass(frozen=True, slots=True)
class ColumnResult:
    """A column that can be added to its base table, after those that it `needs`. `stages` builds the Spark ML stages
    that add several such columns, from their `make`; if it is None, `make` builds the expression for a DataFrame."""

    column: str
    base: TableResult
    needs: tuple[ColumnResult, ...]
    stages: Callable[[Sequence[ColumnResult]], list[Any]] | None
    make: Any


@dataclass(frozen=True, slots=True)
class ModelResult:
    """A fitted Spark ML model, or a transformer; `read_seconds` is None if it was not read."""

    model: Any
    read_seconds: float | None = None

    def copy(self) -> Any:
        """Return a copy, whose parameters may be set. PySpark cannot copy a search that kept only the best model."""
        from pyspark.ml.param import Params

        if not isinstance(self.model, Params):
            return self.model.copy() if hasattr(self.model, "copy") else self.model

        def copy_part(part: Any) -> Any:
            if vars(part).keys().isdisjoint(PARTS):
                return part.copy()
            copy = Params.copy(part)
            vars(copy).update({name: list(value) for name, value in vars(copy).items() if isinstance(value, list)})
            return copy

        return moved_stage(self.model, copy_part)


@dataclass(frozen=True, slots=True)
class ValueResult:
    """A plain value, in the form in which it is stored."""

    value: Any

    def copy(self) -> Any:
        return deepcopy(self.value)


NodeResult = TableResult | ColumnResult | ModelResult | ValueResult


@dataclass(slots=True)
class _MemoryEntry:
    """A result in memory; `last` is the newest run of a version that has it."""

    result: NodeResult
    last: int
    is_named: bool


class MemoryTier:
    """Results in memory by signature, without columns; those that no recent version has are released."""

    def __init__(self) -> None:
        self._entries: dict[str, _MemoryEntry] = {}
        self._run = 0
        self._lock = RLock()

    @property
    def signatures(self) -> frozenset[str]:
        with self._lock:
            return frozenset(self._entries)

    def get(self, signature: str) -> NodeResult | None:
        entry = self._entries.get(signature)
        return None if entry is None else entry.result

    def put(self, result: NodeResult, signature: str | None = None) -> None:
        """Add a result, unless it is a table without rows in memory. Without a signature only its iteration has it."""
        if isinstance(result, ColumnResult):
            return
        if isinstance(result, TableResult) and not (result.pinned or result.collected):
            return
        key = signature or uuid.uuid4().hex
        with self._lock:
            if self.get(key) is not result:
                self.drop(key)
            self._entries[key] = _MemoryEntry(result, self._run, signature is not None)

    def drop(self, signature: str) -> None:
        with self._lock:
            if (entry := self._entries.pop(signature, None)) is not None and isinstance(entry.result, TableResult):
                entry.result.unpin()

    def next_version(self, signatures: Iterable[str]) -> None:
        """Begin a run of a version with these signatures; release the results that no recent version has."""
        with self._lock:
            self._run += 1
            for signature in self._entries.keys() & set(signatures):
                self._entries[signature].last = self._run
            # People go back one or two edits.
            for signature in [key for key, entry in self._entries.items() if entry.last < self._run - 3]:
                self.drop(signature)

    def hand_over(self, keep: KeepRows) -> None:
        """Leave the rows of tables that a later run may reuse to the server."""
        with self._lock:
            for signature, entry in self._entries.items():
                if entry.is_named and isinstance(entry.result, TableResult):
                    entry.result.hand_over(signature, keep)

    def clear(self) -> None:
        with self._lock:
            for signature in list(self._entries):
                self.drop(signature)


def collect(frame: DataFrame) -> pa.Table:
    """Collect a DataFrame's rows; vectors become lists, so that no form needs Spark's classes."""
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql import functions as F

    if vectors := {field.name for field in frame.schema.fields if isinstance(field.dataType, VectorUDT)}:
        from pyspark.ml.functions import vector_to_array

        frame = frame.select(
            *(vector_to_array(F.col(quoted(c))).alias(c) if c in vectors else F.col(quoted(c)) for c in frame.columns)
        )
    return frame.toArrow()


def marked(frame: DataFrame) -> DataFrame:
    """Return the same rows by a unique plan, with a true condition that the optimiser removes.

    Spark compares plans by their text: paths, options, the bytes of a UDF. For files that have changed it would answer
    from a table that it cached before.
    """
    from pyspark.sql import functions as F

    mark = uuid.uuid4().hex
    return frame.where(F.lit(mark) == F.lit(mark))


def nullable(frame: DataFrame) -> DataFrame:
    """Return the same rows with every column nullable, as when read back from Delta, so that computed and loaded tables
    have one schema. The optimiser removes the empty side of the union: it costs nothing and keeps partitions and order
    of the rows."""
    settle(frame)
    if (relaxed := frame.schema.toNullable()) == frame.schema:
        return frame
    return frame.union(frame.sparkSession.createDataFrame([], relaxed))


def quoted(column: str) -> str:
    """Quote a column's name for Spark."""
    return "`" + column.replace("`", "``") + "`"


def plain(value: object, node: str) -> Any:
    """Return a value as it is stored: JSON's types, Python's numbers. Raises ResultTypeError for other types.

    >>> plain({"a": (1, 2.5)}, "m")
    {'a': [1, 2.5]}
    """
    match value:
        case None | bool():
            return value
        case str():
            return str.__str__(value)  # without a subclass, such as numpy's
        case int():
            if value.bit_length() > 14_000:  # Python neither writes nor reads more than 4,300 digits
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
        converted = value.tolist()  # type: ignore[attr-defined]  # numpy scalars and arrays alike
        if type(converted) is not type(value):  # Python has no such number
            return plain(converted, node)
    raise ResultTypeError(
        f"{node!r} returned a {type(value).__module__}.{type(value).__qualname__}, which is not a plain value",
        remedy="return numbers, text, lists and dicts of them, or annotate the table that it returns "
        "(-> DataFrame, pd.DataFrame or pa.Table)",
    )


def _with_text_keys(value: Mapping[Any, Any], node: str) -> dict[str, Any]:
    by_text: dict[str, Any] = {}
    for key, item in value.items():
        if (text := str(plain(key, node))) in by_text:
            raise ResultTypeError(
                f"{node!r} returned a dict with two keys that are stored as the text {text!r}",
                remedy="return keys that are text",
            )
        by_text[text] = plain(item, node)
    return by_text
