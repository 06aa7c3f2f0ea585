"""Waiting times for answers of the census job: fresh processes, a warm session, the watch, the first run.

    python -m benchmarks.answers [--only unchanged,reducer,warm,watch,first,planning,kept] [--rounds 5]

Each figure is of runs side by side on one machine, in turn; medians of seconds.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import (
    HELIX,
    ROOT,
    Row,
    chosen,
    clock,
    collect,
    command_line,
    finish,
    in_turn,
    load_workflow,
    medians,
    new_folder,
    own_servers,
    run,
    sound,
    watching,
    with_root,
)
from helix_spark.planner.problem import State

FLOOR = [sys.executable, "-c", "import deltalake, pyspark.sql.functions"]
"""Imports deltalake, and the modules that the job itself imports."""

NO_JAVA = {"JAVA_HOME": "/nonexistent"}
"""With this a run that starts a JVM fails."""

ALONE = {"HELIX_SERVER": "off"}

UNTIL_READY = 10.0
"""Seconds after the first run until the processes that it leaves are ready."""

METRIC = "return float((predictions"

ANSWER = "|  1.0|       1.0|"
"""A text in the last line that `jobs/plain_income.py` prints."""

VALUES = """import helix_spark as hx

def values(times: int = 3) -> hx.Workflow:
    wf = hx.Workflow("values")

    @wf.reducer
    def numbers() -> list:
        return [1, 2, 3]

    @wf.reducer(output=True)
    def total(numbers: list) -> int:
        return sum(numbers) * times

    return wf
"""
"""A workflow that imports nothing of Spark."""


class Desk:
    """A folder with copies of the jobs, edited as a person edits them."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(ROOT / "jobs", folder / "jobs", ignore=shutil.ignore_patterns("__pycache__"))
        self.folder, self.census = folder, folder / "jobs" / "census.py"
        self._text = with_root(self.census.read_text())
        self.census.write_text(self._text)

    def edit_metric(self, number: int) -> None:
        """Write the census job with another metric."""
        assert METRIC in self._text
        self.census.write_text(self._text.replace(METRIC, METRIC.replace("float", f"{number} * float")))

    def edit_grid(self, number: int) -> None:
        """Write the income program with another value of its grid."""
        text = (ROOT / "jobs" / "plain_income.py").read_text()
        edited = text.replace("[0.001, 0.01, 0.03, 0.1]", f"[0.001, 0.01, 0.03, {0.1 + 0.01 * (number + 2)}]")
        assert edited != text
        (self.folder / "jobs" / "plain_income.py").write_text(edited)

    def command(self, verb: str = "run", *options: str) -> list[str]:
        """Return the command that runs the census job."""
        return [*HELIX, verb, str(self.census), "--catalog", str(self.folder / "catalog"), *options]

    def until_answer(self, environment: Mapping[str, str], *options: str) -> float:
        """Return the seconds until the census job's answer in a fresh process."""
        return _seconds(self.command("run", "-q", *options), self.folder, environment, "s to answer")


def _seconds(command: Sequence[str], folder: Path, variables: Mapping[str, str] = ALONE, answer: str = "") -> float:
    """Return the seconds of a whole command, or until a line with an answer."""
    done = sound(run(command, folder, variables, answer=answer))
    return done.answered if answer else done.seconds


def unchanged(rounds: int) -> Iterator[Row]:
    """Run the unchanged workflow, and one of values, alone and next to a server; whole commands."""
    with new_folder() as folder, own_servers() as servers:
        desk = Desk(folder)
        (folder / "values.py").write_text(VALUES)
        commands = {"census": desk.command(), "values": [*HELIX, "run", "values.py"]}
        for command in commands.values():
            sound(run(command, folder, servers))
        time.sleep(UNTIL_READY)
        modes = {"beside a server": servers, "by itself": {**NO_JAVA, **ALONE}}
        seconds = medians(in_turn({
            "imports": partial(_seconds, FLOOR, folder),
            **{f"{name}, {mode}": partial(_seconds, command, folder, variables)
               for name, command in commands.items() for mode, variables in modes.items()},
        }, rounds, uncounted=1))
    for name, figure in seconds.items():
        yield Row(f"unchanged: {name}", {"seconds": figure})
    beyond = seconds["census, by itself"] - seconds["imports"]
    yield Row("unchanged: census, by itself, beyond imports", {"seconds": beyond, "wanted": 1.0})


