"""Numbers among the outputs: the same names and marks in the answer of a run, the log, a difference and on pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import IterationRecord
from helix_spark.cli.main import helix
from helix_spark.errors import OperatorError
from helix_spark.history.metrics import Metrics, metrics_of
from helix_spark.ui.links import Links
from helix_spark.ui.listing import listing, listing_rows
from helix_spark.ui.pages import Pages
from helix_spark.views.iteration_view import output_lines

JOB = """
import helix_spark as hx

def study(rate: float = 0.5) -> hx.Workflow:
    wf = hx.Workflow("study")

    @wf.reducer
    def given() -> float:
        return {given}

    @wf.reducer(output=True, metrics=[hx.metric("f1", better="lower", primary=True), hx.metric("recal")])
    def scores(given: float) -> dict:
        return {{"accuracy": given, "f1": given * {factor}, "recall": 0.25}}

    return wf
"""


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder with three runs: of the first program, with another number given, with another way to measure it. And
    what each printed."""
    folder, printed = tmp_path_factory.mktemp("study"), []
    job = folder / "study.py"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for given, factor in ((0.5, 1), (0.75, 1), (0.75, 2)):
            job.write_text(JOB.format(given=given, factor=factor))
            done = CliRunner().invoke(helix, ["run", str(job), "-q"])
            assert done.exit_code == 0, done.stderr
            printed.append(done.stdout + done.stderr)
    return folder, printed


