"""Examples of pyspark's docstrings, by plain PySpark and under Helix: a few of what `make doctests` runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pyspark_examples.__main__ import outcomes, summary

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.long]


def test_grouped_tables_as_documented(tmp_path: Path) -> None:
    found = summary("pyspark.sql.group", [outcomes("pyspark.sql.group", "1/1", "agg", tmp_path, None)])
    assert found.plain > 5
    assert found.lost == {}
    assert found.asked_again == {}
    assert found.jvm_again == ""
