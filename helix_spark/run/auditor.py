"""When audits are made by themselves: behind answers, while nobody waits for one, or before results are reused."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from threading import Lock, Timer
from typing import Any, Generic, Literal, Protocol, TypeVar, get_args

from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.problem import State

When = Literal["off", "idle", "before reuse"]

WHENS: tuple[When, ...] = get_args(When)

IDLE_SECONDS = 2.0
"""Seconds after an answer was stored in which nobody asked for anything: then nobody is taken to wait for one."""

OVERTIME = 2.0
"""An audit is expected to take its seconds at most. One that takes so many times as long is ended."""


class RunningAudit(Protocol):
    """An audit under way."""

    def parts(self) -> Iterator[Mapping[str, Any]]:
        """Return what it found, part by part (see `cli.schema`, audit), or `error`: why it could not go on."""

    def stop(self) -> None:
        """End it at once."""


class AuditSubject(Protocol):
    """What is audited: a workflow, or a script."""

    @property
    def name(self) -> str:
        """The name under which its results are recorded."""


Work = TypeVar("Work", bound=AuditSubject)

Begin = Callable[[Work, Collection[str], float | None], RunningAudit]
"""Begins an audit of the results of a workflow that have these signatures, which may take so many seconds."""


class Auditor(Generic[Work]):
    """Has results computed again that are unproven.

    Args:
        when: it does so.
        seconds: that an audit behind an answer may take.
        begin: begins one.
        warn: is told what came out different.

    Attributes:
        excused: signatures of results of which no audit could tell whether they come out the same.
    """

    def __init__(self, when: When, seconds: float, begin: Begin[Work], warn: Callable[[str], None]) -> None:
        self.when, self.excused = when, set[str]()
        self._seconds, self._begin, self._warn = seconds, begin, warn
        self._lock, self._turn = Lock(), 0
        self._timer: Timer | None = None
        self._running: RunningAudit | None = None
        self._seen: set[str] = set()
        self._told: set[str] = set()

    def stop(self) -> int:
        """End what is under way, at once: somebody waits. Returns whose turn it is now, for `answered`."""
        with self._lock:
            self._turn += 1
            timer, self._timer = self._timer, None
            running, self._running = self._running, None
            turn = self._turn
        if timer is not None:
            timer.cancel()
        if running is not None:
            running.stop()
        return turn

    def answered(self, turn: int, workflow: Work, plan: Plan) -> None:
        """Have what a run stored or reused computed again, unless somebody asks for something before that.

        What was verified before is looked at once more where this process reused it: what a result rests on without
        anybody's knowing shows only after it has changed.
        """
        self.audit_when_idle(turn, workflow, [node.signature for node in plan.nodes if _is_worth_it(node)])

    def audit_when_idle(self, turn: int, work: Work, signatures: Collection[str]) -> None:
        """Audit those results that this process has not audited yet, unless somebody asks for something before that."""
        wanted = [one for one in signatures if one not in self._seen]
        if self.when != "idle" or not wanted:
            return
        with self._lock:
            if turn == self._turn:
                self._timer = Timer(IDLE_SECONDS, self._audit, (turn, work, wanted, self._seconds))
                self._timer.daemon = True
                self._timer.start()

    def verify(self, workflow: Work, wanted: Collection[str]) -> None:
        """Compute results again, and wait for what comes of it."""
        if wanted:
            self._audit(self._turn, workflow, wanted, None)

    def _audit(self, turn: int, workflow: Work, wanted: Collection[str], seconds: float | None) -> None:
        try:
            running = self._begin(workflow, wanted, seconds)
        except Exception as error:  # noqa: BLE001 - the author's objects may raise anything when they are to be sent
            self._tell_once(f"results of {workflow.name!r} cannot be audited by themselves: {_first_line(error)}")
            return
        with self._lock:
            mine = turn == self._turn
            self._running = running if mine else self._running
        if not mine:
            running.stop()
        late = _ended_after(running, seconds)
        try:
            for part in running.parts():
                self._take(part, workflow)
        finally:
            late()
            with self._lock:
                self._running = None if self._running is running else self._running

    def _take(self, part: Mapping[str, Any], workflow: Work) -> None:
        if error := part.get("error"):
            self._tell_once(f"an audit of {workflow.name!r} came to no end: {error}")
        for one in part.get("results", ()):
            self._seen.add(one["signature"])
            if one["verdict"] == "not compared":
                self.excused.add(one["signature"])
            if one["verdict"] == "different" and one["to_blame"]:
                self._warn(different_text(one["node"], one["why"], one["heirs"]))

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._warn(text)


def different_text(node: str, why: str, heirs: Collection[str]) -> str:
    """Return what people are told of a result that came out different.

    >>> different_text("rows", "2 and 3", ["total"])
    'an audit computed `rows` again and it came out different (2 and 3): neither it nor total is reused any more'
    """
    what = f"neither it nor {', '.join(heirs)} is" if heirs else "it is not"
    return f"an audit computed `{node}` again and it came out different ({why}): {what} reused any more"


def _is_worth_it(node: PlannedNode) -> bool:
    """Return whether a result may be audited that was, or may be, reused."""
    if node.random:
        return False
    kept = node.stored or node.keep
    return (kept and node.proof == "unproven") or (node.state is State.LOAD and not node.held)


def _ended_after(running: RunningAudit, seconds: float | None) -> Callable[[], None]:
    """End an audit that takes far longer than it may; return what calls that off."""
    if seconds is None:
        return lambda: None
    timer = Timer(OVERTIME * seconds, running.stop)
    timer.daemon = True
    timer.start()
    return timer.cancel


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
