"""What a program's Python functions read in workers counts by content once it is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helix_spark.answers.watched_functions import WatchedFunctions

CODE = "c" * 64


class Functions:
    """Runs of one program, with what each put on record."""

    def __init__(self) -> None:
        self.record: dict[str, str] = {}

    def begin(self) -> WatchedFunctions:
        return WatchedFunctions(lambda code: self.record.get(code, ""))

    def end(self, run: WatchedFunctions) -> None:
        self.record |= dict(run.learned())
        run.close()


def tell(run: WatchedFunctions, sort: str, name: str, more: object = None) -> None:
    """A worker tells what a function does."""
    with Path(run.purpose(CODE).folder, "worker").open("a") as file:
        file.write(json.dumps([CODE, sort, name, more]) + "\n")


def tell_read(run: WatchedFunctions, file: Path) -> None:
    status = file.stat()
    state = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    tell(run, "read", str(file), [state, "reads what is written meanwhile"])


@pytest.fixture
def words(tmp_path: Path) -> Path:
    file = tmp_path / "words.txt"
    file.write_text("one")
    return file


def test_a_file_that_is_read_for_the_first_time_is_no_answer_yet_and_counts_from_then_on(words: Path) -> None:
    functions = Functions()
    first = functions.begin()
    signed = ((CODE, first.identity(CODE)),)
    tell_read(first, words)
    assert str(words) in first.doubt(signed)
    again = ((CODE, first.identity(CODE)),)
    assert again != signed
    assert first.doubt(again) == ""
    functions.end(first)
    second = functions.begin()
    assert second.identity(CODE) == again[0][1]
    words.write_text("two")
    assert second.identity(CODE) != again[0][1]


def test_what_was_first_read_for_an_answer_counts_for_it(words: Path) -> None:
    functions = Functions()
    first = functions.begin()
    signed = ((CODE, first.identity(CODE)),)
    tell_read(first, words)
    read = first.as_read(signed)
    assert read != signed
    assert first.doubt(read) == ""
    functions.end(first)
    assert functions.begin().identity(CODE) == read[0][1]


@pytest.mark.parametrize("known", [True, False])
def test_what_was_changed_since_it_was_read_or_signed_counts_for_no_answer(words: Path, known: bool) -> None:
    run = Functions().begin()
    if known:
        tell_read(run, words)
        run.doubt(((CODE, ""),))
    signed = ((CODE, run.identity(CODE)),)
    tell_read(run, words)
    if not known:
        run.doubt(signed)  # of another question at the same time
    words.write_text("two")
    tell(run, "asked", "HOME", [None, "asks for HOME"])
    assert run.as_read(signed) == signed
    assert run.doubt(signed)


def test_a_file_that_changes_while_it_is_read_is_no_answer(words: Path) -> None:
    run = Functions().begin()
    tell_read(run, words)
    run.doubt(((CODE, ""),))
    signed = ((CODE, run.identity(CODE)),)
    words.write_text("two")
    assert "new or has changed" in run.doubt(signed)


def test_two_questions_at_once_learn_of_what_one_of_them_was_told(words: Path) -> None:
    run = Functions().begin()
    tell_read(run, words)
    signed = ((CODE, ""),)
    assert run.doubt(signed)
    assert run.doubt(signed)


def test_what_asks_the_clock_is_doubtful_to_the_end() -> None:
    run = Functions().begin()
    tell(run, "chance", "asks the clock (train.py:3)")
    for _ in range(2):
        assert run.doubt(((CODE, ""),)) == "has Python code in it that asks the clock (train.py:3)"


@pytest.mark.parametrize("text", ["[]", '{"files": 3}', "no JSON", '{"files": {"a": 1}}', '{"drew": {}}'])
def test_a_record_that_is_none_of_ours_tells_nothing(text: str) -> None:
    functions = Functions()
    functions.record[CODE] = text
    assert functions.begin().identity(CODE) == ""


def test_nothing_is_watched_on_other_machines() -> None:
    assert WatchedFunctions(lambda _: "", watched=False).purpose(CODE).folder == ""
