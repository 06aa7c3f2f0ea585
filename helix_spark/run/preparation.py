"""From a workflow and a catalog to a plan: nodes are signed and their records looked up; a row a node says what is
known of it: what it costs, what is there of it, what it was before. No Spark: a plan waits for nothing."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Any

from helix_spark.answers.capture_nodes import capture_nodes
from helix_spark.answers.recorded_calls import builds_text, calls_key, recorded_calls
from helix_spark.catalog.catalog_reader import WHY_MISSING, CatalogReader
from helix_spark.catalog.known_results import KnownResults
from helix_spark.catalog.leases.leases import writer
from helix_spark.catalog.records import ArtifactRecord, ResultRecord
from helix_spark.costs.model import (
    WRITE,
    Costs,
    Throughput,
    calibrate,
    estimate,
    loads_from_reads,
    session_seconds,
)
from helix_spark.dag.compilation import compile_workflow, merge_equal
from helix_spark.dag.node import Dag, Node, computes_with_spark
from helix_spark.hermetic.observed_inputs import ObservedInputs, observed_from_json, reads_unknown
from helix_spark.history.states import proof_of
from helix_spark.identity.code import Description
from helix_spark.identity.data_version import pin_versions
from helix_spark.identity.difference import parts_from_json
from helix_spark.identity.parts import digest
from helix_spark.identity.signing import Signed, describe, resolve
from helix_spark.planner.planning import KnownNode, Situation, make_plan
from helix_spark.planner.problem import State
from helix_spark.planner.storage import PlanningProblem
from helix_spark.plans.captured_function import SparkFunction
from helix_spark.run.auditor import circumstances
from helix_spark.run.foresight import RecordsRead, foresee, may_come_back, shown_results, starts_of
from helix_spark.run.function_answers import FunctionAnswers
from helix_spark.run.run import NOT_YET, Run
from helix_spark.run.run_outputs import recorded_outputs


def start_early(run: Run) -> Run:
    """Begin to start Spark where the catalog is new, so that all is to be computed: it starts while functions are
    called and nodes are signed."""
    if not (run.tools.catalog.id or run.tools.catalog.shared.names):
        dag = compile_workflow(run.workflow)
        if any(computes_with_spark(node, dag) for node in dag.nodes):
            run.tools.sessions.warm()
    return run


def declare(run: Run) -> Run:
    """Compile the graph as its author declares it, call its functions of Spark's tables, and describe its nodes."""
    return _with_calls(run, pin_versions(compile_workflow(run.workflow)))


def recall(run: Run) -> Run:
    """Do the same with what its functions built in an earlier run, where that recorded it and nothing that they reach
    was edited: then none is called, unless something must be computed (`call_functions`)."""
    settings, answers = run.tools.sessions.settings_that_change_results(), run.tools.catalog.answers
    compiled = pin_versions(compile_workflow(run.workflow))
    key = calls_key(compiled, settings)
    whole = recorded_calls(compiled, settings, answers.newest(key) if key else None)
    return _with_calls(run, compiled, key) if whole is None else _described(run, whole, settings, recalled=key)


def call_functions(run: Run) -> Run:
    """Call the functions that are known from the record alone, where something is to be computed and Spark's client is
    loaded anyway. Plan again if one builds something else than it did."""
    computed = [run.whole[node.name] for node in run.plan.nodes if node.state is State.COMPUTE]
    loads_client = run.situation.session_runs or any(computes_with_spark(node, run.whole) for node in computed)
    if not (run.answered.recalled and computed and loads_client):
        return run
    made = _with_calls(run, run.whole, run.answered.recalled)
    if not all(_is_equal(made.described[name], own) for name, own in run.described.items()):
        return plan_again(made)
    made.answered.builds.clear()  # they are on record
    dag = merge_equal(made.whole, {node.name: run.plan[node.name].signature for node in made.whole.nodes})
    return replace(made, situation=run.situation.on(dag))


def _with_calls(run: Run, dag: Dag, key: str = "") -> Run:
    """Call the functions of a graph.

    Args:
        key: under which what they build is to be recorded; empty where it is not.
    """
    settings = run.tools.sessions.settings_that_change_results()
    captured = capture_nodes(dag, settings)
    text = builds_text(captured, settings) if key else ""
    return _described(run, captured.dag, settings, builds={key: text} if text else {})


