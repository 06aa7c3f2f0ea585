"""Calls of nodes' functions of Spark tables, like programs: plans captured, questions answered or sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import helix_spark.plans.connect_proto as pb
from helix_spark.answers.answering import Answerer, Mode
from helix_spark.answers.plan_data import DataVersions
from helix_spark.answers.questions import QuestionKind, Signer, code_of
from helix_spark.answers.script_terms import ScriptOrigin, ScriptTerms
from helix_spark.answers.sent_requests import server_message
from helix_spark.answers.served_session import Server
from helix_spark.answers.session_state import Binding, SessionState, View
from helix_spark.answers.watched_functions import WatchedFunctions
from helix_spark.hermetic.action import Action, in_action
from helix_spark.identity.parts import digest
from helix_spark.plans import connect_session as client
from helix_spark.plans.answer_fields import HANDLE
from helix_spark.plans.captured_function import CallInputs, CapturedFunction, NotCaptured
from helix_spark.plans.current_program import UDF, NeedsClassicError, working_for
from helix_spark.plans.nondeterminism import chance_in, choices_in
from helix_spark.plans.plan_columns import INPUT, SERVED, UnknownColumnsError, columns_of
from helix_spark.plans.plan_identity import identity_of
from helix_spark.plans.plan_messages import messages, type_of
from helix_spark.plans.plan_reads import functions_elsewhere, tables_elsewhere
from helix_spark.plans.plan_words import lines_of
from helix_spark.plans.program_client import session_of
from helix_spark.plans.replaced_in_pyspark import KEPT_SETTINGS
from helix_spark.plans.stage_references import with_references
from helix_spark.plans.written_plan import relation_of
from helix_spark.workflow.workflow import Workflow

_REQUESTED: Mapping[QuestionKind, str] = {
    "rows": "rows", "fit": "a fit", "table": "rows", "analysis": "the columns of a table",
    "setting": "the session's settings", "effect": "something that lasts",
}


class _NodeFunctions(WatchedFunctions):
    """A node's Python functions in workers. Only the node has their reads, so answers with them are not recorded."""

    def unknown(self, code: str) -> tuple[str, ...]:
        return ("has Python code in it, whose reads are recorded for its node alone",)


