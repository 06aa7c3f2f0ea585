"""Recorded plans of a workflow's functions: if nothing must be computed, no function is called.

The record is looked up by the compiled identity of all these functions, and is valid as long as their observed reads
are unchanged. Before Spark computes anything the functions are called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from msgspec import to_builtins
from msgspec.structs import asdict

from helix_spark.answers.capture_nodes import (
    CapturedDag,
    columns_of_node,
    fill_functions,
    inputs_of,
    may_be_captured,
    table_columns,
)
from helix_spark.catalog.places.json_text import parsed_as
from helix_spark.catalog.records import LONGEST_BUILDS, AnswerRecord, DescribedBuild, FunctionBuild, WorkflowBuilds
from helix_spark.dag.node import Dag, Node
from helix_spark.errors import SignatureError
from helix_spark.hermetic.observed_inputs import observed_from_json
from helix_spark.identity.code import Description, trace
from helix_spark.identity.environment import context_parts, package_part, place_parts, surroundings
from helix_spark.identity.parts import FORMAT, Part, digest
from helix_spark.identity.signing import described_by_plan
from helix_spark.plans.captured_function import CallInputs, CapturedFunction, RecordedFunction, SparkFunction
from helix_spark.plans.plan_columns import Columns
from helix_spark.workflow.operators import Function


def calls_key(dag: Dag, settings: Mapping[str, str]) -> str:
    """Return the identity of a workflow's Spark functions before calls; empty if none, or plans may differ."""
    nodes = [node for node in dag.nodes if may_be_captured(node)]
    if not nodes or any(node.wishes.fresh for node in nodes):
        return ""
    environment = (*surroundings(settings), *place_parts(), *context_parts(), package_part("helix-spark"))
    traced = dict[str, tuple[str, ...]]()
    for node in nodes:
        assert isinstance(node.operator, Function)
        try:
            code = trace(node.operator.call, node=node.name, where=node.where)
        except SignatureError:
            return ""
        if code.random or code.unfollowed or code.warnings:
            return ""
        shape = (*node.operator.arguments, *node.operator.forms, node.operator.returns)
        traced[node.name] = (code.digest, *shape)
    no_columns = dict.fromkeys((node.name for node in dag.nodes), ())
    for node in dag.nodes:
        if node.name not in traced:  # its own columns count, without those of its inputs
            traced[node.name] = ("", *(columns_of_node(node, settings, no_columns) or ("unknown",)))
    return digest("calls 2", str(FORMAT), *(part.digest for part in environment), *(
        digest(node.name, node.result, *node.inputs, *traced[node.name]) for node in dag.nodes
    ))


def recorded_calls(dag: Dag, settings: Mapping[str, str], record: AnswerRecord | None) -> Dag | None:
    """Return a graph with the recorded plans of its functions; None if a plan is missing or reads have changed."""
    if record is None or not record.builds:
        return None
    builds = parsed_as(record.builds, WorkflowBuilds)
    reads = observed_from_json(json.dumps(builds.seen) if builds.seen else "")
    names = {node.name for node in dag.nodes if may_be_captured(node)}
    if builds.nodes.keys() != names or (reads.reads and not reads.now().agrees(reads)):
        return None
    return fill_functions(dag, settings, lambda node, operator, _: _recorded(
        node, operator, CallInputs(inputs_of(operator, node, dag) or {}, settings), builds.nodes[node.name]
    ))


def _recorded(node: Node, operator: Function, inputs: CallInputs, build: FunctionBuild) -> Node:
    if build.described is None and not build.asks:
        return replace(node, operator=replace(operator, by_code=build.by_code))
    recorded = None
    if build.described is not None:
        findings = asdict(build.described) | {"parts": tuple(Part(*part) for part in build.described.parts)}
        recorded = RecordedFunction(
            Description(**findings), build.columns, is_column=build.is_column, has_code=build.has_code
        )
    return replace(node, operator=SparkFunction(
        operator.call, operator.arguments, operator.forms, operator.returns, build.by_code, call_inputs=inputs,
        built=recorded,
    ))


def builds_text(captured: CapturedDag, settings: Mapping[str, str]) -> str:
    """Return functions' plans as text for a record; empty if it is too long, or another call may build other plans."""
    reads = captured.reads
    if reads.chance or reads.outside or reads.unknown:
        return ""
    columns = table_columns(captured.dag, settings)
    builds = WorkflowBuilds(json.loads(reads.to_json() or "{}"), {
        node.name: _built(node, node.operator, columns.get(node.name))
        for node in captured.dag.nodes if may_be_captured(node) and isinstance(node.operator, Function)
    })
    text = json.dumps(to_builtins(builds, order="deterministic"))
    return text if len(text) <= LONGEST_BUILDS else ""


def _built(node: Node, operator: Function, columns: Columns | None) -> FunctionBuild:
    asks = isinstance(operator, SparkFunction) and operator.built is None
    if not (isinstance(operator, SparkFunction) and isinstance(built := operator.built, CapturedFunction)):
        return FunctionBuild(operator.by_code, asks)
    description = described_by_plan(node, built)
    findings = {name: getattr(description, name) for name in DescribedBuild.__struct_fields__}
    parts = tuple((part.group, part.label, part.digest, part.shown) for part in description.parts)
    return FunctionBuild(
        operator.by_code, asks, built.is_column, built.has_code, columns, DescribedBuild(**findings | {"parts": parts})
    )
