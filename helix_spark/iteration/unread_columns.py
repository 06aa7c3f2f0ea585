"""The columns, of a table that is about to be stored, that nothing reads."""

from __future__ import annotations

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.engine.results.narrowing import may_be_narrow, narrowed
from helix_spark.engine.results.results import TableResult
from helix_spark.iteration.run import Run


def candidates(run: Run) -> tuple[str, ...]:
    """Names of the tables that a run had as DataFrames, and that may be stored without some of their columns."""
    return tuple(
        node.name for node in run.dag.nodes
        if isinstance(result := run.outcome.results.get(node.name), TableResult)
        and not result.collected and not result.left_out and may_be_narrow(node, run.dag)
    )


def unread_columns(name: str, before: ArtifactRecord | None, run: Run) -> tuple[str, ...]:
    """What to leave out of a candidate.

    Args:
        before: the stored result that this one is to replace.
    """
    result, own = run.outcome.results[name], run.situation[name].signature
    assert isinstance(result, TableResult)
    if (before is not None and not before.left_out) or _was_damaged(own, run.tools.catalog):
        return ()
    lacked = None if before is None else before.left_out
    return narrowed(run.dag[name], result.frame().schema, run.dag, lacked)


def _was_damaged(signature: str, catalog: Catalog) -> bool:
    """Whether the last stored result could not be read: if that was for want of a column, it would be so again."""
    last = catalog.last_event(signature)
    return last is not None and last.event == "quarantined"
