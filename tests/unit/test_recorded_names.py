"""Files that a record names. A stranger may have written it: none is opened that waits, never ends, or acts."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helix_spark.answers.watched_functions import WatchedFunctions
from helix_spark.hermetic.observed_inputs import ObservedInputs, content_of, observed_from_json, system_digest, value_of
from helix_spark.identity.parts import digest
from helix_spark.loaded_sources import read_lines
from helix_spark.regular_files import OddFileError, open_regular, read_regular, scan_folder

CODE = "c" * 64

ODD: dict[str, Callable[[Path], str]] = {
    "a pipe": lambda folder: _made(os.mkfifo, folder / "odd"),
    "a link to a pipe": lambda folder: _linked(folder, _made(os.mkfifo, folder / "pipe")),
    "a link to a device": lambda folder: _linked(folder, "/dev/zero"),
    "a device": lambda folder: "/dev/zero",
    "a terminal": lambda folder: "/dev/tty",
    "the standard input": lambda folder: "/dev/stdin",
    "the kernel's log": lambda folder: "/proc/kmsg",
    "memory": lambda folder: "/proc/self/mem",
    "a kernel's file": lambda folder: "/sys/kernel/notes",
    "a null byte": lambda folder: f"{folder}/a\0b",
    "half a character": lambda folder: f"{folder}/\ud800",
    "a long name": lambda folder: "/" + "a" * 10_000_000,
    "a deep name": lambda folder: "/a" * 3_000_000,
}


def _made(make: Callable[[Path], object], path: Path) -> str:
    make(path)
    return str(path)


def _linked(folder: Path, target: str) -> str:
    (folder / "odd").symlink_to(target)
    return str(folder / "odd")


@pytest.fixture(params=ODD.values(), ids=ODD)
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.param(tmp_path)  # type: ignore[no-any-return]  # a fixture's parameter has no type


def test_nothing_but_a_regular_file_is_opened(odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    open_file, thread = os.open, threading.get_ident()

    def note(*arguments: Any) -> int:
        if threading.get_ident() == thread:  # others may beat for leases of earlier tests
            opened.append(arguments)
            raise PermissionError
        return open_file(*arguments)

    monkeypatch.setattr(os, "open", note)
    with pytest.raises((OddFileError, FileNotFoundError)):
        open_regular(odd)
    with pytest.raises((OddFileError, FileNotFoundError)), scan_folder(odd):
        pass
    assert opened == []


def test_what_a_record_says_was_read_is_no_answer_where_it_cannot_be_known(odd: str) -> None:
    if not os.path.lexists("/sys/kernel/notes") and odd.startswith("/sys"):
        pytest.skip("this kernel shows no notes")
    assert content_of(odd) in ("no file", "absent")
    assert system_digest(f"names of {odd}") in ("no file", "absent")
    assert value_of(odd) == "absent"
    assert read_lines(odd) == []
    recorded = ObservedInputs(files={odd: "0" * 64}, told={f"names of {odd}": "0" * 64})
    assert not recorded.now().agrees(recorded)
    assert not ObservedInputs(files={odd: "no file"}).now().agrees(ObservedInputs(files={odd: "no file"}))


@pytest.mark.parametrize("name", ["a null byte", "half a character", "a long name", "a deep name"])
def test_a_recorded_path_that_no_file_has_is_cut_and_its_content_unknown(name: str, tmp_path: Path) -> None:
    path = ODD[name](tmp_path)
    recorded = ObservedInputs(files={path: "0" * 64, "/etc/passwd": "1" * 64}, told={f"names of {path}": "0" * 64})
    read = observed_from_json(recorded.to_json())
    assert read.files["/etc/passwd"] == "1" * 64
    assert "0" * 64 not in read.files.values()
    assert max(map(len, read.files)) <= 300
    "".join(read.files).encode()
    assert not read.told
    assert read.unknown
    assert not recorded.now().agrees(read)


@pytest.mark.parametrize("name", ["a null byte", "half a character", "a long name", "a deep name"])
def test_what_a_stranger_asks_the_system_of_no_file_is_unknown(name: str, tmp_path: Path) -> None:
    read = observed_from_json(json.dumps({"told": {f"mode of {ODD[name](tmp_path)}": "0" * 64}}))
    assert read.unknown
    assert not read.told
    assert not read.now().agrees(read)


def test_names_in_folders_are_noted_otherwise_by_older_records(tmp_path: Path) -> None:
    read = observed_from_json(json.dumps({"listed": {str(tmp_path): "0" * 64}}))
    assert (read.places, read.unknown) == ((str(tmp_path),), "")
    assert not read.now().agrees(read)


def test_what_a_later_version_notes_besides_is_unknown() -> None:
    read = observed_from_json('{"colours": {"/etc/passwd": "red"}}')
    assert read.unknown
    assert read.to_json()


def test_a_text_with_half_a_character_has_a_digest() -> None:
    assert digest("\ud800") != digest("\ud801")


def test_a_function_that_reads_a_pipe_is_never_reused_and_says_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    text = ObservedInputs(files={str(tmp_path / "pipe"): "no file"}).to_json()
    watched = WatchedFunctions(lambda _: text)
    signed = ((CODE, watched.identity(CODE)),)
    said = f"reads {tmp_path / 'pipe'}, which is no regular file on a disk"
    assert said in watched.unknown(CODE)[0]
    assert said in watched.doubt(signed)


def test_a_file_is_read_as_far_as_it_may_be_long(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_regular(tmp_path / "link", 5) == b"12345"
    with pytest.raises(OddFileError, match="more than 4 bytes"):
        read_regular(tmp_path / "file", 4)
    with pytest.raises(OddFileError, match="no regular file"):
        read_regular(tmp_path / "link", 5, links=False)
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(1 << 40)
    assert len(content_of(str(tmp_path / "holes"))) == 64
    assert read_lines(str(tmp_path / "holes")) == []
