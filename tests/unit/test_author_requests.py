"""What the author's code has Spark read by itself, draw or set is seen in what it sends, whichever way it asks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

from helix_spark.engine.lowering.watcher import AuthorRequests
from helix_spark.hermetic.action import Action, in_action
from helix_spark.hermetic.observed_inputs import ObservedInputs
from helix_spark.plans.connect_session import prepare
from helix_spark.plans.current_program import session_restored, work_in
from helix_spark.plans.program_client import session_of, showing_requests

ANSI, ZONE = "spark.sql.ansi.enabled", "spark.sql.session.timeZone"


class Server:
    """Answers settings alone; what else it is sent fails."""

    def __init__(self) -> None:
        self.settings: dict[str, str] = {}

    def Config(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - the service calls it so
        import pyspark.sql.connect.proto as pb

        operation = request.operation
        match operation.WhichOneof("op_type"):
            case "set":
                self.settings |= {pair.key: pair.value for pair in operation.set.pairs}
            case "unset":
                self.settings = {key: one for key, one in self.settings.items() if key not in operation.unset.keys}
            case "get_with_default":
                pairs = [(one.key, self.settings.get(one.key)) for one in operation.get_with_default.pairs]
                return pb.ConfigResponse(session_id=request.session_id, pairs=[
                    pb.KeyValue(key=key, value=value) for key, value in pairs
                ])
        return pb.ConfigResponse(session_id=request.session_id)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def refuse(request: Any, metadata: Any = None) -> Any:
            raise ConnectionError

        return refuse


@pytest.fixture
def spark() -> Iterator[Any]:
    prepare()
    session = session_of(Server(), {"spark.app.name": "job"})
    with session_restored():
        work_in(lambda: session)
        yield session


Call = Callable[[Any], object]


def requests(call: Call, spark: Any, **how: bool) -> tuple[ObservedInputs, AuthorRequests]:
    """What was seen of a call that is given a session, and what its requests said."""
    action = Action("a")
    assert action.watch is not None
    noted = AuthorRequests(action.watch, **how)
    action.note_request = noted.note
    with in_action(action), contextlib.suppress(Exception):
        call(spark)
    return action.observed_inputs(), noted


def seen(call: Call, spark: Any, **how: bool) -> ObservedInputs:
    return requests(call, spark, **how)[0]


def each(*calls: Call) -> Call:
    def call(spark: Any) -> None:
        for one in calls:
            with contextlib.suppress(Exception):
                one(spark)

    return call


def rows(spark: Any) -> Any:
    return spark.range(3)


def sql(text: str, *given: Any) -> Call:
    return lambda spark: spark.sql(text, **{name: rows(spark) for name in given})


READ: dict[str, tuple[Call, str]] = {
    "a file": (lambda spark: spark.read.csv("a.csv").count(), "reads a.csv by itself (test_author_requests.py:"),
    "by a session that it finds": (
        lambda _: SparkSession.builder.getOrCreate().read.json("a.json").count(), "reads a.json by itself",
    ),
    "something without a path": (lambda spark: spark.read.load(format="mine").count(), "reads a source by itself"),
    "a table": (lambda spark: spark.table("prices").count(), "reads the table prices by itself"),
    "a table of a reader": (lambda spark: spark.read.table("prices").count(), "reads the table prices by itself"),
    "a model": (lambda _: PipelineModel.load("a"), "reads a/metadata by itself"),
    "in SQL": (sql("SELECT max(n)\nFROM\n prices"), "reads the table prices by itself"),
    "in SQL beside what it is given": (sql("SELECT 1 FROM {x} r, prices", "x"), "reads the table prices by itself"),
    "in SQL by a name that is an argument": (sql("SELECT 1 FROM IDENTIFIER(:t)"), "reads the table IDENTIFIER"),
    "in SQL that nobody can parse": (sql("WITH a AS (TABLE t) SELECT * FROM a"), "reads tables that its SQL names"),
    "beside a view of its own": (
        each(lambda spark: rows(spark).createTempView("x"), sql("SELECT 1 FROM x JOIN prices")),
        "reads the table prices by itself",
    ),
    "a view of another name": (
        each(lambda spark: rows(spark).createOrReplaceTempView("other"), sql("SELECT 1 FROM people")),
        "reads the table people",
    ),
}


@pytest.mark.parametrize(("call", "words"), READ.values(), ids=READ)
def test_what_is_read_is_seen_unless_its_author_says_by_a_version_what_that_is(
    spark: Any, call: Call, words: str
) -> None:
    (found,) = seen(call, spark).outside
    assert words in found
    assert "make it a source of the workflow, or name it in depends_on=" in found
    assert seen(call, spark, reads_declared=True).outside == ()


OWN: dict[str, Call] = {
    "no table": sql("SELECT 1, 'mail from Bob', a IS NOT DISTINCT FROM b"),
    "what it is given": sql("SELECT max(n) FROM {x} -- from nowhere", "x"),
    "what SQL defines": sql("WITH t(n) AS (SELECT max(n) FROM {x}) SELECT n FROM t, explode(n) e", "x"),
    "a view of its own": each(lambda spark: rows(spark).createOrReplaceTempView("people"),
                              sql("SELECT 1 FROM People"), lambda spark: spark.table("people").count()),
    "one of all sessions": each(lambda spark: rows(spark).createGlobalTempView("p"),
                                lambda spark: spark.read.table("global_temp.p").count()),
    "one that SQL makes": each(sql("CREATE OR REPLACE TEMP VIEW own AS SELECT * FROM {x}", "x"),
                               sql("SELECT * FROM own")),
    "rows of its own": lambda spark: spark.createDataFrame([(1,)], "n int").count(),
    "settings": sql("SET spark.least = 1"),
}


@pytest.mark.parametrize("call", OWN.values(), ids=OWN)
def test_what_it_is_given_and_what_it_registers_is_its_own(spark: Any, call: Call) -> None:
    assert seen(call, spark).outside == ()


def test_what_its_inputs_are_made_of_is_none_of_what_it_reads_or_draws(spark: Any) -> None:
    given = spark.read.csv("a.csv").sample(0.1, seed=1)
    found = seen(lambda _: given.where("n > 1").count(), spark, gets_frames=True)
    assert (found.outside, found.chance) == ((), ())


def test_what_a_table_is_made_of_that_a_function_holds_is_what_it_reads(spark: Any) -> None:
    held = spark.read.csv("a.csv")
    (found,) = seen(lambda _: held.count(), spark).outside
    assert "reads a.csv by itself" in found


@pytest.mark.parametrize(
    ("call", "called"),
    [
        (lambda spark: rows(spark).selectExpr("Score(id)").count(), {"score"}),
        (lambda spark: spark.sql("SELECT score(1), upper('a')").count(), {"score"}),
        (each(lambda spark: spark.udf.register("Score", lambda n: n), sql("SELECT score(1)")), set()),
        (lambda spark: rows(spark).selectExpr("upper('a')", "id + 1").count(), set()),
    ],
    ids=["in a plan", "in SQL", "registered by itself", "of Spark"],
)
def test_functions_of_the_session_that_it_calls_are_known(spark: Any, call: Call, called: set[str]) -> None:
    _, noted = requests(call, spark)
    assert noted.called == called


def test_what_a_step_over_an_input_reads_in_its_expression_is_seen(spark: Any) -> None:
    given = spark.read.csv("a.csv")
    frames = {"gets_frames": True}
    (found,) = seen(lambda _: given.where("n > (SELECT max(n) FROM prices)").count(), spark, **frames).outside
    assert "reads tables that its SQL names by itself" in found


def test_a_view_that_another_function_registered_is_not_its_own(spark: Any) -> None:
    seen(lambda spark: rows(spark).createOrReplaceTempView("people"), spark)
    assert "the table people" in seen(lambda spark: spark.table("people").count(), spark).outside[0]


def test_what_a_user_s_session_is_sent_is_seen_as_long_as_it_is_borrowed(spark: Any) -> None:
    theirs = session_of(Server(), {})
    theirs.client._internal_stub = theirs.client._internal_stub.service

    def call(_: Any) -> None:
        theirs.read.csv("a.csv").count()

    with showing_requests(theirs):
        assert seen(call, spark).outside
    assert not seen(call, spark).outside


def test_a_table_that_is_returned_says_what_no_request_did(spark: Any) -> None:
    action = Action("a")
    assert action.watch is not None
    noted = AuthorRequests(action.watch, reads_declared=True)
    with in_action(action):
        noted.note_made(spark.read.csv("a.csv").sample(0.1, seed=1))
    assert "takes a sample" in noted.choices[0]
    assert action.observed_inputs().chance == action.observed_inputs().outside == ()


DRAWS: dict[str, Call] = {
    "with a seed": lambda spark: rows(spark).sample(0.1, seed=1).count(),
    "a split": lambda spark: [one.count() for one in rows(spark).randomSplit([1.0, 2.0])],
    "by strata": lambda spark: rows(spark).stat.sampleBy("sex", {"F": 0.1}, seed=1).count(),
}


@pytest.mark.parametrize("call", DRAWS.values(), ids=DRAWS)
def test_a_sample_depends_on_partitions_even_with_a_seed(spark: Any, call: Call) -> None:
    found, noted = requests(call, spark)
    assert "takes a sample, which depends on how rows are partitioned even with a seed" in noted.choices[0]
    assert "(test_author_requests.py:" in noted.choices[0]
    assert found.chance == ()


def test_what_asks_the_clock_on_the_server_is_chance(spark: Any) -> None:
    (found,) = seen(lambda spark: rows(spark).filter("day < current_date").count(), spark).chance
    assert "uses current_date in SQL, which asks the clock (test_author_requests.py:" in found


def test_a_sample_of_pandas_is_none_of_sparks(spark: Any) -> None:
    assert seen(lambda _: pd.DataFrame({"a": [1, 2]}).sample(1, random_state=1), spark).chance == ()


ASKED: dict[str, tuple[Call, str]] = {
    "a key": (
        lambda spark: spark.conf.get("least", ""), "reads Spark's settings (.get('least')) (test_author_requests.py:",
    ),
    "keys": (lambda spark: [spark.conf.get(key, "") for key in ["spark.least"]], "(.get('spark.least'))"),
    "all": (lambda spark: spark.conf.getAll, "(.getAll)"),
    "by getattr": (lambda spark: getattr(spark.conf, "get" + "All"), "(.getAll)"),
    "those that it began with": (lambda spark: spark.sparkContext.getConf().get("least"), "(.getConf)"),
    "the context": (lambda spark: spark.sparkContext.appName, "(.appName)"),
    "how many cores": (lambda spark: spark.sparkContext.defaultParallelism, "(.defaultParallelism)"),
    "SQL": (sql("SET spark.least"), "(SET spark.least in SQL)"),
    "SQL with a setting": (sql("SELECT ${spark.least}"), "(${spark.least} in SQL)"),
}


@pytest.mark.parametrize(("call", "words"), ASKED.values(), ids=ASKED)
def test_a_setting_that_no_signature_covers_is_seen_where_it_is_read(spark: Any, call: Call, words: str) -> None:
    (found,) = seen(call, spark).chance
    assert words in found


COVERED: dict[str, Call] = {
    "one that changes what queries answer": lambda spark: spark.conf.get(ANSI, ""),
    "a query": sql("SELECT 1 AS set"),
    "one that is set": lambda spark: spark.conf.set("spark.least", "1"),
    "what pyspark asks for itself": lambda spark: spark.createDataFrame(pd.DataFrame({"a": [1]})),
}


@pytest.mark.parametrize("call", COVERED.values(), ids=COVERED)
def test_what_signatures_cover_is_not(spark: Any, call: Call) -> None:
    assert seen(call, spark).chance == ()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda spark: spark.conf.set(ANSI, "false"), f"{ANSI} as 'false', which was None (test_author_requests.py:"),
        (lambda _: SparkSession.builder.config(ANSI, "false").getOrCreate(), f"{ANSI} as 'false'"),
        (lambda spark: spark.conf.set("spark.sql.shuffle.partitions", "2"), ""),
        (lambda spark: (spark.conf.set(ANSI, "false"), spark.conf.unset(ANSI)), ""),
        (lambda spark: (spark.conf.set(ANSI, "true"), spark.conf.set(ZONE, "UTC"), spark.conf.unset(ANSI)),
         f"{ZONE} as 'UTC'"),
        (lambda spark: (sql(f"SET {ANSI} = false")(spark)), ""),  # refused
    ],
    ids=["set", "by a builder", "one that changes no result", "set back", "one of two", "refused"],
)
def test_settings_that_change_results_and_are_left_so_are_seen(spark: Any, call: Call, words: str) -> None:
    _, noted = requests(call, spark)
    left = noted.settings_left()
    assert left.startswith(words)
    assert bool(left) == bool(words)
