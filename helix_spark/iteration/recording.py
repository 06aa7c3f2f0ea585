"""From what a run did to the rows of the catalog."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import FunctionType
from typing import Any

from helix_spark.catalog.leases.holders import writer
from helix_spark.catalog.places.json_text import is_too_deep
from helix_spark.catalog.records import LARGEST_VALUE, FileRecord, IterationRecord, NodeRecord, ResultRecord
from helix_spark.dag.node import Node
from helix_spark.engine.execution.outcome import Outcome, starts_by_node
from helix_spark.engine.execution.timing import load_seconds
from helix_spark.engine.results.contents import content_here
from helix_spark.engine.results.results import ModelResult, NodeResult, TableResult, ValueResult
from helix_spark.errors import HelixError, nearest
from helix_spark.hermetic.seen import Seen
from helix_spark.iteration.provenance import versions_json
from helix_spark.iteration.run import Run
from helix_spark.past.metrics import flattened
from helix_spark.past.states import blamed
from helix_spark.past.table_preview import TablePreview
from helix_spark.planner.influence import left_out_json
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.planner.serving import PlanReads
from helix_spark.signature.difference import parts_to_json
from helix_spark.signature.functions.source import text_of
from helix_spark.signature.parts import Group, Part, digest
from helix_spark.signature.signing import of_rows, parts_read, read_in_any_order
from helix_spark.visible_text import named
from helix_spark.workflow.operators import Function, Result

_OWN_GROUPS = frozenset({Group.OPERATOR, Group.PARAMETER, Group.PLAN, Group.CODE, Group.VALUE})
_MOST_NAMES = 6
_ENOUGH = 16
"""Hex characters that tell two versions of one metric apart."""

_SHOWN_CODE = 20_000
"""Characters of a function's text that a record holds; for people, who stop reading long before."""


def begun(run: Run) -> IterationRecord:
    """The record of an iteration that starts now."""
    plan = run.plan
    return IterationRecord(
        run=run.id, workflow=plan.workflow, number=plan.iteration, status="running", started=time.time(),
        message=run.message, parameters=json.dumps(dict(plan.parameters)),
        plan=json.dumps({**plan_summary(plan), **_said_of_metrics(run)}),
        versions=versions_json(),
        writer=writer(),
    )


def plan_summary(plan: Plan) -> dict[str, Any]:
    """How good the plan was known to be, what it expected, and under which name an equal node is on record."""
    return {
        **plan.figures, "budget": plan.budget, "used": plan.used, "left_out": left_out_json(plan),
        "merged": {alias: node.name for node in plan.nodes for alias in node.aliases},
    }


def _said_of_metrics(run: Run) -> dict[str, Any]:
    """What the author says of numbers among the outputs, and what measures each output: a number before an edit of its
    own code is not to be taken for the same one after it."""
    declared = [one for node in run.whole.nodes for one in node.wishes.metrics]
    values = [name for name in run.whole.outputs if run.whole[name].result is Result.VALUE]
    return {
        "metrics": [{"name": one.name, "better": one.better or "", "primary": one.primary} for one in declared],
        "measured_by": {name: _own_digest(run.situation[run.plan[name].name].signed.parts) for name in values},
    }


def with_ending(summary: str, edit: str, tables: Mapping[str, TablePreview]) -> str:
    """What is recorded of a plan, with what the edit was, and where the output tables are on record."""
    digests = {name: table.record(name).digest for name, table in tables.items()}
    more = {"edit": edit, "tables": digests}
    return json.dumps({**json.loads(summary), **{name: value for name, value in more.items() if value}})


def not_reached(run: Run) -> str:
    """What a failed run did not get to, in a sentence; empty where that is nothing, or nobody had a choice."""
    plan, outcome = run.plan, run.outcome
    wanted = [node.name for node in plan.nodes if node.state is not State.PRUNE]
    left = [name for name in wanted if name not in outcome.results]
    failed = blamed(str(outcome.failure), left)
    names = [name for name in left if name != failed]
    if not names or not isinstance(outcome.failure, HelixError):
        return ""
    had = f"{len(wanted) - len(left)} of {len(wanted)} nodes were had"
    return f"not reached: {named(names, _MOST_NAMES)}; {had}"


