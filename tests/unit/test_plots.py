"""Plots that reducers return: stored and shown as values, and no metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import helix_spark as hx
from helix_spark.errors import ParameterError
from helix_spark.history.metrics import Metrics
from helix_spark.history.value_text import value_text
from helix_spark.plots import MOST_POINTS, as_plot, is_plot

ROWS = {"age": [20, 40], "rich": [0.1, float("nan")]}


@pytest.mark.parametrize("data", [
    ROWS, pd.DataFrame(ROWS), pa.table(ROWS), [{"age": 20, "rich": 0.1}, {"age": 40, "rich": float("nan")}],
], ids=["columns", "pandas", "arrow", "rows"])
def test_a_plot_has_its_data_in_it(data: Any) -> None:
    made = hx.plot("point", data, x="age", y="rich")
    assert made["data"]["values"] == [{"age": 20, "rich": 0.1}, {"age": 40, "rich": None}]
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_a_histogram_counts_and_a_heatmap_shades() -> None:
    counted = hx.plot("histogram", ROWS, x="age")["encoding"]
    assert (counted["x"]["bin"], counted["y"]["aggregate"]) == (True, "count")
    shaded = hx.plot("heatmap", {"a": ["x"], "b": ["y"], "n": [3]}, x="a", y="b", color="n")
    assert (shaded["mark"], shaded["encoding"]["color"]["type"]) == ("rect", "quantitative")


@pytest.mark.parametrize(("given", "says"), [
    ({"kind": "pie", "x": "age"}, "no plot 'pie'"), ({"kind": "bar", "x": "agee"}, "no column 'agee'"),
])
def test_what_cannot_be_drawn_is_told(given: dict[str, str], says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        hx.plot(given["kind"], ROWS, x=given["x"])  # type: ignore[arg-type]  # that is what is tried


def test_a_plot_of_too_many_rows_is_refused() -> None:
    with pytest.raises(ParameterError, match="at most 5,000 rows, and this one has 5,001"):
        hx.plot("line", {"x": range(MOST_POINTS + 1)}, x="x")


def with_a_line(high: float) -> hx.Workflow:
    wf = hx.Workflow("plots")

    @wf.reducer(output=True)
    def curve() -> dict[str, Any]:
        return hx.plot("line", {"x": [0, 1], "y": [0.0, high]}, x="x", y="y", title="A line")

    return wf


def test_a_plot_that_differs_is_drawn_as_it_was_and_as_it_is(tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="the extra `ui` is not installed")
    from helix_spark.ui.links import Links
    from helix_spark.ui.pages import Pages

    with hx.Helix(tmp_path, observer=hx.Silent()) as helix:
        for high in (1.0, 2.0):
            helix.run(with_a_line(high))
        helix.wait()
        pages = Pages(helix.catalog, Links())
        page = pages.compare("plots", 1, 2).body
    assert page.count('data-plot="') == 2
    assert "&#34;y&#34;: 2.0" in page
    assert "$schema" not in page.split("<section>")[1], "the row of the table says what it is"


def test_a_plot_is_a_value_and_no_metric(tmp_path: Path) -> None:
    with hx.Helix(tmp_path, observer=hx.Silent()) as helix:
        ran = helix.run(with_a_line(1.0))
        past = helix.iteration(1)
    assert is_plot(ran["curve"])
    assert past["curve"] == ran["curve"] == past.value("curve")
    assert Metrics(past.outputs).values == {}
    assert value_text(past["curve"]) == 'plot "A line": line, 2 rows'
    shown = past["curve"]._repr_mimebundle_()
    assert shown["application/vnd.vegalite.v5+json"]["mark"] == "line"


def test_a_chart_of_altair_s_is_its_specification() -> None:
    members = {"__module__": "altair.vegalite.v5.api", "to_dict": lambda self: {"mark": "bar"}}
    assert as_plot(type("Chart", (), members)()) == {"mark": "bar"}
    assert as_plot({"mark": "bar"}) == {"mark": "bar"}
