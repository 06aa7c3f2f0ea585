"""A small workflow that takes no JVM, edited by its parameters; run here, or as a process of its own to be killed.

    python -m tests.faults.job CATALOG KEY WEIGHT [--seconds S] [--mark FILE] [--policy NAME]

It prints a line for each thing that others rely on: answered, stored, done.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

import helix_spark as hx
from helix_spark.engine.execution.observer import Silent
from helix_spark.planner.joint import policy_named
from helix_spark.planner.storage import Decision, PlanningProblem, Policy

PEOPLE = pd.DataFrame({"a": range(5000), "s": [f"person {index % 97}" for index in range(5000)]})


def workflow(key: int, weight: int = 1, *, seconds: float = 0.0, mark: str = "", name: str = "job") -> hx.Workflow:
    """data -> rows -> doubled -> total, count.

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
    """What the workflow must answer."""
    return {"total": int(PEOPLE.a.sum()) * key * 2 * weight, "count": len(PEOPLE) + key}


class LoadsGladly:
    """Stores as another policy does, and takes loading to cost nothing: what is stored is read wherever it can be."""

    def __init__(self, stores: Policy) -> None:
        self._stores = stores
        self.name = stores.name

    def decide(self, problem: PlanningProblem) -> Decision:
        """See `Policy.decide`."""
        nodes = tuple(replace(node, load_seconds=0.0) for node in problem.nodes)
        return self._stores.decide(replace(problem, nodes=nodes))


class Heard(Silent):
    """Remembers warnings and what was stored; prints, if it is told to."""

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
    catalog: Path | str, made: hx.Workflow, heard: Heard | None = None, policy: str = "always", **options: Any
) -> dict[str, Any]:
    """Runs a workflow as a session of its own, and waits until everything is stored. Returns the outputs."""
    observer = heard or Heard()
    with hx.Helix(catalog, policy=LoadsGladly(policy_named(policy)), observer=observer, **options) as helix:
        iteration = helix.run(made)
        iteration.wait()
        return dict(iteration.outputs)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("catalog")
    arguments.add_argument("key", type=int)
    arguments.add_argument("weight", type=int)
    arguments.add_argument("--seconds", type=float, default=0.0)
    arguments.add_argument("--mark", default="")
    arguments.add_argument("--policy", default="always")
    arguments.add_argument("--name", default="job")
    arguments.add_argument("--command", action="store_true", help="end as the `helix` command does when interrupted")
    given = arguments.parse_args()
    print("ready", flush=True)
    made = workflow(given.key, given.weight, seconds=given.seconds, mark=given.mark, name=given.name)
    if given.command:
        from helix_spark.cli.options import reporting_errors

        reporting_errors(lambda: print(run(given.catalog, made, Heard(loud=True), given.policy)))()
        return
    outputs = run(given.catalog, made, Heard(loud=True), given.policy)
    print(f"done {outputs == answers(given.key, given.weight)}", flush=True)
    sys.exit(0 if outputs == answers(given.key, given.weight) else 1)


if __name__ == "__main__":
    main()
