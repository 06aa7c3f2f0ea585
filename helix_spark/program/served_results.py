"""Results of a script's run that are stored after its last answer: models and persisted tables, as rows of the planner.
Its server holds them; pyspark's own classes describe and store them as a workflow's, over a client of Helix's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from helix_spark.answers.persisted_tables import PersistedTable
from helix_spark.answers.questions import AnsweredQuestion, Question
from helix_spark.answers.sent_requests import as_new, fitted_class, ml_command, rpc_error, server_message, stage_class
from helix_spark.answers.served_models import AT_A_TIME
from helix_spark.answers.served_session import ServedSession
from helix_spark.answers.stored_tables import PLACE, written_partitions
from helix_spark.catalog.records import ArtifactRecord, FileRecord, ResultRecord
from helix_spark.catalog.tables.spark_types import slot_names_of
from helix_spark.costs.model import LOAD, WRITE, Throughput
from helix_spark.engine.results.fitted_cards import card_of_model
from helix_spark.engine.results.node_results import ModelResult, TableResult
from helix_spark.engine.results.stored_results import Origin, StoringError, store
from helix_spark.errors import CatalogError, HelixError, ServerEndedError
from helix_spark.history.source_rows import call_of
from helix_spark.planner.joint import policy_named
from helix_spark.planner.problem import State
from helix_spark.planner.storage import NodeCosts, PlanningProblem
from helix_spark.plans.answer_gate import of_session
from helix_spark.plans.connect_session import active, active_session, frame_of
from helix_spark.plans.program_client import in_other_session
from helix_spark.program.plain_program import PlainProgram
from helix_spark.run.foresight import RecordsRead, foresee, shown_results
from helix_spark.run.retention import Retention

_LOAD = {**LOAD, "model": Throughput(0.2, 1 / 100e6)}
_WRITE = {**WRITE, "model": Throughput(0.07, 1 / 50e6)}
"""Throughput of models: a server reads one by one command, and writes several in parallel, faster than a workflow."""

_MODEL_BYTES = 50_000
"""Expected bytes of a model: a logistic regression of a hundred features takes 12 KB, a small forest 200."""


def keep_results(rows: Sequence[AnsweredQuestion], program: PlainProgram, number: int, *, has_ended: bool) -> None:
    """Store the results of a run that are worth it, and evict others; at its end also those beyond the budget."""
    if not any(row.fresh for row in rows):  # an unchanged run adds little, and ends at once
        return
    assert program.answerer is not None
    shown = {} if program.budget is None else shown_results(program.catalog, program.name)
    results = ServedResults(
        number, RecordsRead(program.catalog.snapshot(program.name), {}, _LOAD, shown), program.catalog, program.tell,
        policy_named(program.policy, program.small), rows=rows, program=program,
    )
    try:
        if results.writable and program.shares_catalog:
            results.keep()
            program.answerer.served.forget_given_up()
    except ServerEndedError as error:
        program.tell(f"this run's models and tables are not stored: {error.what}")
    results.acknowledge(results.tidy() if has_ended else ())


@dataclass(kw_only=True, eq=False)
class ServedResults(Retention):
    """The results of a program's run."""

    rows: Sequence[AnsweredQuestion]
    program: PlainProgram

    @cached_property
    def base(self) -> PlanningProblem:
        nodes = tuple(map(self._costs, self.rows))
        needed = {name for node in nodes for name in node.inputs}
        outputs = frozenset(node.name for node in nodes if node.name not in needed)
        # An edit of a call in the program's text affects all its questions: of a search each fit of a stage.
        problem = foresee(PlanningProblem(nodes, outputs, self.program.budget), (), self.records, call_of=call_of)
        # Spark is needed in any case: to compute results and to load them.
        return replace(problem, start_price=0.0, fresh_process=0.0)

    @property
    def states(self) -> dict[str, State]:
        return {row.name: State.COMPUTE if row.fresh else State.LOAD for row in self.rows}

    def as_stored(self, node: NodeCosts, record: ArtifactRecord | None) -> NodeCosts:
        return node if node.kind == "reducer" else super().as_stored(node, record)

    @property
    def writable(self) -> frozenset[str]:
        return frozenset(row.name for row in self.rows if not row.why and row.identity not in self.program.refused and (
            _has_new_model(row) or (row.fresh and row.kind == "table")
        ))

    def write(self, origins: Sequence[Origin]) -> Iterator[ArtifactRecord | None]:
        questions = {row.identity: row.question for row in self.rows}
        return iter(store_served([(one, questions[one.signature]) for one in origins], self.program))

    def _costs(self, row: AnsweredQuestion) -> NodeCosts:
        record, stored = self.program.record, self.records.view.artifacts.get(row.identity)
        seconds = row.seconds if row.fresh else record.seconds(row.identity)
        fitted = "" if row.kind == "table" else fitted_class(row.question.message)
        if row.kind != "table" and not fitted:  # its recorded answer takes no space
            known = bool(row.answer) or not row.fresh
            return NodeCosts(row.name, "reducer", row.identity, row.inputs, seconds, 0.0, 0.0, 0, stored=known)
        # The size of a table is expected to be that of its source files.
        kind = "model" if fitted else "table"
        expected = _MODEL_BYTES if fitted else sum(one.identity.bytes for one in row.question.reads)
        size = expected if stored is None else stored.bytes
        return NodeCosts(
            row.name, "learner" if fitted and ".ml.feature." not in fitted else "extractor", row.identity, row.inputs,
            seconds, _LOAD[kind].seconds(size), _WRITE[kind].seconds(size), size, stored=stored is not None,
            storable=stored is not None or not row.why,  # released results stay stored
            compute_needs_spark=True, load_needs_spark=True, shown=bool(fitted),
        )


