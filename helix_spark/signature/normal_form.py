"""The normal form of a function: what its source says, without how it says it.

Comments, formatting, docstrings, annotations and the names of locals are gone. A name the function does not bind itself
is a numbered *slot*, so that the form says nothing of what the slot holds; `reach` finds that out from the live
function. Purely a matter of syntax: a form depends on nothing but the source text.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from helix_spark.signature.scopes import (
    Comprehension,
    FunctionNode,
    Imported,
    Scope,
    class_scope,
    comprehension_scope,
    function_scope,
    parameters,
)

READS_LOCAL_NAMES = frozenset({"locals", "vars", "dir", "eval", "exec", "globals"})
"""Builtins that can see the names of locals. Where one is used, renaming a local may change what the function does."""

_TABULAR = frozenset(
    {"Series", "DataFrame", "Iterator", "Iterable", "Generator", "Array", "Table", "RecordBatch", "ndarray"}
)
"""In annotations of these Spark reads how a function takes its rows (pandas_udf, udf, applyInPandas)."""

_SKIPPED_FIELDS = frozenset({"ctx", "kind", "type_comment", "annotation", "returns", "type_ignores"})


@dataclass(frozen=True, slots=True)
class Free:
    """A name the function does not bind, with the attributes read from it: ``helpers.sub.clean``."""

    base: str | Imported
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Argument:
    """What is passed at one place of a call: a constant, a slot, or something else (both None).

    `constant` is the source of the constant, as Python would print it.
    """

    constant: str | None = None
    slot: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call: of a slot, or of a method of some local value.

    Attributes:
        slot: the slot called, or None.
        method: the last attribute of the callee, empty if there is none.
        line: in the file.
        arguments: the positional ones.
        keywords: names and values; ``**`` has the name "".
    """

    slot: int | None
    method: str
    line: int
    arguments: tuple[Argument, ...]
    keywords: tuple[tuple[str, Argument], ...]


@dataclass(frozen=True, slots=True)
class FunctionForm:
    """Normal form of one function.

    Attributes:
        text: the form itself; its slots are numbered in order of first appearance.
        free: what each slot is called.
        lines: the line each slot first appears at.
        passed: the slots that are used in other ways than being called.
        calls: all calls, in order, for what is watched for: randomness, dynamic routes.
        annotations: source of the annotations that say how rows are passed; empty if none does.
    """

    text: str
    free: tuple[Free, ...]
    lines: tuple[int, ...]
    passed: frozenset[int]
    calls: tuple[Call, ...]
    annotations: str


def function_form(node: FunctionNode, *, top: bool = False) -> FunctionForm:
    """The normal form of a function or lambda.

    Args:
        node: its syntax tree; decorators and defaults of the function itself do not count, they are objects by now.
        top: whether its parameters are known by position only, so that their names do not count.

    >>> def form(source: str) -> str:
    ...     return function_form(ast.parse(source).body[0], top=True).text
    >>> form("def f(rows):\\n    kept = rows  # a comment\\n    return kept") == form("def f(r): x = r; return x")
    True
    >>> form("def f(a, b): return a - b") == form("def f(a, b): return b - a")
    False
    """
    writer = _Writer(keep_names=_sees_local_names(node))
    scope = function_scope(node, None)
    writer.function(node, scope, named=not top or writer.keep_names)
    writer.unused_imports()
    return FunctionForm(
        "".join(writer.out),
        tuple(writer.slots),
        tuple(writer.lines),
        frozenset(writer.passed),
        tuple(writer.calls),
        "" if isinstance(node, ast.Lambda) else _tabular_annotations(node),
    )


