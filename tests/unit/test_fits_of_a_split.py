"""What an extractor learns of the training rows alone: as declared, signed, run and read, and what a plan warns of."""

from __future__ import annotations

from datetime import date
from importlib import import_module
from typing import Any

import pandas as pd
import pytest
from pyspark.ml import Estimator
from pyspark.ml.feature import StringIndexer, TargetEncoder, Tokenizer
from pyspark.ml.param.shared import HasLabelCol
from pyspark.sql import DataFrame

import helix_spark as hx
from helix_spark.answers.capture_nodes import capture_nodes
from helix_spark.dag.compilation import compile_workflow, merge_equal
from helix_spark.dag.leakage import warnings_of
from helix_spark.dag.node import Dag
from helix_spark.engine.execution.units import units
from helix_spark.errors import OperatorError
from helix_spark.history.metrics import Metrics
from helix_spark.identity.signing import describe, resolve
from helix_spark.planner.joint import policy_named
from helix_spark.planner.planning import make_plan
from helix_spark.run.run_outputs import describe_tests
from helix_spark.workflow.operators import (
    FitCategories,
    FitQuantiles,
    FitStage,
    HashSplit,
    Stage,
    split_of_fit,
)
from helix_spark.workflow.parameters import LABELLED_FEATURES, takes_label
from tests.fakes.plan import FakePlan
from tests.fakes.situation import situation

SPLIT = hx.HashSplit(test=0.2, seed=1)
COLUMNS = ("key", "age", "sex", "y")
TABLE = pd.DataFrame({"key": [1], "age": [1.0], "sex": ["F"], "y": [1.0]})


def build(split: HashSplit | None = None, of_examples: HashSplit | None = SPLIT, **more: Any) -> hx.Workflow:
    """Examples of what three extractors learn, with that split or of all rows."""
    given: dict[str, Any] = {} if split is None else {"split": split}
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(TABLE))
    features = [
        wf.extractor("sex_is", hx.OneHot("sex"), on=data, **given),
        wf.extractor("decade", hx.Bucketizer("age", bins=4), on=data, **given),
        wf.extractor("index", StringIndexer, on=data, inputCol="sex", **given),
    ]
    wf.synthesizer("examples", data, features=features, label="y", split=of_examples, output=True, **more)
    return wf


def signatures(wf: hx.Workflow) -> dict[str, str]:
    dag = compile_workflow(wf)
    signed = resolve(dag, describe(dag, {}), run="run", equivalent={}, known_random={})
    return {name: own.signature for name, own in signed.items()}


# Declarations


def test_the_fit_has_the_split_and_the_column_has_not() -> None:
    made, plain = compile_workflow(build(SPLIT)).by_name, compile_workflow(build()).by_name
    assert made["sex_is.fit"].operator == FitCategories("sex", SPLIT)
    assert made["decade.fit"].operator == FitQuantiles("age", 4, 0.001, SPLIT)
    assert isinstance(made["index.fit"].operator, FitStage)
    assert made["index.fit"].operator.rows == "all"
    assert made.keys() == plain.keys()  # a graph shows nothing new
    for name, node in made.items():
        assert split_of_fit(node.operator) == (SPLIT if name.endswith(".fit") else None)
        assert (node.inputs, node.result) == (plain[name].inputs, plain[name].result)


@pytest.mark.parametrize(
    ("what", "more", "words"),
    [
        (hx.Fields("age"), {"split": SPLIT}, "extractor 'x' learns nothing"),
        (hx.Bucketizer("age", splits=[10]), {"split": SPLIT}, "remove split="),
        (Tokenizer, {"split": SPLIT, "inputCol": "sex"}, "extractor 'x' learns nothing"),
        (hx.OneHot("sex"), {"split": 0.2}, "the split of extractor 'x' is a float"),
        (StringIndexer, {"split": ["part"], "inputCol": "sex"}, "split=hx.HashSplit(test=0.2)"),
    ],
)
def test_a_split_of_what_learns_nothing_and_what_is_no_split_are_refused(
    what: Any, more: dict[str, Any], words: str
) -> None:
    wf = hx.Workflow("w")
    with pytest.raises(OperatorError) as caught:
        wf.extractor("x", what, on=wf.source("data", hx.table(TABLE)), **more)
    assert words in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def test_a_key_is_kept_as_it_was_given() -> None:
    given = ["key"]
    split = hx.HashSplit(key=given)  # type: ignore[arg-type]
    given.append("age")
    assert split == hx.HashSplit(key=("key",))
    assert hx.HashSplit(key=iter(["key", "age"])).key == ("key", "age")  # type: ignore[arg-type]  # was empty once read
    assert signatures(build(split)) == signatures(build(hx.HashSplit(key=("key",))))


