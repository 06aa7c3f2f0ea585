"""Sessions of the user's and of named servers: checks, and settings that are restored at the end."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import helix_spark.plans.connect_proto as pb
from helix_spark.answers.sent_requests import rpc_error, server_message
from helix_spark.engine.spark.driver_client import DriverClient, driver_client, has_class
from helix_spark.engine.spark.gateway import how_ended
from helix_spark.engine.spark.jars import installed_pair, store_artifact
from helix_spark.engine.spark.settings import (
    CHANGES_NO_ANSWER,
    CHANGES_RESULTS,
    DELTA,
    file_system_of,
    given_around,
    results_settings,
)
from helix_spark.errors import SetupError
from helix_spark.identity.environment import package_version
from helix_spark.plans.connect_session import active_session, is_by_connect, prepare
from helix_spark.plans.current_program import classic, client_session
from helix_spark.plans.program_client import connect, open_session, showing_requests

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession


def holding(spark: SparkSession, settings: Mapping[str, str]) -> AbstractContextManager[None]:
    """Set settings of a session, and restore the former ones unless the session has ended."""
    return _setting(spark.conf, settings, lambda: is_alive(spark))


@contextmanager
def _setting(conf: Any, settings: Mapping[str, str], is_there: Callable[[], bool]) -> Iterator[None]:
    """Do as `holding` for Spark's settings, or Hadoop's."""
    before = {name: conf.get(name, None) for name in settings}
    changed = [name for name, value in settings.items() if before[name] != value]
    for name in changed:
        conf.set(name, settings[name])
    try:
        yield
    finally:
        for name in changed if is_there() else ():
            if (value := before[name]) is None:
                conf.unset(name)
            else:
                conf.set(name, value)


def borrow(spark: SparkSession, restore: ExitStack) -> SparkSession:
    """Return the Connect session of the user's session, until `restore` closes; a classic one gets a server."""
    if is_by_connect(spark):
        prepare()
        restore.enter_context(showing_requests(spark))
        return spark
    check_alive(spark)
    _check_version(str(spark.version), "the Spark of your session")
    client = DriverClient(spark)
    restore.callback(client.close)
    return client.spark  # type: ignore[no-any-return]  # pyspark's two kinds of sessions have no type in common


def make_ready(spark: SparkSession, store: Mapping[str, str], settings: Mapping[str, str], restore: ExitStack) -> None:
    """Set settings of the user's session, and those of the catalog's store where its context has only defaults. Raises
    SetupError if it has ended, or lacks Delta or the class for a catalog in an object store. What a server elsewhere
    lacks shows when it is used."""
    check_alive(spark)
    _check_version(str(spark.version), "the Spark of your session")
    client, file_system = driver_client(spark), file_system_of(store)
    remedy = "let Helix start the session (create none before), or start yours with"

    def lacks(name: str) -> bool:
        return client is not None and not has_class(client.classic._jvm, name)

    missing = [name for name, needed in DELTA.items() if needed not in (spark.conf.get(name, "") or "")]
    if missing or lacks(DELTA["spark.sql.extensions"]):  # Spark only warns about an extension that is not there
        options = [f"--packages {installed_pair().jars.coordinates}"]
        options += [f"--conf {name}={value}" for name, value in DELTA.items()]
        raise SetupError(
            "your Spark session lacks Delta, in which results are stored",
            exists=f"not set: {', '.join(missing)}" if missing else "Delta's jars are not on its class path",
            remedy="\n    ".join((remedy, *options)),
        )
    if file_system and lacks(file_system):
        raise SetupError(
            f"your Spark session lacks {file_system.rpartition('.')[2]}, by which it would reach the catalog's object "
            "store",
            remedy=f"{remedy}\n    --packages {store_artifact(file_system)}",
        )
    if store and client is not None:  # a server elsewhere has its own
        hadoop: Any = client.classic.sparkContext._jsc.hadoopConfiguration()
        unset = {
            name: value for name, value in store.items()
            if all(source.endswith("-default.xml") for source in hadoop.getPropertySources(name) or ())
        }
        restore.enter_context(_setting(hadoop, unset, lambda: not client.is_stopping()))
    restore.enter_context(holding(spark, settings))


def results_settings_of(spark: SparkSession) -> dict[str, str]:
    """Return the settings of a running session that change results, with Spark's defaults of those that are not set."""
    conf: Any = spark.conf
    settings = {name: value for name, value in conf.getAll.items() if value is not None}
    settings |= {name: conf.get(name) for name in CHANGES_RESULTS if name not in settings}
    return results_settings({name: value for name, value in settings.items() if value is not None})


def running_session() -> SparkSession | None:
    """Return the active session of this thread, or of the process, if it runs."""
    from pyspark import SparkContext
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    with SparkContext._lock:  # another Helix of this process may be about to stop what it has started
        by_connect: Any = client_session() or active_session()
        if by_connect is not None and (by_connect is client_session() or driver_client(by_connect) is None):
            return by_connect  # type: ignore[no-any-return]  # pyspark's two kinds of sessions have no type in common
        with classic(), suppress(PySparkRuntimeError):
            active = SparkSession.active()
            return active if is_alive(active) else None
    return None


