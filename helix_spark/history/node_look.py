"""One node of one iteration, as people look at it: what became of it and why, what changed, its code, what it holds."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord
from helix_spark.catalog.tables.vector_slots import slot_names_of
from helix_spark.errors import HelixError
from helix_spark.history.comparison import parts_of
from helix_spark.history.model_card import ModelCard, card_of
from helix_spark.history.shown import PLACE
from helix_spark.history.source_rows import Point, known_nodes, lines_of_source, points_of, source_rows
from helix_spark.history.states import proofs_of, shown_states
from helix_spark.history.table_preview import TablePreview, tables_of
from helix_spark.history.table_profile import ROWS, ColumnProfile, profiled
from helix_spark.identity.difference import Change, changes, own_changes
from helix_spark.identity.parts import Group, Part

if TYPE_CHECKING:
    from helix_spark.catalog.known_results import KnownResults
    from helix_spark.catalog.tables.table_reading import FirstRows
    from helix_spark.planner.plan import Proof

_MOST_COLUMNS = 60
"""Of a stored table that are profiled."""


class NodeLookReader(Protocol):
    """What is read of a catalog here."""

    def nodes(self, iteration: IterationRecord) -> tuple[NodeRecord, ...]: ...
    def results(self, declared: Collection[str], signatures: Collection[str] = ()) -> KnownResults: ...
    def file_text(self, digest: str) -> str | None: ...
    def first_rows(self, record: ArtifactRecord, rows: int, most_columns: int) -> FirstRows: ...


@dataclass(frozen=True, slots=True)
class NodeLook:
    """One node of one iteration.

    Attributes:
        state: what state it shows, see `shown_states`.
        readers: names of the nodes that read it.
        artifact: of its result, live or ended; None where it was never stored.
        proof: what is known now of whether it comes out the same when it is computed again.
        previous: the newest iteration before whose nodes are on record; None if there is none.
        changes: what differs from the same node there; None where it was not there.
        code, code_before: texts without their indent; the latter is empty where there was none.
        fields: of its signature.
        card: what its fit gave, where it is one and that is on record.
        table: its first rows, where it is a table among the outputs and they are on record.
        rows, columns: how many of its stored rows were looked at, or of those, and what their columns hold.
        members: of a line of a plain program that asks several questions, these; `points` of a search.
    """

    iteration: IterationRecord
    node: NodeRecord
    state: str
    readers: tuple[str, ...]
    artifact: ArtifactRecord | None
    proof: Proof
    previous: int | None
    changes: tuple[Change, ...] | None
    code: str
    code_before: str
    fields: tuple[Part, ...]
    card: ModelCard | None
    table: TablePreview | None
    rows: int
    columns: tuple[ColumnProfile, ...]
    members: tuple[NodeRecord, ...] = ()
    points: tuple[Point, ...] = ()

    @property
    def is_stored(self) -> bool:
        """Whether its result is stored now."""
        return self.artifact is not None and self.artifact.event == "published"


def look_at(
    records: NodeLookReader, iteration: IterationRecord, name: str, before: IterationRecord | None,
    artifact_of: Callable[[str], ArtifactRecord | None],
) -> NodeLook | None:
    """A node by its name; None if the iteration has none of that name. Raises CatalogError.

    Args:
        before: the newest iteration before that has its nodes on record.
        artifact_of: the newest record of a signature's artifacts.
    """
    asked = records.nodes(iteration)
    lines = source_rows(asked)
    nodes = lines if any(one.name == name for one in lines) else asked
    node = next((one for one in nodes if one.name == name), None)
    if node is None:
        return None
    olds = known_nodes(records.nodes(before)) if before else ()
    old = next((one for one in olds if one.name == name), None)
    members = lines_of_source(asked).get(name, ()) if nodes is lines else ()
    differing = own_changes if members[1:] else changes  # such a line reads models that it fits itself
    fields, artifact = parts_of(node.parts), artifact_of(node.signature)
    table = tables_of(iteration, records).get(name)
    rows, columns = _profile_of(artifact, table, records)
    return NodeLook(
        iteration, node, shown_states(iteration, nodes)[name],
        tuple(one.name for one in nodes if name in one.inputs), artifact, proofs_of([node], records)[name],
        before.number if before else None, differing(parts_of(old.parts), fields) if old else None,
        _text_of(node), _text_of(old) if old else "",
        tuple(part for part in fields if part.group is not Group.INPUT), card_of(node.signature, records), table,
        rows, columns, members if members[1:] else (),
        points_of(members, mapping(iteration.plan).get("evaluated", {})),
    )


def _text_of(node: NodeRecord) -> str:
    """Return the text of a node's function; empty for a question of a program, whose line its title names."""
    return "" if PLACE.fullmatch(node.code) else textwrap.dedent(node.code)


def _profile_of(
    artifact: ArtifactRecord | None, preview: TablePreview | None, records: NodeLookReader
) -> tuple[int, tuple[ColumnProfile, ...]]:
    """Return how many rows were profiled, and their columns; none of what is no table, or cannot be read.

    Args:
        artifact: of the result, whose stored rows come first; live, ended or None.
        preview: its recorded first rows, if there are any.
    """
    if artifact is not None and artifact.event == "published" and artifact.kind == "table":
        try:
            found = records.first_rows(artifact, ROWS, _MOST_COLUMNS).table
        except HelixError:  # who shows its rows says so
            return 0, ()
        return found.num_rows, profiled(found, slot_names_of(artifact.schema or ""))
    if preview is not None and preview.rows:
        table = preview.arrow()
        return table.num_rows, profiled(table)
    return 0, ()
