"""Answers what a program asks Spark: from the record where its identity is known, else by a server that is started
then. This is the service that the program's client believes to speak to."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from helix_spark.capture.connect_client import DEFAULT_SETTINGS
from helix_spark.capture.plan_messages import messages, sort_of
from helix_spark.capture.program_client import Caller, caller
from helix_spark.capture.type_text import UnknownTypeError, parse_type
from helix_spark.errors import CatalogError
from helix_spark.program.answers import answer_of_text, is_kept, text_of_answer
from helix_spark.program.effects import Place, is_left, place_of
from helix_spark.program.plan_data import DataRead
from helix_spark.program.questions import Question, Signer, handle_of, with_handles
from helix_spark.program.session_state import View
from helix_spark.program.sql_reads import read_statement

SERVER_SESSION = "helix"
"""What the client is told of its server's session, whoever answers it."""


class Server(Protocol):
    """A server of Spark Connect, started when it is first asked."""

    @property
    def started(self) -> bool: ...

    def stub(self) -> Any:
        """What sends it requests. Raises SetupError if it cannot be started."""


class Record(Protocol):
    """What earlier runs were answered, and the models that they fitted."""

    def answer(self, identity: str) -> str | None:
        """The text of an answer; None if there is none on record."""

    def left(self, identity: str) -> str | None:
        """What an effect left at its place when it last ran; None if it never did."""

    def model(self, identity: str) -> tuple[str, str] | None:
        """The class of a stored model, checked, and the folder to read it from; None if it is not stored."""


class NeedsSparkError(Exception):
    """A program that is only planned has come to a question that Spark has to answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of this run, and how it was answered.

    Attributes:
        answer: as it is put on record; None if it is not, for one that was on record, too.
        seconds: that it took; of one on record those that reading it took.
        started: `time.perf_counter()` when it was asked.
        fresh: whether Spark answered it.
        why: if it is not put on record, the reason.
        left: what an effect left at its place.
    """

    question: Question
    caller: Caller
    kind: str
    seconds: float
    started: float
    fresh: bool
    answer: str | None = None
    why: str = ""
    left: str = ""


