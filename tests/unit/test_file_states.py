"""Whatever is done to a file, a link or a folder on the way shows in what its file system says."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from helix_spark.identity.file_states import COARSE_TICK, TICK, PathKind, difference, seconds_to_settle, states_of


def look(*files: Path) -> Callable[[], str | None]:
    """Looks now, and gives what tells how files differ from then."""
    before = states_of(files)
    return lambda: difference(before, states_of(files))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file behind two links, one of them to a folder."""
    real = tmp_path / "real"
    real.mkdir()
    (real / "n.csv").write_text("1\n")
    (tmp_path / "linked").symlink_to("real")
    (real / "link.csv").symlink_to("../linked/n.csv")
    return tmp_path / "linked" / "link.csv"


def test_nothing_is_said_of_what_was_only_read(file: Path) -> None:
    now = look(file, file.with_name("n.csv"))
    file.read_text()
    list(file.parent.iterdir())
    assert now() is None


def test_what_others_do_in_the_same_folder_does_not_matter(file: Path) -> None:
    now = look(file)
    (file.parent / "other.csv").write_text("2\n")
    (file.parent / "other.csv").unlink()
    assert now() is None


@pytest.mark.parametrize("back", [False, True], ids=["", "and back"])
def test_a_write_shows(file: Path, back: bool) -> None:
    now, before = look(file), file.stat()
    file.write_text("2\n")
    if back:
        file.write_text("1\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert now() == "link.csv was written to, or touched"


@pytest.mark.parametrize("back", [False, True], ids=["", "and back"])
def test_a_link_that_is_turned_shows_wherever_it_is_on_the_way(file: Path, tmp_path: Path, back: bool) -> None:
    now = look(file)
    (tmp_path / "linked").unlink()
    (tmp_path / "else").mkdir()
    for name in ("n.csv", "link.csv"):
        os.link(tmp_path / "real" / name, tmp_path / "else" / name, follow_symlinks=False)
    (tmp_path / "linked").symlink_to("else")
    if back:
        (tmp_path / "linked").unlink()
        (tmp_path / "linked").symlink_to("real")
    assert now() is not None


def test_a_folder_that_was_elsewhere_and_is_back_shows(file: Path, tmp_path: Path) -> None:
    now, real = look(file), tmp_path / "real"
    real.rename(tmp_path / "aside")
    (tmp_path / "aside").rename(real)
    assert now() == "the folder real was moved, or its rights changed"


def test_files_that_come_or_go_show(file: Path) -> None:
    other = file.with_name("other.csv")
    other.write_text("2\n")
    one, both = states_of([file]), states_of([file, other])
    assert (difference(one, both), difference(both, one)) == ("other.csv is new", "other.csv is gone")


def test_a_folder_that_is_read_as_such_shows_what_came_and_went(tmp_path: Path) -> None:
    before = states_of([], [tmp_path])
    (tmp_path / "n.csv").write_text("1\n")
    (tmp_path / "n.csv").unlink()
    folder = tmp_path.name
    assert difference(before, states_of([], [tmp_path])) == f"files were added to the folder {folder}, or removed"


def test_paths_are_followed_as_the_system_follows_them(file: Path, tmp_path: Path) -> None:
    for path in (file, tmp_path / "linked" / ".." / "real" / "." / "n.csv", tmp_path / "real" / "n.csv"):
        (state,) = (one for one in states_of([path]) if one.kind is PathKind.FILE)
        assert state.number == (path.stat().st_dev, path.stat().st_ino)


def test_links_that_go_round_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        states_of([tmp_path / "a"])


@pytest.mark.parametrize(("changed", "tick"), [(10**18 + 1, TICK), (10**18, COARSE_TICK)], ids=["fine", "coarse"])
def test_a_change_is_waited_for_until_the_clock_has_ticked(file: Path, changed: int, tick: int) -> None:
    states = [replace(one, changed=changed) for one in states_of([file])]
    assert seconds_to_settle(states, changed) == tick / 10**9
    assert seconds_to_settle(states, changed + tick) == 0
    assert seconds_to_settle(states, changed - 10 * COARSE_TICK) == tick / 10**9, "a disk elsewhere has its own clock"
