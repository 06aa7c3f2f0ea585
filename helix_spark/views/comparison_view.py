"""The view of a comparison of two iterations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from helix_spark.catalog.places.json_text import mapping
from helix_spark.drawing.graph import DrawnGraph, DrawnNode
from helix_spark.history.comparison import Comparison, DifferenceState, NodeDifference, differ
from helix_spark.history.metrics import Direction, Metrics, metric_text, number
from helix_spark.history.table_preview import TableDifference
from helix_spark.history.value_text import value_text
from helix_spark.plots import is_plot
from helix_spark.sizes import format_seconds
from helix_spark.views.iteration_view import commit_text, output_text

Line = tuple[Literal["same", "added", "removed", "gap"], str]

LEAST_SECONDS = 0.05
"""Smaller differences of a node's seconds are not shown."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A named text before and after, None if missing; a `change` in short, or empty; `better` is None if unknown."""

    name: str
    before: str | None
    after: str | None
    differs: bool
    change: str = ""
    better: bool | None = None

    @property
    def sides(self) -> tuple[str, str]:
        """The texts before and after; a dash for a missing one."""
        return "-" if self.before is None else self.before, "-" if self.after is None else self.after

    @property
    def text(self) -> str:
        """Both texts and the change."""
        return " -> ".join(self.sides) + (f" ({self.change})" if self.change else "")


@dataclass(frozen=True)
class ComparisonView:
    """The view of a comparison, with the tables among the outputs; `shows_equal` adds what does not differ."""

    compared: Comparison
    tables: Mapping[str, TableDifference] = field(default_factory=dict)
    shows_equal: bool = False

    @property
    def title(self) -> str:
        before, after = self.compared.before, self.compared.after
        return f"{after.workflow}, iteration {before.number} -> {after.number}"

    @property
    def heads(self) -> tuple[str, str]:
        return f"iteration {self.compared.before.number}", f"iteration {self.compared.after.number}"

    @property
    def commits(self) -> str:
        """The commits of both, if they differ."""
        before, after = commit_text(self.compared.before), commit_text(self.compared.after)
        return f"{before or '?'} -> {after or '?'}" if before != after else ""

    @cached_property
    def parameters(self) -> tuple[Pair, ...]:
        return self._shown(pairs(mapping(self.compared.before.parameters), mapping(self.compared.after.parameters)))

    @cached_property
    def outputs(self) -> tuple[Pair, ...]:
        """Outputs by dotted names, the primary metric first; numbers with their changes."""
        before, after = self.compared.metrics
        leaves = dict.fromkeys([*after.leaves, *before.leaves])
        return () if self.compared.unrecorded else self._shown(_output(name, before, after) for name in leaves)

    @cached_property
    def versions(self) -> tuple[Pair, ...]:
        both = pairs(mapping(self.compared.before.versions), mapping(self.compared.after.versions))
        return () if self.compared.unrecorded else self._shown(both)

    @property
    def seconds(self) -> Pair:
        """Seconds to answer."""
        before, after = self.compared.before.seconds, self.compared.after.seconds
        return _measured("seconds to answer", before, after, format_seconds, "lower")

    @property
    def node_seconds(self) -> list[Pair]:
        """Seconds of nodes that differ, the longest first."""
        longest = sorted(self.compared.seconds.items(), key=lambda entry: -max(seconds or 0.0 for seconds in entry[1]))
        return [
            _measured(name, before, after, format_seconds, "lower") for name, (before, after) in longest
            if abs((after or 0.0) - (before or 0.0)) >= LEAST_SECONDS
        ]

    @property
    def nodes(self) -> tuple[NodeDifference, ...]:
        return tuple(node for node in self.compared.differences.values() if self.shows_equal or node.differs)

    @property
    def same_nodes(self) -> int:
        """The number of equal nodes that are not shown."""
        return len(self.compared.differences) - len(self.nodes)

    @property
    def is_equal(self) -> bool:
        """True if only seconds differ."""
        parts = (self.nodes, self.parameters, self.outputs, self.versions, self.tables)
        return not any((self.compared.unrecorded, *parts))

    @property
    def code(self) -> dict[str, tuple[Line, ...]]:
        """Differences of functions' texts, by node; of the workflow's file if a node's change lies elsewhere."""
        if self.compared.file_diff and any(node.changes and not node.code for node in self.nodes):
            return {"the workflow's file": diff_lines(self.compared.file_diff)}
        return {node.name: diff_lines(node.code) for node in self.nodes if node.code}

    @property
    def graph(self) -> DrawnGraph:
        """Both graphs in one: the nodes that differ and their neighbors, with removed edges dashed."""
        different = {node.name for node in self.nodes}
        inputs: dict[str, tuple[str, ...]] = {}
        removed_edges: set[tuple[str, str]] = set()
        nodes = self.compared.differences.values()
        for node in nodes:
            new = node.after.inputs if node.after else ()
            inputs[node.name] = tuple(dict.fromkeys([*new, *(node.before.inputs if node.before else ())]))
            removed_edges |= {(source, node.name) for source in inputs[node.name] if source not in new}
        names = different | {source for name in different for source in inputs[name]}
        names |= {name for name, sources in inputs.items() if not different.isdisjoint(sources)}
        drawn = tuple(
            DrawnNode(
                node.name, inputs[node.name], kind=node.record.kind, state=node.state,
                note="rewritten" if node.rewritten else "",
                title="; ".join([f"{node.name} ({node.record.kind}) {node.word}", *node.sentences]),
            )
            for node in nodes if node.name in names
        )
        before, after = self.compared.before, self.compared.after
        title = f"differences between iterations {before.number} and {after.number} of {after.workflow}"
        return DrawnGraph(drawn, title, frozenset(removed_edges))

    def in_state(self, *states: DifferenceState) -> tuple[NodeDifference, ...]:
        return tuple(node for node in self.nodes if node.state in states)

    def _shown(self, both: Iterable[Pair]) -> tuple[Pair, ...]:
        return tuple(pair for pair in both if self.shows_equal or pair.differs)


