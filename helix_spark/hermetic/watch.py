"""Record what code reads while it runs, by Python's audit events and by wrappers of clocks and the environment."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import logging
import os
import pathlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from helix_spark.hermetic import asking
from helix_spark.hermetic.asking import OF_MACHINE, Asker, CodeOwner, asker, is_code, kind_of
from helix_spark.hermetic.generators import WhenImported, is_being_imported
from helix_spark.hermetic.observed_inputs import (
    ALL_VARIABLES,
    NAMES,
    WORKING_FOLDER,
    ObservedInputs,
    content_of,
    system_digest,
    value_of,
)
from helix_spark.hermetic.told_times import is_only_told, keeps_moment

State = tuple[int, ...]
_stat, _now = os.stat, time.time_ns

_TIMED = frozenset({
    "pandas", "joblib", "tqdm", "sklearn", "matplotlib", "torch", "lightgbm", "xgboost", "catboost", "numba", "dask",
    "rich", "pip", "_pytest", "hypothesis", "IPython", "urllib3", "ray", "optuna",
})
"""Libraries that measure their own run time for messages."""

_CLOCKS = ("time", "time_ns", "perf_counter", "perf_counter_ns", "localtime", "gmtime", "ctime", "asctime", "strftime")

Event = tuple[str, str, Any]
"""A kind, a name, and details: plain data, which a worker can send."""


class Watch:
    """Events of one action, each once, in order, from any thread. It `began` then, in nanoseconds since 1970, or now.
    `own` are environment variables that the author's code has set itself; more are added."""

    def __init__(self, own: set[str] | None = None, began: int | None = None) -> None:
        self._began = _now() if began is None else began
        self._own = set[str]() if own is None else own
        self._noted: set[tuple[str, str]] = set()
        self.events: list[Event] = []

    def _note(self, kind: str, name: str, details: Any = None) -> None:
        if (kind, name) not in self._noted:
            self._noted.add((kind, name))
            self.events.append((kind, name, details))

    def note_nondeterminism(self, why: str) -> None:
        """Note why the result may differ each time, as a phrase."""
        self._note("chance", why)

    def note_outside(self, what: str) -> None:
        """Note a request to the network or another process, or code that is found by its name, as a phrase."""
        self._note("outside", what)

    def note_open(self, path: str, flags: int, who: Asker) -> None:
        """Note that a file was opened, or that it is missing."""
        if flags & (os.O_WRONLY | os.O_RDWR):
            if flags & os.O_RDWR and not flags & (os.O_TRUNC | os.O_EXCL) and ("written", path) not in self._noted:
                self.note_read(path, who)
            self._note("written", path)
        else:
            self.note_read(path, who)

    def note_read(self, path: str, who: Asker) -> None:
        if not self._noted.isdisjoint({("read", path), ("written", path)}) or is_code(path):
            return
        if path in ("/dev/urandom", "/dev/random", "/dev/hwrng"):
            self.note_nondeterminism(who.at(f"reads {path}"))
        elif path.startswith(OF_MACHINE):
            if who.kind is CodeOwner.AUTHOR and path != os.devnull:
                self.note_nondeterminism(who.at(f"reads the state of the machine, {path}"))
        else:
            state = _state(path)
            if state is not None and Path(path).is_dir():  # lookups in it are events of their own
                return
            is_new = state is not None and max(state[-1], state[-2]) >= self._began
            if not (is_new and path.startswith(tempfile.gettempdir())):  # such a file is a library's own
                self._note("read", path, (state, who.at(f"reads {path}, which was written to while it ran")))

    def note_existence_check(self, path: str) -> None:
        """Note that the action asked whether a path exists, or what the system says of it."""
        if not self._noted.isdisjoint({("read", path), ("looked", path), ("written", path)}):
            return
        if not (is_code(path) or path.startswith(OF_MACHINE)):
            state = _state(path)
            if state is None or state[-1] < self._began:
                self._note("looked", path, state is not None)

    def note_named_files(self, paths: Iterable[str]) -> None:
        """Note files that the code names and may read unseen, without those that the action has written."""
        for path in paths:
            if (state := _state(path)) is not None and max(state[-1], state[-2]) < self._began:
                self.note_existence_check(path)

    def note_answer(self, what: str) -> None:
        """Note a query to the system: see `system_digest`."""
        self._note("told", what)

    def note_system(self, what: str, path: str) -> None:
        """Note a query about a path, beyond whether it exists: see `system_digest`."""
        self.note_existence_check(path)
        if not self._noted.isdisjoint({("read", path), ("looked", path)}):
            self.note_answer(f"{what} of {path}")

    def absolute_path(self, path: Any) -> str:
        """Return the absolute path. If it is relative, note the working folder."""
        text = os.fsdecode(path)
        if not text.startswith("/"):
            self._note("told", WORKING_FOLDER, str(Path.cwd()))
        return os.path.abspath(text)  # noqa: PTH100  # `Path.absolute` keeps `..`

    def note_listing(self, folder: str, pattern: str = "") -> None:
        """Note that the names in a folder were listed, or those that match a pattern."""
        if not is_code(f"{folder}/") and not f"{folder}/".startswith(OF_MACHINE):
            self.note_answer(f"{NAMES} like {pattern} of {folder}" if pattern else f"{NAMES} of {folder}")

    def note_variable(self, variable: object, who: Asker) -> None:
        """Note a read of an environment variable, or of the names of all."""
        if variable == ALL_VARIABLES:
            variable += " ".join(sorted(self._own))
        if isinstance(variable, str) and variable not in self._own:
            self._note("asked", variable, (value_of(variable), who.at(f"asks for the variable {variable}")))

    def note_variable_set(self, variable: object) -> None:
        """Note that a variable was set: later reads of it are no input."""
        if isinstance(variable, str):
            self._own.add(variable)
            self._note("set", variable)


