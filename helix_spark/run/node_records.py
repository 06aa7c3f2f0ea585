"""From what became of each node to the rows of the catalog: what happened to it, and what was learnt of its result."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from dataclasses import replace
from types import FunctionType
from typing import Any

from helix_spark.catalog.records import FileRecord, NodeRecord, ResultRecord
from helix_spark.dag.node import Node
from helix_spark.engine.execution.outcome import Outcome
from helix_spark.engine.results.contents import content_here
from helix_spark.engine.results.node_results import ModelResult, NodeResult, TableResult
from helix_spark.hermetic.seen import Seen
from helix_spark.identity.difference import parts_to_json
from helix_spark.identity.functions.source import text_of
from helix_spark.identity.parts import Part, digest
from helix_spark.identity.signing import parts_read
from helix_spark.run.run import NodeRun, Run
from helix_spark.workflow.operators import Function

_SHOWN_CODE = 20_000
"""Characters of a function's text that a record holds; for people, who stop reading long before."""


def node_records(run: Run, void: Collection[str] = ()) -> list[NodeRecord]:
    """Return what happened to each node.

    Args:
        void: names of the nodes whose results are of data that changed meanwhile: they get a signature of this run
            alone, by which nothing is found.
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


def result_records(run: Run, influences: Mapping[str, str], cards: Mapping[str, FileRecord]) -> list[ResultRecord]:
    """What this run learnt of results: costs, without what a young JVM takes longer, sizes, and which differ each time.
    Of loads only those are recorded that had steps of their own.

    Args:
        influences: what fits gave their features, as JSON by learner's name.
        cards: what fits gave, as records by node name.
    """
    records, outcome = list[ResultRecord](), run.outcome
    random, doubted = {**run.chance.drawn, **run.chance.found}, uncertain(run)
    for one in run.nodes:
        own, known = one.planned, one.known
        if one.result is None or (known.signed.random and one.name not in known.signed.random):
            continue
        why = random.get(one.name, "") or next(iter(known.described.random), "")
        if not (one.computed or why) and (differs := outcome.differs(one.node)):
            why = f"`{one.name}` {differs}"
        observed = _observed(one.node, outcome)  # of a held table workers may tell more, when its rows are computed
        if one.time.warm_seconds is None and not (why or observed):
            continue
        doubt = bool(why) or one.name in doubted
        # A chance that was found too late says nothing of the earlier result that this one was equal to.
        signature = own.declared if doubt and own.declared in run.equal else own.signature
        record = replace(
            _learnt(run, one.name), signature=signature,
            compute_seconds=one.time.warm_seconds if one.computed else None,
            load_seconds=one.time.load_seconds if not own.held else None,
            read_seconds=_read_seconds(one.result) if not own.held else None,
            rows=outcome.rows.get(one.name), random=why,
            influence=influences.get(one.name, ""), trained=cards[one.name].digest if one.name in cards else "",
            content=_content(one.name, outcome) if one.computed and not doubt else None,
            observed=observed,
        )
        # Why a result varies is on record by the time that it is loaded or held.
        if (one.computed and why) or _tells(record):
            records.append(record)
        if not doubt and (built := _by_plan(run, one)):
            records.append(replace(_learnt(run, one.name), declared=built))
    return records


def uncertain(run: Run) -> frozenset[str]:
    """Names of the nodes that may differ each time, as this run found out, and of what is made of them."""
    random = {**run.chance.drawn, **run.chance.found}
    return run.dag.descendants(random).union(random)


def found_by_plan(run: Run) -> list[ResultRecord]:
    """That results were found by what functions build: the next plan need not find out once more."""
    return [
        _learnt(run, one.name) for one in run.nodes
        if one.known.signed.by_plan and one.planned.declared != one.planned.signature and not one.computed
    ]


def _by_plan(run: Run, one: NodeRun) -> str:
    """The declared signature that a result is found by as well, as it is now known what its function builds; empty if
    there is none."""
    made = run.outcome.built.get(one.name)
    if made is None:
        return ""
    return run.answered.declared(made, {name: run.plan[name].signature for name in made.inputs}) or ""


def _content(name: str, outcome: Outcome) -> str | None:
    """Return what a result that may be reused holds: as it was compared, else taken now, behind the answer."""
    if outcome.contents is None:
        return None
    return outcome.contents.get(name) or content_here(outcome.results[name])


def _tells(record: ResultRecord) -> bool:
    """Whether a record has a figure. One without would be read by each plan from then on, and tell it nothing."""
    figures = (record.compute_seconds, record.load_seconds, record.read_seconds, record.rows)
    return any(figure is not None for figure in figures) or bool(record.influence or record.observed or record.trained)


def _observed(node: Node, outcome: Outcome) -> str:
    """Return what a node's code was seen to do. The files that its author declares are taken for all that it reads."""
    seen = outcome.seen.get(node.name, Seen())
    declared = Seen(seen.drew, environment=seen.environment, generators=seen.generators)
    return (declared if node.wishes.depends_on else seen).to_json()


def _parts(one: NodeRun, outcome: Outcome) -> tuple[Part, ...]:
    """A signature's parts, with what the node's code read, where that was not known when it was signed."""
    own, seen = one.known.signed, outcome.seen
    if own.seen.reads or one.name not in seen or one.node.wishes.depends_on:
        return own.parts
    return (*own.parts, *parts_read(seen[one.name]))


def _read_seconds(result: NodeResult | None) -> float | None:
    return result.read_seconds if isinstance(result, TableResult | ModelResult) else None


def told_by_content(run: Run) -> list[str]:
    """Names of the nodes that were computed, and may stand for a later result that holds the same."""
    doubtful = uncertain(run) | run.results.void
    return [one.name for one in run.nodes if one.computed and one.name not in doubtful and not one.planned.random]


def size_records(run: Run, sizes: Mapping[str, int]) -> list[ResultRecord]:
    """Return what storing results taught of them: physical bytes, by node name, and digests of what they hold."""
    contents = run.results.contents
    return [
        _learnt(run, node.name, bytes=sizes.get(node.name), content=contents.get(node.name))
        for node in run.dag.nodes if node.name in sizes or node.name in contents
    ]


def late_records(run: Run, names: Collection[str]) -> list[ResultRecord]:
    """Return what nodes' code was seen to do behind the answer: storing may run more of it."""
    return [
        _learnt(
            run, name, observed=_observed(run.dag[name], run.outcome),
            random=f"`{name}` {why}" if (why := run.outcome.differs(run.dag[name])) else "",
        )
        for name in sorted(names)
    ]


def _learnt(run: Run, name: str, **what: Any) -> ResultRecord:
    own = run.plan[name]
    return ResultRecord(
        declared=own.declared, signature=own.signature, workflow=run.plan.workflow, node=name, kind=own.kind,
        iteration=run.record.number, **what,
    )


def _code(node: Node) -> str:
    """Its author's text. As it was signed: the file may have been saved since, and say something else."""
    if not isinstance(node.operator, Function):
        return ""
    function = inspect.unwrap(node.operator.call)
    return text_of(function.__code__)[:_SHOWN_CODE] if isinstance(function, FunctionType) else ""
