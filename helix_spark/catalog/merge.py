"""What another copy of a catalog has and this one lacks, after the two went apart: its iterations and its stored
results are taken over.

A run is known by its id and a stored result by that of its attempt, so what both copies have is never taken twice, and
a merge that ended in the middle is simply done again. Nothing of the other copy is believed: its records are those
that fit, each stored result is checked against its record before it counts, and no name that the other copy says is
one of a file here but ids in plain hex.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.held_records import HeldRecords, held_records
from helix_spark.catalog.history import heaviest
from helix_spark.catalog.journal.own_files import StrangeFilesError, check_folder
from helix_spark.catalog.places.catalog_folder import Layout, explained, locate, marked_id
from helix_spark.catalog.places.delta_log import DeltaLog
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.places.side_checksums import ChecksumError, check_all, write_checksums
from helix_spark.catalog.record_journals import journals_in
from helix_spark.catalog.records import ArtifactRecord, FileRecord, IterationRecord, NodeRecord, ResultRecord
from helix_spark.catalog.tables.attempts import Attempt, physical_bytes
from helix_spark.catalog.tables.table_check import check_table
from helix_spark.catalog.verification import check_copy
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    from helix_spark.catalog.catalog import Catalog

Numbers = Mapping[tuple[str, int], int]
"""By workflow and number of an iteration in the other copy, its number here."""


@dataclass(frozen=True, slots=True)
class Merge:
    """What is taken over of another copy, or would be.

    Attributes:
        iterations: by workflow, the numbers that those have here which are taken over.
        renumbered: in words, which of them have another number here, as another run has theirs.
        results: stored results that are taken over.
        bytes: that their copies take.
        left: in words, what is not taken over, and why.
        done: False where it was only looked at.
    """

    iterations: Mapping[str, tuple[int, ...]]
    renumbered: tuple[str, ...]
    results: tuple[ArtifactRecord, ...]
    bytes: int
    left: tuple[str, ...]
    done: bool


@dataclass(frozen=True)
class Difference:
    """What one copy has and the other lacks, as their records say.

    Attributes:
        iterations: that have ended, oldest first, under the numbers that they have there, with their nodes.
        numbers: see `Numbers`, of all iterations of the other copy.
        artifacts: live there; neither live here nor ended here.
    """

    iterations: tuple[tuple[IterationRecord, tuple[NodeRecord, ...]], ...]
    numbers: Numbers
    files: tuple[FileRecord, ...]
    results: tuple[ResultRecord, ...]
    artifacts: tuple[ArtifactRecord, ...]
    left: tuple[str, ...] = field(default=())


def difference(mine: HeldRecords, theirs: HeldRecords) -> Difference:
    """What `theirs` has and `mine` lacks."""
    ends, here = heaviest(theirs.iterations), heaviest(mine.iterations)
    lacking = sorted(
        (one for run, one in ends.items() if one.status not in ("running", "died", "damaged") and (
            run not in here or here[run].status == "running"
        )),
        key=lambda one: (one.workflow, one.number, one.run),
    )
    nodes: dict[str, list[NodeRecord]] = {one.run: [] for one in lacking}
    known = {node.run for node in mine.nodes}
    for node in theirs.nodes:
        if node.run in nodes and node.run not in known:
            nodes[node.run].append(node)
    live, ended = mine.live, {one.attempt: one for one in mine.artifacts if one.event != "published"}
    wanted = [one for signature, one in theirs.live.items() if signature not in live]
    left = [f"{_named(one)}: it was {ended[one.attempt].event} here" for one in wanted if one.attempt in ended]
    left += [
        f"iteration {one.number} of {one.workflow}: it has not ended there" for run, one in ends.items()
        if one.status in ("running", "died") and run not in here
    ]
    return Difference(
        tuple((one, tuple(nodes[one.run])) for one in lacking), _numbers(lacking, ends, here),
        tuple(_files(mine, theirs)), tuple(_results(mine, theirs)),
        tuple(one for one in wanted if one.attempt not in ended), tuple(left),
    )


def _numbers(
    lacking: Sequence[IterationRecord], ends: Mapping[str, IterationRecord], here: Mapping[str, IterationRecord]
) -> dict[tuple[str, int], int]:
    """The numbers that iterations of the other copy have here: their own as long as they are free. From the first on
    that another run has here, they follow all that are here, so that they stay in their order.

    Args:
        lacking: in their order.
    """
    found = {(one.workflow, one.number): here[run].number for run, one in ends.items() if run in here}
    taken = {(one.workflow, one.number) for one in here.values()}
    last: dict[str, int] = {}
    for one in lacking:
        key, number = (one.workflow, one.number), one.number
        if one.run in here:
            number = here[one.run].number
        elif key in taken or number <= last.get(one.workflow, 0):
            number = 1 + max(each for workflow, each in taken if workflow == one.workflow)
        found[key] = last[one.workflow] = number
        taken.add((one.workflow, number))
    return found


def _files(mine: HeldRecords, theirs: HeldRecords) -> Iterator[FileRecord]:
    known = {one.digest for one in mine.files}
    for one in theirs.files:
        if one.digest not in known and hashlib.sha256(one.text.encode()).hexdigest() == one.digest:
            known.add(one.digest)
            yield one


def _results(mine: HeldRecords, theirs: HeldRecords) -> Iterator[ResultRecord]:
    """What is known there of signatures of which nothing is known here; and doubts that are none here."""
    known = {(one.declared, one.signature) for one in mine.results}
    random = {one.signature for one in mine.results if one.random}
    for one in theirs.results:
        if (one.declared, one.signature) not in known or (one.random and one.signature not in random):
            yield one


def _named(record: ArtifactRecord) -> str:
    return f"the {record.kind} of {record.node!r} (iteration {record.iteration} of {record.workflow})"


def merge(catalog: Catalog, layout: Layout, other: str | os.PathLike[str], *, dry_run: bool) -> Merge:
    """Takes over what another copy has; both are to be sound, or as sound as they can be had.

    Args:
        catalog: takes it over.
        layout: of it.
        other: the other copy's folder or place in a store. Nothing is written there.

    Raises CatalogError for what is no other copy of this catalog, or cannot be read or written.
    """
    theirs_layout = locate(other, create=False)
    _check_apart(layout, theirs_layout)
    with explained(theirs_layout, "read"):
        _check_own(theirs_layout)
        theirs = held_records(theirs_layout.records, sound=False)
    with explained(layout, "read"):
        mine = held_records(layout.records)
        _check_related(layout, mine, theirs_layout, theirs)
    found = difference(mine, theirs)
    return _Merging(catalog, layout, theirs_layout, found, dry_run).done()


def _check_apart(layout: Layout, other: Layout) -> None:
    one, another = str(layout.root), str(other.root)
    same = one == another or (
        isinstance(layout.root, Path) and isinstance(other.root, Path) and layout.root.samefile(other.root)
    )
    if same or one.startswith(f"{another}/") or another.startswith(f"{one}/"):
        raise CatalogError(f"{other.root} is {'the same catalog' if same else f'in one folder with {layout.root}'}",
                           remedy="name the other copy's own folder")


def _check_own(other: Layout) -> None:
    """Raises CatalogError where something in the other copy's records leads elsewhere, or never ends."""
    try:
        for journal in journals_in(other.records):
            check_folder(journal.folder)
    except StrangeFilesError as error:
        raise CatalogError(f"the catalog {other.root} is not taken over: {error}",
                           remedy="remove that from the copy, if you know what it is") from error