def observed_in(events: Sequence[Event]) -> ObservedInputs:
    """Return the inputs that events name, with their present state."""
    files: dict[str, str] = {}
    changed: list[str] = []
    written = {name for kind, name, _ in events if kind == "written"}
    for kind, name, details in events:
        if kind == "read":
            files[name] = content_of(name)
            if _state(name) != (None if details[0] is None else tuple(details[0])):
                changed.append(details[1])
        # Otherwise the action created or deleted the file.
        elif kind == "looked" and name not in written and (_state(name) is not None) == details:
            files.setdefault(name, content_of(name))
    here = str(Path.cwd())  # Spark's workers have another folder than the author
    answers = {name: system_digest(name) for kind, name, folder in events if kind == "told" and folder in (None, here)}
    chance, outside = ([name for kind, name, _ in events if kind == wanted] for wanted in ("chance", "outside"))
    variables = {name: details[0] for kind, name, details in events if kind == "asked"}
    reasons = (*chance, *dict.fromkeys(changed))
    return ObservedInputs(files=files, environment=variables, told=answers, chance=reasons, outside=tuple(outside))


def _state(path: str) -> State | None:
    try:
        status = _stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


_installed: list[Wrapped] = []
"""The installed wrappers, while any action runs."""

_hooked = False
_busy = threading.local()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    note = _NOTERS.get(event)
    if note is None or not _installed or getattr(_busy, "in_hook", False):
        return
    frame = sys._getframe(1)
    watch = _installed[0].finder(frame)
    if watch is None:
        return
    _busy.in_hook = True
    try:
        if (who := asker(frame)) is not None:
            note(watch, who, arguments, frame)
    except Exception as error:  # noqa: BLE001 - an audit hook that raises would abort the author's call
        watch.note_nondeterminism(f"does something that could not be looked at ({event}: {error!r})")
    finally:
        _busy.in_hook = False


_PATH = (str, bytes, os.PathLike)

Noter = Callable[[Watch, Asker, tuple[Any, ...], FrameType], None]
"""Notes an audit event: its watch, asker, arguments and frame."""


def _note_open(watch: Watch, who: Asker, arguments: tuple[Any, ...], _frame: FrameType) -> None:
    path, _, flags = arguments
    if isinstance(path, _PATH):
        watch.note_open(watch.absolute_path(path), flags if isinstance(flags, int) else 0, who)