def unmeasured(run: Run) -> Iterator[str]:
    """Metrics that something is said of, and that the outputs do not have, in sentences."""
    found = flattened(run.outputs)
    for node in run.whole.nodes:
        names = [name for name in found if name == node.name or name.startswith(f"{node.name}.")]
        for one in node.wishes.metrics:
            if node.name in run.outputs and one.name not in found:
                exists = nearest(one.name, names) if names else "it has no numbers"
                yield f"`{node.name}` returned no number `{one.name}`, of which metrics= says something: {exists}"


def _own_digest(parts: Iterable[Part]) -> str:
    """Of what a node does, whatever it is given and wherever it runs."""
    own = [f"{part.group} {part.digest}" for part in parts if part.group in _OWN_GROUPS]
    return digest(*own)[:_ENOUGH]


def described_outputs(run: Run) -> dict[str, Any]:
    """Outputs by the author's names, as before equal nodes were merged: values as they are, tables and models as a
    short description."""
    return {
        name: _described(name, run) for name in run.whole.outputs if run.plan[name].name in run.outcome.results
    }


def _described(name: str, run: Run) -> Any:
    canonical = run.plan[name].name
    match run.outcome.results[canonical]:
        case ValueResult() as value:
            return value.copy()
        case TableResult() as table:
            rows = len(table.arrow()) if table.collected else run.outcome.rows.get(canonical)
            return {"table": name, "rows": rows}
        case ModelResult(model=model):
            return {"model": type(model).__name__}
    return None


def outputs_json(outputs: Mapping[str, Any]) -> str:
    """Described outputs as they are recorded: values that are huge or nested without end as a short description, too.

    >>> outputs_json({"auc": 0.9}), outputs_json({"text": "x" * 5_000_000})
    ('{"auc": 0.9}', '{"text": {"value": "str", "bytes": 5000002}}')
    """
    sizes = {name: len(json.dumps(value)) for name, value in outputs.items()}
    return json.dumps({
        name: value if sizes[name] <= LARGEST_VALUE and not is_too_deep([[value]])
        else {"value": type(value).__name__, "bytes": sizes[name]}
        for name, value in outputs.items()
    })


def node_records(run: Run, void: Collection[str] = ()) -> list[NodeRecord]:
    """What happened to each node.

    Args:
        void: names of the nodes whose results are of data that changed meanwhile: they get a signature of this run
            alone, by which nothing is found.
    """
    plan, outcome = run.plan, run.outcome
    started = starts_by_node(run.dag, plan, outcome)
    return [
        NodeRecord(
            run=run.id, workflow=plan.workflow, iteration=run.record.number, name=node.name, kind=node.kind,
            inputs=node.inputs, state=plan[node.name].state, reason=plan[node.name].reason,
            declared=plan[node.name].declared,
            signature=digest("void", run.id, node.name) if node.name in void else plan[node.name].signature,
            parts=parts_to_json(_parts(node, run)), code=_code(node), seconds=run.node_seconds.get(node.name),
            predicted_seconds=plan[node.name].predicted_seconds,
            bytes=plan[node.name].bytes if plan[node.name].bytes_known else None,
            rows=outcome.rows.get(node.name), stored=plan[node.name].stored, output=plan[node.name].output,
            started=started[node.name] - run.begun + run.waited if node.name in started else None,
        )
        for node in run.dag.nodes
    ]


def result_records(run: Run, influences: Mapping[str, str], cards: Mapping[str, FileRecord]) -> list[ResultRecord]:
    """What this run learnt of results: costs, without what a young JVM takes longer, sizes, and which differ each time.
    Of loads only those are recorded that had steps of their own.

    Args:
        influences: what fits gave their features, as JSON by learner's name.
        cards: what fits gave, as records by node name.
    """
    records, plan, outcome = list[ResultRecord](), run.plan, run.outcome
    random = {**run.chance.drawn, **run.chance.found}
    uncertain = run.dag.descendants(random)
    loads = load_seconds(outcome.shares or (), {node.name for node in plan.nodes if node.state is State.LOAD})
    in_any_order = read_in_any_order(run.dag, run.described)
    for node in run.dag.nodes:
        own, blamed = plan[node.name], run.situation[node.name].signed.random
        if node.name not in outcome.results or (blamed and node.name not in blamed):
            continue
        took = run.warm_seconds.get(node.name)
        computed = own.state is State.COMPUTE
        why = random.get(node.name, "") or _known_random(node, run)
        if not (computed or why) and (differs := outcome.differs(node)):
            why = f"`{node.name}` {differs}"
        observed = _observed(node, outcome)  # of a held table workers may tell more, when its rows are computed
        if took is None and not (why or observed):
            continue
        doubt = bool(why) or node.name in uncertain
        # A chance that was found too late says nothing of the earlier result that this one was equal to.
        signature = own.declared if doubt and own.declared in run.equal else own.signature
        record = ResultRecord(
            declared=own.declared, signature=signature, workflow=plan.workflow, node=node.name, kind=node.kind,
            iteration=run.record.number, compute_seconds=took if computed else None,
            load_seconds=loads.get(node.name) if not own.held else None,
            read_seconds=_read_seconds(outcome.results.get(node.name)) if not own.held else None,
            rows=outcome.rows.get(node.name), random=why,
            influence=influences.get(node.name, ""), trained=cards[node.name].digest if node.name in cards else "",
            content=_content(node.name, outcome, in_any_order) if computed and not doubt else None,
            observed=observed,
        )
        # Why a result varies is on record by the time that it is loaded or held.
        if (computed and why) or _tells(record):
            records.append(record)
        rows = of_rows(own.signature)
        if rows in run.equal and not doubt:
            records.append(ResultRecord(
                declared=rows, signature=run.equal[rows], workflow=plan.workflow, node=node.name, kind=node.kind,
                iteration=run.record.number,
            ))
    return records


