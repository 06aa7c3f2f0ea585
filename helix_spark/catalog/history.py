"""What ran, by the records of iterations, of their nodes and of the files that declared them; newest first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from helix_spark.catalog.leases.leases import SILENCE_SECONDS, Leases
from helix_spark.catalog.places.catalog_folder import Layout
from helix_spark.catalog.records import GREATEST_NUMBER, FileRecord, IterationRecord, NodeRecord, Status
from helix_spark.catalog.shared_catalogs import RecordReader, SharedCatalogs
from helix_spark.catalog.tables.attempts import has_manifest, stored_attempts
from helix_spark.errors import DamagedRecordsError

_WEIGHT: Mapping[Status, int] = {"running": 0, "died": 0, "interrupted": 1, "failed": 2, "done": 3}
"""Of two rows of one run the heavier counts: an end over its start, and what the run said of itself over what another
process concluded from its silence."""


@dataclass(frozen=True, slots=True)
class PastNode:
    """A node of an earlier iteration, as far as a forecast looks at it; see `NodeRecord`."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    signature: str
    output: bool


@dataclass(frozen=True, slots=True)
class PastIteration:
    """An earlier iteration and its nodes, inputs first; none where it ended before they were recorded."""

    record: IterationRecord
    nodes: tuple[PastNode, ...]


class IterationReader(RecordReader):
    """What the records of a catalog, and of the shared ones below it, say of iterations."""

    _layout: Layout
    _leases: Leases
    shared: SharedCatalogs[IterationReader]

    def next_number(self, workflow: str) -> int:
        """Return a number that no record of a workflow names."""
        ((greatest,),) = self._records.select(_GREATEST, *([workflow, GREATEST_NUMBER] * 4))
        return (greatest or 0) + 1

    def iterations(self, workflow: str | None = None, limit: int | None = None) -> tuple[IterationRecord, ...]:
        """Return iterations of one workflow or of all, newest first: by number within a workflow, by the order of their
        records across workflows. Running ones whose process is gone have died."""
        iterations = self._iterations(workflow, limit)
        if not iterations:
            self._check_recorded()
        return self.concluded(iterations, workflow, limit)

    def concluded(
        self, iterations: Sequence[IterationRecord], workflow: str | None = None, limit: int | None = None
    ) -> tuple[IterationRecord, ...]:
        """Return iterations that were read some time ago: some of the running ones may have died since."""
        dead = {
            record.run for record in iterations
            if record.status == "running" and self._leases.is_dead(record.run, untouched=SILENCE_SECONDS)
        }
        # Those that came to their end after they were read have given back their lease, too.
        again = self._iterations(workflow, limit) if dead else iterations
        return tuple(
            replace(record, status="died") if record.run in dead and record.status == "running" else record
            for record in again
        )

    def _check_recorded(self) -> None:
        """Raise DamagedRecordsError if all records are gone, and finished results are stored."""
        if self._records.is_empty():
            stored = (one.path for one in stored_attempts(self._layout))
            if any(path is not None and has_manifest(path) for path in stored):
                raise DamagedRecordsError(
                    f"the records of the catalog {self._layout.root} are gone, and results are stored there",
                    remedy="copy them back; or have `helix repair` record again what is stored",
                )

    def _iterations(self, workflow: str | None, limit: int | None) -> tuple[IterationRecord, ...]:
        if limit is not None and limit <= 0:
            return ()
        rest, values = ("ORDER BY turn DESC", ()) if workflow is None else (
            "WHERE workflow = ? ORDER BY number DESC, run, turn DESC", (workflow,)
        )
        # An iteration has two rows, seldom more; the rows of a page's last iteration must not fall off its end.
        some = rest if limit is None else f"{rest} LIMIT {3 * limit:d}"
        rows = self._records.rows(IterationRecord, some, *values)
        found = tuple(heaviest(rows).values())
        if limit is not None and len(found) < limit and len(rows) >= 2 * limit:
            found = tuple(heaviest(self._records.rows(IterationRecord, rest, *values)).values())
        return found[:limit]

    def nodes(self, iteration: IterationRecord) -> tuple[NodeRecord, ...]:
        """Return what happened to each node of an iteration, inputs first (`in_order`); none before it has ended."""
        found: dict[str, NodeRecord] = {}
        for node in self._records.rows(
            NodeRecord, "WHERE workflow = ? AND iteration = ? AND run = ? ORDER BY turn", iteration.workflow,
            iteration.number, iteration.run,
        ):
            if found.setdefault(node.name, node) is not node:
                self._records.remarks[f"nodes: name: there are two {node.name!r}"] = None
        return tuple(in_order(list(found.values())))

    def loads(self) -> dict[str, tuple[int, str, int]]:
        """Return how often each signature was loaded, and by which workflow and iteration last."""
        sql = """SELECT signature, count(*), workflow, iteration, max(turn) FROM nodes WHERE state = 'load'
                 GROUP BY signature"""  # columns besides the greatest are those of its row (SQLite 3.7.11)
        return {signature: (times, name, number) for signature, times, name, number, _ in self._records.select(sql)}

    def _recent(self, workflow: str, limit: int) -> tuple[PastIteration, ...]:
        """Return the last `limit` iterations, oldest first, with what a forecast looks at of their nodes."""
        records = self._iterations(workflow, limit)
        if not records:
            return ()
        nodes: dict[str, list[PastNode]] = {record.run: [] for record in records}
        columns = ", ".join(f'"{field.name}"' for field in fields(PastNode))
        for run, name, kind, inputs, signature, output in self._records.select(
            f"SELECT run, {columns} FROM nodes WHERE workflow = ? AND iteration >= ? ORDER BY iteration, turn",
            workflow, records[-1].number,
        ):
            if run in nodes:
                nodes[run].append(PastNode(name, kind, tuple(json.loads(inputs)), signature, bool(output)))
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
        """Return the file of a text, by its digest; None if it was never kept, or was forgotten since."""
        return self._own_file(digest) or self.shared.first(lambda one: one.file(digest))

    def file_text(self, digest: str) -> str | None:
        """Return the text of the workflow file that an iteration names by its digest; None as `file`."""
        return file.text if (file := self.file(digest)) else None

    def _own_file(self, digest: str) -> FileRecord | None:
        last = "WHERE digest = ? ORDER BY turn DESC LIMIT 1"
        newest = self._records.rows(FileRecord, last, digest)
        return next((one for one in newest if sha256(one.text.encode()).hexdigest() == digest), None)


