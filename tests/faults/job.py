"""A small workflow without a JVM, edited by its parameters; run here, or in a process of its own to be killed.

    python -m tests.faults.job CATALOG KEY [--seconds S] [--mark FILE] [--name NAME] [--command]

It prints a line for each step that others wait for: answered, stored, done.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

import helix_spark as hx
from helix_spark.engine.execution.observer import Silent
from helix_spark.planner.storage import Policy
from tests.fakes.policy import loading

PEOPLE = pd.DataFrame({"a": range(5000), "s": [f"person {index % 97}" for index in range(5000)]})


def workflow(key: int, weight: int = 1, *, seconds: float = 0.0, mark: str = "", name: str = "job") -> hx.Workflow:
    """Build data -> rows -> doubled -> total, count.

    Args:
        key: changes everything below the source.
        weight: changes only `total`.
        seconds: how long `rows` takes.
        mark: a file to which `rows` adds a line each time it is computed.
    """
    wf = hx.Workflow(name)
    wf.source("data", hx.table(PEOPLE))

    def rows(data: pd.DataFrame) -> pd.DataFrame:
        if mark:
            with Path(mark).open("a") as file:
                file.write(f"{key}\n")
        time.sleep(seconds)
        return data.assign(a=data.a * key)

    @wf.scanner
    def doubled(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(b=rows.a * 2)

    @wf.reducer(output=True)
    def total(doubled: pd.DataFrame) -> int:
        return int(doubled.b.sum()) * weight

    @wf.reducer(output=True)
    def count(rows: pd.DataFrame) -> int:
        return len(rows) + key

    wf.scanner(rows)
    return wf


def answers(key: int, weight: int = 1) -> dict[str, int]:
    """Return the right answer of the workflow."""
    return {"total": int(PEOPLE.a.sum()) * key * 2 * weight, "count": len(PEOPLE) + key}


class Heard(Silent):
    """Remembers warnings and what was stored; prints all steps if it is loud."""

    def __init__(self, *, loud: bool = False) -> None:
        self.warnings: list[str] = []
        self.names: list[str] = []
        self._loud = loud

    def _say(self, text: str) -> None:
        if self._loud:
            print(text, flush=True)

    def answered(self, seconds: float) -> None:
        self._say("answered")

    def node_started(self, name: str) -> None:
        self._say(f"{name} begins")

    def waiting(self, name: str, holder: str) -> None:
        self._say(f"waiting for {name}, {holder}")

    def storing(self, name: str) -> None:
        self._say(f"storing {name}")

    def stored(self, name: str, size: int) -> None:
        self.names.append(name)
        self._say(f"stored {name}")

    def warning(self, text: str) -> None:
        self.warnings.append(text)
        self._say(f"warning {text}")


def run(
    catalog: Path | str, wf: hx.Workflow, heard: Heard | None = None, policy: str | Policy = "always", **options: Any
) -> dict[str, Any]:
    """Run a workflow in a Helix of its own, wait until everything is stored, and return the outputs."""
    chosen = loading(policy) if isinstance(policy, str) else policy
    with hx.Helix(catalog, policy=chosen, observer=heard or Heard(), **options) as helix:
        iteration = helix.run(wf)
        iteration.wait()
        return dict(iteration.outputs)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("catalog")
    parser.add_argument("key", type=int)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--mark", default="")
    parser.add_argument("--name", default="job")
    parser.add_argument("--command", action="store_true", help="end as the `helix` command does when interrupted")
    options = parser.parse_args()
    print("ready", flush=True)
    wf = workflow(options.key, seconds=options.seconds, mark=options.mark, name=options.name)
    if options.command:
        from helix_spark.cli.options import reporting_errors

        reporting_errors(lambda: print(run(options.catalog, wf, Heard(loud=True))))()
        return
    is_right = run(options.catalog, wf, Heard(loud=True)) == answers(options.key)
    print(f"done {is_right}", flush=True)
    sys.exit(0 if is_right else 1)


if __name__ == "__main__":
    main()
