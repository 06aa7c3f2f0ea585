"""What is read of a catalog that somebody else may have made: regular files of its own, as long and as deep as they may
be."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases import Leases
from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import IterationRecord
from helix_spark.catalog.segments import folding, segment
from helix_spark.catalog.segments.record_index import RecordKind
from helix_spark.catalog.segments.record_log import LAST_NUMBER, RecordLog
from helix_spark.catalog.segments.segment import Segment, pack
from helix_spark.catalog.tables.table_reading import check_decoded, read_footer
from helix_spark.errors import CatalogError
from helix_spark.regular_files import OddFileError

Makes = Callable[[Path], object]
ODD: dict[str, Makes] = {
    "a link": lambda path: path.symlink_to("/etc/hostname"), "a device": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo, "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path, make: Makes) -> None:
    make(tmp_path / "odd")
    with pytest.raises(OddFileError):
        (tmp_path / "odd").read_at_most(100)


def test_a_file_is_read_as_far_as_it_may_be_long(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert (tmp_path / "file").read_at_most(5) == b"12345"
    with pytest.raises(OddFileError, match="more than 4 bytes"):
        (tmp_path / "file").read_at_most(4)


@pytest.mark.parametrize("name", [
    "records", "tables", "leases", "records/running", f"records/{1:010}.segment", f"records/{1:010}-{2:010}.fold",
])
def test_a_catalog_in_which_a_link_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "catalog"
    Catalog.open(root, create=True).make()
    (tmp_path / "elsewhere").mkdir()
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CatalogError, match="is a link, which a catalog may not contain"):
        Catalog.open(root, create=False)


def test_a_catalog_may_itself_be_reached_by_a_link(tmp_path: Path) -> None:
    Catalog.open(tmp_path / "catalog", create=True).make()
    (tmp_path / "linked").symlink_to(tmp_path / "catalog")
    assert Catalog.open(tmp_path / "linked", create=False).iterations() == ()


@pytest.mark.parametrize("left", ["segment", "fold"])
def test_a_catalog_is_known_by_its_records_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str) -> None:
    catalog = Catalog.open(tmp_path, create=True)
    for number in (1, 2):
        catalog.append_iteration(IterationRecord(f"{number:032}", "w", number, "done", 0.0))
    monkeypatch.setattr(folding, "AT_ONCE", 1)
    monkeypatch.setattr(folding, "KEPT_SEGMENTS", 0)
    if left == "fold":
        catalog.maintain()
    assert {path.suffix for path in (tmp_path / "records").iterdir()} == {f".{left}"}
    (tmp_path / "helix.json").unlink()
    assert [one.number for one in Catalog.open(tmp_path, create=False).iterations()] == [2, 1]


@pytest.mark.parametrize("make", [ODD["a pipe"], ODD["a device"]], ids=["a pipe", "a device"])
def test_a_lease_that_is_no_file_holds_nobody_up(tmp_path: Path, make: Makes) -> None:
    make(tmp_path / ("a" * 64))
    leases = Leases(tmp_path)
    found = leases.find("a" * 64)
    assert found is not None
    assert found.holder is None
    assert list(leases.names()) == ["a" * 64]


def test_what_is_not_of_leases_stays_where_they_are(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("")
    os.utime(tmp_path / ".bashrc", (0, 0))
    Leases(tmp_path).remove([])
    assert (tmp_path / ".bashrc").exists()


@dataclass(frozen=True, slots=True)
class Seen:
    name: str


KINDS = (RecordKind("seen", Seen, ()),)


@pytest.fixture
def records(tmp_path: Path) -> LocalPath:
    """The folder of a log of three segments."""
    folder = LocalPath(tmp_path / "records")
    for name in "abc":
        opened(folder).append([Seen(name)])
    return folder


def opened(folder: LocalPath) -> RecordLog:
    """A log as another machine opens it."""
    return RecordLog(folder, KINDS, lambda: None)


def names(folder: LocalPath) -> str:
    return "".join(row.name for row in opened(folder).rows(Seen, "ORDER BY turn"))


def put(make: Makes, path: Path) -> None:
    path.unlink(missing_ok=True)
    make(path)


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_what_is_no_file_among_records_is_left_out_and_said(records: LocalPath, make: Makes) -> None:
    put(make, records / f"{2:010}.segment")
    log = opened(records)
    assert [row.name for row in log.rows(Seen, "ORDER BY turn")] == ["a", "c"]
    (why,) = log.rejections
    assert "0000000002.segment is damaged and skipped: " in why
    assert log.append([Seen("d")]) == 4
    assert names(records) == "acd"


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_what_is_no_file_in_the_place_of_a_fold_is_passed_over(records: LocalPath, make: Makes) -> None:
    make(records / f"{1:010}-{3:010}.fold")
    assert names(records) == "abc"
    assert opened(records).append([Seen("d")]) == 4
    assert names(records) == "abcd"


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_what_lies_among_records_by_another_name_is_not_looked_at(records: LocalPath, make: Makes) -> None:
    for name in STRANGE:
        make(records / name)
    assert names(records) == "abc"
    assert opened(records).rejections == ()
    assert opened(records).append([Seen("d")]) == 4


STRANGE = (
    ".bashrc", "notes.segment", "4.segment", f"{4:010}.segment.bak", f"{4:010}.fold", f"{0:010}.segment",
    f"{3:010}-{1:010}.fold", f"{1:010}-{3:010}.segment", "\u0660" * 9 + "\u0664.segment", f"{4:011}.segment",
)


def test_upkeep_deletes_segments_alone(records: LocalPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "KEPT_SEGMENTS", 0)
    monkeypatch.setattr(folding, "LOOKED_AT_SECONDS", -1.0)
    for name in STRANGE:
        (records / name).write_text("")
        os.utime(records / name, (0, 0))
    log = opened(records)
    for _ in range(2 * folding.AT_ONCE):
        log.append([Seen("d")])
        folding.fold(log)
    left = {path.name for path in records.iterdir()}
    assert left.issuperset(STRANGE)
    assert f"{1:010}.segment" not in left
    assert names(records) == "abc" + "d" * 2 * folding.AT_ONCE


def test_a_segment_is_read_as_far_as_it_may_be_long(records: LocalPath) -> None:
    os.truncate(records / f"{2:010}.segment", 1 << 40)  # of holes: it takes no room on the disk
    log = opened(records)
    assert [row.name for row in log.rows(Seen, "ORDER BY turn")] == ["a", "c"]
    assert "it has more than 268,435,456 bytes" in log.rejections[0]


def test_a_log_may_begin_at_any_number(records: LocalPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "FARTHEST", LAST_NUMBER)
    for number in (1, 2, 3):
        (records / f"{number:010}.segment").unlink()
    late = LAST_NUMBER - 1
    (records / f"{late:010}.segment").write_bytes(pack([Segment(late, "x", (("seen", {"name": "late"}),)).lines()]))
    log = opened(records)
    assert log.append([Seen(" last")]) == LAST_NUMBER
    assert names(records) == "late last"
    assert log.rejections == (f"segments 1 to {late - 1} of the records are gone",)


def test_what_would_come_after_the_last_number_is_refused(
    records: LocalPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "FARTHEST", LAST_NUMBER)
    (records / f"{LAST_NUMBER:010}.segment").write_text("damaged")
    before = set(records.iterdir())
    with pytest.raises(CatalogError, match="are full"):
        opened(records).append([Seen("never read")])
    assert set(records.iterdir()) == before
    assert names(records) == "abc"


TEXT = "def f(): ..."
DIGEST = sha256(TEXT.encode()).hexdigest()


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The table of files in a catalog of layout 1."""
    root = tmp_path / "older"
    table = root / "records" / "files"
    rows = pa.table({"sequence": [0], "place": [0], "digest": [DIGEST], "name": ["w.py"], "text": [TEXT]})
    write_deltalake(table, rows)
    (root / "records" / "files.head").write_text("0\n")
    (root / "helix.json").write_text('{"layout": 1, "id": "older"}')
    return table


