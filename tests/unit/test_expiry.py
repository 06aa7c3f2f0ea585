"""What a team keeps for years: what is pinned stays, what is due expires, and what people were shown is kept."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.forgetting import Selection
from helix_spark.catalog.records import IterationRecord
from helix_spark.catalog.segments import folding
from helix_spark.catalog.segments.segment import SegmentFolder
from helix_spark.cli.config import settings_for
from helix_spark.cli.main import helix as command
from helix_spark.errors import CatalogError, ParameterError
from helix_spark.planner.joint import policy_named
from helix_spark.run.expiry import DAY, Expiry
from helix_spark.run.foresight import shown_results
from helix_spark.run.retention import OVERFLOWED
from tests.fakes.observer import Warned

BEST = 3


def workflow(times: int, name: str = "w", **wishes: object) -> hx.Workflow:
    """rows -> wide, score: the score is best at three times."""
    wf = hx.Workflow(name)
    wf.source("rows", hx.table(pd.DataFrame({"n": range(1_000)})))

    @wf.scanner(output=True, **wishes)
    def wide(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(m=rows.n * times)

    @wf.reducer(output=True)
    def score(wide: pd.DataFrame) -> float:
        return -abs(float(wide.m.sum() / wide.n.sum()) - BEST)

    @wf.reducer(output=True)
    def auc(score: float) -> float:
        return score

    return wf


def ran(root: Path, *times: int, **given: object) -> Warned:
    heard = Warned()
    for one in times:
        with hx.Helix(root, observer=heard, **given) as helix:
            helix.run(workflow(one)).wait()
    return heard


Start = Callable[..., None]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Give a folder the catalog that some runs leave, which take place once and are copied for further tests."""
    @cache
    def catalog_after(*times: int) -> Path:
        root = tmp_path_factory.mktemp("after") / "catalog"
        if earlier := times[:-1]:
            shutil.copytree(catalog_after(*earlier), root)
        ran(root, times[-1])
        return root

    def start(root: Path, *times: int) -> None:
        shutil.copytree(catalog_after(*times), root, dirs_exist_ok=True)

    return start


def numbers(root: Path) -> list[int]:
    return sorted(one.number for one in Catalog.open(root, create=False).iterations())


def kept(root: Path) -> set[int]:
    """The numbers of the iterations whose table is stored."""
    catalog = Catalog.open(root, create=False)
    live = {one.signature for one in catalog.live()}
    return {
        one.number for one in catalog.iterations()
        for node in catalog.nodes(one) if node.name == "wide" and node.signature in live
    }


def pin(root: Path, number: int, *more: str) -> dict[str, object]:
    done = CliRunner().invoke(command, ["pin", str(number), *more, "--json", "--catalog", str(root)])
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.output)
    return found


# Pinned


def test_what_is_pinned_stays_whatever_the_budget_is(start: Start, tmp_path: Path) -> None:
    start(tmp_path, 1, 2)
    assert pin(tmp_path, 1)["pinned"]
    ran(tmp_path, 4, 5, budget=0)
    assert kept(tmp_path) == {1}
    assert not pin(tmp_path, 1, "--remove")["pinned"]
    ran(tmp_path, 6, budget=0)
    assert kept(tmp_path) == set()


def test_nobody_evicts_what_was_pinned_since_it_was_decided(start: Start, tmp_path: Path) -> None:
    start(tmp_path, 1)
    catalog, other = (Catalog.open(tmp_path, create=False) for _ in range(2))
    why = {one.signature: OVERFLOWED for one in catalog.live()}
    other.pin(other.iterations()[0], pinned=True)
    assert catalog.evict_all(why) == ()
    assert kept(tmp_path) == {1}


def test_to_pin_says_what_is_not_stored(tmp_path: Path) -> None:
    ran(tmp_path, 1, policy="never")
    said = CliRunner().invoke(command, ["pin", "1", "--catalog", str(tmp_path)]).output
    assert said == "iteration 1 of w is pinned (0 stored results, 0 B; not stored: wide, score, auc)\n"


