"""Run drawn histories, and count their mistakes.

    python -m benchmarks.histories cut-off    early cut-off never stops falsely
    python -m benchmarks.histories audits     audits find hidden inputs, and call no sound result different
    python -m benchmarks.histories instances  a run never mixes two draws

The exit code is 1 if a count of mistakes is above zero.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.harness import Row, command_line, finish, new_folder, say
from benchmarks.histories import audits, cut_off, instances
from helix_spark.engine.server.session import Sessions

WRONG = ("stopped falsely", audits.FALSE, audits.MISSED, "mixed")

HISTORIES: Mapping[str, Callable[[int, Path, Sessions], Counter[str]]] = {
    "cut-off": lambda seed, folder, sessions: cut_off.run_history(seed, 8, folder),
    "audits": lambda seed, folder, sessions: audits.run_history(seed, folder),
    "instances": lambda seed, folder, sessions: instances.run_history(seed, sessions.get(), 6, folder / "catalog"),
}
"""Functions that run the history of a seed in an empty folder. A session starts only if one asks for it."""


def main() -> int:
    """Run histories of a kind and print their counts."""
    parser = command_line(__doc__)
    parser.add_argument("kind", choices=HISTORIES)
    parser.add_argument("--histories", type=int, default=200, help="number of histories (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first one (%(default)s)")
    options = parser.parse_args()
    total = Counter[str]()
    with Sessions(settings={"spark.master": "local[2]"}) as sessions:
        for seed in range(options.seed, options.seed + options.histories):
            with new_folder() as folder:
                counts = HISTORIES[options.kind](seed, folder, sessions)
            total.update(counts)
            if any(counts[name] for name in WRONG):
                say(f"history {seed}: {dict(counts)}")
    finish(options, f"histories-{options.kind}", [Row(options.kind, {"histories": options.histories, **total})])
    return 1 if any(total[name] for name in WRONG) else 0


if __name__ == "__main__":
    sys.exit(main())
