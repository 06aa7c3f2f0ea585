"""What of a script's run is kept: its questions as rows of the planner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from helix_spark.answers.questions import AnsweredQuestion, Question
from helix_spark.catalog.catalog_reader import CatalogView
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.planner.problem import State
from helix_spark.plans.program_client import Caller
from helix_spark.program.served_results import ServedResults
from helix_spark.run.foresight import RecordsRead

RELEASED = "it is not kept any more"


@dataclass(frozen=True)
class KeptProgram:
    """A program without a budget, and its record, which says of each question that it took seven seconds."""

    budget: int | None = None
    refused: frozenset[str] = frozenset()

    @property
    def record(self) -> KeptProgram:
        return self

    def seconds(self, identity: str) -> float:
        return 7.0


@dataclass(frozen=True)
class LiveResults:
    """A catalog of which only what is live is asked."""

    records: Sequence[ArtifactRecord]

    def live(self) -> Sequence[ArtifactRecord]:
        return self.records


def results_of(*rows: AnsweredQuestion, live: Sequence[ArtifactRecord] = ()) -> ServedResults:
    program: Any = KeptProgram()
    nothing: Any = None
    catalog: Any = LiveResults(live)
    view = CatalogView("train", {one.signature: one for one in live}, (), None, (), (), 1, 0)
    return ServedResults(
        1, RecordsRead(view, {}), catalog, nothing, nothing, rows=rows, program=program,
    )


def table(*, fresh: bool, why: str = "") -> AnsweredQuestion:
    made = Question("a" * 64, "table", object())
    return AnsweredQuestion(made, Caller("cache"), 2.0, 0.0, fresh, why=why, name="rows")


@pytest.mark.parametrize(("fresh", "stored", "storable"), [(True, False, False), (False, True, True)])
def test_a_stored_table_that_the_program_released_stays_stored(fresh: bool, stored: bool, storable: bool) -> None:
    live = [ArtifactRecord("a" * 64, "b" * 32, "table", "published", "train", "rows", 1, 0.0, bytes=100)] * stored
    results = results_of(table(fresh=fresh, why=RELEASED), live=live)
    (node,) = results.problem().nodes
    assert (node.storable, node.stored, node.compute_seconds) == (storable, stored, 2.0 if fresh else 7.0)
    assert results.writable == set()


def test_what_was_computed_can_be_written() -> None:
    results = results_of(table(fresh=True))
    problem = results.problem()
    assert problem.done is not None
    assert problem.done.state("rows") is State.COMPUTE
    assert results.writable == {"rows"}
