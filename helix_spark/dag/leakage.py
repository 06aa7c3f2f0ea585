"""Warnings about data leakage, from the declarations: extractors and models that learn from their own test rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from helix_spark.dag.node import Dag, Node
from helix_spark.workflow.operators import Assemble, FitStage, Kind, Predict, Result, Rows, Split, split_of_fit
from helix_spark.workflow.parameters import takes_label


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason why numbers do not tell how good a model is.

    Attributes:
        phrase: text next to a number.
        sentence: warning in a plan, with a remedy.
        unless: table of unknown columns, whose column `split` would remove the doubt; else empty.
    """

    phrase: str
    sentence: str
    unless: str = ""


def warnings_of(dag: Dag) -> Iterator[str]:
    """Yield warnings about extractors that learn the label of test rows, or from another split than that of their
    examples. Also warn of outputs whose numbers do not tell how good a model is.

    Extractors that learn from all rows, but without a label, leak little and get no warning.
    """
    for node in dag.nodes:
        yield from _leak_warnings(node, dag)
    for name in dag.outputs:
        if dag[name].result is Result.VALUE:
            yield from (doubt.sentence for doubt in doubts_of(name, dag))


def doubts_of(output: str, dag: Dag) -> Iterator[Doubt]:
    """Yield doubts about an output: a model is scored on rows of its fit, or features learned test labels."""
    leaks = {node.name: list(_leak_warnings(node, dag)) for node in dag.nodes}
    for name in predictions_below(dag, output):
        if (doubt := _training_rows_doubt(dag[name], dag)) is not None:
            yield doubt
        for fit in sorted(ancestor for ancestor in dag.ancestors[name] if leaks[ancestor]):
            yield Doubt("features learned from test rows", leaks[fit][0])


def predictions_below(dag: Dag, output: str) -> list[str]:
    """Return the names of the predictions from which an output is computed."""
    return sorted(name for name in dag.ancestors[output] if isinstance(dag[name].operator, Predict))


def _training_rows_doubt(node: Node, dag: Dag) -> Doubt | None:
    """Return a doubt if a prediction takes rows on which its model, which learns a label, was fitted."""
    operator, model = node.operator, dag[node.inputs[0]]
    fit = model.operator
    if not isinstance(operator, Predict) or not isinstance(fit, FitStage) or not takes_label(fit.stage):
        return None
    examples = node.inputs[1]
    open_sides = operator.rows is None and fit.rows is None
    if model.inputs[0] != examples or not (operator.rows == fit.rows or "all" in (operator.rows, fit.rows)):
        return None
    condition = f", unless `{examples}` has a column `split`" if open_sides else ""
    return Doubt(
        f"on rows that `{model.name}` was fitted on",
        f"`{node.name}` scores rows that `{model.name}` is fitted on{condition}: it scores {_side(operator.rows)} of "
        f"`{examples}`, and the model is fitted on {_side(fit.rows)} (give `{examples}` a split, such as "
        "hx.HashSplit(test=0.2), and leave rows= out)",
        examples if open_sides else "",
    )


def _side(rows: Rows | None) -> str:
    return "all rows" if rows in (None, "all") else f"the {'test' if rows == 'test' else 'training'} rows"


def _leak_warnings(node: Node, dag: Dag) -> Iterator[str]:
    if node.kind is not Kind.EXTRACTOR:
        return
    own, operator = split_of_fit(node.operator), node.operator
    labelled = isinstance(operator, FitStage) and takes_label(operator.stage, [name for name, _ in operator.columns])
    if own is None and not labelled:
        return
    shown = node.name.removesuffix(".fit")
    for examples, split in _examples_of(node, dag):
        if own is None:
            yield (
                f"`{shown}` learns the label of all rows of `{node.inputs[0]}`, the test rows of `{examples}` among "
                f"them (give it the split of `{examples}`: wf.extractor({shown!r}, ..., split=hx.HashSplit(...)))"
            )
        elif own != split:
            yield (
                f"`{shown}` learns from the training rows of another split than that of `{examples}`, whose test rows "
                "may be among them (give both the same split=)"
            )


def _examples_of(fit: Node, dag: Dag) -> Iterator[tuple[str, Split]]:
    """Yield names and splits of split examples that contain a fit's feature, also through other extractors."""
    visited: set[str] = set()
    waiting = [fit.name]
    while waiting:
        for name in dag.readers(waiting.pop()):
            reader = dag[name]
            if name in visited:
                continue
            visited.add(name)
            if isinstance(reader.operator, Assemble) and reader.operator.split is not None:
                yield name, reader.operator.split
            elif reader.kind is Kind.EXTRACTOR:
                waiting.append(name)
