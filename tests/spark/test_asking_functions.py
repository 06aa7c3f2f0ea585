"""Functions of tables that ask Spark something before they return are known by what they build with the answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.errors import AnalysisException
from pyspark.ml import Model
from pyspark.ml.linalg import Vectors
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.errors import NodeError, ResultTypeError
from helix_spark.run.iteration import Iteration
from helix_spark.run.recorded_answers import RecordedAnswers
from tests.fakes.policy import loading
from tests.spark.workflows import PEOPLE, computed, sent_questions

pytestmark = pytest.mark.spark

Scanner = Callable[[DataFrame], DataFrame]

ROWS = pd.DataFrame({
    "x": [1.5, -2.0, 3.0, 10.0], "g": ["a", "b", "a", None], "n": [1, 2, 3, 4],
    "t": pd.to_datetime(["2020-01-01", "2021-06-01", "2022-01-01", "2023-01-01"]),
    "tags": [["p"], ["q", "p"], [], ["r"]],
})


@F.udf(DoubleType())
def halved(x: float) -> float:
    return x / 2


def by_mean(rows: DataFrame) -> DataFrame:
    mean = rows.agg(F.avg("x")).first()[0]
    return rows.withColumn("x", F.col("x") - mean)


def by_mean_in_other_words(rows: DataFrame) -> DataFrame:
    def average(of: DataFrame, name: str) -> float:
        return float(of.agg(F.avg(name)).first()[0])

    return rows.withColumn("x", F.col("x") - average(rows, "x"))


def by_groups(rows: DataFrame) -> DataFrame:
    for name in [row.g for row in rows.select("g").distinct().orderBy("g").collect() if row.g]:
        rows = rows.withColumn(f"is_{name}", F.col("g") == name)
    return rows


def by_pandas(rows: DataFrame) -> DataFrame:
    known = rows.select("x", "n", "t", "tags").toPandas()
    year = int(known.t.dt.year.max())
    longest = max(map(len, known.tags))
    return rows.withColumn("z", F.year("t") - year + longest + F.lit(float(known.x.std())))


def by_count(rows: DataFrame) -> DataFrame:
    kept = rows.where("x > 0")
    return kept.withColumn("share", F.lit(kept.count() / rows.count())) if not kept.isEmpty() else rows


def by_schema(rows: DataFrame) -> DataFrame:
    numbers = [name for name, kind in rows.withColumn("y", F.col("n") + 1).dtypes if kind in ("double", "bigint")]
    return rows.select(*[F.col(one.name) for one in rows.schema.fields if one.name in numbers])


def by_quantile(rows: DataFrame) -> DataFrame:
    low, high = rows.approxQuantile("x", [0.25, 0.75], 0.0)
    return rows.where(F.col("x").between(low, high))


def by_python(rows: DataFrame) -> DataFrame:
    most = rows.select(halved("x").alias("half")).agg(F.max("half")).head()[0]
    return rows.withColumn("most", F.lit(most) + halved("x"))


def by_caught_error(rows: DataFrame) -> DataFrame:
    try:
        rows.select("missing").count()
    except AnalysisException:
        return rows.withColumn("z", F.lit("none"))
    return rows


def by_pivot(rows: DataFrame) -> DataFrame:
    made = rows.groupBy("n").pivot("g").agg(F.sum("x"))
    return made.select(*sorted(made.columns))


def by_all_rows(rows: DataFrame) -> DataFrame:
    known = {row["n"]: (row["x"], row["t"], row["tags"], row["g"]) for row in rows.toLocalIterator()}
    return rows.sparkSession.createDataFrame([(n, str(one)) for n, one in sorted(known.items())], "n long, said string")


def by_vectors(rows: DataFrame) -> DataFrame:
    from pyspark.ml.feature import VectorAssembler

    vectors = VectorAssembler(inputCols=["x", "n"], outputCol="v").transform(rows)
    first = vectors.orderBy("n").select("v").first()[0]
    return rows.withColumn("z", F.lit(float(first.dot(Vectors.dense([1.0, 10.0])))))


def by_cache(rows: DataFrame) -> DataFrame:
    rows = rows.cache()
    return rows.withColumn("all", F.lit(rows.count()))


WAYS: list[Scanner] = [by_python, by_caught_error]
MORE_WAYS: list[Scanner] = [
    by_pandas, by_count, by_mean, by_groups, by_schema, by_quantile, by_pivot, by_all_rows, by_vectors, by_cache,
]


def workflow(made: Scanner, data: pd.DataFrame = ROWS, **wishes: Any) -> hx.Workflow:
    wf = hx.Workflow("asking")
    wf.source("rows", hx.table(data))
    wf.scanner(name="made", **wishes)(made)

    @wf.reducer(output=True)
    def said(made: pd.DataFrame) -> list[str]:
        return sorted(map(str, made.to_dict("records")))

    return wf


def told(frame: pd.DataFrame) -> list[str]:
    return sorted(map(str, frame.to_dict("records")))


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Spark was asked for functions, as it is asked."""
    return sent_questions(monkeypatch)


