"""All pages in one file, without server or network: one section at a time, a node beside it. Plots need scripts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from helix_spark.catalog.records import IterationRecord
from helix_spark.history.comparison import unrecorded
from helix_spark.history.iteration_lookup import check_workflow
from helix_spark.history.source_rows import known_nodes
from helix_spark.ui.app import asset
from helix_spark.ui.links import Links
from helix_spark.ui.pages import Page, Pages
from helix_spark.ui.rendering import render

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader

MOST_PANELS = 1_000
"""Limit of nodes with a panel, some 10 kB each. The newest iterations come first, each with all its nodes or none."""

_VEGA = ("vega.min.js", "vega-lite.min.js", "vega-interpreter.min.js")


@dataclass(frozen=True, slots=True)
class Script:
    """A script in the file, which the content security policy allows by its digest."""

    text: Markup
    module: bool = False

    @property
    def digest(self) -> str:
        """The digest in the policy's format."""
        return f"sha256-{b64encode(sha256(self.text.encode()).digest()).decode()}"


@dataclass(frozen=True, slots=True)
class Section:
    """A page, its anchor in the file, and the nodes that open next to it."""

    anchor: str
    page: Page
    panels: list[Section] = field(default_factory=list)


def export_pages(records: CatalogReader, workflow: str = "", limit: int = 30) -> str:
    """Return the pages of one workflow, or of all, as the text of a file.

    All iterations are listed. The newest `limit` of each workflow have a page, and a comparison with the previous one
    that has recorded nodes. Raises ParameterError if the catalog does not have the workflow.
    """
    check_workflow(records, workflow or None)
    workflows = (workflow,) if workflow else records.workflows()
    newest = {name: records.iterations(name)[:limit] for name in workflows}
    nodes = _nodes_with_panels(records, [record for iterations in newest.values() for record in iterations])
    # Names may contain any characters, so anchors have numbers. Each kind of page is a method of `Links` and `Pages`.
    entries: list[tuple[str, str, tuple[Any, ...]]] = []
    for index, name in enumerate(workflows):
        entries.append((f"iterations-{index}", "iterations", (name,)))
        for number in (record.number for record in newest[name]):
            entries.append((f"iteration-{index}-{number}", "iteration", (name, number)))
            for position, node in enumerate(nodes.get((name, number), ())):
                entries.append((f"node-{index}-{number}-{position}", "node", (name, number, node)))
        recorded = [record.number for record in newest[name] if not unrecorded(record)]
        for after, before in pairwise(recorded):  # newest first
            entries.append((f"compare-{index}-{before}-{after}", "compare", (name, before, after)))
        entries += [(f"metrics-{index}", "metrics", (name,)), (f"storage-{index}", "storage", (name,))]
    urls = Links()
    links = Links({getattr(urls, kind)(*arguments): f"#{anchor}" for anchor, kind, arguments in entries})
    pages = Pages(records, links)
    sections: list[Section] = []
    for anchor, kind, arguments in entries:
        section = Section(anchor, getattr(pages, kind)(*arguments))
        (sections[-1].panels if kind == "node" else sections).append(section)
    return render(
        "export.html", sections=sections, links=links, workflows=workflows, style=Markup(asset("style.css")),
        scripts=_scripts(sections),
    )


def _scripts(sections: Sequence[Section]) -> tuple[Script, ...]:
    """Return the scripts. Those that draw plots, some 800 kB, are included only if there are plots."""
    parts = (part for section in sections for part in (section, *section.panels))
    has_plot = any('<figure class="plot" data-plot=' in part.page.body for part in parts)  # texts have `<` escaped
    licence = f"/*\n{asset('vega.LICENSE.txt')}*/\n"
    vega = [Script(Markup(licence + asset(name))) for name in _VEGA] if has_plot else []
    return (*vega, Script(Markup(asset("plots.js") + asset("exported.js")), module=True))


def _nodes_with_panels(
    records: CatalogReader, iterations: Sequence[IterationRecord]
) -> Mapping[tuple[str, int], Sequence[str]]:
    nodes: dict[tuple[str, int], tuple[str, ...]] = {}
    remaining = MOST_PANELS
    for record in sorted(iterations, key=lambda record: record.started, reverse=True):
        names = () if unrecorded(record) else tuple(node.name for node in known_nodes(records.nodes(record)))
        if len(names) <= remaining:
            nodes[record.workflow, record.number] = names
            remaining -= len(names)
    return nodes
