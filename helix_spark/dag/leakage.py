"""What extractors learn of rows that are to test what is made of them, as far as declarations tell."""

from __future__ import annotations

from collections.abc import Iterator

from helix_spark.dag.node import Dag, Node
from helix_spark.workflow.operators import Assemble, FitStage, Kind, OwnSplit, Split, split_of_fit
from helix_spark.workflow.parameters import takes_label


def learned_of_test_rows(dag: Dag) -> tuple[str, ...]:
    """Warnings of extractors that learn of test rows where that spoils the test or is not what was meant, each with
    what to do: the label of these rows, or the training rows of another split than their examples have.

    That others learn of all rows is how extractors are; what they learn without a label says little of it.
    """
    return tuple(dict.fromkeys(sentence for node in dag.nodes for sentence in _warnings(node, dag)))


def _warnings(node: Node, dag: Dag) -> Iterator[str]:
    if node.kind is not Kind.EXTRACTOR:
        return
    own, operator = split_of_fit(node.operator), node.operator
    labelled = isinstance(operator, FitStage) and takes_label(operator.stage, [name for name, _ in operator.columns])
    if own is None and not labelled:
        return
    called = node.name.removesuffix(".fit")
    for examples, split in _examples_of(node, dag):
        if own is None:
            yield (
                f"`{called}` learns the label of all rows of `{node.inputs[0]}`, the test rows of `{examples}` among "
                f"them (give it the split of `{examples}`: wf.extractor({called!r}, ..., split=hx.HashSplit(...)))"
            )
        elif own != split:
            yield (
                f"`{called}` learns of the training rows of another split than that of `{examples}`, whose test rows "
                "may be among them (give both the same split=)"
            )


def _examples_of(fit: Node, dag: Dag) -> Iterator[tuple[str, Split]]:
    """Names and splits of the divided examples that hold what a fit's extractor makes, by way of others or not."""
    seen: set[str] = set()
    waiting = [fit.name]
    while waiting:
        for name in dag.readers(waiting.pop()):
            reader = dag[name]
            if name in seen:
                continue
            seen.add(name)
            if isinstance(reader.operator, Assemble) and not isinstance(reader.operator.split, OwnSplit | None):
                yield name, reader.operator.split
            elif reader.kind is Kind.EXTRACTOR:
                waiting.append(name)
