"""Functions whose parameters are pointed at nodes by ``reads=``: one function may be declared several times."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import Column, DataFrame

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow, merge_equal
from helix_spark.errors import Location, OperatorError, WorkflowError
from helix_spark.identity.signing import Signed, describe, resolve
from helix_spark.planner.joint import policy_named
from helix_spark.planner.planning import make_plan
from helix_spark.planner.problem import State
from helix_spark.workflow.declaration import WISHES, FunctionOptions, Node, NodeOptions
from helix_spark.workflow.operators import Form, Function
from tests.fakes.situation import situation

TABLE = pd.DataFrame({"a": [1.0, 2.0]})


def start() -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(TABLE))
    return wf


def declared(wf: hx.Workflow, name: str) -> Node:
    return next(declaration for declaration in wf.declarations if declaration.name == name)


def sign(wf: hx.Workflow) -> dict[str, Signed]:
    dag = compile_workflow(wf)
    return resolve(dag, describe(dag, {}), run="run", equivalent={}, known_random={})


def fold(rows: DataFrame, part: int) -> DataFrame:
    return rows.where(rows.a % 3 != part)


def threshold(rows: pd.DataFrame) -> float:
    return float(rows.a.mean())


def share(rows: pd.DataFrame, least: float) -> float:
    return float((rows.a > least).mean())


def folds() -> hx.Workflow:
    """Three folds, of each a learner and a reducer, all of the same functions."""
    wf = start()
    for part in range(3):
        rows = wf.scanner(name=f"rows_{part}", reads={"rows": "data"})(lambda rows, part=part: fold(rows, part))
        learned = wf.learner(name=f"threshold_{part}", reads={"rows": rows})(threshold)
        wf.reducer(name=f"share_{part}", reads={"rows": "data", "least": learned}, output=True)(share)
    return wf


# Declarations


def test_parameters_are_pointed_at_nodes_by_what_was_declared_or_by_name() -> None:
    wf = start()
    rows = wf.scanner(lambda rows: rows, name="rows_1", reads={"rows": hx.NodeRef(wf, "data")})
    wf.reducer(share, name="share_1", reads={"rows": "rows_1"})
    assert (rows.name, declared(wf, "rows_1").inputs) == ("rows_1", ("data",))
    made = declared(wf, "share_1")
    assert made.inputs == ("rows_1", "least")  # what is not pointed anywhere reads the node of its name
    assert isinstance(made.operator, Function)
    assert made.operator.arguments == ("rows", "least")


def test_two_parameters_may_read_one_node() -> None:
    wf = start()

    @wf.reducer(reads={"left": "data", "right": "data"}, output=True)
    def same(left: pd.DataFrame, right: pa.Table) -> bool:
        return len(left) == right.num_rows

    node = compile_workflow(wf)["same"]
    assert node.inputs == ("data", "data")
    assert isinstance(node.operator, Function)
    assert node.operator.forms == (Form.PANDAS, Form.ARROW)


def test_an_extractor_extends_the_node_that_its_first_parameter_is_pointed_at() -> None:
    wf = start()

    def doubled(rows: DataFrame) -> Column:
        return rows.a * 2

    column = wf.extractor(name="twice_a", reads={"rows": "data"})(doubled)
    wf.synthesizer("examples", "data", features=[column], output=True)
    assert compile_workflow(wf)["twice_a"].base == "data"


def report(rows: pd.DataFrame, extra: float | None = None, least: int = 3) -> float:
    return len(rows) + (extra or 0.0) + least


def test_a_parameter_with_a_default_that_is_pointed_at_a_node_reads_it() -> None:
    wf = start()
    wf.reducer(threshold, name="mean", reads={"rows": "data"})
    wf.reducer(report, reads={"rows": "data", "least": "mean"}, output=True)
    node = compile_workflow(wf)["report"]
    assert node.inputs == ("data", "mean")
    assert isinstance(node.operator, Function)
    assert (node.operator.arguments, node.operator.forms) == (("rows", "least"), (Form.PANDAS, Form.VALUE))


def test_a_default_does_not_stand_in_for_a_node_that_is_named_and_not_there() -> None:
    wf = start()
    wf.reducer(report, name="one", reads={"rows": "data", "least": "meen"}, output=True)
    wf.reducer(threshold, name="mean", reads={"rows": "data"})
    with pytest.raises(WorkflowError, match="'one' reads 'meen'") as caught:
        compile_workflow(wf)
    assert "did you mean 'mean'?" in str(caught.value)


def test_nor_does_that_of_another_parameter_of_its_name() -> None:
    wf = start()
    wf.reducer(report, name="one", reads={"rows": "extra"}, output=True)
    with pytest.raises(WorkflowError, match="'one' reads 'extra'"):
        compile_workflow(wf)


def test_a_table_is_still_taken_as_the_parameter_is_annotated() -> None:
    wf = start()
    wf.reducer(lambda rows: 0.0, name="zero", reads={"rows": "data"})

    def twice(least: float) -> float:
        return 2 * least

    wf.reducer(twice, reads={"least": "data"}, output=True)
    with pytest.raises(OperatorError, match="takes 'data' as `float`, but it is a table"):
        compile_workflow(wf)


@pytest.mark.parametrize(
    ("reads", "words"),
    [
        ({"row": "data"}, ["reads= of 'mean' names 'row', which is no parameter", "did you mean 'rows'?"]),
        ({"rows": 3}, ["expected a node, got 3"]),
        ({"rows": hx.NodeRef(hx.Workflow("v"), "data")}, ["belongs to another workflow"]),
        (["data"], ["takes nodes by parameter, not a list", 'reads={"parameter": node}']),
    ],
)
def test_refused_where_it_is_written(reads: Any, words: list[str]) -> None:
    wf = start()
    with pytest.raises(OperatorError) as caught:
        wf.reducer(name="mean", reads=reads)(threshold)
    line = test_refused_where_it_is_written.__code__.co_firstlineno
    assert caught.value.where is not None
    assert caught.value.where.file == __file__
    assert line < caught.value.where.line < line + 20  # of the declaration, and not of the function
    for text in words:
        assert text in str(caught.value)


def test_an_unknown_node_is_told_where_it_is_read() -> None:
    wf = start()
    wf.reducer(name="mean", reads={"rows": "dota"}, output=True)(threshold)
    place = declared(wf, "mean").where
    assert place == Location(__file__, test_an_unknown_node_is_told_where_it_is_read.__code__.co_firstlineno + 2)
    with pytest.raises(WorkflowError, match="'mean' reads 'dota'") as caught:
        compile_workflow(wf)
    assert caught.value.where == place
    assert "did you mean 'data'?" in str(caught.value)


def test_the_options_that_are_typed_are_those_that_there_are() -> None:
    assert set(NodeOptions.__annotations__) | {"keep"} == WISHES
    assert set(FunctionOptions.__annotations__) == WISHES | {"name", "output", "reads", "metrics"}


# Loops


def test_a_loop_declares_several_nodes_of_one_function() -> None:
    dag = compile_workflow(folds())
    for part in range(3):
        assert dag[f"threshold_{part}"].inputs == (f"rows_{part}",)
        assert dag[f"share_{part}"].inputs == ("data", f"threshold_{part}")
    plan = make_plan(situation(folds()), policy_named("never"))
    assert len(plan.in_state(State.COMPUTE)) == len(dag.nodes) == 10


def test_what_they_read_tells_them_apart() -> None:
    signed = sign(folds())
    assert len({own.signature for own in signed.values()}) == len(signed) == 10
    assert {name: own.signature for name, own in sign(folds()).items()} == {
        name: own.signature for name, own in signed.items()
    }


def test_nodes_of_one_function_that_read_the_same_are_one() -> None:
    wf = start()
    for name in ("one", "two"):
        wf.reducer(name=name, reads={"rows": "data"}, output=True)(threshold)
    signatures = {name: own.signature for name, own in sign(wf).items()}
    merged = merge_equal(compile_workflow(wf), signatures)
    assert [node.name for node in merged.nodes] == ["data", "one"]


def test_which_parameter_reads_which_node_counts() -> None:
    def build(left: str, right: str) -> str:
        wf = start()
        wf.source("other", hx.table(TABLE * 2))

        @wf.reducer(reads={"left": left, "right": right}, output=True)
        def apart(left: pd.DataFrame, right: pd.DataFrame) -> float:
            return float(left.a.sum() - right.a.sum())

        return sign(wf)["apart"].signature

    assert build("data", "other") != build("other", "data")


def test_another_name_for_a_parameter_that_is_pointed_at_its_node_is_the_same() -> None:
    plain = start()

    @plain.reducer(output=True)
    def mean(data: pd.DataFrame) -> float:
        return float(data.a.mean())

    pointed = start()

    @pointed.reducer(name="mean", reads={"table": "data"}, output=True)
    def average(table: pd.DataFrame) -> float:
        return float(table.a.mean())

    assert sign(plain)["mean"].signature == sign(pointed)["mean"].signature
