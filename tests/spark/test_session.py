"""The session: started at most once and on demand, quiet, and gone without a trace; the user's is left as it was."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.engine.results.node_results import nullable
from helix_spark.engine.server.session import Sessions
from helix_spark.engine.spark.borrowed import holding, results_settings_of
from helix_spark.engine.spark.jars import spark_home
from helix_spark.engine.spark.settings import CHANGES_RESULTS, DELTA, WHERE_SET, WHILE_WE_WORK
from helix_spark.errors import SetupError

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("stages_compiled")]
ROOT = Path(__file__).resolve().parents[2]


def run(tmp_path: Path, script: str, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs a script in a process of its own, in an empty folder."""
    (tmp_path / "job").mkdir()
    file = tmp_path / "script.py"
    file.write_text(textwrap.dedent(script))
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), "HELIX_CDS": "off", "PYSPARK_PYTHON": sys.executable}
    surroundings.pop("PYTHONUNBUFFERED", None)
    return subprocess.run(
        [*(command or (sys.executable,)), str(file)], cwd=tmp_path / "job", env=surroundings | environ,
        capture_output=True, text=True, timeout=300, check=False,
    )


def test_a_large_table_in_memory_reaches_spark_once(spark: SparkSession) -> None:
    """The client sends tables of more than a megabyte ahead of the plans that read them."""
    large = nullable(spark.createDataFrame(pa.table({"n": pa.array(range(400_000), pa.int64())})))
    assert large.agg(F.sum("n")).collect()[0][0] == 400_000 * 399_999 // 2


def test_what_is_planned_is_what_the_session_has(sessions: Sessions, spark: SparkSession) -> None:
    planned = Sessions(settings={"spark.sql.legacy.x": "1"})
    planned._starting = sessions._starting  # stands for a provider that has not looked for an active session
    assert sessions.settings_that_change_results()["spark.sql.session.timeZone"] == "UTC"
    assert spark.conf.get("spark.sql.ansi.enabled") == "true"
    assert sessions.started
    assert sessions.start_seconds > 0


def test_a_running_session_tells_what_it_has_now(sessions: Sessions, spark: SparkSession) -> None:
    before = sessions.settings_that_change_results()
    with holding(spark, {
        "spark.sql.ansi.enabled": "false", "spark.sql.legacy.charVarcharAsString": "true",
        "spark.sql.parser.escapedStringLiterals": "TRUE", "spark.sql.autoBroadcastJoinThreshold": "-1",
    }):
        changed = sessions.settings_that_change_results()
        assert changed["spark.sql.ansi.enabled"] == "false"
        assert changed["spark.sql.legacy.charVarcharAsString"] == "true"
        assert changed["spark.sql.parser.escapedStringLiterals"] == "true"
        assert len(changed) == len(before) + 2
    assert sessions.settings_that_change_results() == before


def test_settings_that_change_results_start_as_sparks_own_defaults(jvm_session: SparkSession) -> None:
    conf = jvm_session._jvm.org.apache.spark.sql.internal.SQLConf()
    defaults = {name: conf.getConfString(name) for name in CHANGES_RESULTS if name != "spark.sql.session.timeZone"}
    assert defaults.items() <= CHANGES_RESULTS.items()


def test_settings_that_count_where_they_are_set_are_sparks_and_nobody_has_set_them(spark: SparkSession) -> None:
    assert [name for name in sorted(WHERE_SET) if not spark.conf.isModifiable(name)] == []
    assert results_settings_of(spark).keys() == CHANGES_RESULTS.keys()


def test_what_nobody_set_counts_as_spark_takes_it(spark: SparkSession, jvm_session: SparkSession) -> None:
    zones = jvm_session._jvm.java.util.TimeZone
    before, of_machine = spark.conf.get("spark.sql.session.timeZone"), zones.getDefault()
    try:
        spark.conf.unset("spark.sql.session.timeZone")
        zones.setDefault(zones.getTimeZone("Asia/Tokyo"))
        assert results_settings_of(spark)["spark.sql.session.timeZone"] == "Asia/Tokyo"
    finally:
        zones.setDefault(of_machine)
        spark.conf.set("spark.sql.session.timeZone", before)


