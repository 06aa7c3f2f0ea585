"""A model of several parts that is saved in the place of an earlier one: its parts are written all, or, where the same
lie there still, none."""

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
from helix_spark.plans.plan_messages import messages, sort_of
from helix_spark.plans.recorded_call import program_here, replaces

_PARTS: ContextVar[list[Any] | None] = ContextVar("parts", default=None)


@contextmanager
def parts_gathered() -> Iterator[list[Any]]:
    """Give the requests by which pyspark saves a model meanwhile, in this thread: they are sent afterwards, if at
    all."""
    gathered: list[Any] = []
    token = _PARTS.set(gathered)
    try:
        yield gathered
    finally:
        _PARTS.reset(token)


def gather(*requests: Any) -> bool:
    """Take requests for parts of the model that this thread is about to save; return False if none is."""
    gathered = _PARTS.get()
    if gathered is not None:
        gathered.extend(requests)
    return gathered is not None


def save_questions(parts: Sequence[Any], signer: Signer) -> list[Question]:
    """Return the parts of a save as questions. The last one stands for all: what lies there when it is answered is the
    whole model."""
    questions = [signer.question("effect", _without_time(message_in(one))) for one in parts]
    whole = replace(
        questions[-1], identity=digest("save", *(one.identity for one in questions)),
        chance=tuple(why for one in questions for why in one.chance),
        reads=tuple(read for one in questions for read in one.reads),
        code=tuple(dict.fromkeys(code for one in questions for code in one.code)),
    )
    return [*questions[:-1], whole]


def _without_time(command: Any) -> Any:
    """Return a write of the metadata by which pyspark saves a stage of Python's without the time that it says; others
    as they are."""
    if command.WhichOneof("command_type") != "write_operation" or command.write_operation.source != "text":
        return command
    import pyarrow as pa

    copy = deepcopy(command)
    for one in messages(copy):
        if sort_of(one) != "LocalRelation":
            continue
        try:
            (row,) = pa.ipc.open_stream(one.data).read_all().to_pylist()
            said = json.loads(row["value"])
            del said["timestamp"]
        except (pa.ArrowException, ValueError, KeyError, TypeError):  # something else is written
            return command
        one.data = json.dumps(said).encode()
    return copy


@cache
def save_models_as_one() -> None:
    """Send saves of models over existing files through `Program.save`; once a process."""
    from pyspark.ml.connect.readwrite import RemoteMLWriter

    @replaces(RemoteMLWriter, "saveInstance")
    def save_instance(
        write: Callable[..., None], instance: Any, path: str, session: Any, over: bool = False, *options: Any
    ) -> None:
        send = partial(write, instance, path, session, over, *options)
        program = program_here() if over else None
        if program is None:
            send()
        else:
            program.save(path, send)
