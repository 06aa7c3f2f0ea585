"""Run systems side by side, in turn; save, summarize and draw what was measured.

A benchmark gives `Row`s: one for each thing that was measured, with a cell for each figure. `command_line` has the
options that all benchmarks share, and `finish` prints the rows as a Markdown table or as JSON, and saves them:

    given = command_line(__doc__).parse_args()
    rows = [Row("learner edited", {"helix": 2.4, "plain": 11.7})]
    finish(given, "answers", rows)
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any, TypeVar

from helix_spark.engine.server.kept_servers import FOLDER_VARIABLE

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
HELIX = [sys.executable, "-m", "helix_spark"]
COMMAND = str(Path(sys.executable).with_name("helix"))
"""The command as it is installed, which a server may fork; `HELIX` starts a Python in any case."""

TOLERANCE = 1e-6
"""Of numbers, relative and absolute: sums over rows that are divided otherwise, and optimisers fed with them, differ in
their last digits (by 2e-12 at most so far); small edits, such as ten times a small regularisation, change metrics by
some 1e-4."""

FIXED: Mapping[str, str] = MappingProxyType({"PYTHONHASHSEED": "0", "PYSPARK_PYTHON": sys.executable})
"""Variables by which a program prints the same by itself each time."""

_SUMMARY = re.compile(r"of (\d+) questions to Spark (\d+) w")
_FITS = re.compile(r"; (\d+) fit")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one thing.

    Attributes:
        name: of the thing: an edit, a job, a policy.
        cells: figures and words by the name of their column. Seconds are numbers.
        details: what the table does not show, for the JSON.
    """

    name: str
    cells: Mapping[str, Any]
    details: Mapping[str, Any] = field(default_factory=dict)


def in_turn(systems: Mapping[str, Callable[[], _T]], rounds: int, *, uncounted: int = 0) -> dict[str, list[_T]]:
    """Call each system once a round, so that whatever else the machine does falls on all of them.

    The order is reversed from round to round.

    Args:
        uncounted: rounds before those that count, in which caches and compilers warm up.

    >>> in_turn({"a": lambda: 1, "b": lambda: 2}, rounds=2)
    {'a': [1, 1], 'b': [2, 2]}
    """
    results: dict[str, list[_T]] = {name: [] for name in systems}
    for number in range(-uncounted, rounds):
        for name in sorted(systems, key=list(systems).index, reverse=number % 2 == 1):
            result = systems[name]()
            if number >= 0:
                results[name].append(result)
    return results


def medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median of each system's seconds.

    >>> medians({"a": [1.0, 5.0, 2.0]})
    {'a': 2.0}
    """
    return {name: median(each) for name, each in seconds.items()}


def clock(work: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


@contextmanager
def new_folder() -> Iterator[Path]:
    """Give an empty folder that goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="helix-benchmark-") as folder:
        yield Path(folder).resolve()


def environment(**more: str) -> dict[str, str]:
    """Return the variables of a process that finds this checkout, and writes bytecode files as for a person."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONPATH": path, **more}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command.

    Attributes:
        code: the exit code.
        printed, said: to stdout and to stderr.
        seconds: of the whole process.
        answered: seconds until it printed its last line.
        asked, reused, fits: of a plain program under Helix, the questions to Spark, those that were answered from the
            record, and the models that were fitted; -1 of others.
    """

    code: int
    printed: str
    said: str
    seconds: float
    answered: float = -1.0
    asked: int = -1
    reused: int = -1
    fits: int = -1

    @property
    def report(self) -> dict[str, Any]:
        """What the command printed as JSON."""
        report: dict[str, Any] = json.loads(self.printed[self.printed.index("{"):])
        return report


def run(command: Sequence[str], folder: Path, more: Mapping[str, str] = _NOTHING) -> Run:
    """Run a command in a folder, in a process of its own, which is killed after ten minutes.

    Args:
        more: variables beyond those of `environment`.
    """
    begun = answered = time.perf_counter()
    lines: list[str] = []
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True,
            env=environment(PYTHONUNBUFFERED="1", **more),
        )
        late = threading.Timer(600, process.kill)
        late.start()
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            answered = time.perf_counter()
        code = process.wait()
        took = time.perf_counter() - begun
        late.cancel()
        errors.seek(0)
        said = errors.read()
    result = Run(code, "".join(lines), said, took, answered - begun)
    counts, fits = _SUMMARY.search(said), _FITS.search(said)
    if counts is None:
        return result
    return replace(result, asked=int(counts[1]), reused=int(counts[2]), fits=int(fits[1]) if fits else 0)


def sound(result: Run) -> Run:
    """Return a run that ended well. Raises RuntimeError for another one, with the end of its stderr."""
    if result.code:
        raise RuntimeError(f"it ended with {result.code}: {result.said[-3000:]}")
    return result


def until_printed(command: Sequence[str], text: str, folder: Path, more: Mapping[str, str] = _NOTHING) -> float:
    """Return the seconds from the start of a process to the line with a text. Waits for its end, which does not count.

    Raises:
        RuntimeError: the process failed, or did not print the text.
    """
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment(**more)) as process:
        assert process.stdout is not None
        is_answered = any(text in line for line in process.stdout)
        seconds = time.perf_counter() - begun
        process.stdout.read()
    if process.returncode or not is_answered:
        raise RuntimeError(f"{' '.join(command)} gave no answer")
    return seconds


