"""How long a person waits for answers of the census job: fresh processes, a warm session, the watch, the first run.

    python benchmarks/answers.py [--only unchanged reducer warm watch first planning kept] [--runs 5] [--json]

Each figure is a ratio or a difference of runs side by side on one machine, in turn; medians.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.program_runs import MetApart  # noqa: E402 - of this checkout

JOB = ROOT / "jobs" / "census.py"
HELIX = [sys.executable, "-m", "helix_spark"]
FLOOR = [sys.executable, "-c", "import deltalake, pyspark.sql.functions"]


class Desk:
    """A folder with a copy of the job and a catalog, as a person would have."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="helix-answers-"))
        self.job = self.folder / "census.py"
        text = JOB.read_text().replace("Path(__file__).resolve().parent.parent", f"Path({str(ROOT)!r})")
        self.job.write_text(text)
        self.catalog = self.folder / "catalog"

    def edit(self, old: str, new: str) -> None:
        """Replaces text in the job."""
        text = self.job.read_text()
        assert old in text, old
        self.job.write_text(text.replace(old, new))

    def run(self, *options: str, **environment: str) -> dict[str, Any]:
        """`helix run --json` in a fresh process: its answer, and the seconds it took in all as `wall`."""
        command = [*HELIX, "run", str(self.job), "--catalog", str(self.catalog), "--json", *options]
        start = time.perf_counter()
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, check=False, env={**os.environ, **environment}
        )
        wall = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(done.stderr)
        return {**json.loads(done.stdout), "wall": wall}

    def close(self) -> None:
        """Takes the folder away."""
        shutil.rmtree(self.folder)


NO_JAVA = {"JAVA_HOME": "/nonexistent"}
"""With this a run that starts a JVM fails: what succeeds has started none."""


def floor_seconds(runs: int) -> float:
    """What a fresh process takes to import deltalake and what the job itself imports."""
    def once() -> float:
        start = time.perf_counter()
        subprocess.run(FLOOR, check=True)
        return time.perf_counter() - start

    return median(once() for _ in range(runs))


def unchanged(runs: int) -> dict[str, float]:
    """The unchanged workflow, and one of values, which imports nothing of Spark's: in turn in a process by itself, and
    beside what an earlier run has left; whole commands."""
    found = dict[str, list[float]]()
    desk, server = Desk(), MetApart()
    alone = {**NO_JAVA, "HELIX_SERVER": "off"}
    with tempfile.TemporaryDirectory(prefix="helix-values-") as folder:
        (Path(folder) / "values.py").write_text(VALUES)
        jobs = {"census": (["run", str(desk.job), "--catalog", str(desk.catalog)], desk.folder),
                "values": (["run", "values.py"], Path(folder))}
        for words, place in jobs.values():
            _whole([*HELIX, *words], place, server.environment)
        time.sleep(UNTIL_READY)
        for number in range(-1, runs):  # the first time is not counted
            seconds = {"floor": floor_seconds(1)}
            for name, (words, place) in jobs.items():
                seconds[name] = _whole([*HELIX, *words], place, server.environment)
                seconds[f"{name}, by itself"] = _whole([*HELIX, *words], place, alone)
            for name, one in seconds.items():
                found.setdefault(name, []).extend([one] * (number >= 0))
        server.close()
    desk.close()
    return {name: median(each) for name, each in found.items()}


UNTIL_READY = 10.0
"""Seconds after the first run in which what it has left is loaded."""


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


