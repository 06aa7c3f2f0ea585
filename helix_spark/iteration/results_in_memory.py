"""Hold the results of a run in memory, for later runs and for reading them afterwards."""

from __future__ import annotations

from collections.abc import Collection

from helix_spark.engine.execution.outcome import lasting
from helix_spark.engine.results.loading import load
from helix_spark.engine.results.node_results import NodeResult, TableResult
from helix_spark.iteration.run import Run
from helix_spark.iteration.tools import Tools


def hold_in_memory(run: Run, spoiled: Collection[str] = ()) -> None:
    """Put the results of a run into the memory tier; nondeterministic ones are kept apart."""
    plan, outcome, memory = run.plan, run.outcome, run.tools.memory
    for name, result in lasting(outcome).items():
        if not plan[name].random and name not in spoiled:
            memory.put(plan[name].signature, result, persisted=name in outcome.pinned)
        elif name in outcome.pinned and isinstance(result, TableResult):
            memory.keep_apart(result)


def find_result(tools: Tools, signature: str) -> NodeResult | None:
    """Return a result from memory or the catalog, checked as all that a run loads; None where neither has it."""
    held = tools.memory.get(signature)
    if held is not None:
        return held
    record = tools.catalog.artifact(signature)
    return None if record is None else load(record, tools.catalog, tools.sessions)
