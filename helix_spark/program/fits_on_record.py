"""What the fits of a program gave, for people to look at without Spark: the cards that a workflow's models have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from helix_spark.answers.questions import handle_of, ml_command, stage_class
from helix_spark.answers.sent_requests import ours, rpc_error, server_message
from helix_spark.answers.served_session import ServedSession
from helix_spark.catalog.records import FileRecord, ResultRecord
from helix_spark.catalog.tables.vector_slots import slot_names_of
from helix_spark.engine.results.fitted_cards import card_of_model
from helix_spark.errors import HelixError
from helix_spark.plans.answer_texts import of_session
from helix_spark.plans.program_client import beside, schema_told
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_nodes import QuestionRow, is_fit
from helix_spark.visible_text import LONGEST_NAME

MOST_FITS = 40
"""Of a run, the last ones that it fitted. A card takes some ten questions to the server, of 5 ms each."""


def keep_cards(rows: Sequence[QuestionRow], program: PlainProgram, number: int) -> list[ResultRecord]:
    """Record what fits of a run gave, where a server has their models and that is not on record; return records to be
    appended, by which the cards are found.

    Args:
        number: of the iteration.

    Raises:
        CatalogError: the catalog cannot be written.
    """
    assert program.answerer is not None
    fits = [row for row in rows if row.asked.fresh and row.asked.answer and is_fit(row.asked.question.what)]
    known = program.catalog.results((), [row.asked.question.identity for row in fits]).measured if fits else {}
    new = [
        row for row in fits
        if (before := known.get(row.asked.question.identity)) is None or not before.trained
    ][-MOST_FITS:]
    made = _Made(program.answerer.served)
    try:
        cards = beside(made, lambda: [(row, made.card(row)) for row in new]) if new else []
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
                identity, identity, program.name, row.name[:LONGEST_NAME], "learner", number,
                compute_seconds=row.asked.seconds, trained=card.digest,
            ))
    return found


@dataclass(slots=True)
class _Made:
    """The models of a run, as its server has them. It answers who asks them, and nobody else."""

    served: ServedSession
    _like: Any = None
    _slots: dict[bytes, Mapping[str, tuple[str, ...]]] | None = None

    def card(self, row: QuestionRow) -> FileRecord | None:
        """What the model of a fit says of itself; None where the server has it no more, or it is none of Spark's."""
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
        """The names of the slots of each vector in the table of a fit."""
        import pyspark.sql.connect.proto as pb

        self._slots = {} if self._slots is None else self._slots
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
    """A model as pyspark has it that was given it by a fit.

    Args:
        kind: the class of what was fitted.
        known_as: its id in the server.
    """
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
