"""What a function leaves behind for those that run after it in the same process: changed values, and filled memos."""

from __future__ import annotations

import functools
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.hermetic.action import Action, in_action
from helix_spark.planner.problem import State
from tests.fakes.observer import Warned
from tests.unit.project import Project

LIMITS = {"low": 1}


class Settings:
    factor = 2


@functools.cache
def words(path: str) -> int:
    return len(Path(path).read_text(encoding="utf-8").split())


@pytest.fixture(autouse=True)
def as_imported() -> Iterator[None]:
    yield
    LIMITS["low"], Settings.factor = 1, 2
    words.cache_clear()


def run(folder: Path, wf: hx.Workflow) -> tuple[Any, list[str]]:
    """Run as another process would, with all values as they are imported."""
    LIMITS["low"], Settings.factor = 1, 2
    heard = Warned()
    with hx.Helix(folder, observer=heard) as helix:
        last = helix.run(wf)
        last.wait()
    return last, heard.warnings


def leaving(changes: bool) -> hx.Workflow:
    wf = hx.Workflow("leaving")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0, 2.0]})))

    @wf.reducer
    def total(data: pd.DataFrame) -> float:
        if changes:
            LIMITS["low"] = 5
            Settings.factor = 7
        return float(data.a.sum())

    @wf.reducer
    def limited(total: float) -> float:
        return total + LIMITS["low"]

    @wf.reducer
    def scaled(limited: float) -> float:
        return limited * Settings.factor

    @wf.reducer(output=True)
    def shown(scaled: float) -> float:
        return scaled

    return wf


def test_what_reads_a_value_that_another_function_changed_is_not_kept_and_the_author_is_told(tmp_path: Path) -> None:
    first, warnings = run(tmp_path, leaving(True))
    assert first["shown"] == 56.0
    said = " / ".join(warnings)
    assert "`limited` is not kept, nor `total`, nor their descendants" in said
    assert "one of these changed what `limited` reads before it was computed (value `LIMITS['low']` 1 -> 5)" in said
    assert "`scaled` is not kept" in said
    again, _ = run(tmp_path, leaving(True))
    assert again["shown"] == 56.0
    assert {one.name for one in again.plan.nodes if one.state is State.COMPUTE} >= {"total", "limited", "scaled"}


def test_where_nothing_is_changed_all_is_kept(tmp_path: Path) -> None:
    first, warnings = run(tmp_path, leaving(False))
    assert (first["shown"], warnings) == (8.0, [])
    again, _ = run(tmp_path, leaving(False))
    assert not [one.name for one in again.plan.nodes if one.state is State.COMPUTE]


def test_an_action_that_could_not_look_again_leaves_its_turn_to_others() -> None:
    def fail() -> None:
        raise OSError("it is gone")

    failing = Action("one")
    failing.look_again = fail
    with pytest.raises(OSError, match="it is gone"), in_action(failing):
        pass
    done = []

    def act() -> None:
        with in_action(Action("other")):
            done.append("other")

    other = threading.Thread(target=act)
    other.start()
    other.join(3.0)
    assert done == ["other"]


def counting(file: Path) -> hx.Workflow:
    wf = hx.Workflow("counting")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0, 2.0]})))
    path = str(file)

    @wf.reducer(output=True)
    def first(data: pd.DataFrame) -> int:
        return words(path)

    @wf.reducer(output=True)
    def second(data: pd.DataFrame) -> int:
        return words(path) * 10

    return wf