# Signatures


def test_a_split_changes_what_is_learned_and_what_is_made_of_it() -> None:
    plain, divided, other = (signatures(build(split)) for split in (None, SPLIT, hx.HashSplit(test=0.2, seed=2)))
    for changed in (divided, other):
        assert {name for name in plain if plain[name] == changed[name]} == {"data"}
    assert divided["sex_is.fit"] != other["sex_is.fit"]
    assert divided == signatures(build(hx.HashSplit(test=0.2, seed=1)))


def test_equal_fits_become_one_and_those_of_other_rows_do_not() -> None:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(TABLE))
    splits = {"one": SPLIT, "same": SPLIT, "other": hx.HashSplit(seed=2), "whole": None}
    features = [wf.extractor(name, hx.OneHot("sex"), on=data, split=split) for name, split in splits.items()]
    wf.synthesizer("examples", data, features=features, output=True)
    merged = merge_equal(compile_workflow(wf), signatures(wf))
    assert [node.name for node in merged.nodes if node.name.endswith(".fit")] == ["one.fit", "other.fit", "whole.fit"]


# Fused fits


def passes(dag: Dag) -> set[frozenset[str]]:
    work = units(dag, FakePlan(dag))  # type: ignore[arg-type]  # stands for a plan
    return {frozenset(unit.names) for unit in work if unit.names[0].endswith(".fit")}


def test_fits_share_a_pass_where_they_learn_of_the_same_rows() -> None:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(TABLE))
    by_key, other = hx.HashSplit(key=["key"]), hx.HashSplit(key=["key"], seed=2)  # type: ignore[arg-type]  # a list does
    splits = {"a": None, "b": None, "c": by_key, "d": by_key, "e": other}
    features = [wf.extractor(name, hx.OneHot("sex"), on=data, split=split) for name, split in splits.items()]
    wf.synthesizer("examples", data, features=features, output=True)
    assert passes(compile_workflow(wf)) == {
        frozenset({"a.fit", "b.fit"}), frozenset({"c.fit", "d.fit"}), frozenset({"e.fit"}),
    }


# What a plan warns of


def warned(wf: hx.Workflow) -> tuple[str, ...]:
    return make_plan(situation(wf), policy_named("never")).warnings


def encoded(split: HashSplit | None, of_examples: HashSplit | None) -> hx.Workflow:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(TABLE))
    mean = wf.extractor("mean_y", TargetEncoder, on=data, split=split, inputCol="sex", targetType="binary")
    both = wf.extractor("both", hx.Interaction(mean, "age"), on=data)
    wf.synthesizer("examples", data, features=[both], label="y", split=of_examples, output=True)
    return wf


def test_a_label_that_is_learned_of_test_rows_is_told_with_what_to_do() -> None:
    (told,) = warned(encoded(None, SPLIT))
    for words in ("`mean_y` learns the label of all rows of `data`", "the test rows of `examples`",
                  "wf.extractor('mean_y', ..., split=hx.HashSplit(...))"):
        assert words in told


class Custom(Estimator, HasLabelCol):
    """A stage of somebody's own, which can be made without a JVM."""

    def _fit(self, dataset: DataFrame) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(("stage", "wired", "learns"), [
    (Stage(TargetEncoder), (), True), (Stage("pyspark.ml.feature.TargetEncoder"), (), True),
    (Stage("pyspark.ml.classification.LogisticRegression"), (), True), (Stage(Custom), (), True),
    (Stage(Custom()), (), True), (Stage("mine.Encoder", (("labelCol", "y"),)), (), True),
    (Stage("mine.Encoder"), ("labelCol",), True), (Stage("mine.Encoder"), ("inputCol",), False),
    (Stage(StringIndexer), (), False), (Stage("pyspark.ml.feature.StringIndexer"), (), False),
    (Stage(lambda: Custom()), (), False),
])
def test_that_a_label_is_learned_is_told_by_the_class_or_by_a_parameter(
    stage: Stage, wired: tuple[str, ...], learns: bool
) -> None:
    assert takes_label(stage, wired) is learns


