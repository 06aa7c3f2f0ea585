"""Features without influence: weights traced to extractors, what is left out of whose examples, and how it is said."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from pyspark.sql import Column, DataFrame
from test_planning import after, plan, situation, with_nodes

import helix_spark as hx
from helix_spark.catalog.journal.rows import from_columns
from helix_spark.catalog.known_results import ResultLedger
from helix_spark.catalog.record_journals import journals_in
from helix_spark.catalog.records import IterationRecord, NodeRecord, ResultRecord
from helix_spark.cli import main, workflow_runs
from helix_spark.cli.schema import influence_json, plan_json
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.influence import Absent, FeatureWeight, Influence, by_feature, from_json, to_json
from helix_spark.dag.leaving_out import features_of, leave_out, only_for
from helix_spark.dag.node import Dag
from helix_spark.engine.lowering.examples import SIZES, sizes_of
from helix_spark.errors import OperatorError
from helix_spark.identity.parts import digest
from helix_spark.planner.plan import Plan
from helix_spark.planner.planned_features import planned_left_out
from helix_spark.planner.situation import Situation
from helix_spark.run.node_records import absolute_weights
from helix_spark.views.plan_view import PlanView, influence_lines
from helix_spark.workflow.operators import Assemble, Input, Kept

LEARNER = "pyspark.ml.classification.LogisticRegression"


def build(
    *, prune: bool = True, label: Any = "rich = 1", readers: tuple[str, ...] = (), other: bool | None = None,
    without: tuple[str, ...] = (), product: bool = False, output: bool = False, offset: float = 0.0,
) -> hx.Workflow:
    """Examples of `age`, `sex_is` and `work_is` with a learner on them; further readers of the examples by name."""
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(pd.DataFrame({"age": [1.0], "sex": ["F"], "work": ["home"], "rich": [1]})))

    @wf.extractor
    def age(data: DataFrame) -> Column:
        return data.age + offset

    @wf.extractor
    def target(data: DataFrame) -> Column:
        return data.rich

    sex = wf.extractor("sex_is", hx.OneHot("sex"), on=data)
    work = wf.extractor("work_is", hx.OneHot("work"), on=data)
    features = [one for one in (age, sex, work) if one.name not in without]
    if product:
        features.append(wf.extractor("product", hx.Interaction(age, work), on=data))
    examples = wf.synthesizer(
        "examples", data, features=features, label=target if label == "target" else label, output=output
    )
    model = wf.learner("model", LEARNER, on=examples, prune_features=prune, output=True)
    wf.predict("predictions", model, examples, output=True)
    if other is not None:
        wf.learner("other", LEARNER, on=examples, regParam=0.1, prune_features=other, output=True)
    if "elsewhere" in readers:
        more = wf.synthesizer("more", data, features=features)
        wf.predict("elsewhere", model, more, output=True)
    if "scored" in readers:
        wf.predict("scored", model, examples, keep_columns=["features"], output=True)
    if "counts" in readers:

        @wf.reducer(output=True)
        def counts(examples: pd.DataFrame) -> int:
            return len(examples)

    return wf


DECLARED = {name: f"signature of {name}" for name in (
    "age", "sex_is", "work_is", "product", "target", "data", "examples", "more", "model", "other", "predictions",
    "sex_is.fit", "work_is.fit", "counts", "elsewhere", "scored",
)}


def fit(
    *weightless: str, target: str = "rich = 1", left_out: tuple[str, ...] = (), learner: str = "model"
) -> Influence:
    features = tuple(
        FeatureWeight(name, DECLARED[name], 0.0 if name in weightless else 0.5, name in weightless)
        for name in ("age", "sex_is", "work_is") if name not in left_out
    )
    absent = tuple(Absent(name, DECLARED[name], 2, (f"{name}.fit", name)) for name in left_out)
    return Influence("w", learner, 3, target, features, absent)


def features(dag: Dag, examples: str = "examples") -> tuple[str, ...]:
    operator = dag[examples].operator
    assert isinstance(operator, Assemble)
    return features_of(dag[examples], operator)


# -- from weights to features


def test_weights_fall_to_the_features_whose_slots_they_are() -> None:
    found = by_feature([1.0, 0.0, 2.0, 0.0, 0.0, 1.0], [1, 2, 2, 1], ["a", "b", "c", "d"], dict.fromkeys("abcd", "s"))
    assert found is not None
    assert [(one.feature, one.share, one.weightless) for one in found] == [
        ("a", 0.25, False), ("b", 0.5, False), ("c", 0.0, True), ("d", 0.25, False),
    ]


def test_a_small_weight_counts_for_its_feature_may_be_large() -> None:
    found = by_feature([1.0, 1e-15], [1, 1], ["flag", "bytes"], {"flag": "f", "bytes": "b"})
    assert found is not None
    assert [one.weightless for one in found] == [False, False]


def test_a_feature_that_is_there_twice_has_the_slots_of_both_places() -> None:
    found = by_feature([0.0, 1.0, 3.0], [1, 1, 1], ["a", "b", "a"], {"a": "s", "b": "t"})
    assert found is not None
    assert [(one.feature, one.weightless) for one in found] == [("a", False), ("b", False)]


@pytest.mark.parametrize(("weights", "sizes"), [([1.0, 2.0], [1]), ([1.0], [1, 1]), ([math.nan, 1.0], [1, 1])])
def test_what_does_not_fit_or_is_no_number_tells_nothing(weights: list[float], sizes: list[int]) -> None:
    assert by_feature(weights, sizes, ["a", "b"][: len(sizes)], {"a": "s", "b": "t"}) is None


def test_a_model_without_any_weight_tells_nothing_new() -> None:
    assert fit("age", "sex_is", left_out=("work_is",)).weightless() == {DECLARED["work_is"]: 2}


def test_of_two_features_with_one_signature_none_is_without_influence_unless_both_are() -> None:
    one, same = FeatureWeight("a", "s", 0.0, True), FeatureWeight("b", "s", 1.0, False)
    assert Influence("w", "m", 1, "", (one, same)).weightless() == {}


def test_it_is_read_from_a_record_as_it_was_written() -> None:
    influence = fit("sex_is", left_out=("work_is",))
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


def test_sizes_stay_with_the_vector() -> None:
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql.types import StructField, StructType

    def frame(metadata: dict[str, Any]) -> Any:
        return type("Frame", (), {"schema": StructType([StructField("features", VectorUDT(), metadata=metadata)])})()

    assert sizes_of(frame({SIZES: [1, 2]}), "features") == (1, 2)
    assert sizes_of(frame({}), "features") is None


def test_an_older_record_reads_as_one_that_tells_nothing(tmp_path: Path) -> None:
    signature, ledger = digest("s"), ResultLedger(journals_in(tmp_path).results)
    columns = {
        "declared": [signature], "signature": [signature], "workflow": ["w"], "node": ["n"], "kind": ["learner"],
        "iteration": [1],
    }
    (older,) = from_columns(columns, ResultRecord)
    assert isinstance(older, ResultRecord)
    assert older.influence == ""
    told = to_json(Influence("w", "n", 1, "", ()))
    for text in (told, ""):
        ledger.append([ResultRecord(signature, signature, "w", "n", "learner", 1, influence=text)])
    assert ledger.known((), [signature]).measured[signature].influence == told


# -- what is left out


def test_a_feature_without_influence_is_left_out_with_what_only_it_needs() -> None:
    left = leave_out(compile_workflow(build()), {"model": fit("sex_is")}, DECLARED)
    assert features(left.dag) == ("age", "work_is")
    assert left.dag["examples"].inputs == ("data", "age", "work_is")
    assert not {"sex_is", "sex_is.fit"} & set(left.dag.by_name)
    (one,) = left.dag.left_out
    assert (one.feature, one.synthesizer, one.found, one.nodes) == (
        "sex_is", "examples", (("model", 3),), ("sex_is.fit", "sex_is"),
    )
    assert left.dag.dropped == ("target",)


def test_columns_that_are_kept_stay_what_they_are() -> None:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(pd.DataFrame({"a": [1.0], "b": [1.0], "c": [1.0], "w": [1.0], "rich": [1]})))
    a, b, c, weight = (wf.extractor(f"of_{name}", hx.Fields(name), on=data) for name in ("a", "b", "c", "w"))
    examples = wf.synthesizer("examples", data, features=[a, b, c], label="rich = 1", keep=[b, weight])
    wf.learner("model", LEARNER, on=examples, prune_features=True, output=True)
    declared = {name: f"signature of {name}" for name in ("data", "of_a", "of_b", "of_c", "of_w", "examples", "model")}
    weights = tuple(FeatureWeight(name, declared[name], float(name == "of_c"), name != "of_c")
                    for name in ("of_a", "of_b", "of_c"))
    dag = compile_workflow(wf)
    told = Influence("w", "model", 1, "rich = 1", weights)
    left = leave_out(dag, {"model": told}, declared).dag["examples"]
    assert isinstance(left.operator, Assemble)
    assert features_of(left, left.operator) == ("of_c",)
    kept = {one.name: left.inputs[one.column.index] for one in left.operator.keep if isinstance(one, Kept)}
    assert kept == {"of_b": "of_b", "of_w": "of_w"}


def test_an_edited_extractor_comes_back_and_a_renamed_one_does_not() -> None:
    edited = leave_out(compile_workflow(build()), {"model": fit("sex_is")}, DECLARED | {"sex_is": "another"})
    assert edited.dag.left_out == ()
    renamed = replace(fit("sex_is"), features=tuple(
        replace(one, feature="gender" if one.feature == "sex_is" else one.feature) for one in fit("sex_is").features
    ))
    assert features(leave_out(compile_workflow(build()), {"model": renamed}, DECLARED).dag) == ("age", "work_is")


def test_what_was_left_out_stays_so_and_more_may_follow() -> None:
    left = leave_out(compile_workflow(build()), {"model": fit("age", left_out=("sex_is",))}, DECLARED)
    assert {one.feature: one.found for one in left.dag.left_out} == {"age": (("model", 3),), "sex_is": (("model", 2),)}


def test_not_everything_is_left_out() -> None:
    left = leave_out(compile_workflow(build()), {"model": fit("age", "work_is", left_out=("sex_is",))}, DECLARED)
    assert features(left.dag) == ("age", "work_is")


def test_a_feature_that_differs_each_time_stays() -> None:
    dag = compile_workflow(build())
    assert leave_out(dag, {"model": fit("sex_is")}, DECLARED, {"sex_is"}).dag is dag


def test_what_another_extractor_needs_is_still_computed() -> None:
    left = leave_out(compile_workflow(build(product=True)), {"model": fit("work_is")}, DECLARED)
    assert features(left.dag) == ("age", "sex_is", "product")
    assert "work_is" in left.dag.by_name
    assert left.dag.left_out[0].nodes == ()


def test_a_label_that_is_an_extractor_keeps_its_place() -> None:
    fits = {"model": fit("sex_is", target=DECLARED["target"])}
    left = leave_out(compile_workflow(build(label="target")), fits, DECLARED).dag
    operator = left["examples"].operator
    assert isinstance(operator, Assemble)
    assert isinstance(operator.label, Input)
    assert left["examples"].inputs[operator.label.index] == "target"


@pytest.mark.parametrize("edit", [{"label": "rich = 0"}, {"without": ("work_is",)}])
def test_a_fit_for_another_label_or_with_a_weighty_feature_that_is_gone_tells_nothing(edit: dict[str, Any]) -> None:
    dag = compile_workflow(build(**edit))
    assert leave_out(dag, {"model": fit("sex_is")}, DECLARED).dag is dag


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        ({"readers": ("counts",)}, "`counts` reads it, too"),
        ({"readers": ("elsewhere",)}, "`elsewhere` applies `model` to `more`"),
        ({"readers": ("scored",)}, "`scored` keeps the features"),
        ({"other": False}, "`other` is fitted on it, too, and does not ask for it"),
        ({"other": True}, "`other` was not fitted yet"),
        ({"output": True}, "it is an output"),
    ],
)
def test_examples_that_somebody_else_looks_at_stay_whole_and_it_is_said(edit: dict[str, Any], why: str) -> None:
    dag = compile_workflow(build(**edit))
    left = leave_out(dag, {"model": fit("sex_is")}, DECLARED)
    assert left.dag is dag
    assert left.notices == (f"nothing is left out of `examples`, though `sex_is` got no weight: {why}",)


def test_learners_of_the_same_examples_must_agree() -> None:
    dag = compile_workflow(build(other=True))
    fits = {"model": fit("sex_is", "age"), "other": fit("sex_is", learner="other")}
    left = leave_out(dag, fits, DECLARED).dag
    assert features(left) == ("age", "work_is")
    assert left.left_out[0].found == (("model", 3), ("other", 3))


def test_without_the_option_nothing_is_left_out() -> None:
    dag = compile_workflow(build(prune=False))
    assert leave_out(dag, {"model": fit("sex_is")}, DECLARED).dag is dag


def test_only_for_is_what_leaving_out_takes_away() -> None:
    for product in (False, True):
        dag = compile_workflow(build(product=product))
        for name in ("sex_is", "work_is"):
            left = leave_out(dag, {"model": fit(name)}, DECLARED).dag
            assert only_for(dag, "examples", name) == left.left_out[0].nodes


def test_the_option_wants_examples_of_extractors() -> None:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))
    wf.learner("model", LEARNER, on=data, prune_features=True, output=True)
    with pytest.raises(OperatorError, match="'data' is not made of extractors") as caught:
        compile_workflow(wf)
    assert "wf.synthesizer" in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def test_the_option_finds_examples_that_are_named_by_text() -> None:
    wf = build(prune=False)
    wf.learner("pruned", LEARNER, on="examples", prune_features=True, output=True)
    assert compile_workflow(wf)["pruned"].wishes.prune_features


# -- in a plan


def planned(wf: hx.Workflow, *weightless: str, **more: Any) -> tuple[Situation, Situation]:
    """The situation before, whole, and the one after a fit that gave these features no weight."""
    whole = situation(wf)
    declared = {one.name: one.signed.declared for one in whole.nodes}
    influence = replace(fit(*weightless), features=tuple(
        replace(one, declared=declared[one.feature]) for one in fit(*weightless).features
    ))
    left = leave_out(whole.dag, {"model": influence}, declared).dag
    now = replace(whole.on(left), left_out=planned_left_out(left, lambda name: 0.2), **more)
    return whole, with_nodes(now, "model", influence=influence)


def test_a_plan_says_what_is_left_out_and_what_that_saves() -> None:
    whole, now = planned(build(), "sex_is")
    made = plan(after(whole, now))
    text = " ".join(str(PlanView(made)).split())
    assert "left out of `examples`: `sex_is`: `model` gave it no weight in iteration 3; saves 0.40 s" in text
    assert "sex_is" not in made.by_name
    (entry,) = plan_json(made)["left_out"]
    assert entry["nodes"] == ["sex_is.fit", "sex_is"]
    assert entry["found"] == [{"learner": "model", "iteration": 3}]


def test_a_learner_and_an_extractor_tell_of_influence() -> None:
    _, now = planned(build(prune=False), "sex_is")
    made = plan(now)
    said = " ".join(" ".join(influence_lines(made, "model")).split())
    assert "weight by feature in iteration 3: age 50.0%, work_is 50.0%" in said
    assert "without influence in iteration 3: sex_is (" in said
    assert said.endswith("prune_features=True leaves them out")
    assert "`model` gave it no weight in iteration 3" in " ".join(influence_lines(made, "sex_is"))
    assert "`model` gave it 50.0% of the weight" in " ".join(influence_lines(made, "age"))
    (entry,) = influence_json(made, "sex_is")
    assert entry["without_influence"]
    assert entry["seconds"] > 0
    assert influence_lines(made, "data") == []


def test_a_feature_that_comes_back_is_not_said_never_to_have_run() -> None:
    whole = situation(build())
    now = with_nodes(after(whole, whole), "sex_is.fit", "sex_is", before=None)
    made = plan(with_nodes(now, "model", influence=fit(left_out=("sex_is",))))
    assert made["sex_is"].reason == made["sex_is.fit"].reason == "left out until now"


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


def planned_from(folder: Path, wf: hx.Workflow) -> Plan:
    with hx.Helix(folder, policy="never") as helix:
        return helix.plan(wf)


def test_the_newest_fit_on_record_decides_and_tells_no_option_no_change(tmp_path: Path) -> None:
    recorded(tmp_path / "c", build(), fit("sex_is"), 1)
    smaller = planned_from(tmp_path / "c", build())
    (one,) = smaller.left_out
    assert (one.feature, one.found, one.nodes) == ("sex_is", (("model", 1),), ("sex_is.fit", "sex_is"))
    assert one.seconds == pytest.approx(0.4)
    assert smaller["examples"].signature != planned_from(tmp_path / "c", build(prune=False))["examples"].signature

    whole = planned_from(tmp_path / "c", build(prune=False))
    assert whole.left_out == ()
    assert [entry["feature"] for entry in influence_json(whole, "model") if entry["without_influence"]] == ["sex_is"]
    assert planned_from(tmp_path / "c", build(offset=1.0)).left_out[0].feature == "sex_is"


def test_an_edit_to_a_feature_brings_it_back(tmp_path: Path) -> None:
    recorded(tmp_path / "c", build(), fit("age"), 1)
    assert [one.feature for one in planned_from(tmp_path / "c", build()).left_out] == ["age"]
    edited = planned_from(tmp_path / "c", build(offset=1.0))
    assert edited.left_out == ()
    assert "age" in edited.by_name


def test_explain_finds_a_feature_that_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(tmp_path / "c", build(), fit("sex_is"), 1)
    job = tmp_path / "job.py"
    job.touch()

    def explained(name: str, *more: str, prune: bool = True) -> str:
        monkeypatch.setattr(workflow_runs, "load_workflow", lambda *_: build(prune=prune))
        done = CliRunner().invoke(main.helix, ["explain", name, str(job), "--catalog", str(tmp_path / "c"), *more])
        assert done.exit_code == 0, done.stderr
        return done.stdout

    for name in ("sex_is", "sex_is.fit"):
        assert "`model` gave it no weight in iteration 1" in " ".join(explained(name).split())
    assert json.loads(explained("sex_is", "--json"))["synthesizer"] == "examples"
    assert "without influence in iteration 1: sex_is (0.40 s)" in explained("model", prune=False)
