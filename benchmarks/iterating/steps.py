"""A plain job cut into self-contained steps, for tools whose unit is a function or a script.

The plain job says `keep("examples", lambda: examples(rows(spark)))` wherever a careful person keeps a result. Each such
result becomes a step: a function of the session and of other kept results that contains every constant and function of
the job that it reaches, as users of such tools write it. So the tool finds changes by the text of a function or script,
and an edit of the plain job changes exactly the steps that it touches. The last step, `answer`, is the rest of the job.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass

ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Step:
    """A step.

    Attributes:
        inputs: names of the steps whose results it takes, as parameters `NAME_kept`.
        body: statements of a function of `spark` and those parameters, from its imports to its return.
    """

    name: str
    inputs: tuple[str, ...]
    body: str


def steps_of(text: str) -> tuple[Step, ...]:
    """Return the steps of a plain job's text, inputs first, the answer last.

    Raises:
        ValueError: a result is kept by an expression that cannot be cut out.
    """
    module = ast.parse(text)
    answer = next(node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == ANSWER)
    cut = _Cut(
        {name: node for node in module.body if node is not answer for name in _defined(node)},
        {node.name: node for node in answer.body if isinstance(node, ast.FunctionDef)},
    )
    remainder = [cut.visit(deepcopy(node)) for node in answer.body if not isinstance(node, ast.FunctionDef)]
    return (*cut.steps, cut.step(ANSWER, remainder))


class _Cut(ast.NodeTransformer):
    """Replaces each kept result by a parameter of its name, and makes a step of it.

    Args:
        definitions: statements of the module by the names that they define.
        helpers: functions that are defined within `answer`.
    """

    def __init__(self, definitions: Mapping[str, ast.stmt], helpers: Mapping[str, ast.FunctionDef]) -> None:
        self.definitions, self.helpers = definitions, helpers
        self.steps: list[Step] = []
        self._variables: dict[str, str] = {}
        self._around: list[ast.stmt] = []

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """Replace a variable such as in `tokens = keep("tokens", ...)` by the parameter."""
        if (name := _kept(node.value)) is not None and isinstance(node.targets[0], ast.Name):
            self.visit(node.value)
            self._variables[node.targets[0].id] = name
            return None
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        name = self._variables.get(node.id)
        return node if name is None else ast.Name(f"{name}_kept", ast.Load())

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = _kept(node)
        if name is None:
            return self.generic_visit(node)
        if name not in {step.name for step in self.steps}:
            statements, outer = self._statements(node.args[1]), self._around
            self._around = statements if isinstance(node.args[1], ast.Name) else outer
            self.steps.append(self.step(name, [self.visit(statement) for statement in statements]))
            self._around = outer
        return ast.Name(f"{name}_kept", ast.Load())

    def _statements(self, make: ast.expr) -> list[ast.stmt]:
        """Return the statements of the function that `keep` would call."""
        if isinstance(make, ast.Lambda):
            return [*self._locals_of(make), ast.Return(deepcopy(make.body))]
        if isinstance(make, ast.Name) and make.id in self.helpers:
            return deepcopy(self.helpers[make.id].body)
        raise ValueError(f"a kept result that cannot be cut out: {ast.unparse(make)}")

    def _locals_of(self, make: ast.Lambda) -> list[ast.stmt]:
        """Return the assignments that a lambda reads of the helper around it."""
        names, assignments = _names(make.body), list[ast.stmt]()
        for node in reversed(self._around):
            if isinstance(node, ast.Assign) and _kept(node.value) is None and names & _names(node.targets[0]):
                names |= _names(node.value)
                assignments.insert(0, deepcopy(node))
        return assignments

    def step(self, name: str, visited: list[ast.stmt | None]) -> Step:
        """Return a step of statements and, before them, all definitions that they reach, in the order of the job."""
        statements = [node for node in visited if node is not None]
        block = ast.Module(statements, [])
        reached = self._reached(block)
        definitions = {id(node): node for key, node in self.definitions.items() if key in reached}.values()
        body = [*(_only(deepcopy(node), reached) for node in definitions), *statements]
        inputs = tuple(sorted({n.removesuffix("_kept") for n in _names(block) if n.endswith("_kept")}))
        return Step(name, inputs, ast.unparse(ast.fix_missing_locations(ast.Module(body, []))))

    def _reached(self, block: ast.AST) -> set[str]:
        reached: set[str] = set()
        fresh = _names(block) & self.definitions.keys()
        while fresh:
            reached |= fresh
            fresh = set().union(*(_names(self.definitions[name]) for name in fresh)) & self.definitions.keys() - reached
        return reached


def _kept(node: ast.AST) -> str | None:
    """Return the name by which a call keeps a result; None for other nodes."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "keep":
        assert isinstance(node.args[0], ast.Constant)
        return str(node.args[0].value)
    return None


def _defined(statement: ast.stmt) -> Iterator[str]:
    """Give the names that a statement of a module defines; `from __future__` imports define none."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            return
        yield from ((alias.asname or alias.name).split(".")[0] for alias in statement.names)
    elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign):
        yield from (name for target in statement.targets for name in _names(target))


def _only(statement: ast.stmt, names: set[str]) -> ast.stmt:
    """Reduce an import to some names."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        statement.names = [n for n in statement.names if (n.asname or n.name).split(".")[0] in names]
    return statement


def _names(node: ast.AST) -> set[str]:
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
