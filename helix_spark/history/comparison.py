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
from helix_spark.drawing.notebook import Displayed, text_of
from helix_spark.history.metrics import Metrics, metrics_of
from helix_spark.history.source_rows import source_rows
from helix_spark.history.states import shown_states
from helix_spark.identity.difference import Change, own_changes, parts_from_json

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader

DifferenceState = Literal["added", "removed", "changed", "drawn", "affected", "same"]
"""How a node differs: `changed` by itself, `affected` only through what it reads, `drawn` anew because its result may
differ each time. A node with the same result is the `same`, even where its code is not."""

_WITHOUT_CHANGES: Mapping[DifferenceState, str] = {
    "drawn": "drawn anew, for it may differ each time", "affected": "through its inputs",
}


@dataclass(frozen=True)
class NodeDifference:
    """One node in two iterations: the records of both, None where one does not have it, and the fields of its signature
    that differ, inputs aside."""

    name: str
    state: DifferenceState
    changes: tuple[Change, ...]
    before: NodeRecord | None
    after: NodeRecord | None

    @property
    def rewritten(self) -> bool:
        """Whether it is another program that was found to compute the same."""
        if self.state != "same" or self.before is None or self.after is None:
            return False
        return self.before.declared != self.after.declared

    @property
    def differs(self) -> bool:
        return self.state != "same" or self.rewritten

    @property
    def word(self) -> str:
        return WORDS[self.state]

    @property
    def sentences(self) -> tuple[str, ...]:
        reads = rewired(self.before.inputs, self.after.inputs) if self.before and self.after else ()
        return (*map(str, self.changes), *reads, *(["the result is the same"] if self.rewritten else []))

    @property
    def summary(self) -> str:
        """The differences, in one line."""
        if self.before is not None and self.after is not None:
            return "; ".join(self.sentences) or _WITHOUT_CHANGES.get(self.state, "")
        node = self.record
        return f"{node.kind}, reads {', '.join(node.inputs)}" if node.inputs else node.kind

    @cached_property
    def code(self) -> tuple[str, ...]:
        """Unified diff of its function's text, a line an element; empty where that does not differ."""
        texts = ("" if record is None else record.code for record in (self.before, self.after))
        return text_diff(*texts, *(
            self.name if record is None else f"{self.name}, iteration {record.iteration}"
            for record in (self.before, self.after)
        ))

    @property
    def seconds(self) -> tuple[float | None, float | None]:
        """Seconds that it took before and after; None where it did not run."""
        before, after = (
            None if record is None or record.state == "prune" else record.seconds
            for record in (self.before, self.after)
        )
        return before, after

    @property
    def record(self) -> NodeRecord:
        """The record of the later iteration that has it."""
        record = self.after or self.before
        assert record is not None, "a node is in one of them at least"
        return record