def test_nothing_is_told_where_no_test_row_is_learned_of() -> None:
    assert warned(encoded(SPLIT, SPLIT)) == ()
    assert warned(encoded(hx.HashSplit(key=("key",)), hx.HashSplit(key=["key"]))) == ()  # type: ignore[arg-type]
    assert warned(encoded(None, None)) == ()
    assert warned(build()) == ()  # these learn no label
    assert warned(build(SPLIT)) == ()


def test_a_split_that_is_not_that_of_the_examples_is_told() -> None:
    (told,) = warned(encoded(hx.HashSplit(test=0.2, seed=1, key=("key",)), SPLIT))
    assert "`mean_y` learns from the training rows of another split than that of `examples`" in told
    assert len(warned(build(hx.HashSplit(seed=5)))) == 3
    assert warned(build(hx.HashSplit(seed=5), of_examples=None)) == ()


def test_the_extractors_that_learn_a_label_are_those_of_pyspark() -> None:
    feature = import_module("pyspark.ml.feature")
    assert {
        f"{feature.__name__}.{name}" for name, kind in vars(feature).items()
        if isinstance(kind, type) and issubclass(kind, HasLabelCol) and issubclass(kind, Estimator)
        and not name.startswith("_")
    } == LABELLED_FEATURES


# Splits by a column and by time


def of_examples(wf: hx.Workflow) -> dict[str, str]:
    dag = capture_nodes(compile_workflow(wf), {}).dag
    signed = resolve(dag, describe(dag, {}), run="run", equivalent={}, known_random={})
    return {name: own.signature for name, own in signed.items()}


def test_a_split_is_signed_by_its_fields() -> None:
    splits: list[Any] = [
        "y", "key", hx.TimeSplit("y", before="2020-01-01"), hx.TimeSplit("key", before="2020-01-01"),
        hx.TimeSplit("y", before="2020-01-02"), hx.TimeSplit("y", before=2020), None, SPLIT,
    ]
    for name in ("examples", "sex_is.fit", "index.fit"):
        assert len({of_examples(build(split, split))[name] for split in splits}) == len(splits)
    moments = [hx.TimeSplit("y", before=before) for before in (date(2020, 1, 1), "2020-01-01")]
    assert len({of_examples(build(split, split))["examples"] for split in moments}) == 1


@pytest.mark.parametrize(("make", "words"), [
    (lambda: hx.TimeSplit("day", before="soon"), "not 'soon'"),
    (lambda: hx.TimeSplit("day", before=True), "not True"),
    (lambda: hx.TimeSplit("day", before=float("nan")), "not nan"),
    (lambda: hx.TimeSplit("", before="2020-01-01"), "names its column, not ''"),
    (lambda: hx.TimeSplit(["day"], before="2020-01-01"), "names its column, not ['day']"),
])
def test_a_split_by_time_is_checked_where_it_is_written(make: Any, words: str) -> None:
    with pytest.raises(OperatorError) as caught:
        make()
    assert words in str(caught.value)
    assert 'hx.TimeSplit("day", before=' in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def with_model(table: pd.DataFrame, **rows: Any) -> hx.Workflow:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(table))
    examples = wf.synthesizer("examples", data, features=[wf.extractor("x", hx.Fields("age"), on=data)], label="y")
    model = wf.learner("model", "pyspark.ml.classification.LogisticRegression", on=examples, **rows)
    wf.predict("predictions", model, examples, output=True, **rows)
    return wf