def _content(name: str, outcome: Outcome, in_any_order: Collection[str]) -> str | None:
    """What a result that may be reused holds: as it was compared, else taken now, behind the answer."""
    if outcome.contents is None:
        return None
    return outcome.contents.get(name) or content_here(outcome.results[name], in_any_order=name in in_any_order)


def _tells(record: ResultRecord) -> bool:
    """Whether a record has a figure. One without would be read by each plan from then on, and tell it nothing."""
    figures = (record.compute_seconds, record.load_seconds, record.read_seconds, record.rows)
    return any(figure is not None for figure in figures) or bool(record.influence or record.observed or record.trained)


def _observed(node: Node, outcome: Outcome) -> str:
    """What a node's code was seen to do. The files that its author declares are taken for all that it reads."""
    seen = outcome.seen.get(node.name, Seen())
    return (Seen(seen.drew, environment=seen.environment) if node.wishes.depends_on else seen).to_json()


def _parts(node: Node, run: Run) -> tuple[Part, ...]:
    """A signature's parts, with what the node's code read, where that was not known when it was signed."""
    own, seen = run.situation[node.name].signed, run.outcome.seen
    if own.seen.reads or node.name not in seen or node.wishes.depends_on:
        return own.parts
    return (*own.parts, *parts_read(seen[node.name]))


def _read_seconds(result: NodeResult | None) -> float | None:
    return result.read_seconds if isinstance(result, TableResult | ModelResult) else None


def size_records(run: Run, sizes: Mapping[str, int]) -> list[ResultRecord]:
    """What storing results taught of them: physical bytes, by node name, and digests of what they hold."""
    contents = run.retention.contents
    return [
        _learnt(run, node.name, bytes=sizes[node.name], content=contents.get(node.name))
        for node in run.dag.nodes if node.name in sizes
    ]


def late_records(run: Run, names: Collection[str]) -> list[ResultRecord]:
    """What nodes' code was seen to do behind the answer: storing may run more of it."""
    return [
        _learnt(
            run, name, observed=_observed(run.dag[name], run.outcome),
            random=f"`{name}` {why}" if (why := run.outcome.differs(run.dag[name])) else "",
        )
        for name in sorted(names)
    ]


def read_records(run: Run, reads: PlanReads) -> list[ResultRecord]:
    """What the plans of functions told of the columns they read."""
    return [
        _learnt(run, own.name, reads=json.dumps({
            source: sorted(columns) for source, columns in reads[own.signature].items()
        }))
        for own in run.plan.nodes if own.signature in reads and not own.random
    ]


def _learnt(run: Run, name: str, **what: Any) -> ResultRecord:
    own = run.plan[name]
    return ResultRecord(
        declared=own.declared, signature=own.signature, workflow=run.plan.workflow, node=name, kind=own.kind,
        iteration=run.record.number, **what,
    )


def _known_random(node: Node, run: Run) -> str:
    own = run.situation[node.name].described.random
    return own[0] if own else ""


def _code(node: Node) -> str:
    """Its author's text. As it was signed: the file may have been saved since, and say something else."""
    if not isinstance(node.operator, Function):
        return ""
    function = inspect.unwrap(node.operator.call)
    return text_of(function.__code__)[:_SHOWN_CODE] if isinstance(function, FunctionType) else ""

