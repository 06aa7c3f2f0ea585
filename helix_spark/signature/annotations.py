"""Annotations that count, because somebody reads them when the program runs."""

from __future__ import annotations

import ast

from helix_spark.signature.scopes import parameters

_TABULAR = frozenset(
    {"Series", "DataFrame", "Iterator", "Iterable", "Generator", "Array", "Table", "RecordBatch", "ndarray"}
)
"""In annotations of these Spark reads how a function takes its rows (pandas_udf, udf, applyInPandas)."""


def annotations_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[tuple[str, str]]:
    named = [(argument.arg, argument.annotation) for argument in parameters(node.args)]
    found = [(name, ast.unparse(annotation)) for name, annotation in named if annotation is not None]
    return [*found, ("return", ast.unparse(node.returns))] if node.returns else found


def tabular_annotations(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The annotations, without the parameters' names, if one of them says how rows are passed."""
    texts = [text for _, text in annotations_of(node)]
    words = {word for text in texts for word in text.replace("[", ".").replace("]", ".").replace(",", ".").split(".")}
    return repr(texts) if _TABULAR & {word.strip(" '\"") for word in words} else ""
