"""The journals of iterations and of their nodes: what ran, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.journal.open_table import text_literal
from helix_spark.catalog.places.catalog_folder import checked_id, checked_signature
from helix_spark.catalog.records import GREATEST_NUMBER, FileRecord, IterationRecord, NodeRecord, Status

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

    def __init__(
        self, iterations: Journal[IterationRecord], nodes: Journal[NodeRecord], files: Journal[FileRecord]
    ) -> None:
        self._iterations, self._nodes, self._files = iterations, nodes, files

    def start(self, record: IterationRecord) -> IterationRecord:
        """Append the start of an iteration under the next free number of its workflow, and return it with that."""
        checked_id(record.run)
        (numbered,) = self._iterations.decide_and_append(
            lambda: [replace(record, number=self.next_number(record.workflow), status="running")]
        )
        return numbered

    def append(self, record: IterationRecord, nodes: Sequence[NodeRecord]) -> None:
        """Append an iteration after its nodes: one that has ended has them all."""
        checked_id(record.run)
        if nodes:
            self._nodes.append(nodes)
            reach("iteration.nodes")
        self._iterations.append([record])

    def next_number(self, workflow: str) -> int:
        sql = f"""SELECT max(number) AS greatest FROM journal
                  WHERE workflow = {text_literal(workflow)} AND number < {GREATEST_NUMBER}"""
        (greatest,) = self._iterations.columns(sql).get("greatest") or [None]
        return greatest + 1 if isinstance(greatest, int) else 1  # of a column that holds no numbers no row fits

    def iterations(self, workflow: str | None = None, limit: int | None = None) -> tuple[IterationRecord, ...]:
        """Iterations, newest first: by number within a workflow, by the order of their records across workflows."""
        if limit is not None and limit <= 0:
            return ()
        where, order = ("", "sequence DESC, number DESC, run") if workflow is None else (
            f"WHERE workflow = {text_literal(workflow)}", "number DESC, run, sequence DESC"
        )
        sql = f"SELECT * FROM journal {where} ORDER BY {order}"
        # An iteration has two rows, seldom more; the rows of a page's last iteration must not fall off its end.
        rows = self._iterations.query(sql if limit is None else f"{sql} LIMIT {3 * limit}")
        found = tuple(heaviest(rows).values())
        if limit is not None and len(found) < limit and len(rows) >= 2 * limit:
            found = tuple(heaviest(self._iterations.query(sql)).values())
        return found[:limit]

    def nodes_of(self, iteration: IterationRecord) -> tuple[NodeRecord, ...]:
        """The nodes of an iteration, each once, in their order; see `in_order`."""
        sql = f"""SELECT * FROM journal WHERE workflow = {text_literal(iteration.workflow)}
                  AND iteration = {iteration.number:d} AND run = '{checked_id(iteration.run)}' ORDER BY place"""
        found: dict[str, NodeRecord] = {}
        for node in self._nodes.query(sql):
            if found.setdefault(node.name, node) is not node:
                self._nodes.reject(f"name: there are two {node.name!r}")
        return tuple(in_order(list(found.values())))

    def loads(self) -> dict[str, tuple[int, str, int]]:
        """How often each signature was loaded, and the workflow and number of the last iteration that did."""
        columns = self._nodes.columns(
            """SELECT signature, count(*) AS times, last_value(workflow ORDER BY sequence) AS workflow,
                      last_value(iteration ORDER BY sequence) AS iteration
               FROM journal WHERE state = 'load' GROUP BY signature"""
        )
        return {signature: (times, name, number) for signature, times, name, number in _rows(columns)}

    def version(self) -> tuple[int, int]:
        """Grows whenever something is recorded."""
        return self._iterations.version(), self._nodes.version()

    def recent(self, workflow: str, limit: int) -> tuple[PastIteration, ...]:
        """The last `limit` iterations, oldest first, with what a forecast looks at of their nodes."""
        records = self.iterations(workflow, limit)
        if not records:
            return ()
        columns = self._nodes.columns(
            f"""SELECT run, {", ".join(field.name for field in fields(PastNode))} FROM journal
                WHERE workflow = {text_literal(workflow)} AND iteration >= {records[-1].number:d}
                ORDER BY iteration, run, place"""
        )
        nodes: dict[str, list[PastNode]] = {record.run: [] for record in records}
        for run, name, kind, inputs, *rest in _rows(columns):
            if run in nodes:
                nodes[run].append(PastNode(name, kind, tuple(inputs or ()), *rest))
        return tuple(
            PastIteration(record, tuple(in_order(nodes[record.run], closed=True))) for record in reversed(records)
        )

    def workflows(self) -> tuple[str, ...]:
        return tuple(sorted(self._iterations.columns("SELECT DISTINCT workflow FROM journal").get("workflow", ())))

    def keep_file(self, record: FileRecord) -> None:
        """Append a file's text, unless its content is known."""
        self._files.decide_and_append(lambda: () if self.file(record.digest) else (record,))

    def file(self, digest: str) -> FileRecord | None:
        """The text of a content; None if it was never kept."""
        sql = f"SELECT * FROM journal WHERE digest = '{checked_signature(digest)}' LIMIT 3"
        texts = self._files.query(sql)
        return next((one for one in texts if sha256(one.text.encode()).hexdigest() == digest), None)


def _rows(columns: Mapping[str, Sequence[Any]]) -> Iterator[Any]:
    return zip(*columns.values(), strict=True)


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
