"""Catalogs that came from somebody else: each is a sound one in which something was changed to harm who uses it.

A hostile catalog lies in a project; all commands are run there. What must not happen: that anything of the catalog is
executed, that something is written, deleted or opened outside of the project, that a command hangs, takes memory beyond
what lies on the disk, ends with a traceback, or hands a terminal or a page what it would obey.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import KINDS
from helix_spark.catalog.segments.record_index import columns_of
from helix_spark.catalog.segments.segment import segments_in
from tests.faults.row import Tally, fault
from tests.faults.verbs import Outcome, Verbs

SECRET = "the-text-of-a-file-outside-7c1f"
JOB = '''
import pandas as pd

import helix_spark as hx

PEOPLE = pd.DataFrame({"a": range(500), "s": [f"person {index % 97}" for index in range(500)]})


def job(weight: int = 1) -> hx.Workflow:
    wf = hx.Workflow("job")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return data.assign(a=data.a * 3)

    @wf.scanner
    def doubled(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(b=rows.a * 2)

    @wf.reducer(output=True)
    def total(doubled: pd.DataFrame) -> int:
        return int(doubled.b.sum()) * weight

    @wf.reducer(output=True)
    def count(rows: pd.DataFrame) -> int:
        return len(rows)

    return wf
'''
ANSWER = re.compile(r"total +748,?500.*count +500", re.DOTALL)

LOOKS: tuple[tuple[str, ...], ...] = (
    ("log",), ("show", "2"), ("diff", "1", "2"), ("plan", "job.py"), ("explain", "total", "job.py"), ("pages",),
)
"""What people do with a catalog that they were given, before anything else."""
RUN = ("run", "job.py")
VERBS: tuple[tuple[str, ...], ...] = (
    *LOOKS, ("log", "--json"), ("show", "1", "--json"), ("diff", "1", "2", "--json"), ("verify",), ("verify", "--deep"),
    ("gc", "--dry-run", "--grace", "0"), ("export", "1", "rows", "rows.parquet"),
    ("export", "2", "total", "total.json"),
    ("export", "1", "rows", "rows"), ("checkout", "1"), ("checkout", "2", "job.py"), ("ui", "--export", "pages.html"),
    ("repair", "--dry-run"), ("run", "job.py", "--policy", "always"), ("gc", "--grace", "0"), ("repair",), ("log",),
    RUN,
)
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What a terminal obeys, or what turns the order of its letters."""
_MAY_REFUSE = ("verify", "export", "gc")
"""They tell what is damaged, cannot be had, or is nested too deep to be deleted; the catalog is used all the same."""
_MOST_MEMORY = 1200 << 20
"""Bytes at most; a run of the sound catalog takes 300 MB. What is exported or run on is read whole, and may become
ten thousand times what it takes on the disk; see the manual."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """One hostile catalog.

    Attributes:
        make: changes the sound one.
        usable: whether a run must give the right answer all the same; else it may refuse in a sentence.
        short: whether it is tried in the tests.
    """

    name: str
    make: Callable[[Shared], None]
    usable: bool
    short: bool


HOSTILES: dict[str, list[Hostile]] = {}


def hostile(
    group: str, name: str, *, usable: bool = True, short: bool = False
) -> Callable[[Callable[[Shared], None]], Callable[[Shared], None]]:
    """Adds a hostile catalog to a group."""

    def register(make: Callable[[Shared], None]) -> Callable[[Shared], None]:
        HOSTILES.setdefault(group, []).append(Hostile(name, make, usable, short))
        return make

    return register


@dataclass
class Shared:
    """A catalog in somebody's project, in somebody's home.

    Attributes:
        port: of a server on this machine that counts who connects.
    """

    home: LocalPath
    port: int

    def __post_init__(self) -> None:
        self.project, self.outside = self.home / "project", self.home / "elsewhere"
        self.secret = self.home / "secret.txt"
        self.catalog, self.records = self.project / "catalog", self.project / "catalog" / "records"

    def segments(self) -> list[LocalPath]:
        """The files of the segments, oldest first."""
        return sorted(self.records.glob("*.segment"))

    def next_file(self, after: int = 0) -> LocalPath:
        """The file that the next append would make, or one so many numbers after it."""
        return self.records / f"{int(self.segments()[-1].stem) + 1 + after:010}.segment"

    def rows(self, name: str) -> list[dict[str, Any]]:
        """All records of a kind, with all fields."""
        return [_whole(name, row) for file in self.segments() for kind, row in _rows_in(file) if kind == name]

    def rewrite(self, name: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        """Writes the records of a kind anew, all of them into the newest segment that has such.

        Args:
            change: gives the rows that there are to be.
        """
        changed = change(self.rows(name))
        having = [file for file in self.segments() if any(kind == name for kind, _ in _rows_in(file))]
        for file in having:
            others = [(kind, row) for kind, row in _rows_in(file) if kind != name]
            write_rows(file, [*others, *((name, row) for row in changed if file == having[-1])])

    def change(
        self, name: str, which: Callable[[dict[str, Any]], bool] = lambda row: True, /, **cells: Any
    ) -> None:
        """Changes some fields of some records of a kind, each in its segment."""
        for file in self.segments():
            rows = [(kind, _whole(kind, row)) for kind, row in _rows_in(file)]
            if any(kind == name and which(row) for kind, row in rows):
                write_rows(file, [
                    (kind, {**row, **cells} if kind == name and which(row) else row) for kind, row in rows
                ])

    def stored(self, node: str) -> LocalPath:
        """The folder of a stored result."""
        row = next(row for row in self.rows("artifacts") if row["node"] == node and row["event"] == "published")
        return self.catalog / f"{row['kind']}s" / str(row["signature"]) / str(row["attempt"])

    def log_of(self, node: str) -> Path:
        return self.stored(node) / "_delta_log" / f"{0:020}.json"

    def data_of(self, node: str) -> LocalPath:
        return next(self.stored(node).glob("part-*"))


def _rows_in(file: Path) -> list[tuple[str, dict[str, Any]]]:
    return [(kind, dict(row)) for segment in segments_in(file.read_bytes()) for kind, row in segment.rows]


def _whole(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    """A record with the fields that it leaves out."""
    columns = columns_of(_TYPES[kind])
    given = {name: None if one.default is MISSING else one.default for name, one in columns.items()}
    return {**given, **row}


_TYPES = {one.name: one.record_type for one in KINDS}


def write_rows(file: Path, rows: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Writes a sound segment with these rows, as the number that its file's name says."""
    head = {"segment": int(file.stem), "id": "0" * 32}
    file.write_bytes(packed(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in (head, *rows)))


