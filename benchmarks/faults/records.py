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
        dict(results.standing), dict(results.measured), view.past,
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


@fault("a bit flipped in a file of records", REFUSED, short=8, full=200)
def flipped(folder: Path, count: int, tally: Tally) -> None:
    _flips(folder, count, tally, "*.parquet")


@fault("a bit flipped in the log of the records", REFUSED, short=5, full=100)
def flipped_log(folder: Path, count: int, tally: Tally) -> None:
    _flips(folder, count, tally, "*.json")


LOST: dict[str, tuple[str, Callable[[Path], object]]] = {
    "newest entry lost": ("newest", lambda file: file.unlink()),
    "newest entry empty": ("newest", lambda file: file.write_bytes(b"")),
    "newest entry cut": ("newest", lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])),
    "an earlier entry lost": ("earlier", lambda file: file.unlink()),
    "an earlier entry of garbage": ("earlier", lambda file: file.write_bytes(b"\xff garbage")),
    "a checkpoint of garbage": ("*.checkpoint.parquet", lambda file: file.write_bytes(b"PAR1 garbage PAR1")),
    "a pointer of garbage": ("_last_checkpoint", lambda file: file.write_bytes(b"{garbage")),
    "a file of rows lost": ("part-*.parquet", lambda file: file.unlink()),
    "a file of rows cut": ("part-*.parquet", lambda file: file.write_bytes(file.read_bytes()[:300])),
    "a head of garbage": ("*.head", lambda file: file.write_bytes(b"many")),
    "a table's log lost": ("_delta_log", shutil.rmtree),
}


def _chosen(root: Path, which: str, chosen: random.Random) -> Path:
    if which in ("newest", "earlier"):
        log = chosen.choice(sorted((root / "records").glob("*/_delta_log")))
        entries = sorted(log.glob("*.json"))
        return entries[-1] if which == "newest" else chosen.choice(entries[:-1])
    return chosen.choice(sorted((root / "records").rglob(which)))


def _add_loss(what: str, which: str, damage: Callable[[Path], object]) -> None:
    @fault(f"the records, {what}", REFUSED, short=1, full=10)
    def inject(folder: Path, count: int, tally: Tally) -> None:
        sound = used(folder / "catalog", runs=4)  # enough for a checkpoint
        before, chosen = all_of(sound), random.Random(9)

        def hit(root: Path) -> str:
            file = _chosen(root, which, chosen)
            damage(file)
            return str(file.relative_to(root))

        noticed = sum(_probe(sound, folder / "copy", hit, tally, before) for _ in range(count))
        tally.note = f"{noticed} noticed"


for _what, (_which, _damage) in LOST.items():
    _add_loss(_what, _which, _damage)


MARKERS = {
    "of a newer layout": '{"layout": 99, "created_by": "helix_spark 9"}', "of garbage": "{", "empty": "",
    "of another kind": '["layout"]',
}


@fault("a catalog of a newer layout, or a marker of garbage", "refused in a sentence", short=4, full=8)
def marker(folder: Path, count: int, tally: Tally) -> None:
    root = used(folder / "catalog", runs=1)
    for index in range(count):
        what, text = list(MARKERS.items())[index % len(MARKERS)]
        (root / "helix.json").write_text(text)
        try:
            run(root, workflow(1))
            tally.expect(False, f"a marker {what} was taken")
        except CatalogError as error:
            tally.expect(bool(error.remedy), f"a marker {what}: no remedy in {error}")
