"""Run systems side by side, in turn; save and tabulate what was measured.

A benchmark gives `Row`s: one for each thing that was measured, with a cell for each figure. `command_line` has the
options that all benchmarks share, and `finish` prints the rows as a Markdown table or as JSON, and saves them:

    options = command_line(__doc__).parse_args()
    rows = [Row("learner edited", {"helix": 2.4, "plain": 11.7})]
    finish(options, "answers", rows)
"""

from __future__ import annotations

import argparse
import io
import json
import math
import multiprocessing
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from helix_spark.engine.server.kept_servers import FOLDER_VARIABLE

if TYPE_CHECKING:
    from helix_spark.workflow.workflow import Workflow

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
HELIX = [sys.executable, "-m", "helix_spark"]
COMMAND = str(Path(sys.executable).with_name("helix"))
"""The installed command, which a server may fork; `HELIX` always starts a Python."""

TOLERANCE = 1e-6
"""Relative and absolute tolerance of numbers. Sums over rows in other partitions, and optimisers fed with them, differ
in their last digits (by 2e-12 at most so far); small edits, such as ten times a small regularisation, change metrics by
some 1e-4."""

FIXED: Mapping[str, str] = MappingProxyType({"PYTHONHASHSEED": "0", "PYSPARK_PYTHON": sys.executable})
"""Variables by which a program prints the same by itself each time."""

_LONGEST_SECONDS = 3600
_SUMMARY = re.compile(r"(\d+) of (\d+) answers from")
_FITS = re.compile(r"; (\d+) fit")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Row:
    """Measurements of one thing: an edit, a job, a policy.

    Attributes:
        cells: figures and words by the name of their column. Seconds are numbers.
        details: entries for the JSON alone.
    """

    name: str
    cells: Mapping[str, Any]
    details: Mapping[str, Any] = field(default_factory=dict)


def in_turn(systems: Mapping[str, Callable[[], _T]], rounds: int, *, uncounted: int = 0) -> dict[str, list[_T]]:
    """Call each system once a round, so that all of them share the machine's changing load.

    The order is reversed from round to round.

    Args:
        uncounted: rounds before those that count, in which caches and compilers warm up.

    >>> in_turn({"a": lambda: 1, "b": lambda: 2}, rounds=2)
    {'a': [1, 1], 'b': [2, 2]}
    """
    results: dict[str, list[_T]] = {name: [] for name in systems}
    for number in range(-uncounted, rounds):
        for name in list(systems)[:: -1 if number % 2 else 1]:
            result = systems[name]()
            if number >= 0:
                results[name].append(result)
    return results


def medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median of each system's seconds.

    >>> medians({"a": [1.0, 5.0, 2.0]})
    {'a': 2.0}
    """
    return {name: median(values) for name, values in seconds.items()}


def clock(work: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@contextmanager
def new_folder() -> Iterator[Path]:
    """Give an empty folder, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="helix-benchmark-") as folder:
        yield Path(folder).resolve()


def environment(**more: str) -> dict[str, str]:
    """Return the variables of a process that finds this checkout and writes bytecode files."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONPATH": path, **more}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command.

    Attributes:
        code: the exit code.
        printed, errors: texts on stdout and stderr.
        seconds: of the whole process.
        answered: seconds until it printed the answer; negative if it did not.
        requests, reused, fits: of a plain program under Helix: requests to Spark, those answered from the catalog, and
            fitted models; -1 for other commands.
    """

    code: int
    printed: str
    errors: str
    seconds: float
    answered: float
    requests: int = -1
    reused: int = -1
    fits: int = -1

    @property
    def report(self) -> dict[str, Any]:
        """The JSON that the command printed."""
        report: dict[str, Any] = json.loads(self.printed[self.printed.index("{"):])
        return report


def run(
    command: Sequence[str], folder: Path, more: Mapping[str, str] = _NOTHING, *, answer: str = "",
    started: Callable[[int], None] = lambda pid: None,
) -> Run:
    """Run a command in a folder, in its own process, which is killed after an hour.

    Args:
        more: variables beyond those of `environment`.
        answer: a text in the line that answers; without it, the last line does.
        started: gets the id of the process.
    """
    start, answered, lines = time.perf_counter(), -1.0, list[str]()
    with tempfile.TemporaryFile("w+") as errors, subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True,
        env=environment(PYTHONUNBUFFERED="1", **more),
    ) as process:
        late = threading.Timer(_LONGEST_SECONDS, process.kill)
        late.start()
        started(process.pid)
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if not answer or (answer in line and answered < 0):
                answered = time.perf_counter() - start
        code = process.wait()
        seconds = time.perf_counter() - start
        late.cancel()
        errors.seek(0)
        messages = errors.read()
    if not answer and not lines:
        answered = seconds
    result = Run(code, "".join(lines), messages, seconds, answered)
    counts, fits = _SUMMARY.search(messages), _FITS.search(messages)
    if counts is None:
        return result
    return replace(result, requests=int(counts[2]), reused=int(counts[1]), fits=int(fits[1]) if fits else 0)