def _check_related(layout: Layout, mine: HeldRecords, other: Layout, theirs: HeldRecords) -> None:
    """Raises CatalogError where the other is no copy of this catalog: neither its id nor anything in it says so."""
    runs = {one.run for one in mine.iterations} & {one.run for one in theirs.iterations}
    attempts = {one.attempt for one in mine.artifacts} & {one.attempt for one in theirs.artifacts}
    if runs or attempts or not mine.iterations or _id(layout) == _id(other) != "":
        return
    raise CatalogError(
        f"{other.root} is no copy of the catalog {layout.root}: they have no run in common",
        remedy="name the folder of a copy; two catalogs that were never one stay two",
    )


def _id(layout: Layout) -> str:
    try:
        return marked_id(layout)[0]
    except FileNotFoundError:
        return ""


class _Merging:
    """One merge, or a look at what it would do."""

    def __init__(
        self, catalog: Catalog, layout: Layout, theirs: Layout, found: Difference, dry_run: bool
    ) -> None:
        self._catalog, self._layout, self._theirs = catalog, layout, theirs
        self._found, self._dry_run = found, dry_run
        self._numbers = dict(found.numbers)
        self._bytes = 0

    def done(self) -> Merge:
        begun = [self._begun(one) for one, _ in self._found.iterations]
        if not self._dry_run:
            for file in self._found.files:
                self._catalog.keep_file(file)
            self._catalog.append_results([replace(one, iteration=self._number(one)) for one in self._found.results])
        left, results = list(self._found.left), []
        for record in self._found.artifacts:
            if why := self._taken(record):
                left.append(f"{_named(record)}: {why}")
            else:
                results.append(record)
        for number, (one, nodes) in zip(begun, self._found.iterations, strict=True):
            if not self._dry_run:
                self._catalog.append_iteration(
                    replace(one, number=number), [replace(node, iteration=number) for node in nodes]
                )
        if not self._dry_run:
            self._catalog.sync()
        return Merge(
            self._by_workflow(begun), tuple(self._renumbered(begun)), tuple(results), self._bytes, tuple(left),
            not self._dry_run,
        )

    def _begun(self, one: IterationRecord) -> int:
        """The number that an iteration has here; on record from now on, so that no run gets it."""
        key = (one.workflow, one.number)
        if not self._dry_run:
            self._numbers[key] = self._catalog.take_over_iteration(replace(one, number=self._numbers[key])).number
            reach("merge.begun")
        return self._numbers[key]

    def _number(self, record: ResultRecord | ArtifactRecord) -> int:
        return self._numbers.get((record.workflow, record.iteration), record.iteration)

    def _taken(self, record: ArtifactRecord) -> str:
        """Takes over a stored result; returns why it is not; empty if it is."""
        if record.kind == "value":
            return self._published(lambda: replace(record, iteration=self._number(record)))
        try:
            folder = self._theirs.attempt(record.kind, record.signature, record.attempt)
            if not folder.is_own_folder() or folder.leads_out_of(self._theirs.root):
                return "its folder is gone, or is a link"
            size = sum(path.stat().st_size for path in folder.files())
        except (CatalogError, OSError) as error:
            return error.what if isinstance(error, CatalogError) else error.strerror or str(error)
        if size > 2 * record.bytes + (1 << 20):
            return f"its folder has {size:,} bytes, its record says {record.bytes:,}"
        self._bytes += size
        return self._published(lambda: self._copied(record, folder))

    def _copied(self, record: ArtifactRecord, folder: Place) -> ArtifactRecord:
        self._catalog.check()
        path = self._layout.attempt(record.kind, record.signature, record.attempt)
        attempt = Attempt(record.signature, record.attempt, record.kind, path)
        if path.exists():  # of a merge that ended in the middle
            self._catalog.abandon(attempt)
        self._catalog.leases.take(record.attempt)
        try:
            _copy_result(record, folder, path)
        except BaseException:
            self._catalog.abandon(attempt)
            raise
        reach("merge.copied")
        return self._catalog.vouch(replace(record, iteration=self._number(record), bytes=physical_bytes(path)))

    def _published(self, made: Callable[[], ArtifactRecord]) -> str:
        if self._dry_run:
            return ""
        try:
            self._catalog.publish(made())
        except (CatalogError, ChecksumError, OSError, ValueError) as error:
            return error.what if isinstance(error, CatalogError) else str(error)
        return ""

    def _by_workflow(self, begun: list[int]) -> dict[str, tuple[int, ...]]:
        found: dict[str, list[int]] = {}
        for number, (one, _) in zip(begun, self._found.iterations, strict=True):
            found.setdefault(one.workflow, []).append(number)
        return {workflow: tuple(sorted(numbers)) for workflow, numbers in sorted(found.items())}

    def _renumbered(self, begun: list[int]) -> Iterator[str]:
        for number, (one, _) in zip(begun, self._found.iterations, strict=True):
            if number != one.number:
                yield f"iteration {one.number} of {one.workflow} there is iteration {number} here"


