"""What a process needs of its machine and does not get: open files, a lock, estimates that are right."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.tables.attempts import physical_bytes
from helix_spark.planner.joint import policy_named
from helix_spark.planner.storage import Decision, PlanningProblem, Policy
from tests.fakes.policy import LoadsGladly
from tests.faults.job import answers, run, workflow
from tests.faults.kills import unsound
from tests.faults.row import Tally, fault

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
        command = [sys.executable, "-c", _FEW, str(chosen.randrange(10, 90)), "tests.faults.job"]
        done = subprocess.run(
            [*command, str(catalog), str(1 if index % 2 else 1 + index)], text=True, capture_output=True,
            timeout=120, cwd=Path(__file__).resolve().parents[2],
        )
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
            used, records = physical_bytes(catalog), physical_bytes(catalog / "records")
            stored = sum(record.bytes for record in Catalog.open(catalog, create=False).live())
            over = used - budget if stored else 0  # records are not evicted, whatever the budget
            what = what or ("" if outputs == answers(key) else f"answered {outputs}")
            what = what or ("" if over <= records - before else f"{used:,} bytes with a budget of {budget:,}")
            before = records
        tally.expect(not what, f"history {index}: {what}")
