"""Plots among outputs: what a reducer returns as a specification of Vega-Lite, with its data in it. That is JSON
(https://vega.github.io/vega-lite/docs/spec.html), so it is stored, compared and shown as any value is; pages and
notebooks draw it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

from helix_spark.errors import ParameterError, nearest

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
_KNOWN = "https://vega.github.io/schema/vega-lite/v"

MOST_POINTS = 5_000
"""Rows of a plot. It is on record with its iteration, and nobody sees more than that many points."""

Kind = Literal["bar", "line", "point", "area", "histogram", "heatmap"]

_NUMBER, _NAME = "quantitative", "nominal"


def plot(kind: Kind, data: Any, *, x: str, y: str = "", color: str = "", title: str = "") -> dict[str, Any]:
    """Return a plot of rows, for a reducer to return.

    Args:
        kind: bar, line, point, area, histogram (of `x`), heatmap (`color` over `x` and `y`).
        data: a pandas DataFrame, a pyarrow Table, rows as dicts, or columns by name; 5,000 rows at most.
        x, y, color: names of columns.
        title: above it.

    Returns a specification of Vega-Lite, as a dict that may be changed before it is returned.

    Raises:
        ParameterError: there is no such kind or column, or there are too many rows.

    >>> made = plot("line", {"fpr": [0.0, 1.0], "tpr": [0.0, 1.0]}, x="fpr", y="tpr")
    >>> made["mark"], made["encoding"]["y"], made["data"]["values"][1]
    ('line', {'field': 'tpr', 'type': 'quantitative'}, {'fpr': 1.0, 'tpr': 1.0})
    """
    if kind not in get_args(Kind):
        raise ParameterError(f"there is no plot {kind!r}", remedy=nearest(kind, get_args(Kind)))
    rows = _rows(data)
    if len(rows) > MOST_POINTS:
        raise ParameterError(
            f"a plot of {len(rows):,} rows; {MOST_POINTS:,} at most are put on record", remedy="sum them up, or sample"
        )
    wanted = {"x": x, "y": y, "color": color}
    names = [name for name in wanted.values() if name]
    there = list(rows[0]) if rows else names
    if missing := [name for name in names if name not in there]:
        raise ParameterError(f"the rows have no column {missing[0]!r}", remedy=nearest(missing[0], there))

    def kind_of(name: str) -> str:
        values = [row[name] for row in rows if row[name] is not None]
        return _NUMBER if all(isinstance(one, int | float) and not isinstance(one, bool) for one in values) else _NAME

    encoding: dict[str, Any] = {
        channel: {"field": name, "type": kind_of(name)} for channel, name in wanted.items() if name
    }
    if kind == "histogram":
        encoding["x"]["bin"] = True
        encoding["y"] = {"aggregate": "count", "type": _NUMBER}
    if kind == "heatmap":
        encoding |= {channel: {**encoding[channel], "type": "ordinal"} for channel in ("x", "y") if channel in encoding}
    mark = {"histogram": "bar", "heatmap": "rect"}.get(kind, kind)
    made = {"$schema": SCHEMA, "data": {"values": [{name: row[name] for name in names} for row in rows]},
            "mark": mark, "encoding": encoding}
    return {**made, "title": title} if title else made


def is_plot(value: Any) -> bool:
    """Return whether a value is a specification of Vega-Lite.

    >>> is_plot({"$schema": SCHEMA, "mark": "bar"}), is_plot({"mark": "bar"})
    (True, False)
    """
    return isinstance(value, Mapping) and str(value.get("$schema", "")).startswith(_KNOWN)


def plots_among(outputs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in outputs.items() if is_plot(value)}


def plot_text(value: Mapping[str, Any]) -> str:
    """Return a plot in words.

    >>> plot_text({"$schema": SCHEMA, "mark": {"type": "bar"}, "data": {"values": [{}, {}]}, "title": "Errors"})
    'plot "Errors": bar, 2 rows'
    """
    mark, data, title = value.get("mark"), value.get("data"), value.get("title")
    kind = mark.get("type") if isinstance(mark, Mapping) else mark
    rows = data.get("values") if isinstance(data, Mapping) else None
    named = f' "{title}"' if isinstance(title, str) and title else ""
    parts = [kind] if isinstance(kind, str) else []
    parts += [f"{len(rows):,} rows"] if isinstance(rows, list) else []
    return f"plot{named}: {', '.join(parts)}".removesuffix(": ")


def as_plot(value: Any) -> Any:
    """Return the specification of a chart of Altair's; anything else as it is."""
    return value.to_dict() if type(value).__module__.partition(".")[0] == "altair" else value


class Plot(dict[str, Any]):
    """A plot that shows itself in a notebook."""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"application/vnd.vegalite.v5+json": dict(self), "text/plain": plot_text(self)}


def _rows(data: Any) -> list[dict[str, Any]]:
    import pandas as pd

    frame = data.to_pandas() if hasattr(data, "to_pandas") else pd.DataFrame(data)
    return [{str(name): _plain(value) for name, value in row.items()} for row in frame.to_dict(orient="records")]


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
