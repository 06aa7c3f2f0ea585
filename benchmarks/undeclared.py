"""What libraries on no list draw or read without their node's declaring it: is it reproducible, or caught?

    python -m benchmarks.undeclared [--where driver|workers] [--json]

A job of pandas functions is generated, one for each case of `undeclared_cases.py`, with stub packages as if they were
installed (`undeclared_stubs.py`). In a second one the same functions run in Spark's Python workers. It runs once
(`helix run`, a process of its own). Then the world is changed: files, variables, time zone, an installed dependency,
what a server answers; and time has passed. `helix plan` says what would be reused of that run, and a run from scratch,
in another catalog, what the answers are by now.

- control: it is reused, and the answer from scratch is the same: Helix gave the seed, or fixed the order of sets;
- watch: it is not reused, for something that was seen while it ran, or because what is installed changed;
- missed: it is reused, and the answer from scratch is another one;
- needless: a function that neither draws nor reads is not reused.

scikit-learn, scipy and networkx must be installed. The exit code is 1 if anything was missed or needless.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import indent
from typing import Any

from benchmarks.undeclared_cases import DRAWS, INNOCENT, READS
from benchmarks.undeclared_stubs import install, write_files

OF_PLACE = "read: zone"

HEAD = """
from collections.abc import Iterator

import helix_spark as hx
import pandas as pd
from pyspark.sql import DataFrame

def undeclared() -> hx.Workflow:
    wf = hx.Workflow("undeclared")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": ["x", "y", "x", "z"]})))
"""
NODES = {
    "driver": """
    @wf.reducer(output=True)
    def {name}(data: pd.DataFrame) -> str:
{body}
""",
    "workers": """
    def in_{name}(data: pd.DataFrame) -> str:
{body}

    @wf.reducer(output=True)
    def {name}(data: DataFrame) -> str:
        def answers(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
            for batch in batches:
                yield pd.DataFrame({{"answer": [in_{name}(batch)]}})

        return str(data.coalesce(1).mapInPandas(answers, "answer string").collect()[0][0])
""",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """One case.

    Attributes:
        sort: draw, read or innocent.
        verdict: control, watch, missed, needless, or right of an innocent one.
        reason: what the plan says of it.
    """

    name: str
    sort: str
    verdict: str
    reason: str


class Answer(BaseHTTPRequestHandler):
    """Answers each request otherwise."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_GET(self) -> None:
        Answer.count += 1
        text = f"{Answer.count:010}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *given: object) -> None:
        """Says nothing."""


@contextmanager
def server() -> Iterator[int]:
    """Its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield serving.server_port
        serving.shutdown()


def job(cases: Mapping[str, str], where: str) -> str:
    """The text of the job; a node is called by the place of its case. See `main` for `where`."""
    nodes = []
    for place, text in enumerate(cases.values()):
        *lines, last = text.splitlines()
        body = indent("\n".join([*lines, f"return str(({last}))"]), " " * 8)
        nodes.append(NODES[where].format(name=f"case_{place}", body=body))
    return "".join([HEAD, *nodes, "\n    return wf\n"])


def helix(verb: str, folder: Path, catalog: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """What a command prints, by node."""
    done = subprocess.run(
        [sys.executable, "-m", "helix_spark", verb, "job.py", "--catalog", catalog, "--json"], cwd=folder,
        env={**os.environ, **environment}, capture_output=True, text=True,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{"):])
    return found


def judged(cases: Mapping[str, tuple[str, str]], folder: Path, where: str) -> list[Judged]:
    """Runs, changes the world, plans and runs from scratch.

    Args:
        cases: sort and text, by name.
        where: the functions run: driver or workers.
    """
    site = folder / "site-packages"
    (folder / "job.py").write_text(job({name: text for name, (_, text) in cases.items()}, where))
    with server() as port:
        world = {"PYTHONPATH": f"{site}:{Path(__file__).parents[1]}", "STUB_PORT": str(port)}
        world |= {"STUB_VALUE": "1", "TZ": "UTC"}
        install(site, 1)
        write_files(folder, 1)
        before = helix("run", folder, "catalog", world)
        install(site, 2)
        write_files(folder, 2)
        world |= {"STUB_VALUE": "2", "STUB_LATE": "something"}
        planned = helix("plan", folder, "catalog", world)
        elsewhere = helix("plan", folder, "catalog", {**world, "TZ": "Asia/Tokyo"})
        scratch = helix("run", folder, "other", world)
    was = {node["name"]: node["signature"] for node in before["nodes"]}
    now, away = ({node["name"]: node for node in plan["nodes"]} for plan in (planned, elsewhere))
    found = []
    for place, (name, (sort, _)) in enumerate(cases.items()):
        node = f"case_{place}"
        if name == OF_PLACE:  # all functions of Python count with their time zone
            now[node] = away[node]
        reused = now[node]["signature"] == was[node]
        right = before["outputs"][node] == scratch["outputs"][node]
        verdict = ("control" if right else "missed") if reused else "watch"
        if sort == "innocent":
            verdict = "right" if reused and right else "needless"
        found.append(Judged(name, sort, verdict, now[node]["reason"]))
    return found


def main() -> None:
    """Prints one line a case that is not as it should be, and how many there are of each verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--where", choices=list(NODES), help="the functions run; by default both, one after the other")
    parser.add_argument("--only", default="", help="cases whose name holds these words")
    parser.add_argument("--json", action="store_true", help="print each case")
    given = parser.parse_args()
    cases = {
        **{f"draw: {name}": ("draw", text) for name, text in DRAWS.items()},
        **{f"read: {name}": ("read", text) for name, text in READS.items()},
        **{f"innocent: {name}": ("innocent", text) for name, text in INNOCENT.items()},
    }
    cases = {name: case for name, case in cases.items() if given.only in name}
    found = {}
    for where in [given.where] if given.where else NODES:
        with tempfile.TemporaryDirectory() as folder:
            found[where] = judged(cases, Path(folder), where)
    if given.json:
        print(json.dumps({where: [asdict(one) for one in ones] for where, ones in found.items()}, indent=1))
    else:
        for where, ones in found.items():
            _report(where, ones)
    sys.exit(any(one.verdict in ("missed", "needless") for ones in found.values() for one in ones))


def _report(where: str, found: list[Judged]) -> None:
    for one in found:
        if one.verdict in ("missed", "needless"):
            print(f"{one.verdict}: {one.name}: {one.reason}")
    hidden = [one.verdict for one in found if one.sort != "innocent"]
    innocent = [one.verdict for one in found if one.sort == "innocent"]
    told = ", ".join(f"{verdict} {hidden.count(verdict)}" for verdict in ("control", "watch", "missed"))
    print(f"{where}: {len(hidden)} undeclared inputs and draws: {told}")
    print(f"{where}: {len(innocent)} innocent functions: needless chance {innocent.count('needless')}")


if __name__ == "__main__":
    main()
