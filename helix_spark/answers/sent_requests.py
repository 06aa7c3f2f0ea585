"""Requests as they are sent to a server, and what it says of those that fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from helix_spark.errors import ServerEndedError


def is_run(request: Any) -> bool:
    """Return whether it runs something, rather than analysing it."""
    return type(request).__name__ == "ExecutePlanRequest"


def as_new(request: Any) -> Any:
    """A copy of a request, as one that is sent for the first time."""
    copy = type(request)()
    copy.CopyFrom(request)
    copy.ClearField("client_observed_server_side_session_id")
    if type(copy).__name__ == "ExecutePlanRequest":
        copy.ClearField("operation_id")
        copy.ClearField("request_options")
    return copy


def ours(kind: Callable[..., Any], like: Any) -> Any:
    """A new request of our own, in the session of one of the program's."""
    return kind(session_id=like.session_id, user_context=like.user_context)


def rpc_error() -> type[Exception]:
    """Return what a server's refusal is raised as."""
    from grpc import RpcError

    found: type[Exception] = RpcError
    return found


def is_cancelled(error: BaseException) -> bool:
    """Return whether a server ended a request because it was told to."""
    return "OPERATION_CANCELED" in server_message(error)


def server_message(error: BaseException) -> str:
    """The first line of what a server says of a failure."""
    details = getattr(error, "details", None)
    return (str(details() if callable(details) else error).splitlines() or [""])[0]


def server_ended(how: str) -> ServerEndedError:
    """Return the error for a server that has ended.

    Args:
        how: it ended, as a clause.
    """
    return ServerEndedError(
        f"the JVM of Spark's driver {how}", remedy="run the program again: another one is started. One that is killed "
        "time and again takes more memory than the machine has; set spark.driver.memory",
    )
