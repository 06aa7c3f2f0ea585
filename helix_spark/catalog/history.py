"""Queries of past iterations, their nodes and the files that declared them; and the progress of running iterations, in
a small file for each run. No decision depends on it. The file of a killed run shows how far it came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, TypeVar

from helix_spark.catalog.leases import Leases
from helix_spark.catalog.places.catalog_folder import Layout
from helix_spark.catalog.places.json_text import Finite, parsed_as
from helix_spark.catalog.places.place import Place, text_in
from helix_spark.catalog.records import GREATEST_NUMBER, FileRecord, IterationRecord, NodeRecord
from helix_spark.catalog.segments.record_index import columns_of, record_from_cells
from helix_spark.catalog.shared_catalogs import RecordReader, SharedCatalogs
from helix_spark.catalog.tables.attempts import has_manifest, stored_attempts
from helix_spark.errors import DamagedRecordsError
from helix_spark.identity.parts import digest

_HEAVIEST = """SELECT turn FROM (SELECT turn, max(
    ((CASE status WHEN 'done' THEN 3 WHEN 'failed' THEN 2 WHEN 'interrupted' THEN 1 ELSE 0 END) << 56) + turn
) FROM iterations {} GROUP BY run)"""
"""The effective row of each run: its end before its start, and the end that it wrote before one that another process
inferred. Bare columns next to `max` are those of its row (SQLite 3.7.11)."""


@dataclass(frozen=True, slots=True)
class PastNode:
    """A node of an earlier iteration, as far as a forecast reads it; see `NodeRecord`."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    signature: str
    output: bool


@dataclass(frozen=True, slots=True)
class PastIteration:
    """An earlier iteration and its nodes, inputs first; without nodes if it ended before they were recorded."""

    record: IterationRecord
    nodes: tuple[PastNode, ...]


