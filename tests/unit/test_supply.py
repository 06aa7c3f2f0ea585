"""What is installed with the project: bounded in pyproject.toml, pinned in constraints.txt, and pinned wherever it is
installed."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT: Any = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
OURS = {name: [Requirement(one) for one in extra] for name, extra in EXTRAS.items()}
PINNED = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines()]
NOT_PINNED = {"peers"}
"""What only a benchmark compares with; it may not fit together with the rest."""


def bounded(requirement: Requirement) -> bool:
    return any(each.operator in ("<", "<=", "==") for each in requirement.specifier)


@pytest.mark.parametrize("requirement", [
    *map(Requirement, PYPROJECT["build-system"]["requires"]), *map(Requirement, PYPROJECT["project"]["dependencies"]),
    *(one for extra in OURS.values() for one in extra if one.name != "helix-spark"),
], ids=str)
def test_each_requirement_has_an_upper_bound(requirement: Requirement) -> None:
    assert bounded(requirement)


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_each_requirement_is_pinned_for_each_python(python: str) -> None:
    where = {"python_version": python, "python_full_version": f"{python}.0"}
    pinned = {
        canonicalize_name(one.name): next(iter(one.specifier)).version for one in PINNED
        if one.marker is None or one.marker.evaluate(where)
    }
    for one in [*map(Requirement, PYPROJECT["project"]["dependencies"]),
                *(one for name, extra in OURS.items() if name not in NOT_PINNED for one in extra)]:
        if one.name == "helix-spark" or (one.marker is not None and not one.marker.evaluate(where)):
            continue
        assert one.specifier.contains(pinned[canonicalize_name(one.name)]), one


@pytest.mark.parametrize("file", ["Makefile", "docker/Dockerfile", "tests/versions.py"])
def test_whatever_installs_the_project_does_so_by_the_pins(file: str) -> None:
    text = (ROOT / file).read_text().replace("\\\n", " ")
    commands = [line for line in text.splitlines() if re.search(r"pip install|\"install\"", line)]
    assert commands
    for line in commands:
        assert re.search(r"constraint|--no-deps|'uv", line), line


def test_what_is_tested_elsewhere_is_installed_by_make() -> None:
    for file in (ROOT / ".github" / "workflows").glob("*.yml"):
        assert "pip install" not in file.read_text()
