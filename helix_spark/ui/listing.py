"""The list of iterations, like a commit log, with filter and order; and the trend of each metric over iterations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import ArtifactRecord, IterationRecord
from helix_spark.history import metrics
from helix_spark.history.comparison import unrecorded
from helix_spark.history.edit_message import edit_of
from helix_spark.history.metrics import Metrics
from helix_spark.history.states import saved_seconds
from helix_spark.history.value_text import value_text
from helix_spark.views.comparison_view import Pair, pairs
from helix_spark.views.iteration_view import ending_text

PAGE = 100
"""Rows on one page."""

COLUMNS = 4
"""Metrics shown by default."""

Order = Literal["number", "seconds", "saved", "bytes", "metric"]


@dataclass(frozen=True, slots=True)
class Row:
    """One iteration, with changed parameters, seconds saved by reuse (None if it did not end) and stored bytes."""

    record: IterationRecord
    changed: tuple[Pair, ...]
    metrics: Metrics
    saved: float | None
    bytes: int

    @property
    def number(self) -> int:
        return self.record.number

    @property
    def edit(self) -> str:
        return edit_of(self.record)

    @property
    def outcome(self) -> str:
        """The ending of the iteration, or its error, in one line."""
        error = self.record.error.split("\n")[0]
        return ending_text(self.record.status, error) or error

    @property
    def details(self) -> str:
        """The message and the changes as further lines; may be empty."""
        changed = (self.edit,) if self.edit else [f"{pair.name} {pair.text}" for pair in self.changed]
        return "".join(f"\n{line}" for line in filter(None, (self.record.message, *changed)))


@dataclass(frozen=True, slots=True)
class Trend:
    """One metric over the iterations.

    Attributes:
        direction: the better direction; `guessed` if only the metric's name implies it.
        best: the best iteration of those comparable with the newest one; None without a direction.
        breaks: iterations that begin to measure it with other code, or on other test rows.
    """

    name: str
    values: Mapping[int, float]
    direction: metrics.Direction
    guessed: bool
    primary: bool
    best: int | None
    breaks: frozenset[int]


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of iterations.

    Attributes:
        matches, total: counts of the iterations that match the filter, and of all.
        page, pages: page number and count, from 1.
        columns: the metrics shown; `chosen_columns` are those that the URL names.
        metric: the metric that decides which iteration is marked as best; may be empty.
        latest: the number of the newest iteration.
        preselected: two iterations of this page to compare, the earlier one first; None if fewer than two have recorded
            nodes.
    """

    rows: tuple[Row, ...]
    matches: int
    total: int
    page: int
    pages: int
    metric_names: tuple[str, ...]
    columns: tuple[str, ...]
    chosen_columns: tuple[str, ...]
    metric: str
    trend: Trend | None
    newest: Metrics
    latest: int | None
    preselected: tuple[int | None, int | None]
    query: str
    order: Order
    ascending: bool

    @property
    def best(self) -> int | None:
        """The best iteration by the metric; see `Trend`."""
        return None if self.trend is None else self.trend.best

    @property
    def state(self) -> dict[str, Any]:
        """The query of the page's URL, without the page number, since another order begins at the first page."""
        return {
            "q": self.query, "order": self.order, "up": self.ascending, "metric": self.metric,
            "column": self.chosen_columns,
        }


def listing_rows(iterations: Sequence[IterationRecord], artifacts: Iterable[ArtifactRecord]) -> tuple[Row, ...]:
    """Return the rows of iterations, newest first."""
    stored: dict[int, int] = {}
    for artifact in artifacts:
        stored[artifact.iteration] = stored.get(artifact.iteration, 0) + artifact.bytes
    parameters = [mapping(record.parameters) for record in iterations]
    return tuple(
        Row(
            record, tuple(pair for pair in pairs(before, new) if pair.differs), metrics.metrics_of(record),
            saved_seconds(record), stored.get(record.number, 0),
        )
        for record, new, before in zip(iterations, parameters, [*parameters[1:], {}], strict=False)
    )


def listing(
    rows: Sequence[Row], *, query: str = "", order: Order = "number", ascending: bool = False, page: int = 1,
    paged: bool = True, metric: str = "", columns: Sequence[str] = (),
) -> Listing:
    """Return one page of those rows (newest first) that contain every word of the query; all of them unless `paged`.

    If no iteration has the `metric`, the primary metric of the newest one decides which is the best.
    """
    names = metrics.names(row.metrics for row in rows)
    newest = next((row.metrics for row in rows if row.metrics.values), Metrics({}))
    metric = metric if metric in names else newest.primary
    chosen_columns = tuple(name for name in columns if name in names)
    default = tuple(dict.fromkeys((metric, *names) if metric else names))[:COLUMNS]
    words = query.lower().split()

    def sort_key(row: Row) -> tuple[bool, float]:
        keys: dict[Order, float | None] = {
            "number": row.number, "seconds": row.record.seconds, "saved": row.saved, "bytes": row.bytes,
            "metric": row.metrics.values.get(metric),
        }
        key = keys[order]
        return key is None, (key or 0.0) * (1 if ascending else -1)

    matches = sorted((row for row in rows if all(word in _searched_text(row) for word in words)), key=sort_key)
    size = PAGE if paged else max(1, len(matches))
    pages = max(1, -(-len(matches) // size))
    page = min(max(1, page), pages)
    shown = tuple(matches[(page - 1) * size : page * size])
    comparable = sorted([row.number for row in shown if not unrecorded(row.record)][:2])
    return Listing(
        shown, len(matches), len(rows), page, pages, names, chosen_columns or default, chosen_columns, metric,
        trend_of(rows, metric) if metric else None, newest, max((row.number for row in rows), default=None),
        (comparable[0], comparable[1]) if len(comparable) == 2 else (None, None), query, order, ascending,
    )


def _searched_text(row: Row) -> str:
    record = row.record
    settings = " ".join(f"{name}={value_text(value)}" for name, value in mapping(record.parameters).items())
    changes = " ".join(f"changed:{change.name}" for change in row.changed)
    words = (record.status, record.user, record.commit, record.message, row.edit, settings, changes, record.error)
    return f"#{record.number} {' '.join(words)}".lower()


def trend_of(rows: Sequence[Row], name: str) -> Trend:
    """Return the trend of a metric that at least one row has; `rows` are newest first."""
    measured = [row for row in rows if name in row.metrics.values]
    newest, values = measured[0].metrics, {row.number: row.metrics.values[name] for row in measured}
    breaks = frozenset(new.number for new, old in pairwise(measured) if new.metrics.incomparable(name, old.metrics))
    direction, best = newest.direction(name), None
    if direction:  # the earliest of equal values
        sign = -1 if direction == "lower" else 1
        comparable = [row.number for row in measured if not row.metrics.incomparable(name, newest)]
        best = max(comparable, key=lambda number: (sign * values[number], -number))
    guessed = name not in newest.declared_directions
    return Trend(name, values, direction, guessed, newest.primary == name, best, breaks)
