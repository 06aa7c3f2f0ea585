"""Caches in the author's code: memos, cached properties, and variables that begin as None, such as
``if _model is None: _model = load()``."""

from __future__ import annotations

import ast
import gc
import re
import sys
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import _lru_cache_wrapper, cached_property
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from helix_spark.hermetic.asking import CodeOwner, is_authors, kind_of
from helix_spark.hermetic.generators import is_generator
from helix_spark.hermetic.watch import Event, Watch
from helix_spark.loaded_sources import read_lines, syntax_of

Memo: TypeAlias = "_lru_cache_wrapper[Any]"


class Uses(NamedTuple):
    """State before an action: hits and misses of memos, and variables that are None, each with its module or class."""

    memos: Mapping[Memo, tuple[int, int]]
    unset: Sequence[tuple[str, ModuleType | type]]


@dataclass(frozen=True)
class Holders:
    """Possible caches in the author's modules: memos, also in classes; objects of the author's classes; variables that
    are None, each with its module or class."""

    memos: dict[Memo, None] = field(default_factory=dict)
    objects: list[object] = field(default_factory=list)
    unset: list[tuple[str, ModuleType | type]] = field(default_factory=list)

    def look_at_module(self, module: ModuleType, authors: Container[str]) -> None:
        """Add the caches of a module; `authors` has the names of the author's modules."""
        for name, value in _possible_holders(module):
            kind = type(value)
            if value is None:
                self.unset.append((name, module))
            elif issubclass(kind, type):
                if value.__module__ == module.__name__:
                    self._look_at_class(value)
            elif _is_memo(value):
                self.memos[value] = None
            elif kind.__module__ in authors:
                self.objects.append(value)

    def _look_at_class(self, kind: type) -> None:
        is_plain = type(kind) is type  # a metaclass may intercept assignments
        for name, member in _possible_holders(kind):
            if member is None and is_plain:
                self.unset.append((name, kind))
            elif _is_memo(function := getattr(member, "__func__", member)):
                self.memos[function] = None


_KEEPS_NOTHING = frozenset({
    FunctionType, ModuleType, ModuleSpec, BuiltinFunctionType, GetSetDescriptorType, MemberDescriptorType, property,
    SourceFileLoader, type(annotations), str, bytes, int, float, complex, bool, tuple, list, dict, set, frozenset,
})
"""Types of nearly all values in modules and classes, skipped for speed: each action examines all values."""


def _possible_holders(holder: ModuleType | type) -> list[tuple[str, Any]]:
    """Return the names and values that may be caches, as a copy: other threads may assign meanwhile."""
    return [(name, value) for name, value in vars(holder).copy().items() if type(value) not in _KEEPS_NOTHING]


class Memos:
    """The events that filled the project's memos (`functools.cache`), which count for each action that uses the memos.
    Memos that were filled unwatched are emptied before an action; memos of mutable values after the action that filled
    them. So are cached properties of objects in modules, and lazy variables: their uses cannot be observed."""

    def __init__(self) -> None:
        self._filled_by: WeakKeyDictionary[Memo, dict[tuple[str, str], Event]] = WeakKeyDictionary()
        self._modules: dict[str, None] = {}
        self._examined = set[str]()

    def begin(self) -> Uses:
        """Empty caches that were filled unwatched, and return the uses of the others."""
        holders = self._holders()
        for value in holders.objects:
            for name in _cached_properties(type(value)):
                vars(value).pop(name, None)
        uses = {}
        for memo in holders.memos:
            info = memo.cache_info()
            if info.currsize and memo not in self._filled_by:
                memo.cache_clear()
            uses[memo] = (info.hits, info.misses) if memo in self._filled_by else (0, 0)
        return Uses(uses, holders.unset)

    def end(self, before: Uses, watch: Watch | None, *, drew: bool) -> None:
        """Note the events behind the memos that an action used or filled. `watch` is None if it was unwatched. Empty
        the memos that it filled if it drew numbers: another action draws with its own seed."""
        for name, holder in before.unset:
            module = holder if isinstance(holder, ModuleType) else sys.modules.get(holder.__module__)
            file = str(getattr(module, "__dict__", {}).get("__file__"))
            if vars(holder).get(name) is not None and _is_lazy(name, file, self._files()):
                setattr(holder, name, None)
        for memo in self._holders().memos:
            info, (hits, misses) = memo.cache_info(), before.memos.get(memo, (0, 0))
            if watch is None:
                if info.misses > misses:
                    self._filled_by.pop(memo, None)
                continue
            if info.hits > hits:
                watch.adopt(self._filled_by.get(memo, {}).values())
            if info.misses > misses and (drew or any(map(_may_change, _kept_in(memo)))):
                self._filled_by.pop(memo, None)
                memo.cache_clear()
            elif info.misses > misses:
                self._filled_by.setdefault(memo, {}).update({event[:2]: event for event in watch.events})

    def _holders(self) -> Holders:
        for name in {*list(sys.modules)} - self._examined:  # there are thousands, and actions are frequent
            self._examined.add(name)
            if is_authors(name):
                self._modules[name] = None
        holders = Holders()
        for name in self._modules:
            if isinstance(module := sys.modules.get(name), ModuleType):
                holders.look_at_module(module, self._modules)
        return holders

    def _files(self) -> Iterator[str]:
        modules = (vars(sys.modules[name]) for name in self._modules if name in sys.modules)
        return (file for module in modules if isinstance(file := module.get("__file__"), str))


