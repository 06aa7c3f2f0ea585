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
        self._filled_by: WeakKeyDictionary[Memo, dict[tuple[str, str], Event]] = WeakKeyDictionary()
        self._modules: dict[str, None] = {}
        self._looked_at = set[str]()

    def begin(self) -> Uses:
        """Return the uses before an action, without memos that were filled unwatched."""
        uses = {}
        for memo in self._memos():
            info = memo.cache_info()
            if info.currsize and memo not in self._filled_by:
                memo.cache_clear()
            uses[memo] = (info.hits, info.misses) if memo in self._filled_by else (0, 0)
        return uses

    def end(self, before: Uses, watch: Watch | None) -> None:
        """Note what filled the memos that answered an action, and what it filled itself; None if nothing was watched.
        """
        for memo in self._memos():
            info, (hits, misses) = memo.cache_info(), before.get(memo, (0, 0))
            if watch is None:
                if info.misses > misses:
                    self._filled_by.pop(memo, None)
                continue
            if info.hits > hits:
                watch.adopt(self._filled_by.get(memo, {}).values())
            if info.misses > misses:
                self._filled_by.setdefault(memo, {}).update({event[:2]: event for event in watch.events})

    def _memos(self) -> frozenset[Memo]:
        """Return the memos that modules of the author's, and their classes, hold by their names."""
        for name in {*list(sys.modules)} - self._looked_at:  # there are thousands, and an action begins every moment
            self._looked_at.add(name)
            file = vars(module).get("__file__") if isinstance(module := sys.modules.get(name), ModuleType) else None
            if name == "__main__" or (isinstance(file, str) and kind_of(file) is CodeOwner.AUTHOR):
                self._modules[name] = None
        loaded = [(name, sys.modules[name]) for name in self._modules if name in sys.modules]
        return frozenset(
            memo for name, module in loaded for value in list(vars(module).values()) for memo in _memos_in(value, name)
        )


def _memos_in(value: object, module: str) -> Iterator[Memo]:
    if isinstance(value, _lru_cache_wrapper):
        function = value.__wrapped__
        if isinstance(function, FunctionType) and kind_of(function.__code__.co_filename) is CodeOwner.AUTHOR:
            yield value
    elif isinstance(value, type) and value.__module__ == module:
        for member in list(vars(value).values()):
            yield from _memos_in(getattr(member, "__func__", member), "")
