"""A node's function runs in the author's own context: what its file set holds for it, and counts."""

from __future__ import annotations

import random
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from decimal import Decimal, getcontext, localcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.hermetic.generators import AuthorSeeds
from helix_spark.hermetic.thread_context import ThreadContext
from helix_spark.run.iteration import Iteration

CHOSEN: ContextVar[int] = ContextVar("CHOSEN", default=0)
OWN = threading.local()


def scikit_learn() -> Any:
    """Import scikit-learn here, not at the top: it takes a second, which processes without these tests save."""
    import sklearn

    return sklearn


@contextmanager
def chosen(value: int) -> Iterator[None]:
    token = CHOSEN.set(value)
    try:
        yield
    finally:
        CHOSEN.reset(token)


def divides() -> str:
    try:
        return str(np.array([1.0]) / 0)
    except FloatingPointError:
        return "raises"


CONTEXTS: dict[str, tuple[Callable[[int], Any], Callable[[], Any]]] = {
    "decimal": (lambda turn: localcontext(prec=6 + turn), lambda: str(Decimal(1) / 7)),
    "numpy's print options": (lambda turn: np.printoptions(precision=3 + turn), lambda: str(np.array([1 / 7]))),
    "numpy's error state": (lambda turn: np.errstate(divide=("raise", "ignore")[turn]), divides),
    "scikit-learn's configuration": (
        lambda turn: scikit_learn().config_context(working_memory=7 + turn),
        lambda: scikit_learn().get_config()["working_memory"],
    ),
    "options of pandas": (
        lambda turn: pd.option_context("display.precision", 2 + turn), lambda: str(pd.Series([1 / 7]))
    ),
    "a variable of the author's": (lambda turn: chosen(7 + turn), lambda: CHOSEN.get()),
}

SHORT = ("decimal", "options of pandas", "numpy", "random")
"""A context variable, and what a library keeps in a module of its own; a generator of each library's own."""


def run(folder: Path, function: Callable[[], Any]) -> Iteration:
    workflow = hx.Workflow("w")

    @workflow.reducer(output=True)
    def found() -> object:
        return function()

    with hx.Helix(folder / "catalog") as helix:
        return helix.run(workflow)


@pytest.mark.parametrize(("enter", "function"), [
    pytest.param(*case, id=name, marks=[] if name in SHORT else pytest.mark.long) for name, case in CONTEXTS.items()
])
def test_what_the_author_set_holds_in_the_first_run_and_counts(
    tmp_path: Path, enter: Callable[[int], Any], function: Callable[[], Any]
) -> None:
    signatures = set()
    for turn in (0, 1):
        with enter(turn):
            first, again = run(tmp_path, function), run(tmp_path, function)
            assert first["found"] == again["found"] == function()
            assert first.plan["found"].signature == again.plan["found"].signature
            signatures.add(first.plan["found"].signature)
    assert len(signatures) == 2


def test_what_one_call_in_another_thread_sets_is_its_own() -> None:
    def changes() -> int:
        getcontext().prec, before = 3, getcontext().prec
        scikit_learn().set_config(working_memory=3)
        CHOSEN.set(3)
        return before

    with ExitStack() as stack:
        for context in (localcontext(prec=9), scikit_learn().config_context(working_memory=9), chosen(9)):
            stack.enter_context(context)  # type: ignore[arg-type]  # of three kinds
        author, seen = ThreadContext(), []

        def calls() -> None:
            for _ in range(2):
                seen.append(author.call(changes))
            seen.append(author.call(lambda: scikit_learn().get_config()["working_memory"]))

        thread = threading.Thread(target=calls)
        thread.start()
        thread.join()
        assert seen == [9, 9, 9]
        assert (getcontext().prec, scikit_learn().get_config()["working_memory"], CHOSEN.get()) == (9, 9, 9)


def test_a_connection_of_the_author_s_thread_stays_its_own() -> None:
    OWN.connection, OWN.rate = sqlite3.connect(":memory:"), 3
    found: list[tuple[bool, Any]] = []
    author = ThreadContext()
    thread = threading.Thread(target=author.call, args=(
        lambda: found.append((hasattr(OWN, "connection"), getattr(OWN, "rate", None))),
    ))
    thread.start()
    thread.join()
    OWN.connection.close()
    assert found == [(False, 3)]


DRAWS: dict[str, tuple[Callable[[int], Any], Callable[[], Any]]] = {
    "random": (random.seed, lambda: [random.random(), random.gauss()]),
    "numpy": (np.random.seed, lambda: np.random.rand(2).tolist()),
    "numpy's, by a state": (
        lambda seed: np.random.set_state(np.random.RandomState(seed).get_state()), lambda: np.random.rand(2).tolist(),
    ),
    "a sample": (np.random.seed, lambda: pd.Series(range(50)).sample(3).tolist()),
}


@pytest.mark.parametrize(("seed", "draw"), [
    pytest.param(*case, id=name, marks=[] if name in SHORT else pytest.mark.long) for name, case in DRAWS.items()
])
def test_a_generator_that_the_author_seeded_is_an_input(
    tmp_path: Path, seed: Callable[[int], Any], draw: Callable[[], Any]
) -> None:
    unseeded = run(tmp_path, draw)
    assert "Helix seeds its random numbers" in run(tmp_path, draw).plan["found"].reason
    signatures = [unseeded.plan["found"].signature]
    for number in (1, 2):
        seed(number)
        plain = draw()
        seed(number)
        first, again = run(tmp_path, draw), run(tmp_path, draw)
        assert first["found"] == again["found"] == draw() == plain != unseeded["found"]
        assert first.plan["found"].signature == again.plan["found"].signature
        assert "Helix seeds its random numbers" not in again.plan["found"].reason
        signatures.append(first.plan["found"].signature)
    assert len(set(signatures)) == 3
    seed(1)
    assert run(tmp_path, draw).plan["found"].signature == signatures[1]


def test_a_seed_does_not_count_for_what_draws_nothing(tmp_path: Path) -> None:
    signatures = set()
    for seed in (1, 2):
        random.seed(seed)
        signatures.add(run(tmp_path, lambda: 1).plan["found"].signature)
    assert len(signatures) == 1


def test_draws_without_a_seed_leave_it_to_helix(tmp_path: Path) -> None:
    def draw() -> float:
        return random.random() + float(np.random.rand())

    first = run(tmp_path, draw)
    _ = [random.random() for _ in range(2_000)], np.random.rand(2_000)
    assert run(tmp_path, draw).plan["found"].signature == first.plan["found"].signature
    assert first["found"] == run(tmp_path / "elsewhere", draw)["found"]


def test_a_seed_that_the_next_text_of_a_file_does_not_have_is_gone() -> None:
    seeds = AuthorSeeds()
    seeds.look()
    before = random.getstate()
    random.seed(3)
    seeds.hold("a command")
    random.random()  # the command's own draw
    assert seeds.state("random") == random.Random(3).getstate()
    seeds.begin_loading("a command")
    assert random.getstate() == before
    seeds.look()
    assert seeds.state("random") is None


def test_a_notebook_s_thread_local_values_are_carried_over(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = ModuleType("__main__")  # it has no file
    vars(notebook).update(threading=threading, OWN=(own := threading.local()))
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    own.scale = 10
    context = ThreadContext()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(context.call, lambda: own.scale).result() == 10
