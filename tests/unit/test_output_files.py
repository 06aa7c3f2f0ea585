"""Files that commands write for people: whole or not there, and never over what is not theirs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from helix_spark.cli.output_files import output_at
from helix_spark.errors import HelixError, ParameterError

Content = Callable[[Path], None]


def write_file(unfinished: Path) -> None:
    unfinished.write_text("whole")


def write_folder(unfinished: Path) -> None:
    (unfinished / "stages" / "0").mkdir(parents=True)
    (unfinished / "stages" / "0" / "part").write_text("whole")


def write(path: Path, content: Content) -> None:
    with output_at(path) as unfinished:
        content(unfinished)


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[bool]:
    """For each sync, whether the output had its name by then."""
    seen: list[bool] = []
    sync = os.fsync

    def fsync(handle: int) -> None:
        seen.append((tmp_path / "out").exists())
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


@pytest.mark.parametrize("content", [write_file, write_folder])
def test_an_output_is_synced_before_it_has_its_name_and_its_name_after(
    content: Content, tmp_path: Path, syncs: list[bool]
) -> None:
    write(tmp_path / "out", content)
    files_and_folders = 1 if content is write_file else 4
    assert syncs == [False] * files_and_folders + [True]
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_an_output_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(unfinished: Path) -> None:
        unfinished.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "out", fail)
    with pytest.raises(HelixError, match="out cannot be written"):
        write(tmp_path / "no" / "out", write_file)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [write_file, write_folder])
def test_what_took_the_name_meanwhile_stays(content: Content, tmp_path: Path) -> None:
    def race(unfinished: Path) -> None:
        content(unfinished)
        (tmp_path / "out").write_text("another's")

    with pytest.raises(ParameterError, match="out exists"):
        write(tmp_path / "out", race)
    assert (tmp_path / "out").read_text() == "another's"
    assert len(list(tmp_path.iterdir())) == 1
