"""Slicing: what no output needs is dropped."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx

from helix_spark.dag.node import Dag


def slice_to_outputs(dag: Dag) -> Dag:
    """The same graph without the nodes that no output needs; their names are in `dropped`."""
    needed = set(dag.outputs).union(*(nx.ancestors(dag.graph, name) for name in dag.outputs))
    return replace(
        dag,
        nodes=tuple(node for node in dag.nodes if node.name in needed),
        dropped=dag.dropped + tuple(node.name for node in dag.nodes if node.name not in needed),
    )
