"""Copies of answers, made field by field of what an answer may have.

What the tables below do not list is dropped where it belongs to one session, and refused otherwise: so is a field of a
later PySpark, until somebody has looked at what the client does with it.
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


def _any(value: Any) -> bool:
    return True


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
_ALL = dict.fromkeys
_VARIATION = {"type_variation_reference": _any}

_FIELDS: Mapping[str, Mapping[str, Callable[[Any], bool]]] = {
    "ExecutePlanResponse": _ALL(
        ("schema", "arrow_batch", "ml_command_result", "checkpoint_command_result", "observed_metrics"), _any
    ),
    "ExecutePlanResponse.ArrowBatch": _ALL(
        ("row_count", "data", "start_offset", "chunk_index", "num_chunks_in_batch"), _any
    ),
    "ExecutePlanResponse.ObservedMetrics": _ALL(("name", "values", "keys", "plan_id"), _any),
    "MlCommandResult": {"param": _any, "summary": is_printable, "operator_info": _any},
    "MlCommandResult.MlOperatorInfo": {
        "obj_ref": _any, "name": _matches(r"org\.apache\.spark\.ml\.[\w.$]{1,200}"),
        "uid": lambda text: len(text) <= 1_000 and CONTROL.search(text) is None, "params": _any,
        "warning_message": _any,
    },
    "MlParams": {"params": _any},
    "ObjectRef": {"id": _is_id},
    "CheckpointCommandResult": {"relation": _any},
    "CachedRemoteRelation": {"relation_id": _is_id},
    "AnalyzePlanResponse": _ALL(
        ("schema", "explain", "tree_string", "is_local", "is_streaming", "input_files", "spark_version", "ddl_parse",
         "same_semantics", "semantic_hash", "json_to_ddl"), _any
    ),
    "AnalyzePlanResponse.Schema": {"schema": _any},
    "AnalyzePlanResponse.Explain": {"explain_string": is_printable},
    "AnalyzePlanResponse.TreeString": {"tree_string": is_printable},
    "AnalyzePlanResponse.IsLocal": {"is_local": _any},
    "AnalyzePlanResponse.IsStreaming": {"is_streaming": _any},
    "AnalyzePlanResponse.InputFiles": {"files": is_printable},
    "AnalyzePlanResponse.SparkVersion": {"version": _matches(r"[\w.+-]{1,100}")},
    "AnalyzePlanResponse.DDLParse": {"parsed": _any},
    "AnalyzePlanResponse.SameSemantics": {"result": _any},
    "AnalyzePlanResponse.SemanticHash": {"result": _any},
    "AnalyzePlanResponse.JsonToDDL": {"ddl_string": is_printable},
    "ConfigResponse": {"pairs": _any, "warnings": _any},
    "KeyValue": {"key": is_printable, "value": is_printable},
    "Expression.Literal": _ALL(
        ("null", "binary", "boolean", "byte", "short", "integer", "long", "float", "double", "decimal", "string",
         "date", "time", "timestamp", "timestamp_ntz", "day_time_interval", "array", "map", "struct",
         "specialized_array", "data_type"), _any
    ),
    "Expression.Literal.Decimal": {
        "value": _matches(r"[-+]?[0-9.]{1,80}([eE][-+]?[0-9]{1,3})?"), "precision": _any, "scale": _any
    },
    "Expression.Literal.Time": _ALL(("nano", "precision"), _any),
    "Expression.Literal.Array": _ALL(("element_type", "elements"), _any),
    "Expression.Literal.Map": _ALL(("key_type", "value_type", "keys", "values"), _any),
    "Expression.Literal.Struct": _ALL(("struct_type", "elements"), _any),
    "Expression.Literal.SpecializedArray": _ALL(("bools", "ints", "longs", "floats", "doubles", "strings"), _any),
    **_ALL(("Bools", "Ints", "Longs", "Floats", "Doubles", "Strings"), {"values": _any}),
    "DataType": _ALL(
        ("null", "binary", "boolean", "byte", "short", "integer", "long", "float", "double", "decimal", "string",
         "char", "var_char", "date", "time", "timestamp", "timestamp_ntz", "calendar_interval", "year_month_interval",
         "day_time_interval", "array", "struct", "map", "variant", "udt", "geometry", "geography"), _any
    ),
    **_ALL(
        tuple(f"DataType.{name}" for name in (
            "NULL", "Binary", "Boolean", "Byte", "Short", "Integer", "Long", "Float", "Double", "Date", "Timestamp",
            "TimestampNTZ", "CalendarInterval", "Variant",
        )), _VARIATION,
    ),
    "DataType.Decimal": {"precision": _any, "scale": _any, **_VARIATION},
    "DataType.String": {"collation": _matches(r"\w{1,100}"), **_VARIATION},
    "DataType.Char": {"length": _any, **_VARIATION},
    "DataType.VarChar": {"length": _any, **_VARIATION},
    "DataType.Time": {"precision": _any, **_VARIATION},
    "DataType.YearMonthInterval": {"start_field": _any, "end_field": _any, **_VARIATION},
    "DataType.DayTimeInterval": {"start_field": _any, "end_field": _any, **_VARIATION},
    "DataType.Array": {"element_type": _any, "contains_null": _any, **_VARIATION},
    "DataType.Struct": {"fields": _any, **_VARIATION},
    "DataType.StructField": {"name": _any, "data_type": _any, "nullable": _any, "metadata": _is_metadata},
    "DataType.Map": {"key_type": _any, "value_type": _any, "value_contains_null": _any, **_VARIATION},
    "DataType.Geometry": {"srid": _any, **_VARIATION},
    "DataType.Geography": {"srid": _any, **_VARIATION},
    "DataType.UDT": {
        "type": _matches("udt"), "sql_type": _any,
        "jvm_class": _matches(r"org\.apache\.spark\.(ml|mllib)\.linalg\.(Vector|Matrix)UDT"),
        "python_class": _matches(r"pyspark\.(ml|mllib)\.linalg\.(Vector|Matrix)UDT"),
    },
}
"""By message, the fields that an answer may have, each with a check of its values."""

_OF_ONE_SESSION = frozenset({
    "session_id", "server_side_session_id", "operation_id", "response_id", "metrics", "execution_progress",
    "result_complete",
})
"""Fields of a response that are dropped."""


_RESPONSES = frozenset({"ExecutePlanResponse", "AnalyzePlanResponse", "ConfigResponse"})


@dataclass(slots=True)
class AnswerCopies:
    """Copies the messages of one answer.

    Attributes:
        observed: names of the observations that it may have; others are dropped.
    """

    observed: frozenset[str]
    _messages: int = 0

    def copy(self, response: Any) -> Any:
        """The copy of a response. Raises StrangeAnswerError for what no recorded answer has."""
        copy = type(response)()
        self._fill(copy, response, 0)
        return copy

    def _fill(self, copy: Any, message: Any, depth: int) -> None:
        name = sort_of(message)
        allowed = _FIELDS.get(name, {})
        self._messages += 1
        if self._messages > _MOST_MESSAGES or depth > _DEEPEST:
            raise StrangeAnswerError(f"it has more than {_MOST_MESSAGES:,} parts, or {_DEEPEST} inside each other")
        for descriptor, value in message.ListFields():
            field_name = descriptor.name
            if field_name in _OF_ONE_SESSION and name in _RESPONSES:
                continue
            check = allowed.get(field_name)
            if check is None:
                raise StrangeAnswerError(f"it has the field {name}.{field_name}, which no recorded answer has")
            if descriptor.message_type is None:
                self._set(copy, field_name, value, check, is_repeated=descriptor.is_repeated)
            elif descriptor.message_type.GetOptions().map_entry:
                for key in value:
                    self._fill(getattr(copy, field_name)[key], value[key], depth + 1)
            elif descriptor.is_repeated:
                for one in value:
                    if field_name != "observed_metrics" or one.name in self.observed:
                        self._fill(getattr(copy, field_name).add(), one, depth + 1)
            elif depth < 2 and field_name == "schema":
                kind: Any = type(value)
                getattr(copy, field_name).CopyFrom(_copy_of_schema(kind, value.SerializeToString()))
            else:
                part = getattr(copy, field_name)
                part.SetInParent()
                self._fill(part, value, depth + 1)

    def _set(self, copy: Any, name: str, value: Any, check: Callable[[Any], bool], *, is_repeated: bool) -> None:
        if name in ("warnings", "warning_message"):
            value = [_warning(one) for one in value[:_MOST_WARNINGS]] if is_repeated else _warning(value)
        if check is not _any and not all(map(check, value if is_repeated else (value,))):
            raise StrangeAnswerError(f"it has the {name.replace('_', ' ')} {str(value)[:80]!r}")
        if is_repeated:
            getattr(copy, name).extend(value)
        else:
            setattr(copy, name, value)


@lru_cache(maxsize=64)
def _copy_of_schema(kind: type, serialized: bytes) -> Any:
    """The copy of a schema; most answers of a program share a few."""
    copies, schema = AnswerCopies(frozenset()), kind()
    schema.ParseFromString(serialized)
    return copies.copy(schema)


def _warning(text: str) -> str:
    return visible(text)[:_LONGEST_WARNING]


_MOST_WARNINGS, _LONGEST_WARNING = 10, 2_000
