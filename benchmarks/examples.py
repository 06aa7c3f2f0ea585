"""The examples of Spark ML in pyspark's wheel as plain programs: by themselves, under `helix run`, and again.

    python -m benchmarks.examples [--only WORDS] [--plain FOLDER] [--save FILE]

An example counts as right if it prints under Helix what it prints by itself, both times, and as reused if the second
time nothing is asked of Spark. One that prints something else the next time that it runs by itself (many split their
rows without a seed) is right if under Helix it prints the same twice. Plain outputs are kept in FOLDER, where one is
given, and not made again.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyspark

from benchmarks.program_runs import HELIX, Run, run

WHEEL = Path(pyspark.__file__).parent
_DRAWN = re.compile(r"(?<=[A-Za-z]_)[0-9a-f]{12}\b|0x[0-9a-f]+|\d+\.\d+ s(?:econds)?\b")
"""What differs from run to run by itself: uids of stages, addresses."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one example."""

    name: str
    verdict: str
    plain: float
    first: float
    again: float
    asked: int
    reused: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="examples whose names hold one of these words; =NAME begins so")
    parser.add_argument("--plain", type=Path, help="keeps what the examples print by themselves")
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    words = asked.only.split()
    files = sorted((WHEEL / "examples/src/main/python/ml").glob("*.py"))
    chosen = [file for file in files if not words or any(word in f"={file.stem}" for word in words)]
    found = []
    with tempfile.TemporaryDirectory(prefix="helix-examples-") as folder:
        shutil.copytree(WHEEL / "data", Path(folder, "data"))
        for file in chosen:
            found.append(_tried(file, Path(folder), asked.plain))
            one = found[-1]
            print(f"{one.name:46} {one.verdict:40} {one.plain:6.1f} {one.first:6.1f} {one.again:6.1f}", flush=True)
    right = sum(one.verdict.startswith("right") for one in found)
    reused = sum(one.verdict.startswith("right and reused") for one in found)
    print(f"{right} of {len(found)} print the same, {reused} of them without Spark the second time")
    if asked.save:
        asked.save.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")


def _tried(file: Path, folder: Path, kept: Path | None) -> Found:
    plain = _plain(file, folder, kept, "")
    catalog = folder / f"catalog-{file.stem}"
    first, again = (_run([HELIX, "run", str(file), "--catalog", str(catalog)], folder) for _ in range(2))
    verdict = _verdict(plain, first, again)
    if verdict.startswith((_OTHER, "ends with")) and _differs(plain, _plain(file, folder, kept, "-again")):
        verdict = f"{_right(again)}, differs by itself"
    return Found(file.stem, verdict, plain.seconds, first.seconds, again.seconds, again.asked, again.reused)


_OTHER = "prints something else than by itself"


def _differs(one: Run, other: Run) -> bool:
    return (one.code, one.printed) != (other.code, other.printed)


def _right(again: Run) -> str:
    return "right and reused" if again.asked == again.reused >= 0 else "right"


def _verdict(plain: Run, first: Run, again: Run) -> str:
    if "runs without reuse" in first.said:
        return "run without reuse"
    if first.code != plain.code or again.code != plain.code:
        return f"ends with {first.code} and {again.code}, not {plain.code}"
    if first.printed != again.printed:
        return "prints something else the second time"
    if first.printed != plain.printed:
        return _OTHER
    return _right(again)


def _plain(file: Path, folder: Path, kept: Path | None, turn: str) -> Run:
    if kept is None:
        return _run([sys.executable, str(file)], folder)
    kept.mkdir(parents=True, exist_ok=True)
    place = kept / f"{file.stem}{turn}.json"
    if not place.exists():
        place.write_text(json.dumps(asdict(_run([sys.executable, str(file)], folder))))
    return Run(**json.loads(place.read_text()))


def _run(command: list[str], folder: Path) -> Run:
    found = run(command, folder)
    return replace(found, printed=_DRAWN.sub("#", found.printed))


if __name__ == "__main__":
    main()
