"""Bad input: a typed error that says what, where, what exists and what to do, before anything runs or is written."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import BinaryClassificationEvaluator, ClusteringEvaluator
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.errors import (
    CatalogError,
    ColumnNotFoundError,
    HelixError,
    NodeError,
    OperatorError,
    ParameterError,
    ResultTypeError,
    SetupError,
    SignatureError,
    SourceError,
    WorkflowError,
)
from helix_spark.run import workflow_results
from tests.fakes.observer import Warned

pytestmark = pytest.mark.spark
TABLE = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": ["x", "y", "x"]})
HERE = Path(__file__).name


def line_of(mark: str) -> str:
    """``file:line`` of the line of this file that ends with a mark."""
    lines = Path(__file__).read_text().splitlines()
    return f"{HERE}:{1 + next(i for i, line in enumerate(lines) if line.endswith('# ' + mark))}"


def with_table() -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(TABLE))
    return wf


def run(spark: SparkSession, catalog: Path, workflow: hx.Workflow, **options: Any) -> Any:
    with hx.Helix(catalog, spark=spark, policy="always", **options) as helix:
        return helix.run(workflow)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


# Found before anything runs: nothing is written


def cycle() -> hx.Workflow:
    wf = hx.Workflow("w")

    @wf.scanner  # in a circle
    def one(two: DataFrame) -> DataFrame:
        return two

    @wf.scanner(output=True)
    def two(one: DataFrame) -> DataFrame:
        return one

    return wf


def unknown() -> hx.Workflow:
    wf = with_table()

    @wf.reducer(output=True)  # unknown
    def count(dat: pd.DataFrame) -> int:
        return len(dat)

    return wf


def duplicate() -> hx.Workflow:
    wf = with_table()
    wf.source("data", hx.table(TABLE))  # duplicate
    return wf


def no_output() -> hx.Workflow:
    wf = hx.Workflow("w")  # no output
    wf.source("data", hx.table(TABLE))
    return wf


def unhashable() -> hx.Workflow:
    wf, waiting = with_table(), {"first": queue.SimpleQueue[int]()}

    @wf.reducer(output=True)  # unhashable
    def count(data: pd.DataFrame) -> int:
        return len(data) + len(waiting)

    return wf


def missing_source() -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.csv("/nowhere/adult.data"), output=True)  # missing source
    return wf


def missing_table() -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.delta("/nowhere/table"), output=True)  # missing table
    return wf


def not_a_node() -> hx.Workflow:
    wf = with_table()
    wf.learner("model", LogisticRegression, on="data frame")  # not a node
    wf.output("model")
    return wf


@pytest.mark.parametrize(
    ("build", "kind", "words", "mark"),
    [
        (cycle, WorkflowError, ["in a cycle: ", "one -> two", "make one of them read another node"], "in a circle"),
        (unknown, WorkflowError, ["'count' reads 'dat'", "did you mean 'data'?"], "unknown"),
        (duplicate, WorkflowError, ["two nodes are named 'data'", "the first is at", "rename one"], "duplicate"),
        (no_output, WorkflowError, ["has no outputs", "output=True"], "no output"),
        (unhashable, SignatureError, ["node 'count'", "`waiting['first']`", "inside the function"], "unhashable"),
        (missing_source, SourceError, ["/nowhere/adult.data", "does not exist", "check the path"], "missing source"),
        (missing_table, SourceError, ["no Delta table at '/nowhere/table'", "check the path"], "missing table"),
        (not_a_node, WorkflowError, ["'data frame'", "there are: data, model"], "not a node"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.parametrize("verb", ["plan", "run"])
def test_found_before_anything_runs(
    spark: SparkSession, catalog: Path, verb: str, build: Callable[[], hx.Workflow], kind: type[HelixError],
    words: list[str], mark: str,
) -> None:
    with hx.Helix(catalog, spark=spark) as helix, pytest.raises(HelixError) as caught:
        getattr(helix, verb)(build())
    assert type(caught.value) is kind
    for text in (*words, line_of(mark)):
        assert text in str(caught.value)
    assert not catalog.exists()


def test_an_empty_source(spark: SparkSession, catalog: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    wf = hx.Workflow("w")
    wf.source("data", hx.csv(tmp_path / "empty.csv", schema="a int"), output=True)  # empty source
    with pytest.raises(SourceError, match="there is no data in it") as caught:
        run(spark, catalog, wf)
    assert line_of("empty source") in str(caught.value)
    assert not catalog.exists()


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"budget": "plenty"}, ParameterError, "'plenty' is no size"),
        ({"policy": "alway"}, ParameterError, "did you mean 'always'?"),
    ],
)
def test_wrong_options(catalog: Path, options: dict[str, str], kind: type[HelixError], words: str) -> None:
    with pytest.raises(kind) as caught:
        hx.Helix(catalog, **options)  # type: ignore[arg-type]  # wrong on purpose
    assert words in str(caught.value)
    assert not catalog.exists()


# The place


def test_a_folder_that_is_no_catalog(catalog: Path) -> None:
    catalog.mkdir()
    (catalog / "notes.txt").write_text("mine")
    with pytest.raises(CatalogError) as caught:
        hx.Helix(catalog)
    for words in ("is not a catalog", "it holds: notes.txt", "name a new or empty folder"):
        assert words in str(caught.value)
    assert [path.name for path in catalog.iterdir()] == ["notes.txt"]


def test_a_catalog_of_a_newer_version(catalog: Path) -> None:
    catalog.mkdir()
    (catalog / "helix.json").write_text('{"layout": 99, "created_by": "helix_spark 9.0"}')
    with pytest.raises(CatalogError) as caught:
        hx.Helix(catalog)
    for words in ("has layout 99", "helix_spark 9.0", "upgrade helix_spark"):
        assert words in str(caught.value)


def test_a_catalog_that_cannot_be_written(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog.mkdir()
    monkeypatch.setattr("os.access", lambda *args, **kwargs: False)  # whoever tests as root may write everywhere
    wf = divided(1)
    with hx.Helix(catalog) as helix:
        assert helix.plan(wf).nodes  # writes nothing
        with pytest.raises(CatalogError) as caught:
            helix.run(wf)
    assert not list(catalog.iterdir())
    assert "no permission to write" in str(caught.value)
    assert "name another folder" in str(caught.value)


def test_no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    from helix_spark.engine.spark.java import find_java

    with pytest.raises(SetupError, match="Spark needs Java, and there is none") as caught:
        find_java({"PATH": ""})
    assert "JAVA_HOME" in str(caught.value)


# Found while it runs


def reduced(function: Callable[..., Any], family: str = "reducer", **options: Any) -> hx.Workflow:
    wf = with_table()
    node = getattr(wf, family)(name="node", **options)(function)
    wf.output(node)
    return wf


def failure(spark: SparkSession, catalog: Path, workflow: hx.Workflow, kind: type[HelixError]) -> str:
    with pytest.raises(HelixError) as caught:
        run(spark, catalog, workflow)
    assert type(caught.value) is kind, caught.value
    return str(caught.value)


def returns_a_set(data: pd.DataFrame) -> Any:  # returns a set
    return {1, 2}


def returns_nothing(data: pd.DataFrame) -> DataFrame:  # type: ignore[return]  # returns nothing
    data.mean(numeric_only=True)


def returns_a_table(data: pd.DataFrame) -> Any:  # returns a table
    return data


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (returns_a_set, ["builtins.set", "not a plain value", "return numbers, text"]),
        (returns_nothing, ["'node' must return a table", "did you forget `return`?"]),
        (returns_a_table, ["DataFrame", "annotate the table that it returns"]),
    ],
)
def test_a_function_that_returns_the_wrong_thing(
    spark: SparkSession, catalog: Path, function: Callable[..., Any], words: list[str]
) -> None:
    text = failure(spark, catalog, reduced(function), ResultTypeError)
    for word in (*words, line_of(function.__name__.replace("_", " "))):
        assert word in text


def test_an_extractor_that_returns_no_column(spark: SparkSession, catalog: Path) -> None:
    wf = with_table()

    @wf.extractor
    def length(data: DataFrame) -> Column:
        return 3  # type: ignore[return-value]  # wrong on purpose

    wf.synthesizer("examples", hx.NodeRef(wf, "data"), features=[length], output=True)
    assert "extractor 'length' must return a Column; it returned a int" in failure(spark, catalog, wf, ResultTypeError)


def test_a_learner_that_returns_an_unfitted_estimator(spark: SparkSession, catalog: Path) -> None:
    def node(data: DataFrame) -> LogisticRegression:
        return LogisticRegression()

    text = failure(spark, catalog, reduced(node, "learner"), ResultTypeError)
    assert "must return a fitted Spark ML model; it returned a pyspark.LogisticRegression" in text


def by_name(data: DataFrame) -> DataFrame:
    return data.select("aa")  # by name


def by_attribute(data: DataFrame) -> DataFrame:
    return data.select(data.aa)  # by attribute


def by_function(data: DataFrame) -> DataFrame:
    return data.where(F.col("aa") > 1)  # by function


@pytest.mark.parametrize("function", [by_name, by_attribute, by_function])
def test_a_column_that_does_not_exist_in_a_function(
    spark: SparkSession, catalog: Path, function: Callable[..., Any]
) -> None:
    text = failure(spark, catalog, reduced(function, "scanner"), ColumnNotFoundError)
    for word in ("scanner 'node'", "'aa'", line_of(function.__name__.replace("_", " "))):
        assert word in text


@pytest.mark.parametrize("what", [hx.Fields("aa"), hx.OneHot("aa"), hx.Bucketizer("aa", bins=2)], ids=str)
def test_a_column_that_does_not_exist_in_an_extractor(spark: SparkSession, catalog: Path, what: Any) -> None:
    wf = with_table()
    column = wf.extractor("column", what, on=hx.NodeRef(wf, "data"))  # extractor
    wf.synthesizer("examples", hx.NodeRef(wf, "data"), features=[column], output=True)
    text = failure(spark, catalog, wf, ColumnNotFoundError)
    for word in ("'aa'", "'data' does not have", "there are: a, b", line_of("extractor")):
        assert word in text


def test_a_parameter_that_a_learner_does_not_take() -> None:
    wf = with_table()
    with pytest.raises(OperatorError) as caught:
        wf.learner("model", LogisticRegression, on="data", regPraam=1.0)  # parameter
    assert "takes no parameter 'regPraam'" in str(caught.value)
    assert line_of("parameter") in str(caught.value)


def test_a_parameter_that_the_class_of_a_path_does_not_take(spark: SparkSession, catalog: Path) -> None:
    wf = with_table()
    path = "pyspark.ml.classification.LogisticRegression"
    wf.learner("model", path, on="data", regPraam=1.0, output=True)  # of a path
    text = failure(spark, catalog, wf, OperatorError)
    for words in ("takes no parameter 'regPraam'", "did you mean 'regParam'?", line_of("of a path")):
        assert words in text


# Which rows: a column `split` that a table has is its split


NUMBERS = pd.DataFrame({"a": [float(n) for n in range(60)], "b": [float(n % 2) for n in range(60)]})


def passed_on(condition: str = "true", rows: Any = None, scored: Any = None) -> hx.Workflow:
    """Examples that a function passes on with their column `split`, a model of them, and predictions."""
    wf = hx.Workflow("w")
    wf.source("data", hx.table(NUMBERS))
    a = wf.extractor("a_of", hx.Fields("a"), on="data")
    wf.synthesizer("examples", hx.NodeRef(wf, "data"), features=[a], label="b", split=hx.HashSplit(test=0.4))

    @wf.synthesizer
    def passed(examples: DataFrame) -> DataFrame:
        return examples.where(condition)

    wf.learner("model", LogisticRegression, on=passed, rows=rows, maxIter=1)
    wf.output(wf.predict("predictions", "model", passed, rows=scored))
    return wf


def test_a_split_that_is_passed_on_divides_rows(spark: SparkSession, catalog: Path) -> None:
    with hx.Helix(catalog, spark=spark, policy="never") as helix:
        scored = helix.run(passed_on()).table("predictions")
        assert {row.split for row in scored.collect()} == {"test"}


@pytest.mark.long
def test_rows_of_one_side_and_rows_that_are_named_are_taken(spark: SparkSession, catalog: Path) -> None:
    with hx.Helix(catalog, spark=spark, policy="never") as helix:
        scored = helix.run(passed_on(rows="train", scored="test")).table("predictions")
        assert {row.split for row in scored.collect()} == {"test"}
        everything = helix.run(passed_on(rows="all", scored="all")).table("predictions")
        assert everything.count() == len(NUMBERS)
        one_side = helix.run(passed_on("split = 'train'")).table("predictions")
        assert {row.split for row in one_side.collect()} == {"train"}


# Sources: what is wrong with one is not blamed on who reads it


def read_by_a_function(source: Any) -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", source)  # a source

    @wf.reducer(output=True)
    def count(data: DataFrame) -> int:
        return data.count()

    return wf


def forgets(spark: SparkSession) -> Any:
    spark.range(3)


def fails(spark: SparkSession) -> Any:
    return spark.range(3).select("nowhere.to.be")  # in the reader


def test_a_reader_that_forgets_to_return(spark: SparkSession, catalog: Path) -> None:
    text = failure(spark, catalog, read_by_a_function(hx.reader(forgets, version="1")), ResultTypeError)
    for words in ("source 'data'", "did you forget `return`?", line_of("a source")):
        assert words in text


def test_a_schema_that_is_none(spark: SparkSession, catalog: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1\n")
    source = hx.csv(tmp_path / "a.csv", schema="a dubble")
    text = failure(spark, catalog, read_by_a_function(source), NodeError)
    assert "source 'data' failed" in text
    assert "dubble" in text.lower()
    assert line_of("a source") in text


def test_a_reader_that_fails(spark: SparkSession, catalog: Path) -> None:
    text = failure(spark, catalog, read_by_a_function(hx.reader(fails, version="1")), ColumnNotFoundError)
    for words in ("source 'data'", line_of("in the reader")):
        assert words in text


# Predictions go without two columns


def evaluated(evaluate: Callable[[DataFrame], float]) -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(NUMBERS))
    a = wf.extractor("a_of", hx.Fields("a"), on="data")
    examples = wf.synthesizer("examples", hx.NodeRef(wf, "data"), features=[a], label="b")
    wf.learner("model", LogisticRegression, on=examples, maxIter=1)
    wf.predict("predictions", "model", examples)

    def score(predictions: DataFrame) -> float:
        return evaluate(predictions)

    wf.reducer(output=True)(score)
    return wf


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog for all of them, as their model is one."""
    return tmp_path_factory.mktemp("fitted")


