"""Audits of drawn histories: whether a true result is ever called chance, and how soon planted chance is found. And of
the jobs: what they confirm, and in how many seconds.

    python -m benchmarks.audits [--histories 300] [--json]
    python -m benchmarks.audits --jobs [--only census] [--json]

In each history some functions take a number from where no signature and no watch sees it (C's `getenv`), and their
authors say that they read nothing. The number changes now and then. After each run there is an audit in a Helix of its
own. Wanted: nothing is called different that no planted function has a part in, and of what is planted and was reused
nothing is left after two audits that follow a change.

Each job is run in a process of its own, with everything stored that can be, then audited by `helix audit` in another
one. Whatever is called different is false: nothing that a job reads has changed.

The exit code is 1 otherwise.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import helix_spark as hx
from benchmarks.drawn_edits import SCANS
from benchmarks.program_runs import ROOT

JOBS = ("census", "flights", "genomics", "mnist", "extraction")

RUNS = 4
HIDDEN = "HELIX_HIDDEN_NUMBER"


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a history.

    Attributes:
        audits: how many.
        verified: how many results came out the same.
        false: names of true results that were called different.
        planted: how many planted nodes there were; `missed` names those still reused after the last two audits.
    """

    audits: int
    verified: int
    false: tuple[str, ...]
    planted: int
    missed: tuple[str, ...]


def hidden() -> float:
    """The number that nobody sees being read."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    return float(getenv(HIDDEN.encode()) or b"0")


def workflow(scans: tuple[int, ...], wiring: tuple[int, ...], planted: Collection[int]) -> hx.Workflow:
    """A chain of scanners, each with a reducer; those that are planted add the hidden number."""
    wf = hx.Workflow("audited")
    wf.source("data", hx.table(pd.DataFrame({"x": [0.0, 1.0, -2.0, 1.0, None]})))
    for number, (scan, reads) in enumerate(zip(scans, wiring, strict=True)):
        made = _scanner(SCANS[scan], hides=number in planted)
        wf.scanner(
            name=f"rows_{number}", reads={"rows": "data" if reads < 0 else f"rows_{reads}"}, keep="always",
            depends_on=["nothing else"] if number in planted else (),
        )(made)
        wf.reducer(name=f"sum_{number}", reads={"rows": f"rows_{number}"}, keep="always", output=True)(_sum)
    return wf


def _scanner(scan: Callable[[pd.DataFrame], pd.DataFrame], *, hides: bool) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def scanned(rows: pd.DataFrame) -> pd.DataFrame:
        return scan(rows)

    def noisy(rows: pd.DataFrame) -> pd.DataFrame:
        return scan(rows.fillna(0.0)) + hidden()

    return noisy if hides else scanned


def _sum(rows: pd.DataFrame) -> float:
    return float(rows.x.sum())


def run_history(seed: int, folder: Path) -> Found:
    """Runs and audits one drawn history.

    Args:
        folder: an empty one, for the catalog.
    """
    draw = random.Random(seed)
    wiring = tuple(draw.randrange(-1, number) for number in range(draw.randint(2, 4)))
    planted = frozenset(number for number in range(len(wiring)) if draw.random() < 0.3)
    touched = _touched(wiring, planted)
    scans = tuple(draw.randrange(len(SCANS)) for _ in wiring)
    verified, false, audits = 0, list[str](), 0

    def audited(version: hx.Workflow) -> Any:
        nonlocal verified, audits
        with hx.Helix(folder / "catalog", observer=hx.Silent()) as helix:
            found = helix.audit(version, everything=True)
        audits += 1
        verified += sum(one.verdict == "verified" for one in found.results)
        false.extend(one.node for one in found.results if one.verdict == "different" and one.node not in touched)

    os.environ[HIDDEN] = "1"
    for _ in range(RUNS):
        version = workflow(scans, wiring, planted)
        with hx.Helix(folder / "catalog", observer=hx.Silent(), cut_off=0.0) as helix:
            helix.run(version)
        audited(version)
        place = draw.randrange(len(scans))
        scans = (*scans[:place], draw.randrange(len(SCANS)), *scans[place + 1:])
    for number in (2, 3):
        os.environ[HIDDEN] = str(number)
        audited(version)
    with hx.Helix(folder / "catalog", observer=hx.Silent()) as helix:
        plan = helix.plan(version)
    empty = {f"{kind}_{number}" for number in range(len(wiring)) for kind in ("rows", "sum")} - touched
    missed = [node.name for node in plan.nodes if node.stored and node.name not in empty and node.name != "data"]
    return Found(audits, verified, tuple(false), len(planted), tuple(missed))


def _touched(wiring: tuple[int, ...], planted: Collection[int]) -> set[str]:
    """Names of the nodes that planted ones have a part in."""
    reached = set[int]()
    for number, reads in enumerate(wiring):
        if number in planted or reads in reached:
            reached.add(number)
    return {f"{kind}_{number}" for number in reached for kind in ("rows", "sum")}


@dataclass(frozen=True, slots=True)
class AuditedJob:
    """What an audit made of a job's catalog.

    Attributes:
        run, audit: seconds of the whole process.
        seconds: of the audit alone, without the start of Python and the reading of the job.
        verified: names of the nodes whose stored results came out the same.
        different, not_compared: names of others, with why.
    """

    job: str
    run: float
    audit: float
    seconds: float
    verified: tuple[str, ...]
    different: Mapping[str, str]
    not_compared: Mapping[str, str]


def audited_job(job: str, folder: Path) -> AuditedJob:
    """Runs a job and audits it. Raises RuntimeError where it fails.

    Args:
        folder: an empty one, for the catalog.
    """
    place = [f"jobs/{job}.py", "--catalog", str(folder / "catalog"), "--json"]
    run, _ = _command(["run", *place, "--policy", "always"])
    audit, told = _command(["audit", *place])
    found = {
        verdict: {one["node"]: one["why"] for one in told["results"] if one["verdict"] == verdict}
        for verdict in ("verified", "different", "not compared")
    }
    return AuditedJob(
        job, run, audit, told["seconds"], tuple(found["verified"]), found["different"], found["not compared"]
    )


def _command(arguments: list[str]) -> tuple[float, Any]:
    """Seconds that a command of `helix` takes, and what it prints."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "helix_spark", *arguments], cwd=ROOT, capture_output=True, text=True, check=False,
    )
    if not done.stdout:
        raise RuntimeError(done.stderr[-3000:])
    return time.perf_counter() - begun, json.loads(done.stdout)


