"""The objects of a server that a program refers to: models, what models return that stays on the server (summaries,
evaluations, trees), and checkpoints. The program knows each by the identity of the question that made it. Where the
server does not hold it, because an earlier run's server made it, the question is asked again."""

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
from helix_spark.plans.plan_messages import messages, sort_of

MOST_UNSTORED = 256
"""Released models of a run that a server keeps, so that they can be stored after its last answer. A classic session
frees them all; a fit of a model keeps the plan of its summary, of some 100 KB."""


class Record(Protocol):
    """What earlier runs were answered, and what they stored; by itself nothing."""

    def equate(self, identity: str, other: str) -> None:
        """Know a question, and its answer, by another identity, too."""

    def answer(self, identity: str) -> str | None:
        """Return the text of an answer; None if there is none on record."""

    def refuse(self, identity: str, why: str) -> None:
        """Note that a recorded answer does not fit, so that it is none from now on."""

    def left(self, identity: str) -> str | None:
        """Return what an effect left at its place when it last ran; None if it never did."""

    def doubt(self, identity: str) -> str:
        """Return why an answer is not to be put on record, as an audit found; empty if it may be."""
        return ""

    def model(self, identity: str) -> tuple[str, str] | None:
        """Return the class of a stored model, checked, and the folder to read it from; None if it is not stored."""

    def table(self, identity: str) -> CheckedTable | None:
        """Return a stored table, checked; None if it is not stored."""

    def rows_key(self, identity: str) -> str:
        """Return the key by which a server may have the rows of a table in memory; empty where none is used."""
        return ""


class NothingRecorded(Record):
    """The record of what is asked of Spark each time."""


AT_A_TIME = 4
"""How many models a server is asked to read or to write at a time: each is small jobs that wait for each other."""


