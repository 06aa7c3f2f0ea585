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
from tests.faults.row import Tally
from tests.faults.rows import FAULTS

_COMMAND = "python -m tests.faults --save benchmarks/results"


def main() -> int:
    arguments = argparse.ArgumentParser(description="injects faults and counts what came of them")
    arguments.add_argument("--short", action="store_true", help="few of each, none that takes a JVM")
    arguments.add_argument("--only", nargs="+", default=[""], help="faults whose name holds one of these texts")
    arguments.add_argument("--no-spark", action="store_true", help="none that takes a JVM")
    arguments.add_argument("--add", action="store_true", help="keep the rows of an earlier run that are not run now")
    arguments.add_argument("--missing", action="store_true", help="run only those that an earlier run did not")
    arguments.add_argument("--seconds", type=float, default=math.inf, help="of a slow row, at most")
    arguments.add_argument("--save", type=Path, help="write faults.md and faults.json into this folder, too")
    given = arguments.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's script ignores it in what runs behind it
    earlier = _earlier(given.save) if given.add or given.missing else []
    there = {row["fault"] for row in earlier} if given.missing else set()
    chosen = [
        each for each in FAULTS
        if any(text in each.name for text in given.only) and each.name not in there
        and not (each.spark and (given.short or given.no_spark)) and (each.short or not given.short)
    ]
    rows: dict[str, Tally] = {}
    data = as_data(FAULTS, rows, _COMMAND, earlier)
    with tempfile.TemporaryDirectory(prefix="helix-faults-") as folder:
        os.environ["HELIX_INDEX"] = f"{folder}/indexes"
        for index, each in enumerate(chosen):
            tally = each.run(LocalPath(folder) / str(index), short=given.short, seconds=given.seconds)
            rows[each.name] = tally
            print(f"{each.name}: {tally.injected} injected, {tally.right} right ({tally.seconds:.0f} s) {tally.note}",
                  file=sys.stderr, flush=True)
            for text in tally.wrong[:5]:
                print(f"    {text}", file=sys.stderr, flush=True)
            data = as_data(FAULTS, rows, _COMMAND, earlier)
            _save(data, given.save)
    print(markdown(data), flush=True)
    return 0 if data["injected"] == data["right"] else 1


def _earlier(folder: Path | None) -> list[Mapping[str, Any]]:
    """The rows of an earlier run that was saved in `folder`."""
    if folder is None or not (folder / "faults.json").exists():
        return []
    return list(json.loads((folder / "faults.json").read_text())["rows"])


def _save(data: Mapping[str, Any], folder: Path | None) -> None:
    """Writes both files after each row, as all of them take hours."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "faults.md").write_text(markdown(data) + "\n")
        (folder / "faults.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
