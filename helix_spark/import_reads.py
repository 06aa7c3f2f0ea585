"""Reads during imports: by libraries, of files that are not their own, and by the statements of the author's modules.
Reads and imports of a library count for all code that reaches it."""

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
"""The field of `ObservedInputs` of each audit event."""

_UNCOUNTED_PATHS = (*OF_MACHINE, "/usr/share/", "/usr/lib/", "/.cache/")
"""Parts of paths of the system's files and of caches."""

_TERMINAL_VARIABLES = frozenset({
    "_", "CLICOLOR", "CLICOLOR_FORCE", "COLORTERM", "COLUMNS", "DISPLAY", "FORCE_COLOR", "GIT_PAGER", "LINES",
    "LS_COLORS", "NO_COLOR", "OLDPWD", "PAGER", "PS1", "PWD", "SHLVL", "STY", "TERM", "TMUX", "TMUX_PANE", "WINDOWID",
})
_TERMINAL_PREFIXES = (
    "SSH_", "XDG_SESSION_", "XDG_RUNTIME_DIR", "DBUS_", "GPG_", "TERM_", "VSCODE_", "JPY_", "ITERM_", "KITTY_", "VTE_",
    "WT_", "GNOME_", "KONSOLE_", "PYDEVD_", "PYTEST_", "HELIX",
)
"""Variables that differ between terminals and mean nothing to a worker; and Helix's own, which are for one run."""

_CONTEXT_VARIABLES = ("SPARK_AUTH_SOCKET_TIMEOUT", "SPARK_BUFFER_SIZE")
"""Variables that pyspark sets as it starts a context in this process, from its settings."""

_USER_VARIABLES = frozenset({"HOME", "LOGNAME", "USER", "PATH", "TMPDIR", "TEMP", "TMP", "LANG", "LANGUAGE"})
"""Variables that are not recorded: locations, as files read there are, and the language, as the locale is."""

_LOCKS = vars(importlib._bootstrap).get("_module_locks", True)
"""Locks of the modules that are being imported."""

_busy = threading.local()

_INITIAL_ENVIRONMENT = dict(os.environ)
"""The variables before this process's code could set any."""

_reads: dict[tuple[str, str], set[str]] = {}
"""The packages that read an input, in order, by the input's field of `ObservedInputs` and its name."""

_reads_of_lines: dict[tuple[str, int], dict[str, None]] = {}
"""The files that a line of an author's module read during its import, by file and line."""

_set_by_imports: set[str] = set()
"""The variables that libraries set as they were imported; workers that import these set them, too."""


@cache
def note_import_reads() -> None:
    """Note reads during imports, and variables set there, from now on; once a process."""
    environ: Any = type(os.environ)
    get, put = environ.__getitem__, environ.__setitem__

    def getitem(self: Any, variable: str) -> Any:
        if (_LOCKS or is_loading()) and isinstance(variable, str):
            _note(sys._getframe(1), "environment", variable)
        return get(self, variable)

    def setitem(self: Any, variable: str, value: str) -> None:
        if _LOCKS and variable not in _INITIAL_ENVIRONMENT and _importers(sys._getframe(1), of_authors=False):
            _set_by_imports.add(variable)
        put(self, variable, value)

    environ.__getitem__, environ.__setitem__ = getitem, setitem
    sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _KINDS or not (_LOCKS or is_loading()):
        return
    path = "." if arguments[0] is None else arguments[0]
    is_write = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if isinstance(path, str | bytes | os.PathLike) and not is_write:
        _note(sys._getframe(1), _KINDS[event], os.fsdecode(path))


def _note(frame: FrameType, kind: str, name: str) -> None:
    if getattr(_busy, "is_noting", False):
        return
    if kind == "files" and (statement := _statement(frame)) is not None:
        files = _reads_of_lines.setdefault((statement.f_code.co_filename, statement.f_lineno), {})
        files[os.path.abspath(name)] = None  # noqa: PTH100  # as below
    if not (packages := _importers(frame)):
        return
    if kind == "environment":
        if name in _USER_VARIABLES or name.startswith("LC_") or is_of_this_process(name):
            return
        reader = next((caller for caller, owner in callers(frame) if owner is not CodeOwner.HELIX), frame)
        if reader.f_code.co_name == "__iter__":  # a loop over all variables searches for the package's prefix
            packages = [package for package in packages if name.lower().startswith(package.lower())]
    else:
        path = os.path.abspath(name)  # noqa: PTH100  # a path's own `absolute` keeps `..`
        if (group := group_asked(frame)) is not None:
            kind, name = "told", f"entry points of {group}"
        elif _is_uncounted(kind, path):
            return
        else:
            # Files of their installations, including metadata, are their own.
            packages = [name for name in packages if not any(f"{site}{name}" in f"{path}/" for site in SITES)]
            name = path if kind == "files" else f"names of {path}"
    if packages:
        _reads.setdefault((kind, name), set()).update(packages)
        _busy.is_noting = True
        try:
            _note_in_action(kind, name, Asker(CodeOwner.LIBRARY, packages[0], ""))
        finally:
            _busy.is_noting = False


