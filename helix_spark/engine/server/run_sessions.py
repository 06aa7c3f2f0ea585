"""The sessions of one run in a server's JVM, and the rows in memory that it leaves to later runs."""

from __future__ import annotations

import shutil
import tempfile
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from helix_spark.engine.spark.driver_client import (
    TOKEN,
    ServicePlanner,
    accessible_field,
    never_expiring_holder,
    private_field,
    service_sessions,
    session_manager,
    unordered,
)


class RunSessions:
    """The sessions of one run in the JVM of a classic session, `driver`; they share nothing with other runs.

    `settings` are set, or unset where None; Python workers import from `paths`; `warehouse` is a folder for tables
    that stays. The run's py4j gateway listens at `port` and requires `secret`."""

    def __init__(
        self, driver: Any, settings: Mapping[str, str | None], paths: Sequence[str], warehouse: str = ""
    ) -> None:
        self._driver, self._jvm, self._paths = driver, driver._jvm, paths
        self._holders: dict[str, Any] = {}
        self._warehouse = tempfile.mkdtemp(prefix="helix-warehouse-")
        self._log_level = self._level()
        options = self._jvm.java.util.HashMap()
        options.put("spark.sql.warehouse.dir", warehouse or self._warehouse)
        context = driver.sparkContext._jsc.sc()
        # A session that is built in this way has a shared state of its own: global views, tables, persisted tables.
        self._first = self._jvm.org.apache.spark.sql.classic.SparkSession(context, options)
        # Its copy of the context's settings: a session starts with them, and `RESET` returns to them.
        initial = self._first.sharedState().conf()
        for name, value in {**settings, TOKEN: None}.items():
            if value is None:
                initial.remove(name)
            else:
                initial.set(name, value)
        # Objects that the run refers to are released with its gateway.
        self._gateway = self._jvm.org.apache.spark.api.python.Py4JServer(context.conf())
        self._gateway.start()
        self.port, self.secret = int(self._gateway.getListeningPort()), str(self._gateway.secret())

    def open(self, user: str, session_id: str) -> None:
        """Register a session of the run with the service, under a client's ids."""
        session = self._first if not self._holders else self._first.newSession()
        included = private_field(session.artifactManager(), "pythonIncludeList")
        for path in reversed(self._paths):  # a worker prepends each
            included.add(path)
        holder = never_expiring_holder(self._jvm, session, user, session_id)
        service_sessions(self._jvm).put(holder.key(), holder)
        self._holders[session_id] = holder

    def leave_rows(self, session_id: str, key: str, relation: str) -> bool:
        """Leave the rows of a table of a session, in base64, to later runs; see `KeptRows.leave`."""
        return KeptRows(self._jvm).leave(self._holders[session_id], key, b64decode(relation))

    def take_rows(self, session_id: str, key: str, name: str) -> bool:
        """Register the rows of a result with a session; see `KeptRows.take`."""
        return KeptRows(self._jvm).take(self._holders[session_id], key, name)

    def _level(self) -> str:
        return str(self._jvm.org.apache.logging.log4j.LogManager.getRootLogger().getLevel().toString())

    def close(self) -> None:
        """End the run's queries, workers and sessions, and release all that it used."""
        if self._level() != self._log_level:
            self._driver.sparkContext._jsc.setLogLevel(self._log_level)
        shared, sessions = self._first.sharedState(), [holder.session() for holder in self._holders.values()]
        KeptRows(self._jvm).release_others(shared)
        for session in sessions:
            for query in session.streams().active():
                query.stop()
        for holder in self._holders.values():
            session_manager(self._jvm).closeSession(holder.key(), False)
        _end_workers(self._jvm, {str(session.sessionUUID()) for session in sessions})
        self._driver.sparkContext._jsc.sc().removeSparkListener(shared.statusStore().listener().get())
        self._gateway.shutdown()
        shutil.rmtree(self._warehouse, ignore_errors=True)


def context_state(driver: Any) -> str:
    """Return the state that all sessions of a driver share: added files and jars, the folder for checkpoints."""
    context = driver.sparkContext._jsc.sc()
    parts = (context.listFiles(), context.listJars(), context.getCheckpointDir())
    return " ".join(str(part.toString()) for part in parts)