def test_what_filled_a_memo_counts_for_all_that_it_answers(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("a b c", encoding="utf-8")
    words(str(file))  # while the module is imported, say
    first, _ = run(tmp_path / "catalog", counting(file))
    assert (first["first"], first["second"]) == (3, 30)
    file.write_text("a b", encoding="utf-8")
    words.cache_clear()  # as another process begins
    again, _ = run(tmp_path / "catalog", counting(file))
    assert (again["first"], again["second"]) == (2, 20)


class Kept:
    def __init__(self, path: Path) -> None:
        self.path = path

    @functools.cached_property
    def words(self) -> int:
        return len(self.path.read_text(encoding="utf-8").split())


def test_what_an_object_caches_counts_for_all_that_ask_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "words.txt"
    file.write_text("a b c", encoding="utf-8")
    monkeypatch.setitem(globals(), "kept", kept := Kept(file))
    for number in range(2):
        action = Action(f"{number}")
        with in_action(action):
            assert kept.words == 3
        assert str(file) in action.observed_inputs().files


NAME = "_".join(("", "one", "model"))
"""Of a variable that no other file mentions, this one included."""

LAZY = """
ONE = None

def one():
    global ONE
    if ONE is None:
        ONE = [1]
    return ONE
"""

LAZY_CLASS = """
class Model:
    ONE = None

    @classmethod
    def one(cls):
        if not cls.ONE:
            cls.ONE = [1]
        return cls.ONE

one = Model.one
"""

STATEFUL = {
    "set by another function": f"{LAZY}\ndef put():\n    global ONE\n    ONE = [2]\n",
    "read by another function": f"{LAZY}\ndef look():\n    return ONE\n",
    "set in any case": LAZY.replace("    return ONE", "    ONE = [*ONE]\n    return ONE"),
    "set where it is something": LAZY.replace("is None", "is None or True"),
    "used as the module is loaded": f"{LAZY}\nprint(ONE)\n",
    "mentioned by another module": f"import other\n{LAZY}",
    "of a class, read by a function": f"{LAZY_CLASS}\ndef look(): return Model.ONE\n",
}


def left_by(project: Project, text: str) -> object:
    """Return what a function has left in the variable behind an action."""
    other = f"import sys\ndef look(): return sys.modules['job'].{NAME}"
    job = project.write(job=text.replace("ONE", NAME), other=other).load()
    with in_action(Action("a")):
        assert job.one() == [1]
    return getattr(getattr(job, "Model", job), NAME)


@pytest.mark.parametrize("text", [LAZY, LAZY_CLASS], ids=["of a module", "of a class"])
def test_a_variable_that_is_made_once_is_made_anew_for_each_node(project: Project, text: str) -> None:
    assert left_by(project, text) is None


@pytest.mark.parametrize("how", STATEFUL)
def test_any_other_variable_stays_as_it_was_left(project: Project, how: str) -> None:
    assert left_by(project, STATEFUL[how]) == [1]


CACHES = {
    "in": "def one(k=1):\n  if k not in ONE:\n    ONE[k] = [k]\n  return ONE[k]",
    "an early return": "def one(k=1):\n  if k in ONE: return ONE[k]\n  made = ONE[k] = [k]\n  return made",
    "get": "def one(k=1):\n  made = ONE.get(k)\n  if made is None:\n    made = [k]\n    ONE[k] = made\n  return made",
    "setdefault": "def one(k=1): return ONE.setdefault(k, [k])",
    "KeyError": "def one(k=1):\n  try: return ONE[k]\n  except KeyError: ONE[k] = [k]\n  return ONE[k]",
}
"""Functions that use a dict as a cache, by how they find out what is absent."""

CHANNELS = {
    "counts": "def one(k=1):\n  ONE[k] = ONE.get(k, 0) + 1\n  return [ONE[k]]",
    "counts where it looks": "def one(k=1):\n  if k not in ONE: ONE[k] = 0\n  ONE[k] += 1\n  return [ONE[k]]",
    "is set in any case": "def one(k=1):\n  ONE[k] = [k]\n  return ONE[k]",
    "is told how large it is": f"{CACHES['in']}\ndef size(): return len(ONE)",
    "is filled by another function": f"{CACHES['in']}\ndef put(): ONE[2] = [2]",
    "is mentioned by another module": f"import other\n{CACHES['in']}",
    "is handed on": f"{CACHES['in']}\ndef look(): return ONE",
}


def left_in_dict(project: Project, text: str, other: str) -> object:
    """Return a copy of what a function has left in a dict behind an action."""
    job = project.write(job=f"ONE: dict = {{}}\n{text}".replace("ONE", NAME), other=other.replace("ONE", NAME)).load()
    with in_action(Action("a")):
        assert job.one() == [1]
    return dict(vars(job)[NAME])


@pytest.mark.parametrize("way", CACHES)
@pytest.mark.parametrize("other", ["", "ONE = {3: 4}\ndef f(): return ONE"], ids=["alone", "the name is elsewhere"])
def test_a_dict_that_is_only_a_cache_is_empty_again_for_each_node(project: Project, way: str, other: str) -> None:
    assert left_in_dict(project, f"import other\n{CACHES[way]}", other) == {}


@pytest.mark.parametrize("how", CHANNELS)
def test_any_other_dict_stays_as_it_was_left(project: Project, how: str) -> None:
    other = "import sys\ndef look(): return sys.modules['job'].ONE" if "module" in how else ""
    assert left_in_dict(project, CHANNELS[how], other) != {}


def test_nodes_that_share_a_cache_are_kept(project: Project, tmp_path: Path) -> None:
    lengths = project.write(job=f"ONE = {{}}\n{CACHES['in']}".replace("ONE", NAME)).load().one
    wf = hx.Workflow("cached")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0, 2.0]})))

    @wf.reducer(output=True)
    def first(data: pd.DataFrame) -> int:
        return int(lengths(1)[0])

    @wf.reducer(output=True)
    def second(data: pd.DataFrame) -> int:
        return int(lengths(2)[0])

    _, warnings = run(tmp_path / "catalog", wf)
    again, _ = run(tmp_path / "catalog", wf)
    assert warnings == []
    assert {again.plan[name].state for name in ("first", "second")} == {State.LOAD}


