"""The tallies as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.faults.row import Fault, Tally

_SHOWN = 3

_HEAD = """# Faults

`{command}`

An injection is right if no wrong answer was given, nothing that was stored or recorded was lost that could
be saved, nothing hung, and the catalog is usable afterwards, by itself or after one `helix repair`. A
refusal of a catalog that people would have lost is wrong. Rows of processes end early where their time is
over.

| fault | must happen | injected | right | seconds | figures |
|---|---|---|---|---|---|"""

_ELSEWHERE = """
Faults that are no row here:

- edits of code, from a comment to a helper, a closure, a UDF's body and a package's version:
  `python -m benchmarks.reuse edits`; it counts false reuse and needless recomputation, each with its reason
- a solver that runs out of time, an infeasible program, a cost that is no number, plans against brute force:
  `tests/unit/test_joint.py, tests/unit/test_execution.py`; every decision is compared, not only the answer
- schemas that Delta refuses or alters: names with blanks, intervals, no columns, nulls where none may be:
  `tests/spark/test_engine_storing.py, tests/unit/test_catalog_tables.py`; each has a test of its own
- a tracking server that is down, hangs, or refuses with 401: `tests/unit/test_tracking.py`; what is told, and how
  often, is compared word by word
- hostile requests to the pages: paths, hosts, markup, bodies: `tests/unit/test_pages.py`; 10,000 random requests
- a disk that is full for every process: it takes a file system of its own, which takes rights that a test should not
  need; files of a random greatest size fail at the same places, with another number
- a catalog of an older layout, or written with other versions of Spark or Delta: `tests/unit/test_older_layout.py`;
  catalogs that earlier versions wrote are files of the tests; versions of libraries are part of each signature
- a clock that goes back while a run goes on, or in the file system: heartbeats are read twice by the looker's
  monotonic clock, so that no two clocks are compared; a test cannot move the clock of a mounted file system
- a slow task, of which Spark starts a second copy: Spark starts none on the host of the first, and all executors of
  the tests are on one; what a second copy may leave behind, files of failed tasks beside a table's own, is a row
- two machines on one catalog: the tests have one; leases of another machine are forged, and two processes share a
  catalog
"""


def as_data(
    faults: Sequence[Fault], tallies: Mapping[str, Tally], command: str, earlier: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return all rows in the order of the table.

    Args:
        earlier: rows of an earlier run, for faults that were not injected now.
    """
    rows_before = {row["fault"]: row for row in earlier}
    rows = [
        _row(fault, tallies[fault.name]) if fault.name in tallies else rows_before[fault.name]
        for fault in faults if fault.name in tallies or fault.name in rows_before
    ]
    names = {row["fault"] for row in rows}
    return {
        "command": command, "rows": rows,
        "injected": sum(row["injected"] for row in rows), "right": sum(row["right"] for row in rows),
        "not_injected": [fault.name for fault in faults if fault.name not in names],
    }


def _row(fault: Fault, tally: Tally) -> dict[str, Any]:
    return {
        "fault": fault.name, "expected": fault.expected, "injected": tally.injected, "right": tally.right,
        "note": tally.note, "wrong": tally.wrong[:_SHOWN], "seconds": round(tally.seconds, 1),
    }


def markdown(data: Mapping[str, Any]) -> str:
    """Return a table of all faults, what was wrong with which, and the sum as the last line."""
    lines = [_HEAD.format(command=data["command"])]
    lines += [
        f"| {row['fault']} | {row['expected']} | {row['injected']} | {row['right']} | {row['seconds']:.0f} "
        f"| {row['note']} |" for row in data["rows"]
    ]
    lines += ["", *(f"- wrong, {row['fault']}: {text}" for row in data["rows"] for text in row["wrong"])]
    if data["not_injected"]:
        lines += ["", f"Not injected: {'; '.join(data['not_injected'])}."]
    return "\n".join([*lines, _ELSEWHERE, f"{data['injected']} injected, {data['right']} right"])
