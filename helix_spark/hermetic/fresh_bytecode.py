"""Code that Python caches of the author's modules, which must be that of their text."""

from __future__ import annotations

import time
from functools import cache
from importlib.machinery import SourceFileLoader
from typing import Any

_SECONDS = 2
"""Python knows a text by its size and the second in which it was saved. Two: a disk's clock may be a tick behind."""


@cache
def cache_no_fresh_bytecode() -> None:
    """Have Python cache the code of a module only when no later save can have the same time; once a process.

    Who saves twice in a second, as a program does that edits, would else run the code of the first save if both have
    the same size.
    """
    write: Any = SourceFileLoader.set_data

    def set_data(self: Any, path: str, data: Any, **named: Any) -> None:
        is_checked_by_time = not any(data[4:8])  # PEP 552: flags, then the time and the size of the source
        if not is_checked_by_time or int.from_bytes(data[8:12], "little") + _SECONDS <= int(time.time()):
            write(self, path, data, **named)

    SourceFileLoader.set_data = set_data  # type: ignore[method-assign]  # replaced on purpose
