"""The fields that an answer may have, checked one by one.

Messages that are not listed below are refused, those of a later PySpark too, until somebody has looked at what the
client does with them; `tests/unit/test_answer_gate.py` says which texts in the listed ones reach the client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

from helix_spark.plans.plan_messages import sort_of
from helix_spark.visible_text import CONTROL, visible

HANDLE = "helix-"
"""Begins the ids of models and checkpoints that a program is given: the identity of what made them follows."""

_MOST_MESSAGES = 50_000
_DEEPEST = 64
"""Messages inside each other; each level of a nested type takes three. Protocol buffers allow a hundred."""


class StrangeAnswerError(ValueError):
    """An answer that the gate does not let through."""


_MESSAGES = frozenset({
    "ExecutePlanResponse", "ExecutePlanResponse.ArrowBatch", "ExecutePlanResponse.ObservedMetrics", "MlCommandResult",
    "MlCommandResult.MlOperatorInfo", "MlParams", "ObjectRef", "CheckpointCommandResult", "CachedRemoteRelation",
    "AnalyzePlanResponse", "ConfigResponse", "KeyValue", "Bools", "Ints", "Longs", "Floats", "Doubles", "Strings",
    *(f"AnalyzePlanResponse.{name}" for name in (
        "Schema", "Explain", "TreeString", "IsLocal", "IsStreaming", "InputFiles", "SparkVersion", "DDLParse",
        "SameSemantics", "SemanticHash", "JsonToDDL",
    )),
    "Expression.Literal",
    *(f"Expression.Literal.{name}" for name in ("Decimal", "Time", "Array", "Map", "Struct", "SpecializedArray")),
    "DataType",
    *(f"DataType.{name}" for name in (
        "NULL", "Binary", "Boolean", "Byte", "Short", "Integer", "Long", "Float", "Double", "Decimal", "String", "Char",
        "VarChar", "Date", "Time", "Timestamp", "TimestampNTZ", "CalendarInterval", "YearMonthInterval",
        "DayTimeInterval", "Array", "Struct", "StructField", "Map", "Variant", "Geometry", "Geography", "UDT",
    )),
})
"""What an answer may be made of."""

_REFUSED = frozenset({
    "DataType.UDT.serialized_python_class", "ExecutePlanResponse.ObservedMetrics.root_error_idx",
    "Expression.Literal.year_month_interval",
})
"""Fields that it may not have: the client unpickles the first, and looks for errors by the second."""


def is_printable(text: str) -> bool:
    """True if no terminal obeys a text that a client prints."""
    return _OBEYED.search(text) is None


_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda text: re.fullmatch(pattern, text) is not None


def _is_metadata(text: str) -> bool:
    """True if a text is JSON, no deeper than people nest it."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    steps = ({"{": 1, "[": 1}.get(one, -1) for one in _BRACKET.findall(_JSON_TEXT.sub("", text)))
    return max(accumulate(steps), default=0) <= _DEEPEST_JSON


_BRACKET, _JSON_TEXT = re.compile(r"[\[\]{}]"), re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_DEEPEST_JSON = 50

_ID = f"{HANDLE}[0-9a-f]{{64}}(_[0-9]{{1,6}})?"
_is_id = _matches(f"{_ID}(,{_ID})*")
is_handle = _matches(_ID)
"""Whether an id is one by which a program knows a model or a checkpoint."""

_TEXTS: Mapping[str, Callable[[str], bool]] = {
    "MlCommandResult.summary": is_printable,
    "MlCommandResult.MlOperatorInfo.name": _matches(r"org\.apache\.spark\.ml\.[\w.$]{1,200}"),
    "MlCommandResult.MlOperatorInfo.uid": lambda text: len(text) <= 1_000 and CONTROL.search(text) is None,
    "ObjectRef.id": _is_id,
    "CachedRemoteRelation.relation_id": _is_id,
    "AnalyzePlanResponse.Explain.explain_string": is_printable,
    "AnalyzePlanResponse.TreeString.tree_string": is_printable,
    "AnalyzePlanResponse.InputFiles.files": is_printable,
    "AnalyzePlanResponse.SparkVersion.version": _matches(r"[\w.+-]{1,100}"),
    "AnalyzePlanResponse.JsonToDDL.ddl_string": is_printable,
    "KeyValue.key": is_printable,
    "KeyValue.value": is_printable,
    "Expression.Literal.Decimal.value": _matches(r"[-+]?[0-9.]{1,80}([eE][-+]?[0-9]{1,3})?"),
    "DataType.String.collation": _matches(r"\w{1,100}"),
    "DataType.StructField.metadata": _is_metadata,
    "DataType.UDT.type": _matches("udt"),
    "DataType.UDT.jvm_class": _matches(r"org\.apache\.spark\.(ml|mllib)\.linalg\.(Vector|Matrix)UDT"),
    "DataType.UDT.python_class": _matches(r"pyspark\.(ml|mllib)\.linalg\.(Vector|Matrix)UDT"),
}
"""What texts have to be that the client prints, imports or refers to."""

_DROPPED = frozenset(
    f"{response}.{name}" for response in ("ExecutePlanResponse", "AnalyzePlanResponse", "ConfigResponse") for name in (
        "session_id", "server_side_session_id", "operation_id", "response_id", "metrics", "execution_progress",
        "result_complete",
    )
)
"""Fields that say something of one session alone."""

_SCHEMAS = frozenset({"AnalyzePlanResponse.schema", "ExecutePlanResponse.schema"})


@dataclass(slots=True)
class AnswerCheck:
    """Checks the messages of one answer, and takes out what no recorded answer has.

    Attributes:
        observed: names of the observations that it may have; others are dropped.
    """

    observed: frozenset[str] = frozenset()
    _messages: int = 0

    def clean(self, message: Any, depth: int = 0) -> None:
        """Clean a response in place. Raises StrangeAnswerError for what no recorded answer has."""
        name = sort_of(message)
        self._messages += 1
        if self._messages > _MOST_MESSAGES or depth > _DEEPEST:
            raise StrangeAnswerError(f"it has more than {_MOST_MESSAGES:,} parts, or {_DEEPEST} inside each other")
        if name not in _MESSAGES:
            raise StrangeAnswerError(f"it has a {name}, which no recorded answer has")
        if name == "ExecutePlanResponse":
            known = [one for one in message.observed_metrics if one.name in self.observed]
            del message.observed_metrics[:]
            message.observed_metrics.extend(known)
        for descriptor, value in message.ListFields():
            path = f"{name}.{descriptor.name}"
            if path in _DROPPED:
                message.ClearField(descriptor.name)
            elif descriptor.message_type is None:
                _check_texts(message, path, list(value) if descriptor.is_repeated else [value])
            elif path in _SCHEMAS:
                kind: Any = type(value)
                _check_schema(kind, value.SerializeToString(deterministic=True))
            elif descriptor.message_type.GetOptions().map_entry:
                for key in value:
                    self.clean(value[key], depth + 1)
            else:
                for one in value if descriptor.is_repeated else (value,):
                    self.clean(one, depth + 1)


def _check_texts(message: Any, path: str, values: list[Any]) -> None:
    name, check = path.rpartition(".")[2], _TEXTS.get(path)
    if path in _REFUSED or (check is not None and not all(map(check, values))):
        raise StrangeAnswerError(f"it has the {name.replace('_', ' ')} {str(values)[:80]}")
    if name == "warnings":
        message.warnings[:] = map(_warning, values[:_MOST_WARNINGS])
    elif name == "warning_message":
        message.warning_message = _warning(values[0])


@lru_cache(maxsize=64)
def _check_schema(kind: type, serialized: bytes) -> None:
    """Check a schema; most answers of a program share a few."""
    schema: Any = kind()
    schema.ParseFromString(serialized)
    AnswerCheck().clean(schema)


def _warning(text: str) -> str:
    return visible(text)[:_LONGEST_WARNING]


_MOST_WARNINGS, _LONGEST_WARNING = 10, 2_000