@dataclass(slots=True)
class Answerer:
    """The service. Its methods may be called from any thread.

    Attributes:
        tell: is told what is worth a line.
        rerun_effects: whether what was written before is written again.
        planning: whether nothing is to be asked of Spark: the first question without an answer raises
            NeedsSparkError.
        asked: what was asked so far, in the order of the answers.
    """

    signer: Signer
    record: Record
    server: Server
    initial: dict[str, str]
    tell: Callable[[str], None] = lambda _: None
    rerun_effects: bool = False
    planning: bool = False
    asked: list[Asked] = field(default_factory=list)
    _live: dict[str, str] = field(default_factory=dict)
    _made_by: dict[str, tuple[Question, Any]] = field(default_factory=dict)
    _persisted: dict[int, Any] = field(default_factory=dict)
    _sent: set[int] = field(default_factory=set)
    _resolved: set[int] = field(default_factory=set)
    _held: list[DataRead] = field(default_factory=list)
    _answers: dict[str, list[Any]] = field(default_factory=dict)
    _turns: defaultdict[str, threading.RLock] = field(default_factory=lambda: defaultdict(threading.RLock))
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _told: bool = False

    # What the client calls -----------------------------------------------------------------------------------------

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Iterator[Any]:  # noqa: N802 - the service calls it so
        plan = request.plan
        if plan.WhichOneof("op_type") == "root":
            found = self._rows(plan.root, request)
        else:
            found = self._command(plan.command, request)
        return iter([self._of_session(one, request) for one in found])

    def AnalyzePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        kind = request.WhichOneof("analyze")
        what = getattr(request, kind)
        local = _ANALYSES.get(kind)
        made = None if local is None else local(self, what, request)
        if made is None:
            (made,) = self._answered("analyze", "analysis", what, request)
        return self._of_session(made, request)

    def Config(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        import pyspark.sql.connect.proto as pb

        operation = request.operation
        kind = operation.WhichOneof("op_type")
        if kind in ("set", "unset"):
            return self._of_session(self._set(kind, operation, request), request)
        known = {**DEFAULT_SETTINGS, **self.initial, **self.signer.state.settings}
        asked = getattr(operation, kind)
        keys = [one.key for one in asked.pairs] if kind == "get_with_default" else list(getattr(asked, "keys", ()))
        if keys and kind != "is_modifiable" and all(key in known for key in keys):
            answer = pb.ConfigResponse(pairs=[pb.KeyValue(key=key, value=known[key]) for key in keys])
            return self._of_session(answer, request)
        (made,) = self._answered("config", "setting", operation, request)
        return self._of_session(made, request)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._stub(), name)

    def _rows(self, root: Any, request: Any) -> list[Any]:
        if root.WhichOneof("rel_type") == "catalog" and not _only_looks(root.catalog.WhichOneof("cat_type")):
            return self._unfollowed("a call of spark.catalog", request, root)
        if caller().function in _FOR_EFFECT:
            question = self.signer.question("effect", root)
            return self._asked_live("execute", question, request, "it is run for what it does")
        return self._answered("execute", "rows", root, request)

    # Commands ------------------------------------------------------------------------------------------------------

    def _command(self, command: Any, request: Any) -> list[Any]:
        kind = command.WhichOneof("command_type")
        if kind == "ml_command":
            return self._ml(command.ml_command, request)
        match kind:
            case "create_dataframe_view":
                return self._view(command.create_dataframe_view, request)
            case "register_function" | "register_table_function":
                return self._function(getattr(command, kind), request)
            case "sql_command":
                return self._sql(command.sql_command, request)
            case "checkpoint_command":
                return self._answered("execute", "fit", command, request)
            case "remove_cached_remote_relation_command":
                return []
            case "write_operation":
                return self._effect(command, place_of(command, self.signer.data.folder), request)
        return self._unfollowed(kind.replace("_", " "), request)

    def _ml(self, command: Any, request: Any) -> list[Any]:
        match command.WhichOneof("command"):
            case "delete" | "clean_cache":
                # Called by the collector of garbage, in the middle of anything. Models go with their session.
                return []
            case "fit" | "read":
                return self._answered("execute", "fit", request.plan.command, request)
            case "fetch" if command.fetch.methods[-1].method == "handleOverwrite":
                # Asked of no model: it deletes what lies where a model is about to be written.
                question = self.signer.question("effect", request.plan.command)
                return self._asked_live("execute", question, request, "it makes room for a model")
            case "fetch" | "evaluate":
                return self._answered("execute", "rows", request.plan.command, request)
            case "write":
                place = place_of(request.plan.command, self.signer.data.folder)
                return self._effect(request.plan.command, place, request)
        return self._sent_on("execute", request.plan.command, request)

    def _view(self, view: Any, request: Any) -> list[Any]:
        """A view. A server is told of it once it is there; at once where Spark may refuse it."""
        views, name = self.signer.state.views, view.name.replace("`", "").lower()
        name = f"global_temp.{name}" if view.is_global else name
        if name in views and not view.replace:
            return self._sent_on("execute", request.plan.command, request)
        views[name] = View(view.input, dict(views))
        return self._changed(request)

    def _function(self, made: Any, request: Any) -> list[Any]:
        question = self.signer.question("rows", made)
        drawn = f" {time.time_ns()}" if question.chance else ""
        self.signer.state.functions[made.function_name.lower()] = question.identity + drawn
        return self._changed(request)

    def _changed(self, request: Any) -> list[Any]:
        if self._told:
            self._sent_on("execute", request.plan.command, request)
        self.signer.state.requests.append(request)
        return []

    def _sql(self, command: Any, request: Any) -> list[Any]:
        import pyspark.sql.connect.proto as pb

        asked = command.input if command.HasField("input") else pb.Relation(sql=pb.SQL(query=command.sql))
        query = next((one for one in messages(asked) if sort_of(one) == "SQL"), None)
        if query is not None and read_statement(query.query).asks:
            result = pb.ExecutePlanResponse.SqlCommandResult(relation=asked)
            return [pb.ExecutePlanResponse(sql_command_result=result)]
        if query is not None and query.query.split()[:1] and query.query.split()[0].lower() in ("set", "reset"):
            self.signer.state.settings[f"statement {len(self.signer.state.settings)}"] = query.query
            question = self.signer.question("effect", request.plan.command)
            return self._asked_live("execute", question, request, "it sets something")
        return self._unfollowed("a statement of SQL", request)

    def _unfollowed(self, what: str, request: Any, asked: Any = None) -> list[Any]:
        """Something that Spark does each time, and after which nobody knows what its session holds."""
        self.signer.state.unknown = what
        question = self.signer.question("effect", asked or request.plan.command)
        return self._asked_live("execute", question, request, f"it is {what}")

    def _effect(self, command: Any, place: Place | None, request: Any) -> list[Any]:
        """A write. It is left out where the same was written there before, and lies there still."""
        question = self.signer.question("effect", command)
        if place is None:
            return self._unfollowed("a write to a table", request)
        before = self.record.left(question.identity)
        started = time.perf_counter()
        if place.may_be_left_out and not question.chance and not self.rerun_effects and is_left(place, before):
            self._note(Asked(question, caller(), "execute", time.perf_counter() - started, started, fresh=False))
            return []
        return self._asked_live("execute", question, request, left=place)

    # Answers -------------------------------------------------------------------------------------------------------

    def _answered(self, kind: str, sort: Any, what: Any, request: Any) -> list[Any]:
        started = time.perf_counter()
        question = self.signer.question(sort, what)
        if question.chance:
            return self._asked_live(kind, question, request, question.chance[0])
        with self._turn(question.identity):  # of equal questions at the same time one is asked
            known = self._answers.get(question.identity)
            if known is None:
                known = self._on_record(kind, question)
            if known is not None:
                self._made_by.setdefault(handle_of(question), (question, request))
                self._answers[question.identity] = known
                self._note(Asked(question, caller(), kind, time.perf_counter() - started, started, fresh=False))
                return known
            found = self._asked_live(kind, question, request)
            self._answers[question.identity] = found
            return found

    def _turn(self, identity: str) -> threading.RLock:
        with self._lock:
            return self._turns[identity]

    def _on_record(self, kind: str, question: Question) -> list[Any] | None:
        text = self.record.answer(question.identity)
        if not text:
            return None
        return answer_of_text(kind, text)

    def _asked_live(
        self, kind: str, question: Question, request: Any, why: str = "", left: Place | None = None
    ) -> list[Any]:
        """Asks Spark, and remembers what it said."""
        who = caller()
        if self.planning:
            self._note(Asked(question, who, kind, 0.0, time.perf_counter(), True, why=why))
            raise NeedsSparkError(f"{who.call or question.sort} has to be asked of Spark")
        self._made_by.setdefault(handle_of(question), (question, request))
        self._stub()
        started = time.perf_counter()
        found = self._with_our_handles(self._sent_on(kind, question.what, request), question)
        seconds = time.perf_counter() - started
        why = why or self._changed_data(question)
        if not why and not is_kept(found):
            why = "its answer has a type of its author's own"
        answer = None if why or question.sort == "effect" else text_of_answer(kind, found)
        if answer == "":
            answer, why = None, "its answer is too large to be put on record"
        there = "" if left is None or why else left.identity()
        self._note(Asked(question, who, kind, seconds, started, True, answer, why, there))
        return found

    def _changed_data(self, question: Question) -> str:
        """What was done to the data that an answer is made of, in words; empty if nothing was. What is persisted is of
        the data that there was then."""
        reads = (*question.reads, *self._held)
        return next((f"{one.shown} was changed: {how}" for one in reads if (how := one.changed()) is not None), "")

    def _note(self, one: Asked) -> None:
        with self._lock:
            self.asked.append(one)

    def _with_our_handles(self, responses: list[Any], question: Question) -> list[Any]:
        """Answers in which a model or a checkpoint has the id by which the program is to know it."""
        handle = handle_of(question)
        for one in responses:
            if type(one).__name__ != "ExecutePlanResponse":
                continue
            if one.HasField("ml_command_result") and one.ml_command_result.HasField("operator_info"):
                made = one.ml_command_result.operator_info
                if made.HasField("obj_ref"):
                    self._live[handle], made.obj_ref.id = made.obj_ref.id, handle
            if one.HasField("checkpoint_command_result"):
                relation = one.checkpoint_command_result.relation
                self._live[handle], relation.relation_id = relation.relation_id, handle
        return responses

    # The server ----------------------------------------------------------------------------------------------------

    def _stub(self) -> Any:
        """The server's stub, once the server knows what the program's session holds."""
        with self._lock:
            stub = self.server.stub()
            if not self._told:
                self._told = True
                for request in self.signer.state.requests:
                    if type(request).__name__ == "ConfigRequest":
                        stub.Config(_as_new(request, request))
                    else:
                        asked = request.plan
                        self._sent_on("execute", getattr(asked, asked.WhichOneof("op_type")), request)
        return stub

    def _sent_on(self, kind: str, what: Any, request: Any) -> list[Any]:
        """Sends a request to the server, with all in it that the server has to have first."""
        stub = self._stub()
        for handle in [one for one in _handles_in(what) if one in self._made_by]:
            self._make_live(handle, summary=_asks_summary(what))
        self._resolve_reads(what, request)
        self._persist(what)
        sent = _as_new(request, with_handles(request, self._live.items()))
        if kind == "execute":
            return list(stub.ExecutePlan(sent))
        return [stub.AnalyzePlan(sent) if kind == "analyze" else stub.Config(sent)]

    def _make_live(self, handle: str, *, summary: bool) -> None:
        """Has the server hold a model or a checkpoint that the program knows."""
        question, request = self._made_by[handle]
        with self._turn(question.identity):
            if handle in self._live:
                return
            stored = None if summary else self.record.model(question.identity)
            if stored is None or not self._read_model(question, request, *stored):
                self._with_our_handles(self._sent_on("execute", question.what, request), question)

    def _read_model(self, question: Question, request: Any, name: str, folder: str) -> bool:
        """Whether the server could read a stored model."""
        import pyspark.sql.connect.proto as pb

        reading = type(request)()
        reading.CopyFrom(request)
        command = pb.MlCommand.Read(
            operator=pb.MlOperator(name=name, type=pb.MlOperator.OPERATOR_TYPE_MODEL), path=folder
        )
        reading.plan.CopyFrom(pb.Plan(command=pb.Command(ml_command=pb.MlCommand(read=command))))
        try:
            found = list(self._stub().ExecutePlan(_as_new(request, reading)))
        except _rpc_error() as error:
            self.tell(f"a stored model could not be read, and is fitted again: {_said(error)}")
            return False
        self._with_our_handles(found, question)
        return True

    def write_model(self, question: Question, folder: str) -> None:
        """Has the server write a model that this run fitted. Raises CatalogError if it cannot."""
        import pyspark.sql.connect.proto as pb

        _, request = self._made_by[handle_of(question)]
        writing = type(request)()
        writing.CopyFrom(request)
        command = pb.MlCommand.Write(
            obj_ref=pb.ObjectRef(id=self._live[handle_of(question)]), path=folder, should_overwrite=True
        )
        writing.plan.CopyFrom(pb.Plan(command=pb.Command(ml_command=pb.MlCommand(write=command))))
        try:
            list(self._stub().ExecutePlan(_as_new(request, writing)))
        except _rpc_error() as error:
            raise CatalogError(f"Spark could not write it: {_said(error)}") from error

    def _resolve_reads(self, what: Any, request: Any) -> None:
        """Has the server look at each source once, as a classic session does, where it infers a schema and lists files.
        It remembers plans that it was asked the schema of."""
        import pyspark.sql.connect.proto as pb

        for one in messages(what):
            part: Any = one
            if sort_of(one) != "Relation" or part.WhichOneof("rel_type") != "read":
                continue
            number = part.common.plan_id
            if number in self._resolved or not part.read.HasField("data_source"):
                continue
            self._resolved.add(number)
            asking = pb.AnalyzePlanRequest(session_id=request.session_id, user_context=request.user_context)
            asking.schema.plan.root.CopyFrom(part)
            self._stub().AnalyzePlan(asking)

    def _persist(self, what: Any) -> None:
        """Has the server keep those of the relations in something that the program wants kept."""
        for one in messages(what):
            part: Any = one
            number = part.common.plan_id if sort_of(one) == "Relation" else None
            if number in self._persisted and number not in self._sent:
                self._sent.add(number)
                relation = self._persisted[number].persist.relation
                self._held += self.signer.question("rows", relation).reads
                self._sent_on("analyze", relation, self._persisted[number])

    def _of_session(self, response: Any, request: Any) -> Any:
        copy = type(response)()
        copy.CopyFrom(response)
        copy.session_id, copy.server_side_session_id = request.session_id, SERVER_SESSION
        if type(copy).__name__ == "ExecutePlanResponse":
            copy.operation_id = request.operation_id
        return copy

    # What needs no server ------------------------------------------------------------------------------------------

    def _set(self, kind: str, operation: Any, request: Any) -> Any:
        import pyspark.sql.connect.proto as pb

        settings, asked = self.signer.state.settings, getattr(operation, kind)
        names = [pair.key for pair in asked.pairs] if kind == "set" else list(asked.keys)
        if kind == "set":
            settings.update({pair.key: pair.value for pair in asked.pairs})
        else:
            for name in names:
                settings.pop(name, None)
        if self._told or not all(name.startswith("spark.sql.") for name in names):
            return self._stub().Config(_as_new(request, request))  # Spark says which of the others may be set
        self.signer.state.requests.append(request)
        return pb.ConfigResponse()

    def _analyze_persist(self, what: Any, request: Any) -> Any:
        import pyspark.sql.connect.proto as pb

        self._persisted[what.relation.common.plan_id] = request
        return pb.AnalyzePlanResponse(persist=pb.AnalyzePlanResponse.Persist())

    def _analyze_unpersist(self, what: Any, request: Any) -> Any:
        import pyspark.sql.connect.proto as pb

        number = what.relation.common.plan_id
        self._persisted.pop(number, None)
        if number in self._sent:
            self._sent.discard(number)
            self._sent_on("analyze", what.relation, request)
        return pb.AnalyzePlanResponse(unpersist=pb.AnalyzePlanResponse.Unpersist())

    def _analyze_storage_level(self, what: Any, _: Any) -> Any:
        import pyspark.sql.connect.proto as pb

        persisted = self._persisted.get(what.relation.common.plan_id)
        level = pb.StorageLevel(replication=1)
        if persisted is not None:
            level.CopyFrom(persisted.persist.storage_level)
        return pb.AnalyzePlanResponse(get_storage_level=pb.AnalyzePlanResponse.GetStorageLevel(storage_level=level))

    def _analyze_ddl(self, what: Any, _: Any) -> Any:
        import pyspark.sql.connect.proto as pb
        from pyspark.sql.connect.types import pyspark_types_to_proto_types

        try:
            found = parse_type(what.ddl_string, {**DEFAULT_SETTINGS, **self.initial, **self.signer.state.settings})
        except UnknownTypeError:
            return None
        made = pb.AnalyzePlanResponse()
        made.ddl_parse.parsed.CopyFrom(pyspark_types_to_proto_types(found))
        return made


