"""What follows an answer is recorded, whether or not Spark is still there to be asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.engine.spark.gateway import AFTER_ITS_END
from helix_spark.errors import CatalogError, NodeError, SetupError
from helix_spark.run import node_records, steps
from helix_spark.run.run import Run
from tests.fakes.doubled import workflow
from tests.fakes.observer import Warned
from tests.fakes.run import make_run, make_tools

STOPPED = AttributeError("'NoneType' object has no attribute 'sc'")
"""What pyspark raises of a session that was stopped."""


def raising(error: Exception) -> Callable[..., Any]:
    def asked(*given: Any) -> Any:
        raise error

    return asked


@dataclass(frozen=True)
class StartedSessions:
    """A session that was started."""

    ended: bool
    started: bool = True


def answered(heard: Warned, ended: bool) -> Run:
    """As much of a run as asks Spark."""
    return make_run(make_tools(sessions=StartedSessions(ended), observer=heard))


ASKED: dict[str, tuple[Callable[[Run], Any], Any, str]] = {
    "fitted_cards": (steps.read_fits, {}, "the cards of fitted models are not known: "),
}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize(
    ("error", "ended"), [(SetupError("it was stopped"), False), (STOPPED, True), (CatalogError("no space"), False)]
)
def test_what_cannot_be_asked_of_a_session_that_ended_is_left_open(
    monkeypatch: pytest.MonkeyPatch, name: str, error: Exception, ended: bool
) -> None:
    ask, otherwise, words = ASKED[name]
    monkeypatch.setattr(node_records, name, raising(error))
    heard = Warned()
    assert ask(answered(heard, ended)) == otherwise
    assert heard.warnings == [words + str(error)]


@pytest.mark.parametrize("name", ASKED)
def test_a_defect_is_not_taken_for_the_end_of_a_session(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    ask, _, _ = ASKED[name]
    monkeypatch.setattr(node_records, name, raising(STOPPED))
    heard = Warned()
    with pytest.raises(AttributeError):
        ask(answered(heard, ended=False))
    assert heard.warnings == []


def test_an_iteration_whose_session_is_stopped_behind_its_answer_is_on_record_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_records, "fitted_cards", raising(SetupError("it was stopped")))
    with hx.Helix(tmp_path / "catalog", observer=Warned()) as helix:
        helix.run(workflow(1)).wait()
        assert [record.status for record in helix.catalog.iterations()] == ["done"]


def test_a_failure_that_names_what_is_no_text_is_on_record(tmp_path: Path) -> None:
    wf = hx.Workflow("odd")
    wf.source("data", hx.table(pd.DataFrame({"a": [1]})))

    @wf.reducer(output=True)
    def broken(data: pd.DataFrame) -> int:
        raise FileNotFoundError("no \udcff.csv")

    with hx.Helix(tmp_path / "catalog", observer=Warned()) as helix:
        with pytest.raises(NodeError):
            helix.run(wf)
        helix.wait()
        (record,) = helix.catalog.iterations()
    assert (record.status, "no \\udcff.csv" in record.error) == ("failed", True)


def test_who_gave_a_session_is_not_told_that_another_one_is_started() -> None:
    assert "if you passed the session (spark=...), pass a new one" in AFTER_ITS_END
