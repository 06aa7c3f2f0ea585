"""The view of stored results: sizes, budget, benefit per byte, users."""

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
    """A stored result.

    Attributes:
        recompute_seconds: seconds to compute it again from the other stored results; None if unmeasured.
        load_seconds: seconds to load it; None if unmeasured.
        loads: number of loads.
        last_load: workflow and number of the iteration that loaded it last.
        is_current: True if the newest iteration of its workflow has it.
        proof: a word of `PROOFS`.
    """

    artifact: ArtifactRecord
    recompute_seconds: float | None
    load_seconds: float | None
    loads: int
    last_load: tuple[str, int] | None
    is_current: bool
    proof: str

    @property
    def saves(self) -> float | None:
        """Seconds that each load saves; None if unmeasured."""
        return None if self.recompute_seconds is None else max(0.0, self.recompute_seconds - (self.load_seconds or 0.0))

    @property
    def size_text(self) -> str:
        return format_size(self.artifact.bytes) if self.artifact.bytes else "in its record"

    @property
    def recompute_text(self) -> str:
        return "unknown" if self.recompute_seconds is None else seconds_text(self.recompute_seconds)

    @property
    def saves_text(self) -> str:
        """Seconds saved per megabyte; empty for a value and if unmeasured."""
        return seconds_text(self.per_megabyte) if self.artifact.bytes and self.saves is not None else ""

    @property
    def origin_text(self) -> str:
        return f"{self.artifact.workflow} #{self.artifact.iteration}"

    @property
    def per_megabyte(self) -> float:
        """Seconds saved per 10^6 bytes; 0 for a value, which takes none."""
        if self.saves is None:
            return -1.0
        return self.saves / (self.artifact.bytes / 1e6) if self.artifact.bytes else 0.0


@dataclass(frozen=True, slots=True)
class StorageView:
    """The stored results of a catalog.

    Attributes:
        used: bytes of the catalog.
        results: bytes of its results.
        budget: bytes that the newest iteration could use; None for no limit.
        removed: results that are no longer stored, newest first.
    """

    used: int
    results: int
    budget: int | None
    stored: tuple[StorageRow, ...]
    removed: tuple[ArtifactRecord, ...]

    @property
    def use(self) -> str:
        limit = f" of {format_size(self.budget)} ({self.used / self.budget:.0%})" if self.budget else ", no limit"
        return f"{format_size(self.used)}{limit}; {format_size(self.results)} of it stored results"


@dataclass(frozen=True, slots=True)
class StorageShare:
    """The stored results of one user or one workflow; the name is empty if unrecorded."""

    name: str
    results: int
    bytes: int


def shares_by(
    owner: Literal["user", "workflow"], view: StorageView, iterations: Iterable[Sequence[IterationRecord]]
) -> list[StorageShare]:
    """Return the share of each user or each workflow, largest first."""
    users = {(record.workflow, record.number): record.user for records in iterations for record in records}
    sizes: defaultdict[str, list[int]] = defaultdict(list)
    for artifact in (row.artifact for row in view.stored):
        user = users.get((artifact.workflow, artifact.iteration), "")
        sizes[artifact.workflow if owner == "workflow" else user].append(artifact.bytes)
    shares = [StorageShare(name, len(owned), sum(owned)) for name, owned in sizes.items()]
    return sorted(shares, key=lambda share: (-share.bytes, share.name))


def storage_of(
    catalog: CatalogReader, artifacts: Mapping[str, ArtifactRecord], loads: Mapping[str, tuple[int, str, int]],
    iterations: Iterable[Sequence[IterationRecord]],
) -> StorageView:
    """Return the stored results of a catalog, sorted by benefit per byte; values come last. Raises CatalogError.

    Args:
        artifacts: the newest record of each signature.
        loads: number of loads of each signature, with the iteration that loaded it last.
        iterations: iterations of each workflow, newest first.
    """
    ended = ((record for record in records if record.status in ("done", "failed")) for records in iterations)
    newest = [record for record in (next(records, None) for records in ended) if record is not None]
    last = max(newest, key=lambda record: record.started, default=None)
    nodes = [node for record in newest for node in catalog.nodes(record)]
    live = {signature: record for signature, record in artifacts.items() if record.event == "published"}
    current = {node.signature for node in nodes}
    signatures = {*live, *current}
    measured = catalog.results((), signatures).measured if signatures else {}
    lineage, stored = _lineage(nodes, live, measured), list[StorageRow]()
    for signature, record in live.items():
        costs, load = measured.get(signature), loads.get(signature)
        is_measured = costs is not None and costs.compute_seconds is not None
        stored.append(StorageRow(
            record, seconds_again(lineage, signature, live) if is_measured else None,
            costs.load_seconds if costs else None, load[0] if load else 0, load[1:] if load else None,
            signature in current, proof_of(costs),
        ))
    stored.sort(key=lambda row: (row.artifact.bytes == 0, -row.per_megabyte, -(row.saves or 0.0)))
    ends = (record for record in artifacts.values() if record.event != "published")
    removed = sorted(ends, key=lambda record: record.at, reverse=True)
    budget = number(mapping(last.plan).get("budget")) if last else None
    return StorageView(
        catalog.bytes_used(), sum(record.bytes for record in live.values()), None if budget is None else int(budget),
        tuple(stored), tuple(removed),
    )


def _lineage(
    nodes: Sequence[NodeRecord], live: Iterable[str], measured: Mapping[str, ResultRecord]
) -> dict[str, ResultCosts]:
    """Return the inputs and costs of these nodes and of all stored results; unmeasured costs are 0."""
    # By workflow too: two workflows may share a signature under different names of its inputs.
    by_name = {(node.workflow, node.name): node.signature for node in nodes}
    inputs: dict[str, tuple[str, ...]] = dict.fromkeys(live, ())
    for node in nodes:
        sources = ((node.workflow, name) for name in node.inputs)
        inputs[node.signature] = tuple(by_name[source] for source in sources if source in by_name)

    def costs(signature: str) -> ResultCosts:
        record = measured.get(signature)
        compute, load = (record.compute_seconds, record.load_seconds) if record else (None, None)
        return ResultCosts(inputs[signature], compute or 0.0, load or 0.0)

    return {signature: costs(signature) for signature in inputs}
