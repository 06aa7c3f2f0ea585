"""`helix watch`: run a workflow or a script at each save. Which files are watched, and when a save is over."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from contextvars import copy_context
from hashlib import sha256
from pathlib import Path
from threading import Event
from types import ModuleType

from helix_spark.catalog.catalog import Catalog
from helix_spark.cli.options import CommandSettings, say, waiting_since
from helix_spark.cli.programs import ScriptFile, check_settings, tell
from helix_spark.cli.workflow_runs import WorkflowFile, open_helix, run_and_print
from helix_spark.errors import HelixError, ParameterError
from helix_spark.history.iteration_lookup import last_ended
from helix_spark.history.states import proofs_of
from helix_spark.identity.objects.origin import is_project_file
from helix_spark.loaded_sources import loaded_modules
from helix_spark.program.program_text import files_of_program, needs_classic
from helix_spark.run.auditor import Auditor, Begin, Job, circumstances
from helix_spark.run.recorded_answers import RecordedAnswers
from helix_spark.tracking.sender import URI_VARIABLE
from helix_spark.visible_text import named

_MOST_NAMES = 3
"""Files that a line names."""

_TO_END = 10.0
"""Seconds that a run has to end after SIGTERM."""

Stamp = tuple[int, int]


def watch_workflow(work: WorkflowFile, settings: CommandSettings) -> None:
    """Run a workflow in one warm session at each save."""
    kept_modules, context = frozenset(loaded_modules()), copy_context()
    with open_helix(settings, quiet=False, one_run=False) as engine:
        engine.sessions.warm()

        def run(started: float) -> None:
            engine.waiting_since = started
            forget_project(kept_modules)
            # In a fresh context, without the context variables that an earlier text of the file set.
            context.copy().run(lambda: run_and_print(engine, work.load(engine), "", print_answer=True))

        def files() -> frozenset[Path]:
            return frozenset({work.path.resolve(), *project_modules(kept_modules).values()})

        _watch(work.path, files, run, engine.end_audits, to_stderr=False, since=waiting_since())


def watch_program(script: ScriptFile, settings: CommandSettings) -> None:
    """Run a script in a process of its own at each save, next to a server that stays."""
    from helix_spark.engine.server.starting import HeldServer

    if (reason := needs_classic(script.path)) is not None:
        raise ParameterError(str(reason), remedy="run it by `helix run`, which starts one, and reuses nothing")
    check_settings(settings, {})
    catalog = Catalog.open(settings.catalog, create=True, shared=settings.shared)
    auditor, server = Auditor(settings.audit, settings.audit_seconds, tell, catalog), HeldServer(settings.spark, tell)

    def begin(signatures: Collection[str], seconds: float) -> Job:
        work = str(script.path), *script.arguments
        return Job(work, (), {}, settings.catalog, dict(settings.spark), tuple(signatures), seconds)

    def run(started: float) -> None:
        turn, environment = auditor.stop(), dict(os.environ)
        if settings.mlflow is not None:  # not on the command line: it may hold a password
            environment[URI_VARIABLE] = settings.mlflow
        with subprocess.Popen(_command(script, settings), env=environment) as process:
            try:
                process.wait()
            except BaseException:  # the run records its results; after a terminal's Ctrl-C it does so already
                process.terminate()  # background jobs of a shell ignore SIGINT
                try:
                    process.wait(_TO_END)
                except subprocess.TimeoutExpired:
                    process.kill()
                raise
        server.hold()  # the run may have started another server
        if settings.audit == "all":
            audit_when_idle(auditor, turn, script, settings, begin)

    try:
        _watch(script.path, lambda: files_of_program(script.path), run, auditor.stop, to_stderr=True)
    finally:
        auditor.stop()
        server.close()


def _command(script: ScriptFile, settings: CommandSettings) -> list[str]:
    options = settings.options + ([] if settings.experiment is None else ["--experiment", settings.experiment])
    return [sys.executable, "-m", "helix_spark", "run", str(script.path), *options, "--", *script.arguments]


def _watch(
    path: Path, files_now: Callable[[], Collection[Path]], run: Callable[[float], None],
    end_audits: Callable[[], object], *, to_stderr: bool, since: float | None = None,
) -> None:
    """Run a file now and at each save, until interrupted. An error is printed, and the watch goes on.

    Args:
        run: runs the file; its argument is `time.perf_counter()` at the save.
        to_stderr: True if standard output is reserved for the file's own output.
        since: time at which the command started.
    """
    ran: Mapping[Path, Stamp] = {}
    while True:
        now = stamps(files_now())
        if sys.stdout.isatty():
            print("\033[2J\033[H", end="", flush=True)  # clear the screen
        if ran and (edit := edited(ran, now)):
            say(f"saved: {edit}", to_stderr=to_stderr)
        started, since = since or time.perf_counter(), None
        try:
            run(started)
        except HelixError as error:
            say(f"error: {error}", to_stderr=to_stderr)
        seconds = time.perf_counter() - started
        files = files_now()
        # A save during the run starts the next run at once. A file that this run was the first to load counts as it is.
        ran = {file: now.get(file, stamp) for file, stamp in stamps(files).items()}
        say(f"{seconds:.2f} s from save to answer; watching {path}, Ctrl-C ends", to_stderr=to_stderr)
        await_change(files, ran)
        end_audits()


def audit_when_idle(auditor: Auditor, turn: Event, script: ScriptFile, settings: CommandSettings, begin: Begin) -> None:
    """Audit the unproven answers of a script's last run in the background, unless that takes too long."""
    catalog = Catalog.open(settings.catalog, create=True, shared=settings.shared)
    name = script.path.stem
    last, record = last_ended(catalog, name), RecordedAnswers(catalog, name)
    nodes = () if last is None or last.status != "done" else catalog.nodes(last)
    here = circumstances([sha256(script.path.read_bytes()).hexdigest(), *script.arguments])
    seconds, proofs = sum(record.seconds(node.signature) for node in nodes), proofs_of(nodes, catalog, here)
    unproven = [
        node.signature for node in nodes
        if node.kind == "answer" and proofs[node.name] in ("unproven", "aged") and record.answer(node.signature)
    ]
    if unproven and seconds > settings.audit_seconds:
        tell(f"no audit in the background: it would take about {seconds:.0f} s, and audit_seconds is "
             f"{settings.audit_seconds:.0f}; `helix audit {script.path}` runs one")
    elif unproven:
        auditor.audit_when_idle(turn, name, unproven, begin)


