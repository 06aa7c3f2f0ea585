"""Features without influence: weights of models on record traced to extractors, and how it is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from pyspark.sql import Column, DataFrame

import helix_spark as hx
from helix_spark.catalog.records import IterationRecord, ResultRecord
from helix_spark.catalog.segments.record_index import record_of
from helix_spark.cli import main, workflow_runs
from helix_spark.dag.compilation import compile_workflow
from helix_spark.history.feature_weights import FeatureWeight, feature_weights, shares
from helix_spark.history.model_card import ModelCard
from helix_spark.identity.parts import digest

LEARNER = "pyspark.ml.classification.LogisticRegression"
WEIGHTS = {"age": (2.0,), "work_is_home": (-1.0,), "sex_is_F": (0.0,), "sex_is_M": (0.0,)}


def build() -> hx.Workflow:
    """Examples of `age`, `sex_is`, `work_is` and a product of two of these, with a learner on them."""
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(pd.DataFrame({"age": [1.0], "sex": ["F"], "work": ["home"], "rich": [1]})))

    @wf.extractor
    def age(data: DataFrame) -> Column:
        return data.age

    sex = wf.extractor("sex_is", hx.OneHot("sex"), on=data)
    work = wf.extractor("work_is", hx.OneHot("work"), on=data)
    product = wf.extractor("product", hx.Interaction(age, work), on=data)
    examples = wf.synthesizer("examples", data, features=[age, sex, work, product], label="rich = 1")
    wf.learner("model", LEARNER, on=examples, output=True)
    return wf


def card(weights: dict[str, tuple[float, ...]], **other: object) -> ModelCard:
    """A card with the heaviest weights first, as models' cards have them."""
    ranked = sorted(weights.items(), key=lambda one: -max(map(abs, one[1])))
    made = ModelCard("Model", columns=("weight",), weights=tuple(ranked), slots=len(weights))
    return replace(made, **other)  # type: ignore[arg-type]  # its fields


# -- from weights to features


def test_weights_fall_to_the_features_whose_slots_they_are() -> None:
    weights = {"age": (1.0,), "age_bucket_0": (0.0,), "age_bucket_1": (-2.0,), "sex_is_F": (0.0,), "rich": (1.0,)}
    assert shares(card(weights), ["age", "age_bucket", "sex_is", "rich"]) == {
        "age": 0.25, "age_bucket": 0.5, "sex_is": 0.0, "rich": 0.25,
    }


def test_of_several_classes_all_weights_count() -> None:
    assert shares(card({"a": (1.0, -1.0), "b": (0.0, 2.0), "c": (0.0, 0.0)}), "abc") == {"a": 0.5, "b": 0.5, "c": 0.0}


def test_a_small_weight_counts_for_its_feature_may_be_large() -> None:
    assert shares(card({"flag": (1.0,), "bytes": (1e-15,)}), ["flag", "bytes"])["bytes"] > 0


def test_features_that_a_fit_did_not_have_are_not_told_of() -> None:
    assert shares(card({"a": (1.0,), "gone": (1.0,)}), ["a", "new"]) == {"a": 1.0}


@pytest.mark.parametrize("told", [
    card({"a": (0.0,)}), card({"a": (1.0,)}, slots=2), card({}), card({}, slots=2),
    card({"a": (1.0,)}, columns=("center 0",)),
])
def test_a_model_without_any_weight_or_with_others_than_are_on_record_tells_nothing(told: ModelCard) -> None:
    assert shares(told, ["a"]) == {}


def test_slots_that_are_not_on_record_weigh_nothing_where_the_last_one_does_not() -> None:
    assert shares(card({"a": (1.0,), "b": (0.0,)}, slots=500), ["a", "b"]) == {"a": 1.0, "b": 0.0}


def test_an_older_record_of_influence_is_read_without_it() -> None:
    signature = digest("s")
    said = {
        "declared": signature, "signature": signature, "workflow": "w", "node": "n", "kind": "learner", "iteration": 1,
        "influence": '{"workflow": "w"}',
    }
    assert record_of(said, ResultRecord) == ResultRecord(signature, signature, "w", "n", "learner", 1)


# -- from the catalog, without Spark


def recorded(folder: Path, iteration: int, *, edited: bool = False) -> None:
    """Records an iteration in which the learner was fitted, as a run does."""
    with hx.Helix(folder, policy="never") as helix:
        record = helix.catalog.start_iteration(
            IterationRecord(run=f"{iteration:032x}", workflow="w", number=iteration, status="running", started=0.0)
        )
        text = card(WEIGHTS).record("model")
        assert text is not None
        helix.catalog.append_iteration(replace(record, status="done"), [], [
            ResultRecord(
                node.declared, digest(node.signature) if edited else node.signature, "w", node.name, node.kind,
                iteration, compute_seconds=0.2, trained=text.digest if node.name == "model" else "",
            )
            for node in helix.plan(build()).nodes
        ], [text])


@pytest.mark.parametrize("edited", [False, True])
def test_the_fit_of_the_version_or_else_the_newest_tells(tmp_path: Path, edited: bool) -> None:
    recorded(tmp_path / "c", 1, edited=edited)
    with hx.Helix(tmp_path / "c", policy="never") as helix:
        found = list(feature_weights(compile_workflow(build()), helix.plan(build()), helix.catalog))
    seconds = {one.feature: pytest.approx(one.seconds) for one in found}
    assert found == [
        FeatureWeight("model", "age", 1, 2 / 3, seconds["age"]),
        FeatureWeight("model", "sex_is", 1, 0.0, pytest.approx(0.4)),
        FeatureWeight("model", "work_is", 1, 1 / 3, 0.0),  # the product needs it, too
    ]


def test_explain_tells_of_a_learner_and_of_its_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(tmp_path / "c", 1)
    job = tmp_path / "job.py"
    job.touch()
    monkeypatch.setattr(workflow_runs.WorkflowFile, "load", lambda *_: build())

    def explained(name: str, *more: str) -> str:
        done = CliRunner().invoke(main.helix, ["explain", name, str(job), "--catalog", str(tmp_path / "c"), *more])
        assert done.exit_code == 0, done.stderr
        return done.stdout

    said = " ".join(explained("model").split())
    assert "weight by feature in iteration 1: age 66.7%, work_is 33.3%" in said
    assert "without influence in iteration 1: sex_is (0.40 s)" in said
    assert "`model` gave it no weight in iteration 1" in " ".join(explained("sex_is").split())
    assert "`model` gave it 66.7% of the weight" in " ".join(explained("age").split())
    (entry,) = json.loads(explained("sex_is", "--json"))["influence"]
    assert entry["without_influence"]
    assert json.loads(explained("data", "--json"))["influence"] == []