@dataclass(slots=True)
class FunctionCall:
    """A call of a function. During the call it is the program of pyspark (`current_program.Program`).

    Attributes:
        terms: translates its questions into a script's.
        values: Python code in its plans by number: functions with their return types, and classes of table functions.
        refused: the first request that a call cannot send, as the end of "it asks Spark for".
        origin: origin of the returned table or model, if a script can express it.
        fit: identity of a script's fit whose model it returned unchanged; empty without one.
    """

    inputs: CallInputs
    answerer: Answerer
    terms: ScriptTerms
    values: list[Any] = field(default_factory=list)
    refused: str = ""
    origin: ScriptOrigin | None = None
    fit: str = ""
    _session: Any = None
    _placeholders: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._session = session_of(self.answerer, self.inputs.settings)
        # Tables of the server's session may be joined with the call's.
        if number := getattr(self.answerer.served.server, "session_id", ""):
            self._session._session_id = number
        for place, (name, kind) in enumerate(self.inputs.inputs.items()):
            if kind == "table":
                self._placeholders[name] = client.placeholder_table(self._session, place)
            elif kind == "column":
                self._placeholders[name] = client.placeholder_column(place)

    @property
    def is_planned(self) -> bool:
        return self.answerer.mode == "plan"

    def session(self, options: dict[str, str]) -> Any:
        if names := options.keys() - KEPT_SETTINGS:
            if self.is_planned:
                self.refused = self.refused or "a session with other settings"
            else:
                self._session.conf._set_all(configs={name: str(options[name]) for name in names}, silent=False)
        return self._session

    def settle(self, frame: Any) -> None:
        if frame._session is not self._session:
            return
        if self.is_planned or self.inputs.is_known:  # analyses are not recorded
            self.answerer.analyses.note_frame(frame)
        else:
            self.answerer.settle(frame)

    def columns(self, frame: Any) -> Sequence[str] | None:
        if frame._session is not self._session:
            return None
        is_case_sensitive = self.inputs.settings.get("spark.sql.caseSensitive", "false").lower() == "true"
        if self.is_planned:  # else Spark's schema is more exact
            with suppress(UnknownColumnsError):
                return columns_of(relation_of(frame), self.inputs.columns, case_sensitive=is_case_sensitive)
        names = self.answerer.analyses.columns(frame)
        return None if names is None else list(names)

    def write_code(self, value: Any, pickle: Callable[[], bytes]) -> bytes:
        place = next((place for place, code in enumerate(self.values) if _is_same(code, value)), len(self.values))
        token = f"{UDF}{place}".encode()
        if place == len(self.values):
            self.values.append(value)
            self.answerer.signer.functions[token] = code_of(_function_of(value))
        return token

    def save(self, path: str, write: Callable[[], None]) -> None:
        write()

    def need_classic(self, use: str) -> None:
        raise NeedsClassicError(use)

    def model(self, place: int, model: Any) -> Any:
        """Return an input model of another session as a model of the call's, identified by its signature."""
        numbers, signature = count(), self.inputs.signatures.get(place, f"input {place}")

        def take(live: str) -> str:
            number = next(numbers)
            handle = f"{HANDLE}{digest(signature, str(number))}"
            self.terms.know_model(handle, place, number)
            return self.answerer.served.models.take_over(handle, live)

        with self.under_way():  # some models query their server
            return with_references(model, take)

    def returned_model(self, model: Any) -> Any:
        """Return a model of the call's session as a model of the server's session, which then owns it."""
        handles: list[str] = []

        def hand_over(handle: str) -> str:
            handles.append(handle)
            return self.answerer.served.models.hand_over(handle)

        server_model = with_references(model, hand_over)
        self.origin = self.terms.origin_of_model(handles)
        is_fit = len(handles) == 1 and self.answerer.served.models.is_as_fitted(handles[0], model)
        if self.origin is not None and is_fit:
            self.fit = self.origin.handles[0].removeprefix(HANDLE)
        return server_model

    def call(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        """Return the function's result for placeholders and other arguments."""
        with self.under_way():
            return function(**self._placeholders, **arguments)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Make this call the program of pyspark while the author's code runs."""
        with working_for(self), client.active(self._session):
            yield

    def unanswered(self) -> str:
        """Return the first question without an answer, as a phrase; empty without one."""
        answers = self.answerer.answers
        return self.refused or next((_REQUESTED[answer.question.kind] for answer in answers if answer.fresh), "")

    @property
    def registers(self) -> bool:
        """True if the function leaves views or Python functions in its session."""
        return bool(self.answerer.signer.state.requests)

    def is_own(self, value: Any) -> bool:
        """Return whether a value is a table of the call's session."""
        return client.is_frame(value) and value._session is self._session

    def as_sent(self, relation: Any) -> Any:
        """Return a relation as it is sent, once the server has all objects that it refers to."""
        return self.answerer.served.as_sent(relation, self._session)

    def look_at(self, returned: Any) -> CapturedFunction | NotCaptured:
        """Return the plan that the function's result has."""
        with self.under_way():
            return self._look_at(returned)

    def _look_at(self, returned: Any) -> CapturedFunction | NotCaptured:
        state = self.answerer.signer.state
        # An expression belongs to the table that an extractor extends.
        frames = filter(client.is_frame, self._placeholders.values())
        first = next((frame._plan._plan_id for frame in frames), None)
        if client.is_column(returned):
            plan: Any = client.expression_of(returned, self._session.client)
            if state.requests:
                return NotCaptured("registers views or functions, and returns a column")
            if client.has_subquery(plan):
                return NotCaptured("has a query inside its column")
            if any(reference.plan_id != first for reference in client.references(plan)):
                return NotCaptured("names columns of other tables than its own")
        elif self.is_own(returned):
            plan, first = relation_of(returned), None
            self.origin = None if self.registers else self.terms.origin(plan)
        else:
            return NotCaptured(f"returns a {type(returned).__name__}")
        parts = [*messages(plan), *_registered_messages(state)]
        unsigned = next(self._reasons_unsigned(parts), "")
        if unsigned and (self.is_planned or first is not None):
            return NotCaptured(unsigned)
        views = [view.shows for name, view in state.now.views.items() if not name.startswith(INPUT)]
        return CapturedFunction(
            plan, self._identity(plan, first), tuple(map(_function_of, self.values)), chance_in(parts),
            tuple(line for part in (*views, plan) for line in lines_of(part)), tuple(state.now.functions),
            self.registers, self.origin, unsigned, choices=choices_in(parts),
        )

    def _reasons_unsigned(self, parts: Sequence[Any]) -> Iterator[str]:
        """Yield why a plan, with the parts of its views and functions, does not determine its function's result."""
        now = self.answerer.signer.state.now
        if self.refused:
            yield f"asks Spark for {self.refused}"
        if now.unknown:
            yield f"has its session do {now.unknown}"
        initial = self.answerer.initial
        yield from (f"sets {name}" for name, value in now.settings.items() if value is not None or name in initial)
        if now.statements:
            yield "sets something by a statement of SQL"
        yield from (f"reads {read} by itself" for read in tables_elsewhere(parts, now.views))
        names = (name for name in functions_elsewhere(parts) if name not in now.functions)
        yield from (f"reads the function {name} of its session by itself" for name in names)
        relations = (part for part in parts if type_of(part) == "Relation")
        if any(part.cached_remote_relation.relation_id.startswith(SERVED) for part in relations):
            yield "reads a table from elsewhere"

    def _identity(self, plan: Any, table_id: int | None) -> str:
        """Return the identity of a plan, or of an expression, if it has the plan id of its table."""
        signer = replace(self.answerer.signer, environment="")
        if table_id is not None:
            expression = deepcopy(plan)
            client.name_by_itself(expression)  # it has columns of one table only
            return identity_of(expression, {token: code.digest for token, code in signer.functions.items()})
        registered = (part for pair in sorted(signer.state.now.functions.items()) for part in pair)
        return digest(signer.question("table", plan).identity, *registered)


def capture(
    function: Callable[..., Any], inputs: CallInputs, action: Action | None = None, record: ScriptTerms | None = None,
    environment: str = "",
) -> CapturedFunction | NotCaptured:
    """Call a function of tables and columns on placeholders, and capture its plan, without a server.

    Args:
        action: seed and watch of the call; None if neither matters.
        record, environment: see `begin`.
    """
    action = Action("", watched=False) if action is None else action
    call, started, seconds = begin(inputs, record, environment=environment), time.perf_counter(), 0.0
    try:
        with in_action(action):
            returned = call.call(function, {})
            seconds = time.perf_counter() - started
            captured = call.look_at(returned)
    except NeedsClassicError as error:
        return NotCaptured(f"uses {error}")
    except Exception as error:  # noqa: BLE001 - the run itself raises it, too
        reason = f"{type(error).__name__}: {server_message(error)[:200]}"
        captured = NotCaptured(f"cannot be called on placeholders ({reason})")
    # Also if the function caught the error of an unanswered question: its result may depend on the answer.
    if unanswered := call.unanswered():
        return NotCaptured(f"asks Spark for {unanswered}", not call.refused)
    if isinstance(captured, NotCaptured):
        return captured
    return replace(captured, drew=action.drew, seconds=seconds)


def begin(
    inputs: CallInputs, record: ScriptTerms | None = None, server: Server | None = None, environment: str = "",
) -> FunctionCall:
    """Prepare a call. The caller controls the function's randomness.

    Args:
        record: answers its questions, if the inputs have signatures.
        server: answers the other questions; None if they stay unanswered.
        environment: identity of the versions and settings of the call.
    """
    client.prepare()
    views = {
        f"{INPUT}{place}": _input_view(inputs.signatures.get(place, f"input {place}"))
        for place, kind in enumerate(inputs.inputs.values()) if kind == "table"
    }
    signer = Signer(
        environment, SessionState(Binding(views=views)), DataVersions(),
        watched=_NodeFunctions(lambda _: "", watched=False), over_layout=False,
    )
    terms = record if record is not None and inputs.signatures else ScriptTerms()
    mode: Mode = "plan" if server is None else "run"
    answerer = Answerer(
        signer, terms.record, server, dict(inputs.settings), mode=mode,
        note=lambda question: terms.note(question, signer),
    )
    return FunctionCall(inputs, answerer, terms)


def declare_without_spark(build: Callable[[], Workflow]) -> Workflow | None:
    """Load a workflow without a JVM: PySpark's Connect client creates the Spark objects in its declarations, such as a
    module's ``F.col`` or a learner's stage. None if loading sends a request or registers functions."""
    call = begin(CallInputs({}, {}))
    try:
        with call.under_way():
            workflow = build()
    except Exception:
        if not call.unanswered():
            raise
        return None
    return None if call.unanswered() or call.answerer.signer.state.now.functions else workflow


def _input_view(signature: str) -> View:
    """Return the view of an input in a plan: a table identified by its signature."""
    table = pb.CachedRemoteRelation(relation_id=f"{HANDLE}{digest(signature)}")
    return View(pb.Relation(cached_remote_relation=table), {})


def _registered_messages(state: SessionState) -> Iterator[Any]:
    """Yield all messages in the views and functions of a call's session."""
    for request in state.requests:
        if not callable(request) and type(request).__name__ == "ExecutePlanRequest":
            yield from messages(request.plan.command)


def _function_of(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


def _is_same(value: Any, other: Any) -> bool:
    """Return whether two values in plans are the same function with the same return type."""
    if not isinstance(value, tuple) or not isinstance(other, tuple):
        return value is other
    return value[0] is other[0] and value[1:] == other[1:]
