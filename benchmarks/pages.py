"""How long the pages take, with 1,000 iterations behind them: the first one from nothing, and each one after that.

    python benchmarks/pages.py [--iterations 1000] [--runs 5] [--json] [--save FILE] [--catalog DIR]

`first page` is a fresh process: from starting `helix ui` to having the whole first page. The other figures are requests
to that server, of this machine and by HTTP; medians. Nothing of it starts a JVM. `busy` is what else the machine did
meanwhile, as processes that wanted a core for each core there is: above 1, pages that have no precedence wait for it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from jobs.census import census
from tests.fakes.filled_catalog import filled_catalog
from tests.fakes.shown_catalogs import graph_catalog

WANTED_SECONDS = 1.0


@contextmanager
def served(catalog: Path) -> Iterator[str]:
    """The address of a fresh `helix ui`."""
    command = [sys.executable, "-m", "helix_spark", "ui", "--catalog", str(catalog), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().split(" at ")[1].split()[0].rstrip("/")
        finally:
            server.terminate()


def took(address: str) -> float:
    """Seconds to have a page whole."""
    start = time.perf_counter()
    with urllib.request.urlopen(address) as answer:
        answer.read()
    return time.perf_counter() - start


def _spent_by_children() -> float:
    """Seconds of a core that ended processes took: what a first page takes where nothing else runs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(catalog: Path, newest: int, runs: int) -> dict[str, list[float]]:
    """Seconds of each run, by what was asked for."""
    pages = {
        "iterations": "/?workflow=census",
        "iterations by a metric, filtered": "/?workflow=census&q=reg&order=metric&metric=auc",
        "iteration": f"/iteration?workflow=census&number={newest}",
        "graph of 300 nodes": "/iteration?workflow=graph&number=1",
        "graph of 2,000 nodes, drawn anyway": "/iteration?workflow=large&number=1&whole=1",
        "compare": f"/compare?workflow=census&a={newest // 2}&b={newest}",
        "metrics": "/metrics?workflow=census",
        "storage": "/storage?workflow=census",
    }
    found: dict[str, list[float]] = {"first page, fresh process": []}
    for _ in range(runs):
        start, spent = time.perf_counter(), _spent_by_children()
        with served(catalog) as home:
            took(f"{home}/?workflow=census")
            found["first page, fresh process"].append(time.perf_counter() - start)
        found.setdefault("first page, fresh process: seconds of a core", []).append(_spent_by_children() - spent)
    with served(catalog) as home:
        for _ in range(runs):
            for name, address in pages.items():
                found.setdefault(name, []).append(took(home + address))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--save", type=Path, help="write the JSON there, too")
    parser.add_argument("--catalog", type=Path, help="a catalog that an earlier call filled; filled if it is not there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="helix-pages-") as folder:
        catalog: Path = options.catalog or Path(folder) / "catalog"
        if not catalog.exists():
            filled_catalog(catalog, census(), options.iterations)
            graph_catalog(catalog, "graph", 300)
            graph_catalog(catalog, "large", 2000)
        found = measure(catalog, options.iterations, options.runs)
        busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    result: dict[str, Any] = {
        "iterations": options.iterations, "runs": options.runs, "wanted_seconds": WANTED_SECONDS,
        "busy": round(busy, 1),
        "seconds": {
            name: {"median": round(median(times), 3), "worst": round(max(times), 3)} for name, times in found.items()
        },
    }
    text = json.dumps(result, indent=2)
    if options.save:
        options.save.write_text(text + "\n", encoding="utf-8")
    if options.json:
        print(text)
    else:
        for name, figures in result["seconds"].items():
            print(f"{figures['median']:6.2f} s  {name}")


if __name__ == "__main__":
    main()
