"""What several fits or evaluations of a program are made of, such as a fold as a pipeline's feature stages leave it. A
classic session computes it for each of them; a server that is told to keep it, once.

That is done for what models make of a table that the program itself has kept: there neither the order of rows nor
their partitions change, and what is kept takes room as that table does.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from helix_spark.answers.persisted_tables import PersistedTable, PersistedTables
from helix_spark.answers.questions import Question, asked_of, ml_command
from helix_spark.answers.stored_tables import with_stand_ins

MOST_KEPT = 8
"""How many of them a server keeps at a time, the last ones that were asked for. A fold takes two: one to fit on and one
to evaluate on."""


@dataclass(slots=True, eq=False)
class SharedSubplan:
    """One of them.

    Attributes:
        relation: as it was first sent. Spark knows it again by its id and all that is in it.
        table: that it is made of.
        is_registered: whether the server knows that it is to be kept.
        refused: whether Spark could not compute it as a whole.
    """

    relation: Any
    table: PersistedTable
    is_registered: bool = False
    refused: bool = False

    def within(self, request: Any) -> Any:
        """A request of the program's, made of what is kept."""
        part = shared_part(asked_of(request))
        return request if part is None else with_stand_ins(request, {part.common.plan_id: self.relation})


@dataclass(slots=True)
class SharedSubplans:
    """All of a session. Its methods may be called from any thread.

    Attributes:
        identity: of what a relation gives; empty where that may be something else each time.
        stage: the class of Spark ML that made a model, by the id that the program has of it.
    """

    identity: Callable[[Any], str]
    stage: Callable[[str], str]
    _noted: dict[str, Any] = field(default_factory=dict)
    _made_from: dict[str, str] = field(default_factory=dict)
    _times: Counter[str] = field(default_factory=Counter)
    _kept: dict[tuple[str, int], SharedSubplan] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, question: Question) -> None:
        """The program asks something, whoever answers it. Costs nothing until a server has to."""
        if question.identity not in self._made_from and (part := shared_part(question.what)) is not None:
            self._noted[question.identity] = part

    def subplan_for(self, question: Question, tables: PersistedTables) -> SharedSubplan | None:
        """Return what the server is to keep for a noted question, as another is made of it, too; None if nothing."""
        part = shared_part(question.what)
        table = None if part is None else self._made_of(part, tables)
        if table is None:
            return None
        with self._lock:
            while self._noted:
                noted, relation = self._noted.popitem()
                if noted not in self._made_from:
                    self._made_from[noted] = self.identity(relation)
                    self._times[self._made_from[noted]] += 1
            identity = self._made_from[question.identity]
            if not identity or self._times[identity] < 2:
                return None
            key = identity, table.relation.common.plan_id
            found = self._kept.pop(key, None) or SharedSubplan(part, table)
            self._kept[key] = found  # behind all others
            return None if found.refused else found

    def lose_all(self) -> None:
        """Expect a server that has just been started to keep none of them."""
        self._forgotten(self._registered())

    def beyond(self) -> list[SharedSubplan]:
        """Those that the server is to forget, as there are too many."""
        return self._forgotten(self._registered()[:-MOST_KEPT])

    def with_table(self, table: PersistedTable) -> list[SharedSubplan]:
        """Those that the server is to forget with a table."""
        return self._forgotten([one for one in self._registered() if one.table is table])

    def _registered(self) -> list[SharedSubplan]:
        with self._lock:
            return [one for one in self._kept.values() if one.is_registered]

    def _forgotten(self, gone: list[SharedSubplan]) -> list[SharedSubplan]:
        for one in gone:
            one.is_registered = False
        return gone

    def _made_of(self, relation: Any, tables: PersistedTables) -> PersistedTable | None:
        """The table that stages have made a relation of, row by row; None if the program does not have it kept."""
        part = relation
        while (below := _input(part)) is not None:
            if not self._maps_rows(part.ml_relation.transform):
                return None
            part = below
        table = tables.table_of(part)
        return None if table is None or table.given_up else table

    def _maps_rows(self, transform: Any) -> bool:
        name = transform.transformer.name if transform.HasField("transformer") else self.stage(transform.obj_ref.id)
        return name.startswith(_FEATURES) and name != _OF_SQL


_FEATURES, _OF_SQL = "org.apache.spark.ml.feature.", "org.apache.spark.ml.feature.SQLTransformer"
"""All of these make one row of one row, or leave it out; but for SQL, which may be any query."""


def shared_part(what: Any) -> Any | None:
    """The relation that a question may have in common with others: the data of a fit, and what the model is applied to
    that is evaluated. None of other questions, and where no model made it."""
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
