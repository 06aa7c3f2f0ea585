"""Injects the faults, and writes the table; see the package."""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path

from benchmarks.faults.report import as_data, markdown
from benchmarks.faults.rows import FAULTS
from helix_spark.catalog.places.place import LocalPath


def main() -> int:
    arguments = argparse.ArgumentParser(description="injects faults and counts what came of them")
    arguments.add_argument("--short", action="store_true", help="few of each, none that takes a JVM")
    arguments.add_argument("--only", default="", help="faults whose name holds these words")
    arguments.add_argument("--no-spark", action="store_true", help="none that takes a JVM")
    arguments.add_argument("--add", action="store_true", help="keep the rows of an earlier run that are not run now")
    arguments.add_argument("--seconds", type=float, default=math.inf, help="of a slow row, at most")
    arguments.add_argument("--save", type=Path, help="write faults.md and faults.json into this folder, too")
    given = arguments.parse_args()
    chosen = [
        each for each in FAULTS
        if given.only in each.name and not (each.spark and (given.short or given.no_spark))
        and (each.short or not given.short)
    ]
    rows = {}
    with tempfile.TemporaryDirectory(prefix="helix-faults-") as folder:
        for index, each in enumerate(chosen):
            tally = each.run(LocalPath(folder) / str(index), short=given.short, seconds=given.seconds)
            rows[each.name] = tally
            print(f"{each.name}: {tally.injected} injected, {tally.right} right ({tally.seconds:.0f} s) {tally.note}",
                  file=sys.stderr, flush=True)
            for text in tally.wrong[:5]:
                print(f"    {text}", file=sys.stderr, flush=True)
    command = "python -m benchmarks.faults --save benchmarks/results"
    earlier = []
    if given.add and given.save and (given.save / "faults.json").exists():
        earlier = json.loads((given.save / "faults.json").read_text())["rows"]
    data = as_data(FAULTS, rows, command, earlier)
    text = markdown(data)
    print(text, flush=True)
    if given.save is not None:
        given.save.mkdir(parents=True, exist_ok=True)
        (given.save / "faults.md").write_text(text + "\n")
        (given.save / "faults.json").write_text(json.dumps(data, indent=1) + "\n")
    return 0 if data["injected"] == data["right"] else 1


if __name__ == "__main__":
    sys.exit(main())
