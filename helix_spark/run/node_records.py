"""Catalog records of a run's nodes and of their results."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from types import FunctionType
from typing import Any

from helix_spark.answers.plan_data import places_read
from helix_spark.catalog.records import LONGEST_PLACE, FileRecord, NodeRecord, ResultRecord
from helix_spark.catalog.tables.spark_types import class_names, slot_names
from helix_spark.dag.node import Node
from helix_spark.engine.execution.outcome import Outcome
from helix_spark.engine.results.agreement import content_here
from helix_spark.engine.results.fitted_cards import card_of_model
from helix_spark.engine.results.node_results import ColumnResult, ModelResult, NodeResult, TableResult, ValueResult
from helix_spark.hermetic.observed_inputs import ObservedInputs
from helix_spark.identity.difference import parts_to_json
from helix_spark.identity.parts import Part, digest
from helix_spark.identity.signing import parts_read
from helix_spark.loaded_sources import text_of
from helix_spark.planner.plan import PlannedNode
from helix_spark.planner.problem import State
from helix_spark.plans.captured_function import CapturedFunction, SparkFunction
from helix_spark.run.run import Run
from helix_spark.workflow.operators import Function

_SHOWN_CODE = 20_000
"""The most characters of a function's text in a record, which is only shown."""


def node_records(run: Run, void: Collection[str] = ()) -> list[NodeRecord]:
    """Return a record of each node. A void node gets a signature of this run, so that no lookup finds it."""
    return [
        NodeRecord(
            run=run.id, workflow=run.plan.workflow, iteration=run.record.number, name=node.name, kind=node.kind,
            inputs=node.inputs, state=node.state, reason=node.reason, declared=node.declared,
            signature=digest("void", run.id, node.name) if node.name in void else node.signature,
            parts=parts_to_json(_parts(run, node.name)), code=_code(run.dag[node.name]), seconds=time.seconds,
            predicted_seconds=node.predicted_seconds, bytes=node.bytes if node.bytes_known else None,
            rows=run.outcome.rows.get(node.name), stored=node.stored, output=node.output,
            started=None if time.started is None else time.started - run.begun + run.waited,
            reads=_reads(run, node.name), pure=not run.situation[node.name].described.doubtful,
        )
        for node in run.plan.nodes for time in (run.time(node.name),)
    ]


def result_records(run: Run, cards: Mapping[str, FileRecord]) -> list[ResultRecord]:
    """Return records of results with warm seconds, sizes, content and nondeterminism; of loads, those timed apart."""
    records = list[ResultRecord]()
    for node in run.plan.nodes:
        signed, result = run.situation[node.name].signed, run.outcome.results.get(node.name)
        if node.state is not State.COMPUTE and node.declared != node.signature and signed.by_plan:
            records.append(_result_record(run, node))  # its function's plan matched: the next run matches it at once
        if result is not None and (not signed.random or node.name in signed.random):
            records += _records_of_result(run, node, result, cards)
    return records


def _records_of_result(
    run: Run, node: PlannedNode, result: NodeResult, cards: Mapping[str, FileRecord]
) -> list[ResultRecord]:
    """Return the record of a result, and records of its equivalent declared signatures."""
    name, time, is_computed = node.name, run.time(node.name), node.state is State.COMPUTE
    why, choice = _nondeterminism(run, node)
    observed = _observed(run.dag[name], run.outcome)  # workers may report more when an in-memory table is computed
    if time.warm_seconds is None and not (why or choice or observed):
        return []
    is_doubted = bool(why or choice) or name in run.results.uncertain
    # Nondeterminism that is noticed after a match is not that of the earlier, equal result.
    signature = node.declared if is_doubted and node.declared in run.equal else node.signature
    content = None
    if is_computed and not is_doubted and run.tools.cut_off < math.inf:
        content = run.outcome.contents.get(name) or content_here(result)
    record = replace(
        _result_record(run, node), signature=signature,
        compute_seconds=time.warm_seconds if is_computed else None,
        load_seconds=None if node.held else time.load_seconds,
        read_seconds=None if node.held or isinstance(result, ValueResult | ColumnResult) else result.read_seconds,
        rows=run.outcome.rows.get(name), random=why, choice=choice, content=content, observed=observed,
        trained=cards[name].digest if name in cards else "",
    )
    # The nondeterminism of a reused result is already recorded. A record without figures would slow down each plan.
    figures = (record.compute_seconds, record.load_seconds, record.read_seconds, record.rows)
    has_news = bool(record.observed or record.trained) or any(figure is not None for figure in figures)
    records = [record] if (is_computed and (why or choice)) or has_news else []
    fit = run.calls.fit_of(name) if is_computed and isinstance(result, ModelResult) else ""
    equivalents = () if is_doubted else (_by_plan(run, name), fit)
    return records + [_result_record(run, replace(node, declared=declared)) for declared in equivalents if declared]


