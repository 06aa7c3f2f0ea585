"""Records that do not fit, as they are shown: which iteration or node it is, and what is wrong. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from helix_spark.catalog.journal.rows import Misfit
from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.signature.parts import digest


class _Reads(Protocol):
    """A node of a graph, as frozen data."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...


_Node = TypeVar("_Node", bound=_Reads)


def damaged_iteration(misfit: Misfit) -> IterationRecord | None:
    """The iteration of a record that does not fit, as far as it does; None where it is not known which it is."""
    kept = dict(misfit.fields)
    if not {"run", "workflow", "number"} <= kept.keys():
        return None
    return IterationRecord(**{"started": 0.0, **kept, "status": "damaged", "error": f"its record is damaged: {misfit}"})


def damaged_node(misfit: Misfit) -> NodeRecord | None:
    """The node of a record that does not fit, as far as it does; None where it is not known which it is."""
    kept = dict(misfit.fields)
    if not {"run", "workflow", "iteration", "name"} <= kept.keys():
        return None
    nobody = digest("damaged", kept["run"], kept["name"])
    return NodeRecord(**{
        "kind": "", "inputs": (), "declared": nobody, "signature": nobody, "parts": "[]", **kept, "state": "damaged",
        "reason": f"its record is damaged: {misfit}",
    })


def in_order(nodes: Sequence[_Node]) -> Iterator[_Node]:
    """The nodes of a graph, which come inputs first; none reads itself or a later one, or it would have no end.

    >>> from helix_spark.catalog.view import PastNode
    >>> one, other = PastNode("a", "", ("b", "x"), "", False), PastNode("b", "", ("a",), "", False)
    >>> [node.inputs for node in in_order([one, other])]
    [('x',), ('a',)]
    """
    later = {node.name for node in nodes}
    for node in nodes:
        if not later.isdisjoint(node.inputs):
            data: Any = node
            yield replace(data, inputs=tuple(name for name in node.inputs if name not in later))
        else:
            yield node
        later.discard(node.name)
