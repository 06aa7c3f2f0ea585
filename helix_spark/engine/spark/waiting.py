"""Lets the author's other functions run while one of them waits for a job of Spark's."""

from __future__ import annotations

from functools import wraps
from typing import Any

from helix_spark.hermetic.action import others_first

_LONG = frozenset({
    "fit", "evaluate", "count", "collectToPython", "collectAsArrowToPython", "getRowsToPython", "showString", "save",
    "approxQuantile", "toPythonIterator", "tailToPython", "computeSVD", "corr", "test",
})
"""Methods of the JVM that run jobs, and in which pyspark holds no lock: another function may ask for one."""


def let_others_run_meanwhile() -> None:
    """Has calls of the JVM that run jobs give up their turn; once a process."""
    from py4j.java_gateway import GatewayClient

    told: Any = GatewayClient.send_command
    if hasattr(told, "__wrapped__"):
        return

    @wraps(told)
    def send(self: Any, command: str, *given: Any, **named: Any) -> Any:
        method = command.split("\n", 3)[2:3]  # "c", the object, the method
        if not method or method[0] not in _LONG:
            return told(self, command, *given, **named)
        with others_first():
            return told(self, command, *given, **named)

    GatewayClient.send_command = send