def _copy_result(record: ArtifactRecord, folder: Place, copy: Place) -> None:
    """Copies a table or a model, whose record nobody vouches for, and checks all of the copy against that record.

    Args:
        folder: where it lies; nothing in it is followed that leads elsewhere.
        copy: where nothing is yet.

    Raises DamagedArtifactError, ChecksumError, ValueError or OSError for what is not as its record says.
    """
    if record.kind == "model":
        files = [(path, str(path)[len(str(folder)) + 1 :]) for path in folder.files()]
        for path, name in files:
            if not path.name.startswith("."):
                _copy(path, copy, name)
    else:
        for path in check_table(folder, record).files:
            check_all(path)
            _copy(path, copy, path.name)
            write_checksums(copy / path.name)
        entry = DeltaLog(folder).entry(0)
        _copy(entry, copy, f"{entry.parent.name}/{entry.name}")
    check_copy(record, copy)


def _copy(path: Place, copy: Place, name: str) -> None:
    target = copy
    for part in Path(name).parts:
        target = target / part
    target.parent.make_folder()
    with path.open_binary() as read, target.writable() as where:
        if isinstance(where, Path):
            with where.open("xb") as written:
                shutil.copyfileobj(read, written, 1 << 20)
        else:
            shutil.copyfileobj(read, where, 1 << 20)