def run(helix: hx.Helix, made: Scanner, **given: Any) -> Iteration:
    found = helix.run(workflow(made, **given))
    found.wait()
    return found


@pytest.mark.parametrize(
    "made", [*WAYS, *(pytest.param(one, marks=pytest.mark.long) for one in MORE_WAYS)], ids=lambda made: made.__name__
)
def test_what_a_function_asks_is_answered_as_by_plain_pyspark(
    spark: SparkSession, tmp_path: Path, made: Scanner
) -> None:
    plain = made(spark.createDataFrame(ROWS).withColumn("t", F.col("t").cast("timestamp_ntz")))
    with hx.Helix(tmp_path / "catalog", spark=spark) as helix:
        first = run(helix, made)
    assert first["said"] == told(hx_pandas(plain))


def hx_pandas(frame: DataFrame) -> pd.DataFrame:
    return frame.toArrow().to_pandas()


def test_other_words_for_the_same_questions_and_plan_are_the_same_function(
    spark: SparkSession, tmp_path: Path, questions: list[str]
) -> None:
    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as helix:
        first = run(helix, by_mean)
        assert questions == ["rows"]
        assert first.plan["made"].by_code == "asks Spark for rows"
        second = run(helix, by_mean_in_other_words)
        third = run(helix, by_mean_in_other_words)
        assert not computed(second) | computed(third)
        assert second.plan["made"].signature == first.plan["made"].signature
        assert second["said"] == first["said"]
        shifted = run(helix, by_mean, data=ROWS.assign(x=ROWS.x * 2))
        assert computed(shifted) >= {"made"}, "its questions are others, for what they are about is"
        assert questions == ["rows", "rows"]
        assert shifted["said"] != first["said"]


def test_an_answer_on_record_is_not_asked_for_again(spark: SparkSession, tmp_path: Path, questions: list[str]) -> None:
    def doubled(rows: DataFrame) -> DataFrame:
        return by_mean(rows).withColumn("x", F.col("x") * 2)

    with hx.Helix(tmp_path / "catalog", policy="never", spark=spark) as helix:
        run(helix, by_mean)
        edited = run(helix, doubled)
    assert "made" in computed(edited)
    assert questions == ["rows"]


@pytest.mark.long
def test_an_audit_asks_anew(spark: SparkSession, tmp_path: Path, questions: list[str]) -> None:
    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as helix:
        run(helix, by_mean)
        audited = helix.audit(workflow(by_mean))
    assert {one.verdict for one in audited.results} == {"verified"}
    assert questions == ["rows", "rows"]


def test_what_may_be_answered_otherwise_is_not_on_record(spark: SparkSession, tmp_path: Path) -> None:
    def drawn(rows: DataFrame) -> DataFrame:
        share = rows.select(F.expr("rand()").alias("r")).agg(F.max("r")).first()[0]
        return rows.withColumn("share", F.lit(share))

    def by_order(rows: DataFrame) -> DataFrame:
        return rows.where(F.col("n").isin([row.n for row in rows.limit(2).collect()]))

    with hx.Helix(tmp_path / "catalog", spark=spark) as helix:
        run(helix, drawn)
        run(helix, by_order)
    records = Catalog.open(tmp_path / "catalog", create=False).answers.records()
    assert not [one for one in records if one.answer]


def test_a_column_of_what_spark_was_asked(spark: SparkSession, tmp_path: Path) -> None:
    def built(rest: Callable[[DataFrame], Any]) -> hx.Workflow:
        wf = hx.Workflow("asking")
        wf.source("rows", hx.table(ROWS))

        @wf.extractor
        def above(rows: DataFrame) -> Column:
            return rows.x - rest(rows)

        wf.synthesizer("examples", "rows", features=[above])

        @wf.reducer(output=True)
        def total(examples: pd.DataFrame) -> float:
            return float(sum(one[0] for one in examples.features))

        return wf

    def lowest(rows: DataFrame) -> Any:
        return rows.agg(F.min("x")).first()[0]

    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as helix:
        first = helix.run(built(lowest))
        first.wait()
        second = helix.run(built(lambda rows: lowest(rows)))
        second.wait()
    assert first["total"] == ROWS.x.sum() - 4 * ROWS.x.min()
    assert not computed(second)


