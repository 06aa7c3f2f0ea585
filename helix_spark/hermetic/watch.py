"""What code reads and asks for while it runs: told by Python's audit events, and by wrapped clocks and environment."""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import pathlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from helix_spark.hermetic.told_times import is_only_told

State = tuple[int, ...]
_stat, _now = os.stat, time.time_ns

_TIMED = frozenset({
    "pandas", "joblib", "tqdm", "sklearn", "matplotlib", "torch", "lightgbm", "xgboost", "catboost", "numba", "dask",
    "rich", "pip", "_pytest", "hypothesis", "IPython", "urllib3", "ray", "optuna",
})
"""Libraries that take the time of what they do, for people to see."""

_CLOCKS = ("time", "time_ns", "perf_counter", "perf_counter_ns", "localtime", "gmtime", "ctime", "asctime", "strftime")

Event = tuple[str, str, Any]
"""A sort, what it is about, and what else is known of it: plain data, which a worker can send."""


class Watch:
    """What one action did, since `began` in nanoseconds since 1970, or now: events, each once, in order. Several
    threads may tell of it. `own` are environment variables that the author's code has set itself; added to."""

    def __init__(self, own: set[str] | None = None, began: int | None = None) -> None:
        self._began = _now() if began is None else began
        self._own = set[str]() if own is None else own
        self._met: set[tuple[str, str]] = set()
        self.events: list[Event] = []

    def _note(self, sort: str, name: str, more: Any = None) -> None:
        if (sort, name) not in self._met:
            self._met.add((sort, name))
            self.events.append((sort, name, more))

    def adopt(self, events: Iterable[Event]) -> None:
        """Note what another action read and asked for, whose result this one uses."""
        for sort, name, more in events:
            if sort not in ("written", "set"):
                self._note(sort, name, more)

    def differs(self, why: str) -> None:
        """Something that differs each time was asked for: a phrase."""
        self._note("chance", why)

    def asks_others(self, what: str) -> None:
        """The network or another process was asked: a phrase."""
        self._note("outside", what)

    def opened(self, path: str, flags: int, who: Asker) -> None:
        """A file was opened, or is not there to be."""
        if flags & (os.O_WRONLY | os.O_RDWR):
            anew = os.O_TRUNC | os.O_EXCL
            if flags & os.O_RDWR and not flags & anew and ("written", path) not in self._met:
                self.read(path, who)
            self._note("written", path)
        else:
            self.read(path, who)

    def read(self, path: str, who: Asker) -> None:
        if not self._met.isdisjoint({("read", path), ("written", path)}) or is_code(path):
            return
        if path in ("/dev/urandom", "/dev/random", "/dev/hwrng"):
            self.differs(who.at(f"reads {path}"))
        elif path.startswith(OF_MACHINE):
            if who.kind is CodeOwner.AUTHOR and path != os.devnull:
                self.differs(who.at(f"reads the state of the machine, {path}"))
        else:
            state = _state(path)
            if state is not None and Path(path).is_dir():  # what is looked for in it is told apart
                return
            made_now = state is not None and max(state[-1], state[-2]) >= self._began
            if not (made_now and path.startswith(tempfile.gettempdir())):  # else its own library has written it
                self._note("read", path, (state, who.at(f"reads {path}, which was written to while it ran")))

    def looked_at(self, path: str) -> None:
        """Note that the action asked whether a path exists, or what the system says of it."""
        if not self._met.isdisjoint({("read", path), ("looked", path), ("written", path)}):
            return
        if not (is_code(path) or path.startswith(OF_MACHINE)):
            state = _state(path)
            if state is None or state[-1] < self._began:
                self._note("looked", path, state is not None)

    def named(self, paths: Iterable[str]) -> None:
        """Note files that the code names, which may be read unseen, but not those that the action has written."""
        for path in paths:
            if (state := _state(path)) is not None and max(state[-1], state[-2]) < self._began:
                self.looked_at(path)

    def note_answer(self, what: str) -> None:
        """Note that the system was asked for something: see `system_digest`."""
        self._note("told", what)

    def note_system(self, what: str, path: str) -> None:
        """Note that the system was asked for more of a path than whether it exists: see `system_digest`."""
        self.looked_at(path)
        if not self._met.isdisjoint({("read", path), ("looked", path)}):
            self.note_answer(f"{what} of {path}")

    def full(self, path: Any) -> str:
        """Return an absolute path. Where it begins in the working folder, that counts."""
        text = os.fsdecode(path)
        if not text.startswith("/"):
            self._note("told", WORKING_FOLDER, str(Path.cwd()))
        return os.path.abspath(text)  # noqa: PTH100  # a path's own `absolute` keeps `..`

    def listed(self, folder: str, pattern: str = "") -> None:
        """The names in a folder were looked through, for those that have a pattern where there is one."""
        if not is_code(f"{folder}/") and not f"{folder}/".startswith(OF_MACHINE):
            self.note_answer(f"{NAMES} like {pattern} of {folder}" if pattern else f"{NAMES} of {folder}")

    def note_variable(self, variable: object, who: Asker) -> None:
        """An environment variable was asked for, or the names of all."""
        if variable == ALL_VARIABLES:
            variable += " ".join(sorted(self._own))
        if isinstance(variable, str) and variable not in self._own:
            self._note("asked", variable, (value_of(variable), who.at(f"asks for the variable {variable}")))

    def sets(self, variable: object) -> None:
        """An environment variable was set: what is asked of it from now on is no input."""
        if isinstance(variable, str):
            self._own.add(variable)
            self._note("set", variable)


