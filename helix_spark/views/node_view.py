"""The view of one node of an iteration: its state and reason, changes, code, first rows and fitted model."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.places.json_text import mapping, parsed
from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord
from helix_spark.errors import HelixError, ParameterError, nearest
from helix_spark.history.comparison import text_diff, unrecorded
from helix_spark.history.model_card import ModelCard, card_of
from helix_spark.history.source_rows import Point, known_nodes, lines_of_source, points_of, source_rows
from helix_spark.history.states import proofs_of, shown_states
from helix_spark.history.table_preview import SHOWN_COLUMNS, SHOWN_ROWS, TablePreview, stored_rows, tables_of
from helix_spark.history.value_text import PLACE
from helix_spark.identity.difference import changes, own_changes, parts_from_json
from helix_spark.identity.parts import Group
from helix_spark.sizes import format_size, seconds_text
from helix_spark.views.comparison_view import Line, diff_lines
from helix_spark.views.node_row import NodeRow, recorded_rows

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader


@dataclass(frozen=True)
class NodeView:
    """One node.

    Attributes:
        row: its row in the table of its iteration.
        readers: names of the nodes that read it.
        previous: the newest earlier iteration with recorded nodes; None if there is none.
        changes: sentences on changes since that iteration; None if it lacks the node.
        code: the text of its function, without its indent.
        code_changes: the lines of its code that changed.
        table: its first rows, recorded or stored.
        note: why its rows are not shown.
        card: the card of its fitted model.
        points: the points of a parameter search.
        members: the questions of a program's line that has several.
    """

    node: NodeRecord
    row: NodeRow
    readers: tuple[str, ...]
    previous: int | None
    changes: tuple[str, ...] | None
    code: str
    code_changes: tuple[Line, ...]
    table: TablePreview | None
    note: str
    card: ModelCard | None
    points: tuple[Point, ...]
    members: tuple[NodeRow, ...]

    @property
    def about(self) -> str:
        return f"{self.row.kind}, iteration {self.node.iteration} of {self.node.workflow}"

    @property
    def outcome(self) -> str:
        """A sentence on its state and the reason."""
        expected = f" ({seconds_text(self.row.expected)} expected)" if self.row.expected else ""
        result = f"{self.row.outcome}{expected}"
        return self.row.why if self.row.why.startswith(f"{result}:") else f"{result}: {self.row.why}"

    @property
    def sentences(self) -> Iterator[str]:
        """Sentences on its state, neighbors, storage and changes."""
        yield self.outcome
        if self.row.inputs:
            yield f"reads {', '.join(self.row.inputs)}"
        if self.readers:
            yield f"read by {', '.join(self.readers)}"
        if self.row.artifact is not None:
            yield ", ".join(filter(None, (self.storing, self.row.proof if self.row.stored == "stored" else "")))
        for change in self.changes or ():
            if change not in self.row.why:
                yield f"since iteration {self.previous}: {change}"

    @property
    def storing(self) -> str:
        """A sentence on the storage of its result."""
        artifact = self.row.artifact
        if artifact is None:
            return "its result was never stored" + ("; its first rows are recorded" if self.table is not None else "")
        if self.row.stored != "stored":
            return f"no longer stored: {artifact.event}" + (f", {artifact.why}" if artifact.why else "")
        workflow = f" of {artifact.workflow}" if artifact.workflow != self.node.workflow else ""
        size = f", {format_size(artifact.bytes)}" if artifact.bytes else ""
        writing = f", written in {seconds_text(artifact.write_seconds)}" if artifact.write_seconds >= 0.01 else ""
        shared = f" in the shared catalog {artifact.shared}" if artifact.shared else ""
        return f"stored by iteration {artifact.iteration}{workflow}{shared}{size}{writing}"

    @property
    def value(self) -> tuple[Any, ...]:
        """The stored value as JSON types; empty if none is stored or its record is damaged."""
        artifact = self.row.artifact
        if artifact is None or self.row.stored != "stored" or artifact.kind != "value":
            return ()
        try:
            return (parsed(artifact.value or "null"),)
        except ValueError:
            return ()

    @property
    def fields(self) -> list[tuple[str, str, str, str]]:
        """The kind, label, value and digest of each field of its signature, inputs aside."""
        return [
            (part.group.value, part.label, part.shown or "", part.digest[:12])
            for part in parts_from_json(self.node.parts) if part.group is not Group.INPUT
        ]


def node_view(
    records: CatalogReader, iteration: IterationRecord, name: str, before: IterationRecord | None
) -> NodeView:
    """Return the view of a node, compared with its record in `before`.

    Raises:
        ParameterError: the iteration has no such node.
        CatalogError: its records are damaged.
    """
    recorded = records.nodes(iteration)
    lines = source_rows(recorded)
    nodes = lines if any(line.name == name for line in lines) else recorded
    node = next((node for node in nodes if node.name == name), None)
    if node is None:
        raise ParameterError(
            f"iteration {iteration.number} of {iteration.workflow!r} has no node {name!r}",
            remedy=unrecorded(iteration) or nearest(name, [node.name for node in known_nodes(recorded)]),
        )
    old_nodes = known_nodes(records.nodes(before)) if before else ()
    old = next((node for node in old_nodes if node.name == name), None)
    members = lines_of_source(recorded).get(name, ()) if nodes is lines else ()
    differences = own_changes if members[1:] else changes  # a line with several questions reads models that it fits
    artifact = records.artifact(node.signature) or records.last_event(node.signature)
    table, note = _first_rows(artifact, tables_of(iteration, records).get(name), records)
    (row,) = recorded_rows(
        iteration, [node], {} if artifact is None else {node.signature: artifact}, proofs_of([node], records),
        shown_states(iteration, nodes),
    )
    code, code_before = _text_of(node), _text_of(old) if old else ""
    return NodeView(
        node, row, tuple(reader.name for reader in nodes if name in reader.inputs), before.number if before else None,
        tuple(map(str, differences(parts_from_json(old.parts), parts_from_json(node.parts)))) if old else None,
        code, diff_lines(text_diff(code_before, code, "", "")) if code_before else (), table, note,
        card_of(node.signature, records), points_of(members, mapping(iteration.plan).get("evaluated", {})),
        recorded_rows(iteration, members if members[1:] else (), {}),
    )


def _text_of(node: NodeRecord) -> str:
    """Return the text of a node's function; empty for a program's question, which has a line instead."""
    return "" if PLACE.fullmatch(node.code) else textwrap.dedent(node.code)


def _first_rows(
    artifact: ArtifactRecord | None, recorded: TablePreview | None, records: CatalogReader
) -> tuple[TablePreview | None, str]:
    """Return the first rows of a result, recorded or else stored, or the reason why they cannot be read."""
    if recorded is not None or artifact is None or artifact.event != "published" or artifact.kind != "table":
        return recorded, ""
    try:
        return stored_rows(records.first_rows(artifact, SHOWN_ROWS, SHOWN_COLUMNS), artifact)
    except HelixError as error:
        return None, str(error)