class Worker:
    """A process of its own that answers requests, one after the other.

    Args:
        serve: a function of a module, which is given a function that waits for the next request (None: there are no
            more) and the arguments, and yields an answer for each.

    Attributes:
        pid: of the process.
    """

    def __init__(self, serve: Callable[..., Iterator[Any]], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, serve, arguments))
        self._process.start()
        theirs.close()  # so that the end of the process is noticed here
        self.pid = self._process.pid or 0

    @property
    def is_alive(self) -> bool:
        """True until a request failed, or the process was closed."""
        return self._process.is_alive()

    def run(self, request: Any) -> Any:
        """Return the answer to a request. Raises RuntimeError where it failed, with the traceback."""
        self._connection.send(request)
        return self.receive()

    def receive(self) -> Any:
        """Return the next answer. Raises RuntimeError where there is none, with the traceback."""
        try:
            answer, error = self._connection.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(f"the process ended with exit code {self._process.exitcode}") from None
        if error:
            self._process.join()
            raise RuntimeError(error)
        return answer

    def close(self) -> None:
        """End the process."""
        if self.is_alive:
            self._connection.send(None)
        self._process.join()


def _work(connection: Connection, serve: Callable[..., Iterator[Any]], arguments: tuple[Any, ...]) -> None:
    try:
        for answer in serve(connection.recv, *arguments):
            connection.send((answer, ""))
    except Exception:  # noqa: BLE001 - whatever it is, the process that sent the request gets it
        connection.send((None, traceback.format_exc()))


@contextmanager
def own_servers() -> Iterator[dict[str, str]]:
    """Give variables of runs whose servers stay, apart from others of the user; end these servers afterwards."""
    folder = tempfile.mkdtemp(prefix="helix-met-", dir="/tmp")  # a short path, as a socket's is
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
    if isinstance(one, bool | str) or one is None or isinstance(other, bool | str) or other is None:
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
    texts = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([texts[0], "|" + "---|" * (len(columns) + 1), *texts[1:]])


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
            return "; ".join(f"{name}: {_cell(one)}" for name, one in value.items())
        case _:
            return ", ".join(map(_cell, value))


def measured_where() -> dict[str, Any]:
    """Return the day, the commit (with + where files differ from it) and the number of cores."""
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return {
        "day": date.today().isoformat(), "cores": os.cpu_count(),
        "commit": git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else ""),
    }


def command_line(doc: str | None, rounds: int = 5) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks share; `doc` is the module's docstring."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="WORDS",
                        help="what has one of these in its name, divided by commas; =WORD: at its beginning")
    parser.add_argument("--rounds", type=int, default=rounds, help="of systems in turn (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="save the table there, as Markdown")
    return parser


def chosen(names: Sequence[str], only: str) -> list[str]:
    """Return the names that `--only` chooses.

    >>> chosen(["reg", "a reg added"], "=reg"), chosen(["reg", "bins"], "bin,x"), chosen(["reg"], "")
    (['reg'], ['bins'], ['reg'])
    """
    words = only.split(",")
    return [name for name in names if any(word in f"={name}" for word in words)]


def say(text: str) -> None:
    """Print how far a benchmark is, to stderr."""
    print(text, file=sys.stderr, flush=True)


def finish(given: argparse.Namespace, name: str, rows: Sequence[Row], *remarks: str) -> None:
    """Print the rows as a table with remarks below it, or as JSON; with `--save`, write the table.

    Args:
        given: the options, as `command_line` parses them.
        name: of the benchmark, and of its file.
        remarks: Markdown, below the table.
    """
    text = "\n".join([table(rows), *(f"\n{remark}" for remark in remarks)])
    if given.json:
        entries = [{"name": row.name, **row.cells, **row.details} for row in rows]
        print(json.dumps({"measured": measured_where(), "rows": entries, "remarks": remarks}, indent=1, default=sorted))
    else:
        print(text)
    if given.save is not None:
        given.save.mkdir(parents=True, exist_ok=True)
        where = measured_where()
        head = f"`{' '.join(_command())}`, {where['day']}, {where['cores']} cores, {where['commit']}"
        (given.save / f"{name}.md").write_text(f"{head}\n\n{text}\n")


def _command() -> list[str]:
    module = sys.modules["__main__"].__spec__
    name = "" if module is None else module.name.removesuffix(".__main__")
    return ["python", "-m", name, *sys.argv[1:]]


def draw(path: Path, pictures: Sequence[Callable[[Any], None]]) -> None:
    """Draw pictures into one file, in rows of three: each is a function that draws on the axes of matplotlib's."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.fonttype"] = "none"  # text as text: a tenth of the bytes
    from matplotlib import pyplot

    columns = min(3, len(pictures))
    rows = max(1, -(-len(pictures) // columns))
    figure, all_axes = pyplot.subplots(rows, columns, figsize=(5 * columns, 4.5 * rows), squeeze=False)
    for axes, picture in zip(all_axes.flat, pictures, strict=False):
        picture(axes)
    for axes in list(all_axes.flat)[len(pictures) :]:
        axes.set_axis_off()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
