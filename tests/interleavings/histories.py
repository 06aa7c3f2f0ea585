"""One history: who works on the catalog, what befalls them, and what came of it."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest import mock

from helix_spark.catalog import artifacts, catalog_reader, failpoints, leases, verification
from helix_spark.catalog import catalog as catalogs
from helix_spark.catalog.places import catalog_folder
from helix_spark.catalog.places.catalog_folder import Layout
from helix_spark.catalog.segments import folding, record_log
from helix_spark.catalog.segments.record_log import PAUSES
from tests.interleavings import checks, world
from tests.interleavings.disk import CREATED, DISK, Disk
from tests.interleavings.drivers import ACTIONS, BUDGETS, SIGNATURES, Acknowledged, Script, opened
from tests.interleavings.world import DAY, HOUR, Clock, Driver, Faults, Stop, World

_FAULTS = (
    Faults(switch=0.15), Faults(switch=0.02, pause=0.002), Faults(switch=0.06, pause=0.004),
    Faults(switch=0.06, pause=0.002, crash=0.0007), Faults(switch=0.05, lost=0.02, failed=0.01, again=0.02),
    Faults(switch=0.05, pause=0.002, crash=0.0004, lost=0.01, failed=0.005, late=0.01, again=0.01, unread=0.003),
)


_ABSENT = 0.3
"""Of the histories: in these one is stopped for long while another works on."""


_SLOW_APPEND = 0.2
"""Of the others: in these an append waits while what comes after it is folded, and upkeep is stopped as it deletes."""

_DECAY = 0.1
"""Of the histories: in these a file of the records is damaged or lost."""


@dataclass(frozen=True)
class Outcome:
    """What came of a history.

    Attributes:
        wrong: in words.
    """

    seed: int
    drivers: int
    steps: int
    wrong: tuple[str, ...]
    trace: tuple[str, ...] = ()


@contextmanager
def simulated() -> Iterator[None]:
    """The catalog's code, on the simulated clock and processes, in this process."""
    clock = Clock()
    with ExitStack() as stack:
        for module in (record_log, leases, catalogs, artifacts, verification):
            stack.enter_context(mock.patch.object(module, "time", clock))
        stack.enter_context(mock.patch.object(leases, "this_process", _this_process))
        stack.enter_context(mock.patch.object(leases.Leases, "_start_heartbeat"))
        stack.enter_context(mock.patch.object(leases.Holder, "is_here", property(_is_here)))
        stack.enter_context(mock.patch.object(leases.Holder, "is_gone", property(_is_gone)))
        stack.enter_context(mock.patch.object(catalog_reader, "index_file", _index_file))
        stack.enter_context(mock.patch.object(folding, "AT_ONCE", 3))
        stack.enter_context(mock.patch.object(folding, "KEPT_SEGMENTS", 4))
        stack.enter_context(mock.patch.object(uuid, "uuid4", _fresh_id))
        stack.enter_context(failpoints.watched(_point))
        yield


_REAL_ID, _REAL_PROCESS, _REAL_INDEX = uuid.uuid4, leases.this_process, catalog_folder.index_file


def _point(name: str) -> None:
    if world.simulates():
        world.world().point(name)


def _index_file(layout: Layout, catalog_id: str) -> Path | None:
    return None if world.simulates() else _REAL_INDEX(layout, catalog_id)


def _this_process() -> leases.Holder:
    return world.world().current.holder if world.simulates() else _REAL_PROCESS()


def _is_here(holder: leases.Holder) -> bool:
    return holder.machine == world.world().current.holder.machine


def _is_gone(holder: leases.Holder) -> bool:
    """As the system tells of processes of the same machine."""
    here = world.world()
    return _is_here(holder) and not any(
        driver.number == holder.pid and not driver.dead and not driver.done for driver in here.drivers
    )


def _fresh_id() -> uuid.UUID:
    return uuid.UUID(int=world.world().random.getrandbits(128), version=4) if world.simulates() else _REAL_ID()


