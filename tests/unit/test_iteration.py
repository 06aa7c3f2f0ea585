"""What an iteration gives back of the results that its run had, and of those that it did not need. No Spark."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.errors import CatalogError, HelixError, WorkflowError
from helix_spark.planner.problem import State


def chain() -> hx.Workflow:
    wf = hx.Workflow("chain")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    @wf.scanner
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return data * 2

    @wf.reducer
    def bounds(rows: pd.DataFrame) -> list[int]:
        return [int(rows.a.min()), int(rows.a.max())]

    @wf.reducer(output=True)
    def width(bounds: list[int]) -> int:
        return bounds[1] - bounds[0]

    return wf


@pytest.fixture(scope="module")
def catalog_of_a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    catalog = tmp_path_factory.mktemp("run") / "catalog"
    with hx.Helix(catalog, policy="always") as helix:
        helix.run(chain())
    return catalog


@pytest.fixture
def stored(catalog_of_a_run: Path, tmp_path: Path) -> Path:
    """A copy of a catalog in which the workflow was run, and all that it made is stored."""
    return Path(shutil.copytree(catalog_of_a_run, tmp_path / "catalog"))


def test_what_a_run_did_not_need_is_read_from_the_catalog(stored: Path) -> None:
    with hx.Helix(stored) as helix:
        made = helix.run(chain())
        assert {"rows", "bounds"} <= set(made.plan.in_state(State.PRUNE))
        assert made.pandas("rows").a.tolist() == [2, 4, 6]
        assert made.arrow("rows") is made.arrow("rows"), "it is read once"
        made.value("bounds").clear()
        assert made.value("bounds") == [2, 6]


def test_what_a_run_did_not_need_may_still_be_held_in_memory(tmp_path: Path) -> None:
    with hx.Helix(tmp_path / "catalog", policy="never") as helix:
        helix.run(chain())
        made = helix.run(chain())
        assert {"rows", "bounds"} <= set(made.plan.in_state(State.PRUNE))
        assert made.pandas("rows").a.tolist() == [2, 4, 6]
        assert made.value("bounds") == [2, 6]


def test_what_is_neither_held_nor_stored_says_so_and_what_to_do(stored: Path) -> None:
    with hx.Helix(stored, policy="never") as helix:
        made = helix.run(chain())
        helix.catalog.evict_all({made.plan["rows"].signature: "to make room"})
        with pytest.raises(HelixError) as caught:
            made.pandas("rows")
    text = str(caught.value)
    assert "iteration 2 did not need 'rows', and its result is not stored" in text
    assert f"at {__file__}:" in text
    assert "not needed: nothing that runs reads it" in text
    assert "declare it with output=True" in text


def test_what_is_read_for_who_asks_is_checked_as_what_a_run_loads(stored: Path) -> None:
    file = next((stored / "tables").rglob("part-*"))
    data = bytearray(file.read_bytes())
    data[20] ^= 1
    file.write_bytes(data)
    with hx.Helix(stored) as helix:
        made = helix.run(chain())
        assert made["width"] == 4
        with pytest.raises(CatalogError, match="the stored result of 'rows' cannot be read"):
            made.pandas("rows")


def test_a_result_of_another_kind_says_how_to_ask_for_it(stored: Path) -> None:
    with hx.Helix(stored) as helix:
        made = helix.run(chain())
        with pytest.raises(HelixError, match="'bounds' is a value, not a table") as caught:
            made.table("bounds")
        assert "get it by .value('bounds')" in str(caught.value)
        with pytest.raises(WorkflowError, match="no node is named 'bonds'") as unknown:
            made.value("bonds")
        assert "did you mean 'bounds'?" in str(unknown.value)
