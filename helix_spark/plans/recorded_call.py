"""Which program of an author's, if any, this thread works for: a script, or one call of a node's function. Pyspark asks
that through `replaced_in_pyspark`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession as ConnectSession

UDF = "helix python code "
"""Stands in a captured plan for the pickle of a function: its place among all of them follows."""

_CALL: ContextVar[Program | None] = ContextVar("call of a node's function", default=None)
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
    """A program of an author's, all of whose sessions are Helix's: a script, or a call of a node's function."""

    @property
    def is_planned(self) -> bool:
        """True if it is run to see what it builds, and changes nothing."""

    def session(self, options: dict[str, str]) -> Any:
        """The session, by Spark Connect, that it gets from ``SparkSession.builder...getOrCreate()``."""

    def columns(self, frame: Any) -> Collection[str] | None:
        """The names of a table's columns, where they are known without asking."""

    def write_code(self, value: Any, pickle: Callable[[], bytes]) -> bytes:
        """Return what stands in a plan for a Python function.

        Args:
            value: a function and what it returns, or a class of a table function.
            pickle: pickles it.
        """

    def need_classic(self, what: str) -> None:
        """The program uses what only a classic session has; pyspark refuses it if this returns."""


class NeedsClassicError(BaseException):
    """What is called uses what only a classic session has, and is to be called in one. No `except Exception` of the
    author's takes it for a failure."""


@contextlib.contextmanager
def classic() -> Iterator[None]:
    """Let pyspark work in the driver's JVM in this context and this thread, also where a program took over."""
    token = _CLASSIC.set(True)
    try:
        yield
    finally:
        _CLASSIC.reset(token)


@contextlib.contextmanager
def working_for(program: Program) -> Iterator[None]:
    """Let this context, and the threads that it starts, work for the call of a node's function, in its session."""
    _inherit_in_threads()
    call, client, classic = _CALL.set(program), _CLIENT.set(lambda: program.session({})), _CLASSIC.set(False)
    try:
        yield
    finally:
        _CLASSIC.reset(classic)
        _CLIENT.reset(client)
        _CALL.reset(call)


def program_here() -> Program | None:
    """Return the program that this thread works for; None where it works for none, or in the driver's JVM."""
    return script() if (call := _CALL.get()) is None or _CLASSIC.get() else call


def script() -> Program | None:
    """Return the script that this process is for; None if it is for none, or this thread calls a node's function or
    works in the driver's JVM."""
    return PROGRAMS[0] if PROGRAMS and _CALL.get() is None and not _CLASSIC.get() else None


def is_only_planned() -> bool:
    """Return whether this thread's program is run to see what it builds, and changes nothing."""
    program = program_here()
    return program is not None and program.is_planned


def own_session_is(session: ConnectSession | None) -> None:
    """Have this process work in a session of Helix's own from now on; None: no longer."""
    _OWN[:] = [] if session is None else [session]


def own_session() -> ConnectSession | None:
    """Return the session of Helix's own, if this process has one."""
    return _OWN[0] if _OWN else None


def work_in(session: Callable[[], ConnectSession | None]) -> None:
    """Have this thread, and threads that it starts, work in a session that a client asks, once there is one."""
    _inherit_in_threads()
    _CLIENT.set(session)


@cache
def _inherit_in_threads() -> None:
    """Make threads inherit the session of the thread that starts them; once a process. pyspark fits the models of a
    search in threads."""
    started: Any = threading.Thread.start

    def start(self: threading.Thread) -> None:
        if (session := _CLIENT.get()) is not None:
            call, run = _CALL.get(), self.run

            def working() -> None:
                _CALL.set(call)
                _CLIENT.set(session)
                run()

            self.run = working  # type: ignore[method-assign]  # of this thread alone
        started(self)

    threading.Thread.start = start  # type: ignore[method-assign]  # replaced on purpose


@contextlib.contextmanager
def as_before() -> Iterator[None]:
    """Restore the session of this context afterwards."""
    token = _CLIENT.set(_CLIENT.get())
    try:
        yield
    finally:
        _CLIENT.reset(token)


def client_session() -> ConnectSession | None:
    """Return the session that this context works in by Spark Connect; None where it works in the driver's JVM."""
    if _CLASSIC.get():
        return None
    works_in = _CLIENT.get()
    return (None if works_in is None else works_in()) or own_session()


def settling() -> SettlesTables | None:
    """Return what settles the tables that this thread's code gets; None if nothing does."""
    session = client_session()
    return program_here() or (None if session is None else vars(session).get(CLIENT))


def builds() -> bool:
    """Return whether pyspark is to build plans for Connect in this thread."""
    return program_here() is not None or client_session() is not None
