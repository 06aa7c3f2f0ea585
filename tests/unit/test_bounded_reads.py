"""What is read of a catalog that somebody else may have made: regular files of its own, as long and as deep as they may
be."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.journal.upkeep import _removed
from helix_spark.catalog.leases.leases import Leases
from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.tables.attempts import physical_bytes
from helix_spark.catalog.tables.table_check import check_decoded, read_footer
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


@pytest.mark.parametrize("name", ["records", "tables", "leases", "records/running", "records/iterations"])
def test_a_catalog_in_which_a_link_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "catalog"
    Catalog.open(root, create=True).make()
    (tmp_path / "elsewhere").mkdir()
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CatalogError, match="is a link; nothing of a catalog may lie elsewhere"):
        Catalog.open(root, create=False)


def test_a_catalog_may_itself_be_reached_by_a_link(tmp_path: Path) -> None:
    Catalog.open(tmp_path / "catalog", create=True).make()
    (tmp_path / "linked").symlink_to(tmp_path / "catalog")
    assert Catalog.open(tmp_path / "linked", create=False).iterations() == ()


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
    Leases(tmp_path).clear({})
    assert (tmp_path / ".bashrc").exists()


@dataclass(frozen=True)
class Seen:
    name: str


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    Journal(tmp_path / "seen", Seen, pruned_by=()).append([Seen("a")])
    return tmp_path / "seen"


def refused(folder: Path, words: str) -> None:
    with pytest.raises(CatalogError, match=words):
        Journal(folder, Seen, pruned_by=()).query("SELECT * FROM journal")


@pytest.mark.parametrize("where", ["beside", "_delta_log/00000000000000000009.json", "_delta_log/beside"])
@pytest.mark.parametrize("make", [ODD["a pipe"], ODD["a link"]], ids=["a pipe", "a link"])
def test_records_with_a_link_or_a_pipe_among_them_are_not_opened(journal: Path, where: str, make: Makes) -> None:
    make(journal / where)
    refused(journal, "is a link, or no regular file")


@pytest.mark.parametrize("path", [
    "../elsewhere.parquet", "file:///etc/x.parquet", "/etc/x.parquet", "s3://bucket/x.parquet", "http://host/x.parquet",
    "..%2felsewhere.parquet", "a/b.parquet",
])
def test_a_log_names_files_of_its_own_folder_alone(journal: Path, path: str) -> None:
    log = max((journal / "_delta_log").glob("*.json"))
    add = {"path": path, "partitionValues": {}, "size": 1, "modificationTime": 0, "dataChange": True}
    with log.open("a") as file:
        file.write(json.dumps({"add": add}) + "\n")
    refused(journal, "which is not in its folder")


def test_what_a_log_removed_elsewhere_is_not_deleted(tmp_path: Path) -> None:
    entry = tmp_path / "entry.json"
    for path in ("../x.parquet", "/etc/x.parquet", "..%2fx.parquet", ".bashrc"):
        entry.write_text(json.dumps({"remove": {"path": path}}))
        assert _removed(entry) == []
    entry.write_text(json.dumps({"remove": {"path": "part-1.parquet"}}))
    assert _removed(entry) == ["part-1.parquet"]


def test_a_log_may_begin_at_any_number(journal: Path) -> None:
    for entry in sorted((journal / "_delta_log").glob("*.json"))[1:]:
        entry.unlink()
    (journal / "_delta_log" / f"{0:020}.json").rename(journal / "_delta_log" / f"{10**17:020}.json")
    assert Journal(journal, Seen, pruned_by=()).query("SELECT * FROM journal") == []


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
    with pytest.raises(ValueError, match="beyond belief"):
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
        assert physical_bytes(tmp_path / "d") == 0
        # Python deletes them from 3.13 on, where `shutil.rmtree` calls itself no more.
        told = pytest.raises(OddFileError, match="nested beyond all measure")
        with told if sys.version_info < (3, 13) else nullcontext():
            (tmp_path / "d").delete_tree()
        assert (tmp_path / "d").exists() == (sys.version_info < (3, 13))
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)
