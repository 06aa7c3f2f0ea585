"""The commands behind figures exist: what README, the benchmarks' page and the Makefile run."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


PAGES = ("README.md", "benchmarks/README.md", "CONTRIBUTING.md", "helix_spark/README.md", "Makefile")


@pytest.mark.parametrize("page", PAGES)
def test_each_command_of_a_page_is_a_module_or_a_file(page: str) -> None:
    text = (ROOT / page).read_text()
    modules = set(re.findall(r"python -m ((?:benchmarks|tests)[\w.]*)", text))
    files = set(re.findall(r"python ((?:benchmarks|tests)/\S+\.py)", text))
    assert [name for name in sorted(modules) if find_spec(name) is None] == []
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []


def test_what_is_linked_as_a_result_is_there() -> None:
    text = (ROOT / "benchmarks/README.md").read_text()
    linked = set(re.findall(r"\]\((results/[^)]+)\)", text)) - {"results/"}
    there = {f"results/{file.name}" for file in (ROOT / "benchmarks/results").iterdir()}
    assert linked - there == set()
    assert {name for name in there - linked if not name.endswith(".json")} == set()
