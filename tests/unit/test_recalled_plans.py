"""A function of tables that is slow to call is not called while all that it is made of, and reads, is as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from project import Project

import helix_spark as hx
from helix_spark.capture import connect_client
from helix_spark.capture.capture_nodes import capture_nodes
from helix_spark.capture.captured_function import BuiltFunction
from helix_spark.catalog.catalog import Catalog
from helix_spark.dag.compilation import compile_workflow
from helix_spark.hermetic.action import actions_to_come
from helix_spark.iteration import recalled_plans
from helix_spark.iteration.answered_before import AnsweredBefore
from helix_spark.iteration.recalled_plans import RecalledPlans
from helix_spark.planner.plan import PlannedNode
from helix_spark.signature.node_description import Description, describe
from helix_spark.views.plan_view import plan_view

SETTINGS = {"spark.sql.ansi.enabled": "true"}

JOB = """
import os
from pathlib import Path
import helix_spark as hx
from helix_spark import Workflow
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from words import cleaned

LEAST = 3

def rows(data: DataFrame) -> DataFrame:
    return data.select("n", "word")

def known(rows: DataFrame, most: int = 9) -> DataFrame:
    print("called")
    words = Path("words.txt").read_text().split()
    kept = rows.where(F.col("n").between(LEAST, most) & F.col("word").isin(cleaned(words)))
    return kept.withColumn("of", F.lit(os.environ.get("OF_TEST", "")))

def job(share: float = 0.5) -> Workflow:
    wf = Workflow("slow")
    wf.source("data", hx.csv("data.csv", schema="n int, word string"))
    wf.scanner(rows)
    wf.scanner(known)
    wf.output("known")
    return wf
