"""Whether this thread records what the author's code builds, or works for a program of the author's: what pyspark is
asked through `replaced_in_pyspark`, and what it answers by."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
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
_OWN: list[ConnectSession] = []
"""The session of Helix's own, while there is one."""
_CLIENT: ContextVar[Callable[[], ConnectSession | None] | None] = ContextVar("session of a client", default=None)


CLIENT = "helix_client"
"""The attribute of a session that has who settles its tables."""


class SettlesTables(Protocol):
    """Is told of each table that the author's code is given."""

    def settle(self, frame: Any) -> None:
        """The author's code is given a table. Raises what Spark says of one that it refuses."""


class Program(SettlesTables, Protocol):
    """A program of an author's, all of whose sessions are Helix's."""

    def session(self, options: dict[str, str]) -> Any:
        """The session, by Spark Connect, that it gets from ``SparkSession.builder...getOrCreate()``."""

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


class NeedsClassicError(BaseException):
    """What is called uses what only a classic session has, and is to be called in one. No `except Exception` of the
    author's takes it for a failure."""


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
    """Let pyspark work in the driver's JVM in this context and this thread, also where a program took over."""
    token = _CLASSIC.set(True)
    try:
        yield
    finally:
        _CLASSIC.reset(token)


@contextlib.contextmanager
def unrecorded() -> Iterator[None]:
    """Let pyspark work in this context and this thread as where nothing is recorded: Spark answers what a recorded
    call asks."""
    token = RECORDING.set(None)
    try:
        yield
    finally:
        RECORDING.reset(token)


def program_here() -> Program | None:
    return PROGRAMS[0] if PROGRAMS and not _CLASSIC.get() else None


def own_session_is(session: ConnectSession | None) -> None:
    """From now on this process works in a session of Helix's own; None: no longer."""
    _OWN[:] = [] if session is None else [session]


def own_session() -> ConnectSession | None:
    """The session of Helix's own, if this process has one."""
    return _OWN[0] if _OWN else None


def work_in(session: Callable[[], ConnectSession | None]) -> None:
    """From now on this thread works in a session that a client asks, as soon as there is one; and so do threads that it
    starts.

    Args:
        session: gives it.
    """
    _inherit_in_threads()
    _CLIENT.set(session)


@cache
def _inherit_in_threads() -> None:
    """Have threads work as the one that starts them does, once a process: pyspark fits models of a search in some."""
    started: Any = threading.Thread.start

    def start(self: threading.Thread) -> None:
        if (session := _CLIENT.get()) is not None:
            run = self.run

            def working() -> None:
                _CLIENT.set(session)
                run()

            self.run = working  # type: ignore[method-assign]  # of this thread alone
        started(self)

    threading.Thread.start = start  # type: ignore[method-assign]  # replaced on purpose


@contextlib.contextmanager
def as_before() -> Iterator[None]:
    """Have this context work in no other session afterwards than it did before."""
    token = _CLIENT.set(_CLIENT.get())
    try:
        yield
    finally:
        _CLIENT.reset(token)


def client_session() -> ConnectSession | None:
    """The session that this context works in by Spark Connect; None where it works in the driver's JVM."""
    if _CLASSIC.get():
        return None
    works_in = _CLIENT.get()
    return (None if works_in is None else works_in()) or own_session()


def settling() -> SettlesTables | None:
    """Who settles the tables that this thread's code is given; None where nobody does, or a call is recorded."""
    if RECORDING.get() is not None:
        return None
    session = client_session()
    return program_here() or (None if session is None else vars(session).get(CLIENT))


def is_recorded() -> bool:
    """Whether what this thread builds is recorded: a call of the author's, or all of a program."""
    return RECORDING.get() is not None or program_here() is not None


def builds() -> bool:
    """Whether pyspark is to build plans for Connect in this thread."""
    return is_recorded() or client_session() is not None
