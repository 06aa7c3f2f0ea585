"""The models and checkpoints that a program knows: which of them its server holds, and how it gets the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from helix_spark.capture.plan_messages import messages, sort_of
from helix_spark.errors import CatalogError
from helix_spark.program.model_references import MOST_UNSTORED, ModelReferences
from helix_spark.program.questions import Question, asked_of, fitted_class, handle_in, handle_of, with_handles
from helix_spark.program.sent_requests import rpc_error, said_of
from helix_spark.program.stored_tables import StoredTable


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

    def run_ml(self, command: Any, like: Any) -> list[Any]:
        """Runs a command of Spark ML of our own, in the session of a request of the program's."""


AT_A_TIME = 4
"""How many models a server is asked to read or to write at a time: each is small jobs that wait for each other."""


@dataclass(slots=True)
class ServedModels:
    """All of a session. Its methods may be called from any thread."""

    session: Session
    stored: StoredResults
    _live: dict[str, str] = field(default_factory=dict)
    _made_by: dict[str, tuple[Question, Any]] = field(default_factory=dict)
    _references: ModelReferences = field(default_factory=ModelReferences)

    def know(self, question: Question, request: Any) -> None:
        """The program is given the model or the checkpoint that answers a question, which can be had by asking it."""
        self._made_by.setdefault(handle_of(question), (question, request))
        if question.sort == "fit":
            self._references.take(handle_of(question))

    def let_go(self, handles: Iterable[str]) -> None:
        """The program holds models no more. See `ModelReferences.let_go`."""
        self._references.let_go(handles)

    def forget(self, request: Any) -> None:
        """Has the server hold no longer what the program does not, before it makes more.

        Args:
            request: of the program's, which says whose session it is.
        """
        import pyspark.sql.connect.proto as pb

        if gone := self._references.forget(self._live):
            delete = pb.MlCommand.Delete(obj_refs=[pb.ObjectRef(id=one) for one in gone])
            with suppress(rpc_error()):  # one that the server holds on to takes room, and nothing else
                self.session.run_ml(pb.MlCommand(delete=delete), request)

    def with_live(self, request: Any) -> Any:
        """A request with the server's own ids of the models and checkpoints in it, which it holds then."""
        self._make_all_live(asked_of(request))
        return with_handles(request, self._live.items())

    def name(self, responses: Sequence[Any], handle: str) -> None:
        """Gives a model or a checkpoint in a server's answers the id by which the program is to know it."""
        for one in responses:
            if type(one).__name__ == "ExecutePlanResponse":
                self._name(one, handle)

    def _name(self, response: Any, handle: str) -> None:
        if response.HasField("ml_command_result") and response.ml_command_result.HasField("operator_info"):
            made = response.ml_command_result.operator_info
            if made.HasField("obj_ref"):
                self._live[handle], made.obj_ref.id = made.obj_ref.id, handle
        if response.HasField("checkpoint_command_result"):
            relation = response.checkpoint_command_result.relation
            self._live[handle], relation.relation_id = relation.relation_id, handle

    def stage(self, handle: str) -> str:
        """The class of Spark ML whose fit made a model, in the JVM's words; empty where it is unknown."""
        made = self._made_by.get(handle)
        return "" if made is None else fitted_class(made[0].what)

    def there(self, handle: str) -> tuple[str, Any] | None:
        """The server's own id of a model that it holds, and the request of the program's that had it made; None where
        it does not."""
        return (self._live[handle], self._made_by[handle][1]) if handle in self._live else None

    def write(self, question: Question, folder: str) -> None:
        """Has the server write a model that this run fitted. Raises CatalogError if it cannot."""
        import pyspark.sql.connect.proto as pb

        handle = handle_of(question)
        if handle not in self._live:
            raise CatalogError(f"it was not stored: the program let go of more than {MOST_UNSTORED} models")
        write = pb.MlCommand.Write(obj_ref=pb.ObjectRef(id=self._live[handle]), path=folder, should_overwrite=True)
        try:
            self.session.run_ml(pb.MlCommand(write=write), self._made_by[handle][1])
        except rpc_error() as error:
            raise CatalogError(f"Spark could not write it: {said_of(error)}") from error

    def _make_all_live(self, what: Any) -> None:
        """Has the server hold the models and checkpoints in a message, side by side."""
        make = partial(self._make_live, summary=_asks_summary(what))
        handles = [one for one in dict.fromkeys(_handles_in(what)) if one in self._made_by and one not in self._live]
        if len(handles) < 2:
            for handle in handles:
                make(handle)
            return
        with ThreadPoolExecutor(AT_A_TIME, "helix-models") as pool:
            list(pool.map(make, handles))

    def _make_live(self, handle: str, *, summary: bool) -> None:
        """Has the server hold a model or a checkpoint that the program knows."""
        question, request = self._made_by[handle]
        with self.session.turn(question.identity):
            if handle in self._live:
                return
            stored = None if summary else self.stored.model(question.identity)
            if stored is None or not self._read_model(handle, request, *stored):
                self.session.ask(question, request)

    def _read_model(self, handle: str, request: Any, name: str, folder: str) -> bool:
        """Whether the server could read a stored model."""
        import pyspark.sql.connect.proto as pb

        operator = pb.MlOperator(name=name, type=pb.MlOperator.OPERATOR_TYPE_MODEL)
        try:
            found = self.session.run_ml(pb.MlCommand(read=pb.MlCommand.Read(operator=operator, path=folder)), request)
        except rpc_error() as error:
            self.session.tell(f"a stored model could not be read, and is fitted again: {said_of(error)}")
            return False
        self.name(found, handle)
        self._references.is_stored(handle)
        return True


def _handles_in(what: Any) -> Iterator[str]:
    return (handle for one in messages(what) if (handle := handle_in(one)) is not None)


def _asks_summary(what: Any) -> bool:
    """Whether it asks for the summary of a fit, which a model that was read has none of."""
    return any(
        sort_of(one) == "Fetch" and any(method.method == "summary" for method in one.methods)
        for one in messages(what)
    )
