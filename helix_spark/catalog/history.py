"""The records of iterations and of their nodes: what ran, newest first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from helix_spark.catalog.records import (
    GREATEST_NUMBER,
    FileRecord,
    IterationRecord,
    NodeRecord,
    PinRecord,
    ResultRecord,
    Status,
)
from helix_spark.catalog.segments.record_log import RecordLog

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


class History:
    """Iterations, their nodes, and the files that declared them."""

    def __init__(self, records: RecordLog) -> None:
        self._records = records

    def start(self, record: IterationRecord) -> IterationRecord:
        """Append the start of an iteration under the next free number of its workflow, and return it with that."""
        (numbered,) = self._records.decide_and_append(
            lambda: [replace(record, number=self.next_number(record.workflow), status="running")]
        )
        return numbered

    def append(
        self, records: Sequence[ResultRecord | NodeRecord | IterationRecord], texts: Iterable[FileRecord] = ()
    ) -> None:
        """Append what was learnt of results, nodes and iterations, with the texts that these name, once for each
        content; all at once."""
        named = {one.digest: one for one in texts}
        self._records.decide_and_append(lambda: [*self._unknown(named), *records])

    def _unknown(self, texts: Mapping[str, FileRecord]) -> list[FileRecord]:
        return [one for digest, one in texts.items() if self.file(digest) is None]

    def add(
        self, record: IterationRecord, nodes: Sequence[NodeRecord], results: Sequence[ResultRecord],
        texts: Iterable[FileRecord],
    ) -> IterationRecord:
        """Append an iteration of another catalog with its nodes, unless it is recorded, what is known of results, and
        the texts that these name; return it with the number that it has here."""
        numbered, named = record, {one.digest: one for one in texts}

        def decide() -> Sequence[IterationRecord | NodeRecord | ResultRecord | FileRecord]:
            nonlocal numbered
            known = self._records.select("SELECT number FROM iterations WHERE run = ?", record.run)
            number = known[0][0] if known else self.next_number(record.workflow)
            numbered = replace(record, number=number)
            fresh, learnt = self._unknown(named), [replace(one, iteration=number) for one in results]
            if known:
                return [*fresh, *learnt]
            return [*fresh, *learnt, *(replace(one, iteration=number) for one in nodes), numbered]

        self._records.decide_and_append(decide)
        return numbered

    def next_number(self, workflow: str) -> int:
        """Return a number that no record of a workflow names."""
        ((greatest,),) = self._records.select(_GREATEST, *([workflow, GREATEST_NUMBER] * 4))
        return (greatest or 0) + 1

    def iterations(self, workflow: str | None = None, limit: int | None = None) -> tuple[IterationRecord, ...]:
        """Iterations, newest first: by number within a workflow, by the order of their records across workflows."""
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

    def nodes_of(self, iteration: IterationRecord) -> tuple[NodeRecord, ...]:
        """The nodes of an iteration, each once, in their order; see `in_order`."""
        found: dict[str, NodeRecord] = {}
        for node in self._records.rows(
            NodeRecord, "WHERE workflow = ? AND iteration = ? AND run = ? ORDER BY turn", iteration.workflow,
            iteration.number, iteration.run,
        ):
            if found.setdefault(node.name, node) is not node:
                self._records.remarks[f"nodes: name: there are two {node.name!r}"] = None
        return tuple(in_order(list(found.values())))

    def loads(self) -> dict[str, tuple[int, str, int]]:
        """How often each signature was loaded, and the workflow and number of the last iteration that did."""
        sql = """SELECT signature, count(*), workflow, iteration, max(turn) FROM nodes WHERE state = 'load'
                 GROUP BY signature"""  # columns besides the greatest are those of its row (SQLite 3.7.11)
        return {signature: (times, name, number) for signature, times, name, number, _ in self._records.select(sql)}

    def version(self) -> tuple[int, int]:
        """Grows whenever something is recorded."""
        return self._records.newest(IterationRecord), self._records.newest(NodeRecord)

    def recent(self, workflow: str, limit: int) -> tuple[PastIteration, ...]:
        """The last `limit` iterations, oldest first, with what a forecast looks at of their nodes."""
        records = self.iterations(workflow, limit)
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
        """Workflow and number of each pinned iteration."""
        return frozenset(self._records.select(f"SELECT workflow, iteration FROM ({_PINNED})"))

    def pinned_results(self) -> dict[str, tuple[str, int]]:
        """Which pinned iteration has a result, by signature: workflow and number."""
        sql = f"SELECT signature, workflow, iteration FROM nodes JOIN ({_PINNED}) USING (workflow, iteration)"
        return {signature: (workflow, number) for signature, workflow, number in self._records.select(sql)}

    def pin(self, record: PinRecord) -> None:
        """Append whether an iteration is pinned, where that is news."""
        self._records.decide_and_append(
            lambda: () if ((record.workflow, record.iteration) in self.pinned()) == record.pinned else (record,)
        )

    def extent(self, workflow: str) -> tuple[int, float]:
        """Return how many iterations a workflow has, and when the oldest began."""
        sql = "SELECT count(DISTINCT run), coalesce(min(started), 0) FROM iterations WHERE workflow = ?"
        ((count, oldest),) = self._records.select(sql, workflow)
        return count, oldest

    def workflows(self) -> tuple[str, ...]:
        return tuple(name for (name,) in self._records.select("SELECT DISTINCT workflow FROM iterations ORDER BY 1"))

    def file(self, digest: str) -> FileRecord | None:
        """The text of a content; None if it was never kept, or was forgotten since."""
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
