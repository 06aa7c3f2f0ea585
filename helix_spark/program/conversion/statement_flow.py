"""What each statement of a plain program is to the workflow that is made of it, and which of them gave a variable the
value that another one reads."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from helix_spark.capture.sql_words import MAKES_VIEW
from helix_spark.program.conversion.lifted_sources import read_in
from helix_spark.program.conversion.met_statements import Kind, Met, is_print, is_write
from helix_spark.program.conversion.straight_text import Statement

Role = Literal["top", "held", "node", "session", "shows", "writes", "nothing", "other"]
"""Of a statement. One that is held is done in each node that uses it."""

VIEW = "a view"
"""Stands for all that is named for SQL, among variables."""


@dataclass(slots=True)
class Flow:
    """How values go from statement to statement of a program, and what each statement is.

    Attributes:
        sessions: variables that hold the session.
        roles: by the place of a statement, what it is.
        binders: by variable, the statements that give it a value, in order.
    """

    statements: Sequence[Statement]
    met: Sequence[Met]
    sessions: frozenset[str]
    roles: list[Role] = field(default_factory=list)
    binders: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for at, (one, met) in enumerate(zip(self.statements, self.met, strict=False)):
            self.roles.append(self._role(at, one, met))
            for name in sorted(self.given(at)):
                self.binders.setdefault(name, []).append(at)
        self._hold()
        self._merge()

    def _role(self, at: int, one: Statement, met: Met) -> Role:
        tree, kinds = one.tree, set(met.kinds.values())
        roots = {kind for name in one.names.reads if (kind := self.kind_before(at, name))}
        if isinstance(tree, ast.Import | ast.ImportFrom):
            return "top"
        if is_write(tree):
            return "writes"
        if met.shows or is_print(tree):
            return "shows"
        if "session" in kinds or (isinstance(tree, ast.Expr) and self._of_session(at, tree)):
            return "held" if _shows_view(tree) else "session"
        if isinstance(tree, ast.Expr) and (isinstance(tree.value, ast.Name) or _last(tree) in _SAYS_NOTHING):
            return "held" if _shows_view(tree) else "nothing"
        before = {self.roles[of] for name in one.names.reads if (of := self.before(at, name)) is not None}
        touches = bool(before & {"node", "held", "session", "other"}) or met.asks
        if not touches and not kinds & {"table", "model", "spark"}:
            return "top"
        if isinstance(tree, ast.FunctionDef | ast.ClassDef):
            return "held"
        if _shows_view(tree):
            return "held"
        if met.asks or kinds & {"table", "model"}:
            return "node"
        return "node" if roots <= {"value", "module", "plain"} and kinds == {"value"} else "held"

    def _of_session(self, at: int, tree: ast.Expr) -> bool:
        """Whether a statement is about the session: ``spark.stop()``, ``spark.conf.set(...)``."""
        found: ast.AST = tree.value
        while isinstance(found, ast.Attribute | ast.Call | ast.Subscript):
            found = found.func if isinstance(found, ast.Call) else found.value
        return isinstance(found, ast.Name) and self.kind_before(at, found.id) == "session"

    def given(self, at: int) -> frozenset[str]:
        """The variables that have another value behind a statement. Tables, models and modules are not changed."""
        one, met = self.statements[at], self.met[at]
        if self.roles[at] in ("shows", "writes", "nothing"):
            return frozenset()
        changed = {name for name in one.names.changes if met.kinds.get(name) in ("value", "plain", "spark")}
        views = {VIEW} if _shows_view(one.tree) else set()
        return frozenset({name for name in one.names.binds | changed if name in met.kinds} | views)

    def before(self, at: int, name: str) -> int | None:
        """The statement that gave a variable the value that a statement reads."""
        found = self.binders.get(name, ())
        earlier = [of for of in found if of < at]
        later = [of for of in found if of > at] if isinstance(self.statements[at].tree, ast.FunctionDef) else []
        return earlier[-1] if earlier else later[0] if later else None

    def kind_before(self, at: int, name: str) -> Kind | None:
        of = self.before(at, name)
        return None if of is None else self.met[of].kinds.get(name)

    def _hold(self) -> None:
        """Has statements at the top done in nodes instead, where a variable has several values, or one that is changed
        later."""
        changed = True
        while changed:
            changed = False
            for name, binders in self.binders.items():
                tops = [at for at in binders if self.roles[at] == "top" and not self._imports(at)]
                others = [at for at in binders if self.roles[at] != "top"]
                several = len(tops) > 1 and any(
                    self.before(at, name) in tops[:-1] for at in self._not_top() if name in self.reads(at)
                )
                if tops and (others or several):
                    changed = True
                    for at in tops:
                        self.roles[at] = "held"
            for at, role in enumerate(self.roles):
                inside = {self.roles[of] for name in self.reads(at) if (of := self.before(at, name)) is not None}
                if role == "top" and inside & {"held", "node"} and not self._imports(at):
                    self.roles[at], changed = "held", True

    def _imports(self, at: int) -> bool:
        return isinstance(self.statements[at].tree, ast.Import | ast.ImportFrom)

    def _not_top(self) -> Iterator[int]:
        return (at for at, role in enumerate(self.roles) if role != "top")

    def reads(self, at: int) -> frozenset[str]:
        one = self.statements[at]
        views = {VIEW} if self.names_view(one) else set()
        return one.names.reads | (one.names.changes & frozenset(self.binders)) | views

    def names_view(self, one: Statement) -> bool:
        """Whether a statement's SQL may name a view."""
        return VIEW in self.binders and any(
            isinstance(node, ast.Attribute) and node.attr in ("sql", "table", *_REGISTERS)
            for node in ast.walk(one.tree)
        )

    def _merge(self) -> None:
        """Has steps of one table, each the only one to read the step before, be one node."""
        for name, binders in self.binders.items():
            for at, behind in pairwise(binders):
                if not (self._makes_table(at, name) and self._makes_table(behind, name)):
                    continue
                readers = [of for of in range(at + 1, len(self.met)) if self.uses(of, name, at)]
                if readers == [behind] and read_in(self.statements[at], self.sessions) is None:
                    self.roles[at] = "held"

    def _makes_table(self, at: int, name: str) -> bool:
        return self.roles[at] == "node" and dict(self.met[at].kinds) == {name: "table"} and not self.met[at].asks

    def uses(self, at: int, name: str, of: int) -> bool:
        return name in self.reads(at) and self.before(at, name) == of


_REGISTERS = MAKES_VIEW | {"register"}
_SAYS_NOTHING = frozenset({"explain", "exit", "printSchema", "unpersist", "createOrReplaceTempView", "createTempView"})


def _shows_view(tree: ast.stmt) -> bool:
    """Whether a statement names something for SQL."""
    return any(isinstance(node, ast.Attribute) and node.attr in _REGISTERS for node in ast.walk(tree))


def _last(tree: ast.Expr) -> str:
    """The method that a statement calls."""
    value = tree.value
    return value.func.attr if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) else ""
