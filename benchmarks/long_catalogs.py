"""What a long history costs who opens a catalog: `python -m benchmarks.long_catalogs [--iterations N] [--save FILE]`.

A catalog of so many iterations of the census workflow, recorded as runs do. Seconds of an append, early and late; then
processes that open it and read what a plan reads: seconds beyond Python's own start with the index of an earlier
process and without one, and how many requests an S3 store answers (moto's, on this machine). In the end all but a tenth
of it expires.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import IterationRecord
from helix_spark.run.expiry import Expiry
from jobs.census import census
from tests.fakes.filled_catalog import filled_catalog
from tests.fakes.local_store import local_store

_TIMES = 5
"""Processes of which the median counts."""

_OPEN = """
import sys, time
begun = time.perf_counter()
from helix_spark.catalog.catalog_reader import CatalogReader
imported = time.perf_counter()
catalog = CatalogReader.open(sys.argv[1], create=False)
view = catalog.snapshot("census")
assert view.next_iteration == int(sys.argv[2]) + 1
assert not {"deltalake", "pyarrow"} & set(sys.modules)
print(imported - begun, time.perf_counter() - imported)
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--iterations", type=int, default=10_000)
    arguments.add_argument("--appends", type=int, default=1_000, help="iterations that are recorded one by one")
    arguments.add_argument("--save", type=Path)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="helix-long-") as folder:
        root = Path(folder)
        os.environ["HELIX_INDEX"] = str(root / "index")
        found: dict[str, object] = {"iterations": given.iterations, "append": _appends(root / "short", given.appends)}
        filled_catalog(root / "long", census(), given.iterations)
        found |= _size(root / "long")
        found["with an index"] = _opened(root / "long", given.iterations, root / "index")
        found["without"] = _opened(root / "long", given.iterations, None)
        found["in a store"] = _in_store(root / "long", given.iterations)
        found["expired"] = _expired(root / "long", given.iterations // 10)
    print(json.dumps(found, indent=1))
    if given.save is not None:
        given.save.write_text(json.dumps(found, indent=1) + "\n")


def _size(root: Path) -> dict[str, int]:
    files = [file for file in (root / "records").iterdir() if file.is_file()]
    return {"files": len(files), "bytes": sum(file.stat().st_size for file in files)}


def _expired(root: Path, staying: int) -> Mapping[str, float]:
    """Seconds for all but so many iterations to expire, and what the records take then."""
    begun = time.perf_counter()
    Expiry(iterations=staying).expire(Catalog.open(root, create=False))
    return {"seconds": round(time.perf_counter() - begun, 1), **_size(root)}


def _appends(root: Path, count: int) -> Mapping[str, float]:
    """Seconds of an append early and late, with the upkeep that a run brings."""
    catalog, seconds = Catalog.open(root, create=True), list[float]()
    for number in range(count):
        begun = time.perf_counter()
        catalog.append_iteration(IterationRecord(f"{number:032x}", "census", number + 1, "done", 1e9 + number))
        seconds.append(time.perf_counter() - begun)
        catalog.maintain()
    tenth = count // 10
    return {"first tenth": round(median(seconds[:tenth]), 5), "last tenth": round(median(seconds[-tenth:]), 5)}


def _opened(root: Path | str, iterations: int, index: Path | None, times: int = _TIMES) -> Mapping[str, float]:
    """Seconds of processes that open a catalog, in all beyond those of one that does nothing."""
    bare, whole, imports, opens = list[float](), list[float](), list[float](), list[float]()
    for _ in range(times):
        with tempfile.TemporaryDirectory() as fresh:
            environment = os.environ | {"HELIX_INDEX": str(index or fresh)}
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", "pass"], check=True)
            bare.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", _OPEN, str(root), str(iterations)], env=environment,
                                  check=True, capture_output=True, text=True)
            whole.append(time.perf_counter() - begun)
            for each, value in zip((imports, opens), done.stdout.split(), strict=True):
                each.append(float(value))
    return {
        "beyond Python's start": round(median(whole) - median(bare), 3), "imports": round(median(imports), 3),
        "opening and reading": round(median(opens), 3),
    }


def _in_store(root: Path, iterations: int) -> Mapping[str, float]:
    """Requests that a store answers a process that opens a copy of a catalog there for the first time, and again."""
    import obstore
    from obstore.store import S3Store

    with local_store() as address, _counted(address) as (front, requests), tempfile.TemporaryDirectory() as index:
        access = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1",
                  "AWS_ALLOW_HTTP": "true"}
        bucket = HTTPConnection(address.removeprefix("http://"))
        bucket.request("PUT", "/bucket")
        bucket.getresponse().read()
        store = S3Store("bucket", endpoint=address, access_key_id="key", secret_access_key="secret", region="us-east-1",
                        client_options={"allow_http": True}, virtual_hosted_style_request=False)
        for file in (root / "helix.json", *(root / "records").glob("*.*")):
            obstore.put(store, f"catalog/{file.relative_to(root)}", file.read_bytes())
        os.environ.update(access, AWS_ENDPOINT_URL=front)
        counts = []
        for _ in range(2):
            before = len(requests)
            _opened("s3a://bucket/catalog", iterations, Path(index), times=1)
            counts.append(len(requests) - before)
    return {"requests, first": counts[0], "requests, again": counts[1]}


@contextmanager
def _counted(store: str) -> Iterator[tuple[str, list[str]]]:
    """The address of a server that passes requests on to a store, and what was requested."""
    requests = list[str]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def passed_on(self) -> None:
            requests.append(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            connection = HTTPConnection(store.removeprefix("http://"))
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            content = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("content-length") if self.command == "HEAD" else str(len(content))
            self.send_header("content-length", length or "0")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = passed_on  # noqa: N815  # the names that the server looks for

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
    finally:
        server.shutdown()


if __name__ == "__main__":
    main()
