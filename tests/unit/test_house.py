"""The direction of imports between rooms, which room may import what, and that declaring waits for nothing heavy."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import networkx as nx

PACKAGE = Path(__file__).resolve().parents[2] / "helix_spark"
ROOMS = [
    "drawing", "hermetic", "import_reads", "workflow", "dag", "plans", "identity", "catalog", "costs", "planner",
    "history", "views", "answers", "engine", "run", "program", "helix", "tracking", "ui", "cli",
]
"""A room imports rooms to its left, and itself; what is in `FOR_ALL` is for all."""
INNER_ROOMS = {
    "identity": ["objects", "functions"], "catalog": ["places", "segments", "tables"],
    "engine": ["spark", "server", "results", "lowering", "execution"],
}
"""The rooms within a room, in the same order. What a room holds besides stands above them and is in none; the engine
holds nothing besides."""
FOR_ALL_WITHIN = {
    "identity": {"parts", "file_states", "bytecode"}, "catalog": {"records", "failpoints"},
    "program": {"main_module", "plain_program"}, "answers": {"questions"},
}
FOR_ALL = {
    "errors", "sizes", "forks", "visible_text", "versions", "plots", "since_python_311", "waits", "regular_files",
    "loaded_sources", "store_access", "cache_folder",
}
ENTRANCES = {"__init__", "__main__", "auto"}
"""They name what is imported later, so they stand above all rooms."""
HEAVY = ("pyspark", "mlflow", "pulp", "pandas", "pyarrow", "deltalake", "networkx", "numpy", "highspy", "obstore")


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imported(path: Path) -> Sequence[tuple[str, int, bool]]:
    """(module, line, only for the type checker) of each import in a file, those inside functions included."""
    found = []
    for node, is_checked in import_statements(parsed(path).body):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
        module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        found += [(f"{module}{alias.name}", node.lineno, is_checked) for alias in node.names]
    return found


def import_statements(
    statements: Sequence[Any], *, is_checked: bool = False
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yield each import among statements and those within them, and whether it is for the type checker alone."""
    for statement in statements:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            yield statement, is_checked
        test = getattr(statement, "test", None)
        is_guard = isinstance(statement, ast.If) and isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            within = getattr(statement, part, ())
            yield from import_statements(within, is_checked=is_checked or (is_guard and part == "body"))


def later_rooms(path: Path) -> Iterator[str]:
    """What is wrong with the imports of a file."""
    room = room_of(path)
    for module, line, _ in imported(path) if room not in ENTRANCES else ():
        first, _, rest = module.partition(".")
        target = rest.split(".")[0]
        if first != "helix_spark" or target in FOR_ALL:
            continue
        if room in FOR_ALL:
            yield f"{path}:{line}: {room} is for all, so it may not import {target}"
        elif ROOMS.index(target) > ROOMS.index(room):
            yield f"{path}:{line}: {room} imports {target}, a later room"


def test_imports_go_one_way() -> None:
    assert [wrong for path in files() for wrong in later_rooms(path)] == []


def later_inner_rooms(path: Path) -> Iterator[str]:
    """The same within a room that has rooms of its own."""
    room = room_of(path)
    inner, for_all = INNER_ROOMS[room], FOR_ALL_WITHIN.get(room, set())
    if path.parent.name == room:
        if room == "engine" and path.stem != "__init__":
            yield f"{path} belongs into one of the engine's rooms"
        return
    for module, line, _ in imported(path):
        if module.startswith(f"helix_spark.{room}."):
            target = module.split(".")[2]
            if target not in for_all and inner.index(target) > inner.index(path.parent.name):
                yield f"{path}:{line} imports {target}"


def test_imports_go_one_way_within_a_room() -> None:
    within = [path for path in files() if room_of(path) in INNER_ROOMS]
    assert [wrong for path in within for wrong in later_inner_rooms(path)] == []


CIRCLES = [
    {"run.run", "run.workflow_results"},  # a run has what it keeps, which is decided by all that the run has measured
    {"workflow." + name for name in (
        "workflow", "declaration", "parameters", "ready_made",
    )},  # a workflow gives references to its nodes, which declare further nodes of it
    {"hermetic." + name for name in ("task", "worker_reports")},
]
"""Files that import each other, for the type checker alone or within functions, too. None may be added."""


