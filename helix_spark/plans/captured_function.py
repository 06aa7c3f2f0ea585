"""The plan that a function of tables and columns built when it was called on placeholders of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from helix_spark.plans.plan_columns import Columns
from helix_spark.plans.plan_messages import Message, messages, type_of
from helix_spark.workflow.operators import Function

Input = Literal["table", "column", "other"]
"""A placeholder of a table or a column, or another value as it is."""


@dataclass(frozen=True, slots=True)
class CallInputs:
    """Inputs of a call of a function of tables and columns.

    Attributes:
        inputs: kind of each parameter's input, in the node's order.
        settings: the known settings of Spark.
        columns: columns of input tables, by position; None where unknown.
        signatures: of input tables, by position; without them none of the function's requests has an answer.
        is_known: True if the function's plan is known; then its tables are not analysed one by one.
    """

    inputs: Mapping[str, Input]
    settings: Mapping[str, str]
    columns: Mapping[int, Columns | None] = field(default_factory=dict)
    signatures: Mapping[int, str] = field(default_factory=dict)
    is_known: bool = False


@dataclass(frozen=True, slots=True)
class CapturedFunction:
    """The plan that a function of tables and columns built.

    Attributes:
        plan: with placeholders for inputs, and for Python functions by their position in `code`.
        identity: of the plan, of the names in it, and of all functions that it registers: other nodes may call them.
        code: the Python functions in it.
        chance: why its rows may differ in each run, as phrases.
        lines: its steps, for people.
        functions: names of the Python functions that it leaves in the session.
        registers: True if it leaves views or Python functions in the session.
        origin: of a table that a script can build, too (`answers.script_terms.ScriptOrigin`).
        unsigned: why the plan does not determine the result, as a phrase that follows "it"; else empty.
        drew: True if the call drew random numbers.
        seconds: duration of the call.
        choices: why several results are right, as phrases (`nondeterminism.choices_in`).
    """

    plan: Message
    identity: str
    code: tuple[Any, ...]
    chance: tuple[str, ...]
    lines: tuple[str, ...]
    functions: tuple[str, ...]
    registers: bool
    origin: Any = None
    unsigned: str = ""
    drew: bool = False
    seconds: float = 0.0
    choices: tuple[str, ...] = ()

    @property
    def has_code(self) -> bool:
        return bool(self.code)

    @property
    def is_column(self) -> bool:
        """True if the plan is an expression, and no table."""
        return type_of(self.plan) == "Expression"

    @property
    def is_slow(self) -> bool:
        return self.seconds > 0.5  # most take a thousandth of that

    def place_of(self, column: str) -> str:
        """Return where the function names a column, as ``FILE:LINE``; empty if nowhere."""
        names = {column, f"`{column}`"}
        for part in messages(self.plan):
            if type_of(part) == "Expression" and part.unresolved_attribute.unparsed_identifier in names:
                return str(part.common.origin.python_origin.call_site)
        return ""


@dataclass(frozen=True, slots=True)
class RecordedFunction:
    """The record of a plan that a function of tables and columns built in an earlier run. It serves planning alone:
    before anything is computed the function is called.

    Attributes:
        description: its identity (`identity.code.Description`).
        columns: of the table; None if unknown.
        is_column: True if it is an expression, and no table.
        has_code: True if Python functions are in it.
    """

    description: Any
    columns: Columns | None
    is_column: bool
    has_code: bool


@dataclass(frozen=True, slots=True)
class SparkFunction(Function):
    """A function of tables and columns, identified by the plan that it built on placeholders. `built` is None for a
    function that sends Spark a request: its plan is known once that is answered."""

    call_inputs: CallInputs = field(kw_only=True, compare=False)
    built: CapturedFunction | RecordedFunction | None = field(default=None, kw_only=True, compare=False)


@dataclass(frozen=True, slots=True)
class NotCaptured:
    """Why the plan of a function is unknown.

    Attributes:
        why: the end of a sentence that begins with the function.
        asks: True if the plan would be known once Spark answered the function's request.
    """

    why: str
    asks: bool = False
