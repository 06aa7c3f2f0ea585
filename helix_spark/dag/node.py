"""The frozen graph of nodes, and queries about it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Protocol

from helix_spark.errors import WorkflowError, nearest
from helix_spark.workflow.declaration import Node as Node
from helix_spark.workflow.operators import COLLECTED, Form, Function, Read, Result
from helix_spark.workflow.sources import MemorySource


@dataclass(frozen=True)
class Dag:
    """A frozen acyclic graph of nodes in topological order.

    Attributes:
        nodes: nodes, inputs first, and otherwise in order of declaration.
        dropped: names of declared nodes that no output needs.
        parameters: the workflow's parameters, to be shown.
    """

    workflow: str
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """Nodes by name, and by the names of nodes that were merged into them."""
        index = {alias: node for node in self.nodes for alias in node.aliases}
        return MappingProxyType(index | {node.name: node for node in self.nodes})

    @cached_property
    def _readers(self) -> Mapping[str, tuple[str, ...]]:
        readers = dict[str, dict[str, None]]()
        for node in self.nodes:
            for source in node.inputs:
                readers.setdefault(source, {})[node.name] = None
        return {source: tuple(names) for source, names in readers.items()}

    @cached_property
    def ancestors(self) -> Mapping[str, frozenset[str]]:
        """The names of everything upstream of each node, without itself."""
        return ancestors_of(self.nodes)

    def __getitem__(self, name: str) -> Node:
        if name not in self.by_name:
            raise WorkflowError(f"no node is named {name!r}", remedy=nearest(name, self.by_name))
        return self.by_name[name]

    def readers(self, name: str) -> tuple[str, ...]:
        return self._readers.get(name, ())

    def descendants(self, names: Iterable[str]) -> frozenset[str]:
        """Return the names of everything downstream of these nodes, without themselves."""
        starts = set(names)
        below = (node.name for node in self.nodes if not starts.isdisjoint(self.ancestors[node.name]))
        return frozenset(below) - starts

    def upstream_within(self, names: Iterable[str], within: Collection[str]) -> frozenset[str]:
        """Return the nodes of `within` that are reached upstream from these nodes through `within` alone."""
        upstream: set[str] = set()
        waiting = [source for name in names for source in self[name].inputs]
        while waiting:
            name = waiting.pop()
            if name in within and name not in upstream:
                upstream.add(name)
                waiting.extend(self[name].inputs)
        return frozenset(upstream)


def computes_with_spark(node: Node, dag: Dag) -> bool:
    """Return whether computing a node from its inputs' results needs a session."""
    operator = node.operator
    if isinstance(operator, Read):
        return not isinstance(operator.source, MemorySource)
    if not isinstance(operator, Function):
        return True
    plain = {*COLLECTED, Form.VALUE}
    reads_values = all(
        form in plain or (form is Form.ANY and dag[name].result is Result.VALUE)
        for form, name in zip(operator.forms, node.inputs, strict=True)
    )
    return not (reads_values and operator.returns in plain)


class ReadsNodes(Protocol):
    """A node of a workflow, a record or a plain program."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...


def ancestors_of(nodes: Iterable[ReadsNodes]) -> dict[str, frozenset[str]]:
    """Return the ancestors of each node by name; `nodes` has inputs first."""
    ancestors: dict[str, frozenset[str]] = {}
    for node in nodes:
        ancestors[node.name] = frozenset(node.inputs).union(*(ancestors[name] for name in node.inputs))
    return ancestors


def slice_to_outputs(dag: Dag) -> Dag:
    """Return the graph without the nodes that no output needs; their names are in `dropped`."""
    needed = set(dag.outputs)
    for node in reversed(dag.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return replace(
        dag,
        nodes=tuple(node for node in dag.nodes if node.name in needed),
        dropped=dag.dropped + tuple(node.name for node in dag.nodes if node.name not in needed),
    )


def column_name(node: str) -> str:
    """Return the name of a node's column in its table: distinct from the table's own columns, and valid in Spark ML.

    >>> column_name("age")
    'helix_age'
    >>> column_name("a b") == column_name("a_b")
    False
    """
    folded = re.sub(r"\W", "_", node)
    unique = "" if folded == node else "_" + sha256(node.encode()).hexdigest()[:6]
    return f"helix_{folded}{unique}"
