"""What a function of tables and columns built when it was called, in place of its inputs with placeholders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from helix_spark.plans.plan_columns import Columns
from helix_spark.plans.plan_messages import Message, messages, sort_of
from helix_spark.workflow.operators import Function

Input = Literal["table", "column", "other"]
"""What a function gets: a placeholder of a table or a column, or anything else as it is."""


@dataclass(frozen=True, slots=True)
class CallInputs:
    """What a function of tables and columns is called with.

    Attributes:
        inputs: by parameter, in the node's order, what it is.
        settings: those of Spark that are known.
        columns: those of input tables, by position, as far as they are known.
        signatures: of input tables, by position; without them nothing that the function asks has an answer.
        is_known: whether what it builds is known; then its tables are not analysed one by one.
    """

    inputs: Mapping[str, Input]
    settings: Mapping[str, str]
    columns: Mapping[int, Columns | None] = field(default_factory=dict)
    signatures: Mapping[int, str] = field(default_factory=dict)
    is_known: bool = False


@dataclass(frozen=True, slots=True)
class CapturedFunction:
    """What a function of tables and columns built.

    Attributes:
        plan: as it is signed: inputs stand in it by their names, Python functions by their place in `code`.
        identity: of the plan, of what names in it mean, and of all functions that it registers: others may call them.
        code: the Python functions in it.
        chance: why its rows may differ each time, as phrases.
        order: what in it depends on the order of rows, as phrases.
        lines: what it says, for people.
        functions: names of the Python functions that it leaves in the session.
        registers: whether it leaves views or Python functions in the session.
        origin: of a table that a script can say (`answers.script_terms.ScriptOrigin`).
        unsigned: why the plan does not say what it gives, as what follows "it"; empty if it does.
        drew: whether it drew numbers while it was called.
        seconds: that it took to be called.
        choices: why several results are right, as phrases (`plan_chance.choices_in`).
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
        """True if it is an expression, and no table."""
        return sort_of(self.plan) == "Expression"

    @property
    def is_slow(self) -> bool:
        return self.seconds > 0.5  # most take a thousandth of that

    def place_of(self, column: str) -> str:
        """Return where its author names a column, as ``FILE:LINE``; empty if nowhere."""
        named = {column, f"`{column}`"}
        for one in messages(self.plan):
            if sort_of(one) == "Expression" and one.unresolved_attribute.unparsed_identifier in named:
                return str(one.common.origin.python_origin.call_site)
        return ""


@dataclass(frozen=True, slots=True)
class RecordedFunction:
    """What a function of tables and columns built in an earlier run, as that recorded it. It is planned with, and never
    executed: before anything is computed its function is called.

    Attributes:
        description: what identifies it (`identity.code.Description`).
        columns: of the table; None if they are unknown.
        is_column: True if it is an expression, and no table.
        has_code: True if Python functions are in it.
    """

    description: Any
    columns: Columns | None
    is_column: bool
    has_code: bool


@dataclass(frozen=True, slots=True)
class SparkFunction(Function):
    """A function of tables and columns that is known by what it built when it was called on placeholders. A function
    that asks Spark something before it returns has built None: what it builds is known once that is answered."""

    given: CallInputs = field(kw_only=True, compare=False)
    built: CapturedFunction | RecordedFunction | None = field(default=None, kw_only=True, compare=False)


@dataclass(frozen=True, slots=True)
class NotCaptured:
    """Why what a function builds is not known.

    Attributes:
        why: as the end of a sentence that begins with the function.
        asks: whether it would be known if Spark answered what it asks first.
    """

    why: str
    asks: bool = False
