"""What a driver does with a catalog, step for step as a run does it, and what it is told."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.catalog_folder import Layout
from helix_spark.catalog.records import ArtifactRecord, FileRecord, IterationRecord, NodeRecord, ResultRecord
from helix_spark.catalog.segments.segment import SegmentError, SegmentFolder, covering, segments_in
from helix_spark.catalog.tables.attempts import Attempt
from helix_spark.errors import CatalogError
from helix_spark.identity.parts import digest
from helix_spark.workflow.declaration import Wishes
from tests.interleavings.disk import SimPath, disk, written
from tests.interleavings.world import DAY, Driver, KilledError, World

ROOT = "sim:/catalog"
SIGNATURES = tuple(digest("result", str(number)) for number in range(4))
WORKFLOWS = ("census", "flights")
BUDGETS = (None, None, 6_000, 20_000)
"""Bytes; a file of rows has some hundreds, a result up to 3,000."""


@dataclass
class Acknowledged:
    """What drivers were told, and what they set about to do: the rest may have happened or not."""

    started: dict[str, tuple[str, int]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    nodes: set[str] = field(default_factory=set)
    results: dict[str, str] = field(default_factory=dict)
    """By run, what its result is known by."""
    files: dict[str, str] = field(default_factory=dict)
    """By run, the digest of the text that it names."""
    published: dict[str, ArtifactRecord] = field(default_factory=dict)
    wanted_gone: set[str] = field(default_factory=set)
    gone: dict[str, str] = field(default_factory=dict)
    """By attempt, the signature of its result."""
    expired: set[str] = field(default_factory=set)
    """Runs that somebody set about to forget, what only they had on record, and signatures of their results."""
    spoilt: set[str] = field(default_factory=set)
    """What a file of records says that was damaged: it may be lost, if that is said."""
    wrong: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


def opened() -> Catalog:
    """The catalog as a process opens it."""
    return Catalog(Layout(SimPath(ROOT)))  # type: ignore[arg-type]  # it has the methods of a place


@dataclass
class Script:
    """One driver's work: some actions, chosen by the seed before anything runs."""

    world: World
    driver: Driver
    told: Acknowledged
    actions: list[str]
    budget: int | None = None

    def run(self) -> None:
        while not hasattr(self, "catalog"):
            with self._tried():
                self.catalog = opened()
        self.driver.beat = self.catalog.leases.beat
        for action in self.actions:
            self.world.note(f"begins: {action}")
            getattr(self, action)()

    @property
    def _random(self) -> int:
        return self.world.random.getrandbits(62)

    @contextmanager
    def _tried(self) -> Iterator[None]:
        """What a catalog refuses is a sentence, which the run goes on from."""
        try:
            yield
        except (CatalogError, OSError) as error:
            self.world.note(f"is told: {error}")
            self.told.refusals.append(f"driver {self.driver.number}: {error}")

    # Actions -------------------------------------------------------------------------------------------------------

    def iterates(self) -> None:
        """A run, from its plan to its end."""
        workflow, run = self.world.random.choice(WORKFLOWS), uuid.uuid4().hex
        with self._tried():
            self.catalog.make()
            self._plans(workflow)
            self.catalog.leases.take(run)
            started = self.catalog.start_iteration(IterationRecord(run, workflow, 0, "running", 0.0))
            self.told.started[run] = (workflow, started.number)
            self.world.sleep(self.world.random.choice((0.0, 0.1, 8.0)))
            with self._tried():
                self._records(started)
            if self.world.random.random() < 0.6:
                self.stores()
            with self._tried():
                self.catalog.sync()
            self.tidies()
            self.catalog.leases.release(run)

    def _plans(self, workflow: str) -> None:
        view = self.catalog.snapshot(workflow)
        self._check_missing(view.missing)

    def _check_missing(self, missing: tuple[ArtifactRecord, ...]) -> None:
        for record in missing:
            live = self.catalog.artifact(record.signature)
            is_live = live is not None and live.attempt == record.attempt and record.attempt not in self.told.spoilt
            if is_live and not disk().is_folder(self._folder(record)):
                self.told.wrong.append(f"the data of the live {_short(record)} is gone")

    def _records(self, started: IterationRecord) -> None:
        token = uuid.uuid4().hex
        text = f"text {self.world.random.randrange(2)}"
        file = FileRecord(sha256(text.encode()).hexdigest(), "a.py", text)
        signature = self.world.random.choice(SIGNATURES)
        nodes = [
            NodeRecord(
                started.run, started.workflow, started.number, name, "scanner", (), "compute", "", signature, signature,
                "[]",
            )
            for name in ("rows", "total")
        ]
        result = ResultRecord(
            signature, signature, started.workflow, "rows", "scanner", started.number, random=token
        )
        ended = dataclasses.replace(started, status="done", seconds=1.0, file_digest=file.digest)
        self.catalog.append_iteration(ended, nodes, [result], [file])
        self.told.files[started.run] = file.digest
        self.told.results[started.run] = token
        self.told.ended.add(started.run)
        self.told.nodes.update(f"{started.run} {node.name}" for node in nodes)

    def stores(self) -> None:
        """One result, as `storing.store` does it; then what is too much for the budget goes."""
        signature = self.world.random.choice(SIGNATURES)
        with self._tried():
            attempt = self.catalog.begin_attempt(signature, "model")
            try:
                record = self._written(attempt)
                live = self.catalog.publish(record)
            except KilledError:
                raise
            except BaseException:
                with self._tried():
                    self.catalog.abandon(attempt)
                raise
            self.told.published[live.attempt] = live
            if self.budget is not None and live.attempt == record.attempt:
                with self._tried():
                    if self.catalog.bytes_used() > self.budget:
                        self._ends(
                            lambda: self.catalog.evict_all({signature: "too large"}, attempts=[record.attempt]),
                            {record.attempt},
                        )

    def _written(self, attempt: Attempt) -> ArtifactRecord:
        size, whole = self.world.random.randrange(200, 1500), 0
        for name in ("data", "metadata"):
            path = f"{attempt.path}/{name}"
            written(path, lambda path=path: disk().put(path, b"", size))  # type: ignore[misc]  # mypy infers no default
            whole += size
            self.world.sleep(self.world.random.choice((0.0, 0.0, 0.5, 12.0)))
        return ArtifactRecord(
            attempt.signature, attempt.attempt, "model", "published", "another", "rows", 1, 0.0, bytes=whole
        )

    def evicts(self) -> None:
        """Makes room by what it saw, which may be old by then."""
        with self._tried():
            live = self.catalog.live()
            if live:
                chosen = self.world.random.choice(live)
                self.world.sleep(self.world.random.choice((0.0, 1.0)))
                self._ends(
                    lambda: self.catalog.evict_all({chosen.signature: "no room"}, attempts=[chosen.attempt]),
                    {chosen.attempt},
                )

    def quarantines(self) -> None:
        """What it took for damaged."""
        with self._tried():
            live = self.catalog.live()
            if live:
                chosen = self.world.random.choice(live)
                self._ends(
                    lambda: [self.catalog.quarantine(chosen.signature, "damaged", attempt=chosen.attempt)],
                    {chosen.attempt},
                )

    def _ends(self, ends: Callable[[], object], attempts: set[str]) -> None:
        self.told.wanted_gone.update(attempts)
        ended = ends()
        assert isinstance(ended, list | tuple)
        self.told.gone.update((record.attempt, record.signature) for record in ended if record is not None)

    def reads(self) -> None:
        """All that is live, as far as it stays so."""
        with self._tried():
            self._plans(self.world.random.choice(WORKFLOWS))
            for record in self.catalog.live():
                try:
                    size = sum(file.stat().st_size for file in SimPath(self._folder(record)).files())
                except FileNotFoundError:
                    size = -1
                if size != record.bytes and record.attempt not in self.told.spoilt:
                    live = self.catalog.artifact(record.signature)
                    if live is not None and live.attempt == record.attempt:
                        self.told.wrong.append(f"{_short(record)} is live and has {size} of {record.bytes} bytes")

    def wishes(self) -> None:
        with self._tried():
            live = self.catalog.live()
            if live:
                chosen = self.world.random.choice(live)
                self.catalog.note_wishes("theirs", {chosen.signature: Wishes(keep="always")})

    def tidies(self) -> None:
        """What follows a run: upkeep, gc, and what is too much goes."""
        with self._tried():
            self.catalog.maintain()
            self.catalog.gc(dry_run=False)
            if self.budget is not None:
                self._fits(self.budget)

    def _fits(self, budget: int) -> None:
        """As `Retention.evict_overflow` does it."""
        for _ in range(6):
            seen, excess = self.catalog.stored_version(), self.catalog.bytes_used() - budget
            live = sorted(self.catalog.live(), key=lambda record: record.attempt)
            if excess <= 0 or not live:
                break
            chosen = live[0]
            self._ends(
                lambda chosen=chosen, seen=seen: self.catalog.evict_all(  # type: ignore[misc]  # as above
                    {chosen.signature: "too much"}, attempts=[chosen.attempt], seen=seen
                ),
                {chosen.attempt},
            )

    def expires(self) -> None:
        """Forgets a run that is not its workflow's newest, while others go on."""
        with self._tried():
            workflow = self.world.random.choice(WORKFLOWS)
            older = [one for one in self.catalog.iterations(workflow)[1:] if one.status == "done"]
            if older:
                chosen = self.world.random.choice(older)
                self.told.expired.update(
                    (chosen.run, *(node.signature for node in self.catalog.nodes(chosen)))
                )
                self.catalog.expire(lambda: [chosen.run])

    def waits(self) -> None:
        """Between two runs, for days."""
        self.world.sleep(self.world.random.choice((60.0, DAY, 4 * DAY, 5 * DAY, 40 * DAY)))

    def soon(self) -> None:
        """A moment later than others."""
        self.world.sleep(60.0)

    def longer(self) -> None:
        """So long that what waits for days does not wait any longer."""
        self.world.sleep(5 * DAY)

    def decays(self) -> None:
        """The disk damages or loses a file of the records. The last one is not lost: its number would be free again."""
        files = covering(SegmentFolder(SimPath(f"{ROOT}/records")).files(), 0)  # type: ignore[arg-type]  # as above
        if not files:
            return
        chosen = self.world.random.choice(files[-6:])
        file = disk().find(str(chosen.place))
        if file is None:
            return
        self.told.spoilt.add(str(chosen.place))
        with suppress(SegmentError):
            for segment in segments_in(file.content):
                for kind, said in segment.rows:
                    self.told.spoilt.update(said[name] for name in _NAMED_BY[kind] if name in said)
        is_lost = chosen.last < files[-1].last and self.world.random.random() < 0.5
        self.world.note(f"finds {chosen.place} {'gone' if is_lost else 'damaged'}")
        if is_lost:
            disk().remove(str(chosen.place))
        else:
            damaged = dataclasses.replace(file, content=file.content[:-1] + bytes([file.content[-1] ^ 1]))
            disk().folders[f"{ROOT}/records"][chosen.place.name] = damaged

    def _folder(self, record: ArtifactRecord) -> str:
        return f"{ROOT}/models/{record.signature}/{record.attempt}"


_NAMED_BY = {
    "iterations": ("run",), "nodes": ("run",), "results": ("random",), "files": ("digest",),
    "artifacts": ("attempt", "signature"),
}

ACTIONS = (
    *("iterates",) * 5, *("stores",) * 3, *("tidies",) * 2, "expires", "evicts", "reads", "waits", "quarantines",
    "wishes",
)


def _short(record: ArtifactRecord) -> str:
    return f"{record.signature[:6]}/{record.attempt[:6]}"
