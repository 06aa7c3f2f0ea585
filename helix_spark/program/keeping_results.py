"""What a program's run keeps: of the models that it fitted, and the tables that it had persisted, those that the policy
chooses. Runs behind the program's last answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from helix_spark.catalog.records import ArtifactRecord
from helix_spark.costs.forecast import Edit, edits, forecast, horizon
from helix_spark.costs.model import LOAD, WRITE, Throughput
from helix_spark.engine.results.node_results import ModelResult
from helix_spark.engine.results.storing import Origin, StoringError, WrittenTable, store
from helix_spark.errors import CatalogError
from helix_spark.past.source_rows import call_of
from helix_spark.planner.named_policies import policy_named
from helix_spark.planner.problem import Certificate, Derivation, Solution, State
from helix_spark.planner.storage import NodeCosts, OtherArtifact, PlanningProblem, Scenario
from helix_spark.program.answering import AnsweredQuestion
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_nodes import QuestionRow, is_fit, named
from helix_spark.program.questions import Question, fitted_class
from helix_spark.program.served_models import AT_A_TIME
from helix_spark.program.served_session import ServedSession
from helix_spark.program.served_writes import ServedModel, ServedTable
from helix_spark.visible_text import LONGEST_NAME


def keep_results(rows: Sequence[QuestionRow], program: PlainProgram, number: int) -> dict[str, ArtifactRecord]:
    """Store what is worth keeping of a run, and evict what is not worth its room. Returns what was stored, by
    identity.

    Args:
        rows: the run's questions, those whose results others are made from first.
        number: of the iteration.
    """
    assert program.answerer is not None
    made = [row for row in rows if _may_be_kept(row.asked)]
    if not made or (program.server is not None and program.server.elsewhere):  # which writes to disks of its own
        return {}
    live = program.catalog.live()
    decision = policy_named(program.policy).decide(problem_of(rows, program, live, number))
    there = {one.signature for one in live}
    program.catalog.evict_all({one: decision.reasons.get(one, "evicted") for one in decision.evict & there})
    new = decision.keep - there  # a session that goes on keeps tables that it has stored already
    return {
        one.signature: one
        for one in _stored([row for row in made if row.asked.question.identity in new], program, number)
    }


def _may_be_kept(asked: AnsweredQuestion) -> bool:
    """Return whether a question was answered now by a result that may be stored."""
    if not asked.fresh or asked.why:
        return False
    return asked.question.sort == "table" or (bool(asked.answer) and is_fit(asked.question.what))


def problem_of(
    rows: Sequence[QuestionRow], program: PlainProgram, live: Sequence[ArtifactRecord], number: int
) -> PlanningProblem:
    """The run as a planning problem, of which only storage is left to decide."""
    at_hand = {one.signature: one for one in live}
    nodes = tuple(_costs(row, program, at_hand) for row in rows)
    states = {row.name: State.COMPUTE if row.asked.fresh else State.LOAD for row in rows}
    ways = {node.name: Derivation(node.name, states[node.name], node.inputs, node.compute_seconds) for node in nodes}
    own = {node.signature for node in nodes}
    needed = {name for node in nodes for name in node.inputs}
    return PlanningProblem(
        nodes=nodes, outputs=frozenset(node.name for node in nodes if node.name not in needed), budget=program.budget,
        overhead=program.catalog.bytes_used() - sum(one.bytes for one in live) if program.budget is not None else 0,
        others=tuple(_other_artifact(one) for one in live if one.signature not in own), done=Solution(ways, _DONE),
        scenarios=scenarios_of(rows, _edits(program)), horizon=horizon(number),
    )


def scenarios_of(rows: Sequence[QuestionRow], history: Sequence[Edit]) -> tuple[Scenario, ...]:
    """What may be edited next. An edit of a call in the program's text touches all that the call asks: of a search each
    fit of a stage, or each evaluation.

    Args:
        history: the program's edits so far, by calls.
    """
    calls: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        calls[named(row.asked)].add(row.name)
    kinds = {named(row.asked): _kind(row.asked) for row in rows}
    return tuple(
        Scenario(one.probability, frozenset[str]().union(*(calls[call] for call in one.hit)), one.label)
        for one in forecast(kinds, history)
    )


def _edits(program: PlainProgram) -> list[Edit]:
    """Return what was edited between the program's last runs."""
    past = reversed(program.catalog.iterations(program.name, _LOOK_BACK))
    nodes = [{node.name: (node.signature, node.inputs) for node in program.catalog.nodes(one)} for one in past]
    found = edits([one for one in nodes if one], {})
    return [replace(one, hit=frozenset(call_of(name) for name in one.hit)) for one in found]


