"""Units of work: which nodes of a plan run together, in which order, and which tables are pinned for the run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from helix_spark.costs.model import EstimateSource, in_python_workers
from helix_spark.dag.node import Dag, Node
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.workflow.operators import (
    COLLECTED,
    FitCategories,
    FitQuantiles,
    FitStage,
    Form,
    Function,
    Kind,
    Result,
    split_of_fit,
)


def is_lazy(node: Node) -> bool:
    """Return whether computing a node only extends a Spark plan: no fit, no value, no collected rows."""
    operator = node.operator
    if node.result not in (Result.TABLE, Result.COLUMN):
        return False
    if isinstance(operator, Function):
        return operator.returns in (Form.SPARK, Form.COLUMN) and COLLECTED.isdisjoint(operator.forms)
    return node.kind is not Kind.REDUCER


@dataclass(frozen=True, slots=True)
class Unit:
    """Nodes that one step loads or computes: several only for fits that share one pass over the data. It is `forced` if
    it runs a job, or the author's code over collected rows; else it only extends a plan."""

    names: tuple[str, ...]
    state: State
    forced: bool
    needs: frozenset[str]


def units(dag: Dag, plan: Plan, finished: Collection[str] = ()) -> tuple[Unit, ...]:
    """Return the units of a plan, without the `finished` nodes; inputs before their readers."""
    by_key: dict[object, Unit] = {}
    for node in dag.nodes:
        state = plan[node.name].state if node.name not in finished else State.PRUNE
        if state is State.LOAD:
            by_key[node.name] = Unit((node.name,), state, node.result is Result.MODEL, frozenset())
        elif state is State.COMPUTE:
            # One pass does several of these fits, if they are of one table and the same rows.
            column = node.operator.column if isinstance(node.operator, FitCategories | FitQuantiles) else None
            batched = isinstance(column, str)
            key: object = (node.inputs[0], type(node.operator), split_of_fit(node.operator)) if batched else node.name
            batch = by_key[key].names if key in by_key else ()
            by_key[key] = Unit((*batch, node.name), state, batched or not is_lazy(node), frozenset(node.inputs))
    return tuple(by_key.values())


def pins(dag: Dag, plan: Plan, work: tuple[Unit, ...]) -> frozenset[str]:
    """Return the tables to persist: those that jobs of this run scan more than once, its writes and outputs included,
    and those of unknown cost. A lazy table that is not pinned passes its readers' scans on to the tables it reads."""
    unit_of = {name: unit for unit in work for name in unit.names}
    scans: dict[str, int] = {}
    pinned: set[str] = set()
    for node in reversed(dag.nodes):
        if node.name not in unit_of:
            continue
        own, scans[node.name] = plan[node.name], _scans(node, dag, plan, unit_of, scans, pinned)
        # The seconds that Python workers take for a table are unknown the first time. A step of its own measures them,
        # and its rows are at hand when storing is decided.
        is_guessed = own.state is State.COMPUTE and own.origin == EstimateSource.KIND and not own.random
        least = 1 if is_guessed and is_lazy(node) and in_python_workers(node) else 2
        collected = isinstance(node.operator, Function) and node.operator.returns in COLLECTED
        in_memory = own.held if own.state is State.LOAD else collected
        if node.result is Result.TABLE and scans[node.name] >= least and not in_memory:
            pinned.add(node.name)
    return frozenset(pinned)


def _scans(
    node: Node, dag: Dag, plan: Plan, unit_of: Mapping[str, Unit], scans: Mapping[str, int], pinned: set[str]
) -> int:
    own = plan[node.name]
    is_counted = own.output and own.state is State.COMPUTE  # the record of a loaded output has its rows
    # A reducer's table is small and recorded: its rows are counted, then read.
    own_scans = int(is_counted) + int(is_counted and node.kind is Kind.REDUCER)
    count = own_scans + int(own.keep and not own.stored) if node.result is Result.TABLE else 0
    seen: set[tuple[str, ...]] = set()
    collected = False
    for name in dag.readers(node.name):
        if (unit := unit_of.get(name)) is None or unit.state is not State.COMPUTE or unit.names in seen:
            continue
        seen.add(unit.names)
        reader = dag[name]
        if collects(reader, node.name):
            collected = True  # its rows are fetched once, for all functions that read them
        elif unit.forced:
            # An iterative learner reads its examples again and again.
            count += 2 if isinstance(reader.operator, FitStage) else 1
        else:
            count += 1 if name in pinned else scans[name]
    return count + int(collected and own.state is State.COMPUTE)


def collects(reader: Node, source: str) -> bool:
    """Return whether a node reads an input's rows only in this process."""
    operator = reader.operator
    if not isinstance(operator, Function):
        return False
    forms = {form for form, name in zip(operator.forms, reader.inputs, strict=True) if name == source}
    return forms <= COLLECTED
