"""Whether a table that was stored without some columns has all that the current version reads of it."""

from __future__ import annotations

from collections.abc import Mapping

from helix_spark.dag.node import Dag, Node
from helix_spark.dag.reading import known_reads, taken
from helix_spark.planner.known_node import Gap, Stored
from helix_spark.visible_text import named

PlanReads = Mapping[str, Mapping[str, frozenset[str]]]
"""What the plans of functions told: the function's signature -> its input's signature -> the columns it reads."""

_SHOWN = 3


def gaps(
    dag: Dag, signatures: Mapping[str, str], stored: Mapping[str, Stored], reads: PlanReads
) -> dict[str, Gap]:
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
        gap = _gap(node, artifact, dag, signatures, reads)
        if gap is not None:
            found[artifact.signature] = gap
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


def _gap(
    node: Node, artifact: Stored, dag: Dag, signatures: Mapping[str, str], reads: PlanReads
) -> Gap | None:
    without = f"stored without {columns_text(artifact.left_out)}"
    if whole_by_wish(node, dag):
        return Gap(artifact, (), f"{without}, and asked for as a whole", closable=False)
    unknown: list[str] = []
    for name in dag.readers(node.name):
        known = known_reads(dag, name, node.name, reads.get(signatures[name], {}).get(artifact.signature))
        if known is None:
            unknown.append(name)
        elif missing := taken(known, artifact.left_out):
            return Gap(artifact, (), f"stored without {columns_text(missing)}, which `{name}` reads", closable=False)
    if not unknown:
        return None
    return Gap(artifact, tuple(unknown), f"{without}; what `{unknown[0]}` reads is not known", closable=True)
