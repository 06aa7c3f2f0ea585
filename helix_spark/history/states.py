"""What is known of the nodes of an iteration: the state that each shows, and whether its result comes out the same when
it is computed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from helix_spark.catalog.records import IterationRecord, NodeRecord

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader
    from helix_spark.catalog.records import Proof


def shown_states(record: IterationRecord, nodes: Sequence[NodeRecord]) -> dict[str, str]:
    """Return the state of each node: as planned. Of an iteration that did not end, what was wanted and did not run has
    failed, where the error names it, else it waits."""
    states = {node.name: node.state for node in nodes}
    if record.status not in ("failed", "interrupted"):
        return states
    unrun = [node.name for node in nodes if node.state != "prune" and node.seconds is None]
    failed = blamed(record.error, unrun)
    return states | {name: "failed" if name == failed else "waiting" for name in unrun}


def blamed(error: str, names: Iterable[str]) -> str:
    """Return the name that an error quotes first, and of two that begin at one place the longer; empty if it quotes
    none. What it quotes later is what the failed node reads, or what there is instead.

    >>> blamed("learner 'model' failed: `rows` has no column 'x'", ["rows", "model"])
    'model'
    """
    quoted = ((error.find(f"{mark}{name}{mark}"), -len(name), name) for name in names for mark in "`'")
    return min((found for found in quoted if found[0] >= 0), default=(0, 0, ""))[2]


def proofs_of(nodes: Iterable[NodeRecord], known: CatalogReader) -> dict[str, Proof]:
    """Return what is known by now of the results that nodes had, by name."""
    signatures = {node.name: node.signature for node in nodes}
    # A run that goes on has no signatures on record yet.
    wanted = set(filter(None, signatures.values()))
    measured = known.results((), wanted).measured if wanted else {}
    return {name: measured[one].proof if one in measured else "unproven" for name, one in signatures.items()}
