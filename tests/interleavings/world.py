"""The clock and the scheduler: one driver runs at a time, and which one is decided by the seed alone."""

from __future__ import annotations

import errno
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from helix_spark.catalog.leases import Holder
from helix_spark.store_access import StoreError

HOUR = 3600.0
DAY = 24 * HOUR
TICK = 0.004
"""Seconds that a touch of the disk takes."""

PAUSES = (0.05, 1.0, 30.0, 11 * 60.0, 3600.0, 4 * DAY, 12 * DAY)
"""Seconds for which a driver is stopped."""

ABSENCE = 13 * DAY
"""Seconds for which a driver is away, while others work on."""

NOBODY = 100
"""The number of who looks before and after a history."""

MOST_STEPS = 60_000
"""Of a history; one that takes more goes round in circles."""

Told = Literal["yes", "failed", "lost", "late", "again"]
"""What becomes of a write: done and told so; not done; done, and the answer lost; done later, and the answer lost; or
done, the answer lost, and asked for again by the store's client."""


class KilledError(BaseException):
    """Raised in a driver that is dead, wherever it touches the world."""


class StuckError(Exception):
    """A history came to no end."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How often what happens, at a point where it may."""

    switch: float = 0.05
    pause: float = 0.0
    crash: float = 0.0
    lost: float = 0.0
    failed: float = 0.0
    late: float = 0.0
    again: float = 0.0
    unread: float = 0.0

    @property
    def spoil_answers(self) -> bool:
        return bool(self.lost or self.failed or self.late or self.again or self.unread)


@dataclass
class Stop:
    """A point at which a driver is stopped once.

    Attributes:
        left: how many such points it passes until then, this one included.
        at: a failpoint, or a point of the simulation; empty for any.
    """

    left: int
    seconds: float = ABSENCE
    at: str = ""


@dataclass
class Driver:
    """A process that works on the catalog.

    Attributes:
        skew: seconds by which its clock is ahead of that of the disk.
        wake: when it goes on, at the earliest.
        stop: where it is stopped for long.
        beat: gives the heartbeats of what it holds.
        turn: held by everybody but the driver whose turn it is.
    """

    number: int
    skew: float = 0.0
    wake: float = 0.0
    dead: bool = False
    done: bool = False
    error: BaseException | None = None
    stop: Stop | None = None
    beat: Callable[[], None] | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def holder(self) -> Holder:
        return Holder(f"host-{self.number % 2}", f"machine-{self.number % 2}", self.number, "1")


