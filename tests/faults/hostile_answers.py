"""Recorded answers that a stranger wrote, or in which bits turned: none is believed, and Spark is asked again."""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import AnswerRecord
from helix_spark.plans.answer_gate import AnswerForm, answer_of_text
from tests.faults.answer_runs import LARGE, NAME, flipped, question_of
from tests.faults.processes import ROOT, run_python, start_python
from tests.faults.row import Tally, fault
from tests.faults.strange_answers import MODULE, all_strange
from tests.faults.traps import write_module


@fault(
    "answers that a stranger recorded, in plans and runs of a script and of a workflow's node",
    "nothing is executed, nothing ends the process, at most 300 MiB, the right answer", short=12, full=1_000,
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
        words = ("-m", "tests.faults.answer_runs", folder, *cases[at:])
        with start_python(*words, stderr=subprocess.PIPE) as process:
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
    "the run prints the same, in one line it says so, `verify` is not sound", short=0, full=40,
)
def turned(folder: LocalPath, times: int, tally: Tally) -> None:
    for wrong in _tried(folder, [f"turned-{number}" for number in range(times)]):
        tally.expect(not wrong, wrong)


@fault(
    "two hundred answers of 1.4 MB, in files as Helix writes them and in one", "at most 300 MiB", short=0, full=2,
)
def large(folder: LocalPath, times: int, tally: Tally) -> None:
    chance = random.Random(7)
    records = (
        AnswerRecord(question_of(number), NAME, 1, 1.0, 0.1, base64.b64encode(chance.randbytes(1 << 20)).decode())
        for number in range(LARGE)
    )
    apart, together = (Catalog.open(folder / name, create=True) for name in ("large-apart", "large-together"))
    sealed = [replace(one, digest=one.content_digest()) for one in records]
    apart.answers.append(sealed)
    together._records.append(sealed)
    for wrong in _tried(folder, ["large-apart", "large-together"][:times]):
        tally.expect(not wrong, wrong)


SCRIPT = """from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
print("rows", spark.range(3).selectExpr("id * 2 AS a").collect())
"""
_PRINTED = "rows [Row(a=0), Row(a=2), Row(a=4)]"


@fault(
    "answers that a stranger recorded, by whole commands",
    "`helix plan` and `helix run` end as ever, nothing is executed",
    short=0, full=6, spark=True,
)
def commands(folder: LocalPath, times: int, tally: Tally) -> None:
    script, canary = Path(folder) / "script.py", Path(folder) / "executed"
    script.write_text(SCRIPT)
    write_module(folder, MODULE, canary)
    if _PRINTED not in (first := _command(folder, "run")).stdout:
        raise AssertionError(f"the honest run failed: {first.stderr[-500:]}")
    (honest,) = (
        one for one in Catalog.open(folder / "catalog", create=False).answers.records()
        if base64.b64decode(one.answer)[4:11] == b"execute"
    )
    messages = answer_of_text(AnswerForm("execute", "arrow_batch"), honest.answer)
    of_rows = [one for one in all_strange() if one.question == "collect"]
    for strange_one in of_rows[::max(1, len(of_rows) // times)][:times]:
        ledger = Catalog.open(folder / "catalog", create=True).answers
        ledger.append([replace(honest, answer=strange_one.text(messages, canary), digest="")])
        planned, ran = _command(folder, "plan"), _command(folder, "run")
        wrong = [one.stderr[-300:] for one in (planned, ran) if one.returncode or "Traceback" in one.stderr]
        right = not wrong and _PRINTED in ran.stdout and not canary.exists()
        tally.expect(right, f"{strange_one.name}: {wrong}, {ran.stdout[-200:]}, {canary.exists()}")


def _command(folder: LocalPath, verb: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return run_python(
        "-m", "helix_spark", verb, "script.py", "--catalog", "catalog", cwd=folder, env=environ, timeout=300,
    )
