"""A server of Spark Connect in the driver's own JVM, and a session of Helix's own that it answers.

The JVM is started with its archive of classes, and Delta on its class path.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from helix_spark.engine.spark import archive, gateway
from helix_spark.engine.spark.connect import MODELS_AS_CLASSIC
from helix_spark.engine.spark.driver_client import DriverClient, end_service, for_workers, serve
from helix_spark.engine.spark.own import start
from helix_spark.forks import Birthplace
from helix_spark.plans.recorded_call import classic, own_session_is

PORT, TOKEN = "HELIX_CONNECT_PORT", "HELIX_CONNECT_TOKEN"
"""Variables by which a process is told of the server of the process that started it."""


class ConnectServer:
    """A server, from its start until `stop`.

    Attributes:
        port: on this machine; nobody else's machine reaches it.
        token: that a client has to show: other users of this machine do not know it.
        start_seconds: how long its start took, that of the JVM included.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Starts it.

        Args:
            settings: Spark's, of the program's.

        Raises:
            SetupError: Java, Spark or the jars are not there or do not fit together.
        """
        self._home, jvm_start = Birthplace(), gateway.JvmStart()
        with classic(), gateway.environment(**for_workers()):
            self._own = start({**_SERVING, **settings}, defaults=as_spark_has_it(), jvm_start=jvm_start)
            try:
                service = serve(self._own.spark)
            except BaseException:
                jvm_start.give_up()
                self._own.stop()
                raise
        self.port, self.token, self.start_seconds = service.port, service.token, self._own.start_seconds

    def environment(self) -> dict[str, str]:
        """What tells a process of it."""
        return {PORT: str(self.port), TOKEN: self.token}

    def how_ended(self, error: BaseException | None = None) -> str:
        """Return how its JVM ended without being told to, in words; empty while it runs.

        Args:
            error: a broken connection, if there is one: the end of the JVM is known a moment later.
        """
        return gateway.how_ended(error) or ""

    def stop(self) -> None:
        """Stop it and its JVM's session. No-op in a forked child."""
        if not self._home.is_here:
            return
        with classic():
            ended = self.how_ended()
            if not ended:
                end_service(self._own.spark)
            self._own.stop()
            if self._own.launched and not ended:
                archive.build_in_background()


class OwnSession:
    """A session that we started, and may therefore stop. From its start on all of `pyspark.sql` in this process is a
    client's.

    Attributes:
        spark: the session.
        start_seconds: from the decision to start it until it could be used.
    """

    def __init__(self, author: Mapping[str, str], store: Mapping[str, str], jvm_start: gateway.JvmStart) -> None:
        """Start it.

        Args:
            author: settings of the author's.
            store, jvm_start: see `own.start`.

        Raises:
            SetupError, EndedError: as `own.start`.
        """
        begun = time.perf_counter()
        with classic(), gateway.environment(**for_workers()):
            self._driver = start({**_SERVING, **author}, store=store, jvm_start=jvm_start)
            try:
                self._client = DriverClient(self._driver.spark)
            except BaseException:
                jvm_start.give_up()
                self._driver.stop()
                raise
        self.spark: Any = self._client.spark
        own_session_is(self.spark)
        self.start_seconds = time.perf_counter() - begun

    def stop(self, archive_classes: bool) -> None:
        """Stop it and its JVM's session. No-op in a forked child.

        Args:
            archive_classes: whether an archive of classes that helps the next start is made behind it.
        """
        own_session_is(None)
        ended = gateway.how_ended()
        if not ended:
            self._client.close()
        with classic():
            self._driver.stop()
        if self._driver.launched and archive_classes and not ended:
            archive.build_in_background()


_AS_SPARK_HAS_IT = {
    "spark.app.name": "pyspark-shell",
    "spark.sql.shuffle.partitions": "200",
    "spark.sql.parquet.compression.codec": "snappy",
    "spark.scheduler.mode": "FIFO",
}
"""Spark's own defaults, where a session of Helix's own has others: a program is to give what it gives without Helix."""

_ROWS_IN_PARTITIONS = {
    "spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.ConvertToLocalRelation",
}
"""A table of rows of the driver's has partitions in a classic session, which are computed as far as they are needed. A
server's optimizer would compute what is made of it while it plans: all rows, as one partition."""


def as_spark_has_it() -> dict[str, str]:
    """Return the settings of a program's session that nobody gives: those of a classic one in this machine's zone."""
    return {**_AS_SPARK_HAS_IT, **_ROWS_IN_PARTITIONS, **_local_zone()}


def _local_zone() -> dict[str, str]:
    """The zone of this machine, which Spark takes where nobody says another."""
    named = os.environ.get("TZ", "").lstrip(":")
    link = Path("/etc/localtime")
    if not named and link.is_symlink():
        _, _, named = str(link.readlink()).partition("zoneinfo/")
    return {"spark.sql.session.timeZone": named} if named else {}


_SERVING = {
    **MODELS_AS_CLASSIC,
    "spark.connect.session.planCache.maxSize": "256",  # plans whose schema was asked for; 16 else
    "spark.sql.artifact.isolation.enabled": "true",
    "spark.sql.artifact.isolation.alwaysApplyClassloader": "true",
}
"""As pyspark starts a server for itself, at a port that is free."""


@cache
def inherited_server() -> tuple[int, str] | None:
    """Return port and token of a server that the parent process keeps for this one; None if there is none.

    They leave the environment, which a program may print and its own children inherit.
    """
    port, token = os.environ.pop(PORT, None), os.environ.pop(TOKEN, None)
    return None if port is None or token is None else (int(port), token)
