"""Stored tables over their files alone: what Delta would read, and Delta where that cannot be told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.ml.feature import StringIndexerModel
from pyspark.ml.linalg import Matrices, Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from helix_spark.answers.stored_tables import PLACE, can_be_files, frame_over_files
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.attempts import Attempt
from helix_spark.catalog.tables.table_reading import CheckedTable
from helix_spark.catalog.tables.table_writing import commit_files
from helix_spark.engine.results import stored_results
from helix_spark.engine.results.node_results import ModelResult, TableResult, nullable
from helix_spark.engine.results.stored_results import Origin, StoringError, load, store
from tests.spark.workflows import partitions_of

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("stages_compiled")]

NESTED = "struct<a: int, list: array<struct<b: string, c: double>>, map: map<string, date>>"
INSIDE = '{"a": 1, "list": [{"b": "x", "c": 0.5}], "map": {"k": "1500-01-01"}}'


def table(spark: SparkSession) -> DataFrame:
    """Every type that parquet tells by itself."""
    numbers = spark.range(20, numPartitions=3).select(
        "id", F.col("id").cast("byte").alias("byte"), (F.col("id") / 7).alias("double"),
        F.col("id").cast("decimal(12,3)").alias("decimal"),
        F.when(F.col("id") > 3, F.col("id").cast("string")).alias("text"),
        F.timestamp_seconds(F.col("id") * -1e9).alias("moment"),
        F.timestamp_seconds("id").cast("timestamp_ntz").alias("local"),
        F.col("id").cast("string").cast("binary").alias("a.column`"),
        F.from_json(F.lit(INSIDE), NESTED).alias("nested"),
    )
    rows = [(0, Vectors.dense(1.0, 2.0), Matrices.dense(1, 2, [3.0, 4.0])), (1, Vectors.sparse(3, {1: 5.0}), None)]
    vectors = spark.createDataFrame(rows, ["id", "vector", "matrix"])
    metadata = {"ml_attr": {"num_attrs": 3}}
    return numbers.join(vectors, "id", "left").withColumn("vector", F.col("vector").alias("vector", metadata=metadata))


def stored(frame: DataFrame, folder: Path) -> tuple[Catalog, ArtifactRecord]:
    catalog = Catalog.open(folder, create=True)
    made = nullable(frame)
    return catalog, store(TableResult(lambda: made), Origin("a" * 64, "flow", "node", 1), catalog)


def log_of(catalog: Catalog, record: ArtifactRecord) -> dict[str, Any]:
    """The actions of a table's commit, the last of each kind."""
    folder = catalog.path_of(record)
    assert folder is not None
    lines = (folder / "_delta_log" / f"{0:020}.json").read_text(encoding="utf-8").splitlines()
    return {kind: action for line in lines for kind, action in json.loads(line).items()}


def is_ours(catalog: Catalog, record: ArtifactRecord) -> bool:
    return bool(log_of(catalog, record)["commitInfo"]["engineInfo"] == "helix_spark")


def by_delta(spark: SparkSession, catalog: Catalog, record: ArtifactRecord) -> DataFrame:
    return spark.read.format("delta").load(str(catalog.path_of(record)))


def test_it_has_the_rows_and_the_schema_that_delta_reads(spark: SparkSession, tmp_path: Path) -> None:
    catalog, record = stored(table(spark), tmp_path / "catalog")
    over_files = frame_over_files(spark, catalog.check_table(record))
    assert over_files is not None
    delta = by_delta(spark, catalog, record)
    assert over_files.schema.json() == delta.schema.json()
    assert over_files.orderBy("id").collect() == delta.orderBy("id").collect()
    assert over_files.count() == 20
    assert partitions_of(over_files) == partitions_of(delta)


def test_what_failed_tasks_left_beside_its_files_is_not_read(spark: SparkSession, tmp_path: Path) -> None:
    catalog, record = stored(spark.range(5), tmp_path / "catalog")
    file = catalog.check_table(record).files[0]
    file.with_name("part-00009-left.parquet").write_bytes(file.read_bytes())
    over_files = frame_over_files(spark, catalog.check_table(record))
    assert over_files is not None
    assert over_files.count() == 5


