"""One node of one iteration by itself, as it is shown: what became of it and why, what changed, its code, what it
holds, what its fit gave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from helix_spark.catalog.places.json_text import parsed
from helix_spark.drawing.style import PROOFS
from helix_spark.history.model_card import ModelCard
from helix_spark.history.node_look import NodeLook
from helix_spark.history.source_rows import Point
from helix_spark.history.table_preview import TablePreview
from helix_spark.history.table_profile import ColumnProfile
from helix_spark.sizes import format_size, seconds_text
from helix_spark.views.comparison_view import Line, code_lines
from helix_spark.views.node_row import NodeRow, recorded_rows


@dataclass(frozen=True)
class NodeView:
    """One node.

    Attributes:
        row: as in the table of its iteration.
        readers: names of the nodes that read it.
        changes: against the iteration before, a sentence each; `unchanged` says so where there are none.
        code: of its function; `code_changes` are the lines that differ from those before.
        storing: what is stored of its result, in a sentence; `proof` says whether it comes out the same.
        value: of a result that is stored and a plain value, as JSON's types; `has_value` says whether it is one.
        table: its first rows, where it is a table among the outputs.
        profiled: how many of its stored rows were looked at, for what `columns` hold.
        card: what its fit gave.
        fields: of its signature: kind, label, value and digest.
        points: of a search; `members` are the questions of a line that asks several.
    """

    workflow: str
    iteration: int
    previous: int | None
    row: NodeRow
    readers: tuple[str, ...]
    changes: tuple[str, ...]
    unchanged: str
    code: str
    code_changes: tuple[Line, ...]
    storing: str
    proof: str
    has_value: bool
    value: Any
    table: TablePreview | None
    profiled: int
    columns: tuple[ColumnProfile, ...]
    card: ModelCard | None
    fields: tuple[tuple[str, str, str, str], ...]
    signature: str
    declared: str
    points: tuple[Point, ...] = ()
    members: tuple[NodeRow, ...] = ()

    @property
    def about(self) -> str:
        """What it is, and of what."""
        return f"{self.row.kind}, iteration {self.iteration} of {self.workflow}"

    @property
    def did(self) -> str:
        """What became of it and why, in a sentence."""
        expected = f" ({seconds_text(self.row.expected)} expected)" if self.row.expected else ""
        told = f"{self.row.did}{expected}"
        return self.row.why if self.row.why.startswith(f"{told}:") else f"{told}: {self.row.why}"

    @property
    def told(self) -> tuple[str, ...]:
        """All of it that is a sentence."""
        return tuple(self._told())

    def _told(self) -> Iterator[str]:
        yield self.did
        if self.row.inputs:
            yield f"reads {', '.join(self.row.inputs)}"
        if self.readers:
            yield f"read by {', '.join(self.readers)}"
        if self.row.artifact is not None:
            yield ", ".join(filter(None, (self.storing, self.row.proof if self.row.stored == "stored" else "")))
        for change in self.changes:
            if change not in self.row.why:
                yield f"against iteration {self.previous}: {change}"


def node_view(look: NodeLook) -> NodeView:
    """A node as it is shown."""
    node, artifact = look.node, look.artifact
    (row,) = recorded_rows(
        look.iteration, [node], {} if artifact is None else {node.signature: artifact}, {node.name: look.proof},
        {node.name: look.state},
    )
    value = _value(look)
    return NodeView(
        node.workflow, node.iteration, look.previous, row, look.readers, tuple(map(str, look.changes or ())),
        _unchanged(look), look.code, code_lines(look.code_before, look.code) if look.code_before else (),
        _storing(look), f"{look.proof}: {PROOFS[look.proof]}" if look.is_stored else "", bool(value),
        next(iter(value), None), look.table,
        look.rows, look.columns, look.card,
        tuple((part.group.value, part.label, part.shown or "", part.digest[:12]) for part in look.fields),
        node.signature, node.declared, look.points, recorded_rows(look.iteration, look.members, {}),
    )


def _value(look: NodeLook) -> tuple[Any, ...]:
    """The value that is stored; nothing where none is, or its record is damaged."""
    if look.artifact is None or not look.is_stored or look.artifact.kind != "value":
        return ()
    try:
        return (parsed(look.artifact.value or "null"),)
    except ValueError:
        return ()


def _unchanged(look: NodeLook) -> str:
    if look.changes:
        return ""
    if look.changes is not None:
        return f"Nothing, against iteration {look.previous}."
    if look.previous:
        return f"Iteration {look.previous} had no such node."
    return "There is no iteration before it to compare with."


def _storing(look: NodeLook) -> str:
    artifact = look.artifact
    if artifact is None:
        return "its result was never stored" + ("; its first rows are on record" if look.table is not None else "")
    if not look.is_stored:
        return f"no longer stored: {artifact.event}" + (f", {artifact.why}" if artifact.why else "")
    of = f" of {artifact.workflow}" if artifact.workflow != look.node.workflow else ""
    size = f", {format_size(artifact.bytes)}" if artifact.bytes else ""
    wrote = f", written in {seconds_text(artifact.write_seconds)}" if artifact.write_seconds >= 0.01 else ""
    return f"stored by iteration {artifact.iteration}{of}{size}{wrote}"
