"""All pages in one file that needs no server and no network: one section is shown at a time, by its link, with a node
beside it. It can be read without scripts; with them plots are drawn."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from markupsafe import Markup

from helix_spark.catalog.records import IterationRecord
from helix_spark.errors import ParameterError, nearest
from helix_spark.history.comparison import unrecorded
from helix_spark.history.source_rows import known_nodes
from helix_spark.ui.app import asset
from helix_spark.ui.links import FileLinks
from helix_spark.ui.pages import Page, Pages
from helix_spark.ui.rendering import Renderer

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader

MOST_PANELS = 1_000
"""Nodes that open beside their iteration: those of the newest iterations first, each with all or none of its nodes. A
node takes some 10 kB of the file."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script in the file, which nothing but its text allows to run."""

    text: Markup
    module: bool = False

    @property
    def digest(self) -> str:
        """As a content security policy names it."""
        return f"sha256-{b64encode(sha256(self.text.encode()).digest()).decode()}"


@dataclass(frozen=True, slots=True)
class Section:
    """A page and the name of its place in the file; the nodes that open beside it."""

    place: str
    page: Page
    panels: tuple[Section, ...] = ()


def exported(records: CatalogReader, workflow: str = "", limit: int = 30) -> str:
    """Return the text of the file.

    Args:
        workflow: only this one; all for an empty name.
        limit: how many iterations of each are shown whole, and compared with the one before whose nodes are on record;
            all are listed.

    Raises:
        ParameterError: the catalog has no such workflow.
    """
    there = records.workflows()
    if workflow and workflow not in there:
        raise ParameterError(f"the catalog has no workflow {workflow!r}", remedy=nearest(workflow, there))
    workflows = (workflow,) if workflow else there
    newest = {name: records.iterations(name)[:limit] for name in workflows}
    recorded = {
        name: [record.number for record in iterations if not unrecorded(record)] for name, iterations in newest.items()
    }
    compared = {name: list(zip(numbers[1:], numbers, strict=False)) for name, numbers in recorded.items()}
    nodes = _opening(records, [record for iterations in newest.values() for record in iterations])
    links = FileLinks(
        workflows, [(name, record.number) for name, iterations in newest.items() for record in iterations],
        [(name, before, after) for name, pairs in compared.items() for before, after in pairs], nodes,
    )
    pages = Pages(records, links)
    sections: list[Section] = []
    for name in workflows:
        sections += [
            Section(links.iterations(name), pages.iterations(name)),
            *(_iteration(pages, links, name, record.number, nodes) for record in newest[name]),
            *(Section(links.compare(name, *pair), pages.compare(name, *pair)) for pair in compared[name]),
            Section(links.metrics(name), pages.metrics(name)), Section(links.storage(name), pages.storage(name)),
        ]
    return Renderer().render(
        "export.html", sections=sections, links=links, workflows=workflows, style=Markup(asset("style.css")),
        scripts=_scripts(sections),
    )


def _scripts(sections: Sequence[Section]) -> tuple[Script, ...]:
    """Return what draws plots goes with them alone: it is some 800 kB."""
    shown = (part for section in sections for part in (section, *section.panels))
    licence = f"/*\n{asset('vega.LICENSE.txt')}*/\n"
    drawing = [Script(Markup(licence + asset(name))) for name in _VEGA] if any(map(_has_plot, shown)) else []
    return (*drawing, Script(Markup(asset("plots.js") + asset("exported.js")), module=True))


def _has_plot(section: Section) -> bool:
    return '<figure class="plot" data-plot=' in section.page.body  # no text that is shown can say so


_VEGA = ("vega.min.js", "vega-lite.min.js", "vega-interpreter.min.js")


def _opening(records: CatalogReader, iterations: Sequence[IterationRecord]) -> dict[tuple[str, int], tuple[str, ...]]:
    """Return the nodes that open, by workflow and number."""
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    left = MOST_PANELS
    for record in sorted(iterations, key=lambda one: one.started, reverse=True):
        names = () if unrecorded(record) else tuple(node.name for node in known_nodes(records.nodes(record)))
        if len(names) <= left:
            found[record.workflow, record.number] = names
            left -= len(names)
    return found


def _iteration(
    pages: Pages, links: FileLinks, workflow: str, number: int, nodes: Mapping[tuple[str, int], Sequence[str]]
) -> Section:
    def panels() -> Iterator[Section]:
        for name in nodes.get((workflow, number), ()):
            yield Section(links.node(workflow, number, name), pages.node(workflow, number, name))

    return Section(links.iteration(workflow, number), pages.iteration(workflow, number), tuple(panels()))