_PINNED = """SELECT workflow, iteration FROM (
    SELECT workflow, iteration, pinned, max(turn) FROM pins GROUP BY workflow, iteration) WHERE pinned"""

_GREATEST = """SELECT max(number) FROM (
    SELECT max(number) AS number FROM iterations WHERE workflow = ? AND number < ?
    UNION ALL SELECT max(iteration) FROM nodes WHERE workflow = ? AND iteration < ?
    UNION ALL SELECT max(iteration) FROM results WHERE workflow = ? AND iteration < ?
    UNION ALL SELECT max(iteration) FROM artifacts WHERE workflow = ? AND iteration < ?)"""
"""Of a workflow: the record of an iteration may be lost, and others that name it may not."""


def heaviest(rows: Iterable[IterationRecord]) -> dict[str, IterationRecord]:
    """The record that counts of each run, in the order in which runs first appear."""
    found: dict[str, IterationRecord] = {}
    for row in rows:
        if row.run not in found or _WEIGHT[row.status] > _WEIGHT[found[row.run].status]:
            found[row.run] = row
    return found


class _Reads(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...


_Node = TypeVar("_Node", bound=_Reads)


def in_order(nodes: Sequence[_Node], *, closed: bool = False) -> Iterator[_Node]:
    """Yield the nodes of a graph, inputs first, without inputs that come later.

    Args:
        closed: leave out inputs that are not among the nodes, too, as where their record does not fit.

    >>> one, other = PastNode("a", "", ("b", "x"), "", False), PastNode("b", "", ("a",), "", False)
    >>> [node.inputs for node in in_order([one, other])], [node.inputs for node in in_order([one, other], closed=True)]
    ([('x',), ('a',)], [(), ('a',)])
    """
    names, earlier = {node.name for node in nodes}, set[str]()
    for node in nodes:
        inputs = tuple(one for one in node.inputs if one in earlier or not (closed or one in names))
        data: Any = node
        yield node if inputs == node.inputs else replace(data, inputs=inputs)
        earlier.add(node.name)
