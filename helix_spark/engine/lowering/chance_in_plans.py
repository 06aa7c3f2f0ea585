"""Finds, in what was lowered, results that may differ each time, or that rest on what no signature covers: files and
tables that none of a function's inputs reads, and functions that the session knows by a name alone.

Identities see what the code calls; this is the second net, for what only plans tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Dag, Node
from helix_spark.engine.lowering.calls import is_lazy
from helix_spark.engine.lowering.columns import with_columns
from helix_spark.engine.results.node_results import ColumnResult, NodeResult, TableResult
from helix_spark.engine.spark.spark_errors import spark_errors
from helix_spark.errors import HelixError
from helix_spark.identity.node_description import Description
from helix_spark.identity.parts import Group
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.plans.captured_function import BuiltFunction
from helix_spark.plans.connect_session import relation_messages
from helix_spark.plans.plan_chance import chance_in, order_in
from helix_spark.plans.plan_messages import sort_of
from helix_spark.plans.plan_reads import functions_elsewhere, is_of_a_model, tables_elsewhere
from helix_spark.plans.sql_words import spark_functions
from helix_spark.workflow.operators import Assemble, Function

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Suspicion:
    """Looks for chance in lowered plans while Spark is at work, so that no answer waits for it.

    Args:
        pool: where it looks; it must not wait for anything that waits for an answer of ours.
        apart: whether to look first at what a node's plan adds to those of its inputs, which have their own nodes. Not
            where a result is fixed: what is made of it in the run that draws it has the draw in its own plan.
    """

    def __init__(self, pool: Executor, *, apart: bool = True) -> None:
        self._pool, self._apart = pool, apart
        self._looking: dict[str, Future[tuple[str | None, Collection[str]]]] = {}
        self._noted: dict[str, str] = {}

    def begin(self, node: Node, result: NodeResult, inputs: Sequence[NodeResult] = ()) -> None:
        """Look at a node that was lowered, and is not pinned yet: a pin's plan does not tell what it was made of."""
        if _is_the_authors(node):
            below = [one.frame() for one in inputs if isinstance(one, TableResult) and one.framed]
            frame = result.frame() if isinstance(result, TableResult) else None
            self._looking[node.name] = self._pool.submit(self._look, node, result, frame, below)

    def note(self, node: Node, why: str) -> None:
        """Note that a node's result is not what its signature says, and belongs to this run alone."""
        self._noted[node.name] = why

    def of(self, node: Node, result: NodeResult, reached: Callable[[], Collection[str]] = frozenset) -> str | None:
        """Return why a node's own result may differ each time, or from what its signature covers; None if nothing says
        so.

        Args:
            reached: names of the functions that the signatures of the node and of what it is made of cover.
        """
        if node.name in self._noted:
            return self._noted[node.name]
        looking = self._looking.get(node.name)
        if looking is None:
            return None
        why, calls = looking.result()
        return why or _unseen_call(calls, reached)

    def _look(
        self, node: Node, result: NodeResult, frame: DataFrame | None, below: Sequence[DataFrame]
    ) -> tuple[str | None, Collection[str]]:
        """Return why a result may differ each time, else the functions of the session that its plan calls."""
        if isinstance(result, ColumnResult):
            frame, with_needs = _added(result)
            below = [*below, *with_needs]
        if frame is None:
            return None, ()
        why = plan_randomness(frame, below if self._apart else ())
        # What a captured function reads and calls is in the plan that it is signed by.
        if why is not None or node.wishes.depends_on or isinstance(node.operator, BuiltFunction):
            return why, ()
        return _undeclared(frame, below)


def _undeclared(frame: DataFrame, inputs: Sequence[DataFrame]) -> tuple[str | None, Collection[str]]:
    """Return what a function's result reads beyond its inputs, in words, and the functions of the session it calls."""
    parts, given = relation_messages(frame), [part for one in inputs for part in relation_messages(one)]
    # What a function reads by a name or a statement is seen where it asks (`asked_of_spark`), which knows its views, as
    # is a model that it loads. One that it is given, fits or holds is part of its inputs or its code.
    own, theirs = (
        [one for one in some if sort_of(one) not in ("SQL", "Read.NamedTable") and not is_of_a_model(one)]
        for some in (parts, given)
    )
    for read in Counter(tables_elsewhere(own)) - Counter(tables_elsewhere(theirs)):
        return f"reads {read} by itself (make it a source of the workflow, or name it in depends_on=)", ()
    return None, Counter(functions_elsewhere(parts)) - Counter(functions_elsewhere(given))