def test_no_files_import_each_other_but_those_that_did() -> None:
    modules = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in files()}
    graph = nx.DiGraph()
    for name, path in modules.items():
        for module, _, _ in imported(path):
            _, _, within = module.partition("helix_spark.")
            targets = (one for one in (within, within.rpartition(".")[0]) if one in modules)
            if (target := next(targets, name)) != name:
                graph.add_edge(name, target)
    circles = [found for found in nx.strongly_connected_components(graph) if len(found) > 1]
    assert [found for found in circles if not any(found <= known for known in CIRCLES)] == []


def test_a_files_name_occurs_once() -> None:
    names = Counter(path.name for path in files() if path.name != "__init__.py")
    assert [name for name, times in names.items() if times > 1] == []


def test_each_library_has_its_room() -> None:
    owners = {
        "pulp": {"planner"}, "highspy": {"planner"}, "mlflow": {"tracking"},
        "pyspark": {"engine", "plans", "answers", "program"}, "sqlglot": {"plans"}, "py4j": {"engine"},
        "delta": {"engine"},
        "networkx": {"dag"}, "click": {"cli"}, "rich": {"cli"},
        "deltalake": {"catalog", "identity"}, "sqlite3": {"catalog"},
            "obstore": {"catalog", "identity", "store_access"},
        "starlette": {"ui"}, "uvicorn": {"ui"}, "jinja2": {"drawing"},
    }
    for path in files():
        for module, line, only_checked in imported(path):
            owner = owners.get(module.split(".")[0])
            if owner is not None and not only_checked:
                assert room_of(path) in owner, f"{path}:{line} imports {module}"


def test_the_readme_names_the_rooms_in_their_order() -> None:
    told = (PACKAGE.parent / "README.md").read_text().partition("a room imports only from")[2].partition("\n\n")[0]
    named = re.findall(r"`(\w+)(?:\.py)?`(?: \([^)]*\))?\s*(?:←|\.)", told)
    assert named == ROOMS


def test_nothing_is_called_a_drawer_for_everything() -> None:
    refused = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    assert not [path for path in PACKAGE.rglob("*") if path.stem in refused]


def test_every_room_says_what_it_is() -> None:
    for path in files():
        assert ast.get_docstring(parsed(path)), f"{path} has no docstring"


def loaded_after(statement: str) -> set[str]:
    """Which heavy packages a fresh interpreter has loaded after a statement."""
    script = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    return set(done.stdout.split()) & set(HEAVY)


def test_declaring_loads_nothing_heavy() -> None:
    declare = """
import helix_spark as hx
wf = hx.Workflow("w")
data = wf.source("data", hx.csv("x.csv", schema="a double"))
wf.extractor("a", hx.OneHot("a"), on=data)
"""
    assert loaded_after(declare) == set()


def test_no_room_but_the_engine_loads_spark() -> None:
    modules = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in files()
        if room_of(path) not in {"tracking", "ui", *ENTRANCES} and path.stem != "__init__"
    ]
    statement = "\n".join(f"import {module}" for module in modules)
    assert loaded_after(statement) & {"pyspark", "mlflow", "pulp", "pandas", "highspy", "obstore"} == set()


def test_no_test_module_imports_another() -> None:
    imports = re.compile(r"\b(?:from|import) (?:tests\.\w+\.)?test_\w+")
    found = [f"{file}: {line.strip()}" for file in (PACKAGE.parent / "tests").rglob("*.py")
             for line in file.read_text().splitlines() if imports.search(line)]
    assert found == [], "what several test modules share is in tests/fakes"


def test_no_test_has_a_namespace_in_place_of_a_class() -> None:
    """What stands for something else has a name, and fields that are checked: a dataclass, or a fake in tests/fakes."""
    # Some are programs of authors, in texts.
    uses = re.compile(r"(?m)^(?:from types import .*\bSimpleNamespace\b|[^\"'#\n]*\bSimpleNamespace\()")
    texts = {"test_house.py"}
    found = [str(file) for file in (PACKAGE.parent / "tests").rglob("*.py")
             if file.name not in texts and uses.search(file.read_text())]
    assert found == []
