"""The persisted tables of a server: tables that the program persists, by `persist` or `cache`, and inputs that several
fits or evaluations share, such as a fold after a pipeline's feature stages. Each has its state on the server, and a
substitute if an earlier run stored the table."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import helix_spark.plans.connect_proto as pb
from helix_spark.answers.questions import Question
from helix_spark.answers.sent_requests import ml_command, ours
from helix_spark.plans.plan_messages import parts_of, substituted, type_of
from helix_spark.plans.program_client import Caller


@dataclass(slots=True, eq=False)
class PersistedTable:
    """A table that is persisted on the server.

    Attributes:
        request: the request that persists it. Spark recognizes its relation by the plan id and all parts.
        caller: the program's call of `persist`.
        base: the program's table that a shared input is computed from; None for a table of the program's.
        question: its question, once the table is needed; None for a shared input.
        substitute: relation that reads the table of an earlier run; None if the table is computed.
        is_exact: True if the same columns of the substitute are nullable as of the table.
        in_memory: True if the server has the substitute's rows in memory.
        is_registered: True if the server knows that the table is persisted.
        started, seconds: of the question that computed it, by `time.perf_counter()`; 0.0 before that.
        given_up: True once the program has unpersisted it.
        forgotten: True once the server has released it.
        refused: True if Spark could not compute the whole table.
        recorded: questions with recorded answers that would have computed it, or some of its rows.
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
    recorded: list[Question] = field(default_factory=list)

    @property
    def relation(self) -> Any:
        return self.request.persist.relation

    @property
    def number(self) -> int:
        """Its plan id."""
        return int(self.relation.common.plan_id)

    @property
    def is_reused(self) -> bool:
        """True if a table of an earlier run is its substitute."""
        return self.substitute is not None

    def compute(self) -> None:
        """Drop the substitute, so that the table is computed."""
        self.substitute, self.in_memory, self.is_registered = None, False, False

    @property
    def is_computed(self) -> bool:
        """True if the server computed it in this run."""
        return self.is_registered and not self.is_reused and self.seconds > 0.0


@dataclass(slots=True)
class PersistedTables:
    """The persisted tables of a session, by plan id.

    An input that fits or evaluations share is persisted if models compute it from a table that the program persists:
    order and partitions of rows stay the same, and it takes about as much memory as that table. A classic session
    computes it for each.

    Attributes:
        identity: returns the identity of a relation's rows; empty if they are nondeterministic.
        stage: returns the class of Spark ML that created a model, by the program's id.
    """

    identity: Callable[[Any], str]
    stage: Callable[[str], str]
    _tables: dict[int, PersistedTable] = field(default_factory=dict)
    _noted: dict[str, Any] = field(default_factory=dict)
    _shareable: dict[str, str] = field(default_factory=dict)
    _shared: dict[tuple[str, int], PersistedTable] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def persist(self, request: Any, caller: Caller, base: PersistedTable | None = None) -> PersistedTable:
        """Note that a table is to be persisted, once it is computed."""
        number = request.persist.relation.common.plan_id
        table = self._tables.pop(number, None)
        if table is None or table.forgotten:
            table = PersistedTable(request, caller, base)
        table.given_up = False
        self._tables[number] = table  # after all others
        return table

    def unpersist(self, number: int) -> list[PersistedTable]:
        """Note that the program has unpersisted a table. Return the tables that the server must release."""
        table = self._tables.get(number)
        if table is None or table.given_up:
            return []
        table.given_up = True
        shared = [other for other in self if other.base is table]
        if not table.is_computed:
            return [*shared, table]
        unneeded = [other for other in self if other.given_up and other.is_computed and not other.forgotten]
        return [*shared, *unneeded[:-4]]  # the last tables stay until they are stored

    def lose_all(self) -> None:
        """Note that a new server has no table."""
        for table in self:
            table.is_registered = False
            if table.in_memory:
                table.compute()
            table.forgotten = table.forgotten or table.given_up

    def level(self, number: int) -> Any:
        """Return the storage level of a table; None if the program does not persist it."""
        table = self._tables.get(number)
        return None if table is None or table.given_up else table.request.persist.storage_level

    def __iter__(self) -> Iterator[PersistedTable]:
        return iter(tuple(self._tables.values()))

    def table_of(self, message: Any) -> PersistedTable | None:
        """Return the table whose relation a message is, even if it is released."""
        return self._tables.get(message.common.plan_id) if type_of(message) == "Relation" else None

    def needed(self, message: Any) -> Iterator[PersistedTable]:
        """Yield the tables in a message, each once, from the top down, without tables below a substitute."""
        waiting, visited = [message] if self._tables else [], set()
        while waiting:
            part = waiting.pop()
            table = self.table_of(part)
            if table is not None and not table.forgotten:
                if table.number not in visited:
                    visited.add(table.number)
                    yield table
                if table.is_reused:
                    continue
            waiting.extend(reversed(parts_of(part)))

    def substitute_of(self, number: int) -> Any:
        """Return the substitute of a table, by its plan id; None if it has none."""
        table = self._tables.get(number)
        return None if table is None or table.forgotten else table.substitute

    def note(self, question: Question) -> None:
        """Note a question that is answered from the record or by a server. This is cheap until a server answers one."""
        if question.identity not in self._shareable and (part := _shareable_part(question.message)) is not None:
            self._noted[question.identity] = part

    def note_recorded(self, question: Question) -> None:
        """Note a question whose recorded answer spares the computation of tables."""
        for table in self.needed(question.message) if question.kind != "analysis" else ():
            if not table.is_registered:
                table.recorded.append(question)

    def sharing(self, question: Question, request: Any) -> Any:
        """Return the request of a noted question, with a persisted table in place of its shared input."""
        part = _shareable_part(question.message)
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
        """Return the persisted table that stages computed a relation from, row by row; None without one."""
        part, features = relation, "org.apache.spark.ml.feature."
        while (stage_input := _input(part)) is not None:
            stage = part.ml_relation.transform
            name = stage.transformer.name if stage.HasField("transformer") else self.stage(stage.obj_ref.id)
            # All of these map rows to rows, or drop rows, except for SQL, which may be any query.
            if not name.startswith(features) or name == f"{features}SQLTransformer":
                return None
            part = stage_input
        table = self.table_of(part)
        return None if table is None or table.given_up else table


def _shareable_part(message: Any) -> Any | None:
    """Return the input that a question may share with others: the data of a fit, or the input of the model whose
    predictions are evaluated. None for other questions, and if no model computed the input."""
    command = ml_command(message)
    match None if command is None else command.WhichOneof("command"):
        case "fit":
            part = command.fit.dataset
        case "evaluate":
            part = _input(command.evaluate.dataset)
        case _:
            return None
    return part if part is not None and _input(part) is not None and part.common.HasField("plan_id") else None


def _input(relation: Any) -> Any | None:
    """Return the input of a model or a transformer; None for another relation."""
    if relation.WhichOneof("rel_type") != "ml_relation" or not relation.ml_relation.HasField("transform"):
        return None
    return relation.ml_relation.transform.input
