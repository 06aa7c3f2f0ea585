"""Processes that are killed, stopped or interrupted: at each failpoint, at random times, and two at once."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.failpoints import POINTS
from helix_spark.catalog.places.place import LocalPath, Place
from helix_spark.errors import HelixError
from tests.fakes.armed_failpoints import armed
from tests.faults.job import answers, run, workflow
from tests.faults.processes import LONGEST, ended, printed_until, run_python, start_job, without_rights
from tests.faults.row import Tally, fault
from tests.faults.usable import all_of, damaged

SOUND = "no half result seen, nothing stored lost, next answer right"


def unsound(catalog: Path | str, key: int, printed: Sequence[str]) -> str:
    """What is wrong with a catalog after a process that printed this; empty if nothing is."""
    try:
        if what := damaged(catalog):
            return what
        if Catalog.open(catalog, create=True).workflows():
            all_of(catalog)
        said = {line.removeprefix("stored ") for line in printed if line.startswith("stored ")}
        with hx.Helix(catalog, policy="always") as helix:
            plan = helix.plan(workflow(key))
            lost = [name for name in said if not plan[name].stored]
        if lost:
            return f"said to be stored and not there: {lost}"
        outputs = run(catalog, workflow(key))
    except HelixError as error:
        return f"refused: {error}"
    return "" if outputs == answers(key) else f"answered {outputs}, not {answers(key)}"


def _collected(catalog: Path | str) -> str:
    """Collects what the dead left, and says how much it was."""
    opened = Catalog.open(catalog, create=False)
    before = opened.root.total_bytes()
    leftovers = opened.gc(dry_run=False)
    again = opened.gc(dry_run=False)
    after = opened.root.total_bytes()
    return f"{len(leftovers)} leftovers, {before - after:,} of {before:,} bytes collected, then {len(again)}"


@fault("killed at a failpoint", SOUND, short=2, full=30)
def killed_at_failpoints(folder: Place, count: int, tally: Tally) -> None:
    catalog, key = str(folder / "catalog"), 0
    # Enough runs for the records to be folded, and a stored result to evict.
    for _ in range(3):
        key += 1
        run(catalog, workflow(key))
    reached = set()
    points = [name for name in POINTS if name not in _BY_OTHER_MEANS]
    for index in tally.rounds(count):
        name, key = points[(2 + index) % len(points)], key + 1
        nth = f"@{1 + (index - 1) // len(points)}"
        if name.startswith("lease"):
            nth = ""
        process = start_job(catalog, key, failpoint=f"{name}{nth}:kill")
        printed = ended(process)
        if process.returncode == -signal.SIGKILL:
            reached.add(name)
        what = unsound(catalog, key, printed)
        tally.expect(not what, f"{name}{nth}: {what}")
    tally.note = f"{len(reached)} of {len(points)} points reached; {_collected(catalog)}"


_WHILE_EVICTING = ("delete.begun", "end.recorded")

_BY_OTHER_MEANS = {
    *_WHILE_EVICTING, "fold.deleting", "gc.recorded", "repair.aside", "takeover.recorded",
}
"""Reached when something is evicted, once something is old (see `pauses`), by repairs, or in catalogs of older
versions."""


@fault("killed while a result is evicted", "the bytes are found and collected", short=1, full=8)
def killed_while_evicting(folder: Path, count: int, tally: Tally) -> None:
    evict = """
