"""A node of a planned, running or recorded iteration, as a row of a table and a box of a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord
from helix_spark.drawing.graph import WORDS, DrawnGraph, DrawnNode, Stored
from helix_spark.history.states import shown_states
from helix_spark.history.value_text import titled
from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.problem import State
from helix_spark.sizes import format_size, seconds_text

_ORDER = ("failed", "died", "running", "compute", "load", "waiting", "prune")
"""States in the order of shown rows; others come last."""
_MOST_NAMES = 12
"""Names in a sentence."""
NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node as it is shown.

    Attributes:
        title: its name; for a program's question with its line.
        state: its state; see `shown_states`.
        why: the reason of its state.
        seconds: measured seconds; None if it did not run.
        expected: expected seconds; None if it is not needed.
        rows, bytes: the size of its result, if known.
        stored: "stored" or "evicted"; empty if it was never stored.
        artifact: the record of its result, live or ended.
        proof: a word of `PROOFS`.
        compute, load: a plan's expected seconds of either.
        kept: a plan's decision on storing its result.
        started: seconds since its iteration began; None if unrecorded.
    """

    name: str
    title: str
    kind: str
    inputs: tuple[str, ...]
    output: bool
    state: str
    why: str
    seconds: float | None
    expected: float | None
    rows: int | None = None
    bytes: int | None = None
    stored: Stored = ""
    artifact: ArtifactRecord | None = None
    proof: str = "unproven"
    compute: float | None = None
    load: float | None = None
    kept: str = ""
    started: float | None = None

    @property
    def word(self) -> str:
        return WORDS.get(self.state, self.state)

    @property
    def is_needed(self) -> bool:
        return self.state != State.PRUNE

    @property
    def why_and_kept(self) -> str:
        """The reason of its state, and planned storing or eviction."""
        if not self.kept.startswith("to be"):
            return self.why
        size = f" ({format_size(self.bytes)})" if self.kept == "to be stored" and self.bytes else ""
        return f"{self.why}; {self.kept}{size}"

    @property
    def outcome(self) -> str:
        """Its state and seconds, in words."""
        return f"{self.word} in {seconds_text(self.seconds)}" if self.seconds is not None else self.word

    @property
    def storing(self) -> str:
        """The storage of its result, in words; empty if it was never stored."""
        if self.stored != "stored":
            return "no longer stored" if self.stored else ""
        size = f", {format_size(self.bytes)}" if self.bytes else ""
        return f"stored{size}, {self.proof}"

    @property
    def tooltip(self) -> str:
        return "; ".join(filter(None, (f"{self.name} ({self.kind})", self.outcome, self.why, self.storing)))


def planned_row(
    node: PlannedNode, plan: Plan, seconds: Mapping[str, float] | None = None, stored: Collection[str] = ()
) -> NodeRow:
    """Return the row of a planned node; after a run, with measured seconds by name and the names of stored nodes."""
    has_proof = node.state is State.LOAD and node.proof in ("verified", "unproven")
    why = f"{node.reason}; {node.proof}" if has_proof else node.reason
    mark: Stored = "evicted" if node.signature in plan.evict else "stored" if node.stored or node.name in stored else ""
    kept = "to be evicted" if mark == "evicted" else "yes" if node.stored else "to be stored" if node.keep else "no"
    return NodeRow(
        node.name, node.name, node.kind, node.inputs, node.output, node.state, why,
        None if seconds is None else seconds.get(node.name),
        None if node.state is State.PRUNE else node.predicted_seconds, bytes=node.bytes, stored=mark, proof=node.proof,
        compute=node.compute_seconds, load=node.load_seconds, kept=kept,
    )


def recorded_rows(
    record: IterationRecord, nodes: Sequence[NodeRecord], artifacts: Mapping[str, ArtifactRecord],
    proofs: Mapping[str, str] = NONE, states: Mapping[str, str] | None = None,
) -> tuple[NodeRow, ...]:
    """Return the rows of a recorded iteration, inputs first.

    Args:
        artifacts: records of results, live or ended, by signature.
        proofs: words of `PROOFS` by name.
        states: the states in an iteration that has not ended.
    """
    shown = shown_states(record, nodes) if states is None else states
    return tuple(
        NodeRow(
            node.name, titled(node.name, node.code), node.kind, node.inputs, node.output, shown[node.name],
            node.reason, node.seconds, None if node.state == State.PRUNE else node.predicted_seconds, node.rows,
            stored.bytes if node.bytes is None and stored is not None else node.bytes,
            "" if stored is None else "stored" if stored.event == "published" else "evicted", stored,
            proofs.get(node.name, "unproven"), started=node.started,
        )
        for node in nodes for stored in (artifacts.get(node.signature),)
    )


def ranked(rows: Iterable[NodeRow]) -> tuple[NodeRow, ...]:
    """Sort rows by state: failed, run and loaded nodes first."""
    return tuple(sorted(rows, key=lambda row: _ORDER.index(row.state) if row.state in _ORDER else len(_ORDER)))


def names_text(title: str, names: Sequence[str]) -> str:
    """Return a sentence with at most about `_MOST_NAMES` names; empty without names.

    >>> names_text("loaded", ["rows", "model"]), names_text("loaded", [])
    ('loaded: rows, model', '')
    """
    more = [f"and {len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES + 1 else []
    return f"{title}: {', '.join([*(names[:_MOST_NAMES] if more else names), *more])}" if names else ""


def counts_text(rows: Iterable[NodeRow]) -> str:
    """Return the number of nodes in each state.

    >>> rows = [NodeRow(name, name, "scanner", (), False, "compute", "", None, None) for name in "ab"]
    >>> counts_text(rows)
    '2 computed'
    """
    return ", ".join(f"{count} {word}" for word, count in Counter(row.word for row in ranked(rows)).items())


def graph_of(
    title: str, rows: Iterable[NodeRow], href: Callable[[str], str] = lambda name: "", edits: Mapping[str, str] = NONE
) -> DrawnGraph:
    """Return the graph of rows, with links by `href` and marks for `edits` since the iteration before, by name."""
    return DrawnGraph(tuple(
        DrawnNode(
            row.name, row.inputs, kind=row.kind, state=row.state, stored=row.stored, title=row.tooltip,
            seconds=row.seconds if row.compute is None or row.seconds is not None else row.expected,
            href=href(row.name), note=edits.get(row.name, ""),
            css=" ".join(filter(None, ("hx-output" * row.output, "hx-edited" * bool(edits.get(row.name))))),
        )
        for row in rows
    ), title)