def test_the_active_session_is_taken_and_given_back_unchanged(spark: SparkSession) -> None:
    name = "parquet.page.verify-checksum.enabled"
    assert spark.conf.get(name, None) is None
    with Sessions() as provider:
        assert provider.started
        assert provider.get() is spark
        assert provider.start_seconds == 0.0
        assert {key: spark.conf.get(key) for key in WHILE_WE_WORK} == dict(WHILE_WE_WORK)
    assert spark.conf.get(name, None) is None
    assert spark.range(3).count() == 3


def test_what_is_asked_for_after_the_end_changes_no_setting(spark: SparkSession) -> None:
    with Sessions() as provider:
        provider.get()
    assert provider.get() is spark
    assert spark.conf.get("parquet.page.verify-checksum.enabled", None) is None


def test_threads_that_ask_at_once_get_one_session(sessions: Sessions, spark: SparkSession) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: id(sessions.get()), range(16))) == {id(spark)}


@pytest.mark.parametrize("kept", ["in memory", "in files"])
def test_functions_of_python_read_columns_that_are_kept(spark: SparkSession, tmp_path: Path, kept: str) -> None:
    numbers = spark.range(4).withColumn("b", F.col("id") + 1)
    if kept == "in files":
        numbers.write.parquet(str(tmp_path / "numbers"))
        numbers = spark.read.parquet(str(tmp_path / "numbers"))
    else:
        numbers.persist().count()

    def doubled(value: int) -> int:
        return value * 2

    made = numbers.select(F.udf(doubled, "long")("b").alias("c"))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(made.collect)
        try:
            assert sorted(row.c for row in waiting.result(timeout=60)) == [2, 4, 6, 8]
        finally:
            spark.interruptAll()  # if it waits for ever
            numbers.unpersist()


def test_delta_works_and_pages_are_checked(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(10).write.format("delta").save(str(tmp_path / "table"))
    assert spark.read.format("delta").load(str(tmp_path / "table")).count() == 10
    assert spark.conf.get("spark.hadoop.parquet.page.verify-checksum.enabled") == "true"
    assert spark.conf.get("spark.scheduler.mode") == "FAIR"


def test_a_setting_that_leaves_delta_out_is_refused() -> None:
    with pytest.raises(SetupError, match="leaves Delta out"):
        Sessions(settings={"spark.sql.extensions": "org.example.Extensions"})


@pytest.mark.slow
@pytest.mark.long
def test_a_start_says_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run(tmp_path, """
        import sys
        from helix_spark.engine.server.session import Sessions
        provider = Sessions(settings={"spark.master": "local[2]", "spark.sql.legacy.timeParserPolicy": "LEGACY"})
        planned = provider.settings_that_change_results()
        assert not provider.started and "pyspark" not in sys.modules
        provider.warm()
        spark = provider.get()
        assert provider.settings_that_change_results() == planned, provider.settings_that_change_results()
        spark.sql("create table kept (x int) using delta")
        print(spark.range(4).selectExpr("sum(id)").collect()[0][0])
        provider.close()
        provider.close()
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "6\n"
    assert done.stderr == ""
    assert list((tmp_path / "job").iterdir()) == []


@pytest.mark.slow
@pytest.mark.long
def test_a_classic_session_of_the_users_is_worked_in_and_stays_classic(tmp_path: Path) -> None:
    done = run(tmp_path, """
        import pandas as pd
        from pyspark.ml import Model
        from pyspark.ml.classification import LogisticRegression
        from pyspark.ml.feature import VectorAssembler
        from pyspark.sql import DataFrame, SparkSession
        from pyspark.sql import functions as F
        from helix_spark.engine.spark.jars import delta_jars
        from helix_spark.engine.spark.settings import DELTA
        import helix_spark as hx

        builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
        builder = builder.config("spark.driver.extraClassPath", ":".join(map(str, delta_jars())))
        for name, value in DELTA.items():
            builder = builder.config(name, value)
        spark = builder.getOrCreate()
        learner = LogisticRegression(maxIter=2, labelCol="rich")  # of the classic session
        spark.range(3).createOrReplaceTempView("theirs")

        wf = hx.Workflow("people")
        wf.source("people", hx.table(pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0], "rich": [0, 1, 0, 1]})))

        @wf.scanner(output=True)
        def grown(people: DataFrame) -> DataFrame:
            more = F.udf(lambda age: age + 1, "double")
            return VectorAssembler(inputCols=["age"], outputCol="features").transform(
                people.withColumn("age", more("age"))
            )

        @wf.learner(output=True, depends_on=[])  # what the classic learner reads nobody sees
        def model(grown: DataFrame) -> Model:
            return learner.fit(grown)

        @wf.reducer(output=True)
        def seen(grown: DataFrame) -> int:
            return grown.sparkSession.table("theirs").count() + grown.count()

        with hx.Helix("catalog", spark=spark) as helix:
            iteration = helix.run(wf)
            print(iteration["seen"], type(F.col("x")).__module__)
            table, fitted = iteration.table("grown"), iteration.model("model")
            print(table.rdd.getNumPartitions() > 0, table.select(F.sum("age")).first()[0])
            print(fitted.transform(table).select("prediction").count(), fitted.hasSummary)
            iteration.wait()
            print([node.name for node in helix.run(wf).plan.nodes if node.state.name == "COMPUTE"])
        print(spark.range(3).select(F.udf(lambda n: n + 1, "long")("id")).count(), spark.catalog.tableExists("theirs"))
        spark.stop()
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "7 pyspark.sql.classic.column", "True 144.0", "4 True", "['seen']", "3 True",
    ]


