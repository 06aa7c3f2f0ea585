"""The page of one node of an iteration: why it ran, what changed in it, what its signature is made of."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.signature.difference import Change, changes
from helix_spark.signature.parts import Group, Part
from helix_spark.ui.comparison import Line, code_lines
from helix_spark.ui.iteration import NodeView
from helix_spark.ui.reading import parts


@dataclass(frozen=True, slots=True)
class NodePage:
    """One node of one iteration.

    Attributes:
        code: its lines against those of the same node in `previous`, where the text differs.
        changes: what differs from the same node in the iteration `previous`; None where it was not there.
        fields: of its signature.
        readers: names of the nodes that read it.
        previous: the newest iteration before whose nodes are on record; None if there is none.
    """

    iteration: IterationRecord
    view: NodeView
    changes: tuple[Change, ...] | None
    code: tuple[Line, ...]
    fields: tuple[Part, ...]
    readers: tuple[str, ...]
    previous: int | None


def node_page(
    record: IterationRecord, views: Sequence[NodeView], name: str, before: Sequence[NodeRecord], previous: int | None
) -> NodePage | None:
    """The page of a node; None if the iteration has no such node.

    Args:
        before: the nodes of the newest iteration before that has them on record, whose number is `previous`.
    """
    view = next((view for view in views if view.record.name == name), None)
    if view is None:
        return None
    fields = parts(view.record.parts)
    old = next((node for node in before if node.name == name), None)
    return NodePage(
        record, view, changes(parts(old.parts), fields) if old else None,
        code_lines(textwrap.dedent(old.code), textwrap.dedent(view.record.code)) if old else (),
        tuple(part for part in fields if part.group is not Group.INPUT),
        tuple(each.record.name for each in views if name in each.record.inputs), previous,
    )
