"""What a function reads or calls that no signature covers: its result is never reused, and the plan says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.ml import Pipeline
from pyspark.ml.feature import CountVectorizer, SQLTransformer, Word2Vec, Word2VecModel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.functions import udtf

import helix_spark as hx
from tests.fakes.policy import loading
from tests.spark.workflows import PEOPLE, computed

pytestmark = pytest.mark.spark


def workflow(rows: Callable[[DataFrame], DataFrame], **wishes: Any) -> hx.Workflow:
    """People, a table `rows` that a function makes of them, and the sum of its column `n`."""
    wf = hx.Workflow("people")
    wf.source("data", hx.table(PEOPLE))
    wf.scanner(name="rows", **wishes)(rows)

    @wf.reducer(output=True)
    def total(rows: DataFrame) -> float:
        return float(rows.agg(F.sum("n")).collect()[0][0])

    return wf


@pytest.fixture
def again(tmp_path: Path, spark: SparkSession) -> Callable[[hx.Workflow], tuple[float, set[str], str]]:
    """Runs a workflow: its answer, what was computed for it, and why `rows` was."""
    def run(wf: hx.Workflow) -> tuple[float, set[str], str]:
        with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark) as helix:
            iteration = helix.run(wf)
            iteration.wait()
            return iteration["total"], computed(iteration), iteration.plan["rows"].reason

    return run


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    """A file beside the workflow, of which `workflow` knows nothing."""
    path = Path(tmp_path, "prices.csv")
    pd.DataFrame({"sex": ["F", "M"], "n": [1, 2]}).to_csv(path, index=False)
    return path


def priced(path: Path) -> Callable[[DataFrame], DataFrame]:
    def rows(data: DataFrame) -> DataFrame:
        reader = data.sparkSession.read  # what the code alone does not show
        return data.join(reader.csv(str(path), header=True, inferSchema=True), "sex")

    return rows


def test_a_file_that_a_function_reads_by_itself_is_read_in_every_run(again: Any, prices: Path) -> None:
    first, _, _ = again(workflow(priced(prices)))
    pd.DataFrame({"sex": ["F", "M"], "n": [10, 20]}).to_csv(prices, index=False)
    second, ran, why = again(workflow(priced(prices)))
    assert second == 10 * first
    assert "rows" in ran
    assert f"`rows` reads {prices} by itself (test_undeclared.py:" in why
    assert "make it a source of the workflow, or name it in depends_on=" in why


def test_a_file_that_is_read_for_a_value_is_read_in_every_run(again: Any, prices: Path) -> None:
    """No plan that is kept tells of it."""
    def scaled() -> hx.Workflow:
        wf = hx.Workflow("people")
        wf.source("data", hx.table(PEOPLE))

        @wf.scanner
        def rows(data: DataFrame) -> DataFrame:
            highest = data.sparkSession.read.csv(str(prices), header=True).agg(F.max(F.col("n").cast("int"))).first()
            return data.select((F.col("age") * (highest[0] if highest else 0)).alias("n"))

        @wf.reducer(output=True)
        def total(rows: DataFrame) -> float:
            return float(rows.agg(F.sum("n")).collect()[0][0])

        return wf

    first, _, _ = again(scaled())
    pd.DataFrame({"sex": ["F", "M"], "n": [10, 20]}).to_csv(prices, index=False)
    second, ran, why = again(scaled())
    assert second == 10 * first
    assert "rows" in ran
    assert f"`rows` reads {prices} by itself (test_undeclared.py:" in why


def test_a_file_that_is_declared_counts_by_its_content(again: Any, prices: Path) -> None:
    first, _, _ = again(workflow(priced(prices), depends_on=[prices]))
    assert again(workflow(priced(prices), depends_on=[prices]))[:2] == (first, set())
    pd.DataFrame({"sex": ["F", "M"], "n": [10, 20]}).to_csv(prices, index=False)
    assert again(workflow(priced(prices), depends_on=[prices]))[0] == 10 * first


def test_of_what_the_reader_of_a_source_reads_its_version_tells(again: Any, prices: Path) -> None:
    def build() -> hx.Workflow:
        wf = hx.Workflow("prices")

        def read(spark: SparkSession) -> DataFrame:
            return spark.read.csv(str(prices), header=True, schema="sex string, n long")

        wf.source("data", hx.reader(read, version="1"))

        @wf.scanner
        def rows(data: DataFrame) -> DataFrame:
            return data.where("n > 0")

        @wf.reducer(output=True)
        def total(rows: DataFrame) -> float:
            return float(rows.agg(F.sum("n")).collect()[0][0])

        return wf

    first, _, _ = again(build())
    assert again(build())[:2] == (first, set())


def test_a_view_of_something_else_is_told(again: Any, prices: Path, spark: SparkSession) -> None:
    spark.read.csv(str(prices), header=True, inferSchema=True).createOrReplaceTempView("prices")

    def rows(data: DataFrame) -> DataFrame:
        find = data.sparkSession.table  # as above
        return data.join(find("prices"), "sex")

    again(workflow(rows))
    _, ran, why = again(workflow(rows))
    assert "rows" in ran
    assert "`rows` reads the table prices by itself" in why


def registered(spark: SparkSession, factor: int) -> None:
    def clean(age: float) -> float:
        return age * factor

    spark.udf.register("clean", clean, "double")


def registered_anew(again: Any, spark: SparkSession, build: Callable[[], hx.Workflow]) -> tuple[float, set[str], str]:
    """Run a workflow that calls `clean`, then with another one, which must count; return its answer, what it
    computed and what it said."""
    registered(spark, 1)
    first, _, _ = again(build())
    registered(spark, 3)
    second, ran, why = again(build())
    assert second == 3 * first
    return second, ran, why


def by_name(data: DataFrame) -> DataFrame:
    return data.selectExpr("clean(age) AS n")


def test_a_function_that_is_called_by_the_name_it_was_registered_under_is_called_in_every_run(
    again: Any, spark: SparkSession
) -> None:
    _, ran, why = registered_anew(again, spark, lambda: workflow(by_name))
    assert "rows" in ran
    assert "`rows` calls clean, registered with the session (name its function in depends_on=)" in why


def test_so_is_one_that_a_label_calls(again: Any, spark: SparkSession) -> None:
    def labelled() -> hx.Workflow:
        wf = hx.Workflow("people")
        data = wf.source("data", hx.table(PEOPLE))
        age = wf.extractor("age_of", hx.Fields("age"), on=data)
        wf.synthesizer("rows", data, features=[age], label="clean(age)")

        @wf.reducer(output=True)
        def total(rows: DataFrame) -> float:
            return float(rows.agg(F.sum("label")).collect()[0][0])

        return wf

    _, _, why = registered_anew(again, spark, labelled)
    assert "`rows` calls clean" in why


def test_so_is_one_that_a_stage_calls_in_sql(again: Any, spark: SparkSession) -> None:
    def staged() -> hx.Workflow:
        wf = hx.Workflow("people")
        data = wf.source("data", hx.table(PEOPLE))
        cleaned = SQLTransformer(statement="SELECT *, clean(age) AS n FROM __THIS__")
        model = wf.learner("model", Pipeline, on=data, rows="all", stages=[cleaned])
        wf.predict("rows", model, data, rows="all")

        @wf.reducer(output=True)
        def total(rows: DataFrame) -> float:
            return float(rows.agg(F.sum("n")).collect()[0][0])

        return wf

    _, _, why = registered_anew(again, spark, staged)
    assert "`rows` calls clean" in why


def test_so_is_one_that_is_called_for_a_value(again: Any, spark: SparkSession) -> None:
    def cleaned(data: DataFrame) -> DataFrame:
        call, word = F.call_udf, "".join(["cl", "ean"])  # what the code alone does not show
        most = data.agg(F.max(call(word, "age"))).first()
        return data.select(F.lit(most[0] if most else 0).alias("n"))

    _, ran, why = registered_anew(again, spark, lambda: workflow(cleaned))
    assert "rows" in ran
    assert "`rows` calls clean" in why


def test_so_is_a_table_function(again: Any, spark: SparkSession) -> None:
    class Spread:
        def eval(self, age: float) -> Any:
            yield (age,)

    spark.udtf.register("spread", udtf(Spread, returnType="n double").asDeterministic())

    def rows(data: DataFrame) -> DataFrame:
        data.createOrReplaceTempView("people")
        return data.sparkSession.sql("SELECT s.n FROM people, LATERAL spread(age) s")

    again(workflow(rows))
    _, ran, why = again(workflow(rows))
    assert "rows" in ran
    assert "calls spread" in why


def joined_with_itself(data: DataFrame) -> DataFrame:
    older = data.where("age > 50").select(F.col("sex"), F.col("age").alias("n")).distinct()
    return data.join(older, "sex").join(data.groupBy("work").count(), "work")


def in_sql(data: DataFrame) -> DataFrame:
    data.createOrReplaceTempView("people")
    return data.sparkSession.sql("SELECT upper(sex) AS sex, age AS n FROM people UNION ALL SELECT 'x', 1.0")


def of_its_own(data: DataFrame) -> DataFrame:
    return data.crossJoin(data.sparkSession.range(2).withColumnRenamed("id", "n"))


def doubled(data: DataFrame) -> DataFrame:
    def clean(age: pd.Series) -> pd.Series:
        return age * 2

    data.sparkSession.udf.register("clean", F.pandas_udf(clean, "double"))
    return data.selectExpr("clean(age) AS n")


def register_tripled(spark: SparkSession) -> None:
    spark.udf.register("Clean", lambda age: age * 3, "double")


def tripled_by_a_helper(data: DataFrame) -> DataFrame:
    register_tripled(data.sparkSession)
    most = data.selectExpr("max(clean(age))").first()
    return data.selectExpr("CLEAN(age) AS n").where(F.lit(most is not None))


@pytest.mark.parametrize("rows", [
    joined_with_itself, in_sql, tripled_by_a_helper,
    *(pytest.param(one, marks=pytest.mark.long) for one in (of_its_own, doubled)),
])
def test_what_the_code_and_the_inputs_say_is_reused(again: Any, rows: Callable[[DataFrame], DataFrame]) -> None:
    first, _, _ = again(workflow(rows))
    assert again(workflow(rows))[:2] == (first, set())


def test_a_model_that_a_function_is_given_or_fits_is_none_that_it_reads_by_itself(again: Any) -> None:
    def wf(least: int) -> hx.Workflow:
        wf = hx.Workflow("people")
        wf.source("data", hx.table(pd.DataFrame({"text": ["a b c", "b c d", "c d e"] * 20})))

        @wf.learner
        def model(data: DataFrame) -> Word2VecModel:
            words = data.select(F.split("text", " ").alias("words"))
            return Word2Vec(vectorSize=4, minCount=1, seed=1, inputCol="words", outputCol="sums").fit(words)

        @wf.scanner
        def rows(data: DataFrame, model: Word2VecModel) -> DataFrame:
            counted = CountVectorizer(inputCol="words", outputCol="counts")
            words = data.select(F.split("text", " ").alias("words"))
            known = counted.fit(words).transform(words).count()
            return model.getVectors().select(F.length("word").cast("double").alias("n"), F.lit(known).alias("known"))

        @wf.reducer(output=True)
        def total(rows: DataFrame) -> float:
            return float(rows.agg(F.sum("n")).collect()[0][0]) + least

        return wf

    assert again(wf(0))[0] == 5
    assert again(wf(1))[:2] == (6, {"total"})


def test_a_source_that_is_read_again_from_files_is_no_stranger(again: Any, prices: Path) -> None:
    """Joined with itself, a table of files has other columns' numbers on one side."""
    wf = hx.Workflow("prices")
    wf.source("data", hx.csv(str(prices), schema="sex string, n long"))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data.alias("a").join(data.alias("b"), "sex").selectExpr("a.n + b.n AS n")

    @wf.reducer(output=True)
    def total(rows: DataFrame) -> float:
        return float(rows.agg(F.sum("n")).collect()[0][0])

    first, _, _ = again(wf)
    assert (first, set()) == again(wf)[:2]