def _end_workers(jvm: Any, artifact_ids: set[str]) -> None:
    """End the Python workers of sessions, the daemons that fork them and the threads that monitor the daemons. Spark
    keeps a daemon for each session that called a Python function until the context stops, and the thread even then."""
    factories = private_field(jvm.org.apache.spark.SparkEnv.get(), "pythonWorkers")
    ended = []
    for key in list(jvm.scala.jdk.javaapi.CollectionConverters.asJava(factories.keySet().toSeq())):
        uuid = key.envVars().get("SPARK_JOB_ARTIFACT_UUID")
        if uuid.isDefined() and str(uuid.get()) in artifact_ids and (factory := factories.remove(key)).isDefined():
            factory.get().stop()
            ended.append(factory.get())
    if not ended:
        return
    find_class = jvm.java.lang.Class.forName
    monitor = find_class("org.apache.spark.api.python.PythonWorkerFactory$MonitorThread")
    handler = find_class("java.lang.Thread$UncaughtExceptionHandler")
    silent = jvm.java.beans.EventHandler.create(handler, jvm.java.lang.Object(), "hashCode")
    for thread in jvm.java.lang.Thread.getAllStackTraces().keySet():
        # The monitor of a factory's idle workers never ends by itself.
        if monitor.isInstance(thread) and any(private_field(thread, "$outer").equals(factory) for factory in ended):
            thread.setUncaughtExceptionHandler(silent)
            thread.interrupt()


class KeptRows:
    """Rows that a JVM keeps in memory between runs for any session, by the catalog's id and the result's signature."""

    def __init__(self, jvm: Any) -> None:
        self._jvm = jvm
        properties = jvm.java.lang.System.getProperties()
        # A map from keys to Spark's in-memory relations, the most recently used last.
        properties.putIfAbsent("helix.rows", jvm.java.util.Collections.synchronizedMap(jvm.java.util.LinkedHashMap()))
        self._rows = properties.get("helix.rows")

    def leave(self, holder: Any, key: str, relation: bytes) -> bool:
        """Keep the rows of a table that a session has persisted and computed; return False for any other table."""
        rows = ServicePlanner(self._jvm, holder, holder.session()).table(relation).queryExecution().withCachedData()
        is_persisted = str(rows.getClass().getSimpleName()) == "InMemoryRelation"
        if not is_persisted or not rows.cacheBuilder().isCachedColumnBuffersLoaded():
            return False
        self._use(key, unordered(self._jvm, rows))
        return True

    def take(self, holder: Any, key: str, name: str) -> bool:
        """Register rows with a session, under the name of a cached relation; return whether they are there."""
        if (rows := self._rows.get(key)) is None:
            return False
        self._use(key, rows)
        manager = holder.session().sharedState().cacheManager()
        cached, entry = accessible_field(manager, "cachedData"), self._jvm.org.apache.spark.sql.execution.CachedData
        cached.set(manager, getattr(cached.get(manager), "$plus$colon")(entry(rows, rows)))
        holder.cacheDataFrameById(name, self._jvm.org.apache.spark.sql.classic.Dataset.ofRows(holder.session(), rows))
        return True

    def _use(self, key: str, rows: Any) -> None:
        self._rows.remove(key)
        self._rows.put(key, rows)

    def sizes(self) -> dict[str, int]:
        """Return bytes in memory by key, the least recently used first."""
        return {str(key): int(self._rows.get(key).stats().sizeInBytes()) for key in list(self._rows)}

    def trim(self, share: float) -> None:
        """Release the least recently used rows down to a share of the heap; if it is 0, have the JVM return memory."""
        sizes, limit = self.sizes(), share * self._jvm.java.lang.Runtime.getRuntime().maxMemory()
        total = sum(sizes.values())
        for key, size in sizes.items():
            if total > limit:
                self._rows.remove(key).cacheBuilder().clearCache(False)
                total -= size
        if not share:
            self._jvm.java.lang.System.gc()

    def release_others(self, shared_state: Any) -> None:
        """Release all rows in memory of sessions that share a state, except those that are kept."""
        identity = self._jvm.java.lang.System.identityHashCode
        kept = {identity(self._rows.get(key).cacheBuilder()) for key in list(self._rows)}
        convert = self._jvm.scala.jdk.javaapi.CollectionConverters.asJava
        for entry in convert(private_field(shared_state.cacheManager(), "cachedData")):
            builder = entry.cachedRepresentation().cacheBuilder()
            if identity(builder) not in kept:
                builder.clearCache(False)
