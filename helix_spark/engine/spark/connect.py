"""Spark Connect, which Helix does not speak: who brings a session of it, or asks for one, is told so at once."""

from __future__ import annotations

import os
from collections.abc import Mapping

from helix_spark.errors import SetupError

_WHY = "Helix needs the driver's JVM for plans, models and settings; a client of Spark Connect has none"
_CLASSIC = "a classic session (SparkSession.builder.master(...), without remote(...) and SPARK_REMOTE)"

_CLIENT = "SPARK_CONNECT_MODE_ENABLED"
"""pyspark sets this variable when it makes a session by Spark Connect. From then on all of `pyspark.sql` is a client's,
and no classic session can be started in the process, whether that one still runs or not."""


def check_classic(spark: object) -> None:
    """Raises SetupError for a session by Spark Connect.

    >>> check_classic(None)
    """
    if any(kind.__module__.startswith("pyspark.sql.connect.") for kind in type(spark).__mro__):
        raise SetupError(
            "the Spark session is one by Spark Connect, which is not supported", exists=_WHY,
            remedy=f"give {_CLASSIC}, or none to have one started",
        )


def check_no_client(environ: Mapping[str, str] = os.environ) -> None:
    """Raises SetupError if a session by Spark Connect was made in this process.

    >>> check_no_client({})
    """
    if _CLIENT in environ:
        raise SetupError(
            "this process works by Spark Connect, which is not supported", exists=f"{_WHY} ({_CLIENT} is set)",
            remedy=f"begin another process, and make {_CLASSIC} in it, or none to have one started",
        )


def check_not_asked_for(settings: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> None:
    """Raises SetupError where a session of our own is to be started, and settings or variables ask for Spark Connect:
    it would run elsewhere than they say, or not start. Their values are not shown: an address may hold a token.

    >>> check_not_asked_for({"spark.api.mode": "classic"}, {"SPARK_CONNECT_MODE": "0"})
    """
    check_no_client(environ)
    mode = environ.get("SPARK_API_MODE", "").lower()
    asking = {
        "spark.remote": "spark.remote" in settings,
        "spark.api.mode": settings.get("spark.api.mode", "").lower() == "connect",
        "SPARK_REMOTE": "SPARK_REMOTE" in environ,  # for Spark even an empty one asks
        "SPARK_API_MODE": mode == "connect",
        "SPARK_CONNECT_MODE": environ.get("SPARK_CONNECT_MODE") == "1" and mode not in ("classic", "connect"),
    }
    named = [name for name, asks in asking.items() if asks]
    if named:
        raise SetupError(
            f"Spark Connect is asked for by {' and '.join(named)}, and is not supported", exists=_WHY,
            remedy=f"unset {' and '.join(named)} (SPARK_MASTER or spark.master says where a session of Helix's own "
            f"runs), or give {_CLASSIC}",
        )
