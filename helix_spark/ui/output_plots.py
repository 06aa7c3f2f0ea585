"""Plots among an iteration's outputs, as pages have them drawn by Vega-Lite."""

from __future__ import annotations

import json
from dataclasses import dataclass

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import IterationRecord
from helix_spark.plots import is_plot, plot_text


@dataclass(frozen=True, slots=True)
class OutputPlot:
    """A plot: its output's name, what it is in words, and its specification as JSON."""

    name: str
    told: str
    specification: str


def plot_changes(
    before: IterationRecord, after: IterationRecord
) -> tuple[tuple[str, OutputPlot | None, OutputPlot | None], ...]:
    """The plots that differ between two iterations, by name, as they were and as they are; None where one has none."""
    olds, news = ({plot.name: plot for plot in output_plots(record)} for record in (before, after))
    names = dict.fromkeys((*news, *olds))
    return tuple((name, olds.get(name), news.get(name)) for name in names if olds.get(name) != news.get(name))


def output_plots(record: IterationRecord) -> tuple[OutputPlot, ...]:
    """The plots of an iteration on record."""
    return tuple(
        OutputPlot(name, plot_text(value), json.dumps(value))
        for name, value in mapping(record.outputs).items() if is_plot(value)
    )
