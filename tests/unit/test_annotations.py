"""Annotations by which Spark knows how a function takes its rows: they are no part of a function's code, so that code
that is loaded anew does not tell of them."""

from __future__ import annotations

import pytest

from helix_spark.identity.code import trace
from helix_spark.identity.objects.attributes import hints_of
from tests.unit.project import Project

HEAD = """
import pandas as pd
from typing import Iterator
from pyspark.sql import functions as F
"""
FUNCTION = """
def g(v: pd.Series) -> pd.Series:
    return v.mean()
"""
IN_CLASS = """
class A:
    @staticmethod
    def g(v: pd.Series) -> pd.Series:
        return v.mean()
"""
METHOD = """
class A:
    def g(self, v: pd.Series) -> pd.Series:
        return v.mean()
"""
HANDED = {
    "by name": FUNCTION + "def f(rows): return rows.select(F.pandas_udf(g, 'double')('a'))",
    "by a helper": FUNCTION + "def by(h): return F.pandas_udf(h, 'double')\ndef f(rows): return by(g)('a')",
    "from a dict": FUNCTION + "FN = {'g': g}\ndef f(rows): return rows.select(F.pandas_udf(FN['g'], 'double')('a'))",
    "from a list": FUNCTION + "FNS = [g]\ndef f(rows): return [rows.applyInPandas(h, 'a int') for h in FNS]",
    "of a class": IN_CLASS + "def f(rows): return rows.select(F.pandas_udf(A.g, 'double')('a'))",
    "of an object": METHOD + "a = A()\ndef f(rows): return rows.select(F.pandas_udf(a.g, 'double')('a'))",
    "of itself": METHOD + "    def by(self): return F.udf(self.g, 'double')\ndef f(rows): return A().by()",
    "by default": FUNCTION + "def f(rows, h=g): return rows.select(F.arrow_udf(h, 'double')('a'))",
    "what is future": "\nfrom __future__ import annotations" + HEAD + FUNCTION + "def f(rows): return F.udf(g)",
}


@pytest.mark.parametrize("way", HANDED)
def test_how_a_function_takes_rows_counts_however_it_reaches_spark(project: Project, way: str) -> None:
    before = (HEAD if "import" not in HANDED[way] else "") + HANDED[way]
    after = before.replace("-> pd.Series", "-> float")
    one, two, three = (project.digest(job=text) for text in (before, after, before))
    assert one != two
    assert one == three


def test_how_a_function_takes_rows_is_what_was_loaded_not_what_is_on_disk(project: Project) -> None:
    text = HEAD + HANDED["by name"]
    live = project.write(job=text).load().f
    before = trace(live, node="n").digest
    after = text.replace("-> pd.Series", "-> float")
    project.write(job=after)
    assert trace(live, node="n").digest == before
    assert project.digest(job=after) != before


def test_what_an_annotation_is_called_does_not_count(project: Project) -> None:
    text = HEAD + HANDED["by name"]
    before = project.digest(job=text)
    assert before == project.digest(job=text.replace("pd.Series", "Out").replace("def g", "Out = pd.Series\ndef g"))
    assert before == project.digest(job="from __future__ import annotations" + text)
    assert before != project.digest(job=text.replace("-> pd.Series", "-> Out").replace("def g", "Out = float\ndef g"))



def test_an_annotation_that_names_nothing_counts_as_text() -> None:
    def clean(rows: Nowhere) -> int:  # type: ignore[name-defined]  # noqa: F821 - as an author may write it
        return len(rows)

    assert hints_of(clean) == {"rows": "Nowhere", "return": "int"}