def refused(table: Path, words: str) -> None:
    with pytest.raises(CatalogError, match=words):
        Catalog.open(table.parents[1], create=False).file_text(DIGEST)


def test_sound_older_records_are_read(older: Path) -> None:
    assert Catalog.open(older.parents[1], create=False).file_text(DIGEST) == TEXT


@pytest.mark.parametrize("where", ["beside", "_delta_log/00000000000000000009.json", "_delta_log/beside"])
@pytest.mark.parametrize("make", [ODD["a pipe"], ODD["a link"]], ids=["a pipe", "a link"])
def test_older_records_with_a_link_or_a_pipe_among_them_are_not_opened(older: Path, where: str, make: Makes) -> None:
    make(older / where)
    refused(older, "is a link, or no regular file")


@pytest.mark.parametrize("path", [
    "../elsewhere.parquet", "file:///etc/x.parquet", "/etc/x.parquet", "s3://bucket/x.parquet", "http://host/x.parquet",
    "..%2felsewhere.parquet", "a/b.parquet",
])
def test_an_older_log_names_files_of_its_own_folder_alone(older: Path, path: str) -> None:
    add = {"path": path, "partitionValues": {}, "size": 1, "modificationTime": 0, "dataChange": True}
    with (older / "_delta_log" / f"{0:020}.json").open("a") as file:
        file.write("\n" + json.dumps({"add": add}))
    refused(older, "which is not in its folder")