@pytest.mark.parametrize(
    ("evaluate", "column", "kind"),
    [
        (lambda table: BinaryClassificationEvaluator().evaluate(table), "rawPrediction", ColumnNotFoundError),
        (lambda table: ClusteringEvaluator().evaluate(table), "features", ColumnNotFoundError),
        (lambda table: table.select("rawPrediction").count(), "rawPrediction", ColumnNotFoundError),
        (lambda table: table.select("label").toPandas()["features"].sum(), "features", NodeError),
    ],
    ids=["binary", "clustering", "selected", "pandas"],
)
def test_a_column_that_predictions_go_without(
    spark: SparkSession, fitted: Path, evaluate: Callable[[DataFrame], float], column: str, kind: type[HelixError]
) -> None:
    text = failure(spark, fitted, evaluated(evaluate), kind)
    assert f'wf.predict(..., keep_columns=("{column}",))' in text


# The author's functions


def divide(number: int) -> float:
    return 1 / (number - number)  # innermost


def test_an_error_in_a_function_names_the_node_and_the_authors_lines_first(spark: SparkSession, catalog: Path) -> None:
    def node(data: pd.DataFrame) -> float:
        return divide(len(data))  # outermost

    text = failure(spark, catalog, reduced(node), NodeError)
    assert "reducer 'node' failed: ZeroDivisionError" in text
    assert text.index(line_of("innermost")) < text.index(line_of("outermost"))


