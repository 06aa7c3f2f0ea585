"""Canonical plans as text, each field of them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from helix_spark.plans.plan_messages import type_of


def text_of(message: Any) -> str:
    """A message and all that is in it, shortly."""
    match type_of(message):
        case "Relation":
            number = f"#{message.common.plan_id}" if message.HasField("common") else ""
            return f"{_chosen(message, 'rel_type')}{number}"
        case "Expression":
            return _chosen(message, "expr_type")
        case "Expression.Literal":
            return _chosen(message, "literal_type")
        case "Expression.UnresolvedAttribute":
            number = f"#{message.plan_id}" if message.HasField("plan_id") else ""
            return f"`{message.unparsed_identifier}`{number}{'.metadata' if message.is_metadata_column else ''}"
        case "LocalRelation":
            return f"({_rows(message.data)} schema={message.schema!r})"
    return _fields(message)


def _chosen(message: Any, choice: str) -> str:
    name = message.WhichOneof(choice)
    value = getattr(message, name)
    return f"{name}:{text_of(value) if hasattr(value, 'ListFields') else repr(value)}"


def _fields(message: Any) -> str:
    found = []
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            shown = repr(list(value)) if descriptor.is_repeated else repr(value)
        elif descriptor.message_type.GetOptions().map_entry:
            shown = "{" + " ".join(f"{key}={_value(value[key])}" for key in sorted(value)) + "}"
        elif descriptor.is_repeated:
            shown = "[" + " ".join(map(text_of, value)) + "]"
        else:
            shown = text_of(value)
        found.append(f"{descriptor.name}={shown}")
    return f"({' '.join(found)})"


def _value(value: Any) -> str:
    return text_of(value) if hasattr(value, "ListFields") else repr(value)


def _rows(data: bytes) -> str:
    """Rows that are in a plan. Their bytes name the version of pandas that they come from."""
    if not data:
        return "none"
    with pa.ipc.open_stream(data) as rows:
        table = rows.read_all()
    return f"{dict(zip(table.column_names, map(str, table.schema.types), strict=True))} {table.to_pylist()}"
