"""Functions that do more than return a result are told by their code, and never called with a stub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from project import Project
from pyspark.sql import DataFrame

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.engine.results.memory import MemoryTier
from helix_spark.iteration.preparation import Prepared, Surroundings, prepare
from helix_spark.iteration.told_reads import reads_after
from helix_spark.planner.serving import gaps

# What the code tells


@pytest.mark.parametrize(("text", "effect"), [
    ("def f(x):\n  x.createOrReplaceTempView('p')\n  return x", "createOrReplaceTempView"),
    ("def f(x, name):\n  x.createGlobalTempView(name)\n  return x", "createGlobalTempView"),
    ("def f(x):\n  register = x.createTempView\n  register('p')\n  return x", "createTempView"),
    ("def f(x):\n  getattr(x, 'createTempView')('p')\n  return x", "createTempView"),
    ("HOW = 'createTempView'\ndef f(x):\n  getattr(x, HOW)('p')\n  return x", "createTempView"),
    (
        "from pyspark.sql import DataFrame as D\ndef f(x):\n  D.createOrReplaceTempView(x, 'p')\n  return x",
        "createOrReplaceTempView",
    ),
    ("def g(x): x.createTempView('p')\ndef f(x):\n  g(x)\n  return x", "createTempView"),
    ("def f(x):\n  def g(): x.createTempView('p')\n  g()\n  return x", "createTempView"),
    ("class V:\n  def put(self, x): x.createTempView('p')\ndef f(x):\n  V().put(x)\n  return x", "createTempView"),
    ("def f(x):\n  x.sparkSession.catalog.dropTempView('p')\n  return x", "dropTempView"),
    ("def f(x):\n  kept = x.sparkSession.catalog\n  kept.clearCache()\n  return x", "catalog"),
    ("def f(x):\n  x.sparkSession.sql('create temp view p as select 1')\n  return x", "CREATE TEMP VIEW"),
    ("Q = 'DROP VIEW IF EXISTS p'\ndef f(x):\n  x.sparkSession.sql(Q)\n  return x", "DROP VIEW"),
    ("def f(x, t):\n  x.sparkSession.sql(f'INSERT INTO {t} SELECT 1')\n  return x", "INSERT INTO"),
    ("def f(x):\n  x.sparkSession.sql('CACHE TABLE p AS SELECT 1')\n  return x", "CACHE TABLE"),
    ("def f(x):\n  x.sparkSession.udf.register('clean', len)\n  return x", "register"),
    ("def f(x):\n  x.sparkSession.conf.set('spark.sql.ansi.enabled', 'false')\n  return x", "conf.set"),
    ("def f(x):\n  x.sparkSession.sql('SET spark.sql.ansi.enabled = false')\n  return x", "SET"),
    ("def f(x):\n  x.write.mode('overwrite').parquet('p')\n  return x", "write"),
    ("def f(x, code):\n  exec(code)\n  return x", "exec"),
])
def test_what_a_function_does_beside_returning_something_is_told_by_its_code(
    project: Project, text: str, effect: str
) -> None:
    assert effect in project.write(job=text).trace().said.effects


def test_a_function_that_returns_a_table_and_no_more_does_nothing_beside(project: Project) -> None:
    text = '''
        from pyspark.sql import functions as F
        COLUMNS = ["write", "catalog", "updated", "created", "set"]
        def f(x):
            """Does not create a view, nor drop a table."""
            known = set(COLUMNS)
            y = x.select(*known).where("updated is not null").withColumn("drop", F.lit("view"))
            y = y.sparkSession.sql("SELECT max(n) AS create FROM {y} GROUP BY updated", y=y)
            return y.replace("a", "b").drop("table").sparkSession.table("views")
    '''
    assert project.write(job=text).trace().said.effects == frozenset()


# Who is not called


def workflow(called: list[str]) -> hx.Workflow:
    """`plain` reads what `registering` returns, and both say that they were called."""
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"age": [1.0]})))

    @wf.scanner
    def registering(data: DataFrame) -> DataFrame:
        called.append("registering")
        data.createOrReplaceTempView("people")
        return data

    @wf.scanner(output=True)
    def plain(registering: DataFrame) -> DataFrame:
        called.append("plain")
        return registering

    return wf


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """Of both functions the code changed since the last iteration."""
    catalog = Catalog.open(tmp_path / "catalog", create=True)
    found = prepare(workflow([]), catalog, {}, Surroundings(), "run")
    before = {name: own.parts[1:] for name, own in found.signed.items()}
    return replace(found, situation=replace(found.situation, previous=before))


def test_nor_is_it_asked_what_it_reads(prepared: Prepared) -> None:
    sessions: Any = SimpleNamespace()  # whoever asks wants a session, and this has none
    assert reads_after(prepared, ["data"], {}, sessions, MemoryTier()) == {}


def test_why_what_it_reads_is_not_known_is_said(prepared: Prepared) -> None:
    signatures = {name: own.signature for name, own in prepared.signed.items()}
    narrow: Any = SimpleNamespace(signature=signatures["data"], left_out=("story",))
    effects = {node.name: prepared.effects(node.name) for node in prepared.dag.nodes}
    (gap,) = gaps(prepared.dag, signatures, {signatures["data"]: narrow}, {}, effects).values()
    assert gap.why == (
        "stored without `story`; what `registering` reads is not looked into, as it does more than return a table"
        " (createOrReplaceTempView)"
    )
    assert not gap.closable
