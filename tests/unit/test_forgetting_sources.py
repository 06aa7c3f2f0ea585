"""What was made of a source is forgotten for good, wherever it went, and nothing else is."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import FileRecord, IterationRecord, NodeRecord, ResultRecord
from helix_spark.cli.main import helix as command
from helix_spark.identity.parts import digest
from tests.fakes.observer import Warned
from tests.unit.catalog_bytes import holds

SECRET, OTHER = "Of whom?"[::-1], "Somebody else"[::-1]
"""In no file of this project, which is recorded as well."""


def workflow(people: Path, name: str = "first", *, times: int = 1) -> hx.Workflow:
    wf = hx.Workflow(name)

    @wf.scanner
    def rows() -> pd.DataFrame:
        return pd.read_csv(people)

    @wf.scanner
    def loud(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(who=rows.who.str.upper())

    @wf.reducer(output=True)
    def longest(loud: pd.DataFrame) -> str:
        return max(loud.who, key=len) * times

    @wf.reducer(output=True)
    def same(loud: pd.DataFrame) -> str:
        return max(loud.who, key=len) * times

    @wf.reducer(output=True)
    def answer() -> int:
        return 42

    return wf


@pytest.fixture(scope="module")
def made_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sources, and a catalog with what was made of them."""
    root = tmp_path_factory.mktemp("sources") / "root"
    for name, who in (("people", SECRET), ("others", OTHER)):
        (root / name).mkdir(parents=True)
        (root / name / "rows.csv").write_text(f"who,n\n{who},1\n")
    run(root, workflow(root / "people" / "rows.csv"), workflow(root / "people" / "rows.csv", times=2))
    run(root, workflow(root / "others" / "rows.csv", "second"))
    return root


@pytest.fixture
def root(made_root: Path, tmp_path: Path) -> Iterator[Path]:
    """That folder, which a test may change. Records name its absolute paths, so a copy elsewhere would not do."""
    shutil.copytree(made_root, tmp_path / "kept")
    yield made_root
    shutil.rmtree(made_root)
    shutil.move(tmp_path / "kept", made_root)


def run(root: Path, *workflows: hx.Workflow) -> None:
    with hx.Helix(root / "catalog", policy="always", observer=Warned()) as helix:
        for one in workflows:
            helix.run(one)


def forget(root: Path, *words: object) -> Result:
    return CliRunner().invoke(command, ["forget", *map(str, words), "--catalog", str(root / "catalog")])


def test_nothing_made_of_a_file_is_left_and_all_else_is(root: Path) -> None:
    catalog = Catalog.open(root / "catalog", create=False)
    catalog.maintain()
    assert holds(root / "catalog", SECRET.upper())
    before = {path: path.read_bytes() for path in (root / "catalog").rglob("*") if path.is_file()}
    would = forget(root, "--source", root / "people" / "rows.csv", "--dry-run")
    assert would.stdout.startswith("would forget the results of longest, loud, rows in first 1, first 2: 4 results\n")
    assert {path: path.read_bytes() for path in (root / "catalog").rglob("*") if path.is_file()} == before
    done = forget(root, "--source", root / "people" / "rows.csv")
    assert done.stdout.splitlines()[1:] == [f"read from {root / 'people' / 'rows.csv'}"]
    assert not holds(root / "catalog", SECRET)
    assert not holds(root / "catalog", SECRET.upper())
    assert holds(root / "catalog", OTHER.upper())
    assert [(one.number, json.loads(one.outputs)) for one in catalog.iterations("first")] == [
        (2, {"answer": 42}), (1, {"answer": 42}),
    ]
    assert catalog.gc(dry_run=True) == ()
    with hx.Helix(root / "catalog", policy="always", observer=Warned()) as helix:
        plan = helix.plan(workflow(root / "people" / "rows.csv"))
        assert plan["answer"].stored
        assert not plan["longest"].stored
        second = helix.plan(workflow(root / "others" / "rows.csv", "second"))
        assert second["longest"].stored
    assert forget(root, "--source", root / "people" / "rows.csv").exit_code == 0