_LOOK_BACK = 6
"""Iterations whose edits are looked at; of each all nodes are read."""


def _kind(asked: AnsweredQuestion) -> str:
    """Return what a question is to the forecast: see `forecast.PHASES`."""
    if asked.question.sort == "table" or ".ml.feature." in fitted_class(asked.question.what):
        return "extractor"
    return "learner" if is_fit(asked.question.what) else "reducer"


_DONE = Certificate("optimal", 0.0, 0.0, 0.0, "none needed", 0.0)


def _costs(row: QuestionRow, program: PlainProgram, live: Mapping[str, ArtifactRecord]) -> NodeCosts:
    question, record = row.asked.question, program.record
    assert record is not None
    seconds = row.asked.seconds if row.asked.fresh else record.seconds(question.identity)
    artifact = live.get(question.identity)
    if question.sort != "table" and not is_fit(question.what):  # its answer is on record, which takes no room
        known = bool(row.asked.answer) or not row.asked.fresh
        return NodeCosts(row.name, _kind(row.asked), question.identity, row.inputs, seconds, 0.0, 0.0, 0, stored=known)
    size = artifact.bytes if artifact is not None else _expected_bytes(row)
    load, write = (LOAD["table"], WRITE["table"]) if question.sort == "table" else (_LOAD_MODEL, _WRITE_MODEL)
    return NodeCosts(
        row.name, _kind(row.asked), question.identity, row.inputs, seconds, load.seconds(size), write.seconds(size),
        size, stored=artifact is not None, storable=not row.asked.why, compute_needs_spark=True, load_needs_spark=True,
    )


_LOAD_MODEL, _WRITE_MODEL = Throughput(0.2, 1 / 100e6), Throughput(0.07, 1 / 50e6)
"""A server reads a model by one command, and writes several side by side: so each takes less than a workflow's."""


def _expected_bytes(row: QuestionRow) -> int:
    """What a result takes when it is stored: a table as much as the files that it was read from; a model little."""
    if row.asked.question.sort != "table":
        return _MODEL_BYTES
    return sum(one.identity.bytes for one in row.asked.question.reads)


_MODEL_BYTES = 50_000
"""A logistic regression of a hundred features takes 12 KB in some ten files, a small forest 200."""


def _other_artifact(record: ArtifactRecord) -> OtherArtifact:
    return OtherArtifact(
        record.signature, record.workflow, record.node, record.bytes, LOAD[record.kind].seconds(record.bytes),
        record.recompute_seconds, age=1, fixed=record.fixed,
    )


def _stored(wanted: Sequence[QuestionRow], program: PlainProgram, number: int) -> Iterator[ArtifactRecord]:
    """Store results: models side by side."""
    assert program.answerer is not None
    served = program.answerer.served
    tables = {one.question.identity: one for one in served.tables if one.question is not None and not one.forgotten}

    def stored(row: QuestionRow) -> ArtifactRecord | None:
        question = row.asked.question
        table = tables.get(question.identity) if question.sort == "table" else None
        made = ModelResult(ServedModel(served, question)) if table is None else WrittenTable(ServedTable(served, table))
        origin = Origin(question.identity, program.name, row.name[:LONGEST_NAME], number, row.asked.seconds)
        try:
            record = store(made, origin, program.catalog, check=partial(_check_data, served, question))
            return _within_budget(record, program)
        except (CatalogError, StoringError) as error:
            program.tell(error.what)
            return None

    models = [row for row in wanted if row.asked.question.sort != "table"]
    with ThreadPoolExecutor(AT_A_TIME, "helix-models") as pool:
        yield from (one for one in pool.map(stored, models) if one is not None)
    # One after the other: while a table is written, the session has settings of ours.
    yield from (one for row in wanted if row not in models and (one := stored(row)) is not None)
    served.forget_given_up()


def _check_data(served: ServedSession, question: Question) -> None:
    """Raise CatalogError if what a result was made of was changed meanwhile."""
    if changed := served.changed_data(question):
        raise CatalogError(f"it was not stored: {changed}")
    if doubt := served.signer.watched.doubt(question.code):
        raise CatalogError(f"it was not stored: it {doubt}")


def _within_budget(record: ArtifactRecord, program: PlainProgram) -> ArtifactRecord | None:
    """Return a result that was just stored, if it has room; evict it otherwise."""
    catalog = program.catalog
    if program.budget is None or not record.bytes or catalog.bytes_used() <= program.budget:
        return record
    catalog.evict(record.signature, "it is larger than the room that there is", attempt=record.attempt)
    return None
