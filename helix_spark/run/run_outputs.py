"""The outputs of a run: from the record if an iteration has the same outputs, else as computed; previews of the tables
among them; and for their numbers the code and the test rows that measured them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from helix_spark.catalog.catalog_reader import CatalogView
from helix_spark.catalog.history import PastIteration
from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import IterationRecord
from helix_spark.catalog.tables.spark_types import class_names
from helix_spark.dag.compilation import examples_of
from helix_spark.dag.leakage import doubts_of, predictions_below
from helix_spark.dag.node import Dag
from helix_spark.engine.execution.outcome import found_random, lasting, times_by_node
from helix_spark.engine.results.node_results import ColumnResult, ModelResult, TableResult, ValueResult, collect
from helix_spark.errors import CatalogError, nearest
from helix_spark.history.metrics import Metrics, flatten, metrics_of, output_of
from helix_spark.history.model_card import card_of
from helix_spark.history.table_preview import COLUMNS, ROWS, TablePreview, previewed, tables_of
from helix_spark.identity.code import Description
from helix_spark.identity.parts import Group, digest
from helix_spark.identity.signing import Signed
from helix_spark.planner.plan import PlannedNode
from helix_spark.planner.problem import State
from helix_spark.run.run import Run
from helix_spark.run.workflow_results import WorkflowResults
from helix_spark.workflow.operators import Kind, Result

if TYPE_CHECKING:
    import pyarrow as pa

    from helix_spark.workflow.operators import Predict

QUICK = 2.0
"""The most seconds of the computation of a table that is computed again for its preview."""


def recorded_outputs(
    view: CatalogView, dag: Dag, signed: Mapping[str, Signed], outputs: Collection[str]
) -> dict[str, int]:
    """Return, by node, the newest iteration with the same recorded output, which needs no Spark until rows are read."""
    numbers: dict[str, int] = {}
    for node in (dag[name] for name in dag.outputs):
        if signed[node.name].random or node.wishes.recompute or node.wishes.insisted:
            continue
        names = [name for name in (node.name, *node.aliases) if name in outputs]
        for past in reversed(view.past):
            if _has_output(past, names, signed[node.name].signature):
                numbers[node.name] = past.record.number
                break
    return numbers


def _has_output(past: PastIteration, names: Sequence[str], signature: str) -> bool:
    """Return whether an iteration has recorded an output under each of these names."""
    record = past.record
    if record.status != "done" or record.error:
        return False
    merged, outputs = mapping(record.plan).get("merged", {}), mapping(record.outputs)
    signatures = {node.name: node.signature for node in past.nodes if node.output}

    def is_complete(value: Any) -> bool:  # not a value too large for a record, nor a table with an unknown row count
        return not isinstance(value, dict) or not (
            value.keys() == {"value", "bytes"} or (value.keys() == {"table", "rows"} and value["rows"] is None)
        )

    return all(
        signatures.get(merged.get(name, name)) == signature and name in outputs and is_complete(outputs[name])
        for name in names
    )


def _recorded_by(run: Run, name: str) -> IterationRecord | None:
    """Return the iteration whose record answers an output of this run; None if the run has computed or loaded it."""
    planned = run.plan[name]
    number = run.situation.recorded.get(planned.name) if planned.state is State.PRUNE else None
    return next((past.record for past in run.view.past if past.record.number == number), None)


def measure(run: Run) -> Run:
    """Fill in the run's times, nondeterministic results and outputs."""
    outcome = run.outcome
    run = replace(
        run, seconds=time.perf_counter() - run.begun + run.waited,
        start_seconds=run.tools.sessions.start_seconds_since(run.begun),
        times=times_by_node(run.dag, run.plan, outcome),
        chance=found_random(run.dag, run.plan, outcome, run.described),
    )
    run = replace(run, results=WorkflowResults(run))
    return run if outcome.failure is not None else replace(run, outputs=dict(_described_outputs(run)))


def keep_in_memory(run: Run, spoiled: Collection[str] = ()) -> None:
    """Put the results of a run into memory; without a signature if they are pinned tables that must not be reused."""
    plan, memory = run.plan, run.tools.memory
    for name, result in lasting(run.outcome).items():
        if not plan[name].random and name not in spoiled:
            memory.put(result, plan[name].signature)
        elif isinstance(result, TableResult) and result.pinned:
            memory.put(result)


