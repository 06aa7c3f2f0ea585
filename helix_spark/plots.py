"""Plots as outputs: a reducer returns a Vega-Lite specification with its data. It is JSON
(https://vega.github.io/vega-lite/docs/spec.html), so it is stored and compared like any value; pages and notebooks draw
it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

from helix_spark.errors import ParameterError, nearest

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
_SCHEMA_PREFIX = "https://vega.github.io/schema/vega-lite/v"

MOST_POINTS = 5_000
"""Maximum rows of a plot, as plots are recorded with their iterations; more points cannot be distinguished."""

Kind = Literal["bar", "line", "point", "area", "histogram", "heatmap"]

_NUMBER, _NAME = "quantitative", "nominal"


def plot(kind: Kind, data: Any, *, x: str, y: str = "", color: str = "", title: str = "") -> dict[str, Any]:
    """Return a plot of rows, as the result of a reducer.

    Args:
        kind: bar, line, point, area, histogram (of `x`), heatmap (`color` over `x` and `y`).
        data: a pandas DataFrame, a pyarrow Table, rows as dicts, or columns by name; 5,000 rows at most.
        x, y, color: names of columns.
        title: title above the plot.

    Returns a Vega-Lite specification, as a dict that the reducer may change.

    Raises:
        ParameterError: there is no such kind or column, or there are too many rows.

    >>> roc = plot("line", {"fpr": [0.0, 1.0], "tpr": [0.0, 1.0]}, x="fpr", y="tpr")
    >>> roc["mark"], roc["encoding"]["y"], roc["data"]["values"][1]
    ('line', {'field': 'tpr', 'type': 'quantitative'}, {'fpr': 1.0, 'tpr': 1.0})
    """
    if kind not in get_args(Kind):
        raise ParameterError(f"there is no plot {kind!r}", remedy=nearest(kind, get_args(Kind)))
    rows = _rows(data)
    if len(rows) > MOST_POINTS:
        raise ParameterError(
            f"a plot has at most {MOST_POINTS:,} rows, and this one has {len(rows):,}",
            remedy="aggregate or sample them",
        )
    channels = {"x": x, "y": y, "color": color}
    names = [name for name in channels.values() if name]
    columns = list(rows[0]) if rows else names
    if missing := [name for name in names if name not in columns]:
        raise ParameterError(f"the rows have no column {missing[0]!r}", remedy=nearest(missing[0], columns))

    def kind_of(name: str) -> str:
        values = [row[name] for row in rows if row[name] is not None]
        is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        return _NUMBER if is_number else _NAME

    encoding: dict[str, Any] = {
        channel: {"field": name, "type": kind_of(name)} for channel, name in channels.items() if name
    }
    if kind == "histogram":
        encoding["x"]["bin"] = True
        encoding["y"] = {"aggregate": "count", "type": _NUMBER}
    if kind == "heatmap":
        encoding |= {channel: {**encoding[channel], "type": "ordinal"} for channel in ("x", "y") if channel in encoding}
    mark = {"histogram": "bar", "heatmap": "rect"}.get(kind, kind)
    values = [{name: row[name] for name in names} for row in rows]
    specification = {"$schema": SCHEMA, "data": {"values": values}, "mark": mark, "encoding": encoding}
    return {**specification, "title": title} if title else specification


def is_plot(value: Any) -> bool:
    """Return whether a value is a Vega-Lite specification.

    >>> is_plot({"$schema": SCHEMA, "mark": "bar"}), is_plot({"mark": "bar"})
    (True, False)
    """
    return isinstance(value, Mapping) and str(value.get("$schema", "")).startswith(_SCHEMA_PREFIX)


def plots_among(outputs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in outputs.items() if is_plot(value)}


def plot_text(value: Mapping[str, Any]) -> str:
    """Return a summary of a plot.

    >>> plot_text({"$schema": SCHEMA, "mark": {"type": "bar"}, "data": {"values": [{}, {}]}, "title": "Errors"})
    'plot "Errors": bar, 2 rows'
    """
    mark, data, title = value.get("mark"), value.get("data"), value.get("title")
    kind = mark.get("type") if isinstance(mark, Mapping) else mark
    rows = data.get("values") if isinstance(data, Mapping) else None
    title_text = f' "{title}"' if isinstance(title, str) and title else ""
    parts = [kind] if isinstance(kind, str) else []
    parts += [f"{len(rows):,} rows"] if isinstance(rows, list) else []
    return f"plot{title_text}: {', '.join(parts)}".removesuffix(": ")


def as_plot(value: Any) -> Any:
    """Return the specification of an Altair chart; any other value unchanged."""
    return value.to_dict() if type(value).__module__.partition(".")[0] == "altair" else value


class Plot(dict[str, Any]):
    """A plot that a notebook draws."""

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
