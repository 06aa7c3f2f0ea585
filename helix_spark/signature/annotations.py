"""Annotations that count, because somebody reads them when the program runs."""

from __future__ import annotations

import ast
import re
import typing
from collections.abc import Sequence
from types import FunctionType

from helix_spark.signature.classes import hints_of
from helix_spark.signature.leaves import shown
from helix_spark.signature.origin import package_of_module
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
    """The annotations of a function inside another, without the parameters' names, if one of them says how rows are
    passed. The code of the other one says them as well, so that they are those of the code that is live."""
    return _if_tabular([text for _, text in annotations_of(node)])


def tabular_hints(function: FunctionType) -> str:
    """What a function's annotations mean, without the parameters' names, if one of them says how rows are passed.

    They are asked of the function itself: its code does not say them, so that the text of its file, which may have
    been edited since it was loaded, need not be theirs.

    >>> def f(batches: typing.Iterator[int]) -> None: ...
    >>> tabular_hints(f)
    "['collections.abc.Iterator[builtins.int]', 'builtins.NoneType']"
    """
    return _if_tabular([_meaning(hint) for hint in hints_of(function).values()])


def _if_tabular(texts: Sequence[str]) -> str:
    return repr(texts) if any(_TABULAR.intersection(re.findall(r"\w+", text)) for text in texts) else ""


def _meaning(hint: object) -> str:
    origin = typing.get_origin(hint)
    match hint:
        case _ if origin is not None:
            return f"{_meaning(origin)}[{', '.join(map(_meaning, typing.get_args(hint)))}]"
        case typing.ForwardRef():
            return hint.__forward_arg__
        case str():
            return hint
        case type():
            # A class of the project is in another module where its file is run than where it is imported.
            of_project = package_of_module(hint.__module__) is None
            return hint.__qualname__ if of_project else f"{hint.__module__}.{hint.__qualname__}"
    return shown(hint)
