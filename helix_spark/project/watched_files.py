"""The author's files while a command watches them: which there are, when a save is over, and what it changed."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from threading import Event
from traceback import walk_tb
from types import ModuleType

from helix_spark.errors import HelixError
from helix_spark.identity.objects.origin import is_project_file
from helix_spark.visible_text import named

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
    """Return the file of a module; of a folder that is a package without an ``__init__.py`` the one that would make it
    another package; and of a module that put something else into its place, as ``sys.modules[__name__] = Settings()``
    does."""
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

_MOST_FILES = 3

POLL_SECONDS = 0.05
"""How often files are looked at. Cheap for a project's files, and too short to be noticed."""

_SETTLED = 0.01
"""Seconds without a change after which a save is over: most editors and programs empty a file before they fill it."""

_EMPTY = 1.0
"""Seconds for which a file that was emptied is taken for one that is about to be filled."""

_RARER, _LONGEST_POLL = 20, 1.0
"""Where a look takes long (thousands of files, a network disk), the pause is this many times as long, up to seconds."""

Stamp = tuple[int, int]

Texts = Mapping[Path, str]


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
    return named([file.name for file in {**after, **before} if before.get(file) != after.get(file)], _MOST_FILES)


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
            while time.perf_counter() - noticed < _EMPTY and (now != last or _is_emptied(before, now)):
                time.sleep(_SETTLED)
                last, now = now, stamps(files)
            return True
        pause = min(max(POLL_SECONDS, _RARER * (time.perf_counter() - began)), _LONGEST_POLL)
    return False


def _is_emptied(before: Mapping[Path, Stamp], now: Mapping[Path, Stamp]) -> bool:
    return any(size == 0 < before.get(file, (0, 0))[1] for file, (_, size) in now.items())


def stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    """Return each file's time of change and size."""
    stamps = {}
    for file in files:
        with suppress(OSError):  # an editor may replace a file by removing it first; the next look finds the new one
            status = file.stat()
            stamps[file] = (status.st_mtime_ns, status.st_size)
    return stamps
