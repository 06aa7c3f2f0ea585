"""What a stored table's log and schema say of it, by one schema with ranges: whatever does not fit is no table."""

from __future__ import annotations

import json
from typing import Any

import pytest

from helix_spark.answers.stored_tables import MOST_PARTITIONS, PLACE, partitions_of, with_partitions
from helix_spark.catalog.tables.spark_types import foreign_classes, parsed_schema
from helix_spark.catalog.tables.table_reading import CheckedTable

WHOLE = {"type": "struct", "fields": [
    {"name": "a", "type": "decimal(38,18)", "nullable": False, "metadata": {"ml_attr": {"x": 1}}},
    {"name": "b", "type": {"type": "array", "elementType": "long", "containsNull": True}, "nullable": True},
    {"name": "c", "type": {"type": "map", "keyType": "string", "valueType": "time(6)", "valueContainsNull": True},
     "nullable": True},
    {"name": "d", "type": {"type": "udt", "class": "x", "sqlType": {"type": "struct", "fields": []}}, "nullable": True},
    {"name": "e", "type": "interval day to second", "nullable": True},
]}


def field(**changed: Any) -> dict[str, Any]:
    return {"type": "struct", "fields": [{"name": "a", "type": "long", "nullable": True, "metadata": {}} | changed]}


def test_schemas_of_all_types_fit() -> None:
    assert parsed_schema(json.dumps(WHOLE)) == WHOLE


@pytest.mark.parametrize("schema", [
    None, 3, [], {}, {"type": "struct"}, {"type": "array", "elementType": "long", "containsNull": True},
    {"type": "struct", "fields": None}, {"type": "struct", "fields": [None]}, field(name=None),
    field(name="a" * 10_001),
    field(nullable=None), field(nullable=1), field(metadata=[]), field(type=None), field(type=[]), field(type={}),
    field(type="decimal(39,2)"), field(type="decimal(0,0)"), field(type="decimal(" + "9" * 5_000 + ",1)"),
    field(type="x" * 201), field(type={"type": "array", "elementType": "long"}), field(type={"type": "array"}),
    field(type={"type": "map", "keyType": "long", "valueContainsNull": True}), field(type={"type": "udt"}),
    field(type={"type": ["struct"]}), field(type={"type": "elsewhere"}), {"type": "struct", "fields": [{}] * 20_001},
], ids=lambda schema: json.dumps(schema)[:60])
def test_what_is_no_schema_is_refused_in_words(schema: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed_schema(json.dumps(schema))


def test_a_schema_that_is_nested_too_deep_is_none() -> None:
    inner: Any = "long"
    for _ in range(60):
        inner = {"type": "array", "elementType": inner, "containsNull": True}
    parsed_schema(json.dumps(field(type=inner)))
    deep = '{"type":"array","containsNull":true,"elementType":' * 50_000 + '"long"' + "}" * 50_000
    with pytest.raises(ValueError, match="nested more than"):
        parsed_schema(deep)


def test_a_class_is_named_by_a_type_and_not_by_metadata() -> None:
    assert foreign_classes(json.dumps(field(metadata={"class": ["first", "second"], "pyClass": {}}))) == ()
    assert foreign_classes(json.dumps(field(type={"type": "udt", "class": ["x"], "sqlType": "long"}))) == ("['x']",)


def stored(metadata: Any) -> CheckedTable:
    place = {"name": PLACE, "type": "long", "nullable": True, "metadata": metadata}
    return CheckedTable((), json.dumps({"type": "struct", "fields": [place]}))


def test_a_table_tells_its_number_of_partitions() -> None:
    assert partitions_of(CheckedTable((), with_partitions(stored({}).schema, 4))) == 4


@pytest.mark.parametrize("metadata", [
    {}, {"partitions": None}, {"partitions": 10**30}, {"partitions": -1}, {"partitions": MOST_PARTITIONS + 1},
    {"partitions": "4"}, {"partitions": True}, {"partitions": 4.0}, {"partitions": [4]}, {"partitions": {"a": 4}}, None,
], ids=str)
def test_a_number_of_partitions_that_no_table_has_is_a_misfit(metadata: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        partitions_of(stored(metadata))