def packed(pieces: Iterable[bytes]) -> bytes:
    """Returns the file of some lines as `pack` does, of any length."""
    compressing = zlib.compressobj()
    content = b"".join([*map(compressing.compress, pieces), compressing.flush()])
    return b"helix segment 1\n%s\n%s" % (hashlib.sha256(content).hexdigest().encode(), content)


def edit_log(log: Path, add: Mapping[str, Any] = {}, metadata: Mapping[str, Any] = {}) -> None:
    """Change fields of the `add` and `metaData` actions of a log's entry, and delete its checksum."""
    changes, lines = {"add": add, "metaData": metadata}, []
    for action in map(json.loads, log.read_text().splitlines()):
        changed = {name: {**value, **changes.get(name, {})} for name, value in action.items()}
        lines.append(f"{json.dumps(changed)}\n")
    log.write_text("".join(lines))
    log.with_name(f".{log.name}.crc").unlink(missing_ok=True)


class Home:
    """Somebody's home with a sound catalog in a project, which can be had again and again under the same path."""

    def __init__(self, folder: LocalPath) -> None:
        self.folder, self._sound = folder / "home", folder / "sound"
        self.connections = 0

    @contextmanager
    def opened(self) -> Iterator[Verbs]:
        self.folder.mkdir(parents=True)
        with Verbs(self.folder) as verbs, self._listening():
            project = self.folder / "project"
            project.mkdir()
            (project / "job.py").write_text(JOB)
            for weight in ("2", "1"):
                done = verbs.outcomes(
                    project, [("run", "job.py", "--policy", "always", "--set", f"weight={weight}", "-m", "sound")],
                    seconds=120,
                )
                assert done[0].code == 0, done[0].err
            for name in (".bashrc", ".profile", ".netrc"):
                (self.folder / name).write_text(f"# {name}\n")
                os.utime(self.folder / name, (1e9, 1e9))
            (self.folder / "secret.txt").write_text(SECRET)
            (self.folder / "elsewhere").mkdir()
            shutil.copytree(self.folder, self._sound)
            try:
                yield verbs
            finally:
                subprocess.run(["rm", "-rf", self.folder], check=True)

    def again(self) -> Shared:
        """The sound one."""
        subprocess.run(["rm", "-rf", self.folder], check=True)  # folders may be nested deeper than Python goes
        shutil.copytree(self._sound, self.folder, symlinks=True)
        self.connections = 0
        return Shared(self.folder, self._port)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            self._port = server.getsockname()[1]
            threading.Thread(target=self._count, args=(server,), daemon=True).start()
            yield
            server.shutdown(socket.SHUT_RDWR)

    def _count(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()


def seen_outside(home: Path) -> dict[str, tuple[int, int, str]]:
    """All that is in a home, but for the project's catalog: kind, size and content by path."""
    found = {}
    for folder, names, files in os.walk(home):
        if Path(folder) == home / "project":
            names[:] = [name for name in names if name != "catalog"]
        for name in (*names, *files):
            path = Path(folder, name)
            status = path.lstat()
            regular = stat.S_ISREG(status.st_mode) and status.st_size < 1 << 20
            content = hashlib.sha256(path.read_bytes()).hexdigest() if regular else ""
            size = status.st_size if regular else 0
            found[str(path.relative_to(home))] = (stat.S_IFMT(status.st_mode), size, content)
    return found


_EXPECTED = re.compile(
    r"project/(__pycache__.*|rows|rows/.*|rows\.parquet|total\.json|pages\.html|[\w.-]+\.iteration-\d+\.py)"
)


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a hostile catalog.

    Attributes:
        wrong: what went wrong with commands, in words.
        answered: whether the last run gave the right answer.
    """

    wrong: tuple[str, ...]
    answered: bool


def tried(
    home: Home, each: Hostile, verbs: Verbs, asked: Sequence[Sequence[str]], *, seconds: float = 60.0
) -> Tried:
    """Does with a hostile catalog what people do with one that they were given."""
    shared = home.again()
    shutil.rmtree(verbs.indexes, ignore_errors=True)  # nobody has read this catalog before
    each.make(shared)
    before = seen_outside(shared.home)
    outcomes = verbs.outcomes(shared.project, asked, seconds=seconds)
    wrong = [f"{' '.join(done.verb)}: {what}" for done in outcomes for what in _harm_of(done, usable=each.usable)]
    after = seen_outside(shared.home)
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path) and not _EXPECTED.fullmatch(path):
            how = "made" if path not in before else "deleted" if path not in after else "changed"
            wrong.append(f"{path} was {how}")
    if home.connections:
        wrong.append("something was asked over the network")
    runs = [done for done in outcomes if done.verb[0] == "run"]
    return Tried(tuple(wrong), bool(runs) and ANSWER.search(runs[-1].out) is not None)


def _harm_of(done: Outcome, *, usable: bool) -> Iterator[str]:
    said = done.out + done.err
    if done.hung:
        yield f"hung for {done.seconds:.0f} s"
    elif done.code not in (0, 1, 2, 3):
        yield f"ended with {done.code}: {done.err[-200:]!r}"
    elif "Traceback" in said:
        yield f"a traceback: {said[-200:]!r}"
    elif done.verb[0] == "pages" and (bad := [line for line in done.out.splitlines() if line.startswith("500 ")]):
        yield f"server errors: {bad[0]}"
    elif usable and done.verb[0] == "run" and not ANSWER.search(done.out):
        yield f"no right answer: {said[-300:]!r}"
    elif usable and done.code == 3 and done.verb[0] not in _MAY_REFUSE:
        yield f"refused: {said[-300:]!r}"
    if done.peak > _MOST_MEMORY:
        yield f"took {done.peak >> 20} MiB"
    if SECRET in said:
        yield "it tells what a file outside holds"
    if _OBEYED.search(said) or "\nRAW\n" in done.out:
        yield f"it prints what a terminal obeys: {_OBEYED.search(said)}"


def hostile_row(
    name: str, group: str, expected: str = "nothing executed, written outside, hung, obeyed or raised"
) -> None:
    """Add the row of the table that tries the hostile catalogs of a group."""
    @fault(name, expected, short=0, full=99)
    def try_all(folder: LocalPath, count: int, tally: Tally) -> None:
        home, answered, chosen = Home(folder), 0, HOSTILES[group][:count]
        with home.opened() as verbs:
            for number in tally.rounds(len(chosen)):
                each = chosen[number - 1]
                try:
                    found = tried(home, each, verbs, VERBS)
                except Exception as error:  # noqa: BLE001  # one that cannot be made must not hide the others
                    found = Tried((f"{type(error).__name__}: {error}",), answered=False)
                answered += found.answered
                tally.expect(not found.wrong, f"{each.name}: {'; '.join(found.wrong[:6])}")
        tally.note = f"{answered} give the right answer, by themselves or once repaired; the others are refused"
