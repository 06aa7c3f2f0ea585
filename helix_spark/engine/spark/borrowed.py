"""Sessions of the user's, and of a server that is named: whether they will do, and their settings, given back."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
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
from helix_spark.plans.program_client import connect, open_session, showing_requests
from helix_spark.plans.recorded_call import classic, client_session

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession


def holding(spark: SparkSession, wanted: Mapping[str, str]) -> AbstractContextManager[None]:
    """Set settings of a session, and put them back as they were. A session stopped meanwhile has none."""
    return _setting(spark.conf, wanted, lambda: is_alive(spark))


@contextmanager
def _setting(conf: Any, wanted: Mapping[str, str], is_there: Callable[[], bool]) -> Iterator[None]:
    """Do the same for Spark's settings, or Hadoop's."""
    before = {name: conf.get(name, None) for name in wanted}
    changed = [name for name, value in wanted.items() if before[name] != value]
    for name in changed:
        conf.set(name, wanted[name])
    try:
        yield
    finally:
        for name in changed if is_there() else ():
            if (value := before[name]) is None:
                conf.unset(name)
            else:
                conf.set(name, value)


def borrow(spark: SparkSession, given_back: ExitStack) -> SparkSession:
    """Return another's session as a client asks it, a classic one by a server in its JVM, until `given_back` closes."""
    if is_by_connect(spark):
        prepare()
        given_back.enter_context(showing_requests(spark))
        return spark
    check_alive(spark)
    check_version(str(spark.version), "the Spark of the session that is given")
    client = DriverClient(spark)
    given_back.callback(client.close)
    return client.spark  # type: ignore[no-any-return]  # pyspark's two sorts of sessions have no type in common


def make_ready(spark: SparkSession, store: Mapping[str, str], wanted: Mapping[str, str], given_back: ExitStack) -> None:
    """Set up a borrowed session: `wanted` settings, and the catalog's store for all of its context, where that has no
    settings but defaults. Raises SetupError if it has ended, or was started without Delta, or without the class by
    which it is to reach a catalog in an object store. What a server elsewhere lacks shows when it is used."""
    check_alive(spark)
    check_version(str(spark.version), "the Spark of the session that is given")
    client, file_system = driver_client(spark), file_system_of(store)
    remedy = "let Helix start the session (make none before it), or start yours with"

    def lacks(name: str) -> bool:
        return client is not None and not has_class(client.classic._jvm, name)

    missing = [name for name, needed in DELTA.items() if needed not in (spark.conf.get(name, "") or "")]
    if missing or lacks(DELTA["spark.sql.extensions"]):  # Spark only warns about an extension that is not there
        needs = [f"--packages {installed_pair().jars.coordinates}", *(f"--conf {name}={DELTA[name]}" for name in DELTA)]
        raise SetupError(
            "the Spark session that is running knows nothing of Delta, where results are stored",
            exists=f"not set: {', '.join(missing)}" if missing else "Delta's jars are not on its class path",
            remedy="\n    ".join((remedy, *needs)),
        )
    if file_system and lacks(file_system):
        raise SetupError(
            f"the Spark session that is running has no {file_system.rpartition('.')[2]}, without which it does not "
            "reach the object store",
            exists="the catalog is in one", remedy=f"{remedy}\n    --packages {store_artifact(file_system)}",
        )
    if store and client is not None:  # a server elsewhere has its own
        hadoop: Any = client.classic.sparkContext._jsc.hadoopConfiguration()
        free = {
            name: value for name, value in store.items()
            if all(source.endswith("-default.xml") for source in hadoop.getPropertySources(name) or ())
        }
        given_back.enter_context(_setting(hadoop, free, lambda: not client.is_stopping()))
    given_back.enter_context(holding(spark, wanted))


def results_settings_of(spark: SparkSession) -> dict[str, str]:
    """Return the settings of a running session that change results; where none is set, Spark's own values."""
    every: Any = spark.conf.getAll
    found = {name: value for name, value in every.items() if value is not None}
    sparks = {name: spark.conf.get(name) for name in CHANGES_RESULTS if name not in found}
    return results_settings(found | {name: value for name, value in sparks.items() if value is not None})


def running_session() -> SparkSession | None:
    """Return the session that is active in this thread, or the process's, if one runs."""
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    by_connect: Any = client_session() or active_session()
    if by_connect is not None and (by_connect is client_session() or driver_client(by_connect) is None):
        return by_connect  # type: ignore[no-any-return]  # pyspark's two sorts of sessions have no type in common
    try:
        with classic():
            found = SparkSession.active()
    except PySparkRuntimeError:
        return None
    return found if is_alive(found) else None