def _note_in_action(kind: str, name: str, asker: Asker) -> None:
    """Also note a read for the running action, as its signature may not reach the library that it imports."""
    module = sys.modules.get("helix_spark.hermetic.action")
    action = getattr(module, "current", lambda: None)()
    if action is None or action.watch is None:
        return
    if kind == "environment":
        action.watch.note_variable(name, asker)
    elif kind == "files":
        action.watch.note_read(name, asker)
    else:
        action.watch.note_answer(name)


def _statement(frame: FrameType) -> FrameType | None:
    """Return the frame of the author's module whose statement reads a file, unless the statement imports a module."""
    for caller, owner in callers(frame):
        if caller.f_code.co_filename.startswith("<frozen importlib"):
            return None
        if caller.f_code.co_name == "<module>":
            return caller if owner is CodeOwner.AUTHOR else None
    return None


def files_read_at(file: str, first: int, last: int) -> list[str]:
    """Return the files that lines of a module read during its import."""
    return [path for line in range(first, last + 1) for path in _reads_of_lines.get((file, line), ())]


def _importers(frame: FrameType | None, *, of_authors: bool = True) -> list[str]:
    """Return the packages whose code runs during an import; empty for the import system, and for later calls. Imports
    are those of the packages and, if `of_authors`, of the author's modules that call them."""
    packages: list[str] = []
    for caller, owner in callers(frame):
        if caller.f_code.co_filename.startswith("<frozen importlib"):
            return packages
        if owner is CodeOwner.LIBRARY:
            packages.append(library_of(caller.f_code.co_filename))
        elif owner is not CodeOwner.PYTHON and (packages or owner is not CodeOwner.HELIX):  # Helix's wrappers are first
            is_module = owner is CodeOwner.AUTHOR and caller.f_code.co_name == "<module>"
            return packages if of_authors and is_module else []
    return []


def _is_uncounted(kind: str, name: str) -> bool:
    is_code_path = name in map(os.path.abspath, sys.path) or is_code(name if kind == "files" else f"{name}/")
    return is_code_path or any(part in name for part in _UNCOUNTED_PATHS)


def is_of_this_process(variable: str) -> bool:
    """Return whether a variable means nothing to a worker: it belongs to the terminal or to Helix, or a library has set
    it as it was imported, such as scikit-learn `KMP_INIT_AT_FORK`, or pyspark as Spark started."""
    is_set = variable in _set_by_imports or variable in _CONTEXT_VARIABLES
    return is_set or variable in _TERMINAL_VARIABLES or variable.startswith(_TERMINAL_PREFIXES)


@cache
def reads_of(packages: frozenset[str]) -> dict[str, str]:
    """Return the existing inputs that packages read during their imports, with their states at the first call."""
    from helix_spark.hermetic.generators import ABSENT
    from helix_spark.hermetic.observed_inputs import LOOKS

    reads = [
        (kind, name) for (kind, name), readers in list(_reads.items())
        if not readers.isdisjoint(packages)
        and (kind != "environment" or os.environ.get(name) == _INITIAL_ENVIRONMENT.get(name))
    ]
    return {name: state for kind, name in reads if (state := LOOKS[kind](name)) != ABSENT}


@cache
def imported_by(package: str) -> dict[str, str]:
    """Return the other packages whose modules, functions or classes a package's top module has, each with one file.

    The package's other modules are not examined, as processes load different ones.
    """
    files = files_of_modules()
    modules: set[object] = set()
    for value in list(vars(sys.modules[package]).values()) if package in files else ():
        kind = type(value)
        if kind in _CODE or issubclass(kind, type):
            modules.add(value.__module__ if isinstance(value.__module__, str) else "")
        elif kind is ModuleType:
            modules.add(value.__name__)
    imported = {library_of(files[module]): files[module] for module in sorted(files.keys() & modules)}
    return {name: file for name, file in imported.items() if name not in ("", package)}


_CODE = (FunctionType, BuiltinFunctionType)


def files_of_modules() -> Mapping[str, str]:
    """Return the files of all loaded modules, by the modules' names."""
    return _files_of(tuple(sys.modules))


@lru_cache(maxsize=1)
def _files_of(names: Sequence[str]) -> dict[str, str]:
    files = ((name, getattr(sys.modules.get(name), "__dict__", {}).get("__file__")) for name in names)
    return {name: file for name, file in files if isinstance(file, str)}
