"""Stages of Spark ML and the models in a server that they refer to: pipelines and searches consist of several."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from queue import SimpleQueue
from typing import Any

from helix_spark.plans.program_client import answers_here
from helix_spark.plans.recorded_call import replaces

PARTS = ("stages", "models", "bestModel")
"""Where pipelines, one-against-all and searches hold the models that they consist of."""


def moved_stage(value: Any, move: Callable[[Any], Any]) -> Any:
    """Return a stage, with those that it consists of and those that its parameters hold moved."""
    if isinstance(value, list | tuple):
        return type(value)(moved_stage(one, move) for one in value)
    if not hasattr(value, "_paramMap"):
        return value
    from pyspark.ml.param import Params

    held = {name: moved_stage(part, move) for name, part in vars(value).items() if name in PARTS}
    given = {key: moved_stage(one, move) for key, one in value._paramMap.items()}
    moved = move(value)
    if moved is value:
        if all(vars(value)[name] is one for name, one in held.items()) and given == value._paramMap:
            return value
        moved = Params.copy(value) if held else value.copy()
    for name, part in held.items():
        setattr(moved, name, part)
    moved._paramMap = {moved.getParam(key.name): one for key, one in given.items()}
    return moved


def model_known_as(model: Any, ref_id: str) -> Any:
    """Return a model that refers to an object of a server, of the same class and uid as another one."""
    from pyspark.ml.util import RemoteModelRef

    made = type(model)(RemoteModelRef(ref_id))
    made._resetUid(model.uid)
    return made


def with_references(model: Any, renamed: Callable[[str], str]) -> Any:
    """Return a model that refers to objects of a server by other ids, which `renamed` gives."""
    from pyspark.ml.util import RemoteModelRef

    def change(one: Any) -> Any:
        held = getattr(one, "_java_obj", None)
        if not isinstance(held, RemoteModelRef):
            return one
        known_as = renamed(held.ref_id)
        made = model_known_as(one, known_as)
        if vars(one).get("_summary") is not None:  # of a model that was fitted, and not read
            made._summary = made._summaryCls(f"{known_as}.summary")
        return made

    return moved_stage(model, change)


GONE: SimpleQueue[tuple[Callable[[Any], Any], Any]] = SimpleQueue()
"""Requests that have a server forget something, each with what that is. The garbage collector may put some into it."""


@cache
def release_models_apart() -> None:
    """Delete models that Python released in a thread of its own; once a process.

    The garbage collector finds them at any moment, in the middle of a request of grpc's as well: pyspark would send
    another one from there, which waits for ever.
    """
    from pyspark.ml.util import RemoteModelRef
    from pyspark.sql.connect.session import SparkSession

    @replaces(RemoteModelRef, "__init__")
    def make(made: Any, self: Any, ref_id: str) -> None:
        made(self, ref_id)
        session = SparkSession.getActiveSession()
        self._client = None if session is None else session.client

    @replaces(RemoteModelRef, "release_ref")
    def release(_: Any, self: Any) -> None:
        with self._lock:
            self._ref_count -= 1
            is_gone = self._ref_count == 0 and "." not in self.ref_id
        client = vars(self).get("_client")
        if not is_gone or client is None:
            return
        if answers_here(client):
            client._delete_ml_cache([self.ref_id])  # nothing is sent
        else:
            GONE.put((client._delete_ml_cache, [self.ref_id]))

    def delete() -> None:
        while True:
            request, what = GONE.get()
            with suppress(Exception):  # its server has ended, and holds nothing any more
                request(what)

    threading.Thread(target=delete, name="helix-released-models", daemon=True).start()
