"""What a catalog asks of the place it lies in, asked of a local disk and of object stores."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helix_spark.catalog import leases as leases_module
from helix_spark.catalog.leases import Leases, this_process
from helix_spark.catalog.places.object_store import object_path
from helix_spark.catalog.places.place import LocalPath, Place, is_out_of_reach, is_remote, spark_options, text_in
from tests.faults.model_digests import digest_of_model
from tests.stores.servers import SERVERS


@pytest.fixture(params=["disk", "store", *(pytest.param(kind, marks=pytest.mark.stores) for kind in SERVERS)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place where nothing is yet."""
    if request.param == "disk":
        return tmp_path / "place"
    if request.param in SERVERS:
        return object_path(request.getfixturevalue("real_root")(request.param)) / "place"
    return object_path(f"s3a://{request.getfixturevalue('bucket')}/some/place")


def written(place: Place, text: str = "text") -> Place:
    place.parent.make_folder()
    place.replace_text(text)
    return place


def test_nothing_is_there_before_it_is_written(place: Place) -> None:
    assert not place.exists()
    assert not place.is_dir()
    assert not place.is_file()
    assert (place.total_bytes(), place.last_modified(), list(place.second_names())) == (0, None, [])
    assert list(place.glob("*")) == []
    place.delete_tree()
    for ask in (
        place.stat, place.lstat, lambda: place.read_at_most(9), place.unlink, lambda: place.open_binary(),
        lambda: list(place.files()),
    ):
        with pytest.raises(FileNotFoundError):
            ask()


def test_a_small_file_is_replaced_whole(place: Place) -> None:
    file = place / "file"
    for text in ("one", "zwölf", ""):
        written(file, text)
        assert (text_in(file), file.read_at_most(9)) == (text, text.encode())
        assert file.stat().st_size == file.lstat().st_size == len(text.encode())
        assert abs(file.stat().st_mtime - time.time()) < 60
    assert (file.exists(), file.is_file(), file.is_dir(), place.is_dir()) == (True, True, False, True)
    assert (file.name, file.parent, file.with_name("other")) == ("file", place, place / "other")
    file.unlink()
    file.unlink(missing_ok=True)
    assert not file.exists()


def test_a_tree_is_listed_summed_and_deleted(place: Place) -> None:
    for name in ("a/x/1", "a/x/2", "a/y/.3", "b/z/deep/er", "top"):
        written(place / name, name)
    written(place.with_name("place-beside"), "not ours")
    assert {path.name for path in place.glob("*")} == {"a", "b", "top"}
    assert {path.name for path in place.glob("t*")} == {"top"}
    assert {path.name for path in place.files()} == {"1", "2", ".3", "er", "top"}
    assert place.total_bytes() == sum(map(len, ("a/x/1", "a/x/2", "a/y/.3", "b/z/deep/er", "top")))
    assert sorted(place.second_names()) == [("a", "x"), ("a", "y"), ("b", "z")]
    assert sorted(str(path)[len(str(place)) :] for path in place.files()) == [
        "/a/x/1", "/a/x/2", "/a/y/.3", "/b/z/deep/er", "/top"
    ]
    assert abs((place.last_modified() or 0) - time.time()) < 60
    digest = digest_of_model(place)
    (place / "a" / "x").delete_tree()
    assert not (place / "a" / "x").exists()
    assert (place / "a" / "y").exists()
    assert digest_of_model(place) != digest
    place.delete_tree()
    assert not place.exists()
    assert place.with_name("place-beside").exists()


