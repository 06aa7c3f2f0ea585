"""The plans on record in `plans.txt`: canonical, as text, by the names of their programs.

    python -m tests.unit.captured_programs.plans        # writes them anew
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from helix_spark.plans.captured_function import CapturedFunction
from helix_spark.plans.current_program import UDF
from helix_spark.plans.plan_identity import canonical
from tests.unit.captured_programs import programs
from tests.unit.captured_programs.identities import captured
from tests.unit.captured_programs.plan_text import text_of

_PYTHON = ".".join(map(str, sys.version_info[:2]))
"""Plans on record are of no Python: they differ in nothing else."""

_FILE = Path(__file__).with_name("plans.txt")


def on_record() -> Mapping[str, str]:
    """By the name of a program, its plan."""
    lines = _FILE.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t", 1) for line in lines if line)


def text(program: Callable[..., Any]) -> str:
    """The plan that a program builds now."""
    built = captured(program)
    assert isinstance(built, CapturedFunction), built.why
    code = {f"{UDF}{place}".encode(): f"function {place}" for place in range(len(built.code))}
    return text_of(canonical(built.plan, code)).replace(f"python_ver='{_PYTHON}'", "python_ver='any'")


def _main() -> None:
    made = {name: program for name, program in programs().items() if isinstance(captured(program), CapturedFunction)}
    _FILE.write_text("".join(f"{name}\t{text(one)}\n" for name, one in made.items()), encoding="utf-8")


if __name__ == "__main__":
    _main()
