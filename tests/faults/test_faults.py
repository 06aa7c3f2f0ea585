"""Every fault of `benchmarks.faults` that takes no JVM, a few times each: once where that takes seconds."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.faults.report import as_data
from benchmarks.faults.row import Fault, Tally
from benchmarks.faults.rows import FAULTS

ROOT = Path(__file__).resolve().parents[2]

_SECONDS = 2.0
"""After that a fault is not injected once more. `make faults` has the time for all."""

QUICK = [each for each in FAULTS if each.short and not each.spark]


@pytest.mark.parametrize("fault", QUICK, ids=lambda fault: fault.name)
def test_what_must_happen_happens(fault: Fault, tmp_path: Path) -> None:
    tally = fault.run(tmp_path / "fault", short=True, seconds=_SECONDS)
    if tally.not_here:
        pytest.skip(tally.not_here)
    assert tally.injected > 0
    assert tally.right == tally.injected, tally.wrong


def test_rows_of_earlier_runs_stay_unless_their_fault_is_gone() -> None:
    row = {"injected": 3, "right": 3}
    earlier = [{"fault": "removed since then", **row}, {"fault": QUICK[1].name, **row}]
    data = as_data(FAULTS, {QUICK[0].name: Tally(injected=2, right=1)}, "", earlier)
    assert [each["fault"] for each in data["rows"]] == [QUICK[0].name, QUICK[1].name]
    assert (data["injected"], data["right"]) == (5, 4)


@pytest.mark.parametrize("page", ["README.md", "benchmarks/README.md"])
def test_readmes_say_how_many_faults_the_table_has(page: str) -> None:
    table = json.loads((ROOT / "benchmarks/results/faults.json").read_text())
    assert {row["fault"] for row in table["rows"]} <= {each.name for each in FAULTS}
    assert f"{table['injected']:,} injected" in (ROOT / page).read_text()
