"""The objects of a server that a program refers to: models, what models return that stays on the server (summaries,
evaluations, trees), and checkpoints. The program knows each by the identity of the question that made it. Where the
server does not hold it, because an earlier run's server made it, or it was evicted, the question is asked again."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from helix_spark.answers.questions import (
    Question,
    asked_of,
    fitted_class,
    handle_of,
    handles_in,
    maker_of,
    ref_to,
    with_handles,
)
from helix_spark.answers.sent_requests import rpc_error, server_message
from helix_spark.answers.stored_tables import StoredTable
from helix_spark.errors import CatalogError
from helix_spark.plans.plan_messages import messages, sort_of

MOST_UNSTORED = 256
"""Released models of a run that a server keeps, so that they can be stored after its last answer. A classic session
frees them all; a fit of a model keeps the plan of its summary, of some 100 KB."""


class StoredResults(Protocol):
    """The models that earlier runs fitted, and the tables that they kept."""

    def model(self, identity: str) -> tuple[str, str] | None:
        """The class of a stored model, checked, and the folder to read it from; None if it is not stored."""

    def table(self, identity: str) -> StoredTable | None:
        """A stored table, checked; None if it is not stored."""


class Session(Protocol):
    """A session that a server has, as far as models are made in it."""

    @property
    def tell(self) -> Callable[[str], None]:
        """Is told what is worth a line."""

    def turn(self, identity: str) -> AbstractContextManager[Any]:
        """Held by who answers a question."""

    def ask(self, question: Question, request: Any) -> list[Any]:
        """The server's answers to a question."""

    def changed_data(self, question: Question) -> str:
        """Return what was done to the data of a question since it was signed, in words; empty if nothing was."""

    def run_ml(self, command: Any, like: Any) -> list[Any]:
        """Run a command of Spark ML of our own, in the session of a request of the program's."""


AT_A_TIME = 4
"""How many models a server is asked to read or to write at a time: each is small jobs that wait for each other."""


@dataclass(slots=True)
class ModelReferences:
    """The models that a program holds, by the ids that it knows. Any thread may call its methods.

    The program's client reports when it releases one. A server forgets it then, unless it is yet to be stored.
    """

    _held: Counter[str] = field(default_factory=Counter)
    _released: deque[str] = field(default_factory=deque)
    _stored: set[str] = field(default_factory=set)
    _unheld: dict[str, None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, handle: str) -> None:
        """Note that the program gets a model, perhaps one that it has already."""
        with self._lock:
            self._held[handle] += 1

    def release(self, handles: Iterable[str]) -> None:
        """Note that the program holds models no more. Takes no lock: the garbage collector calls it at any moment."""
        self._released.extend(handles)

    def is_stored(self, handle: str) -> None:
        """Note that a model was read from where it is stored."""
        self._stored.add(handle)

    def forget(self, live: MutableMapping[str, str]) -> list[str]:
        """Remove the models that a server need not hold any more from `live`, and return the server's ids of them.

        >>> models, live = ModelReferences(), {"a": "1", "b": "2"}
        >>> for handle in ("a", "b", "b"):
        ...     models.take(handle)
        >>> for handle in ("a", "b"):
        ...     models.is_stored(handle)
        >>> models.release(["a", "b"])
        >>> models.forget(live), live
        (['1'], {'b': '2'})
        """
        with self._lock:
            while self._released:
                handle = self._released.popleft()
                self._held[handle] = max(0, self._held[handle] - 1)  # a tree of a forest is released, but never taken
                if not self._held[handle]:
                    self._unheld[handle] = None
            unheld = [one for one in self._unheld if one in live and not self._held[one]]
            unstored = [one for one in unheld if one not in self._stored]
            gone = [*(one for one in unheld if one in self._stored), *unstored[:-MOST_UNSTORED]]
            self._unheld = dict.fromkeys(one for one in unstored[-MOST_UNSTORED:])
            return [live.pop(one) for one in gone]


