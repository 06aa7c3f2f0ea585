"""Damage to the records: flipped bits, files of each kind that are lost, empty, cut or garbage, and whole folders."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.faults.job import Heard, answers, run, workflow
from benchmarks.faults.kills import ended, start
from benchmarks.faults.row import Tally, fault
from benchmarks.faults.stored_tables import flip
from benchmarks.faults.usable import USABLE, all_of, goes_on, next_number, read_as_before
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.failpoints import POINTS
from helix_spark.catalog.places.delta_log import DeltaLog
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.tables.attempts import physical_bytes
from helix_spark.errors import CatalogError

_ROOT = Path(__file__).resolve().parents[2]


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


def _probe(sound: LocalPath, copy: LocalPath, damage: Callable[[LocalPath], Path], tally: Tally, before: Any) -> str:
    """Damages a copy and reads all of it; then it must be usable. Returns how it was read."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(sound, copy)
    hit = damage(copy)
    rows = hit.suffix == ".parquet" and hit.parent.name != "_delta_log"
    number = next_number(sound)
    how, wrong = read_as_before(copy, before, may_lose=rows)
    key = 1 + tally.injected % 7
    wrong = wrong or goes_on(copy, key, 1 if how == "repaired with a loss" else number)
    tally.expect(not wrong, f"{hit.relative_to(copy)}: {how}: {wrong}")
    return how


def _record_files(root: LocalPath, pattern: str) -> list[Path]:
    return sorted(path for path in (root / "records").rglob(pattern) if path.is_file())


def _flips(folder: LocalPath, count: int, tally: Tally, *patterns: str, runs: int = 2) -> None:
    sound = used(folder / "catalog", runs)
    before, chosen = all_of(sound), random.Random(4)

    def damage(root: LocalPath) -> Path:
        file = chosen.choice(_record_files(root, patterns[tally.injected % len(patterns)]))
        flip(file, file.read_bytes(), chosen)
        return file

    _note(tally, Counter(_probe(sound, folder / "copy", damage, tally, before) for _ in range(count)))


def _note(tally: Tally, ways: Mapping[str, int]) -> None:
    tally.note = ", ".join(f"{count} {how}" for how, count in sorted(ways.items()))


@fault("a bit flipped in a file of records", USABLE, short=2, full=200)
def flipped(folder: LocalPath, count: int, tally: Tally) -> None:
    _flips(folder, count, tally, "*.parquet")


@fault("a bit flipped in the log of the records", USABLE, short=3, full=600)
def flipped_log(folder: LocalPath, count: int, tally: Tally) -> None:
    _flips(folder, count, tally, "*.json")


@fault("a bit flipped in a checkpoint of the records, or in checksums of their log", USABLE, short=1, full=150)
def flipped_checkpoint(folder: LocalPath, count: int, tally: Tally) -> None:
    _flips(folder, count, tally, "*.checkpoint.parquet", ".*.checkpoint.parquet.crc", ".*.json.crc", runs=7)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


DAMAGE: dict[str, Callable[[Path], object]] = {
    "lost": lambda file: shutil.rmtree(file) if file.is_dir() else file.unlink(),
    "empty": lambda file: file.write_bytes(b""),
    "cut": _cut,
    "of garbage": lambda file: file.write_bytes(b"\xff\x00 garbage {"),
    "of zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
}

KINDS: dict[str, Callable[[LocalPath], list[LocalPath]]] = {
    "newest entry": lambda journal: _entries(journal)[-1:],
    "entry that is read": lambda journal: _entries(journal)[:-1],
    "checkpoint": lambda journal: sorted((journal / "_delta_log").glob("*.checkpoint.parquet")),
    "pointer to a checkpoint": lambda journal: sorted((journal / "_delta_log").glob("_last_checkpoint")),
    "file of rows": lambda journal: sorted(journal / name for name in _row_files(journal)),
    "checksum file": lambda journal: sorted(journal / f".{name}.crc" for name in _row_files(journal)),
    "head": lambda journal: [journal.with_name(f"{journal.name}.head")],
}
"""By name, the files of a journal that matter to who reads it now."""


def _entries(journal: LocalPath) -> list[LocalPath]:
    entries, checkpoints = DeltaLog(journal).numbered()
    after = max(checkpoints, default=-1)
    return [journal / "_delta_log" / f"{version:020}.json" for version in entries if version > after]


def _row_files(journal: LocalPath) -> list[str]:
    from deltalake import DeltaTable

    return [uri.rpartition("/")[2] for uri in DeltaTable(str(journal)).file_uris()]


def _journals(root: LocalPath) -> list[LocalPath]:
    return sorted(path.parent for path in (root / "records").glob("*/_delta_log"))


