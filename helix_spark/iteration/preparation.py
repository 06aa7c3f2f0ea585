"""From a workflow and a catalog to the situation a plan starts from. No Spark: a plan waits for nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from helix_spark.capture.capture_nodes import capture_nodes
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases.holders import writer
from helix_spark.catalog.records import NodeRecord, ResultRecord
from helix_spark.catalog.view import CatalogView
from helix_spark.costs.model import Measurement, Throughput, estimate
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.influence import Influence
from helix_spark.dag.leaving_out import leave_out
from helix_spark.dag.merging import merge_equal
from helix_spark.dag.node import Dag
from helix_spark.iteration.calibration import calibrated_loads, calibrated_writes, sampled
from helix_spark.iteration.foresight import foresee, may_come_back, others_among, past_lineage
from helix_spark.iteration.influence import newest_fits, told_of
from helix_spark.iteration.on_record import OnRecord
from helix_spark.iteration.proven import reusing_proven
from helix_spark.iteration.run import Run
from helix_spark.iteration.tools import Tools
from helix_spark.planner.planning import Situation, planning_problem
from helix_spark.planner.serving import gaps
from helix_spark.signature.data_version import pin_versions
from helix_spark.signature.difference import parts_from_json
from helix_spark.signature.parts import Part
from helix_spark.signature.signing import Description, Signed, describe


def declare(run: Run) -> Run:
    """The graph as its author declares it, with what each node is.

    Raises:
        WorkflowError, SignatureError, SourceError: see there.
    """
    settings = run.tools.sessions.settings_that_change_results()
    whole = capture_nodes(pin_versions(compile_workflow(run.workflow)), settings)
    return replace(run, whole=whole, described=describe(whole, settings))


def look_up(run: Run) -> Run:
    """Signed, looked up in the catalog, estimated: all that a plan starts from. Once more when the catalog changed, or
    the run found something out.

    Raises:
        CatalogError: see there.
    """
    catalog, whole, described, tools = run.tools.catalog, run.whole, run.described, run.tools
    view, held = catalog.snapshot(whole.workflow), tools.held
    read = sampled(view.artifacts.values())
    also = may_come_back(view) | read.keys() | (_stored_of_late(view) if tools.budget is not None else set())
    records = OnRecord(catalog, view, described, run.id, also=also, held=held, equal=run.equal)
    signed = of_whole = records.sign(whole)
    known_random, measured = records.known_random, records.measured
    loads = calibrated_loads(read, measured)
    fits = newest_fits(whole, catalog)
    leaving = leave_out(
        whole, fits, {name: own.declared for name, own in signed.items()},
        {name for name, own in signed.items() if own.random},
    )
    if leaving.dag is not whole:
        signed = records.sign(leaving.dag)
    held = held.union(signed[name].signature for name in run.had)
    dag = merge_equal(leaving.dag, {name: own.signature for name, own in signed.items()})
    told = _reads_on_record(measured) | dict(run.reads)
    unserved = gaps(dag, {name: own.signature for name, own in signed.items()}, view.artifacts, told)
    offered = replace(view, artifacts={s: record for s, record in view.artifacts.items() if s not in unserved})
    explained = _with_chance_found(described, signed, known_random)
    situation = replace(
        _situation(dag, signed, explained, measured, offered, tools, held, fits, loads), unserved=unserved,
        overhead=_bytes_beside(view), notices=(*leaving.notices, *_told_of_misfits(catalog.left_out)),
        left_out_seconds=_seconds_without(leaving.dag, of_whole, measured),
        verified=frozenset(signature for signature, record in measured.items() if record.verified),
    )
    situation = _foreseen(_with_others(situation, view, measured, loads), offered, measured, loads, tools.one_run)
    found = replace(
        run, view=view, dag=dag, situation=situation, told=told, known_random=known_random, loads=loads,
        comparable=_comparable(view, measured),
    )
    return reusing_proven(found) if run.only_proven else found


def _comparable(view: CatalogView, measured: Mapping[str, ResultRecord]) -> frozenset[str]:
    """Names of the nodes of which it is on record what an earlier version's result holds."""
    contents = {signature for signature, record in measured.items() if record.content is not None}
    return frozenset(node.name for past in view.past for node in past.nodes if node.signature in contents)


def _told_of_misfits(left_out: Sequence[str]) -> Iterator[str]:
    """What a plan says of records that do not fit: they are as good as not there."""
    if left_out:
        more = f", and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        yield f"the catalog has records that do not fit, and this plan goes without them ({left_out[0]}{more})"


def _stored_of_late(view: CatalogView) -> set[str]:
    """Stored results of iterations on record: what they took says what it takes to have others again from them."""
    return {node.signature for past in view.past for node in past.nodes} & view.artifacts.keys()


def _bytes_beside(view: CatalogView) -> int:
    """Bytes of the records, and of what nobody refers to. Tables that lack columns are among what is stored; what is
    gone counts by its records until the run has ended them, and takes no room."""
    return view.other_bytes - sum(record.bytes for record in view.missing)


