"""Two iterations side by side: only what differs unless more is asked for. What one of them lacks is a difference."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.drawing import DrawnGraph, DrawnNode
from helix_spark.drawing.style import WORDS
from helix_spark.past.comparison import NodeDifference, differ, node_differences, text_diff, unrecorded
from helix_spark.past.metrics import Metrics, metric_text, metrics_of, number
from helix_spark.past.states import shown_states
from helix_spark.plots import is_plot
from helix_spark.ui.folding import BY_SIZE, Folding, Picture, picture_of
from helix_spark.ui.reading import parts, text_of

Line = tuple[Literal["same", "added", "removed", "gap"], str]


@dataclass(frozen=True, slots=True)
class Pair:
    """A named thing before and after; None where it is missing.

    Attributes:
        change: after less before, where both are numbers.
        better: whether the change is for the better; None where that has no meaning.
        other_code: whether other code measured it, so that the two are not to be compared.
    """

    name: str
    before: str | None
    after: str | None
    differs: bool
    change: float | None = None
    better: bool | None = None
    other_code: bool = False


@dataclass(frozen=True, slots=True)
class ShownNode(NodeDifference):
    """One node in two iterations, as the page shows it.

    Attributes:
        code: its lines, where the recorded text differs.
        ran: what state it shows in each of them; empty where it is not.
    """

    code: tuple[Line, ...]
    ran: tuple[str, str]

    @property
    def state(self) -> str:
        """What decides its sign and line."""
        return self.sort

    @property
    def word(self) -> str:
        return WORDS[self.sort]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two iterations differ.

    Attributes:
        whole: whether what is the same is in it, too.
        nodes, parameters, outputs, versions: see `whole`.
        same_nodes: how many are left out for being the same.
        picture: of both graphs in one.
        unrecorded: why there are no nodes to compare, and nothing but parameters; empty where there are.
    """

    before: IterationRecord
    after: IterationRecord
    whole: bool
    nodes: tuple[ShownNode, ...]
    same_nodes: int
    parameters: tuple[Pair, ...]
    outputs: tuple[Pair, ...]
    versions: tuple[Pair, ...]
    seconds: Pair
    picture: Picture
    unrecorded: str


def comparison(
    before: IterationRecord, old: Sequence[NodeRecord], after: IterationRecord, new: Sequence[NodeRecord],
    href: Callable[[ShownNode], str], *, whole: bool = False, folding: Folding = BY_SIZE,
    folded: Callable[[Folding], str] = lambda folding: "",
) -> Comparison:
    """How two iterations differ.

    Args:
        href: where a node of the picture leads.
        folding: which alike nodes share a box.
        folded: the address of this page, folded otherwise.
    """
    missing = unrecorded(before, after)
    found = [] if missing else _nodes(before, old, after, new)
    shown = tuple(node for node in found if whole or node.differs)
    return Comparison(
        before, after, whole, shown, len(found) - len(shown),
        _pairs(mapping(before.parameters), mapping(after.parameters), whole),
        () if missing else _outputs(metrics_of(before), metrics_of(after), whole),
        () if missing else _pairs(mapping(before.versions), mapping(after.versions), whole),
        _seconds("seconds to answer", before.seconds, after.seconds),
        picture_of(_graph(before, after, found, shown, href), folding, folded, whole=False), missing,
    )


def seconds_pair(node: ShownNode) -> Pair:
    """What a node took in both."""
    before, after = (record.seconds if record else None for record in (node.before, node.after))
    return _seconds(node.name, before, after)


def _nodes(
    before: IterationRecord, old: Sequence[NodeRecord], after: IterationRecord, new: Sequence[NodeRecord]
) -> list[ShownNode]:
    """Those of the later iteration in its order, and each removed one after what it stood behind."""
    found = node_differences(old, new, parts)
    removed: dict[str, list[str]] = {}
    behind = ""
    for node in old:
        if found[node.name].after is not None:
            behind = node.name
        else:
            removed.setdefault(behind, []).append(node.name)
    later = [name for node in new for name in (node.name, *removed.get(node.name, ()))]
    was, became = shown_states(before, old), shown_states(after, new)
    return [
        _shown(found[name], (was.get(name, ""), became.get(name, ""))) for name in [*removed.get("", ()), *later]
    ]