def test_an_extractor_that_takes_columns_is_given_a_table_that_has_them(spark: SparkSession, tmp_path: Path) -> None:
    wf = hx.Workflow("asking")
    wf.source("rows", hx.table(ROWS[["x", "n"]]))

    @wf.extractor
    def twice(rows: DataFrame) -> Column:
        return rows.x * 2

    @wf.extractor
    def wide(rows: DataFrame, twice: Column) -> Column:
        return twice * len(rows.schema.fields)

    wf.synthesizer("examples", "rows", features=[wide])

    @wf.reducer(output=True)
    def total(examples: pd.DataFrame) -> float:
        return float(sum(one[0] for one in examples.features))

    with hx.Helix(tmp_path / "catalog", spark=spark) as helix:
        assert helix.run(wf)["total"] == ROWS.x.sum() * 2 * 3


def test_a_question_that_fails_says_where_it_is_asked(spark: SparkSession, tmp_path: Path) -> None:
    calls = []

    def failing(rows: DataFrame) -> DataFrame:
        calls.append(1)
        return rows.withColumn("z", F.lit(rows.select(F.expr("assert_true(x > 0)")).collect()[0][0]))

    with hx.Helix(tmp_path / "catalog", spark=spark) as helix, pytest.raises(NodeError) as raised:
        run(helix, failing)
    assert "test_asking_functions.py" in str(raised.value)
    planned, asked = 1, 1
    assert len(calls) <= 2 * planned + asked, "what failed is not begun again"


def scored(train: Callable[[DataFrame], Any], score: Callable[[Any, DataFrame], Any]) -> hx.Workflow:
    """A model that one function fits, and what another one says of it."""
    wf = hx.Workflow("scored")
    wf.source("people", hx.table(PEOPLE[["age", "rich"]]))

    @wf.scanner
    def rows(people: DataFrame) -> DataFrame:
        from pyspark.ml.feature import VectorAssembler

        return VectorAssembler(inputCols=["age"], outputCol="features").transform(people)

    @wf.learner
    def model(rows: DataFrame) -> Model:
        return train(rows)  # type: ignore[no-any-return]  # a model

    @wf.reducer(output=True)
    def said(model: Model, rows: DataFrame) -> str:
        return str(score(model, rows))

    return wf


def trained(rows: DataFrame) -> Any:
    from pyspark.ml.classification import LogisticRegression

    return LogisticRegression(labelCol="rich", maxIter=3).fit(rows.where("rich >= 0"))


def area(model: Any, rows: DataFrame) -> float:
    from pyspark.ml.evaluation import BinaryClassificationEvaluator

    return float(BinaryClassificationEvaluator(labelCol="rich").evaluate(model.transform(rows)))


def test_a_model_that_a_node_stored_stands_for_the_equal_fit_of_a_script(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("\n".join(f"{age},{age % 3 % 2}" for age in range(20, 60)))

    def fitted(threshold: float | None) -> hx.Workflow:
        wf = hx.Workflow(f"fitted-{threshold}")
        wf.source("people", hx.csv(tmp_path / "people.csv", "age double, rich double"))

        @wf.learner(keep="always", output=True)
        def model(people: DataFrame) -> Model:
            from pyspark.ml.feature import VectorAssembler

            made = trained(VectorAssembler(inputCols=["age"], outputCol="features").transform(people))
            return made if threshold is None else made.setThreshold(threshold)  # type: ignore[no-any-return]  # a model

        return wf

    for threshold, stands in ((0.3, []), (None, ["org.apache.spark.ml.classification.LogisticRegressionModel"])):
        with hx.Helix(tmp_path / "catalog", spark=spark) as helix:
            helix.run(fitted(threshold)).wait()
            record = RecordedAnswers(helix.catalog, "script")
            known = (record.model(one.question) for one in helix.catalog.answers.records())
            assert [one[0] for one in known if one is not None] == stands


def test_an_evaluation_is_not_asked_again_after_an_edit_of_what_is_said_of_it(
    spark: SparkSession, tmp_path: Path, questions: list[str]
) -> None:
    with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark) as helix:
        first = helix.run(scored(trained, area))
        first.wait()
        asked = list(questions)
        second = helix.run(scored(trained, lambda model, rows: round(area(model, rows), 3)))
        second.wait()
    assert asked.count("fit") == 1
    assert "rows" in asked
    assert questions == asked, "the same model is evaluated on the same rows"
    assert computed(second) == {"said"}
    assert float(second["said"]) == round(float(first["said"]), 3) > 0.5


