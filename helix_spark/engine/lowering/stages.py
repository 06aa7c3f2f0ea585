"""Stages of Spark ML: checked before a run, built from their declarations when their inputs are computed."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

from helix_spark.dag.node import Node
from helix_spark.engine.lowering.authors_errors import authors_errors
from helix_spark.engine.spark.driver_client import driver_client
from helix_spark.errors import OperatorError, nearest
from helix_spark.hermetic.generators import default_seed
from helix_spark.identity.objects.encoder import spark_classes
from helix_spark.plans.current_program import client_session
from helix_spark.workflow.operators import ApplyStage, FitStage, Stage
from helix_spark.workflow.parameters import check_is_stage, check_taken, is_function


def check_stages(nodes: Iterable[Node]) -> None:
    """Check the stages of nodes whose class is named by a path; a class itself is checked where it is declared. Raises
    OperatorError for a path to nothing or to no stage, or for wrong parameters, NodeError where an import fails."""
    for node in nodes:
        stage = node.operator.stage if isinstance(node.operator, FitStage | ApplyStage) else None
        if stage is not None and isinstance(stage.make, str):
            with authors_errors(node):
                _class_of(node, stage.make, stage)


def _class_of(node: Node, path: str, stage: Stage) -> Any:
    module, _, name = path.rpartition(".")
    try:
        home = import_module(module)
    except ImportError as error:
        raise OperatorError(
            f"{node.kind} {node.name!r} is made by {path!r}, and {error}", where=node.where,
            remedy="check the path, or give the class itself",
        ) from error
    if not hasattr(home, name):
        classes = [word for word, value in vars(home).items() if inspect.isclass(value) and not word.startswith("_")]
        raise OperatorError(
            f"{node.kind} {node.name!r} is made by {path!r}, and {module} has no {name!r}", where=node.where,
            remedy=nearest(name, classes),
        )
    make = getattr(home, name)
    check_is_stage(node.kind, node.name, make, node.where)
    check_taken(node.kind, node.name, make, dict(stage.parameters), node.where)
    return make


def build_stage(node: Node, stage: Stage) -> Any:
    """Build the estimator or transformer in the running session. A stage that was declared as an object is copied into
    this session with all its parts, under its uid, by which searches name parameters. Raises OperatorError where that
    fails."""
    client, parameters = driver_client(client_session()), dict(stage.parameters)
    make = stage.make if client is None else client.as_served(stage.make)
    if isinstance(make, str):
        make = _class_of(node, make, stage)
    if inspect.isclass(make) or is_function(make):
        try:
            built = make(**parameters)
        except TypeError as error:
            raise OperatorError(f"{node.name!r}: {error}", where=node.where) from error
    else:
        built = make.copy({make.getParam(name): value for name, value in parameters.items()})
    if not hasattr(built, "fit") and not hasattr(built, "transform"):
        raise OperatorError(
            f"{node.name!r} was given a {type(built).__name__}, which is no Spark ML estimator or transformer",
            where=node.where,
        )
    for part in stages_in(built):
        if part.hasParam("seed") and not (part.isSet("seed") and part.getOrDefault("seed") is not None):
            part._setDefault(seed=default_seed(type(part).__name__))
    return built


def is_sparks_own(stage: Any) -> bool:
    """Return whether a stage has no code of the author's, not even SQL."""
    return all(
        type(part).__module__.startswith("pyspark.") and not part.hasParam("statement") for part in stages_in(stage)
    )


def stages_in(value: Any) -> Iterator[Any]:
    """Yield the stages in a value, outermost first: also those of a pipeline, and of a tuner's estimator and grid."""
    inside: Iterable[Any] = ()
    if isinstance(value, list | tuple):
        inside = value
    elif isinstance(value, dict):
        inside = value.values()
    elif "Params" in spark_classes(value):
        yield value
        inside = value._paramMap.values()
    for item in inside:
        yield from stages_in(item)
