"""How long a person waits for answers of the census job: fresh processes, a warm session, the watch, the first run.

    python -m benchmarks.answers [--only unchanged,reducer,warm,watch,first,planning,kept] [--rounds 5]

Each figure is of runs side by side on one machine, in turn; medians of seconds.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    HELIX,
    ROOT,
    Row,
    chosen,
    clock,
    command_line,
    environment,
    finish,
    in_turn,
    medians,
    new_folder,
    own_servers,
    run,
    say,
    sound,
    until_printed,
)
from helix_spark.planner.problem import State

FLOOR = [sys.executable, "-c", "import deltalake, pyspark.sql.functions"]
"""Imports deltalake and what the job itself imports."""

NO_JAVA = {"JAVA_HOME": "/nonexistent"}
"""With this a run that starts a JVM fails: what succeeds has started none."""

ALONE = {"HELIX_SERVER": "off"}

UNTIL_READY = 10.0
"""Seconds after the first run in which what it has left is loaded."""

METRIC = "return float((predictions"

ANSWER = "|  1.0|       1.0|"
"""The last line that `jobs/plain_income.py` prints has it."""

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
"""A workflow that imports nothing of Spark's."""


class Desk:
    """A folder with copies of the jobs, edited as a person edits them."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(ROOT / "jobs", folder / "jobs", ignore=shutil.ignore_patterns("__pycache__"))
        self.folder, self.census = folder, folder / "jobs" / "census.py"
        self._text = self.census.read_text().replace("Path(__file__).resolve().parent.parent", f"Path({str(ROOT)!r})")
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
        return until_printed(self.command("run", "-q", *options), "s to answer", self.folder, environment)


def unchanged(rounds: int) -> Iterator[Row]:
    """Run the unchanged workflow, and one of values, alone and beside what an earlier run has left; whole commands."""
    with new_folder() as folder, own_servers() as servers:
        desk = Desk(folder)
        (folder / "values.py").write_text(VALUES)
        commands = {"census": desk.command(), "values": [*HELIX, "run", "values.py"]}
        for command in commands.values():
            sound(run(command, folder, servers))
        time.sleep(UNTIL_READY)
        ways = {"beside a server": servers, "by itself": {**NO_JAVA, **ALONE}}
        seconds = medians(in_turn({
            "imports": lambda: sound(run(FLOOR, folder)).seconds,
            **{f"{name}, {way}": _whole(command, folder, variables)
               for name, command in commands.items() for way, variables in ways.items()},
        }, rounds, uncounted=1))
    for name, one in seconds.items():
        yield Row(f"unchanged: {name}", {"seconds": one})
    beyond = seconds["census, by itself"] - seconds["imports"]
    yield Row("unchanged: census, by itself, beyond imports", {"seconds": beyond, "wanted": 1.0})


def _whole(command: list[str], folder: Path, variables: Mapping[str, str]) -> Callable[[], float]:
    return lambda: sound(run(command, folder, variables)).seconds


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

        seconds = medians(in_turn({"imports": lambda: sound(run(FLOOR, folder)).seconds, "edited": edited}, rounds))
    yield Row("metric edited, beyond imports", {"seconds": seconds["edited"] - seconds["imports"], "wanted": 1.5})


def warm(rounds: int) -> Iterator[Row]:
    """Edit in one warm session, beside the work that the edits cannot avoid."""
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
            return edited(lambda: _workflow_of(desk.census), ["accuracy"])

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
    for name, one, other, wanted in (
        ("learner edited", "learner", "alone", 1.15), ("metric edited", "metric", "first", 0.2),
        ("first iteration", "first", "plain", 1.10),
    ):
        yield Row(f"warm: {name}", {"seconds": seconds[one], "against": seconds[other],
                                    "ratio": seconds[one] / seconds[other], "wanted": wanted})
    yield Row("warm: fitted again after an extractor was edited", {"nodes": refitted})


class PlainCensus:
    """The plain job in a session where Helix runs as well: it releases what it caches, and nothing else."""

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
        """Do what an edit of the learner cannot avoid: the fit over examples that are there, predictions, metrics."""
        before, self._job.REG = self._job.REG, reg
        try:
            return self._job.answer(
                self._spark, lambda name, make, *, once=False: self._examples if name == "examples" else make()
            )
        finally:
            self._job.REG = before


def _fits(computed: list[str]) -> list[str]:
    return [name for name in computed if name.endswith(".fit")]


def _workflow_of(job: Path) -> Any:
    """Return the workflow that a text declares, loaded as `helix watch` loads it."""
    from helix_spark.cli.author_file import find_factory, load_file

    sys.modules.pop(job.stem, None)
    return find_factory(load_file(job), job, None)()


@contextmanager
def _watching(command: list[str], folder: Path, variables: Mapping[str, str]) -> Iterator[Callable[[str], str]]:
    """Watch a file, and give a function that reads until a line with a text."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               env=environment(**variables))

    def until(text: str) -> str:
        assert process.stdout is not None
        lines = list[str]()
        for line in process.stdout:
            lines.append(line)
            if text in line:
                return "".join(lines)
        raise RuntimeError("the watch ended")

    try:
        yield until
    finally:
        process.terminate()
        process.wait()