def is_alive(spark: SparkSession) -> bool:
    """Return whether neither the session was stopped nor its server has ended."""
    session: Any = spark
    if is_by_connect(spark):
        if session.is_stopped or spark in _LOST:
            return False
        if (client := driver_client(spark)) is None:
            return True
        session = client.classic
    return session._sc._jsc is not None and not how_ended()


_LOST: WeakSet[Any] = WeakSet()
"""Sessions whose servers have ended, which pyspark does not note."""


def note_end(spark: SparkSession) -> None:
    """Note that a session's server does not answer any more."""
    _LOST.add(spark)


def is_stopping(spark: SparkSession) -> bool:
    """Return whether a session is being stopped or was stopped: jobs fail some time before the session has ended."""
    client = driver_client(spark)
    return not is_alive(spark) or (client is not None and client.is_stopping())


def check_alive(spark: SparkSession) -> None:
    """Raise SetupError if the user's session was stopped, or its JVM has ended."""
    if not is_alive(spark):
        raise SetupError(
            "the Spark session was stopped, or its JVM has ended",
            remedy="pass a running session, or none to have Helix start one",
        )


def named_server(author: Mapping[str, str], home: Path, environ: Mapping[str, str] = os.environ) -> str:
    """Return the address of the server to use, as ``sc://host:port``, that the author's settings, the environment or
    Spark's folder name; empty if they name none.

    >>> from pathlib import Path
    >>> named_server({"spark.remote": "sc://a:1"}, Path("/none"), {"SPARK_REMOTE": "sc://b:1"})
    'sc://a:1'
    """
    named = author.get("spark.remote") or environ.get("SPARK_REMOTE") or given_around(home, environ).get("spark.remote")
    return named if named is not None and named.startswith("sc://") else ""


def open_named(address: str, settings: Mapping[str, str]) -> SparkSession:
    """Open a session of a named server, with Helix's and the author's settings. Raises as `settings_of_server`."""
    session: Any = open_session(connect(address), settings_of_server(address), address)
    session.client.enable_reattachable_execute()
    session.release_session_on_close = True
    configs = {**CHANGES_RESULTS, **CHANGES_NO_ANSWER, **settings}
    for name in ("spark.remote", "spark.master"):
        configs.pop(name, None)
    session.conf._set_all(configs=configs, silent=True)
    return session  # type: ignore[no-any-return]  # pyspark's two kinds of sessions have no type in common


def settings_of_server(address: str) -> dict[str, str]:
    """Return all settings of the server at an address. Raises SetupError if none answers, or its version differs."""
    service, shown = connect(address), shown_address(address)
    session, user = str(uuid.uuid4()), pb.UserContext(user_id="helix")
    version_request = pb.AnalyzePlanRequest(session_id=session, user_context=user)
    version_request.spark_version.SetInParent()
    settings_request = pb.ConfigRequest(session_id=session, user_context=user)
    settings_request.operation.get_all.SetInParent()
    try:
        version = service.AnalyzePlan(version_request).spark_version.version
        pairs = service.Config(settings_request).pairs
        service.ReleaseSession(pb.ReleaseSessionRequest(session_id=session, user_context=user))
    except rpc_error() as error:
        raise SetupError(
            f"no server answers at {shown}, which is named as the Spark to use", exists=server_message(error),
            remedy="start a server there, or leave out .remote(...), spark.remote and SPARK_REMOTE to have one started",
        ) from error
    _check_version(version, f"the Spark at {shown}")
    return {pair.key: pair.value for pair in pairs}


def _check_version(version: str, server: str) -> None:
    """Raise SetupError if a server's version of Spark is not this PySpark's."""
    own = package_version("pyspark")
    if version.split(".")[:2] != own.split(".")[:2]:
        raise SetupError(
            f"{server} is version {version}, and this PySpark is {own}: it may misread plans",
            remedy=f"pip install 'pyspark[connect]=={version}'",
        )


def shown_address(address: str) -> str:
    """Return an address without its parameters, which may contain a token.

    >>> shown_address("sc://host:443/;token=secret")
    'sc://host:443'
    """
    return address.partition("/;")[0]


def is_this_machine(host: str) -> bool:
    """Return whether a host name is this machine's.

    >>> is_this_machine("localhost"), is_this_machine("spark.example.org")
    (True, False)
    """
    return host in {"localhost", "127.0.0.1", "::1", socket.gethostname().lower()}


def master_of(spark: Any) -> str:
    """Return a session's master; ``connect`` for a server on another machine."""
    is_here = not is_by_connect(spark) or is_this_machine(str(spark.client.host))
    return str(spark.conf.get("spark.master", "connect")) if is_here else "connect"
