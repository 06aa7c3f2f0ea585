"""Stored tables: what is read equals what was stored, and no damage goes unnoticed."""

from __future__ import annotations

import dataclasses
import datetime
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.spark_types import NeedsSparkError, columns, same_types, to_lists
from helix_spark.catalog.tables.table_reading import DamagedArtifactError, check_rows, read_commit, written_digest
from helix_spark.catalog.tables.table_writing import NotStorableError, storable, write_arrow
from helix_spark.errors import CatalogError
from helix_spark.identity.parts import digest
from tests.fakes.written_tables import written

A = digest("a")
UTC = datetime.timezone.utc

VECTOR = {
    "type": "udt", "class": "org.apache.spark.ml.linalg.VectorUDT", "pyClass": "pyspark.ml.linalg.VectorUDT",
    "sqlType": {"type": "struct", "fields": [
        {"name": "type", "type": "byte", "nullable": False, "metadata": {}},
        {"name": "size", "type": "integer", "nullable": True, "metadata": {}},
        {"name": "indices", "type": {"type": "array", "elementType": "integer", "containsNull": False},
         "nullable": True, "metadata": {}},
        {"name": "values", "type": {"type": "array", "elementType": "double", "containsNull": False},
         "nullable": True, "metadata": {}},
    ]},
}
VECTOR_ARROW = pa.struct([
    ("type", pa.int8()), ("size", pa.int32()), ("indices", pa.list_(pa.int32())), ("values", pa.list_(pa.float64())),
])


def stored(catalog: Catalog, table: pa.Table) -> ArtifactRecord:
    attempt = catalog.begin_attempt(A, "table")
    return catalog.publish(ArtifactRecord(
        A, attempt.attempt, "table", "published", "census", "rows", 1, 0.0, **written(attempt, table)
    ))


def spark_schema(**types: Any) -> str:
    fields = [{"name": name, "type": kind, "nullable": True, "metadata": {}} for name, kind in types.items()]
    return json.dumps({"type": "struct", "fields": fields})


def as_spark(catalog: Catalog, parts: Sequence[pa.Table], schema: str, **options: Any) -> ArtifactRecord:
    """Files and a log as Spark lays them: one file a partition, named by it, listed in no order."""
    attempt = catalog.begin_attempt(A, "table")
    assert attempt.path is not None
    (attempt.path / "_delta_log").mkdir(parents=True)
    actions: list[dict[str, Any]] = [
        {"commitInfo": {"operation": "WRITE"}},
        {"metaData": {"id": "x", "schemaString": schema, "partitionColumns": [], "configuration": {}}},
    ]
    for index, part in reversed(list(enumerate(parts))):
        file = attempt.path / f"part-{index:05}-{'z' if index == 0 else 'a'}.c000.snappy.parquet"
        pq.write_table(part, file, write_page_checksum=True, **options)
        stats = json.dumps({"numRecords": len(part)})
        actions.append({"add": {"path": file.name, "partitionValues": {}, "size": file.stat().st_size,
                                "dataChange": True, "stats": stats}})
    (attempt.path / "_delta_log" / f"{0:020}.json").write_text("\n".join(map(json.dumps, actions)))
    return catalog.publish(ArtifactRecord(
        A, attempt.attempt, "table", "published", "census", "rows", 1, 0.0, bytes=attempt.path.total_bytes(),
        rows=sum(map(len, parts)), schema=schema, digest=written_digest(attempt.path),
    ))


