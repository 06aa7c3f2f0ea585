"""Cells of plain PySpark in a real kernel: one started anew that runs the same cells answers from the catalog."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("nbclient")
pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.long]

from benchmarks.notebook_runs import run_all, without_own_lines  # noqa: E402 - it needs nbclient

CELLS = [
    "import helix_spark as hx\nspark = hx.session('kept')",
    "from pyspark.sql import functions as F\nrows = spark.range(100).withColumn('a', F.col('id') % 3)",
    "rows.groupBy('a').count().orderBy('a').show()",
    "from pyspark.ml.feature import VectorAssembler\nfrom pyspark.ml.regression import LinearRegression\n"
    "made = VectorAssembler(inputCols=['a'], outputCol='features').transform(rows)\n"
    "model = LinearRegression(labelCol='id').fit(made)\nprint(round(float(model.intercept), 6))",
    "%helix plan", "%helix explain LinearRegression(...).fit", "%helix log", "%helix mistaken",
]


def test_a_kernel_that_is_started_anew_answers_from_the_catalog(tmp_path: Path) -> None:
    first, again = run_all(CELLS, tmp_path, {}), run_all(CELLS, tmp_path, {})
    assert without_own_lines(first.printed[:4]) == without_own_lines(again.printed[:4])
    assert "answers from the record" not in "".join(first.printed)
    assert [("answers from the record" in text) for text in again.printed[2:4]] == [True, True]
    assert "2 of 2 answers of the cells so far are recorded" in again.printed[4]
    assert "In[4]:4 model: LinearRegression\n  from the record: its answer is on record" in again.printed[5]
    assert "notebook" in again.printed[6]