class IterationReader(RecordReader):
    """Queries of iterations in a catalog, and of files also in the shared ones below it."""

    _layout: Layout
    leases: Leases
    shared: SharedCatalogs[IterationReader]

    def next_number(self, workflow: str) -> int:
        """Return a number that no record of a workflow names."""
        # If the record of an iteration is lost, other records may still name it.
        columns = {"iterations": "number", "nodes": "iteration", "results": "iteration", "artifacts": "iteration"}
        queries = (f"SELECT max({column}) AS number FROM {table} WHERE workflow = ?1 AND {column} < ?2"
                   for table, column in columns.items())
        sql = f"SELECT max(number) FROM ({' UNION ALL '.join(queries)})"
        ((greatest,),) = self._records.select(sql, workflow, GREATEST_NUMBER)
        return (greatest or 0) + 1

    def iterations(self, workflow: str | None = None, limit: int | None = None) -> tuple[IterationRecord, ...]:
        """Return iterations, newest first: of a workflow by number, of all workflows by the order of their records.
        Running ones whose process is gone have died."""
        if not (iterations := self._iterations(workflow, limit)):
            self._check_recorded()
        return self.concluded(iterations, workflow, limit)

    def concluded(
        self, iterations: Sequence[IterationRecord], workflow: str | None = None, limit: int | None = None
    ) -> tuple[IterationRecord, ...]:
        """Return iterations that were read before, with the status `died` for runs whose process has since ended."""
        dead = {
            record.run for record in iterations
            if record.status == "running" and self.leases.is_dead(record.run)
        }
        # A run that ended after it was read has released its lease as well.
        again = self._iterations(workflow, limit) if dead else iterations
        return tuple(
            replace(record, status="died") if record.run in dead and record.status == "running" else record
            for record in again
        )

    def _check_recorded(self) -> None:
        """Raise DamagedRecordsError if all records are gone, and finished results are stored."""
        folders = (attempt.path for attempt in stored_attempts(self._layout))
        if self._records.is_empty() and any(path is not None and has_manifest(path) for path in folders):
            message = f"the records of the catalog {self._layout.root} are gone, and results are stored there"
            raise DamagedRecordsError(message, remedy="copy them back, or let `helix repair` record the results again")

    def _iterations(self, workflow: str | None, limit: int | None) -> tuple[IterationRecord, ...]:
        most = -1 if limit is None else max(limit, 0)
        newest = f"SELECT DISTINCT number FROM iterations WHERE workflow = ?1 ORDER BY number DESC LIMIT {most:d}"
        where, order = f"WHERE workflow = ?1 AND number >= (SELECT min(number) FROM ({newest}))", "number DESC, run"
        if workflow is None:  # an iteration rarely has more than two rows
            last = f"SELECT turn FROM iterations ORDER BY turn DESC LIMIT 1 OFFSET {3 * most:d}"
            where, order = f"WHERE turn > coalesce(({last}), 0)" if most >= 0 else "", "turn DESC"
        values = () if workflow is None else (workflow,)
        clause = f"WHERE turn IN ({_HEAVIEST}) ORDER BY {order} LIMIT {most:d}"
        records = self._records.rows(IterationRecord, clause.format(where), *values)
        if workflow is None and len(records) < most:
            records = self._records.rows(IterationRecord, clause.format(""))
        return tuple(records)

    def nodes(self, iteration: IterationRecord) -> tuple[NodeRecord, ...]:
        """Return the nodes of an iteration, inputs first (`in_order`); none before it has ended."""
        nodes: dict[str, NodeRecord] = {}
        clause = "WHERE workflow = ? AND iteration = ? AND run = ? ORDER BY turn"
        for node in self._records.rows(NodeRecord, clause, iteration.workflow, iteration.number, iteration.run):
            if nodes.setdefault(node.name, node) is not node:
                self._records.remarks[f"nodes: name: there are two {node.name!r}"] = None
        return tuple(in_order(list(nodes.values())))

    def loads(self) -> dict[str, tuple[int, str, int]]:
        """Return how often each signature was loaded, and by which workflow and iteration last."""
        sql = """SELECT signature, count(*), workflow, iteration, max(turn) FROM nodes WHERE state = 'load'
                 GROUP BY signature"""
        return {signature: (times, name, number) for signature, times, name, number, _ in self._records.select(sql)}

    def _recent(self, workflow: str, limit: int) -> tuple[PastIteration, ...]:
        """Return the last `limit` iterations with their nodes, oldest first."""
        records = self._iterations(workflow, limit)
        if not records:
            return ()
        nodes: dict[str, list[PastNode]] = {record.run: [] for record in records}
        columns = ", ".join(f'"{name}"' for name in columns_of(PastNode))
        sql = f"SELECT run, {columns} FROM nodes WHERE workflow = ? AND iteration >= ? ORDER BY iteration, turn"
        rows = self._records.select(sql, workflow, records[-1].number)
        for run, *cells in rows:
            if run in nodes:
                nodes[run].append(record_from_cells(PastNode, cells))
        return tuple(
            PastIteration(record, tuple(in_order(nodes[record.run], closed=True))) for record in reversed(records)
        )

    def pinned(self) -> frozenset[tuple[str, int]]:
        """Return workflow and number of each pinned iteration."""
        return frozenset(self._records.select(f"SELECT workflow, iteration FROM ({_PINNED})"))

    def _pinned_results(self) -> dict[str, tuple[str, int]]:
        """Return workflow and number of the pinned iteration that has a result, by signature."""
        sql = f"SELECT signature, workflow, iteration FROM nodes JOIN ({_PINNED}) USING (workflow, iteration)"
        return {signature: (workflow, number) for signature, workflow, number in self._records.select(sql)}

    def extent(self, workflow: str) -> tuple[int, float]:
        """Return how many iterations a workflow has, and when the oldest began, in Unix seconds."""
        sql = "SELECT count(DISTINCT run), coalesce(min(started), 0) FROM iterations WHERE workflow = ?"
        ((count, oldest),) = self._records.select(sql, workflow)
        return count, oldest

    def workflows(self) -> tuple[str, ...]:
        return tuple(name for (name,) in self._records.select("SELECT DISTINCT workflow FROM iterations ORDER BY 1"))

    def file(self, digest: str) -> FileRecord | None:
        """Return the file of a text, by its digest; None if it was never recorded, or was forgotten since."""
        return self._own_file(digest) or self.shared.first(lambda catalog: catalog.file(digest))

    def file_text(self, digest: str) -> str | None:
        """Return the text of the workflow file that an iteration names by its digest; None as `file`."""
        return file.text if (file := self.file(digest)) else None

    def _own_file(self, digest: str) -> FileRecord | None:
        newest = self._records.rows(FileRecord, "WHERE digest = ? ORDER BY turn DESC LIMIT 1", digest)
        return next((file for file in newest if sha256(file.text.encode()).hexdigest() == digest), None)