@pytest.mark.parametrize("expression", ["NULL", "parse_json('1')", "INTERVAL '1' DAY", "'x' COLLATE UNICODE_CI"])
def test_types_that_parquet_does_not_tell_are_left_to_delta(
    spark: SparkSession, tmp_path: Path, expression: str
) -> None:
    schema = spark.range(1).selectExpr(f"named_struct('inner', array({expression})) AS outer").schema.json()
    assert frame_over_files(spark, CheckedTable((tmp_path / "part-0.parquet",), schema)) is None


def test_a_table_without_files_is_left_to_delta(spark: SparkSession, tmp_path: Path) -> None:
    catalog, record = stored(spark.range(5).where("id > 9"), tmp_path / "catalog")
    assert frame_over_files(spark, CheckedTable((), spark.range(1).schema.json())) is None
    assert by_delta(spark, catalog, record).count() == 0


@pytest.mark.parametrize("name", ["a=1", "with space", "100%", "ä", "a#b", "a:b", "a+b"])
def test_a_folder_of_any_name_is_read_as_it_is(spark: SparkSession, tmp_path: Path, name: str) -> None:
    catalog, record = stored(spark.range(5), tmp_path / name)
    over_files = frame_over_files(spark, catalog.check_table(record))
    assert over_files is not None
    assert over_files.columns == ["id"]
    assert over_files.count() == 5


def test_a_path_that_spark_takes_for_a_pattern_is_left_to_delta(spark: SparkSession, tmp_path: Path) -> None:
    catalog, record = stored(spark.range(5), tmp_path / "a{1,2}")
    assert frame_over_files(spark, catalog.check_table(record)) is None


PLAIN_TYPES = ("id", "byte", "double", "decimal", "text", "moment", "a.column`", "nested", "vector", "matrix")


def plain_table(spark: SparkSession) -> DataFrame:
    """Every type that can be written as files, with parts that are declared never to be null."""
    whole = table(spark)
    return whole.select(
        *(whole[f"`{name.replace('`', '``')}`"] for name in PLAIN_TYPES),
        F.sequence(F.lit(1), F.col("id").cast("int") + 1).alias("never_null_inside"),
        F.struct(F.lit(1).alias("one")).alias("struct_of_one"),
    )


def test_files_and_a_commit_of_ours_are_the_table_that_delta_would_have_written(
    spark: SparkSession, tmp_path: Path
) -> None:
    frame = nullable(plain_table(spark)).cache()
    catalog, record = stored(frame, tmp_path / "catalog")
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    frame.write.format("delta").save(str(tmp_path / "delta"))
    spark.conf.unset("spark.sql.parquet.outputTimestampType")
    assert is_ours(catalog, record)
    ours, theirs = by_delta(spark, catalog, record), spark.read.format("delta").load(str(tmp_path / "delta"))
    assert ours.schema.json() == theirs.schema.json()
    assert ours.orderBy("id").collect() == theirs.orderBy("id").collect() == frame.orderBy("id").collect()
    folder = catalog.path_of(record)
    assert isinstance(folder, Path)
    kinds = [
        {column.path: (column.physical_type, str(column.logical_type)) for column in pq.ParquetFile(file).schema}
        for file in (sorted(folder.glob("part-*"))[0], sorted((tmp_path / "delta").glob("part-*"))[0])
    ]
    assert kinds[0] == kinds[1]
    frame.unpersist()


def test_names_that_deltas_own_writer_refuses_are_read_by_delta_and_without_a_jvm(
    spark: SparkSession, tmp_path: Path
) -> None:
    names = ["a b", "x (y), {z}=;", "place.of work"]
    frame = spark.createDataFrame([(1, "p", 1.0), (2, "q", None)], names).withColumn(
        "s, t", F.struct(F.col("`a b`").alias("in ner"))
    )
    catalog, record = stored(frame, tmp_path / "catalog")
    assert is_ours(catalog, record)
    rows = sorted(frame.collect())
    over_files = frame_over_files(spark, catalog.check_table(record))
    assert over_files is not None
    assert sorted(over_files.collect()) == sorted(by_delta(spark, catalog, record).collect()) == rows
    assert catalog.read_arrow(record).sort_by("a b").to_pylist() == [row.asDict(recursive=True) for row in rows]