def test_a_file_of_older_records_has_the_size_that_its_log_says(older: Path) -> None:
    with next(older.glob("*.parquet")).open("ab") as file:
        file.write(b"more")
    refused(older, "bytes, not")


def test_older_records_that_lost_their_end_are_refused(older: Path) -> None:
    (older.parent / "files.head").write_text("1\n")
    refused(older, "its log ends at version 0, and version 1 was committed")
    shutil.rmtree(older)
    refused(older, "its log is gone")


@pytest.mark.parametrize("entry", [
    "[" * 100_000, '{"a":' * 50_000, "{", "\xff", "",
], ids=["lists", "objects", "cut", "no text", "empty"])
def test_an_older_log_with_what_is_no_entry_is_refused(older: Path, entry: str) -> None:
    (older / "_delta_log" / f"{1:020}.json").write_text(entry, encoding="latin-1")
    refused(older, "cannot be read")


def test_an_older_log_may_begin_at_any_number(older: Path) -> None:
    (older / "_delta_log" / f"{0:020}.json").rename(older / "_delta_log" / f"{10**17:020}.json")
    (older.parent / "files.head").write_text(f"{10**17}\n")
    assert Catalog.open(older.parents[1], create=False).file_text(DIGEST) == TEXT


@given(st.binary(max_size=200))
def test_bytes_that_are_no_parquet_file_are_an_error_in_words(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_footer(io.BytesIO(content + len(content).to_bytes(4, "little") + b"PAR1"))


@pytest.mark.parametrize("table", [
    pa.table({"a": pa.nulls(3_000_000, pa.int64())}), pa.table({"a": ["a" * 3_000_000]}),
], ids=["rows", "a text"])
def test_a_file_is_as_large_as_its_footer_says(table: pa.Table) -> None:
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    with pytest.raises(ValueError, match="implausible"):
        check_decoded(read_footer(file), len(file.getvalue()), most=2 << 20, times=100)
    check_decoded(read_footer(file), len(file.getvalue()), most=64 << 20, times=100)


@pytest.mark.parametrize("text", ["[" * 200 + "]" * 200, "[" * 200_000, '{"a":' * 150 + "1" + "}" * 150, "{", "1e"])
def test_json_that_is_none_or_too_deep_is_one_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed(text)


def test_folders_nested_beyond_all_measure_are_counted_and_deleted_or_an_error_in_words(tmp_path: Path) -> None:
    nest = "import os\nfor _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')"
    subprocess.run([sys.executable, "-c", nest], cwd=tmp_path, check=True)
    try:
        assert (tmp_path / "d").total_bytes() == 0
        # Python deletes them from 3.13 on, where `shutil.rmtree` calls itself no more.
        told = pytest.raises(OddFileError, match="nested too deep")
        with told if sys.version_info < (3, 13) else nullcontext():
            (tmp_path / "d").delete_tree()
        assert (tmp_path / "d").exists() == (sys.version_info < (3, 13))
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)