"""
HELPER = "def cleaned(words):\n    return sorted(word.lower() for word in words)\n"


@pytest.fixture
def folder(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr("helix_spark.capture.captured_function.SLOW_SECONDS", 0.0)
    monkeypatch.setattr(recalled_plans, "_read_here", {})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("one two")
    (tmp_path / "data.csv").write_text("1,one\n")
    return project.write(job=JOB, words=HELPER)


class Plans:
    """Plans a project's workflow again and again, each as a run would that put on record what it found out.

    Attributes:
        recalled: whether `known` was not called by the last plan.
    """

    def __init__(self, project: Project, printed: Callable[[], str]) -> None:
        self.project, self.printed = project, printed
        self.catalog = Catalog.open(project.folder / "catalog", create=True)
        self.catalog.make()
        self.recalled = False

    def plan(self, settings: dict[str, str] | None = None) -> Description:
        """What `known` is."""
        settings = SETTINGS if settings is None else settings
        answers = AnsweredBefore(self.catalog, "slow", settings)
        self.printed()
        with actions_to_come():
            dag = capture_nodes(compile_workflow(self.project.load().job()), settings, RecalledPlans(answers, settings))
        calls = self.printed().count("called")
        operator = dag["known"].operator
        assert isinstance(operator, BuiltFunction)
        self.recalled = operator.built.uncalled is not None
        assert calls == (0 if self.recalled else 1)
        self.catalog.answers.append(answers.records(1, (), ()))
        return describe(dag, settings)["known"]

    def until_recalled(self) -> Description:
        first, second, third = self.plan(), self.plan(), self.plan()
        assert self.recalled
        assert first.parts == second.parts == third.parts
        return third


@pytest.fixture
def plans(folder: Project, capsys: pytest.CaptureFixture[str]) -> Plans:
    return Plans(folder, lambda: capsys.readouterr().out)


def test_what_it_builds_is_recalled_as_it_would_be_called(plans: Plans) -> None:
    first, second = plans.plan(), plans.plan()
    assert "plans call it until a run or two have put on record what it builds" in first.warnings[0]
    assert first == second
    third = plans.plan()
    assert plans.recalled
    assert third.parts == first.parts, "their texts are the same, too"
    assert not third.warnings


def edited(**modules: tuple[str, str]) -> Callable[[Project], None]:
    def edit(project: Project) -> None:
        for name, (before, after) in modules.items():
            text = (project.folder / f"{name}.py").read_text()
            assert before in text
            project.write(**{name: text.replace(before, after)})

    return edit


def in_file(name: str, text: str) -> Callable[[Project], None]:
    def edit(project: Project) -> None:
        (project.folder / name).write_text(text)

    return edit


EDITS: dict[str, Callable[[Project], None]] = {
    "a constant": edited(job=("LEAST = 3", "LEAST = 4")),
    "a default": edited(job=("most: int = 9", "most: int = 8")),
    "its text": edited(job=('"of", F', '"from", F')),
    "a helper in another file": edited(words=("word.lower()", "word.upper()")),
    "a file": in_file("words.txt", "one two three"),
    "upstream columns": edited(job=('data.select("n", "word")', 'data.select("n", "word", F.lit(1).alias("m"))')),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_it_rests_on_has_it_called_again(plans: Plans, name: str) -> None:
    before = plans.until_recalled()
    EDITS[name](plans.project)
    after = plans.plan()
    assert not plans.recalled
    assert (after.parts != before.parts) == (name != "upstream columns"), "what it builds does not rest on these"
    assert plans.plan().parts == after.parts
    assert plans.recalled, "it is known to be slow by then"


def test_variables_and_settings_have_it_called_again(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    before = plans.until_recalled()
    monkeypatch.setenv("OF_TEST", "b")
    assert plans.plan().parts != before.parts
    assert not plans.recalled
    monkeypatch.delenv("OF_TEST")
    plans.plan({"spark.sql.ansi.enabled": "false"})
    assert not plans.recalled


def test_another_working_folder_has_other_files(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    before = plans.until_recalled()
    (plans.project.folder / "other").mkdir()
    monkeypatch.chdir(plans.project.folder / "other")
    Path("words.txt").write_text("three")
    Path("data.csv").write_text("1,one\n")
    assert plans.plan().parts != before.parts
    assert not plans.recalled


def test_lines_above_it_move_the_lines_of_its_plan(plans: Plans) -> None:
    before = plans.until_recalled()
    edited(job=("LEAST = 3", "LEAST = 3\n# a line more"))(plans.project)
    moved = plans.plan()
    assert plans.recalled
    shown, now = before.parts[-1].shown or "", moved.parts[-1].shown or ""
    assert shown != now
    plans.catalog = Catalog.open(plans.project.folder / "empty", create=True)
    plans.catalog.make()
    assert plans.plan().parts == moved.parts
    assert not plans.recalled


NEVER: dict[str, tuple[str, str]] = {
    "the clock": ('print("called")', 'print("called"); import time; time.time()'),
    "a process": ('print("called")', 'print("called"); import subprocess; subprocess.run(["true"])'),
    "a draw": ('print("called")', 'print("called"); import random; random.random()'),
    "a file that it writes": ('print("called")', 'print("called"); Path("left.txt").write_text("a")'),
    "a variable that it sets": ('print("called")', 'print("called"); os.environ["OF_TEST_SET"] = "a"'),
    "a global that it changes": ('print("called")', 'print("called"); SEEN.append(1)'),
    "a Python function in its plan": (
        'F.lit(os.environ.get("OF_TEST", ""))', "F.udf(lambda n: n + 1)(F.col('n'))",
    ),
}


@pytest.mark.parametrize("edit", NEVER.values(), ids=NEVER)
def test_what_cannot_be_told_has_it_called_each_time(
    plans: Plans, edit: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_TEST_SET", "")
    edited(job=edit)(plans.project)
    edited(job=("LEAST = 3", "LEAST = 3\nSEEN = []"))(plans.project)
    for _ in range(4):
        told = plans.plan()
        assert not plans.recalled
    assert "each plan calls it, as " in told.warnings[0]


def test_what_a_cache_holds_of_earlier_calls_has_it_called(plans: Plans) -> None:
    cached = "@functools.cache\ndef loaded():\n    return Path('words.txt').read_text().split()"
    edited(job=("def rows", f"import functools\n{cached}\n\ndef rows"))(plans.project)
    edited(job=('Path("words.txt").read_text().split()', "loaded()"))(plans.project)
    plans.until_recalled()
    job = plans.project.load()
    job.loaded()
    plans.project.load = lambda name="job": job  # type: ignore[method-assign]
    plans.plan()
    assert not plans.recalled


def test_a_call_that_reads_less_than_one_before_it_is_not_recalled(plans: Plans) -> None:
    """A library may hold what the one before it read."""
    plans.plan()
    edited(job=('Path("words.txt").read_text().split()', '["one", "two"]'))(plans.project)
    for _ in range(3):
        told = plans.plan()
        assert not plans.recalled
    assert "reads less" in told.warnings[0]


def test_a_record_that_is_none_of_ours_is_not_recalled(plans: Plans) -> None:
    plans.until_recalled()
    records = list(plans.catalog.answers.records())
    damages = ('"plan": "', '"plan": "AAAA'), ('"sort": "Relation"', '"sort": "Plan"'), ('"own": null', '"own": "1"')
    for damage in damages:
        broken = [replace(one, answer=one.answer.replace(*damage)) for one in records]
        plans.catalog.answers.append(broken)
        plans.plan()
        assert not plans.recalled


def test_what_a_new_process_makes_is_no_draw_of_the_functions(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    plans.plan()
    monkeypatch.setattr(connect_client, "_made", cache(connect_client._made.__wrapped__))
    assert not plans.plan().drew
    plans.plan()
    assert plans.recalled


def test_a_plan_says_what_it_did_not_call(plans: Plans) -> None:
    with hx.Helix(plans.project.folder / "catalog", settings=SETTINGS) as helix:
        settings = dict(helix.sessions.settings_that_change_results())
        for _ in range(3):
            plans.plan(settings)
        assert plans.recalled
        plan = helix.plan(plans.project.load().job())
    node: PlannedNode = plan["known"]
    assert node.uncalled > 0
    assert any("`known` was not called" in note for note in plan_view(plan).notes)
