"""The cost model: seconds to compute (c), load (l) and write (w) each node, bytes of its result, and what Spark's start
costs, with how likely the next iteration runs in a process of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from types import MappingProxyType

from helix_spark.catalog.records import ResultRecord
from helix_spark.dag.node import Dag, Node, computes_with_spark
from helix_spark.since_python_311 import StrEnum
from helix_spark.workflow.functions import names_used
from helix_spark.workflow.operators import Function, Kind, Result


class EstimateSource(StrEnum):
    """Where an estimate comes from, best first."""

    MEASURED = "measured"
    PREVIOUS = "its previous version"
    KIND = "others of its kind"


@dataclass(frozen=True, slots=True)
class Throughput:
    """Seconds to move `bytes`: a fixed part and a part per byte.

    >>> Throughput(0.5, 1e-8).seconds(100_000_000)
    1.5
    """

    fixed: float
    per_byte: float

    def seconds(self, size: float) -> float:
        return self.fixed + self.per_byte * size


@dataclass(frozen=True, slots=True)
class Costs:
    """What a result costs: seconds to compute it given its inputs, to load and to write it, and its bytes stored.

    Attributes:
        origin: where `compute_seconds` comes from.
        bytes_known: True if the size of this version, or else of an earlier one, was measured.
    """

    compute_seconds: float
    load_seconds: float
    write_seconds: float
    bytes: int
    origin: EstimateSource = EstimateSource.KIND
    bytes_known: bool = False


# Measured with local Spark on two cores over results of 10 kB to 100 MB; only a catalog's first runs rest on them.
LOAD = {"table": Throughput(0.25, 1 / 300e6), "model": Throughput(0.6, 1 / 100e6), "value": Throughput(0.0, 0.0)}
READ = {"table": Throughput(0.02, LOAD["table"].per_byte), "model": LOAD["model"]}
"""Of reading by itself, without Spark where that is possible: what is measured of loads, see `loads_from_reads`."""
WRITE = {"table": Throughput(0.25, 1 / 15e6), "model": Throughput(0.5, 1 / 50e6), "value": Throughput(0.0, 0.0)}
_MOST_TIMES_USUAL = 4.0
"""How many times the usual a load is believed to take at most. One that took long for once, from a store that stalled
or on a busy machine, would be believed for ever: plans would compute instead, and what is not loaded is not measured
again. What is believed to load too quickly is loaded, and is measured anew: so there is no bound below. Some results do
take several times what their bytes let expect, such as pipelines of many small models."""
_PRIOR_SAMPLES = 4
"""How many samples what is known beforehand is worth, where a throughput is fitted and where it is told what is usual:
few, so that a catalog's own first dozen outweigh it."""
_FIRST_COMPUTE = {
    Kind.SOURCE: Throughput(0.2, 1 / 100e6), Kind.SCANNER: Throughput(0.2, 1 / 80e6),
    Kind.EXTRACTOR: Throughput(0.02, 1 / 500e6), Kind.SYNTHESIZER: Throughput(0.3, 1 / 40e6),
    Kind.LEARNER: Throughput(1.0, 1 / 20e6), Kind.PREDICT: Throughput(0.3, 1 / 60e6),
    Kind.REDUCER: Throughput(0.2, 1 / 100e6),
}
_FIT = Throughput(0.3, 1 / 60e6)
_PYTHON_WORKERS = frozenset({
    "mapInPandas", "mapInArrow", "applyInPandas", "applyInArrow", "udf", "pandas_udf", "arrow_udf",
})
_IN_PYTHON = Throughput(1.0, 1 / 1.5e6)
"""Of functions that send rows to Python workers: between a simple function (50 MB/s) and a parser of text (50 kB/s)."""
_IN_MEMORY = Throughput(0.0, 0.0)
"""Of data that the author's process holds."""
_MODEL_BYTES = 20_000
_UNKNOWN_SOURCE_BYTES = 10_000_000
_UNMEASURED = ResultRecord("", "", "", "", "", 0)