class TestRoundTrip:
    def test_types(self, catalog: Catalog) -> None:
        when = datetime.datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
        table = pa.table({
            "b": pa.array([True, None]), "i8": pa.array([1, None], pa.int8()), "i64": pa.array([2**62, None]),
            "f": pa.array([1.5, float("nan")], pa.float32()), "s": pa.array(["é", None]),
            "bin": pa.array([b"\0", None]), "d": pa.array([when.date(), None]),
            "ts": pa.array([when, None], pa.timestamp("us", tz="UTC")),
            "ntz": pa.array([when.replace(tzinfo=None), None], pa.timestamp("us")),
            "dec": pa.array([Decimal("1.23"), None], pa.decimal128(10, 2)),
            "list": pa.array([[1, None], None], pa.list_(pa.field("element", pa.int64()))),
            "struct": pa.array([{"x": 1, "y": "a"}, None]),
            "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        })
        record = stored(catalog, table)
        read = catalog.read_arrow(record)
        assert read.schema.equals(table.schema)
        assert read.drop(["f"]).equals(table.drop(["f"]))
        assert str(read["f"].to_pylist()) == "[1.5, nan]"
        assert record.bytes == catalog.path_of(record).total_bytes()  # type: ignore[union-attr]

    def test_what_is_never_null_stays_so(self, catalog: Catalog) -> None:
        schema = pa.schema([
            pa.field("a", pa.int64(), nullable=False),
            pa.field("l", pa.list_(pa.field("element", pa.int64(), nullable=False)), nullable=False),
            pa.field("s", pa.struct([pa.field("x", pa.timestamp("us", tz="UTC"), nullable=False)])),
            pa.field("m", pa.map_(pa.string(), pa.field("value", pa.int64(), nullable=False))),
        ])
        rows = {"a": [1], "l": [[1, 2]], "s": [None], "m": [[("k", 1)]]}
        table = pa.table(rows, schema=schema)
        assert storable(table).schema.equals(schema, check_metadata=True)
        read = catalog.read_arrow(stored(catalog, table))
        assert read.schema.equals(schema, check_metadata=True)
        assert read.equals(table)
        read.validate(full=True)

    def test_names_as_headers_of_files_have_them(self, catalog: Catalog) -> None:
        table = pa.table({"a b": [1], "x (y), {z}=;": ["p"], "s": [{"in ner": 1}]})
        assert catalog.read_arrow(stored(catalog, table)).equals(table)

    def test_no_rows(self, catalog: Catalog) -> None:
        table = pa.table({"a": pa.array([], pa.string())})
        assert catalog.read_arrow(stored(catalog, table)).equals(table)

    def test_what_delta_changes_is_changed_beforehand(self, catalog: Catalog) -> None:
        table = pa.table({
            "cat": pa.array(["x", "y"]).dictionary_encode(), "u": pa.array([1, 2], pa.uint32()),
            "ns": pa.array([1000, 2000], pa.timestamp("ns")), "large": pa.array(["a", "b"], pa.large_string()),
            "zone": pa.array([0, 1], pa.timestamp("ms", tz="Europe/Berlin")), "half": pa.array([[1], [2]]),
        })
        ready = storable(table)
        assert [str(kind) for kind in ready.schema.types] == [
            "string", "int64", "timestamp[us]", "string", "timestamp[us, tz=UTC]", "list<element: int64>",
        ]
        assert catalog.read_arrow(stored(catalog, table)).equals(ready)
        assert storable(ready).equals(ready)

    @pytest.mark.parametrize("table", [
        pa.table({}), pa.table({"a\tb": [1]}), pa.table({"a": [1], "A": [2]}), pa.table({"": [1]}),
        pa.table({"t": pa.array([1], pa.time32("s"))}), pa.table({"ns": pa.array([1], pa.timestamp("ns"))}),
        pa.table({"u": pa.array([2**64 - 1], pa.uint64())}), pa.table({"d": pa.array([1], pa.duration("s"))}),
        pa.table({"n": pa.nulls(2)}), pa.table({"s": [{"x\ny": 1}]}), pa.table({"s": [[{"a": 1, "A": 2}]]}),
        pa.table({"s": [{}, {}]}), pa.table({"s": [[{}]]}), pa.table({"s": [{"a": {}}]}),
    ], ids=["no columns", "tab", "case", "empty name", "time", "nanosecond", "large", "duration", "null", "nested",
            "nested case", "empty struct", "empty structs in a list", "empty struct in a struct"])
    def test_what_delta_cannot_hold_is_refused(self, catalog: Catalog, table: pa.Table) -> None:
        attempt = catalog.begin_attempt(A, "table")
        with pytest.raises(NotStorableError):
            write_arrow(attempt, table)
        assert attempt.path is not None
        assert not attempt.path.exists()

    def test_what_pyarrow_does_not_write_is_refused_as_well(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*given: object, **named: object) -> None:
            raise pa.ArrowNotImplementedError("no such column")

        monkeypatch.setattr(pq, "write_table", refuse)
        attempt = catalog.begin_attempt(A, "table")
        with pytest.raises(NotStorableError, match="no such column"):
            write_arrow(attempt, pa.table({"a": [1]}))
        catalog.abandon(attempt)
        assert catalog.gc(dry_run=True, grace_seconds=0) == ()

    def test_an_attempt_is_written_once(self, catalog: Catalog) -> None:
        attempt = catalog.begin_attempt(A, "table")
        write_arrow(attempt, pa.table({"a": [1]}))
        with pytest.raises(CatalogError):
            write_arrow(attempt, pa.table({"a": [1]}))


class TestSparkTables:
    def test_partitions_in_order(self, catalog: Catalog) -> None:
        parts = [pa.table({"a": [index, index + 10]}) for index in range(12)]
        record = as_spark(catalog, parts, spark_schema(a="long"))
        assert catalog.read_arrow(record)["a"].to_pylist() == [x for i in range(12) for x in (i, i + 10)]

    def test_old_timestamps_are_read_as_new_ones(self, catalog: Catalog) -> None:
        when = datetime.datetime(1900, 1, 1, 0, 0, 0, 1)
        part = pa.table({"t": pa.array([when, None], pa.timestamp("us"))})
        record = as_spark(catalog, [part], spark_schema(t="timestamp"), use_deprecated_int96_timestamps=True)
        read = catalog.read_arrow(record)
        assert read.schema.field("t").type == pa.timestamp("us", tz="UTC")
        assert read["t"].to_pylist() == [when.replace(tzinfo=UTC), None]

    def test_columns_of_nothing_are_not_in_the_files(self, catalog: Catalog) -> None:
        record = as_spark(catalog, [pa.table({"a": [1, 2]})], spark_schema(a="long", nothing="void"))
        assert catalog.read_arrow(record)["nothing"].to_pylist() == [None, None]

    def test_vectors_become_lists(self, catalog: Catalog) -> None:
        rows = [{"type": 0, "size": 4, "indices": [0, 3], "values": [1.0, 2.0]}, None,
                {"type": 1, "size": None, "indices": None, "values": [5.0, 6.0]},
                {"type": 0, "size": 2, "indices": [], "values": []}]
        part = pa.table({"v": pa.array(rows, VECTOR_ARROW)})
        record = as_spark(catalog, [part, part.slice(2)], spark_schema(v=VECTOR))
        lists = [[1.0, 0.0, 0.0, 2.0], None, [5.0, 6.0], [0.0, 0.0]]
        assert catalog.read_arrow(record)["v"].to_pylist() == lists + lists[2:]

    def test_what_only_spark_reads_is_said_and_the_rest_is_checked(self, catalog: Catalog) -> None:
        other = {"type": "udt", "class": "org.apache.spark.ml.linalg.MatrixUDT", "sqlType": "string"}
        schema = spark_schema(a="long", m=other, v="variant")
        record = as_spark(catalog, [pa.table({"a": [1], "m": ["x"], "v": ["y"]})], schema)
        with pytest.raises(NeedsSparkError, match="MatrixUDT"):
            catalog.read_arrow(record)
        assert len(check_rows(catalog._table_path(record), record)) == 2

    @pytest.mark.parametrize("beside_it", [True, False])
    def test_a_page_that_only_spark_reads_is_checked_all_the_same(self, catalog: Catalog, beside_it: bool) -> None:
        other = {"type": "udt", "class": "org.apache.spark.ml.linalg.MatrixUDT", "sqlType": "double"}
        columns = {"m": pa.array([float(i) for i in range(1000)])} | ({"a": pa.array([1] * 1000)} if beside_it else {})
        schema = spark_schema(m=other, **({"a": "long"} if beside_it else {}))
        record = as_spark(catalog, [pa.table(columns)], schema, compression="none", use_dictionary=False)
        assert len(check_rows(catalog._table_path(record), record)) == 1
        file = next(catalog.path_of(record).glob("part-*"))  # type: ignore[union-attr]
        data = bytearray(file.read_bytes())
        data[1000] ^= 1
        file.write_bytes(data)
        with pytest.raises(DamagedArtifactError):
            check_rows(catalog._table_path(record), record)


@given(st.lists(st.one_of(
    st.none(),
    st.lists(st.floats(allow_nan=False), max_size=5).map(lambda values: ("dense", values)),
    st.integers(0, 6).flatmap(lambda size: st.tuples(
        st.just("sparse"), st.lists(st.tuples(st.booleans(), st.floats(allow_nan=False)), min_size=size, max_size=size),
    )),
), max_size=8))
def test_any_vectors_become_lists(rows: list[Any]) -> None:
    vectors: list[Any] = []
    lists: list[Any] = []
    for row in rows:
        if row is None:
            vectors.append(None)
            lists.append(None)
        elif row[0] == "dense":
            vectors.append({"type": 1, "size": None, "indices": None, "values": row[1]})
            lists.append(row[1])
        else:
            kept = [(index, value) for index, (keep, value) in enumerate(row[1]) if keep]
            vectors.append({"type": 0, "size": len(row[1]), "indices": [i for i, _ in kept],
                            "values": [value for _, value in kept]})
            lists.append([value if keep else 0.0 for keep, value in row[1]])
    array = pa.array(vectors, VECTOR_ARROW)
    assert to_lists(array).to_pylist() == lists
    assert to_lists(array.slice(1)).to_pylist() == lists[1:]


class TestDamage:
    @pytest.fixture
    def record(self, catalog: Catalog) -> ArtifactRecord:
        chosen = random.Random(1)
        values = [chosen.random() for _ in range(2000)]
        return stored(catalog, pa.table({"x": values, "s": [str(value) for value in values]}))

    def test_no_flipped_bit_goes_unnoticed(self, catalog: Catalog, record: ArtifactRecord) -> None:
        folder = catalog.path_of(record)
        assert folder is not None
        sound = catalog.read_arrow(record)
        file = next(folder.glob("part-*"))
        clean = file.read_bytes()
        footer = int.from_bytes(clean[-8:-4], "little") + 8
        chosen = random.Random(2)
        for _ in range(60):
            at = chosen.randrange(4, len(clean) - footer)
            file.write_bytes(clean[:at] + bytes([clean[at] ^ 1 << chosen.randrange(8)]) + clean[at + 1:])
            try:
                read = catalog.read_arrow(record)
            except DamagedArtifactError:
                continue
            # A bit of a page's header that nobody reads.
            assert read.equals(sound)
        file.write_bytes(clean)
        assert catalog.read_arrow(record).equals(sound)

    def test_no_flipped_bit_in_a_footer_goes_unnoticed(self, catalog: Catalog, record: ArtifactRecord) -> None:
        file = next(catalog.path_of(record).glob("part-*"))  # type: ignore[union-attr]
        clean = file.read_bytes()
        footer = int.from_bytes(clean[-8:-4], "little") + 8
        chosen = random.Random(3)
        for _ in range(60):
            at = chosen.randrange(len(clean) - footer, len(clean))
            file.write_bytes(clean[:at] + bytes([clean[at] ^ 1 << chosen.randrange(8)]) + clean[at + 1:])
            with pytest.raises(DamagedArtifactError):
                catalog.read_arrow(record)

    def test_a_record_without_a_digest_is_of_no_table(self, catalog: Catalog, record: ArtifactRecord) -> None:
        with pytest.raises(DamagedArtifactError, match="footers"):
            catalog.read_arrow(dataclasses.replace(record, digest=None))

    def test_a_flipped_value_fails_its_page_checksum(self, catalog: Catalog) -> None:
        # Uncompressed, so that nothing but the checksum can notice.
        part = pa.table({"x": pa.array([float(i) for i in range(1000)])})
        record = as_spark(catalog, [part], spark_schema(x="double"), compression="none", use_dictionary=False)
        file = next(catalog.path_of(record).glob("part-*"))  # type: ignore[union-attr]
        data = bytearray(file.read_bytes())
        data[1000] ^= 1
        file.write_bytes(data)
        with pytest.raises(DamagedArtifactError, match=r"(?i)crc"):
            catalog.read_arrow(record)

    @pytest.mark.parametrize(("damage", "words"), [
        (lambda folder: shutil.rmtree(folder), "no such folder"),
        (lambda folder: shutil.rmtree(folder / "_delta_log"), "no such folder"),
        (lambda folder: log(folder).write_text(""), "not that of a table"),
        (lambda folder: log(folder).write_text(log(folder).read_text()[:200]), "not that of a table"),
        (lambda folder: log(folder).write_bytes(b"\xff\xfe"), "not that of a table"),
        (lambda folder: log(folder).write_text("[]\n3\n"), "not that of a table"),
        (lambda folder: shutil.copy(log(folder), log(folder).with_name(f"{1:020}.json")), "something else wrote"),
        (lambda folder: next(folder.glob("part-*")).unlink(), "No such file"),
        (lambda folder: cut(next(folder.glob("part-*")), 100), "bytes, not"),
        (lambda folder: edit(log(folder), lambda a: a.get("add", {}).update(path="../x")), "not in its folder"),
        (lambda folder: edit(log(folder), lambda a: a.get("add", {}).update(stats='{"numRecords": 3}')), "3 rows"),
        (lambda folder: edit(log(folder), lambda a: a.get("add", {}).update(deletionVector={"x": 1})), "deleted rows"),
        (lambda folder: edit(log(folder), lambda a: a.get("metaData", {}).update(schemaString=spark_schema(x="long"))),
         "not the recorded ones"),
        (lambda folder: edit(log(folder), lambda a: a.get("commitInfo", {}).update(userMetadata="f" * 32)),
         "written for attempt f"),
    ])
    def test_damage_is_noticed(
        self, catalog: Catalog, record: ArtifactRecord, damage: Callable[[Path], object], words: str
    ) -> None:
        folder = catalog.path_of(record)
        assert folder is not None
        damage(folder)
        for read in (catalog.check_table, catalog.read_arrow, lambda one: check_rows(folder, one)):
            with pytest.raises(DamagedArtifactError, match=words):
                read(record)

    @pytest.mark.parametrize("change", [
        {"rows": 1999}, {"schema": spark_schema(x="double")}, {"schema": "{"},
    ])
    def test_a_record_that_does_not_match_is_noticed(
        self, catalog: Catalog, record: ArtifactRecord, change: dict[str, Any]
    ) -> None:
        with pytest.raises(DamagedArtifactError):
            catalog.read_arrow(dataclasses.replace(record, **change))

    def test_a_sound_table_in_the_place_of_another_is_noticed(self, catalog: Catalog, record: ArtifactRecord) -> None:
        other = catalog.begin_attempt(digest("b"), "table")
        table = catalog.read_arrow(record)
        write_arrow(other, table)
        folder = catalog.path_of(record)
        assert folder is not None
        assert other.path is not None
        shutil.rmtree(folder)
        shutil.move(other.path, folder)
        with pytest.raises(DamagedArtifactError, match="was written for attempt"):
            catalog.read_arrow(record)

    def test_values_of_another_type_are_read_as_the_schema_says(self, catalog: Catalog) -> None:
        record = as_spark(catalog, [pa.table({"a": pa.array([1], pa.int32())})], spark_schema(a="long"))
        assert catalog.read_arrow(record).equals(pa.table({"a": pa.array([1], pa.int64())}))

    def test_values_that_the_schema_does_not_hold_are_noticed(self, catalog: Catalog) -> None:
        record = as_spark(catalog, [pa.table({"a": ["one"]})], spark_schema(a="long"))
        with pytest.raises(DamagedArtifactError, match="Failed to parse"):
            catalog.read_arrow(record)

    def test_nulls_where_none_may_be_are_noticed(self, catalog: Catalog) -> None:
        schema = spark_schema(a="long").replace('"nullable": true', '"nullable": false')
        record = as_spark(catalog, [pa.table({"a": pa.array([1, None], pa.int64())})], schema)
        with pytest.raises(DamagedArtifactError, match="hold nulls"):
            catalog.read_arrow(record)

    def test_leftovers_of_failed_tasks_are_not_rows(self, catalog: Catalog, record: ArtifactRecord) -> None:
        folder = catalog.path_of(record)
        assert folder is not None
        shutil.copy(next(folder.glob("part-*")), folder / "part-00001-leftover.parquet")
        assert len(catalog.read_arrow(record)) == 2000
        assert len(read_commit(folder).files) == 1

    def test_a_value_is_no_table(self, catalog: Catalog) -> None:
        attempt = catalog.begin_attempt(A, "value")
        value = ArtifactRecord(A, attempt.attempt, "value", "published", "census", "n", 1, 0.0, value="1")
        for act in (lambda: catalog.read_arrow(value), lambda: write_arrow(attempt, pa.table({"a": [1]}))):
            with pytest.raises(CatalogError, match="value"):
                act()


def log(folder: Path) -> Path:
    return folder / "_delta_log" / f"{0:020}.json"


def cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    actions = [json.loads(line) for line in file.read_text().splitlines()]
    for action in actions:
        change(action)
    file.write_text("\n".join(map(json.dumps, actions)))


@pytest.mark.parametrize("column", [
    {"type": "udt", "pyClass": "posix.Trap", "serializedClass": "gASV", "sqlType": "double"},
    {**VECTOR, "pyClass": "pyspark.ml.linalg.Trap", "serializedClass": "gASV"},
    {**VECTOR, "class": "org.evil.UDT"},
    {"type": "array", "containsNull": True, "elementType": {**VECTOR, "pyClass": "os.Trap"}},
], ids=str)
def test_a_schema_that_names_a_class_is_refused(catalog: Catalog, column: dict[str, Any]) -> None:
    schema = spark_schema(v=column)
    record = as_spark(catalog, [pa.table({"v": [1.0]})], schema)
    with pytest.raises(DamagedArtifactError, match="which is not Spark ML's"):
        catalog.check_table(record)


def test_schemas_are_compared_by_names_and_types() -> None:
    nullable = spark_schema(a="long", v=VECTOR)
    strict = nullable.replace('"nullable": true', '"nullable": false')
    assert same_types(nullable, strict)
    assert not same_types(nullable, spark_schema(v=VECTOR, a="long"))
    assert not same_types(nullable, spark_schema(a="integer", v=VECTOR))
    assert [str(column.stored) for column in columns(spark_schema(d="decimal(10,2)", c="char(3)"))] == [
        "decimal128(10, 2)", "string"
    ]


def test_reading_imports_no_pandas(catalog: Catalog) -> None:
    record = stored(catalog, pa.table({"a": [1]}))
    script = """
import sys
from helix_spark.catalog.catalog import Catalog
catalog = Catalog.open(sys.argv[1], create=False)
assert catalog.read_arrow(catalog.artifact(sys.argv[2])).to_pydict() == {"a": [1]}
print([name for name in ("pyspark", "pandas", "pyarrow.dataset") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(catalog.root), record.signature], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_table_that_an_earlier_version_stored_in_part_is_not_the_recorded_one(catalog: Catalog) -> None:
    attempt = catalog.begin_attempt(A, "table")
    fields = written(attempt, pa.table({"a": [1, 2]}))
    record = catalog.publish(ArtifactRecord(
        A, attempt.attempt, "table", "published", "w", "rows", 1, 0.0,
        **fields | {"schema": spark_schema(a="long", b="long")},
    ))
    with pytest.raises(DamagedArtifactError, match="its columns are not the recorded ones"):
        catalog.read_arrow(record)