def _unseen_call(calls: Iterable[str], reached: Callable[[], Collection[str]]) -> str | None:
    """Return what is wrong with calls of functions that the session knows, in words; None if signatures cover them."""
    known = {name.rpartition(".")[2].lower() for name in reached()} if calls else ()  # as SQL has it
    unseen = next((name for name in calls if name.lower() not in known), None)
    return f"calls {unseen}, registered with the session (name its function in depends_on=)" if unseen else None


def _added(column: ColumnResult) -> tuple[DataFrame | None, Sequence[DataFrame]]:
    """Return a column in its table, and what that is made of: the table with the columns that it needs. None where it
    cannot be added: nor can a table be made that has it, as the run itself will tell."""
    wrong: tuple[type[Exception], ...] = (HelixError, *spark_errors())
    try:
        below = with_columns(column.base.frame(), column.needs)
        return column.add(below, [column]), [below]
    except wrong:
        return None, ()


@dataclass(frozen=True, slots=True)
class Chance:
    """What a run found of chance in what it computed, with why, by node name.

    Attributes:
        found: nodes whose own result may differ each time; those that only inherit it are left out. The reason is empty
            where nothing can be told yet: what is made of a fixed draw has, in the run that draws it, the draw in its
            own plan.
        drawn: the same of nodes that their author fixed: their results stand, as draws.
    """

    found: Mapping[str, str]
    drawn: Mapping[str, str]


def found_random(
    dag: Dag, plan: Plan, results: Mapping[str, NodeResult], suspicion: Suspicion,
    described: Mapping[str, Description],
) -> Chance:
    """Return which results of a run are nondeterministic, and why."""
    def reached(name: str) -> set[str]:
        return {called for one in {name, *dag.ancestors(name)} for called in _covered(described[one])}

    registered = cache(partial(_registered, results))
    found: dict[str, str] = {}
    drawn: dict[str, str] = {}
    for node in dag.nodes:
        result = results.get(node.name)
        if result is None or plan[node.name].state is not State.COMPUTE or plan[node.name].random:
            continue
        why = suspicion.of(node, result, partial(reached, node.name))
        asks = why is None and not node.wishes.depends_on and _sees_spark(described[node.name])
        words = described[node.name].calls if asks else ()
        if words:  # no plan tells of what was called for a value
            called = [word for word in sorted(words) if word.lower() in registered()]
            why = _unseen_call(called, partial(reached, node.name))
        if why is None or node.name in dag.descendants(found):
            continue
        told = "" if node.name in dag.descendants(drawn) else f"`{node.name}` {why}"
        (drawn if node.wishes.fixed else found)[node.name] = told
    return Chance(found, drawn)


def _sees_spark(described: Description) -> bool:
    """Return whether code that could ask a session for something is part of a node: else "score (mean)" is no call."""
    return any(part.group is Group.PACKAGE and part.label == "pyspark" for part in described.parts)


def _is_the_authors(node: Node) -> bool:
    """Return whether a node's plan is of what the author wrote: a lazy function, a label with calls in its SQL."""
    match node.operator:
        case Function():
            return is_lazy(node)
        case Assemble(label=str(label)):
            return "(" in label
    return False


def _registered(results: Mapping[str, NodeResult]) -> frozenset[str]:
    """Return functions that only the session knows, in lower case; a run that made no table of Spark's called none."""
    frame = next((one.frame() for one in results.values() if isinstance(one, TableResult) and one.framed), None)
    if frame is None:
        return frozenset()
    try:
        registered = {one.name.lower() for one in frame.sparkSession.catalog.listFunctions() if one.isTemporary}
    except spark_errors():  # its JVM has ended, and the run with it
        return frozenset()
    return frozenset(registered - spark_functions())


def _covered(described: Description) -> Iterator[str]:
    """Yield the names of functions that a node's signature covers: those it reaches, and those it registers itself."""
    yield from (part.label for part in described.parts)
    yield from described.registers


def plan_randomness(frame: DataFrame, below: Sequence[DataFrame] = ()) -> str | None:
    """Return why a DataFrame's rows may differ each time, as the plan that is sent tells; None if nothing says so.

    Args:
        below: DataFrames that it is made of, and that are looked at by themselves.
    """
    own, given = Counter(_phrases(frame)), Counter(why for one in below for why in _phrases(one))
    return next(iter(own - given), None)


def _phrases(frame: Any) -> Iterator[str]:
    parts = relation_messages(frame)
    yield from (why for one in parts for why in chance_in([one]))
    yield from order_in(parts)