def estimate(
    dag: Dag, signatures: Mapping[str, str], measured: Mapping[str, ResultRecord], previous: Mapping[str, ResultRecord],
    previous_bytes: Mapping[str, int | None], source_bytes: Mapping[str, int],
    load: Mapping[str, Throughput] = LOAD, write: Mapping[str, Throughput] = WRITE,
    elsewhere: Mapping[str, Mapping[str, Throughput]] = MappingProxyType({}),
) -> dict[str, Costs]:
    """Estimate the costs of each node of a graph.

    Args:
        signatures: by node name.
        measured: by signature, of any run of any workflow.
        previous: by node name, of the node's newest earlier version; so are `previous_bytes`.
        source_bytes: by name of source.
        load, write: by kind of artifact, calibrated to the catalog.
        elsewhere: by signature, the same as `load` for what is loaded from another catalog.
    """
    estimates: dict[str, Costs] = {}
    data: dict[str, float] = {}
    for node in dag.nodes:
        reads = sum(data[name] for name in dict.fromkeys(node.inputs))
        if not node.inputs:
            reads = source_bytes.get(node.name, 0) or _UNKNOWN_SOURCE_BYTES
        own = measured.get(signatures[node.name], _UNMEASURED)
        before = previous.get(node.name, _UNMEASURED)
        kind = artifact_kind(node)
        # Parquet with zstd takes about a third of text. Columns and values take nothing.
        guess = {Result.TABLE: reads / 3, Result.MODEL: _MODEL_BYTES}.get(node.result, 0.0)
        size, size_origin = _pick(own.bytes, previous_bytes.get(node.name), guess)
        data[node.name] = size if node.result is Result.TABLE else 0.0
        is_fit = node.kind is Kind.EXTRACTOR and kind != "table"
        first = _IN_PYTHON if in_python_workers(node) else _FIT if is_fit else _FIRST_COMPUTE[node.kind]
        if not node.inputs and not computes_with_spark(node, dag):
            first = _IN_MEMORY
        compute, origin = _pick(own.compute_seconds, before.compute_seconds, first.seconds(reads))
        usual = elsewhere.get(signatures[node.name], load)[kind].seconds(size)
        loading = usual if own.load_seconds is None else min(own.load_seconds, _MOST_TIMES_USUAL * usual)
        estimates[node.name] = Costs(
            compute, loading, write[kind].seconds(size), int(size), origin, size_origin is not EstimateSource.KIND
        )
    return estimates


def calibrate(samples: Iterable[tuple[int, float]], prior: Throughput) -> Throughput:
    """Fit a throughput to (bytes, seconds) samples, drawn towards a prior that counts as `_PRIOR_SAMPLES` of them, half
    of 1 MB and half of 100 MB, so that a few samples of one size cannot tilt it.

    >>> calibrate([], Throughput(0.5, 1e-8))
    Throughput(fixed=0.5, per_byte=1e-08)
    """
    points = [(size / 1e6, seconds, 1.0) for size, seconds in samples]
    if not points:
        return prior
    points += [(size, prior.seconds(size * 1e6), _PRIOR_SAMPLES / 2) for size in (1.0, 100.0)]
    total = sum(w for _, _, w in points)
    mean_x = sum(x * w for x, _, w in points) / total
    mean_y = sum(y * w for _, y, w in points) / total
    spread = sum(w * (x - mean_x) ** 2 for x, _, w in points)
    slope = max(0.0, sum(w * (x - mean_x) * (y - mean_y) for x, y, w in points) / spread)
    return Throughput(max(0.0, mean_y - slope * mean_x), slope / 1e6)