@pytest.mark.parametrize("named", ["people", "people/", "p*/rows.csv", "people/../people/rows.csv", "link/rows.csv"])
def test_a_source_may_be_a_folder_a_pattern_or_a_link(
    root: Path, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    (root / "link").symlink_to(root / "people")
    found = json.loads(forget(root, "--source", named, "--dry-run", "--json").stdout)
    assert {(one["workflow"], one["number"]) for one in found["iterations"]} == {("first", 1), ("first", 2)}
    assert found["places"] == [str(root / "people" / "rows.csv")]


def test_the_same_data_from_elsewhere_is_forgotten_as_well(root: Path) -> None:
    """A copy of a file, or one of a colleague's: its results are known by what is in it."""
    graph = Graph(root, "copied")
    graph.add(1, "rows", "same", reads=("/theirs/rows.csv",))
    graph.add(1, "made", "made of it", inputs=("rows",))
    graph.add(2, "rows", "same", reads=(str(root / "people" / "rows.csv"),))
    graph.record()
    found = json.loads(forget(root, "copied", "--source", root / "people" / "rows.csv", "--json").stdout)
    assert [(one["number"], one["nodes"]) for one in found["iterations"]] == [(1, ["made", "rows"]), (2, ["rows"])]
    assert found["places"] == [str(root / "people" / "rows.csv"), "/theirs/rows.csv"]
    assert found["shared"] == []


def test_a_script_may_have_carried_what_it_read_to_all_that_it_asks(root: Path) -> None:
    graph = Graph(root, "script")
    graph.add(1, "rows.collect", "a", kind="answer", reads=(str(root / "people" / "rows.csv"),))
    graph.add(1, "fit", "b", kind="learner", reads=())
    graph.add(2, "fit", "c", kind="learner", reads=())
    graph.record()
    found = json.loads(forget(root, "script", "--source", root / "people", "--json").stdout)
    assert [(one["number"], one["nodes"]) for one in found["iterations"]] == [(1, ["fit", "rows.collect"])]


def test_what_cannot_be_told_is_said(root: Path) -> None:
    graph = Graph(root, "old")
    graph.add(1, "data", "old data", reads=None)
    graph.record()
    done = forget(root, "--source", root / "people" / "rows.csv")
    assert done.stdout.splitlines()[-1] == (
        "not all sources of old@1 are recorded, such as those of tables built in Python: if they have read it, forget "
        "them by name"
    )
    unknown = forget(root, "--source", root / "peple" / "rows.csv")
    assert unknown.exit_code == 2
    assert "no recorded result was read from" in unknown.stderr
    assert f"did you mean '{root / 'people' / 'rows.csv'}'" in unknown.stderr
    assert "not all sources of old@1" in unknown.stderr
    for words in (["--source", ""], ["--source", "a", "--node", "b"]):
        assert forget(root, *words).exit_code == 2


def test_texts_that_may_quote_data_are_forgotten(root: Path) -> None:
    graph = Graph(root, "failing")
    parts = json.dumps([["plan", "rows", "1" * 64, f"filter who = {SECRET}"]])
    graph.add(1, "rows", "odd", reads=("/odd.csv",), parts=parts, reason=f"{SECRET} is new", code=SECRET)
    plan = {"edit": SECRET, "evaluated": {"alias": 1 / 7, "other": 1}, "merged": {"alias": "rows"}}
    graph.record(error=f"no number: {SECRET}", status="failed", plan=json.dumps(plan))
    forget(root, "failing", "--source", "/odd.csv")
    forget(root, "first")
    assert not any(holds(root / "catalog", text) for text in (SECRET, str(1 / 7)))
    catalog = Catalog.open(root / "catalog", create=False)
    (iteration,) = catalog.iterations("failing")
    assert (iteration.error, json.loads(iteration.plan)["evaluated"]) == ("forgotten", {"other": 1})
    assert json.loads(catalog.nodes(iteration)[0].parts) == [["plan", "rows", "1" * 64, None]]


def test_what_fits_of_others_gave_and_first_rows_stay(root: Path) -> None:
    graph = Graph(root, "trained")
    graph.add(1, "model", "a model", reads=())
    graph.record(card="what it gave")
    forget(root, "--source", root / "people")
    catalog = Catalog.open(root / "catalog", create=False)
    assert catalog.file_text(digest_of("what it gave")) == "what it gave"
    forget(root, "trained")
    assert catalog.file_text(digest_of("what it gave")) is None


def test_what_is_pinned_is_not_forgotten_unasked(root: Path) -> None:
    catalog = Catalog.open(root / "catalog", create=False)
    catalog.pin(catalog.iterations("first")[0], pinned=True)
    refused = forget(root, "--source", root / "people")
    assert (refused.exit_code, "iteration 2 of 'first' is pinned" in refused.stderr) == (3, True)
    assert forget(root, "--source", root / "others").exit_code == 0


def test_what_a_killed_run_stored_goes_with_it(root: Path) -> None:
    catalog = Catalog.open(root / "catalog", create=False)
    live = {one.signature for one in catalog.live() if one.workflow == "second"}
    catalog._records.append([IterationRecord("b" * 32, "killed", 1, "running", 0.0)])
    attempt = catalog.begin_attempt(digest("left"), "value")
    catalog.publish(dataclasses.replace(
        next(iter(catalog.live())), signature=attempt.signature, attempt=attempt.attempt, workflow="killed",
        iteration=1, kind="value", value=f'"{SECRET}!"', bytes=0,
    ))
    assert forget(root, "killed").exit_code == 0
    assert not holds(root / "catalog", f"{SECRET}!")
    assert live <= {one.signature for one in catalog.live()}


def digest_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()


class Graph:
    """Records of a workflow's iterations."""

    def __init__(self, root: Path, workflow: str) -> None:
        self.catalog, self.workflow = Catalog.open(root / "catalog", create=False), workflow
        self.nodes: dict[int, list[NodeRecord]] = {}

    def add(
        self, number: int, name: str, content: str, *, reads: tuple[str, ...] | None = (), kind: str = "scanner",
        inputs: tuple[str, ...] = (), parts: str = "[]", reason: str = "", code: str = "",
    ) -> None:
        self.nodes.setdefault(number, []).append(NodeRecord(
            digest(self.workflow, str(number))[:32], self.workflow, number, name, kind, inputs, "compute", reason,
            digest(content), digest(content), parts, code, reads=reads,
        ))

    def record(self, card: str = "", **fields: Any) -> None:
        for number, nodes in self.nodes.items():
            trained = [
                ResultRecord(one.declared, one.signature, self.workflow, one.name, one.kind, number,
                             trained=digest_of(card)) for one in nodes
            ] if card else []
            texts = [FileRecord(digest_of(card), "card.json", card)] if card else []
            ended = IterationRecord(nodes[0].run, self.workflow, number, "done", 0.0)
            self.catalog.append_iteration(dataclasses.replace(ended, **fields), nodes, trained, texts)
