"""The tables that a program wants kept, by `persist` or `cache`: what of them the server was told, and what stands in
for those that an earlier run stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from helix_spark.answers.questions import Question
from helix_spark.answers.sent_requests import ours
from helix_spark.answers.stored_tables import StoredTable, may_stand_in, stand_in
from helix_spark.plans.plan_messages import parts_of, sort_of
from helix_spark.plans.program_client import Caller

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
        is_registered: whether the server knows that it is to be kept.
        started, seconds: of the question for which it was computed, as `time.perf_counter()` has it; 0.0 before.
        given_up: whether the program wants it no more.
        forgotten: whether the server does not keep it any more either.
    """

    request: Any
    caller: Caller
    question: Question | None = None
    stored: StoredTable | None = None
    is_registered: bool = False
    started: float = 0.0
    seconds: float = 0.0
    given_up: bool = False
    forgotten: bool = False

    @property
    def relation(self) -> Any:
        return self.request.persist.relation

    def ours(self, kind: Callable[..., Any]) -> Any:
        """A new request of our own, to the session that the table is of."""
        return ours(kind, self.request)

    def may_differ(self) -> bool:
        """Return whether the server keeps it, and might compute other rows another time."""
        is_kept = self.is_registered and self.stored is None and not self.given_up
        return is_kept and self.question is not None and bool(self.question.chance)

    def compute(self) -> None:
        """Compute the table: no stored one takes its place any more."""
        self.stored, self.is_registered = None, False

    def is_stored_for(self, what: Any, *, as_files: bool) -> bool:
        """Return whether what stands in for it has all that a message asks of it.

        Args:
            as_files: whether the message writes rows to files.
        """
        exact = self.stored is not None and (self.stored.is_exact or not as_files)
        return exact and may_stand_in(what, self.relation)

    @property
    def is_computed(self) -> bool:
        """Whether the server computed it in this run."""
        return self.is_registered and self.stored is None and self.seconds > 0.0


@dataclass(slots=True)
class PersistedTables:
    """All of a session, by the ids of their plans."""

    _tables: dict[int, PersistedTable] = field(default_factory=dict)

    def persist(self, number: int, request: Any, caller: Caller) -> None:
        """Note that the program wants a table kept. It is, once it is computed."""
        known = self._tables.get(number)
        if known is None or known.forgotten:
            self._tables[number] = PersistedTable(request, caller)
        else:
            known.given_up = False

    def unpersist(self, number: int) -> list[PersistedTable]:
        """Note that the program does not want a table any more. Return the tables that the server is to forget."""
        table = self._tables.get(number)
        if table is None or table.given_up:
            return []
        table.given_up = True
        held_back = [one for one in self if one.given_up and one.is_computed and not one.forgotten]
        gone = [table] if not table.is_computed else held_back[:-MOST_HELD_BACK]
        for one in gone:
            one.forgotten = True
        return [one for one in gone if one.is_registered]

    def lose_all(self) -> None:
        """Expect a server that has just been started to keep none of them."""
        for table in self:
            table.is_registered = False
            table.forgotten = table.forgotten or table.given_up

    def numbered(self, number: int) -> PersistedTable | None:
        """The table of a plan, by its id; None if there is none."""
        return self._tables.get(number)

    def level(self, number: int) -> Any:
        """How the program wants a table kept; None where it does not."""
        table = self._tables.get(number)
        return None if table is None or table.given_up else table.request.persist.storage_level

    def __iter__(self) -> Iterator[PersistedTable]:
        return iter(tuple(self._tables.values()))

    def table_of(self, message: Any) -> PersistedTable | None:
        """Return the table that a message is the relation of, also one that is not kept any more."""
        return self._tables.get(message.common.plan_id) if sort_of(message) == "Relation" else None

    def needed(self, what: Any) -> Iterator[PersistedTable]:
        """Yield the tables that a message takes, each once, from the top down; a stand-in takes none."""
        waiting, seen = [what] if self._tables else [], set()
        while waiting:
            one = waiting.pop()
            table = self.table_of(one)
            if table is not None and not table.forgotten:
                if table.relation.common.plan_id not in seen:
                    seen.add(table.relation.common.plan_id)
                    yield table
                if table.stored is not None:
                    continue
            waiting.extend(reversed(parts_of(one)))

    def stand_ins(self, what: Any) -> dict[int, Any]:
        """Return the stand-ins for stored tables in a message, by id."""
        return {
            table.relation.common.plan_id: stand_in(table.relation, table.stored)
            for table in self.needed(what) if table.stored is not None
        }

    def as_registered(self, table: PersistedTable) -> dict[int, Any]:
        """Return the stand-ins for a table, or for tables in it, by id, as when the server was told to keep it."""
        if table.stored is not None:
            return {table.relation.common.plan_id: stand_in(table.relation, table.stored)}
        return self.stand_ins(table.relation)
