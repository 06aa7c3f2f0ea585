"""Questions of a program to Spark. Two questions with the same identity have the same answer.

An identity covers the canonical plan, the data that it reads, its Python code, the models and checkpoints that it
refers to (their ids are their identities), and the state of the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Literal

import helix_spark.plans.connect_proto as pb
from helix_spark.answers.plan_data import FILE_FORMATS, DataVersions, UnknownDataError, on_this_machine
from helix_spark.answers.sent_requests import HELPER, handle_in, ml_command, stage_class, with_handles
from helix_spark.answers.session_state import Binding, SessionState, View
from helix_spark.answers.watched_functions import WatchedFunctions
from helix_spark.errors import SignatureError
from helix_spark.identity.code import trace
from helix_spark.identity.data_version import SignedData
from helix_spark.identity.parts import digest
from helix_spark.plans.answer_fields import HANDLE, is_handle
from helix_spark.plans.answer_gate import AnswerForm
from helix_spark.plans.classic_compatibility import need_classic
from helix_spark.plans.nondeterminism import chance_in, choices_in, may_ask_user
from helix_spark.plans.plan_identity import identity_of
from helix_spark.plans.plan_messages import messages, parts_of, type_of
from helix_spark.plans.plan_reads import functions_called, tables_named, view_name
from helix_spark.plans.program_client import Caller
from helix_spark.plans.sql_texts import asks_tables, spark_functions

PROGRAM_FORMAT = 8
"""Version of the identities of questions. Raise it if the identity or the answer of an unchanged question changes."""

QuestionKind = Literal["fit", "rows", "table", "analysis", "setting", "effect"]


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a program to Spark.

    Attributes:
        identity: hex SHA-256.
        kind: the kind of question.
        message: a command, a relation, or a part of an analysis request.
        chance: why its answer may be nondeterministic, as phrases; empty if it is deterministic.
        handles: ids of models and checkpoints in it, in order.
        reads: versions of its data.
        code: its Python functions by the identity of their code, each with the identity of its recorded reads.
        identity_without_reads: its identity without the reads of these functions.
    """

    identity: str
    kind: QuestionKind
    message: Any
    chance: tuple[str, ...] = ()
    handles: tuple[str, ...] = ()
    reads: tuple[SignedData, ...] = ()
    code: tuple[tuple[str, str], ...] = ()
    identity_without_reads: str = ""

    def reading(self, code: tuple[tuple[str, str], ...]) -> Question:
        """Return the question with other reads of its functions."""
        if code == self.code:
            return self
        return replace(self, code=code, identity=_identity(self.identity_without_reads, code))

    @property
    def handle(self) -> str:
        """The program's id for the model or the checkpoint that answers it."""
        return f"{HANDLE}{self.identity}"


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """A question of this run, with its answer.

    Attributes:
        answer: text to record; None if it is not recorded, or already was.
        seconds: seconds until the answer; for a recorded answer, of the lookup.
        started: `time.perf_counter()` when it was asked.
        fresh: True if Spark answered it.
        why: reason why it is not recorded.
        left: identity of the files that an effect wrote.
        name: its name as a node of the run, once it is known; `inputs` are the nodes that it is computed from.
    """

    question: Question
    caller: Caller
    seconds: float
    started: float
    fresh: bool
    answer: str | None = None
    why: str = ""
    left: str = ""
    name: str = ""
    inputs: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        return self.question.identity

    @property
    def kind(self) -> str:
        """Its kind as a recorded node."""
        return {"fit": "learner", "effect": "write", "table": "table"}.get(self.question.kind, "answer")


