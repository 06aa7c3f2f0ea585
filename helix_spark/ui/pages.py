"""The pages, rendered from records, for the server and the exported file."""

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
from helix_spark.drawing.groups import picture_of
from helix_spark.errors import HelixError
from helix_spark.history import metrics
from helix_spark.history.comparison import compare, differ, unrecorded
from helix_spark.history.edit_message import edit_of
from helix_spark.history.iteration_lookup import check_workflow, find_iteration, newest_recorded
from helix_spark.history.source_rows import source_rows
from helix_spark.history.states import proofs_of, saved_seconds
from helix_spark.history.table_preview import SHOWN_COLUMNS, SHOWN_ROWS, table_differences, tables_of
from helix_spark.history.value_text import value_text
from helix_spark.plots import plots_among
from helix_spark.ui.iteration_page import edits_since, running_rows, select, select_longest, state_text, view_progress
from helix_spark.ui.links import Links
from helix_spark.ui.listing import Order, Row, listing, listing_rows, trend_of
from helix_spark.ui.rendering import render
from helix_spark.views.comparison_view import ComparisonView
from helix_spark.views.iteration_view import view_of_record
from helix_spark.views.node_row import graph_of, ranked, recorded_rows
from helix_spark.views.node_view import node_view
from helix_spark.views.storage_view import storage_of

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader

MOST_BARS = 40


@dataclass(frozen=True, slots=True)
class Page:
    """A page without its frame, which marks the page's `section` and lists all `workflows`."""

    title: str
    section: str
    workflow: str
    body: Markup
    workflows: tuple[str, ...] = ()


class Snapshot:
    """The records of one version of the catalog, each read once. Which iterations have died is checked at each call."""

    def __init__(self, records: CatalogReader) -> None:
        self._records = records
        self.workflows = cache(records.workflows)
        self.artifacts: Callable[[], dict[str, ArtifactRecord]] = cache(records.last_events)
        self.loads = cache(records.loads)
        self._iterations = cache(records.iterations)
        self._rows: dict[tuple[str, ...], tuple[Row, ...]] = {}

    def iterations(self, workflow: str) -> tuple[IterationRecord, ...]:
        """Return all iterations of a workflow, newest first."""
        return self._records.concluded(self._iterations(workflow), workflow)

    def rows(self, workflow: str) -> tuple[Row, ...]:
        """Return the rows of all iterations of a workflow, newest first."""
        iterations = self.iterations(workflow)
        key = (workflow, *(record.run for record in iterations if record.status == "died"))
        if key not in self._rows:
            artifacts = [artifact for artifact in self.artifacts().values() if artifact.workflow == workflow]
            self._rows[key] = listing_rows(iterations, artifacts)
        return self._rows[key]

    def find_workflow(self, name: str) -> str:
        """Return a workflow's name after a check, or the first workflow if it is empty. Raises ParameterError."""
        workflows = self.workflows()
        if not name and workflows:
            return workflows[0]
        check_workflow(self, name)
        return name


