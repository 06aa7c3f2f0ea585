"""Edit a job again and again, and record what each system takes to answer: the experiment of Helix's paper.

    python -m benchmarks.iterations --mode session --scripts 0 1 2 --workloads census flights --systems helix plain
    python -m benchmarks.iterations --workloads flights --set times=100 --edits 2 --heap 4g
    python -m benchmarks.iterations --report

Each edit is made to a copy of the job's text and of the same job in plain PySpark, and every system runs its text once;
systems take turns, so that all share the machine's changing load. Their answers are compared.

- session: a warm driver for each system, which has run the unedited plain job once;
- process: a fresh process (`spark-submit`) for each iteration of each system;
- script: a fresh `spark-submit` for the others, `helix watch` for ours, as a person works on a file;
- kept: a fresh `spark-submit` for the others, `helix run` for ours, next to the server that the first one leaves.

Each experiment is saved as soon as it is done, and skipped if its file is there, so that an interrupted command
continues where it stopped; to measure one again, or with other systems, remove its file. Experiments of one workload
share warm drivers; each script begins with an empty catalog and an empty cache. The exit code is 1 if an experiment
failed, or answers differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import RESULTS, say
from benchmarks.iterating.experiment import MODES, Experiment
from benchmarks.iterating.report import draw, summary
from benchmarks.iterating.session import HEAP, warm_drivers
from benchmarks.iterating.systems import SYSTEMS
from benchmarks.scripts import DRAWN, NAMES


def measure(experiments: Sequence[Experiment], folder: Path) -> bool:
    """Run experiments of one workload and one heap that are not saved yet; return whether all went well."""
    is_well = True
    with warm_drivers(experiments[0].workload, experiments[0].heap) as drivers:
        for experiment in experiments:
            file = folder / f"{experiment.name}.json"
            if file.exists():
                saved = json.loads(file.read_text())["systems"]
                missing = [name for name in experiment.systems if name not in saved]
                print(f"{file.stem}: there already{f', but without {missing}' if missing else ''}", flush=True)
                continue
            try:
                report = experiment.run(drivers)
            except RuntimeError as error:
                is_well = False
                print(f"{file.stem}: FAILED: {error}", flush=True)
                continue
            half = file.with_suffix(".half")
            half.write_text(json.dumps(report, indent=1) + "\n")
            half.rename(file)
            is_well &= not report["disagreements"]
            seconds = {name: sum(figures["answer_seconds"]) for name, figures in report["systems"].items()}
            totals = ", ".join(f"{name} {total:.1f} s" for name, total in seconds.items())
            print(f"{file.stem}: {totals}{'; DIFFERENT ANSWERS' if report['disagreements'] else ''}", flush=True)
    return is_well


def write_report(folder: Path) -> int:
    """Write the summary of all saved experiments, and a picture of script 0 in a session; return the exit code."""
    reports = [json.loads(file.read_text()) for file in sorted(folder.glob("iterations-*.json"))]
    if not reports:
        say(f"{folder} has no results")
        return 2
    (folder / "iterations.md").write_text(summary(reports) + "\n")
    draw(folder / "iterations.svg", [
        report for report in reports if report["script"] == 0 and report["mode"] == "session"
        and report.get("budget") is None and not report.get("other_settings")
    ])
    return 0


def main() -> int:
    """Measure, or report what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--scripts", nargs="+", type=int, choices=(0, *DRAWN), default=[0],
                        help="0 is designed, others are drawn")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=["helix", "plain"])
    parser.add_argument("--mode", choices=MODES, default="session")
    parser.add_argument("--budget", type=float, metavar="SHARE",
                        help="limit of Helix's storage: a share of the bytes of one full version")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the job: how much data")
    parser.add_argument("--heap", default=HEAP, help="of each driver in session mode, as Spark writes it")
    parser.add_argument("--edits", type=int, help="only the first so many edits")
    parser.add_argument("--save", type=Path, default=RESULTS, metavar="DIR", help="where results are, and go")
    parser.add_argument("--report", action="store_true", help="measure nothing: DIR/iterations.md and .svg of all")
    options = parser.parse_args()
    options.save.mkdir(parents=True, exist_ok=True)
    if options.report:
        return write_report(options.save)
    try:
        settings = dict(setting.split("=", 1) for setting in options.set)
        experiments = [
            [Experiment(workload, script, options.mode, tuple(options.systems), options.edits, settings,
                        options.budget, options.heap) for script in options.scripts]
            for workload in options.workloads
        ]
    except ValueError as error:
        parser.error(str(error))
    outcomes = [measure(group, options.save) for group in experiments]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
