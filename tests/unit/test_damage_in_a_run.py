"""A run that meets a damaged result plans anew: what the next try may take from memory, and what it may not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from doubled import workflow
from test_loading import Gladly
from warned import Warned

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.engine.execution.outcome import Chance, Outcome
from helix_spark.engine.results.loading import DamagedResultError
from helix_spark.planner.problem import State
from helix_spark.run import executing
from helix_spark.run.executing import _uncertain


def test_a_held_table_whose_files_went_is_computed_again_for_who_asks_for_its_dataframe(tmp_path: Path) -> None:
    heard = Warned()
    with hx.Helix(tmp_path, policy="always") as helix:
        helix.run(workflow(1))
    with hx.Helix(tmp_path, policy=Gladly(), observer=heard) as helix:
        first = helix.run(workflow(2))
        first.wait()
        rows = first.plan["rows"]
        assert rows.state is State.LOAD
        helix.catalog.evict(rows.signature, "its room is needed")
        execute, held = helix._executor.execute, list[bool]()

        def asked_for_a_dataframe(dag: Any, plan: Any, *given: Any) -> Outcome:
            """As a reader with Spark asks for it."""
            held.append(plan["rows"].held)
            if not plan["rows"].held:
                return execute(dag, plan, *given)
            outcome = Outcome()
            with pytest.raises(DamagedResultError) as caught:
                helix._memory.get(rows.signature).frame()  # type: ignore[union-attr]  # it is held
            outcome.failure = caught.value
            return outcome

        helix._executor.execute = asked_for_a_dataframe  # type: ignore[method-assign]
        assert helix.run(workflow(3))["total"] == 36
    assert held == [True, False]
    assert heard.warnings == [], "it was evicted, not damaged"


def test_what_was_read_of_a_source_that_changed_is_not_held_either(monkeypatch: pytest.MonkeyPatch) -> None:
    wf = hx.Workflow("w")
    for name in ("left", "right", "third"):
        wf.source(name, hx.table(pd.DataFrame({"a": [1]})))

    @wf.scanner
    def of_left(left: pd.DataFrame) -> pd.DataFrame:
        return left

    @wf.scanner
    def of_right(right: pd.DataFrame) -> pd.DataFrame:
        return right

    @wf.reducer(output=True)
    def of_all(of_left: pd.DataFrame, of_right: pd.DataFrame, third: pd.DataFrame) -> int:
        return 1

    dag = compile_workflow(wf)
    data = SimpleNamespace(
        names=("left", "right"), change=lambda name, contents: "it was written to" if name == "left" else None
    )
    monkeypatch.setattr(executing, "DataRead", lambda *given: data)
    monkeypatch.setattr(executing, "found_random", lambda *given: Chance({}, {"third": "draws"}))
    plan: Any = SimpleNamespace(nodes=[SimpleNamespace(name=node.name, signature=node.name) for node in dag.nodes])
    outcome: Any = SimpleNamespace(results={})
    run: Any = SimpleNamespace(dag=dag, described={}, plan=plan, outcome=outcome)
    damage: Any = SimpleNamespace(record=SimpleNamespace(signature="none of these"))
    assert _uncertain(damage, run) == {"left", "of_left", "third", "of_all"}
    damage.record.signature = "right"
    assert _uncertain(damage, run) == {one.name for one in dag.nodes}
