"""What is kept of a program's run: the models that it fitted and the tables that it had persisted, as rows of the
planner, and cards of its fits, which people look at without Spark. Runs behind the program's last answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from helix_spark.answers.persisted_tables import PersistedTable
from helix_spark.answers.questions import (
    Question,
    fitted_class,
    handle_of,
    ml_command,
    stage_class,
)
from helix_spark.answers.sent_requests import ours, rpc_error, server_message
from helix_spark.answers.served_models import AT_A_TIME
from helix_spark.answers.served_session import ServedSession
from helix_spark.answers.stored_tables import MOST_PARTITIONS, PLACE, partitions_told, schema_with_place, write_of
from helix_spark.catalog.records import ArtifactRecord, FileRecord, ResultRecord
from helix_spark.catalog.tables.spark_types import slot_names_of
from helix_spark.costs.model import LOAD, WRITE, Throughput
from helix_spark.engine.results.fitted_cards import card_of_model
from helix_spark.engine.results.node_results import ModelResult
from helix_spark.engine.results.storing import Origin, StoringError, store
from helix_spark.engine.spark.settings import WHILE_WE_WRITE
from helix_spark.errors import CatalogError, HelixError, ServerEndedError
from helix_spark.history.source_rows import call_of
from helix_spark.planner.joint import policy_named
from helix_spark.planner.problem import State
from helix_spark.planner.storage import NodeCosts, PlanningProblem
from helix_spark.plans.answer_gate import of_session
from helix_spark.plans.program_client import beside, schema_told
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_nodes import QuestionRow, is_fit
from helix_spark.run.foresight import RecordsRead, foresee
from helix_spark.run.retention import Retention

_LOAD = {**LOAD, "model": Throughput(0.2, 1 / 100e6)}
_WRITE = {**WRITE, "model": Throughput(0.07, 1 / 50e6)}
"""A server reads a model by one command, and writes several side by side: so each takes less than a workflow's."""

_MODEL_BYTES = 50_000
"""A logistic regression of a hundred features takes 12 KB in some ten files, a small forest 200."""

MOST_FITS = 40
"""Of a run, the last ones that it fitted. A card takes some ten questions to the server, of 5 ms each."""


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
                return store(made, origin, self.program.catalog, check=partial(_check_data, self.served, question))
            except (CatalogError, StoringError) as error:
                self.program.tell(error.what)
                return None

        models = [one for one in origins if questions[one.signature].sort != "table"]
        with ThreadPoolExecutor(AT_A_TIME, "helix-models") as pool:
            written = dict(zip((one.signature for one in models), pool.map(stored, models), strict=True))
        return (written[one.signature] if one.signature in written else stored(one) for one in origins)

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


def _check_data(served: ServedSession, question: Question) -> None:
    """Raise CatalogError if what a result was made of was changed meanwhile."""
    if changed := served.changed_data(question):
        raise CatalogError(f"it was not stored: {changed}")
    if doubt := served.signer.watched.doubt(question.code):
        raise CatalogError(f"it was not stored: it {doubt}")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that a program's server holds, as far as one of Spark ML's own is needed to store it."""

    served: ServedSession
    question: Question

    def write(self) -> ServedModel:
        return self

    def save(self, path: str) -> None:
        self.served.models.write(self.question, path)


@dataclass(frozen=True, slots=True)
class ServedTable:
    """A table that a program's server keeps in memory."""

    served: ServedSession
    table: PersistedTable

    def schema(self) -> str:
        """Return its Spark schema, as JSON. Raises CatalogError where there is none."""
        import pyspark.sql.connect.proto as pb

        asking = self.table.ours(pb.AnalyzePlanRequest)
        asking.schema.plan.root.CopyFrom(self.table.relation)
        (told,) = self.served.ask_of_table(self.table, asking)
        return schema_told(told)

    def save(self, path: str, options: Mapping[str, str]) -> str:
        """Write its rows, each with its place, as parquet files into a new folder; return their schema as JSON.

        Raises:
            CatalogError: it cannot be written.
        """
        import pyspark.sql.connect.proto as pb

        schema = self.schema()
        if PLACE in schema:
            raise CatalogError(f"it has a column {PLACE} of its own")
        writing = self.table.ours(pb.ExecutePlanRequest)
        writing.plan.command.CopyFrom(write_of(self.table.relation, path, options))
        with self._settings():
            partitions = partitions_told(self.served.ask_of_table(self.table, writing))
        if partitions is None:
            raise CatalogError("Spark did not tell how many partitions it has")
        if partitions > MOST_PARTITIONS:
            raise CatalogError(f"it has {partitions:,} partitions, more than {MOST_PARTITIONS:,}")
        return schema_with_place(schema, partitions)

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """Write values as they are, whatever the program set, and report the progress of short writes, too."""
        before = self._set({**WHILE_WE_WRITE, "spark.connect.progress.reportInterval": "10ms"})
        try:
            yield
        finally:
            self._set(before)

    def _set(self, wanted: Mapping[str, str]) -> dict[str, str]:
        import pyspark.sql.connect.proto as pb

        asking: Any = self.table.ours(pb.ConfigRequest)
        asking.operation.get.keys.extend(wanted)
        (known,) = self.served.ask_of_table(self.table, asking)
        setting: Any = self.table.ours(pb.ConfigRequest)
        setting.operation.set.pairs.extend(pb.KeyValue(key=name, value=value) for name, value in wanted.items())
        self.served.ask_of_table(self.table, setting)
        return {pair.key: pair.value for pair in known.pairs}