@dataclass(slots=True)
class Signer:
    """Signs the questions of one program.

    Attributes:
        environment: identity of the versions and settings of the program.
        state: state of its session.
        data: versions of its data.
        functions: code of each Python function in its plans, when it was pickled, by its pickle.
        watched: reads of these functions in workers.
        user: the user of the server; empty if unknown.
        doubtful: ids of models and checkpoints that another run cannot reproduce: answers from them are not reused.
        bindings: meaning of names when a step of a plan was built, by its plan id.
        over_layout: True if rows keep their order and partitions; else results that depend on them are
            nondeterministic.
    """

    environment: str
    state: SessionState
    data: DataVersions
    functions: dict[bytes, FunctionCode] = field(default_factory=dict)
    watched: WatchedFunctions = field(default_factory=lambda: WatchedFunctions(lambda _: ""))
    user: str = ""
    doubtful: set[str] = field(default_factory=set)
    bindings: dict[int, Binding] = field(default_factory=dict)
    over_layout: bool = True

    def question(self, kind: QuestionKind, message: Any, views: Mapping[str, View] | None = None) -> Question:
        """Return a question. Names in a step of a plan mean what they meant when the step was built.

        Args:
            message: see `Question`.
            views: meaning of names outside of such steps; by default the session's views.
        """
        session_binding = self.state.now if views is None else replace(self.state.now, views=views)
        noted = _Parts()
        signed = deepcopy(message)
        parts, waiting = list[tuple[Any, Binding]](), [(signed, session_binding)]
        while waiting:  # from the top down, each message with its binding
            part, binding = waiting.pop()
            if type_of(part) == "Relation" and part.common.HasField("plan_id"):
                binding = self.bindings.get(part.common.plan_id, binding)
            parts.append((part, binding))
            waiting.extend((inner, binding) for inner in reversed(parts_of(part)))
        for part, binding in parts:
            self._note_message(part, binding, noted)
        all_messages = [part for part, _ in parts]
        noted.chance += chance_in(all_messages, user_known=bool(self.user))
        if not self.over_layout:
            noted.chance += choices_in(all_messages)
        # Canonical plans may drop ids of objects: digest all ids, and number them in the plan.
        numbers = {handle: f"{number}" for number, handle in enumerate(dict.fromkeys(noted.handles))}
        numbered = with_handles(signed, numbers) if numbers else signed
        # Settings with which steps were analysed, if they differ from the session's.
        by_settings = groupby((binding for _, binding in parts), lambda binding: id(binding.settings))
        step_settings = [next(bindings).settings_identity(of_analysis=True) for _, bindings in by_settings]
        if {self.state.now.settings_identity(of_analysis=True)}.issuperset(step_settings):
            step_settings = []
        identity = digest(digest(
            str(PROGRAM_FORMAT), self.environment, kind, identity_of(numbered, noted.code),
            self.state.now.settings_identity(), *step_settings,
            *noted.meanings(), *(read.identity.digest for read in noted.reads),
            *((self.user,) if may_ask_user(all_messages) else ()),
            *(part.name for part in all_messages if type_of(part) == "CollectMetrics"),  # the answer has them by name
        ), *numbers)
        code = tuple(dict.fromkeys(noted.sent))
        return Question(
            _identity(identity, code), kind, message, tuple(dict.fromkeys(noted.chance)), tuple(noted.handles),
            tuple(noted.reads), code, identity,
        )

    def _note_code(self, code: str, noted: _Parts) -> None:
        """Note a Python function that is sent to workers, and its recorded reads there."""
        noted.sent.append((code, self.watched.identity(code)))
        noted.chance += self.watched.unknown(code)

    def _note_functions(self, message: Any, binding: Binding, noted: _Parts) -> None:
        """Note the functions in a message that are not Spark's own."""
        functions = functions_called(message)
        called = {name for name in functions if name in binding.functions or name not in spark_functions()}
        for name in sorted(called & binding.functions.keys()):
            noted.means.append((name, binding.functions[name]))
            for code in binding.code[name]:
                self._note_code(code, noted)
        if called:
            noted.note_unknown(binding)

    def _note_view(self, name: str, binding: Binding, noted: _Parts) -> None:
        view = binding.views[name]
        question = self.question("rows", view.shows, binding.views if view.views is None else view.views)
        noted.means.append((name, question.identity_without_reads))
        noted.chance += question.chance
        noted.reads += question.reads
        noted.sent += question.code
        noted.note_unknown(binding)

    def _note_message(self, message: Any, binding: Binding, noted: _Parts) -> None:
        self._note_functions(message, binding, noted)
        try:
            noted.reads += self._reads(message, binding, noted)
        except UnknownDataError as error:
            noted.chance.append(str(error))
        if (handle := handle_in(message)) is not None:
            noted.handles.append(handle)
            if handle in self.doubtful:
                noted.chance.append("uses a model or a checkpoint that is nondeterministic")
            elif not is_handle(handle) and handle != HELPER:
                noted.chance.append("refers to an object that Helix did not create")
        match type_of(message):
            case "MlCommand.Fit":
                # Without a name for its column, a fitted model uses the estimator's uid.
                stage, outputs = stage_class(message.estimator.name), {"outputCol", "outputCols"}
                has_output = stage is None or any(hasattr(stage, name) for name in outputs)
                if not has_output or outputs.intersection(message.params.params):
                    message.estimator.ClearField("uid")
            case "MlCommand.Evaluate":
                message.evaluator.ClearField("uid")
            case "PythonUDF" | "PythonUDTF" | "PythonDataSource":
                code = self.functions.get(message.command, _UNSEEN)
                noted.code[message.command] = code.digest
                if code.digest:
                    self._note_code(code.digest, noted)
                noted.chance += code.chance
            case "Read.DataSource":
                self.name_source(message)
            case "Catalog":
                noted.chance.append("asks the session's catalog")
            case "google.protobuf.Any":
                if "delta.connect" in message.type_url:
                    need_classic("delta.tables.DeltaTable")
                noted.chance.append("asks a plug-in of the server")
            case "JavaUDF" | "ScalarScalaUDF":
                noted.chance.append("calls code of the JVM, which Helix does not follow")
            case "Expression.ExpressionString":
                if asks_tables(message.expression):
                    noted.chance.append("has a query inside an expression in SQL")

    def name_source(self, source: Any) -> None:
        """Make a source canonical: paths relative to the program's folder, and no default header of a csv file."""
        places = [on_this_machine(path, self.data.folder) for path in source.paths]
        if source.format in FILE_FORMATS and None not in places:
            folder = self.data.folder
            source.paths[:] = [
                str(path.relative_to(folder) if path.is_relative_to(folder) else path) for path in filter(None, places)
            ]
        if source.format == "csv" and source.options.get("header", "").lower() == "false":
            del source.options["header"]

    def _reads(self, message: Any, binding: Binding, noted: _Parts) -> Iterator[SignedData]:
        may_read = type_of(message) in ("Read.DataSource", "Read.NamedTable", "SQL", "MlRelation.Transform")
        listed = binding.data.get(read_key(message), ()) if binding.data and may_read else ()
        # A table reads the present content of the files that existed when it was built.
        noted.chance += (
            f"reads {read.shown}, which was changed after a table of it was built"
            for read in listed if read.changed() is not None
        )
        yield from listed or self.data_of(message, binding, lambda name: self._note_view(name, binding, noted))

    def data_of(self, message: Any, binding: Binding, show: Callable[[str], None]) -> Iterator[SignedData]:
        """Yield the current versions of a message's data, and call `show` with the names of its views. Raises
        UnknownDataError for data of unknown version."""
        match type_of(message):
            case "Read.DataSource":
                yield self.data.of_source(message)
                return
            case "MlCommand.Read":
                yield self.data.of_folder(message.path)
                return
        if (names := tables_named(message)) is None:
            raise UnknownDataError("asks an SQL statement that cannot be parsed")
        for name in names:
            if (view := view_name(name)) in binding.views:
                show(view)
            elif view.removesuffix("()") not in binding.functions or not view.endswith("()"):
                yield self.data.of_table(name)


