"""Requests: what they ask, the objects of a server that they name, how they are sent, and what is said of those that
fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any

from helix_spark.errors import ServerEndedError
from helix_spark.plans.plan_messages import messages, sort_of


def is_run(request: Any) -> bool:
    """Return whether it runs something, rather than analysing it."""
    return type(request).__name__ == "ExecutePlanRequest"


def as_new(request: Any) -> Any:
    """Return a copy of a request, as one that is sent for the first time."""
    copy = deepcopy(request)
    copy.ClearField("client_observed_server_side_session_id")
    if type(copy).__name__ == "ExecutePlanRequest":
        copy.ClearField("operation_id")
        copy.ClearField("request_options")
    return copy


def ours(kind: Callable[..., Any], like: Any) -> Any:
    """Return a request of Helix's own, in the session of one of the program's."""
    return kind(session_id=like.session_id, user_context=like.user_context)


def rpc_error() -> type[Exception]:
    """Return what a server's refusal is raised as."""
    from grpc import RpcError

    return RpcError  # type: ignore[no-any-return]  # grpc has no types


def server_message(error: BaseException) -> str:
    """Return the first line of what a server says of a failure, or of any other error."""
    details = getattr(error, "details", None)
    return str(details() if callable(details) else error).strip().partition("\n")[0]


def server_ended(how: str) -> ServerEndedError:
    """Return the error for a server that has ended, as a clause says."""
    return ServerEndedError(
        f"the JVM of Spark's driver {how}", remedy="run the program again: another one is started. One that is killed "
        "time and again takes more memory than the machine has; set spark.driver.memory",
    )


def message_in(request: Any) -> Any:
    """Return the message in a request that says what it requests."""
    match type(request).__name__:
        case "ExecutePlanRequest":
            return getattr(request.plan, request.plan.WhichOneof("op_type"))
        case "AnalyzePlanRequest":
            return getattr(request, request.WhichOneof("analyze"))
    return request.operation


def ml_command(what: Any) -> Any:
    """Return the command of Spark ML that a question is; None for others."""
    is_ml = sort_of(what) == "Command" and what.WhichOneof("command_type") == "ml_command"
    return what.ml_command if is_ml else None


def fitted_class(what: Any) -> str:
    """Return the class of Spark ML that a question fits, in the JVM's words; empty for others."""
    command = ml_command(what)
    return str(command.fit.estimator.name) if command is not None and command.HasField("fit") else ""


def handle_in(message: Any) -> str | None:
    """Return the id of the model or the checkpoint that a message is; None for others."""
    match sort_of(message):
        case "ObjectRef":
            return str(message.id)
        case "CachedRemoteRelation":
            return str(message.relation_id)
    return None


def handles_in(what: Any) -> Iterator[str]:
    """Yield the ids of the models and checkpoints that a message refers to."""
    return (handle for one in messages(what) if (handle := handle_in(one)) is not None)


def maker_of(handle: str) -> str:
    """Return the id of all that a question made, by the id of one of several objects.

    >>> maker_of("helix-2f_1"), maker_of("helix-2f")
    ('helix-2f', 'helix-2f')
    """
    return handle.partition("_")[0]


def with_handles(what: Any, live: Iterable[tuple[str, str]]) -> Any:
    """Return a copy of a message that names models and checkpoints by the server's ids, given pairs of the program's id
    and the server's."""
    known = dict(live)
    copy = deepcopy(what)
    for part in messages(copy):
        match sort_of(part):
            case "ObjectRef" if part.id in known:
                part.id = known[part.id]
            case "CachedRemoteRelation" if part.relation_id in known:
                part.relation_id = known[part.relation_id]
    return copy


HELPER = "______ML_CONNECT_HELPER______"
"""By this name pyspark asks for functions of Spark ML that are no model's (`pyspark.ml.util.ML_CONNECT_HELPER_ID`)."""


def stage_class(name: str) -> type | None:
    """Return the class of a stage of Spark ML in Python, by its name in the JVM; None if there is none.

    A server has a wrapper around the stage that is neither an estimator nor a transformer.

    >>> stage_class("org.apache.spark.ml.feature.PCA").__module__, stage_class("com.example.Mine")
    ('pyspark.ml.feature', None)
    >>> stage_class("org.apache.spark.ml.clustering.PowerIterationClusteringWrapper").__name__
    'PowerIterationClustering'
    """
    from importlib import import_module

    home, _, last = name.removeprefix("org.apache.").rpartition(".")
    if not home.startswith("spark.ml."):
        return None
    try:
        found = getattr(import_module(f"py{home}"), last.removesuffix("Wrapper"), None)
    except ImportError:
        return None
    return found if isinstance(found, type) else None
