"""What a save does to a workflow's run that `helix watch` has under way: where all that is being computed is stale by
the edit, the run is ended, and the watch goes on with the new text. What is still good is left to come to its end.

What an edit makes stale is told by a plan of the new text, which a process of its own makes: this one has the modules
of the old text loaded, and functions of them are running.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread

from helix_spark.catalog.run_progress import Progress
from helix_spark.engine.execution.observer import Observer, Telling
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.project.watched_files import Texts, edited, texts_of
from helix_spark.visible_text import named

_MOST_NAMES = 3


class SeenRun(Telling):
    """An observer that tells another one, and sees what is being computed right now."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(observer)
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
    seen: SeenRun, saved: Callable[[Texts, Event], Texts | None],
    signatures: Callable[[Event], frozenset[str]], end: Callable[[str], None], before: Texts,
) -> Iterator[None]:
    """Look out for saves while a run goes on, in a thread of its own.

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
                    end(_describe(edited(before, texts), stale))

    thread = Thread(target=look_out, name="helix-saves", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


_LOOK_AGAIN = 0.2
"""Seconds after which it is looked again whether what is stale is all that runs."""


def _describe(edit: str, stale: Sequence[str]) -> str:
    were = "was" if len(stale) == 1 else "were"
    return f"{edit} saved while {named(stale, _MOST_NAMES)} {were} to be computed of the old text"


def planned_elsewhere(target: str, options: Sequence[str], over: Event) -> frozenset[str]:
    """Return the signatures of all nodes as a file is now, by `helix plan` in a process of its own; none where it
    cannot be planned, as one that is half written.

    Args:
        over: ends the process.
    """
    command = [sys.executable, "-m", "helix_spark", "plan", target, "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        said = ""
        while not over.is_set():
            try:
                said, _ = process.communicate(timeout=_LOOK_AGAIN)
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            process.kill()
        if process.wait():
            return frozenset()
    try:
        return frozenset(node[which] for node in json.loads(said)["nodes"] for which in ("declared", "signature"))
    except (ValueError, KeyError, TypeError):
        return frozenset()
