"""The log of records: nothing is lost between processes, damage is left out and said, reading stays quick."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta

from helix_spark.catalog import failpoints
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.segments import folding, record_log
from helix_spark.catalog.segments.folding import AT_ONCE, KEPT_SEGMENTS, fold
from helix_spark.catalog.segments.record_index import RecordKind, record_of
from helix_spark.catalog.segments.record_log import RecordLog
from helix_spark.catalog.segments.segment import (
    Segment,
    SegmentError,
    SegmentFile,
    SegmentFolder,
    covering,
    pack,
    segments_in,
    unpack,
)
from helix_spark.errors import CatalogError
from helix_spark.identity.parts import digest
from tests.fakes.armed_failpoints import hook


@dataclass(frozen=True, slots=True)
class Seen:
    name: str
    number: Annotated[int, Meta(le=2**62)] = 0
    seconds: float | None = None
    inputs: tuple[str, ...] = ()
    stored: bool = False


record_of({"name": ""}, Seen)  # its types are known from now on, also once another test has forgotten this module


@dataclass(frozen=True, slots=True)
class SeenWithWhy:
    """`Seen` as a later version may have it."""

    name: str
    number: int = 0
    seconds: float | None = None
    inputs: tuple[str, ...] = ()
    stored: bool = False
    why: str = "unknown"


KINDS = (RecordKind("seen", Seen, (("number",),)),)
LATER = (RecordKind("seen", SeenWithWhy, (("number",),)), RecordKind("news", Seen, ()))


@pytest.fixture
def folder(tmp_path: Path) -> LocalPath:
    return LocalPath(tmp_path / "records")


def log_of(folder: LocalPath, index: str | None = None) -> RecordLog:
    """A log as another process opens it: with an index of its own, or one by name that others use."""
    return RecordLog(folder, KINDS, lambda: None if index is None else Path(folder.parent, index))


def names(log: RecordLog) -> list[str]:
    return [row.name for row in log.rows(Seen, "ORDER BY turn")]


def filled(folder: LocalPath, count: int) -> RecordLog:
    log = log_of(folder)
    for number in range(count):
        log.append([Seen(str(number), number)])
    return log


def file_of(folder: Path, number: int) -> Path:
    return Path(folder, f"{number:010}.segment")


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


class TestRows:
    def test_rows_come_back_as_they_were(self, folder: LocalPath) -> None:
        odd = Seen("it's \"é\" \\ \n\0", -(2**63) + 1, float("inf"), ("a", ""), True)
        rows = [odd, Seen(""), Seen("b", inputs=("x",))]
        log_of(folder).append(rows)
        assert log_of(folder).rows(Seen, "ORDER BY turn") == rows

    def test_text_that_is_no_text_is_an_error(self, folder: LocalPath) -> None:
        with pytest.raises(CatalogError, match="not Unicode"):
            log_of(folder).append([Seen("\ud800")])
        assert names(log_of(folder)) == []

    def test_older_and_newer_versions_share_a_log(self, folder: LocalPath) -> None:
        log_of(folder).append([Seen("old")])
        newer = RecordLog(folder, LATER, lambda: None)
        newer.append([SeenWithWhy("new", why="new"), Seen("of a kind that the older has not")])
        log_of(folder).append([Seen("old again")])
        assert names(log_of(folder)) == ["old", "new", "old again"]
        assert [row.why for row in newer.rows(SeenWithWhy, "ORDER BY turn")] == ["unknown", "new", "unknown"]

    def test_what_does_not_fit_is_left_out_and_said(self, folder: LocalPath) -> None:
        log_of(folder).append([Seen("a")])
        rows = (("seen", {"name": 7}), ("seen", {"name": "b", "number": 2**70}), ("seen", {"name": "c"}), ("other", {}))
        file_of(folder, 2).write_bytes(pack([Segment(2, "x", rows).lines()]))
        log = log_of(folder)
        assert names(log) == ["a", "c"]
        name, number = log.rejections
        assert "$.name" in name
        assert "$.number" in number


class TestAppends:
    def test_what_others_append_is_seen_at_once(self, folder: LocalPath) -> None:
        one, other = log_of(folder, "shared"), log_of(folder, "shared")
        assert one.append([Seen("one")]) == 1
        assert names(other) == ["one"]
        assert other.append([Seen("two"), Seen("three")]) == 2
        assert names(one) == ["one", "two", "three"]
        assert one.newest(Seen) == 2

    def test_what_is_decided_is_decided_by_all_that_is_there(self, folder: LocalPath) -> None:
        one, other, decided = log_of(folder), log_of(folder), list[list[str]]()

        def decide() -> list[Seen]:
            decided.append(names(one))
            if len(decided) == 1:
                other.append([Seen("other")])
            return [Seen("one")] if "other" in decided[-1] else [Seen("too early")]

        assert one.decide_and_append(decide) == [Seen("one")]
        assert decided == [[], ["other"]]
        assert names(other) == ["other", "one"]

    def test_gives_up_when_others_never_stop(self, folder: LocalPath, monkeypatch: pytest.MonkeyPatch) -> None:
        log = filled(folder, 1)
        monkeypatch.setattr(record_log, "LONGEST_PAUSE", 0.0)
        with pytest.raises(CatalogError, match="attempts to append failed"):
            log.decide_and_append(lambda: [Seen(str(log_of(folder).append([Seen("other")])))])

    @pytest.mark.parametrize("error", [FileExistsError("there is one"), OSError(5, "no answer")], ids=str)
    def test_an_append_whose_answer_is_lost_is_made_once(
        self, folder: LocalPath, monkeypatch: pytest.MonkeyPatch, error: OSError
    ) -> None:
        log, write = filled(folder, 1), LocalPath.write_new

        def lost(self: LocalPath, content: bytes, *, synced: bool = False) -> None:
            write(self, content, synced=synced)
            monkeypatch.setattr(LocalPath, "write_new", write)
            raise error

        monkeypatch.setattr(LocalPath, "write_new", lost)
        assert log.append([Seen("one"), Seen("two")]) == 2
        assert log.append([Seen("last")]) == 3
        assert names(log) == ["0", "one", "two", "last"]

    def test_what_another_thread_appends_while_it_is_synced_is_not_missed(
        self, folder: LocalPath, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log, files = filled(folder, 2), SegmentFolder.files

        def late(self: SegmentFolder) -> list[SegmentFile]:
            found = files(self)
            monkeypatch.setattr(SegmentFolder, "files", files)
            log.append([Seen("late")])
            monkeypatch.setattr(SegmentFolder, "files", late)
            return found

        monkeypatch.setattr(SegmentFolder, "files", late)
        log.sync()

    def test_an_append_that_was_not_made_is_an_error(
        self, folder: LocalPath, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(self: LocalPath, content: bytes, *, synced: bool = False) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(LocalPath, "write_new", fails)
        with pytest.raises(CatalogError, match=r"cannot be written: No space(?s:.*)free on that disk"):
            log_of(folder).append([Seen("one")])

    def test_who_was_stopped_until_its_number_was_folded_appends_at_the_end(
        self, folder: LocalPath, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stopped, other = filled(folder, 1), log_of(folder)
        monkeypatch.setattr(folding, "KEPT_SEGMENTS", 0)

        def others_go_on(_: str) -> None:
            monkeypatch.setattr(record_log, "reach", lambda name: None)
            for number in range(2 * AT_ONCE):
                other.append([Seen(f"other {number}")])
            assert fold(other)
            assert not list(folder.glob("*.segment"))

        monkeypatch.setattr(record_log, "reach", others_go_on)
        assert stopped.append([Seen("late")]) == 2 * AT_ONCE + 2
        assert names(log_of(folder))[-1] == "late"
        assert len(names(log_of(folder))) == 2 * AT_ONCE + 2

    @pytest.mark.parametrize("lost", [(3,), (3, 4)])
    def test_who_was_stopped_does_not_take_the_place_of_what_is_lost(
        self, folder: LocalPath, monkeypatch: pytest.MonkeyPatch, lost: tuple[int, ...]
    ) -> None:
        stopped, reader = filled(folder, 2), log_of(folder)

        def others_go_on(_: str) -> None:
            monkeypatch.setattr(record_log, "reach", lambda name: None)
            for number in range(3):
                log_of(folder).append([Seen(f"other {number}")])
            assert len(names(reader)) == 5
            for number in lost:
                file_of(folder, number).unlink()

        monkeypatch.setattr(record_log, "reach", others_go_on)
        assert stopped.append([Seen("late")]) == 6
        assert names(reader)[-1] == names(log_of(folder))[-1] == "late"
        fresh = log_of(folder)
        assert len(names(fresh)) == 6 - len(lost)
        assert fresh.rejections == (f"segments 3 to {lost[-1]} of the records are gone",)

    def test_a_segment_that_a_store_wrote_late_is_found_behind_a_damaged_fold(self, folder: LocalPath) -> None:
        filled(folder, AT_ONCE)
        assert fold(log_of(folder)) == AT_ONCE
        number = AT_ONCE
        after = log_of(folder).append([Seen("after")])
        file_of(folder, number).unlink()
        before = SegmentFile(number - 1, number - 1, LocalPath(file_of(folder, number - 1))).last_id()
        late = Segment(number, "1" * 32, (("seen", {"name": "late"}),), before)
        file_of(folder, number).write_bytes(pack([late.lines()]))
        (damaged,) = (one for one in SegmentFolder(folder).files() if one.is_fold)
        Path(str(damaged.place)).write_bytes(b"garbage")
        assert after == number + 1
        assert {one.place.name for one in SegmentFolder(folder).damaged()} == {
            damaged.place.name, f"{number:010}.segment"
        }

    @pytest.mark.long
    def test_four_processes_lose_nothing(self, tmp_path: Path) -> None:
        script = """
