"""Declarations: each family, what annotations ask for, what is refused where it is written. No Spark is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.clustering import KMeansModel
from pyspark.ml.feature import StringIndexer, Tokenizer
from pyspark.sql import Column, DataFrame

import helix_spark as hx
from helix_spark.errors import DuplicateNodeError, OperatorError, SignatureError
from helix_spark.workflow.declaration import Declaration
from helix_spark.workflow.operators import (
    ApplyStage,
    Assemble,
    Bucket,
    EncodeCategories,
    FitCategories,
    FitQuantiles,
    FitStage,
    Form,
    Function,
    Input,
    Interact,
    Kind,
    Predict,
    Result,
    Select,
)


def declared(wf: hx.Workflow, name: str) -> Declaration:
    return next(declaration for declaration in wf.declarations if declaration.name == name)


@pytest.fixture
def wf() -> hx.Workflow:
    made = hx.Workflow("w")
    made.source("data", hx.csv("adult.data", schema="age double, sex string"))
    return made


@pytest.fixture
def data(wf: hx.Workflow) -> hx.NodeRef:
    return hx.NodeRef(wf, "data")


# Functions


def test_the_name_of_a_parameter_is_the_node_it_reads(wf: hx.Workflow) -> None:
    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data

    made = declared(wf, "rows")
    assert (made.kind, made.inputs, made.result) == (Kind.SCANNER, ("data",), Result.TABLE)
    assert made.where is not None
    assert Path(made.where.file) == Path(__file__)


def test_annotations_choose_the_form_of_each_argument(wf: hx.Workflow) -> None:
    @wf.reducer
    def report(  # type: ignore[no-untyped-def]  # one parameter says nothing, on purpose
        spark: DataFrame, frame: pd.DataFrame, table: pa.Table, model: KMeansModel, number: float, any
    ) -> float:
        return 0.0

    operator = declared(wf, "report").operator
    assert isinstance(operator, Function)
    assert operator.forms == (Form.SPARK, Form.PANDAS, Form.ARROW, Form.MODEL, Form.VALUE, Form.ANY)


def test_annotations_may_be_objects_instead_of_text(wf: hx.Workflow) -> None:
    def report(data):  # type: ignore[no-untyped-def]
        return data

    report.__annotations__ = {"data": pd.DataFrame, "return": pa.Table}
    wf.reducer(report)
    operator = declared(wf, "report").operator
    assert isinstance(operator, Function)
    assert (operator.forms, operator.returns) == ((Form.PANDAS,), Form.ARROW)
    assert declared(wf, "report").result is Result.TABLE


@pytest.mark.parametrize("first_line", ["", "from __future__ import annotations"])
def test_annotations_that_are_imported_only_for_the_type_checker_are_understood_by_name(
    wf: hx.Workflow, first_line: str
) -> None:
    namespace: dict[str, Any] = {}
    text = f"{first_line}\ndef report(a: 'pd.DataFrame', b: 'pa.Table') -> 'float': ..."
    exec(compile(text, "report.py", "exec", dont_inherit=True), namespace)
    wf.reducer(namespace["report"])
    operator = declared(wf, "report").operator
    assert isinstance(operator, Function)
    assert operator.forms == (Form.PANDAS, Form.ARROW)


@pytest.mark.parametrize(
    ("family", "result"),
    [("scanner", Result.TABLE), ("extractor", Result.COLUMN), ("synthesizer", Result.TABLE), ("learner", Result.MODEL),
     ("reducer", Result.VALUE)],
)
def test_without_an_annotation_a_function_returns_what_its_family_usually_does(
    wf: hx.Workflow, family: str, result: Result
) -> None:
    def node(data):  # type: ignore[no-untyped-def]
        return data

    getattr(wf, family)(node)
    assert declared(wf, "node").result is result


def test_an_extractor_extends_its_first_parameter(wf: hx.Workflow) -> None:
    @wf.extractor
    def older(data: DataFrame) -> Column:
        return data.age + 1

    assert declared(wf, "older").base == "data"


def test_an_extractor_may_make_a_whole_table(wf: hx.Workflow) -> None:
    @wf.extractor
    def wide(data: DataFrame) -> DataFrame:
        return data

    assert (declared(wf, "wide").result, declared(wf, "wide").base) == (Result.TABLE, None)


def test_a_learner_may_return_a_plain_value(wf: hx.Workflow) -> None:
    @wf.learner
    def threshold(data: pd.DataFrame) -> float:
        return 0.5

    assert declared(wf, "threshold").result is Result.VALUE


def test_a_parameter_with_a_default_is_an_optional_input(wf: hx.Workflow) -> None:
    @wf.reducer
    def count(data: pd.DataFrame, least: int = 3) -> int:
        return len(data) + least

    assert declared(wf, "count").optional == {"least"}


def test_a_node_can_still_be_called_as_the_function_it_was_made_from(wf: hx.Workflow, data: hx.NodeRef) -> None:
    @wf.reducer
    def twice(data: float) -> float:
        return 2 * data

    assert twice(21) == 42
    with pytest.raises(OperatorError, match="not made from a function"):
        data(1)


def test_a_node_used_from_outside_a_function_is_refused_when_it_is_signed(data: hx.NodeRef) -> None:
    with pytest.raises(SignatureError, match="uses the node 'data' from outside"):
        data.__helix_signature__()


def test_wishes_are_kept_with_the_declaration(wf: hx.Workflow) -> None:
    @wf.scanner(keep="always", recompute=True, depends_on=[len], exclude=["x"], output=True)
    def rows(data: DataFrame) -> DataFrame:
        return data

    wishes = declared(wf, "rows").wishes
    assert (wishes.keep, wishes.recompute, wishes.depends_on, wishes.exclude) == ("always", True, (len,), ("x",))
    assert wf.outputs == ["rows"]
    assert not wishes.fixed
    hx.fixed(rows)
    assert declared(wf, "rows").wishes.fixed


def test_plain_arguments_of_the_builder_are_the_parameters_of_the_workflow() -> None:
    def build(reg: float = 0.1, *, bins: int = 3, table: object = object()) -> hx.Workflow:
        return hx.Workflow("w")

    assert build(0.5).parameters == {"reg": 0.5, "bins": 3}


# Ready-made extractors


def test_what_an_extractor_learns_is_a_node_of_its_own(wf: hx.Workflow, data: hx.NodeRef) -> None:
    wf.extractor("sex_is", hx.OneHot("sex"), on=data)
    wf.extractor("age_bucket", hx.Bucketizer("age", bins=4), on=data)
    wf.extractor("index", StringIndexer, on=data, inputCol="sex")
    fits = {d.name: (type(d.operator), d.result, d.inputs) for d in wf.declarations if d.name.endswith(".fit")}
    assert fits == {
        "sex_is.fit": (FitCategories, Result.VALUE, ("data",)),
        "age_bucket.fit": (FitQuantiles, Result.VALUE, ("data",)),
        "index.fit": (FitStage, Result.MODEL, ("data",)),
    }
    assert declared(wf, "sex_is").operator == EncodeCategories("sex", True)
    assert declared(wf, "sex_is").inputs == ("data", "sex_is.fit")
    assert declared(wf, "index").operator == ApplyStage(None)


def test_what_learns_nothing_has_no_fit(wf: hx.Workflow, data: hx.NodeRef) -> None:
    wf.extractor("age", hx.Fields("age"), on=data)
    wf.extractor("both", hx.Interaction("age", "age"), on=data)
    wf.extractor("bucket", hx.Bucketizer("age", splits=[10, 20]), on=data)
    wf.extractor("words", Tokenizer, on=data, inputCol="sex")
    assert [d.name for d in wf.declarations] == ["data", "age", "both", "bucket", "words"]
    assert declared(wf, "age").operator == Select(("age",))
    assert declared(wf, "both").operator == Interact(("age", "age"))
    assert declared(wf, "bucket").operator == Bucket("age", (10.0, 20.0), False)


def test_an_extractor_of_an_extractor_reads_it_by_position(wf: hx.Workflow, data: hx.NodeRef) -> None:
    bucket = wf.extractor("bucket", hx.Bucketizer("age", splits=[10]), on=data)
    wf.extractor("crossed", hx.Interaction(bucket, "age"), on=data)
    assert declared(wf, "crossed").inputs == ("data", "bucket")
    assert declared(wf, "crossed").operator == Interact((Input(1), "age"))


def test_fields_of_a_scanner_make_a_narrower_table(wf: hx.Workflow, data: hx.NodeRef) -> None:
    wf.scanner("narrow", hx.Fields("age"), on=data)
    assert (declared(wf, "narrow").kind, declared(wf, "narrow").result) == (Kind.SCANNER, Result.TABLE)


# Examples, models, predictions


def test_examples_are_split_and_learners_and_predictions_know_it(wf: hx.Workflow, data: hx.NodeRef) -> None:
    age = wf.extractor("age", hx.Fields("age"), on=data)
    examples = wf.synthesizer("examples", data, features=[age], label="age > 1", split=hx.HashSplit(test=0.5))
    model = wf.learner("model", LogisticRegression, on=examples, regParam=0.1)
    wf.predict("predictions", model, examples)
    wf.predict("everything", model, examples, rows="all")
    assemble, fit = declared(wf, "examples").operator, declared(wf, "model").operator
    assert isinstance(assemble, Assemble)
    assert isinstance(fit, FitStage)
    assert (assemble.features, fit.rows, fit.stage.parameters) == ((Input(1),), "train", (("regParam", 0.1),))
    assert declared(wf, "predictions").operator == Predict("test")
    assert declared(wf, "everything").operator == Predict("all")


def test_without_a_split_all_rows_are_learned_from_and_scored(wf: hx.Workflow, data: hx.NodeRef) -> None:
    age = wf.extractor("age", hx.Fields("age"), on=data)
    examples = wf.synthesizer("examples", data, features=[age], label="age > 1")
    model = wf.learner("model", LogisticRegression, on=examples)
    wf.predict("predictions", model, examples)
    fit = declared(wf, "model").operator
    assert isinstance(fit, FitStage)
    assert fit.rows == "all"
    assert declared(wf, "predictions").operator == Predict("all")


def test_a_label_may_be_an_extractor_and_a_feature_at_once(wf: hx.Workflow, data: hx.NodeRef) -> None:
    age = wf.extractor("age", hx.Fields("age"), on=data)
    wf.synthesizer("examples", data, features=[age], label=age)
    operator = declared(wf, "examples").operator
    assert isinstance(operator, Assemble)
    assert (operator.features, operator.label) == ((Input(1),), Input(1))


# Refusals: at the author's line, before anything else


def test_two_nodes_of_one_name(wf: hx.Workflow) -> None:
    with pytest.raises(DuplicateNodeError) as caught:
        wf.source("data", hx.csv("other.csv"))
    assert "two nodes are named 'data'" in str(caught.value)
    assert "the first is at" in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda wf, data: wf.source("x", "adult.data"), "was given a str"),
        (lambda wf, data: wf.extractor("x", hx.Fields("a"), on="data2", nonsense=1), "outside its parentheses"),
        (lambda wf, data: wf.extractor("x", hx.Fields("a"), on=data, output=True), "cannot be an output by itself"),
        (lambda wf, data: wf.extractor("x", hx.Fields("a"), on=3), "expected a node, got 3"),
        (lambda wf, data: wf.scanner(lambda data: data), "a lambda has no name"),
        (lambda wf, data: wf.scanner("x"), "use it as a decorator: @wf.scanner"),
        (lambda wf, data: wf.synthesizer("x", data, features=[]), "was given no features"),
        (lambda wf, data: wf.synthesizer("x", data, features=["age"]), "is not an extractor"),
        (lambda wf, data: wf.scanner("x", hx.Fields("a"), on=data, kept="always"), "did you mean 'keep'"),
        (lambda wf, data: wf.scanner("x", hx.Fields("a"), on=data, keep="sometimes"), "'always' or 'never'"),
        (lambda wf, data: wf.extractor("x", hx.Fields("a"), on=hx.NodeRef(hx.Workflow("v"), "data")),
         "belongs to another workflow"),
        (lambda wf, data: hx.Bucketizer("age"), "either bins or splits"),
        (lambda wf, data: hx.Bucketizer("age", bins=1), "at least 2 bins"),
        (lambda wf, data: hx.Bucketizer("age", splits=[2, 1]), "must ascend"),
        (lambda wf, data: hx.Interaction("age"), "two or more"),
        (lambda wf, data: hx.Fields(), "one or more column names"),
        (lambda wf, data: hx.csv([]), "no path"),
        (lambda wf, data: hx.table({"a": [1]}), "was given a dict"),
        (lambda wf, data: hx.Workflow(""), "name is some text"),
    ],
)
def test_refused(wf: hx.Workflow, data: hx.NodeRef, declare: Any, words: str) -> None:
    with pytest.raises(OperatorError) as caught:
        declare(wf, data)
    assert words in str(caught.value)


def test_a_family_refuses_results_that_are_not_its_own(wf: hx.Workflow) -> None:
    with pytest.raises(OperatorError, match="a scanner returns a table"):
        @wf.scanner
        def rows(data: DataFrame) -> float:
            return 0.0


def test_variable_arguments_name_no_node(wf: hx.Workflow) -> None:
    with pytest.raises(OperatorError, match=r"parameter \*tables.* names no node"):
        @wf.reducer
        def count(*tables: pd.DataFrame) -> int:
            return 0


# Sources


def test_options_of_a_source_are_text_in_order_of_name() -> None:
    assert hx.csv("a.csv", "x int", sep=";", header=True).options == (("header", "true"), ("sep", ";"))
    assert hx.csv("a.csv").options == (("header", "false"), ("inferSchema", "true"))
    assert hx.json(["a", "b"], multiLine=True).paths == ("a", "b")


def test_a_schema_may_be_a_struct_type() -> None:
    from pyspark.sql.types import LongType, StructType

    assert (hx.csv("a.csv", schema=StructType().add("x", LongType())).schema or "").startswith('{"fields"')
