"""Function signatures: the nodes that parameters name, the forms of arguments and results, the names in the code."""

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
    """Return the location of a function's code, or None if it has no Python code."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return Location(code.co_filename, code.co_firstlineno) if code is not None else None


def parameters_of(function: Callable[..., Any], where: Location | None) -> dict[str, tuple[Form, bool]]:
    """Return the form of each parameter and whether it has a default, by name. Raises OperatorError for ``*args``,
    ``**kwargs`` and positional-only parameters, which cannot name nodes."""
    parameters: dict[str, tuple[Form, bool]] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise OperatorError(
                f"parameter {parameter.replace(annotation=parameter.empty)} names no node", where=where,
                remedy="name each node that the function reads as a parameter of its own, or point parameters at nodes "
                'with reads={"parameter": node}',
            )
        form = _form(parameter.annotation, function)
        parameters[parameter.name] = (form or Form.ANY, parameter.default is not parameter.empty)
    return parameters


def returned_form(function: Callable[..., Any], kind: Kind, where: Location | None) -> Form:
    """Return a result's form: as annotated, else its family's. Raises OperatorError if the family cannot have it."""
    form = _form(inspect.signature(function).return_annotation, function, kind)
    form = form or _BY_FAMILY[kind]
    if RESULTS[form] not in _ALLOWED[kind]:
        allowed = " or ".join(sorted(result.value for result in _ALLOWED[kind]))
        raise OperatorError(f"{kind.article} {kind} returns a {allowed}, not a {form}", where=where)
    return form


def never_a_table(function: Callable[..., Any], parameter: str) -> str | None:
    """Return a parameter's annotation as text if it is surely no table; None for `Any` or an unknown name."""
    annotation = inspect.signature(function).parameters[parameter].annotation
    if not all(map(_is_no_table, _members(annotation, function))):
        return None
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _form(annotation: Any, function: Callable[..., Any], returned_by: Kind | None = None) -> Form | None:
    """Return the form of an annotation, or None without one. A union has the form of its only member; a parameter's
    union that of its tables, Spark's first; any other union is a value."""
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
    """Return the members of an annotation or a union: objects, or text for names that only the type checker knows."""
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    parts: Iterable[Any] = ()
    if isinstance(annotation, str):
        text = annotation.strip("'\"")  # may be quoted in addition
        parts = _union_in_text(text)
        target = None if parts else _resolve(text.partition("[")[0], inspect.unwrap(function))
        annotation = NoneType if text == "None" else text if target is None else target
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:  # an alias may name a union
        parts = get_args(annotation)
    return tuple(member for part in parts for member in _members(part, function)) or (annotation,)


def _union_in_text(text: str) -> list[str]:
    """Return the members of a union that is written as text, and nothing for other text.

    >>> _union_in_text("pd.DataFrame | None"), _union_in_text("Optional['pd.DataFrame']"), _union_in_text("list[int]")
    (['pd.DataFrame', 'None'], ["'pd.DataFrame'", 'None'], [])
    """
    try:
        expression = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return []
    parts: list[ast.expr] = []
    match expression:
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
    """Return the object that dotted text names in the function's scope, without evaluating the text."""
    first, *attributes = text.split(".")
    closure = inspect.getclosurevars(function) if hasattr(function, "__code__") else None
    scopes = [closure.nonlocals, getattr(function, "__globals__", {})] if closure else []
    target = next((scope[first] for scope in scopes if first in scope), None)
    for name in attributes:
        target = getattr(target, name, None)
    return target


def names_used(function: Callable[..., Any]) -> set[str]:
    """Return the names of globals and attributes in a function's code, inner functions included; only a hint.

    >>> sorted(names_used(lambda rows: [row.fit for row in sorted(rows)]))
    ['fit', 'sorted']
    """
    stack: list[object] = [getattr(inspect.unwrap(function), "__code__", None)]
    names: set[str] = set()
    while stack:
        code = stack.pop()
        if isinstance(code, CodeType):
            names.update(code.co_names)
            stack.extend(code.co_consts)
    return names
