"""Starts the driver's JVM: the flags that make it quick, and what it may print; tells what errors mean that come from
there, and whether it has ended.

The figures are seconds of processor time that the JVM used until the census job's first answer in a fresh process, on
two cores with an archive (`benchmarks/plain/plain_census.py` is the job); without any of the flags 41.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from helix_spark.answers.sent_requests import server_message
from helix_spark.engine.spark.jars import spark_home
from helix_spark.engine.spark.settings import parse_submit_arguments, properties_text
from helix_spark.errors import CatalogError, EndedError, HelixError, SetupError

QUIET = (
    # The JVM and its libraries print these past any logging configuration; they say nothing a user could act on.
    b"WARNING: Using incubator modules: jdk.incubator.vector",
    b"WARNING: package sun.security.action not in java.base",  # Java 25
    b"netlib-blas: JNI_OnLoad: dlopen(libblas",
)

_ENDED_TWICE = re.compile(
    rb'Exception in thread "SparkConnectExecuteThread_.*STREAM_LIFECYCLE_ALREADY_COMPLETED.*onError can\'t be called'
)
"""Begins a stack trace by which a thread of Spark Connect's service (`ExecuteThreadRunner` of 4.2.0) says that an
operation was closed while the thread was about to do it: its answer has been given by then."""

COLLECTOR = ("-XX:+UseParallelGC",)
"""36 instead of 41: a batch job gains nothing from G1's short pauses, and pays for its barriers and threads."""

STAYING_COLLECTOR = (
    "-XX:+UseG1GC", "-XX:G1PeriodicGCInterval=60000", "-XX:-G1PeriodicGCInvokesConcurrent",
    "-XX:MinHeapFreeRatio=0", "-XX:MaxHeapFreeRatio=10",
    "-XX:+IgnoreUnrecognizedVMOptions", "-XX:TrimNativeHeapInterval=60000",  # Java 17.0.9 and later on Linux
)
"""Options of a JVM that stays: a minute after the last collection it collects again, and gives the system back what it
does not use: it held 809 MB after three runs of the script of `benchmarks.scale --only server`, a minute later 465."""

OPTIMISE_LATER = (
    "-XX:Tier4InvocationThreshold=80000", "-XX:Tier4MinInvocationThreshold=9600",
    "-XX:Tier4CompileThreshold=240000", "-XX:Tier4BackEdgeThreshold=640000",
)
"""31 instead of 36. A start runs much code a few thousand times and never again, and the optimising compiler (C2) spent
half of all time on it. Sixteen times the default thresholds keep it for loops that last, which still reach it within
moments: five warm runs then took no more time than with the defaults. Without C2 (-XX:TieredStopAtLevel=1) it is 27,
but warm and long runs take up to twice as long for ever after."""

AFTER_ITS_END = (
    "run it again: a new one is started, unless you gave the session (spark=...): then give a new one. One that is "
    "killed time and again takes more memory than the machine has; set spark.driver.memory"
)

_COLLECTORS = re.compile(r"-XX:\+Use\w+GC\b")

_SILENT = ("-Xlog:disable", "-Xlog:all=error:stderr")
"""The JVM writes its warnings about archives to standard output, where a command's answer goes."""


def driver_flags(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the options of our JVM. The user's logging configuration, where there is one, stays in force."""
    conf_folder = Path(environ.get("SPARK_CONF_DIR") or spark_home(environ) / "conf")
    if (conf_folder / "log4j2.properties").is_file():
        return OPTIMISE_LATER
    return (*OPTIMISE_LATER, f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}")


def launch_settings(
    jars: Sequence[Path], settings: Mapping[str, str], archive: Path | None, draft: Path | None = None,
    collector: Sequence[str] = COLLECTOR,
) -> dict[str, str]:
    """Return `settings` with those of the JVM added; the author's own class path and options come after ours. Of two
    class-data archives one is used, and a draft is written when the JVM ends. Delta's `jars` come before Spark's own:
    on the class path proper the JVM can archive their classes, and local executors need no copy of them; by
    `spark.jars` the session takes 1.2 s more (of 7)."""
    flags = list(driver_flags())
    if draft is not None:
        flags += [f"-XX:ArchiveClassesAtExit={draft}", *_SILENT]
    if archive is not None:
        # auto: an archive that does not fit after all is left aside, and the log stays silent about it.
        flags += ["-Xshare:auto", f"-XX:SharedArchiveFile={archive}", *_SILENT]
    author = settings.get("spark.driver.extraJavaOptions", "")
    # A JVM that is told of two collectors does not start.
    variables = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "SPARK_SUBMIT_OPTS")
    if not any(_COLLECTORS.search(text) for text in (author, *(os.environ.get(name, "") for name in variables))):
        flags[:0] = collector
    quoted = (f'"{flag}"' if " " in flag else flag for flag in flags)  # Spark splits them as a shell does
    paths = [str(jar) for jar in jars]
    paths += [path for path in settings.get("spark.driver.extraClassPath", "").split(os.pathsep) if path]
    return {
        **settings,
        "spark.driver.extraClassPath": os.pathsep.join(paths),
        "spark.driver.extraJavaOptions": " ".join([*quoted, author]).strip(),
    }


