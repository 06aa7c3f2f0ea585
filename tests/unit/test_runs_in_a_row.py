"""A run straight after another plans on its records, and does not wait for what it stores."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.errors import HelixError
from helix_spark.run import workflow_results
from tests.fakes.doubled import workflow
from tests.fakes.observer import Warned

_LONGEST = 60.0


class Stores:
    """Stands before `store`: holds it up until it may go on, and counts what is written."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.written: list[str] = []
        self._store = workflow_results.store

    def __call__(self, result: Any, maker: Any, *given: Any) -> ArtifactRecord:
        assert self.may_go_on.wait(_LONGEST)
        self.written.append(maker.node)
        return self._store(result, maker, *given)


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    held_up = Stores()
    monkeypatch.setattr(workflow_results, "store", held_up)
    yield held_up
    held_up.may_go_on.set()


def test_the_second_run_plans_on_the_first_one_and_waits_for_no_store(tmp_path: Path, stores: Stores) -> None:
    with hx.Helix(tmp_path / "catalog", policy="always") as helix:
        try:
            first = helix.run(workflow(1))
            second = helix.run(workflow(2))
            assert not first.stored
            assert first.plan["total"].reason == "never run before"
            reason = second.plan["total"].reason
            assert "weight" in reason
            assert "1 -> 2" in reason
            assert second.plan["rows"].held
            assert dict(second.outputs) == {"total": 24}
            # What the first one took is measured by now, not guessed.
            known = helix.plan(workflow(1))
            assert known["total"].compute_seconds == pytest.approx(first.node_seconds["total"])
        finally:
            stores.may_go_on.set()
        second.wait()
        # `rows` was wanted by both, and written once.
        assert sorted(stores.written) == ["rows", "total", "total"]


def test_what_was_closed_says_so(tmp_path: Path) -> None:
    with hx.Helix(tmp_path / "catalog") as helix:
        helix.run(workflow(1))
    for asked in (lambda: helix.run(workflow(1)), lambda: helix.plan(workflow(1)), helix.wait):
        with pytest.raises(HelixError, match="was closed"):
            asked()


def drawing(weight: int = 1) -> hx.Workflow:
    wf = hx.Workflow("drawn")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0, 2.0, 3.0]})))

    @wf.scanner(fixed=True)
    def drawn(data: pd.DataFrame) -> pd.DataFrame:
        return data * time.time()

    @wf.reducer(output=True)
    def total(drawn: pd.DataFrame) -> float:
        return float(drawn.a.sum()) * weight

    return wf


def test_what_is_fixed_is_not_drawn_again_while_it_is_being_stored(tmp_path: Path, stores: Stores) -> None:
    with hx.Helix(tmp_path / "catalog", policy="always") as helix:
        try:
            first = helix.run(drawing(1))
            second = helix.run(drawing(2))
            assert not first.stored
            assert second.plan["drawn"].held
            assert second.plan["drawn"].signature == first.plan["drawn"].signature
            assert second["total"] == pytest.approx(2 * first["total"])
        finally:
            stores.may_go_on.set()
        second.wait()
        assert stores.written.count("drawn") == 1


def test_of_two_draws_the_first_that_can_be_had_stands(tmp_path: Path, stores: Stores) -> None:
    with hx.Helix(tmp_path / "catalog", policy="always") as one, hx.Helix(tmp_path / "catalog", policy="always") as two:
        try:
            first = one.run(drawing())
            one.plan(drawing())  # waits for the records
            second = two.run(drawing())
        finally:
            stores.may_go_on.set()
        first.wait()
        second.wait()
    drawn, again = (iteration.plan["drawn"].signature for iteration in (first, second))
    assert drawn != again, "it was neither stored nor held by the other one"
    with hx.Helix(tmp_path / "catalog", policy="always") as helix:
        assert helix.plan(drawing())["drawn"].signature == drawn
        helix.catalog.evict_all({drawn: "its room is needed"})
        assert helix.plan(drawing())["drawn"].signature == again


def counted(pops: bool) -> hx.Workflow:
    wf = hx.Workflow("counted")
    wf.source("data", hx.table(pd.DataFrame({"word": ["the", "the", "spark"]})))

    @wf.reducer
    def counts(data: pd.DataFrame) -> dict[str, int]:
        return {str(word): int(count) for word, count in data.word.value_counts().items()}

    if pops:

        @wf.reducer(output=True)
        def total(counts: dict[str, int]) -> int:
            counts.pop("the")
            return sum(counts.values())
    else:

        @wf.reducer(name="total", output=True)
        def total_of_all(counts: dict[str, int]) -> int:
            return sum(counts.values())

    wf.output("counts")
    return wf


def test_what_a_reader_does_to_a_value_is_its_own_affair(tmp_path: Path) -> None:
    with hx.Helix(tmp_path / "catalog", policy="always") as helix:
        first = helix.run(counted(pops=True))
        assert first["total"] == 1
        first["counts"].clear()
        first.value("counts").clear()
        first.wait()
        second = helix.run(counted(pops=False))
        assert second.plan["counts"].held
        assert second["total"] == 3
        assert second["counts"] == {"the": 2, "spark": 1}
    with hx.Helix(tmp_path / "catalog", policy="never") as helix:
        again = helix.run(counted(pops=False))
        assert again.plan["counts"].reason == "stored by iteration 1"
        assert again["counts"] == {"the": 2, "spark": 1}


def test_an_answer_is_recorded_before_anything_is_stored(tmp_path: Path, stores: Stores) -> None:
    with hx.Helix(tmp_path / "catalog", policy="always") as helix:
        try:
            iteration = helix.run(workflow(1))
            helix.plan(workflow(1))  # waits for the records
            looked = Catalog.open(tmp_path / "catalog", create=False)
            (record,) = looked.iterations("shared")
            assert record.status == "done"
            assert {node.name for node in looked.nodes(record)} == {"data", "rows", "total"}
            assert looked.last_events() == {}
            # Those who watch see that it still stores.
            progress = looked.progress(record)
            assert progress is not None
            assert progress.answered is not None
        finally:
            stores.may_go_on.set()
        sizes = iteration.wait()
        assert looked.progress(record) is None
        signature = iteration.plan["rows"].signature
        assert looked.results((), [signature]).measured[signature].bytes == sizes["rows"] > 0


def test_what_cannot_be_recorded_is_stored_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    heard = Warned()
    with hx.Helix(tmp_path / "catalog", policy="always", observer=heard) as helix:
        monkeypatch.setattr(helix.catalog, "append_iteration", full)
        iteration = helix.run(workflow(1))
        assert set(iteration.wait()) == {"rows", "total"}
    assert len(heard.warnings) == 1
    assert "could not be recorded" in heard.warnings[0]
    assert {record.node for record in Catalog.open(tmp_path / "catalog", create=False).live()} == {"rows", "total"}


def test_what_a_run_records_takes_its_room_in_the_budget(tmp_path: Path) -> None:
    with hx.Helix(tmp_path / "catalog", policy="always") as helix:
        helix.run(workflow(1)).wait()
        first = helix.catalog.root.total_bytes()
    # There is room for the tables when this run is planned, and none when it has recorded its answer.
    with hx.Helix(tmp_path / "catalog", policy="always", budget=first + 4_000) as helix:
        helix.run(workflow(2)).wait()
        assert sum(record.bytes for record in helix.catalog.live()) == 0
