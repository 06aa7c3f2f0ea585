"""What a run keeps: on all that is stored by then, without losing what its writes read, and within the budget."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from doubled import workflow
from pyspark.sql import DataFrame
from test_planning import situation
from warned import Warned

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.view import CatalogView
from helix_spark.costs.model import LOAD, Throughput
from helix_spark.dag.node import Dag
from helix_spark.engine import retention
from helix_spark.engine.executor import Outcome
from helix_spark.engine.results import NodeResult, TableResult, ValueResult
from helix_spark.engine.retention import OVERFLOWED, Retention
from helix_spark.errors import NodeError
from helix_spark.planner.by_name import policy_named
from helix_spark.planner.lineage import Made
from helix_spark.planner.planning import Situation, make_plan
from helix_spark.planner.problem import State
from helix_spark.planner.storage import Decision, PlanningProblem
from helix_spark.signature.signing import Description, Signed


@dataclass
class Told:
    """Decides as another policy, but keeps and evicts what it is told; remembers what it was asked after a run."""

    keep: Callable[[PlanningProblem], set[str]] = lambda problem: set()
    evict: Callable[[PlanningProblem], set[str]] = lambda problem: set()
    asked: list[PlanningProblem] = field(default_factory=list)
    notice: str = ""
    name: str = "told"

    def decide(self, problem: PlanningProblem) -> Decision:
        if problem.done is not None:
            self.asked.append(problem)
        decision = policy_named("never").decide(problem)
        proof = replace(decision.certificate, status="fallback" if self.notice else "optimal", notice=self.notice)
        return replace(
            decision, keep=frozenset(self.keep(problem)), evict=frozenset(self.evict(problem)), certificate=proof
        )


def all_others(problem: PlanningProblem) -> set[str]:
    return {other.signature for other in problem.others}


# In a run


def failing() -> hx.Workflow:
    wf = workflow(2)

    @wf.reducer(output=True)
    def broken(rows: pd.DataFrame) -> int:
        raise ValueError("no")

    return wf


def test_a_run_that_fails_evicts_nothing(tmp_path: Path) -> None:
    with hx.Helix(tmp_path / "catalog", policy="always") as helix:
        helix.run(workflow(1)).wait()
    told = Told(evict=all_others)
    with hx.Helix(tmp_path / "catalog", policy=told) as helix:
        assert helix.plan(failing()).evict, "it was to go"
        with pytest.raises(NodeError):
            helix.run(failing())
        helix.wait()
        assert "total" in {record.node for record in helix.catalog.live()}


def test_what_was_stored_since_the_plan_was_made_is_reckoned_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on, store = threading.Event(), retention.store

    def held_up(*given: Any) -> ArtifactRecord:
        assert may_go_on.wait(60)
        return store(*given)

    monkeypatch.setattr(retention, "store", held_up)
    everything = policy_named("always")
    told = Told(lambda problem: set(everything.decide(problem).keep))
    with hx.Helix(tmp_path / "catalog", policy=told, budget="1 GiB") as helix:
        first = helix.run(workflow(1))
        second = helix.run(workflow(2))
        may_go_on.set()
        second.wait()
    (asked,) = [problem for problem in told.asked if problem.nodes[-1].signature == second.plan["total"].signature]
    assert {other.signature for other in asked.others} == {first.plan["total"].signature}
    assert {node.name for node in asked.nodes if node.stored} == {"rows"}


# Of tables that only Spark could have: no session is needed to decide on them


class Frame:
    """Stands for a DataFrame."""


def lazy() -> TableResult:
    return TableResult(lambda: Frame())  # type: ignore[arg-type, return-value]  # stands for one


def build() -> hx.Workflow:
    """data -> rows -> wide -> size; `rows` is loaded, `wide` is to be stored, whole."""
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data

    @wf.scanner(keep="always")
    def wide(rows: DataFrame) -> DataFrame:
        return rows

    @wf.reducer(output=True)
    def size(wide: DataFrame) -> int:
        return wide.count()

    return wf


def published(catalog: Catalog, signature: str, node: str, size: int, iteration: int = 1) -> ArtifactRecord:
    attempt = catalog.begin_attempt(signature, "table")
    assert attempt.path is not None
    attempt.path.mkdir(parents=True)
    (attempt.path / "part").write_bytes(b"0" * size)
    return catalog.publish(ArtifactRecord(
        signature, attempt.attempt, "table", "published", "w", node, iteration, 0.0, bytes=size, recompute_seconds=99.0
    ))


@dataclass(frozen=True)
class Prepared:
    """As much of a prepared workflow as is looked at."""

    situation: Situation
    dag: Dag
    described: Mapping[str, Description]
    signed: Mapping[str, Signed]
    view: CatalogView
    told: Mapping[str, Any] = field(default_factory=dict)
    loads: Mapping[str, Throughput] = field(default_factory=lambda: LOAD)


@dataclass
class Run:
    """A run of `build` that has answered, with its catalog."""

    catalog: Catalog
    policy: Any
    rows: NodeResult = field(default_factory=lazy)
    budget: int | None = None
    lineage: dict[str, Made] = field(default_factory=dict)
    heard: Warned = field(default_factory=Warned)

    def retention(self) -> Retention:
        now = situation(build())
        record = published(self.catalog, now.signed["rows"].signature, "rows", 400_000)
        now = replace(now, stored={record.signature: record}, budget=self.budget, lineage=self.lineage)
        plan = make_plan(now, policy_named("always"))
        assert (plan["rows"].state, plan["wide"].state) == (State.LOAD, State.COMPUTE)
        outcome = Outcome(
            SimpleNamespace(), {"rows": self.rows, "wide": lazy(), "size": ValueResult(1)},  # type: ignore[arg-type]  # not looked at
        )
        prepared = Prepared(now, now.dag, now.described, now.signed, self.catalog.snapshot("w"))
        tools = SimpleNamespace(
            catalog=self.catalog, policy=self.policy, observer=self.heard, memory=SimpleNamespace(held=frozenset())
        )
        return Retention(prepared, plan, outcome, 4, 0.0, {"wide": 2.0, "rows": 1.0}, (), (), tools)  # type: ignore[arg-type]  # as much as is looked at


class Writes:
    """Stands before `store`: publishes so many bytes for a result, and remembers what was live meanwhile."""

    def __init__(self, size: int) -> None:
        self.size, self.live, self.makers = size, list[set[str]](), list[Any]()

    def __call__(self, result: NodeResult, maker: Any, catalog: Catalog, *given: Any) -> ArtifactRecord:
        self.live.append({record.node for record in catalog.live()})
        self.makers.append(maker)
        return published(catalog, maker.signature, maker.node, self.size, maker.iteration)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog.open(tmp_path / "catalog", create=True)


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Writes:
    made = Writes(500_000)
    monkeypatch.setattr(retention, "store", made)
    return made


def signatures_of(problem: PlanningProblem, *names: str) -> set[str]:
    return {node.signature for node in problem.nodes if node.name in names}


def swap() -> Told:
    """Keeps `wide` in place of the `rows` that it is made from."""
    return Told(
        lambda problem: signatures_of(problem, "wide"),
        lambda problem: {node.signature for node in problem.nodes if node.name == "rows" and node.stored},
    )


def test_what_a_write_reads_goes_when_it_is_written_and_leaves_it_its_room(catalog: Catalog, writes: Writes) -> None:
    keeps = Run(catalog, swap()).retention()
    budget = catalog.bytes_used() + 300_000
    kept = replace(keeps, plan=replace(keeps.plan, budget=budget)).keep({})
    assert writes.live == [{"rows"}], "it could be read"
    assert kept.stored == {"wide": 500_000}, "though for a while there was more than the budget has"
    assert {record.node for record in catalog.live()} == {"wide"}
    assert catalog.bytes_used(exact=True) <= budget


def test_what_no_write_reads_goes_first(catalog: Catalog, writes: Writes) -> None:
    in_memory = TableResult(lambda: Frame(), lambda: None)  # type: ignore[arg-type, return-value]  # stand for tables
    in_memory._arrow = object()
    Run(catalog, swap(), rows=in_memory).retention().keep({})
    assert writes.live == [set()]
    assert {record.node for record in catalog.live()} == {"wide"}


def test_what_was_written_without_being_in_memory_does_not_tell_what_writing_takes(
    catalog: Catalog, writes: Writes
) -> None:
    run = Run(catalog, Told(lambda problem: signatures_of(problem, "wide", "size")))
    run.retention().keep({})
    assert {maker.node: maker.at_hand for maker in writes.makers} == {"wide": False, "size": True}


def test_who_decided_for_want_of_the_program_says_so(catalog: Catalog, writes: Writes) -> None:
    run = Run(catalog, Told(notice="the solver found no plan in 10 s"))
    run.retention().keep({})
    assert run.heard.warnings == ["what to keep, by what the run has measured: the solver found no plan in 10 s"]
    sure = Run(Catalog.open(Path(str(catalog.root)).parent / "other", create=True), Told())
    sure.retention().keep({})
    assert sure.heard.warnings == []


# Once all is recorded


def over_budget(run: Run, excess: int) -> Retention:
    keeps = run.retention()
    return replace(keeps, plan=replace(keeps.plan, budget=run.catalog.bytes_used() - excess))


def test_what_is_too_much_in_the_end_is_decided_on_by_the_policy_among_what_is_stored(catalog: Catalog) -> None:
    run = Run(catalog, Told(lambda problem: signatures_of(problem, "wide"), all_others), budget=10**9)
    published(catalog, "a" * 64, "old", 60_000)
    keeps = over_budget(run, 100)
    assert keeps.evict_overflow() == {"a" * 64}
    (asked,) = run.policy.asked
    assert not asked.done.chosen, "nothing is to be written any more"
    assert {node.name for node in asked.nodes if node.stored} == {"rows"}
    assert {record.node for record in catalog.live()} == {"rows"}
    last = catalog.last_event("a" * 64)
    assert last is not None
    assert last.why == OVERFLOWED


def test_what_the_policy_leaves_too_much_goes_by_what_it_takes_to_have_it_again(catalog: Catalog) -> None:
    parse, sums = "a" * 64, "b" * 64
    lineage = {parse: Made((), 600.0, 1.0), sums: Made((parse,), 1.0, 0.1)}
    run = Run(catalog, Told(), budget=10**9, lineage=lineage)
    # Their records say that either takes 99 seconds from nothing, by which the smaller one would go.
    published(catalog, parse, "parse", 600_000)
    published(catalog, sums, "sums", 700_000)
    assert over_budget(run, 500_000).evict_overflow() == {sums}


def test_within_the_budget_nothing_is_asked(catalog: Catalog) -> None:
    run = Run(catalog, Told(evict=all_others), budget=10**9)
    published(catalog, "a" * 64, "old", 60_000)
    assert run.retention().evict_overflow() == set()
    assert run.policy.asked == []
