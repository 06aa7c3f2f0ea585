"""Undeclared inputs and draws of libraries that Helix does not list: are they reproducible, or caught?

A generated job has a pandas function for each case, with packages as if they were installed. In a second job the same
functions run in Spark's Python workers. It runs once (`helix run`, in its own process). Then the environment changes:
files, variables, time zone, an installed dependency, the answer of a server, the time. `helix plan` says which results
would be reused, and a run from scratch, in another catalog, computes the current answers.

- control: it is reused, and the answer from scratch is the same: Helix gave the seed, or fixed the order of sets;
- watch: it is not reused, because of an observation during its run or of a changed package;
- missed: it is reused, and the answer from scratch differs;
- needless: a function that neither draws nor reads is not reused.

scikit-learn, scipy and networkx must be installed.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness import HELIX, ROOT, Row, run, sound
from benchmarks.reuse.cases import Case, read_project

TIME_ZONE = "read: zone"

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
"""The text of a node by where its function runs."""


class Answer(BaseHTTPRequestHandler):
    """Answers each request with the next number."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_GET(self) -> None:
        """Send the number."""
        Answer.count += 1
        text = f"{Answer.count:010}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@contextmanager
def server() -> Iterator[int]:
    """Serve, and give the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield serving.server_port
        serving.shutdown()


def judge_undeclared(cases: Sequence[Case], folder: Path) -> Iterator[Row]:
    """Judge cases with functions on the driver, then with functions in workers."""
    for where in NODES:
        (folder / where).mkdir()
        yield from _judge(cases, folder / where, where)


def _judge(cases: Sequence[Case], folder: Path, where: str) -> Iterator[Row]:
    """Run, change the environment, plan and run from scratch."""
    site = folder / "site-packages"
    (folder / "job.py").write_text(_job(cases, where))
    with server() as port:
        world = {"PYTHONPATH": f"{site}:{ROOT}", "STUB_PORT": str(port), "STUB_VALUE": "1", "TZ": "UTC"}
        install(site, 1)
        write_files(folder, 1)
        before = _helix("run", folder, "catalog", world)
        install(site, 2)
        write_files(folder, 2)
        world |= {"STUB_VALUE": "2", "STUB_LATE": "something"}
        planned = _helix("plan", folder, "catalog", world)
        elsewhere = _helix("plan", folder, "catalog", {**world, "TZ": "Asia/Tokyo"})
        scratch = _helix("run", folder, "other", world)
    was = {node["name"]: node["signature"] for node in before["nodes"]}
    now, away = ({node["name"]: node for node in plan["nodes"]} for plan in (planned, elsewhere))
    for number, case in enumerate(cases):
        name = f"case_{number}"
        node = away[name] if case.name == TIME_ZONE else now[name]  # the zone counts for all functions of Python
        is_reused = node["signature"] == was[name]
        is_right = before["outputs"][name] == scratch["outputs"][name]
        verdict = ("control" if is_right else "missed") if is_reused else "watch"
        if case.expected == "innocent":
            verdict = "right" if is_reused and is_right else "needless"
        yield Row(case.name, {"where": where, "verdict": verdict, "why": node["reason"]})


def _job(cases: Sequence[Case], where: str) -> str:
    """Return the text of the job; a node is named after the number of its case."""
    nodes = []
    for number, case in enumerate(cases):
        *lines, last = case.before.splitlines()
        body = indent("\n".join([*lines, f"return str(({last}))"]), " " * 8)
        nodes.append(NODES[where].format(name=f"case_{number}", body=body))
    return "".join([HEAD, *nodes, "\n    return wf\n"])


def _helix(verb: str, folder: Path, catalog: str, world: Mapping[str, str]) -> dict[str, Any]:
    return sound(run([*HELIX, verb, "job.py", "--catalog", catalog, "--json"], folder, world)).report


def install(site: Path, number: int) -> None:
    """Install all packages; the version of one is the number."""
    for name, text in read_project("undeclared/packages").items():
        package, metadata = site / name, site / f"{name}-1.0.dist-info"
        for folder in (package, metadata):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        code = text.replace("{number}", str(number))
        (package / "__init__.py").write_text(code)
        requires = "Requires-Dist: stub_required\n" if name == "stub_dependent" else ""
        version = number if name == "stub_required" else "1.0"
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}")
        (metadata / "RECORD").write_text(f"{name}/__init__.py,sha256={hash(code)},{len(code)}\n")


def write_files(folder: Path, number: int) -> None:
    """Write the files that functions read; their content depends on the number."""
    (folder / "folder").mkdir(exist_ok=True)
    (folder / "folder" / f"{number}.txt").write_text("")
    (folder / "words.txt").write_text("word " * number)
    (folder / "settings.json").write_text(f'{{"a": {number}}}')
    (folder / "rows.csv").write_text(f"a\n{number}\n")
    if number > 1:
        (folder / "late.txt").write_text("late")
    np.save(folder / "array.npy", np.arange(number))
    pq.write_table(pa.table({"a": [number]}), folder / "rows.parquet")
    with zipfile.ZipFile(folder / "words.zip", "w") as archive:
        archive.writestr("a", str(number))
    (folder / "base.db").unlink(missing_ok=True)
    with sqlite3.connect(folder / "base.db") as base:
        base.execute("CREATE TABLE t (a)")
        base.execute(f"INSERT INTO t VALUES ({number})")
