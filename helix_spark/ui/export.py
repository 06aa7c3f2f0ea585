"""All pages in one file that needs no server, no script and no network: one section is shown at a time, by its link."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from helix_spark.errors import ParameterError, nearest
from helix_spark.past.comparison import unrecorded
from helix_spark.ui.app import asset
from helix_spark.ui.links import FileLinks
from helix_spark.ui.pages import Page, Pages
from helix_spark.ui.records import Records
from helix_spark.ui.rendering import Renderer


@dataclass(frozen=True, slots=True)
class Section:
    """A page and the name of its place in the file."""

    place: str
    page: Page


def exported(records: Records, workflow: str = "", limit: int = 30) -> str:
    """The text of the file.

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
    shown = {name: [record.number for record in iterations] for name, iterations in newest.items()}
    recorded = {
        name: [record.number for record in iterations if not unrecorded(record)] for name, iterations in newest.items()
    }
    compared = {name: list(zip(numbers[1:], numbers, strict=False)) for name, numbers in recorded.items()}
    links = FileLinks(
        workflows, [(name, number) for name, numbers in shown.items() for number in numbers],
        [(name, before, after) for name, pairs in compared.items() for before, after in pairs],
    )
    pages = Pages(records, links)
    sections: list[Section] = []
    for name in workflows:
        sections += [
            Section(links.iterations(name), pages.iterations(name)),
            *(Section(links.iteration(name, number), pages.iteration(name, number)) for number in shown[name]),
            *(Section(links.compare(name, *pair), pages.compare(name, *pair)) for pair in compared[name]),
            Section(links.metrics(name), pages.metrics(name)), Section(links.storage(name), pages.storage(name)),
        ]
    style = Markup(asset("style.css"))
    return Renderer().render("export.html", sections=sections, links=links, workflows=workflows, style=style)
