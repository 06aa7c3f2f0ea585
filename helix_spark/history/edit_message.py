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
    """Return what differs from the iteration before, in a line; empty for the first one, and where nothing does.

    Args:
        before: the iteration before, whose nodes are `old`.
        parameters: of the workflow, now; `new` are its nodes.
        places: the author's line of a node, as people know it, by its name.
    """
    if before is None or not old:
        return ""
    differences = node_differences(old, new)
    changed = list(_parameters(mapping(before.parameters), parameters))
    said = frozenset(pair for pair, _ in changed)
    parts = list(dict.fromkeys((*(text for _, text in changed), *_nodes(differences, said, places))))
    shown = parts if len(parts) <= _MOST_PARTS else [*parts[: _MOST_PARTS - 1], f"{len(parts) - _MOST_PARTS + 1} more"]
    return cut("; ".join(shown), _LONGEST)


def _parameters(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the changed parameters, each with its values before and after: a node that is given one repeats them."""
    for name in dict.fromkeys((*new, *old)):
        if name in old and name in new and old[name] != new[name]:
            before, after = (value if isinstance(value, str) else json.dumps(value) for value in (old[name], new[name]))
            yield (before, after), f"parameter `{name}` {before} -> {after}"


def _nodes(
    differences: Mapping[str, NodeDifference], parameters: Collection[tuple[str, str]], places: Mapping[str, str]
) -> Iterator[str]:
    for one in differences.values():
        if one.state == "changed" or one.rewritten:
            place = f", {places[one.name]}" if places.get(one.name) else ""
            yield from (f"{text}{place}" for text in _node(one, parameters, one.name))
    for state in ("added", "removed"):
        if names := [name for name, one in differences.items() if one.state == state]:
            yield f"{named(names, _MOST_NAMES)} {state}"


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
