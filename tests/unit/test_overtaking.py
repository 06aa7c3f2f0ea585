"""A save while a run goes on ends it where all that runs is stale, and nothing else does; what was computed is kept."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from threading import Event

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.cli.watching import overtaking, planned_elsewhere
from helix_spark.engine.execution.observer import Silent
from helix_spark.errors import OvertakenError

SECONDS = 1.5
"""What the old text takes; a run that is ended waits no longer for it."""


def slow(weight: int) -> hx.Workflow:
    wf = hx.Workflow("slow")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    @wf.scanner(keep="always")
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return data * 2

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> int:
        time.sleep(SECONDS if weight == 1 else 0)
        return int(rows.a.sum()) * weight

    return wf


def signatures(helix: hx.Helix, weight: int) -> frozenset[str]:
    return frozenset(node.declared for node in helix.plan(slow(weight)).nodes)


def test_a_run_that_computes_what_an_edit_makes_stale_is_ended_and_the_next_one_goes_on(
    tmp_path: Path
) -> None:
    file = tmp_path / "job.py"
    file.write_text("1\n")
    before = {file: "1\n"}
    with hx.Helix(tmp_path / "c", observer=Silent()) as helix:
        new = signatures(helix, 2)
        threading.Timer(0.3, lambda: file.write_text("2\n")).start()
        with pytest.raises(OvertakenError, match=r"`job.py` saved while `total` was to be computed"):  # noqa: SIM117
            with overtaking(helix.stale_by, lambda over: new, helix.overtake, before):
                helix.run(slow(1))
        done = helix.run(slow(2))
        assert done["total"] == 24
        assert done.plan["rows"].state != "compute"
    statuses = [one.status for one in hx.Helix(tmp_path / "c").iterations()]
    assert statuses == ["done", "interrupted"]


def test_a_run_of_which_nothing_is_stale_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "job.py"
    file.write_text("1\n")
    asked = Event()
    with hx.Helix(tmp_path / "c", observer=Silent()) as helix:
        same = signatures(helix, 1)

        def plan(over: Event) -> frozenset[str]:
            asked.set()
            return same

        threading.Timer(0.3, lambda: file.write_text("# a comment\n1\n")).start()
        with overtaking(helix.stale_by, plan, helix.overtake, {file: "1\n"}):
            assert helix.run(slow(1))["total"] == 12
    assert asked.is_set()


@pytest.mark.long
def test_a_file_is_planned_as_it_is_now_and_a_half_written_one_not(tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text(
        "import helix_spark as hx\n\ndef job() -> hx.Workflow:\n    wf = hx.Workflow('w')\n\n"
        "    @wf.reducer(output=True)\n    def one() -> int:\n        return 1\n\n    return wf\n"
    )
    planned = [str(job), "--catalog", str(tmp_path / "c")]
    assert len(planned_elsewhere(planned, Event())) == 1
    job.write_text("def job(")
    assert planned_elsewhere(planned, Event()) == frozenset()
