"""Costs of long histories and large problems: planning, catalogs, pages, a server that stays.

    python -m benchmarks.scale [--only program,plan,catalog,pages,server] [--iterations 10000] [--rounds 5]

- program: the joint program by nodes and scenarios, on random graphs; seconds, and the gap of the answer.
- plan: a whole plan of the census workflow (signing, look-up in the catalog, estimates, the program) by iterations.
- catalog: an append of an iteration, early and late; a process that opens the catalog and reads what a plan reads, with
  the index of an earlier process and without; the requests to an S3 store (moto's, on this machine); expiry.
- pages: `helix ui` over 1,000 iterations, from its start to the first page, and requests to its server. No JVM starts.
- server: a script of some ten questions and a Python function, again and again in processes of its own, each with other
  data, next to one server; MiB of memory that the server holds. `--runs` says how often.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from unittest.mock import patch

import helix_spark as hx
from benchmarks.harness import (
    HELIX,
    Row,
    Run,
    chosen,
    clock,
    collect,
    command_line,
    finish,
    in_turn,
    medians,
    new_folder,
    run,
    sound,
    watching,
)
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import IterationRecord
from helix_spark.engine.server.kept_servers import family, resident_bytes
from helix_spark.planner.joint import Joint
from helix_spark.planner.storage import NodeCosts, PlanningProblem, Scenario
from helix_spark.run.expiry import Expiry
from jobs.census import census
from tests.fakes.filled_catalog import filled_catalog
from tests.fakes.local_store import local_store
from tests.fakes.shown_catalogs import graph_catalog

if TYPE_CHECKING:
    from tests.faults.kept_servers import Runs

SIZES = {(30, 30): 0.15, (60, 60): 0.0, (200, 60): 0.0, (200, 200): 3.0, (2000, 100): 15.0, (2000, 2000): 15.0}
"""The longest wanted seconds by nodes and scenarios; 0 for no wish."""

APPENDS = 1_000

OPEN = """
import sys, time
start = time.perf_counter()
from helix_spark.catalog.catalog_reader import CatalogReader
imported = time.perf_counter()
catalog = CatalogReader.open(sys.argv[1], create=False)
view = catalog.snapshot("census")
assert view.next_iteration == int(sys.argv[2]) + 1
assert not {"deltalake", "pyarrow"} & set(sys.modules)
print(imported - start, time.perf_counter() - imported)
"""
"""Opens a catalog as a plan does."""


def measure_program(options: argparse.Namespace) -> Iterator[Row]:
    """Solve random problems by size: the median over seeds of the seconds, and the widest gap."""
    Joint().decide(random_problem(5, 5, 0))  # the first one imports PuLP and the solver
    for (nodes, scenarios), wanted in SIZES.items():
        seconds, gaps = list[float](), list[float]()
        for seed in range(options.rounds if nodes <= 200 else 1):
            problem, start = random_problem(nodes, scenarios, seed), time.perf_counter()
            decision = Joint().decide(problem)
            seconds.append(time.perf_counter() - start)
            gaps.append(decision.certificate.gap)
        yield Row(f"program: {nodes} x {scenarios}", {"seconds": median(seconds), "slowest": max(seconds),
                                                      "gap, %": 100 * max(gaps), "wanted": wanted})


def random_problem(nodes: int, scenarios: int, seed: int) -> PlanningProblem:
    """Return a random graph (up to three inputs among the 30 nodes before, so that it is deep and wide), a third of it
    stored, and a budget of 30 % of one version.

    What no node reads is an output, and small (a metric). Each scenario hits one node, with unequal chances.
    """
    rng = random.Random(seed)
    graph: list[NodeCosts] = []
    for index in range(nodes):
        near = graph[-30:]
        inputs = tuple(node.name for node in rng.sample(near, min(len(near), rng.choice((1, 1, 1, 2, 2, 3)))))
        size = int(3e7 * rng.lognormvariate(0, 1))
        graph.append(NodeCosts(
            f"n{index}", "extractor", f"s{index}", inputs, 4 * rng.lognormvariate(0, 0.8), 0.15 + size / 1.5e8,
            0.3 + size / 6e7, size, stored=rng.random() < 0.3,
        ))
    read = {name for node in graph for name in node.inputs}
    graph = [
        node if node.name in read else replace(node, bytes=2000, load_seconds=0.15, write_seconds=0.3) for node in graph
    ]
    hit = rng.sample(graph, min(scenarios, nodes))
    weights = [rng.gammavariate(0.7, 1) for _ in hit]
    likely = tuple(
        Scenario(weight / sum(weights), frozenset({node.name}), node.name)
        for node, weight in zip(hit, weights, strict=True)
    )
    outputs = frozenset(node.name for node in graph if node.name not in read)
    return PlanningProblem(tuple(graph), outputs, int(0.3 * sum(node.bytes for node in graph)), 0, (), likely, 8.0)


def measure_plan(options: argparse.Namespace) -> Iterator[Row]:
    """Plan the census workflow with ever more recorded iterations: the first time, and the median of seven later."""
    for iterations in (10, 100, 1_000, 10_000):
        if iterations > options.iterations:
            continue
        with new_folder() as folder:
            filled_catalog(folder / "catalog", census(), iterations)
            with hx.Helix(folder / "catalog") as helix:
                workflows = (census(reg=0.01 * number) for number in range(1, 9))
                seconds = [clock(partial(helix.plan, workflow)) for workflow in workflows]
        yield Row(f"plan: {iterations:,} iterations", {"seconds": median(seconds[1:]), "the first time": seconds[0]})


def measure_catalog(options: argparse.Namespace) -> Iterator[Row]:
    """Append to a catalog, open a long one in processes and through a store, and have it expire."""
    with new_folder() as folder:
        os.environ["HELIX_INDEX"] = str(folder / "index")
        yield from _appends(Catalog.open(folder / "short", create=True))
        filled_catalog(folder / "long", census(), options.iterations)
        long, words = folder / "long", [str(folder / "long"), str(options.iterations)]
        sound(_opened(words, folder / "index"))
        seconds = medians(in_turn({
            "Python": lambda: sound(run([sys.executable, "-c", "pass"], folder)).seconds,
            "with an index": lambda: sound(_opened(words, folder / "index")).seconds,
        }, options.rounds))
        python = seconds["Python"]
        yield Row("catalog: opened, beyond Python's start", {"seconds": seconds["with an index"] - python,
                                                             "wanted": 0.15})
        first_time = sound(_opened(words, folder / "new")).seconds
        yield Row("catalog: opened for the first time", {"seconds": first_time - python})
        first, again = _requests(long, options.iterations)
        yield Row("catalog: requests to a store", {"first": first, "again": again, "wanted": 12})
        expiry = Expiry(iterations=options.iterations // 10)
        yield Row("catalog: all but a tenth expires",
                  {"seconds": clock(lambda: expiry.expire(Catalog.open(long, create=False)))})


def _opened(words: list[str], index: Path, **variables: str) -> Run:
    return run([sys.executable, "-c", OPEN, *words], index.parent, {"HELIX_INDEX": str(index), **variables})


def _appends(catalog: Catalog) -> Iterator[Row]:
    """Append iterations, with the upkeep that a run brings."""
    seconds = list[float]()
    for number in range(APPENDS):
        record = IterationRecord(f"{number:032x}", "census", number + 1, "done", 1e9 + number)
        seconds.append(clock(partial(catalog.append_iteration, record)))
        catalog.maintain()
    tenth = APPENDS // 10
    first, last = median(seconds[:tenth]), median(seconds[-tenth:])
    yield Row("catalog: an append, ms", {"first": 1e3 * first, "last": 1e3 * last})


def _requests(root: Path, iterations: int) -> tuple[int, int]:
    """Return how many requests a process sends that opens a copy of a catalog in a store, the first time and again."""
    import obstore
    from obstore.store import S3Store

    with new_folder() as folder:
        recording = {"MOTO_ENABLE_RECORDING": "1", "MOTO_RECORDER_FILEPATH": str(folder / "requests")}
        with patch.dict(os.environ, recording), local_store() as address:
            bucket = HTTPConnection(address.removeprefix("http://"))
            bucket.request("PUT", "/bucket")
            bucket.getresponse().read()
            store = S3Store("bucket", endpoint=address, access_key_id="key", secret_access_key="secret",
                            region="us-east-1", client_options={"allow_http": True}, virtual_hosted_style_request=False)
            for file in (root / "helix.json", *(root / "records").glob("*.*")):
                obstore.put(store, f"catalog/{file.relative_to(root)}", file.read_bytes())
            counts = list[int]()
            for _ in range(2):
                (folder / "requests").write_text("")
                sound(_opened(["s3a://bucket/catalog", str(iterations)], folder / "index", AWS_ENDPOINT_URL=address,
                              AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="secret", AWS_REGION="us-east-1",
                              AWS_ALLOW_HTTP="true"))
                counts.append(len((folder / "requests").read_text().splitlines()))
    return counts[0], counts[1]


def measure_pages(options: argparse.Namespace) -> Iterator[Row]:
    """Request pages; the first one from the start of the process on."""
    pages = {
        "iterations": "/?workflow=census",
        "iterations by a metric, filtered": "/?workflow=census&q=reg&order=metric&metric=auc",
        "iteration": "/iteration?workflow=census&number=1000",
        "graph of 300 nodes": "/iteration?workflow=graph&number=1",
        "graph of 2,000 nodes, drawn anyway": "/iteration?workflow=large&number=1&whole=1",
        "compare": "/compare?workflow=census&a=500&b=1000",
        "metrics": "/metrics?workflow=census",
        "storage": "/storage?workflow=census",
    }
    with new_folder() as folder:
        catalog = folder / "catalog"
        filled_catalog(catalog, census(), 1000)
        graph_catalog(catalog, "graph", 300)
        graph_catalog(catalog, "large", 2000)
        seconds = in_turn({"first page": partial(_first_page, catalog)}, options.rounds)
        with _served(catalog) as home:
            systems = {name: partial(_read_page, f"{home}{address}") for name, address in pages.items()}
            seconds |= in_turn(systems, options.rounds)
    for name, figure in medians(seconds).items():
        yield Row(f"pages: {name}", {"seconds": figure, "wanted": 1.0})


@contextmanager
def _served(catalog: Path) -> Iterator[str]:
    """Give the address of a new `helix ui`."""
    with watching([*HELIX, "ui", "--catalog", str(catalog), "--port", "0"], catalog.parent) as read_until:
        yield read_until(" at ").split(" at ")[1].split()[0].rstrip("/")


def _read_page(address: str) -> float:
    """Return the seconds until a page is read."""
    start = time.perf_counter()
    with urllib.request.urlopen(address) as answer:
        answer.read()
    return time.perf_counter() - start


def _first_page(catalog: Path) -> float:
    start = time.perf_counter()
    with _served(catalog) as home:
        _read_page(f"{home}/?workflow=census")
        return time.perf_counter() - start


def measure_server(options: argparse.Namespace) -> Iterator[Row]:
    """Run a script again and again next to one server, and measure what the server holds."""
    from tests.faults.kept_servers import runs_in
    from tests.faults.row import Tally

    tally, seconds = Tally(), list[float]()
    with new_folder() as folder, runs_in(folder) as runs:
        for number in range(1, options.runs + 1):
            seconds.append(clock(lambda: runs.check(tally)))
            if number in (10, options.runs) or number % 50 == 0:
                yield Row(f"server: {number} runs", {"seconds": median(seconds), **_held(runs, collect=True)})
                seconds.clear()
        time.sleep(90)
        yield Row("server: 90 s later", _held(runs, collect=False))
    yield Row("server: right", {"runs": tally.injected, "right": tally.right})


def _held(runs: Runs, *, collect: bool) -> dict[str, int]:
    """Return what a server holds: MiB of memory, of the heap after a collection, files and threads. Takes jcmd."""
    from tests.faults.kept_servers import jvm_of

    jvm, keeper = jvm_of(runs.point), runs.point.keeper()
    if collect:
        subprocess.run(["jcmd", str(jvm), "GC.run"], capture_output=True, check=True)
    heap = subprocess.run(["jcmd", str(jvm), "GC.heap_info"], capture_output=True, text=True, check=True).stdout
    used = sum(map(int, re.findall(r"garbage-first heap\s+total \d+K, used (\d+)K", heap)))
    return {
        "heap": round(used / 1024), "JVM resident": round(resident_bytes(jvm) / 2**20),
        "resident in all": round(sum(map(resident_bytes, family(keeper))) / 2**20),
        "open files": len(list(Path(f"/proc/{jvm}/fd").iterdir())),
        "threads": len(list(Path(f"/proc/{jvm}/task").iterdir())),
    }


MEASURES: Mapping[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
    "program": measure_program, "plan": measure_plan, "catalog": measure_catalog, "pages": measure_pages,
    "server": measure_server,
}


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("--iterations", type=int, default=10_000, help="of a long history (%(default)s)")
    parser.add_argument("--runs", type=int, default=500, help="next to a server (%(default)s)")
    options = parser.parse_args()
    names = chosen(MEASURES, options.only)
    finish(options, "scale", collect(row for name in names for row in MEASURES[name](options)))


if __name__ == "__main__":
    main()