def test_a_column_split_is_another_identity_than_all_rows_and_without_one_they_are_the_same() -> None:
    divided, plain = TABLE.assign(split=["train"]), TABLE
    left_open, everything = of_examples(with_model(divided)), of_examples(with_model(divided, rows="all"))
    assert left_open["examples"] == everything["examples"]
    assert left_open["model"] != everything["model"]
    assert left_open["predictions"] != everything["predictions"]
    assert of_examples(with_model(plain)) == of_examples(with_model(plain, rows="all"))
    operators = capture_nodes(compile_workflow(with_model(plain)), {}).dag.by_name
    assert operators["examples"].operator.split is None  # type: ignore[union-attr]


# What numbers are worth


def measured(wf: hx.Workflow) -> hx.Workflow:
    @wf.reducer(output=True)
    def share(predictions: pd.DataFrame) -> float:
        return float((predictions.prediction == predictions.y).mean())

    return wf


LOGISTIC = "pyspark.ml.classification.LogisticRegression"


def evaluated(stage: str, fitted: Any, scored: Any, split: HashSplit | None) -> tuple[str, ...]:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(TABLE))
    features = [wf.extractor("x", hx.Fields("age"), on=data)]
    examples = wf.synthesizer("examples", data, features=features, label="y", split=split)
    wf.predict("predictions", wf.learner("model", stage, on=examples, rows=fitted), examples, rows=scored)
    dag = capture_nodes(compile_workflow(measured(wf)), {}).dag
    return tuple(warnings_of(dag))


@pytest.mark.parametrize(("stage", "fitted", "scored", "split", "sides"), [
    (LOGISTIC, None, None, SPLIT, None),
    (LOGISTIC, "test", "train", SPLIT, None),
    ("pyspark.ml.clustering.KMeans", None, None, None, None),
    (LOGISTIC, None, None, None, ("all rows", "all rows")),
    (LOGISTIC, None, "train", SPLIT, ("the training rows", "the training rows")),
    (LOGISTIC, "all", None, SPLIT, ("the test rows", "all rows")),
    (LOGISTIC, None, "all", SPLIT, ("all rows", "the training rows")),
])
def test_a_model_that_is_scored_on_rows_that_it_was_fitted_on_is_told(
    stage: str, fitted: Any, scored: Any, split: HashSplit | None, sides: tuple[str, str] | None
) -> None:
    found = evaluated(stage, fitted, scored, split)
    if sides is None:
        assert found == ()
    else:
        (told,) = found
        for words in ("`predictions` scores rows that `model` is fitted on: it scores", f"{sides[0]} of `examples`",
                      f"fitted on {sides[1]} (give `examples` a split"):
            assert words in told


def test_where_columns_are_not_known_a_column_split_may_settle_it() -> None:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(TABLE))

    @wf.synthesizer
    def examples(data: pd.DataFrame) -> pd.DataFrame:
        return data

    wf.predict("predictions", wf.learner("model", LOGISTIC, on=examples), examples)
    (told,) = warnings_of(capture_nodes(compile_workflow(measured(wf)), {}).dag)
    assert "fitted on, unless `examples` has a column `split`" in told


def test_what_decides_which_rows_are_test_rows_is_told_apart_from_the_rest() -> None:
    def tested(table: pd.DataFrame = TABLE, split: Any = SPLIT, **parameters: Any) -> dict[str, Any]:
        wf = hx.Workflow("w")
        wf.source("data", hx.table(table))

        @wf.scanner
        def rows(data: DataFrame) -> DataFrame:
            return data.withColumn("more", data.age + parameters.get("add", 0))

        features = [wf.extractor("x", hx.Fields("more"), on=rows)]
        examples = wf.synthesizer("examples", rows, features=features, label="y", split=split)
        wf.predict("predictions", wf.learner("model", LOGISTIC, on=examples, **parameters.get("of", {})), examples)
        dag = capture_nodes(compile_workflow(measured(wf)), {}).dag
        return describe_tests(dag, describe(dag, {}))["share"]

    first = tested()
    assert tested(add=1) == tested(of={"regParam": 0.1}) == first
    others = ((tested(split=hx.HashSplit(test=0.2, seed=2)), "split"), (tested(TABLE.assign(y=[0.0])), "data"))
    for other, key in others:
        assert {name for name in first if first[name] != other[name]} == {key}
    now, before = (Metrics({"share": 0.5}, tested={"share": one}) for one in (tested(split="y"), first))
    assert now.change_text("share", before) == "on other test rows"
