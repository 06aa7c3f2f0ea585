"""What a plan says, for people: one line a step, in Spark's words, with the author's file and line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from helix_spark.hermetic.asking import CodeOwner, kind_of
from helix_spark.plans.plan_messages import parts_of, relations_in, sort_of
from helix_spark.plans.sql_statements import as_written, is_generated

if TYPE_CHECKING:
    from google.protobuf.message import Message

_OPERATORS = frozenset({
    "+", "-", "*", "/", "%", "==", "=", "!=", ">", "<", ">=", "<=", "and", "or", "<=>", "&", "|", "^",
})
_LONGEST = 160
"""Characters of a line: the identity has all of it, and this is for people."""


@dataclass(frozen=True, slots=True)
class Line:
    """One step of a plan.

    Attributes:
        step: what it does: ``filter``, ``with column income``.
        says: the rest of it: ``age > 17``.
        where: ``FILE:LINE`` of the author's; empty where pyspark does not note it.
    """

    step: str
    says: str
    where: str = ""

    def __str__(self) -> str:
        """Return the step in words, with the name of the file.

        >>> print(Line("filter", "age > 17", "/jobs/census.py:31"))
        filter `age > 17` (census.py:31)
        """
        says = f"{self.step} `{self.says}`" if self.says else self.step
        return f"{says} ({PurePath(self.where).name})" if self.where else says


def lines_of(plan: Message) -> tuple[Line, ...]:
    """Return the steps of a plan, in the order in which rows go through them."""
    if sort_of(plan) == "Expression":
        return (Line("column", shortened(words_of(plan)), _where(plan)),)
    return tuple(line for relation in reversed(_outermost_first(plan)) for line in _steps(relation))


def _outermost_first(plan: Any) -> list[Any]:
    """Return the relations of a plan; what one reads comes after it, of several the last one first."""
    found, waiting = [], [plan]
    while waiting:
        relation = waiting.pop()
        found.append(relation)
        waiting.extend(reversed(list(relations_in(relation))))
    return found


def _steps(relation: Any) -> Iterable[Line]:
    sort = relation.WhichOneof("rel_type")
    made = getattr(relation, sort)
    match sort:
        case "read":
            return
        case "filter":
            yield Line("filter", shortened(words_of(made.condition)), _where(relation))
        case "with_columns":
            for alias in made.aliases:
                yield Line(f"column {'.'.join(alias.name)}", shortened(words_of(alias.expr)), _where(alias.expr))
        case "project":
            yield Line("select", shortened(_list(made.expressions)), _where(relation))
        case "aggregate":
            grouped = f"by {_list(made.grouping_expressions)}: " if made.grouping_expressions else ""
            yield Line("aggregate", shortened(grouped + _list(made.aggregate_expressions)), _where(relation))
        case "sort":
            yield Line("sort", shortened(_list(made.order)), _where(relation))
        case "sql":
            place = str(relation.common.origin.python_origin.call_site)
            yield Line("sql", shortened(as_written(made.query)), place)
        case "with_relations":
            return
        case "subquery_alias" if is_generated(made.alias):
            return
        case "join":
            on = words_of(made.join_condition) if made.HasField("join_condition") else ", ".join(made.using_columns)
            yield Line("join", shortened(on), _where(relation))
        case _:
            yield Line(sort.replace("_", " "), shortened(_scalars(made)), _where(relation))


def words_of(expression: Any) -> str:
    """Return an expression as text.

    >>> import pyspark.sql.connect.proto as pb
    >>> words_of(pb.Expression(literal=pb.Expression.Literal(integer=17)))
    '17'
    """
    sort = expression.WhichOneof("expr_type")
    if sort is None:
        return "?"
    made: Any = getattr(expression, sort)
    match sort:
        case "literal":
            return _literal(made)
        case "unresolved_attribute":
            return str(made.unparsed_identifier)
        case "expression_string":
            return str(made.expression)
        case "unresolved_function" | "call_function" | "common_inline_user_defined_function":
            return _called(made.function_name, made.arguments)
        case "alias":
            return f"{words_of(made.expr)} AS {'.'.join(made.name)}"
        case "cast":
            kind = made.type_str or _scalars(made.type) or made.type.WhichOneof("kind")
            return f"cast({words_of(made.expr)} AS {kind})"
        case "sort_order":
            return _in_order(made)
        case "unresolved_star":
            return f"{made.unparsed_target}*"
        case "unresolved_extract_value":
            return f"{words_of(made.child)}[{words_of(made.extraction)}]"
        case "lambda_function":
            return f"{', '.join('.'.join(one.name_parts) for one in made.arguments)} -> {words_of(made.function)}"
        case "unresolved_named_lambda_variable":
            return ".".join(made.name_parts)
        case "window":
            return (f"{words_of(made.window_function)} OVER (BY {_list(made.partition_spec)} "
                    f"ORDER {_list(made.order_spec)})")
    return f"{sort}({_scalars(made)})"


def _called(name: str, arguments: Any) -> str:
    given = [words_of(one) for one in arguments]
    if name in _OPERATORS and len(given) == 2:
        return f"{_inner(arguments[0], given[0])} {name} {_inner(arguments[1], given[1])}"
    return f"{name}({', '.join(given)})"


def _inner(expression: Any, text: str) -> str:
    """Return an operand as text, in brackets if it is a binary operation itself."""
    inner = expression.unresolved_function if expression.WhichOneof("expr_type") == "unresolved_function" else None
    return f"({text})" if inner is not None and inner.function_name in _OPERATORS else text


def _literal(literal: Any) -> str:
    sort = literal.WhichOneof("literal_type")
    value = getattr(literal, sort) if sort else None
    if sort in (None, "null"):
        return "NULL"
    if isinstance(value, str):
        return f"'{value}'"
    return str(value) if isinstance(value, int | float | bool) else _scalars(value)


def _list(expressions: Iterable[Any]) -> str:
    return ", ".join(words_of(one) if one.DESCRIPTOR.name == "Expression" else _in_order(one) for one in expressions)


def _in_order(order: Any) -> str:
    return f"{words_of(order.child)}{' DESC' if order.direction == order.SORT_DIRECTION_DESCENDING else ''}"


def _scalars(message: Any) -> str:
    """Return the plain fields of a message, and of those in it that are no relations."""
    if not hasattr(message, "ListFields"):
        return str(message)
    found = []
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            found.append(f"{descriptor.name} {list(value) if descriptor.is_repeated else value}")
        elif descriptor.message_type.full_name == "spark.connect.Expression":
            found.append(_list(value) if descriptor.is_repeated else words_of(value))
    return ", ".join(one for one in found if len(one) < _LONGEST)


def _where(message: Any) -> str:
    """Return the author's line that built something: the first that its expressions note, as relations have none; empty
    where Helix stands between the author and pyspark, as in a search."""
    waiting = [message]
    while waiting:
        one = waiting.pop()
        if sort_of(one) == "Expression" and one.common.HasField("origin"):
            place = str(one.common.origin.python_origin.call_site)
            return "" if kind_of(place.rpartition(":")[0]) is CodeOwner.HELIX else place
        waiting.extend(part for part in reversed(parts_of(one)) if sort_of(part) != "Relation")
    return ""


def shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST - 3]}..."