def test_what_is_pinned_is_shown_as_such(start: Start, tmp_path: Path) -> None:
    start(tmp_path, 1, 2)
    pin(tmp_path, 1)

    def said(*words: str) -> str:
        return CliRunner().invoke(command, [*words, "--catalog", str(tmp_path)]).output

    assert ["pinned" in line for line in said("log").splitlines()[1:]] == [False, True]
    assert [one["pinned"] for one in json.loads(said("log", "--json"))] == [False, True]
    assert [json.loads(said("show", number, "--json"))["pinned"] for number in "12"] == [True, False]
    assert ["done, pinned" in said("show", number) for number in "12"] == [True, False]
    pin(tmp_path, 1, "--remove")
    assert "pinned" not in said("log", "-v")


def test_why_a_pinned_result_is_kept_is_said(start: Start, tmp_path: Path) -> None:
    start(tmp_path, 1)
    pin(tmp_path, 1)
    with hx.Helix(tmp_path, observer=Warned(), budget="1 GiB") as helix:
        assert helix.plan(workflow(1))["wide"].storage_reason.startswith("kept: iteration 1 of `w` is pinned; ")


def test_what_is_pinned_is_forgotten_by_nobody_who_names_it(start: Start, tmp_path: Path) -> None:
    start(tmp_path, 1, 2)
    pin(tmp_path, 1)
    catalog = Catalog.open(tmp_path, create=False)
    with pytest.raises(CatalogError, match="iteration 1 of 'w' is pinned"):
        catalog.forget(Selection("w"), dry_run=False)
    assert catalog.forget(Selection(before=time.time() + DAY), dry_run=False).iterations == {("w", 2)}
    assert numbers(tmp_path) == [1]


# Expired


def test_only_the_newest_stay_with_the_best_and_what_is_pinned(start: Start, tmp_path: Path) -> None:
    start(tmp_path, 1, 2, BEST, 4)
    pin(tmp_path, 1)
    heard = ran(tmp_path, 5, 6, 7, expiry=hx.Expiry(iterations=2))
    assert numbers(tmp_path) == [1, BEST, 6, 7]
    assert kept(tmp_path) == {1, BEST, 6, 7}
    assert any("iterations and" in text and "have expired" in text for text in heard.notes)
    assert Catalog.open(tmp_path, create=False).rejections == ()


def test_they_expire_by_their_age(start: Start, tmp_path: Path) -> None:
    start(tmp_path, 1, 2, 5)
    catalog = Catalog.open(tmp_path, create=False)
    old = [replace(one, run=f"{one.number}" * 32, number=one.number + 10, started=time.time() - 99 * DAY)
           for one in catalog.iterations()]
    for one in old:
        catalog.append_iteration(one)
    assert Expiry(days=100).expire(catalog) == ""
    assert Expiry(days=98).expire(catalog) == "", "it waits until a tenth more is due"
    assert Expiry(days=50).expire(catalog)
    assert numbers(tmp_path) == [1, 2, 3, 12, 13], "the newest by its number and the best stay, however old they are"


def test_a_few_too_many_wait(start: Start, tmp_path: Path) -> None:
    start(tmp_path, 1, 2, 4)
    assert Expiry(iterations=2).expire(Catalog.open(tmp_path, create=False)) == ""
    assert numbers(tmp_path) == [1, 2, 3]