_PINNED = """SELECT workflow, iteration FROM (
    SELECT workflow, iteration, pinned, max(turn) FROM pins GROUP BY workflow, iteration) WHERE pinned"""


_Node = TypeVar("_Node")
"""A dataclass with a name, and names of inputs."""


def in_order(nodes: Sequence[_Node], *, closed: bool = False) -> Iterator[_Node]:
    """Yield the nodes of a graph, inputs first, without inputs that come later.

    Args:
        closed: also drop inputs that are not among the nodes, as their records may be invalid.

    >>> nodes = [PastNode("a", "", ("b", "x"), "", False), PastNode("b", "", ("a",), "", False)]
    >>> [node.inputs for node in in_order(nodes)], [node.inputs for node in in_order(nodes, closed=True)]
    ([('x',), ('a',)], [(), ('a',)])
    """
    graph: Sequence[Any] = nodes
    names, earlier = {node.name for node in graph}, set[str]()
    for node in graph:
        inputs = tuple(name for name in node.inputs if name in earlier or not (closed or name in names))
        yield node if inputs == node.inputs else replace(node, inputs=inputs)
        earlier.add(node.name)


_LONGEST = 16 << 20
"""Bytes of a progress file at most; a node takes some 200."""


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A node as planned; see `NodeRecord`.

    Attributes:
        started, ended: seconds since the run was planned, for a node that runs as a step of its own; else None.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    state: str
    reason: str
    predicted_seconds: Finite
    output: bool
    started: Finite | None = None
    ended: Finite | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run.

    Attributes:
        answered: seconds to the answer; None before.
        stored: names of nodes whose results were stored after the answer.
        began: Unix seconds by the writer's clock; 0 in files of older writers.
        session_seconds: forecast for Spark's start and the first work of its session, without the nodes.
        starting: True once Spark's start has begun.
    """

    workflow: str
    number: int
    nodes: tuple[RunningNode, ...]
    answered: Finite | None = None
    stored: tuple[str, ...] = ()
    began: Finite = 0.0
    session_seconds: Finite = 0.0
    starting: bool = False

    @property
    def has_ended(self) -> bool:
        """True once a node is done."""
        return any(node.ended is not None for node in self.nodes)

    def with_times(self, name: str, *, started: float | None = None, ended: float | None = None) -> Progress:
        return replace(self, nodes=tuple(
            replace(node, started=node.started if started is None else started, ended=ended)
            if node.name == name else node for node in self.nodes
        ))


def progress_note(layout: Layout, workflow: str, number: int) -> Place:
    """Return the file that holds the `Progress` of a run as JSON."""
    return layout.records / "running" / f"{digest(workflow)[:32]}-{number:d}.json"


def read_progress(layout: Layout, workflow: str, number: int) -> Progress | None:
    """Read the progress of a run; None where it cannot be read."""
    try:
        progress = parsed_as(text_in(progress_note(layout, workflow, number), _LONGEST), Progress)
    except (OSError, ValueError):
        return None
    return replace(progress, nodes=tuple(in_order(progress.nodes)))
