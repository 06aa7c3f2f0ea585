"""What the functions of a workflow built, as an earlier run recorded it: where nothing must be computed none of them is
called, and no client of Spark Connect is loaded.

The record is found by the compiled identity of all these functions, and counts as long as what they were seen to read
is the same. Before Spark computes anything they are called.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from helix_spark.answers.capture_nodes import (
    CapturedDag,
    columns_of_node,
    fill_functions,
    inputs_of,
    may_be_captured,
    table_columns,
)
from helix_spark.catalog.records import LONGEST_BUILDS, AnswerRecord
from helix_spark.dag.node import Dag, Node
from helix_spark.errors import SignatureError
from helix_spark.hermetic.observed_inputs import observed_from_json
from helix_spark.identity.code import Description, trace
from helix_spark.identity.environment import context_parts, package_part, place_parts, surroundings
from helix_spark.identity.parts import FORMAT, Group, Part, digest
from helix_spark.identity.signing import described_by_plan
from helix_spark.plans.captured_function import CallInputs, CapturedFunction, RecordedFunction, SparkFunction
from helix_spark.plans.plan_columns import Columns
from helix_spark.workflow.operators import Function

_FINDINGS: Mapping[str, Callable[[Any], Any]] = {
    "warnings": tuple, "random": tuple, "choices": tuple, "unfollowed": tuple,
    "registers": frozenset, "doubtful": frozenset,
}
"""Fields of a `Description` that are several texts."""


def calls_key(dag: Dag, settings: Mapping[str, str]) -> str:
    """Return the identity of all that a workflow's functions of Spark's tables are before they are called; empty if
    there are none, or if it does not determine what they build."""
    called = [node for node in dag.nodes if may_be_captured(node)]
    if not called or any(node.wishes.fresh for node in called):
        return ""
    around = (*surroundings(settings), *place_parts(), *context_parts(), package_part("helix-spark"))
    traced = dict[str, tuple[str, ...]]()
    for node in called:
        assert isinstance(node.operator, Function)
        try:
            found = trace(node.operator.call, node=node.name, where=node.where)
        except SignatureError:
            return ""
        if found.random or found.unfollowed or found.warnings:
            return ""
        shape = (*node.operator.arguments, *node.operator.forms, node.operator.returns)
        traced[node.name] = (found.digest, *shape)
    known = dict.fromkeys((one.name for one in dag.nodes), ())
    for node in dag.nodes:
        if node.name not in traced:  # which columns its table has counts, but for those before it
            traced[node.name] = ("", *(columns_of_node(node, settings, known) or ("unknown",)))
    return digest("calls 2", str(FORMAT), *(part.digest for part in around), *(
        digest(node.name, node.result, *node.inputs, *traced[node.name]) for node in dag.nodes
    ))


def recorded_calls(dag: Dag, settings: Mapping[str, str], record: AnswerRecord | None) -> Dag | None:
    """Return a graph with what its functions built as a record says; none of them is called. None if the record does
    not say it of each, or if they would read something else now."""
    if record is None or not record.builds:
        return None
    found = json.loads(record.builds)
    seen = observed_from_json(json.dumps(found["seen"]) if found["seen"] else "")
    called = {node.name for node in dag.nodes if may_be_captured(node)}
    if found["nodes"].keys() != called or (seen.reads and not seen.now().agrees(seen)):
        return None
    return fill_functions(dag, settings, lambda node, operator, _: _recorded(
        node, operator, CallInputs(inputs_of(operator, node, dag) or {}, settings), found["nodes"][node.name]
    ))


def _recorded(node: Node, operator: Function, given: CallInputs, built: Mapping[str, Any]) -> Node:
    why = str(built["by_code"])
    if "described" not in built and not built["asks"]:
        return replace(node, operator=replace(operator, by_code=why))
    recorded = None
    if (described := built.get("described")) is not None:
        description = Description(
            tuple(Part(Group(group), label, own, shown) for group, label, own, shown in described["parts"]),
            drew=described["drew"], in_turns=described["in_turns"],
            **{name: kind(described.get(name, ())) for name, kind in _FINDINGS.items()},
        )
        columns = built.get("columns")
        recorded = RecordedFunction(
            description, None if columns is None else tuple(columns), is_column=built.get("is_column", False),
            has_code=built.get("has_code", False),
        )
    return replace(node, operator=SparkFunction(
        operator.call, operator.arguments, operator.forms, operator.returns, why, given=given, built=recorded,
    ))


def builds_text(captured: CapturedDag, settings: Mapping[str, str]) -> str:
    """Return what functions built, as a record says it; empty if another call may build something else, or if it is too
    long for a record."""
    seen = captured.seen
    if seen.chance or seen.outside or seen.unknown:
        return ""
    known = table_columns(captured.dag, settings)
    nodes = {
        node.name: dict(_built(node, node.operator, known.get(node.name)))
        for node in captured.dag.nodes if may_be_captured(node) and isinstance(node.operator, Function)
    }
    text = json.dumps({"seen": json.loads(seen.to_json() or "{}"), "nodes": nodes})
    return text if len(text) <= LONGEST_BUILDS else ""


def _built(node: Node, operator: Function, columns: Columns | None) -> Iterator[tuple[str, Any]]:
    yield "by_code", operator.by_code
    yield "asks", isinstance(operator, SparkFunction) and operator.built is None
    if isinstance(operator, SparkFunction) and isinstance(built := operator.built, CapturedFunction):
        found = described_by_plan(node, built)
        yield "described", {
            "parts": [[part.group, part.label, part.digest, part.shown] for part in found.parts],
            "drew": found.drew, "in_turns": found.in_turns,
            **{
                name: sorted(said) if isinstance(said := getattr(found, name), frozenset) else list(said)
                for name in _FINDINGS
            },
        }
        yield from (("is_column", built.is_column), ("has_code", built.has_code))
        if columns is not None:
            yield "columns", columns