def sound(result: Run) -> Run:
    """Return a run that succeeded and answered. Raises RuntimeError for another one, with the end of its output."""
    if result.code or result.answered < 0:
        outcome = f"ended with {result.code}" if result.code else "gave no answer"
        raise RuntimeError(f"the command {outcome}: {result.printed[-1000:]}{result.errors[-3000:]}")
    return result


@contextmanager
def watching(
    command: Sequence[str], folder: Path, more: Mapping[str, str] = _NOTHING,
    started: Callable[[int], None] = lambda pid: None,
) -> Iterator[Callable[[str], str]]:
    """Start a command that does not end by itself, and give a function that reads up to a line with a text.

    The function returns what it read, and raises RuntimeError if the command ends first.
    """
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               env=environment(**more))
    started(process.pid)

    def read_until(text: str) -> str:
        assert process.stdout is not None
        lines = list[str]()
        for line in process.stdout:
            lines.append(line)
            if text in line:
                return "".join(lines)
        raise RuntimeError(f"{' '.join(command)} ended: {''.join(lines[-20:])}")

    try:
        yield read_until
    finally:
        process.terminate()
        process.wait()


Serve = Callable[..., Generator[Any, Any, None]]


class Worker:
    """A process that answers requests, one after the other.

    Args:
        serve: a generator function of a module, with its arguments. Its first yield says that it is ready; each
            further one answers the request that the yield before returned.

    Attributes:
        pid: the id of the process.
    """

    def __init__(self, serve: Serve, *arguments: Any) -> None:
        self._serve, self._arguments = serve, arguments
        self.start()

    def start(self) -> None:
        """Start the process, at first or again after `close`."""
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        self.pid: int = self._pool.submit(_start_serving, self._serve, self._arguments).result()

    def run(self, request: Any) -> Any:
        """Return the answer to a request. Raises RuntimeError if it failed, with the traceback."""
        return self._pool.submit(_serve, request).result()

    def close(self) -> None:
        """Close the generator and end the process."""
        with suppress(BrokenExecutor):
            self._pool.submit(_stop_serving)
        self._pool.shutdown()


_serving = list[Generator[Any, Any, None]]()
"""The generator of a worker's process."""


def _start_serving(serve: Serve, arguments: tuple[Any, ...]) -> int:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _serving.append(serve(*arguments))
    _serve(None)
    return os.getpid()


def _serve(request: Any) -> Any:
    try:
        return _serving[0].send(request)
    except Exception:  # noqa: BLE001 - not every exception can be pickled
        raise RuntimeError(traceback.format_exc()) from None


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _stop_serving() -> None:
    _serving[0].close()


def serve_program(folder: Path, file: str) -> Generator[tuple[float, str], None, None]:
    """Run a program each time that it is requested, in one session; answer its seconds and what it printed.

    The working folder becomes that of the program. For a `Worker`.
    """
    from pyspark.sql import SparkSession

    SparkSession.stop = lambda self: None  # type: ignore[method-assign]  # the next run takes the same session
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.argv = [file]
    seconds, printed = 0.0, io.StringIO()
    while True:
        yield seconds, printed.getvalue()
        forget_jobs()
        printed, start = io.StringIO(), time.perf_counter()
        with redirect_stdout(printed):
            runpy.run_path(file, run_name="__main__")
            SparkSession.builder.getOrCreate().catalog.clearCache()
        seconds = time.perf_counter() - start


def forget_jobs() -> None:
    """Unload a job's modules, so that the next import reads their texts. The benchmarks stay loaded."""
    from helix_spark.cli.watching import forget_project

    forget_project({name for name in sys.modules if name.partition(".")[0] == "benchmarks"})


def load_workflow(path: Path, settings: Mapping[str, Any] = _NOTHING) -> Workflow:
    """Return the workflow that a file declares by now, loaded as `helix watch` loads it."""
    from helix_spark.cli.author_file import build, find_factory, load_file

    forget_jobs()
    return build(find_factory(load_file(path), path, None), path, [f"{name}={settings[name]}" for name in settings])


def with_root(text: str) -> str:
    """Return a job's text so that a copy of it elsewhere finds this checkout."""
    return text.replace("Path(__file__).resolve().parent.parent", f"Path({str(ROOT)!r})")