def test_an_error_inside_sparks_python_workers_names_the_node_and_the_authors_line(
    spark: SparkSession, catalog: Path
) -> None:
    def node(data: DataFrame) -> DataFrame:
        @F.udf("double")
        def broken(number: float) -> float:
            return {}[number]  # inside a worker

        return data.withColumn("c", broken("a"))

    text = failure(spark, catalog, reduced(node, "scanner"), NodeError)
    for words in ("'node' failed", "KeyError", line_of("inside a worker")):
        assert words in text
    assert "JVM" not in text
    assert "py4j" not in text


def divided(divisor: int) -> hx.Workflow:
    """A table that can be had, and a total of it that cannot where the divisor is 0."""
    wf = with_table()

    @wf.scanner
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return data.assign(a=data.a * 2)

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> int:
        return int(rows.a.sum()) // divisor

    return wf


def test_what_was_computed_before_a_failure_is_kept(spark: SparkSession, catalog: Path) -> None:
    with pytest.raises(NodeError) as caught:
        run(spark, catalog, divided(0))
    assert caught.value.node == "total"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with hx.Helix(catalog, spark=spark) as helix:
        assert helix.catalog.iterations("w")[0].status == "failed"
        assert "ZeroDivisionError" in helix.catalog.iterations("w")[0].error
        iteration = helix.run(divided(1))
    assert iteration.plan["rows"].stored
    assert iteration["total"] == 12


