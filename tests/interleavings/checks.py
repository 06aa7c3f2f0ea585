"""What must be so after a history, whatever happened in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import nullcontext, suppress
from typing import NamedTuple

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord, FileRecord, IterationRecord, NodeRecord, ResultRecord
from helix_spark.errors import CatalogError
from tests.interleavings.disk import disk
from tests.interleavings.drivers import ROOT, WORKFLOWS, Acknowledged, opened
from tests.interleavings.world import DAY, World


def wrong(world: World, told: Acknowledged, budget: int | None) -> Iterator[str]:
    """What is wrong, in words; nothing where all is well. Tidies up at last, when everybody is gone."""
    yield from told.wrong
    for driver in world.drivers:
        if driver.error is not None:
            yield f"driver {driver.number} ended with {type(driver.error).__name__}: {driver.error}"
    if not world.faults.spoil_answers:
        yield from (text for text in told.refusals if not _may_be_refused(text, told))
    try:
        with suppress(CatalogError) if told.spoilt else nullcontext():
            opened().maintain()
        found = opened()
        lost = yield from _recorded(told, found)
        if lost and not found.rejections:
            yield f"{lost[0]} is lost, and nobody says so"
        world.now += 40 * DAY
        last = opened()
        if told.spoilt:
            repaired = last.repair()
            if lost and not repaired.lost:
                yield f"{lost[0]} is lost, and a repair does not say so"
            if last.repair(dry_run=True).is_needed:
                yield "a repair leaves something to repair"
        last.maintain()
        last.gc(dry_run=False)
        yield from _recorded(told, opened())
        yield from _stored(told, last)
        yield from _within(budget, last)
    except Exception as error:  # noqa: BLE001  # whatever cannot be read any more
        yield f"the catalog cannot be read: {type(error).__name__}: {error}"


def _may_be_refused(text: str, told: Acknowledged) -> bool:
    """Of a writer that was away for so long that what it wrote was given up; or where all write at once; or of upkeep
    that finds damage."""
    given_up = "was ended before" in text or ("its folder" in text and "is gone" in text)
    damaged = "cannot be kept in order" in text and bool(told.spoilt)
    damaged |= "cannot be rewritten" in text and (bool(told.spoilt) or "changed them meanwhile" in text)
    return given_up or damaged or "keep writing the records" in text


class Rows(NamedTuple):
    """All records of a catalog, the oldest first."""

    artifacts: list[ArtifactRecord]
    iterations: list[IterationRecord]
    nodes: list[NodeRecord]
    results: list[ResultRecord]
    files: list[FileRecord]


def rows_of(catalog: Catalog) -> Rows:
    """Read all records."""
    log, by = catalog._records, "ORDER BY turn"
    return Rows(
        log.rows(ArtifactRecord, by), log.rows(IterationRecord, by), log.rows(NodeRecord, by),
        log.rows(ResultRecord, by), log.rows(FileRecord, by),
    )


def _recorded(told: Acknowledged, catalog: Catalog) -> Generator[str, None, list[str]]:
    """Each record once, none that was acknowledged lost, numbers without a gap. Returns what is lost by damage."""
    artifacts, iterations, nodes, results, files = rows_of(catalog)
    spoilt = list[str]()
    published = {one.attempt for one in told.published.values() if one.signature not in told.expired}
    for what, found, must in (
        ("start", Counter(one.run for one in iterations if one.status == "running"), set(told.started) - told.expired),
        ("end", Counter(one.run for one in iterations if one.status == "done"), told.ended - told.expired),
        ("node", Counter(f"{one.run} {one.name}" for one in nodes),
         {one for one in told.nodes if one.partition(" ")[0] not in told.expired}),
        ("result", Counter(one.random for one in results), _of_staying(told, told.results)),
        ("publication", Counter(one.attempt for one in artifacts if _publishes(one)), published),
        ("end of a result", Counter(one.attempt for one in artifacts if one.event != "published"),
         {attempt for attempt, signature in told.gone.items() if signature not in told.expired}),
        ("file", Counter(one.digest for one in files if one.text), _of_staying(told, told.files)),
    ):
        for name in sorted(must - set(found)):
            if name.partition(" ")[0] in told.spoilt:
                spoilt.append(f"the {what} {name}")
            else:
                yield f"the {what} {name} was acknowledged and is lost"
        for name, count in found.items():
            is_again = what == "file" and bool(told.expired)  # who expires was killed before the older one went
            if count > 1 and name.partition(" ")[0] not in told.spoilt and not is_again:
                yield f"the {what} {name} is on record {count} times"
    known = {(one.run, one.workflow, one.number) for one in iterations}
    for run, started in told.started.items():
        if (run, *started) not in known and run not in told.spoilt | told.expired:
            yield f"the run {run} was told that it is {started}, and is not"
    for workflow in () if told.spoilt else WORKFLOWS:
        numbers = sorted(one.number for one in iterations if one.workflow == workflow and one.status == "running")
        expired = {number for run, (name, number) in told.started.items() if run in told.expired and name == workflow}
        if not set(range(1, max(numbers, default=0) + 1)) - expired <= set(numbers) or len(set(numbers)) < len(numbers):
            yield f"the iterations of {workflow} are numbered {numbers}"
    return spoilt


def _of_staying(told: Acknowledged, by_run: Mapping[str, str]) -> set[str]:
    """What runs had on record that nobody set about to forget."""
    return {name for run, name in by_run.items() if run not in told.expired}


def _publishes(record: ArtifactRecord) -> bool:
    """Not what was said of it later, by who wishes it to be kept."""
    return record.event == "published" and not record.insisted_by


def _stored(told: Acknowledged, catalog: Catalog) -> Iterator[str]:
    """What is live is there, whole; it ended only if somebody ended it; and nothing else is there."""
    artifacts = rows_of(catalog).artifacts
    ends = {one.attempt: one for one in artifacts if one.event != "published"}
    live: dict[str, set[str]] = {}
    sizes = {one.attempt: one.bytes for one in artifacts if one.event == "published"}
    for one in artifacts:
        if one.event == "published" and one.attempt not in ends:
            live.setdefault(one.signature, set()).add(one.attempt)
    for signature, attempts in live.items():
        if len(attempts) > 1 and signature not in told.spoilt:
            yield f"{signature[:6]} is live {len(attempts)} times"
    for attempt in ends.keys() - told.spoilt:
        is_expired = ends[attempt].signature in told.expired
        if attempt in told.published and attempt not in told.wanted_gone and not is_expired:
            yield f"the result {attempt} was ended, though nobody asked for that: {ends[attempt].event}"
        if attempt not in sizes and ends[attempt].event != "abandoned":
            yield f"the result {attempt} was never published, and is {ends[attempt].event}"
    there: dict[str, int] = {}
    for path, file in disk().below(f"{ROOT}/models"):
        attempt = path.split("/")[-2]
        there[attempt] = there.get(attempt, 0) + file.size
    alive = {attempt for attempts in live.values() for attempt in attempts}
    for attempt in sorted(alive - told.spoilt):
        if there.get(attempt, 0) != sizes[attempt]:
            yield f"the live result {attempt} has {there.get(attempt, 0)} of {sizes[attempt]} bytes"
    for attempt in sorted(there.keys() - alive):
        yield f"the data of {attempt}, which is not live, stays for ever"
    used = sum(there.values()) + sum(file.size for _, file in disk().below(f"{ROOT}/records"))
    if catalog.bytes_used() != used and not told.spoilt:
        yield "the bytes of the catalog are counted wrongly"


def _within(budget: int | None, catalog: Catalog) -> Iterator[str]:
    """A driver that comes now keeps the budget, unless the records alone take more."""
    if budget is None:
        return
    for _ in range(8):
        live = sorted(catalog.live(), key=lambda record: record.attempt)
        if catalog.bytes_used() <= budget or not live:
            break
        catalog.evict_all({live[0].signature: "too much"}, attempts=[live[0].attempt], seen=catalog.stored_version())
    if catalog.live() and catalog.bytes_used() > budget:
        yield f"the budget of {budget} bytes is not kept: {catalog.bytes_used()}"
