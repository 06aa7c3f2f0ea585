"""What the author's functions make once and keep: memos, cached properties, and variables that begin as None, as in
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
from importlib.machinery import ModuleSpec
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from helix_spark.hermetic.asking import CodeOwner, kind_of
from helix_spark.hermetic.generators import is_generator
from helix_spark.hermetic.watch import Event, Watch
from helix_spark.loaded_sources import read_lines, syntax_of

Memo: TypeAlias = "_lru_cache_wrapper[Any]"


class Uses(NamedTuple):
    """Memos as an action begins: how often each has answered, and was filled; and variables that are None, each with
    the module or class that has it."""

    memos: Mapping[Memo, tuple[int, int]]
    unset: Sequence[tuple[str, ModuleType | type]]


@dataclass(frozen=True)
class Holders:
    """What modules of the author's hold, and may keep what code made: memos, also those of classes; objects
    of the author's classes; variables that are None, each with the module or class that has it."""

    memos: dict[Memo, None] = field(default_factory=dict)
    objects: list[object] = field(default_factory=list)
    unset: list[tuple[str, ModuleType | type]] = field(default_factory=list)

    def look_at_module(self, module: ModuleType, authors: Container[str]) -> None:
        """Add what a module holds; `authors` has the names of the author's modules."""
        for name, value in [*vars(module).items()]:
            if (kind := type(value)) in _KEEPS_NOTHING:
                continue
            if value is None:
                self.unset.append((name, module))
            elif issubclass(kind, type):
                if value.__module__ == module.__name__:
                    self._look_at_class(value)
            elif _is_memo(value):
                self.memos[value] = None
            elif kind.__module__ in authors:
                self.objects.append(value)

    def _look_at_class(self, one: type) -> None:
        is_plain = type(one) is type  # a metaclass may have a say in what is set
        for name, member in [*vars(one).items()]:
            if type(member) in _KEEPS_NOTHING:
                continue
            if member is None and is_plain:
                self.unset.append((name, one))
            elif _is_memo(function := getattr(member, "__func__", member)):
                self.memos[function] = None


_KEEPS_NOTHING = frozenset({
    FunctionType, ModuleType, ModuleSpec, BuiltinFunctionType, GetSetDescriptorType, MemberDescriptorType, property,
    str, bytes, int, float, complex, bool, tuple, list, dict, set, frozenset,
})
"""Types of nearly all that modules and classes hold: an action that begins looks at each value."""


class Memos:
    """What filled the memos of the author's project (`functools.cache`): it counts for each action that they answer.
    One that was filled where nothing was watched, as while its module was imported, is emptied; and so is one behind
    the action that filled it, if it keeps what actions may change for each other. So are the cached properties of
    objects that modules hold, and variables that are made once (`_is_lazy`): nobody says who asks for them."""

    def __init__(self) -> None:
        self._filled_by: WeakKeyDictionary[Memo, dict[tuple[str, str], Event]] = WeakKeyDictionary()
        self._modules: dict[str, None] = {}
        self._looked_at = set[str]()

    def begin(self) -> Uses:
        """Return the uses before an action, without memos that were filled unwatched."""
        holders = self._holders()
        for value in holders.objects:
            for name in _cached_properties(value):
                vars(value).pop(name, None)
        uses = {}
        for memo in holders.memos:
            info = memo.cache_info()
            if info.currsize and memo not in self._filled_by:
                memo.cache_clear()
            uses[memo] = (info.hits, info.misses) if memo in self._filled_by else (0, 0)
        return Uses(uses, holders.unset)

    def end(self, before: Uses, watch: Watch | None, *, drew: bool) -> None:
        """Note what filled the memos that answered an action, and what it filled; None if nothing was watched. Empty
        those that it filled if it drew numbers: another action draws with a seed of its own."""
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
        for name in {*list(sys.modules)} - self._looked_at:  # there are thousands, and an action begins every moment
            self._looked_at.add(name)
            if _is_authors(name):
                self._modules[name] = None
        found = Holders()
        for name in self._modules:
            if isinstance(module := sys.modules.get(name), ModuleType):
                found.look_at_module(module, self._modules)
        return found

    def _files(self) -> Iterator[str]:
        modules = (vars(sys.modules[name]) for name in self._modules if name in sys.modules)
        return (file for module in modules if isinstance(file := module.get("__file__"), str))