def announce(run: Run) -> Run:
    """Report the answer, and warn of missing declared metrics."""
    if run.outcome.failure is not None:
        return run
    run.tools.observer.answered(run.seconds)
    numbers = Metrics(run.outputs).values
    for node in run.declared_dag.nodes:
        names = [name for name in numbers if name == node.name or name.startswith(f"{node.name}.")]
        for metric in node.wishes.metrics:
            if node.name in run.outputs and metric.name not in numbers:
                exists = nearest(metric.name, names) if names else "it has no numbers"
                run.tools.observer.warning(
                    f"`{node.name}` returned no number `{metric.name}`, which metrics= declares: {exists}"
                )
    return run


def _described_outputs(run: Run) -> Iterator[tuple[str, Any]]:
    """Yield outputs by the author's names: values as they are, tables and models as a short description."""
    for name in run.declared_dag.outputs:
        canonical = run.plan[name].name
        if (record := _recorded_by(run, name)) is not None:
            yield name, mapping(record.outputs)[name]
            continue
        match run.outcome.results.get(canonical):
            case ValueResult() as value:
                yield name, value.copy()
            case TableResult() as table:
                rows = len(table.arrow()) if table.collected else run.outcome.rows.get(canonical)
                yield name, {"table": name, "rows": rows}
            case ModelResult(model=model):
                yield name, {"model": type(model).__name__}
            case ColumnResult():
                yield name, None


def preview_tables(run: Run) -> Run:
    """Preview, by the author's names, the output tables whose rows are in this process or recorded."""
    if run.outcome.failure is not None:
        return run
    previews = dict[str, TablePreview]()
    for name in run.declared_dag.outputs:
        if (record := _recorded_by(run, name)) is not None:
            previews |= {key: table for key, table in tables_of(record, run.tools.catalog).items() if key == name}
    for name, planned, result in _tables(run):
        if result.collected:
            rows = result.arrow()
            previews[name] = _previewed(rows, len(rows), planned, run)
    return replace(run, tables=previews)


def other_previews(run: Run, spoiled: Collection[str]) -> Iterator[tuple[str, TablePreview]]:
    """Preview other output tables that are not spoiled: stored, in Spark's memory, or computed quickly."""
    for name, planned, result in _tables(run):
        if result.collected or planned.random or planned.name in spoiled:
            continue
        total = run.outcome.rows.get(planned.name)
        record = run.view.artifacts.get(planned.signature) if planned.state is State.LOAD else None
        if record is not None:
            try:
                yield name, _previewed(run.tools.catalog.first_rows(record, ROWS, COLUMNS).table, total, planned, run)
            except CatalogError:  # evicted meanwhile, or damaged, which a load reports
                continue
        elif not result.lost and (result.in_memory or (run.time(planned.name).seconds or 0.0) <= QUICK):
            yield name, _previewed(collect(result.frame().limit(ROWS)), total, planned, run)


def _previewed(rows: pa.Table, total: int | None, planned: PlannedNode, run: Run) -> TablePreview:
    """Preview a table, with the class names of its label if its ancestors agree on them. Runs no job."""
    result = run.outcome.results.get(planned.name)
    preview = replace(previewed(rows, total), across=result.across if isinstance(result, TableResult) else "")
    if not preview.class_columns:
        return preview
    above = run.dag.ancestors[planned.name]
    candidates = {classes for node in run.plan.nodes if node.name in above and (classes := _classes(node, run))}
    return replace(preview, classes=candidates.pop() if len(candidates) == 1 else ())


def _classes(planned: PlannedNode, run: Run) -> tuple[str, ...]:
    """Return the class names of a table's label by its schema, or of a learner's by its card."""
    result = run.outcome.results.get(planned.name)
    if isinstance(result, TableResult) and result.framed and "label" in result.frame().columns:
        return class_names(result.frame().schema["label"].metadata)
    card = card_of(planned.signature, run.tools.catalog) if planned.kind == Kind.LEARNER else None
    return card.labels if card is not None else ()


def _tables(run: Run) -> Iterator[tuple[str, PlannedNode, TableResult]]:
    for name in run.declared_dag.outputs:
        planned = run.plan[name]
        result = run.outcome.results.get(planned.name)
        if isinstance(result, TableResult):
            yield name, planned, result


