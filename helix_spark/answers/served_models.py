"""The objects of a server that a program refers to: models, objects of models that stay on the server (summaries,
evaluations, trees), and checkpoints. Their ids are the identities of the questions that created them. If the server
lacks an object, because an earlier run's server created it, the question is asked again."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import helix_spark.plans.connect_proto as pb
from helix_spark.answers.questions import Question
from helix_spark.answers.sent_requests import (
    fitted_class,
    handles_in,
    maker_of,
    message_in,
    ml_command,
    rpc_error,
    server_message,
    with_handles,
)
from helix_spark.catalog.tables.table_reading import CheckedTable
from helix_spark.plans.plan_messages import messages, type_of

MOST_UNSTORED = 256
"""The most released models of a run that a server keeps, so that they can be stored after the run's last answer. A
classic session frees them all; each model keeps the plan of its summary, of some 100 KB."""


class Record(Protocol):
    """Answers and results that earlier runs recorded; by default none."""

    def equate(self, identity: str, alias: str) -> None:
        """Record the answer to a question under another identity, too."""

    def answer(self, identity: str) -> str | None:
        """Return the text of an answer; None if none is recorded."""

    def refuse(self, identity: str, why: str) -> None:
        """Note that a recorded answer is invalid, so that it is not used again."""

    def left(self, identity: str) -> str | None:
        """Return the identity of the files that an effect last wrote; None if it never ran."""

    def doubt(self, identity: str) -> str:
        """Return why, by an audit, an answer may not be recorded; empty if it may."""
        return ""

    def model(self, identity: str) -> tuple[str, str] | None:
        """Return the class of a stored model, checked, and the folder to read it from; None if it is not stored."""

    def table(self, identity: str) -> CheckedTable | None:
        """Return a stored table, checked; None if it is not stored."""

    def rows_key(self, identity: str) -> str:
        """Return the key of a table's rows in the memory of a server; empty if rows are not kept."""
        return ""


class NothingRecorded(Record):
    """An empty record."""


AT_A_TIME = 4
"""The most models that a server reads or writes at a time: each takes a sequence of small jobs."""


