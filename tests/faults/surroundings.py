"""What surrounds a run: clocks, the catalog's folder, budgets, a source's data, graphs that make no sense, open files,
estimates."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.place import LocalPath
from helix_spark.errors import HelixError
from helix_spark.planner.joint import policy_named
from helix_spark.planner.problem import State
from helix_spark.planner.storage import Decision, PlanningProblem, Policy
from tests.fakes.policy import LoadsGladly, loading
from tests.faults.job import PEOPLE, Heard, answers, run, workflow
from tests.faults.kills import unsound
from tests.faults.processes import ended, run_python, start_job, without_rights
from tests.faults.row import Tally, fault

DAY = 24 * 3600.0


@fault("the clock goes ahead, or back, between runs", "the right order; nothing computed again, nothing collected",
       short=2, full=20)
def clocks(folder: Path, count: int, tally: Tally) -> None:
    catalog, chosen, now = folder / "catalog", random.Random(12), time.time
    for key in range(1, count + 1):
        said = []
        for weight in (1, 1):
            off = chosen.choice((-3650 * DAY, -DAY, -3600.0, 3600.0, DAY, 3650 * DAY))
            with mock.patch("time.time", lambda off=off: now() + off):
                policy = loading("always")
                with hx.Helix(catalog, policy=policy) as helix:
                    iteration = helix.run(workflow(key, weight))
                    iteration.wait()
                    left = helix.catalog.gc(dry_run=True)
                states = {node.state for node in iteration.plan.nodes}
                said.append((iteration.number, dict(iteration.outputs), State.COMPUTE in states, len(left)))
        right = [(2 * key - 1, answers(key), True, 0), (2 * key, answers(key), False, 0)]
        numbers = [each.number for each in Catalog.open(catalog, create=False).iterations("job")]
        in_order = numbers == sorted(numbers, reverse=True)
        tally.expect(said == right and in_order, f"round {key}: {said}, in the order {numbers[:4]}")


def _no_folder(root: Path) -> None:
    root.write_text("a file, and no folder")


def _foreign(root: Path) -> None:
    root.mkdir()
    (root / "thesis.tex").write_text("not a catalog")


def _below_a_file(root: Path) -> None:
    root.parent.rmdir()
    root.parent.write_text("a file, and no folder")


def _not_writable(root: Path) -> None:
    root.parent.chmod(0o555)


@fault("a folder that cannot be the catalog: a file, foreign, below a file, not to be written", "refused in a "
       "sentence before anything is computed", short=2, full=12)
def folders(folder: Path, count: int, tally: Tally) -> None:
    ways: tuple[Callable[[Path], None], ...] = (_no_folder, _foreign, _below_a_file, _not_writable)
    for index in range(count):
        above = folder / str(index)
        above.mkdir()
        ways[index % len(ways)](above / "catalog")
        process = start_job(above / "catalog", 1, before=without_rights())
        printed = ended(process)
        told = any("CatalogError: " in line for line in printed)
        computed = any("begins" in line for line in printed)
        tally.expect(told and not computed, f"{ways[index % len(ways)].__name__}: {printed[-2:]}")


def _results_bytes(catalog: Catalog) -> int:
    return sum(record.bytes for record in catalog.live())


@fault("a budget of nothing, of a byte, smaller from run to run, or negative", "kept after each run, but for its "
       "own records, or refused; answers right", short=2, full=36)
def budgets(folder: LocalPath, count: int, tally: Tally) -> None:
    chosen, most = random.Random(13), 0
    for index in range(count):
        catalog, sizes = folder / str(index), [1 << 40, 400_000, 150_000, 60_000, 1, 0]
        if index % 6 == 5:
            try:
                run(catalog, workflow(1), budget=-1 - index)
                what = "it was taken"
            except HelixError:
                what = ""
            tally.expect(not what, f"a negative budget: {what}")
            continue
        what, before = "", 0
        for key, budget in enumerate(sorted(chosen.sample(sizes, 3), reverse=True), 1):
            policy = ("always", "joint", "never")[(index + key) % 3]
            outputs = run(catalog, workflow(key), policy=policy, budget=budget)
            opened = Catalog.open(catalog, create=False)
            used, records = catalog.total_bytes(), (catalog / "records").total_bytes()
            over = used - budget if _results_bytes(opened) else 0
            most, before, own = max(most, over), records, records - before
            what = what or ("" if outputs == answers(key) else f"answered {outputs}")
            # Records are not evicted, and the last ones are written when all is decided: they may be too much.
            what = what or ("" if over <= own else f"{used:,} bytes with a budget of {budget:,} under {policy}")
        tally.expect(not what, what)
    tally.note = f"at most {most:,} bytes over it, of records of some 100,000 bytes a run"


def _csv(path: Path) -> hx.Workflow:
    wf = hx.Workflow("csv")
    wf.source("data", hx.csv(str(path), schema="a int, s string"))

    @wf.reducer(output=True)
    def total(data: pd.DataFrame) -> int:
        return int(data.a.sum())

    return wf


def _one_byte(files: list[Path], chosen: random.Random) -> None:
    file = chosen.choice(files)
    status, text = file.stat(), bytearray(file.read_bytes())
    place = chosen.randrange(len(text))
    text[place] = (text[place] + 1) % 256
    file.write_bytes(text)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def _append(files: list[Path], chosen: random.Random) -> None:
    with chosen.choice(files).open("a") as file:
        file.write("7,x\n")


def _another(files: list[Path], chosen: random.Random) -> None:
    (files[0].parent / f"more-{chosen.randrange(10**9)}.csv").write_text("7,x\n")


def _fewer(files: list[Path], chosen: random.Random) -> None:
    chosen.choice(files).unlink()


def _swapped(files: list[Path], chosen: random.Random) -> None:
    """Two files change places: the same bytes, the same sizes, in another order."""
    one, other = chosen.sample(files, 2)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


@fault("data changed under the same path: one byte of the same size and time, rows, files", "known for other data",
       short=5, full=60)
def data_changed(folder: Path, count: int, tally: Tally) -> None:
    ways = (_one_byte, _append, _another, _fewer, _swapped)
    chosen = random.Random(14)
    with hx.Helix(folder / "catalog") as helix:
        for index in range(count):
            data = folder / str(index)
            data.mkdir()
            for part in range(3):
                lines = (f"{chosen.randrange(100)},{part}" for _ in range(5))
                (data / f"part-{part}.csv").write_text("\n".join(lines) + "\n")
            before = helix.plan(_csv(data))["total"].signature
            again = helix.plan(_csv(data))["total"].signature
            ways[index % len(ways)](sorted(data.glob("*.csv")), chosen)
            after = helix.plan(_csv(data))["total"].signature
            tally.expect(before == again != after, f"{ways[index % len(ways)].__name__} was not seen")


def _itself(wf: hx.Workflow) -> None:
    @wf.scanner
    def rows(rows: pd.DataFrame) -> pd.DataFrame:
        return rows


def _in_a_circle(wf: hx.Workflow) -> None:
    @wf.scanner
    def one(other: pd.DataFrame) -> pd.DataFrame:
        return other

    @wf.scanner
    def other(one: pd.DataFrame) -> pd.DataFrame:
        return one


def _twice(wf: hx.Workflow) -> None:
    wf.source("data", hx.table(PEOPLE))


def _unknown_input(wf: hx.Workflow) -> None:
    @wf.reducer(output=True)
    def total(dta: pd.DataFrame) -> int:
        return len(dta)


def _no_outputs(wf: hx.Workflow) -> None:
    del wf


def _any_arguments(wf: hx.Workflow) -> None:
    @wf.reducer(output=True)
    def total(*tables: pd.DataFrame) -> int:
        return len(tables)


def _returns(value: Any) -> Callable[[hx.Workflow], None]:
    def declare(wf: hx.Workflow) -> None:
        @wf.scanner
        def rows(data: pd.DataFrame) -> pd.DataFrame:
            return value  # type: ignore[no-any-return]  # what an author may return by mistake

        @wf.reducer(output=True)
        def total(rows: pd.DataFrame) -> int:
            return len(rows)

    return declare


@fault("a graph that makes no sense, or a scanner that returns no table", "refused in a sentence; nothing is stored",
       short=9, full=27)
def bad_graphs(folder: Path, count: int, tally: Tally) -> None:
    ways: tuple[Callable[[hx.Workflow], None], ...] = (
        _itself, _in_a_circle, _twice, _unknown_input, _no_outputs, _any_arguments, _returns(None), _returns(3),
        _returns([1, 2]),
    )
    for index in range(count):
        catalog, heard = folder / str(index), Heard()
        wf = hx.Workflow("nonsense")
        wf.source("data", hx.table(PEOPLE))
        try:
            ways[index % len(ways)](wf)
            what = f"it answered {run(catalog, wf, heard)}"
        except HelixError:
            what = f"stored {heard.names}" if "rows" in heard.names else ""
        tally.expect(not what, f"way {index % len(ways)}: {what}")


_FEW = """
import resource, runpy, sys
most = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


