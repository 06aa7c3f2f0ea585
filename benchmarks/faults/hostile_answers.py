"""Recorded answers that a stranger wrote, or in which bits turned: none is believed, and Spark is asked again."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

from benchmarks.faults.answer_runs import flipped
from benchmarks.faults.row import Tally, fault
from benchmarks.faults.strange_answers import all_strange
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import AnswerRecord

ROOT = Path(__file__).resolve().parents[2]

@fault(
    "answers that a stranger recorded, in plans and runs of a script and of a workflow's node",
    "nothing is executed, nothing ends the process, at most 300 MiB, the right answer", short=14, full=1_000,
)
def strange(folder: LocalPath, times: int, tally: Tally) -> None:
    chosen = all_strange()[:times]
    for one, wrong in zip(chosen, _tried(folder, [str(number) for number in range(len(chosen))]), strict=True):
        tally.expect(not wrong, f"{one.name}, of {one.question}: {wrong}")
    tally.note = f"{len({one.name for one in chosen})} kinds, of {len({one.question for one in chosen})} questions"


def _tried(folder: LocalPath, cases: Sequence[str]) -> Iterator[str]:
    """What came of each case of `answer_runs` that should not have. A process that dies is followed by another one."""
    at = 0
    while at < len(cases):
        command = [sys.executable, "-m", "benchmarks.faults.answer_runs", str(folder), *cases[at:]]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            if json.loads(first or '"it did not start"'):
                raise AssertionError(f"the honest run failed: {first}")
            for line in process.stdout:
                yield json.loads(line)[1]
                at += 1
            assert process.stderr is not None
            told = process.stderr.read()[-300:]
        if at < len(cases):
            yield f"the process ended with {process.returncode}: {told}"
            at += 1


@fault(
    "flips of a bit in recorded answers, and answers under another question",
    "the run answers right, `verify` finds each", short=30, full=3_000,
)
def flips(folder: LocalPath, times: int, tally: Tally) -> None:
    ledger = Catalog.open(folder / "catalog", create=True).answers
    chance = random.Random(20180611)
    answer = base64.b64encode(chance.randbytes(300)).decode()
    records = [
        AnswerRecord(f"{number:064x}", "script", number, 10.5, 0.25, answer if number % 3 else "",
                     "" if number % 3 else f"{number:064x}") for number in range(10)
    ]
    sealed = [replace(one, digest=one.content_digest()) for one in records]
    for number in range(times):
        honest, other = chance.sample(sealed, 2)
        name = chance.choice([one.name for one in fields(honest) if getattr(honest, one.name) != ""])
        moved = number % 10 == 0
        changed = replace(honest, question=other.question) if moved else flipped(honest, name, chance)
        seen = ledger.sound(changed)
        tally.expect(seen is None, f"{changed} was taken for {honest}")


@fault(
    "records of a script's answers with a turned bit, in a run",
    "the run prints the same, in one line it says so, `verify` is not sound", short=3, full=40,
)
def turned(folder: LocalPath, times: int, tally: Tally) -> None:
    for wrong in _tried(folder, [f"turned-{number}" for number in range(times)]):
        tally.expect(not wrong, wrong)