@pytest.fixture
def ran(study_folder: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What they printed, in their folder, for tests that only read there."""
    folder, printed = study_folder
    monkeypatch.chdir(folder)
    return printed


def told(*arguments: str) -> str:
    done = CliRunner().invoke(helix, list(arguments))
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_numbers_in_a_dict_are_rows_and_other_code_is_no_change(ran: list[str]) -> None:
    first, second, third = ran
    assert first.index("scores.f1") < first.index("scores.accuracy  0.5")
    assert "scores.f1        0.75  (was 0.5, +0.25)" in second
    assert "scores.f1        1.5  (was 0.75, measured by other code)" in third
    assert "did you mean 'scores.recall'?" in first  # of a metric that something is said of, and that is not there


def test_the_log_and_a_difference_say_the_same(ran: list[str]) -> None:
    assert "scores.f1 1.5, scores.accuracy 0.75" in " ".join(told("log", "-v").split())
    assert "measured by other code" in told("diff", "2", "3")
    found = json.loads(told("diff", "1", "2", "--json"))["metrics"]
    assert found["scores.f1"] == {
        "before": 0.5, "after": 0.75, "better": "lower", "primary": True, "same_code": True, "same_rows": True,
        "doubt": "", "change": 0.25,
    }
    assert "scores.recall" not in found
    assert json.loads(told("diff", "2", "3", "--json"))["metrics"]["scores.f1"]["change"] is None


@pytest.mark.usefixtures("ran")
def test_pages_mark_the_best_among_what_the_same_code_measured() -> None:
    records = Catalog.open("catalog", create=False)
    found = listing(listing_rows(records.iterations("study"), ()))
    assert found.trend is not None
    assert (found.metric, found.trend.direction, found.trend.guessed, found.best) == ("scores.f1", "lower", False, 3)
    assert [bool(row.metrics.incomparable("scores.f1", found.newest)) for row in found.rows] == [False, True, True]
    assert found.columns[0] == "scores.f1"
    chosen = listing(found.rows, columns=["scores.recall", "no such"], metric="scores.accuracy")
    assert chosen.columns == chosen.state["column"] == ("scores.recall",)
    pages = Pages(records, Links())
    assert pages.render_page(pages.iterations(columns=["scores.f1"])).count("≠") == 2
    assert "≠" not in pages.render_page(pages.iterations(columns=["scores.recall"]))  # the edit was of another number
    assert "other code or test rows from here on" in pages.render_page(pages.metrics("study"))


def test_nobody_takes_the_first_number_of_a_dict_for_the_main_one() -> None:
    assert Metrics({"scores": {"rows": 3, "f1": 0.5}}).primary == ""
    assert Metrics({"scores": {"rows": 3, "f1": 0.5}, "auc": 0.9}).primary == "auc"
    assert Metrics({"scores": {"rows": 3, "f1": 0.5}, "auc": 0.9}, declared_primary="scores.f1").primary == "scores.f1"


@pytest.mark.parametrize("plan", ["{", '{"metrics": []}', "{}"])
def test_damaged_and_older_records_have_the_metrics_that_can_be_read(plan: str) -> None:
    record = IterationRecord("0" * 32, "w", 1, "done", 0.0, outputs='{"auc": 0.5}', plan=plan)
    found = metrics_of(record)
    assert (found.primary, found.direction("auc"), found.declared_directions) == ("auc", "higher", {})
    assert not found.incomparable("auc", Metrics({"auc": 1.0}, measured_by={"auc": "0"}))


@pytest.mark.parametrize(("given", "said"), [
    ({"metrics": [3]}, "metrics= contains a int"), ({"metric": "f1"}, "there is no option 'metric'"),
])
def test_what_is_no_metric_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        hx.Workflow("w").reducer(**given)(lambda_named())
    with pytest.raises(OperatorError, match="'higher' or 'lower'"):
        hx.metric("f1", better="more")  # type: ignore[arg-type]  # what is refused


def test_two_primary_metrics_are_refused() -> None:
    wf = hx.Workflow("w")
    wf.reducer(name="a", metrics=hx.metric("a", primary=True))(lambda_named())
    with pytest.raises(OperatorError, match=r"'a' and 'b\.f1'"):
        wf.reducer(name="b", metrics=[hx.metric("f1", primary=True)])(lambda_named())


def lambda_named() -> Any:
    def answer() -> float:
        return 1.0

    return answer


COUNTED = """
import helix_spark as hx

def study() -> hx.Workflow:
    wf = hx.Workflow("study")

    @wf.reducer(recompute=True)
    def given() -> float:
        return {given}

    @wf.reducer(output=True)
    def scores(given: float) -> dict:
        return {{"accuracy": given, "n": 3{more}}}

    return wf
"""


def test_a_new_number_in_a_dict_leaves_the_old_ones_comparable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = tmp_path / "study.py"
    for given, more in ((0.5, ""), (0.5, ', "f1": 0.1'), (0.75, ', "f1": 0.1'), (1.0, ', "f1": 0.2')):
        job.write_text(COUNTED.format(given=given, more=more))
        done = CliRunner().invoke(helix, ["run", str(job), "-q"])
        assert done.exit_code == 0, done.stderr
        if given == 0.75:
            assert "scores.accuracy  0.75  (was 0.5, +0.25)" in done.stdout
    changes = {name: one["change"] for name, one in json.loads(told("diff", "1", "3", "--json"))["metrics"].items()}
    assert changes["scores.accuracy"] == 0.25
    found = json.loads(told("diff", "3", "4", "--json"))["metrics"]
    assert (found["scores.accuracy"]["same_code"], found["scores.f1"]["same_code"]) == (False, False)  # both edited


def test_what_is_surely_no_metric_has_no_better_direction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.py").write_text(COUNTED.format(given=0.5, more=', "pairs": 7, "errors": 2, "share": 1.0'))
    assert CliRunner().invoke(helix, ["run", "study.py", "-q"]).exit_code == 0
    records = Catalog.open(tmp_path / "catalog", create=False)
    rows = listing_rows(records.iterations("study"), ())
    found = {name: listing(rows, metric=name) for name in rows[0].metrics.values}
    assert {name: one.trend.direction for name, one in found.items() if one.trend} == {
        "scores.accuracy": "higher", "scores.n": "", "scores.pairs": "", "scores.errors": "lower",
        "scores.share": "",
    }
    assert (found["scores.n"].best, found["scores.errors"].best) == (None, 1)
    assert "a count" in Pages(records, Links()).render_page(Pages(records, Links()).metrics("study"))


def test_numbers_on_other_test_rows_are_not_compared() -> None:
    def on(accuracy: float, **tested: Any) -> Metrics:
        return Metrics({"accuracy": accuracy}, measured_by={"accuracy": "a"}, tested={"accuracy": tested})

    now = on(0.9, data="d", split="s", rows=100)
    assert now.change_text("accuracy", on(0.8, data="d", split="s")) == "+0.1"
    assert now.change_text("accuracy", Metrics({"accuracy": 0.8})) == "+0.1"  # of an older record
    for other in ({"data": "e"}, {"split": "t"}, {"data": "d", "split": "s", "rows": 99}):
        assert now.change_text("accuracy", on(0.8, **other)) == "on other test rows"
        assert now.incomparable("accuracy", on(0.8, **other))


def test_a_number_of_training_rows_is_marked_wherever_it_is_shown(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog", create=True)
    plan = json.dumps({"doubts": {"accuracy": "on rows that `model` was fitted on"}})
    record = IterationRecord("0" * 32, "study", 1, "done", 1.0, outputs='{"accuracy": 0.94, "n": 3}', plan=plan)
    catalog.append_iteration(record)
    page = Pages(catalog, Links()).render_page(Pages(catalog, Links()).iterations())
    assert page.count('title="on rows that `model` was fitted on">!</abbr>') == 1
    assert "accuracy 0.94 (on rows" in told("log", "--catalog", str(tmp_path / "catalog"))
    log = told("log", "-v", "--catalog", str(tmp_path / "catalog"))
    assert "(on rows that `model` was fitted on)" in " ".join(log.split())
    assert [line.text for line in output_lines(metrics_of(record), None)] == [
        "0.94 (on rows that `model` was fitted on)", "3",
    ]
