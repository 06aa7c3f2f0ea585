"""Who may use a Helix, and when."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.engine.execution import executor
from helix_spark.engine.execution.observer import Silent
from helix_spark.errors import EndedError, HelixError
from helix_spark.run.admission import Admission, Task


def said_in_a_child(use: Callable[[], object]) -> str:
    """What a forked child says of a use; it has ten seconds for it."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            threading.Timer(10, os._exit, (1,)).start()
            use()
            os.write(writing, b"done")
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is what is asked for
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        text = answer.read().decode()
    os.waitpid(child, 0)
    return text


def in_a_thread(use: Callable[[], object]) -> str:
    said: list[str] = []

    def work() -> None:
        try:
            use()
            said.append("done")
        except HelixError as error:
            said.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    return said[0] if said else "it waits"


def test_a_forked_child_may_use_nothing_of_it_though_a_run_goes_on() -> None:
    admission = Admission("catalog")
    with admission.run():
        for use in (admission.check, lambda: admission.run().__enter__(), lambda: admission.check_waits(Task.STORE)):
            said = said_in_a_child(use)
            home = f"the Helix of catalog belongs to process {os.getpid()}"
            assert said.startswith(f"HelixError: {home}, from which this process was forked")
            assert '"spawn"' in said


def test_a_forked_child_closes_nothing() -> None:
    admission = Admission("catalog")

    def close() -> None:
        with admission.end() as is_open:
            assert not is_open

    with admission.run():
        assert said_in_a_child(close) == "done"


def test_one_run_goes_on_at_a_time() -> None:
    admission, inside = Admission("catalog"), threading.Event()

    def run() -> None:
        with admission.run():
            inside.set()

    with admission.run():
        thread = threading.Thread(target=run)
        thread.start()
        assert not inside.wait(0.05)
    thread.join()
    assert inside.is_set()


@pytest.mark.parametrize("task", list(Task))
def test_what_a_helix_calls_begins_no_run_and_no_end(task: Task) -> None:
    admission = Admission("catalog")

    def within(use: Callable[[], object]) -> None:
        admission.take_on(task)
        use()

    for use in (lambda: admission.run().__enter__(), lambda: admission.end().__enter__()):
        assert f"from within {task.value}" in in_a_thread(lambda use=use: within(use))
    assert in_a_thread(lambda: within(admission.check)) == "done"
    waits = in_a_thread(lambda: within(lambda: admission.check_waits(Task.STORE)))
    assert ("a call that waits for it" in waits) == (task is Task.STORE)


def test_after_the_end_nobody_comes_in_and_who_waits_is_told() -> None:
    admission = Admission("catalog")
    with admission.run():
        waiting = threading.Thread(target=lambda: said.append(in_a_thread(lambda: admission.run().__enter__())))
        said: list[str] = []
        waiting.start()
        ending = threading.Thread(target=lambda: admission.end().__enter__())
        ending.start()
        ending.join()
    waiting.join()
    assert said == ["the Helix of catalog was closed\n  create another one"]
    with pytest.raises(EndedError):
        admission.check()


def test_an_end_that_failed_is_tried_again() -> None:
    admission = Admission("catalog")
    with suppress(KeyboardInterrupt), admission.end() as is_open:
        assert is_open
        raise KeyboardInterrupt
    with admission.end() as is_open:
        assert is_open
    with admission.end() as is_open:
        assert not is_open


class Ends(Silent):
    """Lets another thread close the Helix once a node has begun."""

    helix: hx.Helix
    thread: threading.Thread

    def node_started(self, name: str) -> None:
        self.thread = threading.Thread(target=self.helix.close)
        self.thread.start()


def test_a_run_that_another_thread_closes_says_so_and_is_on_record_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "_GRACE", 0.1)
    wf, told = hx.Workflow("w"), Path(tmp_path) / "told"
    wf.source("data", hx.table(pd.DataFrame({"n": [1]})))

    @wf.reducer(output=True)
    def count(data: pd.DataFrame) -> int:
        until = time.monotonic() + 60
        while time.monotonic() < until and not told.exists():
            time.sleep(0.01)
        return len(data)

    observer = Ends()
    observer.helix = hx.Helix(tmp_path / "catalog", observer=observer)
    with pytest.raises(EndedError, match="was closed while the run went on"):
        observer.helix.run(wf)
    told.touch()
    observer.thread.join()
    with hx.Helix(tmp_path / "catalog") as helix:
        (record,) = helix.iterations()
        assert (record.status, record.error.split(" of ")[0]) == ("failed", "the Helix")