def observed_in(events: Sequence[Event]) -> ObservedInputs:
    """Return what events say, with the present state of the files that they name."""
    files: dict[str, str] = {}
    changed: list[str] = []
    written = {name for sort, name, _ in events if sort == "written"}
    for sort, name, more in events:
        if sort == "read":
            files[name] = content_of(name)
            if _state(name) != (None if more[0] is None else tuple(more[0])):
                changed.append(more[1])
        elif sort == "looked" and name not in written and (_state(name) is not None) == more:  # else it made it itself
            files.setdefault(name, content_of(name))
    here = str(Path.cwd())  # a worker of Spark's is elsewhere, wherever the author is
    said = {name: system_digest(name) for sort, name, more in events if sort == "told" and more in (None, here)}
    chance, outside = (tuple(name for one, name, _ in events if one == sort) for sort in ("chance", "outside"))
    asked = {name: more[0] for sort, name, more in events if sort == "asked"}
    chance = (*chance, *dict.fromkeys(changed))
    return ObservedInputs(files=files, environment=asked, told=said, chance=chance, outside=outside)


def _state(path: str) -> State | None:
    try:
        status = _stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


_installed: list[Wrapped] = []
"""While any action is under way."""

_hooked = False
_busy = threading.local()


def _hook(event: str, given: tuple[Any, ...]) -> None:
    tell = _TELLS.get(event)
    if tell is None or not _installed or getattr(_busy, "is_so", False):
        return
    frame = sys._getframe(1)
    watch = _installed[0].finder(frame)
    if watch is None:
        return
    _busy.is_so = True
    try:
        if (who := asker(frame)) is not None:
            tell(watch, who, given, frame)
    except Exception as error:  # noqa: BLE001 - an audit hook that raises would end what the author does
        watch.differs(f"does something that could not be looked at ({event}: {error!r})")
    finally:
        _busy.is_so = False


_PATH = (str, bytes, os.PathLike)

Tell = Callable[[Watch, Asker, tuple[Any, ...], FrameType], None]
"""Notes an event, of which the asker, the arguments and the frame are given."""


def _open(watch: Watch, who: Asker, given: tuple[Any, ...], _frame: FrameType) -> None:
    path, _, flags = given
    if isinstance(path, _PATH):
        watch.opened(watch.full(path), flags if isinstance(flags, int) else 0, who)


def _list(watch: Watch, _who: Asker, given: tuple[Any, ...], frame: FrameType) -> None:
    folder = "." if given[0] is None else given[0]
    if isinstance(folder, _PATH):
        path = watch.full(folder)
        watch.listed(path, asking.pattern_asked(frame))
        if "scandir" in frame.f_code.co_names and kind_of(frame.f_code.co_filename) is CodeOwner.AUTHOR:
            watch.note_system("entries", path)


def _connect_database(watch: Watch, who: Asker, given: tuple[Any, ...], _frame: FrameType) -> None:
    name = os.fsdecode(given[0]) if isinstance(given[0], _PATH) else ""
    path = name.removeprefix("file:").partition("?")[0]
    if path and path != ":memory:" and "mode=memory" not in name:
        watch.read(watch.full(path), who)
        watch.read(watch.full(f"{path}-wal"), who)


def _load_library(watch: Watch, who: Asker, given: tuple[Any, ...], _frame: FrameType) -> None:
    if isinstance(given[0], str) and "/" in given[0] and who.kind is CodeOwner.AUTHOR:
        watch.read(watch.full(given[0]), who)


