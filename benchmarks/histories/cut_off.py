"""Early cut-off in drawn histories: whether a run ever stops where it must not.

Drawn workflows of functions of pandas and values are edited again and again by draws, and each answer is compared with
one from scratch. Many edits change nothing that can be seen; some change the order of rows, a sign of zero, a type.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import helix_spark as hx

Scan = Callable[[pd.DataFrame], pd.DataFrame]
Reduce = Callable[[pd.DataFrame], Any]

SOURCES: Sequence[tuple[float | None, ...]] = (
    (0.0, 1.0, -2.0, 1.0), (0.0, 1.0, -2.0, 1.0, None), (-0.0, 1.0, -2.0, 1.0), (1.0, 1.0, 0.0, -2.0), (),
)
SCANS: Sequence[Scan] = (
    lambda rows: rows.dropna(), lambda rows: rows[rows.x.notna()], lambda rows: rows.dropna().reset_index(drop=True),
    lambda rows: rows.dropna().sort_values("x"), lambda rows: rows.dropna() * -1.0 * -1.0,
    lambda rows: rows.dropna() * -1.0, lambda rows: rows.dropna() + 0.0, lambda rows: rows.dropna().astype("float32"),
    lambda rows: rows.drop_duplicates(), lambda rows: rows[rows.x < 100], lambda rows: rows.fillna(0.0),
)
REDUCES: Sequence[Reduce] = (
    lambda rows: rows.x.tolist(), lambda rows: list(rows.x), lambda rows: sorted(rows.x.dropna()),
    lambda rows: float(rows.x.sum()), lambda rows: float(rows.x.sum() + 0.0), lambda rows: len(rows),
    lambda rows: float(len(rows)), lambda rows: {"n": len(rows), "first": rows.x.head(1).tolist()},
    lambda rows: {"first": rows.x.head(1).tolist(), "n": len(rows)}, lambda rows: bool(len(rows)),
)
TELLS: Sequence[Callable[[Any], str]] = (str, repr, lambda told: f"{told}", lambda told: f"{told} ")


@dataclass(frozen=True, slots=True)
class Version:
    """A text of the workflow: which of the functions each of its nodes has.

    Attributes:
        scans: by node; each reads the source or an earlier one, as `wiring` says.
        reduces: by node; each reads the scan of its number.
    """

    source: int
    scans: tuple[int, ...]
    reduces: tuple[int, ...]
    tell: int


@dataclass(frozen=True, slots=True)
class Shape:
    """How the nodes are wired: of each scan, the number of the scan that it reads, or -1 for the source."""

    wiring: tuple[int, ...]

    def workflow(self, version: Version) -> hx.Workflow:
        """A version as its author would declare it."""
        wf = hx.Workflow("drawn")
        wf.source("data", hx.table(pd.DataFrame({"x": pd.Series(SOURCES[version.source], dtype="float64")})))
        for number, (scan, reads) in enumerate(zip(version.scans, self.wiring, strict=True)):
            wf.scanner(name=f"rows_{number}", reads={"rows": "data" if reads < 0 else f"rows_{reads}"})(
                _scanner(SCANS[scan])
            )
            wf.reducer(name=f"told_{number}", reads={"rows": f"rows_{number}"})(
                _reducer(REDUCES[version.reduces[number]])
            )
        told = [f"told_{number}" for number in range(len(self.wiring))]
        wf.reducer(name="answer", reads={"first": told[0], "last": told[-1]}, output=True)(_teller(TELLS[version.tell]))
        return wf

    def answer(self, version: Version) -> str:
        """What a version answers, without any reuse."""
        tables: list[pd.DataFrame] = []
        values = []
        source = pd.DataFrame({"x": pd.Series(SOURCES[version.source], dtype="float64")})
        for number, (scan, reads) in enumerate(zip(version.scans, self.wiring, strict=True)):
            tables.append(SCANS[scan](source if reads < 0 else tables[reads]))
            values.append(REDUCES[version.reduces[number]](tables[number]))
        return TELLS[version.tell]([values[0], values[-1]])


def _scanner(scan: Scan) -> Scan:
    def scanned(rows: pd.DataFrame) -> pd.DataFrame:
        return scan(rows)

    return scanned


def _reducer(reduce: Reduce) -> Reduce:
    def reduced(rows: pd.DataFrame) -> Any:
        return reduce(rows)

    return reduced


def _teller(tell: Callable[[Any], str]) -> Callable[[Any, Any], str]:
    def told(first: Any, last: Any) -> str:
        return tell([first, last])

    return told


@dataclass(frozen=True, slots=True)
class Course:
    """What became of a history.

    Attributes:
        runs: how many.
        stops: of these, in which a result turned out to be an earlier one.
        wrong: versions that were not answered as from scratch.
    """

    runs: int
    stops: int
    wrong: tuple[Version, ...]


def run_history(seed: int, runs: int, folder: Path, **options: Any) -> Course:
    """Runs a drawn history of edits against one catalog.

    Args:
        folder: an empty one, for the catalog.
        options: of `hx.Helix`.
    """
    draw = random.Random(seed)
    shape = Shape(tuple(draw.randrange(-1, number) for number in range(draw.randint(2, 4))))
    version = _drawn(draw, shape)
    past, stops, wrong = [version], 0, list[Version]()
    with hx.Helix(folder / "catalog", policy="always", observer=hx.Silent(), **options) as helix:
        for _ in range(runs):
            done = helix.run(shape.workflow(version))
            stops += any("; equal to" in node.reason for node in done.plan.nodes)
            if done["answer"] != shape.answer(version):
                wrong.append(version)
            version = draw.choice(past) if draw.random() < 0.1 else _edited(draw, version)
            past.append(version)
    return Course(runs, stops, tuple(wrong))


def _drawn(draw: random.Random, shape: Shape) -> Version:
    nodes = range(len(shape.wiring))
    return Version(0, tuple(0 for _ in nodes), tuple(draw.randrange(len(REDUCES)) for _ in nodes), 0)


def _edited(draw: random.Random, version: Version) -> Version:
    fields: Mapping[str, Any] = {"source": version.source, "scans": version.scans, "reduces": version.reduces,
                                 "tell": version.tell}
    choices = {"source": len(SOURCES), "scans": len(SCANS), "reduces": len(REDUCES), "tell": len(TELLS)}
    field = draw.choice(["source", "scans", "scans", "scans", "reduces", "reduces", "tell"])
    new = draw.randrange(choices[field])
    if isinstance(fields[field], tuple):
        place = draw.randrange(len(fields[field]))
        return Version(**{**fields, field: (*fields[field][:place], new, *fields[field][place + 1:])})
    return Version(**{**fields, field: new})