def reducer(rounds: int) -> Iterator[Row]:
    """Edit a metric over stored predictions, in fresh processes."""
    with new_folder() as folder:
        desk, numbers = Desk(folder), count(2)
        sound(run(desk.command(), folder))

        def edited() -> float:
            desk.edit_metric(next(numbers))
            done = sound(run(desk.command("run", "--json"), folder, NO_JAVA))
            computed = [node["name"] for node in done.report["nodes"] if node["state"] == "compute"]
            assert computed == ["accuracy"], computed
            return done.seconds

        seconds = medians(in_turn({"imports": partial(_seconds, FLOOR, folder), "edited": edited}, rounds))
    yield Row("metric edited, beyond imports", {"seconds": seconds["edited"] - seconds["imports"], "wanted": 1.5})


def warm(rounds: int) -> Iterator[Row]:
    """Edit in one warm session, next to the work that the edits cannot avoid."""
    from helix_spark.helix import Helix
    from jobs.census import census

    with new_folder() as folder, Helix(folder / "catalog") as helix:
        desk, spark = Desk(folder), helix.sessions.get()
        plain, numbers = PlainCensus(spark), count(2)
        for _ in range(3):
            plain.answer()
        helix.run(census())
        helix.wait()
        plain.fit_and_evaluate(0.5)

        def edited(workflow: Callable[[], Any], expected: list[str] | None) -> float:
            seconds = clock(lambda: iterations.append(helix.run(workflow())))
            helix.wait()
            computed = list(iterations[-1].plan.in_state(State.COMPUTE))
            assert computed == expected if expected else not _fits(computed), computed
            return seconds

        def metric() -> float:
            desk.edit_metric(next(numbers))
            return edited(lambda: load_workflow(desk.census), ["accuracy"])

        def first() -> float:
            with Helix(folder / f"scratch{next(numbers)}", spark=spark) as other:
                return clock(lambda: other.run(census()))

        iterations = list[Any]()
        seconds = medians(in_turn({
            "alone": lambda: clock(lambda: plain.fit_and_evaluate(0.01 * next(numbers))),
            "learner": lambda: edited(lambda: census(reg=0.01 * next(numbers)), None),
            "metric": metric, "plain": lambda: clock(plain.answer), "first": first,
        }, rounds))
        refitted = _fits(list(helix.run(census(bins=12)).plan.in_state(State.COMPUTE)))
    for name, ours, other, wanted in (
        ("learner edited", "learner", "alone", 1.15), ("metric edited", "metric", "first", 0.2),
        ("first iteration", "first", "plain", 1.10),
    ):
        yield Row(f"warm: {name}", _ratio(seconds[ours], seconds[other], wanted=wanted))
    yield Row("warm: fitted again after an extractor was edited", {"nodes": refitted})


class PlainCensus:
    """The plain job in a session where Helix runs as well: it releases only what it caches itself."""

    def __init__(self, spark: Any) -> None:
        from benchmarks.plain import plain_census

        self._spark, self._job = spark, plain_census
        self._examples = plain_census.examples(plain_census.census_rows(spark)).cache()
        self._examples.count()

    def answer(self) -> Any:
        """Compute everything, as in `benchmarks/plain`."""
        frames = list[Any]()

        def keep(name: str, make: Callable[[], Any], *, once: bool = False) -> Any:
            if once:
                return make()
            frames.append(make().cache())
            return frames[-1]

        try:
            return self._job.answer(self._spark, keep)
        finally:
            for frame in frames:
                frame.unpersist()

    def fit_and_evaluate(self, reg: float) -> Any:
        """Do what an edit of the learner cannot avoid: the fit over existing examples, predictions, metrics."""
        before, self._job.REG = self._job.REG, reg
        try:
            return self._job.answer(
                self._spark, lambda name, make, *, once=False: self._examples if name == "examples" else make()
            )
        finally:
            self._job.REG = before


def _fits(computed: list[str]) -> list[str]:
    return [name for name in computed if name.endswith(".fit")]


def _ratio(seconds: float, other: float, **more: Any) -> dict[str, Any]:
    return {"seconds": seconds, "against": other, "ratio": seconds / other, **more}


def watch(rounds: int) -> Iterator[Row]:
    """Save an edit of the metric under `helix watch`, next to the same edit's own time to answer."""
    with new_folder() as folder:
        desk, beyond = Desk(folder), list[float]()
        with watching(desk.command("watch"), folder) as read_until:
            read_until("from save to answer")
            time.sleep(20)  # until everything is stored
            for number in range(rounds):
                start = time.perf_counter()
                desk.edit_metric(number + 2)
                printed = read_until("from save to answer")
                [answer] = [line.split()[0] for line in printed.splitlines() if "s to answer" in line][-1:]
                beyond.append(time.perf_counter() - start - float(answer))
                time.sleep(1)
    yield Row("watch: metric edited, from save to answer, beyond its time in a session",
              {"seconds": median(beyond), "wanted": 0.3})


