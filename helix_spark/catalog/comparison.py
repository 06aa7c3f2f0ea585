"""How two iterations differ, from their records: parameters, nodes, code, outputs, seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any, Literal, Protocol

from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.signature.difference import Change, own_changes, parts_from_json

Sort = Literal["added", "removed", "changed", "drawn", "inherited", "same"]
"""How a node differs: `changed` by itself, `inherited` only through what it reads, `drawn` anew because its result may
differ each time."""

_UNCHANGED_ITSELF: Mapping[Sort, str] = {
    "drawn": "drawn anew, for it may differ each time", "inherited": "through its inputs",
}


@dataclass(frozen=True)
class Comparison:
    """How two iterations differ. What is missing in one of them counts as a difference.

    Attributes:
        before, after: the iterations.
        old, new: their nodes by name.
        nodes: name -> the fields that changed; no fields for a node that was drawn anew, or only changed through its
            inputs.
        added, removed: names of nodes.
        parameters, outputs: name -> (before, after), of those that differ; None where it is missing.
        code: name of a node -> unified diff of its function's text, a line an element.
        file_diff: unified diff of the workflow's files, where both are recorded.
        unrecorded: why there are no nodes to compare, and nothing but parameters; empty where there are.
    """

    before: IterationRecord
    after: IterationRecord
    old: Mapping[str, NodeRecord]
    new: Mapping[str, NodeRecord]
    nodes: dict[str, tuple[Change, ...]]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    parameters: dict[str, tuple[Any, Any]]
    outputs: dict[str, tuple[Any, Any]]
    code: dict[str, tuple[str, ...]]
    file_diff: tuple[str, ...] = ()
    unrecorded: str = ""

    @property
    def inputs(self) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Name of a node -> the names of what it read before and reads after, where these differ."""
        both = [name for name in self.new if name in self.old]
        pairs = {name: (self.old[name].inputs, self.new[name].inputs) for name in both}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    @property
    def seconds(self) -> dict[str, tuple[float | None, float | None]]:
        """Name of a node -> seconds it took before and after, of those that ran in one of the two."""
        names = [*self.new, *self.removed]
        pairs = {name: (_seconds(self.old.get(name)), _seconds(self.new.get(name))) for name in names}
        return {name: pair for name, pair in pairs.items() if pair != (None, None)}

    def sort(self, name: str) -> Sort:
        """How a node of either iteration differs."""
        if name in self.added:
            return "added"
        if name in self.removed:
            return "removed"
        if name not in self.nodes:
            return "same"
        if drawn_anew(self.old[name], self.new[name]):
            return "drawn"
        return "changed" if self.nodes[name] or name in self.inputs else "inherited"

    def what(self, name: str) -> str:
        """What differs in a node of either iteration, in a line."""
        before, after = self.old.get(name), self.new.get(name)
        if before is not None and after is not None:
            said = [*map(str, self.nodes.get(name, ())), *rewired(before.inputs, after.inputs)]
            return "; ".join(said) or _UNCHANGED_ITSELF.get(self.sort(name), "")
        node = after or before
        if node is None:
            return ""
        return f"{node.kind}, reads {', '.join(node.inputs)}" if node.inputs else node.kind

    def __str__(self) -> str:
        from helix_spark.catalog.picture import comparison_text

        return comparison_text(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What a notebook shows."""
        from helix_spark.catalog.picture import comparison_html
        from helix_spark.drawing.notebook import bundle

        return bundle(str(self), comparison_html(self))


class Records(Protocol):
    """What is read of a catalog here."""

    def nodes(self, run: str) -> tuple[NodeRecord, ...]: ...
    def file_text(self, digest: str) -> str | None: ...


def compare(records: Records, before: IterationRecord, after: IterationRecord) -> Comparison:
    """How two iterations of one catalog differ; in their parameters alone where one has no nodes on record. Raises
    CatalogError for damaged records."""
    parameters = _differing(json.loads(before.parameters), json.loads(after.parameters))
    if missing := unrecorded(before, after):
        return Comparison(before, after, {}, {}, {}, (), (), parameters, {}, {}, unrecorded=missing)
    olds, news = ({node.name: node for node in records.nodes(one.run)} for one in (before, after))
    files = [records.file_text(one.file_digest) or "" for one in (before, after)]
    changed = {}
    for name, node in news.items():
        if name in olds and olds[name].signature != node.signature:
            changed[name] = own_changes(parts_from_json(olds[name].parts), parts_from_json(node.parts))
    return Comparison(
        before, after, olds, news, changed, tuple(n for n in news if n not in olds),
        tuple(n for n in olds if n not in news), parameters,
        _differing(json.loads(before.outputs), json.loads(after.outputs)),
        _code(olds, news, f"iteration {before.number}", f"iteration {after.number}"),
        text_diff(files[0], files[1], f"iteration {before.number}", f"iteration {after.number}") if all(files) else (),
    )


def unrecorded(*iterations: IterationRecord) -> str:
    """Which of these iterations have no nodes on record, and why, in words; empty where all have.

    >>> unrecorded(IterationRecord("0" * 32, "w", 5, "died", 0.0), IterationRecord("1" * 32, "w", 6, "failed", 0.0))
    'iteration 5 died before its nodes were recorded'
    """
    why = {
        "died": "died before its nodes were recorded",
        "running": "is still running; its nodes are recorded when it ends",
    }
    said = [f"iteration {one.number} {why[one.status]}" for one in iterations if one.status in why]
    return ", and ".join(dict.fromkeys(said))


def drawn_anew(old: NodeRecord, new: NodeRecord) -> bool:
    """Whether nothing differs but the result, which may differ each time: neither the node nor what it reads."""
    return old.declared == new.declared and old.inputs == new.inputs and old.signature != new.signature


def rewired(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """How what a node reads differs, in words; nothing where it does not.

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
    """Whether two outputs differ. NaN, which equals nothing, is no news where it was NaN before.

    >>> differ({"auc": float("nan")}, {"auc": float("nan")}), differ(1.0, 2.0)
    (False, True)
    """
    return json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True)


def text_diff(before: str, after: str, name_before: str, name_after: str) -> tuple[str, ...]:
    """The unified diff of two texts; empty where they are equal.

    >>> text_diff("a\\nb\\n", "a\\nc\\n", "1", "2")
    ('--- 1', '+++ 2', '@@ -1,2 +1,2 @@', ' a', '-b', '+c')
    """
    return tuple(unified_diff(before.splitlines(), after.splitlines(), name_before, name_after, lineterm=""))


def _code(
    olds: Mapping[str, NodeRecord], news: Mapping[str, NodeRecord], name_before: str, name_after: str
) -> dict[str, tuple[str, ...]]:
    diffs = {}
    for name in [*news, *(name for name in olds if name not in news)]:
        before, after = (side[name].code if name in side else "" for side in (olds, news))
        diffs[name] = text_diff(before, after, f"{name}, {name_before}", f"{name}, {name_after}")
    return {name: diff for name, diff in diffs.items() if diff}


def _differing(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [*after, *(name for name in before if name not in after)]
    pairs = {name: (before.get(name), after.get(name)) for name in names}
    return {
        name: pair for name, pair in pairs.items()
        if differ(*pair) or (name in before) != (name in after)
    }


def _seconds(node: NodeRecord | None) -> float | None:
    return node.seconds if node is not None and node.state != "prune" else None
