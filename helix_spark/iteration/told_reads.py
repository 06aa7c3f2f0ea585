"""Asks which columns captured functions read of which that is not on record: see `column_reads`. Before a run, and
right behind its answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from helix_spark.dag.reading import declared_reads
from helix_spark.engine.lowering.stubs import Stubs, schema_from_json
from helix_spark.engine.results.results import TableResult
from helix_spark.iteration.deciding import plan_again
from helix_spark.iteration.run import Run
from helix_spark.planner.problem import State

if TYPE_CHECKING:
    from pyspark.sql.types import StructType


def ask_what_is_read(run: Run) -> Run:
    """Asks functions what they read, as far as their plans tell, and has it planned again if they said anything: if
    that is no more than what is stored, tables that are to be computed can be loaded."""
    readers = _unknown_readers(run)
    if not readers:
        return run
    stubs = _stubs(run, _known_schemas(run))
    found = {
        run.situation[name].signature: by_signature(run, reads)
        for name in readers if (reads := stubs.reads(run.dag[name])) is not None
    }
    return plan_again(replace(run, reads=found)) if found else run


def _unknown_readers(run: Run) -> tuple[str, ...]:
    """Functions of which it is not known what they read of tables that lack columns and are to be computed."""
    found: dict[str, None] = {}
    for node in run.situation.nodes:
        if node.gap is not None and node.gap.closable and run.plan[node.name].state is State.COMPUTE:
            found.update(dict.fromkeys(node.gap.unknown))
    return tuple(found)


def by_signature(run: Run, reads: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """What a function reads by its inputs' signatures, in place of their names."""
    found: dict[str, frozenset[str]] = {}
    for name, columns in reads.items():
        signature = run.situation[name].signature
        found[signature] = found.get(signature, frozenset()) | columns
    return found


def reads_after(run: Run, tables: Collection[str]) -> dict[str, dict[str, frozenset[str]]]:
    """What functions read of these tables, where that is not on record: by function's signature, then its input's."""
    asked: dict[str, None] = {}
    for table in tables:
        for name in run.dag.readers(table):
            known = run.told.get(run.situation[name].signature, {})
            unknown = run.situation[table].signature not in known
            if unknown and declared_reads(run.dag, name, table).by_plan:
                asked[name] = None
    if not asked:
        return {}
    made = {
        run.situation[name].signature: result.frame().schema
        for name, result in run.outcome.results.items() if isinstance(result, TableResult) and result.framed
    }
    stubs = _stubs(run, _known_schemas(run) | made)
    return {
        run.situation[name].signature: by_signature(run, reads)
        for name in asked if (reads := stubs.reads(run.dag[name])) is not None
    }


def _stubs(run: Run, schemas: Mapping[str, StructType]) -> Stubs:
    signatures = {node.name: run.situation[node.name].signature for node in run.dag.nodes}
    return Stubs(run.tools.sessions.get(), run.dag, signatures, schemas)


def _known_schemas(run: Run) -> dict[str, StructType]:
    """Schemas by signature, of what is stored and held."""
    stored = {
        signature: schema_from_json(record.schema)
        for node in run.dag.nodes
        if (record := run.view.artifacts.get(signature := run.situation[node.name].signature)) is not None
        and record.schema is not None
    }
    held = {
        signature: result.frame().schema
        for node in run.dag.nodes
        if isinstance(result := run.tools.memory.get(signature := run.situation[node.name].signature), TableResult)
        and result.framed
    }
    return stored | held
