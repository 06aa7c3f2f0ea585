"""An output table that is stored is an answer without Spark: its rows are on record, and it is checked as ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.planner.problem import State
from tests.fakes.observer import Warned
from tests.fakes.policy import LoadsGladly


@contextmanager
def without_spark(catalog: Path, monkeypatch: pytest.MonkeyPatch, heard: Warned) -> Iterator[hx.Helix]:
    """As in a process without a session, where none may be started."""
    def start(*given: object) -> None:
        raise AssertionError("nothing here takes Spark")

    monkeypatch.setattr("helix_spark.engine.server.starting.start_server", start)
    with hx.Helix(catalog, policy=LoadsGladly(), observer=heard) as helix:
        monkeypatch.setattr(helix.sessions, "_running", lambda: None)
        yield helix
        assert not helix.sessions.started
        assert not helix.sessions.worked


def tabled() -> hx.Workflow:
    wf = hx.Workflow("tabled")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    @wf.scanner(output=True)
    def made(data: pd.DataFrame) -> pd.DataFrame:
        return data * 2

    return wf


def test_an_unchanged_run_counts_a_stored_table_from_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Warned()
    with without_spark(tmp_path / "catalog", monkeypatch, heard) as helix:
        helix.run(tabled()).wait()
    with without_spark(tmp_path / "catalog", monkeypatch, heard) as helix:
        again = helix.run(tabled())
        assert again.plan["made"].state is State.LOAD
        assert again["made"] == {"table": "made", "rows": 3}
        assert "made" not in again.node_seconds, "what a check takes is no measure of a load"
        again.wait()
    assert heard.warnings == []


@pytest.mark.parametrize("harm", [Path.unlink, lambda file: file.write_bytes(b"")], ids=["file gone", "file empty"])
def test_a_stored_table_that_is_damaged_is_told_and_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], object]
) -> None:
    heard = Warned()
    with without_spark(tmp_path / "catalog", monkeypatch, heard) as helix:
        helix.run(tabled()).wait()
    for file in (tmp_path / "catalog" / "tables").rglob("part-*.parquet"):
        harm(file)
    with without_spark(tmp_path / "catalog", monkeypatch, heard) as helix:
        again = helix.run(tabled())
        assert again.plan["made"].state is State.COMPUTE
        assert again["made"] == {"table": "made", "rows": 3}
    assert any("cannot be read" in text for text in heard.warnings)
