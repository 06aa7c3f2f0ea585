"""What a run read is looked at again until its last reader is done: of that which changed nothing stands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.ml import Model
from pyspark.sql import DataFrame

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.engine.execution.outcome import Outcome
from helix_spark.engine.results.node_results import NodeResult, TableResult
from helix_spark.identity import data_version
from helix_spark.identity.data_version import DataIdentity, Readable, identify
from helix_spark.identity.file_states import FileState, states_of
from helix_spark.identity.signing import describe
from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.problem import Certificate, State
from helix_spark.run.workflow_results import DataRead
from tests.fakes.run import make_run


class Run:
    """A run that read two sources, a table in memory, and a file that a function depends on: left -> cleaned, which
    depends on the words; both of left and right.

    Attributes:
        hashed: what was read to know its contents, in order, once the run had signed it.
    """

    def __init__(self, folder: Path) -> None:
        self.left, self.right, self.words = folder / "left.csv", folder / "right.csv", folder / "words"
        self.hashed: list[Readable] = []
        self.words.mkdir()
        for path in (self.left, self.right, self.words / "few.txt"):
            path.write_text("1\n2\n")
        wf = hx.Workflow("w")
        wf.source("left", hx.csv(self.left, "n long"))
        wf.source("right", hx.csv(self.right, "n long"))
        wf.source("memory", hx.table(pd.DataFrame({"n": [1]})))

        @wf.scanner(depends_on=[self.words])
        def cleaned(left: DataFrame) -> DataFrame:
            return left

        @wf.learner
        def model(right: DataFrame) -> Model:
            raise NotImplementedError

        @wf.scanner(output=True)
        def both(cleaned: DataFrame, right: DataFrame, memory: DataFrame, model: Model) -> DataFrame:
            return cleaned.union(right)

        self.dag = compile_workflow(wf)
        self.described = describe(self.dag, {})

    def data(
        self, states: Mapping[str, State] | None = None, results: Mapping[str, NodeResult] | None = None,
        opened: Mapping[str, DataIdentity] | None = None,
    ) -> DataRead:
        told = states or {}
        nodes = tuple(
            PlannedNode(
                node.name, node.kind, node.result, node.inputs, None, "", "", told.get(node.name, State.COMPUTE), "why",
                1.0, 1.0, 1.0, 1.0, 1, "",
            ) for node in self.dag.nodes
        )
        plan = Plan("w", 1, nodes, ("both",), (), Certificate("optimal", 1, 1, 0, "x", 0), "rule", None, 0)
        had = {node.name: table() for node in self.dag.nodes if plan[node.name].state is not State.PRUNE}
        outcome = Outcome(results={**had, **(results or {})}, opened=dict(opened or {}))
        run = make_run(dag=self.dag, plan=plan, described=self.described, outcome=outcome)
        return DataRead(run)


def table() -> TableResult:
    return TableResult(lambda: None)  # type: ignore[arg-type, return-value]  # nobody asks for its rows


def in_this_process() -> TableResult:
    made = TableResult(lambda: None, lambda: None)  # type: ignore[arg-type, return-value]  # stand for tables
    made._arrow = object()
    return made


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    made = Run(tmp_path)

    def noted(what: Readable, **options: Any) -> DataIdentity:
        if options.get("contents", True):
            made.hashed.append(what)
        return identify(what, **options)

    monkeypatch.setattr(data_version, "identify", noted)
    return made


def changed(data: DataRead) -> dict[str, str | None]:
    """What changed, by node."""
    found = {name: data.change(name) for name in data.names}
    return {name: how for name, how in found.items() if how is not None}


def test_what_was_read_is_looked_at_and_nothing_else(run: Run) -> None:
    assert set(run.data().names) == {"left", "right", "cleaned"}, "a table in memory was copied"
    assert run.data({"left": State.PRUNE, "cleaned": State.LOAD}).names == ("right",)
    assert set(run.data({"left": State.LOAD}).names) == {"right", "cleaned"}


def test_a_table_is_read_again_from_what_it_is_made_of(run: Run) -> None:
    assert set(run.data().readers_above("both")) == {"left", "right", "cleaned"}
    assert set(run.data().readers_above("cleaned")) == {"left", "cleaned"}
    assert set(run.data({"left": State.PRUNE, "cleaned": State.LOAD}).readers_above("both")) == {"right"}


def test_a_table_of_which_memory_holds_collected_rows_is_read_anew_by_who_asks_for_its_dataframe(run: Run) -> None:
    held, collected = {"left": State.PRUNE, "cleaned": State.LOAD}, table()
    collected._arrow = collected._frame = object()  # type: ignore[assignment]  # stand for rows, and for their plan
    data = run.data(held, {"cleaned": collected})
    assert set(data.names) == {"left", "right", "cleaned"}
    assert set(data.readers_above("both")) == {"left", "right", "cleaned"}
    pinned = table()
    pinned._persisted = pinned._arrow = object()  # type: ignore[assignment]  # stand for rows
    assert run.data(held, {"cleaned": pinned}).names == ("right",)
    assert run.data({**held, "both": State.LOAD}, {"cleaned": collected}).names == ("right",), "nobody asks for it"


def test_contents_are_read_once(run: Run) -> None:
    data = run.data()
    assert not changed(data)
    assert not changed(data)
    assert len(run.hashed) == 3


def test_a_rewrite_shows_though_size_and_time_are_put_back_and_is_not_forgotten(run: Run) -> None:
    data, before = run.data(), run.left.stat()
    assert not changed(data)
    run.left.write_text("5\n6\n")
    os.utime(run.left, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert changed(data) == {"left": "left.csv was written to, or touched"}
    run.left.write_text("1\n2\n")
    assert changed(data), "what was written in between may be of the other data"


def test_a_rewrite_between_two_looks_shows_though_the_bytes_are_back(run: Run) -> None:
    run.left.write_text("5\n6\n")
    run.left.write_text("1\n2\n")
    assert changed(run.data()) == {"left": "left.csv was written to, or touched"}


def test_all_that_is_made_of_it_is_void_and_what_was_there_before_is_not(run: Run) -> None:
    run.right.touch()
    data = run.data()
    assert data.void == frozenset(), "nobody has looked"
    changed(data)
    assert data.void == {"right", "model", "both"}
    loaded = run.data({"model": State.LOAD})
    changed(loaded)
    assert loaded.void == {"right", "both"}


def test_another_file_under_its_name_shows_however_old_it_is(run: Run) -> None:
    other = run.left.with_name("other.csv")
    other.write_bytes(run.left.read_bytes())
    data = run.data()
    run.left.unlink()
    run.left.symlink_to(other)
    assert changed(data) == {"left": "left.csv is another file"}


def test_what_is_gone_has_changed(run: Run) -> None:
    data = run.data()
    run.left.unlink()
    (run.words / "few.txt").unlink()
    found = changed(data)
    assert str(found.pop("left")).startswith("it cannot be read any more (")
    assert found == {"cleaned": "few.txt is gone"}


def test_a_file_that_came_into_a_folder_and_went_shows(run: Run) -> None:
    data = run.data()
    (run.words / "more.txt").write_text("3")
    (run.words / "more.txt").unlink()
    assert changed(data) == {"cleaned": "files were added to the folder words, or removed"}


def test_a_list_of_files_that_was_another_when_spark_asked_for_it_shows(run: Run) -> None:
    source = run.described["left"].reads[0].source
    other = run.left.with_name("left2.csv")
    other.write_text("3\n")
    found = identify(hx.csv([run.left, other], "n long"), contents=False)
    other.unlink()
    assert not changed(run.data(opened={"left": identify(source, contents=False)}))
    assert changed(run.data(opened={"left": found})) == {"left": "left2.csv is new"}


def test_a_disk_that_keeps_no_time_of_change_is_told_by_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timeless(*given: Any) -> tuple[FileState, ...]:
        return tuple(replace(state, modified=0, changed=0) for state in states_of(*given))

    monkeypatch.setattr(data_version, "states_of", timeless)
    run = Run(tmp_path)
    data = run.data()
    run.left.write_text("5\n6\n")
    assert changed(data) == {"left": "left.csv was written to, or touched"}
