"""Oracles of reuse: false reuse and needless recomputation, counted over sets of cases.

    python -m benchmarks.reuse edits        edits to the text of two jobs, in a warm session
    python -m benchmarks.reuse adversarial  small projects that try to fool reuse, in fresh processes
    python -m benchmarks.reuse undeclared   what functions draw and read without declaring it
    python -m benchmarks.reuse programs     edits of a plain PySpark program
    python -m benchmarks.reuse cut-off      edits that change code or data, and no result
    python -m benchmarks.reuse kinds        results of which there are several right ones
    python -m benchmarks.reuse verification what is verified while nobody waits
    python -m benchmarks.reuse audits       `helix audit` of the five jobs

Cases are in `benchmarks/reuse/cases` (how they are written is in `cases.py`), what is done with them and how they are
judged in the module of their set. The exit code is 1 if a verdict is neither right, control nor watch.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Row, chosen, command_line, finish, new_folder, say
from benchmarks.reuse import adversarial, cut_off, edits, kinds, programs, undeclared, verification
from benchmarks.reuse.cases import Case, read_cases

GOOD = ("right", "control", "watch")


@dataclass(frozen=True, slots=True)
class Oracle:
    """A set of cases, and a function that judges them in an empty folder."""

    cases: Sequence[Case]
    judge: Callable[[Sequence[Case], Path], Iterator[Row]]


ORACLES: Mapping[str, Callable[[], Oracle]] = {
    "edits": lambda: Oracle(edits.cases(), edits.judge_edits),
    "adversarial": lambda: Oracle(read_cases("adversarial"), adversarial.judge_projects),
    "undeclared": lambda: Oracle(read_cases("undeclared"), undeclared.judge_undeclared),
    "programs": lambda: Oracle(read_cases("programs"), programs.judge_programs),
    "cut-off": lambda: Oracle(cut_off.cases(), cut_off.judge_cut_off),
    "kinds": lambda: Oracle(kinds.cases(), kinds.judge_kinds),
    "verification": lambda: Oracle(read_cases("verification"), verification.judge_verification),
    "audits": lambda: Oracle([Case(job) for job in verification.JOBS], verification.judge_audits),
}


def main() -> int:
    """Judge the cases of a set, and print a table and the number of cases by verdict."""
    parser = command_line(__doc__)
    parser.add_argument("set", choices=ORACLES)
    given = parser.parse_args()
    oracle = ORACLES[given.set]()
    names = chosen([case.name for case in oracle.cases], given.only)
    rows = list[Row]()
    with new_folder() as folder:
        for row in oracle.judge([case for case in oracle.cases if case.name in names], folder):
            say(f"{row.cells['verdict']}: {row.name}{'' if row.cells['verdict'] in GOOD else f': {row.cells}'}")
            rows.append(row)
    finish(given, given.set, rows, *_counts(rows))
    return 0 if all(row.cells["verdict"] in GOOD for row in rows) else 1


def _counts(rows: Sequence[Row]) -> Iterator[str]:
    for where in dict.fromkeys(row.cells.get("where", "") for row in rows):
        verdicts = Counter(row.cells["verdict"] for row in rows if row.cells.get("where", "") == where)
        told = ", ".join(f"{verdict} {count}" for verdict, count in sorted(verdicts.items()))
        yield f"{where}{': ' if where else ''}{verdicts.total()} cases: {told}"
    if all("reused" in row.cells for row in rows):
        asked, reused = (sum(row.cells[name] for row in rows) for name in ("asked", "reused"))
        yield f"{reused:,} of {asked:,} answers were from the record"


if __name__ == "__main__":
    sys.exit(main())
