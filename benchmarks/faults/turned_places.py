"""A catalog's place is changed while a run goes on: its link is turned, its folder moved, another put in its place."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.faults.job import Heard, answers, run, workflow
from benchmarks.faults.row import Tally, fault
from benchmarks.faults.usable import goes_on
from helix_spark.catalog import failpoints
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.same_place import SamePlace
from helix_spark.errors import CatalogError

POINTS = (
    "lease.taken", "store.begun", "store.file_written", "store.written", "journal.appending", "journal.looked",
    "journal.committed", "publish.recorded", "iteration.results", "iteration.nodes", "gc.found", "journal.syncing",
)
"""A run reaches each of them. At `journal.looked` the place was looked at, and nothing looks again until the record is
written."""


class Place:
    """A folder with a catalog named `first`, which is reached by the link `catalog`; a further one, and a copy."""

    def __init__(self, sound: Path, folder: Path) -> None:
        shutil.copytree(sound, folder, symlinks=True)
        self.folder = folder
        self.before: dict[str, bytes | None] = {}

    @property
    def name(self) -> Path:
        return self.folder / "catalog"

    def content(self) -> dict[str, bytes | None]:
        """What lies under the name now, None for folders; without notes of how far runs are, and leases."""
        there, found = self.name.resolve(), dict[str, bytes | None]()
        for path in (there, *there.rglob("*")) if there.exists() else ():
            inside = path.relative_to(there)
            if inside.parts[:1] != ("leases",) and inside.parts[:2] != ("records", "running"):
                found[str(inside)] = path.read_bytes() if path.is_file() else None
        return found

    def turned(self) -> None:
        shutil.copytree(self.folder / "first", self.folder / "copy")
        self.name.unlink()
        self.name.symlink_to("copy")

    def turned_to_another(self) -> None:
        self.name.unlink()
        self.name.symlink_to("other")

    def moved_away(self) -> None:
        (self.folder / "first").rename(self.folder / "away")

    def moved(self) -> None:
        self.moved_away()
        (self.folder / "first").mkdir()

    def replaced_by_a_copy(self) -> None:
        shutil.copytree(self.folder / "first", self.folder / "copy")
        self.moved_away()
        (self.folder / "copy").rename(self.folder / "first")

    def replaced_by_another(self) -> None:
        self.moved_away()
        (self.folder / "other").rename(self.folder / "first")

    def emptied_and_filled(self) -> None:
        (self.folder / "away").mkdir()
        for path in (self.folder / "first").iterdir():
            path.rename(self.folder / "away" / path.name)
        shutil.copytree(self.folder / "other", self.folder / "first", dirs_exist_ok=True)


CHANGES: tuple[Callable[[Place], None], ...] = (
    Place.turned, Place.turned_to_another, Place.moved_away, Place.moved, Place.replaced_by_a_copy,
    Place.replaced_by_another, Place.emptied_and_filled,
)


def _changed_during_a_run(place: Place, change: Callable[[Place], None], point: str, nth: int) -> str:
    """What is wrong after a run during which the place was changed; empty if nothing is."""
    heard, reached = Heard(), 0

    def at_point(name: str) -> None:
        nonlocal reached
        reached += name == point
        if name == point and reached == nth:
            change(place)
            place.before = place.content()

    with failpoints.watched(at_point):
        outputs = _outputs(place, heard)
    if reached < nth:
        return f"{point} was reached {reached} times"
    said = any("is not what it was" in text for text in heard.warnings)
    after = place.content()
    # What a copy has of a result that was being written is deleted there as well: nothing could use it.
    elsewhere = [name for name in after if name not in place.before or after[name] != place.before[name]]
    elsewhere += [name for name in place.before if name not in after and not name.startswith("tables/")]
    if outputs != answers(9):
        return f"answered {outputs}"
    if elsewhere and not (point == "journal.looked" and said):
        return f"{elsewhere[:3]} were written in the other place; said was {heard.warnings}"
    if elsewhere and change in (Place.moved_away, Place.moved):
        return ""  # where no catalog is: it was said, and there is nothing to go on with
    for root in {path.resolve(): path for path in (place.folder / "away", place.folder / "first", place.name)}.values():
        if root.exists() and (what := goes_on(root, 10, 1)):
            return f"{root.name}: {what}"
    return ""


def _reached(place: Place) -> Counter[str]:
    """How often a run reaches each failpoint if nothing is changed."""
    reached = Counter[str]()
    with failpoints.watched(lambda name: reached.update([name])):
        assert run(place.name, workflow(9)) == answers(9)
    return reached


def _moments(reached: Counter[str]) -> Iterator[tuple[Callable[[Place], None], str, int]]:
    """Each change at each point when it is first reached, then at each further time. Of both, all points come with
    some change before one of them comes again."""
    first = [(point, 1) for point in POINTS]
    later = [(point, nth) for point in POINTS for nth in range(2, reached[point] + 1)]
    for times in (first, later):
        for turn in range(len(CHANGES)):
            for index, (point, nth) in enumerate(times):
                yield CHANGES[(index + turn) % len(CHANGES)], point, nth


@fault("a catalog whose place is changed during a run: its link turned, its folder moved, another put there",
       "the answer is given, nothing is written elsewhere; both are usable afterwards", short=3, full=198)
def place_is_changed(folder: Path, count: int, tally: Tally) -> None:
    sound = _sound(folder)
    moments = _moments(_reached(Place(sound, folder / "untouched")))
    for _, (change, point, nth) in zip(tally.rounds(count), moments, strict=False):
        what = _changed_during_a_run(Place(sound, folder / "place"), change, point, nth)
        tally.expect(not what, f"{change.__name__} at {point}, time {nth}: {what}")
        shutil.rmtree(folder / "place")


def _outputs(place: Place, heard: Heard) -> dict[str, Any]:
    """What a run in a place answers; a refusal, which is heard, takes nothing from anybody."""
    try:
        return run(place.name, workflow(9), heard)
    except CatalogError as error:
        heard.warnings.append(str(error))
        return answers(9)


def _changed_behind_a_look(place: Place, change: Callable[[Place], None], nth: int) -> str | None:
    """What is wrong after a run during which the place was changed just after it was looked at for the nth time, so
    that what was about to be written there goes wherever the name leads then; None if there were not so many looks."""
    looks, look = 0, SamePlace.check

    def looked_at(self: SamePlace) -> None:
        nonlocal looks
        look(self)
        looks += 1
        if looks == nth:
            change(place)

    heard = Heard()
    with patch.object(SamePlace, "check", looked_at):
        outputs = _outputs(place, heard)
    if looks < nth:
        return None
    if outputs != answers(9):
        return f"answered {outputs}"
    for name in ("catalog", "away", "first", "other", "copy"):
        root = place.folder / name
        if not (root / "helix.json").exists():
            continue  # an empty folder: what was written into it is no catalog
        kept = {one.number for one in Catalog.open(root, create=False).iterations("job") if one.status == "done"}
        if missing := ({1} if name == "other" else set()) - kept:
            return f"{name} has no iteration {missing} any more"
        if what := goes_on(root, 10, 1):
            return f"{name}: {what}"
        if damage := Catalog.open(root, create=False).repair(dry_run=True).damage:
            return f"{name} is damaged: {damage}"
    return ""


@fault("a catalog whose place is changed just after it was looked at, and before what was to be written there is",
       "the answer is given; each catalog that is there keeps its records, and is usable", short=1, full=150)
def place_is_changed_behind_a_look(folder: Path, count: int, tally: Tally) -> None:
    sound = _sound(folder)
    for index in tally.rounds(count):
        change, nth = CHANGES[index % len(CHANGES)], 1 + (index - 1) // len(CHANGES)
        what = _changed_behind_a_look(Place(sound, folder / "place"), change, nth)
        if what is not None:
            tally.expect(not what, f"{change.__name__} after look {nth}: {what}")
        shutil.rmtree(folder / "place")


def _sound(folder: Path) -> Path:
    for key in range(1, 5):
        run(folder / "sound" / "first", workflow(key))
    run(folder / "sound" / "other", workflow(8))
    (folder / "sound" / "catalog").symlink_to("first")
    return folder / "sound"
