"""A program that turns out to need a classic session while it runs: what it did by then that lasts, and a record of the
need, so that its next run begins in a classic session."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import AnswerRecord
from helix_spark.hermetic.asking import asker
from helix_spark.identity.environment import package_version
from helix_spark.identity.parts import digest
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_text import NeedsClassic, files_of_program
from helix_spark.visible_text import visible

_EVENTS = {
    "open": "wrote {}", "os.remove": "removed {}", "os.rename": "renamed {}", "os.mkdir": "made the folder {}",
    "os.rmdir": "removed the folder {}",
    "shutil.rmtree": "removed the folder {}", "shutil.move": "moved {}", "socket.connect": "connected to a server",
    "subprocess.Popen": "started {}", "os.system": "started a command", "sqlite3.connect": "opened the database {}",
    "builtins.input": "asked for input",
}
"""Audit events of acts that last, and how they are told with their first argument."""


@dataclass(slots=True)
class LastingActs:
    """Acts of the author's code, and of libraries that it calls, that a second start would repeat.

    Attributes:
        first: the first of them, in words with the author's line; empty as long as there is none.
    """

    first: str = ""
    _running: bool = field(default=False)

    def watch(self) -> None:
        """Watch until the process ends: an audit hook cannot be removed."""
        self._running = True
        sys.addaudithook(self._hear)

    def stop(self) -> None:
        """Watch no more."""
        self._running = False

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._running or self.first:
            return
        text = _EVENTS.get(event, "")
        if not text or (event == "open" and not _writes(arguments)):
            return
        if (actor := asker(sys._getframe(1))) is not None and actor.place:
            self.first = actor.at(text.format(arguments[0] if arguments else ""))


def _writes(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))


def lasting_act(program: PlainProgram, acts: LastingActs) -> str:
    """Return what a program did that lasts, in words; empty if it did nothing."""
    asked = () if program.answerer is None else tuple(program.answerer.asked)
    effect = next((one for one in asked if one.fresh and one.question.sort == "effect"), None)
    if effect is None:
        return acts.first
    return f"had Spark run {effect.caller.call or effect.caller.function} (line {effect.caller.line})"


def record_need(need: NeedsClassic, program: PlainProgram) -> None:
    """Record that later runs of the same text, with the same arguments, begin in a classic session.

    Raises:
        CatalogError: the catalog cannot be written.
    """
    catalog, identity = program.catalog, _identity(program.path, program.arguments)
    catalog.make()
    text = json.dumps({"file": need.file.name, "line": need.line, "what": need.what})
    catalog.answers.append([AnswerRecord(identity, program.name, 1, time.time(), needs_classic=text)])


def recorded_need(catalog: Catalog, path: Path, arguments: Sequence[str]) -> NeedsClassic | None:
    """Return what an earlier run of the same text needed a classic session for; None if none did.

    Raises:
        CatalogError: the catalog cannot be read.
    """
    entry = catalog.answers.newest(_identity(path, arguments))
    record = None if entry is None else catalog.answers.record(entry)
    record = None if record is None else catalog.answers.sound(record)
    if record is None:
        return None
    match mapping(record.needs_classic):
        case {"file": str(file), "line": int(line), "what": str(what)}:
            return NeedsClassic(Path(visible(file[:_LONGEST_FILE])), line, visible(what[:_LONGEST_NEED]))
    return None  # a damaged record: the run finds out again


_LONGEST_FILE, _LONGEST_NEED = 4_096, 200


def _identity(path: Path, arguments: Sequence[str]) -> str:
    texts = [file.read_bytes() for file in sorted(files_of_program(path)) if file.is_file()]
    return digest("needs a classic session", *map(digest, texts), *arguments, package_version("pyspark"))
