"""Declarations: each family, what annotations ask for, what is refused where it is written. No Spark is started."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Optional

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.ml import Estimator
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.clustering import KMeans, KMeansModel
from pyspark.ml.feature import StringIndexer, Tokenizer, VectorAssembler
from pyspark.sql import Column, DataFrame

import helix_spark as hx
from helix_spark.answers.capture_nodes import capture_nodes
from helix_spark.dag.compilation import compile_workflow
from helix_spark.errors import Location, OperatorError, SignatureError, WorkflowError
from helix_spark.workflow.declaration import Node
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
    Rows,
    Select,
    Stage,
)

OPTIONAL: Any = Optional
"""As older code writes it."""


def declared(wf: hx.Workflow, name: str) -> Node:
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


@pytest.mark.parametrize(
    ("annotation", "form"),
    [
        ("pd.DataFrame | None", Form.PANDAS), ("None | pd.DataFrame", Form.PANDAS),
        ("Optional[pa.Table]", Form.ARROW), ("Union[DataFrame, None]", Form.SPARK),
        ("'pd.DataFrame | None'", Form.PANDAS), ("Optional['pd.DataFrame']", Form.PANDAS),
        (pd.DataFrame | None, Form.PANDAS), (OPTIONAL[pa.Table], Form.ARROW), (OPTIONAL["pd.DataFrame"], Form.PANDAS),
        ("float | pd.DataFrame", Form.PANDAS), ("pd.DataFrame | DataFrame", Form.SPARK),
        ("pd.DataFrame | pa.Table", Form.VALUE), ("float | None", Form.VALUE), ("KMeansModel | None", Form.VALUE),
        ("list[pd.DataFrame]", Form.VALUE),
    ],
    ids=str,
)
def test_an_optional_table_has_the_form_of_the_table(wf: hx.Workflow, annotation: object, form: Form) -> None:
    def report(data, extra=None):  # type: ignore[no-untyped-def]
        return 0

    report.__annotations__ = {"extra": annotation}
    wf.reducer(report)
    operator = declared(wf, "report").operator
    assert isinstance(operator, Function)
    assert operator.forms == (Form.ANY, form)


def test_what_an_optional_function_returns_is_what_it_was(wf: hx.Workflow) -> None:
    @wf.reducer
    def report(data: pd.DataFrame) -> pd.DataFrame | None:
        return None

    assert declared(wf, "report").result is Result.VALUE


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
    with pytest.raises(OperatorError, match="has no function"):
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


def test_to_fix_an_extractor_that_learns_is_to_fix_what_it_learns(wf: hx.Workflow, data: hx.NodeRef) -> None:
    wf.extractor("topics", KMeans, on=data, k=3, fixed=True)
    assert (declared(wf, "topics.fit").wishes.fixed, declared(wf, "topics").wishes.fixed) == (True, False)
    later = wf.extractor("groups", KMeans, on=data, k=3)
    hx.fixed(later)
    assert (declared(wf, "groups.fit").wishes.fixed, declared(wf, "groups").wishes.fixed) == (True, False)


def test_plain_arguments_of_the_builder_are_the_parameters_of_the_workflow() -> None:
    def build(reg: float = 0.1, *, bins: int = 3, table: object = object()) -> hx.Workflow:
        return hx.Workflow("w")

    assert build(0.5).parameters == {"reg": 0.5, "bins": 3}


def test_paths_dates_and_short_lists_are_recorded_as_text() -> None:
    def build(path: Path, since: date, bins: list[int], names: tuple[str, ...], rows: list[int]) -> hx.Workflow:
        return hx.Workflow("w")

    made = build(Path("data") / "a.csv", date(2024, 5, 31), [1, 2], ("a", "b"), list(range(1000)))
    assert made.parameters == {"path": "data/a.csv", "since": "2024-05-31", "bins": "1,2", "names": "a,b"}


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


def examples_of(wf: hx.Workflow, **more: Any) -> hx.NodeRef:
    age = wf.extractor("age", hx.Fields("age"), on="data")
    made: hx.NodeRef = wf.synthesizer("examples", hx.NodeRef(wf, "data"), features=[age], label="age > 1", **more)
    return made


def rows_of(wf: hx.Workflow, *names: str) -> list[Rows | None]:
    """Which rows learners and predictions take, once the workflow is compiled and its columns are known."""
    wf.output(*names)
    dag = capture_nodes(compile_workflow(wf), {}).dag
    operators = [dag[name].operator for name in names]
    return [operator.rows for operator in operators if isinstance(operator, FitStage | Predict)]


def test_examples_are_split_and_learners_and_predictions_know_it(wf: hx.Workflow) -> None:
    examples = examples_of(wf, split=hx.HashSplit(test=0.5))
    model = wf.learner("model", LogisticRegression, on=examples, regParam=0.1)
    wf.predict("predictions", model, examples)
    wf.predict("everything", model, examples, rows="all")
    assemble, fit = declared(wf, "examples").operator, declared(wf, "model").operator
    assert isinstance(assemble, Assemble)
    assert isinstance(fit, FitStage)
    assert (assemble.features, fit.stage.parameters) == ((Input(1),), (("regParam", 0.1),))
    assert rows_of(wf, "model", "predictions", "everything") == ["train", "test", "all"]


def test_examples_that_are_named_by_text_are_split_as_well(wf: hx.Workflow) -> None:
    examples_of(wf, split=hx.HashSplit(test=0.5))
    wf.learner("model", LogisticRegression, on="examples")
    wf.predict("predictions", "model", "examples")
    assert rows_of(wf, "model", "predictions") == ["train", "test"]


def test_so_are_those_that_are_declared_after_what_reads_them(wf: hx.Workflow) -> None:
    wf.learner("model", LogisticRegression, on="examples")
    wf.predict("predictions", "model", "examples")
    examples_of(wf, split=hx.HashSplit(test=0.5))
    assert rows_of(wf, "model", "predictions") == ["train", "test"]


def test_without_a_split_all_rows_are_learned_from_and_scored(wf: hx.Workflow) -> None:
    examples = examples_of(wf)
    model = wf.learner("model", LogisticRegression, on=examples)
    wf.predict("predictions", model, examples)
    assert rows_of(wf, "model", "predictions") == ["all", "all"]


def test_predictions_keep_the_vectors_that_are_asked_for(wf: hx.Workflow) -> None:
    model = wf.learner("model", LogisticRegression, on=examples_of(wf))
    wf.predict("plain", model, "examples", rows="all")
    wf.predict("raw", model, "examples", rows="all", keep_columns=["rawPrediction"])
    wf.predict("both", model, "examples", rows="all", keep_columns=("rawPrediction", "features"))
    assert declared(wf, "plain").operator == Predict("all")
    assert declared(wf, "raw").operator == Predict("all", ("rawPrediction",))
    assert declared(wf, "both").operator == Predict("all", ("features", "rawPrediction"))


def test_examples_may_be_asked_to_be_stored(wf: hx.Workflow) -> None:
    examples_of(wf, keep="always", recompute=True)
    operator, wishes = declared(wf, "examples").operator, declared(wf, "examples").wishes
    assert isinstance(operator, Assemble)
    assert operator.keep == ()
    assert (wishes.keep, wishes.recompute) == ("always", True)


# Wishes and parameters side by side


def test_a_learner_is_wished_what_other_nodes_are(wf: hx.Workflow, data: hx.NodeRef) -> None:
    wf.learner(
        "model", KMeans, on=data, k=3, keep="never", recompute=True, fixed=True, depends_on=[len], exclude=["k"],
    )
    operator, wishes = declared(wf, "model").operator, declared(wf, "model").wishes
    assert isinstance(operator, FitStage)
    assert operator.stage.parameters == (("k", 3),)
    assert (wishes.keep, wishes.recompute, wishes.fixed) == ("never", True, True)
    assert (wishes.depends_on, wishes.exclude) == ((len,), ("k",))


def test_what_an_extractor_learns_is_wished_what_the_extractor_is(wf: hx.Workflow, data: hx.NodeRef) -> None:
    wf.extractor("sex_is", hx.OneHot("sex"), on=data, keep="never", exclude=["column"])
    wf.extractor("index", StringIndexer, on=data, inputCol="sex", recompute=True)
    assert (declared(wf, "sex_is.fit").wishes.keep, declared(wf, "sex_is").wishes.keep) == ("never", "auto")
    assert declared(wf, "sex_is").wishes.exclude == ("column",)
    assert declared(wf, "index.fit").wishes.recompute
    fit = declared(wf, "index.fit").operator
    assert isinstance(fit, FitStage)
    assert fit.stage == Stage(StringIndexer, (("inputCol", "sex"),))


class Anything(Estimator):
    """A stage of somebody's own that takes whatever it is given."""

    def __init__(self, **parameters: object) -> None: ...


