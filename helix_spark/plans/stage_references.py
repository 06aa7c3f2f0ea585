"""Stages of Spark ML, with those inside pipelines and searches, and the server's models that they refer to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from queue import SimpleQueue
from typing import Any

from helix_spark.plans.current_program import replaces
from helix_spark.plans.program_client import answers_here

PARTS = ("stages", "models", "bestModel")
"""Attributes in which pipelines, one-vs-rest and searches have their models."""


def moved_stage(value: Any, move: Callable[[Any], Any]) -> Any:
    """Return a stage moved by `move`, with its parts and the stages in its parameters."""
    if isinstance(value, list | tuple):
        return type(value)(moved_stage(item, move) for item in value)
    if not hasattr(value, "_paramMap"):
        return value
    from pyspark.ml.param import Params

    parts = {name: moved_stage(part, move) for name, part in vars(value).items() if name in PARTS}
    parameters = {key: moved_stage(item, move) for key, item in value._paramMap.items()}
    moved = move(value)
    if moved is value:
        if all(vars(value)[name] is part for name, part in parts.items()) and parameters == value._paramMap:
            return value
        moved = Params.copy(value) if parts else value.copy()
    for name, part in parts.items():
        setattr(moved, name, part)
    moved._paramMap = {moved.getParam(key.name): item for key, item in parameters.items()}
    return moved


def model_known_as(model: Any, ref_id: str) -> Any:
    """Return a copy of a model that refers to another object of a server."""
    from pyspark.ml.util import RemoteModelRef

    copy = type(model)(RemoteModelRef(ref_id))
    copy._resetUid(model.uid)
    return copy


def with_references(model: Any, renamed: Callable[[str], str]) -> Any:
    """Return a copy of a model whose references to objects of a server are renamed."""
    from pyspark.ml.util import RemoteModelRef

    def change(stage: Any) -> Any:
        reference = getattr(stage, "_java_obj", None)
        if not isinstance(reference, RemoteModelRef):
            return stage
        ref_id = renamed(reference.ref_id)
        copy = model_known_as(stage, ref_id)
        if vars(stage).get("_summary") is not None:  # of a fitted model, not of one that was loaded
            copy._summary = copy._summaryCls(f"{ref_id}.summary")
        return copy

    return moved_stage(model, change)


RELEASES: SimpleQueue[tuple[Callable[[Any], Any], Any]] = SimpleQueue()
"""Calls that release objects of a server, each with its argument. The garbage collector adds to it."""


@cache
def release_models_in_thread() -> None:
    """Delete the server's objects that Python released in a thread; once a process. The garbage collector may run
    within a request of grpc's, and a request that pyspark sends from there would never end."""
    from pyspark.ml.util import RemoteModelRef
    from pyspark.sql.connect.session import SparkSession

    @replaces(RemoteModelRef, "__init__")
    def initialize(original: Any, self: Any, ref_id: str) -> None:
        original(self, ref_id)
        session = SparkSession.getActiveSession()
        self._client = None if session is None else session.client

    @replaces(RemoteModelRef, "release_ref")
    def release(_: Any, self: Any) -> None:
        with self._lock:
            self._ref_count -= 1
            is_released = self._ref_count == 0 and "." not in self.ref_id
        client = vars(self).get("_client")
        if not is_released or client is None:
            return
        if answers_here(client):
            client._delete_ml_cache([self.ref_id])  # nothing is sent
        else:
            RELEASES.put((client._delete_ml_cache, [self.ref_id]))

    def delete() -> None:
        while True:
            request, target = RELEASES.get()
            with suppress(Exception):  # the server has ended, and its objects with it
                request(target)

    threading.Thread(target=delete, name="helix-released-models", daemon=True).start()
