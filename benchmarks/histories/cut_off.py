"""Early cut-off in drawn histories: a run must never stop where its result differs.

Drawn workflows of functions of pandas and values get random edits, and each answer is compared with one from scratch.
Many edits change nothing that can be seen; some change the order of rows, a sign of zero, a type.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import helix_spark as hx

Scan = Callable[[pd.DataFrame], pd.DataFrame]
Version = Mapping[str, Sequence[int]]
"""The numbers of the functions of a workflow's nodes, by `FUNCTIONS`: of the source, each scan, the reducer of each
scan, and the answer."""

SOURCES: Sequence[tuple[float | None, ...]] = (
    (0.0, 1.0, -2.0, 1.0), (0.0, 1.0, -2.0, 1.0, None), (-0.0, 1.0, -2.0, 1.0), (1.0, 1.0, 0.0, -2.0), (),
)
SCANS: Sequence[Scan] = (
    lambda rows: rows.dropna(), lambda rows: rows[rows.x.notna()], lambda rows: rows.dropna().reset_index(drop=True),
    lambda rows: rows.dropna().sort_values("x"), lambda rows: rows.dropna() * -1.0 * -1.0,
    lambda rows: rows.dropna() * -1.0, lambda rows: rows.dropna() + 0.0, lambda rows: rows.dropna().astype("float32"),
    lambda rows: rows.drop_duplicates(), lambda rows: rows[rows.x < 100], lambda rows: rows.fillna(0.0),
)
REDUCES: Sequence[Callable[[pd.DataFrame], Any]] = (
    lambda rows: rows.x.tolist(), lambda rows: list(rows.x), lambda rows: sorted(rows.x.dropna()),
    lambda rows: float(rows.x.sum()), lambda rows: float(rows.x.sum() + 0.0), lambda rows: len(rows),
    lambda rows: float(len(rows)), lambda rows: {"n": len(rows), "first": rows.x.head(1).tolist()},
    lambda rows: {"first": rows.x.head(1).tolist(), "n": len(rows)}, lambda rows: bool(len(rows)),
)
ANSWERS: Sequence[Callable[[Any], str]] = (str, repr, lambda values: f"{values}", lambda values: f"{values} ")

FUNCTIONS: Mapping[str, Sequence[Any]] = {"source": SOURCES, "scans": SCANS, "reduces": REDUCES, "answer": ANSWERS}


def source(number: int) -> pd.DataFrame:
    """Return the rows of a source."""
    return pd.DataFrame({"x": pd.Series(SOURCES[number], dtype="float64")})


def draw_wiring(chance: random.Random) -> tuple[int, ...]:
    """Draw for each scan the number of the scan that it reads, or -1 for the source."""
    return tuple(chance.randrange(-1, number) for number in range(chance.randint(2, 4)))


def workflow(wiring: Sequence[int], version: Version) -> hx.Workflow:
    """Declare a version."""
    wf = hx.Workflow("drawn")
    wf.source("data", hx.table(source(version["source"][0])))
    for number, (scan, reads, reduce) in enumerate(zip(version["scans"], wiring, version["reduces"], strict=True)):
        wf.scanner(name=f"rows_{number}", reads={"rows": "data" if reads < 0 else f"rows_{reads}"})(
            _scanner(SCANS[scan])
        )
        wf.reducer(name=f"value_{number}", reads={"rows": f"rows_{number}"})(_reducer(REDUCES[reduce]))
    values = {"first": "value_0", "last": f"value_{len(wiring) - 1}"}
    wf.reducer(name="answer", reads=values, output=True)(_joined(ANSWERS[version["answer"][0]]))
    return wf


def _scanner(scan: Scan) -> Scan:
    def scanned(rows: pd.DataFrame) -> pd.DataFrame:
        return scan(rows)

    return scanned


def _reducer(reduce: Callable[[pd.DataFrame], Any]) -> Callable[[pd.DataFrame], Any]:
    def reduced(rows: pd.DataFrame) -> Any:
        return reduce(rows)

    return reduced


def _joined(function: Callable[[Any], str]) -> Callable[[Any, Any], str]:
    def joined(first: Any, last: Any) -> str:
        return function([first, last])

    return joined


def answer(wiring: Sequence[int], version: Version) -> str:
    """Compute the answer of a version without any reuse."""
    tables = list[pd.DataFrame]()
    for scan, reads in zip(version["scans"], wiring, strict=True):
        tables.append(SCANS[scan](source(version["source"][0]) if reads < 0 else tables[reads]))
    values = [REDUCES[reduce](rows) for reduce, rows in zip(version["reduces"], tables, strict=True)]
    return ANSWERS[version["answer"][0]]([values[0], values[-1]])


def run_history(seed: int, runs: int, folder: Path) -> Counter[str]:
    """Run a drawn history of edits against one catalog, and count runs, early stops and false answers.

    Args:
        folder: an empty one, for the catalog.
    """
    chance, counts, history = random.Random(seed), Counter[str](), list[Version]()
    wiring = draw_wiring(chance)
    version: Version = {
        "source": (0,), "scans": [0 for _ in wiring], "reduces": [chance.randrange(len(REDUCES)) for _ in wiring],
        "answer": (0,),
    }
    with hx.Helix(folder / "catalog", policy="always", observer=hx.Silent(), cut_off=0.0) as helix:
        for _ in range(runs):
            history.append(version)
            done = helix.run(workflow(wiring, version))
            counts["runs"] += 1
            counts["stopped early"] += any("; equal to" in node.reason for node in done.plan.nodes)
            counts["stopped falsely"] += done["answer"] != answer(wiring, version)
            version = chance.choice(history) if chance.random() < 0.1 else _edited(chance, version)
    return counts


def _edited(chance: random.Random, version: Version) -> Version:
    kind = chance.choice(["source", "scans", "scans", "scans", "reduces", "reduces", "answer"])
    numbers, new = list(version[kind]), chance.randrange(len(FUNCTIONS[kind]))
    numbers[chance.randrange(len(numbers)) if len(numbers) > 1 else 0] = new
    return {**version, kind: numbers}
