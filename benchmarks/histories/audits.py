"""Drawn histories with planted chance: whether a true result is ever called different, and how soon chance is found.

In each history some functions take a number from where no signature and no watch sees it (C's `getenv`), and their
authors say that they read nothing. The number changes now and then. After each run there is an audit in a Helix of its
own. Wanted: nothing is called different that no planted function has a part in, and of what is planted and was reused
nothing is left after two audits that follow a change.
"""

from __future__ import annotations

import ctypes
import os
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import helix_spark as hx
from benchmarks.histories.cut_off import SCANS

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
