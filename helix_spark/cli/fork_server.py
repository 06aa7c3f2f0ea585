"""The process that runs are forked from: a Python that has loaded what commands of `helix` load. A command hands it its
command line, environment, folder and streams; a process forked from this one goes on with them. What was loaded here is
in all of them; what a run does is in its own process alone."""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import site
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from select import select
from typing import Any

from helix_spark.cli.process_state import fixed_state, take_over
from helix_spark.engine.server.fit import counting_variables
from helix_spark.engine.server.kept_servers import Line, MeetingPoint
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
        if one.name in _NEVER_LOADED:
            continue
        try:
            importlib.import_module(one.name)
        except ModuleNotFoundError as error:  # of an extra that is not installed: the command that needs it says so
            if (error.name or "").startswith("helix_spark"):
                raise
    for name in _LIBRARIES:
        importlib.import_module(name)
    for module in list(sys.modules.values()):
        if isinstance(file := getattr(module, "__file__", None), str):
            is_project_file(file)  # which each process would find out by itself
    gc.freeze()  # else a look for garbage copies the pages that a forked process shares
    gc.enable()


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class Loaded:
    """What this process has loaded, and from where: the stamps of modules' files and of the folders that libraries are
    installed in; the names of modules, without those of packages; what `fixed_state` says; the variables that may have
    had a say in it."""

    files: Mapping[Path, tuple[int, int, int]]
    names: frozenset[str]
    fixed: Mapping[str, Any]
    environ: Mapping[str, str]

    @staticmethod
    def now() -> Loaded:
        modules = list(sys.modules.values())
        files = {Path(file) for one in modules if isinstance(file := getattr(one, "__file__", None), str)}
        names = frozenset(name for name in sys.modules if "." not in name) - {"__main__"}
        # The folders of Python's own library and of what is installed.
        folders = {*site.getsitepackages(), site.getusersitepackages(), *sysconfig.get_paths().values()}
        files |= {Path(one).resolve() for one in folders} & {Path(one).resolve() for one in filter(None, sys.path)}
        return Loaded(
            {file: _stamp(file) for file in sorted(files)}, names, json.loads(json.dumps(fixed_state())),
            counting_variables(os.environ),
        )

    def why_unfit(self, state: Mapping[str, Any]) -> str:
        """Return why a command cannot go on from it, in words; empty if it can."""
        given = state["given"]
        if name := next((name for name, one in self.fixed.items() if state["fixed"].get(name) != one), ""):
            return f"the {name} of the command is another"
        theirs = counting_variables(given["environ"])
        if differing := sorted(one for one in theirs.keys() | self.environ.keys()
                               if theirs.get(one) != self.environ.get(one)):
            return f"the variable {differing[0]} is another"
        if given["environ"].get("PYTHONHASHSEED", "random") not in ("random", "0"):
            return "Python's hash seed is another"
        if further := set(state["loaded"]) - self.names - sys.stdlib_module_names - {"__main__"}:
            return f"{min(further)} is loaded in the command's process"
        return next((f"{name} in {folder} has the name of what is loaded" for folder, name in self._hidden(given)), "")

    def _hidden(self, given: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
        """Yield what the command would import from a folder of its own, where another module of that name is loaded."""
        targets = (Path(word.rpartition(":")[0] if ".py:" in word else word) for word in given["argv"][1:])
        folders = [*map(Path, given["path"]), *(one.parent for one in targets if one.suffix == ".py")]
        for folder in {one.resolve(): one for one in folders}:
            there = list[Path]()
            with suppress(OSError):
                there = [] if folder in self.files else list(folder.iterdir())
            for path in there:
                name = path.name.partition(".")[0]
                is_module = path.suffix in (".py", ".pyc", ".so") or (path / "__init__.py").exists()
                if name in self.names and is_module:
                    file = Path(getattr(sys.modules[name], "__file__", None) or "").resolve()
                    if file != path.resolve() and path.resolve() not in file.parents:
                        yield folder, path.name


@dataclass(frozen=True)
class _Command:
    """A command that is to be run here: its connection, what its process has, and that process's descriptors."""

    line: Line
    state: Mapping[str, Any]
    descriptors: Sequence[int]

    def close(self) -> None:
        self.line.close()
        for descriptor in self.descriptors:
            os.close(descriptor)


class ForkServer:
    """Forks a process for each command that asks for one, until its keeper ends, or what was loaded is another one."""

    def __init__(self, door: Path, keeper: int) -> None:
        """Listen at a socket. `keeper` is the end of a connection that is open as long as the keeper lives."""
        self._door, self._keeper, self._loaded = door, keeper, Loaded.now()
        self._listening = MeetingPoint.listen(door)
        self._inode = _stamp(door)[0]

    def serve(self) -> Callable[[], None] | None:
        """Serve until the end. In a forked process, return what it has to do."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors are not waited for
        with suppress(ConnectionError):
            os.write(self._keeper, b"+")
        watched: list[Any] = [self._listening, self._keeper]
        while self._keeper not in select(watched, [], [])[0]:
            if any(_stamp(file) != stamp for file, stamp in self._loaded.files.items()):
                break  # what was loaded is another one on disk now
            if (command := self._accept()) is None:
                continue
            if _fork(command.line) == 0:
                self._close()
                return _supervise(command)
            command.close()
            with suppress(OSError):
                os.utime(self._door)  # its keeper looks when it was last of use
        if _stamp(self._door)[0] == self._inode:  # else it is another server's by now
            self._door.unlink()
        self._close()
        return None

    def _close(self) -> None:
        self._listening.close()
        os.close(self._keeper)

    def _accept(self) -> _Command | None:
        """Return the next command, if it may go on from here, and still wants that."""
        line, descriptors = Line(self._listening.accept()[0]), list[int]()
        with suppress(OSError, ValueError, KeyError, TypeError):  # it has gone, or is no command of this version
            if line.is_ours():
                descriptors += line.receive_descriptors(_TO_SAY)
                state = line.receive(_TO_SAY) or {}
                if len(descriptors) == len(state["numbers"]) + 1 and self._takes(state, line):
                    return _Command(line, state, descriptors)
        _Command(line, {}, descriptors).close()
        return None

    def _takes(self, state: Mapping[str, Any], line: Line) -> bool:
        if why := self._loaded.why_unfit(state):
            print(f"helix: no process is forked for a command: {why}", file=sys.stderr, flush=True)
            return False
        line.send({"fits": True})
        return line.receive(_TO_SAY) is not None  # None: it did not wait so long, and runs by itself


def _fork(line: Line) -> int:
    """Fork a process for a command as `os.fork` does. Return -1 where that fails, and tell the command."""
    try:
        return os.fork()
    except OSError:
        with suppress(OSError):
            line.send({"pid": 0})
        return -1


def _supervise(command: _Command) -> Callable[[], None]:
    """Fork the process that runs a command, report how it ended, and end. In the forked process, return what it has to
    do."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = _fork(command.line)
    if pid == 0:
        os.setpgid(0, 0)
        command.line.close()
        return lambda: _go_on(command.state, command.descriptors)
    for descriptor in command.descriptors:
        os.close(descriptor)
    if pid > 0:
        with suppress(OSError):  # it has done so itself
            os.setpgid(pid, pid)
        watched: list[Any] = [command.line, ended := os.pidfd_open(pid)]
        with suppress(OSError):
            command.line.send({"pid": pid})
        if ended not in select(watched, [], [])[0]:  # the command's own process is gone
            os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        with suppress(OSError):
            command.line.send({"status": status})
    os._exit(0)


def _go_on(state: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    """Run a command in this process, which was forked for it."""
    from helix_spark.cli.main import helix

    folder, *others = descriptors
    os.fchdir(folder)
    os.close(folder)
    take_over(state["given"], state["numbers"], others)
    importlib.invalidate_caches()
    os.environ["PYTHONHASHSEED"] = "0"
    for shared in SHARED.values():
        if shared.name != "random" and is_loaded(shared.name):  # which does so itself when a process is forked
            shared.seed(shared.module, int.from_bytes(os.urandom(4), "big"))
    helix(obj=state["given"]["start"])


def main() -> None:
    """Serve at the meeting point that the command line names, until standard input ends: a connection to the keeper."""
    if os.fork():
        os._exit(0)  # an orphan is no member of its keeper's family: who ends that ends no run
    keeper = os.dup(0)
    os.close(os.pidfd_open(os.getpid()))  # raises an error where the kernel is older than 5.3
    point = MeetingPoint(Path(sys.argv[1]))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    load()
    if (go_on := ForkServer(point.forks, keeper).serve()) is not None:
        go_on()
