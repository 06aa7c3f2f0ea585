"""Which names a function's own code uses."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any


def names_used(function: Callable[..., Any]) -> set[str]:
    """Return names of globals and attributes that a function's own code uses, inner functions included; a hint, no
    more.

    >>> sorted(names_used(lambda rows: [one.fit for one in sorted(rows)]))
    ['fit', 'sorted']
    """
    waiting: list[object] = [getattr(inspect.unwrap(function), "__code__", None)]
    found: set[str] = set()
    while waiting:
        code = waiting.pop()
        if isinstance(code, CodeType):
            found.update(code.co_names)
            waiting.extend(code.co_consts)
    return found