def _described(run: Run, whole: Dag, settings: Mapping[str, str], **known: Any) -> Run:
    answered = FunctionAnswers(run.tools.catalog, whole.workflow, settings, run.tools.sessions, whole, **known)
    return replace(run, whole=whole, described=describe(whole, settings), answered=answered)


def _is_equal(one: Description, other: Description) -> bool:
    """Return whether two descriptions are equal but for the texts that people are shown."""
    return one.digest == other.digest and replace(one, parts=(), warnings=()) == replace(other, parts=(), warnings=())


def look_up(run: Run, had: Collection[str] = ()) -> Run:
    """Sign, look up in the catalog and estimate all that a plan starts from."""
    catalog, whole, tools = run.tools.catalog, run.whole, run.tools
    view, in_memory = catalog.snapshot(whole.workflow), tools.memory.signatures
    server = tools.sessions.kept_server()
    served = _served(server.rows, catalog.id) if run.takes_from_server else frozenset[str]()
    also = may_come_back(view)
    if tools.budget is not None:  # lineage is known from stored results of recorded iterations
        also |= {node.signature for past in view.past for node in past.nodes} & view.artifacts.keys()
    stored, lookup = view.artifacts, Lookup(run, also, view.artifacts.keys() | in_memory)
    signed, measured = lookup.sign(whole), lookup.measured
    dag = merge_equal(whole, {name: own.signature for name, own in signed.items()})
    if run.records is not NOT_YET:
        shown = run.records.shown  # it goes through the history of all workflows, once a run
    else:
        shown = {} if tools.budget is None else shown_results(catalog, whole.workflow)  # nothing is evicted without
    read = RecordsRead(view, measured, shown=shown, loads={
        name: calibrated_loads({signature: one for signature, one in stored.items() if one.shared == name}, measured)
        for name in {one.shared for one in stored.values()}
    })
    held = in_memory.union(signed[name].signature for name in had)
    starts, session = starts_of(view), tools.sessions
    situation = Situation(
        dag, known_nodes(dag, run.described, signed, lookup, read, held, served, catalog),
        view.next_iteration, PlanningProblem(
            (), frozenset(), tools.budget,
            overhead=view.other_bytes - sum(record.bytes for record in view.missing),  # these take no room
            session_seconds=session_seconds(
                starts, runs=session.started or server.runs, worked=session.worked or server.runs
            ),
        ), session.started,
        notices=(*_notices(catalog.rejections), *catalog.shared.problems),
        recorded=recorded_outputs(view, dag, signed, whole.outputs),
    )
    random = {one.name for one in situation.nodes if one.signed.random}
    ahead = foresee(situation.problem, random, read, writer=writer(), one_run=tools.one_run)
    return replace(run, records=read, situation=replace(situation, ahead=ahead))


def _served(keys: Iterable[str], own: str) -> frozenset[str]:
    """Return signatures of the results of a catalog, by its id, whose rows a server has in memory under these keys."""
    return frozenset(key.removeprefix(own) for key in keys if own and key.startswith(own))


def decide(run: Run, had: Collection[str] = ()) -> Run:
    """Decide what to load, to compute and to store; see `look_up` for `had`. Raises HelixError if an output cannot be
    had.

    An instance that is to be computed is another one from then on, and what an earlier run made of it does not belong
    to it: so the rest is looked up and decided again.
    """
    while True:
        run = replace(run, plan=make_plan(run.situation, run.tools.policy))
        computed = run.computed
        instances = [one.signed for one in run.situation.nodes if one.signed.instance and one.name in computed]
        run = replace(run, renewed=run.renewed.union(one.declared for one in instances))
        if all(one.instance == "new" for one in instances):
            return run
        run = look_up(run, had)


def plan_again(run: Run, had: Collection[str] = ()) -> Run:
    """Look up and decide again, as others stored something, or the run found something out; see `look_up`."""
    return decide(look_up(run, had), had)


