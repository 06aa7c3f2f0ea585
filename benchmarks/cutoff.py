"""Early cut-off: what it saves, what it costs, and whether it ever stops where it must not.

    python -m benchmarks.cutoff [--histories 200] [--costs] [--json]

- 15 edits that change code or data, and no result: seconds to the answer with cut-off and without, in turn, each after
  an unedited run in a catalog of its own that is stored by then. Answers must be equal to the last digit.
- What digests cost: seconds until everything of the unedited run is stored, with cut-off and without, in turn
  (`--costs`: that alone).
- Drawn histories (`drawn_edits`): each answer is compared with one from scratch.

The exit code is 1 if an answer was wrong, or an edit ran more than it had to.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import helix_spark as hx
from benchmarks.drawn_edits import run_history
from benchmarks.edit_programs import EDITS, Edit, program
from helix_spark.planner.problem import State

RUNS_OF_A_HISTORY = 8
COST_RUNS = 3


@dataclass(frozen=True, slots=True)
class Saved:
    """One edit.

    Attributes:
        cut, full: seconds to the answer, with cut-off and without.
        ran: names of the nodes that were computed with it, of those that are no source; `must` those that the edit
            touches.
        right: whether both answers are that of the unedited program.
    """

    edit: str
    cut: float
    full: float
    ran: tuple[str, ...]
    must: str
    right: bool

    @property
    def good(self) -> bool:
        return self.right and self.ran == (self.must,)


def measured(edit: Edit, folder: Path) -> Saved:
    """Runs the unedited program and the edited one with cut-off, and again without."""
    seconds, answers = dict[bool, float](), list[Any]()
    ran: tuple[str, ...] = ()
    for cut_off in (True, False):
        text = folder / f"{cut_off}.txt"
        # By default nothing is compared where what lies below takes no longer than planning, as on a busy machine.
        with hx.Helix(folder / f"catalog-{cut_off}", policy="always", observer=hx.Silent(),
                      cut_off=0.0 if cut_off else False) as helix:
            before = helix.run(program(text))
            before.wait()
            after = helix.run(program(text, edit))
            seconds[cut_off] = after.seconds
            answers += [before["answer"], after["answer"]]
            if cut_off:
                ran = tuple(sorted(set(after.plan.in_state(State.COMPUTE)) - {"data"}))
    return Saved(edit.name, seconds[True], seconds[False], ran, edit.node, all(one == answers[0] for one in answers))


def cost(folder: Path) -> Mapping[str, float]:
    """Seconds until everything of an unedited run is stored, with cut-off and without; medians."""
    took: dict[bool, list[float]] = {True: [], False: []}
    for number in range(COST_RUNS):
        for cut_off in took:
            with hx.Helix(folder / f"cost-{number}-{cut_off}", policy="always", observer=hx.Silent(),
                          cut_off=cut_off) as helix:
                begun = time.perf_counter()
                helix.run(program(folder / "cost.txt")).wait()
                took[cut_off].append(time.perf_counter() - begun)
    return {"with": median(took[True]), "without": median(took[False])}


def histories(count: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Runs drawn histories; which of their versions were answered falsely."""
    runs, stops, wrong = 0, 0, list[str]()
    for seed in range(count):
        with tempfile.TemporaryDirectory(prefix="helix-cutoff-") as folder:
            course = run_history(seed, RUNS_OF_A_HISTORY, Path(folder), cut_off=0.0)
        runs, stops = runs + course.runs, stops + course.stops
        wrong += [f"{seed}: {version}" for version in course.wrong]
        tell(f"history {seed}: {course.stops} of {course.runs} runs stopped early, {len(course.wrong)} wrong")
    return {"histories": count, "runs": runs, "stops": stops, "false stops": wrong}


def main() -> int:
    arguments = argparse.ArgumentParser(description="early cut-off: savings, costs, false stops")
    arguments.add_argument("--histories", type=int, default=200, help="how many are drawn (%(default)s)")
    arguments.add_argument("--only", default="", help="edits whose name holds these words")
    arguments.add_argument("--costs", action="store_true", help="what digests cost, and nothing else")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    given = arguments.parse_args()

    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    chosen = [one for one in EDITS if given.only in one.name and not given.costs]
    saved = list[Saved]()
    for edit in chosen:
        with tempfile.TemporaryDirectory(prefix="helix-cutoff-") as folder:
            saved.append(measured(edit, Path(folder)))
        one = saved[-1]
        tell(f"{one.edit}: {one.cut:.2f} s, without cut-off {one.full:.2f} s; {'right' if one.good else one}")
    with tempfile.TemporaryDirectory(prefix="helix-cutoff-") as folder:
        spent = cost(Path(folder))
    drawn = histories(0 if given.costs else given.histories, tell)
    print(json.dumps({"edits": [asdict(one) for one in saved], "until stored": spent, **drawn}, indent=1)
          if given.json else _report(saved, spent, drawn))
    return 0 if all(one.good for one in saved) and not drawn["false stops"] else 1


def _report(saved: list[Saved], spent: Mapping[str, float], drawn: Mapping[str, Any]) -> str:
    rows = [f"| {one.edit} | {one.cut:.2f} | {one.full:.2f} | {', '.join(one.ran)} |" for one in saved]
    cut, full = sum(one.cut for one in saved), sum(one.full for one in saved)
    return "\n".join([
        "| edit | seconds with cut-off | without | ran |", "|---|---|---|---|", *rows,
        f"| all | {cut:.1f} | {full:.1f} | |", "",
        f"until stored: {spent['with']:.2f} s with digests, {spent['without']:.2f} s without",
        f"{drawn['histories']} histories, {drawn['runs']} runs, {drawn['stops']} stopped early, "
        f"{len(drawn['false stops'])} falsely",
    ])


if __name__ == "__main__":
    sys.exit(main())