@fault("hardly a file may be open", "the answer, or an end in words; nothing stored is taken for damaged",
       short=1, full=24)
def open_files(folder: Path, count: int, tally: Tally) -> None:
    catalog, chosen, answered = folder / "catalog", random.Random(31), 0
    run(catalog, workflow(1))
    for index in tally.rounds(count):
        before = {record.attempt for record in Catalog.open(catalog, create=False).live()}
        key = 1 if index % 2 else 1 + index
        done = run_python("-c", _FEW, chosen.randrange(10, 90), "tests.faults.job", catalog, key)
        printed = done.stdout.splitlines()
        answered += "done True" in printed
        gone = before - {record.attempt for record in Catalog.open(catalog, create=False).live()}
        what = f"{len(gone)} results are not stored any more" if gone else ""
        what = what or ("answered wrongly" if "done False" in printed else "")
        what = what or unsound(catalog, 1, printed if index % 2 else ())
        tally.expect(not what, f"round {index}: {what}; {(printed + done.stderr.splitlines())[-2:]}")
    tally.note = f"{answered} of {tally.injected} answered"


class _Misjudges:
    """Decides as another policy does, by estimates that are wrong by a factor of a tenth to ten."""

    def __init__(self, decides: Policy, chosen: random.Random) -> None:
        self._decides, self._chosen, self.name = decides, chosen, decides.name

    def decide(self, problem: PlanningProblem) -> Decision:
        """See `Policy.decide`."""
        def wrong() -> float:
            return float(10.0 ** self._chosen.uniform(-1.0, 1.0))

        return self._decides.decide(replace(problem, nodes=tuple(
            node if node.stored else replace(
                node, bytes=int(node.bytes * wrong()), compute_seconds=node.compute_seconds * wrong(),
                load_seconds=node.load_seconds * wrong(), write_seconds=node.write_seconds * wrong(),
            ) for node in problem.nodes
        )))


@fault("estimates of time and size that are wrong by a factor of a tenth to ten, within a budget",
       "kept after each run, but for its own records; answers right", short=1, full=30)
def estimates(folder: LocalPath, count: int, tally: Tally) -> None:
    chosen = random.Random(32)
    for index in range(count):
        catalog, before, what = folder / str(index), 0, ""
        budget = chosen.choice((100_000, 200_000, 400_000))
        for key in (1, 1, 2):
            policy = LoadsGladly(_Misjudges(policy_named(("always", "joint", "never")[index % 3]), chosen))
            outputs = run(catalog, workflow(key), policy=policy, budget=budget)
            used, records = catalog.total_bytes(), (catalog / "records").total_bytes()
            stored = sum(record.bytes for record in Catalog.open(catalog, create=False).live())
            over = used - budget if stored else 0  # records are not evicted, whatever the budget
            what = what or ("" if outputs == answers(key) else f"answered {outputs}")
            what = what or ("" if over <= records - before else f"{used:,} bytes with a budget of {budget:,}")
            before = records
        tally.expect(not what, f"history {index}: {what}")
