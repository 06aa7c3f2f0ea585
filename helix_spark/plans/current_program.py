"""The program that this thread works for, a script or a node's call: pyspark's replacements look it up."""

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
"""The prefix of the placeholder of a function's pickle in a captured plan; its position follows."""

CLIENT = "helix_client"
"""The attribute of a session in this process's JVM that has the client of its classic session."""


class Program(Protocol):
    """An author's program, all of whose sessions are Helix's: a script, or a call of a node's function."""

    def settle(self, frame: Any) -> None:
        """Settle a table that the author's code receives. Raises Spark's error if Spark refuses the table."""

    def session(self, options: dict[str, str]) -> Any:
        """Return the Connect session for ``SparkSession.builder...getOrCreate()``."""

    def columns(self, frame: Any) -> Collection[str] | None:
        """Return the names of a table's columns; None if only Spark knows them."""

    def write_code(self, value: Any, pickle: Callable[[], bytes]) -> bytes:
        """Return the bytes of a plan's Python function by `pickle`; `value` has its return type, or its class."""

    def save(self, path: str, write: Callable[[], None]) -> None:
        """Save a model, all of whose parts `write` sends, over the existing files."""

    def need_classic(self, what: str) -> None:
        """Handle the use of a feature that only a classic session has; pyspark refuses it if this returns."""


class NeedsClassicError(BaseException):
    """A function uses a classic session's feature, and is to be called in one, past any `except Exception`."""


@dataclass(frozen=True, slots=True)
class _Work:
    """The work of a context.

    Attributes:
        call: of a node's function; None outside of such a call.
        session: returns a client's session; None for Helix's own session.
        is_classic: True if pyspark works in the driver's JVM.
    """

    call: Program | None = None
    session: Callable[[], ConnectSession | None] | None = None
    is_classic: bool = False


_WORK: ContextVar[_Work] = ContextVar("work", default=_Work())  # noqa: B039 - it never changes
PROGRAMS: list[Program] = []
"""The script of this process, if it runs one."""
_OWN: list[ConnectSession] = []
"""Helix's own session, while it is open."""


@contextlib.contextmanager
def _working(work: _Work) -> Iterator[None]:
    token = _WORK.set(work)
    try:
        yield
    finally:
        _WORK.reset(token)


def classic() -> contextlib.AbstractContextManager[None]:
    """Let pyspark work in the driver's JVM in this context and thread, even in the process of a script."""
    return _working(replace(_WORK.get(), is_classic=True))


def working_for(program: Program) -> contextlib.AbstractContextManager[None]:
    """Let this context and the threads that it starts work for the call of a node's function, in its session."""
    _inherit_in_threads()
    return _working(_Work(program, lambda: program.session({})))


def session_restored() -> contextlib.AbstractContextManager[None]:
    """Restore the session of this context afterwards."""
    return _working(_WORK.get())


def work_in(session: Callable[[], ConnectSession | None]) -> None:
    """Make this thread and the threads that it starts work in a client's session, once it is open."""
    _inherit_in_threads()
    _WORK.set(replace(_WORK.get(), session=session))


@cache
def _inherit_in_threads() -> None:
    """Make threads inherit the session of the thread that creates them; once a process. pyspark fits the models of a
    search in threads. `Thread.start` cannot be replaced: actions replace and restore it."""

    @replaces(threading.Thread, "__init__")
    def initialize(original: Any, self: threading.Thread, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        work, run = _WORK.get(), self.run
        if work.session is not None:

            def run_in_session() -> None:
                _WORK.set(replace(work, is_classic=False))
                run()

            self.run = run_in_session  # type: ignore[method-assign]  # of this thread alone


def program_here() -> Program | None:
    """Return the program that this thread works for; None without one, or in the driver's JVM."""
    work = _WORK.get()
    return script() if work.call is None or work.is_classic else work.call


def script() -> Program | None:
    """Return this process's script; None without one, in a node's function, or for work in the driver's JVM."""
    work = _WORK.get()
    return PROGRAMS[0] if PROGRAMS and work.call is None and not work.is_classic else None


def set_own_session(session: ConnectSession | None) -> None:
    """Make this process work in Helix's own session from now on; None ends that."""
    _OWN[:] = [] if session is None else [session]


def own_session() -> ConnectSession | None:
    """Return Helix's own session; None without one."""
    return _OWN[0] if _OWN else None


def client_session() -> ConnectSession | None:
    """Return the Connect session of this context; None if it works in the driver's JVM."""
    work = _WORK.get()
    if work.is_classic:
        return None
    return (None if work.session is None else work.session()) or own_session()


def settle(frame: Any) -> None:
    """Settle a table that this thread's code receives. A program settles its own. In a session in this process's JVM
    the table is analysed, so that Spark's error names the line that builds it."""
    if (program := program_here()) is not None:
        program.settle(frame)
    elif CLIENT in vars(frame._session):
        frame.schema  # noqa: B018 - it raises Spark's error


def is_connect() -> bool:
    """Return whether pyspark builds plans for Connect in this thread."""
    return program_here() is not None or client_session() is not None


def replaces(owner: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace a method or a property of a class, or a function of a module, by the decorated function, which receives
    the original before the arguments. A class method becomes a static one; its original is bound to its class.

    >>> class Table:
    ...     def columns(self): return ["a"]
    >>> @replaces(Table, "columns")
    ... def columns(original, self): return [*original(self), "b"]
    >>> Table().columns()
    ['a', 'b']
    """
    member = getattr(owner, name)
    original: Any = member.fget if isinstance(member, property) else member

    def decorate(replacement: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            return replacement(original, *args, **kwargs)

        is_static = isinstance(vars(owner).get(name), classmethod | staticmethod)
        substitute: Any = property(call) if isinstance(member, property) else staticmethod(call) if is_static else call
        setattr(owner, name, substitute)
        return replacement

    return decorate
