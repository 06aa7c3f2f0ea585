"""Replaces functions of pyspark's, on purpose; once a process."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any


def replaces(owner: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace a method of a class, or a function of a module, by the decorated function: it is given the original one
    before the arguments. A class method is replaced by a static one, and its original knows its class.

    >>> class Table:
    ...     def columns(self): return ["a"]
    >>> @replaces(Table, "columns")
    ... def columns(original, self): return [*original(self), "b"]
    >>> Table().columns()
    ['a', 'b']
    """
    original = getattr(owner, name)

    def replace(made: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def call(*given: Any, **named: Any) -> Any:
            return made(original, *given, **named)

        of_class = isinstance(vars(owner).get(name), classmethod | staticmethod)
        setattr(owner, name, staticmethod(call) if of_class else call)
        return made

    return replace
