"""The jobs' data: found, checked byte by byte, and the same whichever way it came."""

from __future__ import annotations

import gzip
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from helix_spark.errors import SourceError
from jobs.datasets import Dataset, _member, provide

CONTENT = b"1, a\n2, b\n"
TINY = Dataset("tiny", "no-such-release==0", {"tiny.csv": "pkg/tiny.csv"}, {"tiny.csv": sha256(CONTENT).hexdigest()})


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HELIX_DATA", str(tmp_path / "given"))
    (tmp_path / "given" / "tiny").mkdir(parents=True)


@pytest.mark.parametrize("packed", [True, False])
def test_a_given_folder_is_used_and_unpacked(tmp_path: Path, packed: bool) -> None:
    given = tmp_path / "given" / "tiny" / ("tiny.csv.gz" if packed else "tiny.csv")
    given.write_bytes(gzip.compress(CONTENT) if packed else CONTENT)
    folder = provide(TINY)
    assert [file.name for file in folder.iterdir()] == ["tiny.csv"]
    assert (folder / "tiny.csv").read_bytes() == CONTENT


def test_what_is_there_needs_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "given" / "tiny" / "tiny.csv").write_bytes(CONTENT)
    folder = provide(TINY)
    monkeypatch.setenv("HELIX_DATA", str(tmp_path / "gone"))
    assert provide(TINY) == folder


def test_other_bytes_are_refused_and_not_kept(tmp_path: Path) -> None:
    (tmp_path / "given" / "tiny" / "tiny.csv").write_bytes(b"something else")
    with pytest.raises(SourceError, match="not the file it should be"):
        provide(TINY)
    assert list((tmp_path / "cache" / "data" / "tiny").iterdir()) == []


def test_a_folder_without_the_file_is_named() -> None:
    with pytest.raises(SourceError, match=r"HELIX_DATA has no tiny\.csv"):
        provide(TINY)


def test_a_zip_within_the_release_is_opened(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "tiny.csv.zip", "w") as inner:
        inner.writestr("tiny.csv", CONTENT)
    with zipfile.ZipFile(tmp_path / "release.whl", "w") as wheel:
        wheel.write(tmp_path / "tiny.csv.zip", "pkg/tiny.csv.zip")
    assert _member(tmp_path / "release.whl", "pkg/tiny.csv.zip") == CONTENT
