"""What is told of a plain program's run beside its own output: to an experiment tracker, and in a notebook."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pyspark.ml.evaluation import BinaryClassificationEvaluator, MulticlassClassificationEvaluator
from pyspark.ml.regression import LinearRegression
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.functions import udf

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.cli.automatic import run_notebook_verb
from helix_spark.cli.options import read_settings
from helix_spark.cli.programs import ScriptFile, end_program
from helix_spark.errors import ParameterError
from helix_spark.history.edit_message import edit_of
from helix_spark.history.iteration_lookup import find_iteration
from helix_spark.history.model_card import card_of
from helix_spark.plans import current_program
from helix_spark.plans.plan_messages import type_of
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_nodes import rows_of_program
from helix_spark.program.program_record import keep_answers
from helix_spark.run.recorded_answers import RecordedAnswers
from helix_spark.run.retention import OVERFLOWED
from helix_spark.tracking.entry import entry_of
from tests.fakes.connect_server import FakeServer, Regressing
from tests.fakes.tracker import Remembering

HERE = Path(__file__).name


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlainProgram]:
    """A program in the middle of its run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    (tmp_path / "train.py").write_text("import pyspark\n")
    catalog = Catalog.open(str(tmp_path / "catalog"), create=True)
    made = PlainProgram(Path("train.py"), ["rows.csv", "--depth", "3"], catalog, {}, print)
    made.server = FakeServer()  # type: ignore[assignment]  # what it is asked here
    made.record = RecordedAnswers(catalog, made.name)
    made.begin()
    try:
        yield made
    finally:
        made.session({}).stop()
        current_program.PROGRAMS.clear()


def test_a_builder_sets_its_options_in_the_session_that_there_is(program: PlainProgram) -> None:
    session = program.session({"mine": "a"})
    assert program.session({"mine": "b", "spark.sql.shuffle.partitions": 7, "spark.executor.memory": "9g"}) is session
    assert [session.conf.get(name) for name in ("mine", "spark.sql.shuffle.partitions")] == ["b", "7"]
    assert not program.server.started  # type: ignore[union-attr]  # a fake


def evaluated(spark: Any) -> Any:
    rows = spark.read.csv("rows.csv", header=True)
    rows.selectExpr("rand()").collect()
    return BinaryClassificationEvaluator().evaluate(rows)


def test_a_tracker_is_told_of_a_program_as_of_a_workflow(program: PlainProgram) -> None:
    value, tracker = evaluated(program.session({})), Remembering()
    program.message = "a message"
    end_program(program, None, quiet=True, tracker=tracker)
    (finished,) = tracker.seen
    entry = entry_of(finished, None, {})
    assert tracker.closed
    assert (entry["name"], entry["status"]) == ("train 1", "FINISHED")
    assert entry["tags"]["mlflow.note.content"] == "a message"
    assert entry["parameters"]["arguments"] == "rows.csv --depth 3"
    assert entry["parameters"]["depth"] == "3"
    assert [number for name, number in entry["metrics"].items() if name.endswith("areaUnderROC")] == [value]
    assert "areaUnderROC" in entry["texts"]["plan.txt"]


def test_metrics_of_a_script_are_called_by_their_names_and_answers_by_what_is_assigned(program: PlainProgram) -> None:
    rows = program.session({}).read.csv("rows.csv", header=True)
    sizes = {}
    sizes["all"] = rows.count()
    half, double = rows.limit(1).count(), rows.union(rows).count()
    BinaryClassificationEvaluator().evaluate(rows)
    for name in ("accuracy", "logLoss"):
        MulticlassClassificationEvaluator(metricName=name).evaluate(rows)
    rows.limit(7).collect()
    assert half != double
    assert {row.name for row in rows_of_program(program)} == {
        "sizes['all']", "half, double", "half, double #2", "areaUnderROC", "accuracy", "logLoss",
        "rows.limit(...).collect",
    }


def test_what_a_question_reads_is_on_record(program: PlainProgram, tmp_path: Path) -> None:
    session = program.session({})
    session.read.csv("rows.csv", header=True).createOrReplaceTempView("shown")
    jdbc = session.read.format("jdbc").load()
    tables = [session.table(name) for name in ("shown", "csv.`rows.csv`", "people")]
    for rows in (*tables, jdbc, session.range(3)):
        rows.count()
    end_program(program, None, quiet=True)
    file = str(tmp_path / "rows.csv")
    nodes = program.catalog.nodes(find_iteration(program.catalog, "train", 1))
    assert [set(node.reads or ()) - {"shown"} for node in nodes] == [{file}, {file}, {"people"}, {""}, set()]


def test_what_a_fit_gave_is_on_record(program: PlainProgram) -> None:
    program.server = Regressing()  # type: ignore[assignment]  # what it is asked here
    rows = program.session({}).read.csv("rows.csv", header=True)
    LinearRegression(maxIter=2).fit(rows)
    assert program.answerer is not None
    keep_answers(program, program.answerer.answers)
    (running,) = program.catalog.iterations("train")
    assert running.status == "running", "records would seem to be lost"
    asked = len(program.server.asked)
    end_program(program, None, quiet=True)
    assert len(program.server.asked) == asked, "what is on record was asked once more"
    iteration = find_iteration(program.catalog, "train", 1)
    (fit,) = (node for node in program.catalog.nodes(iteration) if node.kind == "learner")
    card = card_of(fit.signature, program.catalog)
    assert card is not None
    assert (card.kind, card.weights, card.history) == (
        "LinearRegressionModel", (("b", (-3.0,)), ("a", (0.5,))), (0.5, 0.25, 0.125),
    )
    assert ("maxIter", "2", True) in card.parameters
    assert dict(card.figures) == {"intercept": 1.0, "scale": 1.0, "steps": 2.0}
    # What is named anew in each run goes on as if nobody had looked.
    assert LinearRegression().uid == f"LinearRegression_{sha256(b'LinearRegression 2').hexdigest()[:12]}"


