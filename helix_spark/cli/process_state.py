"""State that a process inherits. A process forked for a command takes over its arguments, environment, folder, streams
and signals; Python, rights and limits must be equal in both."""

from __future__ import annotations

import fcntl
import io
import os
import resource
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
"""Standard streams, at the index of their descriptors."""


def process_start() -> float | None:
    """Return when this process began, on the clock of `time.perf_counter()`; None if `/proc` does not have it."""
    try:
        # The start, in ticks since the machine was booted, comes after the name, which may contain anything.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return None if age < 0 else time.perf_counter() - age


def fixed_state() -> dict[str, Any]:
    """Return the state that no process can take over, as plain data: Python and its flags, user, limits, namespaces."""
    links = (Path(f"/proc/self/ns/{name}") for name in _NAMESPACES)
    flags = {name: getattr(sys.flags, name) for name in dir(sys.flags) if not name.startswith(("_", "n_"))}
    for changing in ("hash_randomization", "count", "index"):
        flags.pop(changing, None)
    kinds = [name for name in sorted(dir(resource)) if name.startswith("RLIMIT")]
    limits = [resource.getrlimit(getattr(resource, name)) for name in kinds]
    return {
        "Python": [sys.version, sys.prefix, sys.warnoptions, {**sys._xoptions}, flags],
        "user": [os.getresuid(), os.getresgid(), sorted(os.getgroups())],
        "limits": [limits, os.getpriority(os.PRIO_PROCESS, 0), sorted(os.sched_getaffinity(0))],
        "namespaces": [str(link.readlink()) for link in links],
        "root": [Path("/").stat().st_dev, Path("/").stat().st_ino],
    }


def given_state() -> dict[str, Any]:
    """Return the state that another process can take over, as plain data, without the descriptors."""
    mask = os.umask(0o077)
    os.umask(mask)
    return {
        "argv": sys.argv, "orig_argv": sys.orig_argv, "executable": sys.executable, "path": sys.path,
        "environ": dict(os.environ), "umask": mask, "unbuffered": getattr(sys.stdout, "write_through", False),
        "ignored": [number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN],
        "start": process_start(),
    }


def inherited_descriptors() -> list[int]:
    """Return the descriptors that this process inherited."""
    descriptors = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the descriptor of this listing is closed
            if os.get_inheritable(int(link.name)):
                descriptors.append(int(link.name))
    return sorted(descriptors)


def take_over(state: Mapping[str, Any], numbers: Sequence[int], descriptors: Sequence[int]) -> None:
    """Take over a process's state (see `given_state`): command line, environment, streams and signals. `descriptors`
    become the `numbers` that they have in that process."""
    above = max(numbers) + 1
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, above) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for number, descriptor in zip(numbers, moved, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.umask(state["umask"])
    os.environ.clear()
    os.environ.update(state["environ"])
    time.tzset()
    sys.argv[:], sys.orig_argv[:], sys.path[:] = state["argv"], state["orig_argv"], state["path"]
    sys.executable = state["executable"]
    for number in signal.valid_signals():
        if number in state["ignored"]:
            signal.signal(number, signal.SIG_IGN)
        elif signal.getsignal(number) is signal.SIG_IGN:  # inherited, as from a shell that starts a background job
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for number, (name, mode) in enumerate(_STREAMS):
        opened = _stream(number, mode, getattr(sys, name), state["unbuffered"])
        setattr(sys, name, opened)
        setattr(sys, f"__{name}__", opened)


def _stream(number: int, mode: str, before: Any, unbuffered: bool) -> io.TextIOWrapper:
    """Return a stream as Python opens it when it starts, with the encoding that an earlier one has."""
    is_unbuffered = unbuffered and mode == "w"
    raw: Any = open(number, f"{mode}b", buffering=0 if is_unbuffered else -1, closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(
        raw, encoding=before.encoding, errors=before.errors, newline=None if mode == "r" else "\n",
        line_buffering=mode == "w" and not unbuffered and (number == 2 or os.isatty(number)),
        write_through=is_unbuffered,
    )
