"""Damage to the records: flipped bits, files of each kind that are lost, empty, cut or garbage, and whole folders."""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.failpoints import POINTS
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.segments.segment import pack, segments_in
from helix_spark.errors import CatalogError
from tests.fakes.armed_failpoints import armed
from tests.faults.job import Heard, answers, run, workflow
from tests.faults.processes import ended, run_python, start_job
from tests.faults.row import Tally, fault
from tests.faults.stored_tables import flip
from tests.faults.usable import (
    USABLE,
    all_of,
    copied,
    forget_indexes,
    goes_on,
    next_number,
    read_as_before,
    stored_in,
)


def used(root: LocalPath, runs: int = 2) -> LocalPath:
    """A catalog with a few iterations behind it."""
    return shutil.copytree(Path(_made(runs).name) / "catalog", root)


@cache
def _made(runs: int) -> tempfile.TemporaryDirectory[str]:
    """The one that all rows of a process take copies of."""
    folder = tempfile.TemporaryDirectory(prefix="helix-faults-")
    root = Path(folder.name) / "catalog"
    if runs > 1:
        shutil.copytree(Path(_made(runs - 1).name) / "catalog", root)
    run(root, workflow(runs))
    return folder


def _probe(
    sound: LocalPath, copy: LocalPath, damage: Callable[[LocalPath], Path], tally: Tally, before: Any, *,
    may_lose: bool = True,
) -> str:
    """Damages a copy and reads all of it; then it must be usable. Returns how it was read."""
    hit = damage(copied(sound, copy))
    number = next_number(sound)
    how, wrong = read_as_before(copy, before, may_lose=may_lose)
    key = 1 + tally.injected % 7
    wrong = wrong or goes_on(copy, key, number if how == "read" else 1)
    tally.expect(not wrong, f"{hit.name}: {how}: {wrong}")
    return how


def _segments(root: LocalPath) -> list[LocalPath]:
    return sorted((root / "records").glob("*.segment"))


def _folds(root: LocalPath) -> list[LocalPath]:
    return sorted((root / "records").glob("*.fold"))


def folded(root: LocalPath, *, replaced_are_kept: bool) -> LocalPath:
    """A catalog whose records are in a fold but for those of a last run, and what the fold has replaced, if it is kept.
    """
    used(root, runs=4)
    Catalog.open(root, create=False).maintain()
    run(root, workflow(5))
    (fold,) = _folds(root)
    for file in _segments(root) if not replaced_are_kept else ():
        if int(file.stem) <= int(fold.stem.partition("-")[2]):
            file.unlink()
    return root


def _note(tally: Tally, ways: Mapping[str, int]) -> None:
    tally.note = ", ".join(f"{count} {how}" for how, count in sorted(ways.items()))


def _flips(folder: LocalPath, count: int, tally: Tally, sound: LocalPath, files: Files, *, may_lose: bool) -> None:
    before, chosen = all_of(sound), random.Random(4)

    def damage(root: LocalPath) -> Path:
        file = chosen.choice(files(root))
        flip(file, file.read_bytes(), chosen)
        return file

    copy = folder / "copy"
    _note(tally, Counter(_probe(sound, copy, damage, tally, before, may_lose=may_lose) for _ in range(count)))


Files = Callable[[LocalPath], list[LocalPath]]


@fault("a bit flipped in a file of records", USABLE, short=2, full=200)
def flipped(folder: LocalPath, count: int, tally: Tally) -> None:
    _flips(folder, count, tally, used(folder / "catalog"), _segments, may_lose=True)


@fault("a bit flipped in a fold of the records", "nothing is lost, what it replaced is read", short=2, full=100)
def flipped_fold(folder: LocalPath, count: int, tally: Tally) -> None:
    sound = folded(folder / "catalog", replaced_are_kept=True)
    _flips(folder, count, tally, sound, _folds, may_lose=False)


@fault("a bit flipped in a fold of the records, and what it replaced is gone", USABLE, short=1, full=100)
def flipped_old_fold(folder: LocalPath, count: int, tally: Tally) -> None:
    sound = folded(folder / "catalog", replaced_are_kept=False)
    _flips(folder, count, tally, sound, _folds, may_lose=True)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