def _note_listing(watch: Watch, _who: Asker, arguments: tuple[Any, ...], frame: FrameType) -> None:
    folder = "." if arguments[0] is None else arguments[0]
    if isinstance(folder, _PATH):
        path = watch.absolute_path(folder)
        watch.note_listing(path, asking.pattern_asked(frame))
        if "scandir" in frame.f_code.co_names and kind_of(frame.f_code.co_filename) is CodeOwner.AUTHOR:
            watch.note_system("entries", path)


def _note_database(watch: Watch, who: Asker, arguments: tuple[Any, ...], _frame: FrameType) -> None:
    name = os.fsdecode(arguments[0]) if isinstance(arguments[0], _PATH) else ""
    path = name.removeprefix("file:").partition("?")[0]
    if path and path != ":memory:" and "mode=memory" not in name:
        watch.note_read(watch.absolute_path(path), who)
        watch.note_read(watch.absolute_path(f"{path}-wal"), who)


def _note_library(watch: Watch, who: Asker, arguments: tuple[Any, ...], _frame: FrameType) -> None:
    if isinstance(arguments[0], str) and "/" in arguments[0] and who.kind is CodeOwner.AUTHOR:
        watch.note_read(watch.absolute_path(arguments[0]), who)


def _is_authors_module(name: str) -> bool:
    """Return whether a name means a module of the author's, which may not be imported yet."""
    if name in sys.modules:
        return asking.is_authors(name)
    with suppress(AttributeError, ImportError, ValueError):
        origin = str(importlib.util.find_spec(name).origin)  # type: ignore[union-attr]  # caught
        return origin.startswith("/") and kind_of(origin) is CodeOwner.AUTHOR
    return False


def _note_unpickled(watch: Watch, who: Asker, arguments: tuple[Any, ...], _frame: FrameType) -> None:
    """Note a class or function of the author's that a pickle names: no signature covers what it does then."""
    module, name = arguments
    if _is_authors_module(module):
        watch.note_outside(who.at(f"unpickles {module}.{name} by its name"))


def _note_import(watch: Watch, who: Asker, name: str, package: str | None = None) -> None:
    """Note an author's module that a library imports: no signature covers what the library does with it."""
    with suppress(ImportError):  # which the import raises, too
        full = importlib.util.resolve_name(name, package)
        if who.kind is CodeOwner.LIBRARY and _is_authors_module(full):
            watch.note_outside(who.at(f"imports {full} by its name"))


def _outside(what: str, index: int | None = None) -> Noter:
    def note(watch: Watch, who: Asker, arguments: tuple[Any, ...], frame: FrameType) -> None:
        # These start a process to count processors, for instance.
        internal = ("/platform.py", "/ctypes/util.py", "/loky/backend/context.py")
        if not any(caller.f_code.co_filename.endswith(internal) for caller, _ in asking.callers(frame)):
            watch.note_outside(who.at(what if index is None else f"{what} ({str(arguments[index])[:80]})"))

    return note


def _nondeterministic(what: str) -> Noter:
    return lambda watch, who, _arguments, _frame: watch.note_nondeterminism(who.at(what))


_NETWORK, _PROCESS = "asks the network", "starts another process"

_NOTERS: Mapping[str, Noter] = {
    "open": _note_open, "os.listdir": _note_listing, "os.scandir": _note_listing, "sqlite3.connect": _note_database,
    "ctypes.dlopen": _note_library, "pickle.find_class": _note_unpickled,
    **dict.fromkeys(("socket.connect", "socket.sendto"), _outside(_NETWORK, 1)),
    "socket.gethostbyname": _outside(_NETWORK, 0), "http.client.send": _outside(_NETWORK),
    **dict.fromkeys(("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"), _outside(_PROCESS, 0)),
    **dict.fromkeys(("os.fork", "os.forkpty", "pty.spawn"), _outside(_PROCESS)),
    "builtins.input": _nondeterministic("asks who sits at the terminal"),
    "socket.gethostname": _nondeterministic("asks for the name of the machine"),
}


