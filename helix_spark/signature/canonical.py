"""The canonical form of one value, whatever it holds: plain data, objects, code."""

from __future__ import annotations

from helix_spark.errors import Location
from helix_spark.signature.edges import edge_to, home_of
from helix_spark.signature.encoder import canonical
from helix_spark.signature.leaves import shown
from helix_spark.signature.parts import Group, Part, digest, encode
from helix_spark.signature.reach import reach

__all__ = ["canonical", "shown", "value_part"]


def value_part(group: Group, label: str, value: object, *, node: str, where: Location | None = None) -> Part:
    """One part for a value, whatever it reaches: a parameter of an operator.

    Args:
        group: what kind of thing the value is to the node.
        label: what it is called there.
        value, node, where: as in `trace`.

    Raises:
        SignatureError: it cannot be identified.

    >>> value_part(Group.PARAMETER, "regParam", 0.1, node="model").shown
    '0.1'
    """
    root = edge_to(value, label, role="parameter")
    reached = reach([root], node=node, where=where, home=home_of(value))
    identity = digest(*(encode(part.group, part.digest) for part in reached.parts))
    return Part(group, label, identity, shown(value))
