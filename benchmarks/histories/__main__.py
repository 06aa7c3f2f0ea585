"""Run drawn histories, and count what went wrong in them.

    python -m benchmarks.histories cut-off    early cut-off never stops falsely
    python -m benchmarks.histories audits     audits find planted chance, and call nothing else different
    python -m benchmarks.histories instances  a run never mixes two draws

The exit code is 1 if a count is above zero that has to be zero.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness import Row, command_line, finish, new_folder, say
from benchmarks.histories import audits, cut_off, instances
from helix_spark.engine.server.session import Sessions

RUNS = {"cut-off": 8, "instances": 6}
"""Of a history."""

WRONG = ("stopped falsely", "true results called different", "planted and still reused", "mixed")

Counts = Callable[[int, Path], Mapping[str, int]]


@contextmanager
def _cut_off() -> Iterator[Counts]:
    def counts(seed: int, folder: Path) -> Mapping[str, int]:
        course = cut_off.run_history(seed, RUNS["cut-off"], folder, cut_off=0.0)
        return {"runs": course.runs, "stopped early": course.stops, "stopped falsely": len(course.wrong)}

    yield counts


@contextmanager
def _audits() -> Iterator[Counts]:
    def counts(seed: int, folder: Path) -> Mapping[str, int]:
        found = audits.run_history(seed, folder)
        return {
            "audits": found.audits, "verified": found.verified, "planted": found.planted,
            "true results called different": len(found.false), "planted and still reused": len(found.missed),
        }

    yield counts


@contextmanager
def _instances() -> Iterator[Counts]:
    with Sessions(settings={"spark.master": "local[2]"}) as sessions:
        yield lambda seed, folder: instances.run_history(seed, sessions.get(), RUNS["instances"], folder / "catalog")


HISTORIES = {"cut-off": _cut_off, "audits": _audits, "instances": _instances}


def main() -> int:
    """Run histories of a kind and print their counts."""
    parser = command_line(__doc__)
    parser.add_argument("kind", choices=HISTORIES)
    parser.add_argument("--histories", type=int, default=200, help="how many are drawn (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first one (%(default)s)")
    given = parser.parse_args()
    total = Counter[str]()
    with HISTORIES[given.kind]() as counts:
        for seed in range(given.seed, given.seed + given.histories):
            with new_folder() as folder:
                found = counts(seed, folder)
            total.update(found)
            if any(found.get(name) for name in WRONG):
                say(f"history {seed}: {dict(found)}")
    finish(given, f"histories-{given.kind}", [Row(given.kind, {"histories": given.histories, **total})])
    return 1 if any(total[name] for name in WRONG) else 0


if __name__ == "__main__":
    sys.exit(main())