@dataclass(slots=True)
class ServedModels:
    """All of a session. Its methods may be called from any thread."""

    session: Session
    stored: StoredResults
    # By the ids that the program knows: the server's own ids of what it holds, what made each, and which of the models
    # were read from where they are stored, and so have no summary.
    _live: dict[str, str] = field(default_factory=dict)
    _made_by: dict[str, tuple[Question, Any]] = field(default_factory=dict)
    _read: set[str] = field(default_factory=set)
    _given: set[str] = field(default_factory=set)
    _references: ModelReferences = field(default_factory=ModelReferences)

    def know(self, question: Question, request: Any) -> None:
        """Remember the question that makes an object, as the program is given the object."""
        self._made_by.setdefault(handle_of(question), (question, request))
        if question.sort == "fit":
            self._references.take(handle_of(question))

    def release(self, handles: Iterable[str]) -> None:
        """Note that the program holds models no more. See `ModelReferences.release`."""
        self._references.release(handles)

    def take_over(self, handle: str, live: str) -> str:
        """Register an object that another session made, and return the program's id of it."""
        self._live[handle] = live
        self._given.add(handle)
        return handle

    def hand_over(self, handle: str) -> str:
        """Return the server's own id of an object, and stop owning it."""
        self._make_all_live(ref_to(handle))
        return self._live[handle] if handle in self._given else self._live.pop(handle)

    def end(self, like: Any) -> None:
        """Delete the objects that this session made from the server.

        Args:
            like: a request of the program's, which says whose session it is.
        """
        self._delete([live for handle, live in self._live.items() if handle not in self._given], like)
        self._live.clear()

    def lose_all(self) -> None:
        """Expect nothing of a server that has just been started: what is needed of it is made again."""
        self._live.clear()
        self._read.clear()

    def holds(self, makers: Collection[str]) -> bool:
        """Return whether the server is expected to hold something that one of these made."""
        return any(maker_of(handle) in makers for handle in self._live)

    def lose(self, what: Any) -> bool:
        """Expect a server to hold nothing that a message refers to, nor what that was made of; return whether it was
        expected to hold any of it."""
        handles, waiting = set[str](), [*handles_in(what)]
        while waiting:
            handle = waiting.pop()
            if handle not in handles:
                handles.add(handle)
                made = self._made_by.get(maker_of(handle))
                waiting += () if made is None else made[0].handles
        return [self._live.pop(handle, None) for handle in handles] != [None] * len(handles)

    def make_before(self, reads: Callable[[Question], bool]) -> None:
        """Make on the server what rests on data that is about to be overwritten.

        Args:
            reads: whether a question reads that data.
        """
        for handle, (question, _) in list(self._made_by.items()):
            if _makes_object(question.what) and handle not in self._live and self._rests_on(question, reads):
                self._make_all_live(ref_to(handle))

    def forget(self, request: Any) -> None:
        """Delete from the server what the program does not hold any more, before more is made.

        Args:
            request: of the program's, which says whose session it is.
        """
        self._delete(self._references.forget(self._live), request)

    def _delete(self, gone: Sequence[str], like: Any) -> None:
        import pyspark.sql.connect.proto as pb

        if gone:
            delete = pb.MlCommand.Delete(obj_refs=[pb.ObjectRef(id=one) for one in gone])
            with suppress(rpc_error()):  # one that the server holds on to takes room, and nothing else
                self.session.run_ml(pb.MlCommand(delete=delete), like)

    def with_live(self, request: Any) -> Any:
        """A request with the server's own ids of the models and checkpoints in it, which it holds then."""
        self._make_all_live(asked_of(request))
        return with_handles(request, self._live.items())

    def name(self, responses: Sequence[Any], handle: str) -> None:
        """Give each object in a server's answers the id by which the program is to know it."""
        for one in responses:
            if type(one).__name__ == "ExecutePlanResponse":
                self._name(one, handle)

    def _name(self, response: Any, handle: str) -> None:
        if response.HasField("ml_command_result"):
            result = response.ml_command_result
            if result.HasField("summary"):
                result.summary = self._named(result.summary, handle)
            elif result.HasField("operator_info") and result.operator_info.HasField("obj_ref"):
                result.operator_info.obj_ref.id = self._named(result.operator_info.obj_ref.id, handle)
        if response.HasField("checkpoint_command_result"):
            relation = response.checkpoint_command_result.relation
            relation.relation_id = self._named(relation.relation_id, handle)

    def _named(self, ids: str, handle: str) -> str:
        """The program's ids of objects, by the server's: one, or several divided by commas, such as trees."""
        given = ids.split(",")
        handles = [handle] if len(given) == 1 else [f"{handle}_{number}" for number in range(len(given))]
        self._live.update(zip(handles, given, strict=True))
        self._read.discard(handle)
        return ",".join(handles)

    def stage(self, handle: str) -> str:
        """The class of Spark ML whose fit made a model, in the JVM's words; empty where it is unknown."""
        made = self._made_by.get(handle)
        return "" if made is None else fitted_class(made[0].what)

    def is_there(self, handle: str) -> bool:
        """Whether the server holds an object."""
        return handle in self._live

    def there(self, handle: str) -> tuple[str, Any] | None:
        """The server's own id of a model that it holds, and the request of the program's that had it made; None where
        it does not."""
        return (self._live[handle], self._made_by[handle][1]) if handle in self._live else None

    def write(self, question: Question, folder: str) -> None:
        """Write a model that this run fitted, by the server. Raises CatalogError if it cannot."""
        import pyspark.sql.connect.proto as pb

        handle = handle_of(question)
        if handle not in self._live:
            raise CatalogError(f"it was not stored: the program let go of more than {MOST_UNSTORED} models")
        write = pb.MlCommand.Write(obj_ref=pb.ObjectRef(id=self._live[handle]), path=folder, should_overwrite=True)
        try:
            self.session.run_ml(pb.MlCommand(write=write), self._made_by[handle][1])
        except rpc_error() as error:
            raise CatalogError(f"Spark could not write it: {server_message(error)}") from error

    def _make_all_live(self, what: Any) -> None:
        """Make the objects that a message refers to on the server, several at a time."""
        summary = _asks_summary(what)
        make = partial(self._make_live, summary=summary)
        handles = [
            one for one in dict.fromkeys(handles_in(what))
            if maker_of(one) in self._made_by and not self._is_live(one, summary=summary)
        ]
        if len(handles) < 2:
            for handle in handles:
                make(handle)
            return
        with ThreadPoolExecutor(AT_A_TIME, "helix-models") as pool:
            list(pool.map(make, handles))

    def _is_live(self, handle: str, *, summary: bool) -> bool:
        return handle in self._live and not (summary and handle in self._read)

    def _make_live(self, handle: str, *, summary: bool) -> None:
        """Make an object on the server: read it from where it is stored, else ask again what made it, which in turn
        makes what that refers to."""
        question, request = self._made_by[maker_of(handle)]
        with self.session.turn(question.identity):
            if self._is_live(handle, summary=summary):
                return
            stored = None if summary else self.stored.model(question.identity)
            if stored is not None and self._read_model(handle, request, *stored):
                return
            if changed := self.session.changed_data(question):
                self.session.tell(f"a model or a table is made again of other data than before: {changed}")
            self.session.ask(question, request)

    def _rests_on(self, question: Question, reads: Callable[[Question], bool]) -> bool:
        """Return whether a question, or what made an object that it refers to, reads some data."""
        made = [self._made_by[maker] for one in question.handles if (maker := maker_of(one)) in self._made_by]
        return reads(question) or any(self._rests_on(one, reads) for one, _ in made)

    def _read_model(self, handle: str, request: Any, name: str, folder: str) -> bool:
        """Return whether the server could read a stored model."""
        import pyspark.sql.connect.proto as pb

        operator = pb.MlOperator(name=name, type=pb.MlOperator.OPERATOR_TYPE_MODEL)
        try:
            found = self.session.run_ml(pb.MlCommand(read=pb.MlCommand.Read(operator=operator, path=folder)), request)
        except rpc_error() as error:
            self.session.tell(f"a stored model could not be read, and is fitted again: {server_message(error)}")
            return False
        self.name(found, handle)
        self._read.add(handle)
        self._references.is_stored(handle)
        return True


def _asks_summary(what: Any) -> bool:
    """Return whether a message asks for the summary of a fit, which a model that was read has none of."""
    return any(
        sort_of(one) == "Fetch" and any(method.method in ("summary", "hasSummary") for method in one.methods)
        for one in messages(what)
    )


def _makes_object(what: Any) -> bool:
    """Return whether the answer to a question may be an object that stays on the server."""
    return sort_of(what) == "Command" and what.WhichOneof("command_type") in ("ml_command", "checkpoint_command")
