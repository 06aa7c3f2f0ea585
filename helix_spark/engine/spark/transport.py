"""A session by Spark Connect as the engine uses it: its server is in this process's own JVM, or elsewhere, with a JVM
that nobody here reaches."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from helix_spark.engine.spark.connect import MODELS_AS_CLASSIC
from helix_spark.engine.spark.driver_client import DriverClient, driver_client
from helix_spark.errors import HelixError
from helix_spark.plans.connect_session import host_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

ELSEWHERE = "connect"
"""For `Transport.master`: a server on another machine."""


class NotAsBuiltError(HelixError):
    """A function gives something else than what it built tells: it was told other columns of a table than Spark finds,
    as of files whose folders add some; or the session reads texts otherwise."""


def is_this_machine(host: str) -> bool:
    """Whether a host's name is this machine's.

    >>> is_this_machine("localhost"), is_this_machine("spark.example.org")
    (True, False)
    """
    return host in {"localhost", "127.0.0.1", "::1", socket.gethostname().lower()}


_LOST: WeakSet[Any] = WeakSet()
"""Sessions whose servers are gone, which pyspark does not note."""


@dataclass(frozen=True, slots=True)
class Transport:
    """What is asked of a session.

    Attributes:
        spark: the session.
        client: of one whose server is in this process's own JVM; None else.
    """

    spark: Any
    client: DriverClient | None

    @property
    def master(self) -> str:
        """Where its jobs run, as Spark's setting names it; of another machine none that `is_on_this_machine`."""
        there = is_this_machine(host_of(self.spark))
        return str(self.spark.conf.get("spark.master", ELSEWHERE)) if there else ELSEWHERE

    def is_alive(self) -> bool:
        """Whether it was not stopped, and what runs it has not ended."""
        is_lost = self.spark.is_stopped or self.spark in _LOST
        return not is_lost and (self.client is None or self.client.is_alive())

    def is_stopping(self) -> bool:
        """Whether somebody is about to stop it while it is still alive: its jobs fail some time before it has ended."""
        return not self.is_alive() or (self.client is not None and self.client.is_stopping())

    def note_end(self) -> None:
        """Its server does not answer any more: whoever asks for it is told that it has ended."""
        _LOST.add(self.spark)

    def further_settings(self) -> Mapping[str, str]:
        """Those that it needs while we work, beside those of any session."""
        return MODELS_AS_CLASSIC

    def has_class(self, name: str) -> bool:
        """Whether its driver can load a class; of a server nobody is told, and what it lacks shows when it is used."""
        return self.client is None or self.client.has_class(name)

    def set_for_store(self, wanted: Mapping[str, str]) -> list[str]:
        """Set those of Hadoop's settings that have no value, and return which. A server elsewhere has its own."""
        return [] if self.client is None else self.client.set_for_store(wanted)

    def unset_for_store(self, names: list[str]) -> None:
        """Take them back."""
        if self.client is not None:
            self.client.unset_for_store(names)

    def settle(self, frame: DataFrame) -> None:
        """Have a table analysed once and for all, where that can be had: a stage's function is another one each time,
        and so no plan above it is equal to what it was before."""
        if self.client is not None:
            self.client.settle(frame)

    def over_rows(self, persisted: DataFrame) -> DataFrame:
        """A persisted table by a plan that is as short as can be had (see `pinning`). A server elsewhere finds its rows
        by its plan."""
        found: DataFrame = persisted if self.client is None else self.client.over_rows(persisted)
        return found

    def empty(self, schema: StructType) -> DataFrame:
        """No rows, as a relation that the optimiser knows to be empty."""
        frame: DataFrame = self.spark.createDataFrame([], schema)
        return frame

    def name_work(self, run: str) -> None:
        """Have the jobs of this thread, which is one of ours, cancelled with the run, and no other."""
        self.spark.clearTags()
        self.spark.addTag(run)

    def add_tag(self, run: str) -> None:
        """Have the jobs of this thread cancelled with the run."""
        self.spark.addTag(run)

    def remove_tag(self, run: str) -> None:
        """No longer."""
        self.spark.removeTag(run)

    def cancel(self, run: str) -> None:
        """Cancel the jobs of a run."""
        self.spark.interruptTag(run)

    def compiler_seconds(self) -> float:
        """Seconds that all compiler threads of the driver's JVM have taken so far; 0 where nobody counts them."""
        return 0.0 if self.client is None else self.client.compiler_seconds()


def transport_of(spark: Any) -> Transport:
    """How a session is asked."""
    return Transport(spark, driver_client(spark))
