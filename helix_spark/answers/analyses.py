"""Analysis of a program's tables, step by step, at the line that builds them, as in a classic session. The schema of a
step is recorded like any other answer. Errors are not recorded: the request is sent again."""

from __future__ import annotations

import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from helix_spark.answers.plan_data import FILE_FORMATS, UnknownDataError, is_listed_at_once
from helix_spark.answers.questions import PROGRAM_FORMAT, AnsweredQuestion, Question, Signer, read_key
from helix_spark.answers.sent_requests import handle_in, rpc_error
from helix_spark.answers.session_state import Binding
from helix_spark.identity.data_version import SignedData
from helix_spark.identity.parts import digest
from helix_spark.plans.answer_fields import StrangeAnswerError
from helix_spark.plans.answer_gate import AnswerForm, text_of_answer
from helix_spark.plans.classic_compatibility import is_outer
from helix_spark.plans.frame_creation import note_schema, schema_request, steps_of
from helix_spark.plans.plan_identity import identity_of
from helix_spark.plans.plan_messages import messages, plan_named, type_of
from helix_spark.plans.plan_reads import functions_called, tables_named, view_name
from helix_spark.plans.program_client import caller
from helix_spark.plans.sql_texts import spark_functions

_SCHEMA = AnswerForm("analyze", "schema")

_DEEP = 60
"""Greatest depth of a plan that is analysed at its line: in a loop, the time grows with the square of the steps. Deeper
plans are analysed when rows are requested."""


@dataclass(frozen=True, slots=True)
class FrameStep:
    """One step of a plan, noted when its table is created.

    Attributes:
        number: its plan id.
        plan: pyspark's own object, as long as the program has a table that contains it.
        identity: identity of its analysis.
        chance: reasons why its analysis may be nondeterministic, as phrases.
        names: tables, views and functions in it that are not Spark's own, in lower case; without those of its inputs.
        handles: models and checkpoints that it and its inputs refer to.
        has_alias: True if its columns may be named by an alias.
        is_open: True if it, or an input, names columns of an outer query, so that it cannot be analysed alone.
        depth: depth of the plan.
        lists: the way in which it names files, which are listed when it is built: a source, or a name in SQL; empty if
            it reads no files.
    """

    number: int
    plan: weakref.ref[Any]
    identity: str
    chance: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    handles: frozenset[str] = frozenset()
    has_alias: bool = False
    is_open: bool = False
    depth: int = 1
    lists: Literal["", "source", "name"] = ""


