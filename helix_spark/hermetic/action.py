"""Run one node's Python. Actions run one at a time, because all threads share the same generators."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

from helix_spark.forks import ending_children
from helix_spark.hermetic.asking import CodeOwner, asker, callers, is_for_spark
from helix_spark.hermetic.generators import AUTHOR_SEEDS, ControlledEntropy, Draws, Entropy
from helix_spark.hermetic.memos import Memos
from helix_spark.hermetic.observed_inputs import ObservedInputs
from helix_spark.hermetic.watch import Watch, Wrapped, observed_in


class Action:
    """One run of a piece of the author's code, whose draws follow from `seed`. `watch` is None if inputs do not matter.

    Attributes:
        look_again: callback before the action is watched, once its turn has come.
        note_request: callback for each request to Spark that its code is about to send.
        drew: True if it drew numbers; set at its end.
        identifiers: the entropy for identifiers of Spark's stages.
        disturbed: True if another action may have drawn from the same generators meanwhile.
    """

    def __init__(self, seed: str, *, watched: bool = True) -> None:
        self.draws = Draws(seed, AUTHOR_SEEDS.state)
        self.identifiers = Entropy(f"identifiers {seed}")
        self.seeds: dict[str, str] = {}
        self.watch = Watch() if watched else None
        self.look_again: Callable[[], None] | None = None
        self.note_request: Callable[[Any], None] | None = None
        self.drew = self.disturbed = self.under_way = False
        self.outer: Action | None = None

    def observed_inputs(self) -> ObservedInputs:
        chance = ("drew numbers while another function may have drawn from the same generators",)
        has_drawn = self.drew or self.draws.drew_held
        drawn = ObservedInputs(self.drew, generators=self.seeds, chance=chance if has_drawn and self.disturbed else ())
        return drawn if self.watch is None else drawn | observed_in(self.watch.events)


class _Turn:
    """The lock of actions, the thread that holds it, and its innermost action."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.holder: threading.Thread | None = None
        self.action: Action | None = None


_PATIENCE = 60.0
"""Seconds after which an action continues without the lock: its holder may wait for a lock of this action."""

_LOOK_SECONDS = 5.0
"""Seconds between checks whether the thread that holds the lock is alive."""

_turn = _Turn()
_working: WeakKeyDictionary[threading.Thread, Action] = WeakKeyDictionary()
"""The latest action of each thread, including threads that actions started. Idents would be used again."""

_waited = threading.local()
_counting = threading.Lock()
_under_way = 0
"""Count of the uses of `actions_to_come`: calls are intercepted while it is positive."""


def current() -> Action | None:
    """Return the action that the calling thread works for."""
    thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # current_thread() would create a dummy
    action = _working.get(thread) if thread is not None else None
    return action if action is not None and action.under_way else None


def asks(what: str, frame: FrameType | None) -> None:
    """Note a phrase about a value that differs in each session, if the author's own code requests it."""
    watch = _watch(frame)
    if watch is not None and (who := asker(frame)) is not None and who.kind is CodeOwner.AUTHOR:
        watch.note_nondeterminism(who.at(what))


def _entropy() -> Entropy | None:
    if (action := current()) is None:
        return None
    # Identifiers that Spark draws for stages change no result, so they do not count as the author's draws.
    intermediaries = (CodeOwner.PYTHON, CodeOwner.HELIX)
    owner = next((kind for _, kind in callers(sys._getframe(1)) if kind not in intermediaries), None)
    return action.identifiers if owner is CodeOwner.SPARK else action.draws.entropy


def _watch(_frame: FrameType | None) -> Watch | None:
    action = current()
    return None if action is None else action.watch


def _begins_thread(thread: threading.Thread, frame: FrameType | None) -> None:
    """Note a thread that an action starts, unless it is Spark's client that waits for a server."""
    if not is_for_spark(frame) and (action := current()) is not None:
        _working[thread] = action


_memos = Memos()
_entropy_source, _wrapped = ControlledEntropy(_entropy), Wrapped(_watch, _begins_thread)


@contextmanager
def in_action(action: Action) -> Iterator[None]:
    """Control and watch the author's code that runs in this thread. Wait until no other action runs, except those that
    wait for Spark. Actions may be nested."""
    thread, turn = threading.current_thread(), _turn
    outer = turn.action if turn.holder is thread else None
    if outer is None:
        turn = _take_turn(thread)
    before = _working.get(thread)
    try:
        if action.look_again is not None:
            action.look_again()
        action.outer, turn.action = outer, action
        _working[thread], action.under_way = action, True
        caches = _memos.begin()
        with actions_to_come(), AUTHOR_SEEDS.holding(action):
            action.draws.begin()
            try:
                with ending_children():
                    yield
            finally:
                action.drew = action.draws.end()
                _memos.end(caches)
                action.seeds = {name: AUTHOR_SEEDS.digest(name) for name in action.draws.drawn}
    finally:
        turn.action, action.under_way = outer, False
        if before is not None:
            _working[thread] = before
        if outer is None and turn.holder is thread:
            turn.holder = None
            turn.lock.release()


def _take_turn(thread: threading.Thread) -> _Turn:
    """Acquire the lock for the calling thread. Abandon the lock of a thread that has ended."""
    since = time.perf_counter()
    turn = _turn
    while not turn.lock.acquire(timeout=_LOOK_SECONDS):
        holder = turn.holder
        if turn is _turn and holder is not None and not holder.is_alive():
            abandon()
        turn = _turn
    turn.holder = thread
    _waited.seconds = seconds_waited() + time.perf_counter() - since
    return turn


def seconds_waited() -> float:
    return float(getattr(_waited, "seconds", 0.0))


@contextmanager
def others_first() -> Iterator[None]:
    """Let other actions run while this thread waits for a job of Spark, for instance."""
    turn, thread = _turn, threading.current_thread()
    if turn.holder is not thread or turn.action is None:
        yield
        return
    action = turn.action
    nested = [action]
    while nested[-1].outer is not None:
        nested.append(nested[-1].outer)
    states = [(paused, paused.draws.away()) for paused in nested]
    turn.holder, turn.action = None, None
    turn.lock.release()
    try:
        yield
    finally:
        if turn.lock.acquire(timeout=_PATIENCE):
            turn.holder, turn.action = thread, action
            for paused, state in reversed(states):
                paused.draws.back(state)
        else:
            for disturbed in (*nested, turn.action):
                if disturbed is not None:
                    disturbed.disturbed = True


def abandon() -> None:
    """Stop waiting for actions that were interrupted: they may never end."""
    global _turn
    action, _turn = _turn.action, _Turn()
    while action is not None:
        action.draws.put_back()
        AUTHOR_SEEDS.release(action)
        action = action.outer


@contextmanager
def actions_to_come() -> Iterator[None]:
    """Intercept the reads and draws of actions in all threads. Uses may overlap: the first one installs."""
    global _under_way
    try:
        with _counting:
            _under_way += 1
            if _under_way == 1:
                _entropy_source.install()
                _wrapped.install()
        yield
    finally:
        with _counting:
            _under_way -= 1
            if _under_way == 0:
                _wrapped.remove()
                _entropy_source.remove()
