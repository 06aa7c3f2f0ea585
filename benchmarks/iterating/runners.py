"""How each system runs one version after the other in a session that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.iterating.hamilton_peer import run_hamilton
from benchmarks.iterating.measured import Measured
from benchmarks.iterating.systems import HAMILTON, PLAIN, POLICIES, keeper, run_ours, run_plain, write_texts
from benchmarks.scripts.edit import Version

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Run = Callable[[Version], Measured]


@contextmanager
def runner(
    system: str, workload: str, folder: Path, spark: SparkSession, budget: int | None, script: Sequence[Version]
) -> Iterator[Run]:
    """What runs a version on a system.

    Args:
        folder: for texts and for what is stored.
        budget: bytes that Helix may store; None for no limit.
        script: all versions; only the oracle looks at them.
    """
    if system in PLAIN:
        keeping = keeper(system, folder, spark)

        def run(version: Version) -> Measured:
            return run_plain(write_texts(workload, version, folder)[1], spark, keeping, version.keys)

        yield run
        return
    if system == HAMILTON:
        yield lambda version: run_hamilton(write_texts(workload, version, folder)[1])
        return
    from helix_spark.helix import Helix

    catalog = folder / "catalog"
    with Helix(catalog, policy=POLICIES[system], budget=budget, spark=spark) as engine:
        yield lambda version: run_ours(write_texts(workload, version, folder)[0], engine, version, catalog)
