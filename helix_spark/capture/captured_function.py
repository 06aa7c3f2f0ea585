"""A function of tables, called on stand-ins for its inputs: what it built, and what that says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from helix_spark.capture import connect_client as client
from helix_spark.capture.named_functions import NamedFunction, by_names, keys_in
from helix_spark.capture.own_columns import of_either_side
from helix_spark.capture.plan_chance import chance_in
from helix_spark.capture.plan_columns import Columns
from helix_spark.capture.plan_identity import identity_of
from helix_spark.capture.plan_messages import messages, sort_of
from helix_spark.capture.plan_reads import reads_elsewhere
from helix_spark.capture.plan_words import Line, lines_of
from helix_spark.capture.recorded_call import UDF, Asks, Recording
from helix_spark.capture.written_plan import Plan, PlanWriter, parts_of_plan, plan_id, relation_of
from helix_spark.hermetic.action import Action, in_action
from helix_spark.workflow.operators import Function

if TYPE_CHECKING:
    from google.protobuf.message import Message

Input = Literal["table", "column"]


SLOW_SECONDS = 0.5
"""To call a function of Spark's tables; most take a thousandth of that."""


@dataclass(frozen=True, slots=True)
class StandIns:
    """What a function of tables and columns is called with.

    Attributes:
        inputs: by parameter, in the node's order, what it is.
        settings: those of Spark that are known.
        columns: those of input tables, by position, as far as they are known.
    """

    inputs: Mapping[str, Input]
    settings: Mapping[str, str]
    columns: Mapping[int, Columns | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CapturedFunction:
    """What a function of tables and columns built of stand-ins.

    Attributes:
        returned: the table or the expression, of the recording client; `written` turns it into a plan to run.
        plan: the plan that is signed; Python functions stand in it by their place in `code`.
        code: the Python functions in it.
        chance: why its rows may differ each time, as phrases.
        lines: what it says, for people.
        settings: of Spark, as they were known when it was called.
        told: tables that it asked for their columns, and what it was told.
        own: of an expression, the id of the table that it is of; of a table None.
        registered: tables that it leaves in the session as views, by their names.
        functions: Python functions that it leaves in the session.
        functions_signed: these, as expressions in which they stand by their places in `code`.
        drew: whether it drew numbers while it was called.
        seconds: that it took to be called.
    """

    returned: Any
    plan: Message
    code: tuple[Any, ...]
    chance: tuple[str, ...]
    lines: tuple[Line, ...]
    settings: Mapping[str, str]
    told: tuple[tuple[Any, Columns], ...]
    own: int | None
    registered: Mapping[str, Any] = field(default_factory=dict)
    functions: tuple[NamedFunction, ...] = ()
    functions_signed: tuple[Message, ...] = ()
    drew: bool = False
    seconds: float = 0.0

    @property
    def is_column(self) -> bool:
        """Whether it is an expression, and no table."""
        return sort_of(self.plan) == "Expression"

    @property
    def is_slow(self) -> bool:
        """Whether it was slow to call."""
        return self.seconds > SLOW_SECONDS

    def identity(self, code: Sequence[str]) -> str:
        """Of the plan (see `identity_of`), and of all functions that it registers: others may call them, too.

        Args:
            code: the identities of its Python functions, in their order.
        """
        named = {f"{UDF}{place}".encode(): one for place, one in enumerate(code)}
        return identity_of(self.plan, named, self.own, self.functions_signed)

    def place_of(self, column: str) -> str:
        """Where its author names a column, as ``FILE:LINE``; empty where nobody does."""
        named = {column, f"`{column}`"}
        for message in messages(self.plan):
            one: Any = message
            if sort_of(message) == "Expression" and one.unresolved_attribute.unparsed_identifier in named:
                return str(one.common.origin.python_origin.call_site)
        return ""

    def asked(self, tables: Mapping[int, str]) -> Iterator[tuple[Plan, Columns]]:
        """The plans of the tables that it asked for their columns, to be asked of Spark, and what it was told."""
        writer = PlanWriter(tables, {}, self.settings)
        for frame, names in self.told:
            yield self._with_functions(parts_of_plan(frame, writer), writer), names

    def views(self, tables: Mapping[int, str]) -> Iterator[tuple[str, Plan]]:
        """The views that it leaves in the session: their names and plans."""
        writer = PlanWriter(tables, {}, self.settings)
        for name, frame in self.registered.items():
            yield name, self._with_functions(parts_of_plan(frame, writer), writer)

    def named_functions(self) -> Iterator[tuple[str, bytes]]:
        """The functions that it leaves in the session: their names, and calls of them as of `Plan`."""
        for one in self.functions:
            yield one.name, self._written_function(one, PlanWriter({}, {}, self.settings))

    def written(self, tables: Mapping[int, str], columns: Mapping[int, str]) -> Plan:
        """The plan as a server is told of it; see `PlanWriter`."""
        writer = PlanWriter(tables, columns, self.settings)
        if not self.is_column:
            return self._with_functions(parts_of_plan(self.returned, writer), writer)
        plan = client.expression_of(self.returned, writer)
        client.name_by_itself(plan)
        return self._with_functions((("", plan.SerializeToString()),), writer)

    def _with_functions(self, plan: Plan, writer: PlanWriter) -> Plan:
        """A plan with the functions that it calls by their keys."""
        called = [one for one in self.functions if any(one.key.encode() in part for _, part in plan)]
        return (*((one.key, self._written_function(one, writer)) for one in called), *plan)

    def _written_function(self, one: NamedFunction, writer: PlanWriter) -> bytes:
        written: bytes = client.expression_of(one.call(), writer).SerializeToString()
        return written


@dataclass(frozen=True, slots=True)
class BuiltFunction(Function):
    """A function of the author's that was called on stand-ins, and what it built."""

    built: CapturedFunction = field(kw_only=True, compare=False)


@dataclass(frozen=True, slots=True)
class AskingFunction(Function):
    """A function of the author's that asks Spark about tables that it builds, before it returns. What it builds is
    known once that is answered.

    Attributes:
        given: what it is called with.
    """

    given: StandIns = field(kw_only=True, compare=False)


@dataclass(frozen=True, slots=True)
class NotCaptured:
    """Why what a function builds is not known without running it.

    Attributes:
        why: as the end of a sentence that begins with the function.
        asks: whether it would be known if Spark answered what it asks first.
        error: what the function raised.
    """

    why: str
    asks: bool = False
    error: Exception | None = None


Answers = Callable[[Asks, CapturedFunction], "Sequence[Any] | None"]
"""Answers what is asked about a table, by messages of a server's (`spark.connect.ExecutePlanResponse`,
`AnalyzePlanResponse`); None where it cannot."""


def capture(
    function: Callable[..., Any], given: StandIns, action: Action | None = None, answers: Answers | None = None,
) -> CapturedFunction | NotCaptured:
    """Calls a function of tables and columns on stand-ins, and writes down what it builds.

    Args:
        action: what its draws follow from, and whether it is watched; None where neither matters.
        answers: answers what it asks of Spark.
    """
    action = Action("", watched=False) if action is None else action
    client.make_ready()
    with in_action(action):
        found = call_on_stand_ins(function, given, answers)
    return replace(found, drew=action.drew) if isinstance(found, CapturedFunction) else found


def call_on_stand_ins(
    function: Callable[..., Any], given: StandIns, answers: Answers | None = None
) -> CapturedFunction | NotCaptured:
    """See `capture`; but the caller sees to what the function draws."""
    into = Recording(given.settings, given.columns)
    if answers is not None:
        into.answer = _answering(into, answers)
    with client.recording(into):
        arguments = {
            name: client.stand_in_table(place) if sort == "table" else client.stand_in_column(place)
            for place, (name, sort) in enumerate(given.inputs.items())
        }
        first = next((plan_id(one) for one in arguments.values() if client.is_frame(one)), None)
        begun = time.perf_counter()
        try:
            returned = function(**arguments)
            seconds = time.perf_counter() - begun
            found = _looked_at(returned, into, first)
        except Exception as error:  # noqa: BLE001 - whatever the author's code raises, the run itself raises it, too
            why = f"cannot be called on stand-ins ({type(error).__name__}: {_first_line(error)})"
            found = NotCaptured(why, error=error)
    # Whether it caught the error or not: what it returned may rest on an answer that nobody gave.
    if into.questions:
        raised = found.error if isinstance(found, NotCaptured) else None
        return NotCaptured(f"asks Spark for {into.questions[0]}", into.unanswered[:1] == into.questions[:1], raised)
    return replace(found, seconds=seconds) if isinstance(found, CapturedFunction) else found


def _answering(into: Recording, answers: Answers) -> Callable[[Asks, Any], Sequence[Any] | None]:
    """Has what is asked about a table answered, where the plan of that table says all that the answer rests on."""
    def answer(asks: Asks, frame: Any) -> Sequence[Any] | None:
        before, into.code = into.code, []
        try:
            asked = _looked_at(frame, into, None)
        finally:
            into.code = before
        if isinstance(asked, NotCaptured) or asked.chance or _observes(asked.plan):
            return None
        return answers(asks, replace(asked, registered={}))

    return answer


def _observes(plan: Message) -> bool:
    """Whether what is asked about a table also tells somebody else of its rows (`DataFrame.observe`)."""
    return any(sort_of(one) == "CollectMetrics" for one in messages(plan))


def _looked_at(returned: Any, into: Recording, first: int | None) -> CapturedFunction | NotCaptured:
    """What a function returned.

    Args:
        first: the plan id of the table that an extractor extends.
    """
    if client.is_column(returned):
        if into.registered:
            return NotCaptured("registers views, and returns a column")
        if client.has_subquery(returned):
            return NotCaptured("has a query inside its column")
        plan: Any = client.expression_of(returned)
        if any(one.plan_id != first for one in client.references(plan)):
            return NotCaptured("names columns of other tables than its own")
    elif client.is_frame(returned):
        plan, first = relation_of(returned), None
    else:
        return NotCaptured(f"returns a {type(returned).__name__}")
    parts = list(messages(plan))
    functions = tuple(into.functions.values())
    if (strange := next(_strange_keys(parts, functions), None)) is not None:
        return NotCaptured(f"calls {by_names(strange)}, which another call registered")
    signed = tuple(client.expression_of(one.call()) for one in functions)
    if (read := next(reads_elsewhere(parts), None)) is not None:
        return NotCaptured(f"reads {read} by itself")
    relations = [part for part in parts if sort_of(part) == "Relation"]
    if any(map(_is_function_of_a_table, relations)):
        return NotCaptured("joins a table function by a column of a table, which plans of Connect do not tell")
    if (column := next(filter(None, map(of_either_side, relations)), None)) is not None:
        return NotCaptured(f"joins a table with itself by {column}, which may be of either side (give both an alias)")
    chance = chance_in([*parts, *(part for one in signed for part in messages(one))])
    return CapturedFunction(
        returned, plan, tuple(into.code), chance, lines_of(plan), into.settings, tuple(into.told), first,
        dict(into.registered), functions, signed,
    )


def _strange_keys(parts: Iterable[Message], functions: Iterable[NamedFunction]) -> Iterator[str]:
    """Keys of functions in SQL that was written in another call, and kept."""
    known = {one.key for one in functions}
    for message in parts:
        one: Any = message
        sort = sort_of(message)
        text = one.expression if sort == "Expression.ExpressionString" else one.query if sort == "SQL" else ""
        yield from (key for key in keys_in(text) if key not in known)


def _is_function_of_a_table(relation: Any) -> bool:
    """Whether rows are joined with what a Python table function makes of a column that is named by its table, as
    ``rows.lateralJoin(twice(rows.age.outer()))``: in a plan of Connect it is looked for on the wrong side."""
    joined = relation.lateral_join.right if relation.WhichOneof("rel_type") == "lateral_join" else None
    if joined is None or joined.WhichOneof("rel_type") != "common_inline_user_defined_table_function":
        return False
    given = joined.common_inline_user_defined_table_function.arguments
    return any(True for one in given for _ in client.references(one))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200]