def test_what_never_is_null_is_read_without_a_jvm_as_spark_would_hand_it_over(
    spark: SparkSession, tmp_path: Path
) -> None:
    frame = nullable(plain_table(spark).drop("matrix", "vector", "nested").orderBy("id"))
    catalog, record = stored(frame, tmp_path / "catalog")
    assert is_ours(catalog, record)
    assert catalog.read_arrow(record).sort_by("id").equals(frame.toArrow().sort_by("id"))


def test_rows_of_many_partitions_some_of_them_empty_are_counted_file_by_file(
    spark: SparkSession, tmp_path: Path
) -> None:
    catalog, record = stored(spark.range(0, 90, numPartitions=9).where("id < 40"), tmp_path / "catalog")
    assert is_ours(catalog, record)
    files = catalog.check_table(record).files
    assert (record.rows, sum(pq.read_metadata(str(file)).num_rows for file in files)) == (40, 40)
    assert by_delta(spark, catalog, record).count() == 40
    folder = catalog.path_of(record)
    assert folder is not None
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith((".", "part-"))) == ["_delta_log"]


@pytest.mark.parametrize("column", [
    "timestamp_ntz'2020-01-01 00:00:00' AS local", "array(timestamp_ntz'2020-01-01 00:00:00') AS local",
    "parse_json('1') AS json",
])
def test_types_that_take_a_feature_of_delta_are_written_by_delta(
    spark: SparkSession, tmp_path: Path, column: str
) -> None:
    catalog, record = stored(spark.range(3).selectExpr("id", column), tmp_path / "catalog")
    assert not is_ours(catalog, record)
    assert by_delta(spark, catalog, record).count() == 3


@pytest.mark.parametrize("name", ["new\nline", "tab\tulator"])
def test_a_name_that_nobody_means_is_refused(spark: SparkSession, tmp_path: Path, name: str) -> None:
    with pytest.raises(StoringError):
        stored(spark.range(3).withColumnRenamed("id", name), tmp_path / "catalog")


@pytest.mark.parametrize(("schema", "can"), [
    ("id long, nested struct<a: array<struct<b: map<string,double>>>>", True),
    ("nested struct<a: array<struct<`b c`: int>>>", True),
    ("nested struct<a: array<struct<`b\tc`: int>>>", False),
    ("id long, ID long", False),
    ("id long, nested struct<a: int, A: int>", False),
    ("id long, day interval day", False),
    ("id long, nested array<struct<a: int, A: int>>", False),
    ("id long, nested map<string, struct<b: struct<a: int>, c: struct<A: int>>>", True),
])
def test_which_tables_can_be_files(spark: SparkSession, schema: str, can: bool) -> None:
    assert can_be_files(StructType.fromDDL(schema).json()) is can


