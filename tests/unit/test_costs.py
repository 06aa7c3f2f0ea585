"""What nodes are expected to cost: measured, else as their previous version, else as others of their kind."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import DataFrame

import helix_spark as hx
from helix_spark.catalog.records import ResultRecord
from helix_spark.costs.model import (
    LOAD,
    WRITE,
    Costs,
    EstimateSource,
    Throughput,
    artifact_kind,
    calibrate,
    estimate,
)
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.node import Dag


def dag() -> Dag:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.csv("a.csv", schema="a double, b string"))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data

    b = wf.extractor("b", hx.OneHot("b"), on=rows)
    examples = wf.synthesizer("examples", rows, features=[b], label="a")
    wf.learner("model", "pyspark.ml.classification.LogisticRegression", on=examples, output=True)

    @wf.reducer(output=True)
    def count(rows: pd.DataFrame) -> int:
        return len(rows)

    wf.output(data)
    return compile_workflow(wf)


def estimated(
    measured: dict[str, ResultRecord] | None = None, previous: dict[str, ResultRecord] | None = None,
    sizes: dict[str, int] | None = None, source_bytes: int = 90_000_000,
) -> dict[str, Costs]:
    names = {node.name: f"signature of {node.name}" for node in dag().nodes}
    return estimate(dag(), names, measured or {}, previous or {}, sizes or {}, {"data": source_bytes})


def measurement(**figures: float) -> ResultRecord:
    return ResultRecord("", "", "w", "rows", "scanner", 1, **figures)


def test_every_node_is_estimated_from_the_first_run_on() -> None:
    costs = estimated()
    assert set(costs) == {"data", "rows", "b.fit", "b", "examples", "model", "count"}
    assert all(cost.compute_seconds > 0 and cost.origin is EstimateSource.KIND for cost in costs.values())


def test_rows_that_go_to_python_are_expected_to_take_longer() -> None:
    wf = hx.Workflow("w")
    wf.source("data", hx.csv("a.csv", schema="a double"))

    @wf.scanner
    def narrow(data: DataFrame) -> DataFrame:
        return data.select("a")

    @wf.scanner
    def parsed(data: DataFrame) -> DataFrame:
        def send(rows: DataFrame) -> DataFrame:
            return rows.mapInPandas(lambda batches: batches, "a double")

        return send(data)

    wf.output(narrow, parsed)
    compiled = compile_workflow(wf)
    costs = estimate(compiled, {name: name for name in compiled.by_name}, {}, {}, {}, {"data": 10_000_000})
    assert costs["parsed"].compute_seconds > 10 * costs["narrow"].compute_seconds


def test_more_data_is_expected_to_take_longer() -> None:
    little, much = estimated(source_bytes=1_000_000), estimated(source_bytes=1_000_000_000)
    assert all(little[name].compute_seconds < much[name].compute_seconds for name in ("data", "rows", "b.fit", "model"))
    assert little["rows"].bytes < much["rows"].bytes


def test_a_measurement_of_the_very_result_is_believed_first_then_one_of_its_previous_version() -> None:
    before, sizes = {"rows": measurement(compute_seconds=7.0, load_seconds=3.0)}, {"rows": 500}
    cost = estimated(previous=before, sizes=sizes)["rows"]
    assert (cost.compute_seconds, cost.origin) == (7.0, EstimateSource.PREVIOUS)
    assert (cost.bytes, cost.bytes_known) == (500, True)
    own = {"signature of rows": measurement(compute_seconds=9.0)}
    cost = estimated(own, before, sizes)["rows"]
    assert (cost.compute_seconds, cost.origin) == (9.0, EstimateSource.MEASURED)
    assert cost.bytes == 500.0


def test_loading_is_measured_or_follows_from_the_bytes() -> None:
    cost = estimated(sizes={"rows": 300_000_000})["rows"]
    assert cost.load_seconds == pytest.approx(LOAD["table"].seconds(300_000_000))
    assert cost.write_seconds == pytest.approx(WRITE["table"].seconds(300_000_000))
    known = measurement(load_seconds=4.0, bytes=300_000_000)
    measured = estimated({"signature of rows": known})["rows"]
    assert measured.load_seconds == 4.0


@pytest.mark.parametrize(("seconds", "believed"), [(0.01, 0.01), (1.0, 1.0), (3600.0, 4.0)])
def test_a_load_that_took_long_for_once_is_not_believed_for_ever(seconds: float, believed: float) -> None:
    of_rows = {"signature of rows": measurement(load_seconds=seconds, bytes=100_000_000)}
    names = {node.name: f"signature of {node.name}" for node in dag().nodes}
    usual = {**LOAD, "table": Throughput(0.5, 0.5 / 100_000_000)}
    assert estimate(dag(), names, of_rows, {}, {}, {}, load=usual)["rows"].load_seconds == pytest.approx(believed)


def test_values_cost_nothing_to_keep() -> None:
    cost = estimated()["count"]
    assert (cost.load_seconds, cost.write_seconds, cost.bytes) == (0.0, 0.0, 0.0)


def test_a_size_learned_upstream_is_used_downstream() -> None:
    small = estimated(sizes={"rows": 1_000})
    large = estimated(sizes={"rows": 1_000_000_000})
    assert small["b.fit"].compute_seconds < large["b.fit"].compute_seconds
    assert small["examples"].bytes < large["examples"].bytes


def test_kinds_of_artifacts() -> None:
    kinds = {node.name: artifact_kind(node) for node in dag().nodes}
    assert kinds["rows"] == "table"
    assert kinds["model"] == "model"
    assert kinds["count"] == kinds["b.fit"] == "value"


# Calibration

PRIOR = Throughput(0.5, 1e-8)
SAMPLES = st.lists(st.tuples(st.integers(0, 10**9), st.floats(0, 100)), max_size=20)


@given(SAMPLES)
def test_a_calibrated_throughput_is_never_negative(samples: list[tuple[int, float]]) -> None:
    fitted = calibrate(samples, PRIOR)
    assert fitted.fixed >= 0
    assert fitted.per_byte >= 0


@given(st.floats(0, 5), st.floats(0, 1e-6))
def test_many_samples_outweigh_the_prior(fixed: float, per_byte: float) -> None:
    truth = Throughput(fixed, per_byte)
    sizes = (1_000_000, 100_000_000)
    fitted = calibrate([(size, truth.seconds(size)) for size in range(0, 100_000_001, 1_000_000)], PRIOR)
    apart = max(abs(PRIOR.seconds(size) - truth.seconds(size)) for size in sizes)
    assert all(abs(fitted.seconds(size) - truth.seconds(size)) <= 0.2 * apart + 1e-9 for size in sizes)


def test_one_odd_sample_does_not_tilt_it() -> None:
    fitted = calibrate([(100, 60.0)], PRIOR)
    assert fitted.per_byte <= PRIOR.per_byte
    assert PRIOR.fixed < fitted.fixed < 30
