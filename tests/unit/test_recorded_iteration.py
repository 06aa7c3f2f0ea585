"""Iterations that are on record alone: their values, and their results as far as they are stored. No Spark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import cast

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.errors import HelixError, ParameterError, WorkflowError
from tests.fakes.doubled import workflow as shared


def chain(times: int = 2) -> hx.Workflow:
    wf = hx.Workflow("chain")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    @wf.scanner
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return data * times

    @wf.reducer
    def bounds(rows: pd.DataFrame) -> list[int]:
        return [int(rows.a.min()), int(rows.a.max())]

    @wf.reducer(output=True)
    def width(bounds: list[int]) -> dict[str, int]:
        return {"width": bounds[1] - bounds[0]}

    return wf


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog in which two versions were run, and all that they made is stored."""
    folder = tmp_path_factory.mktemp("past") / "catalog"
    with hx.Helix(folder, policy="always") as helix:
        helix.run(chain(), "as it was")
        helix.run(chain(3), "thrice")
    return folder


@pytest.fixture
def helix(past: Path) -> Iterator[hx.Helix]:
    with hx.Helix(past, policy="always") as opened:
        yield opened


def test_iterations_are_listed_newest_first_as_they_are_on_record(helix: hx.Helix) -> None:
    assert [(one.number, one.message) for one in helix.iterations()] == [(2, "thrice"), (1, "as it was")]
    assert [one.number for one in helix.iterations("chain", limit=1)] == [2]
    with pytest.raises(FrozenInstanceError):
        helix.iterations()[0].message = "another"  # type: ignore[misc]
    with pytest.raises(ParameterError, match="the catalog has no workflow 'chian'"):
        helix.iterations("chian")


def test_a_new_catalog_has_none(tmp_path: Path) -> None:
    with hx.Helix(tmp_path / "new") as fresh:
        assert fresh.iterations() == ()
        with pytest.raises(ParameterError, match="there is no iteration 1"):
            fresh.iteration(1)
    assert not (tmp_path / "new").exists()


def test_its_values_and_tables_are_there_without_a_session(helix: hx.Helix) -> None:
    first, second = helix.iteration(1), helix.iteration("chain", 2)
    assert first["width"] == first.value("width") == {"width": 4}
    assert second["width"] == {"width": 6}
    assert first.pandas("rows").a.tolist() == [2, 4, 6]
    assert second.arrow("rows").column("a").to_pylist() == [3, 6, 9]
    assert second.arrow("rows") is second.arrow("rows"), "it is read once"
    first.value("bounds").clear()
    assert first.value("bounds") == [2, 6]
    assert (first.record.message, first.workflow, first.number) == ("as it was", "chain", 1)
    assert {node.name for node in first.nodes} == {"data", "rows", "bounds", "width"}
    assert repr(first) == "<iteration 1 of chain, done: {'width': {'width': 4}}>"
    assert not helix.sessions.started


def test_it_is_compared_like_one_that_has_just_run(helix: hx.Helix) -> None:
    compared = helix.compare(helix.iteration(1), helix.iteration(2))
    assert compared.parameters == helix.compare(1, 2).parameters == {"times": (2, 3)}


def test_what_was_just_run_is_on_record(tmp_path: Path) -> None:
    with hx.Helix(tmp_path / "catalog", policy="always") as helix:
        helix.run(shared())
        assert [one.status for one in helix.iterations()] == ["done"]
        assert helix.iteration(1).pandas("rows").a.tolist() == [2, 4, 6]
        helix.run(chain())
        with pytest.raises(ParameterError, match="the catalog has several workflows"):
            helix.iteration(1)
        assert helix.iteration("shared", 1)["total"] == 12
        mine, other = helix.iteration("shared", 1), helix.iteration("chain", 1)
        for after, workflow in ((other, None), (1, "chain")):
            with pytest.raises(ParameterError, match="of one workflow can be compared, not of 'chain' and 'shared'"):
                helix.compare(mine, cast("int", after), workflow=workflow)
        assert helix.compare(1, other).before.workflow == "chain"


