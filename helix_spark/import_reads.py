"""What libraries read while they are imported, besides their own files, and which others they import: it counts for all
code that reaches them. And what the statements of the author's modules read."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from types import BuiltinFunctionType, FrameType, FunctionType, ModuleType
from typing import Any

from helix_spark.hermetic.asking import OF_MACHINE, SITES, Asker, CodeOwner, callers, group_asked, is_code, library_of
from helix_spark.loaded_sources import is_loading

_KINDS = {"open": "files", "os.listdir": "told", "os.scandir": "told"}
"""By audit event, the field of `ObservedInputs` for what it tells."""

_OF_MACHINE = (*OF_MACHINE, "/usr/share/", "/usr/lib/", "/.cache/")
"""In paths of what a system brings, or a library has computed for itself."""

_OF_A_TERMINAL = frozenset({
    "_", "CLICOLOR", "COLORTERM", "COLUMNS", "DISPLAY", "FORCE_COLOR", "LINES", "LS_COLORS", "NO_COLOR", "OLDPWD",
    "PS1", "PWD", "SHLVL", "STY", "TERM", "TMUX", "TMUX_PANE", "WINDOWID",
})
_OF_A_SHELL = (
    "SSH_", "XDG_SESSION_", "XDG_RUNTIME_DIR", "DBUS_", "GPG_", "TERM_", "VSCODE_", "JPY_", "ITERM_", "KITTY_", "VTE_",
    "WT_", "GNOME_", "KONSOLE_", "PYTEST_", "HELIX",
)
"""Variables that differ between terminals and say nothing to a worker; and Helix's own, for a run alone."""

_OF_PEOPLE = frozenset({"HOME", "LOGNAME", "USER", "PATH", "TMPDIR", "TEMP", "TMP", "LANG", "LANGUAGE"})
"""Variables that say where files are, which count themselves, and the language, which does."""

_LOCKS = vars(importlib._bootstrap).get("_module_locks", True)
"""Of the modules that are being imported."""

_busy = threading.local()

_BEGAN = dict(os.environ)
"""Variables before this process may have set any."""

_reads: dict[tuple[str, str], set[str]] = {}
"""Which packages read something, by its field of `ObservedInputs`, in order."""

_read_by_lines: dict[tuple[str, int], dict[str, None]] = {}
"""The files that lines of the author's modules read as these were imported, by file and line."""


@cache
def note_import_reads() -> None:
    """Note what libraries read as they are imported from now on; once a process."""
    environ: Any = type(os.environ)
    get = environ.__getitem__

    def getitem(self: Any, variable: str) -> Any:
        if (_LOCKS or is_loading()) and isinstance(variable, str):
            _note(sys._getframe(1), "environment", variable)
        return get(self, variable)

    environ.__getitem__ = getitem
    sys.addaudithook(_hook)


def _hook(event: str, given: tuple[Any, ...]) -> None:
    if event not in _KINDS or not (_LOCKS or is_loading()):
        return
    path = "." if given[0] is None else given[0]
    writes = event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)
    if isinstance(path, str | bytes | os.PathLike) and not writes:
        _note(sys._getframe(1), _KINDS[event], os.fsdecode(path))


def _note(frame: FrameType, kind: str, name: str) -> None:
    if getattr(_busy, "is_so", False):
        return
    if kind == "files" and (by := _statement(frame)) is not None:
        read = _read_by_lines.setdefault((by.f_code.co_filename, by.f_lineno), {})
        read[os.path.abspath(name)] = None  # noqa: PTH100  # as below
    if not (packages := _importers(frame)):
        return
    if kind == "environment":
        if name in _OF_PEOPLE or name.startswith("LC_") or is_of_a_terminal(name):
            return
        own = next((one for one, kind in callers(frame) if kind is not CodeOwner.HELIX), frame)
        if own.f_code.co_name == "__iter__":  # it looks through all values, for those that are called as itself
            packages = [one for one in packages if name.lower().startswith(one.lower())]
    else:
        path = os.path.abspath(name)  # noqa: PTH100  # a path's own `absolute` keeps `..`
        if (group := group_asked(frame)) is not None:
            kind, name = "told", f"entry points of {group}"
        elif _is_uncounted(kind, path):
            return
        else:
            packages = [one for one in packages if not _is_installed_of(one, path)]
            name = path if kind == "files" else f"names of {path}"
    if packages:
        _reads.setdefault((kind, name), set()).update(packages)
        _busy.is_so = True
        try:
            _note_in_action(kind, name, Asker(CodeOwner.LIBRARY, packages[0], ""))
        finally:
            _busy.is_so = False


