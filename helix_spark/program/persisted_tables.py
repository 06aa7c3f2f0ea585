"""The tables that a program wants kept, by `persist` or `cache`: what of them the server was told, and what stands in
for those that an earlier run stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from helix_spark.capture.plan_messages import parts_of, sort_of
from helix_spark.capture.program_client import Caller
from helix_spark.program.questions import Question
from helix_spark.program.stored_tables import StoredTable, may_stand_in, stand_in

MOST_HELD_BACK = 4
"""How many tables that the program wants kept no more the server keeps until they are stored."""


@dataclass(slots=True, eq=False)
class PersistedTable:
    """One of them.

    Attributes:
        request: of the program's, that has it kept.
        caller: where it says so.
        question: which result it is, once it is needed.
        stored: as it was stored, while that stands in for it; None where it is computed.
        told: whether the server knows that it is to be kept.
        started, seconds: of the question for which it was computed, as `time.perf_counter()` has it; 0.0 before.
        given_up: whether the program wants it no more.
        forgotten: whether the server does not keep it any more either.
    """

    request: Any
    caller: Caller
    question: Question | None = None
    stored: StoredTable | None = None
    told: bool = False
    started: float = 0.0
    seconds: float = 0.0
    given_up: bool = False
    forgotten: bool = False

    @property
    def relation(self) -> Any:
        return self.request.persist.relation

    def ours(self, kind: Callable[..., Any]) -> Any:
        """A new request of our own, to the session that the table is of."""
        return kind(session_id=self.request.session_id, user_context=self.request.user_context)

    @property
    def is_computed(self) -> bool:
        """Whether the server computed it in this run."""
        return self.told and self.stored is None and self.seconds > 0.0


@dataclass(slots=True)
class PersistedTables:
    """All of a session, by the ids of their plans."""

    _tables: dict[int, PersistedTable] = field(default_factory=dict)

    def persist(self, number: int, request: Any, caller: Caller) -> None:
        """The program wants a table kept: where it is run, it is."""
        known = self._tables.get(number)
        if known is None or known.forgotten:
            self._tables[number] = PersistedTable(request, caller)
        else:
            known.given_up = False

    def unpersist(self, number: int) -> list[PersistedTable]:
        """It does not any more. Returns the tables that the server is to forget."""
        table = self._tables.get(number)
        if table is None or table.given_up:
            return []
        table.given_up = True
        held_back = [one for one in self if one.given_up and one.is_computed and not one.forgotten]
        gone = [table] if not table.is_computed else held_back[:-MOST_HELD_BACK]
        for one in gone:
            one.forgotten = True
        return [one for one in gone if one.told]

    def level(self, number: int) -> Any:
        """How the program wants a table kept; None where it does not."""
        table = self._tables.get(number)
        return None if table is None or table.given_up else table.request.persist.storage_level

    def __iter__(self) -> Iterator[PersistedTable]:
        return iter(tuple(self._tables.values()))

    def of(self, message: Any) -> PersistedTable | None:
        """The table that a message is the relation of, also one that is not kept any more."""
        return self._tables.get(message.common.plan_id) if sort_of(message) == "Relation" else None

    def outermost(
        self, what: Any, enters: Callable[[PersistedTable], bool] = lambda _: False
    ) -> Iterator[PersistedTable]:
        """Those in a message, each once, from the top down.

        Args:
            enters: whether those in one are told, too.
        """
        waiting, seen = [what], set()
        while waiting:
            one = waiting.pop()
            table = self.of(one)
            if table is not None and table.forgotten:
                table = None
            if table is not None and table.relation.common.plan_id not in seen:
                seen.add(table.relation.common.plan_id)
                yield table
            if table is None or enters(table):
                waiting.extend(reversed(parts_of(one)))

    def stand_ins(self, what: Any) -> dict[int, Any]:
        """By their ids, what stands in for tables in a message."""
        found = self.outermost(what, enters=lambda table: table.stored is None)
        return {
            table.relation.common.plan_id: stand_in(table.relation, table.stored)
            for table in found if table.stored is not None
        }

    def as_told(self, table: PersistedTable) -> dict[int, Any]:
        """By their ids, what stands in for a table, or for some in it, where the server was told to keep it."""
        if table.stored is not None:
            return {table.relation.common.plan_id: stand_in(table.relation, table.stored)}
        return self.stand_ins(table.relation)

    def keep_exact(self, what: Any, *, as_files: bool) -> None:
        """Has those tables computed of which a message asks more than a stand-in has.

        Args:
            as_files: whether it writes rows to files.
        """
        for table in self.outermost(what, enters=lambda table: table.stored is None):
            if table.stored is None:
                continue
            if not may_stand_in(what, table.relation) or (as_files and not table.stored.is_exact):
                table.stored, table.told = None, False
