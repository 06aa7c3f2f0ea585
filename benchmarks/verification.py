"""Verification behind `helix run`: whether results that vary, and hidden inputs that change, are found while nobody
waits, for how much of the time that reuse saved, and whether any was reused unproven without a word.

    python -m benchmarks.verification [--only entropy] [--json]

Each program has one node of 600 seconds, which is put on record rather than waited for, so that each later run saves
them; one planted node that nobody sees reading what it reads; and one that reads nothing and whose code is not known to
be pure either. Each run is a command, with an edit below the planted node before it, and then a pause in which nobody
asks for anything. What an input hides changes once the node was verified.

Wanted: each planted node is found, the innocent one never; audits take at most 3 % of what was saved; and each run that
loads what nobody has proven says so. The exit code is 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.program_runs import ROOT
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ResultRecord
from helix_spark.history.states import proofs_of, saved_seconds
from helix_spark.run.auditor import SHARE

SLOW_SECONDS = 600.0
RUNS = 12
"""After which a planted node counts as missed."""

PLANTED: Mapping[str, str] = {
    "entropy": "libc.getentropy(buffer, 2); return int.from_bytes(buffer.raw[:2], 'big')",
    "clock of C": "return libc.time(None)",
    "process of C": "return libc.getpid()",
    "address": "return ctypes.addressof(buffer)",
    "file by C": "number = libc.open(PATH, 0); libc.read(number, buffer, 9); libc.close(number);"
                 " return int(buffer.value)",
    "folder by C": "return libc.access(PATH + b'.more', 0)",
    "shared memory": "from mmap import mmap, ACCESS_READ; number = libc.open(PATH, 0);"
                     " held = mmap(number, 1, access=ACCESS_READ); libc.close(number); return held[0]",
}
"""The body of a function with `libc`, a `buffer` and the `PATH` of a file that is another one once it was verified."""

PROGRAM = """
import ctypes
import difflib

import pandas as pd

import helix_spark as hx

PATH = {path!r}


def planted() -> int:
    libc, buffer = ctypes.CDLL(None), ctypes.create_string_buffer(16)
    {body}


