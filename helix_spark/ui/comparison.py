"""Two iterations side by side: only what differs unless more is asked for. What one of them lacks is a difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from helix_spark.catalog.comparison import text_diff
from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.costs.metrics import less_is_better, number
from helix_spark.drawing import DrawnGraph, DrawnNode
from helix_spark.drawing.style import WORDS
from helix_spark.signature.difference import Change, own_changes
from helix_spark.ui import metrics
from helix_spark.ui.folding import BY_SIZE, Folding, Picture, picture_of
from helix_spark.ui.reading import mapping, parts, text_of

Line = tuple[Literal["same", "added", "removed", "gap"], str]


@dataclass(frozen=True, slots=True)
class Pair:
    """A named thing before and after; None where it is missing.

    Attributes:
        change: after less before, where both are numbers.
        better: whether the change is for the better; None where that has no meaning.
    """

    name: str
    before: str | None
    after: str | None
    differs: bool
    change: float | None = None
    better: bool | None = None


@dataclass(frozen=True, slots=True)
class NodeDifference:
    """One node in two iterations.

    Attributes:
        state: added, removed, changed, affected (through its inputs alone) or same.
        changes: fields of its signature that differ, inputs aside.
        code: its lines, where the recorded text differs.
        before, after: the records, as far as there are.
    """

    name: str
    state: str
    changes: tuple[Change, ...]
    code: tuple[Line, ...]
    before: NodeRecord | None
    after: NodeRecord | None

    @property
    def word(self) -> str:
        return WORDS[self.state]

    @property
    def record(self) -> NodeRecord:
        """Of the later one that has it."""
        record = self.after or self.before
        assert record is not None, "a node is in one of them at least"
        return record


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two iterations differ.

    Attributes:
        whole: whether what is the same is in it, too.
        nodes, parameters, outputs, versions: see `whole`.
        same_nodes: how many are left out for being the same.
        picture: of both graphs in one.
    """

    before: IterationRecord
    after: IterationRecord
    whole: bool
    nodes: tuple[NodeDifference, ...]
    same_nodes: int
    parameters: tuple[Pair, ...]
    outputs: tuple[Pair, ...]
    versions: tuple[Pair, ...]
    seconds: Pair
    picture: Picture


def comparison(
    before: IterationRecord, old: Sequence[NodeRecord], after: IterationRecord, new: Sequence[NodeRecord],
    href: Callable[[NodeDifference], str], *, whole: bool = False, folding: Folding = BY_SIZE,
    folded: Callable[[Folding], str] = lambda folding: "",
) -> Comparison:
    """How two iterations differ.

    Args:
        href: where a node of the picture leads.
        folding: which alike nodes share a box.
        folded: the address of this page, folded otherwise.
    """
    found = _nodes(old, new)
    shown = tuple(node for node in found if whole or node.state != "same")
    return Comparison(
        before, after, whole, shown, len(found) - len(shown),
        _pairs(mapping(before.parameters), mapping(after.parameters), whole),
        _outputs(mapping(before.outputs), mapping(after.outputs), whole),
        _pairs(mapping(before.versions), mapping(after.versions), whole),
        _seconds("seconds to answer", before.seconds, after.seconds),
        picture_of(_graph(before, after, found, shown, href), folding, folded, whole=False),
    )


def seconds_pair(node: NodeDifference) -> Pair:
    """What a node took in both."""
    before, after = (record.seconds if record else None for record in (node.before, node.after))
    return _seconds(node.name, before, after)


def _nodes(old: Sequence[NodeRecord], new: Sequence[NodeRecord]) -> list[NodeDifference]:
    """Those of the later iteration in its order, and each removed one after what it stood behind."""
    olds, news = {node.name: node for node in old}, {node.name: node for node in new}
    removed: dict[str, list[str]] = {}
    behind = ""
    for node in old:
        if node.name in news:
            behind = node.name
        else:
            removed.setdefault(behind, []).append(node.name)
    order = [*removed.get("", ()), *(name for each in news for name in (each, *removed.get(each, ())))]
    return [_difference(name, olds.get(name), news.get(name)) for name in order]


def _difference(name: str, old: NodeRecord | None, new: NodeRecord | None) -> NodeDifference:
    code = code_lines(old.code if old else "", new.code if new else "")
    if old is None or new is None:
        return NodeDifference(name, "removed" if new is None else "added", (), code, old, new)
    if old.declared == new.declared and old.signature == new.signature:
        return NodeDifference(name, "same", (), code, old, new)
    fields = own_changes(parts(old.parts), parts(new.parts))
    rewired = old.inputs != new.inputs
    return NodeDifference(name, "changed" if fields or rewired else "affected", fields, code, old, new)


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
    pairs = [
        Pair(
            name, text_of(before[name]) if name in before else None, text_of(after[name]) if name in after else None,
            (name in before) != (name in after) or text_of(before.get(name)) != text_of(after.get(name)),
        )
        for name in names
    ]
    return tuple(pair for pair in pairs if whole or pair.differs)


def _outputs(before: Mapping[str, Any], after: Mapping[str, Any], whole: bool) -> tuple[Pair, ...]:
    """Metrics one by one, with the way they went; other outputs as they are."""
    old, new = metrics.flattened(before), metrics.flattened(after)
    numbers = [
        _number(name, old.get(name), new.get(name)) for name in dict.fromkeys([*new, *old])
    ]
    rest = _pairs(
        {name: value for name, value in before.items() if not _is_metric(value)},
        {name: value for name, value in after.items() if not _is_metric(value)}, whole,
    )
    return (*(pair for pair in numbers if whole or pair.differs), *rest)


def _is_metric(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value) and all(_is_metric(each) for each in value.values()) and set(value) != {"table", "rows"}
    return number(value) is not None


def _number(name: str, before: float | None, after: float | None) -> Pair:
    return _measured(name, before, after, "{:.6g}", less_is_better(name))


def _seconds(name: str, before: float | None, after: float | None) -> Pair:
    return _measured(name, before, after, "{:.2f}", True)


def _measured(name: str, before: float | None, after: float | None, form: str, less: bool) -> Pair:
    shown_before, shown_after = (None if value is None else form.format(value) for value in (before, after))
    if before is None or after is None:
        return Pair(name, shown_before, shown_after, before is not after)
    change = after - before
    better = None if change == 0 else (change < 0) == less
    return Pair(name, shown_before, shown_after, change != 0, change, better)


def _graph(
    before: IterationRecord, after: IterationRecord, found: Sequence[NodeDifference],
    shown: Sequence[NodeDifference], href: Callable[[NodeDifference], str],
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
            title="; ".join([f"{node.name} ({node.record.kind}) {node.word}", *map(str, node.changes)]),
        )
        for node in found if node.name in seen
    )
    title = f"differences between iterations {before.number} and {after.number} of {after.workflow}"
    return DrawnGraph(drawn, title, frozenset(gone))