def _is_memo(value: object) -> bool:
    """Return whether a value is a memo of a function of the author's."""
    function = value.__wrapped__ if isinstance(value, _lru_cache_wrapper) else None
    return isinstance(function, FunctionType) and kind_of(function.__code__.co_filename) is CodeOwner.AUTHOR


def _cached_properties(kind: type) -> list[str]:
    members = [item for base in kind.__mro__ for item in vars(base).items()]
    return [name for name, member in members if isinstance(member, cached_property)]


def _kept_in(memo: Memo) -> Iterator[object]:
    """Yield the results that a memo keeps, and perhaps arguments. Only Python's garbage collector exposes them."""
    for referent in gc.get_referents(memo):
        if referent is vars(memo):
            continue
        values = list(referent.values()) if type(referent) is dict else []
        # The memo's table holds results, or linked entries if their number is limited.
        is_limited = memo.cache_parameters()["maxsize"] is not None
        is_table = not is_limited or type(next(iter(values), None)).__name__ == "_lru_list_elem"
        yield from values if values and is_table else [referent]


_CHANGING = (dict, list, set, deque, bytearray, Iterator)


def _may_change(value: object) -> bool:
    """Return whether a value may be changed in place. Objects of libraries, except generators, count as constant."""
    kind = type(value)
    if kind in (tuple, frozenset):
        return any(map(_may_change, value))  # type: ignore[call-overload]  # a tuple or frozenset
    if issubclass(kind, _CHANGING) or is_generator(value):
        return True
    is_frozen = issubclass(kind, tuple | Enum) or getattr(getattr(kind, "__dataclass_params__", 0), "frozen", False)
    return is_authors(kind.__module__) and not is_frozen


def _is_lazy(name: str, file: str, others: Iterable[str]) -> bool:
    """Return whether a variable is a cache of functions: they set it only where it is None, and no other code of the
    file or of `others` mentions it, except one statement that sets it to None."""
    module = syntax_of(file)
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef) and [*_mentions(node, name)]]
    mentions = [mention for function in functions for mention in _mentions(function, name)]
    word = re.compile(rf"\b{name}\b")
    return (
        bool(functions) and all(_sets_if_none(function, name) for function in functions)
        and len([*_mentions(module, name)]) == 1 + len(mentions)
        and not any(word.search("".join(read_lines(other))) for other in others if other != file)
    )


def _mentions(inside: ast.AST, name: str) -> Iterator[ast.Name | ast.Attribute]:
    for node in ast.walk(inside):
        if isinstance(node, ast.Name | ast.Attribute) and getattr(node, "id", getattr(node, "attr", "")) == name:
            yield node


def _sets_if_none(function: ast.FunctionDef, name: str) -> bool:
    """Return whether a function sets a variable, and only where it is None."""
    stores = {mention for mention in _mentions(function, name) if not isinstance(mention.ctx, ast.Load)}
    where_none = (
        statement for node in ast.walk(function) if isinstance(node, ast.If) and _is_none(node.test, name)
        for statement in node.body
    )
    return bool(stores) and stores <= {mention for body in where_none for mention in _mentions(body, name)}


def _is_none(test: ast.expr, name: str) -> bool:
    return re.fullmatch(rf"(\w+\.)?{name} is None|not (\w+\.)?{name}", ast.unparse(test)) is not None
