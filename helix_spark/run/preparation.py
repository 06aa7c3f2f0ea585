"""Prepare a plan of a workflow: sign its nodes and look up their records. Needs no Spark, so a plan never waits for it.
"""

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
from helix_spark.catalog.leases import writer
from helix_spark.catalog.records import ArtifactRecord, ResultRecord
from helix_spark.costs.model import WRITE, Costs, Throughput, calibrate, estimate, loads_from_reads, session_seconds
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
    """Start Spark while functions are called and nodes signed, if the catalog is new, so that all must be computed."""
    if not (run.tools.catalog.id or run.tools.catalog.shared.names):
        dag = compile_workflow(run.workflow)
        if any(computes_with_spark(node, dag) for node in dag.nodes):
            run.tools.sessions.warm()
    return run


def declare(run: Run) -> Run:
    """Compile the declared graph, call its functions of Spark tables, and describe its nodes."""
    return _with_calls(run, pin_versions(compile_workflow(run.workflow)))


def recall(run: Run) -> Run:
    """Declare with the functions' plans of an earlier run, if they are recorded and the code is unchanged. Then the
    functions are called only if something must be computed (`call_functions`)."""
    settings, answers = run.tools.sessions.settings_that_change_results(), run.tools.catalog.answers
    compiled = pin_versions(compile_workflow(run.workflow))
    key = calls_key(compiled, settings)
    dag = recorded_calls(compiled, settings, answers.newest(key) if key else None)
    return _with_calls(run, compiled, key) if dag is None else _described(run, dag, settings, recalled=key)


def call_functions(run: Run) -> Run:
    """Call functions of recorded plans if Spark's client is loaded anyway. Plan again if one builds another plan."""
    computed = [run.declared_dag[node.name] for node in run.plan.nodes if node.state is State.COMPUTE]
    loads_client = run.situation.session_runs or any(computes_with_spark(node, run.declared_dag) for node in computed)
    if not (run.calls.recalled and computed and loads_client):
        return run
    called = _with_calls(run, run.declared_dag, run.calls.recalled)
    if not all(_is_equal(called.described[name], recorded) for name, recorded in run.described.items()):
        return plan_again(called)
    called.calls.builds.clear()  # they are recorded
    dag = called.declared_dag
    dag = merge_equal(dag, {node.name: run.plan[node.name].signature for node in dag.nodes})
    return replace(called, situation=run.situation.on(dag))


def _with_calls(run: Run, dag: Dag, key: str = "") -> Run:
    """Call the functions of a graph; record the plans that they build under `key`, if it is not empty."""
    settings = run.tools.sessions.settings_that_change_results()
    captured = capture_nodes(dag, settings)
    text = builds_text(captured, settings) if key else ""
    return _described(run, captured.dag, settings, builds={key: text} if text else {})


def _described(run: Run, dag: Dag, settings: Mapping[str, str], **fields: Any) -> Run:
    calls = FunctionAnswers(run.tools.catalog, dag.workflow, settings, run.tools.sessions, dag, **fields)
    return replace(run, declared_dag=dag, described=describe(dag, settings), calls=calls)


def _is_equal(left: Description, right: Description) -> bool:
    """Return whether two descriptions are equal apart from texts that are only shown."""
    return left.digest == right.digest and replace(left, parts=(), warnings=()) == replace(right, parts=(), warnings=())


def look_up(run: Run, in_memory: Collection[str] = ()) -> Run:
    """Sign and look up all nodes, and estimate their costs; `in_memory` names nodes whose results the run has."""
    catalog, declared_dag, tools = run.tools.catalog, run.declared_dag, run.tools
    view, held = catalog.snapshot(declared_dag.workflow), tools.memory.signatures
    sessions, server = tools.sessions, tools.sessions.kept_server()
    served = _served(server.rows, catalog.id) if run.takes_from_server else frozenset[str]()
    further = may_come_back(view)
    if tools.budget is not None:  # lineage is known from stored results of recorded iterations
        further |= {node.signature for past in view.past for node in past.nodes} & view.artifacts.keys()
    lookup = Lookup(run, further, view.artifacts.keys() | held)
    signed, measured = lookup.sign(declared_dag), lookup.measured
    dag = merge_equal(declared_dag, {name: node.signature for name, node in signed.items()})
    if run.records is not NOT_YET:
        shown = run.records.shown  # it reads the history of all workflows, so once a run
    else:
        shown = {} if tools.budget is None else shown_results(catalog, dag.workflow)  # no budget, no eviction
    artifacts = defaultdict[str, dict[str, ArtifactRecord]](dict)
    for signature, record in view.artifacts.items():
        artifacts[record.shared][signature] = record
    loads = {name: calibrated_loads(own_artifacts, measured) for name, own_artifacts in artifacts.items()}
    records = RecordsRead(view, measured, shown=shown, loads=loads)
    held = held.union(signed[name].signature for name in in_memory)
    situation = Situation(
        dag, known_nodes(dag, run.described, signed, lookup, records, held, served, catalog),
        view.next_iteration, PlanningProblem(
            (), frozenset(), tools.budget,
            overhead=view.other_bytes - sum(record.bytes for record in view.missing),  # these take no room
            session_seconds=session_seconds(
                starts_of(view), runs=sessions.started or server.runs, worked=sessions.worked or server.runs
            ),
        ), sessions.started,
        notices=(*_notices(catalog.rejections), *catalog.shared.problems),
        recorded=recorded_outputs(view, dag, signed, declared_dag.outputs),
    )
    random = {node.name for node in situation.nodes if node.signed.random}
    ahead = foresee(situation.problem, random, records, writer=writer(), one_run=tools.one_run)
    return replace(run, records=records, situation=replace(situation, ahead=ahead))