def test_a_struct_that_could_not_be_read_again_is_not_stored(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(StoringError):
        stored(spark.range(3).selectExpr("id", "array(named_struct('a', 1, 'A', 2)) AS twice"), tmp_path / "catalog")
    assert not list((tmp_path / "catalog" / "tables").glob("*/*"))


@pytest.fixture
def elsewhere(jvm_session: SparkSession) -> Iterator[None]:
    """Spark's paths without a scheme lead to another file system, which is not there."""
    settings: Any = jvm_session.sparkContext._jsc
    settings = settings.hadoopConfiguration()
    before = settings.get("fs.defaultFS")
    settings.set("fs.defaultFS", "hdfs://nowhere.invalid:8020")
    yield
    settings.set("fs.defaultFS", before)


@pytest.mark.parametrize("column", ["'x' AS text", "timestamp_ntz'2020-01-01 00:00:00' AS local"])
def test_a_catalog_on_a_disk_is_there_whatever_sparks_default_file_system(
    spark: SparkSession, tmp_path: Path, elsewhere: None, column: str
) -> None:
    catalog, record = stored(spark.range(5).selectExpr("id", column), tmp_path / "100% of #é")
    found = load(record, catalog, Running(spark))
    assert isinstance(found, TableResult)
    assert found.frame().count() == 5


def test_so_is_a_model(spark: SparkSession, tmp_path: Path, elsewhere: None) -> None:
    catalog = Catalog.open(tmp_path / "100% of #é", create=True)
    model = StringIndexerModel.from_labels(["a", "b"], inputCol="text", outputCol="index")
    record = store(ModelResult(model), Origin("b" * 64, "flow", "model", 1), catalog)
    found = load(record, catalog, Running(spark))
    assert isinstance(found, ModelResult)
    assert found.model.labels == ["a", "b"]


class Running:
    """A session that runs, to load with."""

    started, ended = True, False

    def __init__(self, spark: SparkSession) -> None:
        self.spark = spark

    def get(self) -> SparkSession:
        return self.spark

    def kept_table(self, key: str) -> None:
        """Return that no server has rows in memory."""


CHANGED = {
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MILLIS",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "LEGACY", "spark.sql.parquet.int96RebaseModeInWrite": "LEGACY",
    "spark.sql.parquet.datetimeRebaseModeInRead": "LEGACY", "spark.sql.parquet.int96RebaseModeInRead": "LEGACY",
}


@pytest.mark.parametrize("more", ["'x' AS text", "timestamp_ntz'2020-01-01 00:00:00' AS local"])
def test_no_setting_of_the_session_changes_what_is_stored(spark: SparkSession, tmp_path: Path, more: str) -> None:
    rows = spark.range(1).selectExpr(
        "timestamp'2020-01-02 03:04:05.123456' AS late", "timestamp'1200-01-02 03:04:05.123456' AS early",
        "date'1200-01-02' AS day", more,
    )
    right = rows.collect()
    before = {name: spark.conf.get(name, None) for name in CHANGED}
    try:
        for name, value in CHANGED.items():
            spark.conf.set(name, value)
        catalog, record = stored(rows, tmp_path / "catalog")
        assert {name: spark.conf.get(name) for name in CHANGED} == CHANGED
        assert catalog.read_arrow(record).to_pylist() == rows.toArrow().to_pylist()
        found = load(record, catalog, Running(spark))
        assert isinstance(found, TableResult)
        assert found.frame().collect() == right
        by_arrow = load(in_memory(catalog, rows), catalog, Running(spark))
        assert isinstance(by_arrow, TableResult)
        assert by_arrow.frame().collect() == right, "what was written without Spark does not say by which calendar"
    finally:
        for name, said in before.items():
            spark.conf.unset(name) if said is None else spark.conf.set(name, said)


def in_memory(catalog: Catalog, frame: DataFrame) -> ArtifactRecord:
    table = frame.toArrow()
    result = TableResult(lambda: frame, lambda: table)
    result.arrow()
    return store(result, Origin("c" * 64, "flow", "rows", 1), catalog)


def test_files_that_the_driver_does_not_see_are_missed(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where workers write to disks of their own."""
    def unseen(attempt: Attempt, schema: str) -> None:
        assert isinstance(attempt.path, Path)
        next(attempt.path.glob("part-*")).unlink()
        commit_files(attempt, schema)

    monkeypatch.setattr(stored_results, "commit_files", unseen)
    with pytest.raises(StoringError, match="90 rows were written, and its files have 60: the catalog's folder must"):
        stored(spark.range(0, 90, numPartitions=3), tmp_path / "catalog")
    assert not list((tmp_path / "catalog" / "tables").glob("*/*"))


def test_a_table_of_a_script_is_not_stored_where_files_may_be_missed(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a cluster where Spark counts no rows as they are written."""
    monkeypatch.setattr(stored_results, "may_observe", lambda _: False)
    monkeypatch.setattr(stored_results, "is_on_this_machine", lambda _: False)
    catalog = Catalog.open(tmp_path / "catalog", create=True)
    placed = spark.range(0, 90, numPartitions=3).withColumn(PLACE, F.monotonically_increasing_id())
    with pytest.raises(StoringError, match="cannot detect missing files of workers on other machines"):
        store(TableResult(lambda: placed), Origin("a" * 64, "flow", "rows", 1), catalog, partitions=lambda: 3)
