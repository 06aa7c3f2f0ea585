"""Edits a job again and again, and records what each system takes to answer: the experiment of Helix's paper.

    python benchmarks/iterations.py --workload census --system helix plain --script 0 --mode session
    python benchmarks/iterations.py --report benchmarks/results/*.json

Each edit is made to a copy of the job's text and of the same job in plain PySpark, and every system runs its text once;
systems take turns, so that whatever else the machine does falls on all of them. Their answers are compared.

- session: one warm driver for everybody, which has run the unedited plain job once;
- process: a fresh process (`spark-submit`) for each iteration for everybody;
- script: a fresh `spark-submit` for the others, `helix watch` for ours: what a person does with a file.

The exit code is 1 if the systems' answers differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.iterating.experiment import MODES, Experiment
from benchmarks.iterating.report import markdown, plot
from benchmarks.iterating.session import HEAP, WarmDrivers
from benchmarks.iterating.systems import SYSTEMS
from benchmarks.scripts import NAMES
from benchmarks.scripts.edit import DRAWN


def main() -> int:
    """Measures, or reports what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=NAMES, default="census")
    parser.add_argument("--system", nargs="+", choices=SYSTEMS, default=["helix", "plain"])
    parser.add_argument("--script", type=int, choices=(0, *DRAWN), default=0, help="0 is thought out, others are drawn")
    parser.add_argument("--mode", choices=MODES, default="session")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the job: how much data")
    parser.add_argument("--heap", default=HEAP, help="of each driver in session mode, as Spark writes it")
    parser.add_argument("--edits", type=int, help="only the first so many edits")
    parser.add_argument("--budget", type=float, metavar="SHARE",
                        help="what Helix may store: a share of the bytes of one full version")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--save", type=Path, metavar="DIR", help="also write the JSON, the table and the plot there")
    parser.add_argument("--report", nargs="+", type=Path, metavar="FILE", help="measure nothing: tables of these files")
    given = parser.parse_args()
    if given.report:
        print("\n\n".join(markdown(json.loads(file.read_text())) for file in given.report))
        return 0
    try:
        asked = Experiment(
            given.workload, given.script, given.mode, tuple(given.system), given.edits,
            dict(setting.split("=", 1) for setting in given.set), given.budget, given.heap,
        )
    except ValueError as error:
        parser.error(str(error))
    with WarmDrivers(given.workload, given.heap) as drivers:
        report = asked.run(drivers, lambda text: print(text, file=sys.stderr, flush=True))
    print(json.dumps(report, indent=1) if given.json else markdown(report))
    if given.save is not None:
        given.save.mkdir(parents=True, exist_ok=True)
        (given.save / f"{asked.name}.json").write_text(json.dumps(report, indent=1) + "\n")
        (given.save / f"{asked.name}.md").write_text(markdown(report) + "\n")
        plot(report, given.save / f"{asked.name}.svg")
    return 1 if report["disagreements"] else 0


if __name__ == "__main__":
    sys.exit(main())