def _add_damage(kind: str, files: Callable[[LocalPath], list[LocalPath]]) -> None:
    @fault(f"the records, a {kind}: lost, empty, cut, of garbage, of zeros", USABLE, short=2, full=60)
    def inject(folder: LocalPath, count: int, tally: Tally) -> None:
        sound = used(folder / "catalog", runs=7)  # enough for a checkpoint, and entries after it
        before, chosen = all_of(sound), random.Random(f"{kind} {count}")
        relative = [file.relative_to(sound) for journal in _journals(sound) for file in files(journal)]
        ways = list(DAMAGE.values())

        def hit(root: LocalPath) -> Path:
            file = root / chosen.choice(relative)
            ways[tally.injected % len(ways)](file)
            return file

        _note(tally, Counter(_probe(sound, folder / "copy", hit, tally, before) for _ in range(count)))


for _kind, _files in KINDS.items():
    _add_damage(_kind, _files)


def _whole_journal(root: LocalPath, chosen: random.Random) -> None:
    shutil.rmtree(chosen.choice(_journals(root)))


def _whole_log(root: LocalPath, chosen: random.Random) -> None:
    shutil.rmtree(chosen.choice(_journals(root)) / "_delta_log")


def _file_for_folder(root: LocalPath, chosen: random.Random) -> None:
    journal = chosen.choice(_journals(root))
    shutil.rmtree(journal)
    journal.write_text("a file, and no folder")


def _all_ends(root: LocalPath, chosen: random.Random) -> None:
    """As after a loss of power on a disk that wrote names before it wrote what is in the files."""
    for journal in _journals(root):
        _entries(journal)[-1].write_bytes(b"")


def _all_records(root: LocalPath, chosen: random.Random) -> None:
    shutil.rmtree(root / "records")


def _all_heads(root: LocalPath, chosen: random.Random) -> None:
    for head in (root / "records").glob("*.head"):
        head.unlink()


def _folder_of_results(root: LocalPath, chosen: random.Random) -> None:
    shutil.rmtree(root / "tables")


@fault("several files of the records at once: a journal, a log, the ends of all, all records, all stored tables",
       "usable once repaired; what is stored is taken up again, what is lost is said", short=3, full=70)
def several(folder: LocalPath, count: int, tally: Tally) -> None:
    sound, chosen = used(folder / "catalog", runs=5), random.Random(21)
    before, number, ways = all_of(sound), next_number(sound), Counter[str]()
    damages = (
        _whole_journal, _whole_log, _file_for_folder, _all_ends, _all_records, _all_heads, _folder_of_results,
    )
    for index in range(count):
        copy, damage = folder / "copy", damages[index % len(damages)]
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(sound, copy)
        damage(copy, chosen)
        how, wrong = read_as_before(copy, before, may_lose=damage not in (_whole_log, _all_ends, _all_heads))
        stored = {record.attempt for record in Catalog.open(copy, create=False).live() if record.kind != "value"}
        kept = {record.attempt for record in before[0].values() if record.kind != "value"}
        if not wrong and damage is not _folder_of_results and stored != kept:
            wrong = f"{len(kept - stored)} of {len(kept)} stored results are not taken up again"
        wrong = wrong or goes_on(copy, 1 + index % 7, number)
        tally.expect(not wrong, f"{damage.__name__}: {how}: {wrong}")
        ways[how] += 1
    _note(tally, ways)


def _as_texts(column: Any) -> Any:
    """The same values, numbers as texts and texts as bytes."""
    import pyarrow as pa

    if pa.types.is_list(column.type):
        return column.cast(pa.list_(pa.binary()))
    is_text = pa.types.is_string(column.type) or pa.types.is_string_view(column.type)
    return column.cast(pa.string()).cast(pa.binary()) if is_text else column.cast(pa.string())


def _as_no_values(column: Any) -> Any:
    """Values that are none of the column's type."""
    import pyarrow as pa

    return pa.array([{"none": place} for place in range(len(column))])


def _retype(journal: LocalPath, chosen: random.Random, made: Callable[[Any], Any]) -> str:
    """Gives a column of a journal another type; returns its name."""
    import pyarrow as pa
    from deltalake import DeltaTable, QueryBuilder, write_deltalake

    found = QueryBuilder().register("journal", DeltaTable(str(journal))).execute("SELECT * FROM journal").read_all()
    table = pa.table(found)
    name = chosen.choice([name for name in table.column_names if name not in ("sequence", "place")])
    column = made(table.column(name))
    table = table.set_column(table.column_names.index(name), name, column)
    write_deltalake(str(journal), table, mode="overwrite", schema_mode="overwrite")
    journal.with_name(f"{journal.name}.head").write_text(f"{DeltaTable(str(journal)).version()}\n")
    return f"{journal.name}.{name}"


@fault("a column of the records has another type", "repaired by the run itself, or refused in one sentence that names "
       "`helix repair`, and usable then; what is lost is said", short=1, full=60)
