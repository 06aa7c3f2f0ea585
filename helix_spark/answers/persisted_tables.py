"""The tables that a server keeps: those that the program wants kept, by `persist` or `cache`, and what several fits or
evaluations are made of, such as a fold as a pipeline's feature stages leave it. What the server was told of each, and
what stands in for those that an earlier run stored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import helix_spark.plans.connect_proto as pb
from helix_spark.answers.questions import Question
from helix_spark.answers.sent_requests import ml_command, ours
from helix_spark.plans.plan_messages import parts_of, sort_of, substituted
from helix_spark.plans.program_client import Caller


@dataclass(slots=True, eq=False)
class PersistedTable:
    """One of them.

    Attributes:
        request: that has it kept. Spark knows its relation again by its id and all that is in it.
        caller: where the program says so.
        base: of one that fits share, the program's table.
        question: which result it is, once it is needed; None of one that fits share.
        substitute: the relation that reads what an earlier run left of it, in its place; None where it is computed.
        is_exact: whether the columns of that say as the table's own which may be null.
        in_memory: whether the server has these rows in memory.
        is_registered: whether the server knows that it is to be kept.
        started, seconds: of the question for which it was computed, as `time.perf_counter()` has it; 0.0 before.
        given_up: whether the program wants it no more.
        forgotten: whether the server does not keep it any more either.
        refused: whether Spark could not compute it as a whole.
    """

    request: Any
    caller: Caller
    base: PersistedTable | None = None
    question: Question | None = None
    substitute: Any = None
    is_exact: bool = True
    in_memory: bool = False
    is_registered: bool = False
    started: float = 0.0
    seconds: float = 0.0
    given_up: bool = False
    forgotten: bool = False
    refused: bool = False

    @property
    def relation(self) -> Any:
        return self.request.persist.relation

    @property
    def number(self) -> int:
        """The id of its plan."""
        return int(self.relation.common.plan_id)

    @property
    def is_reused(self) -> bool:
        """Whether an earlier run's result stands in for it."""
        return self.substitute is not None

    def compute(self) -> None:
        """Compute the table: no earlier one takes its place any more."""
        self.substitute, self.in_memory, self.is_registered = None, False, False

    @property
    def is_computed(self) -> bool:
        """Whether the server computed it in this run."""
        return self.is_registered and not self.is_reused and self.seconds > 0.0


@dataclass(slots=True)
class PersistedTables:
    """All of a session, by the ids of their plans.

    What several fits or evaluations are made of is kept where models make it of a table that the program itself has
    kept: there neither the order of rows nor their partitions change, and what is kept takes room as that table does.
    A classic session computes it for each of them.

    Attributes:
        identity: returns the identity of a relation's rows; empty where these may be others each time.
        stage: returns the class of Spark ML that made a model, by the id that the program has of it.
    """

    identity: Callable[[Any], str]
    stage: Callable[[str], str]
    _tables: dict[int, PersistedTable] = field(default_factory=dict)
    _noted: dict[str, Any] = field(default_factory=dict)
    _shareable: dict[str, str] = field(default_factory=dict)
    _shared: dict[tuple[str, int], PersistedTable] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def persist(self, request: Any, caller: Caller, base: PersistedTable | None = None) -> PersistedTable:
        """Note that a table is to be kept. It is, once it is computed."""
        number = request.persist.relation.common.plan_id
        known = self._tables.pop(number, None)
        if known is None or known.forgotten:
            known = PersistedTable(request, caller, base)
        known.given_up = False
        self._tables[number] = known  # behind all others
        return known

    def unpersist(self, number: int) -> list[PersistedTable]:
        """Note that the program does not want a table any more. Return the tables that the server is to forget."""
        table = self._tables.get(number)
        if table is None or table.given_up:
            return []
        table.given_up = True
        held_back = [one for one in self if one.given_up and one.is_computed and not one.forgotten]
        gone = [table] if not table.is_computed else held_back[:-4]  # the others are kept until they are stored
        return [*(one for one in self if one.base is table), *gone]

    def lose_all(self) -> None:
        """Expect a server that has just been started to keep none of them."""
        for table in self:
            table.is_registered = False
            if table.in_memory:
                table.compute()
            table.forgotten = table.forgotten or table.given_up

    def level(self, number: int) -> Any:
        """Return how the program wants a table kept; None where it does not."""
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
                if table.number not in seen:
                    seen.add(table.number)
                    yield table
                if table.is_reused:
                    continue
            waiting.extend(reversed(parts_of(one)))

    def substitute_of(self, number: int) -> Any:
        """Return the relation that takes the place of a table, by the id of its plan; None where none does."""
        table = self._tables.get(number)
        return None if table is None or table.forgotten else table.substitute

    def note(self, question: Question) -> None:
        """Note a question, answered from the record or by a server. Costs nothing until a server answers one."""
        if question.identity not in self._shareable and (part := _shareable_part(question.what)) is not None:
            self._noted[question.identity] = part

    def sharing(self, question: Question, request: Any) -> Any:
        """Return the request of a noted question, in which a table that is kept takes the place of what the question
        has in common with another one."""
        part = _shareable_part(question.what)
        base = None if part is None else self._base_of(part)
        if part is None or base is None:
            return request
        with self._lock:
            while self._noted:
                noted, relation = self._noted.popitem()
                self._shareable[noted] = self.identity(relation)
            identity = self._shareable[question.identity]
            if not identity or list(self._shareable.values()).count(identity) < 2:
                return request
            shared = self._shared.get((identity, base.number))
            if shared is None or (shared.forgotten and not shared.refused):
                persist = ours(pb.AnalyzePlanRequest, base.request)
                persist.persist.relation.CopyFrom(part if shared is None else shared.relation)
                shared = self._shared[identity, base.number] = self.persist(persist, base.caller, base)
        return request if shared.refused else substituted(request, {part.common.plan_id: shared.relation}.get)

    def _base_of(self, relation: Any) -> PersistedTable | None:
        """Return the table of which stages made a relation row by row; None if the program does not have it kept."""
        part, features = relation, "org.apache.spark.ml.feature."
        while (below := _input(part)) is not None:
            stage = part.ml_relation.transform
            name = stage.transformer.name if stage.HasField("transformer") else self.stage(stage.obj_ref.id)
            # All of these make one row of one row, or leave it out; but for SQL, which may be any query.
            if not name.startswith(features) or name == f"{features}SQLTransformer":
                return None
            part = below
        table = self.table_of(part)
        return None if table is None or table.given_up else table


def _shareable_part(what: Any) -> Any | None:
    """Return the relation that a question may have in common with others: the data of a fit, and what the model is
    applied to that is evaluated. None of other questions, and where no model made it."""
    command = ml_command(what)
    match None if command is None else command.WhichOneof("command"):
        case "fit":
            part = command.fit.dataset
        case "evaluate":
            part = _input(command.evaluate.dataset)
        case _:
            return None
    return part if part is not None and _input(part) is not None and part.common.HasField("plan_id") else None


def _input(relation: Any) -> Any | None:
    """Return what a model or a transformer is applied to; None of another relation."""
    if relation.WhichOneof("rel_type") != "ml_relation" or not relation.ml_relation.HasField("transform"):
        return None
    return relation.ml_relation.transform.input
