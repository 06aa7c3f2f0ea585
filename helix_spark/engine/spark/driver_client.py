"""Spark Connect sessions of a classic session, by a service in its JVM: they share settings, views and tables."""

from __future__ import annotations

import os
import secrets
import sys
import weakref
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helix_spark.forks import Birthplace
from helix_spark.plans.connect_session import cached_frame, is_by_connect, prepare
from helix_spark.plans.current_program import CLIENT, classic, own_session
from helix_spark.plans.plan_columns import SERVED
from helix_spark.plans.program_client import ask_as, connect, open_session
from helix_spark.plans.stage_references import model_known_as, moved_stage
from helix_spark.plans.written_plan import divide_relation

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

USER = "helix"

TOKEN = "spark.connect.authenticate.token"
"""The setting without which a client is refused."""

_PLUGIN = "org.apache.spark.sql.connect.SparkConnectPlugin"


def serve(spark: Any) -> tuple[str, bool]:
    """Start the service in a session's JVM, unless it runs. Return its address with token, and whether it started.

    The token is set where only the service reads it. As a setting of the session it would be in the JVM's command line,
    in Spark's event log and in `spark.conf.getAll`.
    """
    jvm = spark._jvm
    # pyspark sends these variables with the plans of a classic session, but not with those of a service.
    variables = private_field(jvm.java.lang.System.getenv(), "m")
    for name, value in {**for_workers(), "PYSPARK_PYTHON": spark.sparkContext.pythonExec}.items():
        variables.put(name, value)
    spark._jsparkSession.sharedState()  # copies the context's settings, before the token is one of them
    settings = jvm.org.apache.spark.SparkEnv.get().conf()
    service = getattr(getattr(jvm.org.apache.spark.sql.connect.service, "SparkConnectService$"), "MODULE$")
    runs = service.server() is not None and not service.server().isShutdown()
    if runs and not settings.contains(TOKEN) and _PLUGIN not in settings.get("spark.plugins", ""):
        end_service(spark)  # of a session that the user stopped, with another token
        runs = False
    if not runs:
        settings.set("spark.connect.grpc.binding.address", "127.0.0.1")
        settings.set("spark.connect.grpc.binding.port", "0")
        settings.set(TOKEN, secrets.token_hex(16))
        service.start(spark.sparkContext._jsc.sc())
    token = settings.get(TOKEN, "")
    return f"sc://localhost:{service.server().getPort()}/" + (f";token={token}" if token else ""), not runs


OF_WORKERS = frozenset({"PYSPARK_PYTHON", "PYTHONHASHSEED", "PYTHONPATH"})
"""The variables that `for_workers` sets."""


def for_workers(folder: Path | None = None) -> dict[str, str]:
    """Return variables for Python workers, which run in folders of their own: this process's Python, hash seed and
    import path, whose base is `folder`, by default the working folder. If PYSPARK_PYTHON names another Python, its path
    is the program's folder and PYTHONPATH."""
    python = os.environ.get("PYSPARK_PYTHON")
    entries = sys.path if python in (None, sys.executable) else os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = dict.fromkeys(str((folder or Path.cwd()) / entry) for entry in ("", *filter(None, entries)))
    return {
        "PYSPARK_PYTHON": python or sys.executable, "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "0"),
    }


def has_class(jvm: Any, name: str) -> bool:
    """Return whether the class loader of a JVM's current thread finds a class."""
    from py4j.protocol import Py4JJavaError

    try:
        jvm.java.lang.Thread.currentThread().getContextClassLoader().loadClass(name)
    except Py4JJavaError:
        return False
    return True


def end_service(spark: Any) -> None:
    """Stop the service of a JVM. Its threads would keep a JVM that spark-submit started from ending."""
    none = spark._jvm.scala.Option.empty()
    spark._jvm.org.apache.spark.sql.connect.service.SparkConnectService.stop(none, none)


def service_sessions(jvm: Any) -> Any:
    """Return the map of the sessions of a JVM's service."""
    return private_field(session_manager(jvm), "sessionStore")


def session_manager(jvm: Any) -> Any:
    """Return the session manager of a JVM's service."""
    services = jvm.org.apache.spark.sql.connect.service
    return getattr(getattr(services, "SparkConnectService$"), "MODULE$").sessionManager()


def private_field(instance: Any, name: str) -> Any:
    """Return the value of a private field of a Java object."""
    return accessible_field(instance, name).get(instance)


def accessible_field(instance: Any, name: str) -> Any:
    """Return a private field of a Java object, by reflection."""
    field = instance.getClass().getDeclaredField(name)
    field.setAccessible(True)
    return field


def never_expiring_holder(jvm: Any, session: Any, user: str, session_id: str) -> Any:
    """Return a service's holder of a classic session, by a client's ids. It does not expire in an idle notebook."""
    holder = jvm.org.apache.spark.sql.connect.service.SessionHolder(user, session_id, session)
    holder.eventManager().postStarted()
    holder.setCustomInactiveTimeoutMs(jvm.scala.Some(10**15))
    return holder


