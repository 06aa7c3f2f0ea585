"""What a program asks Spark, as questions that have an identity: two with one identity have one answer.

An identity covers what is asked (the plan, in its canonical form), the data that it reads, the Python code in it, the
models and checkpoints that it refers to (by ids that are their own identities), and what the session holds.
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
from helix_spark.plans.classic_ways import need_classic
from helix_spark.plans.plan_chance import chance_in, choices_in, may_ask_user
from helix_spark.plans.plan_identity import identity_of
from helix_spark.plans.plan_messages import messages, parts_of, sort_of
from helix_spark.plans.plan_reads import functions_called, tables_named, view_name
from helix_spark.plans.program_client import Caller
from helix_spark.plans.sql_texts import asks_tables, spark_functions

PROGRAM_FORMAT = 8
"""Version of how questions are identified. Raise it when the same question would get another identity, or another
answer."""

Sort = Literal["fit", "rows", "table", "analysis", "setting", "effect"]


@dataclass(frozen=True, slots=True)
class Question:
    """Something that a program asks of Spark.

    Attributes:
        identity: hex SHA-256.
        sort: what is asked.
        what: the message that asks it.
        chance: why its answer may be another one each time, as phrases; none if it is the same.
        handles: ids of models and checkpoints in it, in order.
        reads: the data that it reads.
        code: the Python functions in it by their code, each with the identity of what it is known to read.
        asked: identity of what is asked, whatever these functions read; empty where it has none.
    """

    identity: str
    sort: Sort
    what: Any
    chance: tuple[str, ...] = ()
    handles: tuple[str, ...] = ()
    reads: tuple[SignedData, ...] = ()
    code: tuple[tuple[str, str], ...] = ()
    asked: str = ""

    def reading(self, code: tuple[tuple[str, str], ...]) -> Question:
        """Return the same question where its functions, as in `code`, read something else."""
        return self if code == self.code else replace(self, code=code, identity=_identity(self.asked, code))

    @property
    def handle(self) -> str:
        """The id that a program is given for the model or the checkpoint that answers it."""
        return f"{HANDLE}{self.identity}"


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """One question of this run, and how it was answered.

    Attributes:
        answer: as it is put on record; None if it is not, for one that was on record, too.
        seconds: that it took; of one on record those that reading it took.
        started: `time.perf_counter()` when it was asked.
        fresh: whether Spark answered it.
        why: if it is not put on record, the reason.
        left: what an effect left at its place.
        name: as a node of its run, once that is looked at; `inputs` the nodes that its answer is made from.
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
        """The kind of node that it is recorded as."""
        return {"fit": "learner", "effect": "write", "table": "table"}.get(self.question.sort, "answer")


