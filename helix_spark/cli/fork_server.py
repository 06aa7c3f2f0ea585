"""The process that runs are forked from: a Python that has loaded what commands of `helix` load. A command hands it its
command line, environment, folder and streams; a process forked from this one goes on with them. What was loaded here is
in all of them; what a run does is in its own process alone."""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import site
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helix_spark.cli.process_state import fixed_state, take_over
from helix_spark.engine.server.fit import counting_variables
from helix_spark.engine.server.meeting import Line, MeetingPoint
from helix_spark.hermetic.generators import SHARED, is_loaded
from helix_spark.identity.objects.origin import is_project_file

_NEVER_LOADED = frozenset({"helix_spark.__main__", "helix_spark.auto"})
"""Modules that take over the program which imports them."""

_LIBRARIES = ("deltalake", "highspy", "pulp", "pyspark.sql.connect.session", "pyspark.ml", "pyspark.ml.connect")
"""With what they import: NumPy, pandas, PyArrow, gRPC."""

_TO_SAY = 2.0
"""Seconds that a command has to say all about itself."""


def load() -> None:
    """Import what commands import."""
    gc.disable()
    package = importlib.import_module("helix_spark")
    for one in pkgutil.walk_packages(package.__path__, "helix_spark."):
        if one.name not in _NEVER_LOADED:
            importlib.import_module(one.name)
    for name in _LIBRARIES:
        importlib.import_module(name)
    for module in list(sys.modules.values()):
        if isinstance(file := getattr(module, "__file__", None), str):
            is_project_file(file)  # which each process would find out by itself
    gc.freeze()  # else a look for garbage copies the pages that a forked process shares
    gc.enable()


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns


