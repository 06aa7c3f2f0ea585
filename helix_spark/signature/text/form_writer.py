"""Writes normal forms: one walk over a function's syntax tree, each kind of node in its own method."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from helix_spark.signature.text.annotations import annotations_of, tabular_annotations
from helix_spark.signature.text.expressions import attribute_of, is_data, path_of, read_by_name, template_of
from helix_spark.signature.text.forms import Argument, Call, Chain, Free, Lookup
from helix_spark.signature.text.scopes import (
    Comprehension,
    FunctionNode,
    Imported,
    Scope,
    class_scope,
    comprehension_scope,
    function_scope,
    parameters,
)

_SKIPPED_FIELDS = frozenset({"ctx", "kind", "type_comment", "annotation", "returns", "type_ignores"})
"""Fields of syntax nodes that say nothing, or that are written elsewhere."""


def constant_text(value: object) -> str:
    """The type and source of a constant.

    >>> constant_text(1), constant_text(1.0)
    ('int 0x1;', 'float 1.0;')
    """
    # Integers of more than 4300 digits have no decimal text; hexadecimal has no such limit.
    text = hex(value) if type(value) is int else repr(value)
    return f"{type(value).__name__} {text};"


@dataclass(slots=True)
class FormWriter:
    """Writes the form of one function as text, and notes its slots, calls and texts on the way.

    Attributes:
        keep_names: whether the names of locals count.
        shows_names: whether those of inner functions do, and of their parameters, and their annotations.
        shows_docs: whether docstrings do.
    """

    keep_names: bool
    shows_names: bool = False
    shows_docs: bool = False
    out: list[str] = field(default_factory=list)
    slots: dict[Free, int] = field(default_factory=dict)
    lines: list[int] = field(default_factory=list)
    passed: set[int] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=list)
    noted: set[ast.Attribute] = field(default_factory=set)
    lookups: list[Lookup] = field(default_factory=list)
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

    def chain(self, node: ast.expr, scope: Scope, *, keys: bool = False) -> int | None:
        """The slot of ``name.attribute.attribute`` if the name is free here; None for any other expression.

        Args:
            keys: whether constant keys count as attributes do: ``CFG.model["reg"]``.
        """
        found = path_of(node, keys=keys)
        if found is None:
            return None
        base, path = found
        owner = scope.owner(base.id)
        if owner is None:
            return self.slot(Free(base.id, path), node.lineno)
        imported = owner.imported(base.id)
        if imported is None or owner.kind == "class":
            return None
        self.used_imports.add((id(owner), base.id))
        return self.slot(Free(imported, path), node.lineno)

    def unused_imports(self) -> None:
        """An import that no name refers to is there for what it does, if that is anything: it counts as the whole
        module."""
        for key, (imported, line) in self.imports.items():
            if key not in self.used_imports and not imported.does_nothing:
                self.out.append(f"Import {self.slot(Free(imported), line)};")

    # -- nodes ---------------------------------------------------------------------------------------------------------

    def visit(self, node: object, scope: Scope) -> None:
        match node:
            case ast.Name() | ast.Attribute():
                slot = self.variable(node, scope)
                if slot is not None:
                    self.passed.add(slot)
            case ast.Constant():
                self.out.append(constant_text(node.value))
                if isinstance(node.value, str):
                    self.texts.append(node.value)
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
                self.out.append(constant_text(node))

    def variable(self, node: ast.Name | ast.Attribute, scope: Scope) -> int | None:
        """Writes a name or attribute; returns its slot if it has one."""
        slot = self.chain(node, scope)
        if slot is not None:
            self.out.append(f"Slot {slot};")
        elif isinstance(node, ast.Name):
            self.name(node.id, scope, node.lineno)
        else:
            self.note_chain(node)
            if not self.keyed(node, scope):
                self.generic(node, scope)
        return slot

    def keyed(self, node: ast.expr, scope: Scope) -> bool:
        """Writes the slot of what is read by constant keys: ``CFG.model["reg"]``. Whether there is one."""
        slot = self.chain(node, scope, keys=True)
        if slot is None:
            return False
        self.out.append(f"Slot {slot};")
        self.passed.add(slot)
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant):
                self.texts.append(str(inner.value))
                self.lookups.append(Lookup(slot, None, self.argument(inner, scope), inner.lineno))
        return True

    def note_chain(self, node: ast.Attribute) -> None:
        """Notes the longest chain alone: that of ``a.b`` has begun by the time that ``a`` is visited."""
        if node not in self.noted:
            names: list[str] = []
            inner: ast.expr = node
            while isinstance(inner, ast.Attribute):
                self.noted.add(inner)
                names.insert(0, inner.attr)
                inner = inner.value
            if isinstance(node.ctx, ast.Load):
                self.chains.append(Chain(tuple(names), node.lineno))

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
                case ast.Pass() | ast.Global() | ast.Nonlocal():
                    pass
                case ast.Expr(value=ast.Constant()) if not self.shows_docs:
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
        callee: ast.expr = node.func
        if (by_name := self.by_name(node.func, scope)) is not None:
            callee, slot = by_name, self.chain(by_name, scope)
        if (read := self.by_name(node, scope)) is not None and self.chain(read, scope) is None:
            self.note_chain(read)
        self.calls.append(
            Call(
                slot,
                attribute_of(callee),
                attribute_of(callee.value) if isinstance(callee, ast.Attribute) else "",
                self.maker(callee, scope),
                node.lineno,
                tuple(self.argument(argument, scope) for argument in node.args),
                tuple((keyword.arg or "", self.argument(keyword.value, scope)) for keyword in node.keywords),
            )
        )

    def maker(self, callee: ast.expr, scope: Scope) -> int | None:
        return self.made_by(callee.value if isinstance(callee, ast.Attribute) else callee, scope)

    def made_by(self, made: ast.expr, scope: Scope) -> int | None:
        return self.chain(made.func, scope) if isinstance(made, ast.Call) else None

    def by_name(self, node: ast.expr, scope: Scope) -> ast.Attribute | None:
        return read_by_name(node) if scope.owner("getattr") is None else None

    def argument(self, node: ast.expr, scope: Scope) -> Argument:
        if isinstance(node, ast.Constant):
            return Argument(constant=repr(node.value))
        match node:
            case ast.Call(func=called):
                return Argument(made="call", maker=self.chain(called, scope))
            case ast.Lambda():
                return Argument(made="lambda")
            case ast.JoinedStr() | ast.BinOp(left=ast.Constant(value=str()) | ast.JoinedStr()):
                return Argument(made="text", template=template_of(node))
            case ast.List() | ast.Tuple() | ast.Set() | ast.Dict() | ast.ListComp() | ast.SetComp() | ast.DictComp():
                return Argument(made="data" if is_data(node) else "several")
            case ast.Name(id=name) if (owner := scope.owner(name)) is not None and owner.defines(name):
                return Argument(made="function")
        return Argument(slot=self.chain(node, scope, keys=True))

    def visit_Subscript(self, node: ast.Subscript, scope: Scope) -> None:  # noqa: N802 (named after the node class)
        if self.keyed(node, scope):
            return
        self.generic(node, scope)
        if isinstance(node.ctx, ast.Load):
            slot, maker = self.chain(node.value, scope), self.made_by(node.value, scope)
            self.lookups.append(Lookup(slot, maker, self.argument(node.slice, scope), node.lineno))

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
            # Whoever gets the function may read its name and annotations; a decorator certainly may. Spark names
            # columns after functions.
            if node.decorator_list or self.shows_names:
                self.out.append(f"Named {node.name!r};Annotations {annotations_of(node)!r};")
            elif found := tabular_annotations(node):
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
            counts = self.shows_names or id(argument) not in by_position
            keyword = f"Keyword {argument.arg};" if named and counts else ""
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