def is_alive(spark: SparkSession) -> bool:
    """Return whether the session was not stopped, and what runs it has not ended."""
    session: Any = spark
    if is_by_connect(spark):
        if session.is_stopped or spark in _LOST:
            return False
        if (client := driver_client(spark)) is None:
            return True
        session = client.classic
    return session._sc._jsc is not None and not how_ended()


_LOST: WeakSet[Any] = WeakSet()
"""Sessions whose servers are gone, which pyspark does not note."""


def note_end(spark: SparkSession) -> None:
    """Note that a session has ended, since its server does not answer any more."""
    _LOST.add(spark)


def is_stopping(spark: SparkSession) -> bool:
    """Return whether a session is being stopped, or was: its jobs fail some time before it has ended."""
    client = driver_client(spark)
    return not is_alive(spark) or (client is not None and client.is_stopping())


def check_alive(spark: SparkSession) -> None:
    """Raises SetupError if the user's session was stopped, or its JVM has ended."""
    if not is_alive(spark):
        raise SetupError(
            "the Spark session was stopped, or its JVM has ended",
            remedy="give a running one, or none to have one started",
        )


def named_server(author: Mapping[str, str], home: Path, environ: Mapping[str, str] = os.environ) -> str:
    """Return the address of the server that is named, as ``sc://host:port``, by the author's settings before all, or in
    Spark's folder; empty if none is.

    >>> from pathlib import Path
    >>> named_server({"spark.remote": "sc://a:1"}, Path("/none"), {"SPARK_REMOTE": "sc://b:1"})
    'sc://a:1'
    """
    asked = author.get("spark.remote") or environ.get("SPARK_REMOTE") or given_around(home, environ).get("spark.remote")
    return asked if asked is not None and asked.startswith("sc://") else ""


def open_named(address: str, settings: Mapping[str, str]) -> SparkSession:
    """Open a session of a server, with CHANGES_RESULTS or the author's settings; raises as `settings_of_server`."""
    session: Any = open_session(connect(address), settings_of_server(address), address)
    session.client.enable_reattachable_execute()
    session.release_session_on_close = True
    wanted = {**CHANGES_RESULTS, **CHANGES_NO_ANSWER, **settings}
    given = {name: value for name, value in wanted.items() if name not in ("spark.remote", "spark.master")}
    session.conf._set_all(configs=given, silent=True)
    return session  # type: ignore[no-any-return]  # pyspark's two sorts of sessions have no type in common


def settings_of_server(address: str) -> dict[str, str]:
    """Return all settings of the server at an address. Raises SetupError if none answers, or its Spark is another."""
    service, shown = connect(address), shown_address(address)
    session, user = str(uuid.uuid4()), pb.UserContext(user_id="helix")
    asking = pb.AnalyzePlanRequest(session_id=session, user_context=user)
    asking.spark_version.SetInParent()
    listing = pb.ConfigRequest(session_id=session, user_context=user)
    listing.operation.get_all.SetInParent()
    try:
        version = service.AnalyzePlan(asking).spark_version.version
        pairs = service.Config(listing).pairs
        service.ReleaseSession(pb.ReleaseSessionRequest(session_id=session, user_context=user))
    except rpc_error() as error:
        raise SetupError(
            f"nobody answers at {shown}, which is named as the Spark to use", exists=server_message(error),
            remedy="start a server there, or leave out .remote(...), spark.remote and SPARK_REMOTE to have one started",
        ) from error
    check_version(version, f"the Spark at {shown}")
    return {pair.key: pair.value for pair in pairs}


def check_version(version: str, whose: str) -> None:
    """Raises SetupError for a server whose Spark is of another version than this PySpark."""
    own = package_version("pyspark")
    if version.split(".")[:2] != own.split(".")[:2]:
        raise SetupError(
            f"{whose} is version {version}, and this PySpark is {own}: it may take a plan for another",
            remedy=f"pip install 'pyspark[connect]=={version}'",
        )


def shown_address(address: str) -> str:
    """Return an address without what follows its port, which may hold a token.

    >>> shown_address("sc://host:443/;token=secret")
    'sc://host:443'
    """
    return address.partition("/;")[0]


def is_this_machine(host: str) -> bool:
    """Return whether a host's name is this machine's.

    >>> is_this_machine("localhost"), is_this_machine("spark.example.org")
    (True, False)
    """
    return host in {"localhost", "127.0.0.1", "::1", socket.gethostname().lower()}


def master_of(spark: Any) -> str:
    """Return a session's master, as Spark's setting has it; for another machine one that is not on this machine."""
    is_here = not is_by_connect(spark) or is_this_machine(str(spark.client.host))
    return str(spark.conf.get("spark.master", "connect")) if is_here else "connect"
