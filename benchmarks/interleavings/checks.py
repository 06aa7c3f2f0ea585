"""What must be so after a history, whatever happened in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from benchmarks.interleavings.disk import disk
from benchmarks.interleavings.drivers import ROOT, WORKFLOWS, Acknowledged, opened
from benchmarks.interleavings.rows import ROWS
from benchmarks.interleavings.world import DAY, World
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord, ResultRecord


def wrong(world: World, told: Acknowledged, budget: int | None) -> Iterator[str]:
    """What is wrong, in words; nothing where all is well. Tidies up at last, when everybody is gone."""
    yield from told.wrong
    for driver in world.drivers:
        if driver.error is not None:
            yield f"driver {driver.number} ended with {type(driver.error).__name__}: {driver.error}"
    if not world.faults.spoil_answers:
        yield from (text for text in told.refusals if not _may_be_refused(text))
    try:
        yield from _recorded(told, opened())
        world.now += 40 * DAY
        last = opened()
        last.maintain()
        last.gc(dry_run=False)
        yield from _recorded(told, opened())
        yield from _stored(told, last)
        yield from _within(budget, last)
    except Exception as error:  # noqa: BLE001  # whatever cannot be read any more
        yield f"the catalog cannot be read: {type(error).__name__}: {error}"


def _may_be_refused(text: str) -> bool:
    """Of a writer that was away for so long that what it wrote was given up; or where all write at once."""
    given_up = "was ended before" in text or ("its folder" in text and "is gone" in text)
    return given_up or "written by others all the time" in text


def _rows(catalog: Catalog) -> tuple[list[ArtifactRecord], list[IterationRecord], list[NodeRecord], list[ResultRecord]]:
    records = catalog.root / "records"
    return (
        Journal(records / "artifacts", ArtifactRecord, pruned_by=()).query("SELECT * FROM journal ORDER BY sequence"),
        Journal(records / "iterations", IterationRecord, pruned_by=()).query("SELECT * FROM journal ORDER BY sequence"),
        Journal(records / "nodes", NodeRecord, pruned_by=()).query("SELECT * FROM journal ORDER BY sequence"),
        Journal(records / "results", ResultRecord, pruned_by=()).query("SELECT * FROM journal ORDER BY sequence"),
    )


def _recorded(told: Acknowledged, catalog: Catalog) -> Iterator[str]:
    """Each record once, none that was acknowledged lost, numbers without a gap."""
    artifacts, iterations, nodes, results = _rows(catalog)
    for what, found, must in (
        ("start", Counter(one.run for one in iterations if one.status == "running"), set(told.started)),
        ("end", Counter(one.run for one in iterations if one.status == "done"), told.ended),
        ("node", Counter((one.run, one.name) for one in nodes), told.nodes),
        ("result", Counter(one.random for one in results), told.results),
        ("publication", Counter(one.attempt for one in artifacts if _publishes(one)), set(told.published)),
        ("end of a result", Counter(one.attempt for one in artifacts if one.event != "published"), told.gone),
    ):
        for name in sorted(map(str, must - set(found))):
            yield f"the {what} {name} was acknowledged and is lost"
        for one, count in found.items():
            if count > 1:
                yield f"the {what} {one} is on record {count} times"
    for run, (workflow, number) in told.started.items():
        if not any((one.run, one.workflow, one.number) == (run, workflow, number) for one in iterations):
            yield f"the run {run} was told that it is {workflow} {number}, and is not"
    for workflow in WORKFLOWS:
        numbers = sorted(one.number for one in iterations if one.workflow == workflow and one.status == "running")
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"the iterations of {workflow} are numbered {numbers}"
    kept = Counter(one.digest for one in catalog._history._files.query("SELECT * FROM journal"))
    yield from (f"the file {name} was acknowledged and is lost" for name in told.files - set(kept))
    yield from (f"the file {name} is on record {count} times" for name, count in kept.items() if count > 1)


def _publishes(record: ArtifactRecord) -> bool:
    """Not what was said of it later, by who wishes it to be kept."""
    return record.event == "published" and not record.insisted_by


def _stored(told: Acknowledged, catalog: Catalog) -> Iterator[str]:
    """What is live is there, whole; it ended only if somebody ended it; and nothing else is there."""
    artifacts = _rows(catalog)[0]
    ends = {one.attempt: one for one in artifacts if one.event != "published"}
    live: dict[str, set[str]] = {}
    sizes = {one.attempt: one.bytes for one in artifacts if one.event == "published"}
    for one in artifacts:
        if one.event == "published" and one.attempt not in ends:
            live.setdefault(one.signature, set()).add(one.attempt)
    for signature, attempts in live.items():
        if len(attempts) > 1:
            yield f"{signature[:6]} is live {len(attempts)} times"
    for attempt in told.published:
        if attempt in ends and attempt not in told.wanted_gone:
            yield f"the result {attempt} was ended, though nobody asked for that: {ends[attempt].event}"
    for attempt in ends:
        if attempt not in sizes and ends[attempt].event != "abandoned":
            yield f"the result {attempt} was never published, and is {ends[attempt].event}"
    there: dict[str, int] = {}
    for path, file in disk().below(f"{ROOT}/models"):
        attempt = path.split("/")[-2]
        there[attempt] = there.get(attempt, 0) + file.size
    alive = {attempt for attempts in live.values() for attempt in attempts}
    for attempt in sorted(alive):
        if there.get(attempt, 0) != sizes[attempt]:
            yield f"the live result {attempt} has {there.get(attempt, 0)} of {sizes[attempt]} bytes"
    for attempt in sorted(there.keys() - alive):
        yield f"the data of {attempt}, which is not live, stays for ever"
    if catalog.bytes_used() != sum(there.values()) + sum(file.size for _, file in disk().below(f"{ROOT}/records")):
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


def forget() -> None:
    """A history is over."""
    ROWS.forget()