_ANALYSES: dict[str, Callable[[Answerer, Any, Any], Any]] = {
    "persist": Answerer._analyze_persist,
    "unpersist": Answerer._analyze_unpersist,
    "get_storage_level": Answerer._analyze_storage_level,
    "ddl_parse": Answerer._analyze_ddl,
}


_FOR_EFFECT = frozenset({"foreach", "foreachPartition"})


def _only_looks(kind: str) -> bool:
    """Whether a call of ``spark.catalog`` changes nothing."""
    return kind.startswith(("list_", "get_", "current_")) or kind.endswith("_exists") or kind == "is_cached"


def _rpc_error() -> type[Exception]:
    from grpc import RpcError

    found: type[Exception] = RpcError
    return found


def _said(error: BaseException) -> str:
    """The first line of what a server says of a failure."""
    details = getattr(error, "details", None)
    return (str(details() if callable(details) else error).splitlines() or [""])[0]


def _handles_in(what: Any) -> Iterator[str]:
    for one in messages(what):
        part: Any = one
        match sort_of(one):
            case "ObjectRef":
                yield part.id
            case "CachedRemoteRelation":
                yield part.relation_id


def _asks_summary(what: Any) -> bool:
    """Whether it asks for the summary of a fit, which a model that was read has none of."""
    return any(
        sort_of(one) == "Fetch" and any(method.method == "summary" for method in one.methods)
        for one in messages(what)
    )


def _as_new(asked: Any, sent: Any) -> Any:
    """A request as one that is sent for the first time."""
    copy = type(sent)()
    copy.CopyFrom(sent)
    copy.session_id = asked.session_id
    copy.ClearField("client_observed_server_side_session_id")
    if type(copy).__name__ == "ExecutePlanRequest":
        copy.ClearField("operation_id")
        copy.ClearField("request_options")
    return copy
