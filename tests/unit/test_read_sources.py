"""Sources are looked at again behind an answer: those that were read, and of each the data once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
from pyspark.ml import Model
from pyspark.sql import DataFrame

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.engine.results.results import ModelResult, NodeResult, TableResult
from helix_spark.iteration import read_sources
from helix_spark.iteration.read_sources import ReadSources
from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.problem import Certificate, State
from helix_spark.signature.data_version import SourceVersion, version_of
from helix_spark.signature.signing import describe
from helix_spark.workflow.sources import Source


class Run:
    """A run that read two files and a table in memory: left -> cleaned, both of left and right.

    Attributes:
        hashed: the sources whose data was read, in order.
    """

    def __init__(self, folder: Path) -> None:
        self.left, self.right = folder / "left.csv", folder / "right.csv"
        self.hashed: list[Source] = []
        for path in (self.left, self.right):
            path.write_text("1\n2\n")
            age(path)
        wf = hx.Workflow("w")
        wf.source("left", hx.csv(self.left, "n long"))
        wf.source("right", hx.csv(self.right, "n long"))
        wf.source("memory", hx.table(pd.DataFrame({"n": [1]})))

        @wf.scanner
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

    def sources(
        self, states: Mapping[str, State] | None = None, results: Mapping[str, NodeResult] | None = None
    ) -> ReadSources:
        told = states or {}
        nodes = tuple(
            PlannedNode(
                node.name, node.kind, node.result, node.inputs, None, "", "", told.get(node.name, State.COMPUTE), "why",
                1.0, 1.0, 1.0, 1.0, 1, "",
            ) for node in self.dag.nodes
        )
        plan = Plan("w", 1, nodes, ("both",), (), Certificate("optimal", 1, 1, 0, "x", 0), "rule", None, 0)
        had = {node.name: table() for node in self.dag.nodes if plan[node.name].state is not State.PRUNE}
        return ReadSources(self.dag, plan, self.described, {**had, **(results or {})})


def table() -> TableResult:
    return TableResult(lambda: None)  # type: ignore[arg-type, return-value]  # nobody asks for its rows


def in_this_process() -> TableResult:
    made = TableResult(lambda: None, lambda: None)  # type: ignore[arg-type, return-value]  # stand for tables
    made._arrow = object()
    return made


def age(path: Path, seconds: int = 100) -> None:
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - seconds * 10**9))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    made = Run(tmp_path)

    def noted(source: Source) -> SourceVersion:
        made.hashed.append(source)
        return version_of(source)

    monkeypatch.setattr(read_sources, "version_of", noted)
    # Files that were just written count as settled: their times of change cannot be set back.
    monkeypatch.setattr(read_sources, "_TICK", -(10**12))
    return made


def test_sources_that_were_read_are_looked_at_and_no_others(run: Run) -> None:
    assert set(run.sources().names) == {"left", "right"}, "a table in memory was copied"
    assert run.sources({"left": State.PRUNE, "cleaned": State.LOAD}).names == ("right",)
    assert run.sources({"right": State.LOAD}).names == ("left",)


def test_what_a_table_is_read_from_again_ends_at_what_is_there(run: Run) -> None:
    assert set(run.sources().below("both")) == {"left", "right"}
    assert set(run.sources().below("cleaned")) == {"left"}
    assert set(run.sources({"left": State.PRUNE, "cleaned": State.LOAD}).below("both")) == {"right"}
    assert set(run.sources(results={"cleaned": in_this_process()}).below("both")) == {"right"}
    fitted = {"right": in_this_process(), "model": ModelResult(None)}
    assert set(run.sources(results=fitted).below("both")) == {"left"}


def test_a_table_of_which_memory_holds_collected_rows_is_read_anew_by_who_asks_for_its_dataframe(run: Run) -> None:
    held, collected = {"left": State.PRUNE, "cleaned": State.LOAD}, table()
    collected._arrow = collected._frame = object()  # type: ignore[assignment]  # stand for rows, and for their plan
    sources = run.sources(held, {"cleaned": collected})
    assert set(sources.names) == {"left", "right"}
    assert set(sources.below("both")) == {"left", "right"}
    pinned = table()
    pinned._persisted = pinned._arrow = object()  # type: ignore[assignment]  # stand for rows
    assert run.sources(held, {"cleaned": pinned}).names == ("right",)
    assert run.sources({**held, "both": State.LOAD}, {"cleaned": collected}).names == ("right",), "nobody asks for it"


def test_data_is_read_once_while_its_file_stays_as_it_is(run: Run) -> None:
    sources = run.sources()
    assert [sources.has_moved("left") for _ in range(3)] == [False, False, False]
    assert len(run.hashed) == 1


def test_a_file_that_changed_shortly_before_is_read_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may change once more within the same tick of its clock."""
    monkeypatch.setattr(read_sources, "_TICK", 2 * 10**9)
    sources = run.sources()
    assert [sources.has_moved("left") for _ in range(3)] == [False, False, False]
    assert len(run.hashed) == 3


def test_a_rewrite_shows_though_size_and_time_are_put_back_and_is_not_forgotten(run: Run) -> None:
    sources, before = run.sources(), run.left.stat()
    assert not sources.has_moved("left")
    run.left.write_text("5\n6\n")
    os.utime(run.left, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert sources.has_moved("left")
    run.left.write_text("1\n2\n")
    assert sources.has_moved("left"), "what was written in between may be of the other data"
    assert not sources.has_moved("right")


def test_another_file_under_its_name_shows_however_old_it_is(run: Run) -> None:
    other = run.left.with_name("other.csv")
    other.write_text("5\n6\n")
    age(other, 10_000)
    sources = run.sources()
    assert not sources.has_moved("left")
    run.left.unlink()
    run.left.symlink_to(other)
    assert sources.has_moved("left")


def test_a_file_that_is_gone_has_moved(run: Run) -> None:
    sources = run.sources()
    run.left.unlink()
    assert sources.has_moved("left")


def test_a_file_that_is_touched_and_says_the_same_has_not_moved(run: Run) -> None:
    sources = run.sources()
    assert not sources.has_moved("left")
    run.left.touch()
    assert not sources.has_moved("left")
    assert len(run.hashed) == 2
