"""What a plain program asks Spark is asked once: questions, their identities, and the service that answers them."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyspark.sql.connect.proto as pb
import pytest

from helix_spark.answers.served_session import UnansweredError
from helix_spark.plans.answer_gate import SERVER_SESSION
from helix_spark.plans.program_client import open_session
from helix_spark.program.program_text import is_plain_program, needs_classic
from tests.fakes.answer_record import FakeRecord
from tests.fakes.connect_server import FakeServer
from tests.fakes.programs import Program, Runs, answerer_of, rows


def counted(spark: Any) -> list[Any]:
    return rows(spark).groupBy("a").count().collect()  # type: ignore[no-any-return]


def test_what_was_asked_before_starts_no_server(runs: Runs) -> None:
    assert runs.run(counted).started
    first = runs.returned
    assert not runs.run(counted).started
    assert runs.returned == first


def test_the_same_plan_in_other_words_is_the_same_question(runs: Runs) -> None:
    runs.run(lambda spark: rows(spark).where("a > 1").select("b").collect())

    def other_words(spark: Any) -> Any:
        least = 1
        kept = rows(spark).filter(f"a > {least}")
        return kept.select(*["b"]).collect()

    assert not runs.run(other_words).started
    assert runs.run(lambda spark: rows(spark).where("a > 2").select("b").collect()).started


def test_data_that_changed_is_asked_again(runs: Runs) -> None:
    runs.run(counted)
    (runs.folder / "rows.csv").write_text("a,b\n1,3\n")
    assert runs.run(counted).started
    (runs.folder / "rows.csv").write_text("a,b\n1,2\n")
    assert not runs.run(counted).started


def test_a_setting_of_the_program_counts(runs: Runs) -> None:
    def program(value: str) -> Program:
        def run(spark: Any) -> Any:
            spark.conf.set("spark.sql.ansi.enabled", value)
            return counted(spark)
        return run

    runs.run(program("true"))
    assert runs.run(program("false")).started
    assert not runs.run(program("true")).started


@pytest.mark.parametrize("change", [
    lambda spark: spark.conf.unset("spark.sql.session.timeZone"),
    lambda spark: spark.sql("-- the zone\nSET spark.sql.session.timeZone=Europe/Paris"),
    lambda spark: spark.sql("/* the zone */ SET TIME ZONE 'Europe/Paris'"),
    lambda spark: spark.sql("RESET"),
], ids=["unset", "set behind a comment", "a time zone", "reset"])
def test_what_follows_an_unset_or_a_statement_that_sets_is_asked_anew(runs: Runs, change: Program) -> None:
    def program(spark: Any) -> Any:
        change(spark)
        return counted(spark)

    runs.run(counted)
    server = runs.run(program)
    assert any(isinstance(one, pb.Relation) for one in server.asked)


def test_a_setting_is_asked_for_after_a_statement_that_may_have_set_it(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
        before = spark.conf.get("spark.sql.session.timeZone")
        spark.sql("SET TIME ZONE 'Europe/Paris'")
        return before, spark.conf.get("spark.sql.session.timeZone")

    runs.run(program)
    assert runs.returned == ("Asia/Tokyo", "UTC")  # the answer of the server that stands for Spark's


def test_a_view_counts_by_what_it_shows(runs: Runs) -> None:
    def program(least: int) -> Program:
        def run(spark: Any) -> Any:
            rows(spark).where(f"a > {least}").createOrReplaceTempView("Some")
            return spark.sql("SELECT * FROM some").collect()
        return run

    runs.run(program(1))
    assert not runs.run(program(1)).started
    assert runs.run(program(2)).started


def test_a_view_that_a_transformer_names_counts_by_what_it_shows(runs: Runs) -> None:
    def program(least: int) -> Program:
        def run(spark: Any) -> Any:
            from pyspark.ml.feature import SQLTransformer

            rows(spark).where(f"a > {least}").createOrReplaceTempView("some")
            joined = SQLTransformer(statement="SELECT __THIS__.a FROM __THIS__ JOIN some USING (a)")
            return joined.transform(rows(spark)).count()
        return run

    for least, is_asked in ((1, True), (1, False), (2, True)):
        runs.run(program(least))
        assert [one.fresh for one in runs.answerer.answers] == [is_asked]


def test_a_view_may_be_made_of_an_earlier_one_of_its_name(runs: Runs) -> None:
    def program(least: int) -> Program:
        def run(spark: Any) -> Any:
            rows(spark).where(f"a > {least}").createOrReplaceTempView("some")
            spark.table("some").where("b > 1").createOrReplaceTempView("some")
            return spark.table("some").count()
        return run

    runs.run(program(1))
    assert not runs.run(program(1)).started
    assert runs.run(program(2)).started


def test_tables_that_are_arguments_of_a_statement_count_by_what_they_are(runs: Runs) -> None:
    def program(spark: Any, column: str = "a") -> Any:
        right = rows(spark).select(column)
        return spark.sql("SELECT * FROM {left} JOIN {right}", left=rows(spark), right=right).take(1)

    first = runs.run(program)
    again, edited = runs.run(program), runs.run(lambda spark: program(spark, "b"))
    assert first.started
    assert not again.started
    assert edited.started


@pytest.mark.parametrize(("one", "other"), [
    ("DECLARE OR REPLACE VARIABLE k INT DEFAULT 3", "DECLARE OR REPLACE VARIABLE k INT DEFAULT 4"),
    ("SET VAR k = 3", "SET VAR k = 4"), ("USE one", "USE other"),
])
def test_a_statement_that_sets_a_variable_counts_for_all_later_questions(runs: Runs, one: str, other: str) -> None:
    def program(statement: str) -> Program:
        def run(spark: Any) -> Any:
            spark.sql(statement)
            return spark.range(3).where("id < k").count()
        return run

    for statement, is_asked in ((one, True), (one, False), (other, True)):
        runs.run(program(statement))
        assert runs.answerer.answers[-1].fresh == is_asked


@pytest.mark.parametrize("arguments", [{"value": 3}, {"value": 4}])
def test_arguments_of_a_statement_that_sets_a_variable_count(runs: Runs, arguments: dict[str, int]) -> None:
    def program(value: int) -> Program:
        def run(spark: Any) -> Any:
            spark.sql("SET VAR k = :value", {"value": value})
            return spark.range(3).where("id < k").count()
        return run

    runs.run(program(5))
    runs.run(program(arguments["value"]))
    assert runs.answerer.answers[-1].fresh


@pytest.mark.parametrize("statement", [
    "SET VAR k = (SELECT max(id) FROM t)", "DECLARE k DEFAULT rand()", "EXECUTE IMMEDIATE 'SELECT 3' INTO k",
])
def test_what_follows_a_variable_of_an_unknown_value_is_asked_each_time(runs: Runs, statement: str) -> None:
    def program(spark: Any) -> Any:
        spark.sql(statement)
        return spark.range(3).where("id < k").count()

    for _ in range(2):
        runs.run(program)
        assert runs.answerer.answers[-1].fresh


@pytest.mark.parametrize("name", ["escape", "dec", "within", "interval"])
def test_a_registered_function_counts_that_is_called_like_a_word_of_the_grammar(runs: Runs, name: str) -> None:
    def program(step: int) -> Program:
        def run(spark: Any) -> Any:
            spark.udf.register(name, lambda n: n + step, "int")
            return rows(spark).selectExpr(f"{name}(a)").count()
        return run

    for step, is_asked in ((1, True), (1, False), (2, True)):
        runs.run(program(step))
        assert runs.answerer.answers[-1].fresh == is_asked


def test_names_of_observations_and_of_a_functions_parameters_count(runs: Runs) -> None:
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    def observing(name: str) -> Program:
        return lambda spark: rows(spark).observe(Observation(name), F.count("a").alias("n")).collect()

    def calling(function: Callable[[int, int], int]) -> Program:
        return lambda spark: rows(spark).select(F.udf(function, "int")(a="a", b="b")).collect()

    pairs = (observing("one"), observing("other")), (calling(lambda a, b: a - b), calling(lambda b, a: b - a))
    for one, other in pairs:
        for program, is_asked in ((one, True), (one, False), (other, True)):
            assert runs.run(program).started == is_asked


def test_rows_in_pandas_have_no_attributes(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        return rows(spark).toPandas().attrs

    runs.run(program)
    assert runs.returned == {}


@pytest.mark.parametrize("form", ["binaryFile", "modifiedAfter"])
def test_times_of_files_count_where_spark_reads_them(runs: Runs, form: str) -> None:
    file = runs.folder / "some.csv"
    file.write_text("a\n1\n")

    def program(spark: Any) -> Any:
        reader = spark.read.format("csv").option(form, "2020-06-01T00:00:00") if form != "binaryFile" else (
            spark.read.format(form)
        )
        return reader.schema("a int").load(str(file)).count()

    for seconds, is_asked in ((10**9, True), (10**9, False), (10**9 + 5, True)):
        os.utime(file, (seconds, seconds))
        assert runs.run(program).started == is_asked


@pytest.mark.parametrize("setting", [
    "spark.sql.parquet.mergeSchema", "spark.sql.sources.partitionColumnTypeInference.enabled",
])
def test_settings_by_which_a_source_gets_its_columns_count_when_it_is_read(runs: Runs, setting: str) -> None:
    (runs.folder / "some.parquet").write_text("PAR1")

    def program(value: str) -> Program:
        def run(spark: Any) -> Any:
            spark.conf.set(setting, value)
            table = spark.read.parquet(str(runs.folder / "some.parquet"))
            spark.conf.set(setting, "true")
            return table.count()
        return run

    for value, is_asked in (("true", True), ("true", False), ("false", True)):
        runs.run(program(value))
        assert runs.answerer.answers[-1].fresh == is_asked


def test_a_view_of_a_file_that_changed_since_is_asked_in_each_run(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        rows(spark).createOrReplaceTempView("some")
        (runs.folder / "rows.csv").write_text("a,b\n1,3\n")
        return spark.table("some").count()

    for _ in range(2):
        (runs.folder / "rows.csv").write_text("a,b\n1,2\n")
        assert runs.run(program).started
        (count,) = runs.answerer.answers
        assert "which was changed after a table of it was built" in count.why


@pytest.mark.parametrize("before", [
    "SET spark.sql.ansi.enabled = false", "USE other", "CREATE TABLE t AS SELECT 1 AS a", "DROP VIEW some",
])
def test_what_follows_a_statement_that_does_something_is_asked_anew(runs: Runs, before: str) -> None:
    def program(*statements: str) -> Program:
        def run(spark: Any) -> Any:
            rows(spark).createOrReplaceTempView("some")
            for one in statements:
                spark.sql(one)
            return spark.sql("SELECT a FROM some WHERE b > 1").count()
        return run

    runs.run(program())
    server = runs.run(program(before))
    assert any(isinstance(one, pb.Relation) for one in server.asked)


def test_paths_in_sql_keep_their_letters(runs: Runs) -> None:
    (runs.folder / "Rows.csv").write_text("a\n1\n")
    place = runs.folder / "Rows.csv"

    def program(spark: Any) -> Any:
        return spark.sql(f"SELECT * FROM csv.`{place}`").collect()

    runs.run(program)
    assert not runs.run(program).started
    place.write_text("a\n2\n")
    assert runs.run(program).started


def test_a_function_that_is_run_for_what_it_does_is_run_each_time(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        rows(spark).foreach(print)

    runs.run(program)
    assert runs.run(program).started


def test_a_model_that_is_read_counts_by_its_files(runs: Runs) -> None:
    folder = runs.folder / "model"
    folder.mkdir()
    (folder / "part-0").write_text("1")

    def program(spark: Any) -> Any:
        from pyspark.ml.classification import LogisticRegressionModel

        return LogisticRegressionModel.load(str(folder)).numClasses

    runs.run(program)
    assert not runs.run(program).started
    (folder / "part-0").write_text("2")
    assert runs.run(program).started


def test_a_column_is_called_as_its_author_writes_it(runs: Runs) -> None:
    from pyspark.sql import functions as F

    runs.run(lambda spark: rows(spark).select(F.col("a") + 1).collect())
    assert runs.run(lambda spark: rows(spark).select(1 + F.col("a")).collect()).started


def test_a_table_whose_version_nobody_tells_is_asked_each_time(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        return spark.sql("SELECT * FROM a JOIN elsewhere.b USING (id)").collect()

    runs.run(program)
    assert runs.run(program).started
    assert any(one.question.chance for one in runs.answerer.answers)


def test_a_function_that_gives_a_table_counts_by_its_code(runs: Runs) -> None:
    def program(spark: Any, step: int = 1) -> Any:
        from pyspark.sql.functions import udtf

        class Add:
            def eval(self, number: int) -> Iterator[tuple[int]]:
                yield (number + step,)

        spark.udtf.register("add", udtf(Add, returnType="n int"))
        return spark.sql("SELECT * FROM add(1)").collect()

    first, again, edited = runs.run(program), runs.run(program), runs.run(lambda spark: program(spark, 2))
    assert [one.started for one in (first, again, edited)] == [True, False, True]


@pytest.mark.parametrize("expression", ["rand()", "now()", "uuid()", "reflect('java.lang.Math', 'random')"])
def test_what_draws_or_asks_the_clock_is_asked_each_time(runs: Runs, expression: str) -> None:
    def program(spark: Any) -> Any:
        return rows(spark).selectExpr(expression).collect()

    runs.run(program)
    assert runs.run(program).started


def test_what_may_ask_for_the_user_is_asked_once_of_a_server_whose_user_is_known(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")

    def asked(user: str, condition: str) -> Any:
        answerer = answerer_of(FakeRecord(), FakeServer(), tmp_path)
        answerer.signer.user = user
        session = open_session(answerer, {})
        try:
            rows(session).where(condition).collect()
        finally:
            session.stop()
        return next(one.question for one in answerer.answers if one.question.kind == "rows")

    assert asked("", "user < 3").chance
    assert not asked("me", "user < 3").chance
    assert asked("me", "user < 3").identity != asked("you", "user < 3").identity
    assert asked("me", "other < 3").identity == asked("you", "other < 3").identity
    assert asked("me", "user < 3 AND day < current_date").chance


def test_a_draw_with_a_seed_is_asked_once(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        train, test = rows(spark).randomSplit([0.8, 0.2], seed=3)
        return train.count(), test.count()

    runs.run(program)
    assert not runs.run(program).started


def plus(amount: int) -> Program:
    def program(spark: Any) -> Any:
        from pyspark.sql import functions as F

        @F.udf("long")
        def more(value: str) -> int:
            return int(value) + amount

        return rows(spark).select(more("a")).collect()

    return program


def test_python_code_in_a_plan_counts(runs: Runs) -> None:
    runs.run(plus(1))
    assert not runs.run(plus(1)).started
    assert runs.run(plus(2)).started


def fitted(step: float, metric: str = "areaUnderROC") -> Program:
    def program(spark: Any) -> Any:
        from pyspark.ml.classification import LogisticRegression
        from pyspark.ml.evaluation import BinaryClassificationEvaluator

        model = LogisticRegression(regParam=step).fit(rows(spark))
        return model.transform(rows(spark)).collect(), BinaryClassificationEvaluator(metricName=metric)

    return program


def fits(server: FakeServer) -> int:
    commands = [one for one in server.asked if isinstance(one, pb.Command)]
    return sum(one.ml_command.WhichOneof("command") == "fit" for one in commands)


def test_a_model_is_fitted_again_only_where_it_is_needed(runs: Runs) -> None:
    assert fits(runs.run(fitted(0.1))) == 1
    assert not runs.run(fitted(0.1)).started
    assert fits(runs.run(fitted(0.2))) == 1

    def other_rows(spark: Any) -> Any:
        from pyspark.ml.classification import LogisticRegression

        return LogisticRegression(regParam=0.1).fit(rows(spark)).transform(rows(spark).limit(1)).collect()

    assert fits(runs.run(other_rows)) == 1  # its model is not stored, and the new rows need it


def test_what_a_model_gives_is_asked_anew_where_the_model_is_another_one(runs: Runs) -> None:
    def learned_of(condition: str) -> Program:
        def program(spark: Any) -> Any:
            from pyspark.ml.classification import LogisticRegression
            from pyspark.ml.evaluation import BinaryClassificationEvaluator
            from pyspark.ml.feature import Binarizer

            scored = LogisticRegression().fit(rows(spark).where(condition)).transform(rows(spark))
            BinaryClassificationEvaluator().evaluate(scored)
            Binarizer(inputCol="a", outputCol="b").transform(scored).collect()

        return program

    def asked() -> set[str]:
        return {one.question.identity for one in runs.answerer.answers if one.question.kind == "rows"}

    runs.run(learned_of("a > 1"))
    before = asked()
    runs.run(learned_of("a > 2"))
    assert before
    assert not before & asked()
    assert not runs.run(learned_of("a > 1")).started


def test_a_stored_model_is_read_where_it_is_needed(runs: Runs) -> None:
    runs.run(fitted(0.1))
    (fit,) = [one.question for one in runs.answerer.answers if one.question.kind == "fit"]
    runs.record.models[fit.identity] = ("org.apache.spark.ml.classification.LogisticRegressionModel", "/somewhere")

    def other_rows(spark: Any) -> Any:
        from pyspark.ml.classification import LogisticRegression

        return LogisticRegression(regParam=0.1).fit(rows(spark)).transform(rows(spark).limit(1)).collect()

    server = runs.run(other_rows)
    assert fits(server) == 0
    assert [one.ml_command.read.path for one in server.asked if isinstance(one, pb.Command)] == ["/somewhere"]


def test_equal_questions_at_the_same_time_are_asked_once(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        frame = rows(spark).groupBy("a").count()
        threads = [threading.Thread(target=frame.collect) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    server = runs.run(program)
    assert sum(isinstance(one, pb.Relation) for one in server.asked) == 1


def written(spark: Any) -> None:
    rows(spark).write.mode("overwrite").parquet("out")


def test_a_write_is_left_out_while_what_it_wrote_lies_there(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    out = runs.folder / "out"

    def execute(self: FakeServer, request: Any, metadata: Any = None) -> Iterator[Any]:
        if request.plan.command.HasField("write_operation"):
            out.mkdir(exist_ok=True)
            (out / "part-0").write_text("rows")
        return told(self, request, metadata)

    told = FakeServer.ExecutePlan
    monkeypatch.setattr(FakeServer, "ExecutePlan", execute)
    assert runs.run(written).started
    assert not runs.run(written).started
    (out / "part-0").write_text("something else")
    assert runs.run(written).started
    assert not runs.run(written).started


def test_rows_that_are_added_to_a_place_are_written_each_time(runs: Runs) -> None:
    def program(spark: Any) -> None:
        rows(spark).write.mode("append").parquet("out")

    (runs.folder / "out").mkdir()
    (runs.folder / "out" / "part-0").write_text("rows")
    runs.run(program)
    assert runs.run(program).started


@pytest.mark.parametrize(("place", "kept", "before"), [
    ("some", "", ["list"]), ("some", "persist", ["list", "persist"]), ("some", "unpersist", ["list"]), ("out", "", []),
])
def test_a_server_has_the_tables_of_a_folder_before_it_writes_there(
    runs: Runs, place: str, kept: str, before: list[str],
) -> None:
    (runs.folder / "some").mkdir()
    (runs.folder / "some" / "part.csv").write_text("a\n1\n")

    def program(spark: Any) -> int:
        table = spark.read.schema("a int").csv("some")
        if kept:
            table.persist()
        count: int = table.count()  # recorded, as is the schema: without the write no server is needed
        if kept == "unpersist":
            table.unpersist()
        spark.range(1).write.mode("append").csv(place)
        return count

    runs.run(program)
    kinds = []
    for request in runs.run(program).asked:
        if isinstance(request, pb.Command):
            kinds.append("write")
        elif isinstance(request, pb.AnalyzePlanRequest):
            is_source = request.HasField("schema") and request.schema.plan.root.read.HasField("data_source")
            kinds += ["list"] if is_source else ["persist"] if request.HasField("persist") else []
    assert kinds == [*before, "write"]


def test_an_unpersisted_table_is_released_once_its_files_have_changed(runs: Runs) -> None:
    (file := runs.folder / "some.csv").write_text("a\n1\n")

    def program(spark: Any) -> int:
        table = spark.read.schema("a int").csv("some.csv").persist()
        table.count()
        table.unpersist()  # it stays, to be stored at the end
        with file.open("a") as stream:
            stream.write("2\n")
        count: int = spark.read.schema("a int").csv("some.csv").count()
        return count

    asked = runs.run(program).asked
    kinds = [one.WhichOneof("analyze") if isinstance(one, pb.AnalyzePlanRequest) else "rows" for one in asked]
    assert [kind for kind in kinds if kind != "schema"] == ["persist", "rows", "unpersist", "rows"]


def test_rows_of_files_that_change_after_a_write_beside_a_persisted_table_are_not_recorded(runs: Runs) -> None:
    (runs.folder / "some").mkdir()
    (runs.folder / "some" / "part.csv").write_text("a\n1\n")

    def program(spark: Any) -> None:
        table = spark.read.schema("a int").csv("some").persist()
        spark.range(1).write.mode("append").csv("some")  # Spark registers the table
        (runs.folder / "some" / "late.csv").write_text("a\n2\n")
        spark.read.schema("a int").csv("some").count()  # which Spark takes for the table
        table.unpersist()

    runs.run(program)
    assert "was changed" in runs.answerer.answers[-1].why


def test_what_is_persisted_is_kept_by_a_server_that_has_to_run_it(runs: Runs) -> None:
    def program(least: int) -> Program:
        def run(spark: Any) -> Any:
            frame = rows(spark).cache()
            return frame.count(), frame.where(f"a > {least}").count()
        return run

    runs.run(program(1))
    again = runs.run(program(1))
    assert not again.started
    edited = runs.run(program(2))
    kinds = [one.WhichOneof("analyze") for one in edited.asked if isinstance(one, pb.AnalyzePlanRequest)]
    assert kinds.count("persist") == 1


@pytest.mark.parametrize(("text", "plain", "classic"), [
    ("from pyspark.sql import SparkSession\n", True, None),
    ("import pyspark.sql\nimport helix_spark.auto\n", True, None),
    ("import helix_spark as hx\nfrom pyspark.sql import functions as F\n", False, None),
    ("import pyspark\nspark.sparkContext.setLogLevel('WARN')\n", True, None),
    ("import pyspark\nsc = spark.sparkContext\nsc.setLogLevel('WARN')\nprint(sc.uiWebUrl)\n", True, None),
    ("import pyspark\nsc = spark.sparkContext\nsc.parallelize([1])\n", True, ".sparkContext"),
    ("import pyspark\nsc = spark.sparkContext\nf(sc)\n", True, ".sparkContext"),
    ("import pyspark\nrows.rdd.map(f)\n", True, ".rdd"),
    ("import pyspark\nif verbose:\n    print(rows.rdd.getNumPartitions())\n", True, None),
    ("import pyspark\nprint(rows.rdd.getNumPartitions() if verbose else '')\n", True, None),
    ("import pyspark\ndef main():\n    rows.rdd.map(f)\nif __name__ == '__main__':\n    main()\n", True, ".rdd"),
    ("import pyspark\nif __name__ == '__main__':\n    rows.rdd.map(f)\n", True, ".rdd"),
    ("import typing, pyspark\nif typing.TYPE_CHECKING:\n    from pyspark import SparkContext\n", True, None),
    ("import pyspark\nmodel.write().format('pmml').save(path)\n", True, '.format("pmml")'),
    ("import pyspark\nother = spark.newSession()\n", True, ".newSession"),
    ("import pyspark\nspark.sparkContext.parallelize([1])\n", True, ".sparkContext"),
    ("from pyspark import SparkContext\n", True, "pyspark.SparkContext"),
    ("import pyspark\nfrom delta import configure_spark_with_delta_pip\n", True, None),
    ("import pyspark\nfrom delta.tables import DeltaTable\n", True, "delta.tables.DeltaTable"),
    ("import pyspark\nimport delta.tables\n", True, "delta.tables"),
])
def test_the_text_of_a_program_tells_what_it_needs(tmp_path: Path, text: str, plain: bool, classic: str | None) -> None:
    file = tmp_path / "train.py"
    file.write_text(text)
    assert is_plain_program(file) is plain
    found = needs_classic(file)
    assert (found and found.what) == classic


def test_modules_beside_a_program_are_looked_at_too(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("def f(rows):\n    return rows.rdd\n")
    (tmp_path / "train.py").write_text("import pyspark\nfrom beside import f\n")
    found = needs_classic(tmp_path / "train.py")
    assert found is not None
    assert (found.file.name, found.line) == ("beside.py", 2)


def test_what_is_persisted_of_data_that_changed_is_not_put_on_record(runs: Runs) -> None:
    def program(text: str) -> Program:
        def run(spark: Any) -> Any:
            frame = rows(spark).cache()
            frame.count()
            (runs.folder / "rows.csv").write_text(text)
            return frame.count()
        return run

    runs.run(program("a,b\n1,3\n"))
    assert runs.run(lambda spark: rows(spark).cache().count()).started


class Writing(FakeServer):
    """Writes a file in the place of each part of a model, and deletes what is in the way."""

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Iterator[Any]:  # noqa: N802 - the service calls it so
        command = request.plan.command
        if command.ml_command.HasField("fetch"):
            shutil.rmtree(command.ml_command.fetch.methods[-1].args[0].param.string, ignore_errors=True)
        elif path := command.write_operation.path or command.ml_command.write.path:
            Path(path).mkdir(parents=True)
            Path(path, "part-0").write_bytes(command.SerializeToString())
        return super().ExecutePlan(request, metadata)


    @property
    def commands(self) -> int:
        return sum(type(one).__name__ == "Command" for one in self.asked)


def _saved(folder: Path, threshold: float = 0.0) -> Program:
    def program(spark: Any) -> None:
        from pyspark.ml import Pipeline
        from pyspark.ml.feature import Binarizer

        stage, pipeline = Binarizer(threshold=threshold, inputCol="a", outputCol="c"), Pipeline()
        stage._resetUid("Binarizer_1")
        pipeline._resetUid("Pipeline_1")
        pipeline.setStages([stage]).write().overwrite().save(str(folder / "model"))
    return program


def test_a_model_of_several_parts_is_saved_once(runs: Runs) -> None:
    def commands(threshold: float = 0.0) -> int:
        server = Writing()
        runs.run(_saved(runs.folder, threshold), server=server)
        return server.commands

    assert commands() == 3  # room is made, then there are metadata and a stage
    assert not runs.run(_saved(runs.folder), server=Writing()).started
    assert commands(threshold=1.0) == 3
    assert commands() == 3  # another one lay there


def test_a_saved_model_whose_files_were_changed_is_saved_again(runs: Runs) -> None:
    runs.run(_saved(runs.folder), server=Writing())
    (runs.folder / "model" / "more").write_text("of somebody else's")
    server = Writing()
    runs.run(_saved(runs.folder), server=server)
    assert server.commands == 3
    assert not (runs.folder / "model" / "more").exists()


def test_a_model_that_is_not_to_replace_one_is_written_each_time(runs: Runs) -> None:
    def program(spark: Any) -> None:
        from pyspark.ml import Pipeline

        Pipeline(stages=[]).save(str(runs.folder / "model"))

    runs.run(program, server=Writing())
    with pytest.raises(FileExistsError):
        runs.run(program, server=Writing())


@pytest.mark.parametrize("asks", [
    lambda spark: rows(spark).count(),
    lambda spark: spark.conf.set("spark.executor.memory", "1g"),
    lambda spark: spark.sql("DROP VIEW some"),
    lambda spark: spark.catalog.setCurrentDatabase("other"),
])
def test_a_plan_asks_no_server(runs: Runs, asks: Program) -> None:
    def program(spark: Any) -> None:
        with pytest.raises(UnansweredError):
            asks(spark)

    assert not runs.run(program, mode="plan").started


def test_an_interrupt_reaches_a_server_that_is_asked_something_and_no_other(runs: Runs) -> None:
    interrupted: list[int] = []

    class Interrupted(FakeServer):
        def Interrupt(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - the service calls it so
            assert request.client_observed_server_side_session_id in ("", "real"), "a session that it has not"
            interrupted.append(request.interrupt_type)
            return pb.InterruptResponse()

    assert not runs.run(lambda spark: spark.interruptAll()).started
    runs.run(lambda spark: (rows(spark).count(), spark.interruptAll()), server=Interrupted())
    assert interrupted == [pb.InterruptRequest.INTERRUPT_TYPE_ALL]


def test_a_program_may_fit_in_threads_of_its_own(runs: Runs) -> None:
    found: list[object] = []

    def program(spark: Any) -> None:
        from pyspark.ml.classification import LogisticRegression

        def fit() -> None:
            found.append(LogisticRegression().fit(rows(spark)).numClasses)

        thread = threading.Thread(target=fit)
        thread.start()
        thread.join()

    runs.run(program)
    assert found == [2]


def test_a_server_is_asked_what_an_error_was_in_its_own_session(tmp_path: Path) -> None:
    answerer = answerer_of(FakeRecord(), FakeServer(), tmp_path)
    request = pb.FetchErrorDetailsRequest(session_id="mine", client_observed_server_side_session_id=SERVER_SESSION)
    assert answerer.FetchErrorDetails(request).server_side_session_id == SERVER_SESSION


def test_names_that_pyspark_draws_are_the_same_in_each_run(control_draws: Callable[[], None]) -> None:
    from pyspark.ml import classification

    drawn = []
    for _ in range(2):
        control_draws()
        drawn.append([str(vars(classification)["uuid"].uuid4()) for _ in range(3)])
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 3


def test_seeds_that_an_author_leaves_out_are_the_same_in_each_run(
    runs: Runs, control_draws: Callable[[], None]
) -> None:
    def program(spark: Any) -> Any:
        from pyspark.sql import functions as F

        table = rows(spark)
        sampled = table.sample(0.5), table.sample(True, 0.5), table.sampleBy("a", {1: 0.5}), *table.randomSplit([1, 1])
        return [one.take(1) for one in (*sampled, table.select(F.rand(), F.randn()))]

    for started in (True, False):
        control_draws()
        assert runs.run(program).started is started


def test_a_function_is_pickled_once_as_in_a_classic_session(runs: Runs) -> None:
    step = [1]

    def added(later: int) -> Program:
        def program(spark: Any) -> Any:
            from pyspark.sql import functions as F

            step[0] = 1
            plus = F.udf(lambda number: number + step[0], "int")
            first = rows(spark).select(plus("a"))
            step[0] = later
            return first.collect(), rows(spark).select(plus("a")).collect(), first.collect()

        return program

    server = runs.run(added(2))
    assert len({one.project.expressions[0].common_inline_user_defined_function.python_udf.command
                for one in server.asked if hasattr(one, "project")}) == 1
    assert not runs.run(added(3)).started