@dataclass(slots=True)
class Analyses:
    """The steps of all tables of a session, by plan id. Its methods may be called from any thread.

    Attributes:
        recorded: returns a recorded answer of a form, by its identity.
        live_id: returns the server's id of a model or a checkpoint, by the program's id; None if the server lacks it.
        ask: sends a question to the server as a request, and returns the responses; None without a server.
        client: client of the session, once it has a table.
    """

    signer: Signer
    recorded: Callable[[str, AnswerForm], list[Any] | None]
    live_id: Callable[[str], str | None]
    ask: Callable[[Question, Any], list[Any]] | None
    client: Any = None
    _accepted: set[int] = field(default_factory=set)
    _new: list[AnsweredQuestion] = field(default_factory=list)
    _steps: dict[int, FrameStep] = field(default_factory=dict)
    _frames: dict[int, weakref.ref[Any]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def settle(self, frame: Any) -> FrameStep:
        """Analyse a table new to Spark and return its last step. Raises AnalysisException if Spark refuses it."""
        step = self.note_frame(frame)
        if step.is_open or step.number in self._accepted:
            return step
        identity = digest("analysis", str(PROGRAM_FORMAT), self.signer.environment, step.identity)
        answer = None if step.chance else self.recorded(identity, _SCHEMA)
        if answer is None and self.ask is not None and step.depth <= _DEEP and all(map(self.live_id, step.handles)):
            started, request = time.perf_counter(), schema_request(frame)
            question = Question(identity, "analysis", request.schema, step.chance, tuple(sorted(step.handles)))
            try:
                answer = self.ask(question, request)
            except rpc_error() as error:
                frame._session.client._handle_error(error)  # raises pyspark's error
            if answer is not None and not step.chance:
                with suppress(StrangeAnswerError):  # such as a user-defined type, which is not recorded
                    text, seconds = text_of_answer(_SCHEMA, answer), time.perf_counter() - started
                    self._new.append(AnsweredQuestion(question, caller(), seconds, started, True, text))
        if answer is not None:
            self._accepted.add(step.number)
            note_schema(frame, answer[0].schema.schema)
        return step

    def columns(self, frame: Any) -> Collection[str] | None:
        """Return the names of a table's columns, without a question; None if they are unknown."""
        names: list[str] | None = None if frame._cached_schema is None else frame._cached_schema.names
        return names

    def take(self) -> list[AnsweredQuestion]:
        """Return the analyses to be recorded, each once."""
        analyses, self._new = self._new, []
        return analyses

    def note_frame(self, frame: Any) -> FrameStep:
        """Note the new steps of a table, and return its last one."""
        with self._lock:
            self.client = frame._session.client
            for plan, relation in steps_of(frame, self._steps):
                self._note(plan, relation)
            number = frame._plan._plan_id
            self._frames[number] = weakref.ref(frame)
            return self._steps[number]

    def tables(self) -> Iterator[tuple[FrameStep, Any]]:
        """Yield the last steps of tables that the program still has, as `alive` does."""
        with self._lock:
            self._frames = {number: frame for number, frame in self._frames.items() if frame() is not None}
            return self.alive(self._frames)

    def alive(self, numbers: Collection[int] | None = None) -> Iterator[tuple[FrameStep, Any]]:
        """Yield the steps that the program may still use, or those of some plan ids, each with pyspark's object, in the
        order of creation."""
        with self._lock:
            steps = [self._steps[number] for number in sorted(self._steps if numbers is None else numbers)]
        return ((step, plan) for step in steps if (plan := step.plan()) is not None)

    def _note(self, plan: Any, relation: Any) -> None:
        parts: list[Any] = list(messages(relation))
        number = plan._plan_id
        binding, versions, chance = self._bound(parts)
        inputs = [self._steps[part.common.plan_id] for part in parts if _is_input_placeholder(part)]
        for part in parts:
            is_relation = type_of(part) == "Relation" and part.common.HasField("plan_id")
            if is_relation and not _is_input_placeholder(part):
                self.signer.bindings[part.common.plan_id] = binding
        names = frozenset(name for part in parts for name in self._names(part, binding))
        by_name = any(name.partition(".")[0] in FILE_FORMATS for name in names)
        if names and binding.unknown:
            chance.append(f"comes after {binding.unknown}, which may have changed what its names mean")
        self._steps[number] = FrameStep(
            number, weakref.ref(plan), self._identity(relation, binding, names, versions),
            tuple(dict.fromkeys((*chance, *(why for step in inputs for why in step.chance)))), names,
            frozenset(handle for part in parts if (handle := handle_in(part)) is not None).union(
                *(step.handles for step in inputs)
            ),
            relation.WhichOneof("rel_type") == "subquery_alias" or any(step.has_alias for step in inputs),
            any(type_of(part) == "Expression" and is_outer(part) for part in parts)
            or any(step.is_open for step in inputs),
            1 + max((step.depth for step in inputs), default=0),
            "name" if by_name else "source" if binding.data else "",
        )

    def _names(self, part: Any, binding: Binding) -> Iterator[str]:
        """Yield the tables, views and functions in a message that are not Spark's own."""
        tables = tables_named(part)
        yield from ("a statement that cannot be parsed",) if tables is None else map(view_name, tables)
        for name in functions_called(part):
            if name in binding.functions or name not in spark_functions():
                yield name

    def _bound(self, parts: Iterable[Any]) -> tuple[Binding, list[str], list[str]]:
        """Return the binding of a new step, the versions of all its data, and why versions are unknown."""
        binding, chance = self.signer.state.now, list[str]()
        data: dict[bytes, tuple[SignedData, ...]] = {}
        versions: list[str] = []
        for part in parts:
            try:
                reads = tuple(self.signer.data_of(part, binding, lambda _: None))
            except UnknownDataError as error:
                chance.append(str(error))
                continue
            versions += (read.identity.digest for read in reads)
            if reads and all(map(is_listed_at_once, reads)):
                data[read_key(part)] = reads
        return (replace(binding, data=data) if data else binding), versions, chance

    def _identity(self, relation: Any, binding: Binding, names: frozenset[str], versions: list[str]) -> str:
        """Return the identity of a step and its inputs. Python code counts by its return type, not its values."""
        signed = deepcopy(relation)
        references: list[str] = []
        for part in messages(signed):
            if type_of(part) == "Read.DataSource":
                self.signer.name_source(part)
            number = part.common.plan_id if _is_input_placeholder(part) else plan_named(part)
            if number is not None:
                step = self._steps.get(number)
                references.append("unknown" if step is None else step.identity)
        views = (self.signer.question("rows", binding.views[name].shows) for name in names if name in binding.views)
        return digest(
            identity_of(signed, defaultdict(str)), *references, *sorted(view.identity for view in views),
            *sorted(binding.functions[name] for name in names if name in binding.functions),
            *versions, binding.settings_identity(of_analysis=True),
        )


def _is_input_placeholder(part: Any) -> bool:
    return type_of(part) == "Relation" and part.WhichOneof("rel_type") is None
