"""Which columns of a stored table are in its files: all of its schema but those that were left out. Pure."""

from __future__ import annotations

import json

from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.records import ArtifactRecord


def held_schema(record: ArtifactRecord) -> str | None:
    """The Spark schema of a table's files as JSON; None where its record has none.

    Raises ValueError, KeyError or TypeError for what is no schema.

    >>> record = ArtifactRecord("s", "a", "table", "published", "w", "n", 1, 0.0, left_out=("b",),
    ...     schema='{"type": "struct", "fields": [{"name": "a"}, {"name": "b"}]}')
    >>> held_schema(record)
    '{"type": "struct", "fields": [{"name": "a"}]}'
    """
    if record.schema is None or not record.left_out:
        return record.schema
    whole = parsed(record.schema)
    return json.dumps(whole | {"fields": [one for one in whole["fields"] if one["name"] not in record.left_out]})


def holds_all_of(one: ArtifactRecord, other: ArtifactRecord) -> bool:
    """Whether the stored result `one` holds every column that `other` of the same signature holds.

    >>> record = ArtifactRecord("s", "a", "table", "published", "w", "n", 1, 0.0, left_out=("b",))
    >>> whole = ArtifactRecord("s", "b", "table", "published", "w", "n", 1, 0.0)
    >>> holds_all_of(record, whole), holds_all_of(whole, record)
    (False, True)
    """
    return set(one.left_out) <= set(other.left_out)
