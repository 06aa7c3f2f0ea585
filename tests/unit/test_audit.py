"""Stored results are computed once more and compared: told without Spark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import helix_spark as hx
from benchmarks.histories import audits
from helix_spark.engine.results.agreement import NotComparedError, difference
from helix_spark.engine.results.node_results import ModelResult, TableResult, ValueResult
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.run.audit import Audit
from tests.fakes.study import HIDDEN, PROGRAM
from tests.unit.project import Project

STORED = {"rows", "noisy", "total", "answer", "count"}


@dataclass(frozen=True)
class Study:
    """The program and its catalog; each step with a Helix that has nothing in memory."""

    declare: Callable[[], hx.Workflow]
    catalog: Path

    def run(self) -> hx.Iteration:
        with hx.Helix(self.catalog) as helix:
            return helix.run(self.declare())

    def plan(self) -> Plan:
        with hx.Helix(self.catalog) as helix:
            return helix.plan(self.declare())

    def audit(self, **options: Any) -> Audit:
        with hx.Helix(self.catalog) as helix:
            return helix.audit(self.declare(), **options)


@pytest.fixture
def study(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv(HIDDEN, "0")
    made = Study(project.write(study=PROGRAM).load("study").study, tmp_path / "catalog")
    made.run()
    return made


def verdicts(audit: Audit) -> dict[str, str]:
    return {one.node: one.verdict for one in audit.results}


def test_what_comes_out_the_same_is_verified(study: Study) -> None:
    assert {node.name for node in study.plan().nodes if node.proof == "unproven"} == {"noisy"}
    assert {node.proof for node in study.plan().nodes if node.stored} == {"unproven", "pure"}
    found = study.audit()
    assert found.sound
    assert verdicts(found) == dict.fromkeys(STORED, "verified")
    plan = study.plan()
    assert {node.name for node in plan.nodes if node.proof == "verified"} == STORED
    assert "stored by iteration 1; verified" in str(plan)
    again = study.audit()
    assert not again.results
    assert set(again.verified) == STORED
    assert verdicts(study.audit(everything=True)) == verdicts(found)


def test_what_comes_out_different_is_never_reused_again_nor_its_heirs(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HIDDEN, "5")
    found = study.audit()
    assert not found.sound
    assert verdicts(found) == dict.fromkeys(STORED, "verified") | dict.fromkeys(
        ["noisy", "total", "answer"], "different"
    )
    [noisy] = [one for one in found.results if one.node == "noisy"]
    assert noisy.heirs == ("total", "answer")
    plan = study.plan()
    for name in ("noisy", "total", "answer"):
        assert (plan[name].state, plan[name].proof, plan[name].stored) == (State.COMPUTE, "chance", False)
    assert plan["count"].proof == "verified"
    assert "an audit computed `noisy` again and it came out different" in plan["noisy"].reason
    monkeypatch.setenv(HIDDEN, "7")
    assert study.run()["answer"] == 12.0 + 3 * 7 + 1


def test_an_audit_keeps_within_its_time(study: Study) -> None:
    found = study.audit(seconds=0)
    assert found.sound
    assert not found.results
    assert set(found.left) == STORED


@pytest.mark.parametrize("seed", [2, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 20))])
def test_drawn_histories_are_audited_as_they_are(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(audits.HIDDEN, "1")
    found = audits.run_history(seed, tmp_path)
    assert found["verified"]
    assert not found[audits.FALSE]
    assert not found[audits.MISSED]


@pytest.mark.long
def test_the_command_says_what_it_found(tmp_path: Path) -> None:
    file = tmp_path / "study.py"
    file.write_text(PROGRAM)

    def command(*arguments: str, hidden: str = "0") -> tuple[int, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "helix_spark", *arguments, str(file), "--catalog", str(tmp_path / "catalog"),
             "--json"], capture_output=True, text=True, env={**os.environ, HIDDEN: hidden}, check=False,
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    assert command("run")[0] == 0
    code, found = command("audit")
    assert (code, found["sound"], {one["verdict"] for one in found["results"]}) == (0, True, {"verified"})
    _, plan = command("plan")
    assert {node["proof"] for node in plan["nodes"] if node["stored"]} == {"verified"}
    code, found = command("audit", "--all", hidden="5")
    assert (code, found["sound"]) == (1, False)


def table(columns: Mapping[str, Any]) -> TableResult:
    rows = pa.table(dict(columns))
    return TableResult(lambda: None, lambda: rows)  # type: ignore[arg-type, return-value]  # no DataFrame is asked for


SAME = [
    ({"a": [1, 2], "x": [0.3, 0.1]}, {"a": [2, 1], "x": [0.1, 0.1 + 0.2]}),
    ({"x": [0.1 + 0.2, 0.3], "y": [1.0, 2.0]}, {"x": [0.3, 0.1 + 0.2], "y": [1.0, 2.0]}),
    ({"x": [float("nan"), None]}, {"x": [None, float("nan")]}),
    ({"v": [[1.0, 0.3], [2.0, 0.5]]}, {"v": [[2.0, 0.5], [1.0, 0.1 + 0.2]]}),
]
DIFFERENT = [
    ({"a": [1, 2]}, {"a": [1, 3]}), ({"a": [1, 2]}, {"a": [1]}), ({"a": [1, 1, 2]}, {"a": [1, 2, 2]}),
    ({"a": [1], "b": [2]}, {"a": [1]}), ({"a": [1], "b": [2]}, {"b": [2], "a": [1]}),
    ({"x": [0.3]}, {"x": [0.300001]}), ({"a": ["b"]}, {"a": [None]}), ({"a": [1], "b": [2]}, {"a": [2], "b": [1]}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_tables_agree_in_any_order_and_within_rounding(one: Any, other: Any) -> None:
    assert difference(table(one), table(other)) is None


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_tables_that_differ_do_not_agree(one: Any, other: Any) -> None:
    assert difference(table(one), table(other)) is not None


def test_many_rows_that_are_rounded_apart_agree() -> None:
    exact = [(number % 97) / 97 * 1e3 for number in range(4_000)]
    noisy = [value * (1 + (-1) ** place * 2e-16) for place, value in enumerate(exact)]
    other = [float(place) for place in range(len(exact))]
    one, moved = table({"x": exact, "y": other}), table({"x": noisy[::-1], "y": other[::-1]})
    assert difference(one, moved) is None


def test_what_is_too_large_is_not_compared() -> None:
    one, other = (table({"a": pa.array(np.arange(first, 3_000_000 + first))}) for first in (0, 1))
    assert difference(one, one) is None
    with pytest.raises(NotComparedError):
        difference(one, other)


def test_values_agree_by_type_and_within_rounding() -> None:
    assert difference(ValueResult({"a": [0.1 + 0.2, 1]}), ValueResult({"a": [0.3, 1]})) is None
    for other in ({"a": [0.3, 1.0]}, {"a": [0.3, True]}, {"a": [0.3]}, {"b": [0.3, 1]}, 0.3):
        assert difference(ValueResult({"a": [0.3, 1]}), ValueResult(other)) is not None


@dataclass(frozen=True)
class Parameter:
    name: str


class Learnt:
    """What a model of KMeans says of itself, and its parameters."""

    def __init__(self, centres: list[list[float]], k: int = 2, seed: int = 1, given: bool = False) -> None:
        self.uid, self.k, self._centres = "KMeans_1", k, centres
        self.seed, self.given = seed, given

    def isSet(self, param: Parameter) -> bool:  # noqa: N802 - so Spark ML calls it
        return param.name != "seed" or self.given

    def extractParamMap(self) -> dict[Any, Any]:  # noqa: N802 - so Spark ML calls it
        return {Parameter("k"): self.k, Parameter("seed"): self.seed}

    def clusterCenters(self) -> list[Any]:  # noqa: N802 - so Spark ML calls it
        return [np.array(centre) for centre in self._centres]


class KMeansModel(Learnt):
    """Draws its rows by partition."""


def test_models_that_draw_by_partition_and_differ_in_numbers_are_not_compared() -> None:
    one = ModelResult(KMeansModel([[0.0, 1.0], [5.0, 5.0]]))
    assert difference(one, ModelResult(KMeansModel([[0.0, 1.0], [5.0, 5.0]]))) is None
    assert difference(one, ModelResult(KMeansModel([[0.0, 1.0], [5.0, 5.1]])), exact=True) is not None
    assert difference(one, ModelResult(KMeansModel([[0.0, 1.0], [5.0, 5.0]], k=3))) is not None
    assert difference(one, ModelResult(KMeansModel([[0.0], [5.0]]))) is not None
    for apart in ([[0.0, 1.0], [5.0, 5.1]], [[5.0, 5.0], [0.0, 1.0]], [[0.0, 1.0]]):
        with pytest.raises(NotComparedError, match="samples its rows by partition"):
            difference(one, ModelResult(KMeansModel(apart)))
    assert difference(ModelResult(Learnt([[0.0, 1.0]])), ModelResult(Learnt([[0.0, 1.01]]))) is not None


def test_a_seed_that_nobody_gave_is_none_of_a_model_s_parameters() -> None:
    def model(seed: int, *, given: bool) -> ModelResult:
        return ModelResult(KMeansModel([[0.0, 1.0]], seed=seed, given=given))

    assert difference(model(1, given=False), model(2, given=False), exact=True) is None
    assert difference(model(1, given=True), model(2, given=True)) is not None
