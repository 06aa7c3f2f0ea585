"""What a function of a workflow asks, as a script would ask it: of tables and models by what they are made of, in place
of the nodes that they are. A script and a workflow that ask the same have one answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import helix_spark.plans.connect_proto as pb
from helix_spark.answers.questions import Question, Signer, has_one_row
from helix_spark.answers.sent_requests import HELPER, fitted_class, handles_in, maker_of, ml_command, with_handles
from helix_spark.answers.served_models import Record
from helix_spark.catalog.tables.table_check import CheckedTable
from helix_spark.plans.answer_gate import with_identity
from helix_spark.plans.plan_chance import DRAW_BY_PARTITION
from helix_spark.plans.plan_columns import INPUT
from helix_spark.plans.plan_messages import messages, sort_of
from helix_spark.workflow.sources import FileSource

_MOST_BYTES = 1 << 20
"""Of a plan that is told whole: it is signed anew for each question."""

_OF_PATTERNS = frozenset("*?[]{}\\")
"""Letters by which Spark's reader takes a path for a pattern."""


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
    """The origin of a table of files, read by ``spark.read``; None where its author vouches for its version, or a
    script's reader would take a path for a pattern."""
    if source.version is not None or any(set(path) & _OF_PATTERNS for path in source.paths):
        return None
    read = pb.Read.DataSource(
        format=source.format, schema=source.schema or "", options=dict(source.options), paths=source.paths
    )
    if source.schema is None:
        read.ClearField("schema")
    return ScriptOrigin(pb.Relation(read=pb.Read(data_source=read)))


@dataclass(slots=True)
class ScriptTerms:
    """A record (`served_models.Record`) that knows each question of a call by a script's identity, too.

    Attributes:
        record: of both; None if nothing is on record.
        around: identity of versions and settings around a script.
        origins: of the call's inputs, by position, as far as they are known.
        same: by the identity of a question of the call, that of a script's.
    """

    record: Record | None = None
    around: str = ""
    origins: Mapping[int, ScriptOrigin] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    _handles: dict[str, str] = field(default_factory=lambda: {HELPER: HELPER})

    def meet(self, question: Question, signer: Signer) -> None:
        """Note a question of the call."""
        if not self.origins or question.chance or question.identity in self.same or not _is_shared(question):
            return
        if (what := self.translated(question.what)) is None:
            return
        asked = replace(signer, around=self.around).question(question.sort, what)
        if not asked.chance:
            self.same[question.identity] = asked.identity
            self._handles[question.handle] = asked.handle

    def know_model(self, handle: str, place: int, number: int) -> None:
        """Note by which id a call knows a model that an input consists of."""
        origin = self.origins.get(place)
        if origin is not None and number < len(origin.handles):
            self._handles[handle] = origin.handles[number]

    def origin_of_model(self, handles: Sequence[str]) -> ScriptOrigin | None:
        """The origin of a model that a call returned; None if it rests on something that no script has."""
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
        return made if made.ByteSize() <= _MOST_BYTES else None

    def _script_handle(self, handle: str) -> str:
        """The id by which a script knows an object that a call refers to; empty where it has none."""
        maker = maker_of(handle)
        return f"{self._handles[maker]}{handle.removeprefix(maker)}" if maker in self._handles else ""

    def origin(self, plan: Any) -> ScriptOrigin | None:
        """Return the origin of a table that a call built; None if no script can say it."""
        found = self.translated(plan)
        return None if found is None else ScriptOrigin(found)

    # What the record has ---------------------------------------------------------------------------------------------

    def identities(self, identity: str) -> Iterator[str]:
        """The identity of a question of the call, and a script's where it has one."""
        yield identity
        if identity in self.same:
            yield self.same[identity]

    def _undoubted(self, identity: str) -> Iterator[tuple[Record, str]]:
        """Yield the same, with the record; nothing where an audit found an answer under either to be another one."""
        if self.record is not None and not self.doubt(identity):
            for one in self.identities(identity):
                yield self.record, one

    def answer(self, identity: str) -> str | None:
        for record, one in self._undoubted(identity):
            if text := record.answer(one):
                return with_identity(text, one, identity)
        return None

    def refuse(self, identity: str, why: str) -> None:
        if self.record is not None:
            for one in self.identities(identity):
                self.record.refuse(one, why)

    def left(self, identity: str) -> str | None:
        return None if self.record is None else self.record.left(identity)

    def doubt(self, identity: str) -> str:
        known = () if self.record is None else map(self.record.doubt, self.identities(identity))
        return next(filter(None, known), "")

    def model(self, identity: str) -> tuple[str, str] | None:
        return next(filter(None, (record.model(one) for record, one in self._undoubted(identity))), None)

    def table(self, identity: str) -> CheckedTable | None:
        return next(filter(None, (record.table(one) for record, one in self._undoubted(identity))), None)

    def rows_key(self, identity: str) -> str:
        return next(filter(None, (record.rows_key(one) for record, one in self._undoubted(identity))), "")


def _is_shared(question: Question) -> bool:
    """Return whether an answer is the same in a session that divides rows otherwise, but for the last digits of sums: a
    workflow and a script have other numbers of partitions. Settings, plans as text and rows in an order are not, nor is
    a learner that draws by partition, and with it all that rests on its model."""
    if ml_command(question.what) is not None:
        return not any(word in fitted_class(question.what) for word in DRAW_BY_PARTITION)
    if question.sort == "analysis":
        return sort_of(question.what) == "AnalyzePlanRequest.Schema"
    return question.sort == "rows" and has_one_row(question.what)
