"""What a Helix is not made for, with Spark: a forked child beside a JVM, a session that ends while a run goes on."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame

import helix_spark as hx
from tests.faults import spark_job
from tests.faults.job import PEOPLE
from tests.faults.limits import (
    CASES,
    SAID,
    case,
    ended_child,
    ended_meanwhile,
    forked,
    leases_left,
    opened,
    said_by,
    some_cases,
)
from tests.faults.row import Tally, fault

_PATIENCE = 40.0


@contextmanager
def _session(own: bool) -> Iterator[dict[str, Any]]:
    """Options of a Helix that starts a session of its own, or is given one."""
    if own:
        yield {"settings": spark_job.SETTINGS}
        return
    with hx.Helix("/tmp/limits-other", settings=spark_job.SETTINGS) as other:
        yield {"spark": other.sessions.get()}


def _after(catalog: Path, helix: hx.Helix, weight: int) -> str:
    """What is wrong after a child: what memory holds is used by this run."""
    iteration = helix.run(spark_job.workflow(1, weight))
    iteration.wait()
    if dict(iteration.outputs) != spark_job.answers(1, weight):
        return f"then it answers {iteration.outputs}"
    if not iteration.model("model").coefficients.size:
        return "the model is gone"
    return leases_left(catalog)


def _beside(catalog: Path, child: Callable[[hx.Helix, Any], str], *, own: bool = True) -> str:
    with _session(own) as options, opened(catalog, **options) as helix:
        it = helix.run(spark_job.workflow(1))
        it.wait()
        warehouse = str(helix.sessions.get().conf.get("spark.sql.warehouse.dir")).removeprefix("file:")
        Path(warehouse).mkdir(exist_ok=True)
        if wrong := child(helix, it):
            return wrong
        if not Path(warehouse).exists():
            return "the warehouse is gone"
        return _after(catalog, helix, 2)


_ENDS: dict[str, Callable[[hx.Helix], object]] = {
    "stopped": lambda helix: helix.sessions.get().stop(), "closed": lambda helix: helix.close(),
}

for _own in (True, False):
    _whose = "of Helix's own" if _own else "that was given"

    @case(f"Spark {_whose}: a child ends")
    def child_ends(catalog: Path, own: bool = _own) -> str:
        return _beside(catalog, lambda helix, it: ended_child(), own=own)

    @case(f"Spark {_whose}: a child lets go of models and tables")
    def child_lets_go(catalog: Path, own: bool = _own) -> str:
        def lets_go(helix: hx.Helix, it: Any) -> None:
            it._results.clear()
            helix._memory._entries.clear()
            gc.collect()

        return _beside(catalog, lambda helix, it: ended_child(lambda: lets_go(helix, it)), own=own)

    @case(f"Spark {_whose}: a child asks for a table")
    def child_asks(catalog: Path, own: bool = _own) -> str:
        def asks(helix: hx.Helix, it: Any) -> str:
            said = forked(lambda: it.table("rows").count())
            return "" if said.startswith("HelixError") else f"the child says {said}"

        return _beside(catalog, asks, own=own)

    @case(f"Spark {_whose}: a child uses the session itself")
    def child_counts(catalog: Path, own: bool = _own) -> str:
        def counts(helix: hx.Helix, it: Any) -> str:
            rows = it.table("rows")
            said = forked(rows.count)  # what becomes of it is the author's; it must not be in its parent's way
            return "the child hangs" if "ended with 14" in said else ""

        return _beside(catalog, counts, own=own)

    @case(f"Spark {_whose}: a child runs while a job goes on")
    def child_beside_a_job(catalog: Path, own: bool = _own) -> str:
        with _session(own) as options, opened(catalog, **options) as helix:
            helix.run(spark_job.workflow(1)).wait()
            said: list[Any] = []
            running = threading.Thread(target=lambda: said.append(helix.run(spark_job.slow_workflow(3))["total"]))
            running.start()
            time.sleep(2.0)
            child = forked(lambda: helix.run(spark_job.workflow(5)))
            running.join(_PATIENCE)
            if not child.startswith("HelixError"):
                return f"the child says {child}"
            return "" if said == [3 * int(PEOPLE.a.sum())] else f"the run says {said}"

    for _moment in (1.0, 3.0, 5.0):
        for _word, _end in _ENDS.items():
            @case(f"Spark {_whose}: {_word} {_moment} s into a run")
            def ends(
                catalog: Path, own: bool = _own, wait: float = _moment, word: str = _word,
                end: Callable[[hx.Helix], object] = _end,
            ) -> str:
                with _session(own) as options:
                    helix = opened(catalog, **options)
                    helix.run(spark_job.workflow(1)).wait()
                    if wrong := ended_meanwhile(helix, spark_job.slow_workflow(3), end, wait, word):
                        return wrong
                again = spark_job.run(catalog, spark_job.workflow(1, 2))
                return leases_left(catalog) if again == spark_job.answers(1, 2) else f"then {again}"

    @case(f"Spark {_whose}: stopped by a function of the run")
    def stopped_by_function(catalog: Path, own: bool = _own) -> str:
        with _session(own) as options:
            helix = opened(catalog, **options)
            said = said_by(lambda: helix.run(_stopping(True)))
            after = helix.run(_stopping(False)).outputs["total"]  # what it stopped is the session of its own call
            helix.close()
        if after != len(PEOPLE):
            return f"the next run gives {after}"
        told = "No active Spark session" in said and "in total: return data.count()" in said
        return "" if told else f"the run says {said}"


def _stopping(stops: bool) -> hx.Workflow:
    wf = hx.Workflow("stopping")
    wf.source("data", hx.table(PEOPLE))

    @wf.reducer(output=True)
    def total(data: DataFrame) -> int:
        if stops:
            data.sparkSession.stop()
        return data.count()

    return wf


@case("Spark of Helix's own: a table is asked for after the end")
def asked_after(catalog: Path) -> str:
    helix = opened(catalog, settings=spark_job.SETTINGS)
    it = helix.run(spark_job.workflow(1))
    it.wait()
    helix.close()
    said = [said_by(lambda: it.table("rows").count()), said_by(lambda: it.table("examples").count())]
    from pyspark import SparkContext

    if SparkContext._active_spark_context is not None:
        return "a session was started that nobody stops"
    return "" if all(one.startswith("HelixError") for one in said) else f"it says {[one[:200] for one in said]}"


@case("Spark of Helix's own: a table is asked for after the session was stopped, and another run began")
def asked_after_stop(catalog: Path) -> str:
    with opened(catalog, settings=spark_job.SETTINGS) as helix:
        it = helix.run(spark_job.workflow(1))
        it.wait()
        helix.sessions.get().stop()
        helix.run(spark_job.workflow(1, 2)).wait()
        return "" if it.table("rows").count() == len(PEOPLE) else "other rows"


WITH_SPARK = [name for name in CASES if name.startswith("Spark")]


@fault("a child process beside a session, or a session that ends during a run", SAID, short=0, full=len(WITH_SPARK),
       spark=True)
def with_spark(folder: Path, count: int, tally: Tally) -> None:
    some_cases(folder, WITH_SPARK, count, tally, __name__)