# The project's files

_NEVER = frozenset({"__main__", "__mp_main__", "helix_spark", "pyspark", "py4j", "delta"})
"""Modules that stay loaded wherever they are: a Spark distribution need not be in a site-packages folder."""


def project_modules(kept_modules: Collection[str] = ()) -> dict[str, Path]:
    """Return the files of the project's loaded modules and of those that failed to load, by name; without those of
    `kept_modules`, which were loaded before the author's file, such as a debugger."""
    return {
        name: Path(file) for name, file in loaded_modules().items()
        if name not in kept_modules and name.partition(".")[0] not in _NEVER and is_project_file(file)
    }


def forget_project(kept_modules: Collection[str] = ()) -> None:
    """Unload the project's modules, so that the next import reads their current text; see `project_modules`."""
    files = project_modules(kept_modules)
    for name, module in sys.modules.copy().items():
        attributes = vars(module) if isinstance(module, ModuleType) else {}
        if name in files or attributes.get("__name__") in files:  # an entry may be an alias
            sys.modules.pop(name, None)
            parent, _, last = name.rpartition(".")
            package = sys.modules.get(parent)
            # A package that stays, such as a folder without an `__init__.py`, would still have the old module.
            if isinstance(package, ModuleType) and vars(package).get(last) is module:
                delattr(package, last)


# Saves

POLL_SECONDS = 0.05
"""Seconds between two checks of the files: cheap for a project's files, and too short to be noticed."""

_SETTLED = 0.01
"""Seconds without a change after which a save is over: most editors truncate a file before they write it."""

_EMPTY = 1.0
"""Seconds for which an emptied file counts as one that is about to be written."""

_RARER, _LONGEST_POLL = 20, 1.0
"""The pause as a multiple of a slow check (thousands of files, a network disk), and its greatest length in seconds."""


def edited(before: Mapping[Path, Stamp], after: Mapping[Path, Stamp]) -> str:
    """Return the names of the files whose stamps differ; empty if none do.

    >>> edited({Path("a.py"): (1, 1)}, {Path("a.py"): (2, 1), Path("b.py"): (1, 0)}), edited({Path("a.py"): (1, 1)}, {})
    ('`a.py`, `b.py`', '`a.py`')
    """
    return named([file.name for file in {**after, **before} if before.get(file) != after.get(file)], _MOST_NAMES)


def await_change(files: Iterable[Path], before: Mapping[Path, Stamp]) -> None:
    """Wait until the files' stamps differ from these and are at rest, and none is empty, or a second has passed."""
    pause = POLL_SECONDS
    while True:
        time.sleep(pause)
        began = time.perf_counter()
        if (now := stamps(files)) != before:
            break
        pause = min(max(POLL_SECONDS, _RARER * (time.perf_counter() - began)), _LONGEST_POLL)
    noticed, last, is_emptied = time.perf_counter(), before, True
    while time.perf_counter() - noticed < _EMPTY and (now != last or is_emptied):
        time.sleep(_SETTLED)
        last, now = now, stamps(files)
        is_emptied = any(size == 0 < before.get(file, (0, 0))[1] for file, (_, size) in now.items())


def stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    """Return each file's time of change and size."""
    stamps = {}
    for file in files:
        with suppress(OSError):  # an editor may remove a file before it writes the new one
            status = file.stat()
            stamps[file] = (status.st_mtime_ns, status.st_size)
    return stamps
