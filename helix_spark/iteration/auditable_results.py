"""Which results an audit can verify, and what is left to be reused where what is unproven is not."""

from __future__ import annotations

from dataclasses import replace

from helix_spark.iteration.run import Run


def auditable_nodes(run: Run) -> list[str]:
    """Names of the nodes whose results are stored and would be the same if computed again, as far as is known."""
    return [
        one.name for one in run.situation.nodes
        if one.signature in run.view.artifacts and not one.signed.random and not one.node.wishes.fixed
    ]


def without_unverified(run: Run) -> Run:
    """What is left to be reused where what is unproven is not; that of which no audit can tell whether it comes out the
    same still is."""
    situation, excused, asked = run.situation, run.tools.auditor.excused, frozenset(auditable_nodes(run))
    doubtful = {
        one.signature: one.artifact for one in situation.nodes
        if one.artifact is not None and one.name in asked and not one.verified and one.signature not in excused
    }
    nodes = tuple(replace(one, artifact=None) if one.signature in doubtful else one for one in situation.nodes)
    held_back = sum(one.bytes for one in doubtful.values())
    return replace(run, situation=replace(situation, nodes=nodes, overhead=situation.overhead + held_back))