class Fixed(Estimator):
    """One with a parameter that is called as a wish."""

    def __init__(self, fixed: bool = False) -> None: ...


def factory() -> LogisticRegression:
    return LogisticRegression(maxIter=2)


def parametrised(k: int, seed: int = 0) -> KMeans:
    return KMeans(k=k, seed=seed)


@pytest.mark.parametrize(
    ("what", "parameters"),
    [(Anything, {"depth": 3}), (Anything, {"name": "x", "what": 1}), (Fixed, {"fixed": True}), (factory, {}),
     (parametrised, {"k": 2}), ("mine.Estimator", {"depth": 3}),
     (LogisticRegression, {"regParam": 0.1, "featuresCol": "features"})],
)
def test_what_a_class_or_function_takes_is_its_own(
    wf: hx.Workflow, data: hx.NodeRef, what: Any, parameters: dict[str, Any]
) -> None:
    wf.learner("model", what, on=data, **parameters)
    operator = declared(wf, "model").operator
    assert isinstance(operator, FitStage)
    assert dict(operator.stage.parameters) == parameters
    assert not declared(wf, "model").wishes.fixed


def test_the_table_of_examples_may_be_named_by_text(wf: hx.Workflow) -> None:
    wf.synthesizer("examples", "data", features=[wf.extractor("age", hx.Fields("age"), on="data")])
    assert declared(wf, "examples").inputs == ("data", "age")


