"""Servers of Spark Connect: which one is asked for, where it is, whether it answers, and whether its Spark is ours."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from helix_spark.engine.spark.settings import BINDS_ARGUMENTS, CHANGES_RESULTS, given_around
from helix_spark.errors import SetupError
from helix_spark.identity.environment import package_version
from helix_spark.plans.connect_session import host_of, is_by_connect
from helix_spark.plans.program_client import connect, settings_there

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

_CLIENT = "SPARK_CONNECT_MODE_ENABLED"
"""pyspark sets this variable when it makes a session by Spark Connect. From then on all of `pyspark.sql` is a client's,
and no classic session can be started in the process, whether that one still runs or not."""

MODELS_AS_CLASSIC: Mapping[str, str] = MappingProxyType({
    "spark.connect.session.connectML.mlCache.memoryControl.enabled": "false",
})
"""Has a server give models as a classic session has them: with summaries of training, trees of any size, no pass over
the data before a fit to foretell how large a model will be. A client may set it."""

_RETRIES = 5
"""How often a request is sent again to a server that does not answer: after 17 s in all it is given up. By itself
pyspark's client goes on for ten minutes."""


def check_no_client(environ: Mapping[str, str] = os.environ) -> None:
    """Raises SetupError where a session in a JVM of our own is to be started in a process that pyspark took for a
    client's."""
    if _CLIENT in environ:
        raise SetupError(
            "this process works by Spark Connect, and its session was stopped",
            exists=f"no other sort of session can be started in it ({_CLIENT} is set)",
            remedy='make another session by SparkSession.builder.remote("sc://host:port"), or begin another process',
        )


def named_server(author: Mapping[str, str], home: Path, environ: Mapping[str, str] = os.environ) -> str:
    """Return the address of the server that is asked for, as ``sc://host:port``; empty if none is.

    Args:
        author: settings of the author's; they take precedence.
        home: Spark's folder, whose settings hold else.

    >>> from pathlib import Path
    >>> named_server({"spark.remote": "sc://a:1"}, Path("/none"), {"SPARK_REMOTE": "sc://b:1"})
    'sc://a:1'
    """
    asked = author.get("spark.remote") or environ.get("SPARK_REMOTE") or given_around(home, environ).get("spark.remote")
    return asked if asked is not None and asked.startswith("sc://") else ""


def open_named(address: str, settings: Mapping[str, str]) -> SparkSession:
    """Open a session of the server at an address. From then on this process works by Spark Connect.

    What is computed there is what a session of Helix's own computes: settings that change results are the same.

    Args:
        settings: the author's; they take precedence.

    Raises:
        SetupError: nobody answers there, or its Spark is of another version than this PySpark.
    """
    from pyspark.sql import SparkSession

    settings_of_server(address, connect(address))
    from pyspark.sql.connect.client.retries import DefaultPolicy

    builder = SparkSession.builder.remote(address)
    for name, value in {**CHANGES_RESULTS, **BINDS_ARGUMENTS, **settings}.items():
        if name not in ("spark.remote", "spark.master"):
            builder = builder.config(name, value)
    session: Any = builder.getOrCreate()
    session.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES)])
    return session  # type: ignore[no-any-return]  # it is one of Connect's


def settings_of_server(address: str, service: Any) -> dict[str, str]:
    """Return all settings of a server, by the service at its address.

    Raises:
        SetupError: nobody answers there, or its Spark is of another version than this PySpark.
    """
    shown = shown_address(address)
    try:
        version, settings = settings_there(service)
    except ConnectionError as error:
        raise SetupError(
            f"nobody answers at {shown}, which is named as the Spark to use", exists=str(error),
            remedy="start a server there, or leave out .remote(...), spark.remote and SPARK_REMOTE to have one started",
        ) from error
    check_version(version, f"the Spark at {shown}")
    return settings


def check_version(version: str, whose: str) -> None:
    """Raises SetupError for a server whose Spark is of another version than this PySpark."""
    own = package_version("pyspark")
    if version.split(".")[:2] != own.split(".")[:2]:
        raise SetupError(
            f"{whose} is version {version}, and this PySpark is {own}: it may take a plan for another",
            remedy=f"pip install 'pyspark[connect]=={version}'",
        )


def shown_address(address: str) -> str:
    """Return an address without what follows its port, which may hold a token.

    >>> shown_address("sc://host:443/;token=secret")
    'sc://host:443'
    """
    return address.partition("/;")[0]


def is_this_machine(host: str) -> bool:
    """Return whether a host's name is this machine's.

    >>> is_this_machine("localhost"), is_this_machine("spark.example.org")
    (True, False)
    """
    return host in {"localhost", "127.0.0.1", "::1", socket.gethostname().lower()}


def master_of(spark: Any) -> str:
    """Return where a session's jobs run, as Spark's setting names it; of another machine none that
    `is_on_this_machine`."""
    is_here = not is_by_connect(spark) or is_this_machine(host_of(spark))
    return str(spark.conf.get("spark.master", "connect")) if is_here else "connect"


_LOST = ("INVALID_HANDLE.SESSION_NOT_FOUND", "INVALID_HANDLE.SESSION_CLOSED", "INVALID_HANDLE.SESSION_CHANGED",
         "StatusCode.UNAVAILABLE")


def is_end_of_server(error: BaseException) -> bool:
    """Return whether a server does not answer any more, or knows nothing of its session, as after its own start anew.
    """
    seen: BaseException | None = error
    while seen is not None:
        modules = {one.__module__ for one in type(seen).__mro__}
        if modules & {"grpc", "pyspark.errors.exceptions.connect"} and any(one in str(seen) for one in _LOST):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
