"""What plans predict of the census job, beside what was measured: `python -m benchmarks.predictions`.

Eleven iterations, ten of them edits, in one warm session against one catalog. Each edited version is also run from
scratch, against an empty catalog in the same session: that is what the plan says it saves against.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import ROOT, Row, command_line, finish, new_folder, say

COUNTED_FROM = 3
"""The first two iterations are the only ones in which nothing of the workflow was measured before."""

RIGHT, WRONG = "(predictions.prediction == predictions.label)", "(predictions.prediction != predictions.label)"

EDITS: tuple[tuple[str, str, str], ...] = (
    ("regularisation", "reg: float = 0.1", "reg: float = 0.03"),
    ("a metric", RIGHT, WRONG),
    ("bucket size", "bins: int = 10", "bins: int = 16"),
    ("regularisation", "reg: float = 0.03", "reg: float = 0.01"),
    ("a feature's code", "F.log1p(rows.capital_gain) - F.log1p", "2 * F.log1p(rows.capital_gain) - F.log1p"),
    ("iterations of the fit", "maxIter=50", "maxIter=40"),
    ("a metric, back", WRONG, RIGHT),
    ("a feature", '("age", "hours_per_week")', '("age", "hours_per_week", "education_num")'),
    ("regularisation", "reg: float = 0.01", "reg: float = 0.02"),
    ("bucket size", "bins: int = 16", "bins: int = 12"),
)
"""What is edited, the old text and the new."""


def measure(folder: Path) -> Iterator[Row]:
    """Run all versions."""
    from helix_spark.cli.author_file import find_factory, load_file
    from helix_spark.helix import Helix

    job = folder / "census.py"
    text = (ROOT / "jobs" / "census.py").read_text()
    text = text.replace("Path(__file__).resolve().parent.parent", f"Path({str(ROOT)!r})")

    def workflow() -> Any:
        job.write_text(text)
        sys.modules.pop("census", None)
        return find_factory(load_file(job), job, None)()

    with Helix(folder / "catalog") as helix:
        spark = helix.sessions.get()
        for warming in range(3):
            _from_scratch(spark, folder / f"warming{warming}", workflow)
        for number, (what, old, new) in enumerate((("everything", "", ""), *EDITS), 1):
            assert old in text, old
            text = text.replace(old, new)
            iteration = helix.run(workflow())
            helix.wait()
            scratch = _from_scratch(spark, folder / f"scratch{number}", workflow)
            plan = iteration.plan
            yield Row(f"{number}: {what}", {
                "predicted": plan.predicted_seconds, "took": iteration.seconds,
                "error": abs(plan.predicted_seconds - iteration.seconds) / iteration.seconds,
                "predicted saving": plan.run_all_seconds - plan.predicted_seconds,
                "saved": scratch - iteration.seconds,
            })


def _from_scratch(spark: Any, catalog: Path, workflow: Callable[[], Any]) -> float:
    from helix_spark.helix import Helix

    with Helix(catalog, spark=spark) as helix:
        return float(helix.run(workflow()).seconds)


def main() -> None:
    """Measure, and print the median error and the predicted saving beside the measured one."""
    given = command_line(__doc__).parse_args()
    rows = list[Row]()
    with new_folder() as folder:
        for row in measure(folder):
            say(f"{row.name}: {row.cells}")
            rows.append(row)
    cells = [row.cells for row in rows[COUNTED_FROM - 1:]]
    saving = sum(one["predicted saving"] for one in cells) / sum(one["saved"] for one in cells)
    finish(given, "predictions", rows, f"From iteration {COUNTED_FROM} on, the median error is "
           f"{median(one['error'] for one in cells):.2f}, the predicted saving {saving:.2f} of the measured one.")


if __name__ == "__main__":
    main()
