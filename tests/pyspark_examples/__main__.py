"""The examples in pyspark's own docstrings: by plain PySpark, under Helix on an empty catalog, and under Helix again.

    python -m tests.pyspark_examples [MODULE ...] [--only WORD] [--plain FOLDER] [--save FILE] [--keep FOLDER]

Each module of `pyspark.sql` and `pyspark.ml` that tests itself runs as a program in a process of its own, large ones in
parts. An example counts if it passes by plain PySpark; then it has to pass under Helix, both times. The table says of
each module how many do, how many examples asked Spark again, and whether a JVM was started for it. Plain outcomes are
read from FOLDER where one is given and has them. Exit code 1: an example that counts fails under Helix.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyspark

from benchmarks.harness import COMMAND, FIXED, environment

PROGRAM = str(Path(__file__).with_name("doctest_program.py"))
WHEEL = Path(pyspark.__file__).parent
PART = 600
"""At most so many examples run in one process."""
LONGEST = 2400
"""Seconds after which a process is ended."""
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Thousands of small plans are compiled and run once each: optimising them takes longer than they do."""


@dataclass(frozen=True, slots=True)
class Module:
    """What became of a module's examples.

    Attributes:
        examples, skipped, left_out: how many there are, of which pyspark skips some, and some are left out, by reason.
        plain: how many of the others pass by plain PySpark.
        first, again: how many of these pass under Helix.
        lost: those that do not, as ``docstring:line``, with what they print.
        asked_again: those that asked Spark again, with the reason.
        jvm_again: the first example that had a JVM started again; empty if none had.
        prints: how many of `plain` print the same to the letter, both times, but for uids of stages.
    """

    name: str
    examples: int
    skipped: int
    left_out: Mapping[str, int]
    plain: int
    first: int
    again: int
    prints: int
    lost: Mapping[str, str]
    asked_again: Mapping[str, str]
    jvm_again: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", help="such as pyspark.sql.functions; else all")
    parser.add_argument("--only", default="", help="docstrings whose names have this word in them")
    parser.add_argument("--plain", type=Path, help="keeps the outcomes by plain PySpark")
    parser.add_argument("--save", type=Path, help="writes a summary; one that is there keeps its other modules")
    parser.add_argument("--keep", type=Path, help="keeps catalogs, outcomes and logs")
    options = parser.parse_args()
    found = []
    print(f"{'':34}{''.join(f'{one:>9}' for one in _HEADS)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="helix-doctests-") as folder:
        for name, examples in _chosen(options.modules):
            parts = 1 if options.only else max(1, -(-examples // PART))  # some test the docstrings of another file
            rows = [
                outcomes(name, f"{part + 1}/{parts}", options.only, options.keep or Path(folder), options.plain)
                for part in range(parts)
            ]
            found.append(summary(name, rows))
            print(_line(found[-1]), flush=True)
            for lost, got in found[-1].lost.items():
                print(f"    {lost}: {' '.join(got.split())[:300]}", flush=True)
    if options.save:
        _save(found, options.save)
    sys.exit(any(one.lost for one in found))


_HEADS = ("examples", "left out", "plain", "first", "again", "same", "asked")


def _line(one: Module) -> str:
    counts = one.examples, sum(one.left_out.values()), one.plain, one.first, one.again, one.prints, len(one.asked_again)
    jvm = f"  JVM again: {one.jvm_again}" if one.jvm_again else ""
    return f"{one.name.removeprefix('pyspark.'):34}{''.join(f'{number:9}' for number in counts)}{jvm}"


def _save(found: Sequence[Module], file: Path) -> None:
    before = {one["name"]: one for one in json.loads(file.read_text())} if file.exists() else {}
    rows = before | {one.name: asdict(one) for one in found}
    file.write_text(json.dumps([rows[name] for name in sorted(rows)], indent=1) + "\n")


def _chosen(names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """The modules that test themselves, those of the Connect client left out, and how many examples each has."""
    for file in sorted((*WHEEL.glob("sql/**/*.py"), *WHEEL.glob("ml/**/*.py"))):
        path = file.relative_to(WHEEL.parent).with_suffix("")
        name = ".".join(path.parts).removesuffix(".__init__")
        text = file.read_text()
        if "doctest.testmod" in text and "connect" not in path.parts and (not names or name in names):
            yield name, text.count(">>> ")


def outcomes(name: str, part: str, only: str, folder: Path, plain: Path | None) -> list[list[dict[str, Any]]]:
    """The outcomes of a part of a module's examples: by plain PySpark, under Helix, and again."""
    there = folder.absolute() / f"{name}-{part.replace('/', '-of-')}-{only}"
    shutil.rmtree(there, ignore_errors=True)
    there.mkdir(parents=True)
    arguments = [name, "--part", part, "--only", only]
    command = [COMMAND, "run", "--catalog", str(there / "catalog"), "--quiet", PROGRAM, "--"]
    known = None if plain is None else plain.absolute() / f"{there.name}.json"
    if known is None or not known.exists():
        by_itself = _run([sys.executable, PROGRAM], arguments, there, "plain")
        if known is not None:
            known.parent.mkdir(parents=True, exist_ok=True)
            known.write_text(json.dumps(by_itself))
    else:
        by_itself = json.loads(known.read_text())
    return [by_itself, _run(command, arguments, there, "first"), _run(command, arguments, there, "again")]


def _run(command: list[str], arguments: list[str], folder: Path, turn: str) -> list[dict[str, Any]]:
    """Runs a module's examples as a program, in a folder that has what pyspark's wheel has, and nothing else."""
    home, file = folder / "home", folder / f"{turn}.json"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    for one in ("bin", "data", "examples", "jars", "python", "sbin"):
        (home / one).symlink_to(WHEEL / one)
    variables = {**environment(**FIXED), "SPARK_HOME": str(home), "JAVA_TOOL_OPTIONS": JAVA}
    with (folder / f"{turn}.log").open("w") as log:
        process = subprocess.Popen(
            [*command, arguments[0], str(file), *arguments[1:]], cwd=home, env=variables, stdout=log,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
        )
        try:
            process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            log.write(f"no end within {LONGEST} s\n")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return json.loads(file.read_text()) if file.exists() else []


def summary(name: str, parts: Sequence[list[list[dict[str, Any]]]]) -> Module:
    rows = [one for plain, _, _ in parts for one in plain]
    kinds = Counter(one["outcome"] for one in rows)
    totals: Counter[str] = Counter()
    lost: dict[str, str] = {}
    asked: dict[str, str] = {}
    jvm = ""
    for plain, *helix in parts:
        first, again = ({_key(one): one for one in run} for run in helix)
        for key in (_key(one) for one in plain if one["outcome"] == "passed"):
            for turn, run in (("first", first), ("again", again)):
                passes = key in run and run[key]["outcome"] == "passed"
                totals[turn] += passes
                if not passes:
                    lost.setdefault(key, _got(run.get(key), turn))
        prints = {_key(one): _printed(one) for one in plain if one["outcome"] == "passed"}
        totals["same"] += sum(
            all(key in run and _printed(run[key]) == text for run in (first, again)) for key, text in prints.items()
        )
        asked |= {key: "; ".join(one["sent"]) for key, one in again.items() if one.get("sent")}
        jvm = jvm or next((key for key, one in again.items() if one.get("jvm")), "")
    reasons = Counter(one["got"] for one in rows if one["outcome"] == "left out")
    return Module(
        name, len(rows), kinds["skipped"], dict(reasons), kinds["passed"], totals["first"], totals["again"],
        totals["same"], lost, asked, jvm,
    )


def _key(one: Mapping[str, Any]) -> str:
    return f"{one['test']}:{one['line']}"


def _printed(one: Mapping[str, Any]) -> str:
    return re.sub(r"(?<=[A-Za-z]_)[0-9a-f]{12}\b", "#", one["got"])


def _got(one: Mapping[str, Any] | None, turn: str) -> str:
    return f"{turn}: it did not come to that" if one is None else f"{turn}: {one['source']} gave {one['got']}"


if __name__ == "__main__":
    main()
