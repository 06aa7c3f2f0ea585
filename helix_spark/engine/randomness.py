"""Finds, in what was lowered, results that may differ each time they are computed.

The signature room sees what the code calls; this is the second net, for what only Spark's plans and stages tell.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Dag, Node
from helix_spark.engine.calls import is_lazy
from helix_spark.engine.results import ColumnResult, ModelResult, NodeResult, TableResult
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.workflow.operators import Function

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_BY_ORDER = {
    "First": "first", "Last": "last", "AnyValue": "any_value", "CollectList": "collect_list",
    "CollectSet": "collect_set", "RowNumber": "row_number", "NTile": "ntile", "MaxBy": "max_by", "MinBy": "min_by",
    "Sample": "sample",
}
"""Catalyst calls these deterministic, yet they depend on the order in which rows come, or on how they are divided."""

_BY_CLOCK = {"CurrentTimestamp", "CurrentDate", "Now", "LocalTimestamp", "CurrentTime"}


def unseeded(model: Any) -> bool:
    """Whether a fitted model's stage took its seed by default, which differs from process to process."""
    return bool(model.hasParam("seed")) and not model.isSet("seed") if hasattr(model, "hasParam") else False


class Suspicion:
    """Looks for chance in lowered plans while Spark is at work, so that no answer waits for it.

    Args:
        pool: where it looks; it must not wait for anything that waits for an answer of ours.
    """

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._looking: dict[str, Future[str | None]] = {}

    def begin(self, node: Node, result: NodeResult) -> None:
        """A node was lowered; its result must not be replaced by another while we look, only marked or persisted."""
        if isinstance(node.operator, Function) and is_lazy(node):
            self._looking[node.name] = self._pool.submit(_why, node, result)

    def of(self, node: Node, result: NodeResult) -> str | None:
        """Why a node's own result may differ each time; None if nothing says so."""
        looking = self._looking.get(node.name)
        return looking.result() if looking is not None else _why(node, result)


def found_random(
    dag: Dag, plan: Plan, results: Mapping[str, NodeResult], suspicion: Suspicion
) -> dict[str, str]:
    """Computed nodes whose own result may differ each time, with why; those that only inherit it are left out.

    A result that the author fixed is not among them. What is made of it in the run that draws it has the draw in its
    own plan, so that nothing can be told of it yet: its reason is empty.
    """
    found: dict[str, str] = {}
    drawn: set[str] = set()
    for node in dag.nodes:
        result = results.get(node.name)
        if result is None or plan[node.name].state is not State.COMPUTE or plan[node.name].random:
            continue
        why = suspicion.of(node, result)
        if why is None or node.name in dag.descendants(found):
            continue
        if node.wishes.fixed:
            drawn.add(node.name)
        else:
            found[node.name] = "" if node.name in dag.descendants(drawn) else f"`{node.name}` {why}"
    return found


def _why(node: Node, result: NodeResult) -> str | None:
    if isinstance(result, ModelResult):
        if unseeded(result.model):
            return f"leaves the seed of {type(result.model).__name__} to chance (give it seed=...)"
        return None
    if not isinstance(node.operator, Function) or not is_lazy(node):
        return None
    if isinstance(result, TableResult):
        return plan_randomness(result.frame())
    if isinstance(result, ColumnResult) and not result.needs:
        return plan_randomness(result.add(result.base.frame(), [result]))
    return None


def plan_randomness(frame: DataFrame) -> str | None:
    """Why a DataFrame's rows may differ each time, as its analysed plan tells; None if nothing says so."""
    analysed = frame._jdf.queryExecution().analyzed()
    if not analysed.deterministic() and not all(map(_is_spark_mls, _nondeterministic(analysed))):
        return "uses an expression that Spark calls nondeterministic (rand, uuid, a nondeterministic UDF, ...)"
    nodes = [node for node in _objects(json.loads(analysed.toJSON())) if "class" in node]
    names = [str(node["class"]).rsplit(".", 1)[-1] for node in nodes]
    if clock := _BY_CLOCK & set(names):
        return f"reads the clock ({sorted(clock)[0]})"
    by_order = next(
        (_BY_ORDER[name] for at, name in enumerate(names) if name in _BY_ORDER and not _sorted(names, at)), None
    )
    if by_order is None and "GlobalLimit" in names and not _limits_are_sorted(names):
        by_order = "limit without an order"
    if by_order is None and any(_keeps_one_of_many(found) for found in _operators(analysed, "Deduplicate")):
        by_order = "dropDuplicates of some columns"
    return f"uses {by_order}, which depends on the order of rows" if by_order else None


def _nondeterministic(plan: Any) -> Iterator[Any]:
    """The expressions of a Catalyst plan that are nondeterministic by themselves."""
    for expression in _members(plan.expressions()):
        yield from _innermost(expression)
    for child in _members(plan.children()):
        if not child.deterministic():
            yield from _nondeterministic(child)


def _innermost(expression: Any) -> Iterator[Any]:
    if expression.deterministic():
        return
    inner = [child for child in _members(expression.children()) if not child.deterministic()]
    for child in inner:
        yield from _innermost(child)
    if not inner:
        yield expression


def _members(sequence: Any) -> list[Any]:
    return [sequence.apply(index) for index in range(sequence.size())]


def _is_spark_mls(expression: Any) -> bool:
    """Whether an expression is the function of a Spark ML transformer. Spark calls those of VectorAssembler,
    StringIndexerModel and Bucketizer nondeterministic only to keep its optimiser from moving them; they are not."""
    if expression.nodeName() not in ("ScalaUDF", "UDF"):
        return False
    return bool(expression.function().getClass().getName().startswith("org.apache.spark.ml.feature."))


def _operators(plan: Any, name: str) -> Iterator[Any]:
    """The operators of this name in a Catalyst plan."""
    if plan.nodeName() == name:
        yield plan
    for child in _members(plan.children()):
        yield from _operators(child, name)


def _keeps_one_of_many(deduplicate: Any) -> bool:
    """Whether rows that differ count as duplicates. Where all columns are keys (`distinct()`) only equal rows do."""
    keys = {key.exprId().id() for key in _members(deduplicate.keys())}
    return any(column.exprId().id() not in keys for column in _members(deduplicate.child().output()))


def _sorted(names: list[str], at: int) -> bool:
    """Whether what is collected is put in order at once, `sort_array(collect_list(...))`; equal elements are equal."""
    return names[at] in ("CollectList", "CollectSet") and names[max(at - 2, 0) : at] == [
        "SortArray", "AggregateExpression",
    ]


def _limits_are_sorted(names: list[str]) -> bool:
    """A plan's JSON lists operators top down: below each limit a sort must come."""
    operators = [name for name in names if name in ("GlobalLimit", "LocalLimit", "Sort")]
    return all(
        "Sort" in operators[index : index + 3] for index, name in enumerate(operators) if name == "GlobalLimit"
    )


def _objects(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(found for item in value.values() for found in _objects(item))]
    return [found for item in value for found in _objects(item)] if isinstance(value, list) else []