@pytest.mark.long
def test_a_model_that_a_function_returns_is_what_it_is_in_plain_pyspark(spark: SparkSession, tmp_path: Path) -> None:
    from pyspark.ml.feature import VectorAssembler

    rows = VectorAssembler(inputCols=["age"], outputCol="features").transform(
        spark.createDataFrame(PEOPLE[["age", "rich"]])
    )
    with hx.Helix(tmp_path / "catalog", spark=spark) as helix:
        said = helix.run(scored(trained, area))["said"]
    with hx.Helix(tmp_path / "another", spark=spark) as helix:
        accuracy = helix.run(scored(trained, lambda model, rows: model.summary.accuracy))["said"]
    assert float(said) == area(trained(rows), rows)
    assert float(accuracy) == trained(rows).summary.accuracy


def test_a_function_that_fits_is_known_by_what_it_builds(
    spark: SparkSession, tmp_path: Path, questions: list[str]
) -> None:
    from pyspark.ml.feature import StringIndexer

    def indexed(rows: DataFrame) -> DataFrame:
        return StringIndexer(inputCol="g", outputCol="i", handleInvalid="keep").fit(rows).transform(rows)

    def in_other_words(rows: DataFrame) -> DataFrame:
        indexer = StringIndexer(handleInvalid="keep", outputCol="i", inputCol="g")
        return indexer.fit(rows).transform(rows)

    def doubled(rows: DataFrame) -> DataFrame:
        return indexed(rows).withColumn("i", F.col("i") * 2)

    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as helix:
        first = run(helix, indexed)
        assert questions == ["fit"]
        again = run(helix, in_other_words)
        assert not computed(again)
        edited = run(helix, doubled)
    assert questions == ["fit"]
    assert edited["said"] == told(hx_pandas(doubled(spark.createDataFrame(ROWS).withColumn(
        "t", F.col("t").cast("timestamp_ntz")))))
    assert first["said"] == again["said"]


@pytest.mark.parametrize("by_name", [False, True])
def test_what_python_code_reads_for_an_answer_counts(spark: SparkSession, tmp_path: Path, by_name: bool) -> None:
    file = tmp_path / "factor.txt"

    @F.udf(DoubleType())
    def scaled(x: float) -> float:
        return x * float(file.read_text())

    def most_of(rows: DataFrame) -> Any:
        if by_name:
            rows.sparkSession.udf.register("scaled", scaled)
        made = F.call_function("scaled", F.col("x")) if by_name else scaled("x")
        return rows.select(made.alias("s")).agg(F.max("s")).first()[0]

    def asking() -> hx.Workflow:
        wf = hx.Workflow("asking")
        wf.source("rows", hx.table(ROWS[["x"]]))

        @wf.scanner
        def made(rows: DataFrame) -> DataFrame:
            return rows.withColumn("most", F.lit(most_of(rows)))

        @wf.reducer(output=True)
        def in_table(made: pd.DataFrame) -> float:
            return float(made.most.max())

        @wf.reducer(output=True)
        def in_value(rows: DataFrame) -> float:
            return float(most_of(rows))

        return wf

    found = []
    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as helix:
        for factor in ("2", "3", "2"):
            file.write_text(factor)
            iteration = helix.run(asking())
            iteration.wait()
            found.append((iteration["in_table"], iteration["in_value"]))
    assert found == [(20.0, 20.0), (30.0, 30.0), (20.0, 20.0)]


HELD: list[Any] = []


def joined_with_held(rows: DataFrame) -> DataFrame:
    return rows.join(HELD[0], "n")


def test_a_function_may_join_a_table_that_it_holds_of_the_same_session(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "HELD", [spark.createDataFrame([(1, "one"), (3, "three")], "n long, word string")])
    with hx.Helix(tmp_path / "catalog", spark=spark) as helix:
        assert len(run(helix, joined_with_held)["said"]) == 2


def test_an_extractor_that_asks_and_returns_no_column_is_told_so(spark: SparkSession, tmp_path: Path) -> None:
    wf = hx.Workflow("asking")
    wf.source("rows", hx.table(ROWS[["x", "n"]]))

    @wf.extractor
    def counted(rows: DataFrame) -> Column:
        return rows.count()  # type: ignore[return-value]  # as an author may write it

    wf.synthesizer("examples", "rows", features=[counted], output=True)
    with hx.Helix(tmp_path / "catalog", spark=spark) as helix, pytest.raises(ResultTypeError, match="return a Column"):
        helix.run(wf)


def test_a_number_of_rows_by_words_of_sql_before_brackets_is_reused(tmp_path: Path, spark: SparkSession) -> None:
    wf = hx.Workflow("words")
    wf.source("rows", hx.table(ROWS[["x", "n"]]))

    @wf.reducer(output=True)
    def many(rows: DataFrame) -> int:
        return rows.filter("n IN (1, 2) AND (x > 0) OR NOT (x > 0)").count()

    with hx.Helix(tmp_path / "catalog", spark=spark, policy="always") as helix:
        assert helix.run(wf)["many"] == 2
        assert computed(helix.run(wf)) == set()
