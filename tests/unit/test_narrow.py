"""Which columns a table is stored without, and which version such a table serves: declarations, planning, records."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import CountVectorizer, RFormula, SQLTransformer, VectorAssembler
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DoubleType, IntegerType, StringType, StructField, StructType
from test_planning import plan, situation, with_nodes

import helix_spark as hx
from helix_spark.capture.capture_nodes import capture_nodes
from helix_spark.capture.captured_function import CapturedFunction, StandIns, capture
from helix_spark.capture.named_columns import columns_named
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord
from helix_spark.catalog.tables.table_check import DamagedArtifactError
from helix_spark.catalog.tables.table_reading import ColumnsLeftOutError
from helix_spark.catalog.verification import verify
from helix_spark.dag.columns_read import declared_reads, taken
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.node import Dag
from helix_spark.engine.results.narrowing import may_be_narrow, narrowed, width
from helix_spark.planner.gaps import gaps
from helix_spark.planner.named_policies import policy_named
from helix_spark.planner.problem import State
from helix_spark.planner.situation import Situation
from helix_spark.planner.storage import Decision, PlanningProblem
from helix_spark.signature.parts import digest
from helix_spark.workflow.refs import NodeRef

COLUMNS = ("key", "age", "Sex", "story")
SCHEMA = StructType([
    StructField("key", IntegerType()), StructField("age", DoubleType()), StructField("Sex", StringType()),
    StructField("story", StringType()),
])


def older_one(rows: DataFrame) -> Column:
    return rows.age + 1


def build(
    label: str = "age > 3", key: list[str] | None = None, read: Callable[[DataFrame], Column] = older_one, **wishes: Any
) -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"key": [1], "age": [1.0], "Sex": ["F"], "story": [""]})))

    @wf.scanner(**wishes)
    def rows(data: DataFrame) -> DataFrame:
        return data

    older = wf.extractor(name="older")(read)
    sex = wf.extractor("sex", hx.OneHot("Sex"), on=rows)
    decade = wf.extractor("decade", hx.Bucketizer("age", bins=4), on=rows)
    both = wf.extractor("both", hx.Interaction(older, decade), on=rows)
    split = hx.HashSplit(key=["key"] if key is None else key)
    examples = wf.synthesizer("examples", rows, features=[sex, both], label=label, split=split)
    wf.learner("model", LogisticRegression, on=examples)
    wf.output(examples)
    return wf


def compiled(wf: hx.Workflow) -> Dag:
    return capture_nodes(compile_workflow(wf), {})


def reads_of(dag: Dag, node: str) -> dict[str, tuple[str, ...]]:
    return {name: taken(declared_reads(dag, name, node), COLUMNS) for name in dag.readers(node)}


# Declarations


def test_ready_made_operators_say_what_they_read() -> None:
    found = reads_of(compiled(build()), "rows")
    assert found.pop("older") == ("age",)
    assert found.pop("examples") == ("key", "age")
    assert found.pop("both") == ()
    assert {name: columns for name, columns in found.items() if columns == ("age",)}.keys() >= {"decade"}
    assert {name: columns for name, columns in found.items() if columns == ("Sex",)}.keys() >= {"sex"}
    assert set(found.values()) == {("age",), ("Sex",)}


def test_a_learner_and_a_split_by_the_whole_row_read_all() -> None:
    dag = compile_workflow(build(key=[]))
    assert reads_of(dag, "rows")["examples"] == COLUMNS
    assert not may_be_narrow(dag["rows"], dag)


@pytest.mark.parametrize(("label", "columns"), [
    ("AGE > 3 * 2", ("key", "age")), ("length(story) > 2", ("key", "story")), ("hash(*) > 0", COLUMNS),
    ("struct(w.*) is null", COLUMNS), ("`(story|age)?+.+` = 1", COLUMNS), ("(SELECT 1) = 1", COLUMNS),
    ("concat(sex, ' ')  = 'sTorY'", ("key", "Sex", "story")), ("1", ("key",)),
])
def test_a_label_reads_what_its_text_may_name(label: str, columns: tuple[str, ...]) -> None:
    assert reads_of(compile_workflow(build(label)), "rows")["examples"] == columns


@pytest.mark.parametrize("names", [["a.b"], ["`age`"]])
def test_a_name_that_spark_takes_apart_reads_all(names: list[str]) -> None:
    assert reads_of(compile_workflow(build(key=names)), "rows")["examples"] == COLUMNS


@pytest.mark.parametrize("form", [pd.DataFrame, pa.Table])
def test_functions_that_collect_or_answer_read_all(form: type) -> None:
    wf = build()

    def told(rows: Any) -> int:
        return len(rows)

    told.__annotations__["rows"] = form
    wf.reducer(output=True)(told)

    @wf.reducer(output=True)
    def counted(rows: DataFrame) -> int:
        return rows.count()

    dag = compile_workflow(wf)
    found = reads_of(dag, "rows")
    assert found["told"] == found["counted"] == COLUMNS
    assert not may_be_narrow(dag["rows"], dag)


@pytest.mark.parametrize(("stage", "parameters", "columns"), [
    (CountVectorizer, {"inputCol": "story", "outputCol": "words"}, ("story",)),
    ("pyspark.ml.feature.CountVectorizer", {"inputCol": "story"}, ("story",)),
    (VectorAssembler, {"inputCols": ["age", "key"]}, ("key", "age")),
    (RFormula, {"formula": "age ~ ."}, COLUMNS), (SQLTransformer, {"statement": "SELECT * FROM __THIS__"}, COLUMNS),
    ("mine.Vectorizer", {"inputCol": "story"}, COLUMNS), (LogisticRegression, {"featuresCol": "age"}, COLUMNS),
])
def test_spark_mls_feature_stages_read_what_their_parameters_name(
    stage: Any, parameters: Mapping[str, Any], columns: tuple[str, ...]
) -> None:
    wf = build()
    rows = NodeRef(wf, "rows")
    made = wf.extractor("made", stage, on=rows, **parameters)
    wf.output(wf.synthesizer("more", rows, features=[made], split=hx.HashSplit(key=["key"])))
    found = reads_of(compile_workflow(wf), "rows")
    of_stage = {name: read for name, read in found.items() if name.startswith("made")}
    assert len(of_stage) == (1 if stage in (VectorAssembler, SQLTransformer) else 2)
    assert set(of_stage.values()) == {columns}


WIDE = ("key", "age", "sex", "story", "notes")


def with_subquery(rows: DataFrame) -> DataFrame:
    rows.createOrReplaceTempView("rows")
    return rows.sparkSession.sql("SELECT sex FROM rows WHERE age > (SELECT avg(key) FROM rows)")


@pytest.mark.parametrize(("read", "columns"), [
    (lambda rows: rows.where("age > 30").groupBy("sex").agg(F.sum("age").alias("x")), {"age", "sex"}),
    (lambda rows: rows.groupBy("sex").agg(F.sum(F.length("story")), F.count("*")), {"sex", "story"}),
    (lambda rows: rows.groupBy("sex").count(), {"sex"}),
    (lambda rows: rows.groupBy("sex").agg(F.count_distinct("*")), set(WIDE)),
    (lambda rows: rows.select("*").groupBy("sex").agg(F.sum(F.hash(*rows.columns))), set(WIDE)),
    (lambda rows: rows.select(F.hash("*")), set(WIDE)), (lambda rows: rows.selectExpr("hash(*) h"), set(WIDE)),
    (lambda rows: rows.select(F.lit(len(rows.columns)).alias("x")).limit(1), set()),
    (lambda rows: rows.select("sex", "age").union(rows.select("sex", "key")).toDF("sex", "x"), {"sex", "age", "key"}),
    (lambda rows: rows.union(rows).select("sex"), set(WIDE)),
    (lambda rows: rows.toDF("a", "b", "c", "d", "e").select("a"), set(WIDE)),
    (lambda rows: rows.mapInPandas(lambda frames: frames, "sex string"), set(WIDE)),
    (lambda rows: rows.where("story is not null").select("sex"), {"story", "sex"}),
    (lambda rows: rows.where(rows.story.isNotNull()), set(WIDE)),
    (lambda rows: rows.dropDuplicates(["notes"]).select("sex"), {"notes", "sex"}),
    (lambda rows: rows.distinct().select("sex"), set(WIDE)),
    (lambda rows: rows.sort("story").limit(3).select("sex"), {"story", "sex"}),
    (lambda rows: rows.join(rows.select("key", "age"), "key").select("sex"), {"key", "age", "sex"}),
    (lambda rows: rows.withColumnRenamed("story", "tale").selectExpr("SEX", "length(TALE) n"), {"sex", "story"}),
    (lambda rows: rows.withColumn("age", rows.key + 1).select("sex"), {"sex", "key"}),
    (lambda rows: rows.repartition(3, "notes").select("sex"), {"sex", "notes"}),
    (lambda rows: rows.alias("r").select("r.sex"), set(WIDE)), (lambda rows: rows.select("`sex`"), set(WIDE)),
    (lambda rows: rows.na.drop().select("sex"), set(WIDE)), (with_subquery, set(WIDE)),
    (lambda rows: rows.select(F.sum("age").over(Window.partitionBy("sex").orderBy("key"))), {"age", "sex", "key"}),
    (lambda rows: F.floor(rows.age / 10), {"age"}),
])
def test_a_plan_says_what_it_reads(read: Callable[[DataFrame], Any], columns: set[str]) -> None:
    found = capture(read, StandIns({"rows": "table"}, {}, {0: WIDE}))
    assert isinstance(found, CapturedFunction)
    assert set(taken(columns_named(found.plan, 0), WIDE)) == columns


# What is left out


def asks(rows: DataFrame) -> Column:
    return rows.age * rows.count()


def of_story(rows: DataFrame) -> Column:
    return F.length("story")


def left_out(read: Callable[[DataFrame], Column] = older_one, **more: Any) -> tuple[str, ...]:
    dag = compiled(build(read=read))
    return narrowed(dag["rows"], more.pop("schema", SCHEMA), dag, **more)


def test_what_nothing_reads_is_left_out() -> None:
    assert left_out() == ("story",)
    assert left_out(of_story) == ()
    assert left_out(asks) == ()
    assert left_out(before=["age"]) == ()
    assert left_out(before=["age", "story"]) == ("story",)


def test_two_columns_of_one_name_are_left_alone() -> None:
    assert left_out(schema=StructType([*SCHEMA.fields, StructField("STORY", StringType())])) == ()


def test_little_is_not_worth_it() -> None:
    many = StructType([*SCHEMA.fields[:3], StructField("small", IntegerType())])
    assert left_out(schema=many) == ()
    assert [width(kind) for kind in (IntegerType(), ArrayType(IntegerType()), VectorUDT(), SCHEMA)] == [4, 16, 32, 53]


def test_one_column_stays_where_none_is_read() -> None:
    wf = hx.Workflow("w")
    wf.source("data", hx.csv("x.csv", schema="key int"))

    @wf.scanner
    def number(data: DataFrame) -> DataFrame:
        return data.groupBy().count()

    wf.output(number)
    dag = compiled(wf)
    assert narrowed(dag["data"], SCHEMA, dag) == ("age", "Sex", "story")


@pytest.mark.parametrize("wishes", [{"keep": "always"}, {"fixed": True}, {"output": True}])
def test_what_its_author_wants_is_stored_whole(wishes: Mapping[str, Any]) -> None:
    dag = compiled(build(**wishes))
    assert not may_be_narrow(dag["rows"], dag)
    plain = compiled(build())
    assert may_be_narrow(plain["rows"], plain)


# Which version a table serves


@dataclass(frozen=True)
class Artifact:
    """What the planner knows of a stored result."""

    signature: str
    node: str
    left_out: tuple[str, ...] = ()
    attempt: str = "attempt"
    workflow: str = "w"
    iteration: int = 3
    bytes: int = 1000
    insisting: frozenset[str] = frozenset()


def now(wf: hx.Workflow, lacking: tuple[str, ...]) -> Situation:
    """A situation in which `rows` is stored without some columns."""
    found = situation(wf)
    signatures = {one.name: one.signature for one in found.nodes}
    artifact = Artifact(signatures["rows"], "rows", lacking)
    missing = gaps(compiled(wf), signatures, {artifact.signature: artifact})
    gap = missing.get(artifact.signature)
    return with_nodes(found, "rows", artifact=None if gap else artifact, gap=gap)


def test_a_table_with_all_that_is_read_is_loaded_and_said_to_lack_the_rest() -> None:
    made = plan(now(build(), ("story",)), "always")
    assert made["rows"].state is State.LOAD
    assert made["rows"].left_out == ("story",)
    assert made["rows"].storage_reason.endswith("; without `story`, which nothing reads")


@pytest.mark.parametrize(("wf", "lacking", "why"), [
    (build(read=of_story), ("story",), "stored without `story`, which `older` reads"),
    (build(read=asks), ("story",), "stored without `story`, which `older` reads"),
    (build("story = ''"), ("key", "story"), "stored without `key`, `story`, which `examples` reads"),
    (build(output=True), ("story",), "stored without `story`, and asked for as a whole"),
])
def test_a_table_that_lacks_what_is_read_is_computed_and_why(
    wf: hx.Workflow, lacking: tuple[str, ...], why: str
) -> None:
    found = now(wf, lacking)
    made = plan(found, "always")
    assert made["rows"].state is State.COMPUTE
    assert made["rows"].reason == why
    assert made["rows"].left_out == ()


# Records


ROWS = digest("rows")


def narrow_record(
    catalog: Catalog, table: pa.Table, left_out: tuple[str, ...] = (), signature: str = ROWS
) -> ArtifactRecord:
    attempt = catalog.begin_attempt(signature, "table")
    stats = catalog.write_arrow(attempt, table.drop_columns(list(left_out)))
    names = {name: {"name": name, "type": "long", "nullable": True, "metadata": {}} for name in table.column_names}
    return ArtifactRecord(
        attempt.signature, attempt.attempt, "table", "published", "w", "rows", 1, 0.0, bytes=stats.bytes,
        rows=stats.rows, files=stats.files, version=0, digest=catalog.written_digest(attempt), left_out=left_out,
        schema=json.dumps({"type": "struct", "fields": list(names.values())}),
    )


TABLE = pa.table({"a": [1, 2], "b": [3, 4], "c": [5, 6]})


def test_a_narrow_table_is_sound_and_is_never_read_as_a_whole(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog", create=True)
    record = catalog.publish(narrow_record(catalog, TABLE, ("b",)))
    assert catalog.artifact(record.signature) == record
    assert verify(catalog, deep=True).sound
    assert catalog.read_arrow(record, ["c", "a"]).to_pydict() == {"c": [5, 6], "a": [1, 2]}
    for columns in (None, ["a", "b"]):
        with pytest.raises(ColumnsLeftOutError, match="`b` was not stored"):
            catalog.read_arrow(record, columns)
    with pytest.raises(DamagedArtifactError, match="not the recorded ones"):
        catalog.check_table(replace(record, left_out=()))


def test_more_columns_replace_fewer_and_fewer_do_not_replace_more(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog", create=True)
    narrow = catalog.publish(narrow_record(catalog, TABLE, ("b", "c")))
    assert catalog.publish(narrow_record(catalog, TABLE, ("b", "c"))) == narrow
    wider = catalog.publish(narrow_record(catalog, TABLE, ("c",)))
    assert wider.left_out == ("c",)
    assert catalog.live() == (wider,)
    whole = catalog.publish(narrow_record(catalog, TABLE))
    assert catalog.publish(narrow_record(catalog, TABLE, ("c",))) == whole
    assert catalog.live() == (whole,)
    folders = [path.name for path in (tmp_path / "catalog" / "tables").rglob("*") if (path / "_delta_log").is_dir()]
    assert len(folders) == 1
    assert whole.attempt in folders[0]
    assert catalog.gc(dry_run=True, grace_seconds=0) == ()


# What a plan takes to be stored


@dataclass
class Asked:
    """Keeps everything, and remembers what it was asked."""

    problems: list[PlanningProblem] = field(default_factory=list)
    name: str = "asked"

    def decide(self, problem: PlanningProblem) -> Decision:
        self.problems.append(problem)
        return policy_named("always").decide(problem)


def collecting() -> hx.Workflow:
    """A version that reads all columns of `rows`."""
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2], "b": [3, 4], "c": [5, 6]})))

    @wf.scanner
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return data

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> int:
        return len(rows)

    return wf


def test_a_table_that_lacks_columns_counts_once_and_what_is_gone_does_not_count(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog", create=True)
    with hx.Helix(tmp_path / "catalog") as helix:
        rows = helix.plan(collecting())["rows"].signature
    narrow = catalog.publish(narrow_record(catalog, TABLE, ("b",), rows))
    gone = catalog.publish(narrow_record(catalog, TABLE, (), digest("gone")))
    ran = IterationRecord("1" * 32, "w", 1, "done", 0.0)
    catalog.append_iteration(ran, [NodeRecord(
        ran.run, "w", 1, "gone", "scanner", (), "compute", "new", gone.signature, gone.signature, "[]"
    )])
    there = catalog.bytes_used() - gone.bytes
    shutil.rmtree(tmp_path / "catalog" / "tables" / gone.signature)
    asked = Asked()
    with hx.Helix(tmp_path / "catalog", budget=10**9, policy=asked) as helix:
        made = helix.plan(collecting())
    assert made["rows"].state is State.COMPUTE
    (problem,) = asked.problems
    assert {other.signature for other in problem.others} == {narrow.attempt}
    assert problem.overhead + sum(other.bytes for other in problem.others) == there
    assert made.used == there
