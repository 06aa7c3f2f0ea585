"""A generated message for an edit, as an author would write it for a commit."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.history.comparison import NodeDifference, describe_inputs, node_differences
from helix_spark.identity.difference import Change
from helix_spark.identity.parts import Group
from helix_spark.visible_text import cut, named

_MOST_NAMES, _MOST_PARTS, _LONGEST = 3, 5, 400


def edit_of(record: IterationRecord) -> str:
    """Return the recorded message of the edit before an iteration; empty without an edit, and in older records."""
    return str(mapping(record.plan).get("edit", ""))


def edit_message(
    before: IterationRecord | None, old: Sequence[NodeRecord], parameters: Mapping[str, Any], new: Sequence[NodeRecord],
    places: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return the differences from the iteration before, whose nodes are `old`, in a line; empty for the first iteration
    and without differences. `places` are the shown lines of nodes in the author's files, by name."""
    if before is None or not old:
        return ""
    differences, earlier = node_differences(old, new), mapping(before.parameters)
    changed = dict[str, tuple[str, str]]()  # values before and after: nodes with this parameter do not repeat them
    for name, value in parameters.items():
        if name in earlier and earlier[name] != value:
            was, now = (text if isinstance(text, str) else json.dumps(text) for text in (earlier[name], value))
            changed[f"parameter `{name}` {was} -> {now}"] = (was, now)
    phrases = dict.fromkeys(changed)
    for node in differences.values():
        if node.state == "changed" or node.rewritten:
            place = f", {places[node.name]}" if places.get(node.name) else ""
            phrases |= {f"{text}{place}": None for text in _describe_node(node, changed.values())}
    for state in ("added", "removed"):
        if names := [name for name, node in differences.items() if node.state == state]:
            phrases[f"{named(names, _MOST_NAMES)} {state}"] = None
    parts = list(phrases)
    shown = parts if len(parts) <= _MOST_PARTS else [*parts[: _MOST_PARTS - 1], f"{len(parts) - _MOST_PARTS + 1} more"]
    return cut("; ".join(shown), _LONGEST)


def _describe_node(node: NodeDifference, parameters: Collection[tuple[str, str]]) -> Iterator[str]:
    assert node.before is not None
    assert node.after is not None
    name = node.name
    is_rewritten = node.before.code != node.after.code and bool(node.after.code)
    phrases = [text for change in node.changes if (text := _describe(name, change, parameters, is_rewritten))]
    if is_rewritten and any(change.group in (Group.CODE, Group.PLAN) for change in node.changes):
        phrases.insert(0, f"code of `{name}`")
    yield from dict.fromkeys(phrases)
    yield from (f"`{name}` {phrase}" for phrase in describe_inputs(node.before.inputs, node.after.inputs))
    if node.rewritten and not phrases:
        yield f"`{name}` rewritten"


def _describe(node: str, change: Change, parameters: Collection[tuple[str, str]], is_rewritten: bool) -> str:
    """Return a change of a node as a phrase; empty if another phrase of the message implies it."""
    if change.sort == "changed" and (change.before or "", change.after or "") in parameters:
        return ""
    match change.group:
        case Group.SOURCE:
            return f"data of `{node}`"
        case Group.CODE if change.label == node:
            return f"code of `{node}`"
        case Group.CODE:
            return f"code of `{change.label}`" if change.sort == "changed" else ""
        case Group.PLAN:
            return "" if is_rewritten else str(change).split("; ")[0]
        case Group.PARAMETER if change.before != change.after:
            return f"{change} of `{node}`"
        case _:
            return str(change)