def test_a_label_may_be_an_extractor_and_a_feature_at_once(wf: hx.Workflow, data: hx.NodeRef) -> None:
    age = wf.extractor("age", hx.Fields("age"), on=data)
    wf.synthesizer("examples", data, features=[age], label=age)
    operator = declared(wf, "examples").operator
    assert isinstance(operator, Assemble)
    assert (operator.features, operator.label) == ((Input(1),), Input(1))


# Refusals: at the author's line, before anything else


def test_two_nodes_of_one_name(wf: hx.Workflow) -> None:
    with pytest.raises(WorkflowError) as caught:
        wf.source("data", hx.csv("other.csv"))
    assert "two nodes are named 'data'" in str(caught.value)
    assert "the first is at" in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def in_a_cell(number: int, text: str) -> Callable[[hx.Workflow], object]:
    """What a cell of a notebook does to a workflow."""
    code = compile(text, f"/tmp/ipykernel_7/{number}.py", "exec", dont_inherit=True)
    return lambda wf: exec(code, {"wf": wf, "hx": hx})


RUN_AGAIN = "run the cell that makes the Workflow again"


def test_a_cell_that_is_run_again_says_which_other_one_to_run(wf: hx.Workflow) -> None:
    text = "@wf.reducer\ndef count(data):\n    return len(data)\n"
    in_a_cell(1, text)(wf)
    with pytest.raises(WorkflowError, match=RUN_AGAIN):
        in_a_cell(2, text.replace("len(data)", "2 * len(data)"))(wf)
    in_a_cell(3, "wf.source('more', hx.csv('a.csv'))")(wf)
    with pytest.raises(WorkflowError, match=RUN_AGAIN):
        in_a_cell(3, "wf.source('more', hx.csv('a.csv'))")(wf)


