"""What a function of a workflow asks, as a script would ask it: of tables and models by what they are made of, in place
of the nodes that they are. A script and a workflow that ask the same have one answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import helix_spark.plans.connect_proto as pb
from helix_spark.answers.questions import Question, Signer, has_one_row
from helix_spark.answers.sent_requests import HELPER, fitted_class, handles_in, maker_of, ml_command, with_handles
from helix_spark.answers.served_models import NothingRecorded, Record
from helix_spark.plans.plan_chance import DRAW_BY_PARTITION
from helix_spark.plans.plan_columns import INPUT
from helix_spark.plans.plan_messages import messages, sort_of
from helix_spark.workflow.sources import FileSource


@dataclass(frozen=True, slots=True)
class ScriptOrigin:
    """What a node's result is made of, as a script would say it.

    Attributes:
        relation: of a table; None of a model.
        handles: by which a script knows a model, or the models that it consists of, in order.
    """

    relation: Any = None
    handles: tuple[str, ...] = ()


def origin_of_source(source: FileSource) -> ScriptOrigin | None:
    """Return the origin of a table of files, read by ``spark.read``; None where its author says its version, or a
    script's reader would take a path for a pattern."""
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
    """The questions of a call in a script's words.

    Attributes:
        record: of these and of a script's.
        around: identity of versions and settings around a script.
        origins: of the call's inputs, by position, as far as they are known.
    """

    record: Record = field(default_factory=NothingRecorded)
    around: str = ""
    origins: Mapping[int, ScriptOrigin] = field(default_factory=dict)
    _handles: dict[str, str] = field(default_factory=lambda: {HELPER: HELPER})

    def note(self, question: Question, signer: Signer) -> None:
        """Let the record know a question of the call also by a script's identity, if a script can ask it."""
        if not self.origins or question.chance or question.handle in self._handles or not _is_shared(question):
            return
        if (what := self.translated(question.what)) is None:
            return
        same = replace(signer, around=self.around).question(question.sort, what)
        if not same.chance:
            self.record.equate(question.identity, same.identity)
            self._handles[question.handle] = same.handle

    def know_model(self, handle: str, place: int, number: int) -> None:
        """Note by which id a call knows a model that an input consists of."""
        origin = self.origins.get(place)
        if origin is not None and number < len(origin.handles):
            self._handles[handle] = origin.handles[number]

    def origin_of_model(self, handles: Sequence[str]) -> ScriptOrigin | None:
        """Return the origin of a model that a call returned; None if no script has what it rests on."""
        known = tuple(map(self._script_handle, handles))
        return ScriptOrigin(handles=known) if all(known) else None

    def translated(self, what: Any) -> Any | None:
        """Return a message of the call's as a script would say it. None if no script can, and where it has Python code:
        what that reads in workers is known of its node alone."""
        known = {one: self._script_handle(one) for one in handles_in(what)}
        if not all(known.values()):
            return None
        made = with_handles(what, known.items())
        for part in messages(made):
            match sort_of(part):
                case "PythonUDF" | "PythonUDTF" | "PythonDataSource":
                    return None
                case "Relation" if part.read.named_table.unparsed_identifier.startswith(INPUT):
                    place = int(part.read.named_table.unparsed_identifier.removeprefix(INPUT))
                    origin, number = self.origins.get(place), part.common.plan_id
                    if origin is None or origin.relation is None:
                        return None
                    part.CopyFrom(origin.relation)
                    part.common.plan_id = number
        return made if made.ByteSize() <= 1 << 20 else None  # it is signed anew for each question

    def _script_handle(self, handle: str) -> str:
        """Return the id by which a script knows an object of a call; empty where it has none."""
        maker = maker_of(handle)
        return f"{self._handles[maker]}{handle.removeprefix(maker)}" if maker in self._handles else ""

    def origin(self, plan: Any) -> ScriptOrigin | None:
        """Return the origin of a table that a call built; None if no script can say it."""
        found = self.translated(plan)
        return None if found is None else ScriptOrigin(found)


def _is_shared(question: Question) -> bool:
    """Return whether an answer is the same in a session that divides rows otherwise, but for the last digits of sums: a
    workflow and a script have other numbers of partitions. Settings, plans as text and rows in an order are not, nor is
    a learner that draws by partition, and with it all that rests on its model."""
    if ml_command(question.what) is not None:
        return not any(word in fitted_class(question.what) for word in DRAW_BY_PARTITION)
    if question.sort == "analysis":
        return sort_of(question.what) == "AnalyzePlanRequest.Schema"
    return question.sort == "rows" and has_one_row(question.what)
