"""A classic session as Spark Connect's client asks it, over a service in its JVM: the same settings, views, tables."""

from __future__ import annotations

import os
import secrets
import sys
import weakref
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helix_spark.forks import Birthplace
from helix_spark.plans.connect_session import is_by_connect, prepare, relation_given
from helix_spark.plans.plan_columns import SERVED
from helix_spark.plans.program_client import ask_as, connect, open_session
from helix_spark.plans.recorded_call import CLIENT, classic, own_session
from helix_spark.plans.stage_references import model_known_as, moved_stage
from helix_spark.plans.written_plan import in_stages

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

USER = "helix"

TOKEN = "spark.connect.authenticate.token"
"""The setting without which a client is refused."""

_PLUGIN = "org.apache.spark.sql.connect.SparkConnectPlugin"


def serve(spark: Any) -> tuple[str, bool]:
    """Start the service in the JVM of a session, or take the one that runs there. Return its address, which no other
    machine reaches and no other user knows the token of, and whether it was started now.

    The token is set where only the service looks. As a setting of the session it would be in the JVM's command line,
    in Spark's event log and in what a program gets by `spark.conf.getAll`.
    """
    jvm = spark._jvm
    # pyspark sends it to another process's JVM for a classic session, no service's planner does.
    variables = private_field(jvm.java.lang.System.getenv(), "m")
    for name, value in {**for_workers(), "PYSPARK_PYTHON": spark.sparkContext.pythonExec}.items():
        variables.put(name, value)
    spark._jsparkSession.sharedState()  # it copies the context's settings for all sessions
    settings = jvm.org.apache.spark.SparkEnv.get().conf()
    service = getattr(getattr(jvm.org.apache.spark.sql.connect.service, "SparkConnectService$"), "MODULE$")
    runs = service.server() is not None and not service.server().isShutdown()
    if runs and not settings.contains(TOKEN) and _PLUGIN not in settings.get("spark.plugins", ""):
        end_service(spark)  # it is of a session that was stopped without us, and knows another token
        runs = False
    if not runs:
        settings.set("spark.connect.grpc.binding.address", "127.0.0.1")
        settings.set("spark.connect.grpc.binding.port", "0")
        settings.set(TOKEN, secrets.token_hex(16))
        service.start(spark.sparkContext._jsc.sc())
    token = settings.get(TOKEN, "")
    return f"sc://localhost:{service.server().getPort()}/" + (f";token={token}" if token else ""), not runs


OF_WORKERS = frozenset({"PYSPARK_PYTHON", "PYTHONHASHSEED", "PYTHONPATH"})
"""What `for_workers` sets."""


def for_workers() -> dict[str, str]:
    """Return variables that have Python workers be the Python that runs us, order what they hash alike, and import what
    it can; of another Python, what those of a classic session can, from the program's folder and by `PYTHONPATH`. They
    take them from the JVM's environment, of which the service's planner knows nothing, and run in folders of their own.
    """
    named = os.environ.get("PYSPARK_PYTHON")
    further = sys.path if named in (None, sys.executable) else os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = dict.fromkeys(str(Path(path).absolute()) for path in ("", *filter(None, further)))
    return {
        "PYSPARK_PYTHON": named or sys.executable, "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "0"),
    }


def has_class(jvm: Any, name: str) -> bool:
    """Return whether a JVM finds a class where this thread's gateway looks."""
    from py4j.protocol import Py4JJavaError

    try:
        jvm.java.lang.Thread.currentThread().getContextClassLoader().loadClass(name)
    except Py4JJavaError:
        return False
    return True


def end_service(spark: Any) -> None:
    """Stop the service of a JVM. Its threads would keep a JVM that spark-submit started from ending."""
    nothing = spark._jvm.scala.Option.empty()
    spark._jvm.org.apache.spark.sql.connect.service.SparkConnectService.stop(nothing, nothing)


def service_sessions(jvm: Any) -> Any:
    """Return the sessions that a JVM's service knows."""
    return private_field(session_manager(jvm), "sessionStore")


