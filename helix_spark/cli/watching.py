"""`helix watch`: runs a file at each save: a workflow in one warm session, a plain PySpark program in a process of its
own each time, beside a server that stays. A save meanwhile ends a run where all that it computes is stale by then."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from helix_spark.catalog.catalog import Catalog
from helix_spark.cli.options import CommandSettings
from helix_spark.cli.programs import check_file, check_settings, tell
from helix_spark.cli.terminal import say
from helix_spark.cli.workflow_runs import load_workflow, run_and_print
from helix_spark.errors import HelixError, OvertakenError, ParameterError
from helix_spark.iteration.audit_process import AuditProcess, Job
from helix_spark.iteration.auditor import Auditor
from helix_spark.past.finding import last_ended
from helix_spark.past.states import proofs_of
from helix_spark.program.live_answers import LIVE_VARIABLE, LiveAnswers
from helix_spark.program.program_text import files_of_program, needs_classic
from helix_spark.program.recorded_answers import RecordedAnswers
from helix_spark.project.loaded_modules import blamed, forget_project, project_files
from helix_spark.project.saves import Texts, await_change, edited, next_save, stamps, texts_of
from helix_spark.project.stale_runs import SeenRun, WatchedRun, overtaking, plan_told, planned_elsewhere
from helix_spark.tracking.courier import URI_VARIABLE

if TYPE_CHECKING:
    from helix_spark.helix import Helix

_TO_END = 10.0
"""Seconds that a run has to end once it is told to."""


def watch_file(
    path: Path, function: str | None, settings: Sequence[str], engine: Helix, seen: SeenRun, plan_options: Sequence[str]
) -> None:
    """Runs now and at each save, until interrupted. An error is shown, and the watch goes on. A save while a run goes
    on ends it where all that it is computing is stale by then.

    Args:
        seen: the engine's observer.
        plan_options: of the command that plans a file that was saved meanwhile.
    """
    ours = frozenset(list(sys.modules))
    engine.sessions.warm()
    known: frozenset[Path] = frozenset()
    ran: dict[Path, str] = {}
    target = f"{path}:{function}" if function else str(path)
    since, context = engine.waiting_since, copy_context()
    while True:
        started = engine.waiting_since = since or time.perf_counter()
        since = None
        before, texts = stamps(known | project_files(path)), texts_of(known | project_files(path))
        forget_project(ours)
        _say_saved(ran, texts, to_stderr=False)
        broken: set[Path] = set()

        def load_and_run(texts: Texts = texts) -> None:
            nonlocal ran
            workflow = load_workflow(path, function, settings, engine)
            files = project_files(path)
            ran = texts_of(files) | {file: texts[file] for file in files & texts.keys()}
            with overtaking(
                seen, next_save, partial(planned_elsewhere, target, plan_options), engine.overtake, ran
            ):
                run_and_print(engine, workflow, "", print_answer=True)

        try:
            context.copy().run(load_and_run)  # what an earlier text of the file set is not there any more
        except OvertakenError as overtaken:
            say(f"{overtaken.what}; going on with the new text")
            known = project_files(path)
            continue
        except HelixError as error:
            say(f"error: {error}")
            broken = {*known, *blamed(error)}
        seconds = time.perf_counter() - started
        say(f"{seconds:.2f} s from save to answer; watching {path}, Ctrl-C ends")
        known = project_files(path) | broken
        # What was saved while it ran counts as saved now; files it has loaded for the first time, as they are.
        before = {file: before.get(file, stamp) for file, stamp in stamps(known).items()}
        await_change(known, before)
        engine.end_audits()


def _say_saved(before: Texts, after: Texts, *, to_stderr: bool) -> None:
    """Begins an empty screen with what was saved since the run before, if there was one."""
    if sys.stdout.isatty():
        print("\033[2J\033[H", end="", flush=True)
    if before and (edit := edited(before, after)):
        say(f"saved: {edit}", to_stderr=to_stderr)


def watch_program(path: Path, arguments: Sequence[str], place: CommandSettings) -> None:
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
    check_settings(place, {})
    auditor = Auditor(place.audit, place.audit_seconds, partial(_begin_audit, place), tell)
    script = AuditedScript(path, tuple(arguments))
    server = ConnectServer(place.spark)
    environment = {**os.environ, **server.environment()}
    if place.mlflow is not None:  # not on the command line: it may hold a password
        environment[URI_VARIABLE] = place.mlflow
    words = [str(path), "--json", *place.options, "--", *arguments]
    ran: Texts = {}
    try:
        while True:
            turn, known = auditor.stop(), files_of_program(path)
            before, texts = stamps(known), texts_of(known)
            _say_saved(ran, texts, to_stderr=True)
            if how := server.how_ended():
                say(f"the JVM of Spark's driver {how}; another one is started", to_stderr=True)
                server.stop()
                server = ConnectServer(place.spark)
                environment.update(server.environment())
            ran, started = texts, time.perf_counter()
            overtaken = _run(_command(path, arguments, place), environment, words, texts)
            if overtaken:
                say(f"{overtaken}; going on with the new text", to_stderr=True)
                continue
            seconds = time.perf_counter() - started
            say(f"{seconds:.2f} s from save to end; watching {path}, Ctrl-C ends", to_stderr=True)
            if place.audit == "idle":
                audit_when_idle(auditor, turn, script, place)
            await_change(known, before)
    finally:
        auditor.stop()
        server.stop()


@dataclass(frozen=True, slots=True)
class AuditedScript:
    """A plain program and its arguments, as an audit runs it."""

    path: Path
    arguments: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.path.stem


def audit_when_idle(auditor: Auditor[AuditedScript], turn: int, script: AuditedScript, place: CommandSettings) -> None:
    """Have the unproven answers of a script's last run audited in the background, unless that takes too long."""
    catalog = Catalog.open(place.catalog, create=True)
    last, record = last_ended(catalog, script.name), RecordedAnswers(catalog, script.name)
    nodes = () if last is None or last.status != "done" else catalog.nodes(last)
    seconds, proofs = sum(record.seconds(node.signature) for node in nodes), proofs_of(nodes, catalog)
    unproven = [
        node.signature for node in nodes
        if node.kind == "answer" and proofs[node.name] == "unproven" and record.answer(node.signature)
    ]
    if unproven and seconds > place.audit_seconds:
        tell(f"no audit in the background: it takes about {seconds:.0f} s, and audit_seconds is "
             f"{place.audit_seconds:.0f}; `helix audit {script.path}` makes one")
    elif unproven:
        auditor.audit_when_idle(turn, script, unproven)


def _begin_audit(
    place: CommandSettings, script: AuditedScript, wanted: Collection[str], seconds: float | None
) -> AuditProcess:
    job = Job((str(script.path), *script.arguments), (), {}, place.catalog, dict(place.spark), tuple(wanted), seconds)
    return AuditProcess(job, gentle=True)


def _command(path: Path, arguments: Sequence[str], place: CommandSettings) -> list[str]:
    options = place.options + ([] if place.experiment is None else ["--experiment", place.experiment])
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
                _end(process)
                raise
        return live.overtaken()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a run, which records what it had. A run that a terminal's Ctrl-C has interrupted goes on with that.

    SIGTERM, as a shell's background jobs and their children ignore SIGINT.
    """
    process.terminate()
    try:
        process.wait(_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
