"""What a save does to a run that `helix watch` has under way: where all that is being computed is stale by the edit,
the run is ended, and the watch goes on with the new text. What is still good is left to come to its end.

What an edit makes stale is told by a plan of the new text, which a process of its own makes: this one has the modules
of the old text loaded, and functions of them are running.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event, Lock, Thread
from typing import Any

from helix_spark.answers.live_answers import LiveAnswers
from helix_spark.catalog.run_progress import Progress
from helix_spark.engine.execution.observer import Observer, Telling
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.project.saves import Texts, edited, texts_of
from helix_spark.visible_text import named

_MOST_NAMES = 3


class SeenRun(Telling):
    """An observer that tells another one, and sees what is being computed right now."""

    def __init__(self, told: Observer) -> None:
        super().__init__(told)
        self._now: tuple[Plan | None, frozenset[str]] = (None, frozenset())  # one value: another thread reads it

    def stale_by(self, signatures: frozenset[str]) -> tuple[str, ...]:
        """Return the names of the nodes that are to be computed and are not among those of a new plan; none where
        something runs that is, or nothing runs.

        Args:
            signatures: of the new plan, as declared and as found.
        """
        plan, running = self._now
        if plan is None or not running:
            return ()
        stale = {node.name for node in plan.nodes if signatures.isdisjoint((node.signature, node.declared))}
        return tuple(name for name in plan.in_state(State.COMPUTE) if name in stale) if running <= stale else ()

    def planned(self, plan: Plan) -> None:
        self._now = (plan, frozenset())
        super().planned(plan)

    def shows(self, progress: Progress, began: float) -> None:
        running = frozenset(
            node.name for node in progress.nodes
            if node.started is not None and node.ended is None and progress.answered is None
        )
        self._now = (self._now[0], running)
        super().shows(progress, began)


@contextmanager
def overtaking(
    seen: SeenRun | WatchedRun, saved: Callable[[Texts, Event], Texts | None],
    signatures: Callable[[Event], frozenset[str]], end: Callable[[str], None], before: Texts,
) -> Iterator[None]:
    """Looks out for saves while a run goes on, in a thread of its own.

    Args:
        saved: waits until there is something else in the files than what it is given, and gives that; None once the
            event is set.
        signatures: of all nodes as the files are now; none where they cannot be planned.
        end: ends the run, and is told why.
        before: what is in the files that run.
    """
    over = Event()

    def look_out() -> None:
        texts = before
        while (found := saved(texts, over)) is not None:
            texts = found
            wanted = signatures(over) if texts != before else frozenset[str]()
            while wanted and not over.wait(_LOOK_AGAIN) and texts_of(texts) == texts:
                if stale := seen.stale_by(wanted):
                    end(_told(edited(before, texts), stale))

    thread = Thread(target=look_out, name="helix-saves", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


_LOOK_AGAIN = 0.2
"""Seconds after which it is looked again whether what is stale is all that runs."""


def _told(edit: str, stale: Sequence[str]) -> str:
    were = "was" if len(stale) == 1 else "were"
    return f"{edit} saved while {named(stale, _MOST_NAMES)} {were} to be computed of the old text"


def planned_elsewhere(target: str, options: Sequence[str], over: Event) -> frozenset[str]:
    """Signatures of all nodes as a file is now; see `plan_told`."""
    try:
        found = plan_told([target, "--json", *options], over)
        return frozenset(node[which] for node in found["nodes"] for which in ("declared", "signature"))
    except (ValueError, KeyError, TypeError):
        return frozenset()


def plan_told(words: Sequence[str], over: Event, environ: Mapping[str, str] | None = None) -> Any:
    """What `helix plan --json` says, in a process of its own; None where a file cannot be planned, as one that is half
    written.

    Args:
        words: behind `plan`.
        over: ends the process.
        environ: of the process; None for this one's.

    Raises:
        ValueError: it says no JSON.
    """
    command = [sys.executable, "-m", "helix_spark", "plan", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ
    ) as process:
        said = ""
        while not over.is_set():
            try:
                said, _ = process.communicate(timeout=_LOOK_AGAIN)
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            process.kill()
        return None if process.wait() else json.loads(said)


class WatchedRun:
    """A program that runs in a process of its own, and how far a newer text of it would be answered meanwhile."""

    def __init__(self, live: LiveAnswers, plan: Callable[[Event], Any], end: Callable[[], None]) -> None:
        """Watches one.

        Args:
            plan: what `helix plan --json` says of the text as it is now; None where it cannot be planned.
            end: ends the run.
        """
        self._live, self._told, self._end = live, plan, end
        self._over, self._first = Event(), ""
        self._ending = Lock()

    def planned(self, over: Event) -> frozenset[str]:
        """All that the text asks as it is now, as far as that is answered, and what it would ask next; nothing where it
        cannot be planned."""
        self._over = over
        return self._plan()

    def stale_by(self, signatures: frozenset[str]) -> tuple[str, ...]:
        """The calls that ask right now, where none of that is asked by the new text, which would ask something else
        next; none where that is not known yet."""
        asks = self._live.in_flight()
        if not asks or not signatures.isdisjoint(asks):
            return ()
        if self._live.is_answered(self._first):  # what it would have asked next the run has been answered meanwhile
            knows_more = self._live.answer(self._first) is not None
            signatures = self._plan() if knows_more else frozenset()
            return self.stale_by(signatures) if signatures else ()
        return tuple(dict.fromkeys(asks.values()))

    def end(self, why: str) -> None:
        """Ends the run."""
        if not self._ending.acquire(blocking=False):
            return  # it has been told
        self._live.overtake(why)
        self._end()

    def _plan(self) -> frozenset[str]:
        try:
            found = self._told(self._over)
            self._first = found["first"] or ""
            return frozenset(found["asked"]) if found["error"] is None else frozenset()
        except (ValueError, KeyError, TypeError):
            return frozenset()
