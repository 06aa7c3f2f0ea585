"""Reads a function's signature: which nodes it names as parameters, and in which form it wants and returns them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from helix_spark.errors import Location, OperatorError
from helix_spark.workflow.operators import Form, Kind, Result

_FRAME_FORMS = {"pyspark": Form.SPARK, "pandas": Form.PANDAS, "pyarrow": Form.ARROW}
_MODULE_NAMES = {"pd": "pandas", "pa": "pyarrow"}
_BY_FAMILY = {
    Kind.SCANNER: Form.SPARK, Kind.EXTRACTOR: Form.COLUMN, Kind.SYNTHESIZER: Form.SPARK,
    Kind.LEARNER: Form.MODEL, Kind.REDUCER: Form.VALUE,
}
_RESULTS = {
    Form.SPARK: Result.TABLE, Form.PANDAS: Result.TABLE, Form.ARROW: Result.TABLE, Form.COLUMN: Result.COLUMN,
    Form.MODEL: Result.MODEL, Form.VALUE: Result.VALUE,
}
_ALLOWED = {
    Kind.SCANNER: {Result.TABLE},
    Kind.EXTRACTOR: {Result.TABLE, Result.COLUMN},
    Kind.SYNTHESIZER: {Result.TABLE},
    Kind.LEARNER: {Result.MODEL, Result.VALUE},
    Kind.REDUCER: {Result.VALUE, Result.TABLE},
}


def location_of(function: Callable[..., Any]) -> Location | None:
    """Where a function was written, if it has Python code."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return Location(code.co_filename, code.co_firstlineno) if code is not None else None


def parameters_of(function: Callable[..., Any], where: Location | None) -> dict[str, tuple[Form, bool]]:
    """Name -> (form, has a default) of each parameter, in order.

    Raises:
        OperatorError: for ``*args``, ``**kwargs`` and positional-only parameters: their names are no nodes.
    """
    read: dict[str, tuple[Form, bool]] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise OperatorError(
                f"parameter {parameter} names no node", where=where,
                remedy="name each node that the function reads as a parameter of its own",
            )
        form = _form(parameter.annotation, function)
        read[parameter.name] = (form or Form.ANY, parameter.default is not parameter.empty)
    return read


def returned_form(function: Callable[..., Any], kind: Kind, where: Location | None) -> Form:
    """The form of what a function returns: as annotated, else what its family usually returns.

    Raises:
        OperatorError: if the family has no such result.
    """
    form = _form(inspect.signature(function).return_annotation, function, kind)
    form = form or _BY_FAMILY[kind]
    if _RESULTS[form] not in _ALLOWED[kind]:
        allowed = " or ".join(sorted(result.value for result in _ALLOWED[kind]))
        raise OperatorError(f"a {kind} returns a {allowed}, not a {form}", where=where)
    return form


def result_of(form: Form) -> Result:
    """The kind of result that a returned form stands for."""
    return _RESULTS[form]


def _form(annotation: Any, function: Callable[..., Any], returned_by: Kind | None = None) -> Form | None:
    """The form an annotation asks for; None where it says nothing."""
    if annotation is inspect.Parameter.empty:
        return None
    package, name = _named(annotation, function)
    if name in ("DataFrame", "Table") and package in _FRAME_FORMS:
        return _FRAME_FORMS[package]
    if package == "pyspark" and name == "Column":
        return Form.COLUMN
    if package == "pyspark" and (returned_by is Kind.LEARNER or name.endswith("Model")):
        return Form.MODEL
    return Form.VALUE


def _named(annotation: Any, function: Callable[..., Any]) -> tuple[str, str]:
    """Top package and name of an annotation, which may be text (``from __future__ import annotations``)."""
    if isinstance(annotation, str):
        annotation = annotation.strip("'\"")  # quoted by hand besides
        resolved = _resolve(annotation, inspect.unwrap(function))
        if resolved is None:
            head, _, name = annotation.rpartition(".")
            root = head.split(".")[0]
            return _MODULE_NAMES.get(root, root), name
        annotation = resolved
    module = getattr(annotation, "__module__", "") or ""
    return module.split(".")[0], getattr(annotation, "__name__", str(annotation))


def _resolve(text: str, function: Callable[..., Any]) -> Any:
    """The object that an annotation's dotted text names where the function was written, without evaluating it."""
    first, *rest = text.split(".")
    closure = inspect.getclosurevars(function) if hasattr(function, "__code__") else None
    scopes = [closure.nonlocals, getattr(function, "__globals__", {})] if closure else []
    found = next((scope[first] for scope in scopes if first in scope), None)
    for name in rest:
        found = getattr(found, name, None)
    return found