@pytest.mark.slow
@pytest.mark.long
def test_a_session_without_delta_is_refused_with_the_lines_to_add(tmp_path: Path) -> None:
    done = run(tmp_path, """
        from pyspark.sql import SparkSession
        spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
        from helix_spark.engine.server.session import Sessions
        from helix_spark.errors import SetupError
        try:
            Sessions().get()
        except SetupError as error:
            print(error)
        assert spark.range(2).count() == 2
        spark.stop()
        with Sessions(settings={"spark.master": "local[1]", "spark.sql.shuffle.partitions": "2"}) as provider:
            provider.get().range(5).write.format("delta").save("table")
            print("stored", provider.get().read.format("delta").load("table").count())
    """)
    assert done.returncode == 0, done.stderr
    assert "--packages io.delta:delta-spark_" in done.stdout
    assert all(f"--conf {name}={value}" in done.stdout for name, value in DELTA.items())
    assert "stored 5" in done.stdout  # in the same JVM, which was started without Delta


@pytest.mark.slow
@pytest.mark.long
def test_where_a_session_by_spark_connect_was_stopped_one_of_our_own_is_started(tmp_path: Path) -> None:
    done = run(tmp_path, """
        import os
        from pyspark.sql import DataFrame
        import pandas as pd
        import helix_spark as hx
        os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"  # as pyspark does when somebody makes the session

        wf = hx.Workflow("people")
        wf.source("people", hx.table(pd.DataFrame({"age": [20, 30]})))

        @wf.scanner
        def grown(people: DataFrame) -> DataFrame:
            return people.rdd.map(lambda row: (row.age + 1,)).toDF(["age"])

        @wf.reducer(output=True)
        def total(grown: DataFrame) -> int:
            return grown.groupBy().sum("age").first()[0]

        with hx.Helix("catalog", settings={"spark.master": "local[1]"}) as helix:
            print(helix.run(wf)["total"])
    """)
    assert done.stdout == "52\n", done.stderr


@pytest.mark.slow
@pytest.mark.long
def test_spark_submit_needs_no_packages_and_its_settings_hold(tmp_path: Path) -> None:
    submit = (str(spark_home() / "bin" / "spark-submit"), "--master", "local[2]", "--conf", "spark.ui.enabled=false")
    done = run(tmp_path, """
        from helix_spark.engine.server.session import Sessions
        with Sessions() as provider:
            planned = provider.settings_that_change_results()
            assert planned["spark.sql.session.timeZone"] == "Asia/Tokyo", planned
            assert not provider.started
            spark = provider.get()
            assert provider.settings_that_change_results() == planned
            assert spark.sparkContext.master == "local[2]"
            spark.range(7).write.format("delta").save("table")
            print("stored", spark.read.format("delta").load("table").count())
    """, *submit, "--conf", "spark.sql.session.timeZone=Asia/Tokyo")
    assert "stored 7" in done.stdout, done.stderr
    assert done.returncode == 0


@pytest.mark.slow
@pytest.mark.long
def test_no_java_is_a_sentence_not_a_stack_trace(tmp_path: Path) -> None:
    done = run(tmp_path, """
        from helix_spark.engine.server.session import Sessions
        from helix_spark.errors import SetupError
        provider = Sessions()
        provider.warm()
        for _ in range(2):
            try:
                provider.get()
            except SetupError as error:
                print(error.what)
    """, JAVA_HOME=str(tmp_path))
    assert done.stdout.count("there is no bin/java in it") == 2
    assert done.stderr == ""