DAMAGE: dict[str, Callable[[Path], object]] = {
    "lost": lambda file: shutil.rmtree(file) if file.is_dir() else file.unlink(),
    "empty": lambda file: file.write_bytes(b""),
    "cut": _cut,
    "of garbage": lambda file: file.write_bytes(b"\xff\x00 garbage {"),
    "of zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
}


def _damage_in_turn(
    folder: LocalPath, count: int, tally: Tally, sound: LocalPath, files: Files, *, may_lose: bool = True,
    ways: Sequence[str] = tuple(DAMAGE),
) -> None:
    """Damages one of some files of a catalog in each way."""
    before, chosen = all_of(sound), random.Random(21)

    def hit(root: LocalPath) -> Path:
        file = chosen.choice(files(root))
        DAMAGE[ways[tally.injected % len(ways)]](file)
        return file

    copy = folder / "copy"
    _note(tally, Counter(_probe(sound, copy, hit, tally, before, may_lose=may_lose) for _ in range(count)))


@fault("the records, a segment: lost, empty, cut, of garbage, of zeros", USABLE, short=2, full=100)
def damaged_segments(folder: LocalPath, count: int, tally: Tally) -> None:
    _damage_in_turn(folder, count, tally, used(folder / "catalog"), lambda root: _segments(root)[:-1])


@fault("the records, the newest segment: empty, cut, of garbage, of zeros", USABLE, short=2, full=60)
def damaged_newest(folder: LocalPath, count: int, tally: Tally) -> None:
    """One that is gone is as if it was never written."""
    ways = [name for name in DAMAGE if name != "lost"]
    _damage_in_turn(folder, count, tally, used(folder / "catalog"), lambda root: _segments(root)[-1:], ways=ways)


@fault("the records, a fold: lost, empty, cut, of garbage, of zeros", "nothing is lost, what it replaced is read",
       short=2, full=60)
def damaged_folds(folder: LocalPath, count: int, tally: Tally) -> None:
    sound = folded(folder / "catalog", replaced_are_kept=True)
    _damage_in_turn(folder, count, tally, sound, _folds, may_lose=False)


@fault("the records, a fold, and what it replaced is gone: lost, empty, cut, of garbage, of zeros", USABLE,
       short=1, full=60)
def damaged_old_folds(folder: LocalPath, count: int, tally: Tally) -> None:
    sound = folded(folder / "catalog", replaced_are_kept=False)
    _damage_in_turn(folder, count, tally, sound, _folds)


@fault("the index of the records: lost, empty, cut, of garbage, of zeros",
       "made anew; nothing is lost, nothing is said", short=5, full=60)
def damaged_index(folder: LocalPath, count: int, tally: Tally) -> None:
    root, ways = used(folder / "catalog"), list(DAMAGE.items())
    before = all_of(root)
    for index in range(count):
        name, damage = ways[index % len(ways)]
        forget_indexes()
        all_of(root)
        gc.collect()  # which ends connections: SQLite would wait for them
        (file,) = Path(os.environ["HELIX_INDEX"]).glob("*.sqlite")
        damage(file)
        for beside in file.parent.glob("*.sqlite-*") if index % 2 else ():
            beside.unlink()
        wrong = "" if all_of(root) == before else "other records are read"
        wrong = wrong or "; ".join(Catalog.open(root, create=False).rejections)
        tally.expect(not wrong, f"an index {name}: {wrong}")
    wrong = goes_on(root, 5, next_number(root))
    tally.expect(not wrong, wrong)


