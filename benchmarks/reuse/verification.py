"""Audits: verification in the background after `helix run`, and `helix audit` of the jobs.

Verification: each program has one node of 600 seconds, which are recorded rather than waited for, so that each later
run saves them; one planted node that reads a hidden input; and an innocent one that reads nothing, but whose code is
not known to be pure. Each run is a command, after an edit below the planted node and before a pause. The hidden input
changes once the planted node was verified. Wanted: each planted node is called nondeterministic, the innocent one
never; audits take at most 3 % of the saved seconds; and each run that loads an unproven result says so.

Audits: each job runs in its own process, with everything stored that can be, and is audited by `helix audit` in another
one. Each result that is called different is an error, since no input of a job has changed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.harness import HELIX, ROOT, Row, Run, run, sound
from benchmarks.reuse.cases import Case, read_project
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ResultRecord
from helix_spark.history.states import proofs_of, saved_seconds
from helix_spark.run.auditor import SHARE

SLOW_SECONDS = 600.0
RUNS = 12
"""Runs after which a planted node counts as missed."""


def judge_verification(cases: Sequence[Case], folder: Path) -> Iterator[Row]:
    """Run each program until its planted node is found."""
    for number, case in enumerate(cases):
        place = folder / str(number)
        place.mkdir()
        yield _verify(case, place)


def _verify(case: Case, folder: Path) -> Row:
    hidden = folder / "hidden"
    hidden.write_text("5")
    (folder / "data.csv").write_text("1\n2\n3\n")
    text = read_project("verification/hidden")["study.py"]
    (folder / "study.py").write_text(
        text.replace("{path}", repr(os.fsencode(hidden))).replace("{body}", case.before)
    )
    variables = {"HELIX_SERVER": "auto", "HELIX_AUDIT": "idle", "HELIX_CATALOG": str(folder / "catalog")}
    silent, audit_seconds, was_verified, number = list[int](), 0.0, False, 0
    while (proof := _proofs(folder).get("noisy") if number else None) != "chance" and number < RUNS:
        if proof in ("verified", "aged"):
            hidden.write_text("6")
            hidden.with_name("hidden.more").touch()
            was_verified = True
        number += 1
        done = sound(run([*HELIX, "run", "study.py", "--set", f"edit={number}"], folder, variables))
        if proof == "unproven" and _lists_noisy(done, "loaded") and not _lists_noisy(done, "unproven"):
            silent.append(number)
        if number == 1:
            _make_slow(folder)
        audit_seconds += _wait_for_audit()
    catalog = Catalog.open(str(folder / "catalog"), create=True)
    saved = sum(saved_seconds(iteration) or 0.0 for iteration in catalog.iterations("study"))
    spent = catalog.audit_seconds("study", 1)
    run([*HELIX, "server", "stop"], folder, variables)
    faults = {
        "was not found": proof != "chance", f"runs {silent} said nothing": bool(silent),
        "the innocent node was called different": _proofs(folder).get("innocent") == "chance",
        "audits took more than their share": spent > SHARE * saved,
    }
    why = "; ".join(fault for fault, is_so in faults.items() if is_so)
    return Row(case.name, {
        "verdict": "missed" if why else "right", "why": why, "runs": number, "verified before": was_verified,
        "saved": saved, "spent": spent, "audit processes": audit_seconds,
    })


def _lists_noisy(done: Run, title: str) -> bool:
    return any(line.startswith(f"{title}: ") and "noisy" in line for line in done.printed.splitlines())


def _proofs(folder: Path) -> dict[str, str]:
    catalog = Catalog.open(str(folder / "catalog"), create=True)
    nodes = catalog.nodes(catalog.iterations("study", 1)[0])
    records = catalog._records.rows(ResultRecord, "WHERE workflow = ?", "study")
    return {**proofs_of(nodes, catalog), **{record.node: "chance" for record in records if record.random}}


def _make_slow(folder: Path) -> None:
    """Record 600 seconds for the slow node."""
    catalog = Catalog.open(str(folder / "catalog"), create=True)
    [slow] = [node for node in catalog.nodes(catalog.iterations("study", 1)[0]) if node.name == "slow"]
    catalog.append_results([ResultRecord(
        slow.declared, slow.signature, "study", "slow", slow.kind, 1, compute_seconds=SLOW_SECONDS,
    )])


def _wait_for_audit() -> float:
    """Wait until no audit is under way; return the seconds."""
    start = time.perf_counter()
    time.sleep(0.5)
    while any(_is_audit(process) for process in Path("/proc").glob("[0-9]*")):
        time.sleep(0.1)
    return time.perf_counter() - start


def _is_audit(process: Path) -> bool:
    with suppress(OSError):
        return b"helix_spark.cli.sent_audit" in (process / "cmdline").read_bytes()
    return False


def judge_audits(cases: Sequence[Case], folder: Path) -> Iterator[Row]:
    """Run each job and audit its catalog."""
    for case in cases:
        options = [f"jobs/{case.name}.py", "--catalog", str(folder / case.name), "--json"]
        first = sound(run([*HELIX, "run", *options, "--policy", "always"], ROOT))
        audit = run([*HELIX, "audit", *options], ROOT)
        results = {
            verdict: {entry["node"]: entry["why"] for entry in audit.report["results"] if entry["verdict"] == verdict}
            for verdict in ("verified", "different", "not compared")
        }
        yield Row(case.name, {
            "verdict": "needless" if results["different"] else "right", "why": results["different"],
            "run": first.seconds, "audit": audit.seconds, "verified": len(results["verified"]),
            "not compared": results["not compared"],
        })