@contextmanager
def own_servers() -> Iterator[dict[str, str]]:
    """Give variables of runs that leave servers, apart from the user's other servers; end these afterwards."""
    folder = tempfile.mkdtemp(prefix="helix-met-", dir="/tmp")  # a socket needs a short path
    variables = {"HELIX_SERVER": "on", FOLDER_VARIABLE: folder}
    try:
        yield variables
    finally:
        subprocess.run([*HELIX, "server", "stop", "--all"], check=True, capture_output=True,
                       env=environment(**variables))
        shutil.rmtree(folder)


def same(one: Any, other: Any, tolerance: float = TOLERANCE) -> bool:
    """Return whether two answers are equal, numbers within a tolerance; tables are described by their rows.

    >>> same([1.0, "a"], [1.0000001, "a"]), same({"a": 1}, {"b": 1}), same(None, 0.0)
    (True, False, False)
    """
    if isinstance(one, bool | str) or isinstance(other, bool | str):
        return bool(one == other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        # Weights near zero are zero: against the others, of the order of one, they do not count.
        return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[key], tolerance) for key, value in one.items())
    if isinstance(one, Sequence) and isinstance(other, Sequence):
        return len(one) == len(other) and all(map(same, one, other, [tolerance] * len(one)))
    return bool(one == other)


def table(rows: Sequence[Row], first: str = "") -> str:
    """Return rows as a Markdown table with a column for each cell.

    >>> print(table([Row("reg", {"plain": 3.0, "helix": 1.25, "nodes": ("a", "b")})]))
    |  | plain | helix | nodes |
    |---|---|---|---|
    | reg | 3.00 | 1.25 | a, b |
    """
    columns = list(dict.fromkeys(name for row in rows for name in row.cells))
    lines = [[first, *columns], *([row.name, *(_cell(row.cells.get(name, "")) for name in columns)] for row in rows)]
    title, *texts = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([title, "|" + "---|" * (len(columns) + 1), *texts])


def _cell(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.2f}"
        case int():
            return f"{value:,}"
        case str():
            return value.replace("|", "\\|").replace("\n", " ")
        case Mapping():
            return "; ".join(f"{name}: {_cell(figure)}" for name, figure in value.items())
        case _:
            return ", ".join(map(_cell, value))


def measured_where() -> dict[str, Any]:
    """Return the day, the commit (with + where files differ from it) and the number of cores."""
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    return {
        "day": date.today().isoformat(), "cores": os.cpu_count(),
        "commit": git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else ""),
    }


def command_line(doc: str | None, rounds: int = 5) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks share; `doc` is the module's docstring."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="WORDS",
                        help="names that contain one of these words, divided by commas; =WORD: that begin with it")
    parser.add_argument("--rounds", type=int, default=rounds, help="of systems in turn (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="save the table there, as Markdown")
    return parser


def chosen(names: Iterable[str], only: str) -> list[str]:
    """Return the names that `--only` chooses.

    >>> chosen(["reg", "a reg added"], "=reg"), chosen(["reg", "bins"], "bin,x"), chosen(["reg"], "")
    (['reg'], ['bins'], ['reg'])
    """
    words = only.split(",")
    return [name for name in names if any(word in f"={name}" for word in words)]


def say(text: str) -> None:
    """Print progress to stderr."""
    print(text, file=sys.stderr, flush=True)


def collect(rows: Iterable[Row]) -> list[Row]:
    """Return all rows, and print each as soon as it is measured."""
    collected = list[Row]()
    for row in rows:
        say(f"{row.name}: {dict(row.cells)}")
        collected.append(row)
    return collected


def finish(options: argparse.Namespace, name: str, rows: Sequence[Row], *remarks: str) -> None:
    """Print the rows as a table with remarks below it, or as JSON; with `--save`, write the table.

    Args:
        options: parsed by `command_line`.
        name: of the benchmark, and of its file.
        remarks: Markdown, below the table.
    """
    text, where = "\n".join([table(rows), *(f"\n{remark}" for remark in remarks)]), measured_where()
    if options.json:
        entries = [{"name": row.name, **row.cells, **row.details} for row in rows]
        print(json.dumps({"measured": where, "rows": entries, "remarks": remarks}, indent=1, default=sorted))
    else:
        print(text)
    if options.save is not None:
        module = sys.modules["__main__"].__spec__
        command = ["python", "-m", module.name.removesuffix(".__main__") if module else "", *sys.argv[1:]]
        options.save.mkdir(parents=True, exist_ok=True)
        head = f"`{' '.join(command)}`, {where['day']}, {where['cores']} cores, {where['commit']}"
        (options.save / f"{name}.md").write_text(f"{head}\n\n{text}\n")