@dataclass(slots=True)
class ServedModels:
    """The models of a session. Its methods may be called from any thread.

    Attributes:
        run_ml: runs Helix's own commands of Spark ML.
        ask_again: asks the question that created an object again.
        turn: returns the lock of a question, by its identity.
    """

    stored: Record
    run_ml: Callable[[Any], list[Any]]
    ask_again: Callable[[Question], None]
    turn: Callable[[str], AbstractContextManager[Any]]
    tell: Callable[[str], None]
    # By the program's ids: the server's ids of its objects, the questions that created them, the models that were read
    # from storage and so have no summary, and the objects of other sessions.
    _live: dict[str, str] = field(default_factory=dict)
    _made_by: dict[str, Question] = field(default_factory=dict)
    _read: set[str] = field(default_factory=set)
    _foreign: set[str] = field(default_factory=set)
    # The number of a model's references in the program, the models released since the last fit, and all released ones.
    _references: Counter[str] = field(default_factory=Counter)
    _released: deque[str] = field(default_factory=deque)
    _unreferenced: dict[str, None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def know(self, question: Question, answer: Iterable[Any]) -> None:
        """Note the question of an answer that contains objects."""
        responses = (response for response in answer if type(response).__name__ == "ExecutePlanResponse")
        if not any(
            response.ml_command_result.HasField("summary")
            or response.ml_command_result.operator_info.HasField("obj_ref")
            or response.checkpoint_command_result.relation.relation_id for response in responses
        ):
            return
        self._made_by.setdefault(question.handle, question)
        if question.kind == "fit":
            with self._lock:
                self._references[question.handle] += 1

    def release(self, handles: Iterable[str]) -> None:
        """Note that the program released models. Takes no lock: the garbage collector calls it at any moment."""
        self._released.extend(handles)

    def take_over(self, handle: str, live: str) -> str:
        """Register an object of another session under an id of the program, and return that id."""
        self._live[handle] = live
        self._foreign.add(handle)
        return handle

    def hand_over(self, handle: str) -> str:
        """Return the server's id of an object, and stop owning it."""
        self._make_all_live([handle])
        return self._live[handle] if handle in self._foreign else self._live.pop(handle)

    def is_as_fitted(self, handle: str, model: Any) -> bool:
        """Return whether a model has only the parameters with which it was fitted."""
        from pyspark.ml.connect.serialize import deserialize_param

        question = self._made_by.get(handle)
        command = None if question is None else ml_command(question.message)
        if command is None or not command.HasField("fit"):
            return False
        fitted = {name: deserialize_param(value) for name, value in command.fit.params.params.items()}
        current = {param.name: value for param, value in model._paramMap.items()}
        names = {param.name for param in model.params}
        return current == {name: value for name, value in fitted.items() if name in names}

    def end(self) -> None:
        """Delete the objects of this session from the server."""
        self._delete([live for handle, live in self._live.items() if handle not in self._foreign])
        self._live.clear()

    def lose_all(self) -> None:
        """Note that a new server holds no objects."""
        self._live.clear()
        self._read.clear()

    def holds(self, makers: Collection[str]) -> bool:
        """Return whether the server should hold an object of one of these questions."""
        return any(maker_of(handle) in makers for handle in self._live)

    def make_before(self, reads: Callable[[Question], bool]) -> None:
        """Create objects on the server before data is overwritten that their questions, or their objects', read."""
        def depends_on_data(question: Question) -> bool:
            makers = [maker for handle in question.handles if (maker := maker_of(handle)) in self._made_by]
            return reads(question) or any(depends_on_data(self._made_by[maker]) for maker in makers)

        for handle, question in list(self._made_by.items()):
            if handle not in self._live and depends_on_data(question):
                self._make_all_live([handle])

    def forget(self) -> None:
        """Delete released models from the server, except for the last ones."""
        with self._lock:
            while self._released:
                handle = self._released.popleft()
                # The trees of a forest are released, but not counted.
                self._references[handle] = max(0, self._references[handle] - 1)
                if not self._references[handle]:
                    self._unreferenced[handle] = None
            handles = [handle for handle in self._unreferenced if handle in self._live and not self._references[handle]]
            self._unreferenced = dict.fromkeys(handles[-MOST_UNSTORED:])
            live_ids = [self._live.pop(handle) for handle in handles[:-MOST_UNSTORED]]
        self._delete(live_ids)

    def _delete(self, live_ids: Sequence[str]) -> None:
        if live_ids:
            delete = pb.MlCommand.Delete(obj_refs=[pb.ObjectRef(id=live) for live in live_ids])
            with suppress(rpc_error()):  # an object that stays only takes memory
                self.run_ml(pb.MlCommand(delete=delete))

    def with_live(self, request: Any) -> Any:
        """Return a request with the server's ids of its models and checkpoints, once the server has them."""
        message = message_in(request)
        methods = (method.method for part in messages(message) if type_of(part) == "Fetch" for method in part.methods)
        asks_summary = not {"summary", "hasSummary"}.isdisjoint(methods)
        self._make_all_live(handles_in(message), summary=asks_summary)
        return with_handles(request, dict(self._live))

    def name(self, responses: Sequence[Any], handle: str) -> None:
        """Replace the server's ids in its responses by the program's."""
        for response in responses:
            if type(response).__name__ != "ExecutePlanResponse":
                continue
            result, relation = response.ml_command_result, response.checkpoint_command_result.relation
            if result.HasField("summary"):
                result.summary = self._rename(result.summary, handle)
            elif result.operator_info.HasField("obj_ref"):
                result.operator_info.obj_ref.id = self._rename(result.operator_info.obj_ref.id, handle)
            if relation.relation_id:
                relation.relation_id = self._rename(relation.relation_id, handle)

    def _rename(self, ids: str, handle: str) -> str:
        """Return the program's ids for the server's: one id, or several, such as trees', separated by commas."""
        live_ids = ids.split(",")
        handles = [handle] if len(live_ids) == 1 else [f"{handle}_{number}" for number in range(len(live_ids))]
        self._live.update(zip(handles, live_ids, strict=True))
        self._read.discard(handle)
        return ",".join(handles)

    def stage(self, handle: str) -> str:
        """Return the JVM class of Spark ML whose fit created a model; empty if unknown."""
        question = self._made_by.get(handle)
        return "" if question is None else fitted_class(question.message)

    def live_id(self, handle: str) -> str | None:
        """Return the server's id of an object; None if the server lacks it."""
        return self._live.get(handle)

    def _make_all_live(self, objects: Iterable[str], *, summary: bool = False) -> None:
        """Create objects on the server, several at a time. With `summary`, fit models again that were only read."""
        def is_live(handle: str) -> bool:
            return handle in self._live and not (summary and handle in self._read)

        def make(handle: str) -> None:
            """Read an object from storage, or else ask its question again."""
            question = self._made_by[maker_of(handle)]
            with self.turn(question.identity):
                if is_live(handle):
                    return
                stored = None if summary else self.stored.model(question.identity)
                if stored is None or not self._read_model(handle, *stored):
                    self.ask_again(question)

        handles = [
            handle for handle in dict.fromkeys(objects) if maker_of(handle) in self._made_by and not is_live(handle)
        ]
        if len(handles) < 2:
            for handle in handles:
                make(handle)
            return
        with ThreadPoolExecutor(AT_A_TIME, "helix-models") as pool:
            list(pool.map(make, handles))

    def _read_model(self, handle: str, class_name: str, folder: str) -> bool:
        """Read a stored model on the server; return False if that fails."""
        operator = pb.MlOperator(name=class_name, type=pb.MlOperator.OPERATOR_TYPE_MODEL)
        try:
            responses = self.run_ml(pb.MlCommand(read=pb.MlCommand.Read(operator=operator, path=folder)))
        except rpc_error() as error:
            self.tell(f"a stored model could not be read, and is fitted again: {server_message(error)}")
            return False
        self.name(responses, handle)
        self._read.add(handle)
        return True
