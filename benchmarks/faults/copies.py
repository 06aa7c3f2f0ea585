"""Two copies of a catalog that went apart are merged: in any order, after a kill, and with a hostile one."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.faults.job import answers, run, workflow
from benchmarks.faults.row import Tally, fault
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.failpoints import POINTS
from helix_spark.catalog.verification import verify
from helix_spark.errors import CatalogError

_ROOT = Path(__file__).resolve().parents[2]
_LONGEST = 60.0
"""Seconds after which a merge counts as hanging."""

_MERGES = """
import sys
from helix_spark.catalog.catalog import Catalog
Catalog.open(sys.argv[1], create=False).merge(sys.argv[2])
"""


def _runs(root: Path) -> dict[str, Any]:
    """By id, what each iteration answered."""
    return {one.run: json.loads(one.outputs) for one in Catalog.open(root, create=False).iterations("job")}


def _stored(root: Path) -> set[str]:
    """Ids of what is stored, but of values: each lies in a record of its own."""
    return {one.signature for one in Catalog.open(root, create=False).live()}


def _wrong(root: Path, runs: dict[str, Any], stored: set[str]) -> str:
    """What is wrong with a catalog that is to have these runs and results; empty if nothing is."""
    catalog = Catalog.open(root, create=False)
    found = catalog.iterations("job")
    if {one.run: json.loads(one.outputs) for one in found} != runs:
        return f"runs {len(runs)}, found {[(one.number, one.status) for one in found]}"
    if len({one.number for one in found}) != len(found):
        return f"numbers {[one.number for one in found]}"
    if any(len(catalog.nodes(one)) != 5 for one in found):
        return f"nodes {[len(catalog.nodes(one)) for one in found]}"
    if _stored(root) != stored:
        return f"stored {len(_stored(root))}, not {len(stored)}"
    if bad := [str(each) for each in verify(catalog, deep=True).findings if each.bad]:
        return f"damaged: {bad[0]}"
    return "; ".join(catalog.repair(dry_run=True).damage)


@fault("two copies of a catalog that went apart, merged one way and the other, with runs in between",
       "each has all runs under numbers of their own, and all that is stored", short=1, full=10)
def both_ways(folder: Path, count: int, tally: Tally) -> None:
    chosen, renumbered = random.Random(31), 0
    for index in tally.rounds(count):
        one, other = folder / f"{index}" / "one", folder / f"{index}" / "other"
        run(one, workflow(1))
        shutil.copytree(one, other)
        for key in range(2, 2 + chosen.randrange(1, 4)):
            run(chosen.choice((one, other)), workflow(chosen.choice((key, 50)), chosen.randrange(1, 3)))
        run(other, workflow(60))
        runs, stored = _runs(one) | _runs(other), _stored(one) | _stored(other)
        renumbered += len(Catalog.open(one, create=False).merge(other).renumbered)
        wrong = _wrong(one, runs, stored)
        run(one, workflow(70))
        Catalog.open(other, create=False).merge(one)
        wrong = wrong or _wrong(other, _runs(one), _stored(one))
        again = Catalog.open(one, create=False).merge(other)
        wrong = wrong or ("" if not again.iterations and not again.results else f"taken again: {again}")
        wrong = wrong or ("" if run(one, workflow(60)) == answers(60) else "another answer")
        tally.expect(not wrong, f"round {index}: {wrong}")
    tally.note = f"{renumbered} iterations got another number"


@fault("a merge of two copies, killed at a failpoint, then done again", "as if it had not been killed", short=1,
       full=30)
def killed(folder: Path, count: int, tally: Tally) -> None:
    sound = folder / "sound"
    run(sound / "one", workflow(1))
    shutil.copytree(sound / "one", sound / "other")
    for root, key in (("one", 2), ("other", 3), ("other", 4)):
        run(sound / root, workflow(key))
    runs = _runs(sound / "one") | _runs(sound / "other")
    stored = _stored(sound / "one") | _stored(sound / "other")
    points = [name for name in POINTS if name.startswith(("merge", "publish", "journal", "iteration"))]
    reached: Counter[str] = Counter()
    for index in tally.rounds(count):
        name, nth = points[-index % len(points)], 1 + index // len(points)
        copy = folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(sound, copy)
        ended = subprocess.run(
            [sys.executable, "-c", _MERGES, str(copy / "one"), str(copy / "other")], cwd=_ROOT, timeout=_LONGEST,
            env={**os.environ, "HELIX_FAILPOINT": f"{name}@{nth}:kill"}, capture_output=True,
        )
        reached[name] += ended.returncode == -signal.SIGKILL
        catalog = Catalog.open(copy / "one", create=False)
        catalog.repair()
        catalog.merge(copy / "other")
        wrong = _wrong(copy / "one", runs, stored)
        tally.expect(not wrong, f"{name}@{nth}: {wrong}")
    tally.note = f"{sum(reached.values())} killed, at {sum(map(bool, reached.values()))} of {len(points)} points"


def _table(other: Path) -> Path:
    mine = {path.name for path in other.with_name("one").glob("tables/*/*")}
    return next(path for path in sorted(other.glob("tables/*/*")) if path.name not in mine)


def _replaced(path: Path, by: Callable[[Path], object]) -> None:
    path.unlink()
    by(path)


def _log(table: Path) -> Path:
    return table / "_delta_log" / f"{0:020}.json"


def _led_away(table: Path) -> None:
    away = table.parents[3] / "away"
    table.rename(away)
    table.symlink_to(away)


def _records_led_away(other: Path) -> None:
    (other / "records").rename(other.with_name("away"))
    (other / "records").symlink_to(other.with_name("away"))


def _outside(table: Path, name: str) -> None:
    text = _log(table).read_text()
    _log(table).write_text(text.replace(next(table.glob("part-*")).name, name))


def _records_of(other: Path) -> Path:
    return other / "records" / "artifacts"


def _paths_in_records(other: Path) -> None:
    """Records whose ids and names are paths."""
    for file in _records_of(other).glob("*.parquet"):
        table = pq.read_table(file).to_pydict()
        table["attempt"] = ["../../../../outside" for _ in table["attempt"]]
        table["node"] = ["../../outside" for _ in table["node"]]
        pq.write_table(pa.table(table, schema=pq.read_schema(file)), file)
    for seal in _records_of(other).glob(".*.crc"):
        seal.unlink()


HOSTILE: dict[str, Callable[[Path], object]] = {
    "a link for a file of rows": lambda other: _replaced(
        next(_table(other).glob("part-*")), lambda path: path.symlink_to("/etc/passwd")),
    "a pipe for a file of rows": lambda other: _replaced(next(_table(other).glob("part-*")), os.mkfifo),
    "a pipe for a table's log": lambda other: _replaced(_log(_table(other)), os.mkfifo),
    "a log that names what lies above": lambda other: _outside(_table(other), "../../../secret.parquet"),
    "a log that names an absolute path": lambda other: _outside(_table(other), "/etc/passwd"),
    "a link for a table's folder": lambda other: _led_away(_table(other)),
    "a pipe for an entry of the records": lambda other: _replaced(
        max((_records_of(other) / "_delta_log").glob("*.json")), os.mkfifo),
    "a link for the records": _records_led_away,
    "a device for a head": lambda other: _replaced(
        other / "records" / "artifacts.head", lambda path: path.symlink_to("/dev/zero")),
    "a head beyond all numbers": lambda other: (other / "records" / "artifacts.head").write_text("9" * 18),
    "an entry numbered beyond all others": lambda other: (
        _records_of(other) / "_delta_log" / f"{'9' * 20}.json").write_text("{}"),
    "records whose ids are paths": _paths_in_records,
    "a marker of a newer layout": lambda other: (other / "helix.json").write_text('{"layout": 99}'),
    "a model of code in a table's place": lambda other: (_table(other) / "code.py").write_text("raise SystemExit"),
    "manifests that name others": lambda other: [
        path.write_text('{"layout": 1, "record": {"attempt": "../../x"}}') for path in other.rglob(".helix.json")],
    "an entry of nested lists": lambda other: max((_records_of(other) / "_delta_log").glob("*.json")).write_text(
        "[" * 100_000),
}


@fault("another copy that is hostile: links, pipes, devices, paths for names, logs that lead elsewhere",
       "refused or left in words; nothing hangs, nothing is written elsewhere, this copy is as sound as before",
       short=2, full=16)
def hostile(folder: Path, count: int, tally: Tally) -> None:
    sound = folder / "sound"
    run(sound / "one", workflow(1))
    shutil.copytree(sound / "one", sound / "other")
    run(sound / "other", workflow(2))
    runs = _runs(sound / "one")
    both, ways = runs | _runs(sound / "other"), list(HOSTILE.items())
    refused = 0
    for index in range(count):
        name, change = ways[(index * 5) % len(ways)]
        copy = folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(sound, copy)
        change(copy / "other")
        before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*") if copy / "one" not in path.parents}
        said: list[Any] = []

        def merges(one: Path = copy / "one", other: Path = copy / "other", said: list[Any] = said) -> None:
            try:
                said.append(Catalog.open(one, create=False).merge(other))
            except CatalogError as error:
                said.append(error)

        thread = threading.Thread(target=merges, daemon=True)
        thread.start()
        thread.join(_LONGEST)
        after = {path: path.lstat().st_mtime_ns for path in folder.rglob("*") if copy / "one" not in path.parents}
        refused += bool(said) and isinstance(said[0], CatalogError)
        wrong = "it hangs" if thread.is_alive() else "" if said else "it raised what is no error of ours"
        changed = [str(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
        changed = [path for path in changed if path != str(copy)]
        wrong = wrong or (f"{changed[:3]} changed" if changed else "")
        wrong = wrong or ("" if _runs(copy / "one").items() <= both.items() else "other runs than there were")
        wrong = wrong or "; ".join(Catalog.open(copy / "one", create=False).repair(dry_run=True).damage)
        bad = [each for each in verify(Catalog.open(copy / "one", create=False), deep=True).findings if each.bad]
        wrong = wrong or (f"damaged: {bad[0]}" if bad else "")
        wrong = wrong or ("" if not list((copy / "one").rglob("code.py")) else "what is no result was taken over")
        tally.expect(not wrong, f"{name}: {wrong}")
    tally.note = f"{refused} refused as a whole"