class Wrapped:
    """Wrappers of clocks, of the environment, and of readers in C++, whose files open without an audit event. `finder`
    returns the watch of a frame in the calling thread. `begins_thread` gets each thread before its start, and the frame
    that starts it."""

    def __init__(
        self, finder: Callable[[FrameType | None], Watch | None],
        begins_thread: Callable[[threading.Thread, FrameType | None], None],
    ) -> None:
        self.finder, self.begins_thread = finder, begins_thread
        self._originals: list[tuple[Any, str, Any]] = []
        self._wrapped_queries: list[Any] = []
        self._examined: dict[str, object] = {}
        self._with_clocks: list[tuple[ModuleType, Sequence[str]]] = []
        self._imports = WhenImported(_READERS_IN_C, lambda library: self._replace(self._readers_of(library)))

    def install(self) -> None:
        """Install the wrappers, and the audit hook, which stays."""
        global _hooked
        if not _hooked:
            sys.addaudithook(_hook)
            _hooked = True
        _installed.append(self)
        sys.meta_path.insert(0, self._imports)
        self._replace(self._wrappers())

    def remove(self) -> None:
        while self._originals:
            _put(*self._originals.pop())
        if self in _installed:
            _installed.remove(self)
            sys.meta_path.remove(self._imports)
        for functions in _CAPABLE:
            functions.difference_update(self._wrapped_queries)
        self._wrapped_queries.clear()

    def _replace(self, replacements: Iterable[tuple[Any, str, Any]]) -> None:
        for holder, name, wrapper in replacements:
            self._originals.append((holder, name, vars(holder)[name]))
            _put(holder, name, wrapper)

    def _wrappers(self) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
        start_thread = threading.Thread.start

        def start(thread: threading.Thread) -> None:
            self.begins_thread(thread, sys._getframe(1))
            start_thread(thread)

        yield threading.Thread, "start", start
        yield importlib, "import_module", self._noting(importlib.import_module, _note_import)
        queries = {name: self._query(vars(os)[name], what) for name, what in _QUERIES.items()}
        yield from ((os, name, query) for name, query in queries.items())
        if sys.version_info < (3, 11):  # where pathlib has its own reference to `os.stat`
            yield vars(pathlib)["_NormalAccessor"], "stat", staticmethod(queries["stat"])
        yield os, "getcwd", self._noting(os.getcwd, lambda watch, _who: watch.absolute_path("."))
        environ = type(os.environ)
        get, put, names = environ.__getitem__, environ.__setitem__, environ.__iter__
        yield environ, "__getitem__", self._noting(get, lambda watch, who, _, key: watch.note_variable(key, who))
        yield environ, "__setitem__", self._noting(put, lambda watch, _who, _, key, *__: watch.note_variable_set(key))
        yield environ, "__iter__", self._noting(names, lambda watch, who, _: watch.note_variable(ALL_VARIABLES, who))
        yield tempfile, "gettempdir", self._noting(tempfile.gettempdir, _note_temporary_folder)
        yield from ((datetime, name, self._moment(vars(datetime)[name])) for name in ("now", "utcnow"))
        yield logging.StreamHandler, "emit", self._emit(logging.StreamHandler.emit)
        clocks = {vars(time)[name]: self._clock(vars(time)[name]) for name in _CLOCKS}
        yield from ((time, name, clocks[vars(time)[name]]) for name in _CLOCKS)
        for module, clock_names in self._libraries_with_clocks():
            for name in clock_names:
                clock = vars(module).get(name)
                if type(clock).__name__ == "builtin_function_or_method" and clock in clocks:
                    yield module, name, clocks[clock]
        for name in _READERS_IN_C:
            yield from self._readers_of(sys.modules[name]) if name in sys.modules else ()

    def _libraries_with_clocks(self) -> Sequence[tuple[ModuleType, Sequence[str]]]:
        """Return the libraries that may have bound a clock, with their names for it. Examine each of thousands of
        modules once, when it is loaded, not in each action."""
        for name in list(sys.modules):  # without a tuple for each module, whose garbage would be collected
            module: Any = sys.modules.get(name)
            if self._examined.get(name) is module or is_being_imported(module):
                continue
            self._examined[name] = module
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and "/site-packages/" in file and (names := vars(module).keys() & _CLOCK_NAMES):
                self._with_clocks.append((module, tuple(names)))
        return self._with_clocks

    def _readers_of(self, library: ModuleType) -> Iterator[tuple[Any, str, Any]]:
        note: Callable[..., None] = _note_paths
        if library.__name__ in _CLIENTS:
            note = lambda watch, who, /, *_, **__: watch.note_outside(who.at(_NETWORK))  # noqa: E731
        if library.__name__ == _PACKAGES:
            distribution = library.Distribution
            yield distribution, "discover", classmethod(self._discover(distribution.discover.__func__))
        for reader in _READERS_IN_C[library.__name__]:
            function = vars(library).get(reader)
            if isinstance(function, type):
                if "__init__" in vars(function):
                    yield function, "__init__", self._noting(vars(function)["__init__"], note)
            elif callable(function):
                yield library, reader, self._noting(function, note)

    def _discover(self, function: Any) -> Callable[..., Any]:
        """Wrap the method by which all functions look up installed packages."""

        def discover(kind: Any, **keywords: Any) -> Any:
            group = asking.group_asked(frame := sys._getframe(1))
            callers = (caller for caller, _ in asking.callers(frame))
            outer = (caller for caller in callers if not caller.f_code.co_filename.endswith(asking.METADATA))
            if (watch := self.finder(frame)) is not None and asker(next(outer, None)) is not None:
                listing = "packages of path" if group is None else f"entry points of {group}"
                watch.note_answer(f"package of {keywords['name']}" if keywords.get("name") else listing)
            return function(kind, **keywords)

        return discover

    def _emit(self, function: Any) -> Callable[..., Any]:
        """Wrap the method by which a logger's handler writes a message into a text."""

        def emit(handler: logging.StreamHandler[Any], record: logging.LogRecord) -> None:
            if keeps_moment(handler) and (watch := self.finder(sys._getframe(1))) is not None:
                watch.note_nondeterminism(f"logs the time into a text ({record.filename}:{record.lineno})")
            function(handler, record)

        return emit

    def _noting(
        self, function: Callable[..., Any], note: Callable[..., None],
        counts: Callable[..., bool] = lambda *_, **__: True,
    ) -> Callable[..., Any]:
        """Wrap a function to note each call before it runs, if `counts` is true of its arguments."""

        def call(*arguments: Any, **keywords: Any) -> Any:
            if counts(*arguments, **keywords):
                watch = self.finder(frame := sys._getframe(1))
                if watch is not None and (who := asker(frame)) is not None:
                    note(watch, who, *arguments, **keywords)
            return function(*arguments, **keywords)

        return call

    def _query(self, function: Any, what: str = "") -> Callable[..., Any]:
        """Wrap a function that queries `what` of a path, or its status."""

        def note(watch: Watch, who: Asker, path: Any = ".", *_: Any, **__: Any) -> None:
            full = watch.absolute_path(path)
            if what or (who.kind is CodeOwner.AUTHOR and asking.takes_status(sys._getframe(2))):
                watch.note_system(what or "status", full)
            else:
                watch.note_existence_check(full)

        query = self._noting(
            function, note,
            lambda path=".", *_, **__: isinstance(path, _PATH) and not getattr(_busy, "in_hook", False),
        )
        self._wrapped_queries.append(query)
        for functions in _CAPABLE:  # code checks there whether a function can ignore links
            if function in functions:
                functions.add(query)
        return query

    def _clock(self, function: Any) -> Callable[..., Any]:
        name = function.__name__
        index = {"strftime": 1, **dict.fromkeys(_CLOCKS[:4], 99)}.get(name, 0)  # of the time, if one is passed
        counts: Callable[..., bool] = lambda *times: len(times) <= index or times[index] is None  # noqa: E731
        return self._noting(function, _note_clock(f"time.{name}"), counts)

    def _moment(self, function: Any) -> Any:
        """Wrap a class method of `datetime`, which does not call Python's clocks."""

        def call(kind: Any, *arguments: Any, **keywords: Any) -> Any:
            return function.__get__(None, kind)(*arguments, **keywords)

        return classmethod(self._noting(call, _note_clock(f"datetime.{function.__name__}")))