@dataclass(slots=True)
class Signer:
    """Signs what one program asks.

    Attributes:
        around: identity of versions and settings around the program.
        state: of its session.
        data: versions of what it reads.
        functions: by its pickle, the code of each Python function that was written into a plan, as it was then.
        watched: what these functions read in workers.
        user: who runs what is asked; empty where nobody knows.
        doubtful: ids of models and checkpoints that another run would not have again: what is made of them is nobody
            else's answer.
        bindings: what names meant when a step of a plan was built, by its plan id.
        over_layout: whether rows keep their order and partitions; else what depends on these may be another each time.
    """

    around: str
    state: SessionState
    data: DataVersions
    functions: dict[bytes, FunctionCode] = field(default_factory=dict)
    watched: WatchedFunctions = field(default_factory=lambda: WatchedFunctions(lambda _: ""))
    user: str = ""
    doubtful: set[str] = field(default_factory=set)
    bindings: dict[int, Binding] = field(default_factory=dict)
    over_layout: bool = True

    def question(self, sort: Sort, what: Any, views: Mapping[str, View] | None = None) -> Question:
        """Return a question. Names in a step of a plan mean what they meant when it was built.

        Args:
            what: a command, a relation, or a part of a request to analyse one.
            views: those that names mean outside of such steps; else the session's.
        """
        binding = self.state.now if views is None else replace(self.state.now, views=views)
        found = _Parts()
        signed = deepcopy(what)
        parts, waiting = list[tuple[Any, Binding]](), [(signed, binding)]
        while waiting:  # from the top down, each message with what names in it mean
            one, its_binding = waiting.pop()
            if sort_of(one) == "Relation" and one.common.HasField("plan_id"):
                its_binding = self.bindings.get(one.common.plan_id, its_binding)
            parts.append((one, its_binding))
            waiting.extend((part, its_binding) for part in reversed(parts_of(one)))
        for one, its_binding in parts:
            self._look(one, its_binding, found)
        every = [one for one, _ in parts]
        found.chance += chance_in(every, user_known=bool(self.user))
        if not self.over_layout:
            found.chance += choices_in(every)
        # What it refers to counts by itself, whatever a canonical plan leaves out; in the plan stands which is which.
        numbers = {one: f"{at}" for at, one in enumerate(dict.fromkeys(found.handles))}
        numbered = with_handles(signed, numbers.items()) if numbers else signed
        # The settings by which steps were analysed, where these are not the session's.
        by_settings = groupby((its_binding for _, its_binding in parts), lambda one: id(one.settings))
        others = [next(those).settings_identity(of_analysis=True) for _, those in by_settings]
        if {self.state.now.settings_identity(of_analysis=True)}.issuperset(others):
            others = []
        asked = digest(digest(
            str(PROGRAM_FORMAT), self.around, sort, identity_of(numbered, found.code),
            self.state.now.settings_identity(), *others,
            *found.meanings(), *(one.identity.digest for one in found.reads),
            *((self.user,) if may_ask_user(every) else ()),
        ), *numbers)
        code = tuple(dict.fromkeys(found.sent))
        return Question(
            _identity(asked, code), sort, what, tuple(dict.fromkeys(found.chance)), tuple(found.handles),
            tuple(found.reads), code, asked,
        )

    def _send(self, code: str, found: _Parts) -> None:
        """Note a Python function that is sent to workers, with what it is known to read there."""
        found.sent.append((code, self.watched.identity(code)))
        found.chance += self.watched.unknown(code)

    def _names(self, one: Any, binding: Binding, found: _Parts) -> None:
        """Note what the names in a message mean that are no functions of Spark's own."""
        called = {name for name in functions_called(one) if name in binding.functions or name not in spark_functions()}
        for name in sorted(called & binding.functions.keys()):
            found.means.append((name, binding.functions[name]))
            for code in binding.code[name]:
                self._send(code, found)
        if called and binding.unknown:
            found.chance.append(f"comes after {binding.unknown}, which may have changed what its names mean")

    def _view(self, name: str, binding: Binding, found: _Parts) -> None:
        view = binding.views[name]
        shown = self.question("rows", view.shows, binding.views if view.views is None else view.views)
        found.means.append((name, shown.asked))
        found.chance += shown.chance
        found.reads += shown.reads
        found.sent += shown.code
        if binding.unknown:
            found.chance.append(f"comes after {binding.unknown}, which may have changed what its names mean")

    def _look(self, one: Any, binding: Binding, found: _Parts) -> None:
        self._names(one, binding, found)
        try:
            found.reads += self._reads(one, binding, found)
        except UnknownDataError as error:
            found.chance.append(str(error))
        if (handle := handle_in(one)) is not None:
            found.handles.append(handle)
            if handle in self.doubtful:
                found.chance.append("uses a model or a checkpoint that may be another one each time")
            elif not is_handle(handle) and handle != HELPER:
                found.chance.append("refers to something that Helix did not make")
        match sort_of(one):
            case "MlCommand.Fit":
                # Where its author names none, a fitted model names its column by the estimator's uid.
                stage, outputs = stage_class(one.estimator.name), {"outputCol", "outputCols"}
                has_output = stage is None or any(hasattr(stage, name) for name in outputs)
                if not has_output or outputs.intersection(one.params.params):
                    one.estimator.ClearField("uid")
            case "MlCommand.Evaluate":
                one.evaluator.ClearField("uid")
            case "PythonUDF" | "PythonUDTF" | "PythonDataSource":
                code = self.functions.get(one.command, _UNSEEN)
                found.code[one.command] = code.digest
                if code.digest:
                    self._send(code.digest, found)
                found.chance += code.chance
            case "Read.DataSource":
                self.name_source(one)
            case "Catalog":
                found.chance.append("asks the session's catalog")
            case "google.protobuf.Any":
                if "delta.connect" in one.type_url:
                    need_classic("delta.tables.DeltaTable")
                found.chance.append("asks a plug-in of the server")
            case "JavaUDF" | "ScalarScalaUDF":
                found.chance.append("calls code of the JVM, which nobody follows")
            case "Expression.ExpressionString":
                if asks_tables(one.expression):
                    found.chance.append("has a query inside an expression in SQL")

    def name_source(self, source: Any) -> None:
        """Name what is read in one way: a path is the same from its root and from the program's folder, and a csv file
        has no header unless somebody says so."""
        places = [on_this_machine(path, self.data.folder) for path in source.paths]
        if source.format in FILE_FORMATS and None not in places:
            folder = self.data.folder
            source.paths[:] = [
                str(one.relative_to(folder) if one.is_relative_to(folder) else one) for one in filter(None, places)
            ]
        if source.format == "csv" and source.options.get("header", "").lower() == "false":
            del source.options["header"]

    def _reads(self, one: Any, binding: Binding, found: _Parts) -> Iterator[SignedData]:
        may_read = sort_of(one) in ("Read.DataSource", "Read.NamedTable", "SQL", "MlRelation.Transform")
        listed = binding.data.get(read_key(one), ()) if binding.data and may_read else ()
        # A table reads files as they are, but those that there were when it was built.
        found.chance += (
            f"reads {read.shown}, which was changed after a table of it was built"
            for read in listed if read.changed() is not None
        )
        yield from listed or self.data_of(one, binding, lambda name: self._view(name, binding, found))

    def data_of(self, one: Any, binding: Binding, show: Callable[[str], None]) -> Iterator[SignedData]:
        """Yield the data that a message reads, as it is now; `show` is called with the name of each view that it reads
        instead. Raises UnknownDataError for data whose version is unknown."""
        match sort_of(one):
            case "Read.DataSource":
                yield self.data.of_source(one)
                return
            case "MlCommand.Read":
                yield self.data.of_folder(one.path)
                return
        if (names := tables_named(one)) is None:
            raise UnknownDataError("asks an SQL statement that cannot be parsed")
        for name in names:
            if (view := view_name(name)) in binding.views:
                show(view)
            elif view.removesuffix("()") not in binding.functions or not view.endswith("()"):
                yield self.data.of_table(name)


