"""`helix watch`: runs a file's workflow at each save, in one warm session."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from helix_spark.errors import HelixError
from helix_spark.signature.origin import is_project_file

if TYPE_CHECKING:
    from helix_spark.helix import Helix

POLL_SECONDS = 0.05
"""How often files are looked at. Cheap for a project's files, and too short to be noticed."""

Stamp = tuple[int, int]

_NEVER = frozenset({"__main__", "__mp_main__", "pyspark", "py4j", "delta"})
"""Modules that stay loaded, wherever they lie: a distribution of Spark need not be in a site-packages folder."""


def watch_file(path: Path, function: str | None, settings: Sequence[str], engine: Helix) -> None:
    """Runs now and at each save, until interrupted. An error is shown, and the watch goes on."""
    from helix_spark.cli.main import run_and_tell, workflow_of

    engine.sessions.warm()
    known: frozenset[Path] = frozenset()
    while True:
        started = time.perf_counter()
        before = _stamps(known | _project_files(path))
        forget_project(path)
        if sys.stdout.isatty():
            print("\033[2J\033[H", end="")
        broken: set[Path] = set()
        try:
            run_and_tell(engine, workflow_of(path, function, settings, engine), "", print_answer=True)
        except HelixError as error:
            print(f"error: {error}", flush=True)
            # A module that could not be imported is not among the loaded ones, and has to be watched all the more.
            broken = {*known, *([Path(error.where.file).absolute()] if error.where is not None else [])}
        seconds = time.perf_counter() - started
        print(f"{seconds:.2f} s from save to answer; watching {path}, Ctrl-C ends", flush=True)
        known = _project_files(path) | broken
        # What was saved while it ran counts as saved now; files it has loaded for the first time, as they are.
        before = {file: before.get(file, stamp) for file, stamp in _stamps(known).items()}
        while _stamps(known) == before:
            time.sleep(POLL_SECONDS)


def forget_project(path: Path) -> None:
    """Forgets the project's own modules, so that the next import reads them as they are now."""
    for name in [name for name, module in list(sys.modules.items()) if _is_project(module, path)]:
        del sys.modules[name]


def _project_files(path: Path) -> frozenset[Path]:
    """The watched file and the project's files that it has loaded."""
    loaded = (module.__file__ for module in list(sys.modules.values()) if _is_project(module, path))
    return frozenset({path.resolve()} | {Path(str(file)) for file in loaded})


def _stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    """Each file's time of change and size."""
    stamps = {}
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue  # an editor may replace a file by removing it first; the next look finds the new one
        stamps[file] = (status.st_mtime_ns, status.st_size)
    return stamps


def _is_project(module: ModuleType, path: Path) -> bool:
    """Whether a module's file is the project's, and lies in the folder of the watched file or in the current one.

    An interpreter may lie there, too: in the home folder, in a project's environment, and below / it always does.
    """
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or module.__name__.partition(".")[0] in _NEVER or not is_project_file(file):
        return False
    return any(Path(file).is_relative_to(folder) for folder in (path.resolve().parent, Path.cwd()))
