"""Canonical fields of Spark's own objects, without a session: types, rows, parameters of stages.

Objects that live in a session (a DataFrame, a Column) say nothing of what they stand for that would still be true in
another process; they are errors with a remedy. This file knows classes of pyspark by name only and never imports it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from helix_spark.signature.attributes import attributes
from helix_spark.signature.unidentified import UnidentifiedError

if TYPE_CHECKING:
    from helix_spark.signature.encoder import Encoder

_REMEDIES = {
    "Column": "build it inside the function, or pass SQL text",
    "WindowSpec": "build it inside the function",
    "Window": "build it inside the function",
    "DataFrame": "declare it as a source of the workflow and read that node",
    "RDD": "declare a source of the workflow and read that node",
    "GroupedData": "group inside the function",
    "Broadcast": "pass the plain value; broadcast it inside the function",
    "Accumulator": "count inside the result, not beside it",
    "SparkSession": "take it from the rows inside the function: rows.sparkSession",
    "SparkContext": "take it from the rows inside the function: rows.sparkSession.sparkContext",
    "SQLContext": "take the session from the rows inside the function: rows.sparkSession",
    "Model": "declare it as a learner of the workflow and read that node",
    "JavaObject": "build it inside the function",
    "JVMView": "build it inside the function",
    "JavaGateway": "build it inside the function",
}
"""What to do instead of keeping an object of a session, by class of pyspark or py4j, most special class first."""

_STAGE_INTERNALS = frozenset({"uid", "_paramMap", "_defaultParamMap", "_params", "_java_obj", "_input_kwargs"})


def spark_classes(value: object) -> list[str]:
    """The names of the classes of Spark a value belongs to, its own first."""
    return [kind.__name__ for kind in type(value).__mro__ if kind.__module__.partition(".")[0] in ("pyspark", "py4j")]


def fields(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    """Fields of an object whose class is Spark's own, or extends one; None for objects made of plain attributes.

    Raises:
        UnidentifiedError: it lives in a session.
    """
    classes = spark_classes(value)
    for name in classes:
        if name in _REMEDIES:
            raise UnidentifiedError(f"it is a Spark {classes[0]}, which lives in one session", _REMEDIES[name])
    if "DataType" in classes:
        return "spark.type", value.json()
    if "Param" in classes:
        # Of which stage: its identifier ends in random letters.
        sort = str(value.parent).rpartition("_")[0]
        return "spark.param", sort, value.name, encoder(value.typeConverter, ".typeConverter")
    if "Params" in classes:
        return _stage(encoder, value)
    return None


def _stage(encoder: Encoder, value: Any) -> Iterable[bytes | str]:
    """A stage is its class and the parameters set; the defaults come with the version of Spark or with its code."""
    named = sorted((param.name, setting) for param, setting in value._paramMap.items())
    result: list[bytes | str] = ["spark.stage", encoder(type(value))]
    for name, setting in named:
        result += [name, encoder(setting, f".{name}")]
    if not type(value).__module__.startswith("pyspark."):
        defaults = sorted((param.name, default) for param, default in value._defaultParamMap.items())
        result.append(encoder(defaults, " default"))
        for name, attribute in attributes(value):
            if name not in _STAGE_INTERNALS:
                result += [name, encoder(attribute, f".{name}")]
    return result