def _identity(asked: str, code: Iterable[tuple[str, str]]) -> str:
    """Return the identity of a question by what it asks and what its functions read, each once."""
    reads = [one for _, one in code if one]
    return digest(asked, *reads) if reads else asked


def read_key(one: Any) -> bytes:
    """Return what tells a message that reads data from others in its step."""
    return sort_of(one).encode() + bytes(one.SerializeToString(deterministic=True))


@dataclass(slots=True)
class _Parts:
    code: dict[bytes, str] = field(default_factory=dict)
    chance: list[str] = field(default_factory=list)
    handles: list[str] = field(default_factory=list)
    reads: list[SignedData] = field(default_factory=list)
    means: list[tuple[str, str]] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)

    def meanings(self) -> Iterator[str]:
        """Return what names mean; each once, unless one means several things in several places."""
        once = dict.fromkeys(self.means)
        several = len({name for name, _ in once}) < len(once)
        return (part for pair in (self.means if several else sorted(once)) for part in pair)


@dataclass(frozen=True, slots=True)
class FunctionCode:
    """The code of a Python function with all that it reached at a time.

    Attributes:
        digest: its identity; empty where it has none.
        chance: why what the function gives may differ each time, as phrases.
        is_pure: whether all of it is known to be pure.
    """

    digest: str
    chance: tuple[str, ...] = ()
    is_pure: bool = False


_UNSEEN = FunctionCode("", ("has Python code in it that nobody saw",))


def code_of(function: Any) -> FunctionCode:
    """Trace the code of a Python function."""
    try:
        traced = trace(function, node=getattr(function, "__name__", "function"))
    except SignatureError as error:
        return FunctionCode("", (f"has Python code in it that cannot be identified ({error.what})",))
    return FunctionCode(traced.digest, (*traced.random, *traced.unfollowed), not traced.doubtful)


# Forms of answers ----------------------------------------------------------------------------------------------------

def form_of(question: Question) -> AnswerForm:
    """Return what the answer to a question has to be."""
    what = question.what
    match question.sort:
        case "analysis":
            fields = pb.AnalyzePlanRequest.DESCRIPTOR.oneofs_by_name["analyze"].fields
            names = {f"AnalyzePlanRequest.{one.message_type.name}": one.name for one in fields}
            return AnswerForm("analyze", names[sort_of(what)])
        case "setting":
            kind = what.WhichOneof("op_type")
            asked = getattr(what, kind)
            if kind == "get_with_default":
                return AnswerForm("config", keys=tuple(pair.key for pair in asked.pairs))
            has_keys = kind in ("get", "get_option", "is_modifiable")
            return AnswerForm("config", keys=tuple(asked.keys) if has_keys else None)
    parts: list[Any] = [one for one in messages(what) if sort_of(one) == "CollectMetrics"]
    form = AnswerForm("execute", handle=question.handle, observed=frozenset(one.name for one in parts))
    if sort_of(what) == "Relation":
        is_text = what.WhichOneof("rel_type") in ("show_string", "html_string")
        return replace(form, result="arrow_batch", handle="", rows=int(has_one_row(what)), is_text=is_text)
    if (command := ml_command(what)) is None:
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
            params = {name: one for name, one in members.items() if isinstance(one, Param)}
            is_model = operator.type == type(operator).OPERATOR_TYPE_MODEL
            return replace(form, ml="model" if is_model else "stage", params=params)
    return form


def has_one_row(relation: Any) -> bool:
    """Return whether a relation is an aggregate of all rows, which has one whatever they are."""
    is_total = relation.WhichOneof("rel_type") == "aggregate" and not relation.aggregate.grouping_expressions
    return bool(is_total and relation.aggregate.group_type == type(relation.aggregate).GROUP_TYPE_GROUPBY)
