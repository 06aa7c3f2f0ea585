"""How two iterations differ, from their records: parameters, nodes, code, outputs, seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.drawing.graph import WORDS
from helix_spark.drawing.notebook import Displayed
from helix_spark.history.metrics import Metrics, metrics_of
from helix_spark.history.source_rows import source_rows
from helix_spark.history.states import shown_states
from helix_spark.identity.difference import Change, own_changes, parts_from_json

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader

DifferenceState = Literal["added", "removed", "changed", "drawn", "affected", "same"]
"""How a node differs: `changed` itself, `affected` only through its inputs, or `drawn` again because its result is
nondeterministic. A node with the same result is the `same`, even if its code differs."""

_WITHOUT_CHANGES: Mapping[DifferenceState, str] = {"drawn": "nondeterministic", "affected": "through its inputs"}


@dataclass(frozen=True)
class NodeDifference:
    """A node in two iterations: its records, None where missing, and the changed fields of its signature but inputs.
    A node is `rewritten` if it was declared differently but has the same result."""

    name: str
    state: DifferenceState
    changes: tuple[Change, ...]
    before: NodeRecord | None
    after: NodeRecord | None
    rewritten: bool = False

    @property
    def differs(self) -> bool:
        return self.state != "same" or self.rewritten

    @property
    def word(self) -> str:
        return WORDS[self.state]

    @property
    def sentences(self) -> tuple[str, ...]:
        reads = describe_inputs(self.before.inputs, self.after.inputs) if self.before and self.after else ()
        return (*map(str, self.changes), *reads, *(["the result is the same"] if self.rewritten else []))

    @property
    def summary(self) -> str:
        """The differences in one line."""
        if self.before is not None and self.after is not None:
            return "; ".join(self.sentences) or _WITHOUT_CHANGES.get(self.state, "")
        node = self.record
        return f"{node.kind}, reads {', '.join(node.inputs)}" if node.inputs else node.kind

    @cached_property
    def code(self) -> tuple[str, ...]:
        """Lines of a unified diff of its function's text; empty if the text is the same."""
        texts = ("" if record is None else record.code for record in (self.before, self.after))
        return text_diff(*texts, *(
            self.name if record is None else f"{self.name}, iteration {record.iteration}"
            for record in (self.before, self.after)
        ))

    @property
    def seconds(self) -> tuple[float | None, float | None]:
        """Its seconds before and after; None where it did not run."""
        before, after = (
            None if record is None or record.state == "prune" else record.seconds
            for record in (self.before, self.after)
        )
        return before, after

    @property
    def record(self) -> NodeRecord:
        """The newer of its records."""
        record = self.after or self.before
        assert record is not None, "at least one of the iterations has the node"
        return record


@dataclass(frozen=True)
class Comparison(Displayed):
    """The differences between two iterations. What is missing in one of them counts as a difference.

    Attributes:
        differences: all nodes by name, the same ones included, in the order of the later iteration; a removed node
            follows its predecessor in the earlier one.
        file_diff: lines of a unified diff of the workflow's files, if both are recorded.
    """

    before: IterationRecord
    after: IterationRecord
    differences: Mapping[str, NodeDifference]
    file_diff: tuple[str, ...] = ()

    @property
    def unrecorded(self) -> str:
        """Why only parameters can be compared; empty if both iterations have recorded nodes."""
        return unrecorded(self.before, self.after)

    @property
    def parameters(self) -> dict[str, tuple[Any, Any]]:
        """Values before and after of the parameters that differ, by name; None if missing. Likewise `outputs`."""
        return _differing(mapping(self.before.parameters), mapping(self.after.parameters))

    @property
    def outputs(self) -> dict[str, tuple[Any, Any]]:
        return {} if self.unrecorded else _differing(mapping(self.before.outputs), mapping(self.after.outputs))

    @property
    def code(self) -> dict[str, tuple[str, ...]]:
        """Lines of a unified diff of each function's text that differs, by node."""
        return {name: node.code for name, node in self.differences.items() if node.code}

    @property
    def added(self) -> tuple[str, ...]:
        return self._names_of("added")

    @property
    def removed(self) -> tuple[str, ...]:
        return self._names_of("removed")

    @property
    def nodes(self) -> dict[str, tuple[Change, ...]]:
        """Changed fields of each node that has another result; none for changed inputs or nondeterminism alone."""
        return {name: self.differences[name].changes for name in self._names_of("changed", "drawn", "affected")}

    @property
    def inputs(self) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Inputs before and after of each node whose inputs differ."""
        pairs = {
            name: (node.before.inputs, node.after.inputs)
            for name, node in self.differences.items() if node.before is not None and node.after is not None
        }
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    @cached_property
    def metrics(self) -> tuple[Metrics, Metrics]:
        return metrics_of(self.before), metrics_of(self.after)

    @cached_property
    def states(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """The shown state of each node in both iterations; see `shown_states`."""
        nodes = self.differences.values()
        before, after = [node.before for node in nodes if node.before], [node.after for node in nodes if node.after]
        return shown_states(self.before, before), shown_states(self.after, after)

    @property
    def seconds(self) -> dict[str, tuple[float | None, float | None]]:
        """Seconds before and after of each node that ran in at least one of the iterations."""
        return {name: node.seconds for name, node in self.differences.items() if node.seconds != (None, None)}

    def _names_of(self, *states: DifferenceState) -> tuple[str, ...]:
        return tuple(name for name, node in self.differences.items() if node.state in states)


def compare(records: CatalogReader, before: IterationRecord, after: IterationRecord) -> Comparison:
    """Compare two iterations; only their parameters if one has no nodes. Raises CatalogError for damaged records."""
    if unrecorded(before, after):
        return Comparison(before, after, {})
    differences = node_differences(source_rows(records.nodes(before)), source_rows(records.nodes(after)))
    old, new = (records.file_text(record.file_digest) or "" for record in (before, after))
    heads = (f"iteration {record.number}" for record in (before, after))
    return Comparison(before, after, differences, text_diff(old, new, *heads) if old and new else ())


def node_differences(old: Sequence[NodeRecord], new: Sequence[NodeRecord]) -> dict[str, NodeDifference]:
    """Return each node's difference by name, in the order of `new`; a removed node follows its predecessor."""
    olds, news = ({node.name: node for node in nodes} for nodes in (old, new))
    removed: dict[str, list[str]] = {}  # by the name of the predecessor that is left
    predecessor = ""
    for node in old:
        if node.name in news:
            predecessor = node.name
        else:
            removed.setdefault(predecessor, []).append(node.name)
    names = [*removed.get("", ()), *(name for node in new for name in (node.name, *removed.get(node.name, ())))]
    return {name: _difference(name, olds.get(name), news.get(name)) for name in names}


