"""A program as the module `__main__` of this process, as under `python FILE`, and its errors as Python prints them."""

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
    """Make a program the module `__main__`, with its command line and module path; yield its variables."""
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
    """Discard the standard output of this process and of those that it starts."""
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
    """Wait for the threads that a program has started, as Python does at its end, except for those of pools."""
    for thread in set(threading.enumerate()) - before - set(pools._threads_queues):
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()


def print_error(error: BaseException, path: Path) -> None:
    """Print the error that ends a program as Python does, without frames of Helix."""
    file, seen = str(path.absolute()), set[int]()
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != file:
        frames = frames.tb_next
    cause: BaseException | None = error.with_traceback(frames)
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        cause.__traceback__ = _without_ours(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__
    traceback.print_exception(type(error), error, error.__traceback__)


def author_line(error: BaseException) -> str:
    """Return the author's line of an error, as `` at FILE:LINE``; empty if unknown."""
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        owner = kind_of(frame.f_code.co_filename)
        if owner is CodeOwner.AUTHOR:
            place = f" at {Path(frame.f_code.co_filename).name}:{line}"
        elif owner is CodeOwner.SPARK:
            break
    return place


def _without_ours(frames: TracebackType | None) -> TracebackType | None:
    if frames is None:
        return None
    inner = _without_ours(frames.tb_next)
    if kind_of(frames.tb_frame.f_code.co_filename) is CodeOwner.HELIX:
        return inner
    return TracebackType(inner, frames.tb_frame, frames.tb_lasti, frames.tb_lineno)