@cache
def _templates() -> tuple[Disk, ...]:
    """Catalogs with some history of their own: none, a little, and some that is days old."""
    found = [Disk()]
    for number, actions in enumerate((
        ["iterates"], ["iterates"] * 3 + ["stores"] * 2, ["iterates"] * 7 + ["stores"],
        (["iterates"] * 4 + ["tidies", "days"]) * 2, (["iterates"] * 6 + ["stores", "tidies", "days"]) * 3,
    )):
        made = World(10**12 + number, Faults())
        world.enter(made)
        DISK[:] = [Disk()]
        script = Script(made, made.current, Acknowledged(), [])
        script.catalog = opened()
        for action in actions:
            if action == "days":
                made.now += 4 * DAY
            else:
                getattr(script, action)()
        _age(DISK[-1], made.now)
        found.append(DISK[-1])
    return tuple(found)


def _age(disk: Disk, now: float) -> None:
    """The template ended a moment before a history begins."""
    for inside in disk.folders.values():
        for file in inside.values():
            file.mtime += 1_000_000.0 - now


def history(seed: int, *, traced: bool = False, planted: Callable[[], ExitStack] = ExitStack) -> Outcome:
    """Runs one history. Call it within `simulated`.

    Args:
        planted: a mistake that is made in it.
    """
    templates = _templates()
    chosen = random.Random(seed)
    random.seed(seed)
    PAUSES.seed(seed)
    made = World(seed, chosen.choice(_FAULTS), traced=traced)
    world.enter(made)
    DISK[:] = [chosen.choice(templates).copy()]
    told, budget = _already(made), chosen.choice(BUDGETS)
    count = chosen.choice((2, 2, 2, 3, 3, 4, 5))
    made.drivers = [Driver(number + 1, skew=chosen.choice((0.0, 0.0, 30.0, -DAY))) for number in range(count)]
    works = [[chosen.choice(ACTIONS) for _ in range(chosen.choice((1, 2, 2, 3)))] for _ in made.drivers]
    if chosen.random() < _ABSENT:
        # One is stopped somewhere in what it does, and another works on for days and tidies meanwhile.
        made.drivers[0].stop = Stop(chosen.randrange(1, 25))
        works[0] = [chosen.choice(("iterates", "stores", "tidies", "evicts")), "iterates"]
        works[1] = ["iterates", "iterates", "longer", "iterates", "longer", "iterates", "tidies"]
    elif chosen.random() < _SLOW_APPEND:
        made.drivers[0].stop = Stop(chosen.randrange(1, 12), 2 * HOUR, "fold.deleting")
        made.drivers[1].stop = Stop(chosen.randrange(1, 4), HOUR, chosen.choice(("log.appending", CREATED)))
        works[0], works[1] = ["soon", "iterates", "iterates", "iterates"], ["iterates", "iterates"]
    if chosen.random() < _DECAY:
        chosen.choice(works)[1:1] = ["decays", "iterates"]
    scripts = [Script(made, driver, told, work, budget) for driver, work in zip(made.drivers, works, strict=True)]
    with planted():
        made.run([script.run for script in scripts])
        wrong = tuple(checks.wrong(made, told, budget))
    return Outcome(seed, count, made.steps, wrong, tuple(made.trace or ()))


def _already(made: World) -> Acknowledged:
    """What was on record before the history began, as if it had been acknowledged in it."""
    told = Acknowledged()
    artifacts, iterations, nodes, results, files = checks.rows_of(opened())
    told.started = {one.run: (one.workflow, one.number) for one in iterations if one.status == "running"}
    told.ended = {one.run for one in iterations if one.status == "done"}
    told.nodes = {f"{one.run} {one.name}" for one in nodes}
    runs = {(one.workflow, one.number): one.run for one in iterations}
    told.results = {runs[one.workflow, one.iteration]: one.random for one in results}
    told.files = {one.run: one.file_digest for one in iterations if one.status == "done"}
    assert {one.digest for one in files} == set(told.files.values())
    ended = {one.attempt: one.signature for one in artifacts if one.event != "published"}
    told.published = {one.attempt: one for one in artifacts if one.event == "published"}
    told.wanted_gone = set(ended)
    told.gone = dict(ended)
    assert all(signature in SIGNATURES for signature in (one.signature for one in artifacts))
    return told