def test_a_split_is_refused_where_it_is_written() -> None:
    with pytest.raises(OperatorError) as caught:
        hx.HashSplit(test=1)
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def old_age(data: DataFrame) -> Column:
    return data.age + 1


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda wf, data: wf.source("x", "adult.data"), "was given a str"),
        (lambda wf, data: wf.source("x", hx.csv("a.csv"), keep="sometimes"), "'always' or 'never'"),
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
        (lambda wf, data: wf.extractor(depends_on={old_age})(old_age), "the order of a set differs"),
        (lambda wf, data: hx.HashSplit(key={"doc", "page"}), "write key=[...]"),
        (lambda wf, data: wf.extractor(depends_on="words.txt")(old_age), 'write ["words.txt"]'),
        (lambda wf, data: wf.extractor(depends_on=Path("words.txt"))(old_age), "takes a list, not a PosixPath alone"),
        (lambda wf, data: wf.extractor(depends_on=pd.DataFrame({"a": [1]}))(old_age), "not a DataFrame alone"),
        (lambda wf, data: wf.scanner("x", hx.Fields("a"), on=data, exclude="seed"), 'write ["seed"]'),
        (lambda wf, data: wf.synthesizer("x", data, features=[data], keep="sex"), 'write ["sex"]'),
        (lambda wf, data: wf.synthesizer("x", data, features=data), "features takes a list, not a NodeRef"),
        (lambda wf, data: wf.synthesizer("x", data, features="age"), 'write ["age"]'),
        (lambda wf, data: wf.synthesizer("x", data, features=[data], split=0.2), "split=hx.HashSplit(test=0.2)"),
        (lambda wf, data: hx.HashSplit(key="doc"), 'write ["doc"]'),
        (lambda wf, data: hx.HashSplit(test=0), "between 0 and 1, not 0"),
        (lambda wf, data: hx.HashSplit(test=20), "between 0 and 1, not 20"),
        (lambda wf, data: hx.HashSplit(test="0.2"), "between 0 and 1, not '0.2'"),
        (lambda wf, data: hx.HashSplit(seed=1.0), "a whole number, not 1.0"),
        (lambda wf, data: wf.learner("m", KMeans, on=data, rows="training"), "not 'training'"),
        (lambda wf, data: wf.predict("p", "m", data, rows="tests"), "not 'tests'"),
        (lambda wf, data: wf.predict("p", "m", data, keep_columns="features"), 'write ["features"]'),
        (lambda wf, data: wf.predict("p", "m", data, keep=["rawPrediction"]), "or wf.predict(..., keep_columns=[...])"),
        (lambda wf, data: wf.extractor(keep=["a"])(old_age), "or return them from a function"),
        (lambda wf, data: wf.predict("p", "m", data, keep_columns=["raw"]), "there are: features, rawPrediction"),
        (lambda wf, data: wf.learner("m", KMeans, on=data, K=3), "takes no parameter 'K'"),
        (lambda wf, data: wf.learner("m", LogisticRegression, on=data, regparam=0.1), "did you mean 'regParam'"),
        (lambda wf, data: wf.learner("m", KMeans, on=data, recompte=True), "did you mean 'recompute'"),
        (lambda wf, data: wf.learner("m", factory, on=data, k=3), "factory takes no parameter 'k'"),
        (lambda wf, data: wf.extractor("x", Tokenizer, on=data, inputcol="sex"), "did you mean 'inputCol'"),
        (lambda wf, data: wf.extractor("x", hx.Fields("a"), on=data, keep="never"), 'write keep="never" in the'),
        (lambda wf, data: wf.extractor("x", hx.OneHot("a"), on=data, keep="sometimes"), "'always' or 'never'"),
        (lambda wf, data: wf.extractor("log_a", lambda data: data.a, on=data),
         'wf.extractor(name="log_a")(function)'),
        (lambda wf, data: wf.learner("m", old_age, on=data), 'wf.learner(name="m")(function)'),
        (lambda wf, data: wf.extractor("x", data, on=data), "was given the node 'data'"),
        (lambda wf, data: wf.extractor("v", VectorAssembler, on=data, inputCols=[data, "age"]),
         "parameter 'inputCols' of extractor 'v' was given nodes: data"),
        (lambda wf, data: wf.learner("m", LogisticRegression, on=data, weightCol=data), "was given nodes: data"),
        (lambda wf, data: hx.Bucketizer("age"), "either bins or splits"),
        (lambda wf, data: hx.Bucketizer("age", bins=1), "at least 2 bins"),
        (lambda wf, data: hx.Bucketizer("age", splits=[2, 1]), "must ascend"),
        (lambda wf, data: hx.Interaction("age"), "two or more"),
        (lambda wf, data: hx.Fields(), "one or more column names"),
        (lambda wf, data: hx.csv([]), "no path"),
        (lambda wf, data: hx.table({"a": [1]}), "was given a dict"),
        (lambda wf, data: hx.Workflow(""), "name is a line of text"),
    ],
)
def test_refused(wf: hx.Workflow, data: hx.NodeRef, declare: Any, words: str) -> None:
    with pytest.raises(OperatorError) as caught:
        declare(wf, data)
    assert words in str(caught.value)


