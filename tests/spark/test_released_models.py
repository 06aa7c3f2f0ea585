"""Models that Python has no more are deleted from the server, whatever the garbage collector finds them in."""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

import pytest
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import SparkSession

from helix_spark.engine.spark.driver_client import driver_client
from helix_spark.plans.current_program import classic

pytestmark = pytest.mark.spark


class Cycle:
    """Holds a model, and itself: only the garbage collector frees it."""

    def __init__(self, model: Any) -> None:
        self.model, self.itself = model, self


def fitted(spark: SparkSession) -> Any:
    rows = spark.createDataFrame([(0.0, 0.0), (1.0, 1.0)], "x double, label double")
    features = VectorAssembler(inputCols=["x"], outputCol="features").transform(rows)
    return LogisticRegression(maxIter=1).fit(features)


def test_the_garbage_collector_sends_no_request(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may run in the middle of one, and grpc waits for ever for another one from there."""
    client, threads = driver_client(spark), list[threading.Thread]()
    assert client is not None
    delete = client.spark.client._delete_ml_cache

    def noted(ids: Any) -> Any:
        threads.append(threading.current_thread())
        return delete(ids)

    held = [Cycle(fitted(spark))]
    ref_id = held[0].model._java_obj.ref_id
    with classic():
        assert client.has_model(ref_id)
    monkeypatch.setattr(client.spark.client, "_delete_ml_cache", noted)
    held.clear()
    gc.collect()
    deadline = time.monotonic() + 20
    with classic():
        while client.has_model(ref_id) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not client.has_model(ref_id)
    assert threads
    assert threading.current_thread() not in threads
