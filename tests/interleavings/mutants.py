"""Mistakes that are planted in the catalog's code, to show that the checks can fail: each must be found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from typing import Any
from unittest import mock

from helix_spark.catalog import catalog as catalogs
from helix_spark.catalog.artifacts import ArtifactLedger
from helix_spark.catalog.forgetting import Forgetting
from helix_spark.catalog.history import IterationReader
from helix_spark.catalog.leases import Leases
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.segments import folding, record_log
from helix_spark.catalog.segments.record_log import RecordLog
from helix_spark.catalog.segments.segment import (
    Segment,
    SegmentFile,
    SegmentFolder,
    covering,
    pack,
    segments_in,
    unpack,
)
from helix_spark.catalog.tables import attempts as folders
from helix_spark.catalog.tables.attempts import Attempt
from helix_spark.errors import CatalogError
from helix_spark.store_access import StoreError
from tests.interleavings.disk import SimPath, disk, written
from tests.interleavings.world import DAY

Plant = Callable[[ExitStack], None]
MUTANTS: dict[str, Plant] = {}


def mutant(name: str) -> Callable[[Plant], Plant]:
    """Adds a mistake."""
    def register(plant: Plant) -> Plant:
        MUTANTS[name] = plant
        return plant

    return register


def planted(name: str) -> Callable[[], ExitStack]:
    """What plants a mistake for as long as the stack that it gives is open."""
    def plant() -> ExitStack:
        stack = ExitStack()
        MUTANTS[name](stack)
        return stack

    return plant


def _patch(stack: ExitStack, where: Any, name: str, does: Any) -> None:
    stack.enter_context(mock.patch.object(where, name, does))


@mutant("an append takes a number that is taken")
def _overwrites(stack: ExitStack) -> None:
    write_new = SimPath.write_new

    def writes(self: SimPath, content: bytes, *, synced: bool = False) -> None:
        if self.path.endswith(".segment"):
            written(self.path, lambda: disk().put(self.path, content))
        else:
            write_new(self, content)

    _patch(stack, SimPath, "write_new", writes)


@mutant("what was decided is appended though others appended meanwhile")
def _decided_once(stack: ExitStack) -> None:
    append = RecordLog._append
    _patch(stack, RecordLog, "_append", lambda self, decide, **more: append(self, cache(decide), **more))


@mutant("an append whose answer was lost is made again")
def _made_again(stack: ExitStack) -> None:
    create = RecordLog._create
    _patch(stack, RecordLog, "_id_of", lambda self, file: "")

    def creates(self: RecordLog, segment: Segment) -> bool:
        try:
            return create(self, segment)
        except CatalogError as error:
            if isinstance(error.__cause__, StoreError):
                return False
            raise

    _patch(stack, RecordLog, "_create", creates)


@mutant("an append of a number that was folded counts")
def _never_behind(stack: ExitStack) -> None:
    _patch(stack, RecordLog, "_standing", lambda self, segment: (None, False))


@mutant("an append that was folded meanwhile is made again")
def _always_behind(stack: ExitStack) -> None:
    standing = RecordLog._standing

    def behind(self: RecordLog, segment: Segment) -> tuple[str | None, bool]:
        folded, fills_gap = standing(self, segment)
        return None if folded is None else "", fills_gap

    _patch(stack, RecordLog, "_standing", behind)


@mutant("upkeep deletes what it folds before the fold is written")
def _deletes_first(stack: ExitStack) -> None:
    write, kept = folding._write, dict[str, bytes]()

    def writes(folder: SegmentFolder, files: Sequence[SegmentFile]) -> None:
        kept.update((file.place.name, file.content()) for file in files)
        for file in files:
            file.place.unlink()
        write(folder, files)

    _patch(stack, folding, "_write", writes)
    _patch(stack, folding, "_lines", lambda files: (one for file in files for one in unpack(kept[file.place.name])))


@mutant("upkeep deletes segments that no fold has")
def _too_many(stack: ExitStack) -> None:
    _patch(stack, folding, "_is_within", lambda file, fold: not file.is_fold and file.first <= fold.last + 1)


@mutant("a fold leaves out what is damaged")
def _folds_damage(stack: ExitStack) -> None:
    chosen = folding._chosen
    _patch(stack, folding, "_chosen", lambda files: [one for one in chosen(files) if folding._is_sound(one)])
    _patch(stack, folding, "fillers", lambda files: iter(()))


@mutant("a fold goes over what is missing")
def _folds_gaps(stack: ExitStack) -> None:
    _patch(stack, folding, "_chosen", lambda files: covering(files, 0) if len(files) > folding.AT_ONCE else [])


@mutant("records are written anew with the ids that they had")
def _same_ids(stack: ExitStack) -> None:
    written = folding._rewritten

    def rewritten(files: Sequence[SegmentFile], first: int, changed: folding.Changed) -> Iterator[bytes]:
        for segment in segments_in(pack(written(files, first, changed))):
            yield segment._replace(id=segment.was, rows=tuple(segment.rows)).lines()

    _patch(stack, folding, "_rewritten", rewritten)


@mutant("who writes records anew forgets what was appended meanwhile")
def _forgets_late(stack: ExitStack) -> None:
    strip = Forgetting.strip
    _patch(stack, Forgetting, "strip", lambda self, number, *given: strip(replace(self, last=10**9), 0, *given))


@mutant("what is lost is not said")
def _silent(stack: ExitStack) -> None:
    _patch(stack, RecordLog, "_lost", lambda self, files, after, before: {})


@mutant("a reader leaves out what comes after damage")
def _stops_at_damage(stack: ExitStack) -> None:
    def until_damage(files: Sequence[SegmentFile], after: int) -> list[SegmentFile]:
        found = covering(files, after)
        gaps = (place for place, one in enumerate(found) if one.first > (found[place - 1].last if place else after) + 1)
        return found[: next(gaps, len(found))]

    _patch(stack, record_log, "covering", until_damage)


@mutant("a result is published though its signature is live")
def _unconditional(stack: ExitStack) -> None:
    def publishes(self: ArtifactLedger, record: ArtifactRecord) -> ArtifactRecord:
        self._records.append([record])
        return record

    _patch(stack, ArtifactLedger, "publish", publishes)


@mutant("gc ends nothing on record before it deletes it")
def _no_tombstone(stack: ExitStack) -> None:
    def ends(self: ArtifactLedger, why: Mapping[Attempt, str]) -> frozenset[str]:
        return frozenset(attempt.attempt for attempt in why)

    _patch(stack, ArtifactLedger, "end_unpublished", ends)


@mutant("an attempt that was ended can be published")
def _published_after_its_end(stack: ExitStack) -> None:
    _patch(stack, ArtifactLedger, "events_of", lambda self, attempts: {})


@mutant("gc takes every lease for dead")
def _all_dead(stack: ExitStack) -> None:
    _patch(stack, Leases, "dead", lambda self, untouched: {
        name: lease for name in self.names() if (lease := self.find(name)) is not None
    })
    _patch(stack, ArtifactLedger, "end_unpublished", lambda self, why: frozenset(each.attempt for each in why))


@mutant("data is deleted before its end is on record")
def _data_first(stack: ExitStack) -> None:
    end_all = ArtifactLedger.end_all

    def ends(
        self: ArtifactLedger, why: Mapping[str, str], event: Any, *, attempts: Collection[str] | None = None,
        seen: int | None = None, spared: Callable[[], Collection[str]] = tuple,
    ) -> tuple[ArtifactRecord, ...]:
        for record in self.live_among(why).values():
            if attempts is None or record.attempt in attempts:
                SimPath(f"sim:/catalog/models/{record.signature}/{record.attempt}").delete_tree()
        return end_all(self, why, event, attempts=attempts, seen=seen, spared=spared)

    _patch(stack, ArtifactLedger, "end_all", ends)


@mutant("what is evicted is whatever a signature has by then")
def _evicts_another(stack: ExitStack) -> None:
    end_all = ArtifactLedger.end_all
    _patch(
        stack, ArtifactLedger, "end_all",
        lambda self, why, event, attempts=None, seen=None, spared=tuple: end_all(self, why, event),
    )


@mutant("ends are recorded on what was read before")
def _ends_unconditionally(stack: ExitStack) -> None:
    decide = RecordLog.decide_and_append

    def decides(self: RecordLog, rows: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        found = rows()
        if not found or not all(isinstance(one, ArtifactRecord) for one in found):
            return decide(self, lambda: found and rows())
        self.append(found)
        return found

    _patch(stack, RecordLog, "decide_and_append", decides)


@mutant("what failed to be published is deleted without an end")
def _in_doubt(stack: ExitStack) -> None:
    _patch(stack, catalogs.Catalog, "_end_unpublished", lambda self, why: list(why))


@mutant("the loser of two publications keeps its data")
def _surplus_stays(stack: ExitStack) -> None:
    publish, delete_all, losers = ArtifactLedger.publish, folders.delete_all, set[str]()

    def publishes(self: ArtifactLedger, record: ArtifactRecord) -> ArtifactRecord:
        live = publish(self, record)
        losers.update({record.attempt} - {live.attempt})
        return live

    _patch(stack, ArtifactLedger, "publish", publishes)
    _patch(stack, folders, "delete_all", lambda layout, attempts: delete_all(
        layout, [attempt for attempt in attempts if attempt.attempt not in losers]
    ))
    _patch(stack, catalogs.Catalog, "gc", lambda self, dry_run, grace_seconds=DAY: ())


@mutant("an iteration takes the number that was free when it was planned")
def _stale_number(stack: ExitStack) -> None:
    next_number = IterationReader.next_number
    known: dict[tuple[int, str], int] = {}

    def numbers(self: IterationReader, workflow: str) -> int:
        return known.setdefault((id(self), workflow), next_number(self, workflow))

    _patch(stack, IterationReader, "next_number", numbers)
