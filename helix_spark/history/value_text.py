"""Texts for recorded values: outputs in a line, nodes as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from helix_spark.catalog.records import NodeRecord
from helix_spark.plots import is_plot, plot_text
from helix_spark.sizes import format_size


def value_text(value: Any) -> str:
    """Return a value's full text.

    >>> value_text(0.123456789), value_text({"table": "t", "rows": 3}), value_text({"a": 1}), value_text(True)
    ('0.123457', 'table of 3 rows', '{"a": 1}', 'true')
    """
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return value
    return result_text(value) or json.dumps(value, ensure_ascii=False)


def rounded(value: Any) -> Any:
    """Return a value with six significant digits of each float.

    >>> rounded({"auc": [0.123456789, 1]})
    {'auc': [0.123457, 1]}
    """
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def result_text(value: Any) -> str:
    """Describe a table, a model, a plot or a huge value among outputs; empty for other values.

    >>> result_text({"table": "t", "rows": 3}), result_text({"table": "t", "rows": "many"})
    ('table of 3 rows', 'table')
    >>> result_text({"model": "KMeansModel"}), result_text({"model": 3})
    ('KMeansModel', '')
    >>> result_text({"value": "list", "bytes": 5_000_000})
    'list of 5.0 MB, too large to be recorded'
    """
    match value:
        case {"table": _, "rows": rows, **rest} if not rest:
            return f"table of {rows:,} rows" if isinstance(rows, int) else "table"
        case {"model": str(name), **rest} if not rest:
            return name
        case {"value": str(kind), "bytes": int(size), **rest} if not rest:
            return f"{kind} of {format_size(size)}, too large to be recorded"
    return plot_text(value) if is_plot(value) else ""


PLACE = re.compile(r"(?:.*/)?([^/\n]+:\d+)")
"""An author's file and line, recorded as the code of a plain program's request."""


def titled(name: str, code: str) -> str:
    """Return a node's name, preceded by its line if it is a plain program's request.

    >>> titled("lr.fit", "/home/me/train.py:31"), titled("rows", "def rows(data):\\n    return data")
    ('train.py:31 lr.fit', 'rows')
    """
    place = PLACE.fullmatch(code)
    return name if place is None else f"{place[1]} {name}"


def node_json(node: NodeRecord, live: Collection[str], proof: str) -> dict[str, Any]:
    """Return a node's record as JSON types. `live` has signatures of stored results; `proof` is as in `proofs_of`."""
    return {
        "name": node.name, "kind": node.kind, "state": node.state, "reason": node.reason, "seconds": node.seconds,
        "predicted_seconds": node.predicted_seconds, "inputs": list(node.inputs), "output": node.output,
        "bytes": node.bytes, "rows": node.rows, "signature": node.signature, "stored": node.signature in live,
        "proof": proof,
    }