class ServicePlanner:
    """Spark Connect's planner for a session of a JVM: it builds tables from a client's messages."""

    def __init__(self, jvm: Any, holder: Any, session: Any) -> None:
        self._session = session
        self._planner = jvm.org.apache.spark.sql.connect.planner.SparkConnectPlanner(holder, jvm.scala.Option.empty())
        self._relation = jvm.org.apache.spark.connect.proto.Relation.parseFrom
        self._stream = jvm.org.sparkproject.connect.protobuf.CodedInputStream.newInstance
        self._dataset = jvm.org.apache.spark.sql.classic.Dataset.ofRows
        self._activate = jvm.org.apache.spark.sql.classic.SparkSession.setActiveSession

    def table(self, relation: bytes) -> Any:
        """Return an analysed table."""
        # Expressions read settings, such as ANSI's, from the active session of the thread when they are built.
        self._activate(self._session)
        stream = self._stream(relation)
        stream.setRecursionLimit(100_000)  # by default 100, which is 50 steps of a plan
        return self._dataset(self._session, self._planner.transformRelation(self._relation(stream)))


def unordered(jvm: Any, rows: Any) -> Any:
    """Return an in-memory relation without its known order: in a self-join Spark renames the columns of one side, and
    then does not find those of the order (4.1.1 and 4.2.0)."""
    if rows.outputOrdering().isEmpty():
        return rows
    in_memory_relation = jvm.org.apache.spark.sql.execution.columnar.InMemoryRelation
    copy = in_memory_relation(rows.output(), rows.cacheBuilder(), rows.outputOrdering().empty())
    getattr(copy, "statsOfPlanToCache_$eq")(rows.statsOfPlanToCache())
    return copy