class _Launched(subprocess.Popen[bytes]):
    """The JVM's process. pyspark waits for ever for one that ended with exit code 0 before it could be asked."""

    def poll(self) -> int | None:
        status = super().poll()
        return 1 if status == 0 else status


class JvmStart:
    """The start of a JVM, which any thread may give up."""

    def __init__(self) -> None:
        self.given_up = False
        self._process: subprocess.Popen[bytes] | None = None

    def popen(self, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start the JVM's process, as `subprocess.Popen` does. Raises EndedError if the start was given up meanwhile.

        It leads a session of its own: a terminal's signals are for this process, which ends the JVM. Also where this
        process is killed, the JVM ends, for its standard input ends then. So pyspark's `preexec_fn`, which has the JVM
        ignore SIGINT, is not needed. It would have Python fork, and run gRPC's handlers of forks, which may hang.
        """
        if self.given_up:
            raise EndedError("the start of Spark was given up")
        options.pop("preexec_fn", None)
        self._process = _Launched(command, start_new_session=True, **options)
        if self.given_up:  # by a thread that did not find it yet
            self.give_up()
            raise EndedError("the start of Spark was given up")
        return self._process

    def give_up(self) -> None:
        """End the JVM, whether its start is under way or done."""
        self.given_up = True
        if (process := self._process) is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        for sign in (signal.SIGTERM, signal.SIGKILL):  # by the first the JVM removes its temporary folders
            if process.poll() is not None:
                return
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, sign)
            with suppress(subprocess.TimeoutExpired):
                process.wait(2.0)


def launch(settings: Mapping[str, str], start: JvmStart) -> Any:
    """Start the JVM and return py4j's gateway to it. Raises SetupError, with the end of its output, if it does not
    start, and EndedError if that was given up meanwhile.

    The settings may hold secrets. Each user of the machine can read a command line, so they go through a file that
    only this user can read, for as long as the JVM starts.
    """
    from pyspark import java_gateway

    # The JVM outlives this process by the time that it takes to write its classes. Outputs of this process that it held
    # would keep their readers waiting.
    (printed, stdout), (said, stderr) = os.pipe(), os.pipe()
    Forwarded(os.fdopen(printed, "rb"), 1)
    errors = Forwarded(os.fdopen(said, "rb"), 2)
    try:
        with tempfile.NamedTemporaryFile("w", prefix="helix-", suffix=".properties", encoding="ascii") as file:
            file.write(properties_text(settings))
            file.flush()
            _, others = parse_submit_arguments(os.environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell"))

            def popen(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
                # Not by the variable that holds pyspark's words: other threads read the author's settings there.
                return start.popen((command[0], "--properties-file", file.name, *others), **options)

            java_gateway.Popen = popen  # type: ignore[assignment, attr-defined]  # a name of its module
            made = java_gateway.launch_gateway(None, {"stdout": stdout, "stderr": stderr})  # type: ignore[no-untyped-call]
            keep_from_children()
            return made
    except BaseException as error:
        given_up = start.given_up
        start.give_up()
        if type(error).__name__ != "PySparkRuntimeError":
            raise
        if given_up:
            raise EndedError("the start of Spark was given up") from error
        raise SetupError(
            "the JVM of Spark's driver did not start", exists=errors.tail() or None,
            remedy="run `helix doctor`; look at spark.driver.memory and spark.driver.extraJavaOptions, if you set them",
        ) from error
    finally:
        java_gateway.Popen = subprocess.Popen  # type: ignore[attr-defined]  # as above
        for output in (stdout, stderr):
            os.close(output)


def how_ended(error: BaseException | None = None) -> str:
    """Return how the JVM of Spark's driver ended, in words; empty while it runs, or if this process knows no process of
    it. After an `error` that is a broken connection its end is known a moment later."""
    context = sys.modules.get("pyspark.core.context")
    process: Any = getattr(context.SparkContext._gateway, "proc", None) if context is not None else None
    if process is None:
        return ""
    if not isinstance(process, subprocess.Popen):  # another process keeps it
        return cast("str", process.how_ended(error))
    with suppress(subprocess.TimeoutExpired):
        process.wait(1.0 if is_broken_connection(error) else 0.0)
    if (status := process.returncode) is None:
        return ""
    return f"was killed by signal {-status}" if status < 0 else f"ended with exit code {status}"


def is_broken_connection(error: BaseException | None) -> bool:
    """Return whether a connection to a JVM, or to a server in one, was broken."""
    is_of_py4j = type(error).__name__ in ("Py4JError", "Py4JNetworkError")
    return is_of_py4j or isinstance(error, ConnectionError) or is_end_of_server(error)


_LOST = ("INVALID_HANDLE.SESSION_NOT_FOUND", "INVALID_HANDLE.SESSION_CLOSED", "INVALID_HANDLE.SESSION_CHANGED",
         "StatusCode.UNAVAILABLE")


def is_end_of_server(error: BaseException | None) -> bool:
    """Return whether a server does not answer any more, or has lost its session, as after a restart."""
    while error is not None:
        modules = {one.__module__ for one in type(error).__mro__}
        if modules & {"grpc", "pyspark.errors.exceptions.connect"} and any(one in str(error) for one in _LOST):
            return True
        error = error.__cause__ or error.__context__
    return False


def end_of_jvm(error: BaseException) -> SetupError | None:
    """Return the end of the JVM as an error, if that is what an error is about that is none of the author's code. A
    stored result may be unreadable for that, too: its cause tells."""
    failed = error.__cause__ if isinstance(error, CatalogError) and error.__cause__ is not None else error
    if isinstance(failed, HelixError | KeyboardInterrupt) or not (how := how_ended(failed)):
        return None
    found = SetupError(f"the JVM of Spark's driver {how}", remedy=AFTER_ITS_END)
    found.__cause__ = error
    return found


def spark_errors() -> tuple[type[Exception], ...]:
    """Return what asking Spark may raise: the catalog's errors, the file system's and, if loaded, Spark's."""
    if "pyspark" not in sys.modules:
        return (CatalogError, OSError)
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    grpc: Any = sys.modules.get("grpc")  # what a server says that is no answer of Spark's, and nobody's answer
    return (CatalogError, OSError, PySparkException, Py4JError, *([] if grpc is None else [grpc.RpcError]))


def first_line(error: BaseException) -> str:
    """Return what an error says, or a server by it, without the stack traces below it."""
    return server_message(error)[:300]


def forget_ended() -> None:
    """Make pyspark forget a JVM that has ended, so that another one can be started. No-op while it runs."""
    if not how_ended():
        return
    from pyspark import SparkContext

    if (context := SparkContext._active_spark_context) is not None:
        context._jsc = None  # there is nobody to be asked to stop
        context.stop()
    forget()


@cache
def keep_from_children() -> None:
    """From now on a forked child leaves its parent's connections to the JVM alone.

    Python also tells the JVM by them which objects it has let go of, models above all: a child that does no more than
    end would take from its parent what both know, and one that asks would get the parent's answers.
    """
    os.register_at_fork(after_in_child=_leave_to_parent)


def _leave_to_parent() -> None:
    context = sys.modules.get("pyspark.core.context")
    ours = context.SparkContext._gateway if context is not None else None
    if ours is None:
        return
    client = ours._gateway_client
    client.is_connected = False
    while client.deque:
        connection = client.deque.pop()
        if (socket := connection.socket) is not None:
            connection.socket = None
            os.close(socket.detach())  # not shut down: that would end the parent's connection as well
    if (stdin := getattr(getattr(ours, "proc", None), "stdin", None)) is not None:
        stdin.close()  # the JVM ends when no process holds this any more
    forget()


def forget() -> None:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession, SQLContext

    SparkContext._active_spark_context = SparkContext._gateway = SparkContext._jvm = None
    SparkSession._instantiatedSession = SparkSession._activeSession = SQLContext._instantiatedContext = None


@contextmanager
def environment(**values: str | None) -> Iterator[None]:
    """Environment variables for a process about to be started; with None, the absence of one."""
    def set_variables(values: Mapping[str, str | None]) -> None:
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    before = {name: os.environ.get(name) for name in values}
    set_variables(values)
    try:
        yield
    finally:
        set_variables(before)


class Forwarded(threading.Thread):
    """Passes on what a JVM writes to an output of this process, without noise, and keeps the last lines."""

    def __init__(self, lines: BinaryIO | Generator[bytes, None, None], to: int) -> None:
        super().__init__(name=f"helix-jvm-output-{to}", daemon=True)
        self._lines, self._to, self._last = lines, to, list[bytes]()
        self.start()

    def run(self) -> None:
        in_trace = False
        with closing(self._lines):
            for line in self._lines:
                in_trace = _ENDED_TWICE.match(line) is not None or (in_trace and line.startswith(b"\tat "))
                if not in_trace and not line.startswith(QUIET):
                    self._last = [*self._last[-9:], line]
                    os.write(self._to, line)

    def tail(self) -> str:
        return b"".join(self._last).decode(errors="replace").strip()
