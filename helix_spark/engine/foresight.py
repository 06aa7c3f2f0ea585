"""What may come next, told from the iterations on record: scenarios for the planner. No Spark, nothing is read."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from helix_spark.catalog.records import ResultRecord
from helix_spark.catalog.view import CatalogView, PastIteration, PastNode
from helix_spark.costs.forecast import Signed, edits, forecast, horizon
from helix_spark.costs.metrics import main_metric, merit
from helix_spark.costs.model import LOAD, Throughput
from helix_spark.costs.starting import fresh_process
from helix_spark.planner.prospects import Version, scenarios
from helix_spark.planner.storage import NodeCosts, Scenario


@dataclass(frozen=True, slots=True)
class Foresight:
    """What a plan expects of the iterations to come.

    Attributes:
        scenarios: possible next iterations.
        horizon: how many iterations to plan for.
        fresh_process: probability that the next iteration has to start a session of its own.
        starts: seconds that the starts on record took, oldest first.
    """

    scenarios: tuple[Scenario, ...]
    horizon: float
    fresh_process: float
    starts: tuple[float, ...]


def foresee(
    nodes: Sequence[NodeCosts], random: Collection[str], view: CatalogView, measured: Mapping[str, ResultRecord],
    loads: Mapping[str, Throughput] = LOAD, *, writer: str = "", one_run: bool | None = None,
) -> Foresight:
    """From the current version and the past.

    Args:
        nodes: of the current version.
        random: names of those whose signature is new in each run, edited or not.
        view: the catalog.
        measured: costs on record, by signature.
        loads: load throughput by kind of artifact, calibrated to the catalog.
        writer: the process that asks.
        one_run: whether it is for one run alone; None if nobody can say.
    """
    past = [iteration for iteration in view.past if iteration.nodes]
    versions = [*(_signed(iteration.nodes, random) for iteration in past), _signed(nodes, random)]
    kinds = {node.name: node.kind for node in nodes}
    earlier = [one for one, version in zip(past, versions, strict=False) if version != versions[-1]]
    previous, best = earlier[-1] if earlier else None, _best(earlier)
    found = forecast(
        kinds, edits(versions, kinds), best=best.record.number if best else None,
        previous=previous.record.number if previous else None,
    )
    again = {
        one.record.number: _version(one, nodes, view, measured, loads) for one in (previous, best) if one is not None
    }
    records = [one.record for one in view.past]
    return Foresight(
        scenarios(found, again), horizon(len(records) + 1),
        fresh_process([*(record.writer for record in records), writer], one_run),
        tuple(record.start_seconds for record in records if record.start_seconds),
    )


def _signed(nodes: Sequence[NodeCosts] | Sequence[PastNode], random: Collection[str]) -> Signed:
    return {node.name: (node.signature, node.inputs) for node in nodes if node.name not in random}


def _best(past: Sequence[PastIteration]) -> PastIteration | None:
    """The best by the newest iteration's main metric; the newest of equally good ones."""
    outputs = [json.loads(one.record.outputs) for one in past]
    metric = main_metric(outputs[-1]) if outputs else ""
    ranked = [(value, place) for place, own in enumerate(outputs) if (value := merit(own, metric)) is not None]
    return past[max(ranked)[1]] if ranked else None


def _version(
    iteration: PastIteration, nodes: Sequence[NodeCosts], view: CatalogView, measured: Mapping[str, ResultRecord],
    loads: Mapping[str, Throughput],
) -> Version:
    """An earlier iteration's nodes, with the costs on record, else those of the node's namesake of today."""
    today = {node.name: node for node in nodes}
    costs = []
    for node in iteration.nodes:
        record, artifact = measured.get(node.signature), view.artifacts.get(node.signature)
        known = today.get(node.name) or _gone(node)
        seconds = record.compute_seconds if record is not None else None
        costs.append(replace(
            known, signature=node.signature, inputs=tuple(dict.fromkeys(node.inputs)), held=False,
            compute_seconds=known.compute_seconds if seconds is None else seconds, stored=artifact is not None,
            load_seconds=known.load_seconds if artifact is None else loads[artifact.kind].seconds(artifact.bytes),
            bytes=known.bytes if artifact is None else artifact.bytes,
        ))
    return tuple(costs), frozenset(node.name for node in iteration.nodes if node.output)


def _gone(node: PastNode) -> NodeCosts:
    return NodeCosts(
        node.name, node.kind, node.signature, node.inputs, 0.0, 0.0, 0.0, 0, compute_needs_spark=node.kind != "reducer"
    )
