"""Names of the slots of a vector, as Spark ML's attributes in the schema of its table tell them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from helix_spark.catalog.cells import parsed_schema

_MOST = 100_000
_OURS = "helix_"
"""What extractors' columns begin with while a vector is assembled of them."""


def slot_names(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a vector's slots, in order; none where it has none, or too many. It may be from anybody.

    >>> slot_names({"ml_attr": {"attrs": {"numeric": [{"idx": 1, "name": "helix_age"}],
    ...                                   "binary": [{"idx": 0, "name": "helix_sex_is_Male"}]}, "num_attrs": 2}})
    ('sex_is_Male', 'age')
    >>> slot_names({"ml_attr": {"num_attrs": 2}}), slot_names({"ml_attr": 3})
    ((), ())
    """
    described = metadata.get("ml_attr")
    groups = described.get("attrs") if isinstance(described, Mapping) else None
    if not isinstance(groups, Mapping):
        return ()
    found: dict[int, str] = {}
    for slots in groups.values():
        for slot in slots if isinstance(slots, list) else ():
            if isinstance(slot, Mapping) and isinstance(slot.get("idx"), int) and isinstance(slot.get("name"), str):
                found[slot["idx"]] = slot["name"].removeprefix(_OURS)
    if len(found) > _MOST or sorted(found) != list(range(len(found))):
        return ()
    return tuple(found[place] for place in range(len(found)))


def class_names(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a label's classes, by their indexes; none where it has none, or too many. It may be from anybody.

    >>> class_names({"ml_attr": {"type": "nominal", "vals": ["ham", "spam"]}}), class_names({"ml_attr": {"vals": 3}})
    (('ham', 'spam'), ())
    """
    described = metadata.get("ml_attr")
    found = described.get("vals") if isinstance(described, Mapping) else None
    if not isinstance(found, list | tuple) or len(found) > _MOST or not all(isinstance(one, str) for one in found):
        return ()
    return tuple(found)


def slot_names_of(schema: str) -> dict[str, tuple[str, ...]]:
    """The same of all columns of a table, by its schema as Spark writes it (JSON)."""
    try:
        fields = parsed_schema(schema)["fields"]
        named = {field["name"]: slot_names(field.get("metadata", {})) for field in fields}
    except ValueError:
        return {}
    return {str(name): names for name, names in named.items() if names}