def _asks_others(what: str, place: int | None = None) -> Tell:
    def tell(watch: Watch, who: Asker, given: tuple[Any, ...], frame: FrameType) -> None:
        # These start a process to find out how many processors there are, say.
        for_itself = ("/platform.py", "/ctypes/util.py", "/loky/backend/context.py")
        if not any(one.f_code.co_filename.endswith(for_itself) for one, _ in asking.callers(frame)):
            watch.asks_others(who.at(what if place is None else f"{what} ({str(given[place])[:80]})"))

    return tell


_NETWORK, _PROCESS = "asks the network", "starts another process"

_TELLS: Mapping[str, Tell] = {
    "open": _open, "os.listdir": _list, "os.scandir": _list, "sqlite3.connect": _connect_database,
    "ctypes.dlopen": _load_library,
    **dict.fromkeys(("socket.connect", "socket.sendto"), _asks_others(_NETWORK, 1)),
    "socket.gethostbyname": _asks_others(_NETWORK, 0), "http.client.send": _asks_others(_NETWORK),
    **dict.fromkeys(("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"), _asks_others(_PROCESS, 0)),
    **dict.fromkeys(("os.fork", "os.forkpty", "pty.spawn"), _asks_others(_PROCESS)),
    "builtins.input": lambda watch, who, _given, _frame: watch.differs(who.at("asks who sits at the terminal")),
    "socket.gethostname": lambda watch, who, _given, _frame: watch.differs(who.at("asks for the name of the machine")),
}


