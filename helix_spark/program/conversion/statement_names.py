"""The variables that statements read, bind and change, as their text tells."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Names:
    """Variables of statements that stand one after the other.

    Attributes:
        reads: those whose value before them they use.
        binds: those that they give a value.
        changes: those of whose value they change the inside: ``rows.append(1)``, ``found["a"] = 1``.
    """

    reads: frozenset[str]
    binds: frozenset[str]
    changes: frozenset[str]


def names_of(body: Sequence[ast.stmt]) -> Names:
    """The variables of some statements.

    >>> found = names_of(ast.parse("for n in ns:\\n    a = n + b\\n    out.append(a)").body)
    >>> sorted(found.reads), sorted(found.binds), sorted(found.changes)
    (['b', 'ns', 'out'], ['a', 'n'], ['out'])
    """
    reads: set[str] = set()
    _follow(body, frozenset(), reads)
    binds = {name for one in body for name in _bound(one)}
    return Names(frozenset(reads), frozenset(binds), frozenset(_changed(body)))


def free_in_function(function: ast.FunctionDef) -> frozenset[str]:
    """The variables of its module that a function reads."""
    return frozenset(_loads(function))


def _follow(body: Iterable[ast.stmt], known: frozenset[str], reads: set[str]) -> frozenset[str]:
    """Adds what statements read, and returns what has a value of their own behind them."""
    for one in body:
        match one:
            case ast.For(target=target, iter=iterated, body=inner, orelse=other):
                reads |= _loads(iterated) - known
                _follow(inner, known | set(_stores(target)), reads)
                _follow(other, known, reads)
            case ast.While(test=test, body=inner, orelse=other):
                reads |= _loads(test) - known
                _follow(inner, known, reads)
                _follow(other, known, reads)
            case ast.If(test=test, body=inner, orelse=other):
                reads |= _loads(test) - known
                known = _follow(inner, known, reads) & _follow(other, known, reads)
            case ast.With(items=items, body=inner):
                for item in items:
                    reads |= _loads(item.context_expr) - known
                    known |= set(_stores(item.optional_vars)) if item.optional_vars is not None else set()
                known = _follow(inner, known, reads)
            case ast.Try(body=inner, handlers=handlers, orelse=other, finalbody=final):
                behind = _follow([*inner, *other], known, reads)
                for handler in handlers:
                    own = {handler.name} if handler.name else set()
                    behind &= _follow(handler.body, known | own, reads)
                known = _follow(final, behind, reads)
            case ast.AugAssign(target=ast.Name(id=name)):
                reads |= ({name} | _loads(one)) - known
                known |= {name}
            case _:
                reads |= _loads(one) - known
                known |= set(_bound(one))
    return known


def _bound(tree: ast.AST) -> Iterator[str]:
    """The names that a statement gives a value, without those of scopes within it."""
    match tree:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
            return
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in names)
            return
        case ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            yield from (one.target.id for one in ast.walk(tree) if isinstance(one, ast.NamedExpr))
            return
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.ExceptHandler(name=str() as name):
            yield name
    for child in ast.iter_child_nodes(tree):
        yield from _bound(child)


def _stores(target: ast.AST) -> Iterator[str]:
    return (one.id for one in ast.walk(target) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store))


def _loads(tree: ast.AST) -> set[str]:
    """The names whose value is used, without those that scopes within it bind for themselves."""
    match tree:
        case ast.Name(id=name, ctx=ast.Load()):
            return {name}
        case ast.FunctionDef(args=given, body=body) | ast.AsyncFunctionDef(args=given, body=body):
            inner: set[str] = set()
            own = {one.arg for one in ast.walk(given) if isinstance(one, ast.arg)}
            own |= {name for one in body for name in _bound(one)}
            for one in body:
                inner |= _loads(one)
            outer = [*tree.decorator_list, *given.defaults, *filter(None, given.kw_defaults)]
            notes = [one.annotation for one in ast.walk(given) if isinstance(one, ast.arg) and one.annotation]
            notes += [tree.returns] if tree.returns is not None else []
            return (inner - own).union(*map(_loads, outer), *map(_loads, notes))
        case ast.Lambda(args=given, body=result):
            own = {one.arg for one in ast.walk(given) if isinstance(one, ast.arg)}
            return (_loads(result) - own).union(*map(_loads, given.defaults))
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            found = set().union(*map(_loads, ast.iter_child_nodes(tree)))
            return found - {name for one in tree.generators for name in _stores(one.target)}
        case ast.ClassDef(body=body):
            own = {name for one in body for name in _bound(one)}
            outer = [*tree.decorator_list, *tree.bases, *(one.value for one in tree.keywords)]
            inside: set[str] = set().union(*map(_loads, body))
            return (inside - own).union(*map(_loads, outer))
    return set().union(*map(_loads, ast.iter_child_nodes(tree)))


_CHANGING = frozenset({
    "add", "append", "clear", "discard", "extend", "insert", "pop", "remove", "reverse", "setdefault", "sort", "update",
})


def _changed(body: Iterable[ast.stmt]) -> Iterator[str]:
    for node in (node for one in body for node in ast.walk(one)):
        match node:
            case ast.Subscript(ctx=ast.Store() | ast.Del()) | ast.Attribute(ctx=ast.Store() | ast.Del()):
                yield from _root(node)
            case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in _CHANGING:
                yield from _root(value)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=value))):
                yield from _root(value)


def _root(tree: ast.AST) -> Iterator[str]:
    """The variable that an expression is a part of."""
    while isinstance(tree, ast.Attribute | ast.Subscript | ast.Call):
        tree = tree.func if isinstance(tree, ast.Call) else tree.value
    if isinstance(tree, ast.Name):
        yield tree.id