import sys
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord, IterationRecord
from helix_spark.identity.parts import digest
root, me = sys.argv[1:]
catalog = Catalog.open(root, create=True)
for i in range(20):
    run = digest(me, str(i))[:32]
    catalog.start_iteration(IterationRecord(run, "census", 0, "running", 0.0))
    if i % 10 == 0:
        mine = catalog.begin_attempt(digest(str(i)), "value")
        catalog.publish(ArtifactRecord(mine.signature, mine.attempt, "value", "published", me, "n", 1, 0.0, value="1"))
    if i % 10 == 9:
        catalog.maintain()
"""
        root = tmp_path / "catalog"
        command = [sys.executable, "-c", script, str(root)]
        workers = [subprocess.Popen([*command, str(i)]) for i in range(4)]
        assert [worker.wait() for worker in workers] == [0] * 4
        catalog = Catalog.open(root, create=False)
        found = catalog.iterations("census")
        assert sorted(one.number for one in found) == list(range(1, 81))
        assert {one.run for one in found} == {digest(str(i), str(j))[:32] for i in range(4) for j in range(20)}
        published = [row.signature for row in catalog._records.rows(ArtifactRecord)]
        assert sorted(published) == sorted(digest(str(i)) for i in (0, 10))


class TestDamage:
    @pytest.mark.parametrize("damage", [
        lambda file: file.write_bytes(b""), lambda file: file.write_bytes(b"\xff garbage"),
        lambda file: file.write_bytes(file.read_bytes()[:-9]), flip,
        lambda file: shutil.copy(file.with_name(f"{2:010}.segment"), file),
        lambda file: (file.unlink(), file.symlink_to("/dev/zero")), lambda file: (file.unlink(), os.mkfifo(file)),
        lambda file: file.write_bytes(pack([b'["seen", {"name": "headless"}]\n'])),
        lambda file: file.write_bytes(pack([b'{"segment": 3, "id": "x"}\n' + b"[" * 100_000 + b"\n"])),
        lambda file: file.write_bytes(pack([b'{"segment": 3, "id": "x"}\n["seen", {"name": "\\ud800"}]\n'])),
        lambda file: file.write_bytes(pack([b'{"segment": 3, "id": "x"}\n["seen", {"name": "cut"'])),
        lambda file: file.write_bytes(pack([b'{"segment": 3, "id": "x"}\n'] * 2)),
        lambda file: file.write_bytes(pack([])),
    ], ids=["empty", "garbage", "cut", "a flipped bit", "another segment", "a link", "a pipe", "no head", "deep",
            "half a character", "a line without end", "twice", "nothing in it"])
    @pytest.mark.parametrize("number", [3, 5])
    def test_a_damaged_segment_is_left_out_and_said(
        self, folder: LocalPath, damage: Callable[[Path], object], number: int
    ) -> None:
        filled(folder, 5)
        damage(file_of(folder, number))
        log = log_of(folder)
        assert names(log) == [name for name in "01234" if name != str(number - 1)]
        (why,) = log.rejections
        assert f"{number:010}.segment is damaged and skipped: " in why
        assert log.append([Seen("next")]) == 6
        assert names(log_of(folder))[-1] == "next"

    def test_segments_that_are_gone_are_said(self, folder: LocalPath) -> None:
        filled(folder, 5)
        for number in (2, 3):
            file_of(folder, number).unlink()
        log = log_of(folder)
        assert names(log) == ["0", "3", "4"]
        assert log.rejections == ("segments 2 to 3 of the records are gone",)

    def test_what_an_index_has_read_is_not_missed(self, folder: LocalPath) -> None:
        filled(folder, 5)
        assert len(names(log_of(folder, "index"))) == 5
        flip(file_of(folder, 2))
        log = log_of(folder, "index")
        assert len(names(log)) == 5
        assert log.rejections == ()

    def test_a_damaged_fold_is_read_from_what_it_replaced(self, folder: LocalPath) -> None:
        fold(filled(folder, AT_ONCE))
        (made,) = folder.glob("*.fold")
        flip(made)
        assert len(names(log_of(folder))) == AT_ONCE

    def test_very_many_damaged_segments_are_left_out_as_few_are(self, folder: LocalPath) -> None:
        filled(folder, 1)
        for number in range(2, 500):
            file_of(folder, number).write_bytes(b"garbage")
        for number in (500, 501):
            content = pack([Segment(number, "x", (("seen", {"name": str(number)}),)).lines()])
            Path(folder, f"{number - number % 2:010}-{number:010}.fold").write_bytes(content)
        log = log_of(folder)
        assert names(log) == ["0", "501"]
        assert log.append([Seen("next")]) == 502

    @pytest.mark.parametrize("name", ["9999999999.segment", "0000000001-9999999999.fold", "9000000000-9000000001.fold"])
    @pytest.mark.parametrize("content", [b"garbage", pack([Segment(9_999_999_999, "x", ()).lines()]), pack([])])
    def test_a_number_that_is_too_far_ahead_is_left_out_and_said(
        self, folder: LocalPath, name: str, content: bytes
    ) -> None:
        filled(folder, 3)
        Path(folder, name).write_bytes(content)
        log = log_of(folder)
        assert names(log) == ["0", "1", "2"]
        assert log.rejections == (f"{name} is skipped: its number is too far ahead",)
        assert log.append([Seen("3")]) == 4
        assert names(log_of(folder)) == ["0", "1", "2", "3"]

    @pytest.mark.parametrize("line", [
        b'["seen",{"inputs":[' + b"[]," * 50_000 + b"[]]}]\n", b'["seen",{"name":[' + b"[]," * 500 + b"[]]}]\n",
        b'["seen",{"inputs":[' + b'"",' * 600_000 + b'""]}]\n',
    ], ids=["of lists", "of few lists", "of texts"])
    def test_a_row_that_is_no_text_for_the_most_part_is_not_read(self, line: bytes) -> None:
        with pytest.raises(SegmentError, match="too much besides texts"):
            list(segments_in(pack([Segment(1, "a", ()).lines(), line])))

    def test_long_texts_and_lists_of_names_are_read(self, folder: LocalPath) -> None:
        row = Seen('\\"[{,' * 100_000 + "\\", inputs=tuple(f'{number}"[[' for number in range(20_000)))
        log_of(folder).append([row])
        assert log_of(folder).rows(Seen) == [row]

    def test_what_readers_would_not_take_is_not_written(
        self, folder: LocalPath, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = filled(folder, 1)
        for limit in ("_MOST_LETTERS", "_LONGEST_LINE"):
            with monkeypatch.context() as patch:
                patch.setattr(f"helix_spark.catalog.segments.segment.{limit}", 1000)
                with pytest.raises(CatalogError, match="too much for one append"):
                    log.append([Seen("x" * 2000)])
        assert names(log_of(folder)) == ["0"]

    def test_a_bomb_is_no_segment(self, folder: LocalPath, monkeypatch: pytest.MonkeyPatch) -> None:
        bomb = pack([b" " * (1 << 23)])
        monkeypatch.setattr("helix_spark.catalog.segments.segment._MOST_LETTERS", 1 << 22)
        with pytest.raises(SegmentError, match="more than"):
            list(segments_in(bomb))


class TestIndex:
    def test_an_index_that_is_damaged_is_made_anew(self, folder: LocalPath) -> None:
        filled(folder, 5)
        assert len(names(log_of(folder, "index"))) == 5
        index = Path(folder.parent, "index")
        content = index.read_bytes()
        for damaged in (b"garbage", content[:5000], content[:4096] + b"\xff" * (len(content) - 4096)):
            index.write_bytes(damaged)
            assert len(names(log_of(folder, "index"))) == 5

    def test_an_index_that_cannot_be_written_is_kept_in_memory(self, folder: LocalPath) -> None:
        filled(folder, 5)
        Path(folder.parent, "file").write_text("")
        log = RecordLog(folder, KINDS, lambda: Path(folder.parent, "file", "index"))
        assert len(names(log)) == 5
        log.append([Seen("more")])
        assert len(names(log)) == 6

    def test_an_index_of_another_version_is_made_anew(self, folder: LocalPath) -> None:
        filled(folder, 2)
        index = Path(folder.parent, "index")
        assert len(RecordLog(folder, LATER, lambda: index).rows(SeenWithWhy)) == 2
        assert names(log_of(folder, "index")) == ["0", "1"]

    @pytest.mark.parametrize("more", [0, 1, 3])
    def test_an_older_copy_that_was_put_in_place_counts(self, folder: LocalPath, tmp_path: Path, more: int) -> None:
        filled(folder, 2)
        shutil.copytree(folder, tmp_path / "copy")
        log_of(folder).append([Seen("lost with the newer state")])
        assert len(names(log_of(folder, "index"))) == 3
        shutil.rmtree(folder)
        shutil.move(tmp_path / "copy", folder)
        for number in range(more):
            log_of(folder).append([Seen(f"after it {number}")])
        assert names(log_of(folder, "index")) == ["0", "1", *(f"after it {number}" for number in range(more))]

    def test_a_look_at_a_log_that_did_not_move_reads_no_file(
        self, folder: LocalPath, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = filled(folder, 3)
        assert len(names(log)) == 3
        read = list[str]()
        monkeypatch.setattr(LocalPath, "read_at_most", lambda self, most: read.append(self.name))
        assert len(names(log)) == 3
        assert not [name for name in read if name.endswith((".segment", ".fold"))]


class TestFolds:
    def test_reading_stays_quick_and_rows_stay(self, folder: LocalPath, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(folding, "KEPT_SEGMENTS", 0)
        monkeypatch.setattr(folding, "LOOKED_AT_SECONDS", -1.0)
        log = log_of(folder)
        for number in range(20 * AT_ONCE):
            log.append([Seen(str(number), number)])
            fold(log)
        files = SegmentFolder(folder).files()
        assert len(files) < AT_ONCE + 6
        sizes = [one.size for one in files if one.is_fold]
        assert sizes == sorted(sizes, reverse=True)
        assert names(log) == names(log_of(folder)) == [str(number) for number in range(20 * AT_ONCE)]

    def test_what_was_folded_stays_for_a_while(self, folder: LocalPath) -> None:
        log = filled(folder, AT_ONCE)
        assert fold(log) == AT_ONCE
        assert len(list(folder.glob("*.segment"))) == AT_ONCE
        assert fold(log) == 0
        for file in folder.glob("*.segment"):
            os.utime(file, (0, 0))
        fold(log)
        assert list(folder.glob("*.segment")) == []
        assert len(names(log_of(folder))) == AT_ONCE
        assert names(log) == names(log_of(folder))

    def test_what_writers_left_that_were_stopped_goes_in_the_end(self, folder: LocalPath) -> None:
        log = filled(folder, 2)
        old, young = (f".0000000003.segment.{letter * 32}" for letter in "ab")
        for name, age in ((old, 3), (young, 1)):
            (folder / name).write_bytes(b"begun")
            then = time.time() - age * 24 * 3600
            os.utime(folder / name, (then, then))
        fold(log)
        assert sorted(path.name for path in folder.glob(".*")) == [young]

    def test_what_stays_is_bounded(self, folder: LocalPath) -> None:
        log = filled(folder, KEPT_SEGMENTS + AT_ONCE)
        fold(log)
        assert len(list(folder.glob("*.segment"))) == KEPT_SEGMENTS
        assert sorted(folder.glob("*.segment"))[0].name == f"{AT_ONCE + 1:010}.segment"

    def test_a_reader_that_listed_what_is_gone_looks_again(
        self, folder: LocalPath, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log, reader = filled(folder, AT_ONCE), log_of(folder)
        monkeypatch.setattr(folding, "KEPT_SEGMENTS", 0)
        read = LocalPath.read_at_most

        def folded_first(self: LocalPath, most: int) -> bytes:
            monkeypatch.setattr(LocalPath, "read_at_most", read)
            fold(log)
            return read(self, most)

        monkeypatch.setattr(LocalPath, "read_at_most", folded_first)
        assert len(names(reader)) == AT_ONCE
        assert reader.rejections == ()

    def test_what_a_damaged_fold_replaced_stays(self, folder: LocalPath, monkeypatch: pytest.MonkeyPatch) -> None:
        log = filled(folder, AT_ONCE)
        fold(log)
        (made,) = folder.glob("*.fold")
        flip(made)
        monkeypatch.setattr(folding, "KEPT_SEGMENTS", 0)
        fold(log)
        assert len(list(folder.glob("*.segment"))) == AT_ONCE
        assert len(names(log_of(folder))) == AT_ONCE

    @pytest.mark.parametrize(("limit", "most"), [("FULL", 700), ("FULL_LETTERS", 400), ("FULL_LINES", 12)])
    def test_no_fold_is_larger_than_readers_take(
        self, folder: LocalPath, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
    ) -> None:
        monkeypatch.setattr(folding, limit, most)
        monkeypatch.setattr(folding, "KEPT_SEGMENTS", 0)
        log = log_of(folder)
        for number in range(3 * AT_ONCE):
            log.append([Seen(str(number), number)])
            fold(log)
        folds = [one for one in SegmentFolder(folder).files() if one.is_fold]
        assert len(folds) > 3
        lines = [b"".join(unpack(one.content())) for one in folds]
        told = {"FULL": [one.size for one in folds], "FULL_LETTERS": list(map(len, lines)),
                "FULL_LINES": [one.count(b"\n") for one in lines]}
        assert max(told[limit]) <= most + 100
        assert names(log_of(folder)) == [str(number) for number in range(3 * AT_ONCE)]

    @pytest.mark.parametrize("lost", [1, 2])
    def test_a_log_that_lost_its_beginning_is_folded_again_and_again(self, folder: LocalPath, lost: int) -> None:
        log = filled(folder, AT_ONCE + lost)
        for number in range(1, lost + 1):
            file_of(folder, number).unlink()
        for _ in range(3):
            assert fold(log)
            for number in range(AT_ONCE):
                log.append([Seen(str(number))])
        assert len(names(log_of(folder))) == 4 * AT_ONCE
        assert SegmentFolder(folder).damaged() == {}

    def test_folds_that_share_segments_become_one_that_has_each_once(self, folder: LocalPath) -> None:
        log = filled(folder, 2 * AT_ONCE)
        segments = SegmentFolder(folder)
        for first, last in ((1, 9), (4, 14)):
            files = [file_of(folder, number).read_bytes() for number in range(first, last + 1)]
            lines = [one.lines() for file in files for one in segments_in(file)]
            segments.fold_file(first, last).place.write_new(pack(lines))
        assert fold(log)
        assert segments.damaged() == {}
        for file in folder.glob("*.segment"):
            file.unlink()
        assert names(log_of(folder)) == [str(number) for number in range(2 * AT_ONCE)]

    def test_damage_is_not_folded(self, folder: LocalPath) -> None:
        log = filled(folder, AT_ONCE)
        flip(file_of(folder, 3))
        with pytest.raises(CatalogError, match="cannot be kept in order"):
            fold(log)
        assert list(folder.glob("*.fold")) == []

    @pytest.mark.parametrize("killed_at", ["fold.written", "fold.deleting"])
    def test_who_is_stopped_in_between_loses_nothing(
        self, folder: LocalPath, monkeypatch: pytest.MonkeyPatch, killed_at: str
    ) -> None:
        log = filled(folder, AT_ONCE)
        monkeypatch.setattr(folding, "KEPT_SEGMENTS", 0)
        with pytest.raises(CatalogError), failpoints.watched(hook(f"{killed_at}:raise")):
            fold(log)
        assert len(names(log_of(folder))) == AT_ONCE
        fold(log)
        assert len(names(log_of(folder))) == AT_ONCE


def test_few_files_have_all_segments() -> None:
    def numbers(files: list[SegmentFile]) -> Iterator[int]:
        for one in files:
            yield from range(one.first, one.last + 1)

    nowhere = LocalPath("/nowhere")
    files = [SegmentFile(first, last, nowhere) for first, last in ((1, 1), (1, 9), (2, 5), (4, 12), (14, 14), (20, 30))]
    assert [(one.first, one.last) for one in covering(files, 0)] == [(1, 9), (4, 12), (14, 14), (20, 30)]
    for after in range(31):
        assert all(one.last > before.last for before, one in pairwise(covering(files, after)))
        found = {one for one in numbers(covering(files, after)) if one > after}
        assert found == {one for one in numbers(files) if one > after}


def test_importing_and_opening_pulls_in_nothing_heavy(tmp_path: Path) -> None:
    script = """
import sys
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import IterationRecord
catalog = Catalog.open(sys.argv[1], create=True)
catalog.append_iteration(IterationRecord("0" * 32, "census", 1, "done", 0.0))
catalog.snapshot("census")
catalog.sync()
heavy = ("pyspark", "pandas", "pulp", "mlflow", "pyarrow", "numpy", "deltalake")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
