"""Plans as they are written: messages (`spark.connect.Relation`, `spark.connect.Expression`) in each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from typing import Any, TypeAlias

Message: TypeAlias = Any
"""A message of protocol buffers (`google.protobuf.message.Message`), which has no types that mypy knows."""


def messages(message: Message) -> Iterator[Message]:
    """Yield a message and all that are in it, from the top down, without those that say where the author wrote it."""
    waiting = [message]
    while waiting:  # no recursion: a loop of the author's makes plans hundreds of relations deep
        one = waiting.pop()
        yield one
        waiting.extend(reversed(parts_of(one)))


def relations_in(message: Message) -> Iterator[Any]:
    """Yield the relations in a message that are in no other one; of a relation, those that it reads."""
    waiting = parts_of(message)
    while waiting:
        one = waiting.pop()
        match sort_of(one):
            case "Relation":
                yield one
            case "Expression" | "Expression.Alias" | "Expression.SortOrder":
                pass  # they have none in them
            case _:
                waiting.extend(parts_of(one))


def substituted(message: Any, find: Callable[[int], Any]) -> Any:
    """Return a copy of a message with other relations in the places of some, the outermost first: those that `find`
    returns for the ids of their plans, unless it is None."""
    copy = deepcopy(message)
    waiting = [copy]
    while waiting:
        one = waiting.pop()
        if sort_of(one) == "Relation" and (other := find(one.common.plan_id)) is not None:
            one.CopyFrom(other)
        else:
            waiting.extend(parts_of(one))
    return copy


def plan_named(message: Any) -> int | None:
    """Return the id of the plan that a message names; None if it names none. Of some messages the field is optional, of
    others, as of `SubqueryExpression`, it is not, and 0 where no plan is named."""
    return next((int(value) for field, value in message.ListFields() if field.name == "plan_id"), None)


def sort_of(message: Message) -> str:
    """Return the name of a message's type, without its package."""
    return str(message.DESCRIPTOR.full_name).removeprefix("spark.connect.")


def function_of(message: Any) -> str | None:
    """Return the name of the function that a message calls, an operator's too; None if it calls none by its name."""
    calls = ("Expression.UnresolvedFunction", "CallFunction", "UnresolvedTableValuedFunction")
    return str(message.function_name) if sort_of(message) in calls else None


def sql_of(message: Any) -> str | None:
    """Return the SQL that a message has: an expression, a query, or what an `SQLTransformer` is given; None if none."""
    match sort_of(message):
        case "Expression.ExpressionString":
            return str(message.expression)
        case "SQL":
            return str(message.query)
        case "MlRelation.Transform" if "statement" in message.params.params:
            return str(message.params.params["statement"].string)
    return None


def parts_of(message: Message) -> list[Any]:
    """Return the messages in a message, in the order of their fields, without the one that says where it is written."""
    choices, chosen, single, repeated, maps = _fields_of(message.__class__)
    found: list[Any] = []
    for choice in choices:
        if (name := message.WhichOneof(choice)) in chosen:
            found.append(getattr(message, name))
    for name in single:
        if message.HasField(name):
            found.append(getattr(message, name))
    for name in repeated:
        found.extend(getattr(message, name))
    for name in maps:
        values = getattr(message, name)
        found.extend(values[key] for key in sorted(values))
    return found


@cache
def _fields_of(kind: Any) -> tuple[list[str], set[str], list[str], list[str], list[str]]:
    """Return where messages of a type have others: choices of which one field is set at a time, the messages among
    these fields, single messages, repeated ones, and maps of them. Descriptors take five times as long."""
    descriptor = kind.DESCRIPTOR
    choices = {one.name for one in descriptor.oneofs if len(one.fields) > 1}
    fields = [one for one in descriptor.fields if one.message_type is not None and one.name != "common"]
    maps = [one for one in fields if one.message_type.GetOptions().map_entry]
    of_messages = [one.name for one in maps if one.message_type.fields_by_name["value"].message_type is not None]
    fields = [one for one in fields if one not in maps]
    chosen = {one.name for one in fields if one.containing_oneof is not None and one.containing_oneof.name in choices}
    single = [one.name for one in fields if not one.is_repeated and one.name not in chosen]
    return sorted(choices), chosen, single, [one.name for one in fields if one.is_repeated], of_messages
