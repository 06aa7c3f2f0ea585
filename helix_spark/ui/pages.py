"""Each page: what it needs of the records, as rendered text. Knows nothing of HTTP; a server and a file both ask it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from markupsafe import Markup

from helix_spark.catalog.progress import Progress
from helix_spark.catalog.records import ArtifactRecord, IterationRecord
from helix_spark.costs.metrics import less_is_better
from helix_spark.drawing import svg
from helix_spark.errors import HelixError, nearest
from helix_spark.sizes import format_size
from helix_spark.ui import metrics
from helix_spark.ui.comparison import NodeDifference, comparison
from helix_spark.ui.folding import BY_SIZE, Folding
from helix_spark.ui.iteration import IterationView, iteration_view, node_views
from helix_spark.ui.kept import KeptRecords
from helix_spark.ui.links import Links, at_graph, folding_state
from helix_spark.ui.listing import Order, Row, listing, rows_of, saved
from helix_spark.ui.node import node_page
from helix_spark.ui.preview import Preview, preview_of
from helix_spark.ui.records import Records
from helix_spark.ui.rendering import Renderer
from helix_spark.ui.running import records_of, running_states, state_of
from helix_spark.ui.storage import storage_view

_TREND = 60
"""Values in a sparkline."""


class NotHereError(HelixError):
    """Something the catalog does not have."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page without its frame.

    Attributes:
        title: in words.
        section: which of the sections it belongs to; the frame marks it.
    """

    title: str
    section: str
    workflow: str
    body: Markup


class Pages:
    """All pages of a catalog. May be used from several threads."""

    def __init__(self, records: Records, links: Links) -> None:
        self._records, self._kept, self._links, self._renderer = records, KeptRecords(records), links, Renderer()

    def framed(self, page: Page) -> str:
        """The whole document."""
        return self._renderer.render("page.html", page=page, workflows=self._kept.workflows(), links=self._links)

    def failure(self, title: str, error: HelixError) -> str:
        """A document that says what is wrong, in the same frame."""
        body = self._renderer.render("error.html", title=title, error=error)
        workflows: tuple[str, ...] = ()
        return self._renderer.render(
            "page.html", page=Page(title, "", "", body), workflows=workflows, links=self._links
        )

    def iterations(
        self, workflow: str = "", *, query: str = "", order: Order = "number", ascending: bool = False, page: int = 1,
        metric: str = "", less: bool | None = None,
    ) -> Page:
        """What ran, like a commit log."""
        try:
            workflow = self.known(workflow)
        except NotHereError:
            if workflow or self._kept.workflows():
                raise
            return Page("Iterations", "iterations", "", self._renderer.render("empty.html"))
        view = listing(
            workflow, self.rows(workflow), query=query, order=order, ascending=ascending, page=page, metric=metric,
            less=less,
        )
        return self._page(f"{workflow}: iterations", "iterations", workflow, "iterations.html", view=view)

    def iteration(
        self, workflow: str, number: int, *, wanted: str = "", whole: bool = False, folding: Folding = BY_SIZE
    ) -> Page:
        """One iteration."""
        workflow = self.known(workflow)
        view, progress = self._iteration(workflow, number, wanted, whole, folding)
        title = f"{workflow}: iteration {number}"
        return self._page(
            title, "iterations", workflow, "iteration.html", view=view, wanted=wanted, progress=progress,
            fold=self._folded(workflow, number, wanted, whole, Folding(True)),
            unfold=self._folded(workflow, number, wanted, whole, Folding(False)),
            image=self._links.image(workflow, number, nodes=wanted, whole=whole, **folding_state(folding)),
        )

    def image(
        self, workflow: str, number: int, *, wanted: str = "", whole: bool = False, folding: Folding = BY_SIZE
    ) -> str:
        """The graph of an iteration as a file of its own: SVG that opens anywhere. Raises NotHereError."""
        workflow = self.known(workflow)
        view, _ = self._iteration(workflow, number, wanted, whole, folding)
        if view.picture.graph is None:
            raise NotHereError(f"the graph of iteration {number} of {workflow!r} is too large to draw unasked")
        return svg(view.picture.graph, linked=False)

    def _folded(self, workflow: str, number: int, wanted: str, whole: bool, asked: Folding) -> str:
        return at_graph(self._links.iteration(workflow, number, nodes=wanted, whole=whole, **folding_state(asked)))

    def _iteration(
        self, workflow: str, number: int, wanted: str, whole: bool, folding: Folding
    ) -> tuple[IterationView, Progress | None]:
        record = self.found(workflow, number)
        progress = self._records.progress(record)
        running = progress if record.status == "running" else None
        noted = progress if record.status in ("running", "died") else None
        nodes = records_of(record, noted) if noted else self._records.nodes(record)

        def href(name: str) -> str:
            return "" if noted else self._links.node(workflow, number, name)

        view = iteration_view(
            record, nodes, self._kept.artifacts(),
            [each.number for each in self._kept.iterations(workflow)],
            saved(record), href, wanted=wanted, whole=whole,
            states=running_states(running) if running else None, folding=folding,
            folded=partial(self._folded, workflow, number, wanted, whole),
        )
        return view, progress if record.status != "died" else None

    def node(self, workflow: str, number: int, name: str) -> Page:
        """One node of an iteration, with the first rows of its table where that is stored."""
        workflow = self.known(workflow)
        record = self.found(workflow, number)
        nodes = self._records.nodes(record)
        views = node_views(record, nodes, self._kept.artifacts())
        before = max((r.number for r in self._kept.iterations(workflow) if r.number < number), default=None)
        old = self._records.nodes(self.found(workflow, before)) if before is not None else ()
        view = node_page(record, views, name, old, before)
        if view is None:
            raise NotHereError(
                f"iteration {number} of {workflow!r} has no node {name!r}",
                remedy=nearest(name, [node.name for node in nodes]),
            )
        preview = self._preview(view.view.artifact)
        title = f"{name} in iteration {number} of {workflow}"
        return self._page(title, "iterations", workflow, "node.html", view=view, preview=preview)

    def compare(
        self, workflow: str, before: int, after: int, *, whole: bool = False, folding: Folding = BY_SIZE
    ) -> Page:
        """How two iterations differ."""
        workflow = self.known(workflow)
        one, other = self.found(workflow, before), self.found(workflow, after)

        def href(node: NodeDifference) -> str:
            return self._links.node(workflow, after if node.after else before, node.name)

        def folded(asked: Folding) -> str:
            return at_graph(self._links.compare(workflow, before, after, whole=whole, **folding_state(asked)))

        view = comparison(
            one, self._records.nodes(one), other, self._records.nodes(other), href, whole=whole, folding=folding,
            folded=folded,
        )
        title = f"{workflow}: {before} to {after}"
        numbers = [record.number for record in self._kept.iterations(workflow)]
        return self._page(title, "iterations", workflow, "compare.html", view=view, numbers=numbers,
                          fold=folded(Folding(True)), unfold=folded(Folding(False)))

    def metrics(self, workflow: str) -> Page:
        """Each metric over the iterations."""
        workflow = self.known(workflow)
        rows = self.rows(workflow)
        found = []
        for name in metrics.names(row.metrics for row in rows):
            values = {row.number: row.metrics[name] for row in rows if name in row.metrics}
            less = less_is_better(name)
            ordered = [values[number] for number in sorted(values)]
            found.append((name, values, less, metrics.best(values, less), ordered[-_TREND:]))
        told = {row.number: row.told for row in rows}
        return self._page(f"{workflow}: metrics", "metrics", workflow, "metrics.html", found=found, told=told)

    def storage(self, workflow: str) -> Page:
        """What is stored, of all workflows."""
        workflow = self.known(workflow)
        artifacts = self._kept.artifacts()
        newest, last = {}, None
        for name in self._kept.workflows():
            ended = next((r for r in self._kept.iterations(name) if r.status in ("done", "failed")), None)
            if ended is not None:
                newest[name] = self._records.nodes(ended)
                last = ended if last is None or ended.started > last.started else last
        live = [signature for signature, record in artifacts.items() if record.event == "published"]
        wanted = {*live, *(node.signature for nodes in newest.values() for node in nodes)}
        view = storage_view(
            artifacts, self._kept.loads(), self._records.measured(wanted), newest, last, self._records.bytes_used()
        )
        return self._page("Storage", "storage", workflow, "storage.html", view=view)

    def state(self, workflow: str, number: int) -> dict[str, Any]:
        """How far an iteration is; differs when a page that shows it is out of date."""
        record = self.found(self.known(workflow), number)
        return state_of(record, self._records.progress(record))

    def rows(self, workflow: str) -> tuple[Row, ...]:
        """All iterations of a workflow, newest first."""
        iterations = self._kept.iterations(workflow)

        def read() -> tuple[Row, ...]:
            artifacts = [record for record in self._kept.artifacts().values() if record.workflow == workflow]
            return rows_of(iterations, artifacts)

        # That an iteration died is no record, which would make them be read anew.
        return self._kept.keep(read, "rows", workflow, *(one.run for one in iterations if one.status == "died"))

    def known(self, workflow: str) -> str:
        """The workflow of a name; the only one, or the first, where none was named. Every page begins here, with the
        records as they are now. Raises NotHereError.
        """
        self._kept.refresh()
        there = self._kept.workflows()
        if workflow in there:
            return workflow
        if not workflow and there:
            return there[0]
        raise NotHereError(f"the catalog has no workflow {workflow!r}", remedy=nearest(workflow, there))

    def found(self, workflow: str, number: int) -> IterationRecord:
        """The iteration of a number. Raises NotHereError."""
        record = next((each for each in self._kept.iterations(workflow) if each.number == number), None)
        if record is None:
            newest = max((each.number for each in self._kept.iterations(workflow)), default=None)
            raise NotHereError(
                f"{workflow!r} has no iteration {number}", exists=f"the newest is {newest}" if newest else None
            )
        return record

    def _preview(self, artifact: ArtifactRecord | None) -> Preview | None:
        if artifact is None or artifact.event != "published":
            return None
        if artifact.kind == "value":
            return Preview(value=artifact.value or "")
        if artifact.kind == "model":
            return Preview(note=f"a model of {format_size(artifact.bytes)}: only Spark can read it")
        try:
            return preview_of(
                *self._records.first_rows(artifact, Preview.ROWS), artifact.rows, artifact.left_out
            )
        except HelixError as error:
            return Preview(note=str(error))

    def _page(self, title: str, section: str, workflow: str, template: str, **values: Any) -> Page:
        body = self._renderer.render(template, links=self._links, workflow=workflow, **values)
        return Page(title, section, workflow, body)
