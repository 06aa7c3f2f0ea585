"""Traversal of plans: nested messages (`spark.connect.Relation`, `spark.connect.Expression`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from typing import Any, TypeAlias

Message: TypeAlias = Any
"""A message of protocol buffers (`google.protobuf.message.Message`), which has no types that mypy knows."""


def messages(message: Message) -> Iterator[Message]:
    """Yield a message and all messages in it, from the top down, without their origins in the author's file."""
    waiting = [message]
    while waiting:  # no recursion: a loop in a program builds plans hundreds of relations deep
        part = waiting.pop()
        yield part
        waiting.extend(reversed(parts_of(part)))


def relations_in(message: Message) -> Iterator[Any]:
    """Yield the outermost relations in a message: of a relation, its inputs."""
    waiting = parts_of(message)
    while waiting:
        part = waiting.pop()
        match type_of(part):
            case "Relation":
                yield part
            case "Expression" | "Expression.Alias" | "Expression.SortOrder":
                pass  # these contain no relation
            case _:
                waiting.extend(parts_of(part))


def substituted(message: Any, find: Callable[[int], Any]) -> Any:
    """Return a copy whose relations `find` replaces, outermost first, by plan id; None keeps one."""
    copy = deepcopy(message)
    waiting = [copy]
    while waiting:
        part = waiting.pop()
        if type_of(part) == "Relation" and (substitute := find(part.common.plan_id)) is not None:
            part.CopyFrom(substitute)
        else:
            waiting.extend(parts_of(part))
    return copy


def plan_named(message: Any) -> int | None:
    """Return the id of the plan that a message names; None if it names none. The field is optional in some messages; in
    others, such as `SubqueryExpression`, it is 0 where no plan is named."""
    return next((int(value) for field, value in message.ListFields() if field.name == "plan_id"), None)


def type_of(message: Message) -> str:
    """Return the name of a message's type, without its package."""
    return str(message.DESCRIPTOR.full_name).removeprefix("spark.connect.")


def function_of(message: Any) -> str | None:
    """Return the name of the function or operator that a message calls; None if it calls no function by name."""
    calls = ("Expression.UnresolvedFunction", "CallFunction", "UnresolvedTableValuedFunction")
    return str(message.function_name) if type_of(message) in calls else None


def sql_of(message: Any) -> str | None:
    """Return the SQL of a message: an expression, a query, or an `SQLTransformer`'s statement; None without SQL."""
    match type_of(message):
        case "Expression.ExpressionString":
            return str(message.expression)
        case "SQL":
            return str(message.query)
        case "MlRelation.Transform" if "statement" in message.params.params:
            return str(message.params.params["statement"].string)
    return None


def parts_of(message: Message) -> list[Any]:
    """Return the messages in a message, in the order of their fields, without its origin in the author's file."""
    choices, chosen, single, repeated, maps = _fields_of(message.__class__)
    parts: list[Any] = []
    for choice in choices:
        if (name := message.WhichOneof(choice)) in chosen:
            parts.append(getattr(message, name))
    for name in single:
        if message.HasField(name):
            parts.append(getattr(message, name))
    for name in repeated:
        parts.extend(getattr(message, name))
    for name in maps:
        values = getattr(message, name)
        parts.extend(values[key] for key in sorted(values))
    return parts


@cache
def _fields_of(kind: Any) -> tuple[list[str], set[str], list[str], list[str], list[str]]:
    """Return the fields of a message type that hold messages: oneofs, the message fields among them, single fields,
    repeated fields and maps. Cached, as descriptors take five times as long."""
    descriptor = kind.DESCRIPTOR
    choices = {oneof.name for oneof in descriptor.oneofs if len(oneof.fields) > 1}
    fields = [field for field in descriptor.fields if field.message_type is not None and field.name != "common"]
    maps = [field for field in fields if field.message_type.GetOptions().map_entry]
    of_messages = [field.name for field in maps if field.message_type.fields_by_name["value"].message_type is not None]
    fields = [field for field in fields if field not in maps]
    chosen = {
        field.name for field in fields
        if field.containing_oneof is not None and field.containing_oneof.name in choices
    }
    single = [field.name for field in fields if not field.is_repeated and field.name not in chosen]
    return sorted(choices), chosen, single, [field.name for field in fields if field.is_repeated], of_messages
