"""What is stored, as it is shown: how much, against which budget, what is worth its bytes, and who uses it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord, ResultRecord
from helix_spark.history.metrics import number
from helix_spark.history.states import proof_of
from helix_spark.planner.storage import ResultCosts, seconds_again
from helix_spark.sizes import format_size, seconds_text

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader


@dataclass(frozen=True, slots=True)
class StorageRow:
    """One stored result: seconds to have it again out of what else is stored, and to load it, None where not measured;
    how often it was loaded, and by which iteration last; whether the newest iteration of its workflow has it;
    and what is known of whether it comes out the same when it is computed again."""

    artifact: ArtifactRecord
    again: float | None
    load: float | None
    loaded: int
    last: tuple[str, int] | None
    current: bool
    proof: str

    @property
    def saves(self) -> float | None:
        """Seconds that loading saves each time; None if they were never measured."""
        return None if self.again is None else max(0.0, self.again - (self.load or 0.0))

    @property
    def size_text(self) -> str:
        return format_size(self.artifact.bytes) if self.artifact.bytes else "in its record"

    @property
    def again_text(self) -> str:
        return "unknown" if self.again is None else seconds_text(self.again)

    @property
    def saves_text(self) -> str:
        """What each megabyte of it saves; empty of a value, and where that was never measured."""
        return seconds_text(self.per_megabyte) if self.artifact.bytes and self.saves is not None else ""

    @property
    def made_text(self) -> str:
        return f"{self.artifact.workflow} #{self.artifact.iteration}"

    @property
    def per_megabyte(self) -> float:
        """Seconds by 10^6 bytes; 0 of a value, which takes none."""
        if self.saves is None:
            return -1.0
        return self.saves / (self.artifact.bytes / 1e6) if self.artifact.bytes else 0.0


@dataclass(frozen=True, slots=True)
class StorageView:
    """All that is stored: physical bytes of the catalog, those of results among them; the budget of the newest
    iteration, None if it had none; and results that were stored and are no longer, newest first."""

    used: int
    results: int
    budget: int | None
    stored: tuple[StorageRow, ...]
    gone: tuple[ArtifactRecord, ...]

    @property
    def use(self) -> str:
        of = f" of {format_size(self.budget)} ({self.used / self.budget:.0%})" if self.budget else ", no limit"
        return f"{format_size(self.used)}{of}; {format_size(self.results)} of it stored results"


@dataclass(frozen=True, slots=True)
class StorageShare:
    """What one user or one workflow has stored; the name is empty where it is not recorded."""

    name: str
    results: int
    bytes: int


def shares_by(
    what: Literal["user", "workflow"], view: StorageView, iterations: Iterable[Sequence[IterationRecord]]
) -> list[StorageShare]:
    """Return what each user or each workflow has stored, most first."""
    users = {(one.workflow, one.number): one.user for several in iterations for one in several}
    sizes: defaultdict[str, list[int]] = defaultdict(list)
    for made in (one.artifact for one in view.stored):
        owner = made.workflow if what == "workflow" else users.get((made.workflow, made.iteration), "")
        sizes[owner].append(made.bytes)
    found = [StorageShare(name, len(each), sum(each)) for name, each in sizes.items()]
    return sorted(found, key=lambda one: (-one.bytes, one.name))


def storage_of(
    known: CatalogReader, artifacts: Mapping[str, ArtifactRecord], loads: Mapping[str, tuple[int, str, int]],
    iterations: Iterable[Sequence[IterationRecord]],
) -> StorageView:
    """Return what a catalog has stored, the best by benefit per byte first; what takes no bytes of its own comes last.
    `artifacts` are the newest record of each signature, `loads` how often it was loaded, and by whom last; `iterations`
    are of each workflow, newest first. Raises CatalogError."""
    ended = [next((one for one in several if one.status in ("done", "failed")), None) for several in iterations]
    last = max((one for one in ended if one is not None), key=lambda one: one.started, default=None)
    nodes = [node for one in ended if one is not None for node in known.nodes(one)]
    live = {signature: record for signature, record in artifacts.items() if record.event == "published"}
    current = {node.signature for node in nodes}
    wanted = {*live, *current}
    measured = known.results((), wanted).measured if wanted else {}
    made, stored = _lineage(nodes, live, measured), list[StorageRow]()
    for signature, record in live.items():
        own, by = measured.get(signature), loads.get(signature)
        again = None if own is None or own.compute_seconds is None else seconds_again(made, signature, live)
        stored.append(StorageRow(
            record, again, own.load_seconds if own else None, by[0] if by else 0, by[1:] if by else None,
            signature in current, proof_of(own),
        ))
    stored.sort(key=lambda each: (each.artifact.bytes == 0, -each.per_megabyte, -(each.saves or 0.0)))
    gone = sorted((r for r in artifacts.values() if r.event != "published"), key=lambda r: r.at, reverse=True)
    budget = number(mapping(last.plan).get("budget")) if last else None
    return StorageView(
        known.bytes_used(), sum(record.bytes for record in live.values()), None if budget is None else int(budget),
        tuple(stored), tuple(gone),
    )


def _lineage(
    nodes: Sequence[NodeRecord], live: Iterable[str], measured: Mapping[str, ResultRecord]
) -> dict[str, ResultCosts]:
    """Return what the results of these nodes, and all else that is stored, are made from; what was never
    measured counts as nothing."""
    # Of all of them: two workflows may share a signature, and each finds its inputs by its own names.
    by_name = {(node.workflow, node.name): node.signature for node in nodes}
    inputs: dict[str, tuple[str, ...]] = dict.fromkeys(live, ())
    for node in nodes:
        read = ((node.workflow, name) for name in node.inputs)
        inputs[node.signature] = tuple(by_name[source] for source in read if source in by_name)

    def costs(signature: str) -> ResultCosts:
        own = measured.get(signature)
        compute, load = (own.compute_seconds, own.load_seconds) if own else (None, None)
        return ResultCosts(inputs[signature], compute or 0.0, load or 0.0)

    return {signature: costs(signature) for signature in inputs}
