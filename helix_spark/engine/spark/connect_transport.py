"""A session by Spark Connect: its server may be on another machine, and has a JVM that nobody here reaches."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from helix_spark.capture.connect_session import column_of, frame_of, host_of, register_function
from helix_spark.capture.named_functions import by_names, is_key
from helix_spark.engine.spark.connect import MODELS_AS_CLASSIC
from helix_spark.engine.spark.transport import NotAsBuiltError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

    from helix_spark.capture.written_plan import Plan

ELSEWHERE = "connect"
"""For `Transport.master`: a server on another machine."""


def is_this_machine(host: str) -> bool:
    """Whether a host's name is this machine's.

    >>> is_this_machine("localhost"), is_this_machine("spark.example.org")
    (True, False)
    """
    return host in {"localhost", "127.0.0.1", "::1", socket.gethostname().lower()}


_LOST: WeakSet[Any] = WeakSet()
"""Sessions whose servers are gone, which pyspark does not note."""


@dataclass(frozen=True, slots=True)
class ConnectTransport:
    """See `Transport`."""

    spark: Any

    def activate(self) -> None:
        """No-op: the server builds plans, under the settings of its session."""

    @property
    def master(self) -> str:
        there = is_this_machine(host_of(self.spark))
        return str(self.spark.conf.get("spark.master", ELSEWHERE)) if there else ELSEWHERE

    def is_alive(self) -> bool:
        return not self.spark.is_stopped and self.spark not in _LOST

    def is_stopping(self) -> bool:
        return not self.is_alive()

    def note_end(self) -> None:
        """Its server does not answer any more: whoever asks for it is told that it has ended."""
        _LOST.add(self.spark)

    def settings(self) -> dict[str, str]:
        return {name: value for name, value in self.spark.conf.getAll.items() if value is not None}

    def further_settings(self) -> Mapping[str, str]:
        return MODELS_AS_CLASSIC

    def has_class(self, name: str) -> bool:
        return True

    def set_for_store(self, wanted: Mapping[str, str]) -> list[str]:
        return []  # a server has settings of its own for its stores

    def unset_for_store(self, names: list[str]) -> None:
        """None were set."""

    def reader(self) -> ConnectPlanReader:
        return ConnectPlanReader(self.spark)

    def over_rows(self, persisted: DataFrame) -> DataFrame:
        return persisted  # the server finds its rows by its plan

    def empty(self, schema: StructType) -> DataFrame:
        frame: DataFrame = self.spark.createDataFrame([], schema)
        return frame

    def name_work(self, run: str, what: str) -> None:
        self.spark.clearTags()
        self.spark.addTag(run)

    def add_tag(self, run: str) -> None:
        self.spark.addTag(run)

    def remove_tag(self, run: str) -> None:
        self.spark.removeTag(run)

    def cancel(self, run: str) -> None:
        self.spark.interruptTag(run)

    def compiler_seconds(self) -> float:
        return 0.0


@dataclass(slots=True)
class ConnectPlanReader:
    """See `PlanReader`. Tables stand in plans as their own plans do."""

    _spark: SparkSession
    _inputs: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def known(self, frames: Mapping[int, DataFrame]) -> Iterator[dict[int, str]]:
        names = {place: uuid.uuid4().hex for place in frames}
        self._inputs |= {names[place]: frame for place, frame in frames.items()}
        try:
            yield names
        finally:
            for name in names.values():
                del self._inputs[name]

    def frame(self, plan: Plan) -> DataFrame:
        _check_calls(plan)
        found: Any = frame_of(self._spark, plan, dict(self._inputs))
        found.schema  # noqa: B018 - a plan that is wrong is found now
        return found  # type: ignore[no-any-return]  # pyspark's two sorts of tables have no type in common

    def column(self, plan: Plan) -> Column:
        _check_calls(plan)
        found: Any = column_of(plan)
        return found  # type: ignore[no-any-return]  # as above

    def register(self, name: str, function: bytes) -> None:
        register_function(self._spark, name, function)


def _check_calls(plan: Plan) -> None:
    """A server names columns by the name that it knows a function by; and it reads texts whenever they run, by which
    time another function may have that name.

    Raises:
        NotAsBuiltError: texts in the plan call functions by their names.
    """
    for name, _ in plan:
        if is_key(name):
            raise NotAsBuiltError(f"a server of Spark Connect knows `{by_names(name)}` by its name alone")