def _identity(without_reads: str, code: Iterable[tuple[str, str]]) -> str:
    """Return the identity of a question with the recorded reads of its functions."""
    reads = [identity for _, identity in code if identity]
    return digest(without_reads, *reads) if reads else without_reads


def read_key(message: Any) -> bytes:
    """Return a key of a message that reads data, unique in its step."""
    return type_of(message).encode() + bytes(message.SerializeToString(deterministic=True))


@dataclass(slots=True)
class _Parts:
    """Parts of an identity: `means` are names with meanings, `sent` functions with the identities of their reads."""

    code: dict[bytes, str] = field(default_factory=dict)
    chance: list[str] = field(default_factory=list)
    handles: list[str] = field(default_factory=list)
    reads: list[SignedData] = field(default_factory=list)
    means: list[tuple[str, str]] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)

    def note_unknown(self, binding: Binding) -> None:
        if binding.unknown:
            self.chance.append(f"comes after {binding.unknown}, which may have changed what its names mean")

    def meanings(self) -> Iterator[str]:
        """Return the meanings of names; each once, unless a name has several."""
        distinct = dict.fromkeys(self.means)
        has_several = len({name for name, _ in distinct}) < len(distinct)
        return (part for pair in (self.means if has_several else sorted(distinct)) for part in pair)