def _some_segments(root: LocalPath, chosen: random.Random) -> None:
    for file in chosen.sample(_segments(root), len(_segments(root)) // 2):
        file.write_bytes(b"\xff garbage")


def _some_in_turn(root: LocalPath, chosen: random.Random) -> None:
    files = _segments(root)
    first = chosen.randrange(len(files) - 5)
    for file in files[first : first + 5]:
        file.unlink()


def _file_for_folder(root: LocalPath, chosen: random.Random) -> None:
    shutil.rmtree(root / "records")
    (root / "records").write_text("a file, and no folder")


def _all_ends(root: LocalPath, chosen: random.Random) -> None:
    """As after a loss of power on a disk that wrote names before it wrote what is in the files."""
    for file in _segments(root)[-4:]:
        file.write_bytes(b"")


def _all_records(root: LocalPath, chosen: random.Random) -> None:
    shutil.rmtree(root / "records")


def _all_segments(root: LocalPath, chosen: random.Random) -> None:
    for file in (*_segments(root), *_folds(root)):
        file.write_bytes(b"")


def _folder_of_results(root: LocalPath, chosen: random.Random) -> None:
    shutil.rmtree(root / "tables")


@fault("several files of the records at once: half of them, some in turn, the newest, all, all stored tables",
       "usable once repaired; what is stored is taken up again, what is lost is said", short=3, full=70)
def several(folder: LocalPath, count: int, tally: Tally) -> None:
    sound, chosen, ways = used(folder / "catalog", runs=2), random.Random(21), Counter[str]()
    before = all_of(sound)
    damages = (
        _some_segments, _file_for_folder, _all_ends, _all_records, _all_segments, _some_in_turn, _folder_of_results,
    )
    for index in range(count):
        copy, damage = copied(sound, folder / "copy"), damages[index % len(damages)]
        damage(copy, chosen)
        if damage is _folder_of_results:  # the records are sound, and results are missing
            how, wrong = "read", goes_on(copy, 1 + index % 7, next_number(sound))
        else:
            how, wrong = read_as_before(copy, before, may_lose=True)
            wrong = wrong or goes_on(copy, 1 + index % 7, 1)
        tally.expect(not wrong, f"{damage.__name__}: {how}: {wrong}")
        ways[how] += 1
    _note(tally, ways)


def _retype(file: LocalPath, chosen: random.Random) -> str:
    """Gives a field of a record in a segment, of many or of one, a value of another type; returns its name."""
    ((segment, rows),) = [
        (one, [(kind, dict(row)) for kind, row in one.rows]) for one in segments_in(file.read_bytes())
    ]
    at = chosen.randrange(len(rows))
    kind, fields = rows[at]
    name = chosen.choice(sorted(fields))
    value = {"none": 1} if isinstance(fields[name], list | str) else [str(fields[name])]
    rows[at] = (kind, {**fields, name: value})
    file.write_bytes(pack([segment._replace(rows=rows).lines()]))  # else another's segment seems to be in its place
    return f"{kind}.{name}"


@fault("a column of the records has another type", "the record is left out and said, the run answers right",
       short=1, full=60)
def other_types(folder: LocalPath, count: int, tally: Tally) -> None:
    sound, chosen = used(folder / "catalog"), random.Random(24)
    for index in tally.rounds(count):
        copy, heard = copied(sound, folder / "copy"), Heard()
        name = _retype(chosen.choice(_segments(copy)), chosen)
        forget_indexes()
        wrong = "" if run(copy, workflow(1 + index % 7), heard) == answers(1 + index % 7) else "answered wrongly"
        said = Catalog.open(copy, create=False).rejections
        kind, column = name.split(".")
        if not wrong and not (len(said) == 1 and said[0].startswith(f"{kind}: ") and f"`$.{column}" in said[0]):
            wrong = f"it is said: {said}"
        wrong = wrong or ("" if any(said[0] in text for text in heard.warnings) else f"warned: {heard.warnings}")
        wrong = wrong or goes_on(copy, 1 + (index + 1) % 7, 1)
        tally.expect(not wrong, f"{name}: {wrong}")


_REPAIRS = """
import sys
from helix_spark.catalog.catalog import Catalog
Catalog.open(sys.argv[1], create=False).repair()
"""


@fault("a repair that is killed at a failpoint, then done again", USABLE, short=1, full=30)
def killed_repairs(folder: LocalPath, count: int, tally: Tally) -> None:
    sound, chosen = used(folder / "catalog"), random.Random(22)
    before, reached = all_of(sound), 0
    points = [name for name in POINTS if name.startswith(("repair", "log", "publish"))]
    for index in tally.rounds(count):
        copy = copied(sound, folder / "copy")
        for file in chosen.sample(_segments(copy), 4):
            list(DAMAGE.values())[1 + index % (len(DAMAGE) - 1)](file)
        name, nth = points[index % len(points)], 1 + index // (2 * len(points))
        ended = run_python("-c", _REPAIRS, copy, env=armed(f"{name}@{nth}:kill"))
        reached += ended.returncode == -signal.SIGKILL
        done = Catalog.open(copy, create=False).repair()
        wrong = "" if done.lost or _folds(copy) else f"nothing is said to be lost: {ended.stderr[-200:]!r}"
        how, found = read_as_before(copy, all_of(copy), may_lose=False)
        wrong = wrong or found or ("" if how == "read" else f"then it is {how}")
        if not wrong and (lost := len(stored_in(before) - stored_in(all_of(copy)))):
            wrong = f"{lost} stored results are not taken up again"
        wrong = wrong or goes_on(copy, 1 + index % 7, 1)
        tally.expect(not wrong, f"{name}@{nth}: {wrong}")
    tally.note = f"{reached} killed"


@fault("a segment of the records is emptied while two drivers run", "answers right; what is lost is said, and no "
       "number is given twice", short=1, full=12)
def damaged_meanwhile(folder: LocalPath, count: int, tally: Tally) -> None:
    chosen, missing = random.Random(23), 0
    for index in tally.rounds(count):
        root = folder / str(index)
        used(root, runs=3)
        drivers = [start_job(root, key, "--seconds", "0.5") for key in (11, 12)]
        time.sleep(chosen.uniform(0.5, 2.5))
        _segments(root)[-1].write_bytes(b"")
        printed = [ended(driver) for driver in drivers]
        wrong = next((f"printed {lines[-3:]}" for lines in printed if "done True" not in lines), "")
        lost = Catalog.open(root, create=False).repair().lost
        forget_indexes()
        done = [one.number for one in Catalog.open(root, create=False).iterations("job") if one.status == "done"]
        missing += (short := 5 - len(done))
        if short > len(lost) or len(done) != len(set(done)):
            wrong = wrong or f"iterations {done}, lost {lost}"
        wrong = wrong or goes_on(root, 13, max(done) + 1)
        tally.expect(not wrong, f"round {index}: {wrong}")
    tally.note = f"{missing} iterations were lost with it"


MARKERS: dict[str, Callable[[Path], object]] = {
    "of garbage": lambda marker: marker.write_bytes(b"\xff{"), "empty": Path.touch,
    "of another kind": lambda marker: marker.write_text('["layout"]'), "gone": lambda marker: None,
    "that is a folder": Path.mkdir, "that is a pipe": os.mkfifo,
}


@fault("a marker of the catalog that is gone, empty, garbage, a folder or a pipe", "usable by itself", short=2, full=12)
def marker(folder: LocalPath, count: int, tally: Tally) -> None:
    root = used(folder / "catalog", runs=1)
    before, number = all_of(root), next_number(root)
    for index in range(count):
        what, made = list(MARKERS.items())[index % len(MARKERS)]
        (root / "helix.json").unlink()
        made(root / "helix.json")
        how, wrong = read_as_before(root, before, may_lose=False)
        wrong = wrong or goes_on(root, index + 2, number + index)
        wrong = wrong or ("" if "layout" in (root / "helix.json").read_text() else "no marker was written")
        tally.expect(how == "read" and not wrong, f"a marker {what}: {how}: {wrong}")
        before = all_of(root)


@fault("a catalog of a newer layout", "refused in a sentence that says what to do; nothing is written", short=1, full=4)
def newer(folder: LocalPath, count: int, tally: Tally) -> None:
    root = used(folder / "catalog", runs=1)
    for layout in range(99, 99 + count):
        (root / "helix.json").write_text(json.dumps({"layout": layout, "created_by": "helix_spark 9"}))
        size = root.total_bytes()
        try:
            run(root, workflow(1))
            tally.expect(False, "it was taken")
        except CatalogError as error:
            tally.expect("upgrade" in (error.remedy or "") and root.total_bytes() == size, str(error))
