"""From what became of each node to the rows of the catalog: what happened to it, and what was learnt of its result."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from dataclasses import replace
from types import FunctionType
from typing import Any

from helix_spark.catalog.records import FileRecord, NodeRecord, ResultRecord
from helix_spark.catalog.tables.spark_types import class_names, slot_names
from helix_spark.dag.node import Node
from helix_spark.engine.execution.outcome import Outcome
from helix_spark.engine.results.agreement import content_here
from helix_spark.engine.results.fitted_cards import card_of_model
from helix_spark.engine.results.node_results import ModelResult, NodeResult, TableResult
from helix_spark.hermetic.seen import Seen
from helix_spark.identity.difference import parts_to_json
from helix_spark.identity.parts import Part, digest
from helix_spark.identity.signing import parts_read
from helix_spark.loaded_sources import text_of
from helix_spark.run.run import NodeRun, Run
from helix_spark.workflow.operators import Function

_SHOWN_CODE = 20_000
"""Characters of a function's text that a record holds; for people, who stop reading long before."""


def node_records(run: Run, void: Collection[str] = ()) -> list[NodeRecord]:
    """Return what happened to each node.

    Args:
        void: names of nodes whose data changed meanwhile: they get a signature of this run, by which nothing is found.
    """
    return [
        NodeRecord(
            run=run.id, workflow=run.plan.workflow, iteration=run.record.number, name=one.name, kind=own.kind,
            inputs=own.inputs, state=own.state, reason=own.reason, declared=own.declared,
            signature=digest("void", run.id, one.name) if one.name in void else own.signature,
            parts=parts_to_json(_parts(one, run.outcome)), code=_code(one.node), seconds=one.time.seconds,
            predicted_seconds=own.predicted_seconds, bytes=own.bytes if own.bytes_known else None,
            rows=run.outcome.rows.get(one.name), stored=own.stored, output=own.output,
            started=None if one.time.started is None else one.time.started - run.begun + run.waited,
        )
        for one in run.nodes for own in (one.planned,)
    ]


def result_records(run: Run, cards: Mapping[str, FileRecord]) -> list[ResultRecord]:
    """Return what this run learnt of results: warm seconds, sizes, content, nondeterminism.

    Loads are recorded only where they had steps of their own.
    """
    outcome = run.outcome
    records = [  # of what was found by what functions build, so that the next plan finds it at once
        _learnt(run, one.name) for one in run.nodes
        if one.known.signed.by_plan and one.planned.declared != one.planned.signature and not one.computed
    ]
    random, doubted = {**run.chance.drawn, **run.chance.found}, run.results.uncertain
    for one in run.nodes:
        own, known = one.planned, one.known
        if one.result is None or (known.signed.random and one.name not in known.signed.random):
            continue
        why = random.get(one.name, "") or next(iter(known.described.random), "")
        if not (one.computed or why) and (differs := outcome.seen_to_differ(one.node)):
            why = f"`{one.name}` {differs}"
        observed = _observed(one.node, outcome)  # of a held table workers may tell more, when its rows are computed
        if one.time.warm_seconds is None and not (why or observed):
            continue
        doubt = bool(why) or one.name in doubted
        # A chance that was found too late says nothing of the earlier result that this one was equal to.
        signature = own.declared if doubt and own.declared in run.equal else own.signature
        read_seconds = None
        if isinstance(one.result, TableResult | ModelResult) and not own.held:
            read_seconds = one.result.read_seconds
        content = None  # of a result that may be reused, as it was compared, else taken now
        if one.computed and not doubt and outcome.contents is not None:
            content = outcome.contents.get(one.name) or content_here(one.result)
        record = replace(
            _learnt(run, one.name), signature=signature,
            compute_seconds=one.time.warm_seconds if one.computed else None,
            load_seconds=one.time.load_seconds if not own.held else None,
            read_seconds=read_seconds,
            rows=outcome.rows.get(one.name), random=why,
            trained=cards[one.name].digest if one.name in cards else "",
            content=content,
            observed=observed,
        )
        # Why a result varies is on record by the time that it is loaded or held.
        if (one.computed and why) or _tells(record):
            records.append(record)
        fit = run.answered.fit_of(one.name) if one.computed and isinstance(one.result, ModelResult) else ""
        stands_for = () if doubt else (_by_plan(run, one), fit)
        records += (replace(_learnt(run, one.name), declared=declared) for declared in stands_for if declared)
    return records


