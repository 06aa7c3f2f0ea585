"""The bytes of a folder, told again without looking at every file."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from helix_spark.catalog.places.folder_bytes import FolderBytes
from helix_spark.catalog.tables.attempts import physical_bytes


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert FolderBytes(tmp_path / "none").total() == 0


def test_what_comes_goes_and_is_replaced_is_seen(tmp_path: Path) -> None:
    rng = random.Random(1)
    told = FolderBytes(tmp_path)
    for _ in range(200):
        folder = tmp_path / rng.choice("abc") / rng.choice("xy")
        match rng.randrange(4):
            case 0 | 1:
                folder.mkdir(parents=True, exist_ok=True)
                part = folder / ".part"
                part.write_bytes(b"0" * rng.randrange(1000))
                part.rename(folder / rng.choice("12345"))
            case 2:
                shutil.rmtree(folder, ignore_errors=True)
            case 3:
                for path in list(folder.glob("[123]")):
                    path.unlink()
        assert told.total() == physical_bytes(tmp_path)


def test_a_settled_folder_is_not_listed_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    os.utime(tmp_path, (0, 0))
    told = FolderBytes(tmp_path)
    assert told.total() == 5
    path.write_bytes(b"written in place, which records never are")
    assert told.total() == 5


def test_links_count_as_themselves(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "large").write_bytes(b"0" * 10_000)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    assert FolderBytes(tmp_path / "in").total() == physical_bytes(tmp_path / "in") < 1000