def session_manager(jvm: Any) -> Any:
    """Return what opens and closes the sessions of a JVM's service."""
    services = jvm.org.apache.spark.sql.connect.service
    return getattr(getattr(services, "SparkConnectService$"), "MODULE$").sessionManager()


def private_field(instance: Any, name: str) -> Any:
    """Return the value of a field that the class of a Java object keeps for itself."""
    return accessible_field(instance, name).get(instance)


def accessible_field(instance: Any, name: str) -> Any:
    """Return the field, by Java's reflection."""
    field = instance.getClass().getDeclaredField(name)
    field.setAccessible(True)
    return field


def never_expiring_holder(jvm: Any, session: Any, user: str, session_id: str) -> Any:
    """Return the service's holder of a classic session, by a client's ids: a notebook may lie open overnight."""
    holder = jvm.org.apache.spark.sql.connect.service.SessionHolder(user, session_id, session)
    holder.eventManager().postStarted()
    holder.setCustomInactiveTimeoutMs(jvm.scala.Some(10**15))
    return holder




class ServicePlanner:
    """What makes tables of a client's messages in the JVM of its session, as the service does."""

    def __init__(self, jvm: Any, holder: Any, session: Any) -> None:
        self._session = session
        self._planner = jvm.org.apache.spark.sql.connect.planner.SparkConnectPlanner(holder, jvm.scala.Option.empty())
        self._relation = jvm.org.apache.spark.connect.proto.Relation.parseFrom
        self._stream = jvm.org.sparkproject.connect.protobuf.CodedInputStream.newInstance
        self._dataset = jvm.org.apache.spark.sql.classic.Dataset.ofRows
        self._activate = jvm.org.apache.spark.sql.classic.SparkSession.setActiveSession

    def table(self, relation: bytes) -> Any:
        """Return a table, analysed. By itself a parser refuses more than a hundred nested messages, or fifty steps."""
        # Spark reads settings, such as ANSI's, from the active session of the thread as soon as an expression is made.
        self._activate(self._session)
        stream = self._stream(relation)
        stream.setRecursionLimit(100_000)  # Spark's own stack ends long before
        return self._dataset(self._session, self._planner.transformRelation(self._relation(stream)))


def unordered(jvm: Any, rows: Any) -> Any:
    """Return rows in memory without the order that Spark knows them to have: where a table is joined with itself, Spark
    gives one side other columns, and looks for the old ones in the order (4.1.1 and 4.2.0)."""
    if rows.outputOrdering().isEmpty():
        return rows
    kind = jvm.org.apache.spark.sql.execution.columnar.InMemoryRelation
    made = kind(rows.output(), rows.cacheBuilder(), rows.outputOrdering().empty())
    getattr(made, "statsOfPlanToCache_$eq")(rows.statsOfPlanToCache())
    return made