def diff_lines(unified: Sequence[str]) -> tuple[Line, ...]:
    """Return the lines of a unified diff without its header, with gaps for hidden unchanged lines.

    >>> diff_lines(["--- 1", "+++ 2", "@@ -1,2 +1,2 @@", " a", "-b", "+c"])
    (('same', 'a'), ('removed', 'b'), ('added', 'c'))
    """
    lines: list[Line] = []
    for index, line in enumerate(unified[2:]):
        if line.startswith("@@"):
            if index:
                lines.append(("gap", ""))
        else:
            lines.append(({"+": "added", "-": "removed"}.get(line[0], "same"), line[1:]))  # type: ignore[arg-type]  # the three words
    return tuple(lines)


def pairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Pair]:
    return [_texts(name, before, after) for name in dict.fromkeys((*after, *before))]


def _texts(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Pair:
    differs = (name in before) != (name in after) or differ(before.get(name), after.get(name))
    old, new = (value_text(side[name]) if name in side else None for side in (before, after))
    if differs and old == new and not is_plot(after.get(name)):  # numbers with the same six digits
        old, new = (json.dumps(side[name], ensure_ascii=False) for side in (before, after))
    first, second = number(before.get(name)), number(after.get(name))
    step = None if first is None or second is None else second - first
    return Pair(name, old, new, differs, _missing_side(old, new) or (metric_text(step, "+") if step else ""))


def _missing_side(before: str | None, after: str | None) -> str:
    return "added" if before is None else "missing" if after is None else ""


def _output(name: str, before: Metrics, after: Metrics) -> Pair:
    old, new = before.leaves, after.leaves
    if any(name in side and number(side[name]) is None for side in (old, new)):
        return _texts(name, old, new)
    if why := after.incomparable(name, before):
        texts = [output_text(side[name]) if name in side else None for side in (old, new)]
        return Pair(name, texts[0], texts[1], differ(old.get(name), new.get(name)), why)
    pair = _measured(name, number(old.get(name)), number(new.get(name)), metric_text, after.direction(name))
    doubt = after.doubt(name)
    return replace(pair, change=", ".join(filter(None, (pair.change, doubt))), better=None if doubt else pair.better)


def _measured(
    name: str, before: float | None, after: float | None, text_of: Callable[[float], str], direction: Direction
) -> Pair:
    old, new = (None if value is None else text_of(value) for value in (before, after))
    if before is None or after is None:
        return Pair(name, old, new, before is not after, _missing_side(old, new))
    step = after - before
    better = None if step == 0 or not direction else (step < 0) == (direction == "lower")
    change = f"{'+' if step > 0 else '-'}{text_of(abs(step))}" if step else ""
    return Pair(name, old, new, step != 0, change, better)
