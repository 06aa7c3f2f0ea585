"""Many experiments of `benchmarks/iterations.py`, one after the other, and one report of all of them.

    python -m benchmarks.matrix --mode session --scripts 0 1 2 --workloads census flights --systems helix plain
    python -m benchmarks.matrix --workloads flights --set times=10 --edits 3
    python -m benchmarks.matrix --workloads flights --set times=100 --edits 2 --heap 4g
    python -m benchmarks.matrix --report

Each experiment is saved as soon as it is done, and skipped when it is there, so a matrix that was interrupted goes on
where it stopped; to measure one anew, or with other systems, remove its file. Experiments of one workload share warm
drivers; each script begins with an empty catalog and nothing cached. The exit code is 1 if an experiment failed, or
systems' answers differed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.iterating.experiment import MODES, Experiment
from benchmarks.iterating.report import plot_all
from benchmarks.iterating.session import HEAP, WarmDrivers
from benchmarks.iterating.summary import summary
from benchmarks.iterating.systems import SYSTEMS
from benchmarks.scripts import NAMES
from benchmarks.scripts.edit import DRAWN

RESULTS = Path("benchmarks/results")


def measure(workload: str, experiments: Sequence[Experiment], folder: Path, *, verbose: bool = False) -> bool:
    """Runs experiments of one workload and one heap that are not saved yet, a line each; whether all went well."""
    well = True
    with WarmDrivers(workload, experiments[0].heap) as drivers:
        for one in experiments:
            file = folder / f"{one.name}.json"
            if file.exists():
                lacking = [name for name in one.systems if name not in json.loads(file.read_text())["systems"]]
                print(f"{one.name}: there already{f', but without {lacking}' if lacking else ''}", flush=True)
                continue
            try:
                found = one.run(drivers, _say if verbose else lambda text: None)
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


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


def main() -> int:
    """Measures, or reports what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--scripts", nargs="+", type=int, choices=(0, *DRAWN), default=[0])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=["helix", "plain"])
    parser.add_argument("--mode", choices=MODES, default="session")
    parser.add_argument("--budget", type=float, metavar="SHARE", help="see benchmarks/iterations.py")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the job: how much data")
    parser.add_argument("--heap", default=HEAP, help="of each driver in session mode, as Spark writes it")
    parser.add_argument("--edits", type=int, help="only the first so many edits")
    parser.add_argument("--save", type=Path, default=RESULTS, metavar="DIR", help="where results are, and go")
    parser.add_argument("--report", action="store_true", help="measure nothing: DIR/iterations.md and .svg of all")
    parser.add_argument("--verbose", action="store_true", help="a line for each run")
    given = parser.parse_args()
    given.save.mkdir(parents=True, exist_ok=True)
    if given.report:
        files = sorted(given.save.glob("iterations-*.json"))
        if not files:
            print(f"{given.save} has no results", file=sys.stderr)
            return 2
        reports = [json.loads(file.read_text()) for file in files]
        (given.save / "iterations.md").write_text(summary(reports) + "\n")
        thought_out = [report for report in reports if report["script"] == 0 and not report.get("other_settings")]
        plot_all(thought_out, given.save / "iterations.svg")
        return 0
    try:
        settings = dict(setting.split("=", 1) for setting in given.set)
        chosen = {
            workload: [
                Experiment(
                    workload, script, given.mode, tuple(given.systems), given.edits, settings, given.budget, given.heap
                ) for script in given.scripts
            ] for workload in given.workloads
        }
    except ValueError as error:
        parser.error(str(error))
    well = [measure(workload, made, given.save, verbose=given.verbose) for workload, made in chosen.items()]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
