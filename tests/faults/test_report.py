"""The table of faults: which rows of earlier runs it keeps, and that the manuals say what it holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.report import as_data
from tests.faults.row import Tally, all_faults

ROOT = Path(__file__).resolve().parents[2]


def test_rows_of_earlier_runs_stay_unless_their_fault_is_gone() -> None:
    first, second = (each.name for each in all_faults()[:2])
    row = {"injected": 3, "right": 3}
    earlier = [{"fault": "removed since then", **row}, {"fault": second, **row}]
    data = as_data(all_faults(), {first: Tally(injected=2, right=1)}, "", earlier)
    assert [each["fault"] for each in data["rows"]] == [first, second]
    assert (data["injected"], data["right"]) == (5, 4)


@pytest.mark.parametrize("page", ["README.md", "benchmarks/README.md"])
def test_readmes_say_how_many_faults_the_table_has(page: str) -> None:
    table = json.loads((ROOT / "benchmarks/results/faults.json").read_text())
    assert {row["fault"] for row in table["rows"]} <= {each.name for each in all_faults()}
    assert f"{table['injected']:,} injected" in (ROOT / page).read_text()