def _whole(command: list[str], folder: Path, environment: Mapping[str, str]) -> float:
    """Seconds of a whole command."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env={**os.environ, **environment})
    return time.perf_counter() - start


def reducer(runs: int) -> dict[str, float]:
    """A metric edited, over stored predictions, in a fresh process."""
    desk = Desk()
    desk.run()
    floors, walls = [], []
    for number in range(runs):
        text = desk.job.read_text()
        desk.edit("return float((predictions", f"return {number + 2} * float((predictions")
        floors.append(floor_seconds(1))
        answer = desk.run(**NO_JAVA)
        desk.job.write_text(text)
        ran = [node["name"] for node in answer["nodes"] if node["state"] == "compute"]
        assert ran == ["accuracy"], ran
        walls.append(answer["wall"])
    desk.close()
    return _beyond(walls, floors)


def _beyond(walls: list[float], floors: list[float]) -> dict[str, float]:
    wall, floor = median(walls), median(floors)
    return {"wall_seconds": wall, "floor_seconds": floor, "beyond_floor": wall - floor}


def warm(runs: int) -> dict[str, Any]:
    """Edits in one warm session, beside the work that they cannot avoid: all in turn, all by one clock."""
    from helix_spark.helix import Helix
    from jobs.census import census

    desk, took = Desk(), dict[str, list[float]]()

    def clock(name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        found = work()
        took.setdefault(name, []).append(time.perf_counter() - start)
        return found

    with Helix(desk.catalog) as helix:
        spark = helix.sessions.get()
        plain = PlainCensus(spark)
        for _ in range(3):
            plain.answer()
        helix.run(census())
        helix.wait()
        plain.fit_and_evaluate(0.5)
        for number in range(runs):
            reg = 0.01 * (number + 1)
            clock("fit_and_evaluation_alone", partial(plain.fit_and_evaluate, reg))
            iteration = clock("learner", partial(_run, helix, reg))
            helix.wait()
            assert not _fits(iteration), _fits(iteration)
            text = desk.job.read_text()
            desk.edit("return float((predictions", f"return {number + 2} * float((predictions")
            iteration = clock("metric", lambda: helix.run(_workflow_of(desk.job)))
            helix.wait()
            desk.job.write_text(text)
            assert _computed(iteration) == ["accuracy"], _computed(iteration)
            clock("plain", plain.answer)
            with Helix(desk.folder / f"scratch{number}", spark=spark) as other:
                clock("first_iteration", partial(_run, other, 0.1))
        extractor = helix.run(census(bins=12))
        refitted = _fits(extractor)
    desk.close()
    middle = {name: median(seconds) for name, seconds in took.items()}
    return {
        **{f"{name}_seconds": seconds for name, seconds in middle.items()},
        "learner_ratio": middle["learner"] / middle["fit_and_evaluation_alone"],
        "metric_ratio": middle["metric"] / middle["first_iteration"],
        "first_iteration_ratio": middle["first_iteration"] / middle["plain"], "extractor_refitted": refitted,
    }


class PlainCensus:
    """The plain job in a session where Helix runs as well: what it caches it lets go of, and nothing else."""

    def __init__(self, spark: Any) -> None:
        from benchmarks.plain import plain_census

        self._spark, self._job = spark, plain_census
        self._examples = plain_census.examples(plain_census.census_rows(spark)).cache()
        self._examples.count()

    def answer(self) -> Any:
        """Everything, as in `benchmarks/plain`."""
        held = []

        def keep(name: str, make: Callable[[], Any], *, once: bool = False) -> Any:
            if once:
                return make()
            held.append(make().cache())
            return held[-1]

        try:
            return self._job.answer(self._spark, keep)
        finally:
            for frame in held:
                frame.unpersist()

    def fit_and_evaluate(self, reg: float) -> Any:
        """What an edit of the learner cannot avoid: the fit over examples that are there, predictions, metrics."""
        before, self._job.REG = self._job.REG, reg
        try:
            return self._job.answer(
                self._spark, lambda name, make, *, once=False: self._examples if name == "examples" else make()
            )
        finally:
            self._job.REG = before


def _run(helix: Any, reg: float) -> Any:
    from jobs.census import census

    return helix.run(census(reg=reg))


def _computed(iteration: Any) -> list[str]:
    return list(iteration.plan.in_state("compute"))


def _fits(iteration: Any) -> list[str]:
    return [name for name in _computed(iteration) if name.endswith(".fit")]


def _workflow_of(job: Path) -> Any:
    """The workflow that a text declares, loaded as `helix watch` loads it."""
    from helix_spark.cli.author_file import find_factory, load_file

    sys.modules.pop(job.stem, None)
    return find_factory(load_file(job), job, None)()


def watch(runs: int) -> dict[str, float]:
    """From save to answer under `helix watch`, for an edit of the metric, beside the same edit's time to answer."""
    desk = Desk()
    command = [*HELIX, "watch", str(desk.job), "--catalog", str(desk.catalog)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=desk.folder)
    waits, answers = [], []
    try:
        _next_answer(process)
        time.sleep(20)  # until everything is stored
        text = desk.job.read_text()
        for number in range(runs):
            desk.job.write_text(text.replace("return float((predictions", f"return {number + 2} * float((predictions"))
            saved = time.perf_counter()
            answers.append(_next_answer(process))
            waits.append(time.perf_counter() - saved)
            time.sleep(1)
    finally:
        process.terminate()
        process.wait()
    desk.close()
    return {
        "save_to_answer_seconds": median(waits), "answer_seconds": median(answers),
        "beyond_answer": median(w - a for w, a in zip(waits, answers, strict=True)),
    }


