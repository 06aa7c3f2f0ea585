"""The state of a program's session on its server, brought up to date before each request: views and settings, models
and checkpoints, sources that the request reads, tables to persist."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

import helix_spark.plans.connect_proto as pb
from helix_spark.answers.persisted_tables import PersistedTable, PersistedTables
from helix_spark.answers.plan_data import share_files
from helix_spark.answers.questions import Question, Signer
from helix_spark.answers.sent_requests import as_new, is_run, message_in, ours, rpc_error, server_ended, server_message
from helix_spark.answers.served_models import Record, ServedModels
from helix_spark.answers.stored_tables import can_be_substituted, is_exact, substitute_for
from helix_spark.errors import ServerEndedError
from helix_spark.identity.data_version import SignedData
from helix_spark.plans.plan_messages import messages, substituted, type_of


class Server(Protocol):
    """A server of Spark Connect, started when it is first needed. By default it does not end, and keeps no rows."""

    def stub(self) -> Any:
        """Return the stub to send requests. Raises SetupError if the server cannot be started."""

    def how_ended(self) -> str:
        """Return how it ended unexpectedly, as a phrase; empty while it runs or before it starts."""
        return ""

    def drop(self) -> None:
        """Forget a server that has ended."""

    def leave_rows(self, session_id: str, key: str, relation: bytes) -> bool:
        """Keep rows of a session in memory for later runs, if allowed; return whether they are kept."""
        return False

    def take_rows(self, session_id: str, key: str, name: str) -> bool:
        """Register rows of an earlier run under a name in a session; return whether there are any."""
        return False


class UnansweredError(Exception):
    """A program that is only planned has come to a question that Spark must answer."""


@dataclass(slots=True)
class ServedSession:
    """The session on the server. Its methods may be called from any thread.

    Attributes:
        server: None if a question for a server raises UnansweredError.
        analysed: the views that keep analysed steps, by plan id; see `keep_analysed`.
        newest_request: the program's newest request, which names its session.
        is_informed: True once the server has the state of the session.
        is_over: True once the program has ended; a server that ends then is not replaced.
    """

    signer: Signer
    stored: Record
    server: Server | None
    tell: Callable[[str], None]
    tables: PersistedTables = field(init=False)
    models: ServedModels = field(init=False)
    _resolved: set[int] = field(default_factory=set)
    analysed: dict[int, Any] = field(default_factory=dict)
    _turns: defaultdict[str, threading.RLock] = field(default_factory=lambda: defaultdict(threading.RLock))
    _lock: threading.RLock = field(default_factory=threading.RLock)
    newest_request: Any = None
    is_informed: bool = False
    is_over: bool = False

    def __post_init__(self) -> None:
        self.models = ServedModels(self.stored, self.run_ml, self._ask_again, self.turn, lambda text: self.tell(text))
        self.tables = PersistedTables(self._identity, self.models.stage)

    def turn(self, identity: str) -> threading.RLock:
        """Return the lock of a question, so that equal questions are not asked at the same time."""
        with self._lock:
            return self._turns[identity]

    def stub(self) -> Any:
        """Return the server's stub with the program's state. Raises ServerEndedError if it ended for good."""
        with self._lock:
            try:
                return self._stub_of_informed_server()
            except ServerEndedError:
                return self._stub_of_informed_server()  # it ended before its session was ready: replace it

    def _stub_of_informed_server(self) -> Any:
        """Return the stub of a running server, after the commands that built up the program's session."""
        if self.server is None:
            raise UnansweredError("only Spark can answer it")
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
        """Replace an ended server. Raises ServerEndedError if the program has ended, or state cannot be restored."""
        unknown = self.signer.state.now.unknown
        lost = f"the effects of {unknown}" if unknown else ""
        may_differ = any(table.question is not None and table.question.chance for table in self.tables)
        if may_differ or self.models.holds(self.signer.doubtful):
            lost = "a nondeterministic result"
        if self.is_over or lost:
            raise server_ended(f"{how}, which lost {lost}" if lost else how)
        self.tell(f"the JVM of Spark's driver {how}; another one is started, and the session is restored")
        server.drop()
        self.is_informed = False
        self._resolved.clear()
        self.analysed.clear()
        self.tables.lose_all()
        self.models.lose_all()

    def ask(self, question: Question, request: Any) -> list[Any]:
        """Return the server's responses to a question, with the server's ids of its objects."""
        request = self.tables.sharing(question, request) if is_run(request) else request
        try:
            return self.send(request)
        except ServerEndedError:
            if question.kind == "effect":  # it may have happened
                raise
            self.stub()  # start another server
            return self.send(request)

    def _ask_again(self, question: Question) -> None:
        if changed := self.changed_data(question):
            self.tell(f"a model or a table is computed again from changed data: {changed}")
        request = ours(pb.ExecutePlanRequest, self.newest_request)
        if type_of(question.message) == "Command":
            request.plan.command.CopyFrom(question.message)
        else:
            request.plan.root.CopyFrom(question.message)
        self.models.name(self.ask(question, request), question.handle)

    def send(self, request: Any) -> list[Any]:
        """Send a request to the server, once the server has all objects that the request refers to."""
        stub = self.stub()
        is_persist = type(request).__name__ == "AnalyzePlanRequest" and request.WhichOneof("analyze") == "persist"
        if not (is_run(request) or is_persist):  # no table is computed
            return self._send_prepared(stub, request, self.analysed.get)
        tables, started = self._settle_tables(request), time.perf_counter()
        try:
            responses = self._send_prepared(stub, request, self._substitute)
        except rpc_error() as error:
            is_cancelled = "OPERATION_CANCELED" in server_message(error)
            if is_cancelled or not self._distrust(message_in(request), error):
                raise
            return self.send(request)
        if _computes_all(message_in(request)):
            for table in tables:  # Spark does not report the seconds of each
                table.started, table.seconds = started, (time.perf_counter() - started) / len(tables)
        return responses

    def _send_prepared(self, stub: Any, request: Any, find: Callable[[int], Any]) -> list[Any]:
        response = getattr(stub, type(request).__name__.removesuffix("Request"))(self._prepare(request, find))
        return list(response) if is_run(request) else [response]

    def _prepare(self, request: Any, find: Callable[[int], Any]) -> Any:
        """Return a request with the substitutes that `find` returns by plan id, after loading its models and files."""
        live = self.models.with_live(substituted(request, find))
        self.resolve_reads(message_in(live))
        return as_new(live)

    def _substitute(self, number: int) -> Any:
        """Return the server's substitute of a step: a table of an earlier run, or a view."""
        return self.tables.substitute_of(number) or self.analysed.get(number)

    def as_sent(self, relation: Any, session: Any) -> Any:
        """Return a relation as it is sent, once the server has all objects that it refers to."""
        request = self.newest_request = session.client._analyze_plan_request_with_metadata()
        request.schema.plan.root.CopyFrom(relation)
        self.stub()
        self._settle_tables(request)
        return self._prepare(request, self._substitute).schema.plan.root

    def keep_analysed(self, number: int, relation: Any, is_wanted: Callable[[], bool]) -> None:
        """Keep a step of a plan on the server as it is analysed now, even if its names change meaning later. It is a
        global view, because the program can list the views of its session.

        Args:
            number: plan id of the step, which the view replaces.
            is_wanted: returns whether the program may still use the step.
        """
        if number in self.analysed or not is_wanted():
            return
        name = f"helix_{self.newest_request.session_id.replace('-', '')}_{number}"
        command = pb.CreateDataFrameViewCommand(input=relation, name=name, is_global=True, replace=True)
        request = ours(pb.ExecutePlanRequest, self.newest_request)
        request.plan.command.create_dataframe_view.CopyFrom(command)
        with suppress(rpc_error()):  # Spark will refuse it again when it is used
            self.send(request)
            self.analysed[number] = _named(f"global_temp.{name}", number, relation)
            self._check_files(number)

    def _check_files(self, number: int) -> None:
        """Report which files of a step changed between its construction and their listing just now."""
        binding = self.signer.bindings.get(number)
        for read in () if binding is None else chain.from_iterable(binding.data.values()):
            if read.changed() is not None:
                self.tell(f"{read.shown} was changed after a table of it was built and before Spark listed its files; "
                          "a classic session lists them when the table is built")

    def _settle_tables(self, request: Any) -> list[PersistedTable]:
        """Persist the persisted tables in a request, from storage if possible. Return the tables to compute."""
        message, computed = message_in(request), []
        # Spark would take an unpersisted table that stays until it is stored for an equal one of the changed files.
        self.forget_given_up(lambda table: table.question is not None and bool(_change_of(table.question.reads)))
        for table in self.tables.needed(message):
            if table.question is None and table.base is None:
                self._look_up(table)
            # Files record which columns may be null.
            is_write = type_of(message) == "Command" and message.HasField("write_operation")
            is_usable = (table.is_exact or not is_write) and can_be_substituted(message, table.relation)
            if table.is_reused and not is_usable:
                table.compute()
            # If Spark refuses the shared input of several fits, it is computed for each.
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
        """Substitute an earlier run's rows for a table, from memory or else from storage."""
        question = self.signer.question("table", table.relation)
        if not question.chance:
            key, name = self.stored.rows_key(question.identity), f"helix_rows_{table.number}"
            if key and self.server is not None and self.server.take_rows(self.newest_request.session_id, key, name):
                rows = pb.CachedRemoteRelation(relation_id=name)
                table.in_memory = True
                table.substitute = pb.Relation(common=table.relation.common, cached_remote_relation=rows)
            elif (stored := self.stored.table(question.identity)) is not None:
                table.is_exact, table.substitute = is_exact(stored), substitute_for(table.relation, stored)
        table.question = question  # last: other threads rely on the substitute once it is set

    def leave_rows(self) -> None:
        """Leave rows of persisted tables in a warm server, unless they are nondeterministic or of changed data."""
        for table in self.tables:
            question = table.question
            if question is None or question.chance or table.given_up or table.in_memory or not table.is_registered:
                continue
            key = self.stored.rows_key(question.identity)
            if not key or not table.request.persist.storage_level.use_memory or self.changed_data(question):
                continue
            if not self.signer.watched.doubt(question.code) and self.server is not None:
                relation = self._prepare(table.request, self._substitute).persist.relation
                self.server.leave_rows(self.newest_request.session_id, key, relation.SerializeToString())

    def _distrust(self, message: Any, error: Exception) -> bool:
        """Stop reusing and sharing the tables of a failed message; return whether there are any."""
        tables = [table for table in self.tables.needed(message) if table.is_reused or table.base is not None]
        for table in tables:
            if table.is_reused:
                description = "a table in memory" if table.in_memory else "a stored table"
                self.tell(f"with {description} a request failed; it is sent again without it: {server_message(error)}")
                table.compute()
            else:  # the error may be in a column that no fit reads
                self.tell(f"the input that several fits share is computed for each: {server_message(error)}")
                self._forget(table)
                table.refused = True
        return bool(tables)

    def interrupt(self) -> None:
        """Interrupt all operations of the session."""
        if self.server is None or not self.is_informed or self.server.how_ended():
            return
        own_request = ours(pb.InterruptRequest, self.newest_request)
        own_request.interrupt_type = pb.InterruptRequest.INTERRUPT_TYPE_ALL
        with suppress(rpc_error(), ServerEndedError):  # it has ended
            self.stub().Interrupt(own_request)

    def unpersist(self, number: int) -> None:
        """Release a table that the program unpersists, by its plan id."""
        for table in self.tables.unpersist(number):
            self._forget(table)

    def send_own(self, request: Any) -> list[Any]:
        """Return the server's responses to Helix's own request, which has the program's ids."""
        return self._send_prepared(self.stub(), request, self._substitute)

    def forget_given_up(self, is_meant: Callable[[PersistedTable], bool] = lambda _: True) -> None:
        """Release the tables that the program has unpersisted, or some of them."""
        for table in self.tables:
            if table.given_up and not table.forgotten and is_meant(table):
                self._forget(table)

    def register_tables(self, reads_there: Callable[[tuple[SignedData, ...]], bool], *, by_spark: bool) -> None:
        """Register persisted tables that read certain data on the server, and release unpersisted ones, before that
        data is overwritten: by Spark, which then reads the tables anew, or by other code, which it does not notice."""
        own = [table for table in self.tables if table.base is None and not table.forgotten]
        signed = [(table, table.question or self.signer.question("table", table.relation)) for table in own]
        tables = [(table, question) for table, question in signed if reads_there(question.reads)]
        for table, question in tables:
            if by_spark:
                table.question = question
                if table.is_reused:
                    table.compute()
        self.stub()
        for table, _ in tables:
            if table.given_up:
                self._forget(table)
                continue
            self._settle_tables(table.request)
            for question in () if by_spark or table.is_reused else table.recorded:
                if not table.seconds:
                    self._ask_again(question)

    def _forget(self, table: PersistedTable) -> None:
        """Release a table on the server, if it is registered there."""
        if table.is_registered and not table.forgotten:
            own_request = ours(pb.AnalyzePlanRequest, table.request)
            own_request.unpersist.relation.CopyFrom(table.relation)
            with suppress(rpc_error(), ServerEndedError):  # it has ended
                self.send_own(own_request)
        table.forgotten = True

    def changed_data(self, question: Question) -> str:
        """Return the change of the data of an answer since it was read, or since a persisted table read files of it,
        which Spark may take for an equal one; empty without a change."""
        tables = chain.from_iterable(table.question.reads for table in self.tables if table.question is not None)
        shared = (read for read in tables if any(share_files(read, own) for own in question.reads))
        return _change_of((*question.reads, *shared))

    def _identity(self, relation: Any) -> str:
        question = self.signer.question("table", relation)
        return "" if question.chance else question.identity

    def run_ml(self, command: Any) -> list[Any]:
        """Run Helix's own command of Spark ML."""
        request = ours(pb.ExecutePlanRequest, self.newest_request)
        request.plan.command.ml_command.CopyFrom(command)
        return list(self.stub().ExecutePlan(request))

    def resolve_reads(self, message: Any) -> None:
        """Analyse each source in a message once on the server, as a classic session does at the line that builds it.
        Spark infers its schema and lists its files then, and caches plans whose schema was requested."""
        for part in messages(message):
            is_source = type_of(part) == "Relation" and part.read.HasField("data_source")
            if not is_source or not part.common.HasField("plan_id"):
                continue
            if (number := part.common.plan_id) in self._resolved:
                continue
            self._resolved.add(number)
            own_request = ours(pb.AnalyzePlanRequest, self.newest_request)
            own_request.schema.plan.root.CopyFrom(part)
            self.stub().AnalyzePlan(own_request)
            self._check_files(number)


def _change_of(reads: Iterable[SignedData]) -> str:
    """Return the first change of data since it was read, in words; empty without one."""
    changes = ((read, change) for read in reads if (change := read.changed()) is not None)
    return next((f"{read.shown} was changed: {change}" for read, change in changes), "")


def _named(name: str, number: int, relation: Any) -> Any:
    """Return a read of a view in place of a relation: with its plan id and its qualified column names."""
    read = pb.Relation(read=pb.Read(named_table=pb.Read.NamedTable(unparsed_identifier=name)))
    if relation.HasField("read") and relation.read.HasField("named_table"):
        alias = relation.read.named_table.unparsed_identifier.rpartition(".")[2].strip("`")
        read = pb.Relation(subquery_alias=pb.SubqueryAlias(input=read, alias=alias))
    read.common.plan_id = number
    return read


def _computes_all(message: Any) -> bool:
    """Return whether a message computes all rows of its tables, rather than the first rows or none."""
    match type_of(message):
        case "Relation":
            return message.WhichOneof("rel_type") not in ("show_string", "html_string", "limit", "tail")
        case "Command":
            return message.WhichOneof("command_type") in ("ml_command", "write_operation", "checkpoint_command")
    return False