class Pages:
    """All pages of a catalog. Thread-safe: each page is rendered from the records of one version.

    Methods raise ParameterError for what the catalog does not have, and CatalogError if it cannot be read.
    """

    def __init__(self, records: CatalogReader, links: Links) -> None:
        self._records, self._links = records, links
        self._newest: tuple[str, Snapshot] = ("", Snapshot(records))

    def snapshot(self) -> Snapshot:
        """Return the current records, cached until the catalog's version changes.

        The version is read before its records, so these are at least as new.
        """
        version = self._records.version()
        # A single read and a single assignment, so that version and snapshot belong together in every thread.
        newest = self._newest
        if version != newest[0]:
            newest = self._newest = (version, Snapshot(self._records))
        return newest[1]

    def render_page(self, page: Page, *, is_failure: bool = False) -> str:
        """Return a page in its frame, with the records that were rejected."""
        rejections = () if is_failure else self._records.rejections
        return render("page.html", page=page, workflows=page.workflows, links=self._links, rejections=rejections)

    def failure(self, title: str, error: HelixError) -> str:
        """Return the page of an error."""
        return self.render_page(Page(title, "", "", render("error.html", title=title, error=error)), is_failure=True)

    def iterations(
        self, workflow: str = "", *, query: str = "", order: Order = "number", ascending: bool = False, page: int = 1,
        metric: str = "", columns: Sequence[str] = (),
    ) -> Page:
        """List the iterations like a commit log; an exported file has all of them on one page."""
        snapshot = self.snapshot()
        if not workflow and not snapshot.workflows():
            return Page("Iterations", "iterations", "", render("empty.html"))
        workflow = snapshot.find_workflow(workflow)
        view = listing(
            snapshot.rows(workflow), query=query, order=order, ascending=ascending, page=page, paged=self._links.live,
            metric=metric, columns=columns,
        )
        return self._page(snapshot, f"{workflow}: iterations", "iterations", workflow, "iterations.html", view=view)

    def iteration(self, workflow: str, number: int, *, node_filter: str = "", unfolded: bool = False) -> Page:
        snapshot, record = self._find(workflow, number)
        iterations, progress = snapshot.iterations(record.workflow), self._records.progress(record)
        before = None if unrecorded(record) else newest_recorded(iterations, number)
        edits: dict[str, str] = {}
        if unrecorded(record) and progress is not None:
            rows = running_rows(record, progress)
        else:
            nodes = source_rows(self._records.nodes(record))
            rows = recorded_rows(record, nodes, snapshot.artifacts(), proofs_of(nodes, self._records))
            edits = edits_since(() if before is None else source_rows(self._records.nodes(before)), nodes)

        def href(name: str) -> str:
            return "" if unrecorded(record) else self._links.node(record.workflow, number, name)

        selected = frozenset(select({row.name: row.inputs for row in rows}, node_filter))
        title = f"graph of iteration {number} of {record.workflow}"
        graph = graph_of(title, [row for row in rows if row.name in selected], href, edits)
        view = view_of_record(record, rows, self._records)
        numbers = [iteration.number for iteration in iterations]
        ran = [row for row in rows if row.seconds is not None]
        return self._page(
            snapshot, f"{record.workflow}: iteration {number}", "iterations", record.workflow, "iteration.html",
            record=record, view=view, picture=picture_of(graph, unfolded=unfolded), node_filter=node_filter,
            unfolded=unfolded, rows=ranked(rows), counts=Counter(row.state for row in rows),
            saved=saved_seconds(record), bars=select_longest(ran, MOST_BARS), ran=len(ran),
            spent=sum(row.seconds or 0.0 for row in ran),
            previous=max((earlier for earlier in numbers if earlier < number), default=None),
            following=min((later for later in numbers if later > number), default=None),
            compared=before and before.number,
            versions={name: value_text(value) for name, value in mapping(record.versions).items() if value},
            progress=None if record.status == "died" else progress, state=state_text(record, progress),
            underway=view_progress(record, progress, time.time()), plots=plots_among(mapping(record.outputs)),
            tables={name: table.shown(SHOWN_ROWS, SHOWN_COLUMNS) for name, table in view.tables.items()},
        )

    def node(self, workflow: str, number: int, name: str) -> Page:
        """Show a node of an iteration, with the first rows of its table if it is stored."""
        snapshot, record = self._find(workflow, number)
        workflow = record.workflow
        before = newest_recorded(snapshot.iterations(workflow), number)
        view = node_view(self._records, record, name, before)
        return self._page(
            snapshot, f"{name} in iteration {number} of {workflow}", "iterations", workflow, "node.html", view=view,
            plot=plots_among(mapping(record.outputs)).get(name),
            table=None if view.table is None else view.table.shown(SHOWN_ROWS, SHOWN_COLUMNS),
        )

    def compare(self, workflow: str, before: int, after: int, *, shows_equal: bool = False) -> Page:
        snapshot, old = self._find(workflow, before)
        workflow, new = old.workflow, find_iteration(snapshot, old.workflow, after)
        old_plots, new_plots = (plots_among(mapping(record.outputs)) for record in (old, new))
        tables = table_differences(tables_of(old, self._records), tables_of(new, self._records))
        view = ComparisonView(compare(self._records, old, new), tables, shows_equal)
        hrefs = {
            node.name: self._links.node(workflow, after if node.after else before, node.name) for node in view.nodes
        }
        nodes = [replace(node, href=hrefs.get(node.name, "")) for node in view.graph.nodes]
        numbers = [record.number for record in snapshot.iterations(workflow)]
        return self._page(
            snapshot, f"{workflow}: {before} to {after}", "iterations", workflow, "compare.html", view=view, before=old,
            after=new, messages=[record.message or edit_of(record) for record in (old, new)], numbers=numbers,
            rows_shown=SHOWN_ROWS,
            plots=[
                (name, old_plots.get(name), new_plots.get(name)) for name in new_plots | old_plots
                if differ(old_plots.get(name), new_plots.get(name))
            ],
            picture=picture_of(replace(view.graph, nodes=tuple(nodes))),
        )

    def metrics(self, workflow: str) -> Page:
        snapshot = self.snapshot()
        workflow = snapshot.find_workflow(workflow)
        rows = snapshot.rows(workflow)
        trends = [trend_of(rows, name) for name in metrics.names(row.metrics for row in rows)]
        details = {row.number: row.details for row in rows}
        return self._page(
            snapshot, f"{workflow}: metrics", "metrics", workflow, "metrics.html", trends=trends, details=details,
            href=partial(self._links.iteration, workflow),
        )

    def storage(self, workflow: str) -> Page:
        snapshot = self.snapshot()
        workflow = snapshot.find_workflow(workflow)
        iterations = [snapshot.iterations(name) for name in snapshot.workflows()]
        view = storage_of(self._records, snapshot.artifacts(), snapshot.loads(), iterations)
        return self._page(snapshot, "Storage", "storage", workflow, "storage.html", view=view)

    def state(self, workflow: str, number: int) -> str:
        """Return the progress of an iteration as JSON, see `state_text`."""
        _, record = self._find(workflow, number)
        return state_text(record, self._records.progress(record))

    def _find(self, workflow: str, number: int) -> tuple[Snapshot, IterationRecord]:
        snapshot = self.snapshot()
        return snapshot, find_iteration(snapshot, snapshot.find_workflow(workflow), number)

    def _page(self, snapshot: Snapshot, title: str, section: str, workflow: str, template: str, **values: Any) -> Page:
        body = render(template, links=self._links, workflow=workflow, **values)
        return Page(title, section, workflow, body, snapshot.workflows())