def test_a_failure_is_told_before_what_was_computed_is_stored(
    spark: SparkSession, catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, store = threading.Event(), workflow_results.store

    def held_up(*arguments: Any) -> ArtifactRecord:
        assert told.wait(60)
        return store(*arguments)

    monkeypatch.setattr(workflow_results, "store", held_up)
    with hx.Helix(catalog, spark=spark, policy="always") as helix:
        with pytest.raises(NodeError):
            helix.run(divided(0))
        assert not helix.catalog.live()
        told.set()
        helix.wait()
        assert [record.node for record in helix.catalog.live()] == ["rows"]
        assert not list((catalog / "leases").iterdir())


def test_a_defect_behind_a_failure_is_told(
    spark: SparkSession, catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*arguments: Any) -> ArtifactRecord:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(workflow_results, "store", defect)
    heard = Warned()
    with hx.Helix(catalog, spark=spark, policy="always", observer=heard) as helix:
        with pytest.raises(NodeError):
            helix.run(divided(0))
        helix.wait()
    assert any("by a defect of Helix: ZeroDivisionError: a defect" in text for text in heard.warnings)
    assert not list((catalog / "leases").iterdir())


def test_an_output_table_that_fails_is_told_as_its_nodes_failure(spark: SparkSession, catalog: Path) -> None:
    wf = with_table()

    @wf.scanner(output=True)
    def broken(data: DataFrame) -> DataFrame:
        return data.selectExpr("cast(b as int) as c")

    with pytest.raises(NodeError) as caught:
        run(spark, catalog, wf)
    assert caught.value.node == "broken"
    with hx.Helix(catalog, spark=spark) as helix:
        assert helix.catalog.iterations("w")[0].status == "failed"


def test_an_interrupt_is_recorded_and_passed_on(spark: SparkSession, catalog: Path) -> None:
    wf = with_table()

    @wf.reducer(output=True)
    def node(data: pd.DataFrame) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(spark, catalog, wf)
    with hx.Helix(catalog, spark=spark) as helix:
        assert helix.catalog.iterations("w")[0].status == "interrupted"
