"""Early cut-off: edits that change code or data, and no result.

The program runs and is stored, an edit is made, and it runs again: with early cut-off and without. With it only the
edited node may run. Answers must be equal to the last digit. `python -m benchmarks.histories cut-off` has drawn edits,
of which many change a result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import helix_spark as hx
from benchmarks.harness import Row, load_workflow
from benchmarks.reuse.cases import Case, change, read_project, sections
from helix_spark.planner.problem import State

WORDS = ["wind", "rain", "sun", "snow", "cloud", "storm", "mist", "frost", "dew", "hail"]
TEXT = "".join(f"{n},{WORDS[n % 10]} {WORDS[(n * 7) % 10]},{(n * 37) % 91}\n" for n in range(20_000))


def judge_cut_off(cases: Sequence[Case], folder: Path) -> Iterator[Row]:
    """Judge edits, each with cut-off and without."""
    for number, case in enumerate(cases):
        answers, seconds, ran = list[Any](), dict[bool, float](), set[str]()
        for cut_off in (True, False):
            place = folder / f"{number}-{cut_off}"
            # By default results are not compared if their descendants take no longer than planning.
            with hx.Helix(place / "catalog", policy="always", observer=hx.Silent(),
                          cut_off=0.0 if cut_off else False) as helix:
                before = helix.run(_program(place))
                before.wait()
                for name, body in sections(case.after):
                    change(place, name, body)
                after = helix.run(_program(place))
            seconds[cut_off] = after.seconds
            answers += [before["answer"], after["answer"]]
            ran = ran or set(after.plan.in_state(State.COMPUTE)) - {"data"}
        verdict = "right"
        if any(answer != answers[0] for answer in answers):
            verdict = "false reuse"
        elif ran != case.runs:
            verdict = "needless"
        yield Row(case.name, {"verdict": verdict, "why": "" if verdict == "right" else answers, "ran": sorted(ran),
                              "seconds": seconds[True], "without cut-off": seconds[False]})


def _program(folder: Path) -> hx.Workflow:
    """Load the program of a folder, and write it first if it is missing."""
    path, rows = folder / "program.py", folder / "rows.txt"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        path.write_text(read_project("cut-off/pandas")["program.py"])
        rows.write_text(TEXT)
    return load_workflow(path, {"path": rows})
