"""Which nodes are leased, and that a plan is made anew when others stored what it would compute."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.engine.execution.observer import Silent
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.run import executing
from helix_spark.run.executing import WORTH_WAITING, names_to_lease
from tests.fakes.doubled import workflow

HOLDS = """
import sys
from helix_spark.catalog.leases import Leases
from helix_spark.catalog.places.place import LocalPath
assert Leases(LocalPath(sys.argv[1])).take(sys.argv[2]) is None
print("taken", flush=True)
sys.stdin.readline()
"""


def with_seconds(plan: Plan, seconds: dict[str, float]) -> Plan:
    return dataclasses.replace(plan, nodes=tuple(
        dataclasses.replace(node, compute_seconds=seconds.get(node.name, 0.0)) for node in plan.nodes
    ))


def test_what_takes_long_to_have_and_is_to_be_stored_is_leased(tmp_path: Path) -> None:
    with hx.Helix(tmp_path, policy="always") as helix:
        plan = helix.plan(workflow())
    assert plan["rows"].keep
    assert not plan["data"].keep
    rows = plan["rows"].signature
    assert names_to_lease(with_seconds(plan, {"rows": WORTH_WAITING})) == {rows: "rows"}
    # What is computed on the way counts with it.
    assert names_to_lease(with_seconds(plan, {"data": WORTH_WAITING})) == {rows: "rows"}
    assert names_to_lease(with_seconds(plan, {"rows": WORTH_WAITING / 2})) == {}
    with hx.Helix(tmp_path, policy="never") as helix:
        assert names_to_lease(with_seconds(helix.plan(workflow()), {"rows": 9.0})) == {}


class Told(Silent):
    def __init__(self) -> None:
        self.waited: list[tuple[str, str]] = []
        self.warnings: list[str] = []
        self.came = threading.Event()

    def waiting(self, name: str, holder: str) -> None:
        self.waited.append((name, holder))
        self.came.set()

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@contextlib.contextmanager
def holding(catalog: Path, *given: str) -> Iterator[int]:
    """Another process that has a lease and gives heartbeats; its number."""
    (catalog / "leases").mkdir(parents=True)
    (catalog / "helix.json").write_text('{"layout": 2}')
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(catalog / "leases"), *given],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "taken\n"
        yield other.pid
    finally:
        other.communicate("\n")


def test_a_run_waits_for_who_computes_it_and_loads_what_was_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executing, "WORTH_WAITING", 0.0)
    told = Told()
    with hx.Helix(tmp_path / "catalog", policy="always", observer=told) as helix:
        signature = helix.plan(workflow())["total"].signature
        other = subprocess.Popen(
            [sys.executable, "-c", HOLDS, str(tmp_path / "catalog" / "leases"), signature],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        assert other.stdout is not None
        assert other.stdout.readline() == "taken\n"
        made: list[hx.Iteration] = []
        run = threading.Thread(target=lambda: made.append(helix.run(workflow())))
        (tmp_path / "catalog" / "helix.json").write_text('{"layout": 2}')
        run.start()
        assert told.came.wait(60)
        catalog = Catalog.open(tmp_path / "catalog", create=True)
        attempt = catalog.begin_attempt(signature, "value")
        catalog.publish(ArtifactRecord(
            signature, attempt.attempt, "value", "published", "shared", "total", 1, 0.0, value="12"
        ))
        other.communicate("\n")
        run.join(60)
        (iteration,) = made
        iteration.wait()
    assert [name for name, _ in told.waited] == ["total"]
    assert f"process {other.pid} on " in told.waited[0][1]
    assert dict(iteration.outputs) == {"total": 12}
    assert iteration.plan["total"].state is State.LOAD


def test_who_lives_and_comes_to_no_end_is_not_waited_for_without_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executing, "WORTH_WAITING", 0.0)
    monkeypatch.setattr(executing, "LEAST", 0.4)
    told = Told()
    with hx.Helix(tmp_path / "catalog", policy="always", observer=told) as helix:
        signature = helix.plan(workflow())["total"].signature
        with holding(tmp_path / "catalog", signature) as other:
            begun = time.monotonic()
            iteration = helix.run(workflow())
            took = time.monotonic() - begun
            iteration.wait()
            # It still has its lease: nothing was taken from who may yet come to an end.
            found = helix.catalog.leases.find(signature)
            assert found is not None
            assert found.holder is not None
            assert found.holder.pid == other
    assert took >= executing.LEAST
    assert [name for name, _ in told.waited] == ["total"]
    assert iteration.plan["total"].state is State.COMPUTE
    assert dict(iteration.outputs) == {"total": 12}
    (warning,) = told.warnings
    assert re.fullmatch(
        r"process .* still computes 'total' after \d seconds: it is computed here as well", warning
    )
    # The first record of a result wins, so what was computed here counts.
    assert "total" in {record.node for record in Catalog.open(tmp_path / "catalog", create=False).live()}