def test_entries_are_what_is_in_a_folder_and_not_below(place: Place) -> None:
    assert list(place.entries()) == []
    written(place.with_name("place-beside"), "not ours")
    assert list(place.entries()) == []
    for name in ("one", "zwölf", ".hidden", "a/deep/er"):
        written(place / name, name)
    assert sorted(entry.name for entry in place.entries()) == sorted(["one", "zwölf", ".hidden", "a"])
    sizes = {entry.name: entry.stat().st_size for entry in place.entries() if entry.name != "a"}
    assert sizes == {name: len(name.encode()) for name in ("one", "zwölf", ".hidden")}
    for entry in place.entries():
        if entry.name != "a":
            assert entry.stat().st_mtime == pytest.approx((place / entry.name).stat().st_mtime, abs=1)
            assert abs(entry.stat().st_mtime - time.time()) < 60
    (place / "one").unlink()
    (place / "a").delete_tree()
    assert sorted(entry.name for entry in place.entries()) == sorted(["zwölf", ".hidden"])


def test_entries_are_all_however_many(place: Place) -> None:
    with ThreadPoolExecutor(8) as threads:
        place.make_folder()
        list(threads.map(lambda number: (place / f"{number:04}").write_new(b""), range(150)))
    assert sorted(entry.name for entry in place.entries()) == [f"{number:04}" for number in range(150)]


def test_a_folder_that_cannot_be_listed_is_not_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(PermissionError):
        LocalPath(tmp_path).entries()


def test_nor_is_a_bucket_that_is_gone(bucket: str) -> None:
    place = replace(object_path(f"s3a://{bucket}/place"), path="no-such-bucket/place")
    with pytest.raises(OSError, match="no bucket"):
        place.entries()


@pytest.mark.parametrize("synced", [False, True])
def test_a_new_file_is_whole_and_made_once(place: Place, synced: bool) -> None:
    place.make_folder()
    content = bytes(range(256)) * 1_000
    (place / "file").write_new(content, synced=synced)
    with pytest.raises(FileExistsError):
        (place / "file").write_new(b"another", synced=synced)
    assert (place / "file").read_at_most(len(content)) == content
    assert [entry.name for entry in place.entries()] == ["file"], "what it was written as has gone"
    (place / "file").unlink()
    (place / "file").write_new(b"", synced=synced)
    assert (place / "file").read_at_most(9) == b""


def test_the_same_files_have_the_same_digest_everywhere(tmp_path: Path, bucket: str) -> None:
    remote = object_path(f"s3://{bucket}/model")
    for name in ("metadata/part-00000", "data/part-0.parquet", "data/_SUCCESS", ".hidden"):
        written(tmp_path / name, name)
        written(remote / name, name)
    assert digest_of_model(tmp_path) == digest_of_model(remote)


def test_a_file_is_read_from_any_byte_and_written_as_a_stream(place: Place) -> None:
    place.make_new_folder(within=place.parent)
    file = place / "bytes"
    with file.writable() as opened:
        opened.write(bytes(range(256)))
    with file.open_binary() as opened:
        assert opened.seek(0, 2) == 256
        opened.seek(250)
        assert (opened.read(2), opened.read()) == (bytes([250, 251]), bytes([252, 253, 254, 255]))
    with pytest.raises(FileExistsError):
        place.make_new_folder(within=place.parent)


def test_a_folder_is_made_though_an_empty_one_on_the_way_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, moved = Path.mkdir, list[Path]()

    def mkdir(self: Path, *args: Any, **named: Any) -> None:
        made(self, *args, **named)
        if self.name == "tables" and not moved:
            moved.append(self.rename(tmp_path / "elsewhere"))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    folder = LocalPath(tmp_path / "tables" / "signature" / "attempt")
    folder.make_new_folder(within=LocalPath(tmp_path))
    assert folder.is_dir()
    assert moved
    with pytest.raises(FileNotFoundError):
        (LocalPath(tmp_path) / "gone" / "a").make_new_folder(within=LocalPath(tmp_path / "gone"))


