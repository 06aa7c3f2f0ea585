"""The harness of the benchmarks: systems in turn, processes that answer, tables and saved summaries."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from benchmarks.harness import Row, Worker, finish, in_turn, run, sound


def halves(whole: int) -> Generator[float, int, None]:
    answer = whole / 2
    while True:
        answer = whole / (yield answer)


def test_a_worker_answers_until_a_request_fails() -> None:
    worker = Worker(halves, 12)
    assert worker.pid != os.getpid()
    assert worker.run(3) == 4
    assert worker.run(2) == 6
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        worker.run(0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        worker.run(3)
    worker.close()


def test_a_worker_that_dies_is_noticed_and_one_that_is_closed_ends() -> None:
    worker = Worker(halves, 12)
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError):
        worker.run(3)
    worker.close()
    worker = Worker(halves, 12)
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)


def test_systems_take_turns_in_changing_order() -> None:
    order = list[str]()

    def called(name: str) -> Callable[[], int]:
        def call() -> int:
            order.append(name)
            return len(order)

        return call

    assert in_turn({"a": called("a"), "b": called("b")}, rounds=2, uncounted=1) == {"a": [3, 6], "b": [4, 5]}
    assert order == ["b", "a", "a", "b", "b", "a"]


def test_a_command_gives_what_it_printed_and_its_seconds(tmp_path: Path) -> None:
    done = sound(run([sys.executable, "-c", "import os; print(os.getcwd(), os.environ['HELIX_X'])"], tmp_path,
                     {"HELIX_X": "1"}))
    assert done.printed == f"{tmp_path} 1\n"
    assert 0 < done.answered <= done.seconds
    with pytest.raises(RuntimeError, match="no such thing"):
        sound(run([sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path))
    with pytest.raises(RuntimeError, match="gave no answer"):
        sound(run([sys.executable, "-c", "print('something')"], tmp_path, answer="answered"))
    program = "import time; print('an answer', flush=True); time.sleep(0.2); print('more')"
    done = sound(run([sys.executable, "-c", program], tmp_path, answer="answer"))
    assert done.answered < done.seconds - 0.1


def test_a_summary_is_saved_with_its_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finish(argparse.Namespace(json=False, save=tmp_path), "small", [Row("a", {"seconds": 1.5})], "One row.")
    assert capsys.readouterr().out == "|  | seconds |\n|---|---|\n| a | 1.50 |\n\nOne row.\n"
    text = (tmp_path / "small.md").read_text()
    assert text.startswith("`python -m ")
    assert text.endswith("| a | 1.50 |\n\nOne row.\n")
