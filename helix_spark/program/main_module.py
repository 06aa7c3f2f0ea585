"""A program as the module `__main__` of this process, as `python FILE` has it, and its errors as Python tells them."""

from __future__ import annotations

import builtins
import io
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import thread as pools
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from helix_spark.hermetic.asking import CodeOwner, kind_of


@contextmanager
def as_main(path: Path, arguments: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Make a program the module `__main__` meanwhile, with its command line and module path; yield its variables."""
    module, before = ModuleType("__main__"), sys.modules["__main__"]
    vars(module).update({"__file__": str(path.absolute()), "__cached__": None, "__builtins__": builtins})
    module.__annotations__ = {}
    sys.argv = [str(path), *arguments]
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules["__main__"] = module
    try:
        yield vars(module)
    finally:
        sys.modules["__main__"] = before


@contextmanager
def silence() -> Iterator[None]:
    """Print nothing to standard output meanwhile, from this process or those that it starts."""
    sys.stdout.flush()
    output, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        os.dup2(output, 1)
        os.close(output)
        os.close(nowhere)


def await_threads(before: set[threading.Thread]) -> None:
    """Wait for the threads that a program has started, as Python does at its end, where those of pools end."""
    for one in set(threading.enumerate()) - before - set(pools._threads_queues):
        if not one.daemon and one is not threading.current_thread():
            one.join()


def print_error(error: BaseException, path: Path) -> None:
    """Print an error as Python does where a program ends with it, without what is Helix's."""
    file, seen = str(path.absolute()), set[int]()
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != file:
        frames = frames.tb_next
    told: BaseException | None = error.with_traceback(frames)
    while told is not None and id(told) not in seen:
        seen.add(id(told))
        told.__traceback__ = _without_ours(told.__traceback__)
        told = told.__cause__ or told.__context__
    traceback.print_exception(type(error), error, error.__traceback__)


def author_line(error: BaseException) -> str:
    """Return where in the author's code an error came up, as `` at FILE:LINE``; empty if that is unknown."""
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        owner = kind_of(frame.f_code.co_filename)
        if owner is CodeOwner.AUTHOR:
            found = f" at {Path(frame.f_code.co_filename).name}:{line}"
        elif owner is CodeOwner.SPARK:
            break
    return found


def _without_ours(frames: TracebackType | None) -> TracebackType | None:
    if frames is None:
        return None
    behind = _without_ours(frames.tb_next)
    if kind_of(frames.tb_frame.f_code.co_filename) is CodeOwner.HELIX:
        return behind
    return TracebackType(behind, frames.tb_frame, frames.tb_lasti, frames.tb_lineno)