def _note_temporary_folder(watch: Watch, who: Asker) -> None:
    if not sys._getframe(2).f_code.co_filename.endswith("/tempfile.py"):  # its random file names do not count
        for variable in ("TMPDIR", "TEMP", "TMP"):  # which Python has read already
            watch.note_variable(variable, who)


def _note_clock(what: str) -> Callable[..., None]:
    def note(watch: Watch, who: Asker, /, *_: Any, **__: Any) -> None:
        frame = sys._getframe(2)
        if kind_of(frame.f_code.co_filename) is CodeOwner.PYTHON:  # for the library's own purposes
            return
        is_told = who.kind is CodeOwner.AUTHOR and is_only_told(frame.f_code, frame.f_lineno, frame.f_globals)
        if who.package not in _TIMED and not is_told:
            watch.note_nondeterminism(who.at(f"asks the clock, {what}"))

    return note


_QUERIES = {"stat": "", "lstat": "", "access": "access", "readlink": "link"}
"""Functions of `os` that query a path, with the subject of the query."""

_CAPABLE: tuple[set[Any], ...] = (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks)

_CLOCK_NAMES = frozenset({"time", "time_ns", "now", "_time", "localtime", "strftime", "gmtime", "clock"})
"""Names under which libraries bind clocks."""

