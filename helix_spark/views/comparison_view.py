"""Two iterations side by side as they are shown: only what differs unless more is asked for. What one of them lacks
differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from helix_spark.catalog.places.json_text import mapping
from helix_spark.drawing.graph import WORDS, DrawnGraph, DrawnNode
from helix_spark.history.comparison import Comparison, NodeDifference, Sort, differ, text_diff
from helix_spark.history.metrics import Direction, Metrics, metric_text, number
from helix_spark.history.states import shown_states
from helix_spark.history.table_preview import TableDifference
from helix_spark.history.value_text import whole_text
from helix_spark.plots import is_plot
from helix_spark.sizes import format_seconds
from helix_spark.views.iteration_view import commit_text, output_text

Line = tuple[Literal["same", "added", "removed", "gap"], str]

MOST_TIMED = 8
"""Nodes whose seconds are shown beside each other, those that took longest."""
LEAST_SECONDS = 0.05
"""A node whose seconds differ by less is not news."""
_ITSELF_THE_SAME: Mapping[Sort, str] = {
    "drawn": "drawn anew, for it may differ each time", "affected": "through its inputs",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A named thing before and after; None where it is missing.

    Attributes:
        change: how it went, in words; empty where that cannot be said in a line.
        better: whether that is for the better; None where it has no meaning.
    """

    name: str
    before: str | None
    after: str | None
    differs: bool
    change: str = ""
    better: bool | None = None

    @property
    def sides(self) -> tuple[str, str]:
        """What it was and what it is; a dash where it is missing."""
        return "-" if self.before is None else self.before, "-" if self.after is None else self.after

    @property
    def went(self) -> str:
        return " -> ".join(self.sides) + (f" ({self.change})" if self.change else "")


@dataclass(frozen=True, slots=True)
class ShownNode(NodeDifference):
    """One node in two iterations.

    Attributes:
        code: its lines, where the recorded text differs.
        ran: what state it shows in each of them; empty where it is not.
        seconds: what it took in both.
    """

    code: tuple[Line, ...]
    ran: tuple[str, str]
    seconds: Pair

    @property
    def state(self) -> str:
        return self.sort

    @property
    def word(self) -> str:
        return WORDS[self.sort]

    @property
    def what(self) -> str:
        if self.before is not None and self.after is not None:
            return "; ".join(self.sentences) or _ITSELF_THE_SAME.get(self.sort, "")
        node = self.record
        return f"{node.kind}, reads {', '.join(node.inputs)}" if node.inputs else node.kind