def _reads_on_record(measured: Mapping[str, ResultRecord]) -> dict[str, Mapping[str, frozenset[str]]]:
    return {
        signature: {source: frozenset(columns) for source, columns in json.loads(record.reads).items()}
        for signature, record in measured.items() if record.reads
    }


def _with_others(
    situation: Situation, view: CatalogView, measured: Mapping[str, ResultRecord], loads: Mapping[str, Throughput]
) -> Situation:
    """With what else is stored. What that costs to have again is looked into only where there is a budget: without one
    all of it is kept."""
    if situation.budget is not None:
        lineage = past_lineage(planning_problem(situation).nodes, view, measured, loads)
        situation = replace(situation, lineage=lineage)
    return replace(situation, others=others_among(view.artifacts.values(), situation, view, loads))


def _seconds_without(dag: Dag, signed: Mapping[str, Signed], measured: Mapping[str, ResultRecord]) -> dict[str, float]:
    """By node, what was measured of those that are left out: all of them ran before they were."""
    records = {
        name: measured.get(signed[name].signature) for one in dag.left_out for name in one.nodes
    }
    return {name: record.compute_seconds or 0.0 for name, record in records.items() if record is not None}


def _with_chance_found(
    described: Mapping[str, Description], signed: Mapping[str, Signed], known_random: Mapping[str, str]
) -> dict[str, Description]:
    """The nodes, with why their results may differ each time where only an earlier run could tell."""
    return {
        name: replace(own, random=(why,)) if not own.random and name in signed
        and (why := known_random.get(signed[name].declared)) else own
        for name, own in described.items()
    }


def _foreseen(
    situation: Situation, view: CatalogView, measured: Mapping[str, ResultRecord], loads: Mapping[str, Throughput],
    one_run: bool | None,
) -> Situation:
    random = {name for name, own in situation.signed.items() if own.random}
    expected = foresee(
        planning_problem(situation).nodes, random, view, measured, loads, writer=writer(), one_run=one_run
    )
    return replace(
        situation, scenarios=expected.scenarios, horizon=expected.horizon,
        starts=expected.starts, fresh_process=expected.fresh_process,
    )


def _situation(
    dag: Dag, signed: Mapping[str, Signed], described: Mapping[str, Description],
    measured: Mapping[str, ResultRecord], view: CatalogView, tools: Tools, held: frozenset[str],
    fits: Mapping[str, Influence], loads: Mapping[str, Throughput],
) -> Situation:
    signatures = {node.name: signed[node.name].signature for node in dag.nodes}
    previous = _previous_versions(signatures, measured, view, tools.catalog)
    sizes = _previous_sizes(measured, view)
    estimates = estimate(
        dag, signatures, {s: _measurement(record) for s, record in measured.items()},
        {
            name: replace(own := _measurement(previous.get(name)), bytes=sizes.get(name, own.bytes))
            for name in previous.keys() | sizes.keys()
        },
        {name: described[name].version.bytes for name in signatures if described[name].version is not None},  # type: ignore[union-attr]  # filtered in this very expression
        load=loads, write=calibrated_writes(view.artifacts.values()),
    )
    current = set(signatures.values())
    last = {node.signature for node in view.nodes}
    ended = tools.catalog.ends_among((current & last) - view.artifacts.keys() - held)
    return Situation(
        dag=dag, signed=signed, described=described, estimates=estimates, iteration=view.next_iteration,
        stored=view.artifacts, held=held, previous=_previous_parts(view.nodes), budget=tools.budget,
        session_runs=tools.sessions.started, session_worked=tools.sessions.worked,
        influences=told_of(dag, signatures, measured, previous, fits),
        ended={signature: f"{record.event}: {record.why}" for signature, record in ended.items()},
    )


def _previous_versions(
    signatures: Mapping[str, str], measured: Mapping[str, ResultRecord], view: CatalogView, catalog: Catalog
) -> dict[str, ResultRecord]:
    """By name, of nodes that were not measured yet: their newest earlier version that was."""
    def is_known(signature: str) -> bool:
        return signature in measured and measured[signature].compute_seconds is not None

    unmeasured = {name for name, signature in signatures.items() if not is_known(signature)}
    last = {node.name: measured[node.signature] for node in view.nodes
            if node.name in unmeasured and is_known(node.signature)}
    left = sorted(unmeasured - last.keys())
    return last | (catalog.measured(view.workflow, left) if left and view.last else {})


def _previous_sizes(measured: Mapping[str, ResultRecord], view: CatalogView) -> dict[str, int]:
    """By name, bytes of the newest version whose size was measured: of the iteration before, or what that one knew."""
    sizes = {}
    for node in view.nodes:
        record = measured.get(node.signature)
        size = record.bytes if record is not None and record.bytes is not None else node.bytes
        if size is not None:
            sizes[node.name] = size
    return sizes


def _measurement(record: ResultRecord | None) -> Measurement:
    return Measurement() if record is None else Measurement(record.compute_seconds, record.load_seconds, record.bytes)


def _previous_parts(nodes: Collection[NodeRecord]) -> dict[str, tuple[Part, ...]]:
    return {node.name: parts_from_json(node.parts) for node in nodes}
