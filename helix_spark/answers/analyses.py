"""The tables that a program builds, step by step, analysed where a classic session does: at the line that builds them.
The schema that Spark tells of a step is an answer on record as any other. A refusal is not recorded: Spark is asked
again."""

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
from helix_spark.plans.classic_ways import is_outer
from helix_spark.plans.frame_creation import note_schema, schema_request, steps_of
from helix_spark.plans.plan_identity import identity_of
from helix_spark.plans.plan_messages import messages, plan_named, sort_of
from helix_spark.plans.plan_reads import functions_called, tables_named, view_name
from helix_spark.plans.program_client import caller
from helix_spark.plans.sql_texts import spark_functions

_SCHEMA = AnswerForm("analyze", "schema")

_DEEP = 60
"""Steps on top of each other at most for a plan to be analysed at its line: in a loop of hundreds of steps that would
take time that grows with their square. Deeper ones are analysed when rows are asked for."""


@dataclass(frozen=True, slots=True)
class FrameStep:
    """One step of a plan, noted when the program is given the table.

    Attributes:
        number: its plan id.
        plan: pyspark's own object; gone once the program has no table that is made of it.
        identity: of what Spark is asked when it analyses the step.
        chance: why Spark may analyse it otherwise next time, as phrases.
        names: the tables, views and functions that are not Spark's own and that it names itself, in lower case.
        handles: the models and checkpoints that it and its inputs refer to.
        has_alias: whether its columns may be named by an alias.
        is_open: whether it, or an input, names columns of a query that it is to become a part of: it is not analysed
            alone.
        depth: how many steps are on top of each other in it.
        lists: how it says which files it reads, which are listed when it is built: by a source, or by a name in SQL;
            empty if it reads none.
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
        recorded: returns an answer of a form that is known, by its identity.
        live_id: returns the server's own id of a model or a checkpoint that it holds, by the program's.
        ask: sends a question to the server as a request, and returns what that answers; None where none may be asked.
        client: of the session, once it has a table.
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
        """Analyse a table that the program is given, unless it is known to be right, and return its last step. Raises
        AnalysisException if Spark refuses it."""
        step = self.note_frame(frame)
        if step.is_open or step.number in self._accepted:
            return step
        identity = digest("analysis", str(PROGRAM_FORMAT), self.signer.around, step.identity)
        answer = None if step.chance else self.recorded(identity, _SCHEMA)
        if answer is None and self.ask is not None and step.depth <= _DEEP and all(map(self.live_id, step.handles)):
            started, request = time.perf_counter(), schema_request(frame)
            question = Question(identity, "analysis", request.schema, step.chance, tuple(sorted(step.handles)))
            try:
                answer = self.ask(question, request)
            except rpc_error() as error:
                frame._session.client._handle_error(error)  # which raises what pyspark makes of it
            if answer is not None and not step.chance:
                with suppress(StrangeAnswerError):  # such as a type of the author's own: Spark is asked again
                    text, seconds = text_of_answer(_SCHEMA, answer), time.perf_counter() - started
                    self._new.append(AnsweredQuestion(question, caller(), seconds, started, True, text))
        if answer is not None:
            self._accepted.add(step.number)
            note_schema(frame, answer[0].schema.schema)
        return step

    def columns(self, frame: Any) -> Collection[str] | None:
        """Return the names of a table's columns; None where they are not known without asking."""
        names: list[str] | None = None if frame._cached_schema is None else frame._cached_schema.names
        return names

    def take(self) -> list[AnsweredQuestion]:
        """Take the analyses that are to be recorded, once."""
        taken, self._new = self._new, []
        return taken

    def note_frame(self, frame: Any) -> FrameStep:
        """Note the steps of a table that are new, and return its last one."""
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
            steps = [self._steps[number] for number in sorted(self._frames)]
        return ((one, plan) for one in steps if (plan := one.plan()) is not None)

    def alive(self, names: Collection[str] | None = None) -> Iterator[tuple[FrameStep, Any]]:
        """Yield the steps that the program may still use, each with pyspark's object, in the order in which they were
        built: those that name one of these names themselves; None for all that name something."""
        with self._lock:
            steps = [self._steps[number] for number in sorted(self._steps)]
        for one in steps:
            if (one.names if names is None else one.names & frozenset(names)) and (plan := one.plan()) is not None:
                yield one, plan

    def _note(self, plan: Any, relation: Any) -> None:
        parts: list[Any] = list(messages(relation))
        number = plan._plan_id
        binding, versions, chance = self._bound(parts)
        inputs = [self._steps[one.common.plan_id] for one in parts if _is_hole(one)]
        for one in parts:
            if sort_of(one) == "Relation" and not _is_hole(one) and one.common.HasField("plan_id"):
                self.signer.bindings[one.common.plan_id] = binding
        named = set[str]()  # tables, views and functions that are not Spark's own
        for one in parts:
            tables = tables_named(one)
            named.update(("a statement that cannot be parsed",) if tables is None else map(view_name, tables))
            named |= {
                name for name in functions_called(one) if name in binding.functions or name not in spark_functions()
            }
        names = frozenset(named)
        by_name = any(name.partition(".")[0] in FILE_FORMATS for name in names)
        if names and binding.unknown:
            chance.append(f"comes after {binding.unknown}, which may have changed what its names mean")
        self._steps[number] = FrameStep(
            number, weakref.ref(plan), self._identity(relation, binding, names, versions),
            tuple(dict.fromkeys((*chance, *(why for one in inputs for why in one.chance)))), names,
            frozenset(handle for one in parts if (handle := handle_in(one)) is not None).union(
                *(one.handles for one in inputs)
            ),
            relation.WhichOneof("rel_type") == "subquery_alias" or any(one.has_alias for one in inputs),
            any(sort_of(one) == "Expression" and is_outer(one) for one in parts) or any(one.is_open for one in inputs),
            1 + max((one.depth for one in inputs), default=0),
            "name" if by_name else "source" if binding.data else "",
        )

    def _bound(self, parts: Iterable[Any]) -> tuple[Binding, list[str], list[str]]:
        """Return what names mean now, with the versions of the files that a step reads; the versions of all that it
        reads; and why one is unknown."""
        binding, chance = self.signer.state.now, list[str]()
        data: dict[bytes, tuple[SignedData, ...]] = {}
        versions: list[str] = []
        for one in parts:
            try:
                reads = tuple(self.signer.data_of(one, binding, lambda _: None))
            except UnknownDataError as error:
                chance.append(str(error))
                continue
            versions += (read.identity.digest for read in reads)
            if reads and all(map(is_listed_at_once, reads)):
                data[read_key(one)] = reads
        return (replace(binding, data=data) if data else binding), versions, chance

    def _identity(self, relation: Any, binding: Binding, names: frozenset[str], versions: list[str]) -> str:
        """Return the identity of a step, of which its inputs are parts by theirs. Of Python code the type counts, and
        not what it gives."""
        own = deepcopy(relation)
        refers: list[str] = []
        for part in messages(own):
            if sort_of(part) == "Read.DataSource":
                self.signer.name_source(part)
            number = part.common.plan_id if _is_hole(part) else plan_named(part)
            if number is not None:
                step = self._steps.get(number)
                refers.append("unknown" if step is None else step.identity)
        views = (self.signer.question("rows", binding.views[name].shows) for name in names if name in binding.views)
        return digest(
            identity_of(own, defaultdict(str)), *refers, *sorted(one.identity for one in views),
            *sorted(binding.functions[name] for name in names if name in binding.functions),
            *versions, binding.settings_identity(of_analysis=True),
        )


def _is_hole(one: Any) -> bool:
    return sort_of(one) == "Relation" and one.WhichOneof("rel_type") is None