@dataclass(frozen=True)
class Comparison(Displayed):
    """How two iterations differ. What is missing in one of them counts as a difference.

    Attributes:
        differences: of each node by name, those that are the same included, in the order of the later iteration; a
            removed node follows its predecessor in the earlier one.
        file_diff: unified diff of the workflow's files, where both are recorded.
    """

    before: IterationRecord
    after: IterationRecord
    differences: Mapping[str, NodeDifference]
    file_diff: tuple[str, ...] = ()

    @property
    def unrecorded(self) -> str:
        """Why there are no nodes to compare, and nothing but parameters; empty where there are."""
        return unrecorded(self.before, self.after)

    @property
    def parameters(self) -> dict[str, tuple[Any, Any]]:
        """Name -> (before, after), of those that differ; None where it is missing. So of `outputs`."""
        return _differing(mapping(self.before.parameters), mapping(self.after.parameters))

    @property
    def outputs(self) -> dict[str, tuple[Any, Any]]:
        return {} if self.unrecorded else _differing(mapping(self.before.outputs), mapping(self.after.outputs))

    @property
    def code(self) -> dict[str, tuple[str, ...]]:
        """Name of a node -> unified diff of its function's text, a line an element."""
        return {name: one.code for name, one in self.differences.items() if one.code}

    @property
    def added(self) -> tuple[str, ...]:
        return self._names_of("added")

    @property
    def removed(self) -> tuple[str, ...]:
        return self._names_of("removed")

    @property
    def nodes(self) -> dict[str, tuple[Change, ...]]:
        """Name of a node that has another result -> the fields that changed; none for a node that was drawn anew, or
        only changed through its inputs."""
        return {name: self.differences[name].changes for name in self._names_of("changed", "drawn", "affected")}

    @property
    def inputs(self) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Name of a node -> the names of what it read before and reads after, where these differ."""
        pairs = {
            name: (one.before.inputs, one.after.inputs)
            for name, one in self.differences.items() if one.before is not None and one.after is not None
        }
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    @cached_property
    def metrics(self) -> tuple[Metrics, Metrics]:
        return metrics_of(self.before), metrics_of(self.after)

    @cached_property
    def states(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """The state that each node shows in both iterations, by its name; see `shown_states`."""
        both = self.differences.values()
        before, after = [one.before for one in both if one.before], [one.after for one in both if one.after]
        return shown_states(self.before, before), shown_states(self.after, after)

    @property
    def seconds(self) -> dict[str, tuple[float | None, float | None]]:
        """Name of a node -> seconds it took before and after, of those that ran in one of the two."""
        return {name: one.seconds for name, one in self.differences.items() if one.seconds != (None, None)}

    def _names_of(self, *states: DifferenceState) -> tuple[str, ...]:
        return tuple(name for name, one in self.differences.items() if one.state in states)

    def __str__(self) -> str:
        return text_of(self)


def compare(records: CatalogReader, before: IterationRecord, after: IterationRecord) -> Comparison:
    """Return how two iterations of one catalog differ; in their parameters alone where one has no nodes on record.
    Raises CatalogError for damaged records."""
    if unrecorded(before, after):
        return Comparison(before, after, {})
    differences = node_differences(*(source_rows(records.nodes(one)) for one in (before, after)))
    old, new = (records.file_text(one.file_digest) or "" for one in (before, after))
    heads = (f"iteration {one.number}" for one in (before, after))
    return Comparison(before, after, differences, text_diff(old, new, *heads) if old and new else ())


def node_differences(old: Sequence[NodeRecord], new: Sequence[NodeRecord]) -> dict[str, NodeDifference]:
    """Return how each node of two iterations differs, by name: those of the later one in its order, and each that it
    has no more after what it stood behind."""
    olds, news = ({node.name: node for node in nodes} for nodes in (old, new))
    gone: dict[str, list[str]] = {}
    behind = ""
    for node in old:
        if node.name in news:
            behind = node.name
        else:
            gone.setdefault(behind, []).append(node.name)
    names = [*gone.get("", ()), *(name for node in new for name in (node.name, *gone.get(node.name, ())))]
    return {name: _difference(name, olds.get(name), news.get(name)) for name in names}


def _difference(name: str, before: NodeRecord | None, after: NodeRecord | None) -> NodeDifference:
    if before is None or after is None:
        return NodeDifference(name, "added" if before is None else "removed", (), before, after)
    is_same, same_inputs = before.signature == after.signature, before.inputs == after.inputs
    alike = before.declared == after.declared
    changes = () if alike and is_same else own_changes(parts_from_json(before.parts), parts_from_json(after.parts))
    # The signature decides, for it stands for the result: new code that was found to compute the same goes by that of
    # the old. Where neither the node nor what it reads differs, its result alone was drawn anew.
    state: DifferenceState = "same" if is_same else "drawn" if alike and same_inputs else \
        "changed" if changes or not same_inputs else "affected"
    return NodeDifference(name, state, changes, before, after)


def unrecorded(*iterations: IterationRecord) -> str:
    """Return which of these iterations have no nodes on record, and why, in words; empty where all have.

    >>> unrecorded(IterationRecord("0" * 32, "w", 5, "died", 0.0), IterationRecord("1" * 32, "w", 6, "failed", 0.0))
    'iteration 5 died before its nodes were recorded'
    """
    why = {
        "died": "died before its nodes were recorded",
        "running": "is still running; its nodes are recorded when it ends",
    }
    said = [f"iteration {one.number} {why[one.status]}" for one in iterations if one.status in why]
    return ", and ".join(dict.fromkeys(said))


def rewired(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """Return how what a node reads differs, in words; nothing where it does not.

    >>> rewired(("a", "b"), ("b", "c")), rewired(("a", "b"), ("b", "a")), rewired(("a",), ("a",))
    (('no longer reads a', 'reads c'), ('reads the same in another order',), ())
    """
    if tuple(before) == tuple(after):
        return ()
    gone, new = [name for name in before if name not in after], [name for name in after if name not in before]
    said = [f"no longer reads {', '.join(gone)}"] if gone else []
    said += [f"reads {', '.join(new)}"] if new else []
    return tuple(said) or ("reads the same in another order",)


def differ(before: Any, after: Any) -> bool:
    """Return whether two outputs differ. NaN, which equals nothing, is no news where it was NaN before.

    >>> differ({"auc": float("nan")}, {"auc": float("nan")}), differ(1.0, 2.0)
    (False, True)
    """
    return json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True)


def text_diff(before: str, after: str, name_before: str, name_after: str) -> tuple[str, ...]:
    """Return the unified diff of two texts; empty where they are equal.

    >>> text_diff("a\\nb\\n", "a\\nc\\n", "1", "2")
    ('--- 1', '+++ 2', '@@ -1,2 +1,2 @@', ' a', '-b', '+c')
    """
    return tuple(unified_diff(before.splitlines(), after.splitlines(), name_before, name_after, lineterm=""))


def _differing(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    pairs = {name: (before.get(name), after.get(name)) for name in dict.fromkeys((*after, *before))}
    return {name: pair for name, pair in pairs.items() if differ(*pair) or (name in before) != (name in after)}