class DriverClient:
    """A session by Spark Connect, `spark`, that is a classic one: the same settings, views, functions and tables."""

    def __init__(self, spark: SparkSession, service: Any = None, session_id: str = "") -> None:
        """Ask a classic session by a client; of another process's JVM a service answers it already, by this id."""
        self.classic: Any = spark
        self._home = Birthplace()
        # Ids are counted: what is drawn while a function of a node's runs follows from the node.
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
        """Remove the session from the service. The session lives on. No-op in a forked child."""
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
        """Cancel the jobs of a tag, also stages that threads begin of a query that was interrupted in its planning."""
        name = f"SparkConnect_SessionTag_User_{USER}_Session_{self.spark.session_id}_Tag_{tag}"  # as the service's
        self.classic.sparkContext._jsc.sc().cancelJobsWithTag(name)

    def is_stopping(self) -> bool:
        from py4j.protocol import Py4JError

        try:
            return bool(self.classic.sparkContext._jsc.sc().isStopped())
        except (AttributeError, Py4JError, OSError):  # a JVM that was killed a moment ago refuses the connection
            return True

    def compiler_seconds(self) -> float:
        """Return the seconds that all compiler threads of its JVM have taken so far; 0 where they are not counted."""
        found = self._compiler
        return float(found.getTotalCompilationTime()) / 1000 if found.isCompilationTimeMonitoringSupported() else 0.0

    def settle(self, frame: Any) -> None:
        """Analyse a table of the client's now, part by part, as a classic session does: the views, functions and
        files that it names are those that there are. Raises what Spark says of one that it refuses."""
        from pyspark.errors import PySparkException

        *parts, (_, top) = in_stages(frame._plan.plan(self.spark.client))
        try:
            for name, part in parts:
                self._holder.cacheDataFrameById(name, self._read(part))
            frame._plan = self._served(self._read(top), frame._plan._plan_id)._plan
        except PySparkException:
            frame.schema  # noqa: B018 - the client's error tells the author's line
            raise
        finally:
            for name, _ in parts:
                self._holder.removeCachedDataFrame(name)

    def over_rows(self, persisted: Any) -> Any:
        """Return a persisted table by a plan that is nothing but its rows in memory. Spark's own substitution of a
        cached plan (`QueryExecution.withCachedData`) is made once, here, instead of in each plan above it. Rows that
        were lost are computed again all the same: the relation knows how."""
        rows = unordered(self.classic._jvm, self._analysed(persisted).queryExecution().withCachedData())
        return self._served(self._dataset(self.classic._jsparkSession, rows), persisted._plan._plan_id)

    def _analysed(self, frame: Any) -> Any:
        return self._read(frame._plan.plan(self.spark.client))

    def _read(self, relation: Any) -> Any:
        return self._planner.table(relation.SerializeToString())

    def _served(self, dataset: Any, plan_id: int | None = None) -> Any:
        """Return a table of the JVM's as one of the client's, which names it by an id."""
        name = f"{SERVED}{next(self._numbers)}"
        self._holder.cacheDataFrameById(name, dataset)
        found = relation_given(self.spark, name, plan_id)
        weakref.finalize(found._plan, self._forget, name)
        return found

    def _forget(self, name: str) -> None:
        if self._home.is_here and self in _CLIENTS and self.classic.sparkContext._jsc is not None:
            self._holder.removeCachedDataFrame(name)

    def as_classic(self, value: Any) -> Any:
        """Return a table or a model of the client's as one of the classic session; all else as it is."""
        with classic():
            if not _is_frame(value):
                return moved_stage(value, self._classic_stage)
            from pyspark.sql.classic.dataframe import DataFrame

            return DataFrame(self._analysed(value), self.classic) if value.sparkSession is self.spark else value

    def as_served(self, value: Any) -> Any:
        """Return a table or a model of the classic session as one of the client's; all else as it is."""
        if not _is_frame(value):
            return moved_stage(value, self._served_stage)
        if is_by_connect(value.sparkSession):
            return value
        plan = value._jdf.logicalPlan().clone()  # on which the service notes an id
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
    """Return the client whose session this is; None for a session of a server elsewhere, and a classic one."""
    return None if spark is None else vars(spark).get(CLIENT)


def settle(frame: Any) -> None:
    """Analyse a table once, by a driver's client: else a stage's new function makes each plan above it another."""
    if (client := driver_client(frame.sparkSession)) is not None:
        client.settle(frame)


def in_author_session(value: Any) -> Any:
    """Return a table or a model of a client of the user's classic session as one of that session; else as it is."""
    for client in [] if own_session() is not None else list(_CLIENTS):
        value = client.as_classic(value)
    return value


def _is_frame(value: Any) -> bool:
    return type(value).__name__ == "DataFrame" and type(value).__module__.startswith("pyspark.sql.")


def _copy_of(stage: Any) -> Any:
    """Return a copy of a stage, of the kind that this thread works with and of its uid, by which searches name it."""
    copy = type(stage)()
    copy._resetUid(stage.uid)
    for key, default in stage._defaultParamMap.items():
        if copy.hasParam(key.name):
            copy._defaultParamMap[copy.getParam(key.name)] = default
    return copy
