"""A workflow that one person ran and published is answered in another person's empty catalog, models and tables too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.publishing import publish_iteration
from helix_spark.catalog.verification import verify
from helix_spark.run.iteration import Iteration
from tests.fakes.observer import Warned
from tests.fakes.policy import loading
from tests.spark.workflows import Census, computed

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("stages_compiled")]


def files(root: Path) -> dict[Path, tuple[int, bytes]]:
    """All files of a catalog with what they hold and when they were written."""
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in root.rglob("*") if path.is_file()}


def test_a_published_iteration_is_reused_by_the_team(spark: SparkSession, tmp_path: Path) -> None:
    team, heard = tmp_path / "team", Warned()

    def run(catalog: str, census: Census, **options: Any) -> Iteration:
        with hx.Helix(
            tmp_path / catalog, policy=loading("always"), spark=spark, observer=heard, **options
        ) as helix:
            iteration = helix.run(census.workflow())
            iteration.wait()
            return iteration

    first = run("ci", Census())
    ci, shared = Catalog.open(tmp_path / "ci", create=False), Catalog.open(team, create=True)
    published = publish_iteration(ci, shared, ci.iterations()[0])
    assert {"rows", "model", "predictions", "accuracy", "weights"} <= {*published.copied}
    assert verify(Catalog.open(team, create=False), deep=True).sound
    before = files(team)

    mine = run("mine", Census(), shared=[team])
    assert computed(mine) == set()
    assert mine.outputs == first.outputs
    edited = run("mine", Census(digits=3), shared=[team])
    assert computed(edited) == {"accuracy"}
    assert edited["accuracy"] == round(first["accuracy"], 3)
    fitted = run("mine", Census(reg=0.5), shared=[team])
    assert computed(fitted) == {"model", "predictions", "accuracy", "weights"}
    refitted = run("mine", Census(reg=0.5, digits=2), shared=[team])
    assert computed(refitted) == {"accuracy"}
    with hx.Helix(tmp_path / "new", spark=spark, observer=heard, shared=[team]) as helix:
        model = helix.run(Census().workflow()).model("model")
    assert [float(weight) for weight in model.coefficients] == first["weights"]

    assert files(team) == before
    slow = "s to be called"  # on a machine that is busy
    assert [one for one in heard.warnings if slow not in one] == []
    own = {record.node for record in Catalog.open(tmp_path / "mine", create=False).live()}
    assert own == {"model", "predictions", "accuracy", "weights"}
