"""What it costs that results survive a loss of power: seconds to the answer and until all is stored, with syncs and
without, turn by turn; how often the disk is asked to sync, and how long is waited for it.

    python -m benchmarks.syncing [--rounds N] [--no-spark] [--slow SECONDS] [--folder ON_WHICH_DISK] [--save FOLDER]

The job without Spark stores 0.2 MB in 0.3 s; the census job runs in a session that has started. `--slow` makes each
sync take longer, as on a disk that is slower to flush than this one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import helix_spark as hx  # noqa: E402
from helix_spark.catalog.places.place import LocalPath  # noqa: E402
from helix_spark.engine.server.session import Sessions  # noqa: E402
from jobs.census import census  # noqa: E402
from tests.faults.job import Heard, workflow  # noqa: E402

MOST = 0.03
"""Share of the seconds until all is stored that syncing may take."""

_FSYNC, _SYNC = os.fsync, LocalPath.sync


@dataclass
class Disk:
    """Counts what the disk is asked.

    Attributes:
        slow: seconds that a sync takes more.
        asked: how often one file or folder was to be synced.
        waited: seconds that were waited for syncs; those that were done at once count once.
    """

    slow: float = 0.0
    asked: int = 0
    waited: float = 0.0
    synced: bool = True

    @contextmanager
    def counted(self, *, synced: bool) -> Iterator[None]:
        """Counts, and syncs or does as if it did."""
        def fsync(handle: int) -> None:
            self.asked += 1
            if synced:
                _FSYNC(handle)
                time.sleep(self.slow)

        def sync(place: LocalPath, *what: Any) -> None:
            begun = time.perf_counter()
            try:
                _SYNC(place, *what)
            finally:
                self.waited += time.perf_counter() - begun

        os.fsync, LocalPath.sync = fsync, sync  # type: ignore[assignment,method-assign]  # put back below
        try:
            yield
        finally:
            os.fsync, LocalPath.sync = _FSYNC, _SYNC  # type: ignore[method-assign]  # as they were


@dataclass
class Series:
    """Figures of runs of one kind, one each."""

    answer: list[float] = field(default_factory=list)
    stored: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)

    def run(self, helix: hx.Helix, made: hx.Workflow, disk: Disk) -> None:
        disk.asked, disk.waited = 0, 0.0
        begun = time.perf_counter()
        iteration = helix.run(made)
        self.answer.append(time.perf_counter() - begun)
        self.before.append(disk.asked)
        iteration.wait()
        self.stored.append(time.perf_counter() - begun)
        self.after.append(disk.asked - self.before[-1])
        self.waited.append(disk.waited)


Made = Callable[[int], hx.Workflow]


def measured(made: Made, folder: Path, rounds: int, disk: Disk, **options: Any) -> dict[str, float]:
    """Medians over rounds of a run with syncs and one without, each in a catalog of its own that has had a run."""
    series = {True: Series(), False: Series()}
    catalogs = {synced: folder / ("synced" if synced else "unsynced") for synced in series}
    for number in range(rounds + 1):
        for synced in (True, False) if number % 2 else (False, True):
            counted = series[synced] if number else Series()  # the first makes the catalog: synced once in its life
            with (
                hx.Helix(catalogs[synced], policy="always", observer=Heard(), **options) as helix,
                disk.counted(synced=synced),
            ):
                counted.run(helix, made(number), disk)
    shutil.rmtree(folder)
    with_syncs, without = series[True], series[False]
    return {
        "answer_seconds": median(with_syncs.answer), "answer_seconds_unsynced": median(without.answer),
        "stored_seconds": median(with_syncs.stored), "stored_seconds_unsynced": median(without.stored),
        "syncs_before_answer": max(with_syncs.before), "syncs_after_answer": median(with_syncs.after),
        "waited_seconds": median(with_syncs.waited),
        "share": median(
            waited / stored for waited, stored in zip(with_syncs.waited, with_syncs.stored, strict=True)
        ),
    }


def table(rows: dict[str, dict[str, float]]) -> str:
    """For the README of the figures."""
    lines = [
        "| job | s to the answer (unsynced) | s until stored (unsynced) | syncs before, after the answer | "
        "ms waited for them | of the time until stored |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['answer_seconds']:.2f} ({row['answer_seconds_unsynced']:.2f}) | "
        f"{row['stored_seconds']:.2f} ({row['stored_seconds_unsynced']:.2f}) | {row['syncs_before_answer']:.0f}, "
        f"{row['syncs_after_answer']:.0f} | {1000 * row['waited_seconds']:.0f} | {100 * row['share']:.1f} % |"
        for name, row in rows.items()
    ]
    return "\n".join(lines)


def main() -> int:
    arguments = argparse.ArgumentParser(description="what syncing costs")
    arguments.add_argument("--rounds", type=int, default=10)
    arguments.add_argument("--no-spark", action="store_true")
    arguments.add_argument("--slow", type=float, default=0.0, metavar="SECONDS", help="by which each sync is slower")
    arguments.add_argument("--folder", type=Path, help="where the catalogs are made; else beside this checkout")
    arguments.add_argument("--save", type=Path)
    given = arguments.parse_args()
    disk, rows = Disk(given.slow), {}
    with tempfile.TemporaryDirectory(prefix=".helix-syncing-", dir=given.folder or ROOT) as made:
        rows["without Spark, 5,000 rows"] = measured(workflow, Path(made) / "small", given.rounds, disk)
        if not given.no_spark:
            with Sessions() as sessions:
                rows["census, 48,842 rows"] = measured(
                    lambda number: census(bins=10 + number), Path(made) / "census", given.rounds, disk,
                    spark=sessions.get(),
                )
    text = table(rows)
    print(text)
    if given.save is not None:
        given.save.mkdir(parents=True, exist_ok=True)
        (given.save / "syncing.json").write_text(json.dumps({"slow": given.slow, "rows": rows}, indent=1) + "\n")
    dear = [name for name, row in rows.items() if row["share"] > MOST or row["syncs_before_answer"]]
    return 1 if dear else 0


if __name__ == "__main__":
    sys.exit(main())
