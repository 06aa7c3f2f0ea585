"""What small programs build of stand-ins: another pyspark that builds something else is told at once. Programs that
say the same in other words have one identity, others have another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from captured_programs import different, equal, plans, programs
from captured_programs.drawn import PROGRAMS, Program, said_otherwise
from captured_programs.identities import captured, identity
from hypothesis import given

from helix_spark.capture.captured_function import CapturedFunction

PLANS = plans.on_record()
NOT_CAPTURED = {
    "tables.grouped_by_expression": "pyspark asks which columns are numbers",
    "python_code.table_function": "a class that was declared for classic sessions",
    "ml_stages.tokenized": "a stage that asks Spark for its words",
}


@pytest.mark.parametrize("name", [name for name in programs() if name not in NOT_CAPTURED])
def test_pyspark_builds_what_it_built(name: str) -> None:
    assert plans.text(programs()[name]) == PLANS[name]


def test_no_program_is_missing() -> None:
    assert set(PLANS) == set(programs()) - set(NOT_CAPTURED)


@pytest.mark.parametrize("pair", [pytest.param(pair, id=name) for name, pair in equal.ALL.items()])
def test_other_words_have_one_identity(pair: equal.Pair) -> None:
    one, other = pair
    assert identity(one) == identity(other)


@pytest.mark.parametrize("pair", [pytest.param(pair, id=name) for name, pair in different.ALL.items()])
def test_another_meaning_is_another_identity(pair: different.Pair) -> None:
    one, other = pair
    assert identity(one) != identity(other)


def test_identities_are_those_of_another_process() -> None:
    """Hashes of texts differ in each, and pyspark counts plans and variables from where it is."""
    unit = Path(__file__).parent

    def printed(seed: str) -> list[str]:
        folders = os.pathsep.join([str(unit), str(unit.parents[1])])
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "captured_programs.identities"], capture_output=True, text=True,
            check=True, env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": folders}, cwd=unit,
        )
        return done.stdout.splitlines()

    first, second = printed("1"), printed("2")
    assert len(first) > 600
    assert first == second
    here = programs()
    told = dict(line.split("\t") for line in first)
    assert {name: told[name] for name in PLANS} == {name: identity(here[name]) for name in PLANS}


@given(PROGRAMS)
def test_a_program_called_again_has_its_identity(program: Program) -> None:
    assert identity(program) == identity(program)


@given(said_otherwise())
def test_a_plan_is_as_it_was_after_its_identity_was_told(pair: tuple[Program, Program]) -> None:
    built = captured(pair[0])
    assert isinstance(built, CapturedFunction)
    before = built.plan.SerializeToString(deterministic=True)
    built.identity([])
    assert built.plan.SerializeToString(deterministic=True) == before