def _is_authors(name: str) -> bool:
    """Return whether a module that is loaded under a name is the author's."""
    file = vars(module).get("__file__") if isinstance(module := sys.modules.get(name), ModuleType) else None
    return name == "__main__" or (isinstance(file, str) and kind_of(file) is CodeOwner.AUTHOR)


def _is_memo(value: object) -> bool:
    """Return whether a value is a memo of a function of the author's."""
    function = value.__wrapped__ if isinstance(value, _lru_cache_wrapper) else None
    return isinstance(function, FunctionType) and kind_of(function.__code__.co_filename) is CodeOwner.AUTHOR


def _cached_properties(value: object) -> Iterator[str]:
    """Yield the names under which the classes of an object of the author's cache what they compute of it."""
    for kind in type(value).__mro__:
        yield from (name for name, member in vars(kind).items() if isinstance(member, cached_property))


def _kept_in(memo: Memo) -> Iterator[object]:
    """Yield what a memo keeps, results and perhaps arguments, as Python's collector sees them. Nothing else does."""
    for one in gc.get_referents(memo):
        if one is vars(memo):
            continue
        values = list(one.values()) if type(one) is dict else []
        # The memo's own table: of results, or of places in order, where their number has a limit.
        is_table = memo.cache_parameters()["maxsize"] is None or type(next(iter(values), None)).__name__ == _PLACE
        yield from values if values and is_table else [one]


_PLACE = "_lru_list_elem"
_CHANGING = (dict, list, set, deque, bytearray, Iterator)


def _may_change(value: object) -> bool:
    """Return whether a function may change an object of Python's or the author's for others; what libraries make is
    taken to stay as it is, but for generators."""
    kind = type(value)
    if kind in (tuple, frozenset):
        return any(map(_may_change, value))  # type: ignore[call-overload]  # the line before
    if issubclass(kind, _CHANGING) or is_generator(value):
        return True
    is_frozen = issubclass(kind, tuple | Enum) or getattr(getattr(kind, "__dataclass_params__", 0), "frozen", False)
    return _is_authors(kind.__module__) and not is_frozen


def _is_lazy(name: str, file: str, others: Iterable[str]) -> bool:
    """Return whether functions of a module keep in a variable what they make once: whether no other code of the file
    mentions its name but for a statement that sets it to None; nor do other files."""
    module = syntax_of(file)
    functions = [one for one in ast.walk(module) if isinstance(one, ast.FunctionDef) and [*_mentions(one, name)]]
    known = [mention for one in functions for mention in _mentions(one, name)]
    word = re.compile(rf"\b{name}\b")
    return (
        bool(functions) and all(_makes(one, name) for one in functions)
        and len([*_mentions(module, name)]) == 1 + len(known)
        and not any(word.search("".join(read_lines(other))) for other in others if other != file)
    )


def _mentions(inside: ast.AST, name: str) -> Iterator[ast.Name | ast.Attribute]:
    for one in ast.walk(inside):
        if (isinstance(one, ast.Name) and one.id == name) or (isinstance(one, ast.Attribute) and one.attr == name):
            yield one


def _makes(function: ast.FunctionDef, name: str) -> bool:
    """Return whether a function sets a variable, and only where it is None."""
    stored = {one for one in _mentions(function, name) if not isinstance(one.ctx, ast.Load)}
    where_none = (
        statement for one in ast.walk(function) if isinstance(one, ast.If) and _is_none(one.test, name)
        for statement in one.body
    )
    return bool(stored) and stored <= {one for statement in where_none for one in _mentions(statement, name)}


def _is_none(test: ast.expr, name: str) -> bool:
    return re.fullmatch(rf"(\w+\.)?{name} is None|not (\w+\.)?{name}", ast.unparse(test)) is not None