def _served(keys: Iterable[str], catalog_id: str) -> frozenset[str]:
    """Return the signatures of a catalog's results that a server has in memory under these keys."""
    return frozenset(key.removeprefix(catalog_id) for key in keys if catalog_id and key.startswith(catalog_id))


def decide(run: Run, in_memory: Collection[str] = ()) -> Run:
    """Decide what to load, to compute and to store; see `look_up`. Raises HelixError if an output cannot be computed.

    Results made of an earlier instance do not match a newly computed one: nodes are then looked up and decided again.
    """
    while True:
        run = replace(run, plan=make_plan(run.situation, run.tools.policy))
        computed = run.computed
        instances = [node.signed for node in run.situation.nodes if node.signed.instance and node.name in computed]
        run = replace(run, renewed=run.renewed.union(signed.declared for signed in instances))
        if all(signed.instance == "new" for signed in instances):
            return run
        run = look_up(run, in_memory)


def plan_again(run: Run, in_memory: Collection[str] = ()) -> Run:
    """Look up and decide again, with the results of other runs and the findings of this run; see `look_up`."""
    return decide(look_up(run, in_memory), in_memory)


def _notices(rejections: Sequence[str]) -> tuple[str, ...]:
    if not rejections:
        return ()
    more = f", and {len(rejections) - 1} more" if len(rejections) > 1 else ""
    return (f"the catalog has invalid records, which this plan ignores ({rejections[0]}{more})",)


class Lookup:
    """Signs a workflow's graph and looks up records, in turns: a record may change the signatures of readers.

    Attributes:
        measured: records of results, by signature.
        known_random: why a result was nondeterministic in an earlier run, by declared signature.
        known_choices: why a result was one of several right ones in an earlier run, by declared signature.

    Args:
        further: signatures of further results to look up.
        available: signatures of results that are stored or in memory.
    """

    def __init__(self, run: Run, further: Collection[str], available: Collection[str]) -> None:
        self.measured, self.known_random = dict[str, ResultRecord](), dict[str, str]()
        self.known_choices = dict[str, str]()
        self._equivalent, self._seen = dict(run.equal), dict[str, ObservedInputs]()
        self._run, self._further, self._available, self._looked_up = run, set(further), available, set[str]()

    def sign(self, dag: Dag) -> dict[str, Signed]:
        """Sign a graph; again while records give a node another signature, which changes its readers."""
        while True:
            signed = resolve(
                dag, self._run.described, run=self._run.id, equivalent=self._equivalent,
                known_random=self.known_random, known_choices=self.known_choices, renewed=self._run.renewed,
                seen=self._seen, by_plan=self._run.calls.built,
            )
            declared = {name for node in signed.values() for name in (node.declared, node.by_plan) if name}
            if new := declared - self._looked_up:
                self._looked_up |= new
                signatures = self._further.union(node.signature for node in signed.values())
                self._further = set()
                results = self._run.tools.catalog.results(new, signatures)
                self.measured.update(results.measured)
                self._learn(results)
            elif not self._learn_by_plan(dag, signed):
                return signed

    def _learn_by_plan(self, dag: Dag, signed: Mapping[str, Signed]) -> bool:
        """Sign the first unrecorded function that sends requests by its plan; return whether there was one."""
        built = self._run.calls.built
        for node in dag.nodes:
            declared = signed[node.name].declared
            is_known = signed[node.name].random or declared in self._equivalent or declared in built
            if isinstance(node.operator, SparkFunction) and node.operator.built is None and not is_known:
                inputs = {name: signed[name].signature for name in node.inputs}
                built[declared] = self._run.calls.by_plan(node, inputs) or ""
                return True
        return False

    def _learn(self, results: KnownResults) -> None:
        """Note the recorded signature of each declared one: for instances the first available, else the newest."""
        for declared, signature in results.newest.items():
            observed = {name: observed_from_json(text) for name, text in results.observed.get(declared, {}).items()}
            unknown = next(filter(None, (inputs.unknown for inputs in observed.values())), "")
            record = self.measured.get(signature)
            why = (record.random if record else "") or (reads_unknown(unknown) if unknown else "")
            choice = record.choice if record else ""
            if why or choice:
                (self.known_random if why else self.known_choices)[declared] = why or choice
                equivalent = self._instance(results.effective[declared], observed)
            else:
                equivalent = self._sign_current_inputs(declared, observed) or signature
            if equivalent is not None:
                self._equivalent.setdefault(declared, equivalent)

    def _sign_current_inputs(self, declared: str, observed: Mapping[str, ObservedInputs]) -> str | None:
        """Return the signature of a result by the current files and variables that its code reads; None if no reads are
        recorded. It is the newest signature whose code read the same, else a new one of all observed reads."""
        if any(inputs.drew for inputs in observed.values()):
            self._seen[declared] = ObservedInputs(drew=True)
        reading = {signature: inputs for signature, inputs in observed.items() if inputs.reads}
        if not reading:
            return None
        now = reduce(or_, reading.values()).now()
        for signature, inputs in reversed(reading.items()):
            if now.agrees(inputs):
                self._seen[declared] = inputs
                return signature
        self._seen[declared] = now
        return digest(declared, replace(now, drew=False).to_json())

    def _instance(self, signatures: Sequence[str], observed: Mapping[str, ObservedInputs]) -> str | None:
        """Return the instance to reuse, of code whose inputs are unchanged; None if there is none."""
        instances = [
            signature for signature in signatures
            if (record := self.measured.get(signature)) is not None and (record.random or record.choice)
            and (signature not in observed or observed[signature].now().agrees(observed[signature]))
        ]
        newest = instances[-1] if instances else None
        return next((signature for signature in instances if signature in self._available), newest)


