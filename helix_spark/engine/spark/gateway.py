"""The driver's JVM: its flags, start, output, errors and end.

The figures are seconds of processor time until the census job's first answer in a fresh process, on two cores with an
archive (`benchmarks/plain/plain_census.py`). Without any of the flags it takes 41.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from helix_spark.answers.sent_requests import server_message
from helix_spark.engine.spark.jars import spark_home
from helix_spark.engine.spark.settings import parse_submit_arguments, properties_text
from helix_spark.errors import CatalogError, HelixError, SetupError
from helix_spark.forks import Birthplace, remove_own

QUIET = (
    # The JVM and its libraries print these whatever the logging configuration; a user cannot act on them.
    b"WARNING: Using incubator modules: jdk.incubator.vector",
    b"WARNING: package sun.security.action not in java.base",  # Java 25
    b"netlib-blas: JNI_OnLoad: dlopen(libblas",
)

_ENDED_TWICE = re.compile(
    rb'Exception in thread "SparkConnectExecuteThread_.*STREAM_LIFECYCLE_ALREADY_COMPLETED.*onError can\'t be called'
)
"""The first line of a harmless stack trace: a thread of Spark Connect's service (`ExecuteThreadRunner` of 4.2.0) and
the client closed an operation at the same time."""

COLLECTOR = ("-XX:+UseParallelGC",)
"""36 instead of 41: a batch job gains nothing from G1's short pauses."""

STAYING_COLLECTOR = (
    "-XX:+UseG1GC", "-XX:G1PeriodicGCInterval=60000", "-XX:-G1PeriodicGCInvokesConcurrent",
    "-XX:MinHeapFreeRatio=0", "-XX:MaxHeapFreeRatio=10",
    "-XX:+IgnoreUnrecognizedVMOptions", "-XX:TrimNativeHeapInterval=60000",  # Java 17.0.9 and later on Linux
)
"""Options of a JVM that stays: it returns unused memory a minute after the last collection. After three runs of the
script of `benchmarks.scale --only server` it held 809 MB, a minute later 465."""

OPTIMISE_LATER = (
    "-XX:Tier4InvocationThreshold=80000", "-XX:Tier4MinInvocationThreshold=9600",
    "-XX:Tier4CompileThreshold=240000", "-XX:Tier4BackEdgeThreshold=640000",
)
"""31 instead of 36. During a start the optimising compiler (C2) spends half of the time on code that runs only a few
thousand times. With 16 times the default thresholds it compiles only long loops; five warm runs took no more time.
Without C2 (-XX:TieredStopAtLevel=1) it is 27, but warm and long runs take up to twice as long."""

AFTER_ITS_END = (
    "run it again: a new JVM is started; if you passed the session (spark=...), pass a new one. If it is killed again, "
    "it needs more memory than the machine has: set spark.driver.memory"
)

_COLLECTORS = re.compile(r"-XX:\+Use\w+GC\b")

_SILENT = ("-Xlog:disable", "-Xlog:all=error:stderr")
"""The JVM would write warnings about archives to standard output, among a command's results."""


