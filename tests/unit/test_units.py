"""Units of work and pins: what runs together, and which tables are persisted because they are scanned again."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.node import Dag
from helix_spark.engine.execution.units import Unit, pins, units
from helix_spark.planner.problem import State
from tests.fakes.plan import FakePlan


def made(dag: Dag, states: dict[str, State] | None = None, keep: set[str] | None = None) -> tuple[
    dict[tuple[str, ...], Unit], frozenset[str]
]:
    plan = FakePlan(dag, states or {}, frozenset(keep or ()))
    work = units(dag, plan)  # type: ignore[arg-type]  # stands for a plan
    return {unit.names: unit for unit in work}, pins(dag, plan, work)  # type: ignore[arg-type]


def features() -> Dag:
    wf = hx.Workflow("w")
    wf.source("data", hx.csv("a.csv"))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data

    @wf.extractor
    def c(rows: DataFrame) -> Column:
        return rows.c

    hot = [wf.extractor(name, hx.OneHot(name), on=rows) for name in ("a", "b")]
    buckets = [wf.extractor(f"{name}_bucket", hx.Bucketizer(name, bins=3), on=rows) for name in ("d", "e")]
    examples = wf.synthesizer("examples", rows, features=[*hot, *buckets, c], label="l")
    wf.learner("model", "pyspark.ml.classification.LogisticRegression", on=examples, output=True)
    return compile_workflow(wf)


def test_fits_of_one_sort_over_one_table_run_as_one() -> None:
    work, _ = made(features())
    assert ("a.fit", "b.fit") in work
    assert ("d_bucket.fit", "e_bucket.fit") in work
    assert work["a.fit", "b.fit"].forced
    assert work["a.fit", "b.fit"].needs == {"rows"}


def test_one_edited_extractor_refits_alone() -> None:
    loaded = dict.fromkeys(("a.fit", "d_bucket.fit", "e_bucket.fit"), State.LOAD)
    work, _ = made(features(), loaded)
    assert ("b.fit",) in work
    assert work["a.fit",].state is State.LOAD
    assert work["a.fit",].needs == frozenset()


def test_what_is_pruned_is_no_work() -> None:
    pruned = dict.fromkeys(("data", "rows", "a", "b", "c", "examples"), State.PRUNE)
    work, _ = made(features(), {**pruned, "model": State.LOAD})
    assert ("rows",) not in work
    assert ("model",) in work


def test_needs_come_before_readers() -> None:
    work, _ = made(features())
    seen: set[str] = set()
    for unit in work.values():
        assert unit.needs <= seen
        seen |= set(unit.names)


def test_tables_and_columns_are_lazy_and_the_rest_is_forced() -> None:
    work, _ = made(features())
    forced = {names for names, unit in work.items() if unit.forced}
    assert forced == {("a.fit", "b.fit"), ("d_bucket.fit", "e_bucket.fit"), ("model",)}


def test_a_table_that_several_jobs_scan_is_pinned_and_so_are_a_learners_examples() -> None:
    _, pinned = made(features())
    assert pinned == {"rows", "examples"}


def chain() -> Dag:
    wf = hx.Workflow("w")
    wf.source("data", hx.csv("a.csv"))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data

    @wf.scanner
    def clean(rows: DataFrame) -> DataFrame:
        return rows

    @wf.reducer(output=True)
    def count(clean: DataFrame) -> int:
        return clean.count()

    return compile_workflow(wf)


def test_a_table_that_is_scanned_once_is_not_pinned() -> None:
    assert made(chain())[1] == frozenset()


def test_a_table_that_is_to_be_stored_besides_is_pinned_so_that_it_is_computed_once() -> None:
    assert made(chain(), keep={"clean"})[1] == {"clean"}
    assert made(chain(), keep={"rows", "clean"})[1] >= {"clean"}


def test_rows_collected_by_several_functions_are_fetched_once() -> None:
    wf = hx.Workflow("w")
    wf.source("data", hx.csv("a.csv"))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data

    @wf.reducer(output=True)
    def one(rows: pd.DataFrame) -> int:
        return 1

    @wf.reducer(output=True)
    def two(rows: pd.DataFrame) -> int:
        return 2

    assert made(compile_workflow(wf))[1] == frozenset()


def parsing() -> Dag:
    wf = hx.Workflow("w")
    wf.source("texts", hx.text("a.txt"))

    @wf.scanner
    def cleaned(texts: DataFrame) -> DataFrame:
        return texts.where("value <> ''")

    @wf.scanner
    def parsed(cleaned: DataFrame) -> DataFrame:
        return cleaned.mapInPandas(lambda batches: batches, "value string")

    @wf.synthesizer
    def pairs(parsed: DataFrame) -> DataFrame:
        return parsed.crossJoin(parsed)

    @wf.reducer(output=True)
    def count(pairs: DataFrame) -> int:
        return pairs.count()

    return compile_workflow(wf)


def test_a_table_that_python_workers_make_for_the_first_time_is_pinned() -> None:
    dag = parsing()
    everything = frozenset(node.name for node in dag.nodes)
    plan: Any = FakePlan(dag, guessed=everything)
    assert pins(dag, plan, units(dag, plan)) == {"parsed"}


def test_once_its_cost_is_known_or_if_its_rows_serve_nobody_it_passes_through() -> None:
    dag = parsing()
    plans: list[Any] = [
        FakePlan(dag), FakePlan(dag, guessed=frozenset({"parsed"}), random=frozenset({"parsed"})),
        FakePlan(dag, {"parsed": State.LOAD}, guessed=frozenset({"parsed"})),
    ]
    assert [pins(dag, plan, units(dag, plan)) for plan in plans] == [frozenset()] * 3
