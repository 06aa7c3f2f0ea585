"""Plants mutants and counts which of them the unit tests find."""

from __future__ import annotations

import argparse
import ast
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.mutants.sites import Mutant, mutants_of

_ROOT = Path(__file__).resolve().parents[2]
_ROOMS = {
    "identity": ("test_code_signature", "test_signing", "test_values_and_classes", "test_annotations"),
    "planner": ("test_joint", "test_planning", "test_policies"),
    "catalog": ("test_record_log", "test_catalog", "test_results", "test_shared_catalogs", "test_verification"),
    "answers": ("test_plain_programs", "test_kept_tables", "test_shared_subplans", "test_ended_servers"),
}
"""Rooms, and the unit tests of each as a whole, which are run for every mutant that its nearest tests let live."""
_SECONDS = 60.0
"""What one file of tests may take: a mutant that has it wait for longer counts as killed."""

_COPIED = ("helix_spark", "tests", "benchmarks", "jobs", "docs", "docker", ".github")


@dataclass(frozen=True)
class Verdict:
    """What came of a mutant: `outcome` is killed, survived or untested."""

    room: str
    mutant: Mutant
    outcome: str
    tests: Sequence[Path]


def drawn(room: str, count: int, seed: int) -> list[Mutant]:
    """Return a sample of a room's mutants."""
    files = sorted((_ROOT / "helix_spark" / room).rglob("*.py"))
    every = [mutant for file in files for mutant in mutants_of(file.relative_to(_ROOT))]
    return random.Random(f"{seed} {room}").sample(every, min(count, len(every)))


@cache
def _importers() -> Mapping[str, Collection[Path]]:
    """By the name of a module, the files that import it: of the package, of the fakes, and unit tests."""
    found: dict[str, set[Path]] = defaultdict(set)
    for pattern in ("helix_spark/**/*.py", "tests/fakes/*.py", "tests/unit/test_*.py", "tests/unit/conftest.py"):
        for file in _ROOT.glob(pattern):
            for node in ast.walk(ast.parse(file.read_bytes())):
                if isinstance(node, ast.ImportFrom) and node.module:
                    names = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
                elif isinstance(node, ast.Import):
                    names = [one.name for one in node.names]
                else:
                    continue
                for name in names:
                    found[name].add(file.relative_to(_ROOT))
    return found


def tests_of(file: Path, most: int) -> list[Path]:
    """Return unit tests that import a module, then those that import what imports it; shorter files first."""
    tests: list[Path] = []
    level, seen = {file}, {file}
    while level and len(tests) < most:
        names = {".".join(one.with_suffix("").parts).removesuffix(".__init__") for one in level}
        level = {importer for name in names for importer in _importers().get(name, ())} - seen
        seen |= level
        found = [one for one in level if one.name.startswith("test_")]
        tests += sorted(found, key=lambda one: ((_ROOT / one).stat().st_size, one))
        level -= {*found}
    return tests[:most]


@contextmanager
def copies(count: int) -> Iterator[queue.Queue[Path]]:
    """Yield copies of the project, each of which has one mutant at a time."""
    with tempfile.TemporaryDirectory(prefix="helix-mutants-") as folder:
        free: queue.Queue[Path] = queue.Queue()
        for number in range(count):
            copy = Path(folder, str(number))
            for name in _COPIED:
                shutil.copytree(_ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            for file in _ROOT.iterdir():
                if file.is_file():
                    shutil.copy(file, copy)
            free.put(copy)
        yield free


def tried(mutant: Mutant, tests: Sequence[Path], copy: Path) -> str:
    """Run the tests with the mutant in place, and take it out again."""
    target = copy / mutant.file
    before = target.read_bytes()
    for test in tests:
        target.write_bytes(mutant.planted())
        passes = _passes(test, copy)
        target.write_bytes(before)
        if not passes and _passes_without_mutants(test, copy):
            return "killed"
    return "survived"


_PASSING: dict[Path, bool] = {}


def _passes_without_mutants(test: Path, copy: Path) -> bool:
    if test not in _PASSING:
        _PASSING[test] = _passes(test, copy)
        if not _PASSING[test]:
            print(f"{test} fails without a mutant: it kills none", flush=True)
    return _PASSING[test]


def _passes(test: Path, copy: Path) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(test)]
    environ = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        command, cwd=copy, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return process.wait(_SECONDS) in (0, 5)  # 5: all its tests are long ones
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False


def _judge(room: str, mutant: Mutant, most: int, free: queue.Queue[Path]) -> Verdict:
    ours = (Path("tests/unit", f"{name}.py") for name in _ROOMS.get(room, ()))
    tests = list(dict.fromkeys([*tests_of(mutant.file, most), *ours]))
    copy = free.get()
    try:
        verdict = Verdict(room, mutant, tried(mutant, tests, copy) if tests else "untested", tests)
    finally:
        free.put(copy)
    print(f"{room}: {verdict.outcome}: {mutant}", flush=True)
    return verdict


def table(verdicts: Sequence[Verdict], command: str) -> str:
    """Return the counts of each room, and which mutants no test found."""
    lines = [f"`{command}`", "", "| room | mutants | killed | survived | untested |", "|---|---|---|---|---|"]
    for room in dict.fromkeys(one.room for one in verdicts):
        outcomes = [one.outcome for one in verdicts if one.room == room]
        counts = (outcomes.count(outcome) for outcome in ("killed", "survived", "untested"))
        lines.append(f"| {room} | {len(outcomes)} | " + " | ".join(map(str, counts)) + " |")
    lines += ["", "Not killed:", ""]
    lines += [f"- {one.outcome}: {one.mutant}" for one in verdicts if one.outcome != "killed"]
    return "\n".join(lines) + "\n"


def _main() -> None:
    parser = argparse.ArgumentParser(description="plants mutants and counts which of them the unit tests find")
    parser.add_argument("--rooms", nargs="+", default=[*_ROOMS], help="rooms that mutants are planted into")
    parser.add_argument("--count", type=int, default=15, help="mutants of each room")
    parser.add_argument("--seed", type=int, default=1, help="what the sample is drawn with")
    parser.add_argument("--jobs", type=int, default=2, help="mutants that are tried at a time")
    parser.add_argument("--files", type=int, default=4, help="nearest test files that are run, at most")
    parser.add_argument("--save", type=Path, help="write mutants.md into this folder")
    options = parser.parse_args()
    samples = {room: drawn(room, options.count, options.seed) for room in options.rooms}
    work = [(room, mutant) for room, mutants in samples.items() for mutant in mutants]
    with copies(options.jobs) as free, ThreadPoolExecutor(options.jobs) as pool:
        verdicts = list(pool.map(lambda one: _judge(one[0], one[1], options.files, free), work))
    command = f"python -m tests.mutants --count {options.count} --seed {options.seed} --files {options.files}"
    print(found := table(verdicts, command))
    if options.save:
        (options.save / "mutants.md").write_text(found)


if __name__ == "__main__":
    _main()