def _notices(rejections: Sequence[str]) -> tuple[str, ...]:
    if not rejections:
        return ()
    more = f", and {len(rejections) - 1} more" if len(rejections) > 1 else ""
    return (f"the catalog has records that do not fit, and this plan goes without them ({rejections[0]}{more})",)


class Lookup:
    """Signs graphs of a workflow's nodes and looks up their records; these take turns, as a record may change what
    readers of its node are signed from.

    Attributes:
        measured: records of results, by signature.
        known_random: why a result is nondeterministic, as an earlier run found, by declared signature.
        known_choices: why a result is one of several right ones, as an earlier run found, by declared signature.
    """

    def __init__(self, run: Run, also: Collection[str], had: Collection[str]) -> None:
        self.measured, self.known_random = dict[str, ResultRecord](), dict[str, str]()
        self.known_choices = dict[str, str]()
        self._stands, self._seen = dict(run.equal), dict[str, ObservedInputs]()
        self._run, self._also, self._had, self._asked = run, set(also), had, set[str]()

    def sign(self, dag: Dag) -> dict[str, Signed]:
        """Sign; again when records say that a node stands for another one, which changes its readers."""
        while True:
            signed = resolve(
                dag, self._run.described, run=self._run.id, equivalent=self._stands, known_random=self.known_random,
                known_choices=self.known_choices, renewed=self._run.renewed, seen=self._seen,
                by_plan=self._run.answered.built,
            )
            fresh = {one for own in signed.values() for one in (own.declared, own.by_plan) if one} - self._asked
            if fresh:
                self._asked |= fresh
                found = self._run.tools.catalog.results(fresh, {own.signature for own in signed.values()} | self._also)
                self._also = set()
                self.measured.update(found.measured)
                self._learn(found)
            elif not self._learn_by_plan(dag, signed):
                return signed

    def _learn_by_plan(self, dag: Dag, signed: Mapping[str, Signed]) -> bool:
        """Find out what the first unrecorded function that asks Spark builds; return whether there was one."""
        built = self._run.answered.built
        for node in dag.nodes:
            own = signed[node.name]
            is_known = own.random or own.declared in self._stands or own.declared in built
            if isinstance(node.operator, SparkFunction) and node.operator.built is None and not is_known:
                inputs = {name: signed[name].signature for name in node.inputs}
                built[own.declared] = self._run.answered.by_plan(node, inputs) or ""
                return True
        return False

    def _learn(self, found: KnownResults) -> None:
        """Note what stands for what: of instances the first one that is stored or in memory, else the newest."""
        for declared, signature in found.standing.items():
            seen = {one: observed_from_json(text) for one, text in found.observed.get(declared, {}).items()}
            unknown = next(filter(None, (one.unknown for one in seen.values())), "")
            record = self.measured.get(signature)
            why = (record.random if record else "") or (reads_unknown(unknown) if unknown else "")
            choice = record.choice if record else ""
            if why or choice:
                (self.known_random if why else self.known_choices)[declared] = why or choice
                stands = self._instance(found.stood_for[declared], seen)
            else:
                stands = self._of_what_is_there(declared, seen) or signature
            if stands is not None:
                self._stands.setdefault(declared, stands)

    def _of_what_is_there(self, declared: str, seen: Mapping[str, ObservedInputs]) -> str | None:
        """Return the signature of what code makes of the files and variables that it reads, as they are now.

        It is the newest whose code read just this, else a new one of all that it was ever seen to read. None where
        nothing is known to be read.
        """
        if any(one.drew for one in seen.values()):
            self._seen[declared] = ObservedInputs(drew=True)
        reading = {signature: one for signature, one in seen.items() if one.reads}
        if not reading:
            return None
        now = reduce(or_, reading.values()).now()
        for signature, one in reversed(reading.items()):
            if now.agrees(one):
                self._seen[declared] = replace(now.only(one), drew=one.drew)
                return signature
        self._seen[declared] = now
        return digest(declared, replace(now, drew=False).to_json())

    def _instance(self, signatures: Sequence[str], seen: Mapping[str, ObservedInputs]) -> str | None:
        """Return the instance that stands, of code that reads what it read then; None if there is none."""
        found = [
            one for one in signatures
            if (record := self.measured.get(one)) is not None and (record.random or record.choice)
            and (one not in seen or seen[one].now().agrees(seen[one]))
        ]
        return next((one for one in found if one in self._had), found[-1] if found else None)


