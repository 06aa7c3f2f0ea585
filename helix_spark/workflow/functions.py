"""Reads a function's signature: which nodes it names as parameters, and in which form it wants and returns them; and
which names its code uses."""

from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Callable, Iterable
from types import CodeType, NoneType, UnionType
from typing import Any, ForwardRef, Union, get_args, get_origin

from helix_spark.errors import Location, OperatorError
from helix_spark.workflow.operators import Form, Kind, Result

_FRAME_FORMS = {"pyspark": Form.SPARK, "pandas": Form.PANDAS, "pyarrow": Form.ARROW}
TABLE_FORMS = frozenset(_FRAME_FORMS.values())
_MODULE_NAMES = {"pd": "pandas", "pa": "pyarrow"}
_BY_FAMILY = {
    Kind.SCANNER: Form.SPARK, Kind.EXTRACTOR: Form.COLUMN, Kind.SYNTHESIZER: Form.SPARK,
    Kind.LEARNER: Form.MODEL, Kind.REDUCER: Form.VALUE,
}
RESULTS = {
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
    """Return where a function was written, if it has Python code."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return Location(code.co_filename, code.co_firstlineno) if code is not None else None


def parameters_of(function: Callable[..., Any], where: Location | None) -> dict[str, tuple[Form, bool]]:
    """Name -> (form, has a default) of each parameter, in order. Raises OperatorError for ``*args``, ``**kwargs`` and
    positional-only parameters: their names are no nodes."""
    read: dict[str, tuple[Form, bool]] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise OperatorError(
                f"parameter {parameter.replace(annotation=parameter.empty)} names no node", where=where,
                remedy="name each node that the function reads as a parameter of its own, or point parameters at nodes "
                'with reads={"parameter": node}',
            )
        form = _form(parameter.annotation, function)
        read[parameter.name] = (form or Form.ANY, parameter.default is not parameter.empty)
    return read


def returned_form(function: Callable[..., Any], kind: Kind, where: Location | None) -> Form:
    """Return the form of what a function returns: as annotated, else what its family usually returns. Raises
    OperatorError where the family has no such result."""
    form = _form(inspect.signature(function).return_annotation, function, kind)
    form = form or _BY_FAMILY[kind]
    if RESULTS[form] not in _ALLOWED[kind]:
        allowed = " or ".join(sorted(result.value for result in _ALLOWED[kind]))
        raise OperatorError(f"{kind.article} {kind} returns a {allowed}, not a {form}", where=where)
    return form


def never_a_table(function: Callable[..., Any], parameter: str) -> str | None:
    """Return a parameter's annotation, as text, if what it names is certainly no table; None where it may be one, or
    where nobody can tell (`Any`, a name that only the type checker knows)."""
    annotation = inspect.signature(function).parameters[parameter].annotation
    if not all(map(_is_no_table, _members(annotation, function))):
        return None
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _form(annotation: Any, function: Callable[..., Any], returned_by: Kind | None = None) -> Form | None:
    """Return the form an annotation asks for; None where it says nothing. Of a union that a parameter has it is that of
    its table: Spark's, if it names several and that is one of them. Another union is a value."""
    if annotation is inspect.Parameter.empty:
        return None
    forms = {_form_of(member, returned_by) for member in _members(annotation, function)}
    if len(forms) > 1 and returned_by is None:
        forms = forms & {Form.SPARK} or forms & TABLE_FORMS
    return forms.pop() if len(forms) == 1 else Form.VALUE


def _form_of(member: Any, returned_by: Kind | None) -> Form:
    if isinstance(member, str):
        head, _, name = member.rpartition(".")
        root = head.split(".")[0]
        package = _MODULE_NAMES.get(root, root)
    else:
        package = (getattr(member, "__module__", "") or "").split(".")[0]
        name = getattr(member, "__name__", str(member))
    if name in ("DataFrame", "Table") and package in _FRAME_FORMS:
        return _FRAME_FORMS[package]
    if package == "pyspark" and name == "Column":
        return Form.COLUMN
    if package == "pyspark" and (returned_by is Kind.LEARNER or name.endswith("Model")):
        return Form.MODEL
    return Form.VALUE


def _members(annotation: Any, function: Callable[..., Any]) -> tuple[Any, ...]:
    """Return what an annotation names, each part of a union: objects, or text of what only the type checker knows."""
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    parts: Iterable[Any] = ()
    if isinstance(annotation, str):
        text = annotation.strip("'\"")  # quoted by hand besides
        parts = _union_in_text(text)
        found = None if parts else _resolve(text.partition("[")[0], inspect.unwrap(function))
        annotation = NoneType if text == "None" else text if found is None else found
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:  # by an alias, too
        parts = get_args(annotation)
    return tuple(one for part in parts for one in _members(part, function)) or (annotation,)


def _union_in_text(text: str) -> list[str]:
    """Return the members of a union that is written as text; none of other text.

    >>> _union_in_text("pd.DataFrame | None"), _union_in_text("Optional['pd.DataFrame']"), _union_in_text("list[int]")
    (['pd.DataFrame', 'None'], ["'pd.DataFrame'", 'None'], [])
    """
    try:
        written = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return []
    parts: list[ast.expr] = []
    match written:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            parts = [left, right]
        case ast.Subscript(value=name, slice=inside) if ast.unparse(name).rpartition(".")[2] in ("Optional", "Union"):
            parts = [*(inside.elts if isinstance(inside, ast.Tuple) else [inside]), ast.Constant(None)]
    return list(map(ast.unparse, parts))


def _is_no_table(annotation: Any) -> bool:
    if isinstance(annotation, str):
        annotation = getattr(builtins, annotation.partition("[")[0], None)
    kind = get_origin(annotation) or annotation
    if not inspect.isclass(kind) or kind is object or kind.__module__ == "typing":
        return False
    is_spark = any(base.__name__ == "DataFrame" and base.__module__.startswith("pyspark.") for base in kind.__mro__)
    return not is_spark and not getattr(kind, "_is_protocol", False)


def _resolve(text: str, function: Callable[..., Any]) -> Any:
    """Return the object that dotted text names where the function was written, without evaluating it."""
    first, *rest = text.split(".")
    closure = inspect.getclosurevars(function) if hasattr(function, "__code__") else None
    scopes = [closure.nonlocals, getattr(function, "__globals__", {})] if closure else []
    found = next((scope[first] for scope in scopes if first in scope), None)
    for name in rest:
        found = getattr(found, name, None)
    return found


def names_used(function: Callable[..., Any]) -> set[str]:
    """Return names of globals and attributes that a function's own code uses, inner functions included; a hint, no
    more.

    >>> sorted(names_used(lambda rows: [one.fit for one in sorted(rows)]))
    ['fit', 'sorted']
    """
    waiting: list[object] = [getattr(inspect.unwrap(function), "__code__", None)]
    found: set[str] = set()
    while waiting:
        code = waiting.pop()
        if isinstance(code, CodeType):
            found.update(code.co_names)
            waiting.extend(code.co_consts)
    return found