def study(edit: int = 0) -> hx.Workflow:
    wf = hx.Workflow("study")
    wf.source("data", hx.csv("data.csv", schema="a int"))

    @wf.scanner(keep="always")
    def slow(data: pd.DataFrame) -> pd.DataFrame:
        return data * 2

    @wf.scanner(keep="always", depends_on=["what it says"])
    def noisy(slow: pd.DataFrame) -> pd.DataFrame:
        return slow.assign(b=planted())

    @wf.scanner(keep="always")
    def innocent(slow: pd.DataFrame) -> pd.DataFrame:
        return slow.assign(c=len(difflib.get_close_matches("apple", ["ape", "apples"])))

    @wf.reducer(output=True)
    def total(noisy: pd.DataFrame, innocent: pd.DataFrame) -> float:
        return float(noisy.b.sum() + innocent.c.sum() + edit)

    return wf
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a program.

    Attributes:
        runs: until the planted node was found; None if it was not.
        verified_before: whether it was verified before its hidden input changed.
        silent: runs that loaded a result which was unproven, and did not say so.
        false: whether the innocent node was called different.
        saved, spent: seconds that reuse saved, and that audits took by their own records.
        lived: seconds that their processes lived.
    """

    kind: str
    runs: int | None
    verified_before: bool
    silent: tuple[int, ...]
    false: bool
    saved: float
    spent: float
    lived: float

    @property
    def is_right(self) -> bool:
        return self.runs is not None and not self.silent and not self.false and self.spent <= SHARE * self.saved


def run_program(kind: str, folder: Path) -> Found:
    """Run one program until its planted node is found. `folder` is an empty one."""
    hidden = folder / "hidden"
    hidden.write_text("5")
    (folder / "data.csv").write_text("1\n2\n3\n")
    (folder / "study.py").write_text(PROGRAM.format(path=os.fsencode(hidden), body=PLANTED[kind]))
    here = {
        **os.environ, "HELIX_SERVER": "auto", "HELIX_AUDIT": "idle", "HELIX_CATALOG": str(folder / "catalog"),
        "PYTHONPATH": str(ROOT),
    }
    silent, lived, found, was_verified = list[int](), 0.0, None, False
    for number in range(1, RUNS + 1):
        proofs = _proofs(folder) if number > 1 else {}
        if proofs.get("noisy") == "chance":
            found = number - 1
            break
        if proofs.get("noisy") in ("verified", "aged"):
            hidden.write_text("6")
            hidden.with_name("hidden.more").touch()
            was_verified = True
        command = [sys.executable, "-m", "helix_spark", "run", "study.py", "--set", f"edit={number}"]
        done = subprocess.run(command, cwd=folder, env=here, capture_output=True, text=True, check=True)
        is_doubtful = proofs.get("noisy") == "unproven" and _names(done.stdout, "loaded", "noisy")
        if is_doubtful and not _names(done.stdout, "unproven", "noisy"):
            silent.append(number)
        if number == 1:
            _make_slow(folder)
        lived += _wait_for_audit()
    catalog = Catalog.open(str(folder / "catalog"), create=True)
    saved = sum(saved_seconds(one) or 0.0 for one in catalog.iterations("study"))
    subprocess.run([sys.executable, "-m", "helix_spark", "server", "stop"], cwd=folder, env=here,
                   capture_output=True, check=False)
    return Found(
        kind, found, was_verified, tuple(silent), _proofs(folder).get("innocent") == "chance", saved,
        catalog.audit_seconds("study", 1), lived,
    )


def _names(text: str, title: str, name: str) -> bool:
    return any(line.startswith(f"{title}: ") and name in line for line in text.splitlines())


def _proofs(folder: Path) -> dict[str, str]:
    catalog = Catalog.open(str(folder / "catalog"), create=True)
    newest = catalog.iterations("study", 1)[0]
    nodes = catalog.nodes(newest)
    records = catalog._records.rows(ResultRecord, "WHERE workflow = ?", "study")
    return {**proofs_of(nodes, catalog), **{one.node: "chance" for one in records if one.random}}


def _make_slow(folder: Path) -> None:
    """Put on record that the slow node took its seconds."""
    catalog = Catalog.open(str(folder / "catalog"), create=True)
    [slow] = [one for one in catalog.nodes(catalog.iterations("study", 1)[0]) if one.name == "slow"]
    catalog.append_results([ResultRecord(
        slow.declared, slow.signature, "study", "slow", slow.kind, 1, compute_seconds=SLOW_SECONDS,
    )])


def _wait_for_audit() -> float:
    """Wait until no audit is under way; return how long one lived, in seconds."""
    began = time.perf_counter()
    time.sleep(0.5)
    while any(_is_audit(one) for one in Path("/proc").iterdir() if one.name.isdigit()):
        time.sleep(0.1)
    return time.perf_counter() - began


def _is_audit(process: Path) -> bool:
    with suppress(OSError):
        return b"helix_spark.cli.sent_audit" in (process / "cmdline").read_bytes()
    return False


def main() -> int:
    arguments = argparse.ArgumentParser(description="plants what nobody sees, and looks whether it is found")
    arguments.add_argument("--only", choices=PLANTED)
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    found = list[Found]()
    for kind in [given.only] if given.only else PLANTED:
        with tempfile.TemporaryDirectory(prefix="helix-verification-") as folder:
            found.append(run_program(kind, Path(folder)))
        if not given.json:
            print(_line(found[-1]), flush=True)
    saved, spent = sum(one.saved for one in found), sum(one.spent for one in found)
    total: dict[str, Any] = {"programs": len(found), "right": sum(one.is_right for one in found),
                             "saved": saved, "spent": spent, "share": spent / max(saved, 1e-9)}
    print(json.dumps({**total, "found": [asdict(one) for one in found]}) if given.json else
          f"{total['right']} of {total['programs']} right; audits took {total['share']:.2%} of what reuse saved")
    return 0 if total["right"] == total["programs"] else 1


def _line(one: Found) -> str:
    when = "was not found" if one.runs is None else f"was found after run {one.runs}"
    said = f"; run {', '.join(map(str, one.silent))} said nothing" if one.silent else ""
    false = "; the innocent one was called different" if one.false else ""
    verified = ", verified before its input changed" if one.verified_before else ""
    return (f"{one.kind}: {when}{verified}{said}{false}; audits took {one.spent:.1f} s of {one.saved:.0f} s saved, "
            f"their processes lived {one.lived:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
