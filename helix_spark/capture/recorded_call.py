"""Whether this thread records what the author's code builds, or works for a program of the author's: what pyspark is
asked through `replaced_in_pyspark`, and what it answers by."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from helix_spark.capture.named_functions import NamedFunction
from helix_spark.capture.plan_columns import Columns
from helix_spark.hermetic.task import Purpose

if TYPE_CHECKING:
    from pyspark.sql.connect.dataframe import DataFrame as ConnectFrame
    from pyspark.sql.connect.session import SparkSession as ConnectSession

Asks = Literal["rows", "schema"]
"""What the author's code may ask of a table that it built, and be answered while it is recorded."""

UDF = "helix python code "
"""Stands in a plan that is signed for the pickle of a function: its place among all of them follows."""

RECORDING: ContextVar[Recording | None] = ContextVar("recording", default=None)
_CLASSIC: ContextVar[bool] = ContextVar("classic", default=False)
PROGRAMS: list[Program] = []
"""The program that this process is for, if it is for one."""


class Program(Protocol):
    """A program of an author's, all of whose sessions are Helix's."""

    def session(self, options: dict[str, str]) -> Any:
        """The session, by Spark Connect, that it gets from ``SparkSession.builder...getOrCreate()``."""

    def settle(self, frame: Any) -> None:
        """Its code is given a table. Raises what Spark says of one that it refuses."""

    def columns(self, frame: Any) -> Collection[str] | None:
        """The names of a table's columns, where they are known without asking."""

    def code_of(self, function: Any) -> Any:
        """What identifies the code of a Python function, as it is now."""

    def purpose_of(self, code: Any) -> Purpose:
        """What a Python function of that code is sent to workers for."""

    def note_code(self, pickle: bytes, code: Any) -> None:
        """A Python function of that code is written into a plan."""

    def need_classic(self, what: str) -> None:
        """The program uses what only a classic session has; pyspark refuses it if this returns."""


class QuestionError(Exception):
    """What is called asks Spark something: how many rows there are, which columns a table has."""


@dataclass(slots=True)
class Recording:
    """One call of the author's, on stand-ins.

    Attributes:
        settings: Spark's, as far as they are known.
        columns: by position, the columns of input tables, as far as they are known.
        views: the plans of the views that it made, by their names in lower case.
        registered: the tables that it would have left in the session as views, by their names.
        functions: the Python functions that it registered, by their names in lower case.
        told: tables that were asked for their columns, and what they were told.
        questions: what it asked of Spark, in words. If there are any, what it returned may rest on an answer that
            nobody gave, whether it caught the error or not.
        code: functions in the plan, in the order in which they are written.
        session: the one that the call finds, while it is under way.
        answer: answers what is asked of a table: messages of a server's. None where it cannot, or nobody does.
        unanswered: those of `questions` that somebody might answer.
        asked: the plan of the table that is asked about.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[int, Columns | None] = field(default_factory=dict)
    views: dict[str, Any] = field(default_factory=dict)
    registered: dict[str, ConnectFrame] = field(default_factory=dict)
    functions: dict[str, NamedFunction] = field(default_factory=dict)
    told: list[tuple[ConnectFrame, Columns]] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    code: list[Any] = field(default_factory=list)
    session: ConnectSession | None = None
    answer: Callable[[Asks, ConnectFrame], Sequence[Any] | None] | None = None
    unanswered: list[str] = field(default_factory=list)
    asked: Any = None


@contextlib.contextmanager
def classic() -> Iterator[None]:
    """In this context, and in this thread alone, pyspark works in the driver's JVM, also where a program took over."""
    token = _CLASSIC.set(True)
    try:
        yield
    finally:
        _CLASSIC.reset(token)


@contextlib.contextmanager
def unrecorded() -> Iterator[None]:
    """In this context, and in this thread alone, pyspark works as where nobody records: somebody asks Spark for an
    answer to what is recorded."""
    token = RECORDING.set(None)
    try:
        yield
    finally:
        RECORDING.reset(token)


def program_here() -> Program | None:
    return PROGRAMS[0] if PROGRAMS and not _CLASSIC.get() else None


def builds() -> bool:
    """Whether pyspark is to build plans for Connect in this thread."""
    return RECORDING.get() is not None or program_here() is not None
