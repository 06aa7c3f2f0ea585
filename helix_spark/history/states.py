"""What is known of the nodes of an iteration: the state that each shows, and whether its result comes out the same when
it is computed again; and what reuse saved of it.
"""

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
"""Seconds for which a verification counts as a late one."""


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


def saved_seconds(record: IterationRecord) -> float | None:
    """Return seconds of computing that reuse saved: what running all was expected to take, less what the plan was; None
    of what did not come to its end."""
    plan = mapping(record.plan)
    everything, planned = number(plan.get("run_all_seconds")), number(plan.get("predicted_seconds"))
    return None if record.status != "done" or everything is None else max(0.0, everything - (planned or 0.0))


def unproven_in(nodes: Sequence[NodeRecord], known: CatalogReader) -> dict[str, str]:
    """Return signatures, by name, of the unproven results that an iteration with these nodes reused."""
    loaded = [node for node in nodes if node.state == "load" and not node.pure]
    proofs = proofs_of(loaded, known)
    return {node.name: node.signature for node in loaded if proofs[node.name] == "unproven"}


def noted_unproven(record: IterationRecord) -> dict[str, str]:
    """Return what `unproven_in` gave when an iteration ended."""
    found: dict[str, str] = mapping(record.plan).get("unproven", {})
    return found


def still_unproven(records: Sequence[IterationRecord], known: CatalogReader) -> dict[str, int]:
    """Return how many results that iterations reused were unproven then, and are so still, by the iterations' ids."""
    noted = {one.run: noted_unproven(one).values() for one in records}
    signatures = {one for each in noted.values() for one in each}
    measured = known.results((), signatures).measured if signatures else {}
    return {run: sum(one not in measured or proof_of(measured[one]) == "unproven" for one in each)
            for run, each in noted.items()}


def proofs_of(nodes: Sequence[NodeRecord], known: CatalogReader, here: str | None = None) -> dict[str, Proof]:
    """Return what is known by now of the results that nodes had, by name; where circumstances are given, also whether
    that has aged (`run.auditor.circumstances`)."""
    signatures = {node.name: node.signature for node in nodes}
    # A run that goes on has no signatures on record yet.
    wanted = set(filter(None, signatures.values()))
    measured = known.results((), wanted).measured if wanted else {}
    now, found = time.time(), {}
    for node in nodes:
        record = measured.get(node.signature)
        proof = proof_of(record, here, now)
        found[node.name] = "pure" if node.pure and proof in ("unproven", "aged") else proof
    return found


def proof_of(record: ResultRecord | None, here: str | None = None, now: float = 0.0) -> Proof:
    """Return what a record tells of whether its result comes out the same when it is computed again. What was verified
    more than a day before `now`, or in other circumstances than `here`, where these are given, has aged.

    >>> proof_of(ResultRecord("", "", "w", "n", "scanner", 1, verified=True)), proof_of(None)
    ('verified', 'unproven')
    """
    if record is None or record.random or record.choice:
        return "unproven" if record is None else "chance" if record.random else "instance"
    if record.verified:
        is_late = abs(now - (record.verified_at or 0.0)) > DAY or record.verified_in != here
        return "aged" if here is not None and is_late else "verified"
    return "pure" if record.pure else "unproven"
