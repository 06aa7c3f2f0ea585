"""Secrets of a run stay with its user: none stands in a command line, or in a file that others may read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.seen_secrets import PROGRAMS, Program, seen_secrets


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: " ".join(program.words))
def test_no_other_user_sees_the_secrets_of_a_program(tmp_path: Path, program: Program) -> None:
    assert seen_secrets(tmp_path, program) == []
