"""Plans as text for people: one line a step, in Spark's words, with the author's file and line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any

from helix_spark.hermetic.asking import CodeOwner, kind_of
from helix_spark.plans.plan_messages import Message, relations_in, type_of
from helix_spark.plans.sql_texts import as_written, is_generated

_OPERATORS = frozenset({
    "+", "-", "*", "/", "%", "==", "=", "!=", ">", "<", ">=", "<=", "and", "or", "<=>", "&", "|", "^",
})
_LONGEST = 160
"""The most characters of a line."""


def lines_of(plan: Message) -> tuple[str, ...]:
    """Return the steps of a plan as text, in the order in which rows pass them: "filter `age > 17` (census.py:31)"."""
    if type_of(plan) == "Expression":
        return (_line("column", _words(plan), plan),)
    relations, waiting = [], [plan]  # outputs first, the last of several inputs first
    while waiting:
        relations.append(waiting.pop())
        waiting.extend(reversed(list(relations_in(relations[-1]))))
    return tuple(line for relation in reversed(relations) for line in _steps(relation))


def _steps(relation: Any) -> Iterator[str]:
    kind = relation.WhichOneof("rel_type")
    step = getattr(relation, kind)
    match kind:
        case "read" | "with_relations":
            return
        case "subquery_alias" if is_generated(step.alias):
            return
        case "with_columns":
            for alias in step.aliases:
                yield _line(f"column {'.'.join(alias.name)}", _words(alias.expr), alias.expr)
        case "filter":
            yield _line("filter", _words(step.condition), relation)
        case "project":
            yield _line("select", _list(step.expressions), relation)
        case "sort":
            yield _line("sort", _list(step.order), relation)
        case "aggregate":
            keys = f"by {_list(step.grouping_expressions)}: " if step.grouping_expressions else ""
            yield _line("aggregate", keys + _list(step.aggregate_expressions), relation)
        case "join":
            keys = _words(step.join_condition) if step.HasField("join_condition") else ", ".join(step.using_columns)
            yield _line("join", keys, relation)
        case "sql":
            yield _line("sql", as_written(step.query), relation)
        case _:
            yield _line(kind.replace("_", " "), _fields(step), relation)


def _line(step: str, details: str, message: Any) -> str:
    """Return a step as text, with the author's line that built it."""
    where = str(message.common.origin.python_origin.call_site)
    file = "" if kind_of(where.rpartition(":")[0]) is CodeOwner.HELIX else PurePath(where).name  # such as in a search
    details = details if len(details) <= _LONGEST else f"{details[:_LONGEST - 3]}..."
    return (f"{step} `{details}`" if details else step) + (f" ({file})" if file else "")


def _words(message: Any) -> str:
    """Return an expression as text; where Spark has no short form, its fields."""
    match type_name := type_of(message):
        case "Expression":
            chosen = message.WhichOneof("expr_type")
            return "?" if chosen is None else _words(getattr(message, chosen))
        case "Expression.Literal":
            kind = message.WhichOneof("literal_type") or "null"
            value = getattr(message, kind)
            if kind == "null":
                return "NULL"
            if isinstance(value, str):
                return f"'{value}'"
            return _fields(value) if hasattr(value, "ListFields") else str(value)
        case "Expression.UnresolvedAttribute":
            return str(message.unparsed_identifier)
        case "Expression.ExpressionString":
            return str(message.expression)
        case "Expression.UnresolvedFunction" | "CallFunction" | "CommonInlineUserDefinedFunction":
            name, arguments = message.function_name, message.arguments
            if name not in _OPERATORS or len(arguments) != 2:
                return f"{name}({_list(arguments)})"
            return f" {name} ".join(
                f"({_words(side)})" if side.unresolved_function.function_name in _OPERATORS else _words(side)
                for side in arguments
            )
        case "Expression.Alias":
            return f"{_words(message.expr)} AS {'.'.join(message.name)}"
        case "Expression.Cast":
            return f"cast({_words(message.expr)} AS {message.type_str or message.type.WhichOneof('kind')})"
        case "Expression.SortOrder":
            return f"{_words(message.child)}{' DESC' * (message.direction == message.SORT_DIRECTION_DESCENDING)}"
    return f"{type_name.rpartition('.')[2]}({_fields(message)})"


def _list(expressions: Iterable[Any]) -> str:
    return ", ".join(map(_words, expressions))


def _fields(message: Any) -> str:
    """Return the plain fields of a message, and the expressions in it."""
    fields = []
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            fields.append(f"{descriptor.name} {list(value) if descriptor.is_repeated else value}")
        elif descriptor.message_type.full_name.startswith("spark.connect.Expression"):
            fields.append(_list(value) if descriptor.is_repeated else _words(value))
    return ", ".join(field for field in fields if len(field) < _LONGEST)
