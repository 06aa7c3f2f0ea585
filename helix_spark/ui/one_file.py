"""All pages in one file that needs no server and no network: one section is shown at a time, by its link, with a node
beside it. It can be read without scripts; with them plots are drawn."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
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
"""Nodes that open beside their iteration: those of the newest iterations first, each with all or none of its nodes. A
node takes some 10 kB of the file."""

_VEGA = ("vega.min.js", "vega-lite.min.js", "vega-interpreter.min.js")


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
    panels: list[Section] = field(default_factory=list)


def exported(records: CatalogReader, workflow: str = "", limit: int = 30) -> str:
    """Return the text of the file: of one workflow, or of all. All iterations are listed; the newest, up to `limit` of
    each, are shown whole, and compared with the one before whose nodes are on record. Raises ParameterError where the
    catalog has no such workflow."""
    check_workflow(records, workflow or None)
    workflows = (workflow,) if workflow else records.workflows()
    newest = {name: records.iterations(name)[:limit] for name in workflows}
    nodes = _opening(records, [record for iterations in newest.values() for record in iterations])
    # Places are named by numbers, for names may hold anything. Each page has a method of `Links` and one of `Pages`.
    entries: list[tuple[str, str, tuple[Any, ...]]] = []
    for at, name in enumerate(workflows):
        entries.append((f"iterations-{at}", "iterations", (name,)))
        for number in (record.number for record in newest[name]):
            entries.append((f"iteration-{at}-{number}", "iteration", (name, number)))
            for place, node in enumerate(nodes.get((name, number), ())):
                entries.append((f"node-{at}-{number}-{place}", "node", (name, number, node)))
        recorded = [record.number for record in newest[name] if not unrecorded(record)]
        for before, after in zip(recorded[1:], recorded, strict=False):  # newest first
            entries.append((f"compare-{at}-{before}-{after}", "compare", (name, before, after)))
        entries += [(f"metrics-{at}", "metrics", (name,)), (f"storage-{at}", "storage", (name,))]
    address = Links()
    links = Links({getattr(address, kind)(*what): f"#{place}" for place, kind, what in entries})
    pages = Pages(records, links)
    sections: list[Section] = []
    for name, kind, what in entries:
        section = Section(name, getattr(pages, kind)(*what))
        (sections[-1].panels if kind == "node" else sections).append(section)
    return render(
        "export.html", sections=sections, links=links, workflows=workflows, style=Markup(asset("style.css")),
        scripts=_scripts(sections),
    )


def _scripts(sections: Sequence[Section]) -> tuple[Script, ...]:
    """Return the scripts; what draws plots, some 800 kB, only where there are plots."""
    shown = (part for section in sections for part in (section, *section.panels))
    has_plot = any('<figure class="plot" data-plot=' in one.page.body for one in shown)  # no text shown can say so
    licence = f"/*\n{asset('vega.LICENSE.txt')}*/\n"
    drawing = [Script(Markup(licence + asset(name))) for name in _VEGA] if has_plot else []
    return (*drawing, Script(Markup(asset("plots.js") + asset("exported.js")), module=True))


def _opening(records: CatalogReader, iterations: Sequence[IterationRecord]) -> Mapping[tuple[str, int], Sequence[str]]:
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    left = MOST_PANELS
    for record in sorted(iterations, key=lambda one: one.started, reverse=True):
        names = () if unrecorded(record) else tuple(node.name for node in known_nodes(records.nodes(record)))
        if len(names) <= left:
            found[record.workflow, record.number] = names
            left -= len(names)
    return found
