"""Answers a program's questions from the record, or by a server that is started when it is first needed. PySpark's
Connect client calls this service in place of a server."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import helix_spark.plans.connect_proto as pb
from helix_spark.answers.analyses import Analyses
from helix_spark.answers.model_saves import gather, parts_gathered, save_questions
from helix_spark.answers.plan_data import WrittenPlace, on_this_machine, written_place
from helix_spark.answers.questions import AnsweredQuestion, Question, QuestionKind, Signer, form_of
from helix_spark.answers.sent_requests import as_new, message_in, rpc_error, server_message
from helix_spark.answers.served_models import Record
from helix_spark.answers.served_session import ServedSession, Server
from helix_spark.answers.session_commands import SessionCommands
from helix_spark.errors import HelixError
from helix_spark.identity.parts import digest
from helix_spark.plans.answer_fields import StrangeAnswerError
from helix_spark.plans.answer_gate import AnswerForm, answer_of_text, of_session, text_of_answer
from helix_spark.plans.frame_creation import schema_request
from helix_spark.plans.plan_messages import messages, type_of
from helix_spark.plans.program_client import DEFAULT_SETTINGS, NO_STACKS, Caller, caller
from helix_spark.plans.sql_texts import read_statement, tokens
from helix_spark.plans.type_text import UnknownTypeError, parse_type

QuestionStage = Literal["recorded", "waited for", "sent", "answered"]
"""A stage of a question: its answer is recorded; it waits for the server to start; it is sent; the server answered or
failed."""

Following = Callable[[QuestionStage, Question, Caller], None]
"""Callback for the progress of a run, called from any thread."""

Mode = Literal["run", "plan", "audit"]
"""Purpose of a run: its answers; to see the recorded answers, until Spark is needed; or to compute all from scratch,
without lasting effects."""

MOST_KEPT = 64 << 20
"""The most bytes of answers that a run keeps in memory, and of large answers that it records."""

_LARGE = 64 << 10
"""Bytes above which an answer is large."""


class NotAuditedError(Exception):
    """A program that is only audited has come to a lasting effect."""


@dataclass(slots=True)
class Answerer:
    """The service. Its methods may be called from any thread.

    Attributes:
        answers_here: mark for `program_client.answers_here` that this is no connection to a server.
        initial: settings of the session at its start.
        tell: prints a message.
        rerun_effects: True if unchanged writes are repeated.
        mode: purpose of the run. In a plan the first question without an answer raises UnansweredError; in an audit
            writes are skipped, and other lasting effects raise NotAuditedError.
        answers: answered questions so far, in order.
        following: callback for progress.
        note: callback for each question before its lookup.
    """

    answers_here: ClassVar[bool] = True
    signer: Signer
    record: Record
    server: Server | None
    initial: dict[str, str]
    tell: Callable[[str], None] = lambda _: None
    rerun_effects: bool = False
    mode: Mode = "run"
    answers: list[AnsweredQuestion] = field(default_factory=list)
    following: Following = lambda *_: None
    note: Callable[[Question], None] = lambda _: None
    served: ServedSession = field(init=False)
    commands: SessionCommands = field(init=False)
    analyses: Analyses = field(init=False)
    _cache: dict[str, list[Any]] = field(default_factory=dict)
    _prepared: dict[Any, tuple[int, int]] = field(default_factory=dict)
    _times: Counter[str] = field(default_factory=Counter)
    _bytes: int = 0
    _large: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        server = None if self.mode == "plan" else self.server
        self.served = ServedSession(self.signer, self.record, server, self.tell)
        ask = None if self.mode == "plan" else self._analysed
        self.analyses = Analyses(self.signer, self._lookup, self.served.models.live_id, ask)
        self.commands = SessionCommands(self.signer, self.served, self.analyses, self.initial)

    def settle(self, frame: Any) -> None:
        """Analyse a new table and list its files, as a classic session does. Raises AnalysisException."""
        step = self.analyses.settle(frame)
        if step.lists and self.mode != "plan":
            self.commands.list_files(step, schema_request(frame).schema)

    def is_change(self, place: Path) -> bool:
        """Return whether a write to a place needs `before_write`. The next writes to the same data do not."""
        moment = len(self.answers), len(self.signer.bindings)
        if self.mode != "run" or self.served.is_over:
            return False
        return any(self._prepared.get(read.source) != moment for read in self.signer.data.changed_by(place))

    def before_write(self, place: Path) -> None:
        """Bring the server to the state of a classic session before code other than Spark's writes to a place."""
        moment = len(self.answers), len(self.signer.bindings)
        self._prepared.update((read.source, moment) for read in self.signer.data.changed_by(place))
        if self.served.newest_request is None:  # all analyses so far were recorded
            self.served.newest_request = self.analyses.client._analyze_plan_request_with_metadata()
        try:
            self.commands.prepare_write(place, by_spark=False)
        except (HelixError, rpc_error()) as error:  # none that the author's call expects
            what = error.what if isinstance(error, HelixError) else server_message(error)
            self.served.tell(f"{place} is written although Spark could not read what tables have of it: {what}")

    # Methods that the client calls ---------------------------------------------------------------------------------

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Iterator[Any]:  # noqa: N802 - the protocol's name
        self.served.newest_request = request
        is_query = request.plan.WhichOneof("op_type") == "root"
        responses = self._rows(request) if is_query else self._command(request.plan.command, request)
        return (of_session(response, request) for response in responses)

    def AnalyzePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        self.served.newest_request = request
        response = self._answer_here(request)
        if response is None:
            (response,) = self._answer("analysis", request)
        return of_session(response, request)

    def _answer_here(self, request: Any) -> Any | None:
        """Answer an analysis without a server: tables to persist, types as text. None if only Spark can answer it."""
        from pyspark.sql.connect.types import pyspark_types_to_proto_types

        message, response = message_in(request), pb.AnalyzePlanResponse()
        match request.WhichOneof("analyze"):
            case "persist":
                self.served.tables.persist(request, caller())
                response.persist.SetInParent()
            case "unpersist":
                self.served.unpersist(message.relation.common.plan_id)
                response.unpersist.SetInParent()
            case "get_storage_level":
                level = self.served.tables.level(message.relation.common.plan_id) or pb.StorageLevel(replication=1)
                response.get_storage_level.storage_level.CopyFrom(level)
            case "ddl_parse" if not self.signer.state.now.statements:
                try:
                    parsed = parse_type(message.ddl_string, self._settings())
                except UnknownTypeError:
                    return None
                response.ddl_parse.parsed.CopyFrom(pyspark_types_to_proto_types(parsed))
            case "is_streaming":  # `observe` requests it
                response.is_streaming.SetInParent()
                response.is_streaming.is_streaming = any(
                    type_of(part) == "Read" and getattr(part, "is_streaming", False) for part in messages(message)
                )
            case _:
                return None
        return response

    def Config(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        self.served.newest_request, operation = request, request.operation
        kind = operation.WhichOneof("op_type")
        if kind in ("set", "unset"):
            return of_session(self.commands.set(kind, operation, request), request)
        settings, message = self._settings(), getattr(operation, kind)
        keys = [pair.key for pair in message.pairs] if kind == "get_with_default" else getattr(message, "keys", ())
        if keys and kind != "is_modifiable" and all(key in settings for key in keys):
            response = pb.ConfigResponse(pairs=[pb.KeyValue(key=key, value=settings[key]) for key in keys])
        else:
            (response,) = self._answer("setting", request)
        return of_session(response, request)

    def FetchErrorDetails(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        return of_session(self.served.stub().FetchErrorDetails(as_new(request)), request)

    def Interrupt(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        """Interrupt all operations: their ids on the server differ from the client's."""
        self.served.interrupt()
        return of_session(pb.InterruptResponse(), request)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.served.stub(), name)

    def _settings(self) -> dict[str, str]:
        """Return the settings known without a server; after a statement that may set any, those of the client alone."""
        now = self.signer.state.now
        return {**DEFAULT_SETTINGS, **NO_STACKS} if now.statements else now.over({**DEFAULT_SETTINGS, **self.initial})

    # Commands ------------------------------------------------------------------------------------------------------

    def _rows(self, request: Any) -> list[Any]:
        root = request.plan.root
        if root.WhichOneof("rel_type") == "catalog":
            kind = root.catalog.WhichOneof("cat_type")
            only_looks = kind.startswith(("list_", "get_", "current_")) or kind.endswith("_exists")
            if not only_looks and kind != "is_cached":
                rows = self.commands.catalog_call(root.catalog, request)
                return self._ask_untracked("a call of spark.catalog", request) if rows is None else rows
        if caller().function in ("foreach", "foreachPartition"):
            return self._ask_each_time(request, "it is run for its effects")
        return self._answer("rows", request)

    def _command(self, command: Any, request: Any) -> Iterable[Any]:
        kind = command.WhichOneof("command_type")
        match kind:
            case "ml_command":
                return self._ml(command.ml_command, request)
            case "create_dataframe_view":
                return self.commands.view(command.create_dataframe_view, request)
            case "register_function" | "register_table_function":
                return self.commands.function(getattr(command, kind), request)
            case "sql_command":
                return self._sql(command.sql_command, request)
            case "checkpoint_command":
                return self._answer("fit", request)
            case "remove_cached_remote_relation_command":
                return []
            case "write_operation":
                return self._effect(request)
            case "streaming_query_listener_bus_command" if command.streaming_query_listener_bus_command.HasField(
                "add_listener_bus_listener"
            ):
                events: Iterable[Any] = self.served.stub().ExecutePlan(as_new(request))
                return events  # as they come: they have no end
        return self._ask_untracked(kind.replace("_", " "), request)

    def _ml(self, command: Any, request: Any) -> list[Any]:
        match command.WhichOneof("command"):
            case "delete":
                self.served.models.release(reference.id for reference in command.delete.obj_refs)
                return []
            case "clean_cache":
                return []  # models go with their session
            case "fit" | "read":
                return self._answer("fit", request)
            case "fetch" if command.fetch.methods[-1].method == "handleOverwrite":
                # It belongs to no model: it deletes the files at the path where a model will be written.
                if self.mode == "audit" or gather(request):
                    result = pb.MlCommandResult(param=pb.Expression.Literal(boolean=True))
                    return [pb.ExecutePlanResponse(ml_command_result=result)]
                return self._ask_each_time(request, _MAKES_ROOM)
            case "fetch" | "evaluate":
                return self._answer("rows", request)
            case "write":
                return self._effect(request)
        return self.served.send(request)

    def _sql(self, command: Any, request: Any) -> list[Any]:
        statement = command.input if command.HasField("input") else pb.Relation(sql=pb.SQL(query=command.sql))
        query = next((part.query for part in messages(statement) if type_of(part) == "SQL"), "")
        if query and read_statement(query).asks:
            relation = statement
        else:
            is_sql = statement.HasField("sql")
            relation = self.commands.statement(statement.sql, request, self._answer) if is_sql else None
        if relation is not None:
            result = pb.ExecutePlanResponse.SqlCommandResult(relation=relation)
            return [pb.ExecutePlanResponse(sql_command_result=result)]
        match [word.lower() for _, word in tokens(query)]:
            case ["show" | "desc" | "describe" | "explain", *_]:
                question = self.signer.question("rows", message_in(request))
                return self._ask_server(question, request, "it asks the catalog")
            case ["set" | "reset" | "use" | "declare", *_] | ["drop", _, "variable", *_]:
                question = self.signer.question("rows", message_in(request))
                drawn = f" {time.time_ns()}" if "(" in query else ""  # its value may be another each time
                self.commands.note_statement(question.identity + drawn)
                return self._ask_server(question, request, "it sets something")
            case ["execute" | "begin", *_]:  # it may set variables
                self.commands.note_statement(f"{query} {time.time_ns()}")
        return self._ask_untracked("a statement of SQL", request)

    def _ask_untracked(self, kind: str, request: Any) -> list[Any]:
        """Ask Spark each time. Afterwards the state of its session is unknown."""
        self.commands.keep_meanings()
        self.signer.state.now = replace(self.signer.state.now, unknown=kind)
        return self._ask_each_time(request, f"it is {kind}")

    def _ask_each_time(self, request: Any, why: str) -> list[Any]:
        """Ask Spark each time for a lasting effect."""
        if self.mode == "audit":
            raise NotAuditedError(f"the audit stopped here: {why}, and that lasts")
        return self._ask_server(self.signer.question("effect", message_in(request)), request, why)

    def _effect(self, request: Any) -> list[Any]:
        """Write, unless an equal earlier write is still in place."""
        if gather(request):
            return []
        place = written_place(message_in(request), self.signer.data.folder)
        if place is None:
            return self._ask_untracked("a write to a table", request)
        started, question = time.perf_counter(), self.signer.question("effect", message_in(request))
        return [] if self.mode == "audit" else self._write([(question, request)], place, started)

    def save(self, path: str, write: Callable[[], None]) -> None:
        """Save a model over existing files. The requests that `write` sends count as one write."""
        folder = on_this_machine(path, self.signer.data.folder)
        if self.mode == "audit" or folder is None or gather():
            write()
            return
        with parts_gathered() as parts:
            write()
        started = time.perf_counter()
        questions = save_questions(parts, self.signer)
        self._write(list(zip(questions, parts, strict=True)), WrittenPlace(folder, may_be_skipped=True), started)

    def _write(self, parts: Sequence[tuple[Question, Any]], place: WrittenPlace, started: float) -> list[Any]:
        """Send all parts of a write, or none if an equal write is in place. The last part represents all."""
        write, request = parts[-1]
        before = self.record.left(write.identity)
        is_in_place = bool(before) and not write.chance and not self.rerun_effects and place.identity() == before
        if place.may_be_skipped and is_in_place:
            seconds = (time.perf_counter() - started) / len(parts)
            for question, _ in parts:
                self.answers.append(AnsweredQuestion(question, caller(), seconds, started, fresh=False))
            return []
        if self.mode == "run":
            self.commands.prepare_write(place.path, by_spark=True)
        for question, part in parts[:-1]:
            part_place = written_place(question.message, self.signer.data.folder)
            self._ask_server(question, part, "" if part_place else _MAKES_ROOM, left=part_place)
        return self._ask_server(write, request, left=place)

    # Answers -------------------------------------------------------------------------------------------------------

    def _answer(self, kind: QuestionKind, request: Any) -> list[Any]:
        started = time.perf_counter()
        question = self.signer.question(kind, message_in(request))
        if question.chance:  # another question each time
            with self._lock:
                self._times[question.identity] += 1
                times = self._times[question.identity]
            if times > 1:
                question = replace(question, identity=digest(question.identity, str(times)))
            return self._ask_server(question, request, question.chance[0])
        self.note(question)
        with self.served.turn(question.identity):
            answer = self._lookup(question.identity, form_of(question))
            if answer is None:
                return self._ask_server(question, request)
            self.served.tables.note(question)
            self.served.tables.note_recorded(question)
            self.served.models.know(question, answer)
            call = caller()
            self.following("recorded", question, call)
            self.answers.append(AnsweredQuestion(question, call, time.perf_counter() - started, started, fresh=False))
            self._keep(question, answer)
            return answer

    def _lookup(self, identity: str, form: AnswerForm) -> list[Any] | None:
        """Return the answer to a question, of this run or an earlier one; None without a valid answer."""
        if identity in self._cache:
            return self._cache[identity]
        text = self.record.answer(identity)
        try:
            return answer_of_text(form, text) if text else None
        except StrangeAnswerError as error:
            self.record.refuse(identity, str(error))
            return None

    def _keep(self, question: Question, answer: list[Any]) -> None:
        """Cache an answer for the run, as long as there is room."""
        size = sum(response.ByteSize() for response in answer)
        with self._lock:
            if question.identity not in self._cache and self._bytes + size <= MOST_KEPT:
                self._bytes += size
                self._cache[question.identity] = answer

    def _check_room(self, answer: str) -> None:
        """Raise StrangeAnswerError if a large answer has no room next to the run's other answers to record."""
        with self._lock:
            if len(answer) > _LARGE and self._large + len(answer) > MOST_KEPT:
                raise StrangeAnswerError(f"it would be more than {MOST_KEPT >> 20} MiB, with others of this run")
            self._large += len(answer) if len(answer) > _LARGE else 0

    def _ask_server(
        self, question: Question, request: Any, why: str = "", left: WrittenPlace | None = None
    ) -> list[Any]:
        """Ask Spark, and note the answer."""
        call = caller()
        if self.mode == "plan":
            self.answers.append(AnsweredQuestion(question, call, 0.0, time.perf_counter(), True, why=why))
        self.served.tables.note(question)
        response, started, seconds = self._ask_when_started(question, request, call)
        is_kept = not why and question.kind != "effect"
        if not why:
            question = question.reading(self.signer.watched.as_read(question.code))
        self.served.models.name(response, question.handle)
        self.served.models.know(question, response)
        if is_kept:
            self._keep(question, response)
        why = (
            why or self.served.changed_data(question) or self.signer.watched.doubt(question.code)
            or self.record.doubt(question.identity)
        )
        if why:
            self.signer.doubtful.add(question.handle)
        answer = None
        if is_kept and not why:
            try:
                answer = text_of_answer(form_of(question), response)
                self._check_room(answer)
            except StrangeAnswerError as error:
                answer, why = None, f"its answer is not recorded: {error}"
        written = "" if left is None or why else left.identity()
        self.answers.append(AnsweredQuestion(question, call, seconds, started, True, answer, why, written))
        return response

    def _analysed(self, question: Question, request: Any) -> list[Any]:
        """Request the analysis of a plan. Progress shows it only if the server starts, as the author did not ask."""
        self.served.newest_request = request
        if self.served.is_informed:
            answer = self.served.ask(question, request)
        else:
            answer, *_ = self._ask_when_started(question, request, caller())
        if not question.chance:
            self._keep(question, answer)
        return answer

    def _ask_when_started(self, question: Question, request: Any, call: Caller) -> tuple[list[Any], float, float]:
        """Return Spark's answer, the time of its request, and its seconds without the server's start."""
        self.following("waited for", question, call)
        try:
            self.served.stub()
            if question.kind == "fit":
                self.served.models.forget()
            self.following("sent", question, call)
            started = time.perf_counter()
            answer = self.served.ask(question, request)
            return answer, started, time.perf_counter() - started
        finally:
            self.following("answered", question, call)

    def end(self) -> None:
        """Delete the program's models from the server, and release cached answers."""
        self.served.models.end()
        self._cache.clear()


_MAKES_ROOM = "it makes room for a model"
