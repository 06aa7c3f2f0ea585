"""One node's Python while it runs. Actions take turns, as the generators that they share are one for all threads."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import _lru_cache_wrapper, cached_property
from importlib.machinery import ModuleSpec
from types import BuiltinFunctionType, FrameType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any, NamedTuple, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from helix_spark.forks import ending_children
from helix_spark.hermetic.asking import CodeOwner, asker, callers, is_for_spark, kind_of
from helix_spark.hermetic.generators import AUTHOR_SEEDS, Draws, Entropy, EntropyGiven, is_generator
from helix_spark.hermetic.lazy_variables import is_lazy
from helix_spark.hermetic.observed_inputs import ObservedInputs
from helix_spark.hermetic.watch import Event, Watch, Wrapped, observed_in

_R = TypeVar("_R")


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


Memo: TypeAlias = "_lru_cache_wrapper[Any]"


class Uses(NamedTuple):
    """Memos as an action begins: how often each has answered, and was filled; and variables that are None, each with
    the module or class that has it."""

    memos: Mapping[Memo, tuple[int, int]]
    unset: Sequence[tuple[str, ModuleType | type]]


@dataclass(frozen=True)
class Holders:
    """What modules of the author's hold by its name and may keep what code made: memos, also those of classes; objects
    of the author's classes; variables that are None, each with the module or class that has it."""

    memos: dict[Memo, None] = field(default_factory=dict)
    objects: list[object] = field(default_factory=list)
    unset: list[tuple[str, ModuleType | type]] = field(default_factory=list)

    def look_at_module(self, module: ModuleType, authors: Container[str]) -> None:
        """Add what a module holds; `authors` has the names of the author's modules."""
        for name, value in [*vars(module).items()]:
            if (kind := type(value)) in _KEEPS_NOTHING:
                continue
            if value is None:
                self.unset.append((name, module))
            elif issubclass(kind, type):
                if value.__module__ == module.__name__:
                    self._look_at_class(value)
            elif _is_memo(value):
                self.memos[value] = None
            elif kind.__module__ in authors:
                self.objects.append(value)

    def _look_at_class(self, one: type) -> None:
        is_plain = type(one) is type  # a metaclass may have a say in what is set
        for name, member in [*vars(one).items()]:
            if type(member) in _KEEPS_NOTHING:
                continue
            if member is None and is_plain:
                self.unset.append((name, one))
            elif _is_memo(function := getattr(member, "__func__", member)):
                self.memos[function] = None


_KEEPS_NOTHING = frozenset({
    FunctionType, ModuleType, ModuleSpec, BuiltinFunctionType, GetSetDescriptorType, MemberDescriptorType, property,
    str, bytes, int, float, complex, bool, tuple, list, dict, set, frozenset,
})
"""Types of nearly all that modules and classes hold: an action that begins looks at each value."""


class Memos:
    """What filled the memos of the author's project (`functools.cache`): it counts for each action that they answer.
    One that was filled where nothing was watched, as while its module was imported, is emptied; and so is one behind
    the action that filled it, if it keeps what actions may change for each other. So are the cached properties of
    objects that modules hold, and variables that are made once (`is_lazy`): nobody says who asks for them."""

    def __init__(self) -> None:
        self._filled_by: WeakKeyDictionary[Memo, dict[tuple[str, str], Event]] = WeakKeyDictionary()
        self._modules: dict[str, None] = {}
        self._looked_at = set[str]()

    def begin(self) -> Uses:
        """Return the uses before an action, without memos that were filled unwatched."""
        holders = self._holders()
        for value in holders.objects:
            for name in _cached_properties(value):
                vars(value).pop(name, None)
        uses = {}
        for memo in holders.memos:
            info = memo.cache_info()
            if info.currsize and memo not in self._filled_by:
                memo.cache_clear()
            uses[memo] = (info.hits, info.misses) if memo in self._filled_by else (0, 0)
        return Uses(uses, holders.unset)

    def end(self, before: Uses, watch: Watch | None) -> None:
        """Note what filled the memos that answered an action, and what it filled; None if nothing was watched."""
        for name, holder in before.unset:
            module = holder if isinstance(holder, ModuleType) else sys.modules.get(holder.__module__)
            file = str(getattr(module, "__dict__", {}).get("__file__"))
            if vars(holder).get(name) is not None and is_lazy(name, file, self._files()):
                setattr(holder, name, None)
        for memo in self._holders().memos:
            info, (hits, misses) = memo.cache_info(), before.memos.get(memo, (0, 0))
            if watch is None:
                if info.misses > misses:
                    self._filled_by.pop(memo, None)
                continue
            if info.hits > hits:
                watch.adopt(self._filled_by.get(memo, {}).values())
            if info.misses > misses and any(map(_may_change, _kept_in(memo))):
                self._filled_by.pop(memo, None)
                memo.cache_clear()
            elif info.misses > misses:
                self._filled_by.setdefault(memo, {}).update({event[:2]: event for event in watch.events})

    def _holders(self) -> Holders:
        for name in {*list(sys.modules)} - self._looked_at:  # there are thousands, and an action begins every moment
            self._looked_at.add(name)
            if _is_authors(name):
                self._modules[name] = None
        found = Holders()
        for name in self._modules:
            if isinstance(module := sys.modules.get(name), ModuleType):
                found.look_at_module(module, self._modules)
        return found

    def _files(self) -> Iterator[str]:
        modules = (vars(sys.modules[name]) for name in self._modules if name in sys.modules)
        return (file for module in modules if isinstance(file := module.get("__file__"), str))


def _is_authors(name: str) -> bool:
    """Return whether a module that is loaded under a name is the author's."""
    file = vars(module).get("__file__") if isinstance(module := sys.modules.get(name), ModuleType) else None
    return name == "__main__" or (isinstance(file, str) and kind_of(file) is CodeOwner.AUTHOR)


def _is_memo(value: object) -> bool:
    """Return whether a value is a memo of a function of the author's."""
    function = value.__wrapped__ if isinstance(value, _lru_cache_wrapper) else None
    return isinstance(function, FunctionType) and kind_of(function.__code__.co_filename) is CodeOwner.AUTHOR


def _cached_properties(value: object) -> Iterator[str]:
    """Yield the names under which the classes of an object of the author's cache what they compute of it."""
    for kind in type(value).__mro__:
        yield from (name for name, member in vars(kind).items() if isinstance(member, cached_property))


def _kept_in(memo: Memo) -> Iterator[object]:
    """Yield what a memo keeps, results and perhaps arguments, as Python's collector sees them. Nothing else does."""
    for one in gc.get_referents(memo):
        if one is vars(memo):
            continue
        values = list(one.values()) if type(one) is dict else []
        # The memo's own table: of results, or of places in order, where their number has a limit.
        is_table = memo.cache_parameters()["maxsize"] is None or type(next(iter(values), None)).__name__ == _PLACE
        yield from values if values and is_table else [one]


_PLACE = "_lru_list_elem"
_CHANGING = (dict, list, set, deque, bytearray, Iterator)


def _may_change(value: object) -> bool:
    """Return whether a function may change an object of Python's or the author's for others; what libraries make is
    taken to stay as it is, but for generators."""
    kind = type(value)
    if kind in (tuple, frozenset):
        return any(map(_may_change, value))  # type: ignore[call-overload]  # the line before
    if issubclass(kind, _CHANGING) or is_generator(value):
        return True
    is_frozen = issubclass(kind, tuple | Enum) or getattr(getattr(kind, "__dataclass_params__", 0), "frozen", False)
    return _is_authors(kind.__module__) and not is_frozen


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
        watch.differs(who.at(what))


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
