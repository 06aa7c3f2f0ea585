"""The simulation of a catalog, briefly; that it can fail; and that what it simulates does as the real thing does."""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.catalog_folder import Layout
from helix_spark.catalog.places.object_store import ObjectPath
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import ArtifactRecord, FileRecord, IterationRecord, NodeRecord, ResultRecord
from helix_spark.errors import CatalogError
from helix_spark.identity.parts import digest
from helix_spark.workflow.declaration import Wishes
from tests.interleavings import world
from tests.interleavings.disk import DISK, Disk, SimPath
from tests.interleavings.histories import history, simulated
from tests.interleavings.mutants import MUTANTS, planted
from tests.interleavings.world import Faults, World

SOON_FOUND = {
    "an append takes a number that is taken": 5,
    "what was decided is appended though others appended meanwhile": 31,
    "an append whose answer was lost is made again": 6,
    "an append of a number that was folded counts": 18,
    "an append that was folded meanwhile is made again": 1,
    "upkeep deletes what it folds before the fold is written": 33,
    "a fold leaves out what is damaged": 48,
    "a fold goes over what is missing": 145,
    "what is lost is not said": 28,
    "a result is published though its signature is live": 1,
    "gc takes every lease for dead": 6,
    "the loser of two publications keeps its data": 2,
    "an iteration takes the number that was free when it was planned": 1,
}
"""Mistakes that are found within 300 seeds, with the first seed that found each: the others are tried after it."""


@pytest.fixture(scope="module", autouse=True)
def _within() -> Iterator[None]:
    with simulated():
        yield


def test_histories_end_well() -> None:
    once_wrong = 708_138  # a store wrote a segment late, behind a fold that was damaged meanwhile
    outcomes = [history(seed) for seed in (*range(1, 121), once_wrong)]
    assert {outcome.seed: outcome.wrong for outcome in outcomes if outcome.wrong} == {}
    assert {outcome.drivers for outcome in outcomes} == {2, 3, 4, 5}


def test_a_seed_is_one_history() -> None:
    for seed in (7, 8, 9):
        assert history(seed, traced=True).trace == history(seed, traced=True).trace


@pytest.mark.parametrize("name", SOON_FOUND)
def test_planted_mistakes_are_found(name: str) -> None:
    seeds = (SOON_FOUND[name], *range(1, 301))
    assert any(history(seed, planted=planted(name)).wrong for seed in seeds)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(MUTANTS) - set(SOON_FOUND)))
def test_so_are_those_that_take_longer(name: str) -> None:
    assert any(history(seed, planted=planted(name)).wrong for seed in range(1, 10_000))


def test_the_simulated_place_can_do_what_a_place_can() -> None:
    asked = {name for name in vars(ObjectPath).keys() & {*dir(LocalPath)} if not name.startswith("_")}
    assert {name for name in asked if not hasattr(SimPath, name)} == set()


# What is simulated does as a disk does -------------------------------------------------------------------------------


class Sides:
    """Two processes' views of a catalog on the disk of this machine, and of one in the simulation."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.real = [Catalog.open(root, create=True) for _ in range(2)]
        world.enter(World(1, Faults()))
        DISK[:] = [Disk()]
        self.simulated = [Catalog(Layout(SimPath("sim:/catalog"))) for _ in range(2)]  # type: ignore[arg-type]  # as in drivers.py

    def both(self, who: int, does: Callable[[Catalog], Any]) -> None:
        """Has both do something, and compares what they say."""
        said = [_said(does, catalogs[who]) for catalogs in (self.simulated, self.real)]
        assert said[0] == said[1]

    def days(self, count: float) -> None:
        world.world().now += count * world.DAY
        for path in self._root.rglob("*"):
            then = path.stat().st_mtime - count * world.DAY
            os.utime(path, (then, then))


def _said(does: Callable[[Catalog], Any], catalog: Catalog) -> object:
    try:
        return _without_time(does(catalog))
    except CatalogError as error:
        return error.what.replace(str(catalog.root), "")


def _without_time(said: Any) -> Any:
    if isinstance(said, ArtifactRecord):
        return dataclasses.replace(said, at=0.0)
    if isinstance(said, dict):
        return {name: _without_time(value) for name, value in said.items()}
    return [_without_time(each) for each in said] if isinstance(said, list | tuple) else said


def _value(signature: str, number: int) -> ArtifactRecord:
    return ArtifactRecord(
        signature, digest("attempt", str(number))[:32], "value", "published", "w", "n", 1, 0.0, value="1",
        insisted=number % 2 == 0, insisted_by=("a", "b")[: number % 3],
    )


def _steps(number: int, signature: str) -> list[Callable[[Catalog], Any]]:
    run = digest("run", str(number))[:32]
    started = IterationRecord(run, "it's", 0, "running", 0.0, dirty=None if number % 2 else True)
    nodes = [
        NodeRecord(run, "it's", number, name, "k", ("a", "b"), "load", "", signature, signature, "[]", bytes=number)
        for name in ("x", "y")
    ]
    return [
        lambda catalog: catalog.start_iteration(started),
        lambda catalog: catalog.append_iteration(dataclasses.replace(started, number=number, status="done"), nodes),
        lambda catalog: catalog.append_results(
            [ResultRecord(signature, signature, "w", "n", "k", number)],
            [FileRecord(digest(str(number % 3)), "a.py", "text")],
        ),
        lambda catalog: catalog.publish(_value(signature, number)),
        lambda catalog: catalog.evict_all({signature: "why"}),
        lambda catalog: catalog.quarantine(signature, "why", attempt=_value(signature, number - 1).attempt),
        lambda catalog: catalog.note_wishes("yours", {signature: Wishes(keep="always")}),
        lambda catalog: catalog.maintain(),
        lambda catalog: catalog.sync(),
    ]


def _looks(signatures: list[str]) -> list[Callable[[Catalog], Any]]:
    return [
        lambda catalog: catalog.live(),
        lambda catalog: catalog.iterations("it's", 3),
        lambda catalog: catalog.iterations(),
        lambda catalog: [catalog.last_event(signature) for signature in signatures],
        lambda catalog: catalog.last_events(signatures),
        lambda catalog: (catalog.workflows(), catalog.loads()),
        lambda catalog: catalog.measured("w", ["n"]),
        lambda catalog: _of_view(catalog),
    ]


def _of_view(catalog: Catalog) -> object:
    view = catalog.snapshot("it's")
    return [dict(view.artifacts), view.last, view.nodes, [dataclasses.astuple(one) for one in view.past],
            view.next_iteration]


def test_the_simulated_place_does_as_a_disk_does(tmp_path: Path) -> None:
    sides, chosen = Sides(tmp_path / "catalog"), random.Random(4)
    signatures = [digest("s", str(number)) for number in range(3)]
    for number in range(1, 76):
        who = chosen.randrange(2)
        sides.both(who, chosen.choice(_steps(number, chosen.choice(signatures))))
        if number % 15 == 0:
            sides.days(5)
            sides.both(who, lambda catalog: catalog.maintain())
        sides.both(1 - who, chosen.choice(_looks(signatures)))
    for look in _looks(signatures):
        for who in range(2):
            sides.both(who, look)
