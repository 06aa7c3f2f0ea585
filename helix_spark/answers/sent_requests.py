"""Requests to a server: their messages, the objects that they refer to, and their errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from helix_spark.errors import ServerEndedError
from helix_spark.plans.plan_messages import messages, type_of


def is_run(request: Any) -> bool:
    """Return whether a request runs a plan or a command."""
    return type(request).__name__ == "ExecutePlanRequest"


def as_new(request: Any) -> Any:
    """Return a copy of a request that can be sent for the first time."""
    copy = deepcopy(request)
    copy.ClearField("client_observed_server_side_session_id")
    if is_run(copy):
        copy.ClearField("operation_id")
        copy.ClearField("request_options")
    return copy


def ours(kind: Callable[..., Any], like: Any) -> Any:
    """Return a request of Helix's own, in the session of a program's request."""
    return kind(session_id=like.session_id, user_context=like.user_context)


def rpc_error() -> type[Exception]:
    """Return the class of a server's errors."""
    from grpc import RpcError

    return RpcError  # type: ignore[no-any-return]  # grpc has no types


def server_message(error: BaseException) -> str:
    """Return the first line of a server's error, or of any other error."""
    details = getattr(error, "details", None)
    return str(details() if callable(details) else error).strip().partition("\n")[0]


def server_ended(how: str) -> ServerEndedError:
    """Return the error for a server that has ended; `how` continues "the JVM"."""
    return ServerEndedError(
        f"the JVM of Spark's driver {how}", remedy="run the program again: another one is started. If it is killed "
        "repeatedly, it takes more memory than the machine has; set spark.driver.memory",
    )


def message_in(request: Any) -> Any:
    """Return the plan, command or other message of a request."""
    match type(request).__name__:
        case "ExecutePlanRequest":
            return getattr(request.plan, request.plan.WhichOneof("op_type"))
        case "AnalyzePlanRequest":
            return getattr(request, request.WhichOneof("analyze"))
    return request.operation


def ml_command(message: Any) -> Any:
    """Return the command of Spark ML in a message; None for another message."""
    is_ml = type_of(message) == "Command" and message.WhichOneof("command_type") == "ml_command"
    return message.ml_command if is_ml else None


def fitted_class(message: Any) -> str:
    """Return the JVM class of Spark ML that a message fits; empty for another message."""
    command = ml_command(message)
    return str(command.fit.estimator.name) if command is not None and command.HasField("fit") else ""


def handle_in(message: Any) -> str | None:
    """Return the id in a reference to a model or a checkpoint; None for another message."""
    match type_of(message):
        case "ObjectRef":
            return str(message.id)
        case "CachedRemoteRelation":
            return str(message.relation_id)
    return None


def handles_in(message: Any) -> Iterator[str]:
    """Yield the ids of the models and checkpoints that a message refers to."""
    return (handle for part in messages(message) if (handle := handle_in(part)) is not None)


def maker_of(handle: str) -> str:
    """Return the id of a question's answer, by the id of one of its objects.

    >>> maker_of("helix-2f_1"), maker_of("helix-2f")
    ('helix-2f', 'helix-2f')
    """
    return handle.partition("_")[0]


def with_handles(message: Any, new_ids: Mapping[str, str]) -> Any:
    """Return a copy of a message with new ids of models and checkpoints, by old id."""
    copy = deepcopy(message)
    for part in messages(copy):
        match type_of(part):
            case "ObjectRef" if part.id in new_ids:
                part.id = new_ids[part.id]
            case "CachedRemoteRelation" if part.relation_id in new_ids:
                part.relation_id = new_ids[part.relation_id]
    return copy


HELPER = "______ML_CONNECT_HELPER______"
"""Id by which pyspark calls functions of Spark ML without a model (`pyspark.ml.util.ML_CONNECT_HELPER_ID`)."""


def stage_class(name: str) -> type | None:
    """Return the Python class of a stage of Spark ML, by its name in the JVM; None if there is none.

    A server wraps a stage that is neither an estimator nor a transformer.

    >>> stage_class("org.apache.spark.ml.feature.PCA").__module__, stage_class("com.example.Mine")
    ('pyspark.ml.feature', None)
    >>> stage_class("org.apache.spark.ml.clustering.PowerIterationClusteringWrapper").__name__
    'PowerIterationClustering'
    """
    from importlib import import_module

    package, _, class_name = name.removeprefix("org.apache.").rpartition(".")
    if not package.startswith("spark.ml."):
        return None
    try:
        stage = getattr(import_module(f"py{package}"), class_name.removesuffix("Wrapper"), None)
    except ImportError:
        return None
    return stage if isinstance(stage, type) else None