def calibrated_writes(artifacts: Collection[ArtifactRecord]) -> dict[str, Throughput]:
    """Return write throughput by kind of artifact, from the artifacts with a recorded write time."""
    return {
        kind: calibrate(((r.bytes, r.write_seconds) for r in artifacts if r.kind == kind and r.write_seconds), prior)
        for kind, prior in WRITE.items()
    }


def calibrated_loads(
    artifacts: Mapping[str, ArtifactRecord], measured: Mapping[str, ResultRecord]
) -> dict[str, Throughput]:
    """Return load throughput by kind of artifact, from the artifacts with a recorded read time."""
    samples = defaultdict[str, list[tuple[int, float]]](list)
    for signature, record in measured.items():
        if signature in artifacts and record.read_seconds is not None:
            samples[artifacts[signature].kind].append((artifacts[signature].bytes, record.read_seconds))
    return loads_from_reads(samples)


def known_nodes(
    dag: Dag, described: Mapping[str, Description], signed: Mapping[str, Signed], lookup: Lookup,
    records: RecordsRead, held: frozenset[str], served: frozenset[str], catalog: CatalogReader,
) -> tuple[KnownNode, ...]:
    """Return the costs, the stored result and the earlier version of each node, in the order of the graph."""
    view, measured = records.view, records.measured
    signatures = {node.name: signed[node.name].signature for node in dag.nodes}
    sources = {name: version.bytes for name in signatures if (version := described[name].version) is not None}
    costs = _estimates(dag, signatures, sources, records, catalog)
    last = {node.name: node for node in view.nodes}
    available = view.artifacts.keys() | held | served
    lost = {node.signature for node in view.nodes}.intersection(signatures.values()) - available
    end_reasons = {
        signature: f"{last.event}: {last.why}" for signature, last in catalog.last_events(lost).items()
        if last.event != "published"
    }
    end_reasons |= {record.signature: WHY_MISSING for record in view.missing}
    is_any_verified = any(record.verified for record in measured.values())
    here = circumstances(described[node.name].digest for node in dag.nodes) if is_any_verified else ""
    now = time.time()

    def known_node(node: Node) -> KnownNode:
        description, declared, signature = described[node.name], signed[node.name].declared, signatures[node.name]
        before = last.get(node.name)
        if (why := lookup.known_random.get(declared)) and not description.random:
            description = replace(description, random=(why,))
        if (why := lookup.known_choices.get(declared)) and not description.choices:
            description = replace(description, choices=(why,))
        proof = proof_of(measured.get(signature), here, now)
        if not description.doubtful and proof in ("unproven", "aged"):
            proof = "pure"
        return KnownNode(
            node, description, signed[node.name], costs[node.name],
            artifact=view.artifacts.get(signature), held=signature in held, served=signature in served,
            before=None if before is None else parts_from_json(before.parts), ended=end_reasons.get(signature, ""),
            proof=proof, pin=view.pinned.get(signature, ""),
        )

    return tuple(map(known_node, dag.nodes))


def _estimates(
    dag: Dag, signatures: Mapping[str, str], source_bytes: Mapping[str, int], records: RecordsRead,
    catalog: CatalogReader,
) -> dict[str, Costs]:
    """Return estimates by the measurements of each result, else of the node's newest version."""
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
