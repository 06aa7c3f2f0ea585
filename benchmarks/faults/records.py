"""Damage to the records: flipped bits, entries that are lost, empty or garbage, and folders that cannot be used."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.faults.job import run, workflow
from benchmarks.faults.row import Tally, fault
from benchmarks.faults.stored_tables import flip
from helix_spark.catalog.catalog import Catalog
from helix_spark.errors import CatalogError

REFUSED = "refused in a sentence, or without effect"


def all_of(root: Path) -> Any:
    """Everything that the records say, read anew."""
    catalog = Catalog.open(root, create=False)
    view = catalog.snapshot("job")
    iterations = catalog.iterations()
    nodes = [catalog.nodes(each.run) for each in iterations]
    results = catalog.results({n.declared for of in nodes for n in of}, (), {n.signature for of in nodes for n in of})
    return (
        dict(view.artifacts), view.missing, view.last, view.nodes, view.next_iteration, iterations, nodes,
        dict(results.standing), dict(results.measured), catalog.declared("job", 9),
    )


def used(root: Path, runs: int = 2) -> Path:
    """A catalog with a few iterations behind it."""
    for key in range(1, runs + 1):
        run(root, workflow(key))
    return root


def _probe(sound: Path, copy: Path, damage: Callable[[Path], object], tally: Tally, before: Any) -> bool:
    """Damages a copy and reads all of it. Returns whether it was noticed."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(sound, copy)
    what = damage(copy)
    try:
        after = all_of(copy)
    except CatalogError:
        tally.expect(True, "")
        return True
    tally.expect(after == before, f"{what} changed what is read without a word")
    return False


def _record_files(root: Path, pattern: str) -> list[Path]:
    return sorted(path for path in (root / "records").rglob(pattern) if path.is_file())


def _flips(folder: Path, count: int, tally: Tally, pattern: str) -> None:
    sound = used(folder / "catalog")
    before, chosen, noticed = all_of(sound), random.Random(4), 0

    def damage(root: Path) -> str:
        file = chosen.choice(_record_files(root, pattern))
        return f"{flip(file, file.read_bytes(), chosen)} of {file.relative_to(root)}"

    for _ in range(count):
        noticed += _probe(sound, folder / "copy", damage, tally, before)
    tally.note = f"{noticed} noticed"


@fault("a bit flipped in a file of records", REFUSED, short=20, full=200)
def flipped(folder: Path, count: int, tally: Tally) -> None:
    _flips(folder, count, tally, "*.parquet")


@fault("a bit flipped in the log of the records", REFUSED, short=15, full=100)
def flipped_log(folder: Path, count: int, tally: Tally) -> None:
    _flips(folder, count, tally, "*.json")
