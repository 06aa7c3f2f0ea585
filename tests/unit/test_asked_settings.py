"""What the author's code asks of a session that no signature covers is chance, whichever way it asks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession
from pyspark.sql.conf import RuntimeConfig

from helix_spark.answers.function_calls import begin
from helix_spark.engine.spark.asked_of_spark import LeftSettings, watch_pyspark
from helix_spark.hermetic.action import Action, in_action
from helix_spark.plans.captured_function import CallInputs


class Jvm:
    """Answers anything with a text."""

    def __getattr__(self, name: str) -> Any:
        return lambda *given: "7"


CONF = RuntimeConfig(Jvm())
CONTEXT: Any = object.__new__(SparkContext)
SESSION: Any = object.__new__(SparkSession)
CONTEXT._jsc = Jvm()
CONTEXT.appName = "job"


def why(call: Callable[[], object]) -> tuple[str, ...]:
    watch_pyspark()
    action = Action("a")
    with in_action(action), contextlib.suppress(AttributeError, TypeError, ValueError):
        call()
    return action.seen().chance


ASKED: dict[str, tuple[Callable[[], object], str]] = {
    "a key": (lambda: CONF.get("least"), "reads Spark's settings (.get('least')) (test_asked_settings.py:"),
    "keys": (lambda: list(map(CONF.get, ["spark.least"])), "(.get('spark.least'))"),
    "all": (lambda: CONF.getAll, "(.getAll)"),
    "by getattr": (lambda: getattr(CONF, "get" + "All"), "(.getAll)"),
    "those of the process": (lambda: SparkConf(loadDefaults=False).get("least"), "(.get('least'))"),
    "the context": (lambda: CONTEXT.appName, "(.appName)"),
    "how many cores": (lambda: CONTEXT.defaultParallelism, "(.defaultParallelism)"),
    "SQL": (lambda: SESSION.sql("SET spark.least"), "(SET spark.least in SQL)"),
    "SQL with a setting": (lambda: SESSION.sql("SELECT ${spark.least}"), "(${spark.least} in SQL)"),
}


@pytest.mark.parametrize(("call", "words"), ASKED.values(), ids=ASKED)
def test_what_is_asked_is_seen(call: Callable[[], object], words: str) -> None:
    (found,) = why(call)
    assert words in found


COVERED: dict[str, Callable[[], object]] = {
    "one that changes what queries answer": lambda: CONF.get("spark.sql.ansi.enabled"),
    "a query": lambda: SESSION.sql("SELECT 1 AS set"), "a dict": lambda: {"a": 1}.get("a"),
    "one that is set": lambda: CONF.set("spark.least", "1"),
}


@pytest.mark.parametrize("call", COVERED.values(), ids=COVERED)
def test_what_signatures_cover_is_not(call: Callable[[], object]) -> None:
    assert why(call) == ()


class Conf:
    """Settings of a session."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        return {"get": self.held.get, "set": self.held.__setitem__, "unset": self.held.pop}[name]


def left(call: Callable[[RuntimeConfig], object]) -> str:
    watch_pyspark()
    settings = LeftSettings()
    with settings.noted():
        call(RuntimeConfig(Conf()))
    return settings.told()


ANSI, ZONE = "spark.sql.ansi.enabled", "spark.sql.session.timeZone"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda conf: conf.set(ANSI, "false"), f"{ANSI} as 'false', which was None (test_asked_settings.py:"),
        (lambda conf: conf.set("spark.sql.shuffle.partitions", "2"), ""),
        (lambda conf: (conf.set(ANSI, "false"), conf.unset(ANSI)), ""),
        (lambda conf: (conf.set(ANSI, "true"), conf.set(ZONE, "UTC"), conf.unset(ANSI)), f"{ZONE} as 'UTC'"),
    ],
    ids=["set", "one that changes no result", "set back", "one of two"],
)
def test_settings_that_change_results_and_are_left_so_are_seen(
    call: Callable[[RuntimeConfig], object], words: str
) -> None:
    assert left(call).startswith(words)
    assert bool(left(call)) == bool(words)


def test_a_call_that_is_only_planned_sets_nothing() -> None:
    watch_pyspark()
    settings = LeftSettings()
    call = begin(CallInputs({}, {ZONE: "UTC"}))
    with settings.noted(), call.under_way():
        call.session({}).conf.set(ZONE, "Asia/Tokyo")
        SparkSession.builder.config(ZONE, "Asia/Tokyo").getOrCreate()
    assert settings.told() == ""
