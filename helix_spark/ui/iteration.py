"""The page of one iteration: its graph, its nodes and what each took, when they ran, how good its plan was."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord
from helix_spark.drawing import DrawnGraph, DrawnNode, Stored
from helix_spark.drawing.style import WORDS
from helix_spark.past.comparison import node_differences, unrecorded
from helix_spark.past.edit_message import edit_of
from helix_spark.past.metrics import Metrics, metric_text, metrics_of, number
from helix_spark.past.states import shown_states
from helix_spark.sizes import format_size, seconds_text
from helix_spark.ui.folding import BY_SIZE, Folding, Picture, picture_of
from helix_spark.ui.reading import parts, text_of
from helix_spark.ui.selection import Selection, select

_RANK = {
    state: place for place, state in enumerate(("failed", "died", "running", "compute", "load", "waiting", "prune"))
}


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node's record beside what is stored of its result now.

    Attributes:
        shown: what state it shows; see `shown_states`, and `noted_states` where its iteration has not ended.
        stored: whether its result is stored now, or was and is no longer.
        artifact: of its result, live or ended.
        proof: what is known now of whether it comes out the same when it is computed again.
    """

    record: NodeRecord
    shown: str
    stored: Stored
    artifact: ArtifactRecord | None
    proof: str = "unproven"

    @property
    def word(self) -> str:
        return WORDS.get(self.shown, self.shown)


@dataclass(frozen=True, slots=True)
class Bar:
    """When a node ran: seconds since the iteration began; `start` is None where it was not recorded."""

    view: NodeView
    start: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class IterationView:
    """All of one iteration.

    Attributes:
        outputs: name to text, those inside objects by a dotted name; the most important one first.
        plan: facts in words, name to text.
        spent: seconds of all nodes together.
        previous, following: numbers of the iterations before and after.
        compared: the newest iteration before that it can be compared with.
    """

    record: IterationRecord
    nodes: tuple[NodeView, ...]
    picture: Picture
    selection: Selection
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    plan: Mapping[str, str]
    versions: Mapping[str, str]
    bars: tuple[Bar, ...]
    spent: float
    saved: float | None
    previous: int | None
    following: int | None
    compared: int | None

    @property
    def edit(self) -> str:
        """What the edit before it was, as far as it is on record."""
        return edit_of(self.record)

    @property
    def unrecorded(self) -> str:
        """Why its nodes are not on record; empty where they are."""
        return unrecorded(self.record)

    @property
    def ranked(self) -> tuple[NodeView, ...]:
        """What failed, ran or was loaded first, inputs first among those."""
        return tuple(sorted(self.nodes, key=lambda view: _RANK.get(view.shown, len(_RANK))))

    @property
    def counts(self) -> dict[str, int]:
        """How many nodes show which state."""
        found: dict[str, int] = {}
        for node in self.nodes:
            found[node.shown] = found.get(node.shown, 0) + 1
        return found


def node_views(
    record: IterationRecord, nodes: Sequence[NodeRecord], artifacts: Mapping[str, ArtifactRecord],
    states: Mapping[str, str] | None = None, proofs: Mapping[str, str] = MappingProxyType({}),
) -> tuple[NodeView, ...]:
    """Nodes beside what is stored of them.

    Args:
        states: what each node shows, where records do not tell.
        proofs: what is known of their results, by name.
    """
    shown = shown_states(record, nodes) if states is None else states
    return tuple(
        NodeView(
            node, shown[node.name], stored_mark(artifacts.get(node.signature)), artifacts.get(node.signature),
            proofs.get(node.name, "unproven"),
        )
        for node in nodes
    )


def stored_mark(artifact: ArtifactRecord | None) -> Stored:
    if artifact is None:
        return ""
    return "stored" if artifact.event == "published" else "evicted"


def edited(before: Sequence[NodeRecord], nodes: Sequence[NodeRecord]) -> dict[str, str]:
    """Which nodes somebody edited since the iteration before, and how: changed or added. None of the first one."""
    found = node_differences(before, nodes, parts) if before else {}
    return {name: one.sort for name, one in found.items() if one.sort in ("changed", "added")}


def graph_of(
    title: str, views: Sequence[NodeView], names: Collection[str], href: Callable[[str], str],
    edits: Mapping[str, str] = MappingProxyType({}),
) -> DrawnGraph:
    """The graph of the named nodes, each leading to its own page."""
    kept = set(names)
    drawn = (_drawn(view, href, edits.get(view.record.name, "")) for view in views if view.record.name in kept)
    return DrawnGraph(tuple(drawn), title)


