"""Compilation: names are looked up, the order found, what no output needs dropped, equal nodes merged."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import Tokenizer
from pyspark.sql import Column, DataFrame

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow, merge_equal
from helix_spark.dag.node import Dag
from helix_spark.errors import OperatorError, WorkflowError
from helix_spark.workflow.operators import Function


def chain() -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.csv("adult.data", schema="age double"))

    @wf.reducer(output=True)
    def count(rows: pd.DataFrame) -> int:
        return len(rows)

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data

    @wf.reducer
    def unused(rows: pd.DataFrame) -> int:
        return 0

    return wf


def names(dag: Dag) -> list[str]:
    return [node.name for node in dag.nodes]


def test_inputs_come_before_readers_though_they_were_declared_after() -> None:
    assert names(compile_workflow(chain())) == ["data", "rows", "count"]


def test_what_no_output_needs_is_dropped_and_said() -> None:
    dag = compile_workflow(chain())
    assert dag.dropped == ("unused",)
    assert dag.outputs == ("count",)


def test_an_unknown_node_is_refused_with_the_nearest_name() -> None:
    wf = chain()

    @wf.reducer(output=True)
    def broken(row: pd.DataFrame) -> int:
        return 0

    with pytest.raises(WorkflowError) as caught:
        compile_workflow(wf)
    assert "'broken' reads 'row'" in str(caught.value)
    assert "did you mean 'rows'?" in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def test_an_unknown_output_is_refused_with_the_nearest_name() -> None:
    wf = chain()
    wf.output("cuont")
    with pytest.raises(WorkflowError, match="'cuont' is not a node") as caught:
        compile_workflow(wf)
    assert "did you mean 'count'?" in str(caught.value)


def test_a_circle_is_printed() -> None:
    wf = hx.Workflow("w")

    @wf.scanner
    def a(c: DataFrame) -> DataFrame:
        return c

    @wf.scanner
    def b(a: DataFrame) -> DataFrame:
        return a

    @wf.scanner(output=True)
    def c(b: DataFrame) -> DataFrame:
        return b

    with pytest.raises(WorkflowError) as caught:
        compile_workflow(wf)
    circle = str(caught.value).splitlines()[0].partition(": ")[2].split(" -> ")
    assert circle[0] == circle[-1]
    assert set(circle) == {"a", "b", "c"}
    assert all(edge in {("a", "b"), ("b", "c"), ("c", "a")} for edge in pairwise(circle))


def test_a_node_that_reads_itself_is_a_circle() -> None:
    wf = hx.Workflow("w")

    @wf.scanner(output=True)
    def a(a: DataFrame) -> DataFrame:
        return a

    with pytest.raises(WorkflowError, match="a -> a"):
        compile_workflow(wf)


def test_a_workflow_that_asks_for_nothing() -> None:
    wf = hx.Workflow("w")
    wf.source("data", hx.csv("adult.data"))
    with pytest.raises(WorkflowError) as caught:
        compile_workflow(wf)
    assert "output=True" in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def test_a_default_stands_in_where_no_such_node_exists() -> None:
    wf = chain()

    @wf.reducer(output=True)
    def report(count: int, least: int = 3) -> int:
        return max(count, least)

    node = compile_workflow(wf)["report"]
    assert node.inputs == ("count",)
    assert isinstance(node.operator, Function)
    assert node.operator.arguments == ("count",)


def test_a_default_gives_way_to_a_node_of_its_name() -> None:
    wf = chain()

    @wf.reducer
    def least(rows: pd.DataFrame) -> int:
        return 1

    @wf.reducer(output=True)
    def report(count: int, least: int = 3) -> int:
        return max(count, least)

    assert compile_workflow(wf)["report"].inputs == ("count", "least")


def two_tables() -> tuple[hx.Workflow, hx.NodeRef, hx.NodeRef]:
    wf = hx.Workflow("w")
    return wf, wf.source("one", hx.csv("a.csv")), wf.source("two", hx.csv("b.csv"))


def test_a_column_is_assembled_only_with_columns_of_its_own_table() -> None:
    wf, one, two = two_tables()
    age = wf.extractor("age", hx.Fields("age"), on=one)
    wf.synthesizer("examples", two, features=[age], output=True)
    with pytest.raises(OperatorError, match="'age' is a column of 'one'"):
        compile_workflow(wf)


def test_an_extractor_reads_only_columns_of_its_own_table() -> None:
    wf, one, two = two_tables()
    age = wf.extractor("age", hx.Fields("age"), on=one)
    crossed = wf.extractor("crossed", hx.Interaction(age, "size"), on=two)
    wf.synthesizer("examples", two, features=[crossed], output=True)
    with pytest.raises(OperatorError, match="extract it from 'two'"):
        compile_workflow(wf)


def test_a_column_is_no_table() -> None:
    wf, one, _ = two_tables()
    wf.extractor("age", hx.Fields("age"), on=one)

    @wf.reducer(output=True)
    def count(age: pd.DataFrame) -> int:
        return 0

    with pytest.raises(OperatorError, match="reducer 'count' reads 'age', which is a column of 'one'"):
        compile_workflow(wf)


def test_a_column_is_no_output() -> None:
    wf, _, _ = two_tables()

    @wf.extractor(output=True)
    def age(one: DataFrame) -> Column:
        return one.age

    with pytest.raises(OperatorError, match="and columns exist only in their table"):
        compile_workflow(wf)


def test_an_extractor_extends_a_table() -> None:
    wf, _, _ = two_tables()

    @wf.reducer
    def number(one: pd.DataFrame) -> int:
        return 1

    @wf.extractor
    def age(number: int) -> Column: ...

    wf.synthesizer("examples", hx.NodeRef(wf, "one"), features=[age], output=True)
    with pytest.raises(OperatorError, match="extends 'number', which is a value"):
        compile_workflow(wf)


# What an input is, and what its reader takes it for


def kinds() -> hx.Workflow:
    """A table, a column of it, a value, examples and a model."""
    wf = hx.Workflow("w")
    rows = wf.source("rows", hx.csv("a.csv"))

    @wf.reducer
    def number(rows: pd.DataFrame) -> int:
        return 1

    age = wf.extractor("age", hx.Fields("age"), on=rows)
    examples = wf.synthesizer("examples", rows, features=[age])
    wf.learner("model", LogisticRegression, on=examples)
    return wf


def node(wf: hx.Workflow, name: str) -> hx.NodeRef:
    return hx.NodeRef(wf, name)


@pytest.mark.parametrize(
    ("declare", "what", "remedy"),
    [
        (lambda wf: wf.synthesizer("x", node(wf, "rows"), features=[node(wf, "age"), node(wf, "number")]),
         "synthesizer 'x' reads 'number' as a column, but it is a value", "an extractor of 'rows'"),
        (lambda wf: wf.synthesizer("x", node(wf, "rows"), features=[node(wf, "rows")]),
         "synthesizer 'x' reads 'rows' as a column, but it is a table", "an extractor of 'rows'"),
        (lambda wf: wf.synthesizer("x", node(wf, "rows"), features=[node(wf, "age")], label=node(wf, "number")),
         "synthesizer 'x' reads 'number' as a column, but it is a value", "returns a Column"),
        (lambda wf: wf.synthesizer("x", node(wf, "rows"), features=[node(wf, "age")], keep=[node(wf, "number")]),
         "synthesizer 'x' reads 'number' as a column, but it is a value", "returns a Column"),
        (lambda wf: wf.synthesizer("x", node(wf, "model"), features=[node(wf, "number")]),
         "synthesizer 'x' reads 'model' as a table, but it is a model", "name a table"),
        (lambda wf: wf.predict("x", "examples", "model"),
         "predict 'x' reads 'examples' as a model, but it is a table", "wf.predict(name, model, examples)"),
        (lambda wf: wf.predict("x", "model", "number"),
         "predict 'x' reads 'number' as a table, but it is a value", "wf.predict(name, model, examples)"),
        (lambda wf: wf.learner("x", LogisticRegression, on="number"),
         "learner 'x' reads 'number' as a table, but it is a value", "name a table"),
        (lambda wf: wf.scanner("x", hx.Fields("a"), on="model"),
         "scanner 'x' reads 'model' as a table, but it is a model", "name a table"),
        (lambda wf: wf.extractor("x", hx.OneHot(node(wf, "number")), on="rows"),
         "extractor 'x.fit' reads 'number' as a column, but it is a value", "returns a Column"),
        (lambda wf: wf.extractor("x", hx.Interaction("age", node(wf, "number")), on="rows"),
         "extractor 'x' reads 'number' as a column, but it is a value", "returns a Column"),
        (lambda wf: wf.extractor("x", Tokenizer, on="rows", inputCol=node(wf, "number")),
         "extractor 'x' reads 'number' as a column, but it is a value", "returns a Column"),
    ],
    ids=["feature", "table", "label", "kept", "base", "swapped", "scored", "learned", "fields", "one-hot", "factor",
         "parameter"],
)
def test_an_input_of_another_kind_is_refused(
    declare: Callable[[hx.Workflow], object], what: str, remedy: str
) -> None:
    wf = kinds()
    declare(wf)
    wf.output("number")
    with pytest.raises(OperatorError) as caught:
        compile_workflow(wf)
    assert caught.value.what == what
    assert remedy in str(caught.value.remedy)
    assert "is declared at" in str(caught.value.exists)
    for told in (caught.value.where, caught.value.exists):
        assert __file__ in str(told)


def test_an_extractor_that_makes_a_table_reads_no_columns() -> None:
    wf = kinds()

    @wf.extractor(output=True)
    def wide(rows: DataFrame, age: Column) -> DataFrame:
        return rows

    with pytest.raises(OperatorError, match="extractor 'wide' reads 'age', which is a column of 'rows'"):
        compile_workflow(wf)


class Counted(Protocol):
    def count(self) -> int: ...


@pytest.mark.parametrize(
    "annotation",
    [float, "float", "dict[str, int]", list[float], np.ndarray, "np.ndarray", "pd.Series | None", "Column",
     "LogisticRegression", "pd.DataFrame | pa.Table"],
    ids=str,
)
def test_a_table_is_handed_over_as_no_other_thing(annotation: object) -> None:
    def count(rows): ...  # type: ignore[no-untyped-def]

    count.__annotations__ = {"rows": annotation}
    wf = kinds()
    wf.reducer(output=True)(count)
    with pytest.raises(OperatorError, match="reducer 'count' takes 'rows' as") as caught:
        compile_workflow(wf)
    assert "annotate it as pyspark.sql.DataFrame, pandas.DataFrame or pyarrow.Table" in str(caught.value)


@pytest.mark.parametrize(
    "annotation",
    [Any, "Any", object, "object", Counted, "Counted", "Unknown", "DataFrame | pd.DataFrame", "float | pd.DataFrame",
     "DataFrame | None", "pa.Table", pa.Table],
    ids=str,
)
def test_an_annotation_that_may_be_a_table_is_taken(annotation: object) -> None:
    def count(rows): ...  # type: ignore[no-untyped-def]

    count.__annotations__ = {"rows": annotation}
    wf = kinds()
    wf.reducer(output=True)(count)
    assert compile_workflow(wf)["count"].inputs == ("rows",)


def test_a_column_extends_a_table_of_spark() -> None:
    wf = kinds()

    @wf.extractor
    def older(rows: pd.DataFrame) -> Column:
        return rows.age + 1  # type: ignore[return-value]  # wrong on purpose

    wf.synthesizer("more", node(wf, "rows"), features=[older], output=True)
    with pytest.raises(OperatorError, match=r"makes a Column of 'rows', but takes it as a pandas\.DataFrame"):
        compile_workflow(wf)


# Merging


def diamond(**wishes: object) -> Dag:
    wf = hx.Workflow("w")
    wf.source("data", hx.csv("adult.data"))

    @wf.scanner
    def left(data: DataFrame) -> DataFrame:
        return data

    @wf.scanner(**wishes)
    def right(data: DataFrame) -> DataFrame:
        return data

    @wf.reducer(output=True)
    def count(left: pd.DataFrame, right: pd.DataFrame) -> int:
        return len(left)

    wf.output(right)
    return compile_workflow(wf)


IDENTITY = {"data": "d", "left": "same", "right": "same", "count": "c"}


def test_equal_nodes_become_the_first_of_them() -> None:
    merged = merge_equal(diamond(), IDENTITY)
    assert names(merged) == ["data", "left", "count"]
    assert merged["count"].inputs == ("left", "left")
    assert merged["left"].aliases == ("right",)
    assert merged["right"] is merged["left"]
    assert set(merged.outputs) == {"count", "left"}


def test_nothing_equal_nothing_merged() -> None:
    dag = diamond()
    assert merge_equal(dag, {name: name for name in names(dag)}) is dag


def test_merged_nodes_keep_the_wishes_of_each() -> None:
    merged = merge_equal(diamond(keep="always", recompute=True, fixed=True), IDENTITY)
    wishes = merged["left"].wishes
    assert (wishes.keep, wishes.recompute, wishes.fixed) == ("always", True, True)


def test_of_two_wishes_to_store_and_not_to_store_the_one_to_store_wins() -> None:
    wf = hx.Workflow("w")
    wf.source("data", hx.csv("adult.data"), keep="never")
    wf.source("again", hx.csv("adult.data"), keep="always", output=True)
    wf.output("data")
    merged = merge_equal(compile_workflow(wf), {"data": "same", "again": "same"})
    assert merged["data"].wishes.keep == "always"


# The graph


def ancestors(dag: Dag, name: str) -> set[str]:
    return set(dag[name].inputs).union(*(ancestors(dag, source) for source in dag[name].inputs))


@given(st.lists(st.lists(st.integers(0, 7), max_size=3), min_size=1, max_size=8))
def test_any_acyclic_workflow_is_ordered_and_sliced(reads: list[list[int]]) -> None:
    wf = hx.Workflow("w")
    edges = {index: sorted({source for source in sources if source < index}) for index, sources in enumerate(reads)}
    for index in sorted(edges, reverse=True):
        namespace: dict[str, object] = {}
        exec(f"def n{index}({', '.join(f'n{source}' for source in edges[index])}): ...", namespace)
        wf.reducer(output=index == len(edges) - 1)(namespace[f"n{index}"])  # type: ignore[arg-type]
    dag = compile_workflow(wf)
    position = {name: at for at, name in enumerate(names(dag))}
    needed, waiting = set(), [len(edges) - 1]
    while waiting:
        index = waiting.pop()
        needed.add(index)
        waiting += edges[index]
    assert set(position) == {f"n{index}" for index in needed}
    assert all(position[source] < position[node.name] for node in dag.nodes for source in node.inputs)
    assert set(dag.dropped) == {f"n{index}" for index in edges if index not in needed}
    first = dag.nodes[0].name
    assert dag.descendants([first]) == {name for name in position if first in ancestors(dag, name)}
    last, within = dag.nodes[-1].name, {name for name in position if int(name[1:]) % 3}
    assert dag.upstream_within([last], position) == ancestors(dag, last)
    assert dag.upstream_within([last], within) == {
        name for name in within & ancestors(dag, last)
        if any(reader == last or reader in dag.upstream_within([last], within) for reader in dag.readers(name))
    }


def test_no_such_node_in_a_graph() -> None:
    with pytest.raises(WorkflowError, match="did you mean 'rows'"):
        compile_workflow(chain())["rosw"]