def other_types(folder: LocalPath, count: int, tally: Tally) -> None:
    sound, chosen, ways = used(folder / "catalog", runs=4), random.Random(24), Counter[str]()
    before, number = all_of(sound), next_number(sound)
    for index in tally.rounds(count):
        copy, keeps = folder / "copy", index % 3 > 0
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(sound, copy)
        name = _retype(chosen.choice(_journals(copy)), chosen, _as_texts if keeps else _as_no_values)
        heard, how, wrong = Heard(), "by the run itself", ""
        try:
            if run(copy, workflow(1 + index % 7), heard) != answers(1 + index % 7):
                wrong = "answered wrongly"
            said = [text for text in heard.warnings if "are repaired" in text]
            wrong = wrong or ("" if said else f"not a word of it: {heard.warnings}")
        except CatalogError as error:
            how = "once repaired"
            done = Catalog.open(copy, create=False).repair()
            if "helix repair" not in str(error) or not done.lost or keeps:
                wrong = f"refused: {error}; lost {done.lost}"
        wrong = wrong or goes_on(copy, 1 + (index + 1) % 7, number)
        if not wrong and keeps:
            after = {one.run: one for one in Catalog.open(copy, create=False).iterations("job")}
            wrong = "" if all(after.get(one.run) == one for one in before[5]) else "an iteration is another one now"
        if not wrong and (again := Catalog.open(copy, create=False).repair(dry_run=True).damage):
            wrong = f"damaged after the repair: {again}"
        tally.expect(not wrong, f"{name} as {'texts' if keeps else 'what it cannot be'}: {how}: {wrong}")
        ways[how] += 1
    _note(tally, ways)


_REPAIRS = """
import sys
from helix_spark.catalog.catalog import Catalog
Catalog.open(sys.argv[1], create=False).repair()
"""


@fault("a repair that is killed at a failpoint, then done again", USABLE, short=1, full=30)
def killed_repairs(folder: LocalPath, count: int, tally: Tally) -> None:
    sound, chosen = used(folder / "catalog", runs=7), random.Random(22)
    before, number = all_of(sound), next_number(sound)
    points, reached = [name for name in POINTS if name.startswith(("repair", "journal"))], 0
    for index in tally.rounds(count):
        copy = folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(sound, copy)
        for journal in chosen.sample(_journals(copy), 2):
            list(DAMAGE.values())[index % len(DAMAGE)](chosen.choice(_entries(journal)))
        name, nth = points[index % len(points)], 1 + index // (2 * len(points))
        ended = subprocess.run(
            [sys.executable, "-c", _REPAIRS, str(copy)], capture_output=True, timeout=90, cwd=_ROOT,
            env={**os.environ, "HELIX_FAILPOINT": f"{name}@{nth}:kill"},
        )
        reached += ended.returncode == -signal.SIGKILL
        how, wrong = read_as_before(copy, before, may_lose=False)
        wrong = wrong or goes_on(copy, 1 + index % 7, number)
        tally.expect(not wrong, f"{name}@{nth}: {how}: {wrong}")
    tally.note = f"{reached} killed"


@fault("an entry of the records is emptied while two drivers run", "answers right; each iteration is on record, or its "
       "driver said what to do", short=1, full=12)
def damaged_meanwhile(folder: LocalPath, count: int, tally: Tally) -> None:
    chosen, repaired = random.Random(23), 0
    for index in tally.rounds(count):
        root = folder / str(index)
        used(root, runs=3)
        drivers = [start(root, key, "--seconds", "0.5") for key in (11, 12)]
        time.sleep(chosen.uniform(0.5, 2.5))
        max((chosen.choice(_journals(root)) / "_delta_log").glob("*.json")).write_bytes(b"")
        printed = [ended(driver) for driver in drivers]
        repaired += sum("are repaired" in line for lines in printed for line in lines)
        wrong = ""
        for lines in printed:
            if "done True" not in lines and not any("helix repair" in line for line in lines):
                wrong = f"printed {lines[-3:]}"
        Catalog.open(root, create=False).repair()
        done = [one.number for one in Catalog.open(root, create=False).iterations("job") if one.status == "done"]
        expected = 3 + sum("done True" in lines for lines in printed)
        if len(done) < expected or len(done) != len(set(done)):
            wrong = wrong or f"iterations {done}, {expected} were answered"
        wrong = wrong or goes_on(root, 13, max(done) + 1)
        tally.expect(not wrong, f"round {index}: {wrong}")
    tally.note = f"{repaired} repaired by a run itself"


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
        size = physical_bytes(root)
        try:
            run(root, workflow(1))
            tally.expect(False, "it was taken")
        except CatalogError as error:
            tally.expect("upgrade" in (error.remedy or "") and physical_bytes(root) == size, str(error))
