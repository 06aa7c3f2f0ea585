"""How each system runs one version after the other in a session that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.iterating.beginning import Begin
from benchmarks.iterating.hamilton_peer import run_hamilton
from benchmarks.iterating.measured import Measured
from benchmarks.iterating.oracle import foreseen
from benchmarks.iterating.systems import HAMILTON, ORACLE, PLAIN, POLICIES, keeper, run_ours, run_plain, write_texts
from benchmarks.scripts.edit import Version
from tests.simulation.rule import RULES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Run = Callable[[Version], Measured]


@contextmanager
def runner(begin: Begin, workload: str, spark: SparkSession) -> Iterator[Run]:
    """What runs a version on the system of a script that begins."""
    system, folder = begin.system, begin.folder
    if system in PLAIN:
        keeping = keeper(system, folder, spark)

        def run(version: Version) -> Measured:
            return run_plain(write_texts(workload, version, folder)[1], spark, keeping, version.keys)

        yield run
        return
    if system == HAMILTON:
        import hamilton.driver  # noqa: F401 - before the clock runs, as Helix is below

        yield lambda version: run_hamilton(write_texts(workload, version, folder)[1])
        return
    from helix_spark.helix import Helix

    catalog = folder / "catalog"
    if system == ORACLE:
        assert begin.records is not None
        policies = iter(foreseen(workload, begin.script, folder, begin.records, begin.budget))
        with Helix(catalog, budget=begin.budget, spark=spark) as engine:

            def run_knowing(version: Version) -> Measured:
                engine._tools = replace(engine._tools, policy=next(policies))
                return run_ours(write_texts(workload, version, folder)[0], engine, version, catalog)

            yield run_knowing
        return
    policy = RULES.get(POLICIES[system], POLICIES[system])
    with Helix(catalog, policy=policy, budget=begin.budget, spark=spark) as engine:
        yield lambda version: run_ours(write_texts(workload, version, folder)[0], engine, version, catalog)
