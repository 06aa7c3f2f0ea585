"""`helix watch`: one loop that runs a file at each save, a workflow or a script; what a save ends, which files are
watched, and when a save is over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path
from threading import Event, Thread
from traceback import walk_tb
from types import ModuleType
from typing import TYPE_CHECKING

from helix_spark.catalog.catalog import Catalog
from helix_spark.cli.options import CommandSettings, waiting_since
from helix_spark.cli.programs import ScriptFile, check_settings, tell
from helix_spark.cli.terminal import say
from helix_spark.cli.workflow_runs import WorkflowFile, open_helix, run_and_print
from helix_spark.errors import HelixError, OvertakenError, ParameterError
from helix_spark.history.iteration_lookup import last_ended
from helix_spark.history.states import proofs_of
from helix_spark.identity.objects.origin import is_project_file
from helix_spark.program.program_text import files_of_program, needs_classic
from helix_spark.run.auditor import Auditor, AuditProcess, Begin, Job
from helix_spark.run.recorded_answers import RecordedAnswers
from helix_spark.tracking.sender import URI_VARIABLE
from helix_spark.visible_text import named

if TYPE_CHECKING:
    from helix_spark.helix import Helix

_MOST_NAMES = 3
"""Files or nodes that a line names."""

_TO_END = 10.0
"""Seconds that a run has to end once it is told to."""

Stamp = tuple[int, int]

Texts = Mapping[Path, str]


def watch_workflow(work: WorkflowFile, place: CommandSettings) -> None:
    """Run a workflow in one warm session at each save."""
    conf = (f"{name}={value}" for name, value in place.spark.items())
    given = [*(("--set", one) for one in work.settings), *(("--conf", one) for one in conf)]
    target = f"{work.path}:{work.function}" if work.function else str(work.path)
    plan = partial(planned_elsewhere, [target, *place.options, *(word for pair in given for word in pair)])
    with open_helix(place, quiet=False, one_run=False) as engine:
        _watch_workflow(work, engine, plan)


def _watch_workflow(work: WorkflowFile, engine: Helix, plan: Callable[[Event], frozenset[str]]) -> None:
    ours, context = frozenset(list(sys.modules)), copy_context()
    broken = set[Path]()
    engine.sessions.warm()

    def load_and_run(texts: Texts) -> None:
        workflow = work.load(engine)
        files = project_files(work.path)
        loaded = texts_of(files) | {file: texts[file] for file in files & texts.keys()}
        with overtaking(engine.stale_by, plan, engine.overtake, loaded):
            run_and_print(engine, workflow, "", print_answer=True)

    def files() -> frozenset[Path]:
        return project_files(work.path).union(broken)

    def run(texts: Texts, started: float) -> None:
        engine.waiting_since, known = started, files()
        forget_project(ours)
        broken.clear()
        try:
            context.copy().run(load_and_run, texts)  # what an earlier text of the file set is not there any more
        except HelixError as error:
            if not isinstance(error, OvertakenError):
                broken.update(known, blamed(error))
            raise

    _watch(work.path, files, run, engine.end_audits, to_stderr=False, since=waiting_since())


def watch_program(script: ScriptFile, place: CommandSettings) -> None:
    """Run a script in a process of its own at each save, next to a server that stays."""
    from helix_spark.engine.server.starting import HeldServer

    if (reason := needs_classic(script.path)) is not None:
        raise ParameterError(str(reason), remedy="run it by `helix run`, which starts one, and reuses nothing")
    check_settings(place, {})
    auditor, server = Auditor(place.audit, place.audit_seconds, tell), HeldServer(place.spark, tell)

    def begin(wanted: Collection[str], seconds: float) -> AuditProcess:
        work = str(script.path), *script.arguments
        return AuditProcess(Job(work, (), {}, place.catalog, dict(place.spark), tuple(wanted), seconds))

    def run(texts: Texts, started: float) -> None:
        turn, environment = auditor.stop(), dict(os.environ)
        if place.mlflow is not None:  # not on the command line: it may hold a password
            environment[URI_VARIABLE] = place.mlflow
        with subprocess.Popen(_command(script, place), env=environment) as process:
            try:
                process.wait()
            except BaseException:
                _end(process)
                raise
        server.hold()  # it may be another one now
        if place.audit == "idle":
            audit_when_idle(auditor, turn, script, place, begin)

    try:
        _watch(script.path, lambda: files_of_program(script.path), run, auditor.stop, to_stderr=True)
    finally:
        auditor.stop()
        server.close()


def _watch(
    path: Path, files_now: Callable[[], Collection[Path]], run: Callable[[Texts, float], None],
    end_audits: Callable[[], object], *, to_stderr: bool, since: float | None = None,
) -> None:
    """Run a file now and at each save, until interrupted. An error is shown, and the watch goes on.

    Args:
        run: runs it, given what is in its files, and `time.perf_counter()` at the save. Raises OvertakenError where a
            save meanwhile ends the run: all that is being computed is stale by then.
        to_stderr: True if standard output is for what the file prints.
        since: when the first run began to be waited for.
    """
    ran: Texts = {}
    while True:
        known = files_now()
        before, texts = stamps(known), texts_of(known)
        if sys.stdout.isatty():
            print("\033[2J\033[H", end="", flush=True)  # an empty screen
        if ran and (edit := edited(ran, texts)):
            say(f"saved: {edit}", to_stderr=to_stderr)
        started, since, is_overtaken = since or time.perf_counter(), None, False
        try:
            run(texts, started)
        except OvertakenError as overtaken:
            say(f"{overtaken.what}; going on with the new text", to_stderr=to_stderr)
            is_overtaken = True
        except HelixError as error:
            say(f"error: {error}", to_stderr=to_stderr)
        seconds = time.perf_counter() - started
        known = files_now()
        ran = texts_of(known) | {file: text for file, text in texts.items() if file in known}
        if is_overtaken:
            continue
        say(f"{seconds:.2f} s from save to answer; watching {path}, Ctrl-C ends", to_stderr=to_stderr)
        # What was saved while it ran counts as saved now; files it has loaded for the first time, as they are.
        await_change(known, {file: before.get(file, stamp) for file, stamp in stamps(known).items()})
        end_audits()


def audit_when_idle(auditor: Auditor, turn: Event, script: ScriptFile, place: CommandSettings, begin: Begin) -> None:
    """Audit the unproven answers of a script's last run in the background, unless that takes too long."""
    catalog = Catalog.open(place.catalog, create=True, shared=place.shared)
    name = script.path.stem
    last, record = last_ended(catalog, name), RecordedAnswers(catalog, name)
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
        auditor.audit_when_idle(turn, name, unproven, begin)