class Counter:
    calls = 0


KEPT: dict[str, Callable[[], Any]] = {
    "generator": lambda: random.Random(1), "list": list, "dict": dict, "object": Counter, "in a tuple": lambda: ([],),
    "iterator": lambda: iter(range(9)), "table": lambda: pd.DataFrame({"a": [1]}),
}
"""What a function may change for others."""


@pytest.mark.parametrize("decorate", [functools.cache, functools.lru_cache(maxsize=8)], ids=["cache", "lru_cache"])
@pytest.mark.parametrize("kind", KEPT)
def test_what_one_function_does_to_what_a_memo_keeps_reaches_no_other(
    monkeypatch: pytest.MonkeyPatch, kind: str, decorate: Callable[..., Any]
) -> None:
    def kept(_number: int = 0) -> Any:
        return KEPT[kind]()

    monkeypatch.setitem(globals(), "memo", memo := decorate(kept))
    for number in range(2):
        with in_action(Action(f"{number}")):
            first = memo(number)
            assert memo(number) is first
    with in_action(Action("another")):
        assert memo(1) is not first


@pytest.mark.parametrize("draw", [
    random.random, np.random.rand, lambda: str(uuid.uuid4()), lambda: float(np.random.default_rng().random()),
], ids=["random", "numpy", "entropy", "a generator"])
def test_what_a_memo_keeps_of_a_draw_reaches_no_other(monkeypatch: pytest.MonkeyPatch, draw: Callable[[], Any]) -> None:
    """A node that draws gets the numbers of its own seed, whether or not another one ran before it."""
    monkeypatch.setitem(globals(), "memo", memo := functools.cache(lambda: draw()))
    with in_action(Action("first")):
        first = memo()
        assert memo() is first
    with in_action(second := Action("second")):
        after_another = memo()
    assert second.drew
    memo.cache_clear()
    with in_action(Action("second")):
        assert memo() == after_another != first


def test_where_its_own_file_lies_does_not_make_code_depend_on_all_of_that_file(tmp_path: Path) -> None:
    wf = hx.Workflow("beside")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))

    @wf.reducer(output=True)
    def beside(data: pd.DataFrame) -> str:
        return Path(__file__).parent.name

    first, _ = run(tmp_path, wf)
    assert first["beside"] == "unit"
    with hx.Helix(tmp_path) as helix:
        (node,) = (one for one in helix.catalog.snapshot("beside").nodes if one.name == "beside")
    assert "test_left_behind.py" not in node.parts
