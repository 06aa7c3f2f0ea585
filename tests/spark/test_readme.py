"""The first workflow that a reader meets works as it stands, on a file of the form that it names."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pyspark.sql import SparkSession

import helix_spark as hx
from helix_spark.history.model_card import card_of
from tests.spark.workflows import computed

pytestmark = pytest.mark.spark

README = Path(__file__).parents[2] / "README.md"


def as_adults(rows: int) -> Iterator[str]:
    """Lines as those of `adult.data`: the older earn more, and the more surely the longer they went to school."""
    draw = random.Random(1)
    for _ in range(rows):
        age, school = draw.randint(17, 80), draw.choice(["HS-grad", "Bachelors", "Masters"])
        rich = age / 80 + 0.3 * (school != "HS-grad") + draw.gauss(0, 0.1) > 0.8
        gain = 2174 if rich and draw.random() < 0.3 else 0
        yield (
            f"{age}, Private, 77516, {school}, 13, Never-married, Sales, Husband, White, Male, {gain}, 0, 40, Cuba, "
            f"{'>50K' if rich else '<=50K'}"
        )


@pytest.fixture
def example(tmp_path: Path) -> ModuleType:
    """The first block of Python in the README, as a module."""
    found = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    file = tmp_path / "census.py"
    file.write_text(found[1])
    spec = spec_from_file_location("readme_census", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_s_workflow_learns_and_reuses(example: Any, tmp_path: Path, spark: SparkSession) -> None:
    data = tmp_path / "adult.data"
    unknown = next(as_adults(1)).replace("Private", "?")
    data.write_text("\n".join([*as_adults(600), unknown]) + "\n")
    with hx.Helix(tmp_path / "catalog", spark=spark) as helix:
        first = helix.run(example.census(str(data)))
        first.wait()
        incomes = {row.income for row in first.table("rows").select("income").distinct().collect()}
        assert incomes == {">50K", "<=50K"}  # the columns are those that the file has
        assert first.table("rows").count() == 600, "who has a missing value is left out"
        assert 0.8 < first["accuracy"] < 1
        node = next(node for node in helix.iteration(1).nodes if node.name == "model")
        card = card_of(node.signature, helix.catalog)
        assert card is not None
        assert "education_is_Masters" in {name for name, _ in card.weights}, "slots go by the names of extractors"
        assert len(card.history) > 1
        second = helix.run(example.census(str(data), reg=0.01))
    assert computed(second) == {"model", "predictions", "accuracy"}