def _next_answer(process: subprocess.Popen[str]) -> float:
    """Reads until the next answer; its own seconds to answer."""
    assert process.stdout is not None
    seconds = 0.0
    for line in process.stdout:
        if "s to answer" in line:
            seconds = float(line.split()[0])
        if "from save to answer" in line:
            return seconds
    raise SystemExit("the watch ended")


def first(runs: int) -> dict[str, float]:
    """The first iteration in fresh processes: to the answer, beside plain PySpark; without and with the archive, and
    where it leaves a server behind."""
    from jobs.datasets import adult

    adult()
    plain, without, with_archive, leaving = [], [], [], []
    for _ in range(runs):
        plain.append(_until_printed([sys.executable, "-m", "benchmarks.plain.documented"], "answered", ROOT))
        without.append(_first_answer(HELIX_CDS="off"))
        with_archive.append(_first_answer())
        server = MetApart()
        leaving.append(_first_answer(**server.environment))
        server.close()
    return {
        "plain_seconds": median(plain), "helix_seconds": median(without),
        "helix_with_archive_seconds": median(with_archive), "ratio": median(without) / median(plain),
        "ratio_with_archive": median(with_archive) / median(plain), "leaving_a_server_seconds": median(leaving),
        "ratio_leaving_a_server": median(leaving) / median(with_archive),
    }


def _first_answer(**environment: str) -> float:
    desk = Desk()
    command = [*HELIX, "run", str(desk.job), "--catalog", str(desk.catalog), "-q"]
    seconds = _until_printed(command, "s to answer", desk.folder, **environment)
    desk.close()
    return seconds