TOO_FEW_OR_MANY = "a ready-made {} takes two arguments by position, and was given {}"


@pytest.mark.parametrize(
    ("declare", "what", "form"),
    [
        (lambda wf, data: wf.scanner("x", hx.Fields("a")), "scanner 'x' was given no on=",
         "wf.scanner(name, hx.Fields(...), on=table)"),
        (lambda wf, data: wf.scanner("x", "a", on=data), "scanner 'x' was given a str where hx.Fields belongs",
         "wf.scanner(name, hx.Fields(...), on=table)"),
        (lambda wf, data: wf.scanner("x", hx.Fields("a"), data), TOO_FEW_OR_MANY.format("scanner", 3),
         "wf.scanner(name, hx.Fields(...), on=table)"),
        (lambda wf, data: wf.extractor("x", hx.OneHot("sex")), "extractor 'x' was given no on=",
         "wf.extractor(name, what, on=table)"),
        (lambda wf, data: wf.extractor("x", hx.OneHot("sex"), data), TOO_FEW_OR_MANY.format("extractor", 3),
         "wf.extractor(name, what, on=table)"),
        (lambda wf, data: wf.extractor("x", on=data), TOO_FEW_OR_MANY.format("extractor", 1),
         "wf.extractor(name, what, on=table)"),
        (lambda wf, data: wf.synthesizer("x", data), "synthesizer 'x' was given no features=",
         "wf.synthesizer(name, table, features=[...])"),
        (lambda wf, data: wf.synthesizer("x", data, [data]), TOO_FEW_OR_MANY.format("synthesizer", 3),
         "wf.synthesizer(name, table, features=[...])"),
        (lambda wf, data: wf.synthesizer("x", features=[data]), TOO_FEW_OR_MANY.format("synthesizer", 1),
         "wf.synthesizer(name, table, features=[...])"),
        (lambda wf, data: wf.learner("x", KMeans, k=2), "learner 'x' was given no on=",
         "wf.learner(name, what, on=examples)"),
        (lambda wf, data: wf.learner("x", KMeans, data), TOO_FEW_OR_MANY.format("learner", 3),
         "wf.learner(name, what, on=examples)"),
        (lambda wf, data: wf.learner(KMeans, on=data), TOO_FEW_OR_MANY.format("learner", 1),
         "wf.learner(name, what, on=examples)"),
    ],
)
def test_a_ready_made_node_that_lacks_something_is_told_how_it_is_declared(
    wf: hx.Workflow, data: hx.NodeRef, declare: Any, what: str, form: str
) -> None:
    with pytest.raises(OperatorError) as caught:
        declare(wf, data)
    family = form.partition("(")[0]
    assert caught.value.what == what
    assert caught.value.where == Location(__file__, declare.__code__.co_firstlineno)
    assert caught.value.remedy == f"write {form}, or use it as a decorator: @{family}"


def test_a_family_refuses_results_that_are_not_its_own(wf: hx.Workflow) -> None:
    with pytest.raises(OperatorError, match="a scanner returns a table"):
        @wf.scanner
        def rows(data: DataFrame) -> float:
            return 0.0

    with pytest.raises(OperatorError, match="an extractor returns a column or table, not a value"):
        @wf.extractor
        def age(data: DataFrame) -> float:
            return 0.0


def test_variable_arguments_name_no_node(wf: hx.Workflow) -> None:
    with pytest.raises(OperatorError, match=r"parameter \*tables names no node"):
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
