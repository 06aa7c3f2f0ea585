"""Faults that are no row of the table, with where they are injected instead, or why not at all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Elsewhere:
    """A fault that has no row.

    Attributes:
        where: the command or file that injects it; empty if nothing does.
        why: it is no row.
    """

    name: str
    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.name}: {f'`{self.where}`; ' if self.where else ''}{self.why}"


ELSEWHERE = (
    Elsewhere(
        "edits of code, from a comment to a helper, a closure, a UDF's body and a package's version",
        "python -m benchmarks.reuse edits", "it counts false reuse and needless recomputation, each with its reason",
    ),
    Elsewhere(
        "a solver that runs out of time, an infeasible program, a cost that is no number, plans against brute force",
        "tests/unit/test_joint.py, tests/unit/test_execution.py", "every decision is compared, not only the answer",
    ),
    Elsewhere(
        "schemas that Delta refuses or alters: names with blanks, intervals, no columns, nulls where none may be",
        "tests/spark/test_engine_storing.py, tests/unit/test_catalog_tables.py", "each has a test of its own",
    ),
    Elsewhere(
        "a tracking server that is down, hangs, or refuses with 401",
        "tests/unit/test_tracking.py", "what is told, and how often, is compared word by word",
    ),
    Elsewhere(
        "hostile requests to the pages: paths, hosts, markup, bodies", "tests/unit/test_pages.py",
        "10,000 random requests are one test",
    ),
    Elsewhere(
        "a disk that is full for every process", "",
        "it takes a file system of its own, which takes rights that a test should not need; files of a random greatest "
        "size fail at the same places, with another number",
    ),
    Elsewhere(
        "a catalog of an older layout, or written with other versions of Spark or Delta",
        "tests/unit/test_older_layout.py",
        "catalogs that earlier versions wrote are files of the tests; versions of libraries are part of each "
        "signature, so that what they made is computed anew, which the edits of code inject",
    ),
    Elsewhere(
        "a clock that goes back while a run goes on, or in the file system", "",
        "heartbeats are told by looking twice with the looker's monotonic clock, so that no two clocks are compared; "
        "the clock of a mounted file system cannot be moved by a test",
    ),
    Elsewhere(
        "a slow task, of which Spark starts a second copy", "",
        "Spark starts none on the host of the first, and all executors of the tests are on one; what a second copy may "
        "leave behind, files of failed tasks beside a table's own, is a row",
    ),
    Elsewhere(
        "two machines on one catalog", "",
        "the tests have one; leases of another machine are forged, and two processes share a catalog",
    ),
)
