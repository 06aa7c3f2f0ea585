"""Which results an audit can verify, and what is left to be reused where what is unproven is not."""

from __future__ import annotations

from dataclasses import replace

from helix_spark.iteration.run import Run


def auditable(run: Run) -> list[str]:
    """Names of the nodes whose results are stored and would be the same if computed again, as far as is known."""
    return [
        node.name for node in run.dag.nodes
        if (own := run.signed[node.name]).signature in run.view.artifacts
        and not own.random and not node.wishes.fixed
    ]


def reusing_proven(run: Run) -> Run:
    """What is left to be reused where what is unproven is not; that of which no audit can tell whether it comes out the
    same still is."""
    situation, excused = run.situation, run.tools.auditor.excused
    doubtful = {run.signed[name].signature for name in auditable(run)}.difference(situation.verified, excused)
    stored = {signature: one for signature, one in situation.stored.items() if signature not in doubtful}
    held_back = sum(one.bytes for signature, one in situation.stored.items() if signature in doubtful)
    return replace(run, situation=replace(situation, stored=stored, overhead=situation.overhead + held_back))
