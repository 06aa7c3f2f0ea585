"""What a run had is held in memory, for later runs and for whoever asks for it afterwards."""

from __future__ import annotations

from collections.abc import Collection

from helix_spark.engine.execution.outcome import lasting
from helix_spark.engine.results.loading import load
from helix_spark.engine.results.node_results import NodeResult, TableResult
from helix_spark.iteration.run import Run
from helix_spark.iteration.tools import Tools


def hold(run: Run, spoiled: Collection[str] = ()) -> None:
    """Puts what a run had into the memory tier; what may differ each time is held apart."""
    plan, outcome, memory = run.plan, run.outcome, run.tools.memory
    for name, result in lasting(outcome).items():
        if not plan[name].random and name not in spoiled:
            memory.put(plan[name].signature, result, persisted=name in outcome.pinned)
        elif name in outcome.pinned and isinstance(result, TableResult):
            memory.keep_apart(result)


def held_or_stored(tools: Tools, signature: str) -> NodeResult | None:
    """A result that a run did not need, or that an earlier one had, for who asks for it afterwards: checked as whatever
    a run loads. None where it is neither held in memory nor stored."""
    held = tools.memory.get(signature)
    if held is not None:
        return held
    record = tools.catalog.artifact(signature)
    return None if record is None else load(record, tools.catalog, tools.sessions)
