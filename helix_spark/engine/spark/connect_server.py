"""A server of Spark Connect in the driver's own JVM, for a program that is built by its client.

The JVM is started as for a workflow: with its archive of classes, and Delta on its class path.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helix_spark.capture.recorded_call import classic
from helix_spark.engine.spark import archive, gateway
from helix_spark.engine.spark.connect import MODELS_AS_CLASSIC
from helix_spark.engine.spark.own import OwnSession, start
from helix_spark.forks import Birthplace

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

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
        self.token, self._home = secrets.token_hex(16), Birthplace()
        with classic(), gateway.environment(**_for_workers()):
            jvm_start = gateway.JvmStart()
            self._own: OwnSession = start(
                {**_SERVING, **settings}, defaults=as_spark_has_it(), jvm_start=jvm_start
            )
            try:
                self.port = _served(self._own.spark, self.token)
            except BaseException:
                jvm_start.give_up()
                self._own.stop()
                raise
        self.start_seconds = self._own.start_seconds

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
                _end_service(self._own.spark)
            self._own.stop()
            if self._own.launched and not ended:
                archive.build_in_background()


def _served(spark: SparkSession, token: str) -> int:
    """Start the service in the JVM of a session and return its port.

    The token is set where only the service looks. As a setting of the session it would be in the JVM's command line,
    in Spark's event log and in what a program gets by `spark.conf.getAll`.
    """
    jvm: Any = spark._jvm
    session: Any = spark._jsparkSession
    session.sharedState()  # it copies the context's settings for all sessions
    jvm.org.apache.spark.SparkEnv.get().conf().set("spark.connect.authenticate.token", token)
    context: Any = spark.sparkContext
    services = jvm.org.apache.spark.sql.connect.service
    services.SparkConnectService.start(context._jsc.sc())
    of_scala = getattr(getattr(services, "SparkConnectService$"), "MODULE$")
    return int(of_scala.server().getPort())


def _end_service(spark: SparkSession) -> None:
    """Has the JVM serve no longer: its threads would keep one that spark-submit started from ending."""
    jvm: Any = spark._jvm
    nothing = jvm.scala.Option.empty()
    jvm.org.apache.spark.sql.connect.service.SparkConnectService.stop(nothing, nothing)


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
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.connect.grpc.binding.port": "0",
    **MODELS_AS_CLASSIC,
    "spark.connect.session.planCache.maxSize": "256",  # plans whose schema was asked for; 16 else
    "spark.sql.artifact.isolation.enabled": "true",
    "spark.sql.artifact.isolation.alwaysApplyClassloader": "true",
}
"""As pyspark starts a server for itself, at a port that is free."""


def _for_workers() -> dict[str, str]:
    """Has Python workers be the Python that runs us, and import what it can; of another Python, what those of a classic
    session can, from the folder where the program runs and by `PYTHONPATH`. The server's planner knows nothing of it:
    they take it from the JVM's environment, and run in folders of their own."""
    named = os.environ.get("PYSPARK_PYTHON")
    further = sys.path if named is None else os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = dict.fromkeys(str(Path(path).absolute()) for path in ("", *filter(None, further)))
    return {"PYSPARK_PYTHON": named or sys.executable, "PYTHONPATH": os.pathsep.join(paths)}


@cache
def inherited_server() -> tuple[int, str] | None:
    """Return port and token of a server that the parent process keeps for this one; None if there is none.

    They leave the environment, which a program may print and its own children inherit.
    """
    port, token = os.environ.pop(PORT, None), os.environ.pop(TOKEN, None)
    return None if port is None or token is None else (int(port), token)
