"""What may go of a journal's folder: files of rows that upkeep replaced, log entries below a checkpoint, files that no
commit came to name.

Whatever is deleted is dead for good, however old the view by which that was decided, so that a process may be stopped
at any point for any time:

- a file that a log entry removed stays removed: names are never used twice, so no later entry adds it again;
- an entry below a checkpoint is read by nobody who looks now. Its number is free once more, but a writer that was
  stopped before it took it finds out (`LogEnd.is_cleaned`), and appends again at the end;
- a file that no entry names, and that lay there before a later version was committed, cannot be committed any more: an
  append takes the number after the version that it saw, or fails. (A merge may take a later one. It goes on for less
  than a second where nothing stops it, and such files lie for a month.)

So no safety rests on how long things wait, nor on two clocks. They wait for days (`GRACE_SECONDS`) for the sake of who
was stopped while reading, who has to look again, and of a log that lost its end, which can be cut back as long as what
its end replaced is there. What waits counts for the budget, so it is bounded: see `MOST_FILES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.journal.own_files import StrangeFilesError, checked_name
from helix_spark.catalog.journal.rows import Row
from helix_spark.catalog.leases.leases import GRACE_SECONDS
from helix_spark.catalog.places.delta_log import LONGEST_ENTRY, DeltaLog, actions_in
from helix_spark.catalog.places.place import OddFileError, Place, text_in

if TYPE_CHECKING:
    from deltalake import DeltaTable

MOST_FILES = 300
"""Replaced files that wait in a journal; of more the oldest go after `SHORTEST`. A run replaces up to five in one, and
whoever counts a catalog's bytes looks at each: 2 or 3 microseconds on a disk."""

MOST_BYTES = 8 << 20
"""The same for their bytes."""

SHORTEST = 600.0
"""Seconds that a replaced file waits at least.

Why not days in any case: each row is rewritten twice, so at a run a minute three days would keep some 20,000 files and
600 MB, which count for the budget and are looked at before each answer. At a run each quarter of an hour, which
leaves one file a journal as most do, nothing goes before three days. What goes sooner costs nobody a record, however
long they were stopped: who reads looks again (`journal.LOOKS`), who appends finds the number taken, or cleaned up. It
costs only how far back a log that lost its end can be cut."""

UNKNOWN_SECONDS = 10 * GRACE_SECONDS
"""After so long a file that no log entry names goes: what a process left that died before it committed."""

SPACING = 50
"""Versions between two checkpoints that are kept. Each has the names of all files; the entries between are kept."""


class TakenOverError(Exception):
    """Another process does the upkeep now."""


Lying = Mapping[str, tuple[int, float]]
"""Bytes and time of the last write of each file of rows in a folder, by name."""


def files_lying(folder: Place) -> Lying:
    """What lies in a journal's folder now. To be asked before a commit, after which it can be told what is dead."""
    found = {}
    for path in folder.glob("*.parquet"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found[path.name] = (status.st_size, status.st_mtime)
    return found


def clear(
    journal: Journal[Row], lying: Lying, at_version: Callable[[int], DeltaTable], deletes: Callable[[str], bool],
    most_bytes: int,
) -> int:
    """Delete what is dead and has waited long enough. Returns how many files of rows went.

    Args:
        lying: what was there before the newest version that this process committed.
        at_version: opens the table as it was.
        deletes: whether a file of rows may go; raises TakenOverError once another process does this.
        most_bytes: that may wait.

    Raises OSError, and CatalogError for damaged records.
    """
    swept = _Sweep(journal.folder, deletes)
    live = journal.files()
    waiting = {name: size for name, (size, _) in lying.items() if name not in live}
    for version, checkpoint in list(swept.checkpoints.items()):
        age = swept.age_of(checkpoint)
        crowded = len(waiting) > MOST_FILES or sum(waiting.values()) > most_bytes
        if age < GRACE_SECONDS and not (crowded and age >= SHORTEST):
            break
        for name in swept.drop_below(version):
            waiting.pop(name, None)
    swept.thin_checkpoints()
    if old := [name for name in waiting if swept.now - lying[name][1] > UNKNOWN_SECONDS]:
        then = at_version(swept.oldest) if swept.oldest is not None else None
        named = {uri.rpartition("/")[2] for uri in then.file_uris()} if then is not None else set(old)
        swept.drop_files(name for name in old if name not in named)
    return swept.dropped


class _Sweep:
    """One sweep of a journal's folder."""

    def __init__(self, folder: Place, deletes: Callable[[str], bool]) -> None:
        self._folder, self._deletes = folder, deletes
        self.dropped = 0
        self.entries, self.checkpoints = DeltaLog(folder).numbered()
        self.now = self.entries[max(self.entries)].stat().st_mtime

    @property
    def oldest(self) -> int | None:
        """The oldest version that can be read."""
        return min(self.checkpoints, default=None)

    def age_of(self, path: Place) -> float:
        """Seconds between the last write of a file and the newest commit, both by the clock of the disk or store."""
        return self.now - path.stat().st_mtime

    def drop_below(self, version: int) -> list[str]:
        """Drops the entries below a checkpoint and what they replaced, oldest first, so that no entry is there without
        those after it. Returns the names of the files of rows."""
        dropped: list[str] = []
        for each in [one for one in self.entries if one < version]:
            entry = self.entries.pop(each)
            removed = _removed(entry)
            self.drop_files(removed)
            dropped += removed
            self._drop(entry)
        for each in [one for one in self.checkpoints if one < version]:
            self._drop(self.checkpoints.pop(each))
        return dropped

    def thin_checkpoints(self) -> None:
        """Drops those between others: what they say is in the entries, which are all there."""
        first, *between = list(self.checkpoints)[:-1] or [0]
        for each in between:
            if each - first >= SPACING:
                first = each
            else:
                self._drop(self.checkpoints.pop(each))

    def drop_files(self, names: Iterable[str]) -> None:
        """Deletes files of rows with their checksums."""
        for name in names:
            if self._deletes(name):
                reach("upkeep.replaced")
                (self._folder / name).unlink(missing_ok=True)
                (self._folder / f".{name}.crc").unlink(missing_ok=True)
                self.dropped += 1

    def _drop(self, path: Place) -> None:
        if self._deletes(path.name):
            reach("upkeep.entry")
            path.unlink(missing_ok=True)


def _removed(entry: Place) -> list[str]:
    """The files that a log entry removed. One that was cut or is gone tells of none, nor does one that names what lies
    elsewhere."""
    try:
        actions = actions_in(text_in(entry, LONGEST_ENTRY))
        return [checked_name(unquote(action["remove"]["path"])) for action in actions if "remove" in action]
    except (FileNotFoundError, OddFileError, StrangeFilesError, ValueError, KeyError, TypeError):
        return []