def _difference(name: str, before: NodeRecord | None, after: NodeRecord | None) -> NodeDifference:
    if before is None or after is None:
        return NodeDifference(name, "added" if before is None else "removed", (), before, after)
    same_result, same_inputs = before.signature == after.signature, before.inputs == after.inputs
    same_declaration = before.declared == after.declared
    if same_result and same_declaration:
        return NodeDifference(name, "same", (), before, after)
    changes = own_changes(parts_from_json(before.parts), parts_from_json(after.parts))
    # New code with the same result has the signature of the old code. If neither the declaration nor the inputs differ,
    # a nondeterministic node was computed again.
    state: DifferenceState = "same" if same_result else "drawn" if same_declaration and same_inputs else \
        "changed" if changes or not same_inputs else "affected"
    return NodeDifference(name, state, changes, before, after, rewritten=same_result)


def unrecorded(*iterations: IterationRecord) -> str:
    """Return which of these iterations have no recorded nodes, and why; empty if all have nodes.

    >>> unrecorded(IterationRecord("0" * 32, "w", 5, "died", 0.0), IterationRecord("1" * 32, "w", 6, "failed", 0.0))
    'iteration 5 died before its nodes were recorded'
    """
    reasons = {
        "died": "died before its nodes were recorded",
        "running": "is still running; its nodes are recorded when it ends",
    }
    return ", and ".join(dict.fromkeys(
        f"iteration {record.number} {reasons[record.status]}" for record in iterations if record.status in reasons
    ))


def describe_inputs(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """Return how a node's inputs differ, as phrases; none if they are equal.

    >>> describe_inputs(("a", "b"), ("b", "c")), describe_inputs(("a", "b"), ("b", "a"))
    (('no longer reads a', 'reads c'), ('reads the same in another order',))
    """
    if tuple(before) == tuple(after):
        return ()
    removed, added = [name for name in before if name not in after], [name for name in after if name not in before]
    phrases = [f"no longer reads {', '.join(removed)}"] if removed else []
    phrases += [f"reads {', '.join(added)}"] if added else []
    return tuple(phrases) or ("reads the same in another order",)


def differ(before: Any, after: Any) -> bool:
    """Return whether two outputs differ. NaN equals NaN.

    >>> differ({"auc": float("nan")}, {"auc": float("nan")}), differ(1.0, 2.0)
    (False, True)
    """
    return json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True)


def text_diff(before: str, after: str, name_before: str, name_after: str) -> tuple[str, ...]:
    """Return the lines of a unified diff of two texts; none if they are equal.

    >>> text_diff("a\\nb\\n", "a\\nc\\n", "1", "2")
    ('--- 1', '+++ 2', '@@ -1,2 +1,2 @@', ' a', '-b', '+c')
    """
    return tuple(unified_diff(before.splitlines(), after.splitlines(), name_before, name_after, lineterm=""))


def _differing(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    pairs = {name: (before.get(name), after.get(name)) for name in dict.fromkeys((*after, *before))}
    return {name: pair for name, pair in pairs.items() if differ(*pair) or (name in before) != (name in after)}
