"""What an edit is: a change of text, and what must run because of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Answer = Literal["same", "new", "any"]


class EditError(Exception):
    """The text that an edit is about is not there, so the edit is not the one it says."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces text that a file has exactly once.

    Attributes:
        file: relative to the project's folder.
        keep_time: leave the file's time of change as it was, as some tools do.
    """

    file: str
    old: str
    new: str
    keep_time: bool = False


@dataclass(frozen=True, slots=True)
class Append:
    """Adds text at the end of a file."""

    file: str
    text: str


Change = Edit | Append


@dataclass(frozen=True, slots=True)
class Case:
    """One edit, as a person would make it.

    Attributes:
        name: what kind of edit it is.
        job: the file that is run, without its ending.
        changes: of the text.
        must_run: the nodes whose result is another one afterwards, and the columns that a table made of them takes
            (columns are never stored by themselves). No other node may be computed.
        answer: whether the answer from scratch becomes a new one: an edit that must run something and shows in no
            answer would prove nothing. "any" where rounding decides.
        second_chance: only the compared query plans can tell that nothing must run.
        restart: the edit shows in a new process only, as an upgraded package does.
    """

    name: str
    job: str
    changes: tuple[Change, ...]
    must_run: frozenset[str] = frozenset()
    answer: Answer = "same"
    second_chance: bool = False
    restart: bool = False


def apply(change: Change, project: Path) -> None:
    """Makes a change.

    Raises:
        EditError: the old text is not there, or not once.
    """
    path = project / change.file
    text = path.read_text()
    times = path.stat()
    match change:
        case Append(text=more):
            path.write_text(text + more)
        case Edit(old=old, new=new, keep_time=keep_time):
            if text.count(old) != 1:
                raise EditError(f"{change.file} has {text.count(old)} times, not once: {old!r}")
            path.write_text(text.replace(old, new))
            if keep_time:
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