class Wrapped:
    """While it is installed, clocks and the environment report each use. So do readers in C++, which Python does
    not see open a file: by the paths that they are given. `finder` tells what watches the code of a frame, in the
    calling thread; `begins_thread` is told of each thread before it is started, and by which frame."""

    def __init__(
        self, finder: Callable[[FrameType | None], Watch | None],
        begins_thread: Callable[[threading.Thread, FrameType | None], None],
    ) -> None:
        self.finder, self.begins_thread = finder, begins_thread
        self._theirs: list[tuple[Any, str, Any]] = []
        self._known: list[Any] = []
        self._looked_at: dict[str, object] = {}
        self._with_clocks: list[tuple[ModuleType, Sequence[str]]] = []
        self._imports = WhenImported(_IN_C, lambda library: self._replace(self._readers_of(library)))

    def install(self) -> None:
        """Put the wrappers in place; the audit hook once and for all."""
        global _hooked
        if not _hooked:
            sys.addaudithook(_hook)
            _hooked = True
        _installed.append(self)
        sys.meta_path.insert(0, self._imports)
        self._replace(self._wrappers())

    def remove(self) -> None:
        while self._theirs:
            _put(*self._theirs.pop())
        if self in _installed:
            _installed.remove(self)
            sys.meta_path.remove(self._imports)
        for known in _KNOWN_ABLE:
            known.difference_update(self._known)
        self._known.clear()

    def _replace(self, replacements: Iterable[tuple[Any, str, Any]]) -> None:
        for holder, name, ours in replacements:
            self._theirs.append((holder, name, vars(holder)[name]))
            _put(holder, name, ours)

    def _wrappers(self) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
        started = threading.Thread.start

        def start(thread: threading.Thread) -> None:
            self.begins_thread(thread, sys._getframe(1))
            started(thread)

        yield threading.Thread, "start", start
        yield importlib, "import_module", self._by_name(importlib.import_module)
        asking = {name: self._asking(vars(os)[name], what) for name, what in _ASKING.items()}
        yield from ((os, name, ask) for name, ask in asking.items())
        if sys.version_info < (3, 11):  # where paths hold what `os` has
            yield vars(pathlib)["_NormalAccessor"], "stat", staticmethod(asking["stat"])
        yield os, "getcwd", self._telling(os.getcwd, lambda watch, _who: watch.full("."))
        environ = type(os.environ)
        get, put = environ.__getitem__, environ.__setitem__
        yield environ, "__getitem__", self._telling(get, lambda watch, who, _, key: watch.note_variable(key, who))
        yield environ, "__setitem__", self._telling(put, lambda watch, _who, _, key, _value: watch.sets(key))
        every = environ.__iter__
        yield environ, "__iter__", self._telling(every, lambda watch, who, _: watch.note_variable(ALL_VARIABLES, who))
        yield tempfile, "gettempdir", self._telling(tempfile.gettempdir, _asks_for_temporary)
        yield from ((datetime, name, self._moment(vars(datetime)[name])) for name in ("now", "utcnow"))
        clocks = {vars(time)[name]: self._clock(vars(time)[name]) for name in _CLOCKS}
        yield from ((time, name, clocks[vars(time)[name]]) for name in _CLOCKS)
        for module, names in self._libraries_with_clocks():
            for name in names:
                told = vars(module).get(name)
                if type(told).__name__ == "builtin_function_or_method" and told in clocks:
                    yield module, name, clocks[told]
        for name in _IN_C:
            yield from self._readers_of(sys.modules[name]) if name in sys.modules else ()

    def _libraries_with_clocks(self) -> Sequence[tuple[ModuleType, Sequence[str]]]:
        """Return the libraries that may have bound a clock, each with its own names for it: thousands of modules are
        looked at once they are loaded to their end, not by each action."""
        for name, module in list(sys.modules.items()):
            if self._looked_at.get(name) is module or is_being_imported(module):
                continue
            self._looked_at[name] = module
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and "/site-packages/" in file and (names := vars(module).keys() & _BOUND):
                self._with_clocks.append((module, tuple(names)))
        return self._with_clocks

    def _readers_of(self, library: ModuleType) -> Iterator[tuple[Any, str, Any]]:
        tell: Callable[..., None] = _reads_paths
        if library.__name__ in _CLIENTS:
            tell = lambda watch, who, /, *_given, **_named: watch.asks_others(who.at(_NETWORK))  # noqa: E731
        if library.__name__ == _PACKAGES:
            found = library.Distribution
            yield found, "discover", classmethod(self._discovering(found.discover.__func__))
        for reader in _IN_C[library.__name__]:
            told = vars(library).get(reader)
            if isinstance(told, type):
                if "__init__" in vars(told):
                    yield told, "__init__", self._telling(vars(told)["__init__"], tell)
            elif callable(told):
                yield library, reader, self._telling(told, tell)

    def _by_name(self, told: Any) -> Callable[..., Any]:
        """A library that imports a module of the author's by its name: what it does with that is in no signature."""

        def import_module(*given: Any, **named: Any) -> Any:
            module = told(*given, **named)
            watch, who = self.finder(frame := sys._getframe(1)), asker(frame)
            if watch is not None and who is not None and who.kind is CodeOwner.LIBRARY:
                file = getattr(module, "__file__", None)
                if isinstance(file, str) and kind_of(file) is CodeOwner.AUTHOR:
                    watch.differs(who.at(f"imports {module.__name__} by its name"))
            return module

        return import_module

    def _discovering(self, told: Any) -> Callable[..., Any]:
        """Wrap what all functions look up installed packages by."""

        def discover(kind: Any, **given: Any) -> Any:
            group = asking.group_asked(frame := sys._getframe(1))
            outer = (one for one, _ in asking.callers(frame) if not one.f_code.co_filename.endswith(asking.METADATA))
            if (watch := self.finder(frame)) is not None and asker(next(outer, None)) is not None:
                of_all = "packages of path" if group is None else f"entry points of {group}"
                watch.note_answer(f"package of {given['name']}" if given.get("name") else of_all)
            return told(kind, **given)

        return discover

    def _telling(
        self, told: Callable[..., Any], tell: Callable[..., None],
        counts: Callable[..., bool] = lambda *_given, **_named: True,
    ) -> Callable[..., Any]:
        """Return a function that tells of its calls before they are made, where `counts`."""

        def ask(*given: Any, **named: Any) -> Any:
            if counts(*given, **named):
                watch = self.finder(frame := sys._getframe(1))
                if watch is not None and (who := asker(frame)) is not None:
                    tell(watch, who, *given, **named)
            return told(*given, **named)

        return ask

    def _asking(self, told: Any, what: str = "") -> Callable[..., Any]:
        """Wrap a function that asks the system about a path: for `what`, or for its status."""

        def tell(watch: Watch, who: Asker, path: Any = ".", *_given: Any, **_named: Any) -> None:
            full = watch.full(path)
            if what or (who.kind is CodeOwner.AUTHOR and asking.takes_status(sys._getframe(2))):
                watch.note_system(what or "status", full)
            else:
                watch.looked_at(full)

        ask = self._telling(
            told, tell,
            lambda path=".", *_given, **_named: isinstance(path, _PATH) and not getattr(_busy, "is_so", False),
        )
        self._known.append(ask)
        for known in _KNOWN_ABLE:  # who asks whether it can follow no links looks for it there
            if told in known:
                known.add(ask)
        return ask

    def _clock(self, told: Any) -> Callable[..., Any]:
        needs = {"strftime": 1, **dict.fromkeys(_CLOCKS[:4], 99)}.get(told.__name__, 0)

        return self._telling(
            told, _asks_clock(f"time.{told.__name__}"),
            lambda *given: len(given) <= needs or given[needs] is None,
        )

    def _moment(self, told: Any) -> Any:
        """Wrap a class method of `datetime`, which asks the system and not Python's clocks."""

        def call(kind: Any, *given: Any, **named: Any) -> Any:
            return told.__get__(None, kind)(*given, **named)

        return classmethod(self._telling(call, _asks_clock(f"datetime.{told.__name__}")))