@dataclass(frozen=True)
class Loaded:
    """What this process has loaded, and from where.

    Attributes:
        files: the stamps of modules' files, and of the folders that libraries are installed in.
        names: of modules, without those of packages.
        fixed: see `fixed_state`.
        environ: the variables that may have had a say in it.
    """

    files: Mapping[Path, tuple[int, int, int]]
    names: frozenset[str]
    fixed: Mapping[str, Any]
    environ: Mapping[str, str]

    @staticmethod
    def now() -> Loaded:
        modules = list(sys.modules.values())
        files = {Path(file) for one in modules if isinstance(file := getattr(one, "__file__", None), str)}
        names = frozenset(name for name in sys.modules if "." not in name) - {"__main__"}
        return Loaded(
            {file: _stamp(file) for file in sorted(files | _installed())}, names,
            json.loads(json.dumps(fixed_state())), counting_variables(os.environ),
        )

    def is_current(self) -> bool:
        """Return whether all of it is on disk as it was loaded."""
        return all(_stamp(file) == stamp for file, stamp in self.files.items())

    def why_unfit(self, asked: Mapping[str, Any]) -> str:
        """Return why a command cannot go on from it, in words; empty if it can."""
        given = asked["given"]
        if name := next((name for name, one in self.fixed.items() if asked["fixed"].get(name) != one), ""):
            return f"the {name} of the command is another"
        theirs = counting_variables(given["environ"])
        if differing := sorted(one for one in theirs.keys() | self.environ.keys()
                               if theirs.get(one) != self.environ.get(one)):
            return f"the variable {differing[0]} is another"
        if given["environ"].get("PYTHONHASHSEED", "random") not in ("random", "0"):
            return "Python's hash seed is another"
        if further := set(asked["loaded"]) - self.names - sys.stdlib_module_names - {"__main__"}:
            return f"{min(further)} is loaded in the command's process"
        return next((f"{name} in {folder} has the name of what is loaded" for folder, name in self._hidden(given)), "")

    def _hidden(self, given: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
        """Yield what the command would import from a folder of its own, where another module of that name is loaded."""
        targets = (Path(word.rpartition(":")[0] if ".py:" in word else word) for word in given["argv"][1:])
        folders = [*map(Path, given["path"]), *(one.parent for one in targets if one.suffix == ".py")]
        for folder in {one.resolve(): one for one in folders}:
            for found in [] if folder in self.files else _listed(folder):
                name = found.name.partition(".")[0]
                is_module = found.suffix in (".py", ".pyc", ".so") or (found / "__init__.py").exists()
                if name in self.names and is_module and not _is_loaded_from(name, found):
                    yield folder, found.name


def _installed() -> set[Path]:
    """Return the folders of Python's own library and of what is installed."""
    folders = {*site.getsitepackages(), site.getusersitepackages(), *sysconfig.get_paths().values()}
    return {Path(one).resolve() for one in folders} & {Path(one).resolve() for one in filter(None, sys.path)}


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _is_loaded_from(name: str, path: Path) -> bool:
    file = Path(getattr(sys.modules[name], "__file__", None) or "").resolve()
    return file == path.resolve() or path.resolve() in file.parents


@dataclass(eq=False)
class _Run:
    """A command that a forked process runs."""

    pid: int
    line: Line
    ended: int


@dataclass(eq=False)
class ForkServer:
    """Forks a process for each command that asks for one, until its keeper ends.

    Attributes:
        door: the socket at which commands ask.
        keeper: the end of a connection that is open as long as the keeper lives.
    """

    door: Path
    keeper: int
    loaded: Loaded = field(default_factory=Loaded.now)
    _runs: set[_Run] = field(default_factory=set)
    _events: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _is_over: bool = False

    def __post_init__(self) -> None:
        self._listening = MeetingPoint.listen(self.door)
        self._found_by = _stamp(self.door)[0]

    def serve(self) -> Callable[[], None] | None:
        """Serve until it is over. In a forked process, return what it has to do."""
        self._events.register(self._listening, selectors.EVENT_READ, self._accept)
        self._events.register(self.keeper, selectors.EVENT_READ, self._end)
        with suppress(ConnectionError):
            os.write(self.keeper, b"+")
        while self._runs or not self._is_over:
            for key, _ in self._events.select():
                forked: Callable[[], None] | None = key.data()
                if forked is not None:
                    return forked
        return None

    def _end(self) -> None:
        """Take no more commands; what runs goes on to its end."""
        if not self._is_over:
            self._is_over = True
            self._events.unregister(self.keeper)
            self._events.unregister(self._listening)
            os.close(self.keeper)
            self._listening.close()
            if _stamp(self.door)[0] == self._found_by:  # else it is another one's by now
                self.door.unlink()

    def _accept(self) -> Callable[[], None] | None:
        connected, _ = self._listening.accept()
        line, descriptors = Line(connected), list[int]()
        pid = -1
        with suppress(OSError, ValueError, KeyError, TypeError):  # who asks has gone, or is no command of this version
            if line.is_ours():
                descriptors += line.receive_descriptors(_TO_SAY)
                asked = line.receive(_TO_SAY) or {}
                if self._takes(asked, line, descriptors):
                    pid = self._fork(line)
        if pid == 0:
            self._leave()
            line.close()
            return lambda: _go_on(asked, descriptors)
        for one in descriptors:
            os.close(one)
        if pid < 0:
            line.close()
        return None

    def _takes(self, asked: Mapping[str, Any], line: Line, descriptors: Sequence[int]) -> bool:
        """Return whether a command may go on from here, and still wants that."""
        if len(descriptors) != len(asked["numbers"]) + 1:
            return False
        if not self.loaded.is_current():
            self._end()
            return False
        if why := self.loaded.why_unfit(asked):
            print(f"helix: no process is forked for a command: {why}", file=sys.stderr, flush=True)
            return False
        line.send({"fits": True})
        return line.receive(_TO_SAY) is not None  # None: it did not wait so long, and runs by itself

    def _fork(self, line: Line) -> int:
        """Fork a process for a command. Return 0 in the forked one."""
        try:
            pid = os.fork()
        except OSError:
            line.send({"pid": 0})
            raise
        if pid == 0:
            return 0
        with suppress(OSError):  # it has done so itself
            os.setpgid(pid, pid)
        run = _Run(pid, line, os.pidfd_open(pid))
        self._runs.add(run)
        self._events.register(run.ended, selectors.EVENT_READ, lambda: self._reap(run))
        self._events.register(line, selectors.EVENT_READ, lambda: self._end_run(run))
        with suppress(OSError):  # it was killed just now, which ends the run
            os.utime(self.door)  # its keeper looks when it was last of use
            line.send({"pid": pid})
        return pid

    def _leave(self) -> None:
        """Let go of what is the parent's, in a forked process."""
        os.setpgid(0, 0)
        self._events.close()
        self._listening.close()
        os.close(self.keeper)
        for run in self._runs:
            run.line.close()
            os.close(run.ended)

    def _end_run(self, run: _Run) -> None:
        """End what runs a command whose own process was killed."""
        self._events.unregister(run.line)
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)

    def _reap(self, run: _Run) -> None:
        _, status = os.waitpid(run.pid, 0)
        with suppress(OSError):
            run.line.send({"status": status})
        self._events.unregister(run.ended)
        with suppress(KeyError):
            self._events.unregister(run.line)
        os.close(run.ended)
        run.line.close()
        self._runs.discard(run)


def _go_on(asked: Mapping[str, Any], descriptors: list[int]) -> None:
    """Run a command in this process, which was forked for it."""
    from helix_spark.cli.main import helix

    folder, *others = descriptors
    os.fchdir(folder)
    os.close(folder)
    take_over(asked["given"], asked["numbers"], others)
    importlib.invalidate_caches()
    os.environ["PYTHONHASHSEED"] = "0"
    for shared in SHARED.values():
        if shared.name != "random" and is_loaded(shared.name):  # which does so itself when a process is forked
            shared.seed(shared.module, int.from_bytes(os.urandom(4), "big"))
    helix(obj=asked["given"]["start"])


def main() -> None:
    """Serve as the first line of standard input says, until that input ends. It is a connection to the keeper."""
    if os.fork():
        os._exit(0)  # an orphan is no member of its keeper's family: who ends that ends no run
    keeper = os.dup(0)
    os.close(os.pidfd_open(os.getpid()))  # raises an error where the kernel is older than 5.3
    point = MeetingPoint(Path(json.loads(sys.stdin.readline())["stem"]))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    load()
    if (go_on := ForkServer(point.forks, keeper).serve()) is not None:
        go_on()
