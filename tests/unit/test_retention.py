"""What a run keeps: on all that is stored by then, without losing what its writes read, and within the budget."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases import RunLeases
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.engine.execution.outcome import NodeTime, Outcome
from helix_spark.engine.results.node_results import MemoryTier, NodeResult, TableResult, ValueResult
from helix_spark.engine.results.stored_results import Origin
from helix_spark.errors import CatalogError, NodeError
from helix_spark.planner.joint import policy_named
from helix_spark.planner.planning import make_plan
from helix_spark.planner.problem import State
from helix_spark.planner.storage import Decision, PlanningProblem, ResultCosts
from helix_spark.run import foresight, workflow_results
from helix_spark.run.foresight import RecordsRead
from helix_spark.run.retention import OVERFLOWED, Retention
from helix_spark.run.run import Run
from helix_spark.run.workflow_results import WorkflowResults
from helix_spark.workflow.declaration import Wishes
from tests.fakes.doubled import workflow
from tests.fakes.node_work import Frame, lazy
from tests.fakes.observer import Warned
from tests.fakes.run import make_run, make_tools
from tests.fakes.situation import situation, with_nodes
from tests.simulation.rule import RULE_PURGE, Rule


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


def test_a_table_that_cannot_be_stored_keeps_nothing_else_from_being_stored(tmp_path: Path) -> None:
    wf = hx.Workflow("odd")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    @wf.scanner
    def odd(data: pd.DataFrame) -> pd.DataFrame:
        return data.assign(more=[{} for _ in data.a])

    @wf.reducer(output=True)
    def size(odd: pa.Table) -> int:
        return int(odd.num_rows)

    heard = Warned()
    with hx.Helix(tmp_path / "catalog", policy="always", observer=heard) as helix:
        helix.run(wf).wait()
        assert {record.node for record in helix.catalog.live()} == {"size"}
        assert helix.catalog.gc(dry_run=True, grace_seconds=0) == ()
    (warning,) = heard.warnings
    assert "'odd' was not stored: Delta has no type for column 'more'" in warning


def test_what_was_stored_since_the_plan_was_made_is_reckoned_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on, store = threading.Event(), workflow_results.store

    def held_up(*given: Any) -> ArtifactRecord:
        assert may_go_on.wait(60)
        return store(*given)

    monkeypatch.setattr(workflow_results, "store", held_up)
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


def published(
    catalog: Catalog, signature: str, node: str, size: int, iteration: int = 1, workflow: str = "w", **more: Any
) -> ArtifactRecord:
    attempt = catalog.begin_attempt(signature, "table")
    assert attempt.path is not None
    attempt.path.mkdir(parents=True)
    (attempt.path / "part").write_bytes(b"0" * size)
    return catalog.publish(ArtifactRecord(
        signature, attempt.attempt, "table", "published", workflow, node, iteration, 0.0, bytes=size,
        recompute_seconds=99.0, **more,
    ))


WARM = {"wide": 2.0, "rows": 1.0}


@dataclass
class Answered:
    """A run of `build` that has answered, with its catalog."""

    catalog: Catalog
    policy: Any
    rows: NodeResult = field(default_factory=lazy)
    budget: int | None = None
    heard: Warned = field(default_factory=Warned)

    def retention(self, over: int | None = None) -> Retention:
        """What the run keeps.

        Args:
            over: bytes that the catalog has more than the plan's budget; None: as the plan has it.
        """
        now = situation(build(), budget=self.budget)
        record = published(self.catalog, now["rows"].signature, "rows", 400_000)
        now = with_nodes(now, "rows", artifact=record, costs=replace(now["rows"].costs, compute_seconds=9.0))
        plan = make_plan(now, policy_named("always"))
        assert (plan["rows"].state, plan["wide"].state) == (State.LOAD, State.COMPUTE)
        outcome = Outcome(results={"rows": self.rows, "wide": lazy(), "size": ValueResult(1)})
        if over is not None:
            plan = replace(plan, budget=self.catalog.bytes_used() - over)
        tools = make_tools(catalog=self.catalog, policy=self.policy, observer=self.heard, memory=MemoryTier())
        return retention_of(make_run(
            tools, leases=RunLeases(self.catalog.leases), records=RecordsRead(self.catalog.snapshot("w"), {}),
            situation=now, plan=plan, outcome=outcome,
            times={one.name: NodeTime(warm_seconds=WARM.get(one.name)) for one in now.nodes},
        ))


def retention_of(run: Run) -> Retention:
    return WorkflowResults(run)


def run_of(keeps: Retention) -> Run:
    assert isinstance(keeps, WorkflowResults)
    return keeps.run


class Writes:
    """Stands before `store`: publishes so many bytes for a result, and remembers what was live meanwhile."""

    def __init__(self, size: int) -> None:
        self.size, self.live, self.makers = size, list[set[str]](), list[Any]()

    def __call__(self, result: NodeResult, maker: Any, catalog: Catalog, *given: Any) -> ArtifactRecord:
        self.live.append({record.node for record in catalog.live()})
        self.makers.append(maker)
        return published(
            catalog, maker.signature, maker.node, self.size, maker.iteration, insisted=maker.insisted, fixed=maker.fixed
        )


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Writes:
    made = Writes(500_000)
    monkeypatch.setattr(workflow_results, "store", made)
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
    kept = (keeps := Answered(catalog, swap()).retention(over=-300_000)).keep()
    assert writes.live == [{"rows"}], "it could be read"
    assert kept == {"wide": 500_000}, "though for a while there was more than the budget has"
    assert {record.node for record in catalog.live()} == {"wide"}
    assert keeps.base.budget is not None
    assert catalog.root.total_bytes() <= keeps.base.budget


def test_what_was_written_without_being_in_memory_does_not_tell_what_writing_takes(
    catalog: Catalog, writes: Writes
) -> None:
    run = Answered(catalog, Told(lambda problem: signatures_of(problem, "wide", "size")))
    run.retention().keep()
    assert {maker.node: maker.at_hand for maker in writes.makers} == {"wide": False, "size": True}


def test_who_decided_for_want_of_the_program_says_so(catalog: Catalog, writes: Writes) -> None:
    run = Answered(catalog, Told(notice="the solver found no plan in 10 s"))
    run.retention().keep()
    assert run.heard.warnings == ["the decision on what to keep, with measured costs: the solver found no plan in 10 s"]
    sure = Answered(Catalog.open(Path(str(catalog.root)).parent / "other", create=True), Told())
    sure.retention().keep()
    assert sure.heard.warnings == []


# After a failure


def pinned_rows() -> TableResult:
    made, frame = lazy(), Frame()
    made._persisted = frame  # type: ignore[assignment]  # stands for a DataFrame
    return made


def rows_of_this_process() -> TableResult:
    made = TableResult(lambda: Frame(), lambda: None)  # type: ignore[arg-type, return-value]  # stand for tables
    made._arrow = object()
    made.frame()
    return made


@pytest.mark.parametrize(
    ("wide", "written"),
    [(lazy, {"size"}), (pinned_rows, {"wide", "size"}), (rows_of_this_process, {"wide", "size"})],
    ids=["planned", "pinned", "of this process"],
)
def test_after_a_failure_nothing_is_computed_to_be_stored(
    catalog: Catalog, writes: Writes, wide: Callable[[], TableResult], written: set[str]
) -> None:
    keeps = Answered(catalog, Told()).retention()
    run = run_of(keeps)
    run.outcome.results["wide"] = wide()
    run.outcome.failure = ValueError("elsewhere")
    keeps.keep_planned([node.signature for node in run.plan.nodes if node.keep])
    assert {maker.node for maker in writes.makers} == written


# Once all is recorded


def test_what_is_too_much_in_the_end_is_decided_on_by_the_policy_among_what_is_stored(catalog: Catalog) -> None:
    run = Answered(catalog, Told(lambda problem: signatures_of(problem, "wide"), all_others), budget=10**9)
    published(catalog, "a" * 64, "old", 60_000)
    keeps = run.retention(over=100)
    assert keeps.evict_overflow() == {"a" * 64}
    (asked,) = run.policy.asked
    assert not asked.done.chosen, "nothing is to be written any more"
    assert {node.name for node in asked.nodes if node.stored} == {"rows"}
    assert {record.node for record in catalog.live()} == {"rows"}
    last = catalog.last_event("a" * 64)
    assert last is not None
    assert last.why == OVERFLOWED


def test_what_the_policy_leaves_too_much_goes_by_what_it_takes_to_have_it_again(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse, sums = "a" * 64, "b" * 64
    lineage = {parse: ResultCosts((), 600.0, 1.0), sums: ResultCosts((parse,), 1.0, 0.1)}
    monkeypatch.setattr(foresight, "past_lineage", lambda *_: lineage)
    run = Answered(catalog, Told(), budget=10**9)
    # Their records say that either takes 99 seconds from nothing, by which the smaller one would go.
    published(catalog, parse, "parse", 600_000)
    published(catalog, sums, "sums", 700_000)
    assert run.retention(over=500_000).evict_overflow() == {sums}


def test_within_the_budget_nothing_is_asked(catalog: Catalog) -> None:
    run = Answered(catalog, Told(evict=all_others), budget=10**9)
    published(catalog, "a" * 64, "old", 60_000)
    assert run.retention().evict_overflow() == set()
    assert run.policy.asked == []


# What somebody insists on


def test_what_its_author_insists_on_is_on_record(catalog: Catalog, writes: Writes) -> None:
    run = Answered(catalog, Told(lambda problem: signatures_of(problem, "wide", "size")))
    run.retention().keep()
    assert {maker.node: (maker.insisted, maker.fixed) for maker in writes.makers} == {
        "wide": (True, False), "size": (False, False),
    }


def test_what_its_author_insists_on_since_it_was_stored_is_on_record(catalog: Catalog, writes: Writes) -> None:
    run = Answered(catalog, Told(lambda problem: signatures_of(problem, "wide")))
    by_others = published(catalog, situation(build())["wide"].signature, "wide", 1_000, 3, "theirs")
    keeps = run.retention()
    keeps.keep()
    assert writes.makers == []
    assert by_others.insisting == set()
    told = catalog.artifact(by_others.signature)
    assert told == replace(by_others, insisted_by=("w",))
    before = catalog.stored_version()
    retention_of(replace(run_of(keeps), records=RecordsRead(catalog.snapshot("w"), {}))).keep()
    assert catalog.stored_version() == before, "nothing is written where nothing changed"


def test_what_a_version_lacks_is_not_insisted_on_any_more(catalog: Catalog, writes: Writes) -> None:
    past = published(catalog, "a" * 64, "wide", 1_000, 3, "w", insisted=True)
    Answered(catalog, Told()).retention().keep()
    told = catalog.artifact(past.signature)
    assert told == replace(past, insisted=False)


def test_what_its_author_insists_on_is_on_record_though_another_drivers_record_came_first(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outrun(result: NodeResult, maker: Any, *given: Any) -> ArtifactRecord:
        return published(catalog, maker.signature, maker.node, 1_000, 7, "theirs")

    monkeypatch.setattr(workflow_results, "store", outrun)
    keeps = Answered(catalog, Told(lambda problem: signatures_of(problem, "wide"))).retention()
    keeps.keep()
    told = catalog.artifact(run_of(keeps).plan["wide"].signature)
    assert told is not None
    assert (told.workflow, told.iteration, told.insisting) == ("theirs", 7, {"w"})


@pytest.mark.parametrize("before", [True, False], ids=["before the store", "at the store"])
@pytest.mark.parametrize("fixed", [True, False])
def test_of_two_drivers_draws_under_one_signature_the_stored_one_stands_in_this_session_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool, fixed: bool
) -> None:
    """That it is a draw was not known to either of them: their code did not tell."""
    store, evict = workflow_results.store, Retention._evict

    def theirs(run: Run) -> None:
        maker = Origin(run.plan["rows"].signature, "theirs", "rows", 9)
        store(run.outcome.results["rows"], maker, run.tools.catalog)

    def evicts(keeps: Retention, why: Mapping[str, str]) -> None:
        evict(keeps, why)
        if before:
            theirs(run_of(keeps))

    def outrun(result: NodeResult, maker: Origin, catalog: Catalog, *given: Any) -> ArtifactRecord:
        if maker.node == "rows":
            store(result, replace(maker, workflow="theirs"), catalog)
        return store(result, maker, catalog, *given)

    monkeypatch.setattr(Retention, "_evict", evicts)
    monkeypatch.setattr(workflow_results, "store", outrun)
    with hx.Helix(tmp_path, policy="always") as helix:
        iteration = helix.run(asking("mine", 1, fixed=fixed))
        iteration.wait()
        held = iteration.plan["rows"].signature in helix._memory.signatures
        stored = helix.catalog.artifact(iteration.plan["rows"].signature)
    assert stored is not None
    assert stored.workflow == "theirs"
    assert held is not fixed


def test_what_cannot_be_put_on_record_is_said(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Catalog, *given: object) -> None:
        raise CatalogError("no room")

    run = Answered(catalog, Told())
    published(catalog, situation(build())["wide"].signature, "wide", 1_000, 3, "theirs")
    keeps = run.retention()
    monkeypatch.setattr(Catalog, "note_wishes", full)
    keeps.keep()
    assert run.heard.warnings == ["no room"]


def test_a_policy_is_told_what_other_workflows_insist_on_by_then(catalog: Catalog) -> None:
    past, now, since, draw = (letter * 64 for letter in "abcd")
    for number, one in ((1, past), (2, now)):
        published(catalog, one, "rows", 1_000, number, "theirs", insisted=True)
    catalog.note_wishes("theirs", {past: Wishes()})
    published(catalog, draw, "drawn", 1_000, insisted=True, fixed=True)
    run = Answered(catalog, Told(), budget=10**9)
    keeps = run.retention()
    published(catalog, since, "rows", 1_000, 3, "theirs", insisted=True)
    keeps.keep()
    (asked,) = run.policy.asked
    assert {other.signature: (bool(other.kept_for), other.fixed) for other in asked.others} == {
        past: (False, False), now: (True, False), since: (True, False), draw: (False, True),
    }


def test_of_too_much_what_another_workflow_insists_on_goes_after_what_its_newest_version_lacks(
    catalog: Catalog,
) -> None:
    past, now = "a" * 64, "b" * 64
    for number, one, size in ((1, past, 700_000), (2, now, 600_000)):
        published(catalog, one, "rows", size, number, "theirs", insisted=True)
    catalog.note_wishes("theirs", {past: Wishes()})
    keeps = Answered(catalog, policy_named("never"), budget=10**9).retention(over=500_000)
    assert keeps.evict_overflow() == {past}


def test_of_too_much_a_draw_of_the_past_goes_after_what_could_be_had_again(catalog: Catalog) -> None:
    published(catalog, "a" * 64, "drawn", 600_000, insisted=True, fixed=True)
    published(catalog, "b" * 64, "other", 700_000)
    keeps = Answered(catalog, policy_named("never"), budget=10**9).retention(over=500_000)
    assert keeps.evict_overflow() == {"b" * 64}


# Where there is no room


def without_room(keeps: Retention) -> Retention:
    """As where records alone are more than the budget."""
    run = run_of(keeps)
    return retention_of(replace(run, plan=replace(run.plan, budget=1)))


def test_what_takes_no_bytes_is_stored_all_the_same(catalog: Catalog, writes: Writes) -> None:
    writes.size = 0
    run = Answered(catalog, Told(lambda problem: signatures_of(problem, "size")))
    assert without_room(run.retention()).keep() == {"size": 0}
    assert len(writes.makers) == 1, "it is decided once"
    assert {record.node for record in catalog.live()} == {"rows", "size"}


def test_what_turns_out_to_be_too_large_goes_in_the_end(catalog: Catalog, writes: Writes) -> None:
    keeps = Answered(catalog, policy_named("always")).retention(over=-200_000)
    assert keeps.keep() == {"wide": 500_000, "size": 500_000}, "both were expected to be smaller"
    assert keeps.evict_overflow()
    assert keeps.base.budget is not None
    assert catalog.root.total_bytes() <= keeps.base.budget


def test_what_another_driver_stored_first_is_not_this_ones_to_evict(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def came_second(result: NodeResult, maker: Any, catalog: Catalog, *given: Any) -> ArtifactRecord:
        return published(catalog, maker.signature, maker.node, 500_000, maker.iteration - 1)

    monkeypatch.setattr(workflow_results, "store", came_second)
    run = Answered(catalog, Told(lambda problem: signatures_of(problem, "wide")))
    assert without_room(run.retention()).keep() == {"wide": 500_000}
    assert {record.node for record in catalog.live()} == {"rows", "wide"}


def test_what_goes_at_once_is_recorded_at_once(catalog: Catalog) -> None:
    for letter in "abc":
        published(catalog, letter * 64, f"old-{letter}", 1_000)
    keeps = Answered(catalog, Told(evict=all_others), budget=10**9).retention()
    before = catalog.stored_version()
    keeps.keep()
    assert catalog.stored_version() == before + 1
    assert {record.node for record in catalog.live()} == {"rows"}


def test_what_cannot_be_deleted_is_said_and_keeps_nothing_else_from_going(catalog: Catalog, tmp_path: Path) -> None:
    for letter in "ab":
        published(catalog, letter * 64, f"old-{letter}", 1_000)
    tables = Path(str(catalog.root)) / "tables"
    (tables / ("a" * 64)).rename(tmp_path / "elsewhere")
    (tables / ("a" * 64)).symlink_to(tmp_path / "elsewhere")
    run = Answered(catalog, Told(evict=all_others), budget=10**9)
    run.retention().keep()
    assert {record.node for record in catalog.live()} == {"rows"}
    assert not (tables / ("b" * 64)).exists()
    (warning,) = run.heard.warnings
    assert "a link leads out of the catalog" in warning


def asking(name: str, factor: int, **wishes: Any) -> hx.Workflow:
    """rows -> total, without Spark."""
    wf = hx.Workflow(name)
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    @wf.scanner(**wishes)
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return data * factor

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> int:
        return int(rows.a.sum())

    return wf


@pytest.mark.parametrize(("wishes", "stays"), [({"keep": "always"}, {2}), ({"fixed": True}, {1, 2}), ({}, set())])
def test_what_a_workflow_insists_on_outlives_the_runs_of_another(
    tmp_path: Path, wishes: dict[str, Any], stays: set[int]
) -> None:
    def left_after(made: hx.Workflow, policy: str | Rule) -> set[tuple[str, int]]:
        """Nodes and iterations of what the workflow `mine` has stored."""
        with hx.Helix(tmp_path / "catalog", policy=policy) as helix:
            helix.run(made).wait()
            return {(one.node, one.iteration) for one in helix.catalog.live() if one.workflow == "mine"}

    assert left_after(asking("mine", 1, **wishes), "always") == {("rows", 1), ("total", 1)}
    assert left_after(asking("theirs", 5), RULE_PURGE) == ({("rows", 1)} if wishes else set())
    left_after(asking("mine", 2, **wishes), "always")
    assert left_after(asking("theirs", 6), RULE_PURGE) == {("rows", number) for number in stays}


@pytest.mark.long
def test_what_a_workflow_insists_on_since_it_was_stored_outlives_the_runs_of_another(tmp_path: Path) -> None:
    def left_after(made: hx.Workflow, policy: str | Rule) -> set[str]:
        with hx.Helix(tmp_path / "catalog", policy=policy) as helix:
            helix.run(made).wait()
            return {one.node for one in helix.catalog.live() if one.workflow == "mine"}

    assert left_after(asking("mine", 1), "always") == {"rows", "total"}
    assert left_after(asking("mine", 1, keep="always"), "always") == {"rows", "total"}
    assert left_after(asking("theirs", 5), RULE_PURGE) == {"rows"}
    left_after(asking("mine", 1), "always")
    assert left_after(asking("theirs", 6), RULE_PURGE) == set(), "nobody insists any more"
