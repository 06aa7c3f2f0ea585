"""A result that is computed anew and holds what an earlier one held is that one: what lies below it is found again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import helix_spark as hx
from benchmarks.histories.cut_off import run_history
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ResultRecord
from helix_spark.engine.execution.observer import Quiet
from helix_spark.identity.parts import digest
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State

Clean = Callable[..., pd.DataFrame]

AGES = pd.DataFrame({"age": [41, 17, 23, 17], "name": ["b", "a", "d", "c"]})


def adults(data: pd.DataFrame) -> pd.DataFrame:
    return data[data.age > 17]


def adults_rewritten(data: pd.DataFrame) -> pd.DataFrame:
    return data.query("age >= 18")


def adults_by_age(data: pd.DataFrame) -> pd.DataFrame:
    return data[data.age > 17].sort_values("age")


def elders(data: pd.DataFrame) -> pd.DataFrame:
    return data[data.age > 40]


def workflow(clean: Clean, data: pd.DataFrame = AGES, **wishes: Any) -> hx.Workflow:
    wf = hx.Workflow("ages")
    wf.source("data", hx.table(data))
    wf.scanner(name="clean", **wishes)(clean)

    @wf.scanner
    def features(clean: pd.DataFrame) -> pd.DataFrame:
        return clean.assign(square=clean.age**2)

    @wf.reducer
    def first(features: pd.DataFrame) -> float:
        return float(features.square.iloc[0])

    @wf.reducer(output=True)
    def answer(first: float) -> float:
        return first + 1

    return wf


def run(catalog: Path, *versions: hx.Workflow, cut_off: bool | float = 0.0) -> list[hx.Iteration]:
    """Runs each version once the one before is stored."""
    done = []
    with hx.Helix(catalog, policy="always", cut_off=cut_off) as helix:
        for version in versions:
            done.append(helix.run(version))
            helix.wait()
    return done


def computed(plan: Plan) -> set[str]:
    return set(plan.in_state(State.COMPUTE)) - {"data"}


def test_what_lies_below_an_equal_result_is_found_again_within_the_run(tmp_path: Path) -> None:
    before, after = run(tmp_path / "catalog", workflow(adults), workflow(adults_rewritten))
    assert after["answer"] == before["answer"] == 41**2 + 1
    assert computed(after.plan) == {"clean"}
    assert after.plan["answer"].signature == before.plan["answer"].signature
    assert "equal to iteration 1's result" in after.plan["clean"].reason


def test_the_next_plan_knows_that_the_new_code_makes_the_old_result(tmp_path: Path) -> None:
    before, after = run(tmp_path / "catalog", workflow(adults), workflow(adults_rewritten))
    with hx.Helix(tmp_path / "catalog") as helix:
        plan = helix.plan(workflow(adults_rewritten))
        assert not computed(plan)
        assert plan["clean"].signature == before.plan["clean"].signature
        assert plan["clean"].declared == after.plan["clean"].declared != plan["clean"].signature
        told = helix.compare(1, 2)
    assert told.differences["clean"].state == "same"
    assert "the result is the same" in str(told)
    assert told.differences["answer"].state == "same"


def test_the_order_of_rows_counts(tmp_path: Path) -> None:
    _, after = run(tmp_path / "catalog", workflow(adults), workflow(adults_by_age))
    assert after["answer"] == 23**2 + 1
    assert computed(after.plan) == {"clean", "features", "first", "answer"}


def test_a_version_before_the_last_is_known_again(tmp_path: Path) -> None:
    first, _, third = run(tmp_path / "catalog", workflow(adults), workflow(elders), workflow(adults_rewritten))
    assert computed(third.plan) == {"clean"}
    assert third.plan["clean"].signature == first.plan["clean"].signature


class Started(Quiet):
    """Whether a session was started."""

    session = False

    def session_starting(self) -> None:
        self.session = True


def test_rows_of_this_process_are_compared_without_spark(tmp_path: Path) -> None:
    def doubled() -> hx.Workflow:
        wf = hx.Workflow("doubled")
        wf.source("data", hx.table(pd.DataFrame({"a": [1, 2]})))

        @wf.reducer(output=True)
        def total(data: pd.DataFrame) -> int:
            time.sleep(0.6)  # worth to be spared
            return int(data.a.sum())

        return wf

    for _ in range(2):
        seen = Started()
        with hx.Helix(tmp_path / "catalog", policy="never", cut_off=0.0, observer=seen) as helix:
            assert helix.run(doubled())["total"] == 3
        assert not seen.session


def test_it_can_be_turned_off(tmp_path: Path) -> None:
    _, after = run(tmp_path / "catalog", workflow(adults), workflow(adults_rewritten), cut_off=False)
    assert computed(after.plan) == {"clean", "features", "first", "answer"}


def test_nothing_is_compared_where_little_lies_below(tmp_path: Path) -> None:
    _, after = run(tmp_path / "catalog", workflow(adults), workflow(adults_rewritten), cut_off=60.0)
    assert computed(after.plan) == {"clean", "features", "first", "answer"}


def test_a_draw_that_happens_to_be_the_same_is_a_draw(tmp_path: Path) -> None:
    def drawn(data: pd.DataFrame) -> pd.DataFrame:
        return data[data.age > 17 + 0 * time.time()]

    def drawn_again(data: pd.DataFrame) -> pd.DataFrame:
        return data[data.age >= 18 - 0 * time.time()]

    with hx.Helix(tmp_path / "catalog", policy="always", cut_off=0.0) as helix:
        helix.run(workflow(drawn))
        again = helix.run(workflow(drawn_again))
        assert computed(again.plan) == {"clean", "features", "first", "answer"}
        before, after = (helix.run(workflow(made, fixed=True)) for made in (drawn, drawn_again))
        assert before.plan["clean"].signature != after.plan["clean"].signature


def test_values_that_python_calls_equal_may_differ(tmp_path: Path) -> None:
    def version(value: Any) -> hx.Workflow:
        wf = hx.Workflow("values")
        wf.source("data", hx.table(AGES))

        @wf.reducer
        def made(data: pd.DataFrame, value: Any = value) -> Any:
            return value

        @wf.reducer(output=True)
        def told(made: Any) -> str:
            return str(made)

        return wf

    made = [0.0, -0.0, 0, False, {"a": 1, "b": 2}, {"b": 2, "a": 1}, float("nan"), None]
    with hx.Helix(tmp_path / "catalog", policy="always", cut_off=0.0) as helix:
        assert [helix.run(version(value))["told"] for value in made] == [str(value) for value in made]


def test_a_file_that_code_was_seen_to_read_is_told_apart_where_that_shows(tmp_path: Path) -> None:
    text = tmp_path / "ages.txt"

    def read(data: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"age": [int(line) for line in text.read_text().split()]})

    ran, answers = [], []
    with hx.Helix(tmp_path / "catalog", policy="always", cut_off=0.0) as helix:
        for content in ("3\n4\n", "3\n4\n\n", "5\n4\n", "3\n4\n\n", "3 4", "5\n4\n", "6\n"):
            text.write_text(content)
            done = helix.run(workflow(read))
            done.wait()
            ran.append(computed(done.plan) - {"clean"})
            answers.append(done["answer"])
    everything = {"features", "first", "answer"}
    assert answers == [10.0, 10.0, 26.0, 10.0, 10.0, 26.0, 37.0]
    assert ran == [everything, set(), everything, set(), set(), set(), everything]


def test_of_results_with_one_content_the_newest_counts_and_none_that_differed(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog", create=True)
    catalog.make()
    content, other = digest("content"), digest("other")

    def note(name: str, content: str, node: str = "clean", why: str = "") -> str:
        signature = digest(name)
        catalog.append_results([ResultRecord(
            signature, signature, "ages", node, "scanner", 1, compute_seconds=1.0, content=content, random=why
        )])
        return signature

    assert catalog.with_content("ages", "clean", content) is None
    note("of another node", content, node="features")
    assert catalog.with_content("ages", "clean", content) is None
    first, second = note("first", content), note("second", content)
    assert catalog.with_content("ages", "clean", content) == second
    note("second", other)  # computed again, it held something else
    assert catalog.with_content("ages", "clean", content) == first
    assert catalog.with_content("ages", "clean", other) is None
    note("first", content, why="it draws")
    assert catalog.with_content("ages", "clean", content) is None


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 20))])
def test_drawn_edits_answer_as_from_scratch(seed: int, tmp_path: Path) -> None:
    counts = run_history(seed, 8, tmp_path)
    assert counts["runs"] == 8
    assert not counts["stopped falsely"]
    assert counts["stopped early"] or seed  # edits of history 0 end in one; others depend on their draws
