"""Outputs as people read them, each in a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def short(value: Any) -> str:
    """A value in a line.

    >>> short(0.123456789), short({"table": "t", "rows": 3}), short({"a": 1.0})
    ('0.123457', 'table of 3 rows', '{a: 1}')
    """
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        if set(value) == {"table", "rows"}:
            return f"table of {value['rows']:,} rows" if value["rows"] is not None else "table"
        if set(value) == {"model"}:
            return str(value["model"])
        return _cut("{" + ", ".join(f"{key}: {short(item)}" for key, item in value.items()) + "}")
    if isinstance(value, list):
        return _cut("[" + ", ".join(short(item) for item in value) + "]")
    return _cut(str(value))


def _cut(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
