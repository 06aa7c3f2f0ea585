"""What a function of a workflow asks is answered as a script was answered that asked the same of the same data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyspark.sql.connect.proto as pb
import pytest
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.regression import LinearRegression, RandomForestRegressor
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType

from helix_spark.answers.function_calls import capture
from helix_spark.answers.questions import AnsweredQuestion, Question
from helix_spark.answers.script_terms import ScriptOrigin, ScriptTerms, origin_of_source
from helix_spark.catalog.catalog import Catalog
from helix_spark.plans.answer_gate import AnswerForm, text_of_answer
from helix_spark.plans.captured_function import CallInputs, CapturedFunction, NotCaptured
from helix_spark.plans.program_client import Caller
from helix_spark.run.recorded_answers import RecordedAnswers
from helix_spark.workflow.sources import FileSource
from tests.fakes.programs import Runs

SOURCE = FileSource("csv", ("rows.csv",), "a double, label double", (("header", "true"),))


def kept(rows: DataFrame) -> DataFrame:
    return rows.where(rows.a > 1)


def scored(kept: DataFrame) -> DataFrame:
    made = VectorAssembler(inputCols=["a"], outputCol="features").transform(kept)
    return LinearRegression(maxIter=3).fit(made).transform(made)


def with_error(scored: DataFrame) -> DataFrame:
    return scored.withColumn("error", F.lit(RegressionEvaluator().evaluate(scored)))


def script(spark: Any) -> Any:
    rows = spark.read.csv("rows.csv", schema="a double, label double", header=True)
    return RegressionEvaluator().evaluate(scored(kept(rows)))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    (tmp_path / "rows.csv").write_text("a,label\n1,2\n2,4\n3,7\n")
    monkeypatch.chdir(tmp_path)
    return Runs(tmp_path)


def called(runs: Runs, function: Callable[..., Any], origin: ScriptOrigin | None) -> CapturedFunction | NotCaptured:
    """What a function of one table builds in a plan, where a script's answers are on record."""
    origins = {} if origin is None else {0: origin}
    (name,) = function.__annotations__.keys() - {"return"}
    given = CallInputs({name: "table"}, {}, signatures={0: "of the node"})
    return capture(function, given, record=ScriptTerms(runs.record, "around", origins))


def origin_of(found: CapturedFunction | NotCaptured) -> ScriptOrigin:
    assert isinstance(found, CapturedFunction), found
    assert isinstance(found.origin, ScriptOrigin)
    return found.origin


def test_a_workflow_is_answered_as_a_script_was(runs: Runs) -> None:
    runs.run(script)
    table = origin_of(called(runs, kept, origin_of_source(SOURCE)))
    table = origin_of(called(runs, scored, table))
    assert isinstance(called(runs, with_error, table), CapturedFunction)


def test_paths_and_defaults_may_be_said_in_other_words(runs: Runs) -> None:
    runs.run(lambda spark: scored(spark.read.csv(
        str(runs.folder / "rows.csv"), schema="a double, label double", header=False,
    )))
    source = replace(SOURCE, options=())
    assert isinstance(called(runs, scored, origin_of_source(source)), CapturedFunction)


CHANGES: Mapping[str, FileSource] = {
    "another option": replace(SOURCE, options=(("header", "false"),)),
    "another schema": replace(SOURCE, schema="a double, label float"),
    "another file": replace(SOURCE, paths=("others.csv",)),
}


@pytest.mark.parametrize("source", [pytest.param(one, id=name) for name, one in CHANGES.items()])
def test_another_source_is_another_question(runs: Runs, source: FileSource) -> None:
    (runs.folder / "others.csv").write_text("a,label\n1,2\n2,4\n3,8\n")
    runs.run(script)
    table = origin_of(called(runs, kept, origin_of_source(source)))
    found = called(runs, scored, table)
    assert isinstance(found, NotCaptured)
    assert found.asks