def driver_flags(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the options of the driver's JVM. The user's logging configuration, if there is one, stays in force."""
    conf_folder = Path(environ.get("SPARK_CONF_DIR") or spark_home(environ) / "conf")
    if (conf_folder / "log4j2.properties").is_file():
        return OPTIMISE_LATER
    return (*OPTIMISE_LATER, f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}")


def launch_settings(
    jars: Sequence[Path], settings: Mapping[str, str], archive: Path | None, draft: Path | None = None,
    collector: Sequence[str] = COLLECTOR,
) -> dict[str, str]:
    """Return `settings` with those of the JVM added; the author's class path and options come after Helix's. The JVM
    uses the class-data `archive`, and writes `draft` when it ends. Delta's `jars` are on the class path proper, where
    the JVM can archive their classes; by `spark.jars` the session takes 1.2 s more (of 7)."""
    flags = list(driver_flags())
    if draft is not None:
        flags += [f"-XX:ArchiveClassesAtExit={draft}", *_SILENT]
    if archive is not None:
        # auto: the JVM silently ignores an archive that does not fit.
        flags += ["-Xshare:auto", f"-XX:SharedArchiveFile={archive}", *_SILENT]
    author = settings.get("spark.driver.extraJavaOptions", "")
    # A JVM with two collectors does not start.
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


class Launched(subprocess.Popen[bytes]):
    """The JVM's process, in a session of its own, so that a terminal's signals reach only this process. If this process
    is killed, the JVM ends, since its standard input ends. So pyspark's `preexec_fn`, by which the JVM ignores SIGINT,
    is not needed; it would run gRPC's fork handlers, which may hang.

    The settings may contain secrets, and all users can read a command line. So they are written to a file that only
    this user can read, in the folder that pyspark removes once the JVM has started.
    """

    def __init__(
        self, begun: list[Launched], settings: Mapping[str, str], folder: Path | None, words: Sequence[str],
        **options: Any,
    ) -> None:
        """Start it. It is appended to `begun` before, as an interrupt may come once it runs."""
        self._home, self.pid = Birthplace(), 0
        self._file = Path(options["env"]["_PYSPARK_DRIVER_CONN_INFO_PATH"]).with_name("settings")
        begun.append(self)
        self._file.touch(0o600)
        self._file.write_text(properties_text(settings), encoding="ascii")
        # PYSPARK_SUBMIT_ARGS stays as it is: other threads read the author's settings there.
        _, arguments = parse_submit_arguments(os.environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell"))
        words = (words[0], "--properties-file", str(self._file), *arguments)
        options |= {"start_new_session": True, "cwd": folder, "preexec_fn": None}
        # In another thread, which no interrupt reaches: one between the fork and the store of `pid` would lose the
        # process. The pool waits for the thread.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(partial(super().__init__, words, **options)).result()

    def poll(self) -> int | None:
        status = super().poll()
        return 1 if status == 0 else status  # pyspark waits forever for one that ended with 0 before it listened

    def end(self) -> None:
        """End it, even if it does not answer. No-op in a forked child."""
        for signal_number in (signal.SIGTERM, signal.SIGKILL):  # at SIGTERM the JVM removes its temporary folders
            if self._home.is_here and self.pid and self.poll() is None:
                with suppress(ProcessLookupError, PermissionError, subprocess.TimeoutExpired):
                    os.killpg(self.pid, signal_number)
                    self.wait(2.0)
        remove_own(self._file.parent, self._home)


def launch(settings: Mapping[str, str], folder: Path | None = None) -> Any:
    """Start the JVM in a folder, by default that of this process, and return py4j's gateway to it. Raises SetupError,
    with the end of its output, if it does not start."""
    from pyspark import java_gateway

    # The JVM outlives this process while it writes its classes. With this process's own outputs it would keep their
    # readers waiting.
    (stdout_reader, stdout_end), (stderr_reader, stderr_end) = os.pipe(), os.pipe()
    stdout, stderr = os.fdopen(stdout_end, "wb"), os.fdopen(stderr_end, "wb")
    Forwarded(os.fdopen(stdout_reader, "rb"), 1)
    errors = Forwarded(os.fdopen(stderr_reader, "rb"), 2)
    begun: list[Launched] = []

    def end() -> None:
        for jvm in begun:
            jvm.end()

    at_exit = weakref.finalize(errors, end)  # this process may end meanwhile
    try:
        started: Any = partial(Launched, begun, settings, folder)
        java_gateway.Popen = started  # type: ignore[attr-defined]  # a name of its module
        gateway = java_gateway.launch_gateway(None, {"stdout": stdout, "stderr": stderr})  # type: ignore[no-untyped-call]
        keep_from_children()
        return gateway
    except BaseException as error:
        end()
        if type(error).__name__ != "PySparkRuntimeError":
            raise
        stderr.close()
        errors.join(1)  # its last lines; a process that it started may hold its output open
        raise SetupError(
            "the JVM of Spark's driver did not start", exists=errors.tail() or None,
            remedy="run `helix doctor`; look at spark.driver.memory and spark.driver.extraJavaOptions, if you set them",
        ) from error
    finally:
        java_gateway.Popen = subprocess.Popen  # type: ignore[attr-defined]  # as above
        at_exit.detach()
        for output in (stdout, stderr):
            output.close()


def how_ended(error: BaseException | None = None) -> str:
    """Return how the JVM of Spark's driver ended, in words; empty while it runs, or if this process did not start it.
    If `error` is a broken connection, wait up to a second for the end."""
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
        modules = {base.__module__ for base in type(error).__mro__}
        if modules & {"grpc", "pyspark.errors.exceptions.connect"} and any(text in str(error) for text in _LOST):
            return True
        error = error.__cause__ or error.__context__
    return False


def end_of_jvm(error: BaseException) -> SetupError | None:
    """Return an error about the end of the JVM, if `error`, or the cause of a CatalogError, is a consequence of it."""
    failure = error.__cause__ if isinstance(error, CatalogError) and error.__cause__ is not None else error
    if isinstance(failure, HelixError | KeyboardInterrupt) or not (how := how_ended(failure)):
        return None
    end = SetupError(f"the JVM of Spark's driver {how}", remedy=AFTER_ITS_END)
    end.__cause__ = error
    return end


def spark_errors() -> tuple[type[Exception], ...]:
    """Return the errors that a request to Spark may raise: the catalog's, the file system's and, if loaded, Spark's."""
    if "pyspark" not in sys.modules:
        return (CatalogError, OSError)
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    grpc: Any = sys.modules.get("grpc")
    return (CatalogError, OSError, PySparkException, Py4JError, *([] if grpc is None else [grpc.RpcError]))


def first_line(error: BaseException) -> str:
    """Return the message of an error, or of the server's error in it, without stack traces."""
    return server_message(error)[:300]


def forget_ended() -> None:
    """Make pyspark forget a JVM that has ended, so that another one can be started. No-op while it runs."""
    if not how_ended():
        return
    from pyspark import SparkContext

    if (context := SparkContext._active_spark_context) is not None:
        context._jsc = None  # else `stop` would call the JVM
        context.stop()
    forget()


@cache
def keep_from_children() -> None:
    """Close the connections to the JVM in forked children from now on.

    A child that ends would otherwise have the JVM release the parent's objects, models above all, and a child that
    sends requests would read the parent's answers.
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
    """Set environment variables for a process to be started, or remove those that are None; restore them after it."""
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
    """Forwards the output of a JVM to an output of this process, without noise, and keeps the last lines."""

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
