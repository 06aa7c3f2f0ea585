"""Reads a function's signature: which nodes it names as parameters, and in which form it wants and returns them; and
which names its code uses."""

from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Callable
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
    """Return where a function was written, if it has Python code."""
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
                f"parameter {parameter.replace(annotation=parameter.empty)} names no node", where=where,
                remedy="name each node that the function reads as a parameter of its own, or point parameters at nodes "
                'with reads={"parameter": node}',
            )
        form = _form(parameter.annotation, function)
        read[parameter.name] = (form or Form.ANY, parameter.default is not parameter.empty)
    return read


def returned_form(function: Callable[..., Any], kind: Kind, where: Location | None) -> Form:
    """Return the form of what a function returns: as annotated, else what its family usually returns.

    Raises:
        OperatorError: if the family has no such result.
    """
    form = _form(inspect.signature(function).return_annotation, function, kind)
    form = form or _BY_FAMILY[kind]
    if _RESULTS[form] not in _ALLOWED[kind]:
        allowed = " or ".join(sorted(result.value for result in _ALLOWED[kind]))
        raise OperatorError(f"{kind.article} {kind} returns a {allowed}, not a {form}", where=where)
    return form


def result_of(form: Form) -> Result:
    """Return the kind of result that a returned form stands for."""
    return _RESULTS[form]


def never_a_table(function: Callable[..., Any], parameter: str) -> str | None:
    """Return a parameter's annotation, as text, if what it names is certainly no table; None where it may be one, or
    where nobody can tell (`Any`, a name that only the type checker knows)."""
    annotation = inspect.signature(function).parameters[parameter].annotation
    members = _members(annotation, function) or (annotation,)
    if not all(_is_no_table(member, function) for member in members):
        return None
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _form(annotation: Any, function: Callable[..., Any], returned_by: Kind | None = None) -> Form | None:
    """Return the form an annotation asks for; None where it says nothing."""
    if annotation is inspect.Parameter.empty:
        return None
    if returned_by is None and (members := _members(annotation, function)):
        return _table_among(members, function) or Form.VALUE
    package, name = _named(annotation, function)
    if name in ("DataFrame", "Table") and package in _FRAME_FORMS:
        return _FRAME_FORMS[package]
    if package == "pyspark" and name == "Column":
        return Form.COLUMN
    if package == "pyspark" and (returned_by is Kind.LEARNER or name.endswith("Model")):
        return Form.MODEL
    return Form.VALUE


def _table_among(members: tuple[Any, ...], function: Callable[..., Any]) -> Form | None:
    """Return the form of the table that a union names: an optional input is a table like any other. Spark's, if it
    names several and that is one of them; None if it names none."""
    tables = {form for member in members if (form := _form(member, function)) in TABLE_FORMS}
    if Form.SPARK in tables:
        return Form.SPARK
    return tables.pop() if len(tables) == 1 else None


def _members(annotation: Any, function: Callable[..., Any]) -> tuple[Any, ...]:
    """Return what a union is of, `None` left out; nothing if the annotation is no union."""
    if isinstance(annotation, str):
        resolved = _resolve(annotation, inspect.unwrap(function))
        if resolved is None:
            return _members_of_text(annotation)
        annotation = resolved
    if not isinstance(annotation, UnionType) and get_origin(annotation) is not Union:
        return ()
    members = (one.__forward_arg__ if isinstance(one, ForwardRef) else one for one in get_args(annotation))
    return tuple(one for one in members if one is not NoneType)


def _members_of_text(text: str) -> tuple[str, ...]:
    """Return the members of a union that is written as text.

    >>> _members_of_text("pd.DataFrame | None"), _members_of_text("Optional['pd.DataFrame']")
    (('pd.DataFrame',), ('pd.DataFrame',))
    >>> _members_of_text("list[int]")
    ()
    """
    try:
        written = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return ()
    parts: list[ast.expr] = []
    match written:
        case ast.Constant(value=str(quoted)):
            return _members_of_text(quoted)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            parts = [left, right]
        case ast.Subscript(value=name, slice=inside) if ast.unparse(name).rpartition(".")[2] in ("Optional", "Union"):
            parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
    texts = [
        part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else ast.unparse(part)
        for part in parts
    ]
    return tuple(member for one in texts if one != "None" for member in _members_of_text(one) or (one,))


def _is_no_table(annotation: Any, function: Callable[..., Any]) -> bool:
    """Return whether an annotation is a class that is neither Spark's DataFrame nor one that anything may belong to."""
    if isinstance(annotation, str):
        name = annotation.strip("'\"").partition("[")[0]
        found = _resolve(name, inspect.unwrap(function))
        annotation = getattr(builtins, name, None) if found is None else found
    kind = get_origin(annotation) or annotation
    if not inspect.isclass(kind) or kind is object or kind.__module__ == "typing":
        return False
    is_spark = any(base.__name__ == "DataFrame" and base.__module__.startswith("pyspark.") for base in kind.__mro__)
    return not is_spark and not getattr(kind, "_is_protocol", False)


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
    """Return the object that an annotation's dotted text names where the function was written, without evaluating
    it."""
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