def test_another_name_kind_or_number_says_what_there_is(helix: hx.Helix) -> None:
    made = helix.iteration(1)
    with pytest.raises(WorkflowError, match="iteration 1 of 'chain' has no node 'bonds'") as unknown:
        made.value("bonds")
    assert "did you mean 'bounds'?" in str(unknown.value)
    with pytest.raises(HelixError, match="'bounds' is a value, not a table") as other:
        made.table("bounds")
    assert "get it by .value('bounds')" in str(other.value)
    with pytest.raises(WorkflowError, match="no output is named 'bounds'"):
        made["bounds"]
    with pytest.raises(ParameterError, match="there is no iteration 9"):
        helix.iteration(9)
    for wrong in (("chain",), (1, "chain")):
        with pytest.raises(ParameterError, match="named by its number, or by its workflow and its number"):
            helix.iteration(*wrong)  # type: ignore[call-overload]


def test_equal_nodes_that_became_one_are_there_under_each_name(tmp_path: Path) -> None:
    wf = hx.Workflow("twins")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    def doubled(data: pd.DataFrame) -> pd.DataFrame:
        return data * 2

    for name in ("first", "second"):
        wf.scanner(doubled, name=name, output=True)
    with hx.Helix(tmp_path / "catalog", policy="always") as helix:
        just = helix.run(wf)
        past = helix.iteration(1)
        assert past.outputs == just.outputs == {n: {"table": n, "rows": 3} for n in ("first", "second")}
        for made in (just, past):
            assert made.pandas("second").a.tolist() == [2, 4, 6]
        with pytest.raises(WorkflowError, match="has no node 'secnd'") as caught:
            past.pandas("secnd")
    assert "did you mean 'second'?" in str(caught.value)


def test_what_is_no_longer_stored_says_why_what_is_and_what_to_do(tmp_path: Path) -> None:
    with hx.Helix(tmp_path / "catalog", policy="always") as helix:
        helix.run(chain())
    with hx.Helix(tmp_path / "catalog", policy="never") as helix:
        made = helix.iteration(1)
        signatures = {node.name: node.signature for node in made.nodes}
        helix.catalog.evict_all({signatures[name]: "to make room" for name in ("rows", "width")})
        with pytest.raises(hx.NotStoredError, match="the result of 'rows' of iteration 1 of 'chain'") as caught:
            made.pandas("rows")
        assert made.value("width") == {"width": 4}, "an output's value is on record"
        with pytest.raises(HelixError, match="'width' is a value, not a table"):
            made.table("width")
        helix.run(chain(5))
        never = helix.iteration(2)
        helix._memory.clear()
        with pytest.raises(hx.NotStoredError, match="'rows' of iteration 2") as unstored:
            never.pandas("rows")
    text = str(caught.value)
    assert "it was evicted on 20" in text
    assert ": to make room; still stored of it: bounds" in text
    assert "`helix export 1 rows FILE --compute` runs the code that it had" in text
    assert 'keep="always"' in text
    assert "it never was; still stored of it: nothing" in str(unstored.value)


def test_a_huge_output_is_described_on_record(tmp_path: Path) -> None:
    """Records are never evicted: it would take a budget's room with every iteration."""
    wf = hx.Workflow("huge")
    wf.source("data", hx.table(pd.DataFrame({"a": [1]})))

    @wf.reducer(output=True)
    def many(data: pd.DataFrame) -> list[str]:
        return ["x" * 1023] * 4097

    with hx.Helix(tmp_path / "catalog", observer=hx.Silent()) as helix:
        it = helix.run(wf)
        assert len(it["many"]) == 4097
        it.wait()
        assert helix.catalog.bytes_used() < 1_000_000
    with hx.Helix(tmp_path / "catalog") as helix:
        past = helix.iteration(1)
        assert past.outputs == {"many": {"value": "list", "bytes": 4207619}}
        with pytest.raises(HelixError, match="not stored"):
            past.value("many")
