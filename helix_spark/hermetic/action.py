"""One node's Python while it runs. Actions take turns, as the generators that they share are one for all threads."""

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
from helix_spark.hermetic.generators import AUTHOR_SEEDS, Draws, Entropy, EntropyGiven
from helix_spark.hermetic.memos import Memos
from helix_spark.hermetic.observed_inputs import ObservedInputs
from helix_spark.hermetic.watch import Watch, Wrapped, observed_in


class Action:
    """What one piece of the author's code does while it runs. What it draws follows from `seed`; `watch` is None where
    it does not matter what it reads and asks for.

    Attributes:
        look_again: is called once its turn has come, before it is watched; None where nothing is to be looked at.
        note_request: is given each request to Spark that its code is about to send; None where nobody looks.
        drew: once it is over, whether it drew numbers.
        identifiers: what identifiers of Spark's stages are drawn from.
        disturbed: whether another action may have drawn from the generators while it did.
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
    """Whose turn it is: that of `holder`, a thread, as its ident is given again; `action` is its innermost one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.holder: threading.Thread | None = None
        self.action: Action | None = None


_PATIENCE = 60.0
"""Seconds after which an action goes on out of turn: the one whose turn it is may wait for a lock of this one's."""

_LOOK_SECONDS = 5.0
"""How often an action that waits looks whether the thread whose turn it is still lives."""

_turn = _Turn()
_working: WeakKeyDictionary[threading.Thread, Action] = WeakKeyDictionary()
"""What threads do or did, those that actions started as well. By thread, as an ident is given again."""

_waited = threading.local()
_counting = threading.Lock()
_under_way = 0
"""Actions, or spans in which some are to come, for which what they ask for is intercepted."""


def current() -> Action | None:
    """Return the action that the calling thread works for."""
    thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # current_thread() makes one up
    found = _working.get(thread) if thread is not None else None
    return found if found is not None and found.under_way else None


def asks(what: str, frame: FrameType | None) -> None:
    """Note something that is another one in the next session (a phrase), if it is the author's own code that asks."""
    watch = _watch(frame)
    if watch is not None and (who := asker(frame)) is not None and who.kind is CodeOwner.AUTHOR:
        watch.note_nondeterminism(who.at(what))


def _entropy() -> Entropy | None:
    if (found := current()) is None:
        return None
    # Identifiers that Spark draws for stages change no result: they are no draw of the author's.
    passing_on = (CodeOwner.PYTHON, CodeOwner.HELIX)
    asks = next((kind for _, kind in callers(sys._getframe(1)) if kind not in passing_on), None)
    return found.identifiers if asks is CodeOwner.SPARK else found.draws.entropy


def _watch(_frame: FrameType | None) -> Watch | None:
    found = current()
    return None if found is None else found.watch


def _begins_thread(thread: threading.Thread, frame: FrameType | None) -> None:
    """Note a thread that an action starts. One that waits for Spark's server runs no code of the author's."""
    if not is_for_spark(frame) and (found := current()) is not None:
        _working[thread] = found


_memos = Memos()
_given, _wrapped = EntropyGiven(_entropy), Wrapped(_watch, _begins_thread)


@contextmanager
def in_action(action: Action) -> Iterator[None]:
    """Control and watch the author's code that runs in this thread meanwhile. Wait until no other action is under way,
    except those that wait for Spark themselves; within one, another may begin."""
    thread, turn = threading.current_thread(), _turn
    outer = turn.action if turn.holder is thread else None
    if outer is None:
        turn = _turn_taken(thread)
    before = _working.get(thread)
    try:
        if action.look_again is not None:
            action.look_again()
        action.outer, turn.action = outer, action
        _working[thread], action.under_way = action, True
        uses = _memos.begin()
        with actions_to_come(), AUTHOR_SEEDS.holding(action):
            action.draws.begin()
            try:
                with ending_children():
                    yield
            finally:
                _memos.end(uses, action.watch)
                action.drew = action.draws.end()
                action.seeds = {name: AUTHOR_SEEDS.digest(name) for name in action.draws.drawn}
    finally:
        turn.action, action.under_way = outer, False
        if before is not None:
            _working[thread] = before
        if outer is None and turn.holder is thread:
            turn.holder = None
            turn.lock.release()


def _turn_taken(thread: threading.Thread) -> _Turn:
    """Wait for the turn of the calling thread. The turn of a thread that has ended is over."""
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
    """Let other actions run while this thread waits for something outside of Python, such as a job of Spark's."""
    turn, thread = _turn, threading.current_thread()
    if turn.holder is not thread or turn.action is None:
        yield
        return
    action = turn.action
    nested = [action]
    while nested[-1].outer is not None:
        nested.append(nested[-1].outer)
    states = [(one, one.draws.away()) for one in nested]
    turn.holder, turn.action = None, None
    turn.lock.release()
    try:
        yield
    finally:
        if turn.lock.acquire(timeout=_PATIENCE):
            turn.holder, turn.action = thread, action
            for one, state in reversed(states):
                one.draws.back(state)
        else:
            for disturbed in (*nested, turn.action):
                if disturbed is not None:
                    disturbed.disturbed = True


def abandon() -> None:
    """Stop waiting for the actions that an interrupt has left behind: they may never end."""
    global _turn
    left, _turn = _turn.action, _Turn()
    while left is not None:
        left.draws.put_back()
        AUTHOR_SEEDS.release(left)
        left = left.outer


@contextmanager
def actions_to_come() -> Iterator[None]:
    """Intercept what actions ask for, in all threads; several may share one installation."""
    global _under_way
    try:
        with _counting:
            _under_way += 1
            if _under_way == 1:
                _given.install()
                _wrapped.install()
        yield
    finally:
        with _counting:
            _under_way -= 1
            if _under_way == 0:
                _wrapped.remove()
                _given.remove()
