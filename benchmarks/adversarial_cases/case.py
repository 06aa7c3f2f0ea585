"""A case: a small project and one change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Case:
    """A small project and one change.

    `before` and `after` are texts of sections. `--- NAME` begins a file. `--- edit NAME` has lines `OLD ==> NEW`,
    `--- python` code that is run in the project's folder, `--- env` lines `NAME=VALUE` for the runs from then on
    (`{folder}` is the project's), and `--- run` the working folder, the file and the arguments of those. A `job.py` is
    given the usual imports, and a workflow of the functions that `nodes` names unless it has one. Packages in
    `site-packages` are on Python's path.

    Attributes:
        expected: `changed` where the answer differs after the change, `same` where nothing has to be computed again.
        clock: the answer is another one in each run; the second run must compute it.
    """

    name: str
    expected: Literal["changed", "same"]
    before: str
    after: str
    nodes: tuple[str, ...] = ("answer",)
    spark: bool = False
    clock: bool = False
