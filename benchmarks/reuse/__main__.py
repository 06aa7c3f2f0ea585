"""Oracles of reuse: false reuse and needless recomputation, counted over sets of cases.

    python -m benchmarks.reuse edits        edits to the text of two jobs, in a warm session
    python -m benchmarks.reuse adversarial  small projects that try to fool reuse, in fresh processes
    python -m benchmarks.reuse undeclared   undeclared inputs and draws of functions
    python -m benchmarks.reuse programs     edits of a plain PySpark program
    python -m benchmarks.reuse cut-off      edits that change code or data, and no result
    python -m benchmarks.reuse kinds        results of which several are right
    python -m benchmarks.reuse verification verification in the background
    python -m benchmarks.reuse audits       `helix audit` of the five jobs

Cases are in `benchmarks/reuse/cases` (`cases.py` has the format); the module of their set judges them. The exit code
is 1 if a verdict is neither right, control nor watch.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.harness import Row, chosen, collect, command_line, finish, new_folder
from benchmarks.reuse import adversarial, cut_off, edits, kinds, programs, undeclared, verification
from benchmarks.reuse.cases import Case, read_cases
from benchmarks.scripts import NAMES

GOOD = ("right", "control", "watch")


JUDGES: Mapping[str, Callable[[Sequence[Case], Path], Iterator[Row]]] = {
    "edits": edits.judge_edits, "adversarial": adversarial.judge_projects, "undeclared": undeclared.judge_undeclared,
    "programs": programs.judge_programs, "cut-off": cut_off.judge_cut_off, "kinds": kinds.judge_kinds,
    "verification": verification.judge_verification, "audits": verification.judge_audits,
}
"""Functions that judge the cases of a set in an empty folder."""

CASES: Mapping[str, Callable[[], Sequence[Case]]] = {
    "edits": edits.cases, "kinds": kinds.cases, "audits": lambda: [Case(job) for job in NAMES],
}
"""Cases that are not only files of a folder."""


def main() -> int:
    """Judge the cases of a set, and print a table and the number of cases by verdict."""
    parser = command_line(__doc__)
    parser.add_argument("set", choices=JUDGES)
    options = parser.parse_args()
    cases = CASES[options.set]() if options.set in CASES else read_cases(options.set)
    names = chosen([case.name for case in cases], options.only)
    with new_folder() as folder:
        rows = collect(JUDGES[options.set]([case for case in cases if case.name in names], folder))
    finish(options, options.set, rows, *_counts(rows))
    return 0 if all(row.cells["verdict"] in GOOD for row in rows) else 1


def _counts(rows: Sequence[Row]) -> Iterator[str]:
    for where in dict.fromkeys(row.cells.get("where", "") for row in rows):
        verdicts = Counter(row.cells["verdict"] for row in rows if row.cells.get("where", "") == where)
        counts = ", ".join(f"{verdict} {count}" for verdict, count in sorted(verdicts.items()))
        yield f"{where}{': ' if where else ''}{verdicts.total()} cases: {counts}"
    if all("reused" in row.cells for row in rows):
        requests, reused = (sum(row.cells[name] for row in rows) for name in ("requests", "reused"))
        yield f"{reused:,} of {requests:,} answers came from the record"


if __name__ == "__main__":
    sys.exit(main())
