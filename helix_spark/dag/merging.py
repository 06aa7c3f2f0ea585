"""Merging: equal nodes become one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from helix_spark.dag.node import Dag, Node
from helix_spark.workflow.declaration import Keep, Wishes
from helix_spark.workflow.operators import Function, Result

_STRONGEST: tuple[Keep, ...] = ("always", "never", "auto")


def merge_equal(dag: Dag, identity: Mapping[str, str]) -> Dag:
    """Return the same graph with nodes of one identity (signature) merged into the first of them.

    Columns are left alone: their name is the name under which their table will hold them.
    """
    first: dict[str, str] = {}
    into: dict[str, str] = {}
    for node in dag.nodes:
        into[node.name] = node.name if node.result is Result.COLUMN else first.setdefault(
            identity[node.name], node.name
        )
    aliases: dict[str, tuple[str, ...]] = {}
    for name, target in into.items():
        if name != target:
            aliases[target] = (*aliases.get(target, ()), name)
    if not aliases:
        return dag
    first_ones = (node for node in dag.nodes if into[node.name] == node.name)
    merged = tuple(
        replace(_rewired(node, into, same := aliases.get(node.name, ())), wishes=_wishes(dag, node, same))
        for node in first_ones
    )
    outputs = tuple(dict.fromkeys(into[name] for name in dag.outputs))
    return replace(dag, nodes=merged, outputs=outputs)


def _wishes(dag: Dag, node: Node, aliases: tuple[str, ...]) -> Wishes:
    """Return what is wished of any of the equal nodes; of opposite wishes, the one to store."""
    wishes = [node.wishes, *(dag[name].wishes for name in aliases)]
    keep: Keep = next((wish for wish in _STRONGEST if wish in [w.keep for w in wishes]), "auto")
    return replace(
        node.wishes, keep=keep, fixed=any(w.fixed for w in wishes), recompute=any(w.recompute for w in wishes),
        fresh=any(w.fresh for w in wishes),
    )


def _rewired(node: Node, into: Mapping[str, str], aliases: tuple[str, ...]) -> Node:
    inputs = tuple(into[name] for name in node.inputs)
    base = into[node.base] if node.base is not None else None
    assert not isinstance(node.operator, Function) or len(inputs) == len(node.operator.arguments)
    return replace(node, inputs=inputs, base=base, aliases=aliases)