def keep_cards(rows: Sequence[QuestionRow], program: PlainProgram, number: int) -> list[ResultRecord]:
    """Store the cards of a run's fits, where a server has their models; return the records by which they are found."""
    assert program.answerer is not None
    fits = [row for row in rows if row.asked.fresh and row.asked.answer and is_fit(row.asked.question.what)]
    known = program.catalog.results((), [row.asked.question.identity for row in fits]).measured if fits else {}
    new = [
        row for row in fits
        if (before := known.get(row.asked.question.identity)) is None or not before.trained
    ][-MOST_FITS:]
    service = _ModelService(program.answerer.served)
    try:
        cards = beside(service, lambda: [(row, service.card(row)) for row in new]) if new else []
    except (HelixError, rpc_error()) as error:
        why = error.what if isinstance(error, HelixError) else server_message(error)
        program.tell(f"what fits gave is not known: {why}")
        return []
    found = []
    for row, card in cards:
        if card is not None:
            program.catalog.keep_file(card)
            identity = row.asked.question.identity
            found.append(ResultRecord(
                identity, identity, program.name, row.name, "learner", number,
                compute_seconds=row.asked.seconds, trained=card.digest,
            ))
    return found


@dataclass(slots=True)
class _ModelService:
    """The models of a run in its server, as a service that pyspark's model classes ask."""

    served: ServedSession
    _like: Any = None
    _slots: dict[bytes, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def card(self, row: QuestionRow) -> FileRecord | None:
        """Return the card of a fit's model; None where the server has dropped it, or it is none of Spark's."""
        question = row.asked.question
        there, fit = self.served.models.there(handle_of(question)), ml_command(question.what).fit
        kind = stage_class(fit.estimator.name)
        if there is None or kind is None:
            return None
        known_as, self._like = there
        model = _model_of(kind, fit, known_as)
        column = model.getOrDefault("featuresCol") if model.hasParam("featuresCol") else ""
        return card_of_model(model, self._slots_of(fit.dataset).get(column, ())).record(row.name)

    def _slots_of(self, dataset: Any) -> Mapping[str, tuple[str, ...]]:
        """Return the names of the slots of each vector in the table of a fit."""
        import pyspark.sql.connect.proto as pb

        key = dataset.SerializeToString(deterministic=True)
        if key not in self._slots:
            asking = ours(pb.AnalyzePlanRequest, self._like)
            asking.schema.plan.root.CopyFrom(dataset)
            (told,) = self.served.send(asking)
            self._slots[key] = slot_names_of(schema_told(told))
        return self._slots[key]

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - the service calls it so
        command = request.plan.command.ml_command
        asks = command.HasField("fetch")  # what is let go of here, the program may have still
        found = self.served.run_ml(command, self._like) if asks else []
        return iter([of_session(one, request) for one in found])


def _model_of(kind: type, fit: Any, known_as: str) -> Any:
    """Return the pyspark model of a fit, whose id in the server is `known_as`."""
    from pyspark.ml.connect.serialize import deserialize_param
    from pyspark.ml.util import HasTrainingSummary, RemoteModelRef

    made: Callable[[], Any] = kind
    estimator = made()
    estimator._set(**{name: deserialize_param(value) for name, value in fit.params.params.items()})
    model = estimator._create_model(RemoteModelRef(known_as))
    if isinstance(model, HasTrainingSummary):
        of_model: Any = model
        of_model._summary = of_model._summaryCls(f"{known_as}.summary")
    return estimator._copyValues(model)
