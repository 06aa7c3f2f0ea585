"""What is known of whether results come out the same when they are computed again: unproven, verified, or chance."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Protocol

from helix_spark.catalog.records import NodeRecord

if TYPE_CHECKING:
    from helix_spark.catalog.results import KnownResults
    from helix_spark.planner.plan import Proof


class Known(Protocol):
    """Tells what is on record of results."""

    def results(self, declared: Collection[str], signatures: Collection[str] = ()) -> KnownResults: ...


def proofs_of(nodes: Iterable[NodeRecord], known: Known) -> dict[str, Proof]:
    """By name, what is known by now of the results that nodes had."""
    signatures = {node.name: node.signature for node in nodes}
    asked = {signature for signature in signatures.values() if signature}  # a run that goes on has none on record yet
    measured = known.results((), asked).measured if asked else {}
    return {
        name: measured[signature].proof if signature in measured else "unproven"
        for name, signature in signatures.items()
    }
