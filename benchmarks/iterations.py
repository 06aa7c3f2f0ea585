"""Edit a job again and again, and record what each system takes to answer: the experiment of Helix's paper.

    python -m benchmarks.iterations --mode session --scripts 0 1 2 --workloads census flights --systems helix plain
    python -m benchmarks.iterations --workloads flights --set times=100 --edits 2 --heap 4g
    python -m benchmarks.iterations --report

Each edit is made to a copy of the job's text and of the same job in plain PySpark, and every system runs its text once;
systems take turns, so that whatever else the machine does falls on all of them. Their answers are compared.

- session: one warm driver for everybody, which has run the unedited plain job once;
- process: a fresh process (`spark-submit`) for each iteration for everybody;
- script: a fresh `spark-submit` for the others, `helix watch` for ours: what a person does with a file;
- kept: the same, `helix run` for ours, next to the server that the first one leaves.

Each experiment is saved as soon as it is done, and skipped when it is there, so that an interrupted command goes on
where it stopped; to measure one anew, or with other systems, remove its file. Experiments of one workload share warm
drivers; each script begins with an empty catalog and nothing cached. The exit code is 1 if an experiment failed, or
answers differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness import RESULTS, draw, say
from benchmarks.iterating.experiment import MODES, Experiment
from benchmarks.iterating.report import picture, summary
from benchmarks.iterating.session import HEAP, WarmDrivers
from benchmarks.iterating.systems import SYSTEMS
from benchmarks.scripts import NAMES
from benchmarks.scripts.edit import DRAWN


def measure(workload: str, experiments: Sequence[Experiment], folder: Path, *, verbose: bool = False) -> bool:
    """Run experiments of one workload and one heap that are not saved yet; return whether all went well."""
    well = True
    with WarmDrivers(workload, experiments[0].heap) as drivers:
        for one in experiments:
            file = folder / f"{one.name}.json"
            if file.exists():
                lacking = [name for name in one.systems if name not in json.loads(file.read_text())["systems"]]
                print(f"{one.name}: there already{f', but without {lacking}' if lacking else ''}", flush=True)
                continue
            try:
                found = one.run(drivers, say if verbose else lambda text: None)
            except RuntimeError as error:
                well = False
                print(f"{one.name}: FAILED: {error}", flush=True)
                continue
            half = file.with_suffix(".half")
            half.write_text(json.dumps(found, indent=1) + "\n")
            half.rename(file)
            well &= not found["disagreements"]
            seconds = {name: sum(figures["answer_seconds"]) for name, figures in found["systems"].items()}
            told = ", ".join(f"{name} {total:.1f} s" for name, total in seconds.items())
            print(f"{one.name}: {told}{'; DIFFERENT ANSWERS' if found['disagreements'] else ''}", flush=True)
    return well


def write_report(folder: Path) -> int:
    """Write the summary of all saved experiments, and a picture of script 0 in a session; return the exit code."""
    files = sorted(folder.glob("iterations-*.json"))
    if not files:
        say(f"{folder} has no results")
        return 2
    reports = [json.loads(file.read_text()) for file in files]
    (folder / "iterations.md").write_text(summary(reports) + "\n")
    main = [
        report for report in reports if report["script"] == 0 and report["mode"] == "session"
        and report.get("budget") is None and not report.get("other_settings")
    ]
    draw(folder / "iterations.svg", [partial(picture, report) for report in main])
    return 0


def main() -> int:
    """Measure, or report what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--scripts", nargs="+", type=int, choices=(0, *DRAWN), default=[0],
                        help="0 is thought out, others are drawn")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=["helix", "plain"])
    parser.add_argument("--mode", choices=MODES, default="session")
    parser.add_argument("--budget", type=float, metavar="SHARE",
                        help="what Helix may store: a share of the bytes of one full version")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the job: how much data")
    parser.add_argument("--heap", default=HEAP, help="of each driver in session mode, as Spark writes it")
    parser.add_argument("--edits", type=int, help="only the first so many edits")
    parser.add_argument("--save", type=Path, default=RESULTS, metavar="DIR", help="where results are, and go")
    parser.add_argument("--report", action="store_true", help="measure nothing: DIR/iterations.md and .svg of all")
    parser.add_argument("--verbose", action="store_true", help="a line for each run")
    given = parser.parse_args()
    given.save.mkdir(parents=True, exist_ok=True)
    if given.report:
        return write_report(given.save)
    try:
        settings = dict(setting.split("=", 1) for setting in given.set)
        asked = {
            workload: [
                Experiment(
                    workload, script, given.mode, tuple(given.systems), given.edits, settings, given.budget, given.heap
                ) for script in given.scripts
            ] for workload in given.workloads
        }
    except ValueError as error:
        parser.error(str(error))
    well = [measure(workload, made, given.save, verbose=given.verbose) for workload, made in asked.items()]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
