"""Mistakes that are planted in the catalog's code, to show that the checks can fail: each must be found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any
from unittest import mock

from benchmarks.interleavings import disk as simulated_disk
from benchmarks.interleavings import tables
from benchmarks.interleavings.disk import SimPath, disk
from benchmarks.interleavings.world import DAY, world
from helix_spark.catalog import catalog as catalogs
from helix_spark.catalog.artifacts import ArtifactLedger
from helix_spark.catalog.journal import upkeep
from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.journal.table_files import LogEnd
from helix_spark.catalog.leases.leases import Leases
from helix_spark.catalog.places.delta_log import DeltaLog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables import attempts as folders
from helix_spark.catalog.tables.attempts import Attempt

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


@mutant("upkeep deletes by the view that it merged with, after minutes")
def _old_view(stack: ExitStack) -> None:
    opened = upkeep._opened
    views: list[Any] = []

    def opens(journal: Journal[Any]) -> Any:
        views.append(opened(journal))
        return views[-1]

    def clears(journal: Journal[Any]) -> None:
        live = {uri.rpartition("/")[2] for uri in views[-1].file_uris()}
        for path in list(SimPath(str(journal.folder)).glob("*.parquet")):
            if path.name not in live and world().now - path.stat().st_mtime > 600:
                path.unlink(missing_ok=True)

    _patch(stack, upkeep, "_opened", opens)
    _patch(stack, upkeep, "clear", clears)


@mutant("upkeep deletes what no entry names after minutes, by its own clock")
def _unknown_at_once(stack: ExitStack) -> None:
    written = upkeep._written
    _patch(stack, upkeep, "UNKNOWN_SECONDS", 600.0)
    _patch(stack, upkeep, "_written", lambda file: world().now if file.name.endswith(".json") else written(file))


@mutant("upkeep deletes log entries above the oldest checkpoint that it keeps")
def _too_many_entries(stack: ExitStack) -> None:
    drop = upkeep._drop_below
    _patch(stack, upkeep, "_drop_below", lambda folder, version, live: drop(folder, version + 2, live))


@mutant("upkeep deletes the newest checkpoint, too")
def _no_checkpoint(stack: ExitStack) -> None:
    clear = upkeep.clear

    def clears(journal: Journal[Any]) -> None:
        clear(journal)
        for checkpoint in DeltaLog(journal.folder).numbered()[1].values():
            checkpoint.unlink(missing_ok=True)

    _patch(stack, upkeep, "clear", clears)


@mutant("an append is not looked at again where the log around it was cleaned up")
def _never_behind(stack: ExitStack) -> None:
    _patch(stack, LogEnd, "is_cleaned", lambda self, version: False)


@mutant("an append is made again wherever the log around it was cleaned up")
def _always_behind(stack: ExitStack) -> None:
    _patch(stack, Journal, "_holds", lambda self, rows, version: False)


@mutant("a commit takes a number that is taken")
def _overwrites(stack: ExitStack) -> None:
    def committed(folder: str, version: int, commit: Any, info: Mapping[str, str]) -> None:
        path, text = tables._entry(folder, version), commit.text(info)
        simulated_disk.written(path, lambda: disk().put(path, text, None, commit))

    _patch(stack, tables, "_committed", committed)


@mutant("a conditional append has no condition")
def _unconditional(stack: ExitStack) -> None:
    append = Journal.append
    _patch(stack, Journal, "append", lambda self, rows, seen=None: append(self, rows))


@mutant("a commit whose answer was lost is made again")
def _made_again(stack: ExitStack) -> None:
    commit = Journal._commit

    def commits(self: Journal[Any], table: Any, rows: Sequence[Any], name: str) -> None:
        from deltalake.exceptions import CommitFailedError, DeltaError

        try:
            commit(self, table, rows, name)
        except CommitFailedError:
            raise
        except (DeltaError, OSError) as error:
            raise CommitFailedError(str(error)) from error

    _patch(stack, Journal, "_commit", commits)
    _patch(stack, LogEnd, "version_of", lambda self, commit, after: None)


@mutant("gc ends nothing on record before it deletes it")
def _no_tombstone(stack: ExitStack) -> None:
    def ends(self: ArtifactLedger, why: Mapping[Attempt, str]) -> frozenset[str]:
        return frozenset(attempt.attempt for attempt in why)

    _patch(stack, ArtifactLedger, "end_unpublished", ends)


@mutant("an attempt that was ended can be published")
def _published_after_its_end(stack: ExitStack) -> None:
    _patch(stack, ArtifactLedger, "events_of", lambda self, attempts: frozenset())


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
        seen: int | None = None,
    ) -> tuple[ArtifactRecord, ...]:
        for record in self.live_among(why).values():
            if attempts is None or record.attempt in attempts:
                SimPath(f"sim:/catalog/models/{record.signature}/{record.attempt}").delete_tree()
        return end_all(self, why, event, attempts=attempts, seen=seen)

    _patch(stack, ArtifactLedger, "end_all", ends)


@mutant("what is evicted is whatever a signature has by then")
def _evicts_another(stack: ExitStack) -> None:
    end_all = ArtifactLedger.end_all
    _patch(
        stack, ArtifactLedger, "end_all",
        lambda self, why, event, attempts=None, seen=None: end_all(self, why, event),
    )


@mutant("ends are recorded on what was read before")
def _ends_unconditionally(stack: ExitStack) -> None:
    decide = Journal.decide_and_append

    def decides(self: Journal[Any], rows: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        if self.row_type is not ArtifactRecord:
            return decide(self, rows)
        found = rows()
        if found:
            self.append(found)
        return found

    _patch(stack, Journal, "decide_and_append", decides)


@mutant("what failed to be published is deleted without an end")
def _in_doubt(stack: ExitStack) -> None:
    _patch(stack, catalogs.Catalog, "_end_unpublished", lambda self, why: list(why))


@mutant("the loser of two publications keeps its data")
def _surplus_stays(stack: ExitStack) -> None:
    publish = catalogs.Catalog.publish

    def publishes(self: catalogs.Catalog, record: ArtifactRecord) -> ArtifactRecord:
        with mock.patch.object(folders, "delete_all"):
            return publish(self, record)

    _patch(stack, catalogs.Catalog, "publish", publishes)
    _patch(stack, catalogs.Catalog, "gc", lambda self, dry_run, grace_seconds=DAY: ())


@mutant("an iteration takes the number that was free when it was planned")
def _stale_number(stack: ExitStack) -> None:
    from helix_spark.catalog.history import History

    next_number = History.next_number
    known: dict[tuple[int, str], int] = {}

    def numbers(self: History, workflow: str) -> int:
        return known.setdefault((id(self), workflow), next_number(self, workflow))

    _patch(stack, History, "next_number", numbers)
