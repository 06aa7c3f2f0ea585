"""Parameters of Spark ML stages: which of a declaration's options are the stage's own, and whether it takes them.

A stage is built when it runs, after all that it reads. What it does not take is found here, where it is written: the
signature of its class tells, and no Spark is needed for that.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from helix_spark.errors import Location, OperatorError, nearest
from helix_spark.workflow.declaration import WISHES, NodeRef
from helix_spark.workflow.operators import Kind, Stage

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)

_ONE_BY_ONE = (
    "a parameter takes one node; put several together with wf.synthesizer(name, table, features=[...]), or name "
    "columns of the table as text"
)
LABELLED_FEATURES = frozenset(
    f"pyspark.ml.feature.{name}" for name in ("ChiSqSelector", "RFormula", "TargetEncoder", "UnivariateFeatureSelector")
)
"""Spark ML's extractors that learn the label. By name, for pyspark may not be imported yet."""

_PREDICTORS = ("pyspark.ml.classification", "pyspark.ml.regression")

_BY_NAME = "name a column of its examples as text; wf.synthesizer(..., keep=[...]) has them keep that of an extractor"


def accepted(make: Any) -> frozenset[str] | None:
    """Return names of the parameters that a stage's class, function or instance takes; None if it takes any, or if that
    shows only where it runs (a dotted path).

    >>> sorted(accepted(lambda depth, *, seed=0: None))
    ['depth', 'seed']
    >>> accepted(lambda **anything: None) is None
    True
    """
    if not (inspect.isclass(make) or inspect.isroutine(make)):
        params = getattr(make, "params", None)  # an instance of a Spark ML stage lists them
        return frozenset(str(param.name) for param in params) if isinstance(params, list) else None
    parameters = _signature(make)
    if parameters is None or any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return None
    return frozenset(name for name, one in parameters.items() if one.kind in _NAMED)


def separated(make: Any, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the wishes among a declaration's options, and the parameters of its stage, which those are that it names
    itself.

    >>> separated(lambda fixed=False: None, {"fixed": True, "recompute": True})
    ({'recompute': True}, {'fixed': True})
    """
    own = ((accepted(make) if options else None) or frozenset()) | {name for name in options if _is_param(make, name)}
    wishes = {name: value for name, value in options.items() if name in WISHES and name not in own}
    return wishes, {name: value for name, value in options.items() if name not in wishes}


def _is_param(make: Any, name: str) -> bool:
    """Return whether a class of Spark ML's kind has a parameter of this name: those are attributes of the class, also
    where its constructor takes anything."""
    return inspect.isclass(make) and type(getattr(make, name, None)).__name__ == "Param"


def check_taken(kind: Kind, name: str, make: Any, parameters: Mapping[str, Any], where: Location | None) -> None:
    """Check whether a stage takes these parameters. Raises OperatorError where it does not, with the nearest name, or
    the value has another type."""
    known = accepted(make)
    unknown = next((one for one in parameters if known is not None and one not in known), None)
    if known is not None and unknown is not None:
        raise OperatorError(
            f"{kind} {name!r}: {getattr(make, '__name__', type(make).__name__)} takes no parameter {unknown!r}",
            where=where, remedy=nearest(unknown, known | WISHES),
        )
    owner = make if inspect.isclass(make) else type(make)
    for parameter, value in parameters.items():  # a constructor leaves out what is None
        if value is not None and not inspect.isroutine(make) and _is_param(owner, parameter):
            try:
                getattr(make, parameter).typeConverter(value)
            except (TypeError, ValueError) as error:
                what = f"{kind} {name!r}: parameter {parameter!r} is given {value!r}"
                raise OperatorError(what, where=where, exists=str(error)) from error


def check_stage(kind: Kind, name: str, make: Any, parameters: Mapping[str, Any], where: Location) -> None:
    """Check whether a stage can be made of what its declaration gives. An extractor's parameter that is a node is a
    column. Raises OperatorError for a node, a class of something else, text that is no dotted path, a function that
    reads nodes, or parameters that it cannot have."""
    if isinstance(make, NodeRef):
        raise OperatorError(
            f"{kind} {name!r} was given the node {make.name!r}, where a Spark ML class belongs", where=where,
            remedy=f"a function that is to be {kind.article} {kind} is declared with @wf.{kind}",
        )
    if not isinstance(make, str):
        check_is_stage(kind, name, make, where)
    elif "." not in make or not all(part.isidentifier() for part in make.split(".")):
        raise OperatorError(
            f"{kind} {name!r} was given {make!r}, which is no dotted path of a class", where=where,
            remedy="write all of it, such as pyspark.ml.classification.LogisticRegression, or give the class itself",
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
    """Check whether a class, or an object, is of an estimator or transformer of Spark ML. What a function returns shows
    only later. Raises OperatorError where it is of something else."""
    if inspect.isroutine(make):
        return
    owner = make if inspect.isclass(make) else type(make)
    if not any(base.__module__ == "pyspark.ml.base" for base in owner.__mro__):
        given = "" if inspect.isclass(make) else "an object of "
        raise OperatorError(
            f"{kind} {name!r} was given {given}{owner.__module__}.{owner.__qualname__}, which is no estimator or "
            "transformer of Spark ML", where=where,
            remedy="use it inside a function, such as a @wf.reducer of pandas rows that returns what you need",
        )


def takes_label(stage: Stage, wired: Collection[str] = ()) -> bool:
    """Return whether a stage learns the label, as far as its declaration tells; `wired` are those of its parameters
    that are columns of other extractors."""
    if "labelCol" in {*wired, *(name for name, _ in stage.parameters)}:
        return True
    if isinstance(stage.make, str):
        return stage.make in LABELLED_FEATURES or stage.make.rpartition(".")[0] in _PREDICTORS
    return _is_param(stage.make if inspect.isclass(stage.make) else type(stage.make), "labelCol")


def _check_function(kind: Kind, name: str, make: Any, parameters: Mapping[str, Any], where: Location) -> None:
    """A function that makes a stage is called with the stage's parameters, and with no table."""
    if not inspect.isroutine(make):
        return
    wanted = [
        one.name for one in (_signature(make) or {}).values()
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    missing = [one for one in wanted if one not in parameters]
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
    """Return the parameters of a class or function; None of what does not tell, as some that are compiled."""
    try:
        return inspect.signature(make).parameters
    except (TypeError, ValueError):
        return None
