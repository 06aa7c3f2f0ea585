"""The author's context in another thread: context variables, and settings that libraries keep for each thread.

`decimal`, numpy's error state and print options, and many others are context variables; scikit-learn's and joblib's
configurations are thread-local. A new thread has the defaults of all of them, so code that a file configured at its
top would run as if that line were missing.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from copy import deepcopy
from types import ModuleType
from typing import Any, TypeVar

from helix_spark.hermetic.asking import CodeOwner, kind_of

_R = TypeVar("_R")
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_DEEPEST = 4


class ThreadContext:
    """What the thread that makes it has set, for calls in other threads. What a call changes stays its own."""

    def __init__(self) -> None:
        self._variables = copy_context()
        self._settings = [(local, deepcopy(_settings_of(local))) for local in _locals()]

    def call(self, function: Callable[..., _R], *arguments: Any) -> _R:
        """Call a function in the calling thread, as if it were the one that made this."""
        for local, values in self._settings:
            own = vars(local)
            for name in _settings_of(local).keys() - values.keys():
                del own[name]
            own.update(deepcopy(values))
        return self._variables.copy().run(_with_own_decimals, function, *arguments)


def _with_own_decimals(function: Callable[..., _R], *arguments: Any) -> _R:
    """Call a function. A copy of context variables shares the decimal context, which code changes in place."""
    if (decimal := sys.modules.get("decimal")) is not None:
        decimal.setcontext(decimal.getcontext().copy())
    return function(*arguments)


def _locals() -> Iterator[threading.local]:
    """Yield the thread-local objects that modules of libraries, and of the author's, hold in their names."""
    for module in list(sys.modules.values()):
        names = vars(module) if isinstance(module, ModuleType) else {}
        if names.get("threading") is threading or names.get("local") is threading.local:  # else it makes none
            file = names.get("__file__")
            if isinstance(file, str) and kind_of(file) in (CodeOwner.AUTHOR, CodeOwner.LIBRARY):
                yield from (value for value in list(names.values()) if isinstance(value, threading.local))


def _settings_of(local: threading.local) -> dict[str, Any]:
    """Return the plain data that the calling thread has in a thread-local object. Anything else, as a connection to a
    database, may be of use to its own thread alone."""
    return {name: value for name, value in vars(local).items() if _is_plain(value, _DEEPEST)}


def _is_plain(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        return depth > 0 and all(_is_plain(one, depth - 1) for pair in value.items() for one in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return depth > 0 and all(_is_plain(one, depth - 1) for one in value)
    return type(value) in _PLAIN
