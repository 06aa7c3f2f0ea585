"""Which scope a name belongs to: Python's own rules, on syntax trees. Knows nothing of values."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


_IDLE = frozenset({
    "abc", "bisect", "collections", "contextlib", "copy", "csv", "dataclasses", "datetime", "decimal", "enum",
    "functools", "glob", "hashlib", "heapq", "inspect", "io", "itertools", "json", "logging", "math", "operator", "os",
    "pathlib", "pickle", "random", "re", "statistics", "string", "sys", "textwrap", "time", "types", "typing",
    "uuid", "warnings",
})
"""Modules that every Python has."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import statement binds a local name to.

    Attributes:
        module: ``a.b`` of ``import a.b as x`` and of ``from a.b import c``.
        name: ``c`` of ``from a.b import c``; None for a module.
        level: number of leading dots.
    """

    module: str
    name: str | None = None
    level: int = 0

    @property
    def does_nothing(self) -> bool:
        """Whether to import a module of Python's changes nothing and cannot fail, wherever it is tried."""
        return self.name is None and self.module in _IDLE


@dataclass(slots=True)
class Scope:
    """One function, class or comprehension, while its tree is read.

    Attributes:
        kind: class scopes are invisible from the scopes inside them.
        names: bound here, each with the imports that bind it (one entry per binding; None for any other binding).
        functions: which of them are bound by a definition of a function.
        global_names, nonlocal_names: declared so here.
    """

    kind: Literal["function", "class", "comprehension"]
    parent: Scope | None
    names: dict[str, list[Imported | None]] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)
    global_names: set[str] = field(default_factory=set)
    nonlocal_names: set[str] = field(default_factory=set)

    def bind(self, name: str, imported: Imported | None = None) -> None:
        self.names.setdefault(name, []).append(imported)

    def imported(self, name: str) -> Imported | None:
        """The import that is the name's only binding here."""
        bindings = self.names.get(name, [])
        return bindings[0] if bindings and all(one == bindings[0] for one in bindings) else None

    def defines(self, name: str) -> bool:
        """Whether a definition of a function is the name's only binding here."""
        return name in self.functions and len(self.names[name]) == 1

    def owner(self, name: str) -> Scope | None:
        """The scope the name is bound in as seen from here; None for a name that is free in the whole tree."""
        scope: Scope | None = self
        while scope is not None:
            if scope is self or scope.kind != "class":
                if name in scope.global_names:
                    return None
                if name in scope.names and name not in scope.nonlocal_names:
                    return scope
            scope = scope.parent
        return None


def function_scope(node: FunctionNode, parent: Scope | None) -> Scope:
    """The scope of a function or lambda, with all names bound in it."""
    scope = Scope("function", parent)
    for argument in parameters(node.args):
        scope.bind(argument.arg)
    body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
    _collect(body, scope)
    return scope


def class_scope(node: ast.ClassDef, parent: Scope) -> Scope:
    scope = Scope("class", parent)
    _collect(node.body, scope)
    return scope


def comprehension_scope(node: Comprehension, parent: Scope) -> Scope:
    scope = Scope("comprehension", parent)
    for generator in node.generators:
        for target in ast.walk(generator.target):
            if isinstance(target, ast.Name):
                scope.bind(target.id)
    return scope


def parameters(arguments: ast.arguments) -> Iterator[ast.arg]:
    """All parameters in order: positional-only, positional, ``*args``, keyword-only, ``**kwargs``."""
    yield from arguments.posonlyargs
    yield from arguments.args
    if arguments.vararg:
        yield arguments.vararg
    yield from arguments.kwonlyargs
    if arguments.kwarg:
        yield arguments.kwarg


def _collect(nodes: Iterable[ast.AST], scope: Scope) -> None:
    """Bind in `scope` what the nodes bind, without going into the scopes inside them."""
    pending = list(nodes)[::-1]
    while pending:
        node = pending.pop()
        _bind(node, scope)
        pending.extend(reversed(list(_same_scope_children(node))))


def _bind(node: ast.AST, scope: Scope) -> None:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            scope.bind(name)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            scope.bind(name)
            scope.functions.add(name)
        case ast.ClassDef(name=name):
            scope.bind(name)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            scope.bind(name)
        case ast.MatchMapping(rest=str(name)):
            scope.bind(name)
        case ast.Import(names=aliases):
            for alias in aliases:
                module = alias.name if alias.asname else alias.name.partition(".")[0]
                scope.bind(alias.asname or module, Imported(module))
        case ast.ImportFrom(module=origin, names=aliases, level=level):
            for alias in aliases:
                scope.bind(alias.asname or alias.name, Imported(origin or "", alias.name, level or 0))
        case ast.Global(names=names):
            scope.global_names.update(names)
        case ast.Nonlocal(names=names):
            scope.nonlocal_names.update(names)
        case _:
            pass


def _same_scope_children(node: ast.AST) -> Iterator[ast.AST]:
    """The children whose names are bound in the node's own scope."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from (*node.decorator_list, *_defaults(node.args))
        case ast.Lambda():
            yield from _defaults(node.args)
        case ast.ClassDef():
            yield from (*node.decorator_list, *node.bases, *node.keywords)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            # A walrus inside a comprehension binds in the function around it, and nothing else in it does.
            for inner in ast.walk(node):
                if isinstance(inner, ast.NamedExpr):
                    yield inner.target
        case _:
            yield from ast.iter_child_nodes(node)


def _defaults(arguments: ast.arguments) -> list[ast.expr]:
    return [*arguments.defaults, *(default for default in arguments.kw_defaults if default is not None)]