class World:
    """All that drivers share."""

    def __init__(self, seed: int, faults: Faults, *, traced: bool = False) -> None:
        self.random = random.Random(seed)
        self.faults = faults
        self.now = 1_000_000.0
        self.steps = 0
        self.drivers: list[Driver] = []
        self.current = Driver(NOBODY)
        self.calm = True
        self.trace: list[str] | None = [] if traced else None
        self._late: list[tuple[float, Callable[[], None]]] = []
        self._all_over = threading.Lock()

    # What drivers do -----------------------------------------------------------------------------------------------

    def step(self, what: str, where: str = "") -> None:
        """A point at which the driver that runs may be stopped, or die."""
        me = self.current
        if me.dead:
            raise KilledError
        self.now += TICK
        self.steps += 1
        if self.trace is not None:
            self.trace.append(f"{self.now - 1_000_000.0:14.3f} driver {me.number} {what} {where}")
        if self._late:
            self._land()
        if self.calm:
            return
        if self.steps > MOST_STEPS:
            me.dead = True
            raise StuckError(f"{self.steps} steps")
        faults, chance = self.faults, self.random.random()
        if chance < faults.switch:
            self._yield(me, self.now)
        elif chance < faults.switch + faults.pause:
            self.stop(me, self.random.choice(PAUSES))
        elif chance < faults.switch + faults.pause + faults.crash:
            self.note("dies")
            me.dead = True
            raise KilledError

    def point(self, name: str) -> None:
        """A failpoint, or another point at which drivers are stopped more often than elsewhere."""
        self.step("at", name)
        me = self.current
        if me.stop is not None and me.stop.at in ("", name):
            me.stop.left -= 1
        if me.stop is not None and me.stop.left == 0 and not self.calm:
            seconds, me.stop = me.stop.seconds, None
            self.stop(me, seconds)
        elif not self.calm and self.faults.pause and self.random.random() < 0.03:
            self.stop(me, self.random.choice(PAUSES))

    def stop(self, me: Driver, seconds: float) -> None:
        self.note(f"is stopped for {seconds:,.0f} s")
        self._yield(me, self.now + seconds)

    def told(self) -> Told:
        """What becomes of the write that comes now."""
        if self.calm or not self.faults.spoil_answers:
            return "yes"
        chance, faults = self.random.random(), self.faults
        if chance < faults.lost:
            return "lost"
        if chance < faults.lost + faults.failed:
            return "failed"
        chance -= faults.lost + faults.failed
        return "late" if chance < faults.late else "again" if chance < faults.late + faults.again else "yes"

    def is_unread(self) -> bool:
        """Whether the store does not answer to the read that comes now."""
        return not self.calm and bool(self.faults.unread) and self.random.random() < self.faults.unread

    def later(self, does: Callable[[], None]) -> None:
        """Have a request carried out that was on its way when its answer was given up."""
        self._late.append((self.now + self.random.choice((0.01, 0.1, 2.0, 60.0)), does))

    def sleep(self, seconds: float) -> None:
        """Let time pass for the driver that runs, with the heartbeats of what it holds."""
        me, left = self.current, seconds
        if self.calm:
            self.now += seconds
            return
        while left > 0:
            part = min(5.0, left) if me.beat is not None and seconds < DAY else left
            self._yield(me, self.now + part)
            left -= part
            if me.beat is not None:
                me.beat()

    def note(self, text: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.now - 1_000_000.0:14.3f} driver {self.current.number} {text}")

    @staticmethod
    def refused() -> StoreError:
        return StoreError(errno.EIO, "the store did not answer")

    # The clock, as the code under test asks for it -----------------------------------------------------------------

    def time(self) -> float:
        return self.now + self.current.skew

    def time_ns(self) -> int:
        return int(self.time() * 1e9)

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic

    def strftime(self, form: str) -> str:
        return time.strftime(form, time.gmtime(self.now))

    # Running -------------------------------------------------------------------------------------------------------

    def run(self, works: list[Callable[[], None]]) -> None:
        """Runs drivers side by side until each is done or dead. `drivers` are as many."""
        self.calm = False
        self._all_over.acquire()
        for driver, work in zip(self.drivers, works, strict=True):
            driver.turn.acquire()
            driver.wake = self.now
            threading.Thread(target=self._live, args=(driver, work), daemon=True).start()
        self._next(None)
        self._all_over.acquire()
        self._all_over.release()
        self.calm = True
        self.current = Driver(NOBODY)
        for _, does in sorted(self._late, key=lambda one: one[0]):
            does()
        self._late.clear()

    def _live(self, me: Driver, work: Callable[[], None]) -> None:
        me.turn.acquire()
        _SIMULATED.add(threading.get_ident())
        try:
            work()
        except KilledError:
            pass
        except BaseException as error:  # noqa: BLE001  # it is what the history is checked for
            me.error = error
        _SIMULATED.discard(threading.get_ident())
        me.done = True
        self.note("is done")
        self._next(None)

    def _yield(self, me: Driver, wake: float) -> None:
        me.wake = wake
        self._next(me)
        if me.dead:
            raise KilledError

    def _next(self, me: Driver | None) -> None:
        """Hands over to the driver whose turn it is; returns once it is the turn of `me` again."""
        alive = [one for one in self.drivers if not one.done]
        if not alive:
            self._all_over.release()
            return
        ready = [one for one in alive if one.wake <= self.now]
        if not ready:
            self.now = min(one.wake for one in alive)
            ready = [one for one in alive if one.wake <= self.now]
        chosen = ready[0] if len(ready) == 1 else self.random.choice(ready)
        self.current = chosen
        if chosen is me:
            return
        chosen.turn.release()
        if me is not None:
            me.turn.acquire()

    def _land(self) -> None:
        due = [one for one in self._late if one[0] <= self.now]
        if due:
            self._late = [one for one in self._late if one[0] > self.now]
            for _, does in due:
                does()


_WORLD: list[World] = []
_SIMULATED: set[int] = set()
"""Threads of drivers, and the one that runs the history. Others of the process, such as those that keep leases of real
catalogs alive, go by the real clock."""


def simulates() -> bool:
    """Whether the thread that asks is simulated."""
    return threading.get_ident() in _SIMULATED


def world() -> World:
    """The one that is simulated now."""
    return _WORLD[-1]


def enter(made: World) -> None:
    _WORLD[:] = [made]
    _SIMULATED.add(threading.get_ident())


class Clock:
    """Stands for the module `time` in the code under test."""

    def __getattr__(self, name: str) -> Any:
        return getattr(world() if simulates() else time, name)