def loads_from_reads(samples: Mapping[str, Iterable[tuple[int, float]]]) -> dict[str, Throughput]:
    """Load throughput by kind of artifact, from what reading some took by itself.

    A table is seldom read by itself but without Spark. What its disk adds, a load with Spark has to wait for as well;
    what Spark takes to start a job, the disk does not change. So of `LOAD` the difference to `READ` stays.

    Args:
        samples: (bytes, seconds) by kind.

    >>> loads_from_reads({}) == LOAD
    True
    """
    found = dict(LOAD)
    for kind, prior in READ.items():
        # Samples are bounded that took many times what the others, and the prior, let expect. Else one read that
        # stalled would be usual for its kind where there are few. Of a disk that is slow all are, and none sticks out.
        known = list(samples.get(kind, ()))
        times = [seconds / prior.seconds(size) for size, seconds in known]
        most = _MOST_TIMES_USUAL * median([*times, *[1.0] * _PRIOR_SAMPLES])
        read = calibrate(((size, min(seconds, most * prior.seconds(size))) for size, seconds in known), prior)
        if read != prior:
            found[kind] = Throughput(max(0.0, LOAD[kind].fixed + read.fixed - prior.fixed), read.per_byte)
    return found


def artifact_kind(node: Node) -> str:
    """Return how a node's result is stored: as a table, a model or a value."""
    return {Result.MODEL: "model", Result.VALUE: "value"}.get(node.result, "table")


def _pick(measured: float | None, previous: float | None, first: float) -> tuple[float, EstimateSource]:
    if measured is not None:
        return float(measured), EstimateSource.MEASURED
    if previous is not None:
        return float(previous), EstimateSource.PREVIOUS
    return first, EstimateSource.KIND


def in_python_workers(node: Node) -> bool:
    """Return whether a node's function sends rows to Python workers, as far as its own code tells."""
    return isinstance(node.operator, Function) and bool(names_used(node.operator.call) & _PYTHON_WORKERS)


# Starts of Spark

USUAL_START = 2.5
"""Seconds that a start is taken for until one is on record; about what a small machine takes."""

REMEMBERED_STARTS = 5
"""How many of the latest starts count: machines change, and one slow start says little."""

_FIRST_WORK, _FIRST_WORK_AT_MOST = 1.2, 10.0
"""What the first work of a new session takes longer, whatever it is, as a share of the session's start: both load
classes and compile. Iterations in processes of their own took at least 3 s (census, flights, genomics; starts of about
2.5 s) and 8 s (flights, where a start took 6.5 s) longer than the start explains. A start that waits for a cluster says
nothing of that, so it is bounded (seconds)."""

_UNTOLD = {False: 0.1, None: 0.5}
"""Probability that the next iteration runs in a process of its own while nothing is on record, by whether this process
is for one run alone; worth one iteration."""

_FRESHNESS = 0.7
"""Weight of what the process of an iteration was against that of the one after it, half forgotten after two. A guess:
people change from runs of their own to a session, or back, in one step, and stay with it for a while."""


def session_seconds(starts: Sequence[float], *, runs: bool = False, worked: bool = False) -> float:
    """Return seconds that an iteration takes longer if it needs Spark.

    Args:
        starts: seconds of the starts on record, oldest first.
        runs: True if Spark is started.
        worked: True if its session has run something.

    >>> session_seconds([], runs=True), session_seconds([60.0], runs=True), round(session_seconds([6.0, 7.0]), 2)
    (3.0, 10.0, 14.3)
    """
    start = fmean(starts[-REMEMBERED_STARTS:]) if starts else USUAL_START
    first_work = min(_FIRST_WORK * start, _FIRST_WORK_AT_MOST)
    return (0.0 if runs else start) + (0.0 if worked else first_work)


def fresh_process(writers: Sequence[str], one_run: bool | None) -> float:
    """Return probability that the next iteration runs in another process than this one.

    A process that is for one run alone ends after it. Of others it is told from what the iterations so far did, the
    newest first.

    Args:
        writers: the processes of the iterations so far, oldest first, this one's included.
        one_run: whether this process is for one run alone; None if nobody can say.

    >>> fresh_process(["a", "a"], True), fresh_process(["a", "b"], None), round(fresh_process(["a"] * 10, False), 3)
    (1.0, 0.75, 0.024)
    """
    if one_run:
        return 1.0
    weight = differed = 0.0
    for before, after in pairwise(writers):
        weight, differed = _FRESHNESS * weight + 1.0, _FRESHNESS * differed + float(before != after)
    return (_UNTOLD[one_run] + differed) / (1.0 + weight)
