"""One small session for all tests that need Spark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from helix_spark.engine.server.session import Sessions
from helix_spark.engine.spark.driver_client import driver_client
from tests.fakes.quick_java import JAVA_OPTIONS, WHOLE_STAGE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def sessions(request: pytest.FixtureRequest) -> Iterator[Sessions]:
    """The provider of a session with two cores and two shuffle partitions, started by the first test that asks."""
    settings = {
        # For a few rows compiled stages take a quarter of all time: these tests go without, but for modules that ask
        # for `stages_compiled`, and for the long ones.
        WHOLE_STAGE: str("not long" not in request.config.getoption("markexpr")).lower(),
        "spark.master": "local[2]", "spark.sql.shuffle.partitions": "2", "spark.driver.memory": "1g",
        # Without the optimising compiler Java keeps 48 MB of compiled code, of which these tests have more: a tenth of
        # the JVM's time went into sweeping it, and what was swept was compiled again.
        "spark.driver.extraJavaOptions": f"{JAVA_OPTIONS} -XX:ReservedCodeCacheSize=256m",
    }
    with Sessions(settings=settings) as provider:
        yield provider


@pytest.fixture(scope="module")
def stages_compiled(spark: SparkSession) -> Iterator[None]:
    """As people have it: only then are stored files read a batch of columns at a time, with checks of their own."""
    before = str(spark.conf.get(WHOLE_STAGE))
    spark.conf.set(WHOLE_STAGE, "true")
    yield
    spark.conf.set(WHOLE_STAGE, before)


@pytest.fixture(scope="session")
def spark(sessions: Sessions) -> SparkSession:
    """The session itself, as a client asks it."""
    return sessions.get()


@pytest.fixture(scope="session")
def jvm_session(spark: SparkSession) -> SparkSession:
    """The same session as py4j has it."""
    client = driver_client(spark)
    assert client is not None
    return client.classic
