"""The cost model: seconds to compute (c), load (l) and write (w) each node, bytes of its result, the cost of Spark's
start, and the probability that the next iteration runs in a new process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, linear_regression, median
from types import MappingProxyType

from helix_spark.catalog.records import ResultRecord
from helix_spark.dag.node import Dag, Node, computes_with_spark
from helix_spark.since_python_311 import StrEnum
from helix_spark.workflow.functions import names_used
from helix_spark.workflow.operators import Function, Kind, Result


class EstimateSource(StrEnum):
    """The source of an estimate, best first."""

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
    """Costs of a result: seconds to compute it from its inputs, to load and to write it, and its bytes when stored.

    Attributes:
        origin: the source of `compute_seconds`.
        bytes_known: True if the size of this version, or else of an earlier one, was measured.
    """

    compute_seconds: float
    load_seconds: float
    write_seconds: float
    bytes: int
    origin: EstimateSource = EstimateSource.KIND
    bytes_known: bool = False


# Measured with local Spark on two cores over results of 10 kB to 100 MB; they matter only for a catalog's first runs.
LOAD = {"table": Throughput(0.25, 1 / 300e6), "model": Throughput(0.6, 1 / 100e6), "value": Throughput(0.0, 0.0)}
READ = {"table": Throughput(0.02, LOAD["table"].per_byte), "model": LOAD["model"]}
"""Throughput of reading alone, without Spark where possible: the measured part of loads, see `loads_from_reads`."""
WRITE = {"table": Throughput(0.25, 1 / 15e6), "model": Throughput(0.5, 1 / 50e6), "value": Throughput(0.0, 0.0)}
_MOST_TIMES_USUAL = 4.0
"""Upper bound of a measured load, as a multiple of the usual time. Without it, one load from a store that stalled would
count for ever: plans would compute the result instead, and it would not be measured again. There is no lower bound,
because a load that seems quick is measured again. Some results do take several times longer than their bytes suggest,
such as pipelines of many small models."""
_PRIOR_SAMPLES = 4
"""Number of samples that a prior counts for; few, so that a catalog's first dozen samples outweigh it."""
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
"""Throughput of functions in Python workers: between a simple function (50 MB/s) and a parser of text (50 kB/s)."""
_IN_MEMORY = Throughput(0.0, 0.0)
"""Throughput of data in the author's process."""
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
        signatures: signatures by node name.
        measured: records by signature, from any run of any workflow.
        previous, previous_bytes: records and sizes of each node's newest earlier version, by node name.
        source_bytes: sizes by name of source.
        load, write: throughputs by kind of artifact, calibrated to the catalog.
        elsewhere: throughputs like `load` for results in other catalogs, by signature.
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
        # Parquet with zstd takes about a third of the bytes of text. Columns and values take none.
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
    """Fit a throughput to (bytes, seconds) samples and a prior. The prior counts as `_PRIOR_SAMPLES` samples, half of
    1 MB and half of 100 MB, so that a few samples of one size cannot tilt the line.

    >>> calibrate([], Throughput(0.5, 1e-8))
    Throughput(fixed=0.5, per_byte=1e-08)
    """
    points = [(size / 1e6, seconds) for size, seconds in samples]
    if not points:
        return prior
    points += [(size, prior.seconds(size * 1e6)) for size in (1.0, 100.0)] * (_PRIOR_SAMPLES // 2)
    megabytes, seconds = zip(*points, strict=True)
    slope = max(0.0, linear_regression(megabytes, seconds).slope)
    return Throughput(max(0.0, fmean(seconds) - slope * fmean(megabytes)), slope / 1e6)


def loads_from_reads(samples: Mapping[str, Iterable[tuple[int, float]]]) -> dict[str, Throughput]:
    """Return the load throughput by kind of artifact, from measured reads without Spark.

    A load with Spark waits for the disk like a read without it, and Spark's own delay does not depend on the disk. So
    the difference between `LOAD` and `READ` stays.

    Args:
        samples: (bytes, seconds) by kind of artifact.

    >>> loads_from_reads({}) == LOAD
    True
    """
    throughputs = dict(LOAD)
    for kind, prior in READ.items():
        # Samples far above the median are bounded, so that one stalled read among few does not count as usual. On a
        # slow disk all are above the prior, and the median with them.
        reads = list(samples.get(kind, ()))
        factors = [seconds / prior.seconds(size) for size, seconds in reads]
        bound = _MOST_TIMES_USUAL * median([*factors, *[1.0] * _PRIOR_SAMPLES])
        read = calibrate(((size, min(seconds, bound * prior.seconds(size))) for size, seconds in reads), prior)
        if read != prior:
            throughputs[kind] = Throughput(max(0.0, LOAD[kind].fixed + read.fixed - prior.fixed), read.per_byte)
    return throughputs


def artifact_kind(node: Node) -> str:
    """Return the kind of artifact of a node's result: table, model or value."""
    return {Result.MODEL: "model", Result.VALUE: "value"}.get(node.result, "table")


def _pick(measured: float | None, previous: float | None, first: float) -> tuple[float, EstimateSource]:
    if measured is not None:
        return float(measured), EstimateSource.MEASURED
    if previous is not None:
        return float(previous), EstimateSource.PREVIOUS
    return first, EstimateSource.KIND


def in_python_workers(node: Node) -> bool:
    """Return whether a node's function sends rows to Python workers, as far as its own code shows."""
    return isinstance(node.operator, Function) and bool(names_used(node.operator.call) & _PYTHON_WORKERS)


USUAL_START = 2.5
"""Seconds of Spark's start until one is recorded; typical of a small machine."""

REMEMBERED_STARTS = 5
"""Number of recent starts that count: machines change, and one slow start says little."""

_FIRST_WORK, _FIRST_WORK_AT_MOST = 1.2, 10.0
"""Delay of a new session's first work, as a share of the session's start: both load classes and compile. Its bound in
seconds is for starts that wait for a cluster, which do not slow the first work. Iterations in new processes took at
least 3 s (census, flights, genomics; starts of about 2.5 s) and 8 s (flights; a start of 6.5 s) longer than the start
explains."""

_FRESH_PRIOR = {False: 0.1, None: 0.5}
"""Prior probability that the next iteration runs in a new process, by `one_run`; it counts as one iteration."""

_FRESHNESS = 0.7
"""Weight of an iteration's process relative to the next; it halves in two iterations. A guess: people change between
single runs and a session in one step, and then stay with it for a while."""


def session_seconds(starts: Sequence[float], *, runs: bool = False, worked: bool = False) -> float:
    """Return the seconds that Spark adds to an iteration that needs it.

    Args:
        starts: seconds of the recorded starts, oldest first.
        runs: True if Spark runs already.
        worked: True if its session has done some work.

    >>> session_seconds([], runs=True), session_seconds([60.0], runs=True), round(session_seconds([6.0, 7.0]), 2)
    (3.0, 10.0, 14.3)
    """
    start = fmean(starts[-REMEMBERED_STARTS:]) if starts else USUAL_START
    first_work = min(_FIRST_WORK * start, _FIRST_WORK_AT_MOST)
    return (0.0 if runs else start) + (0.0 if worked else first_work)


def fresh_process(writers: Sequence[str], one_run: bool | None) -> float:
    """Return the probability that the next iteration runs in another process.

    Args:
        writers: the processes of the iterations so far, oldest first, this one's included; recent ones count more.
        one_run: True if this process ends after this run; None if that is unknown.

    >>> fresh_process(["a", "a"], True), fresh_process(["a", "b"], None), round(fresh_process(["a"] * 10, False), 3)
    (1.0, 0.75, 0.024)
    """
    if one_run:
        return 1.0
    weight = differed = 0.0
    for before, after in pairwise(writers):
        weight, differed = _FRESHNESS * weight + 1.0, _FRESHNESS * differed + float(before != after)
    return (_FRESH_PRIOR[one_run] + differed) / (1.0 + weight)
