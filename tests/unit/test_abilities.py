"""Disks that cannot do all that a catalog rests on."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doubled import workflow
from warned import Warned

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places import abilities
from helix_spark.catalog.places.abilities import put_new, shortcomings
from helix_spark.engine.spark.checks import doctor
from helix_spark.errors import CatalogError


def refuses(number: int) -> Callable[..., Any]:
    def call(*given: Any, **named: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return call


@pytest.fixture
def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abilities, "_HAVE_LINKS", {})
    monkeypatch.setattr(os, "link", refuses(errno.EPERM))


def new(folder: Path, name: str, text: str) -> None:
    unfinished = folder / f".{text}"
    unfinished.write_text(text)
    put_new(unfinished, folder / name)


@pytest.mark.usefixtures("without_links")
class TestWithoutLinks:
    def test_a_file_is_put_where_none_is_and_nowhere_else(self, tmp_path: Path) -> None:
        new(tmp_path, "file", "one")
        with pytest.raises(FileExistsError):
            new(tmp_path, "file", "other")
        assert (tmp_path / "file").read_text() == "one"

    def test_of_many_at_once_one_succeeds(self, tmp_path: Path) -> None:
        made: list[str] = []

        def make(text: str) -> None:
            try:
                new(tmp_path, "file", text)
            except FileExistsError:
                return
            made.append(text)

        threads = [threading.Thread(target=make, args=(f"{number}",)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == [(tmp_path / "file").read_text()]

    def test_who_has_the_lock_and_stands_still_holds_nobody_up_for_long(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(abilities, "LONGEST_WAIT", 0.05)
        with (tmp_path / abilities.LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(TimeoutError, match="does not go on"):
                (tmp_path / "one").write_new_text("text")
        (tmp_path / "one").write_new_text("text")
        assert (tmp_path / "one").read_text() == "text"

    def test_leases_exclude_each_other(self, tmp_path: Path) -> None:
        lease = tmp_path / "one"
        lease.write_new_text("text")
        with pytest.raises(FileExistsError):
            lease.write_new_text("other")
        lease.unlink_as_seen((1, 2, 3, 4))
        assert lease.read_text() == "text", "it was given back to who had it"
        lease.unlink_as_seen(lease.stamp())
        assert not lease.exists()

    def test_the_first_run_says_so_and_later_ones_do_not(self, tmp_path: Path) -> None:
        for number, told in ((1, 1), (2, 0)):
            heard = Warned()
            with hx.Helix(tmp_path / "catalog", policy="always", observer=heard) as helix:
                assert helix.run(workflow(number))["total"] == 12 * number
            assert len([text for text in heard.warnings if "it has no hard links" in text]) == told
        assert len(Catalog.open(tmp_path / "catalog", create=False).iterations()) == 2


def test_a_disk_that_can_do_everything_lacks_nothing(tmp_path: Path) -> None:
    assert shortcomings(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("module", "call", "number", "told", "refused"), [
    (os, "link", errno.ENOTSUP, "hard links", False),
    (os, "fsync", errno.EINVAL, "way to sync", False),
    (os, "utime", errno.EPERM, "times of files", False),
    (Path, "replace", errno.EEXIST, "renames over a file", True),
])
def test_what_a_disk_lacks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, call: str, number: int, told: str, refused: bool
) -> None:
    monkeypatch.setattr(abilities, "_HAVE_LINKS", {})
    monkeypatch.setattr(module, call, refuses(number))
    (found,) = shortcomings(tmp_path)
    assert told in str(found)
    assert found.refused is refused


def test_without_links_and_locks_there_is_no_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abilities, "_HAVE_LINKS", {})
    monkeypatch.setattr(os, "link", refuses(errno.EPERM))
    monkeypatch.setattr(fcntl, "flock", refuses(errno.ENOLCK))
    with hx.Helix(tmp_path / "catalog", observer=Warned()) as helix, pytest.raises(CatalogError) as caught:
        helix.run(workflow())
    assert "hard links nor locks" in str(caught.value)
    assert not (tmp_path / "catalog").exists()
    check = doctor(tmp_path / "catalog")[-1]
    assert (check.name, check.ok) == ("catalog", False)
    assert "another disk" in check.remedy


def test_a_disk_whose_new_files_are_not_new_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def opens_what_is_there(path: Any, flags: int, *mode: Any, **named: Any) -> int:
        return opened(path, flags & ~os.O_EXCL, *mode, **named)

    monkeypatch.setattr(os, "open", opens_what_is_there)
    (found,) = shortcomings(tmp_path)
    assert found.refused
    assert "made only where none is" in str(found)
