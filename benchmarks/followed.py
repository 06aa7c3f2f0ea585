"""The way of one command through the package: its files, its deepest stack, its calls from a room to one above it.

    python -m benchmarks.followed run jobs/census.py --set reg=0.02
    PYTHONPATH=OTHER_CHECKOUT python benchmarks/followed.py --checkout OTHER_CHECKOUT run jobs/census.py

Runs the `helix` command in this process, with each call of a function of the package noted, in all threads. A room
imports those below it (`ROOMS` of `tests/unit/test_house.py`, which is read from the checkout), so a call from a room
to one above it is a callback. Counted until the command ends:

- files: whose functions are called, and rooms that these are in;
- frames: of the package at most between the command and a request to Spark's server or JVM; how often such a stack goes
  from one room to another;
- climbs: callbacks by the two functions that they connect, each counted once.
"""

from __future__ import annotations

import ast
import json
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve().parent.parent


@dataclass(slots=True)
class Followed:
    """What was noted of the package in a checkout."""

    checkout: Path
    order: Mapping[str, int]
    files: set[str] = field(default_factory=set)
    climbs: set[tuple[str, str]] = field(default_factory=set)
    frames: int = 0
    changes: int = 0

    def note(self, frame: FrameType, event: str, _: Any) -> None:
        """Note a call. This is what `sys.setprofile` takes."""
        if event != "call":
            return
        code = frame.f_code
        if code.co_filename.endswith(SENDS) and code.co_name in ("__call__", "send_command"):
            stack = [one for one in _stack(frame) if self._file(one) is not None]
            if len(stack) > self.frames:
                rooms = [self._room(one) for one in stack]
                self.frames = len(stack)
                self.changes = sum(one != other for one, other in pairwise(rooms))
        elif (file := self._file(frame)) is not None and code.co_name != "<module>":
            self.files.add(file)
            caller = frame.f_back
            if caller is not None and self._file(caller) is not None:
                above, below = self.order.get(self._room(frame), -1), self.order.get(self._room(caller), -1)
                if above > below >= 0:
                    self.climbs.add((self._name(caller), self._name(frame)))

    def _file(self, frame: FrameType) -> str | None:
        path = frame.f_code.co_filename
        start = f"{self.checkout}/helix_spark/"
        return path.removeprefix(start) if path.startswith(start) else None

    def _room(self, frame: FrameType) -> str:
        return (self._file(frame) or "").split("/")[0].removesuffix(".py")

    def _name(self, frame: FrameType) -> str:
        code = frame.f_code
        return f"{self._file(frame)}:{getattr(code, 'co_qualname', code.co_name)}"  # Python 3.10 has no longer name


SENDS = ("grpc/_channel.py", "py4j/java_gateway.py")
"""Where a request leaves for a server, or for a JVM."""


def _stack(frame: FrameType | None) -> list[FrameType]:
    found = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found


def rooms(checkout: Path) -> list[str]:
    """Return the rooms of a checkout, each behind those that it may import."""
    house = ast.parse((checkout / "tests/unit/test_house.py").read_text())
    for one in house.body:
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name) and one.targets[0].id == "ROOMS":
            return list(ast.literal_eval(one.value))
    raise SystemExit(f"no ROOMS in {checkout}/tests/unit/test_house.py")


def main() -> None:
    given = sys.argv[1:]
    checkout = Path(given.pop(0) if given[:1] == ["--checkout"] and given.pop(0) else HERE).resolve()
    found = Followed(checkout, {room: place for place, room in enumerate(rooms(checkout))})
    from helix_spark.cli.main import main as command

    sys.argv = ["helix", *given]
    threading.setprofile(found.note)
    sys.setprofile(found.note)
    try:
        command()
    except SystemExit:
        pass
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    print(json.dumps({
        "files": len(found.files), "rooms": len({one.split("/")[0] for one in found.files if "/" in one}),
        "frames": found.frames, "changes of room": found.changes, "climbs": len(found.climbs),
        "callbacks": sorted(f"{one} -> {other}" for one, other in found.climbs),
    }, indent=1))


if __name__ == "__main__":
    main()
