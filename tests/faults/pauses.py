"""Drivers that are stopped for days (SIGSTOP) at each point, while others work on, and then go on by what they knew."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from pathlib import Path
from unittest import mock

from helix_spark.catalog import leases
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.failpoints import POINTS
from helix_spark.identity.parts import digest
from tests.faults.job import run, workflow
from tests.faults.kills import unsound
from tests.faults.processes import start_python
from tests.faults.row import Tally, fault

_DAYS = 4
_LONGEST = 60.0
"""Seconds after which a driver counts as hanging."""

_DRIVER = """
import sys
import tests.faults.job as job
from tests.fakes import armed_failpoints
from helix_spark.catalog.catalog import Catalog
(root,) = sys.argv[1:]
act = armed_failpoints.act
def told(name, action):
    print("stops at", name, flush=True)
    act(name, action)
armed_failpoints.act = told
for key in map(int, sys.stdin):
    right = job.run(root, job.workflow(key, name="stopped"), job.Heard(loud=True)) == job.answers(key)
    catalog = Catalog.open(root, create=False)
    stored = [record for record in catalog.live() if record.workflow == "stopped"]
    if len(stored) > 4:
        catalog.evict_all({stored[0].signature: "to make room"})
    catalog.gc(dry_run=False)
    print("turn", key, right, flush=True)
"""


def pass_days(root: Path, days: float = _DAYS) -> None:
    """All that lies there was written so much earlier."""
    for path in root.rglob("*"):
        try:
            then = path.lstat().st_mtime - days * 24 * 3600
            os.utime(path, (then, then), follow_symlinks=False)
        except FileNotFoundError:
            continue


class _Driver:
    """A driver as a process of its own, that stops at each of some points when it first comes there."""

    def __init__(self, catalog: Path, points: list[str], said: Path) -> None:
        self._said = said
        pauses = ",".join(f"{name}@1:pause" for name in points)
        self._process = start_python(
            "-c", _DRIVER, catalog, failpoint=pauses, stdin=subprocess.PIPE, stdout=said.open("w"),
        )

    def lines(self) -> list[str]:
        """What it has printed."""
        return self._said.read_text().splitlines()

    def begin(self, key: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{key}\n")
        self._process.stdin.flush()

    def stopped(self, key: int) -> bool:
        """Whether it stopped before its turn was over. Raises RuntimeError if it ended, or hangs."""
        until = time.monotonic() + _LONGEST
        while time.monotonic() < until:
            turned = any(line.startswith(f"turn {key} ") for line in self.lines())
            pid, status = os.waitpid(self._process.pid, os.WNOHANG | os.WUNTRACED)
            if pid and os.WIFSTOPPED(status):
                return True
            if pid:
                break
            if turned:
                return False
            time.sleep(0.01)
        raise RuntimeError(f"it ended, or hangs: {self.lines()[-8:]}")

    def goes_on(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def end(self) -> None:
        if self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _orphan(catalog: Path, key: int) -> None:
    """What a writer on another machine left, of whom nothing is known."""
    opened = Catalog.open(catalog, create=False)
    attempt = opened.begin_attempt(digest("orphan", str(key)), "model")
    opened.leases.release(attempt.attempt)
    assert isinstance(attempt.path, Path)
    attempt.path.mkdir(parents=True)
    (attempt.path / "part").write_bytes(b"x")


_STOPS = "stops at "
_TURNS = 15
"""Of a driver; some points are reached only once there is enough that is old."""


@fault(
    f"a driver is stopped for {_DAYS} days at each failpoint, upkeep's among them, while another works and tidies",
    "nothing on record is lost, both drivers' answers right", short=1, full=3,
)
def stopped_for_days(folder: Path, count: int, tally: Tally) -> None:
    chosen = ("fold", "gc", "end", "delete", "log") if count == 1 else ("",)
    points = {name for name in POINTS if name.startswith(chosen)}
    reached = set[str]()
    with mock.patch.object(leases, "PATIENCE", 0.2):  # a silent lease is soon taken over
        for number in tally.rounds(count):
            reached |= _stopped_at(points, folder / str(number), tally)
    tally.note = f"{len(reached)} of {len(points)} points; not reached: {', '.join(sorted(points - reached)) or 'none'}"


def _stopped_at(points: set[str], folder: Path, tally: Tally) -> set[str]:
    """One driver, stopped at each of these points; returns those that it came to."""
    folder.mkdir()
    catalog, keys, reached = folder / "catalog", itertools.count(1), set[str]()
    for key in itertools.islice(keys, 4):
        run(catalog, workflow(key))
    driver = _Driver(catalog, sorted(points), folder / "said")
    try:
        for key in itertools.islice(keys, _TURNS):
            if reached >= points:
                break
            _orphan(catalog, key)
            pass_days(catalog)
            driver.begin(key)
            stops = []
            while driver.stopped(key):
                stops.append([line for line in driver.lines() if line.startswith(_STOPS)][-1].removeprefix(_STOPS))
                pass_days(catalog)
                run(catalog, workflow(next(keys)))
                pass_days(catalog)  # what the other has recorded is as old as what may go
                driver.goes_on()
            reached.update(stops)
            what = _wrong(catalog, key, driver.lines())
            for name in stops:
                tally.expect(not what, f"{name}, turn {key}: {what}")
    finally:
        driver.end()
    return reached


def _wrong(catalog: Path, key: int, said: list[str]) -> str:
    """What is wrong after a turn of the driver; empty if nothing is."""
    turns = [line for line in said if line.startswith("turn ")]
    if not all(line.endswith(" True") for line in turns):
        return f"answered wrongly: {turns[-1]}"
    numbers = sorted(each.number for each in Catalog.open(catalog, create=False).iterations("stopped"))
    if numbers != list(range(1, len(turns) + 1)):
        return f"{len(turns)} iterations are on record as {numbers}"
    ours = sorted(each.number for each in Catalog.open(catalog, create=False).iterations("job"))
    if ours != list(range(1, len(ours) + 1)):
        return f"iterations of the other are on record as {ours}"
    return unsound(catalog, key, ())
