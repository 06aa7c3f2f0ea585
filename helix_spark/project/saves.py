"""Saves of an author's files: when one is over, and what it changed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path

_MOST_FILES, _MOST_PLACES = 3, 3

POLL_SECONDS = 0.05
"""How often files are looked at. Cheap for a project's files, and too short to be noticed."""

_SETTLED = 0.01
"""Seconds without a change after which a save is over: most editors and programs empty a file before they fill it."""

_EMPTY = 1.0
"""Seconds for which a file that was emptied is taken for one that is about to be filled."""

_RARER, _LONGEST_POLL = 20, 1.0
"""Where a look takes long (thousands of files, a network disk), the pause is this many times as long, up to seconds."""

Stamp = tuple[int, int]


def texts_of(files: Iterable[Path]) -> dict[Path, str]:
    """Return what is in each file; one that is not there, or is no text, has none."""
    found = {}
    for file in files:
        try:
            found[file] = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue  # an editor may be replacing it
    return found


def edited(before: Mapping[Path, str], after: Mapping[Path, str]) -> str:
    """Return which files differ, and at which of their lines now, in a line; empty where none does.

    >>> edited({Path("a.py"): "1\\n2\\n3\\n"}, {Path("a.py"): "1\\nx\\ny\\n3\\n4\\n", Path("b.py"): ""})
    'a.py: lines 2-3, line 5; b.py is new'
    >>> edited({Path("a.py"): "1\\n2\\n"}, {Path("a.py"): "1\\n"})
    'a.py: after line 1'
    """
    changes = [f"{file.name} is new" if file not in before else _places(file, before[file], text)
            for file, text in after.items() if before.get(file) != text]
    changes += [f"{file.name} is gone" for file in before if file not in after]
    more = [f"{len(changes) - _MOST_FILES} more files"] if len(changes) > _MOST_FILES else []
    return "; ".join([*changes[:_MOST_FILES], *more])


def _places(file: Path, before: str, after: str) -> str:
    places = list(_lines(before.splitlines(), after.splitlines()))
    more = [f"and {len(places) - _MOST_PLACES} more"] if len(places) > _MOST_PLACES else []
    return f"{file.name}: {', '.join([*places[:_MOST_PLACES], *more])}"


def _lines(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    for tag, _, _, start, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "delete":
            yield f"after line {start}"
        elif tag != "equal":
            yield f"line {end}" if end - start == 1 else f"lines {start + 1}-{end}"


def await_change(files: Iterable[Path], before: Mapping[Path, Stamp]) -> None:
    while True:
        began = time.perf_counter()
        if (now := stamps(files)) != before:
            return _await_end_of_save(files, before, now)
        took = time.perf_counter() - began
        time.sleep(min(max(POLL_SECONDS, _RARER * took), _LONGEST_POLL))


def _await_end_of_save(files: Iterable[Path], before: Mapping[Path, Stamp], now: Mapping[Path, Stamp]) -> None:
    """Wait until files hold still, and none is empty that was not; for a file that is meant to be empty not long."""
    noticed = time.perf_counter()
    while time.perf_counter() - noticed < _EMPTY:
        time.sleep(_SETTLED)
        last, now = now, stamps(files)
        if now == last and not any(size == 0 < before.get(file, (0, 0))[1] for file, (_, size) in now.items()):
            return


def stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    """Return each file's time of change and size."""
    stamps = {}
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue  # an editor may replace a file by removing it first; the next look finds the new one
        stamps[file] = (status.st_mtime_ns, status.st_size)
    return stamps
