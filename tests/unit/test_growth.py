"""What is done for each node, feature or step of a large workflow takes no pass over all the others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.node import Dag, slice_to_outputs
from helix_spark.engine.execution.outcome import Step, exclusive_seconds
from helix_spark.history.feature_weights import needed_only_for


@contextmanager
def quickly(seconds: float = 1.0) -> Iterator[None]:
    """Of this process alone, whatever else runs; some thirty times what it takes, and a fraction of what it took."""
    begun = time.process_time()
    yield
    assert time.process_time() - begun < seconds


def features(count: int) -> Dag:
    """The graph of examples of so many columns."""
    return compile_workflow(workflow(count))


def workflow(count: int) -> hx.Workflow:
    """Examples of so many columns, each of a fit of its own."""
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))
    columns = [wf.extractor(f"f{number}", hx.OneHot(f"c{number}"), on=data) for number in range(count)]
    examples = wf.synthesizer("examples", data, features=columns, label="a")
    wf.learner("model", "pyspark.ml.classification.LogisticRegression", on=examples, output=True)
    return wf


def test_a_graph_whose_every_node_is_an_output_is_sliced_in_one_pass() -> None:
    names = [f"n{number}" for number in range(5_000)]
    source = features(1)["data"]
    nodes = tuple(
        replace(source, name=name, inputs=(before,) if before else ())
        for before, name in zip(["", *names], names, strict=False)
    )
    with quickly():
        assert slice_to_outputs(Dag("w", nodes, tuple(names))).dropped == ()


def test_what_each_of_many_features_needs_alone_is_found_beside_it() -> None:
    dag = features(1_500)
    assert dag.readers("data")  # the graph is made once, whoever asks
    with quickly():
        assert all(needed_only_for(dag, "examples", f"f{n}") == (f"f{n}.fit", f"f{n}") for n in range(1_500))


def test_many_steps_share_their_time_in_one_sweep() -> None:
    steps = [Step(("a",), float(number), number + 2.0) for number in range(20_000)]
    with quickly():
        assert sum(exclusive_seconds(steps)) == pytest.approx(20_001)
