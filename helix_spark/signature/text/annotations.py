"""Annotations as they are written, where they count because somebody reads them when the program runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from helix_spark.signature.text.scopes import parameters

_TABULAR = frozenset(
    {"Series", "DataFrame", "Iterator", "Iterable", "Generator", "Array", "Table", "RecordBatch", "ndarray"}
)
"""In annotations of these Spark reads how a function takes its rows (pandas_udf, udf, applyInPandas)."""


def annotations_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[tuple[str, str]]:
    named = [(argument.arg, argument.annotation) for argument in parameters(node.args)]
    found = [(name, ast.unparse(annotation)) for name, annotation in named if annotation is not None]
    return [*found, ("return", ast.unparse(node.returns))] if node.returns else found


def tabular_annotations(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The annotations of a function inside another, without the parameters' names, if one of them says how rows are
    passed. The code of the other one says them as well, so that they are those of the code that is live."""
    return if_tabular([text for _, text in annotations_of(node)])


def if_tabular(texts: Sequence[str]) -> str:
    """The texts of annotations, as one, if one of them says how rows are passed; else nothing."""
    return repr(texts) if any(_TABULAR.intersection(re.findall(r"\w+", text)) for text in texts) else ""
