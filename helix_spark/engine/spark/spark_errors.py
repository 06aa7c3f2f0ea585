"""What Spark and the file system raise, and what such an error says."""

from __future__ import annotations

import sys
from typing import Any

from helix_spark.errors import CatalogError


def spark_errors() -> tuple[type[Exception], ...]:
    """Return what reading, writing or asking Spark may raise: the catalog's errors, the file system's, and Spark's
    where it is there at all; also where its JVM has ended."""
    if "pyspark" not in sys.modules:
        return (CatalogError, OSError)
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    grpc: Any = sys.modules.get("grpc")  # what a server says that is no answer of Spark's, and nobody's answer
    return (CatalogError, OSError, PySparkException, Py4JError, *([] if grpc is None else [grpc.RpcError]))


def first_line(error: BaseException) -> str:
    """Return what an error says, without the stack traces below it."""
    return str(error).strip().split("\n")[0][:300]