def watch(rounds: int) -> Iterator[Row]:
    """Save an edit of the metric under `helix watch`, beside the same edit's own time to answer."""
    with new_folder() as folder:
        desk, beyond = Desk(folder), list[float]()
        with _watching(desk.command("watch"), folder, {}) as until:
            until("from save to answer")
            time.sleep(20)  # until everything is stored
            for number in range(rounds):
                begun = time.perf_counter()
                desk.edit_metric(number + 2)
                printed = until("from save to answer")
                [answer] = [line.split()[0] for line in printed.splitlines() if "s to answer" in line][-1:]
                beyond.append(time.perf_counter() - begun - float(answer))
                time.sleep(1)
    yield Row("watch: metric edited, from save to answer, beyond its time in a session",
              {"seconds": medians({"beyond": beyond})["beyond"], "wanted": 0.3})


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
        "plain": lambda: until_printed(plain, "answered", ROOT), "helix": lambda: ours({"HELIX_CDS": "off"}),
        "with the archive": lambda: ours({}), "leaving a server": leaving,
    }, rounds))
    for name, other, wanted in (("helix", "plain", 1.05), ("with the archive", "plain", 0.75),
                                ("leaving a server", "with the archive", "")):
        yield Row(f"first: {name}", {"seconds": seconds[name], "against": seconds[other],
                                     "ratio": seconds[name] / seconds[other], "wanted": wanted})


def kept(rounds: int) -> Iterator[Row]:
    """Edit in fresh processes, beside a server that stays and alone: of the census the learner, then a feature; of
    `jobs/plain_income.py` a value of its grid, also under `helix watch`."""
    with new_folder() as folder, own_servers() as servers:
        desks = {name: Desk(folder / name) for name in ("kept", "by itself", "watched")}
        variables = {"kept": servers, "by itself": ALONE}
        numbers = {(name, edit): count(1) for name in desks for edit in ("learner", "feature", "grid value")}

        def edited(name: str, edit: str) -> float:
            number, desk = next(numbers[name, edit]), desks[name]
            if edit == "grid value":
                desk.edit_grid(number)
                command = [*HELIX, "run", "jobs/plain_income.py", "-q"]
                return until_printed(command, ANSWER, desk.folder, variables[name])
            what = f"reg={0.2 + 0.01 * number}" if edit == "learner" else f"bins={12 + number}"
            return desk.until_answer(variables[name], "--set", what)

        command = [*HELIX, "watch", "jobs/plain_income.py"]
        with _watching(command, desks["watched"].folder, servers) as until:
            until(ANSWER)

            def watched() -> float:
                time.sleep(10)  # until everything of the last run is stored
                begun = time.perf_counter()
                desks["watched"].edit_grid(next(numbers["watched", "grid value"]))
                until(ANSWER)
                return time.perf_counter() - begun

            # The first round fills the catalogs.
            seconds = medians(in_turn({
                **{f"{edit}, {name}": _call(edited, name, edit)
                   for edit in ("learner", "feature", "grid value") for name in variables},
                "grid value, watched": watched,
            }, rounds, uncounted=1))
    for edit in ("learner", "feature", "grid value"):
        one, other = seconds[f"{edit}, kept"], seconds[f"{edit}, by itself"]
        yield Row(f"kept: {edit} edited", {"seconds": one, "against": other, "ratio": one / other})
    yield Row("kept: grid value edited, watched", {"seconds": seconds["grid value, watched"]})


def _call(function: Callable[[str, str], float], *arguments: str) -> Callable[[], float]:
    return lambda: function(*arguments)


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
    given = command_line(__doc__).parse_args()
    rows = list[Row]()
    for name in chosen(list(MEASURES), given.only):
        for row in MEASURES[name](given.rounds):
            say(f"{row.name}: {row.cells}")
            rows.append(row)
    finish(given, "answers", rows)


if __name__ == "__main__":
    main()
