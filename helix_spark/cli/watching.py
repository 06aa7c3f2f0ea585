"""`helix watch`: runs a file's workflow at each save, in one warm session."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path
from threading import Event
from traceback import walk_tb
from types import ModuleType
from typing import TYPE_CHECKING

from helix_spark.cli.overtaking import SeenRun, edited, overtaking, planned_elsewhere, texts_of
from helix_spark.cli.terminal import say
from helix_spark.errors import HelixError, OvertakenError
from helix_spark.signature.objects.origin import is_project_file

if TYPE_CHECKING:
    from helix_spark.helix import Helix

POLL_SECONDS = 0.05
"""How often files are looked at. Cheap for a project's files, and too short to be noticed."""

_SETTLED = 0.01
"""Seconds without a change after which a save is over: most editors and programs empty a file before they fill it."""

_EMPTY = 1.0
"""Seconds for which a file that was emptied is taken for one that is about to be filled."""

_RARER, _LONGEST_POLL = 20, 1.0
"""Where a look takes long (thousands of files, a network disk), the pause is this many times as long, up to seconds."""

Stamp = tuple[int, int]

_NEVER = frozenset({"__main__", "__mp_main__", "helix_spark", "pyspark", "py4j", "delta"})
"""Modules that stay loaded, wherever they lie: a distribution of Spark need not be in a site-packages folder."""


def watch_file(
    path: Path, function: str | None, settings: Sequence[str], engine: Helix, seen: SeenRun, plan_options: Sequence[str]
) -> None:
    """Runs now and at each save, until interrupted. An error is shown, and the watch goes on. A save while a run goes
    on ends it where all that it is computing is stale by then.

    Args:
        seen: the engine's observer.
        plan_options: of the command that plans a file that was saved meanwhile.
    """
    from helix_spark.cli.main import run_and_tell, workflow_of

    ours = frozenset(list(sys.modules))
    engine.sessions.warm()
    known: frozenset[Path] = frozenset()
    ran: dict[Path, str] = {}
    target = f"{path}:{function}" if function else str(path)
    since = engine.waiting_since
    while True:
        started = engine.waiting_since = since or time.perf_counter()
        since = None
        before, texts = stamps(known | _project_files(path)), texts_of(known | _project_files(path))
        forget_project(ours)
        if sys.stdout.isatty():
            print("\033[2J\033[H", end="")
        if ran and (edit := edited(ran, texts)):
            say(f"saved: {edit}")
        broken: set[Path] = set()
        try:
            workflow = workflow_of(path, function, settings, engine)
            files = _project_files(path)
            ran = texts_of(files) | {file: texts[file] for file in files & texts.keys()}
            with overtaking(
                seen, next_save, partial(planned_elsewhere, target, plan_options), engine.overtake, ran
            ):
                run_and_tell(engine, workflow, "", print_answer=True)
        except OvertakenError as overtaken:
            say(f"{overtaken.what}; going on with the new text")
            known = _project_files(path)
            continue
        except HelixError as error:
            say(f"error: {error}")
            broken = {*known, *_blamed(error)}
        seconds = time.perf_counter() - started
        say(f"{seconds:.2f} s from save to answer; watching {path}, Ctrl-C ends")
        known = _project_files(path) | broken
        # What was saved while it ran counts as saved now; files it has loaded for the first time, as they are.
        before = {file: before.get(file, stamp) for file, stamp in stamps(known).items()}
        await_change(known, before)
        engine.end_audits()


def next_save(last: Mapping[Path, str], over: Event) -> dict[Path, str] | None:
    """What is in files once it is something else than this; None once the event is set before that."""
    looked: dict[Path, Stamp] = {}
    while not over.wait(POLL_SECONDS):
        if (now := stamps(last)) != looked:
            _await_end_of_save(last, looked, now)
            looked = stamps(last)
            if (found := texts_of(last)).keys() == last.keys() and found != last:
                return found
    return None


