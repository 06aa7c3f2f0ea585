"""Slicing: what no output needs is dropped; and what each node is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from helix_spark.dag.node import Dag


class ReadsNodes(Protocol):
    """A node of any graph, by whatever front."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...


def ancestors_of(nodes: Iterable[ReadsNodes]) -> dict[str, frozenset[str]]:
    """Return the names of all that each node is made of, by its name.

    Args:
        nodes: inputs first.
    """
    found: dict[str, frozenset[str]] = {}
    for node in nodes:
        found[node.name] = frozenset(node.inputs).union(*(found[name] for name in node.inputs))
    return found


def slice_to_outputs(dag: Dag) -> Dag:
    """Return the same graph without the nodes that no output needs; their names are in `dropped`."""
    needed = set(dag.outputs)
    for node in reversed(dag.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return replace(
        dag,
        nodes=tuple(node for node in dag.nodes if node.name in needed),
        dropped=dag.dropped + tuple(node.name for node in dag.nodes if node.name not in needed),
    )
