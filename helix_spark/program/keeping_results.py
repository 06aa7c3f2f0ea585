"""What is kept of a program's run: the models that it fitted and the tables that it had persisted, as rows of the
planner. Runs behind the program's last answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from helix_spark.answers.questions import fitted_class
from helix_spark.answers.served_session import ServedSession
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.costs.model import LOAD, WRITE, Throughput
from helix_spark.engine.results.storing import Origin
from helix_spark.errors import ServerEndedError
from helix_spark.history.source_rows import call_of
from helix_spark.planner.joint import policy_named
from helix_spark.planner.problem import State
from helix_spark.planner.storage import NodeCosts, PlanningProblem
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_nodes import QuestionRow, is_fit
from helix_spark.program.served_results import store_served
from helix_spark.run.foresight import RecordsRead, foresee
from helix_spark.run.retention import Retention

_LOAD = {**LOAD, "model": Throughput(0.2, 1 / 100e6)}
_WRITE = {**WRITE, "model": Throughput(0.07, 1 / 50e6)}
"""A server reads a model by one command, and writes several side by side: so each takes less than a workflow's."""

_MODEL_BYTES = 50_000
"""A logistic regression of a hundred features takes 12 KB in some ten files, a small forest 200."""


def keep_results(rows: Sequence[QuestionRow], program: PlainProgram, number: int, *, has_ended: bool) -> None:
    """Store what is worth keeping of a run, and evict what is not.

    Args:
        has_ended: True to evict also what is beyond the budget, once all is recorded.
    """
    if not any(row.asked.fresh for row in rows):  # an unchanged run adds little, and ends at once
        return
    assert program.answerer is not None
    served = program.answerer.served
    records = RecordsRead(program.catalog.snapshot(program.name), {}, _LOAD)
    results = ServedResults(
        number, records, program.catalog, program.tell, policy_named(program.policy),
        rows=rows, program=program, served=served,
    )
    try:
        if results.writable and program.shares_catalog:
            results.keep()
            served.forget_given_up()
    except ServerEndedError as error:
        program.tell(f"what this run computed is not stored, but for its answers: {error.what}")
    results.acknowledge(results.tidy() if has_ended else ())


@dataclass(kw_only=True, eq=False)
class ServedResults(Retention):
    """The results of a program's run."""

    rows: Sequence[QuestionRow]
    program: PlainProgram
    served: ServedSession

    @cached_property
    def base(self) -> PlanningProblem:
        stored = self.records.view.artifacts
        nodes = tuple(self._costs(row, stored.get(row.asked.question.identity)) for row in self.rows)
        needed = {name for node in nodes for name in node.inputs}
        outputs = frozenset(node.name for node in nodes if node.name not in needed)
        # An edit of a call in the program's text touches all that the call asks: of a search each fit of a stage.
        found = foresee(PlanningProblem(nodes, outputs, self.program.budget), (), self.records, line=call_of)
        # Whatever is kept, Spark is needed: to compute it and to load it.
        return replace(found, start_price=0.0, fresh_process=0.0)

    @property
    def states(self) -> dict[str, State]:
        return {row.name: State.COMPUTE if row.asked.fresh else State.LOAD for row in self.rows}

    def as_stored(self, node: NodeCosts, record: ArtifactRecord | None) -> NodeCosts:
        return self._costs(self._by_name[node.name], record)

    @cached_property
    def _by_name(self) -> dict[str, QuestionRow]:
        return {row.name: row for row in self.rows}

    @property
    def writable(self) -> frozenset[str]:
        return frozenset(
            row.name for row in self.rows if row.asked.fresh and not row.asked.why
            and (row.asked.question.sort == "table" or (row.asked.answer and is_fit(row.asked.question.what)))
        )

    def write(self, origins: Sequence[Origin]) -> Iterator[ArtifactRecord | None]:
        questions = {row.asked.question.identity: row.asked.question for row in self.rows}
        return iter(store_served([(one, questions[one.signature]) for one in origins], self.served, self.program))

    def drop(self, signature: str) -> None:
        """No-op: nothing stays in memory between runs."""

    def _costs(self, row: QuestionRow, stored: ArtifactRecord | None) -> NodeCosts:
        asked, question, record = row.asked, row.asked.question, self.program.record
        assert record is not None
        seconds = asked.seconds if asked.fresh else record.seconds(question.identity)
        kind = "table" if question.sort == "table" else "model" if is_fit(question.what) else "value"
        if kind == "value":  # its answer is on record, which takes no room
            known = bool(asked.answer) or not asked.fresh
            return NodeCosts(row.name, "reducer", question.identity, row.inputs, seconds, 0.0, 0.0, 0, stored=known)
        is_feature = kind == "table" or ".ml.feature." in fitted_class(question.what)
        # A table is expected to take as much as the files that it was read from; a model little.
        expected = sum(one.identity.bytes for one in question.reads) if kind == "table" else _MODEL_BYTES
        size = expected if stored is None else stored.bytes
        return NodeCosts(
            row.name, "extractor" if is_feature else "learner", question.identity, row.inputs, seconds,
            _LOAD[kind].seconds(size), _WRITE[kind].seconds(size), size, stored=stored is not None,
            storable=stored is not None or not asked.why,  # what the program released stays where it is stored
            compute_needs_spark=True, load_needs_spark=True,
        )