@pytest.mark.parametrize(("policy", "budget", "writes"), [("never", None, 0), ("always", None, 1), ("always", 0, 0)])
def test_the_policy_and_the_budget_decide_whether_models_are_stored(
    policy: str, budget: int | None, writes: int, program: PlainProgram
) -> None:
    program.budget = budget
    program.server, program.policy = Regressing(), policy  # type: ignore[assignment]  # what it is asked here
    LinearRegression(maxIter=2).fit(program.session({}).read.csv("rows.csv", header=True))
    end_program(program, None, quiet=True)
    assert isinstance(program.server, FakeServer)
    kinds = [one.ml_command.WhichOneof("command") for one in program.server.asked if type_of(one) == "Command"]
    assert kinds.count("write") == writes


def test_what_a_scripts_records_took_of_the_budget_is_evicted_at_its_end(program: PlainProgram) -> None:
    attempt = program.catalog.begin_attempt("a" * 64, "table")
    assert attempt.path is not None
    attempt.path.mkdir(parents=True)
    (attempt.path / "part").write_bytes(b"0" * 60_000)
    program.catalog.publish(ArtifactRecord(
        "a" * 64, attempt.attempt, "table", "published", "other", "rows", 1, 0.0, bytes=60_000, recompute_seconds=9.0,
    ))
    program.budget = program.catalog.bytes_used() + 100
    evaluated(program.session({}))
    end_program(program, None, quiet=True)
    assert program.catalog.live() == ()
    last = program.catalog.last_event("a" * 64)
    assert last is not None
    assert (last.event, last.why) == ("evicted", OVERFLOWED)


def test_what_an_edit_was_is_said_of_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    (tmp_path / "train.py").write_text("import pyspark\n")
    catalog = Catalog.open(str(tmp_path / "catalog"), create=True)

    def ran(steps: int, more: int) -> str:
        made = PlainProgram(Path("train.py"), [], catalog, {}, print)
        made.server = Regressing()  # type: ignore[assignment]  # what it is asked here
        made.record = RecordedAnswers(catalog, made.name)
        made.begin()
        try:
            rows = made.session({}).read.csv("rows.csv", header=True)
            model = LinearRegression(maxIter=steps).fit(rows)
            rows.select(udf(lambda value: value + more)("a")).collect()
            model.transform(rows).collect()
            end_program(made, None, quiet=True)
        finally:
            made.session({}).stop()
            current_program.PROGRAMS.clear()
        return edit_of(catalog.iterations("train", 1)[0]).rpartition(":")[0]

    assert ran(2, 1) == ""
    assert ran(3, 1) == f"parameter `maxIter` 2 -> 3 of `model`, {HERE}"
    assert ran(3, 2) == f"code of `rows.select(...).collect`, {HERE}"
    assert ran(3, 2) == ""


def test_a_notebook_is_told_what_a_new_kernel_would_ask_again(program: PlainProgram) -> None:
    evaluated(program.session({}))
    said: list[str] = []
    verb = partial(run_notebook_verb, program, say=said.append, location=lambda file, line: f"In[1]:{line}")
    verb("plan")
    assert said[0] == "train: run again in a new kernel, 1 of 2 answers of the cells so far are recorded"
    assert "sent again: In[1]:" in said[1]
    said.clear()
    verb("explain rows.selectExpr(...).collect")
    assert any("a new run sends it to Spark again: uses rand" in line for line in said)
    assert any("source: " in line and "rows.csv" in line for line in said)
    with pytest.raises(ParameterError, match="has no question"):
        verb("explain rows.count")


def test_one_answer_of_a_program_is_explained_by_its_name_or_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "rows.csv").write_text("a\n1\n")
    (tmp_path / "train.py").write_text(
        "from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\n"
        "rows = spark.read.csv('rows.csv')\nrows.count()\n"
    )
    try:
        for name in ("rows.count", "train.py:4 rows.count"):
            place = read_settings(tmp_path, catalog=str(tmp_path / "catalog"))
            ScriptFile(Path("train.py"), []).explain(name, place, as_json=False)
            assert "train.py:4 rows.count\n  sent to Spark: it was not asked before\n" in capsys.readouterr().out
    finally:
        if (session := SparkSession.getActiveSession()) is not None:
            session.stop()
        current_program.PROGRAMS.clear()


def test_a_server_is_told_what_a_second_session_is_given(program: PlainProgram) -> None:
    assert isinstance(program.server, FakeServer)
    program.session({}).stop()
    spark = program.session({"spark.sql.shuffle.partitions": "3"})
    assert spark.conf.get("spark.sql.shuffle.partitions") == "3"
    spark.read.csv("rows.csv", header=True).count()
    told = [
        {pair.key: pair.value for pair in one.set.pairs} for one in program.server.asked
        if type(one).__name__ == "Operation"
    ]
    assert any(one.get("spark.sql.shuffle.partitions") == "3" for one in told)
