"""A file that is saved twice within a second, with texts of one size, runs as it was saved last."""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path

import pytest

from helix_spark.cli.author_file import load_file


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("saved_twice", "beside_it"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return Path(tmp_path)


def value(folder: Path) -> int:
    sys.modules.pop("beside_it", None)
    importlib.invalidate_caches()
    found: int = vars(load_file(folder / "saved_twice.py"))["VALUE"]
    return found


def save(file: Path, text: str, at: float) -> None:
    file.write_text(text)
    os.utime(file, (at, at))


def test_the_authors_file(folder: Path) -> None:
    for number, ago in ((1, 0), (2, 0), (3, 60), (4, 60)):
        save(folder / "saved_twice.py", f"VALUE = {number}\n", int(time.time()) - ago)
        assert value(folder) == number


def test_a_module_beside_it(folder: Path) -> None:
    (folder / "saved_twice.py").write_text("from beside_it import VALUE\n")
    at = int(time.time())
    for number in (1, 2):
        save(folder / "beside_it.py", f"VALUE = {number}\n", at)
        assert value(folder) == number
    assert not list(folder.glob("__pycache__/beside_it.*"))


def test_the_code_of_older_modules_is_cached(folder: Path) -> None:
    (folder / "saved_twice.py").write_text("from beside_it import VALUE\n")
    save(folder / "beside_it.py", "VALUE = 1\n", time.time() - 60)
    assert value(folder) == 1
    assert list(folder.glob("__pycache__/beside_it.*"))
