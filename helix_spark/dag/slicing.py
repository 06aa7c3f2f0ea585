"""Slicing: what no output needs is dropped."""

from __future__ import annotations

from dataclasses import replace

from helix_spark.dag.node import Dag


def slice_to_outputs(dag: Dag) -> Dag:
    """The same graph without the nodes that no output needs; their names are in `dropped`."""
    needed = set(dag.outputs)
    for node in reversed(dag.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return replace(
        dag,
        nodes=tuple(node for node in dag.nodes if node.name in needed),
        dropped=dag.dropped + tuple(node.name for node in dag.nodes if node.name not in needed),
    )
