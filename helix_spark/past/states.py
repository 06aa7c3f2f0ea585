"""What state each node of an ended iteration shows: what was planned for it, unless the iteration ended before that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from helix_spark.catalog.records import IterationRecord, NodeRecord


def shown_states(record: IterationRecord, nodes: Sequence[NodeRecord]) -> dict[str, str]:
    """By node: what was planned. Of an iteration that did not come to its end, what was wanted and did not run failed,
    where that is what the error is about, else it waits."""
    states = {node.name: node.state for node in nodes}
    if record.status not in ("failed", "interrupted"):
        return states
    unrun = [node.name for node in nodes if node.state != "prune" and node.seconds is None]
    failed = blamed(record.error, unrun)
    return states | {name: "failed" if name == failed else "waiting" for name in unrun}


def blamed(error: str, names: Iterable[str]) -> str:
    """The name that an error quotes first, and of two that begin at one place the longer; empty if it quotes none. What
    it quotes later is what the failed node reads, or what there is instead.

    >>> blamed("learner 'model' failed: `rows` has no column 'x'", ["rows", "model"])
    'model'
    """
    quoted = ((error.find(f"{mark}{name}{mark}"), -len(name), name) for name in names for mark in "`'")
    return min((found for found in quoted if found[0] >= 0), default=(0, 0, ""))[2]
