"""The Spark session of a run: the user's, one of a named Spark Connect server, or Helix's own, started when needed.

A user's session (an argument, the active one, or that of spark-submit) gets its settings back at the end.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import ExitStack, suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from helix_spark.engine.server.kept_servers import NO_SERVER, KeptServer, kept_server
from helix_spark.engine.spark import gateway
from helix_spark.engine.spark.borrowed import (
    borrow,
    check_alive,
    is_alive,
    is_stopping,
    make_ready,
    master_of,
    named_server,
    open_named,
    results_settings_of,
    running_session,
)
from helix_spark.engine.spark.connect_server import NO_SETTINGS, SparkServer, import_pyspark, planned_settings
from helix_spark.engine.spark.jars import spark_home
from helix_spark.engine.spark.settings import WHILE_WE_WORK, check_settings, is_on_this_machine, results_settings
from helix_spark.errors import EndedError, ServerEndedError, SetupError
from helix_spark.plans.connect_session import cached_frame
from helix_spark.plans.current_program import set_own_session, work_in
from helix_spark.waits import result_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.connect.session import SparkSession as ConnectSession


class Sessions:
    """One session, on demand: the user's, or Helix's own, started at the first `get`. Its methods may be called from
    any thread. `on_start` is called when Helix's own begins to start; `store` has Hadoop's settings for a catalog in an
    object store; `say` prints a message. Raises SetupError if a setting leaves Delta out."""

    def __init__(
        self, spark: SparkSession | None = None, settings: Mapping[str, str] = NO_SETTINGS,
        on_start: Callable[[], None] = lambda: None, store: Mapping[str, str] = NO_SETTINGS,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        check_settings(settings)
        self.start_seconds = self._first_had = 0.0
        self._worked = self._closed = False
        self._settings, self._on_start, self._store, self._say = dict(settings), on_start, dict(store), say
        self._lock = threading.RLock()
        self._given = spark is not None
        self._theirs = spark
        self._borrowed: SparkSession | None = None
        self._restore, self._is_ready = ExitStack(), False
        self._starting: Future[SparkServer] | None = None
        self._numbers = count()

    @property
    def started(self) -> bool:
        """True if a session runs already."""
        with self._lock:
            return self._running() is not None

    def get(self) -> SparkSession:
        """Return the session; start it if none runs, once for all threads. Raises SetupError if Java, the jars or a
        matching pair of pyspark and delta-spark are missing, or the user's session was stopped or lacks Delta;
        EndedError if this is closed and the user has no session."""
        with self._lock:
            gateway.keep_from_children()
            if self._own_server is None and (theirs := self._running()) is not None:
                borrowed = self._borrow(theirs)
                if not self._is_ready or not is_alive(borrowed):
                    # A table that is read after the end sets what its reader needs.
                    make_ready(borrowed, self._store, {} if self._closed else WHILE_WE_WORK, self._restore)
                    self._is_ready = True
                work_in(self.theirs)  # after `make_ready`, which may refuse the session
                return borrowed
            starting = self._current_start()
        own = result_of(starting)  # not under the lock: `started` and `close` stay answerable meanwhile
        with self._lock:
            if self._starting is starting and not self.start_seconds:
                self.start_seconds, self._first_had = own.start_seconds, time.perf_counter()
        return own.spark  # type: ignore[no-any-return]  # pyspark's two sorts of sessions have no type in common

    def leave_rows(self, key: str, frame: DataFrame) -> bool:
        """Leave the rows of a persisted table to later runs; return False if no server stays that could keep them."""
        if (own := self._own_server) is None:
            return False
        table: Any = frame  # a Connect DataFrame
        return own.leave_rows(own.spark.session_id, key, table._plan.plan(own.spark.client).SerializeToString())

    def kept_table(self, key: str) -> DataFrame | None:
        """Return a table of the rows that an earlier run left in the server's memory; None if they are not there."""
        spark: Any = self.get()
        name, own = f"helix_rows_{next(self._numbers)}", self._own_server
        is_there = own is not None and own.take_rows(spark.session_id, key, name)
        return cached_frame(spark, name, None) if is_there else None

    def kept_server(self) -> KeptServer:
        """Return the state of the folder's server, without starting it."""
        with self._lock:
            is_elsewhere = self._own_server is None and (self._theirs is not None or self._closed)
        return NO_SERVER if is_elsewhere else kept_server()

    def activate(self) -> None:
        """Make the calling thread build plans for the user's session, if it runs."""
        with self._lock:
            if self._own_server is None and self._theirs is not None and is_alive(self._theirs):
                self._borrow(self._theirs)
                work_in(self.theirs)

    def theirs(self) -> ConnectSession | None:
        """Return the Connect session of the user's session, after the first `get`; None if the user has none."""
        return self._borrowed  # type: ignore[return-value]  # as above

    def start_seconds_since(self, moment: float) -> float:
        """Return how long the start took, if it was completed after this `time.perf_counter()`; else 0."""
        return self.start_seconds if self._first_had >= moment else 0.0

    @property
    def worked(self) -> bool:
        """True if the session has run something, or is the user's."""
        with self._lock:
            return self._worked or (self._own_server is None and self._running() is not None)

    def note_work(self) -> None:
        """Note that the session has run something: what follows is quicker."""
        self._worked = True

    @property
    def ended(self) -> bool:
        """True if the session was stopped elsewhere, or its JVM was killed."""
        with self._lock:
            return (session := self._known_session()) is not None and is_stopping(session)

    def release_ended(self) -> bool:
        """Forget a session that has ended, so that `get` finds or starts another; return whether there was one. A
        session that was an argument is not replaced: its next use raises an error."""
        with self._lock:
            if self._given or not self.ended:
                return False
            set_own_session(None)
            if (own := self._own_server) is not None and not gateway.how_ended():
                own.stop(keep_classes=False)  # its client was stopped, its JVM was not
            gateway.forget_ended()
            self._starting = self._theirs = None
            self._forget_borrowed()
            self._worked, self.start_seconds = False, 0.0
            return True

    def warm(self) -> None:
        """Begin the start in the background, whose errors `get` raises, and import Spark's Python side meanwhile."""
        with self._lock:
            if not self.started:
                self._current_start()
        with suppress(SetupError):
            import_pyspark()

    def settings_that_change_results(self) -> Mapping[str, str]:
        """Return the settings that change results, as they are or will be, without starting a session. Raises
        SetupError if Spark is not installed, the user's session has ended, or a named server does not answer."""
        with self._lock:
            if (spark := self._running()) is None:
                return results_settings(planned_settings(self._settings, self._store))
            check_alive(spark)
            return results_settings_of(spark)

    def master_and_given(self) -> tuple[str, Mapping[str, str]]:
        """Return the master, and the author's settings of Helix's own session, without starting it."""
        with self._lock:
            if (spark := None if self._own_server else self._running()) is None:
                return planned_settings(self._settings, self._store)["spark.master"], self._settings
            return master_of(spark), {}

    def settings_elsewhere(self) -> Mapping[str, str] | None:
        """Return settings for a session like this one in another process here; None for a cluster's session."""
        with self._lock:
            master, given = self.master_and_given()
            if not is_on_this_machine(master):
                return None
            if self._own_server or (spark := self._running()) is None:
                return given
            shuffled = str(spark.conf.get("spark.sql.shuffle.partitions"))
            return {**results_settings_of(spark), "spark.master": master, "spark.sql.shuffle.partitions": shuffled}

    def close(self) -> None:
        """Stop Helix's own session, or abandon its start; give the user's its settings back and leave it running."""
        with self._lock:
            starting, self._starting = self._starting, None
            restore = self._forget_borrowed()
            self._closed, worked = True, self._worked
            self._worked, self.start_seconds = False, 0.0
        restore.close()
        if starting is not None:
            with suppress(InvalidStateError):  # it is done
                starting.set_exception(_closed())
            if starting.exception() is None:
                # A command that only plans starts Spark for author's files that need it while they are loaded.
                starting.result().stop(keep_classes=worked)

    def __enter__(self) -> Sessions:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def _own_server(self) -> SparkServer | None:
        """Helix's own server, if it has started."""
        if (starting := self._starting) is None or not starting.done() or starting.exception() is not None:
            return None
        return starting.result()

    def _known_session(self) -> SparkSession | None:
        """Return the session that is known already, without looking for one."""
        return self._own_server.spark if self._own_server else self._borrowed or self._theirs

    def _running(self) -> SparkSession | None:
        """Return the session that runs: Helix's own, the argument, the active one, or that of a named server. An active
        one is looked for only if pyspark is imported."""
        if self._theirs is None and self._starting is None:
            self._theirs = running_session() if "pyspark.sql" in sys.modules else None
            if self._theirs is None and not self._closed and (address := named_server(self._settings, spark_home())):
                self._theirs = open_named(address, self._settings)
                self._restore.callback(self._theirs.stop)
        return self._known_session()

    def _borrow(self, theirs: SparkSession) -> SparkSession:
        if self._borrowed is None:
            self._borrowed = borrow(theirs, self._restore)
        return self._borrowed

    def _forget_borrowed(self) -> ExitStack:
        """Forget the user's session. Return the stack whose `close` gives its settings back."""
        restore, self._restore = self._restore, ExitStack()
        self._borrowed, self._is_ready = None, False
        return restore

    def _current_start(self) -> Future[SparkServer]:
        """Return the current start; begin one if there is none, or the last one failed. Called under the lock."""
        starting = self._starting
        if self._closed:
            raise _closed()
        if starting is None or (starting.done() and starting.exception() is not None):
            self._starting = starting = Future()
            self._on_start()
            # In the background, so that the caller goes on after `warm`; a daemon, so that the process can end.
            threading.Thread(target=self._fulfil, args=(starting,), name="helix-session-start", daemon=True).start()
        return starting

    def _fulfil(self, promise: Future[SparkServer]) -> None:
        """Start Spark. If `close` has kept the promise by an error meanwhile, stop what has started."""
        try:
            from helix_spark.engine.server.starting import start_server  # not needed by runs without Spark

            start = partial(start_server, self._settings, self._store, NO_SETTINGS, None, self._say)
            import_pyspark()
            from pyspark import SparkContext

            with SparkContext._lock:  # there is one gateway a process: wait for a start that was abandoned
                if promise.done():
                    return
                server = start()
                try:
                    if not promise.done():
                        server.open()
                except ServerEndedError as ended:
                    self._say(f"{ended.what}: another one is started")
                    server = start()
                    server.open()
                try:
                    promise.set_result(server)
                except InvalidStateError:
                    server.stop(keep_classes=False)
        except BaseException as error:  # noqa: BLE001  # `get` raises it
            with suppress(InvalidStateError):
                promise.set_exception(error)


def _closed() -> EndedError:
    what = "the Spark session of Helix's own was stopped when it was closed"
    return EndedError(what, remedy="create another Helix: its iteration(...) has the stored results")
