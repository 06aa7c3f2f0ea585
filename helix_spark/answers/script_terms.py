"""Translates the questions of a workflow's function into those of a script, in which the plans of tables and models
replace the node's inputs. So a script and a workflow share their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import helix_spark.plans.connect_proto as pb
from helix_spark.answers.questions import Question, Signer, has_one_row
from helix_spark.answers.sent_requests import HELPER, fitted_class, handles_in, maker_of, ml_command, with_handles
from helix_spark.answers.served_models import NothingRecorded, Record
from helix_spark.plans.nondeterminism import DRAW_BY_PARTITION
from helix_spark.plans.plan_columns import INPUT
from helix_spark.plans.plan_messages import messages, type_of
from helix_spark.workflow.sources import FileSource


@dataclass(frozen=True, slots=True)
class ScriptOrigin:
    """The origin of a node's result, in a script's terms.

    Attributes:
        relation: plan of a table; None for a model.
        handles: a script's ids of a model, or of the models that it consists of, in order.
    """

    relation: Any = None
    handles: tuple[str, ...] = ()


def origin_of_source(source: FileSource) -> ScriptOrigin | None:
    """Return the origin of a table of ``spark.read``; None for a declared version, or a path that is a pattern."""
    if source.version is not None or any(set(path) & set("*?[]{}\\") for path in source.paths):
        return None
    read = pb.Read.DataSource(
        format=source.format, schema=source.schema or "", options=dict(source.options), paths=source.paths
    )
    if source.schema is None:
        read.ClearField("schema")
    return ScriptOrigin(pb.Relation(read=pb.Read(data_source=read)))


@dataclass(slots=True)
class ScriptTerms:
    """The questions of a call in a script's terms.

    Attributes:
        record: record of these questions and of a script's.
        environment: identity of the versions and settings of a script.
        origins: origins of the call's inputs, by position, as far as they are known.
    """

    record: Record = field(default_factory=NothingRecorded)
    environment: str = ""
    origins: Mapping[int, ScriptOrigin] = field(default_factory=dict)
    _handles: dict[str, str] = field(default_factory=lambda: {HELPER: HELPER})

    def note(self, question: Question, signer: Signer) -> None:
        """Record a question of the call also under a script's identity, if a script can ask it."""
        if not self.origins or question.chance or question.handle in self._handles or not _is_shared(question):
            return
        if (message := self.translated(question.message)) is None:
            return
        script_question = replace(signer, environment=self.environment).question(question.kind, message)
        if not script_question.chance:
            self.record.equate(question.identity, script_question.identity)
            self._handles[question.handle] = script_question.handle

    def know_model(self, handle: str, place: int, number: int) -> None:
        """Note a call's id of a model that an input consists of."""
        origin = self.origins.get(place)
        if origin is not None and number < len(origin.handles):
            self._handles[handle] = origin.handles[number]

    def origin_of_model(self, handles: Sequence[str]) -> ScriptOrigin | None:
        """Return the origin of a model that a call returned; None if no script has its parts."""
        script_handles = tuple(map(self._script_handle, handles))
        return ScriptOrigin(handles=script_handles) if all(script_handles) else None

    def translated(self, message: Any) -> Any | None:
        """Return a message of the call's in a script's terms. None if that is impossible, or if it has Python code,
        whose reads in workers are recorded for the node alone."""
        script_handles = {handle: self._script_handle(handle) for handle in handles_in(message)}
        if not all(script_handles.values()):
            return None
        translation = with_handles(message, script_handles)
        for part in messages(translation):
            match type_of(part):
                case "PythonUDF" | "PythonUDTF" | "PythonDataSource":
                    return None
                case "Relation" if part.read.named_table.unparsed_identifier.startswith(INPUT):
                    place = int(part.read.named_table.unparsed_identifier.removeprefix(INPUT))
                    origin, number = self.origins.get(place), part.common.plan_id
                    if origin is None or origin.relation is None:
                        return None
                    part.CopyFrom(origin.relation)
                    part.common.plan_id = number
        return translation if translation.ByteSize() <= 1 << 20 else None  # each question signs it again

    def _script_handle(self, handle: str) -> str:
        """Return a script's id of an object of a call; empty if it has none."""
        maker = maker_of(handle)
        return f"{self._handles[maker]}{handle.removeprefix(maker)}" if maker in self._handles else ""

    def origin(self, plan: Any) -> ScriptOrigin | None:
        """Return the origin of a table that a call built; None if no script can express it."""
        relation = self.translated(plan)
        return None if relation is None else ScriptOrigin(relation)


def _is_shared(question: Question) -> bool:
    """Return whether an answer is independent of partitions, except for the last digits of sums: a workflow and a
    script have different numbers of partitions. Settings, plans as text, ordered rows and learners that draw by
    partition depend on them, with all that is computed from their models."""
    if ml_command(question.message) is not None:
        return not any(word in fitted_class(question.message) for word in DRAW_BY_PARTITION)
    if question.kind == "analysis":
        return type_of(question.message) == "AnalyzePlanRequest.Schema"
    return question.kind == "rows" and has_one_row(question.message)
