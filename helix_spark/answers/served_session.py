"""What a program's server holds, and what it has to be told before something is sent to it: views and settings, models
and checkpoints that the program knows, sources that it reads, tables that are to be persisted."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

import helix_spark.plans.connect_proto as pb
from helix_spark.answers.persisted_tables import PersistedTable, PersistedTables
from helix_spark.answers.questions import Question, Signer
from helix_spark.answers.sent_requests import as_new, is_run, message_in, ours, rpc_error, server_ended, server_message
from helix_spark.answers.served_models import Record, ServedModels
from helix_spark.answers.stored_tables import is_exact, may_stand_in, stand_in
from helix_spark.errors import ServerEndedError
from helix_spark.identity.data_version import SignedData
from helix_spark.plans.plan_messages import messages, sort_of, substituted


class Server(Protocol):
    """A server of Spark Connect, started when it is first asked. By itself one does not end, and keeps no rows."""

    def stub(self) -> Any:
        """Return what sends it requests. Raises SetupError if it cannot be started."""

    def how_ended(self) -> str:
        """Return how it ended without being told to, in words; empty while it runs or where there is none."""
        return ""

    def drop(self) -> None:
        """Forget one that has ended."""

    def leave_rows(self, session_id: str, key: str, relation: bytes) -> bool:
        """Leave rows of a session in memory to later runs, where there may be some; return whether they are left."""
        return False

    def take_rows(self, session_id: str, key: str, name: str) -> bool:
        """Register rows that an earlier run left, under a name, with a session; return whether they are there."""
        return False


class UnansweredError(Exception):
    """A program that is only planned has come to something that Spark has to answer."""


@dataclass(slots=True)
class ServedSession:
    """The session as the server has it. Its methods may be called from any thread.

    Attributes:
        server: None where none is to be asked: then it raises UnansweredError.
        like: the program's newest request, which says whose session it is.
        is_over: whether the program has ended, so that no other server takes the place of one that has.
    """

    signer: Signer
    stored: Record
    server: Server | None
    tell: Callable[[str], None]
    tables: PersistedTables = field(init=False)
    models: ServedModels = field(init=False)
    _resolved: set[int] = field(default_factory=set)
    analysed: dict[int, Any] = field(default_factory=dict)
    _held: list[SignedData] = field(default_factory=list)
    _turns: defaultdict[str, threading.RLock] = field(default_factory=lambda: defaultdict(threading.RLock))
    _lock: threading.RLock = field(default_factory=threading.RLock)
    like: Any = None
    is_informed: bool = False
    is_over: bool = False

    def __post_init__(self) -> None:
        self.models = ServedModels(self.stored, self.run_ml, self._ask_again, self.turn, lambda text: self.tell(text))
        self.tables = PersistedTables(self._identity, self.models.stage)

    def turn(self, identity: str) -> threading.RLock:
        """Return the lock of a question: of equal ones at the same time one is asked."""
        with self._lock:
            return self._turns[identity]

    def stub(self) -> Any:
        """Return the server's stub, once the server knows what the program's session holds. Raises ServerEndedError if
        it has ended, and another one does not help."""
        with self._lock:
            try:
                return self._informed()
            except ServerEndedError:
                return self._informed()  # it ended before it knew the session: another one takes its place

    def _informed(self) -> Any:
        """Return the stub of a server that runs, after it has been told what the program's session holds."""
        if self.server is None:
            raise UnansweredError("it has to be asked of Spark")
        if self.is_informed and (how := self.server.how_ended()):
            self._start_again(how, self.server)
        stub = self.server.stub()
        if not self.is_informed:
            self.is_informed = True
            for request in list(self.signer.state.requests):
                if callable(request):
                    request()
                else:
                    self.send(request)
        return stub

    def _start_again(self, how: str, server: Server) -> None:
        """Take another server in place of one that has ended, and expect nothing of it. Raises ServerEndedError if the
        program has ended, or what the server held cannot be had again."""
        unknown = self.signer.state.now.unknown
        lost = f"what {unknown} left in it" if unknown else ""
        may_differ = any(one.question is not None and one.question.chance for one in self.tables)
        if may_differ or self.models.holds(self.signer.doubtful):
            lost = "a result that may be another one each time"
        if self.is_over or lost:
            raise server_ended(f"{how}, and with it went {lost}" if lost else how)
        self.tell(f"the JVM of Spark's driver {how}; another one is started, and what is needed of it is made again")
        server.drop()
        self.is_informed = False
        self._resolved.clear()
        self.analysed.clear()
        self.tables.lose_all()
        self.models.lose_all()

    def ask(self, question: Question, request: Any) -> list[Any]:
        """Return the server's answers to a question, in which each object that stays there has the server's own id."""
        request = self.tables.sharing(question, request) if is_run(request) else request
        try:
            return self.send(request)
        except ServerEndedError:
            if question.sort == "effect":  # it may have been carried out
                raise
            self.stub()  # of another server, if one helps
            return self.send(request)

    def _ask_again(self, question: Question) -> None:
        if changed := self.changed_data(question):
            self.tell(f"a model or a table is made again of other data than before: {changed}")
        request = ours(pb.ExecutePlanRequest, self.like)
        request.plan.command.CopyFrom(question.what)
        self.models.name(self.ask(question, request), question.handle)

    def send(self, request: Any) -> list[Any]:
        """Send a request to the server, with all in it that the server has to have first."""
        stub = self.stub()
        is_kept = type(request).__name__ == "AnalyzePlanRequest" and request.WhichOneof("analyze") == "persist"
        if not (is_run(request) or is_kept):  # then tables in it are not to be kept, either
            return self._sent(stub, request, self.analysed.get)
        newly, started = self._settle_tables(request), time.perf_counter()
        try:
            found = self._sent(stub, request, self._substitute)
        except rpc_error() as error:
            is_cancelled = "OPERATION_CANCELED" in server_message(error)
            if is_cancelled or not self._distrust(message_in(request), error):
                raise
            return self.send(request)
        if _computes_all(message_in(request)):
            for table in newly:  # which of them took how much nobody tells
                table.started, table.seconds = started, (time.perf_counter() - started) / len(newly)
        return found

    def _sent(self, stub: Any, request: Any, find: Callable[[int], Any]) -> list[Any]:
        found = getattr(stub, type(request).__name__.removesuffix("Request"))(self._prepared(request, find))
        return list(found) if is_run(request) else [found]

    def _prepared(self, request: Any, find: Callable[[int], Any]) -> Any:
        """Return a request as it is sent, with other relations in the places of those that `find` returns one for, once
        the server holds the models and has listed the files that it refers to."""
        live = self.models.with_live(substituted(request, find))
        self.resolve_reads(message_in(live))
        return as_new(live)

    def _substitute(self, number: int) -> Any:
        """Return what the server has in the place of a step: what an earlier run left of a table, or a view."""
        return self.tables.substitute_of(number) or self.analysed.get(number)

    def as_sent(self, relation: Any, session: Any) -> Any:
        """Return a relation as it is sent, once the server holds all that it refers to."""
        request = self.like = session.client._analyze_plan_request_with_metadata()
        request.schema.plan.root.CopyFrom(relation)
        self.stub()
        self._settle_tables(request)
        return self._prepared(request, self._substitute).schema.plan.root

    def keep_analysed(self, number: int, relation: Any, is_wanted: Callable[[], bool]) -> None:
        """Keep a step of a plan on the server as it is analysed now, whatever its names mean later: as a view, which
        keeps an analysed plan. It is a global one, as those of a session are listed for the program.

        Args:
            number: its plan id, by which it is substituted from now on.
            is_wanted: tells whether the program may still use it.
        """
        if number in self.analysed or not is_wanted():
            return
        name = f"helix_{self.like.session_id.replace('-', '')}_{number}"
        command = pb.CreateDataFrameViewCommand(input=relation, name=name, is_global=True, replace=True)
        request = ours(pb.ExecutePlanRequest, self.like)
        request.plan.command.create_dataframe_view.CopyFrom(command)
        with suppress(rpc_error()):  # what Spark refuses now it refuses later, too
            self.send(request)
            self.analysed[number] = _named(f"global_temp.{name}", number, relation)
            self._check_files(number)

    def _check_files(self, number: int) -> None:
        """Say which files of a step, whose files Spark has just listed, changed since the step was built."""
        binding = self.signer.bindings.get(number)
        for read in () if binding is None else chain.from_iterable(binding.data.values()):
            if read.changed() is not None:
                self.tell(f"{read.shown} was changed after a table of it was built and before Spark listed its files; "
                          "a classic session lists them when the table is built")

    def _settle_tables(self, request: Any) -> list[PersistedTable]:
        """Keep the tables in a request that the program persists on the server, as they are stored where they are.
        Returns those that the request has computed."""
        what, computed = message_in(request), []
        for table in self.tables.needed(what):
            if table.question is None and table.base is None:
                self._look_up(table)
            # Rows that are written to files tell which columns may be null.
            writes = sort_of(what) == "Command" and what.HasField("write_operation")
            if table.is_reused and not ((table.is_exact or not writes) and may_stand_in(what, table.relation)):
                table.compute()
            # What fits share is computed for each of them where Spark refuses it.
            refusals = () if table.base is None else (rpc_error(),)
            with self.turn(f"table {table.number}"), suppress(*refusals):
                if not table.is_registered:
                    table.is_registered = True
                    if not table.in_memory:
                        self.send(table.request)
            if not table.is_reused and table.base is None and not table.seconds:
                computed.append(table)
        return computed

    def _look_up(self, table: PersistedTable) -> None:
        """Put what an earlier run left of a table in its place: its rows in memory, else as they are stored."""
        question = self.signer.question("table", table.relation)
        self._held += question.reads
        if not question.chance:
            key, name = self.stored.rows_key(question.identity), f"helix_rows_{table.number}"
            if key and self.server is not None and self.server.take_rows(self.like.session_id, key, name):
                rows = pb.CachedRemoteRelation(relation_id=name)
                table.in_memory = True
                table.substitute = pb.Relation(common=table.relation.common, cached_remote_relation=rows)
            elif (stored := self.stored.table(question.identity)) is not None:
                table.is_exact, table.substitute = is_exact(stored), stand_in(table.relation, stored)
        table.question = question  # at last: another thread that sees it relies on the substitute

    def leave_rows(self) -> None:
        """Leave the rows of the tables that are still persisted to later runs, where the server stays. What was made of
        data that was changed meanwhile is not left, nor what may be something else each time."""
        for table in self.tables:
            question = table.question
            if question is None or question.chance or table.given_up or table.in_memory or not table.is_registered:
                continue
            key = self.stored.rows_key(question.identity)
            if not key or not table.request.persist.storage_level.use_memory or self.changed_data(question):
                continue
            if not self.signer.watched.doubt(question.code) and self.server is not None:
                relation = self._prepared(table.request, self._substitute).persist.relation
                self.server.leave_rows(self.like.session_id, key, relation.SerializeToString())

    def _distrust(self, what: Any, error: Exception) -> bool:
        """Compute the tables in a message that Spark could not run as they are stored, or shared; return whether there
        are any."""
        found = [one for one in self.tables.needed(what) if one.is_reused or one.base is not None]
        for table in found:
            if table.is_reused:
                where = "a table in memory" if table.in_memory else "a stored table"
                self.tell(f"{where} could not be used, and is computed again: {server_message(error)}")
                table.compute()
            else:  # as a whole it may be more than the program asks of it: such as a column that no fit looks at
                self.tell(f"what several fits are made of is computed for each: {server_message(error)}")
                self._forget(table)
                table.refused = True
        return bool(found)

    def interrupt(self) -> None:
        """End all that the server runs in the session."""
        if self.server is None or not self.is_informed or self.server.how_ended():
            return
        asking = ours(pb.InterruptRequest, self.like)
        asking.interrupt_type = pb.InterruptRequest.INTERRUPT_TYPE_ALL
        with suppress(rpc_error(), ServerEndedError):  # a server that has ended runs nothing
            self.stub().Interrupt(asking)

    def unpersist(self, number: int) -> None:
        """Release a table that the program unpersists, by the id of its plan."""
        for table in self.tables.unpersist(number):
            self._forget(table)

    def send_own(self, request: Any) -> list[Any]:
        """Return the server's answers to a request of Helix's own, which has the program's ids."""
        return self._sent(self.stub(), request, self._substitute)

    def forget_given_up(self) -> None:
        """Release on the server what the program has unpersisted."""
        for table in self.tables:
            if table.given_up:
                self._forget(table)

    def _forget(self, table: PersistedTable) -> None:
        """Release a table on the server, if it keeps it."""
        if table.is_registered and not table.forgotten:
            asking = ours(pb.AnalyzePlanRequest, table.request)
            asking.unpersist.relation.CopyFrom(table.relation)
            with suppress(rpc_error(), ServerEndedError):  # a server that has ended keeps nothing
                self.send_own(asking)
        table.forgotten = True

    def changed_data(self, question: Question) -> str:
        """Return what was done to the data that an answer is made of, in words; empty if nothing was. Persisted tables
        are of the data that there was then."""
        reads = (*question.reads, *self._held)
        return next((f"{one.shown} was changed: {how}" for one in reads if (how := one.changed()) is not None), "")

    def _identity(self, relation: Any) -> str:
        question = self.signer.question("table", relation)
        return "" if question.chance else question.identity

    def run_ml(self, command: Any) -> list[Any]:
        """Run a command of Spark ML of our own."""
        request = ours(pb.ExecutePlanRequest, self.like)
        request.plan.command.ml_command.CopyFrom(command)
        return list(self.stub().ExecutePlan(request))

    def resolve_reads(self, what: Any) -> None:
        """Analyse each source in a message once on the server, as a classic session does at the line that builds it.
        It infers a schema and lists files then, and remembers plans whose schema it was asked."""
        for one in messages(what):
            if sort_of(one) != "Relation" or not one.read.HasField("data_source") or not one.common.HasField("plan_id"):
                continue
            if (number := one.common.plan_id) in self._resolved:
                continue
            self._resolved.add(number)
            asking = ours(pb.AnalyzePlanRequest, self.like)
            asking.schema.plan.root.CopyFrom(one)
            self.stub().AnalyzePlan(asking)
            self._check_files(number)


def _named(name: str, number: int, relation: Any) -> Any:
    """Return what reads a view in the place of a relation, by its plan id, whose columns have the names that they have
    there."""
    read = pb.Relation(read=pb.Read(named_table=pb.Read.NamedTable(unparsed_identifier=name)))
    if relation.HasField("read") and relation.read.HasField("named_table"):
        alias = relation.read.named_table.unparsed_identifier.rpartition(".")[2].strip("`")
        read = pb.Relation(subquery_alias=pb.SubqueryAlias(input=read, alias=alias))
    read.common.plan_id = number
    return read


def _computes_all(what: Any) -> bool:
    """Return whether a message computes all rows of the tables in it: not where it takes the first rows alone, nor
    where nothing runs yet."""
    match sort_of(what):
        case "Relation":
            return what.WhichOneof("rel_type") not in ("show_string", "html_string", "limit", "tail")
        case "Command":
            return what.WhichOneof("command_type") in ("ml_command", "write_operation", "checkpoint_command")
    return False