def _until_printed(command: list[str], text: str, folder: Path, **environment: str) -> float:
    """Seconds from the start of a process to the line with a text; what it does behind that does not count."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=folder, env={**os.environ, **environment}
    )
    assert process.stdout is not None
    found = any(text in line for line in process.stdout)
    seconds = time.perf_counter() - start
    process.stdout.read()
    if process.wait() or not found:
        raise SystemExit(f"{' '.join(command)} gave no answer")
    return seconds


def kept(runs: int) -> dict[str, Any]:
    """Edits in fresh processes, beside a server that stays and by themselves, in turn, until the answer: of the census
    the learner, then a feature; of `jobs/plain_income.py` a value of its grid, also under `helix watch`."""
    took = dict[str, list[float]]()
    with tempfile.TemporaryDirectory(prefix="helix-kept-") as folder:
        beside, alone = (_OfEdits(Path(folder) / name) for name in ("beside", "alone"))
        server = MetApart()
        watched = _Watched(Path(folder) / "watched", server.environment)
        try:
            for number in range(-1, runs):  # the first time fills the catalogs, and is not counted
                for edit in ("learner", "feature", "grid value"):
                    for name, one, around in (
                        ("kept", beside, server.environment), ("by itself", alone, {"HELIX_SERVER": "off"})
                    ):
                        seconds = one.run(edit, number, around)
                        if number >= 0:
                            took.setdefault(f"{edit}, {name}", []).append(seconds)
                seconds = watched.edited(number)
                took.setdefault("grid value, watched", []).extend([seconds] * (number >= 0))
        finally:
            watched.close()
            server.close()
    found = {name: median(seconds) for name, seconds in took.items()}
    edits = ("learner", "feature", "grid value")
    return {**found, **{f"{edit}, ratio": found[f"{edit}, kept"] / found[f"{edit}, by itself"] for edit in edits}}


class _OfEdits:
    """The jobs in a folder, with a catalog, as a person edits them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "jobs", folder / "jobs", ignore=shutil.ignore_patterns("__pycache__"))

    def run(self, edit: str, number: int, environment: Mapping[str, str]) -> float:
        """Seconds until the answer to an edit that was not made before."""
        if edit == "grid value":
            self.write_grid(number)
            return self._seconds("jobs/plain_income.py", "|  1.0|       1.0|", environment)
        what = f"reg={0.2 + 0.01 * number}" if edit == "learner" else f"bins={12 + number}"
        return self._seconds("jobs/census.py", "s to answer", environment, "--set", what)

    def write_grid(self, number: int) -> None:
        """Write another value of the grid of `jobs/plain_income.py`."""
        text = (ROOT / "jobs" / "plain_income.py").read_text()
        edited = text.replace("[0.001, 0.01, 0.03, 0.1]", f"[0.001, 0.01, 0.03, {0.1 + 0.01 * (number + 2)}]")
        assert edited != text
        (self.folder / "jobs" / "plain_income.py").write_text(edited)

    def _seconds(self, job: str, text: str, environment: Mapping[str, str], *options: str) -> float:
        command = [*HELIX, "run", job, "-q", *options]
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        return _until_printed(command, text, self.folder, **{"PYTHONPATH": path, **environment})


class _Watched(_OfEdits):
    """`jobs/plain_income.py` in a folder, under `helix watch`."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__(folder)
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        command = [*HELIX, "watch", "jobs/plain_income.py"]
        self._process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "PYTHONPATH": path, **environment},
        )
        self._await_answer()

    def _await_answer(self) -> None:
        assert self._process.stdout is not None
        if not any("|  1.0|       1.0|" in line for line in self._process.stdout):
            raise SystemExit("the watch ended")

    def edited(self, number: int) -> float:
        """Seconds from the save of an edit that was not made before to its answer."""
        time.sleep(10)  # until everything of the last run is stored
        begun = time.perf_counter()
        self.write_grid(number)
        self._await_answer()
        return time.perf_counter() - begun

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


def planning(runs: int) -> dict[str, float]:
    """Signing, catalog look-up and planning of the census workflow with 1,000 iterations in the catalog."""
    from helix_spark.helix import Helix
    from jobs.census import census
    from tests.fakes.filled_catalog import filled_catalog

    folder = Path(tempfile.mkdtemp(prefix="helix-planning-"))
    filled_catalog(folder / "catalog", census(), 1000)
    with Helix(folder / "catalog") as helix:
        helix.plan(census())
        seconds = [_seconds(lambda: helix.plan(census())) for _ in range(runs)]
    shutil.rmtree(folder)
    return {"nodes": 28, "iterations": 1000, "seconds": median(seconds)}


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


MEASURES: dict[str, Callable[[int], dict[str, Any]]] = {
    "unchanged": unchanged, "reducer": reducer, "warm": warm, "watch": watch, "first": first, "planning": planning,
    "kept": kept,
}


def main() -> None:
    """Measures and prints."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    arguments.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    found = {}
    for name in given.only:
        found[name] = MEASURES[name](given.runs)
        if not given.json:
            print(name, json.dumps(found[name], indent=2), flush=True)
    if given.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
