"""How far a run of a plain program is: by what the run before asked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.history import Progress, RunningNode
from helix_spark.catalog.records import NodeRecord
from helix_spark.cli.programs import end_program
from helix_spark.plans import current_program
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.questions_underway import QuestionsUnderway, expected_nodes
from helix_spark.run.recorded_answers import RecordedAnswers
from helix_spark.views.progress_view import ProgressView, progress_view, running_states
from tests.fakes.connect_server import FakeServer


def asked_before(name: str, began: float, seconds: float) -> NodeRecord:
    signature = name.encode().hex().ljust(64, "0")
    return NodeRecord(
        "0" * 32, "train", 1, name, "answer", (), "compute", "", signature, signature, "[]", seconds=seconds,
        started=began,
    )


BEFORE = (
    asked_before("rows.count", 0, 2), asked_before("lr.fit: LR", 2, 10), asked_before("model.evaluate", 12, 4),
    asked_before("rows.write", 16, 1),
)
KEPT = frozenset(one.signature for one in BEFORE[:-1])


def question(
    identity: str, title: str, *, fresh: bool, started: float | None = None, ended: float | None = None
) -> dict[str, RunningNode]:
    state, done = ("compute", ended) if fresh else ("load", 0.0)
    return {identity: RunningNode(title, "answer", (), state, "", 0.0, output=False, started=started, ended=done)}


def progress_of(
    met: dict[str, RunningNode], before: Sequence[NodeRecord] = BEFORE, *, session_seconds: float = 0.0,
    starting: bool = False,
) -> Progress:
    nodes = expected_nodes(before, KEPT, met, is_starting=session_seconds > 0)
    return Progress("train", 2, nodes, session_seconds=session_seconds, starting=starting)


def view_of(met: dict[str, RunningNode], now: float, starting: bool = False) -> ProgressView:
    return progress_view(progress_of(met, session_seconds=5.0 if starting else 0.0, starting=starting), now)


def test_what_follows_an_edited_question_is_expected_to_be_asked_again() -> None:
    view = view_of(
        question(BEFORE[0].signature, "rows.count", fresh=False)
        | question("another", "lr.fit: LR", fresh=True, started=0.0), now=4.0,
    )
    assert (view.activity, view.left_text) == ("lr.fit: LR", "about 11.0 s left")


def test_what_is_on_record_is_not_waited_for_where_the_same_is_asked_each_time() -> None:
    each_time = question(BEFORE[1].signature, "lr.fit: LR", fresh=True, started=0.0)
    assert view_of(each_time, now=4.0).left_text == "about 7.0 s left"


def test_what_an_edit_took_away_is_not_waited_for() -> None:
    later = question("another", "model.evaluate", fresh=True, started=0.0)
    assert view_of(later, now=1.0).left_text == "about 4.0 s left"


def test_the_start_of_spark_is_part_of_what_is_left() -> None:
    view = view_of(question("another", "lr.fit: LR", fresh=True), now=1.0, starting=True)
    assert (view.activity, view.left_text) == ("starting Spark", "about 19.0 s left")


def test_what_never_ran_is_not_said_to_be_ending() -> None:
    view = view_of(question("another", "rows.show", fresh=True, started=0.0), now=1.0)
    assert view.activity == "rows.show"
    assert view.has_estimate is False
    nothing = progress_of(question("a", "b.count", fresh=True, started=0.0), ())
    assert progress_view(nothing, 9.0).left_text == "time unknown"
    first = progress_of(question("a", "b.count", fresh=True), (), starting=True)
    assert (progress_view(first, 1.0).activity, progress_view(first, 1.0).left_text) == (
        "starting Spark", "time unknown",
    )


def test_what_was_answered_from_the_record_is_shown_as_loaded() -> None:
    progress = progress_of({
        **question(BEFORE[0].signature, "rows.count", fresh=False),
        **question("another", "lr.fit: LR", fresh=True, started=0.0, ended=9.0),
        **question("one more", "model.evaluate", fresh=True, started=9.0),
    })
    assert running_states(progress) == {
        "rows.count": "load", "lr.fit: LR": "compute", "model.evaluate": "running", "rows.write": "waiting",
    }
    assert progress_view(progress, 10.0).left_text == "about 4.0 s left"


class Slow(FakeServer):
    def ExecutePlan(self, request: Any, metadata: Any = None) -> Iterator[Any]:  # noqa: N802 - the service calls it so
        time.sleep(0.5)
        return super().ExecutePlan(request, metadata)


class Seen:
    """What was shown, what others saw of it meanwhile, and how often it was taken away."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.shown: list[Progress] = []
        self.on_record: list[tuple[str, Progress | None]] = []
        self.closed = 0

    def shows(self, progress: Progress) -> None:
        self.shown.append(progress)
        last = self._catalog.iterations("train", 1)[0]
        self.on_record.append((last.status, self._catalog.progress(last)))

    def close(self) -> None:
        self.closed += 1


def test_a_program_is_shown_while_spark_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    (tmp_path / "train.py").write_text("import pyspark\n")
    catalog = Catalog.open(str(tmp_path / "catalog"), create=True)

    def ran(column: str) -> Seen:
        made, seen = PlainProgram(Path("train.py"), [], catalog, {}, print), Seen(catalog)
        made.server = Slow()  # type: ignore[assignment]  # what it is asked here
        made.record = RecordedAnswers(catalog, made.name)
        made.following = QuestionsUnderway(made, seen, long=0.02).note
        made.begin()
        try:
            rows = made.session({}).read.csv("rows.csv", header=True)
            rows.select(column).collect()
            rows.count()
            end_program(made, None, quiet=True)
        finally:
            made.session({}).stop()
            current_program.PROGRAMS.clear()
        return seen

    first, edited, same = ran("a"), ran("b"), ran("b")
    assert [node.predicted_seconds for node in first.shown[0].nodes] == [0.0]
    (select, count) = edited.shown[0].nodes
    assert (select.name, count.name) == ("rows.select(...).collect", "rows.count")
    assert min(select.predicted_seconds, count.predicted_seconds) >= 0.2
    assert edited.closed >= 1
    assert {status for status, _ in edited.on_record} == {"running"}
    assert [noted.number for _, noted in edited.on_record if noted is not None][:1] == [2]
    assert [(one.number, one.status) for one in catalog.iterations("train")] == [(3, "done"), (2, "done"), (1, "done")]
    assert catalog.progress(catalog.iterations("train")[1]) is None
    assert same.shown == []
