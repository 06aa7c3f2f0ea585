"""Detects whether a program needs a classic session: by its text before it runs; else while it runs, which is recorded
for its next run. Also whether a file is a plain PySpark program."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from helix_spark.identity.parts import digest
from helix_spark.plans.classic_compatibility import SessionContext
from helix_spark.visible_text import visible

if TYPE_CHECKING:
    from helix_spark.catalog.catalog import Catalog

_OUTSIDE_CONNECT = frozenset({
    "rdd", "_jdf", "_jvm", "_jsc", "_jsparkSession", "_sc", "newSession", "readStream", "writeStream",
})
_OF_CONTEXT = frozenset(name for name in dir(SessionContext({})) if not name.startswith("_"))
"""Members of a session's context that a program may use."""

_CONTEXTS = frozenset({"SparkContext", "StreamingContext", "SQLContext", "HiveContext"})
_OF_RDDS = ("pyspark.mllib", "pyspark.streaming", "pyspark.pandas")
_DELTA_TABLE = frozenset({"delta.DeltaTable", "delta.tables", "delta.tables.DeltaTable"})
"""Delta's Python API, which needs a plug-in of Connect's server that no repository has for this version."""


@dataclass(frozen=True, slots=True)
class NeedsClassic:
    """A use of the driver's JVM in a program, which needs a classic session."""

    file: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line} uses {self.what}, which only a classic session has"


def is_plain_program(path: Path) -> bool:
    """Return whether a file uses PySpark, and Helix for no declaration; by its words if it cannot be parsed."""
    try:
        text = path.read_bytes()
        names = {name for _, name in _imports(ast.walk(ast.parse(text)))}
    except OSError:
        return False
    except (SyntaxError, ValueError):
        imports = re.search(rb"^\s*(import|from)\s+pyspark\b", text, re.MULTILINE)
        return imports is not None and b"helix_spark" not in text
    tops = {name.partition(".")[0] for name in names}
    of_helix = {name for name in names if name.partition(".")[0] == "helix_spark"}
    return "pyspark" in tops and of_helix <= {"helix_spark.auto"}


def needs_classic(path: Path) -> NeedsClassic | None:
    """Return the first use in a program, or in modules next to it, of something that Spark Connect lacks."""
    for file, tree in _trees(path):
        if (use := next(_outside(tree), None)) is not None:
            return NeedsClassic(file, *use)
    return None


def files_of_program(path: Path) -> frozenset[Path]:
    """Return a program's file, and the modules next to it that it imports."""
    return frozenset({path.absolute(), *(file for file, _ in _trees(path))})


def _trees(path: Path) -> Iterator[tuple[Path, ast.AST]]:
    seen: set[Path] = set()
    waiting = [path.absolute()]
    while waiting:
        if (file := waiting.pop()) in seen:
            continue
        seen.add(file)
        try:
            tree = ast.parse(file.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        yield file, tree
        for _, name in _imports(ast.walk(tree)):
            parts = name.split(".")
            for size in range(1, len(parts) + 1):
                below = path.absolute().parent.joinpath(*parts[:size])
                waiting += filter(Path.is_file, (below.with_suffix(".py"), below / "__init__.py"))


def _imports(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield the lines and the full names of the imports among nodes."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _uses_of_contexts(nodes: Sequence[ast.AST]) -> set[int]:
    """Return the ids of expressions for a context of which a program uses only `_OF_CONTEXT`."""
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute) and node.attr in _OF_CONTEXT}
    loads = [node for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    others = {node.id for node in loads if id(node) not in inner}
    return inner | {
        id(node.value) for node in nodes
        if isinstance(node, ast.Assign)
        and all(isinstance(target, ast.Name) and target.id not in others for target in node.targets)
    }


def _runs_surely(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a file, except for branches that a run may not take: these are checked when they run."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        yield (node := waiting.pop())
        match node:
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__")), body=body):
                waiting += body
            case ast.If(test=test) | ast.IfExp(test=test):
                waiting.append(test)
            case ast.ExceptHandler() | ast.match_case():
                pass
            case _:
                waiting += ast.iter_child_nodes(node)


def _outside(tree: ast.AST) -> Iterator[tuple[int, str]]:
    sure = sorted(_runs_surely(tree), key=lambda node: getattr(node, "lineno", 0))
    for line, name in _imports(sure):
        is_context = name.startswith("pyspark.") and name.rpartition(".")[2] in _CONTEXTS
        if is_context or name.startswith(_OF_RDDS) or name in _DELTA_TABLE:
            yield line, name
    inner = _uses_of_contexts(list(ast.walk(tree)))
    for node in sure:
        match node:
            case ast.Attribute(attr=name) if name in _OUTSIDE_CONNECT:
                yield node.lineno, f".{name}"
            case ast.Call(func=ast.Attribute(attr="format"), args=[ast.Constant(value="pmml")]):
                yield node.lineno, '.format("pmml")'
            case ast.Attribute(attr="sparkContext") if id(node) not in inner:
                yield node.lineno, ".sparkContext"


def record_need(need: NeedsClassic, catalog: Catalog, path: Path, arguments: Sequence[str]) -> None:
    """Make later runs of the same text with the same arguments begin in a classic session."""
    from helix_spark.catalog.records import AnswerRecord

    catalog.make()
    why = str(need)[:2_000]
    catalog.answers.append([AnswerRecord(_identity(path, arguments), path.stem, 1, time.time(), needs_classic=why)])


def recorded_need(catalog: Catalog, path: Path, arguments: Sequence[str]) -> str:
    """Return why an earlier run of the same text needed a classic session; empty if none did."""
    record = catalog.answers.newest(_identity(path, arguments))
    return "" if record is None else visible(record.needs_classic)


def _identity(path: Path, arguments: Sequence[str]) -> str:
    from helix_spark.identity.environment import package_version

    texts = [file.read_bytes() for file in sorted(files_of_program(path)) if file.is_file()]
    return digest("why a classic session", *map(digest, texts), *arguments, package_version("pyspark"))