def _shown(one: NodeDifference, ran: tuple[str, str]) -> ShownNode:
    before, after = (record.code if record is not None else "" for record in (one.before, one.after))
    return ShownNode(one.name, one.sort, one.changes, one.before, one.after, code_lines(before, after), ran)


def code_lines(before: str, after: str) -> tuple[Line, ...]:
    """A unified difference, with gaps where unchanged lines are left out; none where nothing differs.

    >>> code_lines("a\\nb\\n", "a\\nc\\n")
    (('same', 'a'), ('removed', 'b'), ('added', 'c'))
    """
    lines: list[Line] = []
    for place, line in enumerate(text_diff(before, after, "", "")[2:]):
        if line.startswith("@@"):
            if place:
                lines.append(("gap", ""))
        else:
            lines.append(({"+": "added", "-": "removed"}.get(line[0], "same"), line[1:]))  # type: ignore[arg-type]  # the three words
    return tuple(lines)


def _pairs(before: Mapping[str, Any], after: Mapping[str, Any], whole: bool) -> tuple[Pair, ...]:
    names = [*after, *(name for name in before if name not in after)]
    pairs = [_texts(name, before, after) for name in names]
    return tuple(pair for pair in pairs if whole or pair.differs)


def _texts(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Pair:
    differs = (name in before) != (name in after) or differ(before.get(name), after.get(name))
    old, new = (text_of(side[name]) if name in side else None for side in (before, after))
    if differs and old == new and not is_plot(after.get(name)):  # numbers that six digits do not tell apart
        old, new = (json.dumps(side[name], ensure_ascii=False) for side in (before, after))
    return Pair(name, old, new, differs)


def _outputs(before: Metrics, after: Metrics, whole: bool) -> tuple[Pair, ...]:
    """Leaf by leaf: numbers with the way they went, whatever else one of the sides has as texts."""
    pairs = [_output(name, before, after) for name in dict.fromkeys([*after.leaves, *before.leaves])]
    return tuple(pair for pair in pairs if whole or pair.differs)


def _output(name: str, before: Metrics, after: Metrics) -> Pair:
    old, new = before.leaves, after.leaves
    if any(name in side and number(side[name]) is None for side in (old, new)):
        return _texts(name, old, new)
    pair = _measured(
        name, number(old.get(name)), number(new.get(name)), metric_text, after.less_is_better(name)
    )
    return pair if after.measured_alike(name, before) else replace(pair, change=None, better=None, other_code=True)


def _seconds(name: str, before: float | None, after: float | None) -> Pair:
    return _measured(name, before, after, "{:.2f}".format, True)


def _measured(
    name: str, before: float | None, after: float | None, form: Callable[[float], str], less: bool
) -> Pair:
    shown_before, shown_after = (None if value is None else form(value) for value in (before, after))
    if before is None or after is None:
        return Pair(name, shown_before, shown_after, before is not after)
    change = after - before
    better = None if change == 0 else (change < 0) == less
    return Pair(name, shown_before, shown_after, change != 0, change, better)


def _graph(
    before: IterationRecord, after: IterationRecord, found: Sequence[ShownNode], shown: Sequence[ShownNode],
    href: Callable[[ShownNode], str],
) -> DrawnGraph:
    """Both graphs in one: what differs, and what it reads or is read by, so that one sees where it is."""
    named = {node.name for node in shown}
    inputs: dict[str, tuple[str, ...]] = {}
    gone: set[tuple[str, str]] = set()
    for node in found:
        new = node.after.inputs if node.after else ()
        inputs[node.name] = tuple(dict.fromkeys([*new, *(node.before.inputs if node.before else ())]))
        gone |= {(source, node.name) for source in inputs[node.name] if source not in new}
    seen = named | {source for name in named for source in inputs[name]}
    seen |= {name for name, sources in inputs.items() if not named.isdisjoint(sources)}
    drawn = tuple(
        DrawnNode(
            node.name, inputs[node.name], kind=node.record.kind, state=node.state, href=href(node),
            note="rewritten" if node.rewritten else "",
            title="; ".join([f"{node.name} ({node.record.kind}) {node.word}", *node.told]),
        )
        for node in found if node.name in seen
    )
    title = f"differences between iterations {before.number} and {after.number} of {after.workflow}"
    return DrawnGraph(drawn, title, frozenset(gone))