@dataclass(frozen=True)
class ComparisonView:
    """How two iterations differ.

    Attributes:
        whole: whether what is the same is in it, too.
        seconds: to answer; `timed` what those nodes took whose seconds differ, those that took longest first, and
            `more_timed` how many more there are.
        same_nodes: how many are left out for being the same.
        graph: of both, as far as they differ, with what that reads or is read by; edges that are gone are dashed.
        tables: how the tables among the outputs differ.
    """

    compared: Comparison
    whole: bool
    parameters: tuple[Pair, ...]
    outputs: tuple[Pair, ...]
    versions: tuple[Pair, ...]
    seconds: Pair
    timed: tuple[Pair, ...]
    more_timed: int
    nodes: tuple[ShownNode, ...]
    same_nodes: int
    graph: DrawnGraph
    tables: Mapping[str, TableDifference]

    @property
    def title(self) -> str:
        before, after = self.compared.before, self.compared.after
        return f"{after.workflow}, iteration {before.number} -> {after.number}"

    @property
    def heads(self) -> tuple[str, str]:
        return f"iteration {self.compared.before.number}", f"iteration {self.compared.after.number}"

    @property
    def unrecorded(self) -> str:
        """Why there are no nodes to compare, and nothing but parameters; empty where there are."""
        return self.compared.unrecorded

    @property
    def commits(self) -> str:
        """Where the two differ in it."""
        before, after = commit_text(self.compared.before), commit_text(self.compared.after)
        return f"{before or '?'} -> {after or '?'}" if before != after else ""

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to tell but the time it took."""
        parts = (self.unrecorded, self.nodes, self.parameters, self.outputs, self.versions, self.tables)
        return not any(parts)

    def of_sort(self, *sorts: Sort) -> tuple[ShownNode, ...]:
        return tuple(node for node in self.nodes if node.sort in sorts)

    @property
    def code(self) -> dict[str, tuple[Line, ...]]:
        """What differs in the text of functions, by node; in the workflow's file, where a node changed by what is not
        in its own function: a helper, a constant, a declaration."""
        if self.compared.file_diff and any(node.changes and not node.code for node in self.nodes):
            return {"the workflow's file": diff_lines(self.compared.file_diff)}
        return {node.name: node.code for node in self.nodes if node.code}


def comparison_view(
    compared: Comparison, tables: Mapping[str, TableDifference] = MappingProxyType({}), *, whole: bool = False
) -> ComparisonView:
    before, after = compared.before, compared.after
    found = _nodes(compared)
    shown = tuple(node for node in found if whole or node.differs)

    def keep_differing(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
        return tuple(pair for pair in pairs if whole or pair.differs)

    recorded, timed = not compared.unrecorded, _timed(compared)
    return ComparisonView(
        compared, whole, keep_differing(pairs(mapping(before.parameters), mapping(after.parameters))),
        keep_differing(_outputs(*compared.metrics)) if recorded else (),
        keep_differing(pairs(mapping(before.versions), mapping(after.versions))) if recorded else (),
        _seconds("seconds to answer", before.seconds, after.seconds), timed[:MOST_TIMED],
        max(0, len(timed) - MOST_TIMED), shown, len(found) - len(shown), _graph(compared, found, shown), tables,
    )


def _timed(compared: Comparison) -> tuple[Pair, ...]:
    differing = [
        (name, pair) for name, pair in compared.seconds.items()
        if abs((pair[1] or 0.0) - (pair[0] or 0.0)) >= LEAST_SECONDS
    ]
    differing.sort(key=lambda entry: -max(seconds or 0.0 for seconds in entry[1]))
    return tuple(_seconds(name, *pair) for name, pair in differing)


def _nodes(compared: Comparison) -> list[ShownNode]:
    differences = compared.differences.values()
    was = shown_states(compared.before, [one.before for one in differences if one.before is not None])
    became = shown_states(compared.after, [one.after for one in differences if one.after is not None])
    seconds = compared.seconds
    return [
        ShownNode(
            one.name, one.sort, one.changes, one.before, one.after, diff_lines(compared.code.get(one.name, ())),
            (was.get(one.name, ""), became.get(one.name, "")),
            _seconds(one.name, *seconds.get(one.name, (None, None))),
        )
        for one in differences
    ]


def code_lines(before: str, after: str) -> tuple[Line, ...]:
    """Return a unified difference, with gaps where unchanged lines are left out; none where nothing differs.

    >>> code_lines("a\\nb\\n", "a\\nc\\n")
    (('same', 'a'), ('removed', 'b'), ('added', 'c'))
    """
    return diff_lines(text_diff(before, after, "", ""))


def diff_lines(unified: Sequence[str]) -> tuple[Line, ...]:
    """Return the lines of a unified difference without its head."""
    lines: list[Line] = []
    for place, line in enumerate(unified[2:]):
        if line.startswith("@@"):
            if place:
                lines.append(("gap", ""))
        else:
            lines.append(({"+": "added", "-": "removed"}.get(line[0], "same"), line[1:]))  # type: ignore[arg-type]  # the three words
    return tuple(lines)


def pairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Pair]:
    return [_texts(name, before, after) for name in dict.fromkeys((*after, *before))]


def _texts(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Pair:
    differs = (name in before) != (name in after) or differ(before.get(name), after.get(name))
    old, new = (whole_text(side[name]) if name in side else None for side in (before, after))
    if differs and old == new and not is_plot(after.get(name)):  # numbers that six digits do not tell apart
        old, new = (json.dumps(side[name], ensure_ascii=False) for side in (before, after))
    numbers = number(before.get(name)), number(after.get(name))
    by = None if numbers[0] is None or numbers[1] is None else numbers[1] - numbers[0]
    return Pair(name, old, new, differs, _missing(old, new) or (metric_text(by, "+") if by else ""))


def _missing(before: str | None, after: str | None) -> str:
    return "added" if before is None else "missing" if after is None else ""


def _outputs(before: Metrics, after: Metrics) -> list[Pair]:
    """Leaf by leaf, the most important metric first: numbers with the way they went."""
    return [_output(name, before, after) for name in dict.fromkeys([*after.leaves, *before.leaves])]


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


def _seconds(name: str, before: float | None, after: float | None) -> Pair:
    return _measured(name, before, after, format_seconds, "lower")


def _measured(
    name: str, before: float | None, after: float | None, form: Callable[[float], str], direction: Direction
) -> Pair:
    old, new = (None if value is None else form(value) for value in (before, after))
    if before is None or after is None:
        return Pair(name, old, new, before is not after, _missing(old, new))
    by = after - before
    better = None if by == 0 or not direction else (by < 0) == (direction == "lower")
    change = f"{'+' if by > 0 else '-'}{form(abs(by))}" if by else ""
    return Pair(name, old, new, by != 0, change, better)


def _graph(compared: Comparison, found: Sequence[ShownNode], shown: Sequence[ShownNode]) -> DrawnGraph:
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
            node.name, inputs[node.name], kind=node.record.kind, state=node.state,
            note="rewritten" if node.rewritten else "",
            title="; ".join([f"{node.name} ({node.record.kind}) {node.word}", *node.sentences]),
        )
        for node in found if node.name in seen
    )
    before, after = compared.before, compared.after
    title = f"differences between iterations {before.number} and {after.number} of {after.workflow}"
    return DrawnGraph(drawn, title, frozenset(gone))
