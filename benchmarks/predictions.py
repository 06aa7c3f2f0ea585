"""Predictions of plans for the census job, beside the measured seconds: `python -m benchmarks.predictions`.

Eleven iterations, ten of them edits, in one warm session against one catalog. Each edited version also runs from
scratch, against an empty catalog in the same session: the saving of a plan is relative to that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import ROOT, Row, collect, command_line, finish, load_workflow, new_folder, with_root

COUNTED_FROM = 3
"""Only in the first two iterations nothing of the workflow was measured before."""

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
"""Name, old text and new text of each edit."""


def measure(folder: Path) -> Iterator[Row]:
    """Run all versions."""
    from helix_spark.helix import Helix

    job, text = folder / "census.py", with_root((ROOT / "jobs" / "census.py").read_text())
    job.write_text(text)
    with Helix(folder / "catalog") as helix:
        spark = helix.sessions.get()
        for warming in range(3):
            _run_from_scratch(spark, folder / f"warming{warming}", job)
        for number, (name, old, new) in enumerate((("everything", "", ""), *EDITS), 1):
            assert old in text, old
            text = text.replace(old, new)
            job.write_text(text)
            iteration = helix.run(load_workflow(job))
            helix.wait()
            scratch = _run_from_scratch(spark, folder / f"scratch{number}", job)
            plan = iteration.plan
            yield Row(f"{number}: {name}", {
                "predicted": plan.predicted_seconds, "took": iteration.seconds,
                "error": abs(plan.predicted_seconds - iteration.seconds) / iteration.seconds,
                "predicted saving": plan.run_all_seconds - plan.predicted_seconds,
                "saved": scratch - iteration.seconds,
            })


def _run_from_scratch(spark: Any, catalog: Path, job: Path) -> float:
    from helix_spark.helix import Helix

    with Helix(catalog, spark=spark) as helix:
        return float(helix.run(load_workflow(job)).seconds)


def main() -> None:
    """Measure, and print the median error and the predicted saving beside the measured one."""
    options = command_line(__doc__).parse_args()
    with new_folder() as folder:
        rows = collect(measure(folder))
    cells = [row.cells for row in rows[COUNTED_FROM - 1:]]
    saving = sum(figures["predicted saving"] for figures in cells) / sum(figures["saved"] for figures in cells)
    error = median(figures["error"] for figures in cells)
    finish(options, "predictions", rows, f"From iteration {COUNTED_FROM} on, the median error is {error:.2f}, the "
           f"predicted saving {saving:.2f} of the measured one.")


if __name__ == "__main__":
    main()
