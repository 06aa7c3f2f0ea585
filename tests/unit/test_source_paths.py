"""What Spark is told of a source's paths: what was signed from this machine's disk is read from there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

import helix_spark as hx
from helix_spark.engine.lowering.lowering import read_source
from helix_spark.errors import SourceError
from helix_spark.identity.data_version import identify
from helix_spark.workflow.sources import DeltaSource, Source


class Session:
    """Stands for a session, and for its reader; remembers what it was told."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}
        self.loaded: Any = None

    @property
    def read(self) -> Session:
        return self

    def format(self, _name: str) -> Session:
        return self

    def schema(self, _schema: object) -> Session:
        return self

    def options(self, **options: str) -> Session:
        self.told.update(options)
        return self

    def option(self, name: str, value: object) -> Session:
        self.told[name] = value
        return self

    def load(self, path: object) -> Session:
        self.loaded = path
        return self


@pytest.fixture
def reading() -> Any:
    """Reads a source in a session that only remembers."""
    def read(source: Source) -> Session:
        session: Any = Session()
        read_source(source, session)
        told: Session = session
        return told

    return read


def test_a_path_of_this_disk_has_its_scheme_and_is_not_encoded(
    reading: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    odd = "a b/100%20 #1?.csv"
    assert reading(hx.csv([odd, tmp_path / "x.csv"])).loaded == [f"file://{tmp_path}/{odd}", f"file://{tmp_path}/x.csv"]
    assert reading(hx.parquet(f"file://{tmp_path}/x")).loaded == [f"file://{tmp_path}/x"]
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert reading(hx.text("~/notes.txt")).loaded == [f"file://{tmp_path}/home/notes.txt"]


def test_a_pattern_stays_one_unless_something_is_there_by_that_very_name(reading: Any, tmp_path: Path) -> None:
    for name in ("2023.csv", "[2024].csv"):
        (tmp_path / name).write_text("1\n")
    told = reading(hx.csv([tmp_path / "20{22,23}*.csv", tmp_path / "[2024].csv", f"file://{tmp_path}/[2024].csv"]))
    literal = f"file://{tmp_path}/\\[2024\\].csv"
    assert told.loaded == [f"file://{tmp_path}/20{{22,23}}*.csv", literal, literal]


def test_a_path_whose_version_the_author_says_is_left_to_sparks_settings(reading: Any, tmp_path: Path) -> None:
    told = reading(hx.csv(["s3a://bucket/[a]*", "/data/[a]*"], version="1", basePath="/data"))
    assert told.loaded == ["s3a://bucket/[a]*", "/data/[a]*"]
    assert told.told["basePath"] == "/data"


@pytest.mark.parametrize("name", ["basePath", "basepath"])
def test_the_folder_that_paths_are_below_is_on_this_disk_too(reading: Any, tmp_path: Path, name: str) -> None:
    told = reading(hx.parquet(tmp_path / "year=2024", **{name: str(tmp_path)}))
    assert told.told == {name: f"file://{tmp_path}"}
    assert reading(hx.parquet(tmp_path, basePath=f"file://{tmp_path}")).told == {"basePath": f"file://{tmp_path}"}


def test_a_delta_table_of_this_disk_is_read_from_it(reading: Any, tmp_path: Path) -> None:
    told = reading(hx.delta(tmp_path / "a [1]", version=3))
    assert told.loaded == f"file://{tmp_path}/a [1]", "Delta knows no patterns"
    assert told.told == {"versionAsOf": 3}
    assert reading(hx.delta("s3a://bucket/table")).loaded == "s3a://bucket/table"


# Which version of a Delta table


@pytest.fixture
def delta(tmp_path: Path) -> str:
    write_deltalake(str(tmp_path / "table"), pa.table({"a": [1]}))
    return str(tmp_path / "table")


def refused(source: DeltaSource) -> str:
    with pytest.raises(SourceError) as caught:
        identify(source)
    return str(caught.value)


def test_a_version_that_a_delta_table_lacks_is_named(delta: str) -> None:
    said = refused(hx.delta(delta, version=7))
    assert f"version 7 of the Delta table {delta!r} cannot be read: " in said
    assert "omit the version for the newest one" in said


def test_what_is_no_delta_table_is_not_said_to_lack_a_version(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a\n")
    said = refused(hx.delta(tmp_path / "d.csv"))
    assert f"the Delta table {str(tmp_path / 'd.csv')!r} cannot be read: " in said
    assert "check the path and the store" in said
    assert "version" not in said


def test_a_store_that_cannot_be_asked_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_given: object, **_options: object) -> None:
        raise OSError("Kernel error -> Generic S3 error\n   \x1b[31m\u21b3\x1b[0m no credentials found\n")

    monkeypatch.setattr("deltalake.DeltaTable", opened)
    said = refused(hx.delta("s3a://bucket/table"))
    assert said.splitlines()[0] == (
        "the Delta table 's3a://bucket/table' cannot be read: Kernel error -> Generic S3 error: no credentials found"
    )


@pytest.mark.parametrize("option", ["modifiedAfter", "modifiedBefore"])
def test_times_of_files_count_where_an_option_compares_them(tmp_path: Path, option: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("1\n")
    timed, plain = hx.csv(str(file), **{option: "2020-06-01T00:00:00"}), hx.csv(str(file))
    digests = set()
    for seconds in (10**9, 10**9 + 5):
        os.utime(file, (seconds, seconds))
        digests |= {identify(timed).digest, identify(plain).digest}
    assert len(digests) == 3
