"""What the author's Python draws follows from its node: in any process it is the same, and it is reused."""

from __future__ import annotations

import json
import os
import random
import secrets
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.ml.util import Identifiable

import helix_spark as hx
from helix_spark.hermetic.action import Action, abandon, in_action, others_first
from helix_spark.hermetic.generators import default_seed
from helix_spark.planner.problem import State

ROWS = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0]})

DRAWS: dict[str, Callable[[], Any]] = {
    "random": random.random, "numpy": lambda: float(np.random.rand()),
    "generator without a seed": lambda: float(np.random.default_rng().random()),
    "Random without a seed": lambda: random.Random().random(), "urandom": lambda: os.urandom(8).hex(),
    "secrets": lambda: secrets.token_hex(8), "SystemRandom": lambda: random.SystemRandom().random(),
    "uuid4": lambda: str(uuid.uuid4()), "reseeded": lambda: (random.seed(), random.random())[1],  # type: ignore[func-returns-value]
    "sample": lambda: list(ROWS.a.sample(2)), "RandomState": lambda: float(np.random.RandomState().rand()),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_draw_follows_from_the_seed_and_all_is_put_back(draw: Callable[[], Any]) -> None:
    found = []
    before = random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tobytes()
    for seed in ("a", "a", "b"):
        action = Action(seed)
        with in_action(action):
            found.append((draw(), draw()))
        assert action.drew
    assert found[0] == found[1] != found[2]
    assert found[0][0] != found[0][1]
    assert (random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tobytes()) == before
    assert len({str(draw()) for _ in range(20)}) > 1
    assert os.urandom.__module__ == "posix"


def test_functions_of_several_nodes_in_one_task_draw_as_they_would_alone() -> None:
    # In a process of its own, as a worker is: threads that other tests left behind would draw meanwhile.
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    run = "from tests.fakes.task_context import draw_in_one_task; draw_in_one_task()"
    done = subprocess.run([sys.executable, "-c", run], env=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_seeded_by_the_author_is_what_it_would_be() -> None:
    with in_action(Action("a")):
        assert random.Random(7).random() == random.Random(7).random()
        random.seed(7)
        seeded = random.random()
    random.seed(7)
    assert random.random() == seeded


def test_what_draws_nothing_is_told_so() -> None:
    action = Action("a")
    with in_action(action):
        assert sum(range(3)) == 3
    assert not action.drew


DRAWN = """
import sys
from helix_spark.hermetic.action import Action, in_action
if {first}:
    import numpy.random
with in_action(Action("a")):
    import numpy as np
    print(np.random.default_rng().random(), np.random.rand())
"""


def test_a_draw_is_the_same_where_its_library_was_imported_before() -> None:
    drawn = [
        subprocess.run([sys.executable, "-c", DRAWN.format(first=first)], capture_output=True, text=True, check=True)
        for first in (True, False)
    ]
    assert drawn[0].stdout == drawn[1].stdout != ""


PROGRAM = """
import os
from helix_spark.hermetic.action import Action, in_action
made = Action("a")
with in_action(made):
    print(os.urandom(4))
print(made.drew)
"""


def test_a_draw_is_the_same_where_the_program_is_imported_itself(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    drawn = [
        subprocess.run([sys.executable, "-c", run], env=here, capture_output=True, text=True, check=True).stdout
        for run in (PROGRAM, "import program")
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0].endswith("True\n")


def test_identifiers_of_stages_are_no_draws() -> None:
    identifiers = []
    for _ in range(2):
        action = Action("a")
        with in_action(action):
            identifiers.append([Identifiable().uid, Identifiable().uid])
        assert not action.drew
    assert identifiers[0] == identifiers[1]
    assert len(set(identifiers[0])) == 2


def test_another_thread_draws_from_the_system_and_one_that_the_function_starts_does_not() -> None:
    found: list[str] = []
    may_draw, has_drawn = threading.Event(), threading.Event()

    def draw() -> None:
        may_draw.wait(10)
        found.append(os.urandom(8).hex())
        has_drawn.set()

    thread = threading.Thread(target=draw)
    thread.start()
    with in_action(Action("a")):
        may_draw.set()
        assert has_drawn.wait(10)
    thread.join()
    with in_action(Action("a")):
        assert os.urandom(8).hex() not in found


def test_actions_take_turns_and_one_that_waits_lets_others_go_first() -> None:
    alone = []
    for _ in range(2):
        with in_action(Action("a")):
            alone.append([random.random() for _ in range(3)])
    drawn: list[float] = []

    def other() -> None:
        with in_action(Action("b")):
            random.random()

    with in_action(Action("a")):
        drawn.append(random.random())
        thread = threading.Thread(target=other)
        thread.start()
        drawn.append(random.random())
        with others_first():
            thread.join(10)
        drawn.append(random.random())
    assert drawn == alone[0] == alone[1]


def test_an_action_that_was_left_behind_keeps_nobody_waiting() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def hanging() -> None:
        with in_action(Action("a")):
            begun.set()
            may_end.wait(30)

    thread = threading.Thread(target=hanging)
    thread.start()
    begun.wait(10)
    abandon()
    with in_action(Action("b")):
        may_end.set()
    thread.join(10)


def drawing(weight: int = 1, **wishes: Any) -> hx.Workflow:
    wf = hx.Workflow("drawing")
    wf.source("data", hx.table(ROWS))

    @wf.reducer(keep="always", **wishes)
    def drawn(data: pd.DataFrame) -> list[float]:
        return [random.random(), float(np.random.default_rng().random())]

    @wf.reducer(output=True)
    def total(drawn: list) -> list:  # type: ignore[type-arg]
        return [weight, *drawn]

    return wf


def run(folder: Path, workflow: hx.Workflow) -> Any:
    """As a process of its own."""
    with hx.Helix(folder) as helix:
        return helix.run(workflow)


def test_a_draw_is_the_same_from_scratch_and_stands_after_an_edit(tmp_path: Path) -> None:
    first, elsewhere = run(tmp_path / "a", drawing()), run(tmp_path / "b", drawing())
    assert first["total"] == elsewhere["total"]
    edited = run(tmp_path / "a", drawing(2))
    assert edited["total"] == [2, *first["total"][1:]]
    planned = edited.plan["drawn"]
    assert planned.state is State.LOAD
    assert planned.random == ()
    assert "Helix seeds its random numbers" in planned.reason


HELD: dict[str, Callable[[int], Any]] = {
    "Generator": np.random.default_rng, "RandomState": np.random.RandomState, "Random": random.Random,
    "Philox": lambda seed: np.random.Generator(np.random.Philox(seed)), "in a dict": lambda seed: random.Random(seed),
}


def held(kind: str, seed: int = 1, weight: int = 1) -> hx.Workflow:
    """Two nodes that draw from one generator, of which the edit of a weight computes one."""
    made = HELD[kind](seed)
    known = {"generator": made} if kind == "in a dict" else made
    wf = hx.Workflow("held")
    wf.source("data", hx.table(ROWS))

    @wf.reducer(output=True, keep="always")
    def one(data: pd.DataFrame) -> list[float]:
        generator: Any = known["generator"] if isinstance(known, dict) else known
        return [float(generator.random()) for _ in range(2)]

    @wf.reducer(output=True, keep="always")
    def two(data: pd.DataFrame) -> list[float]:
        generator: Any = known["generator"] if isinstance(known, dict) else known
        return [weight * float(generator.random()) for _ in range(3)]

    return wf


@pytest.mark.parametrize("kind", HELD)
def test_each_node_begins_with_a_generator_as_its_file_has_left_it(tmp_path: Path, kind: str) -> None:
    expected: Any = HELD[kind](1)
    drawn = [float(expected.random()) for _ in range(3)]
    workflow = held(kind)
    for _ in range(2):
        first = run(tmp_path / "a", workflow)
        assert (first["one"], first["two"]) == (drawn[:2], drawn)
    assert first.plan["one"].state is State.LOAD
    edited = run(tmp_path / "a", held(kind, weight=2))
    assert (edited["one"], edited["two"]) == (drawn[:2], [2 * one for one in drawn])
    assert [edited.plan[name].state for name in ("one", "two")] == [State.LOAD, State.COMPUTE]
    seeded = run(tmp_path / "a", held(kind, seed=2))
    assert seeded["one"] != drawn[:2]
    assert "made" in seeded.plan["one"].reason or "known" in seeded.plan["one"].reason


def test_what_a_node_spawns_from_a_generator_is_spawned_by_no_other(tmp_path: Path) -> None:
    generator: Any = np.random.default_rng(1)
    if not hasattr(generator, "spawn"):
        pytest.skip("numpy before 1.25 spawns by seed sequences alone")
    wf = hx.Workflow("spawned")
    wf.source("data", hx.table(ROWS))

    @wf.reducer(output=True)
    def one(data: pd.DataFrame) -> float:
        return float(generator.spawn(1)[0].random())

    @wf.reducer(output=True)
    def two(one: float) -> float:
        return one - float(generator.spawn(1)[0].random())

    run(tmp_path, wf)
    assert run(tmp_path, wf).plan["two"].state is State.COMPUTE


def test_a_fresh_draw_is_another_one_in_each_run(tmp_path: Path) -> None:
    first, second = (run(tmp_path, drawing(fresh=True)) for _ in range(2))
    assert first["total"] != second["total"]
    assert "you asked for a new draw" in second.plan["drawn"].reason


def test_stages_without_a_seed_take_one_from_the_name_of_their_class() -> None:
    from pyspark.ml.param.shared import HasSeed

    class Noise(HasSeed):
        pass

    assert Noise().getSeed() == default_seed("Noise")


JOB = """
import helix_spark as hx
import pandas as pd

def words() -> hx.Workflow:
    wf = hx.Workflow("words")
    wf.source("data", hx.table(pd.DataFrame({"a": [1]})))

    @wf.reducer(output=True)
    def order(data: pd.DataFrame) -> str:
        return "".join({"a", "b", "c", "d", "e", "f", "g", "h"})

    return wf

if __name__ == "__main__":
    hx.main(words)
"""


@pytest.mark.slow
def test_commands_order_sets_alike(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    found = set()
    for number, command in enumerate((["job.py"], ["-m", "helix_spark", "run", "job.py"])):
        done = subprocess.run(
            [sys.executable, *command, "--catalog", str(tmp_path / str(number)), "--json"], cwd=tmp_path,
            env=surroundings, capture_output=True, text=True, check=True,
        )
        found.add(json.loads(done.stdout)["outputs"]["order"])
    assert len(found) == 1


def test_a_thread_that_ended_in_the_middle_of_its_turn_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    from helix_spark.hermetic import action

    monkeypatch.setattr(action, "_LOOK_SECONDS", 0.05)

    begun = []

    def begin_and_end() -> None:
        begun.append(action.in_action(action.Action("a")))
        begun[0].__enter__()

    thread = threading.Thread(target=begin_and_end)
    thread.start()
    thread.join()
    with action.in_action(action.Action("b")):
        pass


def test_an_ident_that_is_given_again_does_not_make_a_thread_work_for_an_action() -> None:
    from helix_spark.hermetic import action

    left = action.Action("a")

    def begin_and_end() -> None:
        begun.append(action.in_action(left))
        begun[0].__enter__()

    begun: list[Any] = []
    found = []
    first = threading.Thread(target=begin_and_end)
    first.start()
    first.join()
    action.abandon()
    for _ in range(20):  # an ident is given again at once, mostly
        thread = threading.Thread(target=lambda: found.append(action.current()))
        thread.start()
        thread.join()
    assert found == [None] * 20