def _by_plan(run: Run, one: NodeRun) -> str:
    """Return the declared signature by what a node's function turned out to build; empty if there is none."""
    made = run.outcome.built.get(one.name)
    if made is None:
        return ""
    return run.answered.declared(made, {name: run.plan[name].signature for name in made.inputs}) or ""


def _tells(record: ResultRecord) -> bool:
    """Return whether a record has a figure. One without would be read by each plan from then on, for nothing."""
    figures = (record.compute_seconds, record.load_seconds, record.read_seconds, record.rows)
    return any(figure is not None for figure in figures) or bool(record.observed or record.trained)


def _observed(node: Node, outcome: Outcome) -> str:
    """Return what a node's code was seen to do. Files that its author declares are taken for all that it reads."""
    seen = outcome.seen.get(node.name, Seen())
    declared = Seen(seen.drew, environment=seen.environment, generators=seen.generators)
    return (declared if node.wishes.depends_on else seen).to_json()


def _parts(one: NodeRun, outcome: Outcome) -> tuple[Part, ...]:
    """Return a signature's parts, with what the node's code read, where that was not known when it was signed."""
    own, seen = one.known.signed, outcome.seen
    if own.seen.reads or one.name not in seen or one.node.wishes.depends_on:
        return own.parts
    return (*own.parts, *parts_read(seen[one.name]))


def records_of_storing(run: Run, stored: Mapping[str, int], late: Collection[str]) -> list[ResultRecord]:
    """Return what storing results taught of them: bytes, and what code that ran once more was seen to do.

    Args:
        stored: bytes by node name.
        late: names of the nodes whose code was seen to do more.
    """
    records = list[ResultRecord]()
    for node in run.dag.nodes:
        if node.name in stored:
            records.append(_learnt(run, node.name, bytes=stored[node.name]))
        if node.name in late:
            why = run.outcome.seen_to_differ(node)
            random = f"`{node.name}` {why}" if why else ""
            records.append(_learnt(run, node.name, observed=_observed(node, run.outcome), random=random))
    return records


def _learnt(run: Run, name: str, **what: Any) -> ResultRecord:
    own = run.plan[name]
    return ResultRecord(
        declared=own.declared, signature=own.signature, workflow=run.plan.workflow, node=name, kind=own.kind,
        iteration=run.record.number, **what,
    )


def _code(node: Node) -> str:
    """Return the author's text as it was signed: the file may have been saved since."""
    if not isinstance(node.operator, Function):
        return ""
    function = inspect.unwrap(node.operator.call)
    return text_of(function.__code__)[:_SHOWN_CODE] if isinstance(function, FunctionType) else ""


def fitted_cards(run: Run) -> dict[str, FileRecord]:
    """Return a model card of each fit of this run, by name. Runs no job."""
    found: dict[str, FileRecord] = {}
    for one in run.nodes:
        if not one.computed or not isinstance(one.result, ModelResult):
            continue
        model = one.result.model
        slots = slot_names(_metadata(one.node, model, "featuresCol", run.outcome.results))
        classes = class_names(_metadata(one.node, model, "labelCol", run.outcome.results))
        record = card_of_model(model, slots, classes).record(one.name)
        if record is not None:
            found[one.name] = record
    return found


def _metadata(node: Node, model: Any, parameter: str, results: Mapping[str, NodeResult]) -> Mapping[str, Any]:
    """Return the metadata of the column that a parameter of a model names, in the table that it was fitted on."""
    reader = getattr(model, "bestModel", None) or model
    column = reader.getOrDefault(parameter) if reader.hasParam(parameter) else ""
    for name in node.inputs:
        table = results.get(name)
        if isinstance(table, TableResult) and column in table.frame().columns:
            metadata: Mapping[str, Any] = table.frame().schema[column].metadata
            return metadata
    return {}