_CLIENTS = ("psycopg2", "psycopg", "pyodbc", "oracledb", "MySQLdb", "pymssql")
"""Clients of databases, which open sockets in C."""

_PACKAGES = "importlib.metadata"

_READERS_IN_C: Mapping[str, tuple[str, ...]] = {
    "pyarrow.parquet": ("read_table", "read_pandas", "read_metadata", "read_schema"),
    "pyarrow.parquet.core": ("read_table",), "pyarrow.csv": ("read_csv", "open_csv"), "pyarrow.json": ("read_json",),
    "pyarrow.feather": ("read_table", "read_feather"), "pyarrow.dataset": ("dataset",), "pyarrow.orc": ("read_table",),
    "pyarrow": ("memory_map", "input_stream"),
    "polars": ("read_csv", "read_parquet", "read_ipc", "read_json", "scan_csv", "scan_parquet", "scan_ipc"),
    "duckdb": ("read_csv", "read_parquet", "read_json", "from_parquet", "from_csv_auto"),
    "cv2": ("imread",), "lxml.etree": ("parse", "iterparse"), "soundfile": ("read", "info"), "h5py": ("File",),
    "deltalake": ("DeltaTable",), _PACKAGES: (), **dict.fromkeys(_CLIENTS, ("connect",)),
}
"""Functions and classes that take paths; of `_CLIENTS`, those that connect."""


def _put(holder: Any, name: str, value: Any) -> None:
    """Set an attribute. `datetime` is written in C and allows none to be set, so change the dict of its names."""
    if holder is not datetime:
        setattr(holder, name, value)
        return
    (names,) = gc.get_referents(vars(holder))
    names[name] = value
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(holder))


def _note_paths(watch: Watch, who: Asker, /, *arguments: Any, **keywords: Any) -> None:
    """Note the paths among arguments as read: files, or all files below a folder."""
    for path in (*arguments, *keywords.values()):
        if isinstance(path, list | tuple):
            _note_paths(watch, who, *path)
            continue
        if not isinstance(path, str | os.PathLike) or len(str(path)) >= 4096 or "\0" in str(path):
            continue
        full = watch.absolute_path(path)
        if Path(full).is_dir():
            for folder, _, names in os.walk(full):
                watch.note_listing(folder)
                for name in names:
                    watch.note_read(os.path.join(folder, name), who)  # noqa: PTH118 - texts
        elif Path(full).is_file():
            watch.note_read(full, who)
