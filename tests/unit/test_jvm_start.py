"""The start of a JVM that is interrupted, or whose process ends, leaves nothing behind."""

from __future__ import annotations

import _posixsubprocess
import _thread
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from helix_spark.engine.spark import connect_server, gateway
from helix_spark.errors import SetupError

SUBMIT = """#!/bin/sh
sleep 60 &
echo $! $$ > {folder}/pids.new
mv {folder}/pids.new {folder}/pids
cat > /dev/null
kill $!
"""
"""As the JVM does, it ends when its standard input ends."""


def install(submit: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a text stand for Spark's `spark-submit`."""
    path = home / "bin" / "spark-submit"
    path.parent.mkdir()
    path.write_text(submit)
    path.chmod(0o755)
    monkeypatch.setenv("SPARK_HOME", str(home))


@pytest.fixture
def pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """The processes that a start has begun, of a Spark that never comes up."""
    install(SUBMIT.format(folder=tmp_path), tmp_path, monkeypatch)

    def begun() -> list[int]:
        until = time.monotonic() + 20
        while not (tmp_path / "pids").exists():
            assert time.monotonic() < until
            time.sleep(0.01)
        return [int(pid) for pid in (tmp_path / "pids").read_text().split()]

    return begun


@pytest.fixture(autouse=True)
def heard_by_python() -> Iterator[None]:
    """Python hears SIGINT, also in what a shell starts with ``&``."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def remaining(pids: list[int]) -> list[str]:
    """Return what the system says of those processes that do not end within moments."""
    until = time.monotonic() + 30  # a JVM ends late on a busy machine
    while there := [status for pid in pids if (status := status_of(pid))]:
        if time.monotonic() > until:
            return there
        time.sleep(0.02)
    return []


def status_of(pid: int) -> str:
    """Return a process's name, state, parent, group and session, as Linux tells them; empty if it has ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if status.rpartition(")")[2].startswith(" Z") else " ".join(status.split()[:6])


def test_an_interrupt_ends_what_was_begun(pids: Callable[[], list[int]]) -> None:
    begun: list[int] = []

    def interrupt() -> None:
        begun.extend(pids())
        _thread.interrupt_main()

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        gateway.launch({})
    assert begun
    assert remaining(begun) == []


def test_an_interrupt_between_the_fork_and_its_return_ends_what_was_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pids: Callable[[], list[int]]
) -> None:
    (tmp_path / "bin" / "spark-submit").write_text(SUBMIT.format(folder=tmp_path).replace("cat > /dev/null", "wait"))
    module, name = (subprocess, "_fork_exec") if sys.version_info >= (3, 11) else (_posixsubprocess, "fork_exec")
    fork = getattr(module, name)

    def interrupted(*options: object) -> int:
        pid: int = fork(*options)
        pids()
        _thread.interrupt_main()
        time.sleep(0.05)
        return pid

    monkeypatch.setattr(module, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        gateway.launch({})
    assert remaining(pids()) == []


STARTS = """
import threading, time
from pathlib import Path
from helix_spark.engine.spark import gateway
threading.Thread(target=gateway.launch, args=({"spark.hadoop.fs.s3a.secret.key": "hidden"},), daemon=True).start()
while not Path("pids").exists():
    time.sleep(0.01)
"""


INTERRUPTED = """
from helix_spark.cli.options import reporting_errors

@reporting_errors
def command():
    raise KeyboardInterrupt

command()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("end", "code"), [("", 0), (INTERRUPTED, 130)], ids=["normally", "a command by Ctrl-C"])
def test_a_process_that_ends_while_a_jvm_starts_leaves_nothing_behind(
    pids: Callable[[], list[int]], tmp_path: Path, end: str, code: int
) -> None:
    (temporary := tmp_path / "tmp").mkdir()
    environ = {**os.environ, "TMPDIR": str(temporary)}
    ended = subprocess.run([sys.executable, "-c", STARTS + end], cwd=tmp_path, env=environ, check=False, timeout=60)
    assert ended.returncode == code
    assert remaining(pids()) == []
    assert list(temporary.iterdir()) == []


def test_a_jvm_that_is_killed_while_it_starts_is_told_as_that(pids: Callable[[], list[int]]) -> None:
    with ThreadPoolExecutor(1) as pool:
        launched = pool.submit(gateway.launch, {})
        begun = pids()
        os.kill(begun[1], signal.SIGKILL)
        with pytest.raises(SetupError, match="the JVM of Spark's driver did not start"):
            launched.result(20)


@pytest.mark.parametrize(("catalog", "drafts"), [("in-memory", 1), ("hive", 0)])
def test_a_jvm_that_locks_hive_s_database_writes_no_classes_after_its_run(
    monkeypatch: pytest.MonkeyPatch, catalog: str, drafts: int
) -> None:
    begun: list[object] = []

    def launch(*_: object) -> NoReturn:
        raise SetupError("there is no Spark")

    monkeypatch.setattr(connect_server, "_jvm_exists", lambda: False)
    monkeypatch.setattr(connect_server, "delta_jars", lambda: ())
    monkeypatch.setattr(connect_server, "ready_archive", lambda *_: None)
    monkeypatch.setattr(connect_server, "begin_draft", lambda *given: begun.append(given))
    monkeypatch.setattr(gateway, "launch", launch)
    with pytest.raises(SetupError, match="there is no Spark"):
        connect_server.ConnectServer({"spark.sql.catalogImplementation": catalog})
    assert len(begun) == drafts


TALKING = """#!/bin/sh
cat >&2 <<'END'
a warning of Spark's
Exception in thread "SparkConnectExecuteThread_opId=1" org.apache.spark.SparkIllegalStateException: \
[SPARK_CONNECT_ILLEGAL_STATE.STREAM_LIFECYCLE_ALREADY_COMPLETED] Stream onError can't be called after stream completed
\tat org.apache.spark.sql.connect.IllegalStateErrors$.streamLifecycleAlreadyCompleted(IllegalStateErrors.scala:26)
\tat org.apache.spark.sql.connect.execution.ExecuteThreadRunner$ExecutionThread.run(ExecuteThreadRunner.scala:338)
Exception in thread "main" java.lang.OutOfMemoryError: Java heap space
\tat Main.main(Main.java:1)
END
exit 1
"""


def test_a_trace_of_an_operation_that_had_ended_is_left_out_and_others_are_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    install(TALKING, tmp_path, monkeypatch)
    with pytest.raises(SetupError) as caught:
        gateway.launch({})
    until = time.monotonic() + 30  # a JVM ends late on a busy machine
    said = ""
    while "Main.java" not in said and time.monotonic() < until:
        said += capfd.readouterr().err
    assert [line.split()[0] for line in said.splitlines()] == ["a", "Exception", "at"]
    assert "SparkConnectExecuteThread" not in said
    assert "OutOfMemoryError" in str(caught.value)


def test_a_start_that_ends_well_before_it_can_be_asked_is_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("#!/bin/sh\nexit 0\n", tmp_path, monkeypatch)
    with pytest.raises(SetupError, match="did not start"):
        gateway.launch({})
