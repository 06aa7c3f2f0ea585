"""How long planning takes: `python -m benchmarks.planner_speed [--json] [--save] [--history N ...]`.

The joint program by size of the problem; and a whole plan of the census workflow (signing, look-up in the catalog,
estimates, the program) by the number of iterations on record. Beside the seconds stand those of the processor, which
other work on the machine does not change.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from helix_spark.planner.joint import Joint
from helix_spark.planner.storage import NodeCosts, PlanningProblem, Scenario

SIZES = ((30, 30), (60, 60), (200, 60), (200, 200), (2000, 100), (2000, 2000))
"""Nodes and scenarios."""

HISTORIES = (10, 100, 1_000, 10_000)
"""Iterations on record."""


def problem(nodes: int, scenarios: int, seed: int) -> PlanningProblem:
    """A random graph (up to three inputs among the 30 nodes before, so that it is deep and wide), a third of it stored,
    and a budget of 30 % of one version. What no node reads is an output, and small (a metric). Each scenario hits one
    node, with unequal chances.
    """
    rng = random.Random(seed)
    made: list[NodeCosts] = []
    for index in range(nodes):
        near = made[-30:]
        inputs = tuple(node.name for node in rng.sample(near, min(len(near), rng.choice((1, 1, 1, 2, 2, 3)))))
        size = int(3e7 * rng.lognormvariate(0, 1))
        made.append(NodeCosts(
            f"n{index}", "extractor", f"s{index}", inputs, 4 * rng.lognormvariate(0, 0.8), 0.15 + size / 1.5e8,
            0.3 + size / 6e7, size, stored=rng.random() < 0.3,
        ))
    read = {name for node in made for name in node.inputs}
    made = [
        node if node.name in read else replace(node, bytes=2000, load_seconds=0.15, write_seconds=0.3) for node in made
    ]
    outputs = frozenset(node.name for node in made if node.name not in read)
    hit = rng.sample(made, min(scenarios, nodes))
    weights = [rng.gammavariate(0.7, 1) for _ in hit]
    likely = tuple(
        Scenario(weight / sum(weights), frozenset({node.name}), node.name)
        for node, weight in zip(hit, weights, strict=True)
    )
    budget = int(0.3 * sum(node.bytes for node in made))
    return PlanningProblem(tuple(made), outputs, budget, 0, (), likely, 8.0)


def measure(nodes: int, scenarios: int, seeds: range) -> dict[str, float]:
    """The median over seeds of the time a decision takes, and the widest gap."""
    seconds, busy, gaps = [], [], []
    for seed in seeds:
        asked = problem(nodes, scenarios, seed)
        start, used = time.perf_counter(), time.process_time()
        decision = Joint().decide(asked)
        seconds.append(time.perf_counter() - start)
        busy.append(time.process_time() - used)
        gaps.append(decision.certificate.gap)
    return {
        "nodes": nodes, "scenarios": scenarios, "seconds": sorted(seconds)[len(seconds) // 2],
        "slowest": max(seconds), "processor_seconds": sorted(busy)[len(busy) // 2], "gap": max(gaps),
    }


def measure_history(iterations: int) -> dict[str, float]:
    """Seconds to plan the census workflow with so many iterations on record: the median of seven, after one."""
    from helix_spark.helix import Helix
    from jobs.census import census
    from tests.fakes.filled_catalog import filled_catalog

    with tempfile.TemporaryDirectory(prefix="helix-history-") as folder:
        filled_catalog(Path(folder) / "catalog", census(), iterations)
        seconds, busy = [], []
        with Helix(Path(folder) / "catalog") as helix:
            for number in range(8):
                workflow = census(reg=0.01 * (number + 1))
                start, used = time.perf_counter(), time.process_time()
                helix.plan(workflow)
                seconds.append(time.perf_counter() - start)
                busy.append(time.process_time() - used)
    return {
        "iterations": iterations, "seconds": median(seconds[1:]), "processor_seconds": median(busy[1:]),
        "first_seconds": seconds[0],
    }


def main() -> int:
    """Prints one row a size, and one a history."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument("--save", action="store_true", help="also write results/planner_speed.json")
    parser.add_argument("--history", type=int, nargs="*", default=list(HISTORIES), help="iterations on record")
    parser.add_argument("--seeds", type=int, default=5, help="problems per size (default 5)")
    arguments = parser.parse_args()
    measure(5, 5, range(1))  # the first one imports PuLP and the solver
    rows = []
    for nodes, scenarios in SIZES:
        row = measure(nodes, scenarios, range(arguments.seeds if nodes <= 200 else 1))
        rows.append(row)
        if not arguments.json:
            print("{nodes:5} nodes x {scenarios:4} scenarios: {seconds:6.2f} s (slowest {slowest:.2f}; "
                  "processor {processor_seconds:.2f}), "
                  "gap {gap:.2%}".format(**row), flush=True)
    history = []
    for iterations in arguments.history:
        history.append(measure_history(iterations))
        if not arguments.json:
            print("{iterations:6} iterations on record: {seconds:6.3f} s (processor "
                  "{processor_seconds:.3f}; the first time {first_seconds:.3f})".format(**history[-1]), flush=True)
    report = json.dumps({"rows": rows, "history": history}, indent=2)
    if arguments.save:
        (Path(__file__).parent / "results" / "planner_speed.json").write_text(report + "\n")
    if arguments.json:
        print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
