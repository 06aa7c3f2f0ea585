"""Parameters of Spark ML stages, separated from a node's options and checked without Spark.

A stage is built when it runs, after all of its inputs. These checks report a wrong parameter at its declaration.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any

from helix_spark.errors import Location, OperatorError, nearest
from helix_spark.workflow.declaration import WISHES, NodeRef
from helix_spark.workflow.operators import Kind, Stage

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)

_ONE_BY_ONE = (
    "a parameter takes one node; combine several with wf.synthesizer(name, table, features=[...]), or name columns of "
    "the table as text"
)
LABELLED_FEATURES = frozenset(
    f"pyspark.ml.feature.{name}" for name in ("ChiSqSelector", "RFormula", "TargetEncoder", "UnivariateFeatureSelector")
)
"""Spark ML's feature estimators that learn from the label, by name because pyspark may not be imported yet."""

_PREDICTORS = ("pyspark.ml.classification", "pyspark.ml.regression")

_BY_NAME = "name a column of its examples as text; wf.synthesizer(..., keep=[...]) adds that of an extractor to them"


def accepted(make: Any) -> frozenset[str] | None:
    """Return the parameters that a stage's class, function or instance takes; None if any, or if known only as it runs.

    >>> sorted(accepted(lambda depth, *, seed=0: None))
    ['depth', 'seed']
    >>> accepted(lambda **anything: None) is None
    True
    """
    if not (inspect.isclass(make) or is_function(make)):
        params = getattr(make, "params", None)  # an instance of a Spark ML stage lists them
        return frozenset(str(param.name) for param in params) if isinstance(params, list) else None
    parameters = _signature(make)
    if parameters is None or any(item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters.values()):
        return None
    return frozenset(name for name, parameter in parameters.items() if parameter.kind in _NAMED)


def separated(make: Any, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a declaration's node options and its stage's parameters. A name that the stage takes is its parameter.

    >>> separated(lambda fixed=False: None, {"fixed": True, "recompute": True})
    ({'recompute': True}, {'fixed': True})
    """
    own = ((accepted(make) if options else None) or frozenset()) | {name for name in options if _is_param(make, name)}
    wishes = {name: value for name, value in options.items() if name in WISHES and name not in own}
    return wishes, {name: value for name, value in options.items() if name not in wishes}


def _is_param(make: Any, name: str) -> bool:
    """Return whether a stage's class has a parameter of this name, as an attribute. Constructors may take any."""
    return type(getattr(class_of(make), name, None)).__name__ == "Param"


def class_of(make: Any) -> type:
    """Return the class of a stage that is declared by its class or by itself."""
    return make if inspect.isclass(make) else type(make)


def is_function(make: object) -> bool:
    """Return whether a stage is declared by a function that returns it."""
    return inspect.isroutine(make) or isinstance(make, partial)


def check_taken(kind: Kind, name: str, make: Any, parameters: Mapping[str, Any], where: Location | None) -> None:
    """Check a stage's parameters. Raises OperatorError for an unknown name, with the nearest, or a wrong type."""
    names = accepted(make)
    unknown = next((parameter for parameter in parameters if names is not None and parameter not in names), None)
    if names is not None and unknown is not None:
        raise OperatorError(
            f"{kind} {name!r}: {getattr(make, '__name__', type(make).__name__)} takes no parameter {unknown!r}",
            where=where, remedy=nearest(unknown, names | WISHES),
        )
    for parameter, value in parameters.items():  # a constructor ignores None
        if value is not None and _is_param(make, parameter):
            try:
                getattr(make, parameter).typeConverter(value)
            except (TypeError, ValueError) as error:
                message = f"{kind} {name!r}: parameter {parameter!r} is given {value!r}"
                raise OperatorError(message, where=where, exists=str(error)) from error


def check_stage(kind: Kind, name: str, make: Any, parameters: Mapping[str, Any], where: Location) -> None:
    """Check that a declaration can build its stage. A node as an extractor's parameter stands for its column. Raises
    OperatorError for a node, another class, text that is no dotted path, a function that reads nodes, or invalid
    parameters."""
    if isinstance(make, NodeRef):
        raise OperatorError(
            f"{kind} {name!r} was given the node {make.name!r}, where a Spark ML class belongs", where=where,
            remedy=f"declare a function as {kind.article} {kind} with @wf.{kind}",
        )
    if not isinstance(make, str):
        check_is_stage(kind, name, make, where)
    elif "." not in make or not all(part.isidentifier() for part in make.split(".")):
        raise OperatorError(
            f"{kind} {name!r} was given {make!r}, which is no dotted path of a class", where=where,
            remedy="write the full path, such as pyspark.ml.classification.LogisticRegression, or pass the class",
        )
    columns = kind is Kind.EXTRACTOR
    plain = {key: value for key, value in parameters.items() if not (columns and isinstance(value, NodeRef))}
    _check_function(kind, name, make, plain, where)
    for key, value in plain.items():
        if inside := sorted({ref.name for ref in _nodes_in(value)}):
            raise OperatorError(
                f"parameter {key!r} of {kind} {name!r} was given nodes: {', '.join(inside)}", where=where,
                remedy=_ONE_BY_ONE if columns else _BY_NAME,
            )
    check_taken(kind, name, make, plain, where)


def check_is_stage(kind: Kind, name: str, make: Any, where: Location | None) -> None:
    """Check that a class or object is a stage of Spark ML, a function's at run time. Raises OperatorError if not."""
    if is_function(make):
        return
    owner = class_of(make)
    if not any(base.__module__ == "pyspark.ml.base" for base in owner.__mro__):
        prefix = "" if inspect.isclass(make) else "an object of "
        raise OperatorError(
            f"{kind} {name!r} was given {prefix}{owner.__module__}.{owner.__qualname__}, which is no estimator or "
            "transformer of Spark ML", where=where,
            remedy="use it inside a function, such as a @wf.reducer of pandas rows that returns what you need",
        )


def takes_label(stage: Stage, wired: Collection[str] = ()) -> bool:
    """Return whether a stage is declared to learn from the label. `wired` names parameters with extractors' columns."""
    if "labelCol" in {*wired, *(name for name, _ in stage.parameters)}:
        return True
    if isinstance(stage.make, str):
        return stage.make in LABELLED_FEATURES or stage.make.rpartition(".")[0] in _PREDICTORS
    return _is_param(stage.make, "labelCol")


def _check_function(kind: Kind, name: str, make: Any, parameters: Mapping[str, Any], where: Location) -> None:
    """Check that a function can build a stage: it is called with the stage's parameters and without tables."""
    if not is_function(make):
        return
    missing = [
        item.name for item in (_signature(make) or {}).values()
        if item.default is item.empty and item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD)
        and item.name not in parameters
    ]
    if missing:
        raise OperatorError(
            f"{kind} {name!r} was given a function of {', '.join(missing)}, where a Spark ML class belongs",
            where=where,
            remedy=f'write wf.{kind}(name="{name}")(function): its parameters name the nodes that it reads',
        )


def _nodes_in(value: Any) -> Iterator[NodeRef]:
    match value:
        case NodeRef():
            yield value
        case list() | tuple() | set() | frozenset():
            for item in value:
                yield from _nodes_in(item)
        case dict():
            yield from _nodes_in(list(value.values()))


def _signature(make: Any) -> Mapping[str, inspect.Parameter] | None:
    """Return the parameters of a class or function; None without a signature, as for some compiled ones."""
    try:
        return inspect.signature(make).parameters
    except (TypeError, ValueError):
        return None
