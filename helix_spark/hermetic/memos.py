"""Memos of the author's project (`functools.cache`, `lru_cache`): what filled one counts for each action that uses it.

Whoever is answered by a memo reads nothing: only the action that filled it was seen to. So what that was seen to do is
kept with the memo, and noted of each later action that the memo answers. A memo that was filled where nothing was
watched, such as while its module was imported, is emptied first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import _lru_cache_wrapper
from types import FunctionType, ModuleType
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from helix_spark.hermetic.asking import CodeOwner, kind_of
from helix_spark.hermetic.watch import Event, Watch

Memo: TypeAlias = "_lru_cache_wrapper[Any]"
Uses = Mapping[Memo, tuple[int, int]]
"""How often each memo has answered, and was filled."""


class Memos:
    """What filled the memos of this process."""

    def __init__(self) -> None:
        self._filled_by: WeakKeyDictionary[Memo, list[Event]] = WeakKeyDictionary()

    def begin(self) -> Uses:
        """Return the uses before an action, without memos that were filled unwatched."""
        uses = {}
        for memo in _memos():
            info = memo.cache_info()
            if info.currsize and memo not in self._filled_by:
                memo.cache_clear()
            uses[memo] = (info.hits, info.misses) if memo in self._filled_by else (0, 0)
        return uses

    def end(self, before: Uses, watch: Watch | None) -> None:
        """Note what filled the memos that answered an action, and what it filled itself; None if nothing was watched.
        """
        for memo in _memos():
            info, (hits, misses) = memo.cache_info(), before.get(memo, (0, 0))
            if watch is None:
                if info.misses > misses:
                    self._filled_by.pop(memo, None)
                continue
            if info.hits > hits:
                watch.adopt(self._filled_by.get(memo, ()))
            if info.misses > misses:
                self._filled_by[memo] = [*self._filled_by.get(memo, ()), *watch.events]


def _memos() -> Iterator[Memo]:
    """Yield the memos that modules of the author's, and their classes, hold by their names."""
    for name, module in list(sys.modules.items()):
        file = vars(module).get("__file__") if isinstance(module, ModuleType) else None
        if name == "__main__" or (isinstance(file, str) and kind_of(file) is CodeOwner.AUTHOR):
            for value in list(vars(module).values()):
                yield from _memos_in(value, str(name))


def _memos_in(value: object, module: str) -> Iterator[Memo]:
    if isinstance(value, _lru_cache_wrapper):
        function = value.__wrapped__
        if isinstance(function, FunctionType) and kind_of(function.__code__.co_filename) is CodeOwner.AUTHOR:
            yield value
    elif isinstance(value, type) and value.__module__ == module:
        for member in list(vars(value).values()):
            yield from _memos_in(getattr(member, "__func__", member), "")
