"""One small session for all tests that need Spark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from helix_spark.engine.spark.session import SessionProvider

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Tests start many sessions; none of them should have an archive built behind it.
os.environ.setdefault("HELIX_CDS", "off")


@pytest.fixture(scope="session")
def sessions() -> Iterator[SessionProvider]:
    """The provider of a session with two cores and two shuffle partitions, started by the first test that asks."""
    settings = {
        "spark.master": "local[2]", "spark.sql.shuffle.partitions": "2", "spark.driver.memory": "1g",
        # Tests run much code a few times: without the optimising compiler 21 of them take 45 s of a core, not 54.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    }
    with SessionProvider(settings=settings) as provider:
        yield provider


@pytest.fixture(scope="session")
def spark(sessions: SessionProvider) -> SparkSession:
    """The session itself."""
    return sessions.get()
