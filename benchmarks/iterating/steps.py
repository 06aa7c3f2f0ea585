"""A plain job cut into steps that stand alone, for tools whose unit is a function or a script.

The plain job says `keep("examples", lambda: examples(rows(spark)))` wherever a careful person keeps a result. Each such
result becomes a step: a function of the session and of other kept results, with every constant and function of the job
that it reaches written inside, as an author of such a tool writes it; so the tool's own look at a function's or a
script's text finds what changed, and an edit of the plain job is an edit of exactly the steps that it touches. The last
step, `answer`, is the rest of the job.
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
    """The steps of a plain job's text, inputs first, the answer last.

    Raises:
        ValueError: something is kept in a way that cannot be cut out.
    """
    module = ast.parse(text)
    answer = next(one for one in module.body if isinstance(one, ast.FunctionDef) and one.name == ANSWER)
    cut = _Cut({name: one for one in module.body if one is not answer for name in _defined(one)})
    cut.helpers = {one.name: one for one in answer.body if isinstance(one, ast.FunctionDef)}
    rest = [cut.visit(deepcopy(one)) for one in answer.body if not isinstance(one, ast.FunctionDef)]
    return (*cut.steps, cut.step(ANSWER, rest))


class _Cut(ast.NodeTransformer):
    """Replaces what is kept by a parameter of its name, and makes a step of it."""

    def __init__(self, known: Mapping[str, ast.stmt]) -> None:
        self.known = known
        self.helpers: dict[str, ast.FunctionDef] = {}
        self.steps: list[Step] = []
        self._variables: dict[str, str] = {}
        self._around: list[ast.stmt] = []

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """`tokens = keep("tokens", ...)`: the variable stands for what is kept."""
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
            made, outer = self._made(node.args[1]), self._around
            self._around = made if isinstance(node.args[1], ast.Name) else outer
            self.steps.append(self.step(name, [self.visit(one) for one in made]))
            self._around = outer
        return ast.Name(f"{name}_kept", ast.Load())

    def _made(self, make: ast.expr) -> list[ast.stmt]:
        """What `keep` would call, as statements."""
        if isinstance(make, ast.Lambda):
            return [*self._locals_of(make), ast.Return(deepcopy(make.body))]
        if isinstance(make, ast.Name) and make.id in self.helpers:
            return deepcopy(self.helpers[make.id].body)
        raise ValueError(f"kept in a way that cannot be cut out: {ast.unparse(make)}")

    def _locals_of(self, make: ast.Lambda) -> list[ast.stmt]:
        """The assignments, of the helper that a lambda stands in, that it looks at."""
        wanted, chosen = _names(make.body), list[ast.stmt]()
        for one in reversed(self._around):
            if isinstance(one, ast.Assign) and _kept(one.value) is None and wanted & _names(one.targets[0]):
                wanted |= _names(one.value)
                chosen.insert(0, deepcopy(one))
        return chosen

    def step(self, name: str, visited: list[ast.stmt | None]) -> Step:
        """With all that the statements reach in front of them, in the order of the job's text."""
        statements = [one for one in visited if one is not None]
        block = ast.Module(statements, [])
        reached = self._reached(block)
        before = {id(one): one for key, one in self.known.items() if key in reached}.values()
        body = [*(_only(deepcopy(one), reached) for one in before), *statements]
        inputs = tuple(sorted({n.removesuffix("_kept") for n in _names(block) if n.endswith("_kept")}))
        return Step(name, inputs, ast.unparse(ast.fix_missing_locations(ast.Module(body, []))))

    def _reached(self, block: ast.AST) -> set[str]:
        reached: set[str] = set()
        fresh = _names(block) & self.known.keys()
        while fresh:
            reached |= fresh
            fresh = {n for name in fresh for n in _names(self.known[name])} & self.known.keys() - reached
        return reached


def _kept(node: ast.AST) -> str | None:
    """The name by which a call keeps something."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "keep":
        assert isinstance(node.args[0], ast.Constant)
        return str(node.args[0].value)
    return None


def _defined(statement: ast.stmt) -> Iterator[str]:
    """Names that a statement of a module defines; a module's own rules of reading define none."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            return
        yield from ((alias.asname or alias.name).split(".")[0] for alias in statement.names)
    elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign):
        yield from (one.id for target in statement.targets for one in ast.walk(target) if isinstance(one, ast.Name))


def _only(statement: ast.stmt, wanted: set[str]) -> ast.stmt:
    """An import of what is wanted, and of nothing else."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        statement.names = [n for n in statement.names if (n.asname or n.name).split(".")[0] in wanted]
    return statement


def _names(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
