"""Which program of an author's, if any, this thread works for: a script, or one call of a node's function. Functions
that take the place of pyspark's own ask that."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession as ConnectSession

UDF = "helix python code "
"""Stands in a captured plan for the pickle of a function: its place among all of them follows."""

CLIENT = "helix_client"
"""The attribute of a session that has the client of the classic session that it is."""


class Program(Protocol):
    """A program of an author's, all of whose sessions are Helix's: a script, or a call of a node's function."""

    def settle(self, frame: Any) -> None:
        """The author's code is given a table. Raises what Spark says of one that it refuses."""

    def session(self, options: dict[str, str]) -> Any:
        """The session, by Spark Connect, that it gets from ``SparkSession.builder...getOrCreate()``."""

    def columns(self, frame: Any) -> Collection[str] | None:
        """The names of a table's columns, where they are known without asking."""

    def write_code(self, value: Any, pickle: Callable[[], bytes]) -> bytes:
        """Return what stands in a plan for a Python function: `value` is the function and what it returns, or a class
        of a table function, and `pickle` pickles it."""

    def save(self, path: str, write: Callable[[], None]) -> None:
        """Save a model, all of whose parts `write` sends, in the place of what lies there."""

    def need_classic(self, what: str) -> None:
        """The program uses what only a classic session has; pyspark refuses it if this returns."""


class NeedsClassicError(BaseException):
    """What is called uses what only a classic session has, and is to be called in one. No `except Exception` of the
    author's takes it for a failure."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What a context works for.

    Attributes:
        call: of a node's function; None outside of any.
        session: the session of a client; None for that of Helix's own.
        is_classic: whether pyspark works in the driver's JVM.
    """

    call: Program | None = None
    session: Callable[[], ConnectSession | None] | None = None
    is_classic: bool = False


_WORK: ContextVar[_Work] = ContextVar("work", default=_Work())  # noqa: B039 - it never changes
PROGRAMS: list[Program] = []
"""The program that this process is for, if it is for one."""
_OWN: list[ConnectSession] = []
"""The session of Helix's own, while there is one."""


@contextlib.contextmanager
def _working(work: _Work) -> Iterator[None]:
    token = _WORK.set(work)
    try:
        yield
    finally:
        _WORK.reset(token)


def classic() -> contextlib.AbstractContextManager[None]:
    """Let pyspark work in the driver's JVM in this context and this thread, also where a program took over."""
    return _working(replace(_WORK.get(), is_classic=True))


def working_for(program: Program) -> contextlib.AbstractContextManager[None]:
    """Let this context, and the threads that it starts, work for the call of a node's function, in its session."""
    _inherit_in_threads()
    return _working(_Work(program, lambda: program.session({})))


def as_before() -> contextlib.AbstractContextManager[None]:
    """Restore the session of this context afterwards."""
    return _working(_WORK.get())


def work_in(session: Callable[[], ConnectSession | None]) -> None:
    """Make this thread, and threads that it starts, work in a session that a client asks, once there is one."""
    _inherit_in_threads()
    _WORK.set(replace(_WORK.get(), session=session))


@cache
def _inherit_in_threads() -> None:
    """Make threads inherit the session of the thread that makes them; once a process. pyspark fits the models of a
    search in threads. Actions replace `Thread.start` for a while, and put it back."""
    @replaces(threading.Thread, "__init__")
    def make(made: Any, self: threading.Thread, *given: Any, **named: Any) -> None:
        made(self, *given, **named)
        work, run = _WORK.get(), self.run
        if work.session is not None:

            def working() -> None:
                _WORK.set(replace(work, is_classic=False))
                run()

            self.run = working  # type: ignore[method-assign]  # of this thread alone


def program_here() -> Program | None:
    """Return the program that this thread works for; None where it works for none, or in the driver's JVM."""
    work = _WORK.get()
    return script() if work.call is None or work.is_classic else work.call


def script() -> Program | None:
    """Return this process's script; None without one, in a node's function, or for work in the driver's JVM."""
    work = _WORK.get()
    return PROGRAMS[0] if PROGRAMS and work.call is None and not work.is_classic else None


def own_session_is(session: ConnectSession | None) -> None:
    """Make this process work in a session of Helix's own from now on; None: no longer."""
    _OWN[:] = [] if session is None else [session]


def own_session() -> ConnectSession | None:
    """Return the session of Helix's own, if this process has one."""
    return _OWN[0] if _OWN else None


def client_session() -> ConnectSession | None:
    """Return the session that this context works in by Spark Connect; None where it works in the driver's JVM."""
    work = _WORK.get()
    if work.is_classic:
        return None
    return (None if work.session is None else work.session()) or own_session()


def settle(frame: Any) -> None:
    """Settle a table that this thread's code is given. A program does it; in a session in this process's own JVM it is
    analysed, so that what is wrong with it is told where it is made."""
    if (program := program_here()) is not None:
        program.settle(frame)
    elif CLIENT in vars(frame._session):
        frame.schema  # noqa: B018 - it raises what Spark says


def builds() -> bool:
    """Return whether pyspark is to build plans for Connect in this thread."""
    return program_here() is not None or client_session() is not None


def replaces(owner: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace a method or a property of a class, or a function of a module, by the decorated function: it is given the
    original one before the arguments. A class method is replaced by a static one, and its original knows its class.

    >>> class Table:
    ...     def columns(self): return ["a"]
    >>> @replaces(Table, "columns")
    ... def columns(original, self): return [*original(self), "b"]
    >>> Table().columns()
    ['a', 'b']
    """
    there = getattr(owner, name)
    original: Any = there.fget if isinstance(there, property) else there

    def replace(made: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def call(*given: Any, **named: Any) -> Any:
            return made(original, *given, **named)

        of_class = isinstance(vars(owner).get(name), classmethod | staticmethod)
        kept: Any = property(call) if isinstance(there, property) else staticmethod(call) if of_class else call
        setattr(owner, name, kept)
        return made

    return replace