class DriverClient:
    """A Connect session, `spark`, of a classic one: the same settings, views, functions and tables."""

    def __init__(self, spark: SparkSession, service: Any = None, session_id: str = "") -> None:
        """Open a Connect session of a classic session. In another process's JVM a service already has it by this id."""
        self.classic: Any = spark
        self._home = Birthplace()
        # Ids are counted, not random: the random numbers of a node's function follow from the node alone.
        self._numbers = count()
        self._is_kept_elsewhere, self._began_service = service is not None, False
        with classic():
            prepare()
            if service is None:
                address, self._began_service = serve(spark)
                service = connect(address)
            settings = dict(spark.sparkContext.getConf().getAll())
            self.spark: Any = open_session(service, settings, session_id=session_id)
            ask_as(self.spark, USER)
            jvm: Any = spark._jvm
            name = self.spark.session_id
            if self._is_kept_elsewhere:
                key = jvm.org.apache.spark.sql.connect.service.SessionKey(USER, name)
                self._holder = service_sessions(jvm).get(key)
            else:
                self._holder = never_expiring_holder(jvm, self.classic._jsparkSession, USER, name)
                service_sessions(jvm).put(self._holder.key(), self._holder)
            self._planner = ServicePlanner(jvm, self._holder, self.classic._jsparkSession)
            self._dataset = jvm.org.apache.spark.sql.classic.Dataset.ofRows
            self._compiler = jvm.java.lang.management.ManagementFactory.getCompilationMXBean()
        vars(self.spark)[CLIENT] = self
        _CLIENTS.add(self)

    def close(self) -> None:
        """Remove the Connect session from the service; the classic one lives on. No-op in a forked child."""
        if not self._home.is_here:
            return
        _CLIENTS.discard(self)
        self.spark.stop()
        with classic():
            if self.classic.sparkContext._jsc is not None and not self._is_kept_elsewhere:
                self._holder.mlCache().clear()
                service_sessions(self.classic._jvm).remove(self._holder.key())
                if self._began_service:
                    end_service(self.classic)

    def cancel(self, tag: str) -> None:
        """Cancel the jobs of a tag, also those that start after their query was interrupted during its planning."""
        name = f"SparkConnect_SessionTag_User_{USER}_Session_{self.spark.session_id}_Tag_{tag}"  # as the service does
        self.classic.sparkContext._jsc.sc().cancelJobsWithTag(name)

    def is_stopping(self) -> bool:
        """Return whether the context is being stopped, or was."""
        from py4j.protocol import Py4JError

        try:
            return bool(self.classic.sparkContext._jsc.sc().isStopped())
        except (AttributeError, Py4JError, OSError):  # a JVM that was killed refuses the connection
            return True

    def compiler_seconds(self) -> float:
        """Return the seconds that all compiler threads of its JVM have taken so far; 0 if the JVM does not count."""
        if not self._compiler.isCompilationTimeMonitoringSupported():
            return 0.0
        return float(self._compiler.getTotalCompilationTime()) / 1000

    def settle(self, frame: Any) -> None:
        """Analyse a Connect table now, part by part, with the current views, functions and files, as a classic session
        does. Raises Spark's error if it refuses the plan."""
        from pyspark.errors import PySparkException

        *parts, (_, top) = divide_relation(frame._plan.plan(self.spark.client))
        try:
            for name, part in parts:
                self._holder.cacheDataFrameById(name, self._read(part))
            frame._plan = self._served(self._read(top), frame._plan._plan_id)._plan
        except PySparkException:
            frame.schema  # noqa: B018 - the client's error has the author's line
            raise
        finally:
            for name, _ in parts:
                self._holder.removeCachedDataFrame(name)

    def over_rows(self, persisted: Any) -> Any:
        """Return a persisted table whose plan is only its in-memory relation. Spark's substitution of cached plans
        (`QueryExecution.withCachedData`) is made once, instead of in each plan above it. Spark recomputes lost rows."""
        rows = unordered(self.classic._jvm, self._analysed(persisted).queryExecution().withCachedData())
        return self._served(self._dataset(self.classic._jsparkSession, rows), persisted._plan._plan_id)

    def _analysed(self, frame: Any) -> Any:
        return self._read(frame._plan.plan(self.spark.client))

    def _read(self, relation: Any) -> Any:
        return self._planner.table(relation.SerializeToString())

    def _served(self, dataset: Any, plan_id: int | None = None) -> Any:
        """Return a Connect table that names a table of the JVM by an id."""
        name = f"{SERVED}{next(self._numbers)}"
        self._holder.cacheDataFrameById(name, dataset)
        frame = cached_frame(self.spark, name, plan_id)
        weakref.finalize(frame._plan, self._forget, name)
        return frame

    def _forget(self, name: str) -> None:
        if self._home.is_here and self in _CLIENTS and self.classic.sparkContext._jsc is not None:
            self._holder.removeCachedDataFrame(name)

    def as_classic(self, value: Any) -> Any:
        """Return a Connect table or model as one of the classic session; any other value unchanged."""
        with classic():
            if not _is_frame(value):
                return moved_stage(value, self._classic_stage)
            from pyspark.sql.classic.dataframe import DataFrame

            return DataFrame(self._analysed(value), self.classic) if value.sparkSession is self.spark else value

    def as_served(self, value: Any) -> Any:
        """Return a classic table or model as one of the Connect session; any other value unchanged."""
        if not _is_frame(value):
            return moved_stage(value, self._served_stage)
        if is_by_connect(value.sparkSession):
            return value
        plan = value._jdf.logicalPlan().clone()  # the service tags it with a plan id
        return self._served(self._dataset(self.classic._jsparkSession, plan))

    def _classic_stage(self, stage: Any) -> Any:
        from pyspark.ml.util import RemoteModelRef
        from pyspark.ml.wrapper import JavaParams

        reference = getattr(stage, "_java_obj", None)
        if isinstance(reference, RemoteModelRef) and self.has_model(reference.ref_id):
            return JavaParams._from_java(self._holder.mlCache().get(reference.ref_id))
        return _copy_of(stage) if isinstance(reference, str) else stage

    def _served_stage(self, stage: Any) -> Any:
        from py4j.java_gateway import JavaObject
        from pyspark.ml import Model

        java_object = getattr(stage, "_java_obj", None)
        if not isinstance(java_object, JavaObject):
            return stage
        if not isinstance(stage, Model):
            return _copy_of(stage)
        return model_known_as(stage, str(self._holder.mlCache().register(java_object)))

    def has_model(self, ref_id: str) -> bool:
        return bool(self._holder.mlCache().cachedModel().containsKey(ref_id))


_CLIENTS: set[DriverClient] = set()


def driver_client(spark: Any) -> DriverClient | None:
    """Return the client of a Connect session; None for a classic session, or one of a server elsewhere."""
    return None if spark is None else vars(spark).get(CLIENT)


def settle(frame: Any) -> None:
    """Analyse a table once, if it has a driver's client: a stage's new function would change each plan above it."""
    if (client := driver_client(frame.sparkSession)) is not None:
        client.settle(frame)


def in_author_session(value: Any) -> Any:
    """Return a Connect table or model of the user's classic session as a classic one; any other value unchanged."""
    for client in [] if own_session() is not None else list(_CLIENTS):
        value = client.as_classic(value)
    return value


def _is_frame(value: Any) -> bool:
    return type(value).__name__ == "DataFrame" and type(value).__module__.startswith("pyspark.sql.")


def _copy_of(stage: Any) -> Any:
    """Return a copy of a stage for this thread's kind of session, with the same uid, by which searches name it."""
    copy = type(stage)()
    copy._resetUid(stage.uid)
    for key, default in stage._defaultParamMap.items():
        if copy.hasParam(key.name):
            copy._defaultParamMap[copy.getParam(key.name)] = default
    return copy
