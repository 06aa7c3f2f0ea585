"""Finds, behind the answer, the columns of a table that nothing reads: asks the plans, and what became of it before."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.engine.narrowing import Narrow, may_be_narrow, narrowed
from helix_spark.engine.preparation import Prepared
from helix_spark.engine.results import NodeResult, TableResult
from helix_spark.engine.second_chance import stubs_after
from helix_spark.engine.storing import first_line, spark_errors
from helix_spark.engine.tools import Tools
from helix_spark.planner.plan import Plan


def unread_columns(
    name: str, before: ArtifactRecord | None, prepared: Prepared, plan: Plan, results: Mapping[str, NodeResult],
    spoiled: Collection[str], tools: Tools,
) -> Narrow:
    """What to leave out of a result that is about to be stored. Says so where Spark could not tell; then it is nothing.

    Args:
        before: the stored result that this one is to replace.
        spoiled: names of the results that may differ each time.
    """
    node, result = prepared.dag[name], results[name]
    if not isinstance(result, TableResult) or result.collected or (before is not None and not before.left_out):
        return Narrow()
    random = {one.name for one in plan.nodes if one.random}.union(spoiled)
    if not may_be_narrow(node, prepared.dag, random) or _was_damaged(plan[name].signature, tools.catalog):
        return Narrow()
    try:
        stubs = stubs_after(prepared, results, tools.sessions, tools.memory)
        lacked = None if before is None else before.left_out
        return narrowed(node, result.frame().schema, prepared.dag, stubs.reads, lacked)
    except spark_errors() as error:
        why = first_line(error)
        tools.observer.warning(f"who reads what of {name!r} could not be told, so all of it is stored: {why}")
        return Narrow()


def _was_damaged(signature: str, catalog: Catalog) -> bool:
    """Whether the last stored result could not be read: if that was for want of a column, it would be so again."""
    last = catalog.last_event(signature)
    return last is not None and last.event == "quarantined"
