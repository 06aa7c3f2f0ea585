"""Damage to stored results: flipped bits, and files that are cut, missing, swapped or left over."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.table_reading import DamagedArtifactError
from helix_spark.identity.parts import digest
from tests.fakes.written_tables import written
from tests.faults.job import Heard, answers, run, workflow
from tests.faults.row import Tally, fault

NOTICED = "noticed, or without effect"
RECOMPUTED = "told, put aside, computed again; answer right"


def stored_table(catalog: Catalog, rows: int = 3000) -> ArtifactRecord:
    """A published table of numbers, text, nulls and lists."""
    chosen = random.Random(1)
    numbers = [chosen.random() for _ in range(rows)]
    table = pa.table({
        "x": numbers, "s": [f"{number:.3f}" for number in numbers],
        "i": [int(9 * number) or None for number in numbers], "l": [[number, 1.0] for number in numbers],
    })
    attempt = catalog.begin_attempt(digest("a"), "table")
    return catalog.publish(ArtifactRecord(
        attempt.signature, attempt.attempt, "table", "published", "census", "rows", 1, 0.0,
        **written(attempt, table),
    ))


def data_file(folder: Path) -> Path:
    return next(folder.glob("part-*"))


def flip(file: Path, clean: bytes, chosen: random.Random, lowest: int = 0) -> str:
    """Flips one bit of a file; returns which."""
    at, bit = chosen.randrange(lowest, len(clean)), chosen.randrange(8)
    file.write_bytes(clean[:at] + bytes([clean[at] ^ 1 << bit]) + clean[at + 1:])
    return f"bit {bit} of byte {at:,} of {len(clean):,}"


def _flips(folder: Path, count: int, tally: Tally, *, side_files: bool, only_footer: bool) -> None:
    catalog = Catalog.open(folder / "catalog", create=True)
    record = stored_table(catalog)
    path = catalog.path_of(record)
    assert isinstance(path, Path)
    if not side_files:
        for beside in path.glob(".*.crc"):
            beside.unlink()
    sound, file = catalog.read_arrow(record), data_file(path)
    clean, chosen = file.read_bytes(), random.Random(2)
    footer = len(clean) - int.from_bytes(clean[-8:-4], "little") - 8
    noticed = 0
    for _ in range(count):
        where = flip(file, clean, chosen, footer if only_footer else 0)
        try:
            same = catalog.read_arrow(record).equals(sound)
        except DamagedArtifactError:
            noticed += 1
            same = True
        tally.expect(same, f"{where} gave other rows without a word")
    tally.note = f"{noticed} noticed"


@fault("a bit flipped in a stored table", NOTICED, short=20, full=200)
def flipped(folder: Path, count: int, tally: Tally) -> None:
    _flips(folder, count, tally, side_files=True, only_footer=False)


@fault("a bit flipped in a copied table, without its checksum files", NOTICED, short=20, full=200)
def flipped_copy(folder: Path, count: int, tally: Tally) -> None:
    _flips(folder, count, tally, side_files=False, only_footer=False)


@fault("a bit flipped in the footer of such a copy", NOTICED, short=20, full=400)
def flipped_footer(folder: Path, count: int, tally: Tally) -> None:
    _flips(folder, count, tally, side_files=False, only_footer=True)


def _log(path: Path) -> Path:
    return path / "_delta_log" / f"{0:020}.json"


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _swap(path: Path) -> None:
    """Puts a sound table of the same columns and rows in its place, as an unlucky restore would."""
    other = next(each for each in path.parents[1].glob("*/*") if each != path and each.is_dir())
    shutil.rmtree(path)
    shutil.copytree(other, path)


def _swap_file(path: Path) -> None:
    other = next(each for each in path.parents[1].glob("*/*") if each != path and each.is_dir())
    shutil.copy(data_file(other), data_file(path))


def _later_commit(path: Path) -> None:
    from deltalake import DeltaTable

    DeltaTable(str(path)).delete()


def _vacuumed(path: Path) -> None:
    """What a careless VACUUM leaves: the log, and no files."""
    data_file(path).unlink()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut in half": lambda path: _cut(data_file(path)),
    "empty": lambda path: data_file(path).write_bytes(b""),
    "vacuumed": _vacuumed,
    "gone": shutil.rmtree,
    "another table in its place": _swap,
    "another table's file in its place": _swap_file,
    "log gone": lambda path: shutil.rmtree(path / "_delta_log"),
    "log empty": lambda path: _log(path).write_bytes(b""),
    "log cut": lambda path: _cut(_log(path)),
    "log of garbage": lambda path: _log(path).write_bytes(b"\xff\x00garbage"),
    "rows deleted by a later commit": _later_commit,
}


def _damaged(folder: Path, count: int, tally: Tally, damage: Callable[[Path], object]) -> None:
    catalog = folder / "catalog"
    for key in (1, 2):
        run(catalog, workflow(key))
    for index in range(count):
        records = Catalog.open(catalog, create=False).snapshot("job").artifacts.values()
        hit = max((r for r in records if r.node == "doubled"), key=lambda record: record.at)
        path = Catalog.open(catalog, create=False).path_of(hit)
        assert isinstance(path, Path)
        damage(path)
        heard = Heard()
        outputs = run(catalog, workflow(2, weight=index + 2), heard)
        live = Catalog.open(catalog, create=False).artifact(hit.signature)
        stored_anew = live is not None and live.attempt != hit.attempt
        tally.expect(
            outputs == answers(2, index + 2) and bool(heard.warnings) and stored_anew,
            f"{outputs} for {answers(2, index + 2)}, warnings {heard.warnings}",
        )


def _add_damage(what: str, damage: Callable[[Path], object]) -> None:
    @fault(f"a stored table, {what}", RECOMPUTED, short=1, full=4)
    def inject(folder: Path, count: int, tally: Tally) -> None:
        _damaged(folder, count, tally, damage)


for _what, _damage in DAMAGES.items():
    _add_damage(_what, _damage)


@fault("a stored table, files of failed tasks beside its own", "not rows of it", short=2, full=10)
def leftover_files(folder: Path, count: int, tally: Tally) -> None:
    catalog = Catalog.open(folder / "catalog", create=True)
    record = stored_table(catalog)
    path = catalog.path_of(record)
    assert isinstance(path, Path)
    sound = catalog.read_arrow(record)
    for index in range(count):
        shutil.copy(data_file(path), path / f"part-{index + 1:05}-leftover.c000.parquet")
        tally.expect(catalog.read_arrow(record).equals(sound), "rows of a leftover were read")