_OWN_GROUPS = frozenset({Group.OPERATOR, Group.PARAMETER, Group.PLAN, Group.CODE, Group.VALUE})
_SPLIT_PARAMETERS = frozenset({"split", "label", "rows"})
"""Parameters that decide which rows are test rows, and the label to predict."""

_ENOUGH = 16
"""Number of hex characters that distinguish two versions of one metric."""


def values_of(dag: Dag) -> list[str]:
    return [name for name in dag.outputs if dag[name].result is Result.VALUE]


def describe_tests(dag: Dag, described: Mapping[str, Description]) -> dict[str, dict[str, Any]]:
    """Return digests of the data, the split and the label that measured each output."""
    tests = {}
    for name in values_of(dag):
        predictions = predictions_below(dag, name)
        if not predictions:
            continue
        examples = [examples_of(cast("Predict", dag[node].operator), dag[node].inputs) for node in predictions]
        above = {*examples}.union(*(dag.ancestors[name] for name in examples))
        data = [version.digest for node in sorted(above) if (version := described[node].version) is not None]
        split = [
            f"{part.label} {part.digest}" for node in (*predictions, *examples) for part in described[node].parts
            if part.group is Group.PARAMETER and part.label in _SPLIT_PARAMETERS
        ]
        tests[name] = {"data": digest(*data)[:_ENOUGH], "split": digest(*split)[:_ENOUGH]}
    return tests


def measured(run: Run) -> dict[str, Any]:
    """Return the code and the test rows that measured a run's numbers, for the record."""
    tests = describe_tests(run.declared_dag, run.described)
    for name, test in tests.items():  # with the number of scored rows, if this run knows it
        counts = [_rows(run.plan[node].name, run) for node in predictions_below(run.declared_dag, name)]
        if None not in counts:
            test["rows"] = sum(filter(None, counts))
    return {"measured_by": measured_by(run), "tested": tests, "doubts": dict(doubts(run))}


def doubts(run: Run) -> Iterator[tuple[str, str]]:
    """Yield outputs whose numbers do not measure a model's quality, and why, as a phrase."""
    last = run.view.last
    before = metrics_of(last).doubts if last is not None else {}
    names = values_of(run.declared_dag)
    for output, doubt in ((name, doubt) for name in names for doubt in doubts_of(name, run.declared_dag)):
        result = run.outcome.results.get(run.plan[doubt.unless].name) if doubt.unless else None
        if isinstance(result, TableResult) and (result.framed or result.collected):
            columns = result.frame().columns if result.framed else result.arrow().column_names
            is_doubted = "split" not in map(str.lower, columns)
        else:  # the table is unchanged since the last run, or its predictions would have been computed
            is_doubted = not doubt.unless or before.get(output) == doubt.phrase
        if is_doubted:
            yield output, doubt.phrase


def _rows(name: str, run: Run) -> int | None:
    result = run.outcome.results.get(name)
    if isinstance(result, TableResult) and result.collected:
        return len(result.arrow())
    artifact = run.view.artifacts.get(run.plan[name].signature)
    return run.outcome.rows.get(name, artifact.rows if artifact is not None else None)


def measured_by(run: Run) -> dict[str, str]:
    """Return digests of the code that measured each output. A number in an output with edited code keeps its digest if
    it is equal for the same inputs: the edit was of other numbers."""
    digests: dict[str, str] = {}
    for name in values_of(run.declared_dag):  # of the node alone, without its inputs and environment
        parts = (part for part in run.situation[run.plan[name].name].signed.parts if part.group in _OWN_GROUPS)
        digests[name] = digest(*(f"{part.group} {part.digest}" for part in parts))[:_ENOUGH]
    done = (past for past in reversed(run.view.past) if past.record.status == "done" and past.nodes)
    if (last := next(done, None)) is None:
        return digests
    before, nodes = metrics_of(last.record), {node.name: node for node in last.nodes}
    unedited: dict[str, str] = {}
    for name, value in flatten(run.outputs).items():
        output = output_of(name, digests)
        old = before.measured_by.get(output_of(name, before.measured_by))
        if name in digests or not output or old is None or old == digests[output] or name not in before.leaves:
            continue
        if before.measured_by.get(output) == digests[output]:
            unedited[name] = old
        elif value == before.leaves[name] and output in nodes:
            inputs = [nodes[source].signature if source in nodes else None for source in nodes[output].inputs]
            if inputs == [run.plan[source].signature for source in run.declared_dag[output].inputs]:
                unedited[name] = old
    return digests | unedited
