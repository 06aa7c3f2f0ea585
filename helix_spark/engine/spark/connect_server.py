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
from helix_spark.engine.spark.driver_client import DriverClient, end_service, serve
from helix_spark.engine.spark.own import NO_SETTINGS, start
from helix_spark.forks import Birthplace
from helix_spark.plans.recorded_call import classic, own_session_is

PORT, TOKEN = "HELIX_CONNECT_PORT", "HELIX_CONNECT_TOKEN"
"""Variables by which a process is told of the server of the process that started it."""


class ConnectServer:
    """A server, from its start until `stop`.

    Attributes:
        service: where it is.
        start_seconds: how long its start took, that of the JVM included.
    """

    def __init__(
        self, author: Mapping[str, str], store: Mapping[str, str] = NO_SETTINGS,
        defaults: Mapping[str, str] | None = None, jvm_start: gateway.JvmStart | None = None,
    ) -> None:
        """Start it.

        Args:
            author: settings of the author's.
            defaults: see `own.start`; None for those of a program.
            store, jvm_start: see `own.start`.

        Raises:
            SetupError, EndedError: as `own.start`.
        """
        self._home, jvm_start = Birthplace(), jvm_start or gateway.JvmStart()
        defaults = as_spark_has_it() if defaults is None else defaults
        with classic():
            self.driver = start({**_SERVING, **author}, store=store, defaults=defaults, jvm_start=jvm_start)
            try:
                self.service = serve(self.driver.spark)
            except BaseException:
                jvm_start.give_up()
                self.driver.stop()
                raise
        self.start_seconds = self.driver.start_seconds

    def environment(self) -> dict[str, str]:
        """Return the variables that tell a process of it."""
        return {PORT: str(self.service.port), TOKEN: self.service.token}

    def how_ended(self, error: BaseException | None = None) -> str:
        """Return how its JVM ended without being told to, in words; empty while it runs.

        Args:
            error: a broken connection, if there is one: the end of the JVM is known a moment later.
        """
        return gateway.how_ended(error) or ""

    def stop(self, *, archive_classes: bool = True) -> None:
        """Stop it and its JVM's session. No-op in a forked child.

        Args:
            archive_classes: whether an archive of classes that helps the next start is made behind it.
        """
        if not self._home.is_here:
            return
        with classic():
            ended = self.how_ended()
            if not ended:
                end_service(self.driver.spark)
            self.driver.stop()
            if self.driver.launched and archive_classes and not ended:
                archive.build_in_background()


class OwnSession:
    """A session that we started, and may therefore stop. From its start on all of `pyspark.sql` in this process is a
    client's.

    Attributes:
        spark: the session.
        start_seconds: from the decision to start it until it could be used.
    """

    def __init__(self, author: Mapping[str, str], store: Mapping[str, str], jvm_start: gateway.JvmStart) -> None:
        """Start it; see `ConnectServer`."""
        begun = time.perf_counter()
        self._server = ConnectServer(author, store, NO_SETTINGS, jvm_start)
        try:
            self._client = DriverClient(self._server.driver.spark)
        except BaseException:
            jvm_start.give_up()
            self._server.stop(archive_classes=False)
            raise
        self.spark: Any = self._client.spark
        own_session_is(self.spark)
        self.start_seconds = time.perf_counter() - begun

    def stop(self, *, archive_classes: bool) -> None:
        """Stop it and its server; see `ConnectServer.stop`."""
        own_session_is(None)
        if not self._server.how_ended():
            self._client.close()
        self._server.stop(archive_classes=archive_classes)


_AS_SPARK_HAS_IT = {
    "spark.app.name": "pyspark-shell",
    "spark.sql.shuffle.partitions": "200",
    "spark.sql.parquet.compression.codec": "snappy",
    "spark.scheduler.mode": "FIFO",
    # A table of rows of the driver's has partitions in a classic session, which are computed as far as they are needed.
    # A server's optimizer would compute what is made of it while it plans: all rows, as one partition.
    "spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.ConvertToLocalRelation",
}
"""What differs from a session of Helix's own: a program is to give what it gives without Helix."""


def as_spark_has_it() -> dict[str, str]:
    """Return the settings of a program's session that nobody gives: those of a classic one in this machine's zone."""
    return {**_AS_SPARK_HAS_IT, **_local_zone()}


def _local_zone() -> dict[str, str]:
    """Return the zone of this machine, which Spark takes where none is set."""
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
