"""What a save does to a run that `helix watch` has under way: where all that is being computed is stale by the edit,
the run is ended, and the watch goes on with the new text. What is still good is left to come to its end.

What an edit makes stale is told by a plan of the new text, which a process of its own makes: this one has the modules
of the old text loaded, and functions of them are running.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Protocol

from helix_spark.engine.execution.observer import Observer, Telling
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.visible_text import named

_MOST_FILES, _MOST_PLACES, _MOST_NAMES = 3, 3, 3


class SeenRun(Telling):
    """An observer that tells another one, and knows what is being computed right now."""

    def __init__(self, told: Observer) -> None:
        super().__init__(told)
        self._lock = Lock()
        self._plan: Plan | None = None
        self._running: set[str] = set()

    def stale_by(self, signatures: frozenset[str]) -> tuple[str, ...]:
        """Names of the nodes that are to be computed and are not among those of a new plan; none where something runs
        that is, or nothing runs.

        Args:
            signatures: of the new plan, as declared and as found.
        """
        with self._lock:
            plan, running = self._plan, set(self._running)
        if plan is None or not running:
            return ()
        stale = {node.name for node in plan.nodes if signatures.isdisjoint((node.signature, node.declared))}
        if not running <= stale:
            return ()
        return tuple(name for name in plan.in_state(State.COMPUTE) if name in stale)

    def planned(self, plan: Plan) -> None:
        with self._lock:
            self._plan, self._running = plan, set()
        super().planned(plan)

    def node_started(self, name: str) -> None:
        with self._lock:
            self._running.add(name)
        super().node_started(name)

    def node_finished(self, name: str, seconds: float) -> None:
        with self._lock:
            self._running.discard(name)
        super().node_finished(name, seconds)

    def answered(self, seconds: float) -> None:
        with self._lock:
            self._plan = None
        super().answered(seconds)

    def close(self) -> None:
        """Takes a bar away, when a run ends early."""
        close = getattr(self._told, "close", None)
        if close is not None:
            close()


def texts_of(files: Iterable[Path]) -> dict[Path, str]:
    """What is in each file; one that is not there, or is no text, has none."""
    found = {}
    for file in files:
        try:
            found[file] = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue  # an editor may be replacing it
    return found


def edited(before: Mapping[Path, str], after: Mapping[Path, str]) -> str:
    """Which files differ, and at which of their lines now, in a line; empty where none does.

    >>> edited({Path("a.py"): "1\\n2\\n3\\n"}, {Path("a.py"): "1\\nx\\ny\\n3\\n4\\n", Path("b.py"): ""})
    'a.py: lines 2-3, line 5; b.py is new'
    >>> edited({Path("a.py"): "1\\n2\\n"}, {Path("a.py"): "1\\n"})
    'a.py: after line 1'
    """
    told = [f"{file.name} is new" if file not in before else _places(file, before[file], text)
            for file, text in after.items() if before.get(file) != text]
    told += [f"{file.name} is gone" for file in before if file not in after]
    more = [f"{len(told) - _MOST_FILES} more files"] if len(told) > _MOST_FILES else []
    return "; ".join([*told[:_MOST_FILES], *more])


def _places(file: Path, before: str, after: str) -> str:
    places = list(_lines(before.splitlines(), after.splitlines()))
    more = [f"and {len(places) - _MOST_PLACES} more"] if len(places) > _MOST_PLACES else []
    return f"{file.name}: {', '.join([*places[:_MOST_PLACES], *more])}"


def _lines(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    for tag, _, _, start, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "delete":
            yield f"after line {start}"
        elif tag != "equal":
            yield f"line {end}" if end - start == 1 else f"lines {start + 1}-{end}"


Texts = Mapping[Path, str]


class Running(Protocol):
    """A run that is under way."""

    def stale_by(self, signatures: frozenset[str]) -> tuple[str, ...]:
        """See `SeenRun.stale_by`."""


@contextmanager
def overtaking(
    seen: Running, saved: Callable[[Texts, Event], Texts | None], signatures: Callable[[Event], frozenset[str]],
    end: Callable[[str], None], before: Texts,
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