def test_what_others_append_meanwhile_stays(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(tmp_path, 1, 2, 4, 5)
    catalog, other = (Catalog.open(tmp_path, create=False) for _ in range(2))
    written = folding._rewritten

    def appended_meanwhile(*given: object) -> object:
        for number in (20, 21):
            other.append_iteration(IterationRecord(f"{number}" * 16, "late", number, "done", time.time()))
        return written(*given)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(folding, "_rewritten", appended_meanwhile)
    assert Expiry(iterations=1).expire(catalog)
    for reader in (catalog, other, Catalog.open(tmp_path, create=False)):
        assert {one.number for one in reader.iterations("late")} == {20, 21}
        reader._records.forget_index()
        assert {one.number for one in reader.iterations("late")} == {20, 21}
        assert reader.rejections == ()
    assert len(numbers(tmp_path)) == 4


def test_whoever_was_stopped_while_others_took_over_says_so(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(tmp_path, 1, 2, 4, 5)
    catalog, other = (Catalog.open(tmp_path, create=False) for _ in range(2))
    listing = SegmentFolder.files

    def folded_meanwhile(folder: SegmentFolder) -> object:
        monkeypatch.setattr(SegmentFolder, "files", listing)
        other.append_iteration(IterationRecord("20" * 16, "late", 20, "done", time.time()))
        folding.fold(other._records)
        return listing(folder)

    def stopped(*given: object) -> None:
        monkeypatch.setattr(SegmentFolder, "files", folded_meanwhile)
        folding.rewrite(*given)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(folding, "AT_ONCE", 1)
    monkeypatch.setattr(folding, "KEPT_SEGMENTS", 0)
    monkeypatch.setattr("helix_spark.catalog.catalog.rewrite", stopped)
    with pytest.raises(CatalogError, match="another process changed them meanwhile") as caught:
        Expiry(iterations=1).expire(catalog)
    assert caught.value.remedy == "try again"
    monkeypatch.undo()
    assert len(numbers(tmp_path)) == 5
    assert Expiry(iterations=1).expire(Catalog.open(tmp_path, create=False))


@pytest.mark.parametrize("given", [{"iterations": 0}, {"days": 0.5}, {"days": float("nan")}], ids=str)
def test_less_than_one_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match="keep at least one"):
        Expiry(**given)  # type: ignore[arg-type]  # one of its fields


def test_a_project_says_what_stays_in_a_table_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.helix_spark.retention]\niterations = 200\n")
    found = settings_for(tmp_path, {}, {"HELIX_RETENTION_DAYS": "90"})
    assert (found["retention.iterations"].value, found["retention.days"].value) == ("200", "90")
    (tmp_path / "pyproject.toml").write_text("[tool.helix_spark]\nretention.years = 2\n")
    with pytest.raises(ParameterError, match=r"retention\.years"):
        settings_for(tmp_path, {}, {})


# Shown


def test_outputs_of_the_newest_and_the_best_iteration_stay_within_a_budget(start: Start, tmp_path: Path) -> None:
    start(tmp_path, 1, BEST, 4, 5)
    catalog = Catalog.open(tmp_path, create=False)
    size = max(one.bytes for one in catalog.live())
    room = catalog.bytes_used() - sum(one.bytes for one in catalog.live()) + int(2.5 * size) + 50_000
    heard = ran(tmp_path, 6, budget=room)
    assert kept(tmp_path) >= {2, 5}
    assert heard.warnings == []


def test_it_is_said_what_the_budget_has_no_room_for(tmp_path: Path) -> None:
    heard = ran(tmp_path, 1, budget=10)
    assert [text for text in heard.warnings if "has no room for" in text]
    assert "the budget of 10 B has no room for `wide`" in heard.warnings[0]


def test_of_another_workflow_the_newest_and_the_best_are_told(start: Start, tmp_path: Path) -> None:
    start(tmp_path, BEST, 4, 5)
    catalog = Catalog.open(tmp_path, create=False)
    said = set(shown_results(catalog, "another").values())
    assert said == {"iteration 1 of `w`, its best, shows it", "iteration 3 of `w`, its newest, shows it"}
    assert set(shown_results(catalog, "w").values()) == {"iteration 1 of `w`, its best, shows it"}


def test_an_author_who_does_not_want_an_output_kept_is_heard(tmp_path: Path) -> None:
    with hx.Helix(tmp_path, observer=Warned()) as helix:
        helix.run(workflow(1, keep="never")).wait()
    assert kept(tmp_path) == set()


def test_small_results_are_kept_whatever_that_saves(tmp_path: Path) -> None:
    wf = hx.Workflow("w")
    wf.source("rows", hx.table(pd.DataFrame({"n": range(1_000)})))

    @wf.scanner
    def cheap(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(m=1)

    @wf.reducer(output=True)
    def size(cheap: pd.DataFrame) -> int:
        return len(cheap)

    with hx.Helix(tmp_path, observer=Warned(), policy=policy_named("joint")) as helix:
        helix.run(wf).wait()
        assert {one.node for one in helix.catalog.live()} == {"cheap", "size"}


def test_how_much_small_results_may_take_is_a_setting() -> None:
    assert policy_named("joint", 0) == replace(policy_named("joint"), small=0)
