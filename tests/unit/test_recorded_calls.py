"""What functions of Spark's tables built is recorded, and found again by their compiled identity: then none is called.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.answers.capture_nodes import capture_nodes, check_columns_exist
from helix_spark.answers.recorded_calls import builds_text, calls_key, recorded_calls
from helix_spark.catalog.records import AnswerRecord
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.node import Dag
from helix_spark.errors import ColumnNotFoundError
from helix_spark.identity.code import Description
from helix_spark.identity.signing import describe, resolve
from helix_spark.workflow.operators import Function

SETTINGS = {"spark.sql.session.timeZone": "UTC"}


def graph(people: Path, least: int = 18, scan: Callable[[DataFrame], DataFrame] | None = None) -> Dag:
    wf = hx.Workflow("people")
    wf.source("data", hx.csv(str(people), schema="age double, name string"))

    def grown(data: DataFrame) -> DataFrame:
        return data.where(data.age >= least).withColumn("half", data.age / 2)

    wf.scanner(name="rows")(scan or grown)

    @wf.extractor
    def double(rows: DataFrame) -> Column:
        return rows["age"] * 2

    @wf.scanner
    def shouted(rows: DataFrame) -> DataFrame:
        return rows.withColumn("loud", F.udf(str.upper)("name"))

    @wf.scanner
    def rest(rows: DataFrame) -> DataFrame:
        return rows.limit(rows.count())

    examples = wf.synthesizer("examples", "rows", features=[double])
    wf.output(examples)
    wf.output("shouted")
    wf.output("rest")
    return compile_workflow(wf)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text("3,a\n30,b\n")
    return path


def record_of(dag: Dag) -> AnswerRecord:
    text = builds_text(capture_nodes(dag, SETTINGS), SETTINGS)
    assert text
    return AnswerRecord("0" * 64, dag.workflow, 1, time.time(), builds=text)


def signed(dag: Dag) -> dict[str, str]:
    found = resolve(dag, describe(dag, SETTINGS), run="run", equivalent={}, known_random={})
    return {name: own.signature for name, own in found.items()}


def without_states(dag: Dag) -> dict[str, Description]:
    """Describe nodes without the states of files: what others do in a folder above shows in those."""
    return {name: replace(one, reads=()) for name, one in describe(dag, SETTINGS).items()}


def reasons(dag: Dag) -> list[str]:
    return [one.operator.by_code for one in dag.nodes if isinstance(one.operator, Function)]


def test_a_recorded_graph_has_the_same_signatures_and_columns(people: Path) -> None:
    dag = graph(people)
    called, recorded = capture_nodes(dag, SETTINGS).dag, recorded_calls(dag, SETTINGS, record_of(dag))
    assert recorded is not None
    assert signed(recorded) == signed(called)
    assert without_states(recorded) == without_states(called)
    assert reasons(recorded) == reasons(called)
    assert "asks Spark for rows" in reasons(called)


def test_columns_that_a_record_knows_are_checked(people: Path) -> None:
    wf = hx.Workflow("people")
    wf.source("data", hx.csv(str(people), schema="age double, name string"))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data.select("name")

    age = wf.extractor("age", hx.Fields("age"), on="rows")
    wf.output(wf.synthesizer("examples", "rows", features=[age]))
    dag = compile_workflow(wf)
    recorded = recorded_calls(dag, SETTINGS, record_of(dag))
    assert recorded is not None
    with pytest.raises(ColumnNotFoundError, match="'age'"):
        check_columns_exist(recorded.nodes, recorded, SETTINGS)


def key(dag: Dag, **settings: str) -> str:
    return calls_key(dag, SETTINGS | settings)


def test_what_functions_reach_is_their_key(people: Path) -> None:
    assert key(graph(people)) == key(graph(people))
    assert key(graph(people, least=19)) != key(graph(people))
    assert key(graph(people), **{"spark.sql.ansi.enabled": "false"}) != key(graph(people))


def test_columns_that_a_source_declares_are_part_of_the_key(people: Path) -> None:
    wf = hx.Workflow("people")
    wf.source("data", hx.csv(str(people), schema="age double, nom string"))

    @wf.scanner(output=True)
    def rows(data: DataFrame) -> DataFrame:
        return data.select(*data.columns)

    before = compile_workflow(wf)
    source: Any = before["data"].operator
    other = replace(source, source=replace(source.source, schema="age double, name string"))
    after = replace(before, nodes=(replace(before["data"], operator=other), before["rows"]))
    assert key(before) != key(after)


def test_a_function_that_draws_anew_in_each_run_has_no_key(people: Path) -> None:
    wf = hx.Workflow("people")
    wf.source("data", hx.csv(str(people), schema="age double"))

    @wf.scanner(output=True, fresh=True)
    def rows(data: DataFrame) -> DataFrame:
        return data.sample(0.5)

    assert key(compile_workflow(wf)) == ""


def test_a_file_that_a_function_reads_counts_by_its_content(people: Path, tmp_path: Path) -> None:
    limit = tmp_path / "limit.txt"
    limit.write_text("20")

    def scan(data: DataFrame) -> DataFrame:
        return data.where(data.age > int(limit.read_text()))

    dag = graph(people, scan=scan)
    record = record_of(dag)
    assert recorded_calls(dag, SETTINGS, record) is not None
    limit.write_text("40")
    assert recorded_calls(dag, SETTINGS, record) is None


def test_a_variable_that_a_function_reads_counts_by_its_value(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    def scan(data: DataFrame) -> DataFrame:
        return data.where(data.age > int(os.environ.get("LEAST_AGE", "3")))

    dag = graph(people, scan=scan)
    record = record_of(dag)
    assert recorded_calls(dag, SETTINGS, record) is not None
    monkeypatch.setenv("LEAST_AGE", "40")
    assert recorded_calls(dag, SETTINGS, record) is None


def test_a_function_that_asks_the_clock_is_not_recorded(people: Path) -> None:
    def scan(data: DataFrame) -> DataFrame:
        return data.where(data.age > time.time() % 100)

    assert builds_text(capture_nodes(graph(people, scan=scan), SETTINGS), SETTINGS) == ""


def test_a_record_of_other_functions_is_not_taken(people: Path) -> None:
    dag = graph(people)
    record = record_of(dag)
    assert recorded_calls(dag, SETTINGS, replace(record, builds=record.builds.replace('"rows"', '"rwos"'))) is None
    assert recorded_calls(dag, SETTINGS, replace(record, builds="")) is None
    assert recorded_calls(dag, SETTINGS, None) is None
