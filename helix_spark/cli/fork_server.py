"""The fork server: a Python process that has loaded the modules of all `helix` commands.

A command sends its arguments, environment, folder and streams, and a process forked from the server runs the command
with these. Forked processes share the loaded modules and no state of a run.
"""

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
"""Modules that take over the program that imports them."""

_LIBRARIES = ("deltalake", "highspy", "pulp", "pyspark.sql.connect.session", "pyspark.ml", "pyspark.ml.connect")
"""Libraries to import; these also import NumPy, pandas, PyArrow and gRPC."""

_RECEIVE_SECONDS = 2.0
"""Seconds that a command has to send its request."""


def load() -> None:
    """Import the modules that commands import."""
    gc.disable()
    package = importlib.import_module("helix_spark")
    for module in pkgutil.walk_packages(package.__path__, "helix_spark."):
        if module.name in _NEVER_LOADED:
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:  # an extra is not installed; the command that needs it reports that
            if (error.name or "").startswith("helix_spark"):
                raise
    for name in _LIBRARIES:
        importlib.import_module(name)
    for loaded in sys.modules.copy().values():
        if isinstance(file := getattr(loaded, "__file__", None), str):
            is_project_file(file)  # cached here for all forked processes
    gc.freeze()  # else a garbage collection copies the memory that forked processes share
    gc.enable()


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class Loaded:
    """The modules of this process, and the state that they may depend on: stamps of their files and of the folders of
    installed libraries, names of top-level modules, the result of `fixed_state`, and variables."""

    files: Mapping[Path, tuple[int, int, int]]
    names: frozenset[str]
    fixed: Mapping[str, Any]
    environ: Mapping[str, str]

    @staticmethod
    def now() -> Loaded:
        modules = sys.modules.copy().values()
        files = {Path(file) for module in modules if isinstance(file := getattr(module, "__file__", None), str)}
        names = frozenset(name for name in sys.modules if "." not in name) - {"__main__"}
        # The folders of the standard library and of installed packages.
        folders = {*site.getsitepackages(), site.getusersitepackages(), *sysconfig.get_paths().values()}
        files |= {Path(path).resolve() for path in folders} & {Path(path).resolve() for path in filter(None, sys.path)}
        return Loaded(
            {file: _stamp(file) for file in sorted(files)}, names, json.loads(json.dumps(fixed_state())),
            counting_variables(os.environ),
        )

    def why_unfit(self, state: Mapping[str, Any]) -> str:
        """Return why a command cannot run in a fork of this process, in words; empty if it can."""
        process = state["given"]
        if name := next((name for name, value in self.fixed.items() if state["fixed"].get(name) != value), ""):
            return f"the {name} of the command differs"
        environ = counting_variables(process["environ"])
        if variables := sorted(name for name in environ.keys() | self.environ.keys()
                               if environ.get(name) != self.environ.get(name)):
            return f"the variable {variables[0]} differs"
        if process["environ"].get("PYTHONHASHSEED", "random") not in ("random", "0"):
            return "Python's hash seed differs"
        if further := set(state["loaded"]) - self.names - sys.stdlib_module_names - {"__main__"}:
            return f"{min(further)} is loaded in the command's process"
        hidden = next(self._hidden(process), None)
        return "" if hidden is None else f"{hidden[1]} in {hidden[0]} has the name of a loaded module"

    def _hidden(self, process: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
        """Yield the command's own modules that a loaded module of the same name would hide: folder and file name."""
        targets = (Path(word.rpartition(":")[0] if ".py:" in word else word) for word in process["argv"][1:])
        folders = [*map(Path, process["path"]), *(target.parent for target in targets if target.suffix == ".py")]
        for folder in dict.fromkeys(folder.resolve() for folder in folders):
            paths = list[Path]()
            with suppress(OSError):
                paths = [] if folder in self.files else list(folder.iterdir())
            for path in paths:
                name = path.name.partition(".")[0]
                is_module = path.suffix in (".py", ".pyc", ".so") or (path / "__init__.py").exists()
                if name in self.names and is_module:
                    file = Path(getattr(sys.modules[name], "__file__", None) or "").resolve()
                    if file != path.resolve() and path.resolve() not in file.parents:
                        yield folder, path.name


@dataclass(frozen=True)
class _Command:
    """A command to run: its connection, and its process's state and descriptors."""

    line: Line
    state: Mapping[str, Any]
    descriptors: Sequence[int]

    def close(self) -> None:
        self.line.close()
        for descriptor in self.descriptors:
            os.close(descriptor)


class ForkServer:
    """Forks a process for each command that requests one, until the keeper ends or the loaded files change."""

    def __init__(self, path: Path, keeper: int) -> None:
        """Listen at a socket's path. `keeper` is a connection that stays open while the keeper lives."""
        self._path, self._keeper, self._loaded = path, keeper, Loaded.now()
        self._listener = MeetingPoint.listen(path)
        self._inode = _stamp(path)[0]

    def serve(self) -> Callable[[], None] | None:
        """Serve until the end. In a forked process, return the function that it must call."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no waiting for supervisors
        with suppress(ConnectionError):
            os.write(self._keeper, b"+")
        watched: list[Any] = [self._listener, self._keeper]
        while self._keeper not in select(watched, [], [])[0]:
            if any(_stamp(file) != stamp for file, stamp in self._loaded.files.items()):
                break
            if (command := self._accept()) is None:
                continue
            if _fork(command.line) == 0:
                self._close()
                return _supervise(command)
            command.close()
            with suppress(OSError):
                os.utime(self._path)  # shows the keeper when the server was last used
        if _stamp(self._path)[0] == self._inode:  # else another server has replaced the socket
            self._path.unlink()
        self._close()
        return None

    def _close(self) -> None:
        self._listener.close()
        os.close(self._keeper)

    def _accept(self) -> _Command | None:
        """Return the next command, if a fork can run it and it still waits."""
        line, descriptors = Line(self._listener.accept()[0]), list[int]()
        with suppress(OSError, ValueError, KeyError, TypeError):  # it disconnected, or is of another version
            if line.is_ours():
                descriptors += line.receive_descriptors(_RECEIVE_SECONDS)
                state = line.receive(_RECEIVE_SECONDS) or {}
                if len(descriptors) == len(state["numbers"]) + 1 and self._accepts(state, line):
                    return _Command(line, state, descriptors)
        _Command(line, {}, descriptors).close()
        return None

    def _accepts(self, state: Mapping[str, Any], line: Line) -> bool:
        if why := self._loaded.why_unfit(state):
            print(f"helix: no process is forked for a command: {why}", file=sys.stderr, flush=True)
            return False
        line.send({"fits": True})
        return line.receive(_RECEIVE_SECONDS) is not None  # None: the command no longer waits, and runs by itself


def _fork(line: Line) -> int:
    """Fork a process as `os.fork` does. If that fails, report it to the command and return -1."""
    try:
        return os.fork()
    except OSError:
        with suppress(OSError):
            line.send({"pid": 0})
        return -1


def _supervise(command: _Command) -> Callable[[], None]:
    """Fork a process for a command, report its exit status, and end. There, return the function that it must call."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = _fork(command.line)
    if pid == 0:
        os.setpgid(0, 0)
        command.line.close()
        return lambda: _run_command(command.state, command.descriptors)
    for descriptor in command.descriptors:
        os.close(descriptor)
    if pid > 0:
        with suppress(OSError):  # the process has done so itself
            os.setpgid(pid, pid)
        watched: list[Any] = [command.line, ended := os.pidfd_open(pid)]
        with suppress(OSError):
            command.line.send({"pid": pid})
        if ended not in select(watched, [], [])[0]:  # the command's own process has ended
            os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        with suppress(OSError):
            command.line.send({"status": status})
    os._exit(0)


def _run_command(state: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    """Run a command in this process, which was forked for it."""
    from helix_spark.cli.main import helix

    folder, *streams = descriptors
    os.fchdir(folder)
    os.close(folder)
    take_over(state["given"], state["numbers"], streams)
    importlib.invalidate_caches()
    os.environ["PYTHONHASHSEED"] = "0"
    for shared in SHARED.values():
        if shared.name != "random" and is_loaded(shared.name):  # `random` reseeds itself after a fork
            shared.seed(shared.module, int.from_bytes(os.urandom(4), "big"))
    helix(obj=state["given"]["start"])


def main() -> None:
    """Serve at the meeting point of the command line until standard input, a connection to the keeper, ends."""
    if os.fork():
        os._exit(0)  # as an orphan, it survives when the keeper's process tree is killed, and so do its runs
    keeper = os.dup(0)
    os.close(os.pidfd_open(os.getpid()))  # raises an error if the kernel is older than 5.3
    point = MeetingPoint(Path(sys.argv[1]))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    load()
    if (run_command := ForkServer(point.forks, keeper).serve()) is not None:
        run_command()
