"""Packages that nobody has heard of, as if they were installed: readers, clients, clocks, generators of their own."""

from __future__ import annotations

import shutil
import sqlite3
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

STUBS = {
    "stub_seeds": """
import random, uuid
def draw(): return random.Random(uuid.uuid4().int).random()
def names(): return list({"one", "two", "three", "four", "five"})
""",
    "stub_reader": """
import ctypes, json, linecache, mmap, os, sqlite3, threading, zipfile
from pathlib import Path
def text(): return open("words.txt").read()
def by_descriptor():
    d = os.open("words.txt", os.O_RDONLY)
    try: return os.read(d, 100)
    finally: os.close(d)
def settings(): return json.loads(Path("settings.json").read_text())
def rows(): return sqlite3.connect("base.db").execute("SELECT * FROM t").fetchall()
def zipped(): return zipfile.ZipFile("words.zip").read("a")
def mapped():
    with open("words.txt", "rb") as f: return bytes(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ))
def lines():
    import fileinput
    return list(fileinput.input("words.txt"))
def names(): return sorted(os.listdir("folder"))
def or_nothing():
    try: return open("late.txt").read()
    except FileNotFoundError: return ""
def in_a_thread():
    found = []
    t = threading.Thread(target=lambda: found.append(text())); t.start(); t.join()
    return found
def array():
    import numpy
    return numpy.load("array.npy")
def parquet():
    import pyarrow.parquet
    return pyarrow.parquet.read_table("rows.parquet").to_pydict()
def csv():
    import pandas
    return pandas.read_csv("rows.csv")
def exists(): return Path("late.txt").exists()
def size(): return os.path.getsize("words.txt")
def in_c(path):
    c = ctypes.CDLL(None)
    d = c.open(path.encode(), 0); b = ctypes.create_string_buffer(100); n = c.read(d, b, 100); c.close(d)
    return b.raw[:n]
""",
    "stub_config": """
import os
def asked(): return os.environ["STUB_VALUE"]
def got(): return os.getenv("STUB_LATE", "nothing")
def all_of_them(): return {k: v for k, v in os.environ.items() if k.startswith("STUB_")}
def expanded(): return os.path.expandvars("$STUB_VALUE")
""",
    "stub_clock": """
import datetime, time
from time import time as bound_time
def time_of(): return time.time()
def bound(): return bound_time()
def now(): return datetime.datetime.now().timestamp()
def stamp(): return datetime.datetime.utcnow().isoformat()
def today(): return datetime.date.today(), time.time_ns()
def local(): return time.mktime(time.localtime())
def formatted(): return time.strftime("%H:%M:%S")
def counter(): return time.perf_counter()
def zone(): return datetime.datetime.fromtimestamp(0).hour
""",
    "stub_client": """
import http.client, os, socket, subprocess, urllib.request
PORT = int(os.environ["STUB_PORT"])
KEPT = http.client.HTTPConnection("127.0.0.1", PORT)
def by_socket():
    with socket.create_connection(("127.0.0.1", PORT)) as s:
        s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        return s.makefile("rb").read()[-10:]
def by_http(): return urllib.request.urlopen(f"http://127.0.0.1:{PORT}/").read()
def kept():
    KEPT.request("GET", "/")
    return KEPT.getresponse().read()
def process(): return subprocess.run(["date", "+%N"], capture_output=True).stdout
def shell(): return os.popen("date +%N").read()
def host(): return socket.gethostname()
""",
    "stub_dependent": "import stub_required\ndef answer(): return stub_required.ANSWER\n",
    "stub_required": "ANSWER = {number}\n",
}


def install(site: Path, number: int) -> None:
    """Installs all packages; of one another version by number."""
    for name, text in STUBS.items():
        folder, said = site / name, site / f"{name}-1.0.dist-info"
        for one in (folder, said):
            shutil.rmtree(one, ignore_errors=True)
            one.mkdir(parents=True)
        code = text.replace("{number}", str(number))
        (folder / "__init__.py").write_text(code)
        requires = "Requires-Dist: stub_required\n" if name == "stub_dependent" else ""
        version = number if name == "stub_required" else "1.0"
        (said / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}")
        (said / "RECORD").write_text(f"{name}/__init__.py,sha256={hash(code)},{len(code)}\n")


def write_files(folder: Path, number: int) -> None:
    """Writes what the readers read; another content by number."""
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
