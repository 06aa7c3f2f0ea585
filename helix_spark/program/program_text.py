"""What the text of a file says before it runs: whether it is a plain PySpark program, and what in it needs a classic
session."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from helix_spark.plans.classic_only import SessionContext

_OUTSIDE_CONNECT = frozenset({
    "rdd", "_jdf", "_jvm", "_jsc", "_jsparkSession", "_sc", "newSession", "readStream", "writeStream",
})
_OF_CONTEXT = frozenset(name for name in dir(SessionContext({})) if not name.startswith("_"))
"""What of a session's context a program may use."""

_IMPORTS_PYSPARK = re.compile(rb"^\s*(import|from)\s+pyspark\b", re.MULTILINE)

_CONTEXTS = frozenset({"SparkContext", "StreamingContext", "SQLContext", "HiveContext"})
_OF_RDDS = ("pyspark.mllib", "pyspark.streaming", "pyspark.pandas")
_DELTA_TABLE = frozenset({"delta.DeltaTable", "delta.tables", "delta.tables.DeltaTable"})
"""Delta's Python API needs a plug-in of Connect's server that no repository has for this version."""


@dataclass(frozen=True, slots=True)
class NeedsClassic:
    """What in a program needs the driver's JVM in the program's own hands.

    Attributes:
        file, line: where.
        what: as it is written.
    """

    file: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line} uses {self.what}, which only a classic session has"


def is_plain_program(path: Path) -> bool:
    """Return whether a file uses PySpark and declares nothing of Helix's; by its words if it cannot be parsed."""
    try:
        text = path.read_bytes()
        names = set(imports_of(ast.parse(text)))
    except OSError:
        return False
    except (SyntaxError, ValueError):
        return _IMPORTS_PYSPARK.search(text) is not None and b"helix_spark" not in text
    tops = {name.partition(".")[0] for name in names}
    of_helix = {name for name in names if name.partition(".")[0] == "helix_spark"}
    return "pyspark" in tops and of_helix <= {"helix_spark.auto"}


def needs_classic(path: Path) -> NeedsClassic | None:
    """Return the first thing in a program, or in modules beside it, that Spark Connect does not have."""
    for file, tree in _trees(path):
        if (found := next(_outside(tree), None)) is not None:
            return NeedsClassic(file, *found)
    return None


def files_of_program(path: Path) -> frozenset[Path]:
    """Return a program's file, and the modules beside it that it imports."""
    return frozenset({path.absolute(), *(file for file, _ in _trees(path))})


def _trees(path: Path) -> Iterator[tuple[Path, ast.AST]]:
    seen: set[Path] = set()
    waiting = [path.absolute()]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        try:
            tree = ast.parse(one.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        yield one, tree
        waiting += _beside(tree, path.absolute().parent)


def imports_of(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a file imports, with their modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _beside(tree: ast.AST, folder: Path) -> Iterator[Path]:
    for name in imports_of(tree):
        parts = name.split(".")
        for size in range(1, len(parts) + 1):
            below = folder.joinpath(*parts[:size])
            yield from (one for one in (below.with_suffix(".py"), below / "__init__.py") if one.is_file())


def _uses_of_contexts(nodes: Sequence[ast.AST]) -> set[int]:
    """Return the expressions, by id, whose value is a context of which a program uses only `_OF_CONTEXT`."""
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute) and node.attr in _OF_CONTEXT}
    loads = [node for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    others = {node.id for node in loads if id(node) not in inner}
    return inner | {
        id(node.value) for node in nodes
        if isinstance(node, ast.Assign)
        and all(isinstance(target, ast.Name) and target.id not in others for target in node.targets)
    }


def _outside(tree: ast.AST) -> Iterator[tuple[int, str]]:
    nodes = list(ast.walk(tree))
    inner = _uses_of_contexts(nodes)
    for node in nodes:
        match node:
            case ast.Attribute(attr=name) if name in _OUTSIDE_CONNECT:
                yield node.lineno, f".{name}"
            case ast.Call(func=ast.Attribute(attr="format"), args=[ast.Constant(value="pmml")]):
                yield node.lineno, '.format("pmml")'
            case ast.Attribute(attr="sparkContext") if id(node) not in inner:
                yield node.lineno, ".sparkContext"
            case ast.ImportFrom(module=str() as module) if module.partition(".")[0] == "pyspark":
                for alias in node.names:
                    if alias.name in _CONTEXTS or module.startswith(_OF_RDDS):
                        yield node.lineno, f"{module}.{alias.name}"
            case ast.ImportFrom(module="delta" | "delta.tables" as module):
                for alias in node.names:
                    if f"{module}.{alias.name}" in _DELTA_TABLE:
                        yield node.lineno, f"{module}.{alias.name}"
            case ast.Import(names=names):
                for alias in names:
                    if alias.name.startswith(_OF_RDDS) or alias.name in _DELTA_TABLE:
                        yield node.lineno, alias.name
