"""Carry settings of the author's thread to others: context variables, and thread-local settings of libraries."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from copy import deepcopy
from types import ModuleType
from typing import Any, TypeVar

from helix_spark.hermetic.asking import CodeOwner, is_authors, kind_of

_R = TypeVar("_R")


class ThreadContext:
    """Settings of the creating thread, for calls in other threads. Changes by a call stay local to it.

    Context variables (`decimal`, numpy's error state and print options) and thread-local settings (scikit-learn,
    joblib) have their defaults in a new thread, without the configuration at the top of the author's file.
    """

    def __init__(self) -> None:
        self._variables = copy_context()
        self._settings: list[tuple[threading.local, dict[str, Any]]] = []
        for module_name, module in sys.modules.copy().items():
            names = vars(module) if isinstance(module, ModuleType) else {}
            if names.get("threading") is not threading and names.get("local") is not threading.local:
                continue  # it creates none
            if is_authors(module_name) or kind_of(str(names.get("__file__"))) is CodeOwner.LIBRARY:
                locals_ = (value for value in list(names.values()) if isinstance(value, threading.local))
                self._settings += ((local, deepcopy(_settings_of(local))) for local in locals_)

    def call(self, function: Callable[..., _R], *arguments: Any) -> _R:
        """Call a function in this thread with the settings."""
        for local, values in self._settings:
            own = vars(local)
            for name in _settings_of(local).keys() - values.keys():
                del own[name]
            own.update(deepcopy(values))
        variables = self._variables.copy()
        if (decimal := sys.modules.get("decimal")) is not None:  # copies share its mutable context
            variables.run(lambda: decimal.setcontext(decimal.getcontext().copy()))
        return variables.run(function, *arguments)


def _settings_of(local: threading.local) -> dict[str, Any]:
    """Return the plain data of a thread-local object. Connections, for instance, belong to one thread."""
    return {name: value for name, value in vars(local).items() if _is_plain(value)}


def _is_plain(value: object, depth: int = 4) -> bool:
    if isinstance(value, dict):
        return depth > 0 and all(_is_plain(part, depth - 1) for item in value.items() for part in item)
    if isinstance(value, list | tuple | set | frozenset):
        return depth > 0 and all(_is_plain(item, depth - 1) for item in value)
    return type(value) in (type(None), bool, int, float, complex, str, bytes)
