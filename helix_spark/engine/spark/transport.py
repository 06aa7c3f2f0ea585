"""The ways to a session's Spark: through the gateway to a JVM of this process's own, or by Spark Connect."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from helix_spark.capture.connect_session import is_by_connect, prepare
from helix_spark.errors import HelixError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

    from helix_spark.capture.written_plan import Plan


class NotAsBuiltError(HelixError):
    """A function gives something else than what it built tells: it was told other columns of a table than Spark finds,
    as of files whose folders add some; or the session reads texts otherwise."""


class PlanReader(Protocol):
    """Turns captured plans into DataFrames and Columns of one session."""

    def known(self, frames: Mapping[int, DataFrame]) -> AbstractContextManager[dict[int, str]]:
        """Has plans name these tables, by the ids that it gives, while they are read."""

    def frame(self, plan: Plan) -> DataFrame:
        """The table of a plan, analysed. Raises what Spark raises of a plan that is wrong, and NotAsBuiltError."""

    def column(self, plan: Plan) -> Column:
        """The column of an expression. Raises NotAsBuiltError."""

    def register(self, name: str, function: bytes) -> None:
        """Has the session know a Python function by a name.

        Args:
            function: a call of it with nothing (`spark.connect.Expression`).
        """


class Transport(Protocol):
    """What is asked of a session in one way or another."""

    @property
    def spark(self) -> SparkSession:
        """The session."""

    def activate(self) -> None:
        """Have the calling thread build plans under the session's settings."""

    @property
    def master(self) -> str:
        """Where its jobs run, as Spark's setting names it; of another machine none that `is_on_this_machine`."""

    def is_alive(self) -> bool:
        """Whether it was not stopped, and what runs it has not ended."""

    def is_stopping(self) -> bool:
        """Whether somebody is about to stop it while it is still alive: its jobs fail some time before it has ended."""

    def note_end(self) -> None:
        """A request found nobody who answers."""

    def settings(self) -> dict[str, str]:
        """Those that somebody set."""

    def further_settings(self) -> Mapping[str, str]:
        """Those that it needs while we work, beside those of any session."""

    def has_class(self, name: str) -> bool:
        """Whether its driver can load a class; of a server nobody is told, and what it lacks shows when it is used."""

    def set_for_store(self, wanted: Mapping[str, str]) -> list[str]:
        """Sets those of Hadoop's settings that have no value; returns which."""

    def unset_for_store(self, names: list[str]) -> None:
        """Takes them back."""

    def reader(self) -> PlanReader:
        """What reads captured plans for it."""

    def over_rows(self, persisted: DataFrame) -> DataFrame:
        """A persisted table by a plan that is as short as can be had (see `pinning`)."""

    def empty(self, schema: StructType) -> DataFrame:
        """No rows, as a relation that the optimiser knows to be empty."""

    def name_work(self, run: str, what: str) -> None:
        """Names the jobs of this thread, which is one of ours, and has them cancelled with the run."""

    def add_tag(self, run: str) -> None:
        """Has the jobs of this thread cancelled with the run."""

    def remove_tag(self, run: str) -> None:
        """No longer."""

    def cancel(self, run: str) -> None:
        """Cancels the jobs of a run."""

    def compiler_seconds(self) -> float:
        """Seconds that all compiler threads of the driver's JVM have taken so far; 0 where nobody counts them."""


def transport_of(spark: SparkSession) -> Transport:
    """How a session is asked."""
    if is_by_connect(spark):
        from helix_spark.engine.spark.connect_transport import ConnectTransport

        prepare()
        return ConnectTransport(spark)
    from helix_spark.engine.spark.jvm_transport import JvmTransport

    return JvmTransport(spark)
