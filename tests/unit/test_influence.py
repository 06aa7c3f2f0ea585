"""Features without influence: weights traced to extractors, and how it is said."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from pyspark.sql import Column, DataFrame
from test_planning import plan, situation, with_nodes

import helix_spark as hx
from helix_spark.catalog.catalog_reader import journals_in
from helix_spark.catalog.journal.rows import from_columns
from helix_spark.catalog.known_results import ResultLedger
from helix_spark.catalog.records import IterationRecord, NodeRecord, ResultRecord
from helix_spark.cli import main, workflow_runs
from helix_spark.cli.schema import influence_json
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.influence import FeatureWeight, Influence, by_feature, from_json, only_for, to_json
from helix_spark.identity.parts import digest
from helix_spark.run.node_records import absolute_weights
from helix_spark.views.iteration_view import influence_lines

LEARNER = "pyspark.ml.classification.LogisticRegression"


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


def fit(*weightless: str) -> Influence:
    return Influence("w", "model", 3, tuple(
        FeatureWeight(name, f"signature of {name}", 0.0 if name in weightless else 0.5, name in weightless)
        for name in ("age", "sex_is", "work_is")
    ))


# -- from weights to features


def named(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def test_weights_fall_to_the_features_whose_slots_they_are() -> None:
    slots = ["age", "age_bucket_0", "age_bucket_1", "sex_is_F", "sex_is_M", "rich"]
    columns = named("age", "age_bucket", "sex_is", "rich")
    found = by_feature([1.0, 0.0, 2.0, 0.0, 0.0, 1.0], slots, columns, named(*columns))
    assert found is not None
    assert [(one.feature, one.share, one.weightless) for one in found] == [
        ("age", 0.25, False), ("age_bucket", 0.5, False), ("sex_is", 0.0, True), ("rich", 0.25, False),
    ]


def test_a_small_weight_counts_for_its_feature_may_be_large() -> None:
    found = by_feature([1.0, 1e-15], ["flag", "bytes"], named("flag", "bytes"), named("flag", "bytes"))
    assert found is not None
    assert [one.weightless for one in found] == [False, False]


@pytest.mark.parametrize(("weights", "slots"), [
    ([1.0, 2.0], ["a"]), ([1.0], ["a", "b"]), ([math.nan, 1.0], ["a", "b"]), ([1.0, 1.0], ["a", "c"]),
    ([1.0, 1.0], ["a_0", "a_1"]), ([1.0, 1.0, 1.0], ["a_1", "b", "a_1"]), ([], []),
])
def test_what_does_not_fit_or_is_no_number_tells_nothing(weights: list[float], slots: list[str]) -> None:
    assert by_feature(weights, slots, named("a", "b"), named("a", "b")) is None


def test_a_model_without_any_weight_tells_nothing_new() -> None:
    assert fit("age", "sex_is", "work_is").weightless() == frozenset()


def test_of_two_features_with_one_signature_none_is_without_influence_unless_both_are() -> None:
    one, same = FeatureWeight("a", "s", 0.0, True), FeatureWeight("b", "s", 1.0, False)
    assert Influence("w", "m", 1, (one, same)).weightless() == frozenset()


def test_it_is_read_from_a_record_as_it_was_written() -> None:
    influence = fit("sex_is")
    assert from_json(to_json(influence)) == influence
    assert from_json("") is None


class Vector:
    """As little of an array as the tracing looks at."""

    def __init__(self, *rows: list[float]) -> None:
        self.rows = rows

    def toArray(self) -> Any:  # noqa: N802 - Spark ML's name
        import numpy as np

        return np.array(self.rows if len(self.rows) > 1 else self.rows[0])


def model_class(**properties: Any) -> Any:
    return type("Model", (), {"__module__": "pyspark.ml.made_by_hand", **properties})


def test_weights_are_read_of_all_classes_and_of_trees() -> None:
    assert absolute_weights(model_class(coefficientMatrix=Vector([1.0, 0.0, -2.0], [-1.0, 0.0, 0.0]))()) == [2, 0, 2]
    assert absolute_weights(model_class(coefficients=Vector([-1.0, 0.0]))()) == [1, 0]
    assert absolute_weights(model_class(featureImportances=Vector([0.5, 0.5]))()) == [0.5, 0.5]


def test_a_model_without_weights_or_not_of_spark_ml_tells_nothing() -> None:
    assert absolute_weights(model_class()()) is None
    assert absolute_weights(type("Own", (), {"coefficients": Vector([0.0])})()) is None


def test_an_older_record_reads_as_one_that_tells_nothing(tmp_path: Path) -> None:
    signature, ledger = digest("s"), ResultLedger(journals_in(tmp_path).results)
    columns = {
        "declared": [signature], "signature": [signature], "workflow": ["w"], "node": ["n"], "kind": ["learner"],
        "iteration": [1],
    }
    (older,) = from_columns(columns, ResultRecord)
    assert isinstance(older, ResultRecord)
    assert older.influence == ""
    told = to_json(Influence("w", "n", 1, ()))
    for text in (told, ""):
        ledger.append([ResultRecord(signature, signature, "w", "n", "learner", 1, influence=text)])
    assert ledger.known((), [signature]).measured[signature].influence == told


# -- in a plan


def test_what_only_a_feature_needs_goes_with_it() -> None:
    dag = compile_workflow(build())
    assert only_for(dag, "examples", "sex_is") == ("sex_is.fit", "sex_is")
    assert only_for(dag, "examples", "work_is") == ()


def test_a_learner_and_an_extractor_tell_of_influence() -> None:
    whole = situation(build())
    declared = {one.name: one.signed.declared for one in whole.nodes}
    influence = replace(fit("sex_is"), features=tuple(
        replace(one, declared=declared[one.feature]) for one in fit("sex_is").features
    ))
    made = plan(with_nodes(whole, "model", influence=influence))
    said = " ".join(" ".join(influence_lines(made, "model")).split())
    assert "weight by feature in iteration 3: age 50.0%, work_is 50.0%" in said
    assert "without influence in iteration 3: sex_is (" in said
    assert "`model` gave it no weight in iteration 3" in " ".join(influence_lines(made, "sex_is"))
    assert "`model` gave it 50.0% of the weight" in " ".join(influence_lines(made, "age"))
    (entry,) = influence_json(made, "sex_is")
    assert entry["without_influence"]
    assert entry["seconds"] > 0
    assert influence_lines(made, "data") == []


# -- from the catalog, without Spark


def recorded(folder: Path, wf: hx.Workflow, influence: Influence, iteration: int) -> None:
    """Records an iteration in which the learner was fitted, as a run does."""
    with hx.Helix(folder, policy="never") as helix:
        before = helix.plan(wf)
        told = replace(
            influence, iteration=iteration,
            features=tuple(replace(one, declared=before[one.feature].declared) for one in influence.features),
        )
        record = helix.catalog.start_iteration(
            IterationRecord(run=f"{iteration:032x}", workflow="w", number=iteration, status="running", started=0.0)
        )
        assert record.number == iteration
        helix.catalog.append_iteration(
            replace(record, status="done"),
            [
                NodeRecord(
                    run=record.run, workflow="w", iteration=iteration, name=node.name, kind=node.kind,
                    inputs=node.inputs, state="compute", reason="", declared=node.declared, signature=node.signature,
                    parts="[]",
                )
                for node in before.nodes
            ],
            [
                ResultRecord(
                    node.declared, node.signature, "w", node.name, node.kind, iteration, compute_seconds=0.2,
                    influence=to_json(told) if node.name == "model" else "",
                )
                for node in before.nodes
            ],
        )


def test_explain_tells_of_the_newest_fit_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(tmp_path / "c", build(), fit("sex_is"), 1)
    job = tmp_path / "job.py"
    job.touch()
    monkeypatch.setattr(workflow_runs, "load_workflow", lambda *_: build())
    done = CliRunner().invoke(main.helix, ["explain", "model", str(job), "--catalog", str(tmp_path / "c")])
    assert done.exit_code == 0, done.stderr
    assert "without influence in iteration 1: sex_is (0.40 s)" in done.stdout