def _nondeterminism(run: Run, node: PlannedNode) -> tuple[str, str]:
    """Return why a node's result is random, and why it is one of several right answers; empty if it is not."""
    described, name = run.situation[node.name].described, node.name
    why = run.chance.found.get(name, run.chance.drawn.get(name, "")) or next(iter(described.random), "")
    choice = run.chance.choices.get(name, "") or next(iter(described.choices), "")
    if node.state is not State.COMPUTE and not why and (differs := run.outcome.seen_to_differ(run.dag[name])):
        why = f"`{name}` {differs}"
    return why, choice


def _by_plan(run: Run, name: str) -> str:
    """Return the declared signature by the plan of a node's function; empty if there is none."""
    built = run.outcome.built.get(name)
    if built is None:
        return ""
    return run.calls.declared(built, {source: run.plan[source].signature for source in built.inputs}) or ""


def _observed(node: Node, outcome: Outcome) -> str:
    """Return the observed inputs of a node's code, without files if its author declares them."""
    inputs = outcome.seen.get(node.name, ObservedInputs())
    without_files = ObservedInputs(inputs.drew, environment=inputs.environment, generators=inputs.generators)
    return (without_files if node.wishes.depends_on else inputs).to_json()


def _parts(run: Run, name: str) -> tuple[Part, ...]:
    """Return a signature's parts, with the inputs that the node's code read unless they were signed."""
    signed, observed = run.situation[name].signed, run.outcome.seen
    if signed.seen.reads or name not in observed or run.dag[name].wishes.depends_on:
        return signed.parts
    return (*signed.parts, *parts_read(observed[name]))


def _reads(run: Run, name: str) -> tuple[str, ...]:
    """Return the locations that a node and its equal nodes read: declared, in their functions' plans, observed."""
    node, observed = run.dag[name], run.situation[name].signed.seen | run.outcome.seen.get(name, ObservedInputs())
    data = (read for alias in (name, *node.aliases) for read in run.described[alias].reads)
    functions = (run.outcome.built.get(name, node).operator, node.operator)
    built = [function.built for function in functions if isinstance(function, SparkFunction)]
    plans = [function.plan for function in built if isinstance(function, CapturedFunction)]
    in_code = (os.path.normpath(Path(place).absolute()) for place in observed.places)
    outside = [""] if observed.outside else []
    places = dict.fromkeys((*places_read(data, plans, Path.cwd()), *in_code, *outside))
    return tuple(place[:LONGEST_PLACE] for place in places)


def records_of_storing(run: Run, stored: Mapping[str, int], late: Collection[str]) -> list[ResultRecord]:
    """Return records of the measurements of storing: bytes of results, and observed inputs of code that ran again."""
    records = list[ResultRecord]()
    for node in run.dag.nodes:
        planned = run.plan[node.name]
        if node.name in stored:
            records.append(_result_record(run, planned, bytes=stored[node.name]))
        if node.name in late:
            why = run.outcome.seen_to_differ(node)
            random = f"`{node.name}` {why}" if why else ""
            records.append(_result_record(run, planned, observed=_observed(node, run.outcome), random=random))
    return records


def _result_record(run: Run, node: PlannedNode, **fields: Any) -> ResultRecord:
    return ResultRecord(
        declared=node.declared, signature=node.signature, workflow=run.plan.workflow, node=node.name, kind=node.kind,
        iteration=run.record.number, pure=not run.situation[node.name].described.doubtful, **fields,
    )


def _code(node: Node) -> str:
    """Return the author's text as it was signed: the file may have been edited since."""
    if not isinstance(node.operator, Function):
        return ""
    function = inspect.unwrap(node.operator.call)
    return text_of(function.__code__)[:_SHOWN_CODE] if isinstance(function, FunctionType) else ""


def fitted_cards(run: Run) -> dict[str, FileRecord]:
    """Return a model card of each fit of this run, by name. Runs no job."""
    cards: dict[str, FileRecord] = {}
    for node in run.dag.nodes:
        result = run.outcome.results.get(node.name)
        if run.plan[node.name].state is not State.COMPUTE or not isinstance(result, ModelResult):
            continue
        slots = slot_names(_metadata(node, result.model, "featuresCol", run.outcome.results))
        classes = class_names(_metadata(node, result.model, "labelCol", run.outcome.results))
        if (record := card_of_model(result.model, slots, classes).record(node.name)) is not None:
            cards[node.name] = record
    return cards


def _metadata(node: Node, model: Any, parameter: str, results: Mapping[str, NodeResult]) -> Mapping[str, Any]:
    """Return the metadata of the column that a parameter of a model names, in the table that it was fitted to."""
    best = getattr(model, "bestModel", None) or model
    column = best.getOrDefault(parameter) if best.hasParam(parameter) else ""
    for name in node.inputs:
        table = results.get(name)
        if isinstance(table, TableResult) and column in table.frame().columns:
            metadata: Mapping[str, Any] = table.frame().schema[column].metadata
            return metadata
    return {}