def audit_jobs(jobs: Sequence[str], *, as_json: bool) -> int:
    """Audits jobs, and prints what came of it; how many results were called different."""
    found = []
    for job in jobs:
        with tempfile.TemporaryDirectory(prefix="helix-audits-") as folder:
            found.append(audited_job(job, Path(folder)))
        print(found[-1], file=sys.stderr, flush=True)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1))
    else:
        print("| job | run | audit | verified | not compared | different |\n|---|---|---|---|---|---|")
        for one in found:
            print(f"| {one.job} | {one.run:.1f} | {one.audit:.1f} | {len(one.verified)} | "
                  f"{', '.join(one.not_compared)} | {', '.join(one.different)} |")
    return sum(len(one.different) for one in found)


def main() -> int:
    arguments = argparse.ArgumentParser(description="audits of drawn histories with planted chance, and of the jobs")
    arguments.add_argument("--jobs", action="store_true", help="of the jobs instead")
    arguments.add_argument("--only", default="", help="jobs whose name holds this")
    arguments.add_argument("--histories", type=int, default=300, help="how many are drawn (%(default)s)")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    given = arguments.parse_args()
    if given.jobs:
        return min(1, audit_jobs([job for job in JOBS if given.only in job], as_json=given.json))
    found = []
    for seed in range(given.histories):
        with tempfile.TemporaryDirectory(prefix="helix-audits-") as folder:
            found.append(run_history(seed, Path(folder)))
        if found[-1].false or found[-1].missed:
            print(f"history {seed}: {found[-1]}", file=sys.stderr, flush=True)
    told = {
        "histories": len(found), "audits": sum(one.audits for one in found),
        "verified": sum(one.verified for one in found), "planted": sum(one.planted for one in found),
        "true results called different": sum(len(one.false) for one in found),
        "planted and still reused": sum(len(one.missed) for one in found),
    }
    print(json.dumps(told, indent=1) if given.json else "\n".join(f"{name}: {count:,}" for name, count in told.items()))
    return 1 if told["true results called different"] or told["planted and still reused"] else 0


if __name__ == "__main__":
    sys.exit(main())