def test_where_a_place_is_can_be_told(tmp_path: Path, bucket: str) -> None:
    remote = object_path(f"s3://{bucket}//a/b/")
    assert str(remote) == remote.spark_uri == f"s3a://{bucket}/a/b"
    assert LocalPath("/of us/100%#é").spark_uri == "file:///of us/100%#é", "Hadoop's Path encodes what it is given"
    assert is_remote("s3a://x")
    assert is_remote(remote)
    assert not is_remote(tmp_path)
    assert spark_options([tmp_path]) == {}
    assert spark_options([remote])[f"fs.s3a.bucket.{bucket}.path.style.access"] == "true"
    assert not any("secret" in f"{key}{value}".lower() for key, value in spark_options([remote]).items())
    assert "secret" not in repr(remote)


@pytest.mark.parametrize("code", [
    errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ETIMEDOUT,
])
def test_what_cannot_be_reached_is_not_damaged(code: int) -> None:
    assert is_out_of_reach(OSError(code, os.strerror(code)))
    assert not is_out_of_reach(OSError(errno.EIO, "a bad disk"))
    assert not is_out_of_reach(FileNotFoundError(errno.ENOENT, "gone"))
    assert is_out_of_reach(MemoryError())


def test_a_model_of_which_a_folder_cannot_be_listed_has_no_other_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("metadata/part-0", "data/part-0"):
        written(tmp_path / name)
    scandir = os.scandir

    def refused(path: str) -> Any:
        if Path(path).name == "data":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(PermissionError):
        digest_of_model(tmp_path)


def test_of_many_who_make_a_lease_at_once_one_does(place: Place) -> None:
    place.make_folder()

    def make(number: int) -> int:
        try:
            (place / f"lease-{number // 16}").write_new(str(number).encode())
        except FileExistsError:
            return -1
        return number

    with ThreadPoolExecutor(16) as threads:
        made = [number for number in threads.map(make, range(160)) if number >= 0]
    assert [number // 16 for number in made] == list(range(10))
    assert [int(text_in(place / f"lease-{number // 16}")) for number in made] == made


def test_a_lease_is_removed_only_as_it_was_seen(place: Place) -> None:
    leases, lease = Leases(place), place / "lease"
    place.make_folder()
    lease.write_new(b"\0")
    dead = leases.dead(untouched=0.0)
    assert list(dead) == ["lease"]
    lease.replace_text('{"beat": 1}')
    leases.remove(dead.values())
    assert list(leases.names()) == ["lease"]
    lease.replace_text("\0")
    leases.remove(leases.dead(untouched=0.0).values())
    assert not lease.exists()


def test_a_lease_is_taken_beaten_and_given_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "SILENCE_SECONDS", 0.0)
    leases, others = Leases(place), Leases(place)
    assert leases.take("lease") is None
    found = others.find("lease")
    assert found is not None
    assert found.holder == this_process()
    assert not others.is_dead("lease")
    leases.release("lease")
    assert others.find("lease") is None
    assert others.is_dead("lease")


def test_a_lease_of_the_dead_is_taken_over(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "PATIENCE", 0.5)
    leases = Leases(place)
    place.make_folder()
    (place / "silent").write_new(b'{"host": "far", "machine": "far away", "pid": 1, "started": ""}')
    assert leases.take("silent") is not None
    assert leases.wait("silent")
    assert leases.take("silent") is None
    leases.release("silent")


def test_a_heartbeat_goes_on_and_never_steals(place: Place) -> None:
    leases = Leases(place)
    leases.heartbeat = 0.2
    assert leases.take("lease") is None
    seen = leases.find("lease")
    deadline = time.monotonic() + 60
    while leases.find("lease") == seen and time.monotonic() < deadline:
        time.sleep(0.1)
    assert leases.find("lease") != seen
    leases.release("lease")
    time.sleep(0.5)
    assert leases.find("lease") is None


def test_all_that_is_written_is_in_the_bucket(bucket: str, objects: Callable[[], dict[str, int]]) -> None:
    place = object_path(f"s3a://{bucket}/a")
    (place / "b").replace_text("12345")
    (place / "leases" / "name").write_new(b"{}")
    assert objects() == {"a/b": 5, "a/leases/name": 2}
