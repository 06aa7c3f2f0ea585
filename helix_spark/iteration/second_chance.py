"""Gives changed functions their second chance, before a run: see `equivalence`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from helix_spark.catalog.catalog import Catalog
from helix_spark.engine.lowering.calls import is_lazy
from helix_spark.engine.lowering.equivalence import Stubs, parts_beside_plan, schema_from_json
from helix_spark.engine.results.memory import MemoryTier
from helix_spark.engine.results.results import NodeResult, TableResult
from helix_spark.engine.spark.session import Sessions
from helix_spark.engine.spark.spark_errors import spark_errors
from helix_spark.iteration.preparation import Prepared
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.signature.difference import own_changes
from helix_spark.workflow.operators import Function

if TYPE_CHECKING:
    from pyspark.sql.types import StructType


def changed_functions(prepared: Prepared, plan: Plan) -> tuple[str, ...]:
    """Nodes that are to be computed although only their own code changed since the last iteration, and that a plan may
    tell of."""
    previous = prepared.situation.previous
    return tuple(
        node.name for node in prepared.dag.nodes
        if plan[node.name].state is State.COMPUTE and not plan[node.name].random and node.name in previous
        and isinstance(node.operator, Function) and is_lazy(node) and not prepared.effects(node.name)
        and own_changes(previous[node.name], prepared.signed[node.name].parts)
    )


def second_chance(
    prepared: Prepared, plan: Plan, catalog: Catalog, sessions: Sessions, memory: MemoryTier,
    again: Callable[[Mapping[str, str]], Prepared],
) -> Prepared:
    """The workflow with every function signed as the earlier one whose computation it equals.

    Args:
        again: looks the workflow up once more, with these equivalences (declared signature -> signature).
    """
    equivalent: dict[str, str] = {}
    for name in changed_functions(prepared, plan):
        node, own = prepared.dag[name], prepared.signed[name]
        try:
            lowered = stubs_before(prepared, sessions, memory).lowered(node, parts_beside_plan(own.parts))
        except spark_errors():  # a plan that cannot be told, say: the run itself will say what is wrong, if anything is
            lowered = None
        if lowered is None:
            continue
        known = catalog.results((), lowered=[lowered])
        # What differs each time and was fixed is no result for who does not fix it.
        same = [s for s in known.lowered.get(lowered, ()) if node.wishes.fixed or not known.measured[s].random]
        if same:
            there = [s for s in same if s in memory.held or s in prepared.view.artifacts]
            equivalent[own.declared] = (there or same)[0]
            prepared = again(equivalent)
    return prepared


def stubs_before(prepared: Prepared, sessions: Sessions, memory: MemoryTier) -> Stubs:
    """Stubs that know the schemas of what is stored and held."""
    return _stubs(prepared, sessions, _known_schemas(prepared, memory))


def stubs_after(
    prepared: Prepared, results: Mapping[str, NodeResult], sessions: Sessions, memory: MemoryTier
) -> Stubs:
    """Stubs that know the schemas of what a run had, too."""
    schemas = _known_schemas(prepared, memory) | {
        prepared.signed[name].signature: result.frame().schema
        for name, result in results.items() if isinstance(result, TableResult) and result.framed
    }
    return _stubs(prepared, sessions, schemas)


def lowered_digests(
    prepared: Prepared, plan: Plan, results: Mapping[str, NodeResult], sessions: Sessions, memory: MemoryTier
) -> dict[str, str]:
    """For the record: what each computed function was lowered to, by node name, where that is not on record."""
    if not sessions.started:
        return {}
    stubs = stubs_after(prepared, results, sessions, memory)
    found: dict[str, str] = {}
    for node in prepared.dag.nodes:
        if prepared.signed[node.name].signature in prepared.lowered:
            continue
        if plan[node.name].state is State.COMPUTE and node.name in results and not plan[node.name].random:
            lowered = stubs.lowered(node, parts_beside_plan(prepared.signed[node.name].parts))
            if lowered is not None:
                found[node.name] = lowered
    return found


def _stubs(prepared: Prepared, sessions: Sessions, schemas: Mapping[str, StructType]) -> Stubs:
    signatures = {node.name: prepared.signed[node.name].signature for node in prepared.dag.nodes}
    acting = [node.name for node in prepared.dag.nodes if prepared.effects(node.name)]
    return Stubs(sessions.get(), prepared.dag, signatures, schemas, acting)


def _known_schemas(prepared: Prepared, memory: MemoryTier) -> dict[str, StructType]:
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
