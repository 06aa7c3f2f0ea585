"""One small session for all tests that need Spark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from helix_spark.engine.server.session import Sessions
from helix_spark.engine.spark.driver_client import driver_client

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Tests start many sessions; none of them should have an archive built behind it.
os.environ.setdefault("HELIX_CDS", "off")


WHOLE = "spark.sql.codegen.wholeStage"
"""Whether Spark writes and compiles a class for each stage of a query. For a few rows that takes a quarter of all time
there is: these tests go without, but for modules that ask for `stages_compiled`, and for the long ones."""


@pytest.fixture(scope="session")
def sessions(request: pytest.FixtureRequest) -> Iterator[Sessions]:
    """The provider of a session with two cores and two shuffle partitions, started by the first test that asks."""
    settings = {
        WHOLE: str("not long" not in request.config.getoption("markexpr")).lower(),
        "spark.master": "local[2]", "spark.sql.shuffle.partitions": "2", "spark.driver.memory": "1g",
        # Tests run much code a few times: without the optimising compiler 21 of them take 45 s of a core, not 54. Java
        # then keeps 48 MB of compiled code, of which these tests have more: a tenth of the JVM's time went into
        # sweeping it, and what was swept was compiled again.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m",
    }
    with Sessions(settings=settings) as provider:
        yield provider


@pytest.fixture(scope="module")
def stages_compiled(spark: SparkSession) -> Iterator[None]:
    """As people have it: only then are stored files read a batch of columns at a time, with checks of their own."""
    before = str(spark.conf.get(WHOLE))
    spark.conf.set(WHOLE, "true")
    yield
    spark.conf.set(WHOLE, before)


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
