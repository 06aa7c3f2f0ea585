"""Tables that are written to a catalog without an engine."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from helix_spark.catalog.tables.attempts import Attempt
from helix_spark.catalog.tables.table_reading import read_commit, written_digest
from helix_spark.catalog.tables.table_writing import write_arrow


def written(attempt: Attempt, table: pa.Table) -> dict[str, Any]:
    """Write a table; return the fields of its record that describe it."""
    assert attempt.path is not None
    write_arrow(attempt, table)
    commit = read_commit(attempt.path)
    return {
        "bytes": attempt.path.total_bytes(), "rows": commit.rows, "schema": commit.schema,
        "digest": written_digest(attempt.path),
    }
