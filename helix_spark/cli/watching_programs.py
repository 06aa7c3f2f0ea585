"""`helix watch train.py` for a plain PySpark program: runs it at each save, in a process of its own each time, beside a
server that stays. A save while it runs ends a run where the new text would ask something else than is asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event, Lock
from typing import Any

from helix_spark.cli.options import Asked
from helix_spark.cli.overtaking import Texts, edited, overtaking, plan_told, texts_of
from helix_spark.cli.programs import check_file
from helix_spark.cli.terminal import say
from helix_spark.cli.watching import await_change, next_save, stamps
from helix_spark.errors import ParameterError
from helix_spark.program.live_answers import LIVE_VARIABLE, LiveAnswers
from helix_spark.program.program_text import files_of_program, needs_classic
from helix_spark.tracking.courier import URI_VARIABLE

_TO_END = 10.0
"""Seconds that a run has to end once it is told to."""


def watch_program(path: Path, arguments: Sequence[str], place: Asked) -> None:
    """Runs a program now and at each save, until interrupted.

    Raises:
        ParameterError: there is no such file, or it needs a classic session.
        SetupError: Spark cannot be started.
    """
    from helix_spark.engine.spark.connect_server import ConnectServer

    check_file(path)
    if (reason := needs_classic(path)) is not None:
        raise ParameterError(
            str(reason), remedy="run it by `helix run`, which starts one, and reuses nothing",
        )
    server = ConnectServer(place.spark)
    environment = {**os.environ, **server.environment()}
    if place.mlflow is not None:  # not on the command line: it may hold a password
        environment[URI_VARIABLE] = place.mlflow
    words = [str(path), "--json", "--catalog", place.catalog, "--", *arguments]
    ran: Texts = {}
    try:
        while True:
            known = files_of_program(path)
            before, texts = stamps(known), texts_of(known)
            if sys.stdout.isatty():
                print("\033[2J\033[H", end="", flush=True)
            if ran and (edit := edited(ran, texts)):
                say(f"saved: {edit}", to_stderr=True)
            ran, started = texts, time.perf_counter()
            overtaken = _run(_command(path, arguments, place), environment, words, texts)
            if overtaken:
                say(f"{overtaken}; going on with the new text", to_stderr=True)
                continue
            seconds = time.perf_counter() - started
            say(f"{seconds:.2f} s from save to end; watching {path}, Ctrl-C ends", to_stderr=True)
            await_change(known, before)
    finally:
        server.stop()


def _command(path: Path, arguments: Sequence[str], place: Asked) -> list[str]:
    options = ["--catalog", place.catalog, *(("--budget", place.budget) if place.budget is not None else ())]
    options += [] if place.experiment is None else ["--experiment", place.experiment]
    return [sys.executable, "-m", "helix_spark", "run", str(path), *options, "--", *arguments]


def _run(command: Sequence[str], environ: Mapping[str, str], words: Sequence[str], texts: Texts) -> str:
    """One run; returns why it was ended before its time, empty if it was not.

    Args:
        words: of the plan of what is saved meanwhile.
        texts: what is in the files that run.
    """
    with tempfile.TemporaryDirectory(prefix="helix-live-") as folder:
        live, around = LiveAnswers(Path(folder)), {**environ, LIVE_VARIABLE: folder}
        with subprocess.Popen(command, env=around) as process:
            run = WatchedRun(live, lambda over: plan_told(words, over, around), lambda: _end(process))
            try:
                with overtaking(run, next_save, run.planned, run.end, texts):
                    process.wait()
            except BaseException:
                process.wait()  # Ctrl-C goes to it as well, and it puts on record what it had
                raise
        return live.overtaken()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupts a run, which puts on record what it had."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()


class WatchedRun:
    """A program that runs in a process of its own, and how far a newer text of it would be answered meanwhile."""

    def __init__(self, live: LiveAnswers, plan: Callable[[Event], Any], end: Callable[[], None]) -> None:
        """Watches one.

        Args:
            plan: what `helix plan --json` says of the text as it is now; None where it cannot be planned.
            end: ends the run.
        """
        self._live, self._told, self._end = live, plan, end
        self._over, self._first = Event(), ""
        self._ending = Lock()

    def planned(self, over: Event) -> frozenset[str]:
        """All that the text asks as it is now, as far as that is answered, and what it would ask next; nothing where it
        cannot be planned."""
        self._over = over
        return self._plan()

    def stale_by(self, signatures: frozenset[str]) -> tuple[str, ...]:
        """The calls that ask right now, where none of that is asked by the new text, which would ask something else
        next; none where that is not known yet."""
        asks = self._live.in_flight()
        if not asks or not signatures.isdisjoint(asks):
            return ()
        if self._live.is_answered(self._first):  # what it would have asked next the run has been answered meanwhile
            knows_more = self._live.answer(self._first) is not None
            signatures = self._plan() if knows_more else frozenset()
            return self.stale_by(signatures) if signatures else ()
        return tuple(dict.fromkeys(asks.values()))

    def end(self, why: str) -> None:
        """Ends the run."""
        if not self._ending.acquire(blocking=False):
            return  # it has been told
        self._live.overtake(why)
        self._end()

    def _plan(self) -> frozenset[str]:
        try:
            found = self._told(self._over)
            self._first = found["first"] or ""
            return frozenset(found["asked"]) if found["error"] is None else frozenset()
        except (ValueError, KeyError, TypeError):
            return frozenset()