def _note_in_action(kind: str, name: str, who: Asker) -> None:
    """Note the same for the action that imports the library: where nothing else does, no signature has it."""
    module = sys.modules.get("helix_spark.hermetic.action")
    action = getattr(module, "current", lambda: None)()
    if action is None or action.watch is None:
        return
    if kind == "environment":
        action.watch.note_variable(name, who)
    elif kind == "files":
        action.watch.note_read(name, who)
    else:
        action.watch.note_answer(name)


def _statement(frame: FrameType) -> FrameType | None:
    """Return the author's module for one of whose statements a file is read, unless that imports another module."""
    for one, kind in callers(frame):
        if one.f_code.co_filename.startswith("<frozen importlib"):
            return None
        if one.f_code.co_name == "<module>":
            return one if kind is CodeOwner.AUTHOR else None
    return None


def files_read_at(file: str, first: int, last: int) -> list[str]:
    """Return the files that lines of a module have read as it was imported."""
    return [path for line in range(first, last + 1) for path in _read_by_lines.get((file, line), ())]


def _importers(frame: FrameType | None) -> list[str]:
    """Return the libraries whose code asks for something while a module is imported, as packages; empty for the import
    system, and for functions that are called later."""
    packages: list[str] = []
    for one, kind in callers(frame):
        if one.f_code.co_filename.startswith("<frozen importlib"):
            return packages
        if kind is CodeOwner.LIBRARY:
            packages.append(library_of(one.f_code.co_filename))
        elif kind is not CodeOwner.PYTHON and (packages or kind is not CodeOwner.HELIX):  # whose wrappers ask first
            return packages if kind is CodeOwner.AUTHOR and one.f_code.co_name == "<module>" else []
    return []


def _is_installed_of(package: str, path: str) -> bool:
    """Return whether a path is below what is installed of a package, to which its metadata belong."""
    return any(f"{site}{package}" in f"{path}/" for site in SITES)


def _is_uncounted(kind: str, name: str) -> bool:
    is_for_modules = name in map(os.path.abspath, sys.path) or is_code(name if kind == "files" else f"{name}/")
    return is_for_modules or any(part in name for part in _OF_MACHINE)


def is_of_a_terminal(variable: str) -> bool:
    """Return whether a variable differs between terminals and says nothing to a worker, or is Helix's own."""
    return variable in _OF_A_TERMINAL or variable.startswith(_OF_A_SHELL)


@cache
def reads_of(packages: frozenset[str]) -> dict[str, str]:
    """Return what packages have read as they were imported and what was there when this process first asked, each with
    what identifies it."""
    from helix_spark.hermetic.generators import ABSENT
    from helix_spark.hermetic.observed_inputs import LOOKS

    read = [
        (kind, name) for (kind, name), by in list(_reads.items())
        if not by.isdisjoint(packages) and (kind != "environment" or os.environ.get(name) == _BEGAN.get(name))
    ]
    return {name: state for kind, name in read if (state := LOOKS[kind](name)) != ABSENT}


@cache
def imported_by(package: str) -> dict[str, str]:
    """Return the other packages of which the module that a package is called as has modules, functions or classes, each
    with a file of it. Which of its other modules are loaded differs from process to process."""
    files = files_of_modules()
    homes: set[object] = set()
    for value in list(vars(sys.modules[package]).values()) if package in files else ():
        kind = type(value)
        if kind in _CODE or issubclass(kind, type):
            homes.add(value.__module__ if isinstance(value.__module__, str) else "")
        elif kind is ModuleType:
            homes.add(value.__name__)
    known = sorted(home for home in files.keys() & homes)
    return {other: files[home] for home in known if (other := library_of(files[home])) not in ("", package)}


_CODE = (FunctionType, BuiltinFunctionType)


def files_of_modules() -> Mapping[str, str]:
    """Return the files of all modules that are loaded, by their names."""
    return _files_of(tuple(sys.modules))


@lru_cache(maxsize=1)
def _files_of(names: Sequence[str]) -> dict[str, str]:
    files = ((name, getattr(sys.modules.get(name), "__dict__", {}).get("__file__")) for name in names)
    return {name: file for name, file in files if isinstance(file, str)}