def _has_new_model(row: AnsweredQuestion) -> bool:
    return row.fresh and bool(row.answer and fitted_class(row.question.message))


def store_served(results: Sequence[tuple[Origin, Question]], program: PlainProgram) -> list[ArtifactRecord | None]:
    """Store results of a script's run; return their records in order, None and a message if one cannot be stored.

    Models are stored in parallel; tables in turn: while a table is written, the session has Helix's settings.
    """
    assert program.answerer is not None
    served = program.answerer.served
    service = _ServedClient(served)
    tables = {table.question.identity: table for table in served.tables if table.question and not table.forgotten}

    def store_one(origin: Origin, question: Question, model: Any, session: Any) -> ArtifactRecord | None:
        def check() -> None:
            if changed := served.changed_data(question):
                raise CatalogError(changed)
            if doubt := served.signer.watched.doubt(question.code):
                raise CatalogError(f"it {doubt}")

        with active(session):
            try:
                if model is not None:
                    return store(ModelResult(model), origin, program.catalog, check)
                if question.identity not in tables:
                    raise CatalogError(f"{origin.node!r} was not stored: Spark does not hold it any more")
                result = service.table(tables[question.identity], session)
                return store(result, origin, program.catalog, check, service.partitions)
            except (CatalogError, StoringError) as error:
                program.tell(error.what)
                program.refused.add(origin.signature)
                return None

    def store_all() -> list[ArtifactRecord | None]:
        session = active_session()
        models = [service.model(question) if fitted_class(question.message) else None for _, question in results]
        with ThreadPoolExecutor(AT_A_TIME, "helix-models") as pool:
            records = [
                pool.submit(store_one, *pair, model, session) if model is not None else None
                for pair, model in zip(results, models, strict=True)
            ]
        return [
            store_one(*pair, None, session) if record is None else record.result()
            for pair, record in zip(results, records, strict=True)
        ]

    return in_other_session(service, store_all) if results else []


