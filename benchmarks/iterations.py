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
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.iterating.agreement import disagreements
from benchmarks.iterating.measured import Measured, PeakMemory
from benchmarks.iterating.report import markdown, plot
from benchmarks.iterating.systems import ROOT, SYSTEMS
from benchmarks.scripts import NAMES, workload_named
from benchmarks.scripts.edit import DRAWN, Version, versions

MODES = ("session", "process", "script")


class Driven(Protocol):
    """A system that runs."""

    def run(self, version: Version) -> Measured: ...

    def close(self) -> None: ...


def experiment(
    workload: str, script: int, mode: str, systems: Sequence[str], edits: int | None = None,
    settings: Mapping[str, str] = MappingProxyType({}), tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Runs one script on several systems, in turn.

    Args:
        edits: how many edits at most; None for all.
        settings: of the job, beyond those of the workload.
        tell: is told how it goes.

    Raises:
        RuntimeError: a system failed.
    """
    texts = [(ROOT / "jobs" / f"{workload}.py"), ROOT / "benchmarks" / "plain" / f"plain_{workload}.py"]
    known = workload_named(workload)
    known = replace(known, settings={**known.settings, **settings})
    made = list(versions(known, script, *(text.read_text() for text in texts)))
    made = made if edits is None else made[: edits + 1]
    found: dict[str, list[Measured]] = {system: [] for system in systems}
    with tempfile.TemporaryDirectory(prefix="helix-iterations-") as folder, ExitStack() as stack:
        memory = {system: stack.enter_context(PeakMemory()) for system in systems}
        running = {
            system: stack.enter_context(_driven(mode, system, workload, Path(folder) / system, memory[system], made[0]))
            for system in systems
        }
        for version in made:
            for system, driven in running.items():
                measured = driven.run(version)
                found[system].append(measured)
                tell(f"{version.kind}, {version.edit}: {system} answers after {measured.answer_seconds:.2f} s, "
                     f"busy {measured.busy_seconds:.2f} s")
            for sentence in disagreements({name: [runs[-1].outputs] for name, runs in found.items()}, [version.edit]):
                tell(f"DIFFERENT: {sentence}")
    return {
        "workload": workload, "script": script, "mode": mode, "settings": dict(known.settings),
        "kinds": [version.kind for version in made],
        "edits": [version.edit for version in made],
        "systems": {
            system: {
                "answer_seconds": [round(one.answer_seconds, 4) for one in runs],
                "busy_seconds": [round(one.busy_seconds, 4) for one in runs],
                "stored_bytes": [one.stored_bytes for one in runs], "peak_rss_bytes": memory[system].bytes,
                "outputs": [one.outputs for one in runs],
            }
            for system, runs in found.items()
        },
        "disagreements": disagreements(
            {system: [one.outputs for one in runs] for system, runs in found.items()},
            [version.edit for version in made],
        ),
    }


@contextmanager
def _driven(
    mode: str, system: str, workload: str, folder: Path, memory: PeakMemory, first: Version
) -> Iterator[Driven]:
    from benchmarks.iterating.processes import driver
    from benchmarks.iterating.session import Driver

    made: Driven
    if mode == "session":
        made = started = Driver(system, workload, folder, first)
        memory.of(started.pid)
    else:
        made = driver(mode, system, workload, folder, memory)
    try:
        yield made
    finally:
        made.close()


def main() -> int:
    """Measures, or reports what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=NAMES, default="census")
    parser.add_argument("--system", nargs="+", choices=SYSTEMS, default=["helix", "plain"])
    parser.add_argument("--script", type=int, choices=(0, *DRAWN), default=0, help="0 is thought out, others are drawn")
    parser.add_argument("--mode", choices=MODES, default="session")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the job: how much data")
    parser.add_argument("--edits", type=int, help="only the first so many edits")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--save", type=Path, metavar="DIR", help="also write the JSON, the table and the plot there")
    parser.add_argument("--report", nargs="+", type=Path, metavar="FILE", help="measure nothing: tables of these files")
    given = parser.parse_args()
    if given.report:
        print("\n\n".join(markdown(json.loads(file.read_text())) for file in given.report))
        return 0
    report = experiment(
        given.workload, given.script, given.mode, given.system, given.edits,
        dict(setting.split("=", 1) for setting in given.set), lambda text: print(text, file=sys.stderr, flush=True),
    )
    print(json.dumps(report, indent=1) if given.json else markdown(report))
    if given.save is not None:
        given.save.mkdir(parents=True, exist_ok=True)
        name = f"iterations-{given.workload}-{given.script}-{given.mode}"
        (given.save / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
        (given.save / f"{name}.md").write_text(markdown(report) + "\n")
        plot(report, given.save / f"{name}.svg")
    return 1 if report["disagreements"] else 0


if __name__ == "__main__":
    sys.exit(main())
