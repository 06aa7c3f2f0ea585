"""Data in an S3 store: known by what the store says of its objects, where Spark looks in the same store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from helix_spark.answers.plan_data import DataVersions, UnknownDataError
from helix_spark.errors import SourceError
from helix_spark.identity.data_version import ObjectSource, identify

Put = Callable[[str, str], None]


def version(bucket: str, *names: str) -> str:
    return identify(ObjectSource(tuple(f"s3a://{bucket}/{name}" for name in names))).digest


def test_other_contents_are_another_version_and_the_same_ones_are_not(bucket: str, put: Put) -> None:
    put("people/a.csv", "1,2")
    first = version(bucket, "people")
    put("people/a.csv", "1,2")
    put("people.old/a.csv", "9")
    put("people/_SUCCESS", "")
    assert version(bucket, "people") == first
    put("people/a.csv", "1,3")
    assert version(bucket, "people") != first


def test_a_new_object_below_a_path_or_a_pattern_is_another_version(bucket: str, put: Put) -> None:
    put("people/2023/a.csv", "1")
    whole, matched, single = "people", "people/202*/*.csv", "people/2023/a.csv"
    before = {name: version(bucket, name) for name in (whole, matched, single)}
    put("people/2024/b.csv", "2")
    after = {name: version(bucket, name) for name in before}
    assert {name for name in before if after[name] != before[name]} == {whole, matched}


def test_nothing_at_a_path_and_no_such_bucket_are_said(bucket: str, put: Put) -> None:
    with pytest.raises(SourceError, match="there is no data in it"):
        version(bucket, "people")
    with pytest.raises(SourceError, match="cannot be read"):
        identify(ObjectSource(("s3a://bucket-that-is-not/people",)))


def test_of_a_delta_table_that_nobody_can_read_the_version_is_unknown_and_the_table_not_missing(
    bucket: str, object_store: str
) -> None:
    import pyspark.sql.connect.proto as pb

    source = pb.Read.DataSource(format="delta", paths=[f"s3a://{bucket}/table"])
    with pytest.raises(UnknownDataError) as raised:
        DataVersions(settings=lambda: {"spark.hadoop.fs.s3a.endpoint": object_store}).of_source(source)
    assert raised.type is UnknownDataError


def read(path: str, settings: dict[str, str], **options: str) -> str:
    import pyspark.sql.connect.proto as pb

    source = pb.Read.DataSource(format="csv", paths=[path], options=options)
    return DataVersions(settings=lambda: settings).of_source(source).identity.shown


def test_a_script_reads_known_data_where_spark_is_told_of_the_same_store(
    bucket: str, put: Put, object_store: str
) -> None:
    put("people/a.csv", "1,2")
    path, endpoint = f"s3a://{bucket}/people", "spark.hadoop.fs.s3a.endpoint"
    assert read(path, {endpoint: object_store}).startswith("1 object, 3 B")
    of_bucket = {endpoint: "http://elsewhere", f"spark.hadoop.fs.s3a.bucket.{bucket}.endpoint": object_store}
    assert read(path, of_bucket).startswith("1 object")
    for settings, options in (
        ({}, {}), ({endpoint: "http://elsewhere:1"}, {}), ({endpoint: object_store}, {"fs.s3a.endpoint": "http://e"}),
    ):
        with pytest.raises(UnknownDataError, match="the AWS_ variables name another store"):
            read(path, settings, **options)