def first(rounds: int) -> Iterator[Row]:
    """Run the first iteration in fresh processes, until the answer."""
    from jobs.datasets import adult

    def ours(variables: Mapping[str, str]) -> float:
        with new_folder() as folder:
            return Desk(folder).until_answer(variables)

    def leaving() -> float:
        with own_servers() as servers:
            return ours(servers)

    adult()
    plain = [sys.executable, "-m", "benchmarks.plain.documented"]
    seconds = medians(in_turn({
        "plain": partial(_seconds, plain, ROOT, answer="answered"), "helix": lambda: ours({"HELIX_CDS": "off"}),
        "with the archive": lambda: ours({}), "leaving a server": leaving,
    }, rounds))
    for name, other, wanted in (("helix", "plain", 1.05), ("with the archive", "plain", 0.75),
                                ("leaving a server", "with the archive", "")):
        yield Row(f"first: {name}", _ratio(seconds[name], seconds[other], wanted=wanted))


def kept(rounds: int) -> Iterator[Row]:
    """Edit in fresh processes, next to a server that stays and alone: of the census the learner, then a feature; of
    `jobs/plain_income.py` a value of its grid, also under `helix watch`."""
    with new_folder() as folder, own_servers() as servers:
        desks = {name: Desk(folder / name) for name in ("kept", "by itself", "watched")}
        variables = {"kept": servers, "by itself": ALONE}
        numbers = {(name, edit): count(1) for name in desks for edit in ("learner", "feature", "grid value")}

        def edited(name: str, edit: str) -> float:
            number, desk = next(numbers[name, edit]), desks[name]
            if edit == "grid value":
                desk.edit_grid(number)
                return _seconds([*HELIX, "run", "jobs/plain_income.py", "-q"], desk.folder, variables[name], ANSWER)
            setting = f"reg={0.2 + 0.01 * number}" if edit == "learner" else f"bins={12 + number}"
            return desk.until_answer(variables[name], "--set", setting)

        command = [*HELIX, "watch", "jobs/plain_income.py"]
        with watching(command, desks["watched"].folder, servers) as read_until:
            read_until(ANSWER)

            def watched() -> float:
                time.sleep(10)  # until everything of the last run is stored
                start = time.perf_counter()
                desks["watched"].edit_grid(next(numbers["watched", "grid value"]))
                read_until(ANSWER)
                return time.perf_counter() - start

            # The first round fills the catalogs.
            seconds = medians(in_turn({
                **{f"{edit}, {name}": partial(edited, name, edit)
                   for edit in ("learner", "feature", "grid value") for name in variables},
                "grid value, watched": watched,
            }, rounds, uncounted=1))
    for edit in ("learner", "feature", "grid value"):
        yield Row(f"kept: {edit} edited", _ratio(seconds[f"{edit}, kept"], seconds[f"{edit}, by itself"]))
    yield Row("kept: grid value edited, watched", {"seconds": seconds["grid value, watched"]})


def planning(rounds: int) -> Iterator[Row]:
    """Plan the census workflow with 1,000 iterations in the catalog, after a first plan."""
    from helix_spark.helix import Helix
    from jobs.census import census
    from tests.fakes.filled_catalog import filled_catalog

    with new_folder() as folder:
        filled_catalog(folder / "catalog", census(), 1000)
        with Helix(folder / "catalog") as helix:
            seconds = in_turn({"plan": lambda: clock(lambda: helix.plan(census()))}, rounds, uncounted=1)
    yield Row("planning 28 nodes after 1,000 iterations", {"seconds": medians(seconds)["plan"], "wanted": 0.1})


MEASURES: Mapping[str, Callable[[int], Iterator[Row]]] = {
    "unchanged": unchanged, "reducer": reducer, "warm": warm, "watch": watch, "first": first, "planning": planning,
    "kept": kept,
}


def main() -> None:
    """Measure and print."""
    options = command_line(__doc__).parse_args()
    names = chosen(MEASURES, options.only)
    finish(options, "answers", collect(row for name in names for row in MEASURES[name](options.rounds)))


if __name__ == "__main__":
    main()
