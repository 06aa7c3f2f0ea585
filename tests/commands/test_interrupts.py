"""An interrupt, wherever it comes, leaves no lease behind: others would wait for who computes nothing any more."""

from __future__ import annotations

import _thread
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases import Leases
from helix_spark.cli import options
from helix_spark.cli.options import INTERRUPTED, TERMINATED, Terminated, hush
from helix_spark.engine.execution import executor
from helix_spark.engine.execution.observer import Silent
from helix_spark.run import executing
from tests.fakes.armed_failpoints import armed
from tests.fakes.doubled import workflow


def interrupted(*given: Any) -> Any:
    raise KeyboardInterrupt


def while_leases_are_taken(monkeypatch: pytest.MonkeyPatch, observer: Silent) -> None:
    take = Leases.take
    taken: list[str] = []

    def second_one_interrupted(self: Leases, name: str) -> Any:
        taken.append(name)
        return interrupted() if len(taken) == 2 else take(self, name)

    monkeypatch.setattr(Leases, "take", second_one_interrupted)


def while_the_catalog_is_asked(monkeypatch: pytest.MonkeyPatch, observer: Silent) -> None:
    monkeypatch.setattr(Catalog, "live_among", interrupted)


def before_anything_runs(monkeypatch: pytest.MonkeyPatch, observer: Silent) -> None:
    monkeypatch.setattr(Catalog, "start_iteration", interrupted)


def while_the_answer_is_told(monkeypatch: pytest.MonkeyPatch, observer: Silent) -> None:
    observer.answered = interrupted  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "place", [while_leases_are_taken, while_the_catalog_is_asked, before_anything_runs, while_the_answer_is_told]
)
def test_all_leases_are_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Callable[[pytest.MonkeyPatch, Silent], None]
) -> None:
    monkeypatch.setattr(executing, "WORTH_WAITING", 0.0)
    observer = Silent()
    with hx.Helix(tmp_path, policy="always", observer=observer) as helix:
        place(monkeypatch, observer)
        with pytest.raises(KeyboardInterrupt):
            helix.run(workflow())
        assert helix.catalog.leases._held == {}
    catalog = Catalog.open(tmp_path, create=False)
    assert list(catalog.leases.names()) == []
    assert [one.status for one in catalog.iterations()] in ([], ["died"])


@pytest.fixture
def heard_by_python() -> Iterator[None]:
    """What a shell starts with & ignores SIGINT, and so do its tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupts_soon() -> None:
    """As a signal does that comes just when the main thread begins to wait: it is noted, and wakes nobody."""
    threading.Timer(0.1, _thread.interrupt_main).start()


@pytest.mark.usefixtures("heard_by_python")
def test_an_interrupt_that_wakes_nobody_is_heard_in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "_GRACE", 0.1)
    over, ended = tmp_path / "over", tmp_path / "ended"
    wf = hx.Workflow("slow")
    wf.source("one", hx.table(pd.DataFrame({"a": [1]})))

    @wf.reducer(output=True)
    def total(one: pd.DataFrame) -> int:
        until = time.monotonic() + 60
        while time.monotonic() < until and not over.exists():
            time.sleep(0.01)
        ended.touch()
        return len(one)

    def started(name: str) -> None:
        if name == "total":
            interrupts_soon()

    observer = Silent()
    observer.node_started = started  # type: ignore[method-assign]
    with hx.Helix(tmp_path / "catalog", policy="never", observer=observer) as helix:
        with pytest.raises(KeyboardInterrupt):
            helix.run(wf)
        assert not ended.exists(), "the interrupt was heard when the function had returned"
        over.touch()


@pytest.mark.usefixtures("heard_by_python")
def test_an_interrupt_that_wakes_nobody_is_heard_behind_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    monkeypatch.setattr(Catalog, "append_iteration", lambda *given: over.wait(20))
    with hx.Helix(tmp_path, policy="never", observer=Silent()) as helix:
        iteration = helix.run(workflow())
        interrupts_soon()
        with pytest.raises(KeyboardInterrupt):
            iteration.wait()
        assert not iteration.stored
        over.set()


@pytest.mark.parametrize(("times", "code", "stored"), [(1, 0, {"kept", "size"}), (2, INTERRUPTED, set())])
def test_storing_goes_on_unless_a_person_says_so_twice(
    tmp_path: Path, times: int, code: int, stored: set[str]
) -> None:
    file = tmp_path / "wf.py"
    file.write_text(SMALL)
    command = [sys.executable, "-m", "helix_spark", "run", str(file), "-q", "--catalog", str(tmp_path / "catalog")]
    held = tmp_path / "held"
    environment = {**armed(f"store.begun@1:hold={held}"), "HELIX_SERVER": "off"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # background jobs have none
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while not process.stdout.readline().strip().startswith("size"):  # its answer
            assert process.poll() is None
        while not held.exists():
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(0.3)  # until it waits for what is being stored
        process.send_signal(signal.SIGINT)
        said = process.stderr.readline()
        if times == 2:
            process.send_signal(signal.SIGINT)
        else:
            held.unlink()
        complaints = process.stderr.read()
        assert process.wait(60) == code, complaints
    assert said == "the results of this run are being stored; press Ctrl-C again to stop that\n"
    assert {one.node for one in Catalog.open(tmp_path / "catalog", create=False).live()} == stored


SMALL = """
import helix_spark as hx
import pandas as pd

def workflow() -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2]})))

    @wf.scanner(keep="always")
    def kept(data: pd.DataFrame) -> pd.DataFrame:
        return data

    @wf.reducer(output=True)
    def size(kept: pd.DataFrame) -> int:
        return len(kept)

    return wf
"""


def test_what_fails_behind_an_interrupt_is_told_as_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A signal to the whole group ends the JVM, too: nobody is there for who tidies up."""
    @options.reporting_errors
    def command() -> None:
        try:
            raise Terminated
        finally:
            raise ConnectionRefusedError

    monkeypatch.setattr(os, "_exit", sys.exit)
    monkeypatch.setattr(weakref.finalize, "_exitfunc", lambda: None)  # after it no finalizer of this process would run
    with pytest.raises(SystemExit) as caught:
        command()
    assert caught.value.code == TERMINATED
    assert capsys.readouterr().err == "interrupted; what was stored before is kept\n"


def test_traces_of_py4j_stay_out_of_the_terminal(caplog: pytest.LogCaptureFixture) -> None:
    hush()
    logging.getLogger("py4j.clientserver").error("a trace")
    logging.getLogger("author").error("what the author says")
    assert [record.message for record in caplog.records] == ["what the author says"]