def age_alone(data: DataFrame) -> Column:
    return data.age


def age_by_name(data: DataFrame) -> Column:
    return F.expr("clean(age)")


def on_top(
    column: Callable[[DataFrame, Column], Column], below: Callable[[DataFrame], Column] = age_alone, **wishes: Any
) -> hx.Workflow:
    """An extractor `top` that reads another one, in a table `rows`."""
    wf = hx.Workflow("people")
    data = wf.source("data", hx.table(PEOPLE))
    wf.extractor(name="age_of", **wishes)(below)
    top = wf.extractor(name="top")(column)
    wf.synthesizer("rows", data, features=[top])

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> float:
        return float(sum(features[0] for features in rows.features))

    return wf


def drawn(data: DataFrame, age_of: Column) -> Column:
    make = F.expr  # what the code alone does not show
    return age_of + make("rand()")


def cleaned(data: DataFrame, age_of: Column) -> Column:
    return age_of + F.expr("clean(age)")


def doubled_age(data: DataFrame, age_of: Column) -> Column:
    return age_of * 2


def test_a_column_that_is_made_of_another_one_is_looked_at_too(again: Any, spark: SparkSession) -> None:
    first, _, _ = again(on_top(drawn))
    second, ran, why = again(on_top(drawn))
    assert second != first
    assert {"top", "rows"} <= ran
    assert "`top`" in why
    registered(spark, 1)
    again(on_top(cleaned))
    registered(spark, 3)
    _, ran, _ = again(on_top(cleaned))
    assert {"top", "rows"} <= ran


