"""The Spark session: started when something must be computed, and not before.

A session that the user has (given, active, or about to be made under spark-submit) is used and left as it was. Where a
server of Spark Connect is named, it gives one; else one of our own is started.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
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
from helix_spark.errors import EndedError, ServerEndedError
from helix_spark.plans.connect_session import relation_given
from helix_spark.plans.recorded_call import own_session_is, work_in
from helix_spark.waits import result_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.connect.session import SparkSession as ConnectSession


class Sessions:
    """One session, on demand: the user's, which is given or active, or one of our own, started at the first `get`. Its
    methods may be called from any thread. `on_start` is called when a start of our own begins; `store` has Hadoop's
    settings for a catalog in an object store; `say` is told what a person should know of a server that stays. Raises
    SetupError if a setting leaves Delta out."""

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
        self._given_back, self._is_ready = ExitStack(), False
        self._starting: Future[SparkServer] | None = None
        self._jvm_start = gateway.JvmStart()
        self._numbers = count()

    @property
    def started(self) -> bool:
        """Whether a session is there, so that using it costs no start."""
        with self._lock:
            return self._running() is not None

    def get(self) -> SparkSession:
        """Return the session; started now if need be, once, whichever threads ask. Raises SetupError where Java, the
        jars or a matching pair of pyspark and delta-spark are missing, or the user's session was stopped or knows
        nothing of Delta; EndedError where this is closed, and no session of the user's runs."""
        with self._lock:
            gateway.keep_from_children()
            if self._own_server is None and (theirs := self._running()) is not None:
                borrowed = self._borrow(theirs)
                if not self._is_ready or not is_alive(borrowed):
                    # A table that is asked for after the end brings what its reader needs.
                    make_ready(borrowed, self._store, {} if self._closed else WHILE_WE_WORK, self._given_back)
                    self._is_ready = True
                work_in(self.theirs)  # not in one that is refused
                return borrowed
            starting = self._current_start()
        own = result_of(starting)  # not under the lock: `started` and `close` stay answerable meanwhile
        with self._lock:
            if self._starting is starting and not self.start_seconds:
                self.start_seconds, self._first_had = own.start_seconds, time.perf_counter()
        return own.spark  # type: ignore[no-any-return]  # pyspark's two sorts of sessions have no type in common

    def leave_rows(self, key: str, frame: DataFrame) -> bool:
        """Leave the rows of a persisted table to later runs, where a server stays; return whether they are left."""
        if (own := self._own_server) is None:
            return False
        table: Any = frame  # of the client's
        return own.leave_rows(own.spark.session_id, key, table._plan.plan(own.spark.client).SerializeToString())

    def kept_table(self, key: str) -> DataFrame | None:
        """Return the table whose rows an earlier run has left in a server's memory; None if they are not there."""
        spark: Any = self.get()
        name, own = f"helix_rows_{next(self._numbers)}", self._own_server
        is_there = own is not None and own.take_rows(spark.session_id, key, name)
        return relation_given(spark, name, None) if is_there else None

    def kept_server(self) -> KeptServer:
        """Return what the folder's server has for this. Starts nothing."""
        with self._lock:
            is_elsewhere = self._own_server is None and (self._theirs is not None or self._closed)
        return NO_SERVER if is_elsewhere else kept_server()

    def activate(self) -> None:
        """Make the calling thread build plans for the session, if one runs."""
        with self._lock:
            if self._own_server is None and self._theirs is not None and is_alive(self._theirs):
                self._borrow(self._theirs)
                work_in(self.theirs)

    def theirs(self) -> ConnectSession | None:
        """Return the user's session as a client asks it, once it was asked for; None where there is none."""
        return self._borrowed  # type: ignore[return-value]  # as above

    def start_seconds_since(self, moment: float) -> float:
        """Return how long the start took, if the session was first had after this `time.perf_counter()`; else 0."""
        return self.start_seconds if self._first_had >= moment else 0.0

    @property
    def worked(self) -> bool:
        """Whether the session has run something. One of the user's is taken to have."""
        with self._lock:
            return self._worked or (self._own_server is None and self._running() is not None)

    def note_work(self) -> None:
        """Note that what follows is quicker than the first work of a new session."""
        self._worked = True

    @property
    def ended(self) -> bool:
        """Whether a session was there, and has ended without us: its JVM was killed, or it was stopped."""
        with self._lock:
            return (session := self._started()) is not None and is_stopping(session)

    def release_ended(self) -> bool:
        """Forget a session that has ended, so that `get` finds or starts another; return whether there was one. One
        that was given is not replaced: its next use says that it has ended."""
        with self._lock:
            if self._given or not self.ended:
                return False
            own_session_is(None)
            if (own := self._own_server) is not None and not gateway.how_ended():
                own.stop(keep_classes=False)  # its client was stopped, and the session behind it lives on
            gateway.forget_ended()
            self._starting = self._theirs = None
            self._forget_borrowed()
            self._worked, self.start_seconds = False, 0.0
            return True

    def warm(self) -> None:
        """Begin the start in the background, to overlap with planning and other imports. Its errors come with `get`.

        Returns when Spark's Python side is imported: what the caller imports must not meet it halfway."""
        with self._lock:
            if not self.started:
                self._current_start()
        with suppress(ImportError):
            import_pyspark()

    def settings_that_change_results(self) -> Mapping[str, str]:
        """Return the settings that change results, as they are or will be. Starts nothing. Raises SetupError where
        Spark is not installed, the user's session has ended, or a server that is named does not answer."""
        with self._lock:
            if (spark := self._running()) is None:
                return results_settings(planned_settings(self._settings, self._store))
            check_alive(spark)
            return results_settings_of(spark)

    def master_and_given(self) -> tuple[str, Mapping[str, str]]:
        """Return the master, and the settings that were given to a session of our own. Starts nothing."""
        with self._lock:
            if (spark := None if self._own_server else self._running()) is None:
                return planned_settings(self._settings, self._store)["spark.master"], self._settings
            return master_of(spark), {}

    def settings_elsewhere(self) -> Mapping[str, str] | None:
        """Return settings by which another process here starts a session like this one; None for a cluster's."""
        with self._lock:
            master, given = self.master_and_given()
            if not is_on_this_machine(master):
                return None
            if self._own_server or (spark := self._running()) is None:
                return given
            shuffled = str(spark.conf.get("spark.sql.shuffle.partitions"))
            return {**results_settings_of(spark), "spark.master": master, "spark.sql.shuffle.partitions": shuffled}

    def close(self) -> None:
        """Stop a session of our own; give the user's its settings back and leave it running."""
        with self._lock:
            starting, self._starting = self._starting, None
            given_back = self._forget_borrowed()
            self._closed, worked = True, self._worked
            self._worked, self.start_seconds = False, 0.0
        given_back.close()
        if starting is not None and not starting.done():
            self._jvm_start.give_up()
        if starting is not None and starting.exception() is None:
            # Who only plans starts Spark for files that need it while they are loaded.
            starting.result().stop(keep_classes=worked)

    def __enter__(self) -> Sessions:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def _own_server(self) -> SparkServer | None:
        """The server of our own, once it has started."""
        starting = self._starting
        is_there = starting is not None and starting.done() and starting.exception() is None
        return starting.result() if starting is not None and is_there else None

    def _started(self) -> SparkSession | None:
        """Return the session as far as one was looked for."""
        return self._own_server.spark if self._own_server else self._borrowed or self._theirs

    def _running(self) -> SparkSession | None:
        """Return the session that runs: ours, else the one given, or active, or of the server that is named. Without
        pyspark, which is not imported to find out, there is none."""
        if self._theirs is None and self._starting is None:
            self._theirs = running_session() if "pyspark.sql" in sys.modules else None
            if self._theirs is None and not self._closed and (address := named_server(self._settings, spark_home())):
                self._theirs = open_named(address, self._settings)
                self._given_back.callback(self._theirs.stop)
        return self._started()

    def _borrow(self, theirs: SparkSession) -> SparkSession:
        if self._borrowed is None:
            self._borrowed = borrow(theirs, self._given_back)
        return self._borrowed

    def _forget_borrowed(self) -> ExitStack:
        """Return what gives back the session that was borrowed."""
        given_back, self._given_back = self._given_back, ExitStack()
        self._borrowed, self._is_ready = None, False
        return given_back

    def _current_start(self) -> Future[SparkServer]:
        """Return the start that goes on or is done; begin one if there is none, or the last failed. Under the lock."""
        starting = self._starting
        if self._closed:
            raise EndedError(
                "the Spark session of Helix's own was stopped when it was closed",
                remedy="make another Helix: its iteration(...) has what is stored",
            )
        if starting is None or (starting.done() and starting.exception() is not None):
            self._starting = starting = Future()
            self._jvm_start = gateway.JvmStart()
            self._on_start()
            # A thread of its own, so that the caller can go on after `warm`; daemonic, so that it keeps no one waiting.
            threading.Thread(
                target=self._fulfil, args=(starting, self._jvm_start), name="helix-session-start", daemon=True
            ).start()
        return starting

    def _fulfil(self, promise: Future[SparkServer], jvm_start: gateway.JvmStart) -> None:
        try:
            from helix_spark.engine.server.starting import start_server  # only what computes starts or attaches

            start = partial(start_server, self._settings, self._store, NO_SETTINGS, jvm_start, self._say)
            server = start()
            try:
                server.open()
            except ServerEndedError as ended:
                self._say(f"{ended.what}: another one is started")
                server = start()
                server.open()
            promise.set_result(server)
        except BaseException as error:  # noqa: BLE001  # handed to whoever waits for the session, not swallowed
            promise.set_exception(error)