def test_data_that_changed_is_asked_again(runs: Runs) -> None:
    runs.run(script)
    (runs.folder / "rows.csv").write_text("a,label\n1,2\n2,4\n3,8\n")
    found = called(runs, scored, origin_of(called(runs, kept, origin_of_source(SOURCE))))
    assert isinstance(found, NotCaptured)
    assert found.asks


def test_without_the_origin_of_its_table_nothing_is_known(runs: Runs) -> None:
    runs.run(script)
    found = called(runs, scored, None)
    assert isinstance(found, NotCaptured)
    assert found.asks


def test_what_draws_anew_or_calls_python_is_no_origin(runs: Runs) -> None:
    @F.udf(DoubleType())
    def doubled(a: float) -> float:
        return 2 * a

    def drawn(rows: DataFrame) -> DataFrame:
        return rows.where(F.rand() > 0.5)

    def computed(rows: DataFrame) -> DataFrame:
        return rows.withColumn("a", doubled("a"))

    for made in (drawn, computed):
        def asks(spark: Any, made: Any = made) -> Any:
            return scored(made(spark.read.csv("rows.csv", schema="a double, label double", header=True)))

        runs.run(asks)
        built = called(runs, made, origin_of_source(SOURCE))
        assert isinstance(built, CapturedFunction)
        found = called(runs, scored, built.origin)
        assert isinstance(found, NotCaptured)
        assert found.asks


def of_a_forest(rows: DataFrame) -> DataFrame:
    made = VectorAssembler(inputCols=["a"], outputCol="features").transform(rows)
    return RandomForestRegressor(seed=1).fit(made).transform(made)


def with_first_rows(rows: DataFrame) -> DataFrame:
    return rows.withColumn("n", F.lit(rows.groupBy("a").count().collect()[0][0]))


def with_a_setting(rows: DataFrame) -> DataFrame:
    return rows.withColumn("n", F.lit(rows.sparkSession.conf.get("spark.sql.shuffle.partitions")))


@pytest.mark.parametrize("made", [of_a_forest, with_first_rows, with_a_setting])
def test_what_other_partitions_change_is_asked_by_each(runs: Runs, made: Callable[..., Any]) -> None:
    runs.run(lambda spark: made(spark.read.csv("rows.csv", schema="a double, label double", header=True)))
    found = called(runs, made, origin_of_source(SOURCE))
    assert isinstance(found, NotCaptured)
    assert found.asks


def test_an_answer_that_an_audit_found_different_is_asked_again(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.run(script)
    monkeypatch.setattr(runs.record, "doubt", lambda identity: "an audit found another answer")
    found = called(runs, scored, origin_of(called(runs, kept, origin_of_source(SOURCE))))
    assert isinstance(found, NotCaptured)
    assert found.asks


def test_files_that_a_script_may_read_otherwise_have_no_origin() -> None:
    assert origin_of_source(replace(SOURCE, version="1")) is None
    assert origin_of_source(replace(SOURCE, paths=("rows[1].csv",))) is None


def test_a_question_with_two_identities_has_the_answer_and_the_doubts_of_both(tmp_path: Path) -> None:
    record = RecordedAnswers(Catalog.open(tmp_path / "catalog", create=True), "people")
    ours, scripts = "a" * 64, "b" * 64
    asked = Question(scripts, "setting", None)
    answer = text_of_answer(AnswerForm("config"), [pb.ConfigResponse()])
    record.append(1, [(scripts, AnsweredQuestion(asked, Caller(), 1.0, 0.0, fresh=True, answer=answer))])
    assert record.answer(ours) is None
    record = RecordedAnswers(record.catalog, "people")
    record.equate(ours, scripts)
    assert record.answer(ours) == answer
    record.append(0, doubts=[(scripts, "an audit found another answer")])
    record = RecordedAnswers(record.catalog, "people")
    record.equate(ours, scripts)
    assert record.answer(ours) is None
    assert record.doubt(ours) == "an audit found another answer"