def calibrated_writes(artifacts: Collection[ArtifactRecord]) -> dict[str, Throughput]:
    """Return write throughput by kind of artifact, from those of live artifacts that were nothing but writes."""
    return {
        kind: calibrate(((r.bytes, r.write_seconds) for r in artifacts if r.kind == kind and r.write_seconds), prior)
        for kind, prior in WRITE.items()
    }


def calibrated_loads(
    artifacts: Mapping[str, ArtifactRecord], measured: Mapping[str, ResultRecord]
) -> dict[str, Throughput]:
    """Return load throughput by kind of artifact, from those that were read by themselves."""
    samples = defaultdict[str, list[tuple[int, float]]](list)
    for signature, record in measured.items():
        if signature in artifacts and record.read_seconds is not None:
            samples[artifacts[signature].kind].append((artifacts[signature].bytes, record.read_seconds))
    return loads_from_reads(samples)


def known_nodes(
    dag: Dag, described: Mapping[str, Description], signed: Mapping[str, Signed], lookup: Lookup,
    records: RecordsRead, held: frozenset[str], served: frozenset[str], catalog: CatalogReader,
) -> tuple[KnownNode, ...]:
    """Return the rows, in the order of the graph."""
    view, measured = records.view, records.measured
    signatures = {node.name: signed[node.name].signature for node in dag.nodes}
    sources = {name: version.bytes for name in signatures if (version := described[name].version) is not None}
    costs = _estimates(dag, signatures, sources, records, catalog)
    last = {node.name: node for node in view.nodes}
    there = view.artifacts.keys() | held | served
    lost = {node.signature for node in view.nodes}.intersection(signatures.values()) - there
    ended = {
        signature: f"{last.event}: {last.why}" for signature, last in catalog.last_events(lost).items()
        if last.event != "published"
    }
    ended |= {record.signature: WHY_MISSING for record in view.missing}
    is_any_verified = any(one.verified for one in measured.values())
    here = circumstances(described[node.name].digest for node in dag.nodes) if is_any_verified else ""
    now = time.time()

    def known_node(node: Node) -> KnownNode:
        own, description = signed[node.name], described[node.name]
        record, before = measured.get(own.signature), last.get(node.name)
        if (why := lookup.known_random.get(own.declared)) and not description.random:
            description = replace(description, random=(why,))
        if (why := lookup.known_choices.get(own.declared)) and not description.choices:
            description = replace(description, choices=(why,))
        proof = proof_of(record, here, now)
        if not description.doubtful and proof in ("unproven", "aged"):
            proof = "pure"
        return KnownNode(
            node, description, own, costs[node.name],
            artifact=view.artifacts.get(own.signature), held=own.signature in held,
            served=own.signature in served,
            before=None if before is None else parts_from_json(before.parts), ended=ended.get(own.signature, ""),
            proof=proof, pin=view.pinned.get(own.signature, ""),
        )

    return tuple(map(known_node, dag.nodes))


def _estimates(
    dag: Dag, signatures: Mapping[str, str], source_bytes: Mapping[str, int], records: RecordsRead,
    catalog: CatalogReader,
) -> dict[str, Costs]:
    """Return estimates from what was measured of each result, else of the node's newest version."""
    view, measured = records.view, records.measured
    unmeasured = sorted(name for name, signature in signatures.items() if records.compute_seconds(signature) is None)
    previous = catalog.measured(view.workflow, unmeasured) if view.last and unmeasured else {}
    sizes = {name: record.bytes for name, record in previous.items()}
    sizes |= {node.name: node.bytes for node in view.nodes if node.bytes is not None}
    sizes |= {  # known since the last iteration stored it
        node.name: size for node in view.nodes
        if node.signature in measured and (size := measured[node.signature].bytes) is not None
    }
    return estimate(
        dag, signatures, measured, previous, sizes, source_bytes, load=records.loads.get("", records.usual),
        write=calibrated_writes(view.own_artifacts.values()), elsewhere={
            signature: records.loads[artifact.shared] for signature, artifact in view.below.items()
        },
    )