def _asks_for_temporary(watch: Watch, who: Asker) -> None:
    if not sys._getframe(2).f_code.co_filename.endswith("/tempfile.py"):  # the names of whose files nobody reads
        for variable in ("TMPDIR", "TEMP", "TMP"):  # which Python has asked for long before
            watch.note_variable(variable, who)


def _asks_clock(what: str) -> Callable[..., None]:
    def tell(watch: Watch, who: Asker, /, *_given: Any, **_named: Any) -> None:
        asked = sys._getframe(2)
        if kind_of(asked.f_code.co_filename) is CodeOwner.PYTHON:  # which asks for itself
            return
        told = who.kind is CodeOwner.AUTHOR and is_only_told(asked.f_code, asked.f_lineno, asked.f_globals)
        if who.package not in _TIMED and not told:
            watch.differs(who.at(f"asks the clock, {what}"))

    return tell


_ASKING = {"stat": "", "lstat": "", "access": "access", "readlink": "link"}
"""Functions of `os` that ask the system about a path, with what they ask."""

_KNOWN_ABLE: tuple[set[Any], ...] = (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks)

_BOUND = frozenset({"time", "time_ns", "now", "_time", "localtime", "strftime", "gmtime", "clock"})
"""Names by which libraries have clocks."""

_CLIENTS = ("psycopg2", "psycopg", "pyodbc", "oracledb", "MySQLdb", "pymssql")
"""Of databases, whose sockets are opened in C."""

_PACKAGES = "importlib.metadata"

_IN_C: Mapping[str, tuple[str, ...]] = {
    "pyarrow.parquet": ("read_table", "read_pandas", "read_metadata", "read_schema"),
    "pyarrow.parquet.core": ("read_table",), "pyarrow.csv": ("read_csv", "open_csv"), "pyarrow.json": ("read_json",),
    "pyarrow.feather": ("read_table", "read_feather"), "pyarrow.dataset": ("dataset",), "pyarrow.orc": ("read_table",),
    "pyarrow": ("memory_map", "input_stream"),
    "polars": ("read_csv", "read_parquet", "read_ipc", "read_json", "scan_csv", "scan_parquet", "scan_ipc"),
    "duckdb": ("read_csv", "read_parquet", "read_json", "from_parquet", "from_csv_auto"),
    "cv2": ("imread",), "lxml.etree": ("parse", "iterparse"), "soundfile": ("read", "info"), "h5py": ("File",),
    "deltalake": ("DeltaTable",), _PACKAGES: (), **dict.fromkeys(_CLIENTS, ("connect",)),
}
"""Functions and classes that are given paths; of `_CLIENTS` what asks the network."""


def _put(holder: Any, name: str, value: Any) -> None:
    """Set an attribute, also of a class that is written in C: that allows none to be set, but its names are a dict."""
    if holder is not datetime:
        setattr(holder, name, value)
        return
    (names,) = gc.get_referents(vars(holder))
    names[name] = value
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(holder))


def _reads_paths(watch: Watch, who: Asker, /, *given: Any, **named: Any) -> None:
    """Note paths that a reader is given as read: files, or all below a folder."""
    for path in (*given, *named.values()):
        if isinstance(path, list | tuple):
            _reads_paths(watch, who, *path)
            continue
        if not isinstance(path, str | os.PathLike) or len(str(path)) >= 4096 or "\0" in str(path):
            continue
        full = watch.full(path)
        if Path(full).is_dir():
            for folder, _, names in os.walk(full):
                watch.listed(folder)
                for name in names:
                    watch.read(os.path.join(folder, name), who)  # noqa: PTH118 - texts
        elif Path(full).is_file():
            watch.read(full, who)
