"""A run that meets a damaged result plans anew, without it and all that the run had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import helix_spark as hx
from helix_spark.engine.execution.outcome import Outcome
from helix_spark.engine.results.stored_results import DamagedResultError
from helix_spark.planner.problem import State
from tests.fakes.doubled import workflow
from tests.fakes.observer import Warned
from tests.fakes.policy import loading

pytestmark = pytest.mark.spark


def test_a_held_table_whose_files_went_is_computed_again_for_who_asks_for_its_dataframe(
    spark: SparkSession, tmp_path: Path
) -> None:
    heard = Warned()
    with hx.Helix(tmp_path, policy="always", spark=spark) as helix:
        helix.run(workflow(1))
    with hx.Helix(tmp_path, policy=loading("always"), observer=heard, spark=spark) as helix:
        first = helix.run(workflow(2))
        first.wait()
        rows = first.plan["rows"]
        assert rows.state is State.LOAD
        helix.catalog.evict_all({rows.signature: "its room is needed"})
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
