"""Injects the faults, and writes the table; see the package."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helix_spark.catalog.places.place import LocalPath
from tests.faults.report import as_data, markdown
from tests.faults.row import Tally, all_faults

_COMMAND = "python -m tests.faults --save benchmarks/results"


def main() -> int:
    parser = argparse.ArgumentParser(description="injects faults and counts what came of them")
    parser.add_argument("--short", action="store_true", help="few of each, none that takes a JVM")
    parser.add_argument("--only", nargs="+", default=[""], help="faults whose name holds one of these texts")
    parser.add_argument("--add", action="store_true", help="keep the rows of an earlier run that are not run now")
    parser.add_argument("--seconds", type=float, default=math.inf, help="of a slow row, at most")
    parser.add_argument("--save", type=Path, help="write faults.md and faults.json into this folder, too")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's script ignores it in background processes
    earlier = []
    if options.add and options.save and (options.save / "faults.json").exists():
        earlier = json.loads((options.save / "faults.json").read_text())["rows"]
    faults = all_faults()
    chosen = [
        fault for fault in faults
        if any(text in fault.name for text in options.only)
        and not (options.short and (fault.spark or not fault.short))
    ]
    tallies: dict[str, Tally] = {}
    data = as_data(faults, tallies, _COMMAND, earlier)
    with tempfile.TemporaryDirectory(prefix="helix-faults-") as folder:
        os.environ["HELIX_INDEX"] = f"{folder}/indexes"
        for index, fault in enumerate(chosen):
            tally = fault.run(LocalPath(folder) / str(index), short=options.short, seconds=options.seconds)
            tallies[fault.name] = tally
            print(f"{fault.name}: {tally.injected} injected, {tally.right} right ({tally.seconds:.0f} s) {tally.note}",
                  *(f"    {text}" for text in tally.wrong[:5]), sep="\n", file=sys.stderr, flush=True)
            data = as_data(faults, tallies, _COMMAND, earlier)
            _save(data, options.save)
    print(markdown(data), flush=True)
    return 0 if data["injected"] == data["right"] else 1


def _save(data: Mapping[str, Any], folder: Path | None) -> None:
    """Write both files after each row, as all of them take hours."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "faults.md").write_text(markdown(data) + "\n")
        (folder / "faults.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
