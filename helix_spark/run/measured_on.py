"""What the numbers among an iteration's outputs were measured by and on: their code, their test rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from helix_spark.catalog.view import PastNode
from helix_spark.dag.compilation import examples_of
from helix_spark.dag.leakage import doubts_of, predictions_below
from helix_spark.dag.node import Dag, Node
from helix_spark.engine.results.node_results import TableResult
from helix_spark.history.metrics import Metrics, leaves, metrics_of, output_of
from helix_spark.identity.parts import Group, Part, digest
from helix_spark.identity.signing import Description
from helix_spark.run.run import Run
from helix_spark.workflow.operators import Predict, Result

_OWN_GROUPS = frozenset({Group.OPERATOR, Group.PARAMETER, Group.PLAN, Group.CODE, Group.VALUE})
_DIVIDES = frozenset({"split", "label", "rows"})
"""Parameters that decide which rows are test rows, and what is to be predicted of them."""

_ENOUGH = 16
"""Hex characters that tell two versions of one metric apart."""


def values_of(dag: Dag) -> list[str]:
    """Return the outputs that are values."""
    return [name for name in dag.outputs if dag[name].result is Result.VALUE]


def code_digest(parts: Iterable[Part]) -> str:
    """Return a digest of what a node does, whatever its inputs and environment are."""
    own = [f"{part.group} {part.digest}" for part in parts if part.group in _OWN_GROUPS]
    return digest(*own)[:_ENOUGH]


def describe_tests(dag: Dag, described: Mapping[str, Description]) -> dict[str, dict[str, Any]]:
    """Return digests of what decides the rows that each output was measured on: the data below its predictions, the
    split."""
    tested = {}
    for name in values_of(dag):
        scored = predictions_below(dag, name)
        if not scored:
            continue
        examples = [_examples(dag[one]) for one in scored]
        below = {*examples}.union(*map(dag.ancestors, examples))
        data = [version.digest for one in sorted(below) if (version := described[one].version) is not None]
        divides = [
            f"{part.label} {part.digest}" for one in (*scored, *examples) for part in described[one].parts
            if part.group is Group.PARAMETER and part.label in _DIVIDES
        ]
        tested[name] = {"data": digest(*data)[:_ENOUGH], "split": digest(*divides)[:_ENOUGH]}
    return tested


def measured(run: Run) -> dict[str, Any]:
    """Return what the numbers among a run's outputs were measured by and on, as it is recorded."""
    tested = describe_tests(run.whole, run.described)
    for name, own in tested.items():  # how many rows were scored, where this run knows it
        counts = [_rows(run.plan[one].name, run) for one in predictions_below(run.whole, name)]
        known = [count for count in counts if count is not None]
        if len(known) == len(counts):
            own["rows"] = sum(known)
    return {"measured_by": measured_by(run), "tested": tested, "doubts": dict(doubts(run))}


def doubts(run: Run) -> Iterator[tuple[str, str]]:
    """Yield outputs whose numbers do not tell how good a model is, and why, as a phrase."""
    last = run.view.last
    before = metrics_of(last).doubts if last is not None else {}
    warned = [(output, one) for output in values_of(run.whole) for one in doubts_of(output, run.whole)]
    for output, doubt in warned:
        columns = _columns(doubt.unless, run) if doubt.unless else frozenset[str]()
        # A table that this run did not have is the last run's, or its predictions would have been computed.
        if before.get(output) == doubt.phrase if columns is None else "split" not in columns:
            yield output, doubt.phrase


def _columns(name: str, run: Run) -> frozenset[str] | None:
    """Return the columns of a table in lower case; None where this run did not have it."""
    result = run.outcome.results.get(run.plan[name].name)
    if isinstance(result, TableResult) and (result.framed or result.collected):
        names = result.frame().columns if result.framed else result.arrow().column_names
        return frozenset(one.lower() for one in names)
    return None


def _rows(name: str, run: Run) -> int | None:
    result = run.outcome.results.get(name)
    if isinstance(result, TableResult) and result.collected:
        return len(result.arrow())
    artifact = run.view.artifacts.get(run.plan[name].signature)
    return run.outcome.rows.get(name, artifact.rows if artifact is not None else None)


def _examples(node: Node) -> str:
    assert isinstance(node.operator, Predict)
    return examples_of(node.operator, node.inputs)


def measured_by(run: Run) -> dict[str, str]:
    """Return what measured each output, as digests of its code.

    A number inside an output whose code was edited keeps the digest that it had where it came out the same for the
    same inputs: the edit was of other numbers.
    """
    found = {name: code_digest(run.situation[run.plan[name].name].signed.parts) for name in values_of(run.whole)}
    past = next((one for one in reversed(run.view.past) if one.record.status == "done" and one.nodes), None)
    if past is None:
        return found
    before, nodes = metrics_of(past.record), {node.name: node for node in past.nodes}
    kept: dict[str, str] = {}
    for name, value in leaves(run.outputs).items():
        output = output_of(name, found)
        old = before.measured_by.get(output_of(name, before.measured_by))
        if name in found or not output or old is None or old == found[output] or name not in before.leaves:
            continue
        same_code = before.measured_by.get(output) == found[output]
        if same_code or (value == before.leaves[name] and _same_inputs(run, output, nodes)):
            kept[name] = old
    return found | kept


def _same_inputs(run: Run, output: str, before: Mapping[str, PastNode]) -> bool:
    if output not in before:
        return False
    past = [before[one].signature if one in before else None for one in before[output].inputs]
    return past == [run.plan[one].signature for one in run.whole[output].inputs]


def changed_tests(tested: Mapping[str, Mapping[str, Any]], before: Metrics, number: int) -> Iterator[str]:
    """Yield warnings of outputs that are measured on other test rows than iteration `number` was."""
    reasons: dict[str, list[str]] = {}
    for name, own in tested.items():
        old = before.tested.get(name, {})
        what = [words for key, words in _CHANGED.items() if key in old and key in own and old[key] != own[key]]
        if what:
            reasons.setdefault(" and ".join(what), []).append(f"`{name}`")
    for why, names in reasons.items():
        yield (
            f"{', '.join(names)}: other test rows than in iteration {number}, since {why} changed; the numbers of both "
            "are not to be compared"
        )


_CHANGED = {"data": "the data", "split": "the split or the label"}