def forget_project(kept: Collection[str] = ()) -> None:
    """Forgets the project's own modules, so that the next import reads them as they are now.

    Args:
        kept: modules that stay. What was there before the author's file was loaded is not of the project, wherever it
            lies, as a debugger does.
    """
    old = {name: one for name, one in list(sys.modules.items()) if name not in kept and _is_project(name, one)}
    for name, module in old.items():
        sys.modules.pop(name, None)
        parent, _, last = name.rpartition(".")
        package = sys.modules.get(parent)
        # A package that stays, as an installed one to which the project adds, would go on giving out the old module.
        if parent not in old and isinstance(package, ModuleType) and vars(package).get(last) is module:
            delattr(package, last)


def _project_files(path: Path) -> frozenset[Path]:
    """The watched file and the project's files that it has loaded."""
    loaded = [_files_of(name, module) for name, module in list(sys.modules.items()) if _is_project(name, module)]
    return frozenset({path.resolve()}.union(*([Path(file) for file in files] for files in loaded)))


def _blamed(error: HelixError) -> Iterator[Path]:
    """The project's files that an error comes from. A module that could not be imported is not among the loaded ones,
    and has to be watched all the more."""
    if error.where is not None:
        yield Path(error.where.file).absolute()
    cause = error.__cause__
    files = [frame.f_code.co_filename for frame, _ in walk_tb(cause.__traceback__)] if cause is not None else []
    files += [cause.filename] if isinstance(cause, SyntaxError) and cause.filename else []
    yield from (Path(file).absolute() for file in files if not file.startswith("<") and is_project_file(file))


def await_change(files: Iterable[Path], before: Mapping[Path, Stamp]) -> None:
    while True:
        began = time.perf_counter()
        if (now := stamps(files)) != before:
            return _await_end_of_save(files, before, now)
        took = time.perf_counter() - began
        time.sleep(min(max(POLL_SECONDS, _RARER * took), _LONGEST_POLL))


def _await_end_of_save(files: Iterable[Path], before: Mapping[Path, Stamp], now: Mapping[Path, Stamp]) -> None:
    """Waits until files hold still, and none is empty that was not; for a file that is meant to be empty not long."""
    noticed = time.perf_counter()
    while time.perf_counter() - noticed < _EMPTY:
        time.sleep(_SETTLED)
        last, now = now, stamps(files)
        if now == last and not any(size == 0 < before.get(file, (0, 0))[1] for file, (_, size) in now.items()):
            return


def stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    """Each file's time of change and size."""
    stamps = {}
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue  # an editor may replace a file by removing it first; the next look finds the new one
        stamps[file] = (status.st_mtime_ns, status.st_size)
    return stamps


def _is_project(name: str, module: object) -> bool:
    """Whether a module is read from files of the project alone, wherever they lie: its library may be installed from a
    checkout. A folder that an installed package shares with it stays."""
    own = str(vars(module).get("__name__")) if isinstance(module, ModuleType) else name  # an entry may be an alias
    if not _NEVER.isdisjoint(one.partition(".")[0] for one in (name, own)):
        return False
    files = _files_of(name, module)
    return bool(files) and all(map(is_project_file, files))


def _files_of(name: str, module: object) -> list[str]:
    """The file of a module; of a folder that is a package without an ``__init__.py`` the one that would make it another
    package."""
    if not isinstance(module, ModuleType):
        return _file_behind(name) if module is not None else []
    file = vars(module).get("__file__")
    return [file] if isinstance(file, str) else [str(Path(folder) / "__init__.py") for folder in _folders(module)]


def _file_behind(name: str) -> list[str]:
    """The file of a module that put something else into its place: ``sys.modules[__name__] = Settings()``."""
    parent = name.rpartition(".")[0]
    folders = _folders(sys.modules.get(parent)) if parent else None
    found = PathFinder.find_spec(name, folders) if folders != [] else None
    return [found.origin] if found is not None and found.origin is not None and found.has_location else []


def _folders(package: object) -> list[str]:
    """Where the modules of a package lie; none of what is no package."""
    try:
        return [*vars(package)["__path__"]] if isinstance(package, ModuleType) else []
    except (KeyError, TypeError):  # also where a folder's own package is gone
        return []
