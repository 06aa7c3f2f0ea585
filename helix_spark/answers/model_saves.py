"""Saves of models of several parts over files: all parts are written, or none if an equal save is in place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from dataclasses import replace
from functools import cache, partial
from typing import Any

from helix_spark.answers.questions import Question, Signer
from helix_spark.answers.sent_requests import message_in
from helix_spark.identity.parts import digest
from helix_spark.plans.current_program import program_here, replaces
from helix_spark.plans.plan_messages import messages, type_of

_PARTS: ContextVar[list[Any] | None] = ContextVar("parts", default=None)


@contextmanager
def parts_gathered() -> Iterator[list[Any]]:
    """Collect this thread's requests to save a model, so that they may be sent afterwards."""
    requests: list[Any] = []
    token = _PARTS.set(requests)
    try:
        yield requests
    finally:
        _PARTS.reset(token)


def gather(*requests: Any) -> bool:
    """Collect requests of a save of this thread; return False if there is no such save."""
    parts = _PARTS.get()
    if parts is not None:
        parts.extend(requests)
    return parts is not None


def save_questions(parts: Sequence[Any], signer: Signer) -> list[Question]:
    """Return the parts of a save as questions. The last question stands for the whole model."""
    questions = [signer.question("effect", _without_time(message_in(part))) for part in parts]
    save = replace(
        questions[-1], identity=digest("save", *(question.identity for question in questions)),
        chance=tuple(why for question in questions for why in question.chance),
        reads=tuple(read for question in questions for read in question.reads),
        code=tuple(dict.fromkeys(code for question in questions for code in question.code)),
    )
    return [*questions[:-1], save]


def _without_time(command: Any) -> Any:
    """Return a write of a Python stage's metadata without its timestamp; another write unchanged."""
    if command.WhichOneof("command_type") != "write_operation" or command.write_operation.source != "text":
        return command
    import pyarrow as pa

    copy = deepcopy(command)
    for part in messages(copy):
        if type_of(part) != "LocalRelation":
            continue
        try:
            (row,) = pa.ipc.open_stream(part.data).read_all().to_pylist()
            metadata = json.loads(row["value"])
            del metadata["timestamp"]
        except (pa.ArrowException, ValueError, KeyError, TypeError):  # no metadata
            return command
        part.data = json.dumps(metadata).encode()
    return copy


@cache
def save_models_as_one() -> None:
    """Send saves of models over existing files through `Program.save`; once a process."""
    from pyspark.ml.connect.readwrite import RemoteMLWriter

    @replaces(RemoteMLWriter, "saveInstance")
    def save_instance(
        original: Callable[..., None], instance: Any, path: str, session: Any, overwrites: bool = False, *options: Any
    ) -> None:
        send = partial(original, instance, path, session, overwrites, *options)
        program = program_here() if overwrites else None
        if program is None:
            send()
        else:
            program.save(path, send)
