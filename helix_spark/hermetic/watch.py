"""What code reads and asks for while it runs: told by Python's audit events, and by wrapped clocks and environment."""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.machinery
import os
import pathlib
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from helix_spark.hermetic.asking import Asker, CodeOwner, asker, direct, kind_of
from helix_spark.hermetic.generators import found_and_then
from helix_spark.hermetic.seen import Seen, content_of, names_in, value_of

State = tuple[int, ...]
_stat, _now = os.stat, time.time_ns

_UNCOUNTED = (
    *{f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib")}, f"{Path(__file__).resolve().parents[1]}/",
)
"""Code that counts by its version."""

_ENTROPY = frozenset({"/dev/urandom", "/dev/random", "/dev/hwrng"})
_OF_MACHINE = ("/proc/", "/sys/", "/dev/")

_TIMED = frozenset({
    "pandas", "joblib", "tqdm", "sklearn", "matplotlib", "torch", "lightgbm", "xgboost", "catboost", "numba", "dask",
    "rich", "pip", "_pytest", "hypothesis", "IPython", "urllib3", "ray", "optuna",
})
"""Libraries that take the time of what they do, for people to see."""

_CLOCKS = ("time", "time_ns", "perf_counter", "perf_counter_ns", "localtime", "gmtime", "ctime", "asctime", "strftime")


Event = tuple[str, str, Any]
"""A sort, what it is about, and what else is known of it: plain data, which a worker can send."""


class Watch:
    """What one action did. Several threads may tell of it at the same time.

    Args:
        own: environment variables that the author's code has set itself; added to.
        began: when it did, in nanoseconds since 1970; None for now.

    Attributes:
        events: what was noticed, each once, in order.
    """

    def __init__(self, own: set[str] | None = None, began: int | None = None) -> None:
        self._began = _now() if began is None else began
        self._own = set[str]() if own is None else own
        self._met: set[tuple[str, str]] = set()
        self.events: list[Event] = []

    def _note(self, sort: str, name: str, more: Any = None) -> None:
        if (sort, name) not in self._met:
            self._met.add((sort, name))
            self.events.append((sort, name, more))

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
            if flags & os.O_RDWR and not flags & anew and not self._is_written(path):
                self.read(path, who)
            self._note("written", path)
        else:
            self.read(path, who)

    def read(self, path: str, who: Asker) -> None:
        """A file was read."""
        if self._is_written(path) or ("read", path) in self._met or _is_uncounted(path):
            return
        if path in _ENTROPY:
            self.differs(who.at(f"reads {path}"))
        elif path.startswith(_OF_MACHINE):
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
        if self._is_written(path) or not self._met.isdisjoint({("read", path), ("looked", path)}):
            return
        if not (_is_uncounted(path) or path.startswith(_OF_MACHINE)):
            state = _state(path)
            if state is None or state[-1] < self._began:
                self._note("looked", path, state is not None)

    def named(self, paths: Iterable[str]) -> None:
        """Note files that the code names: something that nobody sees may read them for it. A file that the action has
        written meanwhile is its own."""
        for path in paths:
            state = _state(path)
            if state is not None and max(state[-1], state[-2]) < self._began:
                self.looked_at(path)

    def listed(self, folder: str) -> None:
        """The names in a folder were looked through."""
        if not _is_uncounted(f"{folder}/") and not f"{folder}/".startswith(_OF_MACHINE):
            self._note("listed", folder)

    def asked(self, variable: str, who: Asker) -> None:
        """An environment variable was asked for."""
        if variable not in self._own:
            self._note("asked", variable, (value_of(variable), who.at(f"asks for the variable {variable}")))

    def sets(self, variable: str) -> None:
        """An environment variable was set: what is asked of it from now on is no input."""
        self._own.add(variable)
        self._note("set", variable)

    def _is_written(self, path: str) -> bool:
        return ("written", path) in self._met


def seen_in(events: Sequence[Event], *, drew: bool = False) -> Seen:
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
    told = {sort: tuple(name for one, name, _ in events if one == sort) for sort in ("chance", "outside", "listed")}
    asked = {name: more[0] for sort, name, more in events if sort == "asked"}
    listed = {folder: names_in(folder) for folder in told["listed"]}
    return Seen(drew, files, listed, asked, (*told["chance"], *dict.fromkeys(changed)), told["outside"])


def _state(path: str) -> State | None:
    try:
        status = _stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _is_uncounted(path: str) -> bool:
    inside = "/site-packages/" in path or "/dist-packages/" in path or "/__pycache__/" in path
    return inside or path.startswith(_UNCOUNTED)


Finder = Callable[[FrameType | None], "Watch | None"]
"""Tells what watches the code of a frame, in the calling thread."""

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
        tell(watch, given, frame)
    except Exception as error:  # noqa: BLE001 - an audit hook that raises would end what the author does
        watch.differs(f"does something that could not be looked at ({event}: {error!r})")
    finally:
        _busy.is_so = False


def _open(watch: Watch, given: tuple[Any, ...], frame: FrameType) -> None:
    path, _, flags = given
    if isinstance(path, str | bytes | os.PathLike) and (who := asker(frame)) is not None:
        watch.opened(os.path.abspath(os.fsdecode(path)), flags if isinstance(flags, int) else 0, who)  # noqa: PTH100  # a path's own `absolute` keeps `..`


def _list(watch: Watch, given: tuple[Any, ...], frame: FrameType) -> None:
    folder = "." if given[0] is None else given[0]
    if isinstance(folder, str | bytes | os.PathLike) and asker(frame) is not None:
        watch.listed(os.path.abspath(os.fsdecode(folder)))  # noqa: PTH100 - a text


def _connect_database(watch: Watch, given: tuple[Any, ...], frame: FrameType) -> None:
    name = os.fsdecode(given[0]) if isinstance(given[0], str | bytes | os.PathLike) else ""
    path = name.removeprefix("file:").partition("?")[0]
    if path and path != ":memory:" and "mode=memory" not in name and (who := asker(frame)) is not None:
        for one in (path, f"{path}-wal"):
            watch.read(os.path.abspath(one), who)  # noqa: PTH100 - a text


def _load_library(watch: Watch, given: tuple[Any, ...], frame: FrameType) -> None:
    who = asker(frame)
    if isinstance(given[0], str) and "/" in given[0] and who is not None and who.kind is CodeOwner.AUTHOR:
        watch.read(os.path.abspath(given[0]), who)  # noqa: PTH100 - a text


def _asks_others(what: str, place: int | None = None) -> Callable[[Watch, tuple[Any, ...], FrameType], None]:
    def tell(watch: Watch, given: tuple[Any, ...], frame: FrameType) -> None:
        who = asker(frame)
        if who is not None and not _looks_for_itself(frame):
            shown = f" ({str(given[place])[:80]})" if place is not None else ""
            watch.asks_others(who.at(f"{what}{shown}"))

    return tell


def _asks_machine(what: str) -> Callable[[Watch, tuple[Any, ...], FrameType], None]:
    def tell(watch: Watch, given: tuple[Any, ...], frame: FrameType) -> None:
        if (who := asker(frame)) is not None:
            watch.differs(who.at(what))

    return tell


def _looks_for_itself(frame: FrameType | None) -> bool:
    """Whether a process is started to find out how many processors there are, say."""
    while frame is not None:
        if frame.f_code.co_filename.endswith(("/platform.py", "/ctypes/util.py", "/loky/backend/context.py")):
            return True
        frame = frame.f_back
    return False


_NETWORK, _PROCESS = "asks the network", "starts another process"

_TELLS: Mapping[str, Callable[[Watch, tuple[Any, ...], FrameType], None]] = {
    "open": _open, "os.listdir": _list, "os.scandir": _list, "sqlite3.connect": _connect_database,
    "ctypes.dlopen": _load_library,
    "socket.connect": _asks_others(_NETWORK, 1), "socket.sendto": _asks_others(_NETWORK, 1),
    "socket.gethostbyname": _asks_others(_NETWORK, 0), "http.client.send": _asks_others(_NETWORK),
    "subprocess.Popen": _asks_others(_PROCESS, 0), "os.system": _asks_others(_PROCESS, 0),
    "os.exec": _asks_others(_PROCESS, 0), "os.posix_spawn": _asks_others(_PROCESS, 0),
    "os.fork": _asks_others(_PROCESS), "os.forkpty": _asks_others(_PROCESS), "pty.spawn": _asks_others(_PROCESS),
    "builtins.input": _asks_machine("asks who sits at the terminal"),
    "socket.gethostname": _asks_machine("asks for the name of the machine"),
}


class Wrapped:
    """While it is installed, clocks and the environment tell who asks for them. So do readers in C++, which Python does
    not see open a file: by the paths that they are given.

    Args:
        finder: tells what watches who asks.
        begins_thread: is told of each thread before it is started, and by which frame.
    """

    def __init__(self, finder: Finder, begins_thread: Callable[[threading.Thread, FrameType | None], None]) -> None:
        self.finder, self.begins_thread = finder, begins_thread
        self._theirs: list[tuple[Any, str, Any]] = []
        self._known: list[Any] = []
        self._holding: dict[str, tuple[ModuleType, tuple[str, ...]]] = {}

    def install(self) -> None:
        """Puts the wrappers in place; the audit hook once and for all."""
        global _hooked
        if not _hooked:
            sys.addaudithook(_hook)
            _hooked = True
        _installed.append(self)
        sys.meta_path.insert(0, self)
        for holder, name, ours in self._wrappers():
            self._theirs.append((holder, name, vars(holder)[name]))
            _put(holder, name, ours)

    def remove(self) -> None:
        """Puts everything back."""
        while self._theirs:
            _put(*self._theirs.pop())
        _installed.remove(self)
        sys.meta_path.remove(self)
        for known in _KNOWN_ABLE:
            known.difference_update(self._known)
        self._known.clear()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Python asks where a module is to be imported from: one of readers is wrapped once it is there."""

        def loaded(module: ModuleType) -> None:
            if self in _installed:
                for holder, reader, ours in self._readers_of(module):
                    self._theirs.append((holder, reader, vars(holder)[reader]))
                    setattr(holder, reader, ours)

        return found_and_then(name, path, target, loaded) if name in _IN_C else None

    def _wrappers(self) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
        started = threading.Thread.start

        def start(thread: threading.Thread) -> None:
            self.begins_thread(thread, sys._getframe(1))
            started(thread)

        yield threading.Thread, "start", start
        yield importlib, "import_module", self._by_name(importlib.import_module)
        yield os, "stat", self._status(os.stat)
        if sys.version_info < (3, 11):  # where paths hold what `os` has
            yield vars(pathlib)["_NormalAccessor"], "stat", staticmethod(self._status(os.stat))
        environ = type(os.environ)
        yield environ, "__getitem__", self._asked(environ.__getitem__)
        yield environ, "__setitem__", self._set(environ.__setitem__)
        yield from ((datetime, name, self._moment(vars(datetime)[name])) for name in ("now", "utcnow"))
        clocks = {vars(time)[name]: self._clock(vars(time)[name]) for name in _CLOCKS}
        yield from ((time, name, clocks[vars(time)[name]]) for name in _CLOCKS)
        for key, module in list(sys.modules.items()):
            held = self._holding.get(key)
            if held is None or held[0] is not module:
                held = self._holding[key] = module, _clocks_in(module, clocks)
            for name in held[1]:
                if _is_among(told := vars(module).get(name), clocks):
                    yield module, name, clocks[told]
        for name in _IN_C:
            if (library := sys.modules.get(name)) is not None:
                yield from self._readers_of(library)

    def _readers_of(self, library: ModuleType) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
        for reader in _IN_C[library.__name__]:
            told = vars(library).get(reader)
            if isinstance(told, type):
                if "__init__" in vars(told):
                    yield told, "__init__", self._reader(vars(told)["__init__"])
            elif callable(told):
                yield library, reader, self._client(told) if library.__name__ in _CLIENTS else self._reader(told)

    def _by_name(self, told: Any) -> Callable[..., Any]:
        """Nondeterminism, as what a library does with a module of the author's is in no signature."""

        def import_module(*given: Any, **named: Any) -> Any:
            module = told(*given, **named)
            watch, who = self.finder(frame := sys._getframe(1)), asker(frame)
            if watch is not None and who is not None and who.kind is CodeOwner.LIBRARY:
                file = getattr(module, "__file__", None)
                if isinstance(file, str) and kind_of(file) is CodeOwner.AUTHOR:
                    watch.differs(who.at(f"imports {module.__name__} by its name"))
            return module

        return import_module

    def _status(self, told: Any) -> Callable[..., Any]:
        def stat(path: Any, *given: Any, **named: Any) -> Any:
            frame = sys._getframe(1)
            watch = self.finder(frame) if isinstance(path, str | bytes | os.PathLike) else None
            if watch is not None:
                who = direct(frame) if not getattr(_busy, "is_so", False) else None
                if who is not None:
                    watch.looked_at(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 - a text
            return told(path, *given, **named)

        for known in _KNOWN_ABLE:  # who asks whether it can follow no links looks for it there
            if told in known:
                known.add(stat)
                self._known.append(stat)
        return stat

    def _asked(self, told: Any) -> Callable[..., Any]:
        def get(environ: Any, key: Any) -> Any:
            frame = sys._getframe(1)
            watch = self.finder(frame) if isinstance(key, str) else None
            who = direct(frame) if watch is not None else None
            if watch is not None and who is not None:
                watch.asked(key, who)
            return told(environ, key)

        return get

    def _set(self, told: Any) -> Callable[..., Any]:
        def put(environ: Any, key: Any, value: Any) -> None:
            frame = sys._getframe(1)
            watch = self.finder(frame) if isinstance(key, str) else None
            if watch is not None and direct(frame) is not None:
                watch.sets(key)
            told(environ, key, value)

        return put

    def _clock(self, told: Any) -> Callable[..., Any]:
        needs = {"strftime": 1, **dict.fromkeys(_CLOCKS[:4], 99)}.get(told.__name__, 0)

        def tell(*given: Any) -> Any:
            frame = sys._getframe(1)
            watch = self.finder(frame) if len(given) <= needs or given[needs] is None else None
            if watch is not None:
                who = direct(frame)
                if who is not None and who.package not in _TIMED:
                    watch.differs(who.at(f"asks the clock, time.{told.__name__}"))
            return told(*given)

        return tell

    def _moment(self, told: Any) -> Any:
        """The same of a class method of `datetime`, which asks the system and not Python's clocks."""

        def tell(kind: Any, *given: Any, **named: Any) -> Any:
            watch, who = self.finder(frame := sys._getframe(1)), direct(frame)
            if watch is not None and who is not None and who.package not in _TIMED:
                watch.differs(who.at(f"asks the clock, datetime.{told.__name__}"))
            return told.__get__(None, kind)(*given, **named)

        return classmethod(tell)

    def _client(self, told: Any) -> Callable[..., Any]:
        def connect(*given: Any, **named: Any) -> Any:
            watch, who = self.finder(frame := sys._getframe(1)), asker(frame)
            if watch is not None and who is not None:
                watch.asks_others(who.at(_NETWORK))
            return told(*given, **named)

        return connect

    def _reader(self, told: Any) -> Callable[..., Any]:
        def read(*given: Any, **named: Any) -> Any:
            watch, who = self.finder(frame := sys._getframe(1)), asker(frame)
            if watch is not None and who is not None:
                for path in (*given, *named.values()):
                    _read_all(watch, path, who)
            return told(*given, **named)

        return read


_KNOWN_ABLE: tuple[set[Any], ...] = (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks)

_BOUND = frozenset({"time", "time_ns", "now", "_time", "localtime", "strftime", "gmtime", "clock"})
"""Names by which libraries have clocks."""

_CLIENTS = ("psycopg2", "psycopg", "pyodbc", "oracledb", "MySQLdb", "pymssql")
"""Of databases, whose sockets are opened in C."""

_IN_C: Mapping[str, tuple[str, ...]] = {
    "pyarrow.parquet": ("read_table", "read_pandas", "read_metadata", "read_schema"),
    "pyarrow.parquet.core": ("read_table",), "pyarrow.csv": ("read_csv", "open_csv"), "pyarrow.json": ("read_json",),
    "pyarrow.feather": ("read_table", "read_feather"), "pyarrow.dataset": ("dataset",), "pyarrow.orc": ("read_table",),
    "pyarrow": ("memory_map", "input_stream"),
    "polars": ("read_csv", "read_parquet", "read_ipc", "read_json", "scan_csv", "scan_parquet", "scan_ipc"),
    "duckdb": ("read_csv", "read_parquet", "read_json", "from_parquet", "from_csv_auto"),
    "cv2": ("imread",), "lxml.etree": ("parse", "iterparse"), "soundfile": ("read", "info"), "h5py": ("File",),
    "deltalake": ("DeltaTable",), **dict.fromkeys(_CLIENTS, ("connect",)),
}
"""Functions and classes that are given paths; of `_CLIENTS` what asks the network."""


def _put(holder: Any, name: str, value: Any) -> None:
    """Sets an attribute, also of a class that is written in C: that allows none to be set, but its names are a dict."""
    if holder is not datetime:
        setattr(holder, name, value)
        return
    (names,) = gc.get_referents(vars(holder))
    names[name] = value
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(holder))


def _clocks_in(module: ModuleType, clocks: Mapping[Any, Any]) -> tuple[str, ...]:
    """The names by which a library has clocks."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or "/site-packages/" not in file:
        return ()
    names = vars(module)
    return tuple(name for name in sorted(names.keys() & _BOUND) if _is_among(names[name], clocks))


def _is_among(value: Any, clocks: Mapping[Any, Any]) -> bool:
    return type(value).__name__ == "builtin_function_or_method" and value in clocks


def _read_all(watch: Watch, path: Any, who: Asker) -> None:
    """Takes a path that a reader is given for read: a file, or all below a folder."""
    if isinstance(path, list | tuple):
        for one in path:
            _read_all(watch, one, who)
    elif isinstance(path, str | os.PathLike) and len(str(path)) < 4096 and "\0" not in str(path):
        full = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - a text
        if Path(full).is_dir():
            for folder, _, names in os.walk(full):
                watch.listed(folder)
                for name in names:
                    watch.read(os.path.join(folder, name), who)  # noqa: PTH118 - texts
        elif Path(full).is_file():
            watch.read(full, who)