def _drawn(view: NodeView, href: Callable[[str], str], edit: str) -> DrawnNode:
    record = view.record
    took = f" in {seconds_text(record.seconds)}" if record.seconds is not None else ""
    stored = {"stored": "stored", "evicted": "no longer stored", "": ""}[view.stored]
    told = [f"{record.name} ({record.kind})", f"{view.word}{took}", record.reason, stored]
    if record.bytes and view.stored == "stored":
        told[-1] = f"stored, {format_size(record.bytes)}"
    if view.stored == "stored":
        told[-1] += f", {view.proof}"
    return DrawnNode(
        record.name, record.inputs, kind=record.kind, state=view.shown, stored=view.stored, seconds=record.seconds,
        title="; ".join(filter(None, told)), href=href(record.name), note=edit,
        css=" ".join((*(["hx-output"] if record.output else []), *(["hx-edited"] if edit else []))),
    )


def bars_of(views: Sequence[NodeView]) -> tuple[Bar, ...]:
    """What ran, in the order in which it began; where that was not recorded, inputs first."""
    ran = [Bar(view, view.record.started, view.record.seconds) for view in views if view.record.seconds is not None]
    return tuple(sorted(ran, key=lambda bar: bar.start if bar.start is not None else float("inf")))


def iteration_view(
    record: IterationRecord, nodes: Sequence[NodeRecord], artifacts: Mapping[str, ArtifactRecord],
    iterations: Sequence[IterationRecord], saved: float | None, href: Callable[[str], str], *, wanted: str = "",
    whole: bool = False, states: Mapping[str, str] | None = None, folding: Folding = BY_SIZE,
    folded: Callable[[Folding], str] = lambda folding: "", proofs: Mapping[str, str] = MappingProxyType({}),
    before: Sequence[NodeRecord] = (),
) -> IterationView:
    """All of one iteration.

    Args:
        iterations: all of the workflow.
        href: where a node leads.
        wanted: which nodes to draw; see `selection`.
        whole: draw it however large it is.
        states: of the nodes of an iteration that has not ended.
        folding: which alike nodes share a box.
        folded: the address of this page, folded otherwise.
        proofs: as for `node_views`.
        before: the nodes of the newest iteration before that has them on record.
    """
    views = node_views(record, nodes, artifacts, states, proofs)
    selection = select({node.name: node.inputs for node in nodes}, wanted)
    title = f"graph of iteration {record.number} of {record.workflow}"
    graph = graph_of(title, views, selection.names, href, edited(before, nodes))
    numbers = [each.number for each in iterations]
    return IterationView(
        record, views, picture_of(graph, folding, folded, whole=whole), selection,
        _outputs(metrics_of(record)),
        {name: text_of(value) for name, value in mapping(record.parameters).items()},
        plan_facts(mapping(record.plan)), {n: text_of(v) for n, v in mapping(record.versions).items() if v},
        bars_of(views), sum(node.seconds or 0.0 for node in nodes), saved,
        max((each for each in numbers if each < record.number), default=None),
        min((each for each in numbers if each > record.number), default=None),
        None if unrecorded(record) else newest_recorded(iterations, record.number),
    )


def newest_recorded(iterations: Sequence[IterationRecord], before: int) -> int | None:
    """The number of the newest iteration before another whose nodes are on record; None if there is none."""
    earlier = (record.number for record in iterations if record.number < before and not unrecorded(record))
    return max(earlier, default=None)


def _outputs(found: Metrics) -> dict[str, str]:
    return {name: _output_text(value) for name, value in found.leaves.items()}


def _output_text(value: Any) -> str:
    if type(value) is int:
        return f"{value:,}"
    measured = number(value)
    return text_of(value) if measured is None else metric_text(measured)


def plan_facts(plan: Mapping[str, Any]) -> dict[str, str]:
    """How good the plan was known to be, in words."""
    def seconds(name: str) -> str:
        value = plan.get(name)
        return seconds_text(value) if isinstance(value, int | float) else ""

    budget, used, gap = plan.get("budget"), plan.get("used"), plan.get("gap")
    facts = {
        "Status": text_of(plan.get("status", "")),
        "Objective": seconds("objective"),
        "Bound": seconds("bound"),
        "Gap": f"{gap:.2%}" if isinstance(gap, int | float) else "",
        "Solver": f"{text_of(plan['solver'])}, {seconds('solver_seconds')}" if plan.get("solver") else "",
        "Notice": text_of(plan.get("notice", "")),
        "Policy": text_of(plan.get("policy", "")),
        "Scenarios weighed": text_of(plan["scenarios"]) if plan.get("scenarios") else "",
        "Stored before": format_size(used) if isinstance(used, int | float) else "",
        "Budget": format_size(budget) if isinstance(budget, int | float) else "no limit" if "budget" in plan else "",
        "Expected": seconds("predicted_seconds"),
        "Computing everything": seconds("run_all_seconds"),
    }
    return {name: fact for name, fact in facts.items() if fact}
