"""What an edit was, in a line made by itself: what its author would have written, had they written something."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.history.comparison import NodeDifference, node_differences, rewired
from helix_spark.identity.difference import Change
from helix_spark.identity.parts import Group
from helix_spark.visible_text import cut, named

_MOST_NAMES, _MOST_PARTS, _LONGEST = 3, 5, 400


def edit_of(record: IterationRecord) -> str:
    """Return what the edit before an iteration was; empty where nothing was edited, and of older records."""
    return str(mapping(record.plan).get("edit", ""))


def edit_message(
    before: IterationRecord | None, old: Sequence[NodeRecord], parameters: Mapping[str, Any], new: Sequence[NodeRecord],
    places: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return what differs from the iteration before, whose nodes are `old`, in a line; empty for the first one, and
    where nothing does. `places` are the author's lines of nodes, as people know them, by name."""
    if before is None or not old:
        return ""
    differences, earlier = node_differences(old, new), mapping(before.parameters)
    changed = dict[str, tuple[str, str]]()  # with the values before and after: a node that is given one repeats them
    for name, value in parameters.items():
        if name in earlier and earlier[name] != value:
            was, now = (one if isinstance(one, str) else json.dumps(one) for one in (earlier[name], value))
            changed[f"parameter `{name}` {was} -> {now}"] = (was, now)
    said = dict.fromkeys(changed)
    for one in differences.values():
        if one.state == "changed" or one.rewritten:
            place = f", {places[one.name]}" if places.get(one.name) else ""
            said |= {f"{text}{place}": None for text in _node(one, changed.values(), one.name)}
    for state in ("added", "removed"):
        if names := [name for name, one in differences.items() if one.state == state]:
            said[f"{named(names, _MOST_NAMES)} {state}"] = None
    parts = list(said)
    shown = parts if len(parts) <= _MOST_PARTS else [*parts[: _MOST_PARTS - 1], f"{len(parts) - _MOST_PARTS + 1} more"]
    return cut("; ".join(shown), _LONGEST)


def _node(one: NodeDifference, parameters: Collection[tuple[str, str]], name: str) -> Iterator[str]:
    assert one.before is not None
    assert one.after is not None
    is_rewritten = one.before.code != one.after.code and bool(one.after.code)
    said = [text for change in one.changes if (text := _change(name, change, parameters, is_rewritten))]
    if is_rewritten and any(change.group in (Group.CODE, Group.PLAN) for change in one.changes):
        said.insert(0, f"code of `{name}`")
    yield from dict.fromkeys(said)
    yield from (f"`{name}` {how}" for how in rewired(one.before.inputs, one.after.inputs))
    if one.rewritten and not said:
        yield f"`{name}` rewritten"


def _change(node: str, change: Change, parameters: Collection[tuple[str, str]], is_rewritten: bool) -> str:
    """One field of a node; empty where something else says it."""
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