import sys
from helix_spark.catalog.catalog import Catalog
catalog = Catalog.open(sys.argv[1], create=False)
view = catalog.snapshot("job")
catalog.evict_all({next(s for s, r in view.artifacts.items() if r.node == "rows"): "to make room"})
"""
    catalog = folder / "catalog"
    for index in range(count):
        run(catalog, workflow(index))
        name = _WHILE_EVICTING[index % 2]
        run_python("-c", evict, catalog, env=armed(f"{name}:kill"))
        leftovers = Catalog.open(catalog, create=False).gc(dry_run=False)
        what = unsound(catalog, index, ())
        tally.expect(len(leftovers) == 1 and not what, f"{name}: {len(leftovers)} leftovers, {what}")


@fault("an error of the disk at a failpoint", "the run answers, or says in a sentence why not", short=0, full=18)
def raised_at_failpoints(folder: Path, count: int, tally: Tally) -> None:
    catalog, key = folder / "catalog", 0
    points = [name for name in POINTS if name not in _BY_OTHER_MEANS and not name.startswith("lease")]
    for index in tally.rounds(count):
        name, key = points[index % len(points)], key + 1
        nth = f"@{1 + (index - 1) // len(points)}"
        process = start_job(catalog, key, failpoint=f"{name}{nth}:raise")
        printed = ended(process)
        told = printed[-1:] == ["done True"] or any("CatalogError: the " in line for line in printed)
        what = unsound(catalog, key, printed) or ("" if told else f"ended with {printed[-1:]}")
        tally.expect(not what, f"{name}{nth}: {what}")


@fault("SIGKILL of the driver at a random time, mostly while it stores", SOUND, short=1, full=50)
def killed_at_random(folder: Place, count: int, tally: Tally) -> None:
    catalog, chosen, phases = str(folder / "catalog"), random.Random(5), {"computing": 0, "storing": 0, "done": 0}
    for key in tally.rounds(count):
        process = start_job(catalog, key)
        until = "storing rows" if chosen.random() < 0.75 else "ready"
        printed = printed_until(process, until.__eq__)
        time.sleep(chosen.uniform(0, 0.4 if until != "ready" else 1.0))
        os.killpg(process.pid, signal.SIGKILL)
        printed = ended(process, printed)
        if printed[-1:] and printed[-1].startswith("done"):
            phases["done"] += 1
        else:
            phases["storing" if any(line.startswith("stor") for line in printed) else "computing"] += 1
        died = Catalog.open(catalog, create=True).iterations("job", 1)
        honest = not died or died[0].status != "running"
        what = unsound(catalog, key, printed) or ("" if honest else "still said to be running")
        tally.expect(not what, f"round {key}: {what}")
    killed = ", ".join(f"{number} {phase}" for phase, number in phases.items())
    tally.note = f"killed while {killed}; {_collected(catalog)}"


@fault("Ctrl-C or SIGTERM at a random time", "ends within 5 s, recorded as interrupted", short=1, full=20)
def interrupted(folder: Path, count: int, tally: Tally) -> None:
    catalog, chosen, slowest = folder / "catalog", random.Random(6), 0.0
    statuses: dict[str, int] = {}
    run(catalog, workflow(0))
    for key in tally.rounds(count):
        process = start_job(catalog, key, "--seconds", "20", "--command")
        printed = printed_until(process, "rows begins".__eq__)
        time.sleep(chosen.uniform(0, 0.5))
        begun = time.perf_counter()
        process.send_signal(signal.SIGINT if key % 2 else signal.SIGTERM)
        printed = ended(process, printed)
        took = time.perf_counter() - begun
        slowest = max(slowest, took)
        status = Catalog.open(catalog, create=False).iterations("job", 1)[0].status
        statuses[status] = statuses.get(status, 0) + 1
        what = "" if status == "interrupted" else f"recorded as {status}"
        what = what or ("" if took < 5 else f"took {took:.1f} s to end")
        code = 130 if key % 2 else 143
        what = what or ("" if process.returncode == code else f"exit code {process.returncode}, {printed[-3:]}")
        tally.expect(not what, f"round {key}: {what}")
    seen = ", ".join(f"{number} {status}" for status, number in statuses.items())
    tally.note = f"{seen}; slowest {slowest:.1f} s"


@fault("two drivers at once, one catalog", "nothing lost, answers right, one computes what both need", short=1, full=20)
def two_drivers(folder: LocalPath, count: int, tally: Tally, catalog: Path | str = "") -> None:
    catalog, mark = catalog or folder / "catalog", folder / "mark"
    names = ("job", "other")
    for index, name in enumerate(names):  # so that both know that `rows` takes long
        run(catalog, workflow(1000 + index, seconds=2.0, mark=str(mark), name=name))
    waited = twice = 0
    for key in tally.rounds(count):
        pair = ("job", names[key % 2])
        before = len(Catalog.open(catalog, create=False).iterations())
        options = ("--seconds", "2.0", "--mark", str(mark))
        processes = [start_job(catalog, key, *options, "--name", name) for name in pair]
        printed = [ended(process) for process in processes]
        marks = len(re.findall(rf"^{key}$", mark.read_text(), re.MULTILINE))
        new = Catalog.open(catalog, create=False).iterations()[: -before or None]
        waited += any(line.startswith("waiting") for lines in printed for line in lines)
        twice += marks > 1
        what = "" if all(lines[-1:] == ["done True"] for lines in printed) else f"ended with {printed}"
        numbers = {(each.workflow, each.number) for each in new}
        what = what or ("" if len(numbers) == len(new) == 2 else f"new iterations: {sorted(numbers)}")
        what = what or ("" if marks else "nobody computed it")
        what = what or damaged(catalog)
        tally.expect(not what, f"round {key}: {what}")
    tally.note = f"one waited in {waited} rounds, both computed in {twice}"


@fault("the driver that holds a lease is killed, or frozen", "taken over; the other's answer is right", short=0, full=6)
def holder_gone(folder: Path, count: int, tally: Tally) -> None:
    catalog, mark, longest = folder / "catalog", folder / "mark", 0.0
    run(catalog, workflow(1000, seconds=2.0, mark=str(mark)))
    late = 0
    for key in tally.rounds(count):
        # Long enough for another process to start in the meantime, on a busy machine.
        options = ("--seconds", "10", "--mark", str(mark))
        first = start_job(catalog, key, *options)
        _wait_for(mark, key)
        second = start_job(catalog, key, *options)
        printed = printed_until(second, re.compile("waiting|done").match)
        if not printed[-1:] or not printed[-1].startswith("waiting"):
            late += 1  # the holder was done before anybody could wait for it: nothing was injected
            ended(first)
            ended(second)
            continue
        begun = time.perf_counter()
        frozen = key % 2 == 0
        os.killpg(first.pid, signal.SIGSTOP if frozen else signal.SIGKILL)
        printed = ended(second, printed)
        longest = max(longest, time.perf_counter() - begun)
        os.killpg(first.pid, signal.SIGCONT if frozen else signal.SIGKILL)
        woken = ended(first)
        good = printed[-1:] == ["done True"] and (not frozen or woken[-1:] == ["done True"])
        what = damaged(catalog) or ("" if good else f"ended with {printed[-3:]}, {woken[-3:]}")
        tally.expect(not what, f"round {key}: {what}")
    tally.note = f"longest wait {longest:.1f} s" + (f"; in {late} more rounds nobody had to wait" if late else "")


@fault("no room on the disk, from a random file on", "the run answers, or says in a sentence why not", short=1, full=30)
def no_room(folder: LocalPath, count: int, tally: Tally) -> None:
    catalog, chosen, told_full = folder / "catalog", random.Random(8), 0
    for key in tally.rounds(count):
        process = start_job(catalog, key, largest=chosen.randrange(500, 40_000))
        printed = ended(process)
        told = printed[-1:] == ["done True"] or any("CatalogError: the " in line for line in printed)
        told_full += any(line.startswith("warning") or "CatalogError" in line for line in printed)
        what = unsound(catalog, key, printed) or ("" if told else f"ended with {printed[-3:]}")
        tally.expect(not what, f"round {key}: {what}")
    tally.note = f"told in {told_full} rounds; {_collected(catalog)}"


@fault("the catalog becomes read-only while a run goes on", "the run answers and warns", short=0, full=10)
def read_only(folder: Path, count: int, tally: Tally) -> None:
    catalog = folder / "catalog"
    run(catalog, workflow(0))
    folders = [path for path in catalog.rglob("*") if path.is_dir()]
    for key in tally.rounds(count):
        process = start_job(catalog, key, "--seconds", "1", before=without_rights())
        printed = printed_until(process, "rows begins".__eq__)
        folders = [path for path in (catalog, *catalog.rglob("*")) if path.is_dir()]
        for path in folders:
            path.chmod(0o555)
        printed = ended(process, printed)
        for path in folders:
            path.chmod(0o755)
        warned = any(line.startswith("warning") for line in printed)
        right = printed[-1:] == ["done True"] and warned
        what = unsound(catalog, key, printed) or ("" if right else f"ended with {printed[-3:]}")
        tally.expect(not what, f"round {key}: {what}")


def _wait_for(mark: Path, key: int) -> None:
    until = time.monotonic() + LONGEST
    while time.monotonic() < until and not re.search(rf"^{key}$", mark.read_text(), re.MULTILINE):
        time.sleep(0.05)
