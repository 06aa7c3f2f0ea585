"""What a run works with."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from helix_spark.catalog.catalog import Catalog
from helix_spark.engine.execution.executor import Executor
from helix_spark.engine.execution.observer import Observer
from helix_spark.engine.results.loading import load
from helix_spark.engine.results.memory import MemoryTier
from helix_spark.engine.results.node_results import NodeResult
from helix_spark.engine.spark.session import Sessions
from helix_spark.planner.storage import Policy
from helix_spark.run.auditor import Auditor
from helix_spark.run.standing_warnings import StandingWarnings
from helix_spark.run.tracker import Tracker
from helix_spark.workflow.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run works with.

    Attributes:
        budget: bytes that may be stored in all; None for no limit.
        one_run: whether this process is for one run alone; None if nobody can say.
        auditor: has results computed again.
        recording: records answers; the next run waits for it, to plan on them.
        behind: stores what follows the answers; nobody waits for it.
        cut_off: seconds that what lies below a result must be expected to take for it to be compared with earlier ones
            before the run goes on; None: as long as the run's planning took.
        check_open: raises EndedError once another thread closes the Helix.
    """

    sessions: Sessions
    catalog: Catalog
    memory: MemoryTier
    observer: Observer
    executor: Executor
    recording: ThreadPoolExecutor
    behind: ThreadPoolExecutor
    policy: Policy
    budget: int | None
    one_run: bool | None
    auditor: Auditor[Workflow]
    tracker: Tracker | None
    standing: StandingWarnings
    cut_off: float | None
    check_open: Callable[[], None]

    @property
    def held(self) -> frozenset[str]:
        """Signatures of the results in memory that may be reused. What is held alone has nothing to be compared with:
        where all is verified first, it is computed anew."""
        return frozenset() if self.auditor.when == "before reuse" else frozenset(self.memory.held)

    def find_result(self, signature: str) -> NodeResult | None:
        """Return a result from memory or the catalog, checked as all that a run loads; None where neither has it."""
        held = self.memory.get(signature)
        if held is not None:
            return held
        record = self.catalog.artifact(signature)
        return None if record is None else load(record, self.catalog, self.sessions)
