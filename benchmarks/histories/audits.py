"""Drawn histories with planted hidden inputs: audits must find them, and must not call a sound result different.

In each history some functions read a number that no signature and no watch sees (by C's `getenv`), and their authors
declare that they read nothing. The number changes now and then. After each run there is an audit in another Helix.
Wanted: no result is called different that depends on no planted function, and no planted result is reused after two
audits that follow a change.
"""

from __future__ import annotations

import ctypes
import os
import random
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pandas as pd

import helix_spark as hx
from benchmarks.histories.cut_off import SCANS, Scan, draw_wiring

RUNS = 4
HIDDEN = "HELIX_HIDDEN_NUMBER"
FALSE, MISSED = "true results called different", "planted and still reused"


def hidden() -> float:
    """Return the hidden number."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    return float(getenv(HIDDEN.encode()) or b"0")


def workflow(scans: tuple[int, ...], wiring: tuple[int, ...], planted: Collection[int]) -> hx.Workflow:
    """Declare scanners, each with a reducer; planted ones add the hidden number."""
    wf = hx.Workflow("audited")
    wf.source("data", hx.table(pd.DataFrame({"x": [0.0, 1.0, -2.0, 1.0, None]})))
    for number, (scan, reads) in enumerate(zip(scans, wiring, strict=True)):
        wf.scanner(
            name=f"rows_{number}", reads={"rows": "data" if reads < 0 else f"rows_{reads}"}, keep="always",
            depends_on=["nothing else"] if number in planted else (),
        )(_scanner(SCANS[scan], is_planted=number in planted))
        wf.reducer(name=f"sum_{number}", reads={"rows": f"rows_{number}"}, keep="always", output=True)(_sum)
    return wf


def _scanner(scan: Scan, *, is_planted: bool) -> Scan:
    def scanned(rows: pd.DataFrame) -> pd.DataFrame:
        return scan(rows)

    def noisy(rows: pd.DataFrame) -> pd.DataFrame:
        return scan(rows.fillna(0.0)) + hidden()

    return noisy if is_planted else scanned


def _sum(rows: pd.DataFrame) -> float:
    return float(rows.x.sum())


def run_history(seed: int, folder: Path) -> Counter[str]:
    """Run and audit one drawn history; count audits, planted nodes, verified results and mistakes.

    Args:
        folder: an empty one, for the catalog.
    """
    chance = random.Random(seed)
    wiring = draw_wiring(chance)
    planted = frozenset(number for number in range(len(wiring)) if chance.random() < 0.3)
    scans = tuple(chance.randrange(len(SCANS)) for _ in wiring)
    dependent, counts = _dependent(wiring, planted), Counter({"planted": len(planted)})

    def audit(version: hx.Workflow) -> None:
        with hx.Helix(folder / "catalog", observer=hx.Silent()) as helix:
            results = helix.audit(version, everything=True).results
        counts["audits"] += 1
        counts["verified"] += sum(result.verdict == "verified" for result in results)
        counts[FALSE] += sum(result.verdict == "different" and result.node not in dependent for result in results)

    os.environ[HIDDEN] = "1"
    for _ in range(RUNS):
        version = workflow(scans, wiring, planted)
        with hx.Helix(folder / "catalog", observer=hx.Silent(), cut_off=0.0) as helix:
            helix.run(version)
        audit(version)
        place = chance.randrange(len(scans))
        scans = (*scans[:place], chance.randrange(len(SCANS)), *scans[place + 1:])
    for number in (2, 3):
        os.environ[HIDDEN] = str(number)
        audit(version)
    with hx.Helix(folder / "catalog", observer=hx.Silent()) as helix:
        plan = helix.plan(version)
    counts[MISSED] += sum(node.stored and node.name in dependent for node in plan.nodes)
    return counts


def _dependent(wiring: tuple[int, ...], planted: Collection[int]) -> set[str]:
    """Return the names of the nodes that depend on planted ones."""
    scans = set[int]()
    for number, reads in enumerate(wiring):
        if number in planted or reads in scans:
            scans.add(number)
    return {f"{kind}_{number}" for number in scans for kind in ("rows", "sum")}
