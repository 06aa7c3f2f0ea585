"""What keeping the results of a program's run needs of it: the models that it fitted and the tables that it had
persisted, as rows of the planner. Runs behind the program's last answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from helix_spark.answers.answering import AnsweredQuestion
from helix_spark.answers.questions import Question, fitted_class
from helix_spark.answers.served_models import AT_A_TIME
from helix_spark.answers.served_session import ServedSession
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.costs.model import LOAD, WRITE, Throughput
from helix_spark.engine.execution.observer import Silent
from helix_spark.engine.results.node_results import ModelResult
from helix_spark.engine.results.storing import Origin, StoringError, store
from helix_spark.errors import CatalogError
from helix_spark.history.source_rows import call_of
from helix_spark.planner.lineage import Lineage
from helix_spark.planner.named_policies import policy_named
from helix_spark.planner.problem import Derivation, State
from helix_spark.planner.storage import NodeCosts, PlanningProblem
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_nodes import QuestionRow, is_fit
from helix_spark.program.served_writes import ServedModel, ServedTable
from helix_spark.run.foresight import foresee, others_among, past_lineage
from helix_spark.run.records_read import RecordsRead
from helix_spark.run.retention import Retention, RunToKeep, states_done
from helix_spark.visible_text import LONGEST_NAME

_LOAD = {**LOAD, "model": Throughput(0.2, 1 / 100e6)}
_WRITE = {**WRITE, "model": Throughput(0.07, 1 / 50e6)}
"""A server reads a model by one command, and writes several side by side: so each takes less than a workflow's."""

_MODEL_BYTES = 50_000
"""A logistic regression of a hundred features takes 12 KB in some ten files, a small forest 200."""


def keep_results(
    rows: Sequence[QuestionRow], program: PlainProgram, retention: Callable[[], Retention]
) -> dict[str, int]:
    """Store what is worth keeping of a run, and evict what is not worth its room. Return the bytes of what is stored,
    by name.

    Args:
        rows: the run's questions, those whose results others are made from first.
        retention: gives what the run keeps; the catalog is read for it.
    """
    elsewhere = program.server is not None and program.server.elsewhere  # which writes to disks of its own
    if elsewhere or not any(_may_be_kept(row.asked) for row in rows):
        return {}
    assert program.answerer is not None
    kept = retention().keep()
    program.answerer.served.forget_given_up()
    return {**kept.stored}


def retention_of(rows: Sequence[QuestionRow], program: PlainProgram, number: int) -> Retention:
    """Return what a run keeps.

    Args:
        rows: as for `keep_results`.
        number: of the iteration.
    """
    assert program.answerer is not None
    records = RecordsRead(program.catalog.snapshot(program.name), {}, _LOAD)
    return Retention(RunToKeep(
        program.name, number, records.view, program.catalog, Reports(program.tell), policy_named(program.policy),
        program.budget, ServedResults(rows, program, program.answerer.served, records),
    ))


@dataclass(frozen=True, slots=True)
class Reports(Silent):
    """An observer that passes on warnings alone."""

    tell: Callable[[str], None]

    def warning(self, text: str) -> None:
        self.tell(text)


def _may_be_kept(asked: AnsweredQuestion) -> bool:
    """Return whether a question was answered now by a result that may be stored."""
    if not asked.fresh or asked.why:
        return False
    return asked.question.sort == "table" or (bool(asked.answer) and is_fit(asked.question.what))


@dataclass(frozen=True, slots=True)
class ServedResults:
    """The results of a program's run. See `RunResults`.

    Attributes:
        rows: inputs first.
        served: the session whose server has them.
    """

    rows: Sequence[QuestionRow]
    program: PlainProgram
    served: ServedSession
    records: RecordsRead

    def problem(
        self, live: Collection[ArtifactRecord], overhead: int, sizes: Mapping[str, int], *, to_write: bool
    ) -> PlanningProblem:
        stored = {record.signature: record.bytes for record in live}
        nodes = tuple(self._costs(row, stored, sizes.get(row.name)) for row in self.rows)
        # An edit of a call in the program's text touches all that the call asks: of a search each fit of a stage.
        expected = foresee(nodes, (), self.records, line=call_of)
        needed = {name for node in nodes for name in node.inputs}
        states = {row.name: State.COMPUTE if row.asked.fresh else State.LOAD for row in self.rows}
        current = {node.signature for node in nodes}
        return PlanningProblem(
            nodes=nodes, outputs=frozenset(node.name for node in nodes if node.name not in needed),
            budget=self.program.budget, overhead=overhead,
            others=others_among(live, current, past_lineage(nodes, self.records), self.records),
            scenarios=expected.scenarios, horizon=expected.horizon,
            done=states_done({
                node.name: Derivation(node.name, states[node.name], node.inputs, node.compute_seconds)
                for node in nodes if to_write
            }),
        )

    @property
    def lineage(self) -> Lineage:
        return {}

    @property
    def writable(self) -> frozenset[str]:
        return frozenset(row.name for row in self.rows if _may_be_kept(row.asked))

    def read_by_writes(self, names: Collection[str]) -> frozenset[str]:
        return frozenset()  # the server has in memory what it writes

    def write(self, origins: Sequence[Origin]) -> Iterator[ArtifactRecord | None]:
        """Models are stored side by side; tables one by one: while a table is written, the session has settings of
        ours."""
        questions = {row.asked.question.identity: row.asked.question for row in self.rows}
        tables = {one.question.identity: one for one in self.served.tables if one.question and not one.forgotten}

        def stored(origin: Origin) -> ArtifactRecord | None:
            question, table = questions[origin.signature], tables.get(origin.signature)
            made = (
                ModelResult(ServedModel(self.served, question)) if question.sort != "table" or table is None
                else ServedTable(self.served, table)
            )
            try:
                origin = replace(origin, node=origin.node[:LONGEST_NAME])
                return store(made, origin, self.program.catalog, check=partial(_check_data, self.served, question))
            except (CatalogError, StoringError) as error:
                self.program.tell(error.what)
                return None

        models = [one for one in origins if questions[one.signature].sort != "table"]
        with ThreadPoolExecutor(AT_A_TIME, "helix-models") as pool:
            written = dict(zip((one.signature for one in models), pool.map(stored, models), strict=True))
        return (written[one.signature] if one.signature in written else stored(one) for one in origins)

    def drop(self, signature: str) -> None:
        """Hold nothing in memory between runs."""

    def _costs(self, row: QuestionRow, stored: Mapping[str, int], size: int | None) -> NodeCosts:
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
        size = stored.get(question.identity, size if size is not None else expected)
        return NodeCosts(
            row.name, "extractor" if is_feature else "learner", question.identity, row.inputs, seconds,
            _LOAD[kind].seconds(size), _WRITE[kind].seconds(size), size, stored=question.identity in stored,
            storable=question.identity in stored or not asked.why,  # what the program released stays where it is stored
            compute_needs_spark=True, load_needs_spark=True,
        )


def _check_data(served: ServedSession, question: Question) -> None:
    """Raise CatalogError if what a result was made of was changed meanwhile."""
    if changed := served.changed_data(question):
        raise CatalogError(f"it was not stored: {changed}")
    if doubt := served.signer.watched.doubt(question.code):
        raise CatalogError(f"it was not stored: it {doubt}")
