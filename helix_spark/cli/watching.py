"""`helix watch`: one loop that runs a file at each save, a workflow or a script."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING

from helix_spark.cli.options import CommandSettings
from helix_spark.cli.programs import ScriptFile, check_file, check_settings
from helix_spark.cli.terminal import say
from helix_spark.cli.workflow_runs import WorkflowFile, load_workflow, run_and_print
from helix_spark.errors import HelixError, ParameterError
from helix_spark.program.program_text import files_of_program, needs_classic
from helix_spark.project.watched_files import (
    Stamp,
    await_change,
    blamed,
    forget_project,
    project_files,
    stamps,
)
from helix_spark.tracking.courier import URI_VARIABLE

if TYPE_CHECKING:
    from helix_spark.helix import Helix

_TO_END = 10.0
"""Seconds that a run has to end once it is told to."""


def watch_file(target: WorkflowFile, engine: Helix) -> None:
    """Run a workflow in one warm session at each save."""
    ours, context = frozenset(list(sys.modules)), copy_context()
    broken = set[Path]()
    engine.sessions.warm()

    def load_and_run() -> None:
        run_and_print(engine, load_workflow(target, engine), "", print_answer=True)

    def files() -> frozenset[Path]:
        return project_files(target.path).union(broken)

    def run(started: float) -> None:
        engine.waiting_since, known = started, files()
        forget_project(ours)
        broken.clear()
        try:
            context.copy().run(load_and_run)  # what an earlier text of the file set is not there any more
        except HelixError as error:
            broken.update(known, blamed(error))
            raise

    _watch(target.path, files, run, engine.end_audits, to_stderr=False, since=engine.waiting_since)


def watch_program(script: ScriptFile, place: CommandSettings) -> None:
    """Run a script in a process of its own at each save, next to a server that stays.

    Raises:
        ParameterError: there is no such file, or it needs a classic session.
        SetupError: Spark cannot be started.
    """
    from helix_spark.engine.spark.connect_server import ConnectServer

    check_file(script.path)
    if (reason := needs_classic(script.path)) is not None:
        raise ParameterError(str(reason), remedy="run it by `helix run`, which starts one, and reuses nothing")
    check_settings(place, {"audit": f"`helix audit {script.path}` makes an audit"})
    server = ConnectServer(place.spark)

    def run(started: float) -> None:
        nonlocal server
        if how := server.how_ended():
            say(f"the JVM of Spark's driver {how}; another one is started", to_stderr=True)
            server.stop()
            server = ConnectServer(place.spark)
        environment = {**os.environ, **server.environment()}
        if place.mlflow is not None:  # not on the command line: it may hold a password
            environment[URI_VARIABLE] = place.mlflow
        _run(_command(script, place), environment)

    try:
        _watch(script.path, lambda: files_of_program(script.path), run, lambda: None, to_stderr=True)
    finally:
        server.stop()


def _watch(
    path: Path, files_now: Callable[[], Collection[Path]], run: Callable[[float], None],
    end_audits: Callable[[], object], *, to_stderr: bool, since: float | None = None,
) -> None:
    """Run a file now and at each save, until interrupted. An error is shown, and the watch goes on.

    Args:
        files_now: gives the files of which a save has it run again.
        run: runs it, given `time.perf_counter()` at the save.
        to_stderr: True if standard output is for what the file prints.
        since: `time.perf_counter()` since when the first run is waited for; None for its begin.
    """
    ran: Mapping[Path, Stamp] = {}
    while True:
        known = files_now()
        before = stamps(known)
        _say_saved(ran, before, to_stderr=to_stderr)
        started, since = since or time.perf_counter(), None
        try:
            run(started)
        except HelixError as error:
            say(f"error: {error}", to_stderr=to_stderr)
        seconds = time.perf_counter() - started
        say(f"{seconds:.2f} s from save to answer; watching {path}, Ctrl-C ends", to_stderr=to_stderr)
        known = files_now()
        # What was saved while it ran counts as saved now; files it has loaded for the first time, as they are.
        ran = {file: before.get(file, stamp) for file, stamp in stamps(known).items()}
        await_change(known, ran)
        end_audits()


def _say_saved(before: Mapping[Path, Stamp], after: Mapping[Path, Stamp], *, to_stderr: bool) -> None:
    """Begin an empty screen with the files that were saved since the run before, if there was one."""
    if sys.stdout.isatty():
        print("\033[2J\033[H", end="", flush=True)
    if before and (saved := [file.name for file in {**before, **after} if before.get(file) != after.get(file)]):
        say(f"saved: {', '.join(sorted(saved))}", to_stderr=to_stderr)


def _command(script: ScriptFile, place: CommandSettings) -> list[str]:
    options = place.options + ([] if place.experiment is None else ["--experiment", place.experiment])
    return [sys.executable, "-m", "helix_spark", "run", str(script.path), *options, "--", *script.arguments]


def _run(command: Sequence[str], environ: Mapping[str, str]) -> None:
    with subprocess.Popen(command, env=environ) as process:
        try:
            process.wait()
        except BaseException:
            _end(process)
            raise


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a run, which records what it had. A run that a terminal's Ctrl-C has interrupted goes on with that.

    SIGTERM, as a shell's background jobs and their children ignore SIGINT.
    """
    process.terminate()
    try:
        process.wait(_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