def cards_of_fits(
    rows: Sequence[AnsweredQuestion], program: PlainProgram, number: int
) -> tuple[list[ResultRecord], list[FileRecord]]:
    """Return the records of a run's fits, and the cards of their models, as far as a server has these."""
    assert program.answerer is not None
    fits = {row.identity: row for row in rows if _has_new_model(row)}
    known = program.catalog.results((), [*fits]).measured if fits else {}
    # The newest ones only: a card takes some ten requests to the server, of 5 ms each.
    new = [row for identity, row in fits.items() if identity not in known or not known[identity].trained][-40:]
    service = _ServedClient(program.answerer.served)
    try:
        cards = in_other_session(service, lambda: [(row, service.card(row)) for row in new]) if new else []
    except (HelixError, rpc_error()) as error:
        why = error.what if isinstance(error, HelixError) else server_message(error)
        program.tell(f"what fits gave is not known: {why}")
        return [], []
    present = [(row, card) for row, card in cards if card is not None]
    return [
        ResultRecord(
            row.identity, row.identity, program.name, row.name, "learner", number, compute_seconds=row.seconds,
            trained=card.digest,
        ) for row, card in present
    ], [card for _, card in present]


@dataclass(slots=True)
class _ServedClient:
    """A service that forwards requests of Helix's client to a script's session on its server."""

    served: ServedSession
    _written: int | None = None
    # Slot names of each vector in the table of a fit.
    _slots: dict[bytes, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def model(self, question: Question) -> Any | None:
        """Return the model of a fit; None if the server has dropped it, or if it is not one of Spark's."""
        from pyspark.ml.connect.serialize import deserialize_param
        from pyspark.ml.util import HasTrainingSummary, RemoteModelRef

        known_as, fit = self.served.models.live_id(question.handle), ml_command(question.message).fit
        kind: Callable[[], Any] | None = stage_class(fit.estimator.name)
        if known_as is None or kind is None:
            return None
        estimator = kind()
        estimator._set(**{name: deserialize_param(value) for name, value in fit.params.params.items()})
        model = estimator._create_model(RemoteModelRef(known_as))
        if isinstance(model, HasTrainingSummary):
            of_model: Any = model
            of_model._summary = of_model._summaryCls(f"{known_as}.summary")
        return estimator._copyValues(model)

    def card(self, row: AnsweredQuestion) -> FileRecord | None:
        """Return the card of a fit's model; None if the server does not have the model."""
        if (model := self.model(row.question)) is None:
            return None
        column = model.getOrDefault("featuresCol") if model.hasParam("featuresCol") else ""
        dataset = ml_command(row.question.message).fit.dataset
        if (key := dataset.SerializeToString(deterministic=True)) not in self._slots:
            self._slots[key] = slot_names_of(frame_of(active_session(), dataset).schema.json())
        return card_of_model(model, self._slots[key].get(column, ())).record(row.name)

    def table(self, table: PersistedTable, session: Any) -> TableResult:
        """Return a table of the server with the place of each row. Raises CatalogError if it has such a column."""
        from pyspark.sql import functions as F

        frame = frame_of(session, table.relation)
        if PLACE in frame.schema.names:
            raise CatalogError(f"it has a column {PLACE} of its own")
        placed: Any = frame.withColumn(PLACE, F.monotonically_increasing_id())
        return TableResult(lambda: placed)

    def partitions(self) -> int:
        """Return how many partitions were last written. Raises CatalogError if Spark did not report it."""
        if self._written is None:
            raise CatalogError("Spark did not tell how many partitions it has")
        return self._written

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - the protocol's name
        if request.plan.command.ml_command.HasField("delete"):  # the script may still hold the model
            return iter(())
        responses = self.served.send_own(self._of_script(request))
        if request.plan.command.HasField("write_operation"):
            self._written = written_partitions(responses)
        return (of_session(response, request) for response in responses)

    def AnalyzePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        (response,) = self.served.send_own(self._of_script(request))
        return of_session(response, request)

    Config = AnalyzePlan

    def FetchErrorDetails(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        return of_session(self.served.stub().FetchErrorDetails(as_new(self._of_script(request))), request)

    def _of_script(self, request: Any) -> Any:
        """Return a copy of a request in the script's session."""
        own = deepcopy(request)
        own.session_id = self.served.newest_request.session_id
        own.user_context.CopyFrom(self.served.newest_request.user_context)
        return own