def test_nor_is_it_blamed_for_what_the_other_one_declares(again: Any, spark: SparkSession) -> None:
    registered(spark, 2)
    first, _, _ = again(on_top(doubled_age, age_by_name, depends_on=["2026-11-25"]))
    assert again(on_top(doubled_age, age_by_name, depends_on=["2026-11-25"]))[:2] == (first, set())


def in_a_reducer(**wishes: Any) -> hx.Workflow:
    wf = hx.Workflow("people")
    wf.source("data", hx.table(PEOPLE))

    @wf.reducer(name="rows")
    def people(data: DataFrame) -> int:
        return data.count()

    @wf.reducer(output=True, **wishes)
    def total(data: DataFrame) -> float:
        return float(data.selectExpr("sum(clean(age))").first()[0])

    wf.output("rows")
    return wf


def in_a_scanner(**wishes: Any) -> hx.Workflow:
    def summed(data: DataFrame) -> DataFrame:
        most = data.agg(F.call_function("clean", F.max("age"))).first()
        return data.sparkSession.range(1).select(F.lit(most[0] if most else 0).alias("n"))

    return workflow(summed, **wishes)


@pytest.mark.parametrize("build", [in_a_reducer, pytest.param(in_a_scanner, marks=pytest.mark.long)])
def test_a_registered_function_that_is_called_for_a_value_is_called_in_every_run(
    again: Any, spark: SparkSession, build: Callable[..., hx.Workflow]
) -> None:
    """No plan tells of it: a request on the way does."""
    second, ran, _ = registered_anew(again, spark, build)
    assert {"total", "rows"} & ran
    third, _, _ = again(build(depends_on=["2026-11-25"]))
    assert third == second
    assert again(build(depends_on=["2026-11-25"]))[:2] == (third, set())
