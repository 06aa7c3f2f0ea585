"""The states that an iteration's nodes show, the proofs of their results, and the seconds that reuse saved."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import IterationRecord, NodeRecord, ResultRecord
from helix_spark.history.metrics import number

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader
    from helix_spark.catalog.records import Proof


DAY = 86_400.0
"""Seconds after which a verification has aged."""


def shown_states(record: IterationRecord, nodes: Sequence[NodeRecord]) -> dict[str, str]:
    """Return each node's state. In an iteration that did not end, the node in the error failed; the others wait."""
    states = {node.name: node.state for node in nodes}
    if record.status not in ("failed", "interrupted"):
        return states
    unrun = [node.name for node in nodes if node.state != "prune" and node.seconds is None]
    failed = blamed(record.error, unrun)
    return states | {name: "failed" if name == failed else "waiting" for name in unrun}


def blamed(error: str, names: Iterable[str]) -> str:
    """Return the name that an error quotes first, the longer of two at one position; empty if it quotes none. Later
    quotes are inputs of the failed node, or alternatives.

    >>> blamed("learner 'model' failed: `rows` has no column 'x'", ["rows", "model"])
    'model'
    """
    quoted = ((error.find(f"{mark}{name}{mark}"), -len(name), name) for name in names for mark in "`'")
    return min((quote for quote in quoted if quote[0] >= 0), default=(0, 0, ""))[2]


def saved_seconds(record: IterationRecord) -> float | None:
    """Return seconds that reuse saved, as predicted for all nodes, less the plan's; None if the iteration failed."""
    plan = mapping(record.plan)
    everything, planned = number(plan.get("run_all_seconds")), number(plan.get("predicted_seconds"))
    return None if record.status != "done" or everything is None else max(0.0, everything - (planned or 0.0))


def unproven_in(nodes: Sequence[NodeRecord], known: CatalogReader) -> dict[str, str]:
    """Return the signatures of the unproven results that an iteration with these nodes reused, by name."""
    loaded = [node for node in nodes if node.state == "load" and not node.pure]
    proofs = proofs_of(loaded, known)
    return {node.name: node.signature for node in loaded if proofs[node.name] == "unproven"}


def noted_unproven(record: IterationRecord) -> dict[str, str]:
    """Return the result of `unproven_in` that was recorded when an iteration ended."""
    unproven: dict[str, str] = mapping(record.plan).get("unproven", {})
    return unproven


def still_unproven(records: Sequence[IterationRecord], known: CatalogReader) -> dict[str, int]:
    """Count the reused results of each iteration that were unproven then and still are, by the iteration's id."""
    unproven = {record.run: noted_unproven(record).values() for record in records}
    signatures = {signature for reused in unproven.values() for signature in reused}
    measured = known.results((), signatures).measured if signatures else {}
    return {
        run: sum(proof_of(measured.get(signature)) == "unproven" for signature in reused)
        for run, reused in unproven.items()
    }


def proofs_of(nodes: Sequence[NodeRecord], known: CatalogReader, here: str | None = None) -> dict[str, Proof]:
    """Return the present proofs of nodes' results. With the circumstances `here`, a verification may have aged."""
    recorded = {node.signature for node in nodes if node.signature}  # a run in progress has recorded no signatures
    measured = known.results((), recorded).measured if recorded else {}
    now = time.time()
    proofs: dict[str, Proof] = {}
    for node in nodes:
        record = measured.get(node.signature)
        proof = proof_of(record, here, now)
        proofs[node.name] = "pure" if node.pure and proof in ("unproven", "aged") else proof
    return proofs


def proof_of(record: ResultRecord | None, here: str | None = None, now: float = 0.0) -> Proof:
    """Return the proof that a recorded result is the same if computed again. With the circumstances `here`, a
    verification more than a day before `now`, or in other circumstances, has aged.

    >>> proof_of(ResultRecord("", "", "w", "n", "scanner", 1, verified=True)), proof_of(None)
    ('verified', 'unproven')
    """
    if record is None or record.random or record.choice:
        return "unproven" if record is None else "chance" if record.random else "instance"
    if record.verified:
        is_late = abs(now - (record.verified_at or 0.0)) > DAY or record.verified_in != here
        return "aged" if here is not None and is_late else "verified"
    return "pure" if record.pure else "unproven"