@dataclass(frozen=True, slots=True)
class FunctionCode:
    """The code of a Python function, with all that it reached when it was traced.

    Attributes:
        digest: its identity; empty if it has none.
        chance: why its values may be nondeterministic, as phrases.
        is_pure: True if all of the code is known to be pure.
    """

    digest: str
    chance: tuple[str, ...] = ()
    is_pure: bool = False


_UNSEEN = FunctionCode("", ("has Python code in it that Helix did not see",))


def code_of(function: Any) -> FunctionCode:
    """Trace the code of a Python function."""
    try:
        traced = trace(function, node=getattr(function, "__name__", "function"), in_workers=True)
    except SignatureError as error:
        return FunctionCode("", (f"has Python code in it that cannot be identified ({error.what})",))
    code = getattr(function, "__code__", None)  # calls may name its parameters: `clean(rows=...)`
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if code is not None else ()
    return FunctionCode(digest(traced.digest, *names), (*traced.random, *traced.unfollowed), not traced.doubtful)


# Forms of answers ----------------------------------------------------------------------------------------------------

def form_of(question: Question) -> AnswerForm:
    """Return the form of a valid answer to a question."""
    message = question.message
    match question.kind:
        case "analysis":
            fields = pb.AnalyzePlanRequest.DESCRIPTOR.oneofs_by_name["analyze"].fields
            names = {f"AnalyzePlanRequest.{field.message_type.name}": field.name for field in fields}
            return AnswerForm("analyze", names[type_of(message)])
        case "setting":
            kind = message.WhichOneof("op_type")
            operation = getattr(message, kind)
            if kind == "get_with_default":
                return AnswerForm("config", keys=tuple(pair.key for pair in operation.pairs))
            has_keys = kind in ("get", "get_option", "is_modifiable")
            return AnswerForm("config", keys=tuple(operation.keys) if has_keys else None)
    metrics: list[Any] = [part for part in messages(message) if type_of(part) == "CollectMetrics"]
    form = AnswerForm("execute", handle=question.handle, observed=frozenset(part.name for part in metrics))
    if type_of(message) == "Relation":
        is_text = message.WhichOneof("rel_type") in ("show_string", "html_string")
        return replace(form, result="arrow_batch", handle="", rows=int(has_one_row(message)), is_text=is_text)
    if (command := ml_command(message)) is None:
        return replace(form, result="checkpoint_command_result")
    form = replace(form, result="ml_command_result")
    match command.WhichOneof("command"):
        case "fit":
            return replace(form, ml="model")
        case "evaluate":
            return replace(form, ml="metric")
        case "read":
            from pyspark.ml.param import Param

            operator = command.read.operator
            stage = stage_class(operator.name)
            members = {name: getattr(stage, name, None) for name in dir(stage)} if stage is not None else {}
            params = {name: member for name, member in members.items() if isinstance(member, Param)}
            is_model = operator.type == type(operator).OPERATOR_TYPE_MODEL
            return replace(form, ml="model" if is_model else "stage", params=params)
    return form


def has_one_row(relation: Any) -> bool:
    """Return whether a relation aggregates all rows into one."""
    is_total = relation.WhichOneof("rel_type") == "aggregate" and not relation.aggregate.grouping_expressions
    return bool(is_total and relation.aggregate.group_type == type(relation.aggregate).GROUP_TYPE_GROUPBY)
