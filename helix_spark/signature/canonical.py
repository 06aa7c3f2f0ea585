"""The canonical form of one value, whatever it holds: plain data, objects, code."""

from __future__ import annotations

from helix_spark.errors import Location
from helix_spark.signature.objects.edges import edge_to, home_of
from helix_spark.signature.objects.encoder import canonical
from helix_spark.signature.objects.leaves import shown
from helix_spark.signature.parts import Group, Part
from helix_spark.signature.reach import CodeTrace, reach

__all__ = ["canonical", "shown", "value_part", "value_trace"]


def value_part(group: Group, label: str, value: object, *, node: str, where: Location | None = None) -> Part:
    """One part for a value, whatever it reaches. Arguments and errors as for `value_trace`.

    >>> value_part(Group.PARAMETER, "regParam", 0.1, node="model").shown
    '0.1'
    """
    return value_trace(group, label, value, node=node, where=where)[0]


def value_trace(
    group: Group, label: str, value: object, *, node: str, where: Location | None = None,
    stages: dict[str, int] | None = None,
) -> tuple[Part, CodeTrace]:
    """One part for a value, whatever it reaches, and what was noticed on the way: a parameter of an operator.

    Args:
        group: what kind of thing the value is to the node.
        label: what it is called there.
        value, node, where, stages: as in `trace`.

    Raises:
        SignatureError: it cannot be identified.
    """
    root = edge_to(value, label, role="parameter")
    trace = reach([root], node=node, where=where, home=home_of(value), stages=stages).trace
    return Part(group, label, trace.digest, shown(value)), trace
