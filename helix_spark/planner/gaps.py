"""Whether a table that was stored without some columns has all that the current version reads of it."""

from __future__ import annotations

from collections.abc import Mapping

from helix_spark.dag.columns_read import declared_reads, taken
from helix_spark.dag.node import Dag, Node
from helix_spark.planner.known_node import Gap, Stored
from helix_spark.visible_text import named

_SHOWN = 3


def gaps(dag: Dag, signatures: Mapping[str, str], stored: Mapping[str, Stored]) -> dict[str, Gap]:
    """By signature, the stored tables that lack a column which the current version reads, or may read.

    Args:
        signatures: by node name.
        stored: live artifacts by signature.
    """
    found: dict[str, Gap] = {}
    for node in dag.nodes:
        artifact = stored.get(signatures[node.name])
        if artifact is None or not artifact.left_out:
            continue
        if (why := _lack(node, artifact, dag)) is not None:
            found[artifact.signature] = Gap(artifact, why)
    return found


def whole_by_wish(node: Node, dag: Dag) -> bool:
    """Whether a table is wanted with all of its columns, whoever reads it: an output, or kept because its author says
    so."""
    return node.name in dag.outputs or node.wishes.insisted


def columns_text(columns: tuple[str, ...]) -> str:
    """Columns in a sentence.

    >>> columns_text(("a", "b", "c", "d", "e"))
    '`a`, `b`, `c` and 2 more'
    """
    return named(columns, _SHOWN)


def _lack(node: Node, artifact: Stored, dag: Dag) -> str | None:
    """Why a stored table is not enough, in words; None if it is."""
    if whole_by_wish(node, dag):
        return f"stored without {columns_text(artifact.left_out)}, and asked for as a whole"
    for name in dag.readers(node.name):
        if missing := taken(declared_reads(dag, name, node.name), artifact.left_out):
            return f"stored without {columns_text(missing)}, which `{name}` reads"
    return None