@dataclass(slots=True)
class ServedModels:
    """All of a session. Its methods may be called from any thread.

    Attributes:
        run_ml: runs a command of Spark ML of our own.
        ask_again: asks what made an object again.
        turn: held while a question is answered, by its identity.
    """

    stored: Record
    run_ml: Callable[[Any], list[Any]]
    ask_again: Callable[[Question], None]
    turn: Callable[[str], AbstractContextManager[Any]]
    tell: Callable[[str], None]
    # By the ids that the program knows: the server's own ids of what it holds, what made each, which of the models were
    # read from where they are stored, and so have no summary, and which another session made.
    _live: dict[str, str] = field(default_factory=dict)
    _made_by: dict[str, Question] = field(default_factory=dict)
    _read: set[str] = field(default_factory=set)
    _given: set[str] = field(default_factory=set)
    # How often the program holds a model, what it released since the last fit, and what it does not hold any more.
    _held: Counter[str] = field(default_factory=Counter)
    _released: deque[str] = field(default_factory=deque)
    _unheld: dict[str, None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def know(self, question: Question, answer: Iterable[Any]) -> None:
        """Remember a question whose answer has objects, as the program is given them."""
        runs = (one for one in answer if type(one).__name__ == "ExecutePlanResponse")
        if not any(
            one.ml_command_result.HasField("summary") or one.ml_command_result.operator_info.HasField("obj_ref")
            or one.checkpoint_command_result.relation.relation_id for one in runs
        ):
            return
        self._made_by.setdefault(question.handle, question)
        if question.sort == "fit":
            with self._lock:
                self._held[question.handle] += 1

    def release(self, handles: Iterable[str]) -> None:
        """Note that the program holds models no more. Takes no lock: the garbage collector calls it at any moment."""
        self._released.extend(handles)

    def take_over(self, handle: str, live: str) -> str:
        """Register an object that another session made, and return the program's id of it."""
        self._live[handle] = live
        self._given.add(handle)
        return handle

    def hand_over(self, handle: str) -> str:
        """Return the server's own id of an object, and stop owning it."""
        self._make_all_live([handle])
        return self._live[handle] if handle in self._given else self._live.pop(handle)

    def is_as_fitted(self, handle: str, model: Any) -> bool:
        """Return whether a model has the parameters by which it was fitted, and no others."""
        from pyspark.ml.connect.serialize import deserialize_param

        made = self._made_by.get(handle)
        command = None if made is None else ml_command(made.what)
        if command is None or not command.HasField("fit"):
            return False
        fitted = {name: deserialize_param(value) for name, value in command.fit.params.params.items()}
        has, known = {param.name: value for param, value in model._paramMap.items()}, {one.name for one in model.params}
        return has == {name: value for name, value in fitted.items() if name in known}

    def end(self) -> None:
        """Delete the objects that this session made from the server."""
        self._delete([live for handle, live in self._live.items() if handle not in self._given])
        self._live.clear()

    def lose_all(self) -> None:
        """Expect nothing of a server that has just been started: what is needed of it is made again."""
        self._live.clear()
        self._read.clear()

    def holds(self, makers: Collection[str]) -> bool:
        """Return whether the server is expected to hold something that one of these made."""
        return any(maker_of(handle) in makers for handle in self._live)

    def make_before(self, reads: Callable[[Question], bool]) -> None:
        """Make on the server what rests on data that is about to be overwritten, as `reads` tells of a question, or of
        what made an object that it refers to."""
        def rests_on_it(question: Question) -> bool:
            made = [self._made_by[maker] for one in question.handles if (maker := maker_of(one)) in self._made_by]
            return reads(question) or any(map(rests_on_it, made))

        for handle, question in list(self._made_by.items()):
            if handle not in self._live and rests_on_it(question):
                self._make_all_live([handle])

    def forget(self) -> None:
        """Delete from the server what the program does not hold any more, but for the last of them, before more is
        made."""
        with self._lock:
            while self._released:
                handle = self._released.popleft()
                self._held[handle] = max(0, self._held[handle] - 1)  # a tree of a forest is released, but never taken
                if not self._held[handle]:
                    self._unheld[handle] = None
            unheld = [one for one in self._unheld if one in self._live and not self._held[one]]
            self._unheld = dict.fromkeys(unheld[-MOST_UNSTORED:])
            gone = [self._live.pop(one) for one in unheld[:-MOST_UNSTORED]]
        self._delete(gone)

    def _delete(self, gone: Sequence[str]) -> None:
        if gone:
            delete = pb.MlCommand.Delete(obj_refs=[pb.ObjectRef(id=one) for one in gone])
            with suppress(rpc_error()):  # one that the server holds on to takes room, and nothing else
                self.run_ml(pb.MlCommand(delete=delete))

    def with_live(self, request: Any) -> Any:
        """Return a request with the server's ids of the models and checkpoints in it, once the server holds them."""
        what = message_in(request)
        methods = (method.method for one in messages(what) if sort_of(one) == "Fetch" for method in one.methods)
        asks_summary = not {"summary", "hasSummary"}.isdisjoint(methods)
        self._make_all_live(handles_in(what), summary=asks_summary)
        return with_handles(request, self._live.items())

    def name(self, responses: Sequence[Any], handle: str) -> None:
        """Give each object in a server's answers the id by which the program is to know it."""
        for one in responses:
            if type(one).__name__ != "ExecutePlanResponse":
                continue
            result, relation = one.ml_command_result, one.checkpoint_command_result.relation
            if result.HasField("summary"):
                result.summary = self._named(result.summary, handle)
            elif result.operator_info.HasField("obj_ref"):
                result.operator_info.obj_ref.id = self._named(result.operator_info.obj_ref.id, handle)
            if relation.relation_id:
                relation.relation_id = self._named(relation.relation_id, handle)

    def _named(self, ids: str, handle: str) -> str:
        """Return the program's ids of objects, by the server's: one, or several divided by commas, such as trees."""
        given = ids.split(",")
        handles = [handle] if len(given) == 1 else [f"{handle}_{number}" for number in range(len(given))]
        self._live.update(zip(handles, given, strict=True))
        self._read.discard(handle)
        return ",".join(handles)

    def stage(self, handle: str) -> str:
        """Return the class of Spark ML whose fit made a model, in the JVM's words; empty if unknown."""
        made = self._made_by.get(handle)
        return "" if made is None else fitted_class(made.what)

    def live_id(self, handle: str) -> str | None:
        """Return the server's own id of an object that it holds; None where it does not."""
        return self._live.get(handle)

    def _make_all_live(self, wanted: Iterable[str], *, summary: bool = False) -> None:
        """Make objects on the server, several at a time; with the summary of a fit, which a model that was read has
        none of, if that is wanted."""
        def is_live(handle: str) -> bool:
            return handle in self._live and not (summary and handle in self._read)

        def make(handle: str) -> None:
            """Read an object from where it is stored, else ask again what made it, which makes what that refers to."""
            question = self._made_by[maker_of(handle)]
            with self.turn(question.identity):
                if is_live(handle):
                    return
                stored = None if summary else self.stored.model(question.identity)
                if stored is None or not self._read_model(handle, *stored):
                    self.ask_again(question)

        handles = [one for one in dict.fromkeys(wanted) if maker_of(one) in self._made_by and not is_live(one)]
        if len(handles) < 2:
            for handle in handles:
                make(handle)
            return
        with ThreadPoolExecutor(AT_A_TIME, "helix-models") as pool:
            list(pool.map(make, handles))

    def _read_model(self, handle: str, name: str, folder: str) -> bool:
        """Return whether the server could read a stored model."""
        operator = pb.MlOperator(name=name, type=pb.MlOperator.OPERATOR_TYPE_MODEL)
        try:
            found = self.run_ml(pb.MlCommand(read=pb.MlCommand.Read(operator=operator, path=folder)))
        except rpc_error() as error:
            self.tell(f"a stored model could not be read, and is fitted again: {server_message(error)}")
            return False
        self.name(found, handle)
        self._read.add(handle)
        return True


