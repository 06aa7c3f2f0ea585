"""Settings that change results, and that a function of the author's leaves other than it found them: whatever is
computed later in its session is computed under these, and signatures have those of before."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from types import FrameType
from typing import Any

from helix_spark.engine.spark.settings import counts
from helix_spark.hermetic.asking import asker
from helix_spark.plans.recorded_call import is_only_planned

_IN_SQL = re.compile(r"\s*(?:re)?set\s+`?([\w.]+)", re.IGNORECASE)


class LeftSettings:
    """What a function does to settings while it runs."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Any, str | None, str]] = {}

    @contextmanager
    def noted(self) -> Iterator[None]:
        """While the function runs, in this thread."""
        token = _NOTED.set(self)
        try:
            yield
        finally:
            _NOTED.reset(token)

    def about_to_set(self, conf: Any, key: object, frame: FrameType) -> None:
        """A setting is about to be set, or unset, by whose frame this is. A call that is only planned sets nothing."""
        if is_only_planned():
            return
        if isinstance(key, str) and key not in self._found and counts(key):
            who = asker(frame)
            self._found[key] = conf, conf.get(key, None), "" if who is None else who.place

    def told(self) -> str:
        """The first of those that are not as they were found, in words; empty if all are."""
        for key, (conf, before, where) in self._found.items():
            now = conf.get(key, None)
            if now != before:
                return f"{key} as {now!r}, which was {before!r}" + (f" ({where})" if where else "")
        return ""


_NOTED: ContextVar[LeftSettings | None] = ContextVar("left settings", default=None)


def note_sets(kind: Any) -> None:
    """Has a class of pyspark's tell what is set by it (`RuntimeConfig`, or Connect's)."""
    for name in ("set", "unset"):
        setattr(kind, name, _telling(vars(kind)[name]))


def note_built(builder: Any) -> None:
    """Has a builder of sessions tell what it sets in the one that there is (`SparkSession.Builder`)."""
    made = builder.getOrCreate

    @wraps(made)
    def call(self: Any) -> Any:
        noted = None if is_only_planned() else _NOTED.get()
        if noted is not None and self._options:
            session = type(self)().getOrCreate()
            for key in self._options:
                noted.about_to_set(session.conf, key, sys._getframe(1))
        return made(self)

    builder.getOrCreate = call


def _telling(told: Any) -> Any:
    @wraps(told)
    def call(self: Any, *given: Any, **named: Any) -> Any:
        if (noted := _NOTED.get()) is not None:
            noted.about_to_set(self, given[0] if given else named.get("key"), sys._getframe(1))
        return told(self, *given, **named)

    return call


def note_set_in_sql(session: Any, text: str, frame: FrameType) -> None:
    """A statement is about to run, which may set something.

    Args:
        frame: whose statement it is.
    """
    if (noted := _NOTED.get()) is not None and (found := _IN_SQL.match(text)) is not None:
        noted.about_to_set(session.conf, found[1], frame)
