"""Caches in the author's code: memos, cached properties, and lazy variables, which begin as None or as an empty dict
and are only filled where something is absent: ``if _model is None: _model = load()``."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from functools import _lru_cache_wrapper, cached_property
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any, NamedTuple, TypeGuard

from helix_spark.hermetic.asking import CodeOwner, is_authors, kind_of
from helix_spark.loaded_sources import is_edited, read_lines, syntax_of


class Unset(NamedTuple):
    """A variable that is None or an empty dict, with its module or class."""

    name: str
    holder: ModuleType | type
    value: dict[Any, Any] | None


@dataclass(frozen=True)
class Holders:
    """Possible caches in the author's modules: memos, also in classes; objects of the author's classes; variables."""

    memos: list[_lru_cache_wrapper[Any]] = field(default_factory=list)
    objects: list[object] = field(default_factory=list)
    unset: list[Unset] = field(default_factory=list)

    def look_at_module(self, module: ModuleType, authors: Container[str]) -> None:
        """Add the caches of a module; `authors` has the names of the author's modules."""
        for name, value in _possible_holders(module):
            kind = type(value)
            if value is None or kind is dict:
                self.unset.append(Unset(name, module, value))
            elif issubclass(kind, type):
                if value.__module__ == module.__name__:
                    self._look_at_class(value)
            elif _is_memo(value):
                self.memos.append(value)
            elif kind.__module__ in authors:
                self.objects.append(value)

    def empty(self) -> None:
        """Empty the memos and the cached properties."""
        for memo in self.memos:
            memo.cache_clear()
        for value in self.objects:
            for name in cached_properties(type(value)):
                vars(value).pop(name, None)

    def _look_at_class(self, kind: type) -> None:
        is_plain = type(kind) is type  # a metaclass may intercept assignments
        for name, member in _possible_holders(kind):
            if (member is None or type(member) is dict) and is_plain:
                self.unset.append(Unset(name, kind, member))
            elif _is_memo(function := getattr(member, "__func__", member)):
                self.memos.append(function)


_KEEPS_NOTHING = frozenset({
    FunctionType, ModuleType, ModuleSpec, BuiltinFunctionType, GetSetDescriptorType, MemberDescriptorType, property,
    SourceFileLoader, type(annotations), str, bytes, int, float, complex, bool, tuple, list, dict, set, frozenset,
})
"""Types of nearly all values in modules and classes, skipped for speed: each action examines all values."""


def _possible_holders(holder: ModuleType | type) -> list[tuple[str, Any]]:
    """Return the names and values that may be caches, as a copy: other threads may assign meanwhile."""
    items = vars(holder).copy().items()
    return [item for item in items if type(item[1]) not in _KEEPS_NOTHING or (type(item[1]) is dict and not item[1])]


class Memos:
    """Caches of the project, which are empty before and after each action: what fills them counts for each action that
    uses them, is drawn with its seed, and cannot carry a change from one to the next."""

    def __init__(self) -> None:
        self._modules: dict[str, None] = {}
        self._examined = set[str]()

    def begin(self) -> Holders:
        """Empty memos and cached properties before an action. Return all possible caches."""
        holders = self._holders()
        holders.empty()
        return holders

    def end(self, before: Holders) -> None:
        """Empty all caches that the action has filled."""
        for name, holder, value in before.unset:
            module = holder if isinstance(holder, ModuleType) else sys.modules.get(holder.__module__)
            file, now = str(getattr(module, "__dict__", {}).get("__file__")), vars(holder).get(name)
            is_set = bool(value) and now is value if value is not None else now is not None
            if is_set and _is_lazy(name, file, self._files(), _sets_if_none if value is None else _stores_if_absent):
                setattr(holder, name, None) if value is None else value.clear()
        self._holders().empty()  # the action may have imported modules

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


def cached_properties(kind: type) -> list[str]:
    """Return the names of a class's cached properties."""
    members = [item for base in kind.__mro__ for item in vars(base).items()]
    return [name for name, member in members if isinstance(member, cached_property)]


def _is_lazy(name: str, file: str, others: Iterable[str], fills: Callable[[ast.FunctionDef, str], bool]) -> bool:
    """Return whether a variable is a cache of functions: each only `fills` it, and no other code of the file or of
    `others` mentions it, except statements that set it outside of functions."""
    module = syntax_of(file)
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef) and [*_mentions(node, name)]]
    mentions = {mention for function in functions for mention in _mentions(function, name)}
    return (
        bool(functions) and all(fills(function, name) for function in functions)
        and all(mention in mentions or isinstance(mention.ctx, ast.Store) for mention in _mentions(module, name))
        and not any(_takes(other, name) for other in others if other != file)
    )


def _takes(file: str, name: str) -> bool:
    """Return whether a file may use a variable of another file."""
    if is_edited(file) or re.search(rf"\b{name}\b", "".join(read_lines(file))) is None:
        return is_edited(file)
    return any(
        (isinstance(node, ast.Attribute) and node.attr == name)
        or (isinstance(node, ast.alias) and node.name in (name, "*"))
        or (isinstance(node, ast.Constant) and node.value == name)
        for node in ast.walk(syntax_of(file))
    )


def _mentions(inside: ast.AST, name: str) -> Iterator[ast.Name | ast.Attribute]:
    return (node for node in ast.walk(inside) if _is(node, name))


def _is(node: ast.AST, name: str) -> TypeGuard[ast.Name | ast.Attribute]:
    return isinstance(node, ast.Name | ast.Attribute) and getattr(node, "id", getattr(node, "attr", "")) == name


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


def _stores_if_absent(function: ast.FunctionDef, name: str) -> bool:
    """Return whether a function uses a dict as a cache: it looks a key up, stores what is absent, and does no more."""
    looks = stores = uses = 0
    for node in ast.walk(function):
        match node:
            case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[held]) if _is(held, name):
                looks, uses = looks + 1, uses + 1
            case ast.Call(func=ast.Attribute(value=held, attr="setdefault")) | ast.Call(
                func=ast.Attribute(value=held, attr="get"), args=[_], keywords=[]
            ) if _is(held, name):
                looks, uses = looks + 1, uses + 1
            case ast.ExceptHandler(type=ast.Name(id="KeyError")):
                looks += 1
            case ast.Subscript(value=held, ctx=ast.Load() | ast.Store() as access) if _is(held, name):
                uses, stores = uses + 1, stores + isinstance(access, ast.Store)
            case ast.AugAssign(target=ast.Subscript(value=held)) if _is(held, name):
                return False
            case ast.Assign(targets=[*targets], value=value) if [*_mentions(value, name)]:
                if any(isinstance(target, ast.Subscript) and _is(target.value, name) for target in targets):
                    return False
    return (looks > 0 or not stores) and uses == len([*_mentions(function, name)])