@pytest.mark.slow
def test_what_the_caller_imports_meanwhile_never_meets_half_a_module(tmp_path: Path) -> None:
    """As `helix watch` does: it begins to start Spark, and loads the author's file, which imports from the middle."""
    done = run(tmp_path, """
        import sys
        from helix_spark.engine.server import session, starting
        from helix_spark.engine.spark.connect_server import import_pyspark
        sys.setswitchinterval(1e-5)
        def started(*given):
            import_pyspark()
            from pyspark import SparkConf
            raise RuntimeError("as far as this test goes")
        starting.start_server = started
        session.Sessions().warm()
        from pyspark.sql import Column, DataFrame, functions
        print("whole")
    """)
    assert done.stdout == "whole\n", done.stderr


KILLED = """
    import os, signal
    import pandas as pd
    import helix_spark as hx
    from pyspark import SparkContext
    from pyspark.sql import DataFrame

    def job(kills: bool, more: int = 0) -> hx.Workflow:
        wf = hx.Workflow("job")
        wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

        @wf.scanner
        def rows(data: DataFrame) -> DataFrame:
            return data.selectExpr("a * 2 AS a")

        @wf.reducer
        def known(rows: DataFrame) -> int:
            return rows.count()

        @wf.reducer(output=True)
        def total(rows: DataFrame, known: int) -> int:
            if kills:
                os.kill(SparkContext._gateway.proc.pid, signal.SIGKILL)
            return int(rows.groupBy().sum("a").first()[0]) + more

        return wf

    helix = hx.Helix("catalog", policy="always")
    print("first", helix.run(job(False))["total"])
    helix.wait()
    first = SparkContext._gateway.proc.pid
    try:
        helix.run(job(True))
    except hx.HelixError as error:
        print(type(error).__name__, error)
    helix.wait()
    print("status", helix.catalog.iterations()[0].status)
    print("again", helix.run(job(False, 1))["total"])
    print("another", SparkContext._gateway.proc.pid != first)
    helix.wait()
    helix.sessions.get().stop()
    print("stopped", helix.run(job(False, 2))["total"])
    helix.wait()
    os.kill(SparkContext._gateway.proc.pid, signal.SIGKILL)
    SparkContext._gateway.proc.wait()
    helix.close()
    print("closed")
    given = hx.Helix("given", policy="always", spark=hx.Helix("other").sessions.get())
    for kills in (True, False):
        try:
            given.run(job(kills))
        except hx.HelixError as error:
            print("given", type(error).__name__, error.what)
        given.wait()
    print("status", given.catalog.iterations()[0].status)
"""


@pytest.mark.long
def test_a_driver_that_is_killed_is_told_and_the_next_run_starts_another(tmp_path: Path) -> None:
    done = run(tmp_path, KILLED)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0] == "first 12"
    assert "NodeError" in said[1]
    assert "reducer 'total' failed: the JVM of Spark's driver was killed by signal 9" in done.stdout
    assert "run it again" in done.stdout
    assert said[-8:] == [
        "status failed", "again 13", "another True", "stopped 14", "closed",
        "given NodeError reducer 'total' failed: the JVM of Spark's driver was killed by signal 9",
        "given SetupError the Spark session was stopped, or its JVM has ended",
        "status failed",
    ]


def test_settings_hold_in_each_thread_that_builds_plans(spark: SparkSession, tmp_path: Path) -> None:
    workflow = hx.Workflow("casts")
    rows = workflow.source("rows", hx.table(pd.DataFrame({"a": ["x"]})))

    @workflow.scanner
    def captured(rows: DataFrame) -> DataFrame:
        return rows.select(F.expr("cast('x' as int)").alias("b"), F.expr("cast(a as int)").alias("c"))

    @workflow.reducer(output=True)
    def called(captured: DataFrame) -> list[object]:
        return [list(row) for row in captured.select("b", "c", F.expr("cast('y' as int)")).collect()]

    assert rows.name == "rows"
    with (
        holding(spark, {"spark.sql.ansi.enabled": "false"}), hx.Helix(tmp_path / "catalog", spark=spark) as helix,
        ThreadPoolExecutor(1) as pool,
    ):
        assert pool.submit(helix.run, workflow).result()["called"] == [[None, None, None]]
