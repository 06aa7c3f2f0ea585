"""Canonical fields of Spark's own objects, without a session: types, rows, parameters of stages.

Objects that live in a session (a DataFrame, a Column) say nothing of what they stand for that would still be true in
another process; they are errors with a remedy. This file knows classes of pyspark by name only and never imports it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from helix_spark.identity.objects.attributes import attributes
from helix_spark.identity.objects.unidentified import UnidentifiedError

if TYPE_CHECKING:
    from helix_spark.identity.objects.encoder import Encoder

_REMEDIES = {
    **dict.fromkeys(("WindowSpec", "Window", "JavaObject", "JVMView", "JavaGateway"), "build it inside the function"),
    "Column": "build it inside the function, or pass SQL text",
    "DataFrame": "declare it as a source of the workflow and read that node",
    "RDD": "declare a source of the workflow and read that node",
    "GroupedData": "group inside the function",
    "Broadcast": "pass the plain value; broadcast it inside the function",
    "Accumulator": "count inside the result, not beside it",
    "SparkSession": "take it from the rows inside the function: rows.sparkSession",
    "SparkContext": "take it from the rows inside the function: rows.sparkSession.sparkContext",
    "SQLContext": "take the session from the rows inside the function: rows.sparkSession",
    "Model": "declare it as a learner of the workflow and read that node",
}
"""What to do instead of keeping an object of a session, by class of pyspark or py4j."""

_OF_A_CLASS = "undefined"
"""The stage of a parameter that belongs to a class, before there is a stage."""

_STAGE_INTERNALS = frozenset({"uid", "_paramMap", "_defaultParamMap", "_params", "_java_obj", "_input_kwargs"})


def spark_classes(value: object) -> list[str]:
    """Return the names of the classes of Spark a value belongs to, its own first."""
    return [kind.__name__ for kind in type(value).__mro__ if kind.__module__.partition(".")[0] in ("pyspark", "py4j")]


def fields(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    """Return the fields of an object whose class is Spark's own, or extends one; None for objects made of plain
    attributes.

    Raises:
        UnidentifiedError: it lives in a session.
    """
    classes = spark_classes(value)
    for name in classes:
        if name in _REMEDIES:
            raise UnidentifiedError(f"it is a Spark {classes[0]}, which lives in one session", _REMEDIES[name])
    if "DataType" in classes:
        # One of an author's own is code, and its JSON has a pickle of it: such types are told by their attributes.
        return None if _has_own_type(value) else ("spark.type", value.json())
    if "Param" in classes:
        # Of which sort of stage, and of which one: its identifier ends in random letters.
        sort = str(value.parent).rpartition("_")[0]
        own = () if value.parent == _OF_A_CLASS else (encoder.stage(value.parent),)
        return "spark.param", sort, value.name, encoder(value.typeConverter, ".typeConverter"), *own
    if "Params" in classes:
        return _stage(encoder, value)
    return None


def _has_own_type(value: Any) -> bool:
    """Return whether a type is or holds one whose class is not Spark's: a user-defined type."""
    if not type(value).__module__.startswith("pyspark."):
        return True
    inner = [getattr(value, name, None) for name in ("dataType", "elementType", "keyType", "valueType")]
    return any(one is not None and _has_own_type(one) for one in (*inner, *getattr(value, "fields", ())))


def _stage(encoder: Encoder, value: Any) -> Iterable[bytes | str]:
    """Return the fields of a stage: its class and the parameters set; the defaults come with the version of Spark or
    with its code."""
    settings = {param.name: setting for param, setting in value._paramMap.items()}
    result: list[bytes | str] = ["spark.stage", encoder(type(value)), encoder.stage(value.uid)]
    for name, setting in sorted(settings.items()):
        result += [name, encoder(setting, f".{name}")]
    if not type(value).__module__.startswith("pyspark."):
        # Only those that are asked for: Spark names the default of an output column after the stage's identifier.
        defaults = {param.name: default for param, default in value._defaultParamMap.items()}
        result.append(encoder(sorted(item for item in defaults.items() if item[0] not in settings), " default"))
        for name, attribute in attributes(value):
            if name not in _STAGE_INTERNALS:
                result += [name, encoder(attribute, f".{name}")]
    return result