def _command(script: ScriptFile, place: CommandSettings) -> list[str]:
    options = place.options + ([] if place.experiment is None else ["--experiment", place.experiment])
    return [sys.executable, "-m", "helix_spark", "run", str(script.path), *options, "--", *script.arguments]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a run, which records what it had. A run that a terminal's Ctrl-C has interrupted goes on with that."""
    process.terminate()  # a shell's background jobs and their children ignore SIGINT
    try:
        process.wait(_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()


# What a save does to a workflow's run that is under way: where all that is being computed is stale by the edit, the run
# is ended, and the watch goes on with the new text. What is still good is left to come to its end. What an edit makes
# stale is told by a plan of the new text, which a process of its own makes: this one has the modules of the old text
# loaded, and functions of them are running.

_LOOK_AGAIN = 0.2
"""Seconds after which it is looked again whether what is stale is all that runs."""


@contextmanager
def overtaking(
    stale_by: Callable[[frozenset[str]], tuple[str, ...]], signatures: Callable[[Event], frozenset[str]],
    end: Callable[[str], None], before: Texts,
) -> Iterator[None]:
    """Look out for saves while a run goes on, in a thread of its own; `end` it where all that runs is stale.

    Args:
        stale_by: tells which nodes of the run a plan of these signatures makes stale, see `Followed.stale_by`.
        signatures: of all nodes as the files are now; none where they cannot be planned. The event ends the look.
        before: what is in the files that run.
    """
    over = Event()

    def look_out() -> None:
        texts = before
        while (found := next_save(texts, over)) is not None:
            texts = found
            wanted = signatures(over) if texts != before else frozenset[str]()
            while wanted and not over.wait(_LOOK_AGAIN) and texts_of(texts) == texts:
                if stale := stale_by(wanted):
                    were = "was" if len(stale) == 1 else "were"
                    end(f"{edited(before, texts)} saved while {named(stale, _MOST_NAMES)} {were} to be computed of the "
                        "old text")

    thread = Thread(target=look_out, name="helix-saves", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def planned_elsewhere(arguments: Sequence[str], over: Event) -> frozenset[str]:
    """Return the signatures of all nodes as a file is now, by `helix plan` in a process of its own, which the event
    ends; none where it cannot be planned, as one that is half written."""
    command = [sys.executable, "-m", "helix_spark", "plan", "--json", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        said = ""
        while not over.is_set():
            try:
                said, _ = process.communicate(timeout=_LOOK_AGAIN)
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            process.kill()
        if process.wait():
            return frozenset()
    try:
        return frozenset(node[which] for node in json.loads(said)["nodes"] for which in ("declared", "signature"))
    except (ValueError, KeyError, TypeError):
        return frozenset()


# The project's files

_NEVER = frozenset({"__main__", "__mp_main__", "helix_spark", "pyspark", "py4j", "delta"})
"""Modules that stay loaded, wherever they lie: a distribution of Spark need not be in a site-packages folder."""


def forget_project(kept: Collection[str] = ()) -> None:
    """Forget the project's own modules, so that the next import reads them as they are now; but those `kept`, which
    were there before the author's file was loaded, as a debugger is."""
    old = {name: one for name, one in list(sys.modules.items()) if name not in kept and _is_project(name, one)}
    for name, module in old.items():
        sys.modules.pop(name, None)
        parent, _, last = name.rpartition(".")
        package = sys.modules.get(parent)
        # A package that stays, as an installed one to which the project adds, would go on giving out the old module.
        if parent not in old and isinstance(package, ModuleType) and vars(package).get(last) is module:
            delattr(package, last)


def project_files(path: Path) -> frozenset[Path]:
    """Return the watched file and the project's files that it has loaded."""
    loaded = [_files_of(name, module) for name, module in list(sys.modules.items()) if _is_project(name, module)]
    return frozenset({path.resolve()}.union(*([Path(file) for file in files] for files in loaded)))


def blamed(error: HelixError) -> Iterator[Path]:
    """Yield the project's files that an error comes from. A module that could not be imported is not among the loaded
    ones, and has to be watched all the more."""
    if error.where is not None:
        yield Path(error.where.file).absolute()
    cause = error.__cause__
    files = [frame.f_code.co_filename for frame, _ in walk_tb(cause.__traceback__)] if cause is not None else []
    files += [cause.filename] if isinstance(cause, SyntaxError) and cause.filename else []
    yield from (Path(file).absolute() for file in files if not file.startswith("<") and is_project_file(file))


def _is_project(name: str, module: object) -> bool:
    """Return whether a module is read from files of the project alone, wherever they lie: its library may be installed
    from a checkout. A folder that an installed package shares with it stays."""
    own = str(vars(module).get("__name__")) if isinstance(module, ModuleType) else name  # an entry may be an alias
    if not _NEVER.isdisjoint(one.partition(".")[0] for one in (name, own)):
        return False
    files = _files_of(name, module)
    return bool(files) and all(map(is_project_file, files))


def _files_of(name: str, module: object) -> list[str]:
    """Return the file of a module, also of one that put something else into its place, as ``sys.modules[__name__] =
    Settings()`` does; of a package without an ``__init__.py`` the one that would make it another package."""
    if not isinstance(module, ModuleType):
        parent = name.rpartition(".")[0]
        folders = _folders(sys.modules.get(parent)) if parent else None
        found = None if module is None or folders == [] else PathFinder.find_spec(name, folders)
        return [found.origin] if found is not None and found.origin is not None and found.has_location else []
    file = vars(module).get("__file__")
    return [file] if isinstance(file, str) else [str(Path(folder) / "__init__.py") for folder in _folders(module)]


def _folders(package: object) -> list[str]:
    try:
        return [*vars(package)["__path__"]] if isinstance(package, ModuleType) else []
    except (KeyError, TypeError):  # also where a folder's own package is gone
        return []


# Saves

POLL_SECONDS = 0.05
"""How often files are looked at. Cheap for a project's files, and too short to be noticed."""

_SETTLED = 0.01
"""Seconds without a change after which a save is over: most editors and programs empty a file before they fill it."""

_EMPTY = 1.0
"""Seconds for which a file that was emptied is taken for one that is about to be filled."""

_RARER, _LONGEST_POLL = 20, 1.0
"""Where a look takes long (thousands of files, a network disk), the pause is this many times as long, up to seconds."""


def texts_of(files: Iterable[Path]) -> dict[Path, str]:
    """Return what is in each file; one that is not there, or is no text, has none."""
    found = {}
    for file in files:
        with suppress(OSError, UnicodeDecodeError):  # an editor may be replacing it
            found[file] = file.read_text(encoding="utf-8")
    return found


def edited(before: Mapping[Path, str], after: Mapping[Path, str]) -> str:
    """Return which files differ, in a line; empty where none does.

    >>> edited({Path("a.py"): "1"}, {Path("a.py"): "2", Path("b.py"): ""}), edited({Path("a.py"): "1"}, {})
    ('`a.py`, `b.py`', '`a.py`')
    """
    return named([file.name for file in {**after, **before} if before.get(file) != after.get(file)], _MOST_NAMES)


def next_save(last: Mapping[Path, str], over: Event) -> dict[Path, str] | None:
    """Return what is in files once it is something else than this; None once the event is set before that."""
    looked: dict[Path, Stamp] = {}
    while await_change(last, looked, over):
        looked = stamps(last)
        if (found := texts_of(last)).keys() == last.keys() and found != last:
            return found
    return None


def await_change(files: Iterable[Path], before: Mapping[Path, Stamp], over: Event | None = None) -> bool:
    """Wait until files have other stamps than these, hold still, and none is empty that was not, unless that lasts.
    Return False once the event is set before that."""
    over, pause = over or Event(), POLL_SECONDS
    while not over.wait(pause):
        began = time.perf_counter()
        if (now := stamps(files)) != before:
            noticed = time.perf_counter()
            last: Mapping[Path, Stamp] | None = None
            emptied = True
            while time.perf_counter() - noticed < _EMPTY and (now != last or emptied):
                time.sleep(_SETTLED)
                last, now = now, stamps(files)
                emptied = any(size == 0 < before.get(file, (0, 0))[1] for file, (_, size) in now.items())
            return True
        pause = min(max(POLL_SECONDS, _RARER * (time.perf_counter() - began)), _LONGEST_POLL)
    return False


def stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    """Return each file's time of change and size."""
    stamps = {}
    for file in files:
        with suppress(OSError):  # an editor may replace a file by removing it first; the next look finds the new one
            status = file.stat()
            stamps[file] = (status.st_mtime_ns, status.st_size)
    return stamps
