"""Simulates histories and counts what came of them; see the package."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.interleavings.histories import Outcome, history, simulated
from tests.interleavings.mutants import MUTANTS, planted

_CHUNK = 200
_SHOWN = 10


@dataclass(frozen=True)
class Found:
    """What came of planting a mistake: the number of the first history that shows it, if one does, and how."""

    name: str
    after: int | None
    how: str


def main() -> int:
    arguments = argparse.ArgumentParser(description="simulates drivers on a catalog, and checks what came of it")
    arguments.add_argument("--histories", type=int, default=50_000)
    arguments.add_argument("--seed", type=int, default=1_000_000, help="of the first history")
    arguments.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--mutants", action="store_true", help="plant each mistake, and look when it is found")
    arguments.add_argument("--replay", type=int, metavar="SEED", help="run one history and print all its steps")
    arguments.add_argument("--save", type=Path, help="write interleavings.json into this folder, too")
    given = arguments.parse_args()
    if given.replay is not None:
        return _replayed(given.replay)
    with ProcessPoolExecutor(given.processes) as pool:
        if given.mutants:
            return _mutants(pool, given.histories, given.seed)
        return _histories(pool, given.histories, given.seed, given.save)


def _replayed(seed: int) -> int:
    with simulated():
        outcome = history(seed, traced=True)
    print("\n".join(outcome.trace))
    print("\n".join(outcome.wrong) or "all is well")
    return bool(outcome.wrong)


def _histories(pool: ProcessPoolExecutor, count: int, first: int, save: Path | None) -> int:
    begun, wrong, drivers, steps, done = time.perf_counter(), list[Outcome](), Counter[int](), 0, 0
    chunks = [range(seed, min(seed + _CHUNK, first + count)) for seed in range(first, first + count, _CHUNK)]
    for outcomes in pool.map(_run, chunks):
        for outcome in outcomes:
            drivers[outcome.drivers] += 1
            steps += outcome.steps
            if outcome.wrong:
                wrong.append(outcome)
                if len(wrong) <= _SHOWN:
                    print(f"seed {outcome.seed}: {outcome.wrong[0]}", file=sys.stderr, flush=True)
        done += len(outcomes)
        print(f"{done:,} of {count:,} histories, {len(wrong)} wrong", end="\r", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - begun
    by_drivers = ", ".join(f"{drivers[number]:,} of {number} drivers" for number in sorted(drivers))
    print(f"{count:,} histories ({by_drivers}; {steps / count:,.0f} steps each), {len(wrong)} wrong; "
          f"{60 * count / seconds:,.0f} a minute")
    if save is not None:
        data = {
            "histories": count, "wrong": len(wrong), "steps": steps, "seconds": round(seconds, 1),
            "drivers": {str(number): drivers[number] for number in sorted(drivers)},
            "command": f"python -m tests.interleavings --histories {count} --seed {first}",
        }
        save.mkdir(parents=True, exist_ok=True)
        (save / "interleavings.json").write_text(json.dumps(data, indent=1) + "\n")
    return bool(wrong)


def _run(seeds: range) -> list[Outcome]:
    with simulated():
        return [history(seed) for seed in seeds]


def _mutants(pool: ProcessPoolExecutor, count: int, first: int) -> int:
    found = list[Found]()
    for one in pool.map(_found, ((name, first, count) for name in MUTANTS)):
        found.append(one)
        print(f"{one.after or 'never':>7}  {one.name}: {one.how[:100]}", flush=True)
    missed = [one.name for one in found if one.after is None]
    print(f"{len(found) - len(missed)} of {len(found)} planted mistakes are found within {count:,} histories")
    return bool(missed)


def _found(asked: tuple[str, int, int]) -> Found:
    name, first, count = asked
    with simulated():
        for number, outcome in _numbered(name, first, count):
            if outcome.wrong:
                return Found(name, number, outcome.wrong[0])
    return Found(name, None, "")


def _numbered(name: str, first: int, count: int) -> Iterator[tuple[int, Outcome]]:
    for number in range(count):
        yield number + 1, history(first + number, planted=planted(name))


if __name__ == "__main__":
    sys.exit(main())