@dataclass(slots=True)
class _Writer:
    keep_names: bool
    out: list[str] = field(default_factory=list)
    slots: dict[Free, int] = field(default_factory=dict)
    lines: list[int] = field(default_factory=list)
    passed: set[int] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    numbers: dict[tuple[int, str], int] = field(default_factory=dict)
    scopes: list[Scope] = field(default_factory=list)
    imports: dict[tuple[int, str], tuple[Imported, int]] = field(default_factory=dict)
    used_imports: set[tuple[int, str]] = field(default_factory=set)

    # -- names ---------------------------------------------------------------------------------------------------------

    def slot(self, free: Free, line: int) -> int:
        if free not in self.slots:
            self.slots[free] = len(self.slots)
            self.lines.append(line)
        return self.slots[free]

    def local(self, name: str, owner: Scope) -> str:
        if owner.kind == "class":
            return f"Attribute {name};"
        number = self.numbers.setdefault((id(owner), name), len(self.numbers))
        return f"Local {number} {name};" if self.keep_names else f"Local {number};"

    def name(self, name: str, scope: Scope, line: int) -> None:
        """A name read, stored or deleted."""
        owner = scope.owner(name)
        if owner is not None:
            self.out.append(self.local(name, owner))
            if owner is not scope or owner.kind != "class":
                return
            # A class body reads a name from outside as long as it has not bound it: both count.
            owner = scope.parent.owner(name) if scope.parent else None
            if owner is not None:
                self.out.append(self.local(name, owner))
                return
        self.out.append(f"Slot {self.slot(Free(name), line)};")

    def chain(self, node: ast.expr, scope: Scope) -> int | None:
        """The slot of ``name.attribute.attribute`` if the name is free here; None for any other expression."""
        attributes: list[str] = []
        base = node
        while isinstance(base, ast.Attribute) and isinstance(base.ctx, ast.Load):
            attributes.append(base.attr)
            base = base.value
        if not (isinstance(base, ast.Name) and isinstance(base.ctx, ast.Load)):
            return None
        owner = scope.owner(base.id)
        path = tuple(reversed(attributes))
        if owner is None:
            return self.slot(Free(base.id, path), node.lineno)
        imported = owner.imported(base.id)
        if imported is None or owner.kind == "class":
            return None
        self.used_imports.add((id(owner), base.id))
        return self.slot(Free(imported, path), node.lineno)

    def unused_imports(self) -> None:
        """An import that no name refers to is there for what it does: it counts as the whole module."""
        for key, (imported, line) in self.imports.items():
            if key not in self.used_imports:
                self.out.append(f"Import {self.slot(Free(imported), line)};")

    # -- nodes ---------------------------------------------------------------------------------------------------------

    def visit(self, node: object, scope: Scope) -> None:
        match node:
            case ast.Name() | ast.Attribute():
                slot = self.variable(node, scope)
                if slot is not None:
                    self.passed.add(slot)
            case ast.Constant():
                self.out.append(_constant(node.value))
            case ast.AST():
                special = getattr(self, f"visit_{type(node).__name__}", None)
                if special is not None:
                    special(node, scope)
                else:
                    self.generic(node, scope)
            case list():
                self.out.append("[")
                for item in node:
                    self.visit(item, scope)
                self.out.append("]")
            case None:
                self.out.append("-;")  # an absent part, unlike the constant None
            case _:
                self.out.append(_constant(node))

    def variable(self, node: ast.Name | ast.Attribute, scope: Scope) -> int | None:
        """Writes a name or attribute; returns its slot if it has one."""
        slot = self.chain(node, scope)
        if slot is not None:
            self.out.append(f"Slot {slot};")
        elif isinstance(node, ast.Name):
            self.name(node.id, scope, node.lineno)
        else:
            self.generic(node, scope)
        return slot

    def generic(self, node: ast.AST, scope: Scope) -> None:
        self.out.append(f"{type(node).__name__}(")
        for name, value in ast.iter_fields(node):
            if name in _SKIPPED_FIELDS:
                continue
            if name in ("body", "orelse", "finalbody") and isinstance(value, list):
                self.body(value, scope)
            else:
                self.visit(value, scope)
        self.out.append(")")

    def body(self, statements: list[ast.stmt], scope: Scope) -> None:
        """A block, without the statements that do nothing: docstrings, constants, ``pass``."""
        self.out.append("[")
        for statement in statements:
            match statement:
                case ast.Pass() | ast.Expr(value=ast.Constant()) | ast.Global() | ast.Nonlocal():
                    pass
                case _:
                    self.visit(statement, scope)
        self.out.append("]")

    def visit_Call(self, node: ast.Call, scope: Scope) -> None:  # noqa: N802 (named after the node class)
        self.out.append("Call(")
        slot = None
        if isinstance(node.func, ast.Name | ast.Attribute):
            slot = self.variable(node.func, scope)
        else:
            self.visit(node.func, scope)
        self.visit(node.args, scope)
        self.visit(node.keywords, scope)
        self.out.append(")")
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        self.calls.append(
            Call(
                slot,
                method,
                node.lineno,
                tuple(self.argument(argument, scope) for argument in node.args),
                tuple((keyword.arg or "", self.argument(keyword.value, scope)) for keyword in node.keywords),
            )
        )

    def argument(self, node: ast.expr, scope: Scope) -> Argument:
        if isinstance(node, ast.Constant):
            return Argument(constant=repr(node.value))
        return Argument(slot=self.chain(node, scope))

    def visit_AnnAssign(self, node: ast.AnnAssign, scope: Scope) -> None:  # noqa: N802 (named after the node class)
        if scope.kind == "class":
            # Dataclasses and the like read the annotations of a class body.
            self.out.append(f"Annotation {ast.unparse(node.target)!r} {ast.unparse(node.annotation)!r};")
        if node.value is not None:
            assignment = ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)
            self.visit(assignment, scope)

    def visit_Import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:  # noqa: N802 (as above)
        for alias in node.names:
            if isinstance(node, ast.Import):
                bound = alias.asname or alias.name.partition(".")[0]
                whole = Imported(alias.name)
            else:
                bound = alias.asname or alias.name
                whole = Imported(node.module or "", alias.name, node.level)
            owner = scope.owner(bound)
            if owner is None or owner.imported(bound) is None or owner.kind == "class":
                self.out.append(f"Import {self.slot(Free(whole), node.lineno)};")
                self.name(bound, scope, node.lineno)
            else:
                self.imports[(id(owner), bound)] = (whole, node.lineno)

    visit_ImportFrom = visit_Import  # noqa: N815 (named after the node class)

    def visit_ExceptHandler(self, node: ast.ExceptHandler, scope: Scope) -> None:  # noqa: N802 (as above)
        self.out.append("ExceptHandler(")
        self.visit(node.type, scope)
        if node.name:
            self.name(node.name, scope, node.lineno)
        self.body(node.body, scope)
        self.out.append(")")

    def visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar, scope: Scope) -> None:  # noqa: N802 (as above)
        self.out.append(f"{type(node).__name__}(")
        if isinstance(node, ast.MatchAs):
            self.visit(node.pattern, scope)
        if node.name:
            self.name(node.name, scope, node.lineno)
        self.out.append(")")

    visit_MatchStar = visit_MatchAs  # noqa: N815 (named after the node class)

    def visit_MatchMapping(self, node: ast.MatchMapping, scope: Scope) -> None:  # noqa: N802 (as above)
        self.out.append("MatchMapping(")
        self.visit(node.keys, scope)
        self.visit(node.patterns, scope)
        if node.rest:
            self.name(node.rest, scope, node.lineno)
        self.out.append(")")

    # -- scopes --------------------------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: FunctionNode, scope: Scope) -> None:  # noqa: N802 (as above)
        self.out.append("Define(")
        if not isinstance(node, ast.Lambda):
            self.visit(node.decorator_list, scope)
            self.name(node.name, scope, node.lineno)
            # Whoever gets the function may read its annotations; a decorator certainly may.
            if node.decorator_list:
                self.out.append(f"Annotations {_annotations(node)!r};")
            elif found := _tabular_annotations(node):
                self.out.append(f"Annotations {found!r};")
        self.visit(node.args.defaults, scope)
        self.visit(node.args.kw_defaults, scope)
        self.function(node, function_scope(node, scope), named=True)
        self.out.append(")")

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 (named after the node class)
    visit_Lambda = visit_FunctionDef  # noqa: N815 (named after the node class)

    def function(self, node: FunctionNode, scope: Scope, *, named: bool) -> None:
        """Parameters and body. `named`: whether the parameters may be passed by keyword."""
        self.scopes.append(scope)  # keeps the scope alive, so that its id stays its own
        arguments = node.args
        kind = "Async" if isinstance(node, ast.AsyncFunctionDef) else "Function"
        optional = sum(default is not None for default in arguments.kw_defaults)
        self.out.append(
            f"{kind} {len(arguments.posonlyargs)} {len(arguments.args)} {arguments.vararg is not None:d}"
            f" {len(arguments.kwonlyargs)} {arguments.kwarg is not None:d} {len(arguments.defaults)} {optional}("
        )
        by_position = {id(argument) for argument in (*arguments.posonlyargs, arguments.vararg, arguments.kwarg)}
        for argument in parameters(arguments):
            keyword = f"Keyword {argument.arg};" if named and id(argument) not in by_position else ""
            self.out.append(keyword + self.local(argument.arg, scope))
        if isinstance(node, ast.Lambda):
            self.out.append("[Return(")
            self.visit(node.body, scope)
            self.out.append(")]")
        else:
            self.body(node.body, scope)
        self.out.append(")")

    def visit_ClassDef(self, node: ast.ClassDef, scope: Scope) -> None:  # noqa: N802 (as above)
        inner = class_scope(node, scope)
        self.scopes.append(inner)
        self.out.append("Class(")
        self.visit(node.decorator_list, scope)
        self.visit(node.bases, scope)
        self.visit(node.keywords, scope)
        self.name(node.name, scope, node.lineno)
        self.body(node.body, inner)
        self.out.append(")")

    def visit_ListComp(self, node: Comprehension, scope: Scope) -> None:  # noqa: N802 (as above)
        inner = comprehension_scope(node, scope)
        self.scopes.append(inner)
        self.out.append(f"{type(node).__name__}(")
        for position, generator in enumerate(node.generators):
            self.out.append(f"For {generator.is_async}(")
            # The first iterable is evaluated outside.
            self.visit(generator.iter, inner if position else scope)
            self.visit(generator.target, inner)
            self.visit(generator.ifs, inner)
            self.out.append(")")
        for result in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(result, inner)
        self.out.append(")")

    visit_SetComp = visit_ListComp  # noqa: N815 (named after the node class)
    visit_DictComp = visit_ListComp  # noqa: N815 (named after the node class)
    visit_GeneratorExp = visit_ListComp  # noqa: N815 (named after the node class)


def _constant(value: object) -> str:
    # Integers of more than 4300 digits have no decimal text; hexadecimal has no such limit.
    text = hex(value) if type(value) is int else repr(value)
    return f"{type(value).__name__} {text};"


def _sees_local_names(node: FunctionNode) -> bool:
    return any(isinstance(inner, ast.Name) and inner.id in READS_LOCAL_NAMES for inner in ast.walk(node))


def _annotations(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[tuple[str, str]]:
    named = [(argument.arg, argument.annotation) for argument in parameters(node.args)]
    found = [(name, ast.unparse(annotation)) for name, annotation in named if annotation is not None]
    return [*found, ("return", ast.unparse(node.returns))] if node.returns else found


def _tabular_annotations(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The annotations, without the parameters' names, if one of them says how rows are passed."""
    texts = [text for _, text in _annotations(node)]
    words = {word for text in texts for word in text.replace("[", ".").replace("]", ".").replace(",", ".").split(".")}
    return repr(texts) if _TABULAR & {word.strip(" '\"") for word in words} else ""
