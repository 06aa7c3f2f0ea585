"""Asks which columns captured functions read of which that is not on record: see `column_reads`. Before a run, and
right behind its answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from helix_spark.dag.reading import declared_reads
from helix_spark.engine.lowering.stubs import Stubs, schema_from_json
from helix_spark.engine.results.memory import MemoryTier
from helix_spark.engine.results.results import NodeResult, TableResult
from helix_spark.engine.spark.session import Sessions
from helix_spark.iteration.preparation import Prepared
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.planner.serving import PlanReads

if TYPE_CHECKING:
    from pyspark.sql.types import StructType


def unknown_readers(prepared: Prepared, plan: Plan) -> tuple[str, ...]:
    """Functions of which it is to be found out what they read: if that is no more than what is stored, tables that are
    to be computed could be loaded."""
    found: dict[str, None] = {}
    for node in plan.nodes:
        gap = prepared.situation.unserved.get(node.signature)
        if gap is not None and gap.closable and node.state is State.COMPUTE:
            found.update(dict.fromkeys(gap.unknown))
    return tuple(found)


def with_reads(
    prepared: Prepared, readers: Iterable[str], sessions: Sessions, memory: MemoryTier,
    again: Callable[[PlanReads], Prepared],
) -> Prepared:
    """The workflow with what these functions read, as far as their plans tell.

    Args:
        again: looks the workflow up once more, with what was found.
    """
    stubs = _stubs(prepared, sessions, _known_schemas(prepared, memory))
    found = {
        prepared.signed[name].signature: by_signature(prepared, reads)
        for name in readers if (reads := stubs.reads(prepared.dag[name])) is not None
    }
    return again(found) if found else prepared


def by_signature(prepared: Prepared, reads: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """What a function reads by its inputs' signatures, in place of their names."""
    found: dict[str, frozenset[str]] = {}
    for name, columns in reads.items():
        signature = prepared.signed[name].signature
        found[signature] = found.get(signature, frozenset()) | columns
    return found


def reads_after(
    prepared: Prepared, tables: Collection[str], results: Mapping[str, NodeResult], sessions: Sessions,
    memory: MemoryTier,
) -> dict[str, dict[str, frozenset[str]]]:
    """What functions read of these tables, where that is not on record: by function's signature, then its input's."""
    asked: dict[str, None] = {}
    for table in tables:
        for name in prepared.dag.readers(table):
            known = prepared.told.get(prepared.signed[name].signature, {})
            unknown = prepared.signed[table].signature not in known
            if unknown and declared_reads(prepared.dag, name, table).by_plan:
                asked[name] = None
    if not asked:
        return {}
    made = {
        prepared.signed[name].signature: result.frame().schema
        for name, result in results.items() if isinstance(result, TableResult) and result.framed
    }
    stubs = _stubs(prepared, sessions, _known_schemas(prepared, memory) | made)
    return {
        prepared.signed[name].signature: by_signature(prepared, reads)
        for name in asked if (reads := stubs.reads(prepared.dag[name])) is not None
    }


def _stubs(prepared: Prepared, sessions: Sessions, schemas: Mapping[str, StructType]) -> Stubs:
    signatures = {node.name: prepared.signed[node.name].signature for node in prepared.dag.nodes}
    return Stubs(sessions.get(), prepared.dag, signatures, schemas)


def _known_schemas(prepared: Prepared, memory: MemoryTier) -> dict[str, StructType]:
    """Schemas by signature, of what is stored and held."""
    stored = {
        signature: schema_from_json(record.schema)
        for node in prepared.dag.nodes
        if (record := prepared.view.artifacts.get(signature := prepared.signed[node.name].signature)) is not None
        and record.schema is not None
    }
    held = {
        signature: result.frame().schema
        for node in prepared.dag.nodes
        if isinstance(result := memory.get(signature := prepared.signed[node.name].signature), TableResult)
        and result.framed
    }
    return stored | held
