"""Process mode: a fresh `spark-submit` for each iteration of each system. Script mode: ours by `helix watch`. Kept
mode: ours by a `helix run` each, beside a server that stays."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.harness import own_servers
from benchmarks.iterating.dvc_peer import Repro
from benchmarks.iterating.hamilton_peer import stored_bytes, write_module
from benchmarks.iterating.measured import Begin, Measured, PeakMemory, bytes_below
from benchmarks.iterating.systems import (
    DVC,
    HAMILTON,
    POLICIES,
    SUBMIT,
    records_bytes,
    settings_of,
    spark_environment,
    write_texts,
)
from benchmarks.scripts.edit import Version

LONGEST_SECONDS = 600.0
FIRST_RECORDS = 300_000
"""Bytes of records that a first run is expected to write."""


class Submitted:
    """A system whose every iteration is a process."""

    def __init__(self, begin: Begin, workload: str, memory: PeakMemory) -> None:
        self.system, self.workload, self.folder, self.memory = begin.system, workload, begin.folder, memory
        self.catalog, self.budget, folder = begin.folder / "catalog", begin.budget, begin.folder
        self._records, self._written = 0, FIRST_RECORDS
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, version: Version) -> Measured:
        """Runs a version.

        Raises:
            RuntimeError: it failed; with the end of its log.
        """
        job, plain = write_texts(self.workload, version, self.folder)
        if self.system in POLICIES:
            command = [*SUBMIT, str(job), *_options(self.system, self.catalog, self.allowed(), version)]
        else:
            script = Path(__file__).with_name("submitted.py")
            plain = write_module(plain) if self.system == HAMILTON else plain
            keys = json.dumps(dict(version.keys))
            command = [*SUBMIT, str(script), self.system, str(plain), str(self.folder), keys]
        begun = time.perf_counter()
        answer_seconds, line = self._first(command, begun)
        busy = time.perf_counter() - begun
        if self.system in POLICIES:
            return Measured(answer_seconds, busy, bytes_below(self.catalog), newest(self.catalog)["outputs"])
        outputs = json.loads(line.removeprefix("answered "))
        stored = stored_bytes(self.folder) if self.system == HAMILTON else bytes_below(self.folder / "checkpoints")
        return Measured(answer_seconds, busy, stored, outputs)

    def allowed(self) -> int | None:
        """The budget of results, and room for records: those that are there, and what the last run wrote of them."""
        if self.budget is None:
            return None
        if (self.catalog / "helix.json").exists():
            records = records_bytes(self.catalog, self.workload)
            self._records, self._written = records, records - self._records
        return self.budget + self._records + max(0, self._written)

    def _first(
        self, command: list[str], begun: float, more: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[float, str]:
        """Runs a command to its end; when it answered, and the line that says so."""
        log = self.folder / "log.txt"
        with log.open("w") as errors, subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=self.folder,
            env={**spark_environment(), **more},
        ) as process:
            self.memory.of(process.pid)
            found: tuple[float, str] | None = None
            assert process.stdout is not None
            for line in process.stdout:
                if found is None and (line.startswith("answered ") or "s to answer" in line):
                    found = time.perf_counter() - begun, line
        if process.returncode or found is None:
            raise RuntimeError(f"{' '.join(command)}\n{log.read_text()[-3000:]}")
        return found

    def close(self) -> None:
        """There is nothing to end."""


class Kept(Submitted):
    """Ours by a `helix run` for each edit: the first one leaves a server behind, which the others find."""

    def __init__(self, begin: Begin, workload: str, memory: PeakMemory) -> None:
        super().__init__(begin, workload, memory)
        self._ends = ExitStack()
        self._servers = self._ends.enter_context(own_servers())

    def run(self, version: Version) -> Measured:
        """Runs a version. Raises RuntimeError as above."""
        job, _ = write_texts(self.workload, version, self.folder)
        command = [sys.executable, "-m", "helix_spark", "run", str(job),
                   *_options(self.system, self.catalog, self.allowed(), version)]
        begun = time.perf_counter()
        answer_seconds, _ = self._first(command, begun, self._servers)
        busy = time.perf_counter() - begun
        return Measured(answer_seconds, busy, bytes_below(self.catalog), newest(self.catalog)["outputs"])

    def close(self) -> None:
        """Ends the server."""
        self._ends.close()


class Watched:
    """Ours under `helix watch`: an edit is saved, and the answer comes."""

    def __init__(self, begin: Begin, workload: str, memory: PeakMemory) -> None:
        self.workload, self.folder, self.catalog, self.memory = workload, begin.folder, begin.folder / "catalog", memory
        self._system, self._budget, self._process, self._runs = begin.system, begin.budget, None, 0
        begin.folder.mkdir(parents=True, exist_ok=True)

    _process: subprocess.Popen[str] | None

    def run(self, version: Version) -> Measured:
        """Saves a version; the first one also starts the watch."""
        begun = time.perf_counter()
        job, _ = write_texts(self.workload, version, self.folder)
        if self._process is None:
            self._process = self._start(job, version)
        self._runs += 1
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if "from save to answer" in line:
                break
        answered = time.perf_counter() - begun
        if self._process.poll() is not None or any(line.startswith("error:") for line in said):
            raise RuntimeError("".join(said[-20:]))
        done = until(lambda: newest(self.catalog), lambda found: found["done"] >= self._runs)
        return Measured(answered, time.perf_counter() - begun, bytes_below(self.catalog), done["outputs"])

    def close(self) -> None:
        """Ends the watch."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _start(self, job: Path, version: Version) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "helix_spark", "watch", str(job),
                   *_options(self._system, self.catalog, self._budget, version)]
        with (self.folder / "log.txt").open("w") as errors:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=self.folder, env=spark_environment()
            )
        self.memory.of(process.pid)
        return process


def _options(system: str, catalog: Path, budget: int | None, version: Version) -> list[str]:
    """As the command line takes them."""
    limit = [] if budget is None else ["--budget", str(budget)]
    sets = [word for setting in settings_of(version) for word in ("--set", setting)]
    return ["--catalog", str(catalog), "--policy", POLICIES[system], *limit, *sets]


def newest(catalog: Path) -> dict[str, Any]:
    """How many iterations are done, and the newest one's outputs."""
    from helix_spark.catalog.catalog import Catalog

    done = [one for one in Catalog.open(catalog, create=False).iterations(None, 1000) if one.status == "done"]
    return {"done": len(done), "outputs": json.loads(done[0].outputs) if done else {}}


def until(look: Callable[[], dict[str, Any]], enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Looks ten times a second.

    Raises:
        RuntimeError: it takes too long.
    """
    begun = time.perf_counter()
    while not enough(found := look()):
        if time.perf_counter() - begun > LONGEST_SECONDS:
            raise RuntimeError("the iteration was not stored")
        time.sleep(0.1)
    return found


def driver(mode: str, begin: Begin, workload: str, memory: PeakMemory) -> Submitted | Watched | Repro:
    """The system as `mode` has it: "process", "script" or "kept"."""
    if begin.system == DVC:
        return Repro(begin, workload, memory)
    ours: dict[str, type[Submitted | Watched]] = {"script": Watched, "kept": Kept}
    kind = ours.get(mode, Submitted) if begin.system in POLICIES else Submitted
    return kind(begin, workload, memory)
