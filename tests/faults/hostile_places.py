"""Hostile places: segments that are none, bombs, links, pipes, devices, files without end, folders without end."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from typing import Any

from helix_spark.catalog.segments.segment import unpack
from tests.faults.shared_catalogs import SECRET, Shared, edit_log, hostile, hostile_row, packed, write_rows

LOGS, LINKS = "logs of records", "places and links"
_HUGE = 64 << 30
_MIB = 1 << 20


def _lines(shared: Shared, *pieces: bytes) -> None:
    """Adds a file with these lines behind the head of a segment."""
    file = shared.next_file()
    file.write_bytes(packed([b'{"segment":%d,"id":"x"}\n' % int(file.stem), *pieces]))


def _row(shared: Shared, number: int, **fields: Any) -> tuple[str, dict[str, Any]]:
    """An iteration that nobody here ran."""
    return "iterations", {**shared.rows("iterations")[-1], "number": number, "run": f"{number:032x}", **fields}


@hostile(LOGS, "a segment that leads elsewhere", usable=False, short=True)
def segment_is_a_link(shared: Shared) -> None:
    stolen = shared.outside / shared.next_file().name
    write_rows(stolen, [_row(shared, 3, message=SECRET)])
    shared.next_file().symlink_to(stolen)


@hostile(LOGS, "segments of people that lead elsewhere", usable=False)
def all_are_links(shared: Shared) -> None:
    for file in shared.segments():
        shutil.move(file, shared.outside / file.name)
        file.symlink_to(shared.outside / file.name)


@hostile(LOGS, "a segment and a fold that lead to somebody's home, with others after them", usable=False, short=True)
def links_to_home(shared: Shared) -> None:
    for after, target in enumerate((shared.home, shared.secret, shared.home / "nothing")):
        file = shared.next_file(after)
        file.symlink_to(target)
        shared.records.joinpath(f"0000000001-{int(file.stem):010}.fold").symlink_to(target)


@hostile(LOGS, "a link to somebody's home among segments that were folded long ago", usable=False, short=True)
def link_among_folded(shared: Shared) -> None:
    """Upkeep deletes what was folded."""
    files = shared.segments()
    content = b"".join(line for file in files for line in unpack(file.read_bytes()))
    shared.records.joinpath(f"{1:010}-{len(files):010}.fold").write_bytes(packed([content]))
    for file in files[:3]:
        file.unlink()
        file.symlink_to(shared.home)
    for file in files:
        os.utime(file, (1e9, 1e9), follow_symlinks=False)


@hostile(LOGS, "a segment that is a pipe, a fold that is one", short=True)
def segment_is_a_pipe(shared: Shared) -> None:
    os.mkfifo(shared.next_file())
    os.mkfifo(shared.records / "0000000001-0000000002.fold")


@hostile(LOGS, "segments that are folders and sockets")
def odd_files(shared: Shared) -> None:
    folder, other, third = (shared.next_file(after) for after in range(3))
    folder.mkdir()
    (folder / "inside").write_text("x")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(other))
    third.mkdir()


@hostile(LOGS, "a segment of 64 GiB", short=True)
def segment_is_huge(shared: Shared) -> None:
    shared.next_file().touch()
    os.truncate(shared.segments()[-1], _HUGE)


@hostile(LOGS, "the greatest numbers that there are", short=True)
def greatest_numbers(shared: Shared) -> None:
    for number in (9_999_999_999, 9_999_999_998):
        write_rows(shared.records / f"{number:010}.segment", [_row(shared, 3)])
    shared.records.joinpath("0000000001-9999999999.fold").write_bytes(packed([]))
    shared.records.joinpath("5000000000-9999999999.fold").write_bytes(b"garbage")


@hostile(LOGS, "a fold of nothing over numbers that nobody has reached")
def fold_of_nothing(shared: Shared) -> None:
    first = int(shared.next_file().stem)
    shared.records.joinpath(f"{first:010}-{first + 1000:010}.fold").write_bytes(packed([]))


@hostile(LOGS, "a fold of nothing over all that is there", usable=False)
def fold_over_all(shared: Shared) -> None:
    shared.records.joinpath(f"{1:010}-{1000:010}.fold").write_bytes(packed([]))


@hostile(LOGS, "names of files that are nearly those of segments")
def odd_names(shared: Shared) -> None:
    for name in (
        "0000000000.segment", "-000000001.segment", "0000000009-0000000003.fold", "0000000001-0000000002.segment",
        "0000000003.fold", "\u0660" * 9 + "\u0661.segment", "99999999999999999999.segment", "0000000099.segment\n",
        "\x1b]0;owned\x07.segment", "0000000099.SEGMENT", ".segment",
    ):
        (shared.records / name).write_bytes(packed([b'{"segment":99,"id":"x"}\n']))


@hostile(LOGS, "numbers within a segment that are not its own, fall, or are none", short=True)
def odd_numbers_within(shared: Shared) -> None:
    heads = ('{"segment":1,"id":"x"}', '{"segment":1e9,"id":"x"}', '{"segment":-1,"id":"x"}', '{"id":"x"}',
             '{"segment":' + "9" * 5000 + ',"id":"x"}', '{"segment":"7","id":7}', "[]", "null", '["files",{}]')
    for head in heads:
        shared.next_file().write_bytes(packed([f"{head}\n".encode()]))
    first = int(shared.next_file().stem)
    falling = (f'{{"segment":{number},"id":"x"}}\n'.encode() for number in (first + 5, first + 4))
    shared.records.joinpath(f"{first:010}-{first + 9:010}.fold").write_bytes(packed(falling))


@hostile(LOGS, "lines nested without end, that are none, or have half a character", short=True)
def odd_lines(shared: Shared) -> None:
    for line in (b"[" * 100_000 + b"]" * 100_000, b'["files",' + b'{"a":' * 90_000 + b"1" + b"}" * 90_000 + b"]",
                 b'["files",{"name":"\\ud800"}]', b'["files",{"name":"\xff\xfe"}]', b'["files"', b"", b'{"segment":',
                 b'["files",{"name":NaN,"text":' + b"1" * 100_000 + b"}]"):
        _lines(shared, line + b"\n")


@hostile(LOGS, "a bomb: a line of a gigabyte", short=True)
def bomb_of_a_line(shared: Shared) -> None:
    _lines(shared, b'["iterations",{"message":"', *[b"x" * _MIB] * 1000, b'"}]\n')


@hostile(LOGS, "a bomb: lists in lists, in one line and in many", short=True)
def bomb_of_lists(shared: Shared) -> None:
    _lines(shared, b'["files",{"name":[', *[b"[]," * (_MIB // 3)] * 50, b"[]]}]\n")
    for size in (2**19, 2**14, 2**9):
        row = b'["files",{"name":[' + b"[]," * (size // 3) + b"[]]}]\n"
        _lines(shared, *[row] * (2**28 // size))


@hostile(LOGS, "a bomb: a hundred million rows", short=True)
def bomb_of_rows(shared: Shared) -> None:
    _lines(shared, *[b'["files",{}]\n' * (_MIB // 16)] * 1500)


@hostile(LOGS, "a bomb: texts of forty million letters, one after the other, of four bytes each")
def bomb_of_texts(shared: Shared) -> None:
    row = '["iterations",{"message":"\U0001f600'.encode() + b"x" * (40 * _MIB) + b'"}]\n'
    _lines(shared, *[row] * 10)


@hostile(LOGS, "a bomb: a hundred thousand texts in a list, again and again")
def bomb_of_names(shared: Shared) -> None:
    _lines(shared, *[b'["nodes",{"inputs":[' + b'"a",' * 100_000 + b'"a"]}]\n'] * 500)


@hostile(LOGS, "three thousand segments that are damaged, and as many that are sound", short=True)
def many_damaged(shared: Shared) -> None:
    first = int(shared.next_file().stem)
    for number in range(first, first + 6_000):
        file = shared.records / f"{number:010}.segment"
        file.write_bytes(b"garbage" if number % 2 else packed([b'{"segment":%d,"id":"x"}\n' % number]))


@hostile(LOGS, "a thousand folds that are damaged, each over all others")
def many_damaged_folds(shared: Shared) -> None:
    for after in range(1_000):
        shared.records.joinpath(f"{1:010}-{100 + after:010}.fold").write_bytes(b"garbage")


@hostile(LOGS, "a marker of an older layout, whose tables name files elsewhere", usable=False, short=True)
def older_layout(shared: Shared) -> None:
    import pyarrow as pa
    from deltalake import write_deltalake

    stolen = shared.outside / "part-x.parquet"
    rows = pa.table({"sequence": [0], "place": [0], "name": ["w.py"], "digest": ["0" * 64], "text": [SECRET]})
    write_deltalake(str(shared.outside / "files"), rows)
    shutil.move(next((shared.outside / "files").glob("part-*")), stolen)
    shutil.move(shared.outside / "files", shared.records / "files")
    edit_log(shared.records / "files" / "_delta_log" / f"{0:020}.json", {"path": f"file://{stolen}"})
    os.mkfifo(shared.records / "nodes")
    (shared.records / "results").symlink_to(shared.home)
    (shared.catalog / "helix.json").write_text(json.dumps({"layout": 1, "id": "older"}))


@hostile(LINKS, "leases that lead to somebody's home", usable=False, short=True)
def leases_elsewhere(shared: Shared) -> None:
    shutil.rmtree(shared.catalog / "leases", ignore_errors=True)
    (shared.catalog / "leases").symlink_to(shared.home)


@hostile(LINKS, "records that lead elsewhere", usable=False, short=True)
def records_elsewhere(shared: Shared) -> None:
    shutil.move(shared.records, shared.outside / "records")
    shared.records.symlink_to(shared.outside / "records")


@hostile(LINKS, "notes of runs that lead elsewhere", usable=False)
def running_elsewhere(shared: Shared) -> None:
    running = shared.catalog / "records" / "running"
    shutil.rmtree(running, ignore_errors=True)
    running.symlink_to(shared.outside)


@hostile(LINKS, "tables that lie elsewhere", usable=False)
def tables_elsewhere(shared: Shared) -> None:
    shutil.move(shared.catalog / "tables", shared.outside / "tables")
    (shared.catalog / "tables").symlink_to(shared.outside / "tables")


@hostile(LINKS, "a result that leads to somebody's folder", short=True)
def result_elsewhere(shared: Shared) -> None:
    folder = shared.stored("rows")
    shutil.move(folder, shared.outside / "stored")
    folder.symlink_to(shared.outside / "stored")
    other = shared.catalog / "tables" / ("c" * 64)
    other.symlink_to(shared.home)
    (shared.catalog / "tables" / ("d" * 64)).mkdir()
    (shared.catalog / "tables" / ("d" * 64) / ("e" * 32)).symlink_to(shared.home)


@hostile(LINKS, "a folder for what is moved aside that leads elsewhere", usable=False)
def aside_elsewhere(shared: Shared) -> None:
    shared.next_file().write_text("garbage")
    (shared.catalog / "damaged").symlink_to(shared.outside)


@hostile(LINKS, "links in a circle, and folders two thousand deep", short=True)
def endless_folders(shared: Shared) -> None:
    folder = shared.catalog / "tables" / ("f" * 64) / ("a" * 32)
    folder.mkdir(parents=True)
    (folder / "loop").symlink_to(folder)
    nest = "import os\nfor _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')"
    subprocess.run([sys.executable, "-c", nest], cwd=folder, check=True)


@hostile(LINKS, "a marker that is a pipe", usable=False, short=True)
def marker_is_a_pipe(shared: Shared) -> None:
    (shared.catalog / "helix.json").unlink()
    os.mkfifo(shared.catalog / "helix.json")


@hostile(LINKS, "a marker that has no end, or is nested without one", usable=False)
def marker_is_endless(shared: Shared) -> None:
    (shared.catalog / "helix.json").write_text("[" * 100_000)


@hostile(LINKS, "a marker that leads to what has no end", usable=False)
def marker_is_a_link(shared: Shared) -> None:
    (shared.catalog / "helix.json").unlink()
    (shared.catalog / "helix.json").symlink_to("/dev/zero")


@hostile(LINKS, "a marker that says what a terminal obeys", usable=False)
def marker_of_escapes(shared: Shared) -> None:
    (shared.catalog / "helix.json").write_text(json.dumps({"layout": 99, "created_by": "\x1b]0;owned\x07\u202e"}))


hostile_row("a shared catalog with hostile logs", LOGS)
hostile_row("a shared catalog with hostile links, pipes and devices", LINKS)
