"""Tables, models and stages of Spark ML between a classic session and the client that asks the same session."""

from __future__ import annotations

from typing import Any

from helix_spark.engine.spark.driver_client import DriverClient, driver_client, driver_clients
from helix_spark.plans.connect_session import is_by_connect
from helix_spark.plans.recorded_call import classic, own_session
from helix_spark.plans.stage_references import model_known_as, moved_stage


def as_classic(value: Any, client: DriverClient) -> Any:
    """Return a table or a model of the client's as one of its classic session; all else as it is."""
    if _is_frame(value):
        return client.as_classic(value) if is_by_connect(value.sparkSession) else value
    with classic():
        return moved_stage(value, lambda one: _classic_model(one, client))


def as_served(value: Any, client: DriverClient) -> Any:
    """Return a table or a model of the classic session as one of the client's; all else as it is."""
    if _is_frame(value):
        return value if is_by_connect(value.sparkSession) else client.as_served(value)
    return moved_stage(value, lambda one: _served_model(one, client))


def given(value: Any) -> Any:
    """Return a table or a model as one of the user's own classic session, where the client of such a session made it;
    else as it is."""
    if _is_frame(value):
        client = driver_client(value.sparkSession)
        return value if client is None or client.spark is own_session() else as_classic(value, client)
    for client in () if own_session() is not None else driver_clients():
        value = as_classic(value, client)
    return value


def _is_frame(value: Any) -> bool:
    return type(value).__name__ == "DataFrame" and type(value).__module__.startswith("pyspark.sql.")


def _classic_model(one: Any, client: DriverClient) -> Any:
    from pyspark.ml.util import RemoteModelRef
    from pyspark.ml.wrapper import JavaParams

    held = getattr(one, "_java_obj", None)
    if isinstance(held, RemoteModelRef):
        if not client.has_model(held.ref_id):
            return one
        moved: Any = JavaParams._from_java(client.model(held.ref_id))
        return moved
    return _made_anew(one) if isinstance(held, str) else one


def _served_model(one: Any, client: DriverClient) -> Any:
    from py4j.java_gateway import JavaObject
    from pyspark.ml import Model

    held = getattr(one, "_java_obj", None)
    if not isinstance(held, JavaObject):
        return one
    return model_known_as(one, client.keep_model(held)) if isinstance(one, Model) else _made_anew(one)


def _made_anew(stage: Any) -> Any:
    """Make a stage of the kind that this thread works with, of the same uid, by which the parameters of a search name
    it."""
    made = type(stage)()
    made._resetUid(stage.uid)
    for key, default in stage._defaultParamMap.items():
        if made.hasParam(key.name):
            made._defaultParamMap[made.getParam(key.name)] = default
    return made
