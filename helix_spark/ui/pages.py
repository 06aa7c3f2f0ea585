"""Each page: what it needs of the records, as rendered text. Knows nothing of HTTP; a server and a file both ask it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import ArtifactRecord, IterationRecord
from helix_spark.drawing import Picture, picture_of
from helix_spark.errors import HelixError
from helix_spark.history import metrics
from helix_spark.history.comparison import compare, differ, unrecorded
from helix_spark.history.edit_message import edit_of
from helix_spark.history.iteration_lookup import check_workflow, find_iteration, newest_recorded
from helix_spark.history.source_rows import source_rows
from helix_spark.history.states import proofs_of, saved_seconds
from helix_spark.history.table_preview import SHOWN_COLUMNS, SHOWN_ROWS, table_differences, tables_of
from helix_spark.history.value_text import whole_text
from helix_spark.plots import plots_among
from helix_spark.ui.iteration_page import edited, longest, running_rows, select, state_text, underway
from helix_spark.ui.links import Links
from helix_spark.ui.listing import Order, Row, listing, rows_of, trend_of
from helix_spark.ui.rendering import render
from helix_spark.views.comparison_view import ComparisonView
from helix_spark.views.iteration_view import IterationView, view_of_record
from helix_spark.views.node_row import graph_of, ranked, recorded_rows
from helix_spark.views.node_view import node_view
from helix_spark.views.storage_view import storage_of

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader

MOST_BARS = 40


@dataclass(frozen=True, slots=True)
class Page:
    """A page without its frame, which marks the `section` that it belongs to, and names all workflows."""

    title: str
    section: str
    workflow: str
    body: Markup
    workflows: tuple[str, ...] = ()


class Snapshot:
    """Records of one version, each read once, by whatever page. Which iterations have died is no record."""

    def __init__(self, records: CatalogReader) -> None:
        self._records = records
        self.workflows = cache(records.workflows)
        self.artifacts: Callable[[], dict[str, ArtifactRecord]] = cache(records.last_events)
        self.loads = cache(records.loads)
        self._iterations = cache(records.iterations)
        self._rows: dict[tuple[str, ...], tuple[Row, ...]] = {}

    def iterations(self, workflow: str) -> tuple[IterationRecord, ...]:
        """Return all of a workflow, newest first."""
        return self._records.concluded(self._iterations(workflow), workflow)

    def rows(self, workflow: str) -> tuple[Row, ...]:
        """Return the rows of all iterations of a workflow, newest first."""
        iterations = self.iterations(workflow)
        key = (workflow, *(one.run for one in iterations if one.status == "died"))
        if key not in self._rows:
            own = [record for record in self.artifacts().values() if record.workflow == workflow]
            self._rows[key] = rows_of(iterations, own)
        return self._rows[key]

    def find_workflow(self, name: str) -> str:
        """Return the workflow of a name; the first one where none was named. Raises ParameterError."""
        there = self.workflows()
        if not name and there:
            return there[0]
        check_workflow(self, name)
        return name


class Pages:
    """All pages of a catalog. May be used from several threads: each page sees the records of one version.

    All raise ParameterError for what the catalog does not have, and CatalogError where it cannot be read.
    """

    def __init__(self, records: CatalogReader, links: Links) -> None:
        self._records, self._links = records, links
        self._newest: tuple[str, Snapshot] = ("", Snapshot(records))

    def now(self) -> Snapshot:
        """Return the records as they are now. What was read of them is kept until something is recorded: it was read
        after its version was, so it is as new as that at least, and dropped with it."""
        version = self._records.version()
        # Read once and replaced as one: whoever still reads an older version fills what belongs to that.
        newest = self._newest
        if version != newest[0]:
            newest = self._newest = (version, Snapshot(self._records))
        return newest[1]

    def framed(self, page: Page, *, is_failure: bool = False) -> str:
        left_out = () if is_failure else self._records.rejections
        return render("page.html", page=page, workflows=page.workflows, links=self._links, left_out=left_out)

    def failure(self, title: str, error: HelixError) -> str:
        """Return a document that says what is wrong, in the same frame."""
        return self.framed(Page(title, "", "", render("error.html", title=title, error=error)), is_failure=True)

    def iterations(
        self, workflow: str = "", *, query: str = "", order: Order = "number", ascending: bool = False, page: int = 1,
        metric: str = "", columns: Sequence[str] = (),
    ) -> Page:
        """Return what ran, like a commit log. A file has no further pages, so there it is all on one."""
        kept = self.now()
        if not workflow and not kept.workflows():
            return Page("Iterations", "iterations", "", render("empty.html"))
        workflow = kept.find_workflow(workflow)
        view = listing(
            workflow, kept.rows(workflow), query=query, order=order, ascending=ascending, page=page,
            paged=self._links.live, metric=metric, columns=columns,
        )
        return self._page(kept, f"{workflow}: iterations", "iterations", workflow, "iterations.html", view=view)

    def iteration(self, workflow: str, number: int, *, wanted: str = "", whole: bool = False) -> Page:
        kept, record = self._find(workflow, number)
        iterations, progress = kept.iterations(record.workflow), self._records.progress(record)
        view, picture = self._drawn(kept, record, wanted, whole)
        numbers, ran = [one.number for one in iterations], [row for row in view.rows if row.seconds is not None]
        before = None if unrecorded(record) else newest_recorded(iterations, number)
        return self._page(
            kept, f"{record.workflow}: iteration {number}", "iterations", record.workflow, "iteration.html",
            record=record, view=view, picture=picture, wanted=wanted, whole=whole,
            rows=ranked(view.rows), counts=Counter(row.state for row in view.rows), saved=saved_seconds(record),
            bars=longest(ran, MOST_BARS), ran=len(ran), spent=sum(row.seconds or 0.0 for row in ran),
            previous=max((one for one in numbers if one < number), default=None),
            following=min((one for one in numbers if one > number), default=None),
            compared=before and before.number,
            versions={name: whole_text(value) for name, value in mapping(record.versions).items() if value},
            progress=None if record.status == "died" else progress, state=state_text(record, progress),
            underway=underway(record, progress, time.time()), plots=plots_among(mapping(record.outputs)),
            tables={name: table.shown(SHOWN_ROWS, SHOWN_COLUMNS) for name, table in view.tables.items()},
        )

    def _drawn(
        self, kept: Snapshot, record: IterationRecord, wanted: str, whole: bool
    ) -> tuple[IterationView, Picture]:
        """Return an iteration from its records, or from its notes where it has none; and its graph."""
        progress = self._records.progress(record) if unrecorded(record) else None
        edits: dict[str, str] = {}
        if progress is not None:
            rows = running_rows(record, progress)
        else:
            nodes = source_rows(self._records.nodes(record))
            rows = recorded_rows(record, nodes, kept.artifacts(), proofs_of(nodes, self._records))
            before = newest_recorded(kept.iterations(record.workflow), record.number)
            edits = edited(() if before is None else source_rows(self._records.nodes(before)), nodes)

        def href(name: str) -> str:
            return "" if unrecorded(record) else self._links.node(record.workflow, record.number, name)

        chosen = select({row.name: row.inputs for row in rows}, wanted)
        title = f"graph of iteration {record.number} of {record.workflow}"
        graph = graph_of(title, [row for row in rows if row.name in frozenset(chosen)], href, edits)
        return view_of_record(record, rows, self._records), picture_of(graph, whole=whole)

    def node(self, workflow: str, number: int, name: str) -> Page:
        """One node of an iteration, with the first rows of its table where that is stored."""
        kept, record = self._find(workflow, number)
        workflow = record.workflow
        before = newest_recorded(kept.iterations(workflow), number)
        view = node_view(self._records, record, name, before)
        return self._page(
            kept, f"{name} in iteration {number} of {workflow}", "iterations", workflow, "node.html", view=view,
            plot=plots_among(mapping(record.outputs)).get(name),
            table=None if view.table is None else view.table.shown(SHOWN_ROWS, SHOWN_COLUMNS),
        )

    def compare(self, workflow: str, before: int, after: int, *, whole: bool = False) -> Page:
        kept, one = self._find(workflow, before)
        workflow, other = one.workflow, find_iteration(kept, one.workflow, after)
        plots = [plots_among(mapping(record.outputs)) for record in (one, other)]
        tables = table_differences(tables_of(one, self._records), tables_of(other, self._records))
        view = ComparisonView(compare(self._records, one, other), tables, whole=whole)
        leads = {
            node.name: self._links.node(workflow, after if node.after else before, node.name) for node in view.nodes
        }
        drawn = [replace(node, href=leads.get(node.name, "")) for node in view.graph.nodes]
        numbers = [record.number for record in kept.iterations(workflow)]
        return self._page(
            kept, f"{workflow}: {before} to {after}", "iterations", workflow, "compare.html", view=view, before=one,
            after=other, said=[record.message or edit_of(record) for record in (one, other)], numbers=numbers,
            rows_shown=SHOWN_ROWS,
            plots=[
                (name, *(found.get(name) for found in plots)) for name in plots[1] | plots[0]
                if differ(plots[0].get(name), plots[1].get(name))
            ],
            picture=picture_of(replace(view.graph, nodes=tuple(drawn))),
        )

    def metrics(self, workflow: str) -> Page:
        kept = self.now()
        workflow = kept.find_workflow(workflow)
        rows = kept.rows(workflow)
        found = [trend_of(rows, name) for name in metrics.names(row.metrics for row in rows)]
        details = {row.number: row.details for row in rows}
        return self._page(
            kept, f"{workflow}: metrics", "metrics", workflow, "metrics.html", found=found, details=details,
            href=partial(self._links.iteration, workflow),
        )

    def storage(self, workflow: str) -> Page:
        kept = self.now()
        workflow = kept.find_workflow(workflow)
        iterations = [kept.iterations(name) for name in kept.workflows()]
        view = storage_of(self._records, kept.artifacts(), kept.loads(), iterations)
        return self._page(kept, "Storage", "storage", workflow, "storage.html", view=view)

    def state(self, workflow: str, number: int) -> str:
        """Return how far an iteration is, as JSON; differs when a page that shows it is out of date."""
        _, record = self._find(workflow, number)
        return state_text(record, self._records.progress(record))

    def _find(self, workflow: str, number: int) -> tuple[Snapshot, IterationRecord]:
        kept = self.now()
        return kept, find_iteration(kept, kept.find_workflow(workflow), number)

    def _page(self, kept: Snapshot, title: str, section: str, workflow: str, template: str, **values: Any) -> Page:
        body = render(template, links=self._links, workflow=workflow, **values)
        return Page(title, section, workflow, body, kept.workflows())
