"""What plans predict of the census job, beside what was measured: `python benchmarks/predictions.py [--json] [--save]`.

Eleven iterations, ten of them edits, in one warm session against one catalog. Each edited version is also run from
scratch, against an empty catalog in the same session: that is what the plan says it saves against.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

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


def measure() -> list[dict[str, Any]]:
    """One row an iteration."""
    from helix_spark.cli.author_file import find_factory, load_file
    from helix_spark.helix import Helix

    folder = Path(tempfile.mkdtemp(prefix="helix-predictions-"))
    job = folder / "census.py"
    job.write_text((ROOT / "jobs" / "census.py").read_text().replace(
        "Path(__file__).resolve().parent.parent", f"Path({str(ROOT)!r})"
    ))

    def workflow() -> Any:
        sys.modules.pop("census", None)
        return find_factory(load_file(job), job, None)()

    rows = []
    with Helix(folder / "catalog") as helix:
        spark = helix.sessions.get()
        for warming in range(3):
            _from_scratch(spark, folder / f"warming{warming}", workflow)
        for number, (what, old, new) in enumerate((("everything", "", ""), *EDITS), 1):
            text = job.read_text()
            assert old in text, old
            job.write_text(text.replace(old, new))
            iteration = helix.run(workflow())
            helix.wait()
            scratch = _from_scratch(spark, folder / f"scratch{number}", workflow)
            plan = iteration.plan
            rows.append({
                "iteration": number, "edit": what, "predicted_seconds": plan.predicted_seconds,
                "actual_seconds": iteration.seconds,
                "error": abs(plan.predicted_seconds - iteration.seconds) / iteration.seconds,
                "predicted_saving_seconds": plan.run_all_seconds - plan.predicted_seconds,
                "actual_saving_seconds": scratch - iteration.seconds, "from_scratch_seconds": scratch,
            })
    return rows


def _from_scratch(spark: Any, catalog: Path, workflow: Callable[[], Any]) -> float:
    from helix_spark.helix import Helix

    with Helix(catalog, spark=spark) as helix:
        return float(helix.run(workflow()).seconds)


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The median error, and the predicted saving beside the measured one, of the iterations that count."""
    counted = [row for row in rows if row["iteration"] >= COUNTED_FROM]
    predicted = sum(row["predicted_saving_seconds"] for row in counted)
    actual = sum(row["actual_saving_seconds"] for row in counted)
    return {
        "median_error": median(row["error"] for row in counted), "predicted_saving_seconds": predicted,
        "actual_saving_seconds": actual, "saving_ratio": predicted / actual, "rows": list(rows),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument("--save", action="store_true", help="also write results/predictions.json")
    given = parser.parse_args()
    found = summary(measure())
    if given.save:
        (Path(__file__).parent / "results" / "predictions.json").write_text(json.dumps(found, indent=2) + "\n")
    if given.json:
        print(json.dumps(found, indent=2))
        return
    for row in found["rows"]:
        print("{iteration:3}  {edit:24} predicted {predicted_seconds:6.2f} s, took {actual_seconds:6.2f} s; saves "
              "{predicted_saving_seconds:6.2f} s, saved {actual_saving_seconds:6.2f} s".format(**row))
    print(f"median error {found['median_error']:.2f} from iteration {COUNTED_FROM} on; predicted saving "
          f"{found['saving_ratio']:.2f} of the measured one")


if __name__ == "__main__":
    main()
