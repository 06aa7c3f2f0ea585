"""The power is cut: what was acknowledged is there afterwards, and the next run is right.

    python -m tests.faults.power_cuts CATALOG MARKS KEY... [--unsynced] [--budget SIZE] [--folding] [--spark]

That runs a job once for each key, and writes to MARKS what it acknowledges. Acknowledged are a result of which it was
told that it is stored, and an iteration whose `wait` has returned.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.segments import folding
from helix_spark.engine.server.session import Sessions
from helix_spark.errors import HelixError
from tests.fakes.policy import loading
from tests.faults import job, spark_job
from tests.faults.job import Heard
from tests.faults.logged_disk import OPTIONS, LoggedDisk, Recording, logged_disk, powered_on, why_not_here
from tests.faults.processes import run_python, start_python
from tests.faults.row import NotHereError, Tally, fault
from tests.faults.usable import all_of, damaged

_CUTS = 15
"""Cuts of one recording."""

_NEXT = 1000
"""Key of the run after a cut, which nobody ran before."""


@dataclass(frozen=True)
class Job:
    """What is run.

    Attributes:
        workflow, answers: of a key.
        run: a workflow in a catalog; returns its outputs.
    """

    workflow: Callable[[int], hx.Workflow]
    answers: Callable[[int], dict[str, int]]
    run: Callable[[Path, hx.Workflow], dict[str, Any]]


WITHOUT_SPARK = Job(job.workflow, job.answers, job.run)


@dataclass(frozen=True)
class Drivers:
    """Who runs while the power is cut.

    Attributes:
        keys: of the runs of each driver; all of them work at once.
        options: of each.
    """

    name: str
    keys: tuple[tuple[int, ...], ...]
    options: tuple[str, ...] = ()


KINDS = (
    Drivers("one driver", ((1, 2, 3),)),
    Drivers("two drivers at once", ((1, 2, 3), (3, 2, 1))),
    Drivers("results are evicted", ((1, 2, 3, 4),), ("--budget", "250 kB")),
    Drivers("records are folded", ((1, 2, 3, 4, 5, 6, 7),), ("--folding",)),
)


def recorded(work: Path, drivers: Drivers, options: str, *more: str) -> Recording:
    """What the drivers wrote to a disk.

    Args:
        options: of the mount.
        more: options of the drivers.
    """
    with logged_disk(work, options) as disk:
        catalog = disk.folder / "catalog"
        processes = [
            start_python("-m", "tests.faults.power_cuts", catalog, disk.marks, *keys, *drivers.options, *more)
            for keys in drivers.keys
        ]
        for process in processes:
            printed, _ = process.communicate(timeout=300)
            if process.returncode != 0:
                raise OSError(f"the job ended with {process.returncode}: {printed[-2000:]}")
        return disk.recorded()


def lost(catalog: Path, marks: Sequence[str], job: Job) -> str:
    """What is lost of what was acknowledged, or wrong in a catalog after a cut; empty if nothing is."""
    told = [json.loads(mark) for mark in marks]
    try:
        if (outputs := job.run(catalog, job.workflow(_NEXT))) != job.answers(_NEXT):
            return f"the next run answered {outputs}"
        all_of(catalog)
        if what := damaged(catalog):
            return what
        for what in (*_lost_results(catalog, told, job), *_lost_iterations(catalog, told, job)):
            return what
        for key in {key for key, _ in told}:
            if (outputs := job.run(catalog, job.workflow(key))) != job.answers(key):
                return f"run {key} answered {outputs}"
    except HelixError as error:
        return f"refused: {error}"
    return ""


def _lost_results(catalog: Path, told: Sequence[tuple[int, str]], job: Job) -> Iterator[str]:
    opened = Catalog.open(catalog, create=False)
    with hx.Helix(catalog, policy="always", observer=Heard()) as helix:
        plans = {key: helix.plan(job.workflow(key)) for key in {key for key, name in told if name}}
    for key, name in told:
        if name and not plans[key][name].stored:
            last = opened.last_event(plans[key][name].signature)
            if last is None or last.event != "evicted":
                found = "not on record" if last is None else last.why
                yield f"{name} of run {key} was said to be stored: {found}"


def _lost_iterations(catalog: Path, told: Sequence[tuple[int, str]], job: Job) -> Iterator[str]:
    done = [json.loads(one.outputs) for one in Catalog.open(catalog, create=False).iterations() if one.status == "done"]
    for key, name in told:
        if not name and job.answers(key) not in done:
            yield f"run {key} had ended, and is not on record"


def _cut(
    folder: Path, recording: Recording, chosen: random.Random, count: int, job: Job = WITHOUT_SPARK
) -> Iterator[str]:
    """What is lost after each of some cuts."""
    for index, moment in enumerate(recording.moments(chosen, count)):
        cut = recording.cut(moment, chosen, folder / f"cut-{index}")
        with powered_on(cut) as disk:
            what = lost(disk / "catalog", cut.marks, job)
        yield what and f"cut {index} at {moment} of {len(recording.entries)}: {what}"


def _check_here() -> None:
    if why := why_not_here():
        raise NotHereError(f"a disk that logs what is written takes root, FUSE and a loop device: {why}")


@fault("the power is cut", "what was acknowledged is there; the next run is right", short=3, full=120)
def power_cut(folder: Path, count: int, tally: Tally) -> None:
    _check_here()
    chosen, seen = random.Random(22), dict[str, int]()
    for index in tally.rounds(-(-count // _CUTS)):
        drivers = KINDS[(index - 1) % len(KINDS)]
        work = folder / str(index)
        recording = recorded(work, drivers, OPTIONS[(index - 1) // len(KINDS) % len(OPTIONS)])
        for what in _cut(work, recording, chosen, min(_CUTS, count - tally.injected)):
            tally.expect(not what, f"{drivers.name}, {what}")
            seen[drivers.name] = seen.get(drivers.name, 0) + 1
    tally.note = ", ".join(f"{number} while {name}" for name, number in seen.items())


@fault("the power is cut where nothing was synced", "something is lost: the row above can fail", short=0, full=1)
def power_cut_unsynced(folder: Path, count: int, tally: Tally) -> None:
    _check_here()
    chosen = random.Random(23)
    recording = recorded(folder / "work", KINDS[0], OPTIONS[0], "--unsynced")
    found = [what for what in _cut(folder / "work", recording, chosen, _CUTS) if what]
    tally.expect(bool(found), "nothing was lost")
    tally.note = f"{len(found)} of {_CUTS} cuts lost something"


@fault("the power is cut while Spark's tables and models are stored",
       "what was acknowledged is there; the next run is right", short=0, full=20, spark=True)
def power_cut_with_spark(folder: Path, count: int, tally: Tally) -> None:
    _check_here()
    chosen = random.Random(25)
    with Sessions(settings=spark_job.SETTINGS) as sessions:
        with_spark = Job(
            spark_job.workflow, spark_job.answers,
            lambda catalog, made: spark_job.run(catalog, made, spark=sessions.get()),
        )
        for index, options in enumerate(OPTIONS):
            work = folder / str(index)
            recording = recorded(work, Drivers("Spark", ((1, 2),), ("--spark",)), options)
            for what in _cut(work, recording, chosen, count // len(OPTIONS), with_spark):
                tally.expect(not what, what)


_OUTPUTS = {
    "rows.parquet": "export 1 rows {}/rows.parquet", "rows.csv": "export 1 rows {}/rows.csv",
    "total.json": "export 1 total {}/total.json", "page.html": "ui --export {}/page.html",
    "job.iteration-1.py": "checkout 1 {}/job.py",
}


@fault("the power is cut after a command said that it wrote a file", "the file is whole", short=2, full=60)
def power_cut_behind_outputs(folder: Path, count: int, tally: Tally) -> None:
    _check_here()
    chosen, catalog = random.Random(26), folder / "catalog"
    job.run(catalog, job.workflow(1))
    for index in tally.rounds(-(-count // _CUTS)):
        work = folder / str(index)
        with logged_disk(work, OPTIONS[index % len(OPTIONS)]) as disk:
            whole = dict(_outputs(catalog, disk))
            recording = disk.recorded()
        for number, moment in enumerate(recording.moments(chosen, min(_CUTS, count - tally.injected))):
            cut = recording.cut(moment, chosen, work / f"cut-{number}")
            with powered_on(cut) as left:
                broken = [
                    name for name in cut.marks
                    if not (left / name).is_file() or (left / name).read_bytes() != whole[name]
                ]
            tally.expect(not broken, f"cut {number} at {moment}: {', '.join(broken)}")


def _outputs(catalog: Path, disk: LoggedDisk) -> Iterator[tuple[str, bytes]]:
    """Have commands write files, and yield each with its bytes once it is said to be written."""
    for name, command in _OUTPUTS.items():
        done = run_python("-m", "helix_spark", *command.format(disk.folder).split(), "--catalog", catalog)
        if not done.stdout.startswith(f"wrote {disk.folder / name}"):
            raise OSError(done.stdout + done.stderr)
        disk.marks.write_text(name)
        yield name, (disk.folder / name).read_bytes()


class _Acknowledges(Heard):
    """Marks what it is told to be stored."""

    def __init__(self, marks: Path, key: int) -> None:
        super().__init__()
        self.marks, self.key = marks, key

    def mark(self, name: str = "") -> None:
        self.marks.write_text(json.dumps([self.key, name]))

    def stored(self, name: str, size: int) -> None:
        self.mark(name)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("catalog", type=Path)
    arguments.add_argument("marks", type=Path)
    arguments.add_argument("keys", type=int, nargs="+")
    arguments.add_argument("--unsynced", action="store_true", help="nothing is synced")
    arguments.add_argument("--budget")
    arguments.add_argument("--folding", action="store_true", help="records are folded often")
    arguments.add_argument("--spark", action="store_true", help="the job with Spark")
    given = arguments.parse_args()
    if given.unsynced:
        os.fsync = lambda fd: None
    if given.folding:
        folding.AT_ONCE, folding.KEPT_SEGMENTS, folding.LOOKED_AT_SECONDS = 4, 0, -1.0
    done = spark_job if given.spark else job
    with Sessions(settings=spark_job.SETTINGS) as sessions:
        for key in given.keys:
            heard = _Acknowledges(given.marks, key)
            with hx.Helix(
                given.catalog, policy=loading("always"), observer=heard, budget=given.budget,
                spark=sessions.get() if given.spark else None,
            ) as helix:
                iteration = helix.run(done.workflow(key))
                iteration.wait()
                heard.mark()
                assert dict(iteration.outputs) == done.answers(key), iteration.outputs


if __name__ == "__main__":
    main()
