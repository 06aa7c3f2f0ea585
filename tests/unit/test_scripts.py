"""The scripts of edits fit the jobs' texts, keep the mix, and name what a careful person keeps."""

from __future__ import annotations

import ast
from collections import Counter
from itertools import pairwise

import pytest

from benchmarks.scripts import (
    DRAWN,
    KINDS,
    LENGTH,
    NAMES,
    Version,
    draw,
    order,
    original_texts,
    versions,
    workload_named,
)


def texts_of(name: str, script: int) -> list[Version]:
    return list(versions(workload_named(name), script))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("script", [0, *DRAWN])
def test_every_edit_fits_and_leaves_python(name: str, script: int) -> None:
    made = texts_of(name, script)
    assert len(made) == LENGTH + 1
    for before, after in pairwise(made):
        assert after.job != before.job, after.edit
        assert after.plain != before.plain, after.edit
        ast.parse(after.job)
        ast.parse(after.plain)


@pytest.mark.parametrize("name", NAMES)
def test_every_edit_of_the_pool_fits_alone(name: str) -> None:
    workload, texts = workload_named(name), original_texts(name)
    for edit in workload.pool:
        assert {which for which, _ in edit.changes} == set(texts), edit.name
        assert all(texts[which].count(old) == 1 for which, old in edit.changes), edit.name
        assert set(edit.stale) <= set(workload.kept), edit.name
        assert edit.kind != "post-processing" or not edit.stale, edit.name
        assert edit.kind != "preparation" or edit.stale, edit.name


@pytest.mark.parametrize("name", NAMES)
def test_the_main_script_has_the_mix(name: str) -> None:
    workload = workload_named(name)
    kinds = {edit.name: edit.kind for edit in workload.pool}
    counted = Counter(kinds.get(edit, "back") for edit in workload.main)
    assert counted["back"] == 1
    assert all(counted[kind] == 3 for kind in KINDS)


@pytest.mark.parametrize("name", NAMES)
def test_going_back_brings_back_texts_and_names(name: str) -> None:
    made = texts_of(name, 0)
    place = next(number for number, edit in enumerate(order(workload_named(name), 0)) if edit.startswith("back "))
    earlier = made[int(order(workload_named(name), 0)[place].removeprefix("back "))]
    later = made[place + 1]
    assert (later.job, later.plain, later.keys) == (earlier.job, earlier.plain, earlier.keys)


def test_drawn_scripts_are_the_same_each_time_and_differ() -> None:
    workload = workload_named("census")
    assert draw(workload, 1) == draw(workload, 1)
    assert len({tuple(draw(workload, seed)) for seed in DRAWN}) == len(DRAWN)
