"""Modes other than session: a fresh process for each iteration, or `helix watch` for ours in script mode."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.harness import HELIX, own_servers, run, sound, watching
from benchmarks.iterating.dvc_peer import Repro
from benchmarks.iterating.hamilton_peer import stored_bytes, write_module
from benchmarks.iterating.measured import Begin, Measured, PeakMemory, RunVersion, bytes_below
from benchmarks.iterating.systems import DVC, HAMILTON, POLICIES, RULES, SPARK, SUBMIT, other_bytes, write_texts
from benchmarks.scripts import Version

LONGEST_SECONDS = 600.0
FIRST_RECORDS = 300_000
"""Bytes of records that a first run is expected to write."""


class Submitted:
    """A system that runs each version in its own process: by `spark-submit`, or by `helix run` beside a kept server."""

    def __init__(
        self, begin: Begin, workload: str, memory: PeakMemory, servers: dict[str, str] | None = None
    ) -> None:
        self.system, self.workload, self.folder, self.memory = begin.system, workload, begin.folder, memory
        self.catalog, self.budget, self.servers = begin.folder / "catalog", begin.budget, servers
        self._records, self._written = 0, FIRST_RECORDS

    def run(self, version: Version) -> Measured:
        """Run a version. Raises RuntimeError if it fails, with the end of its output."""
        job, plain = write_texts(self.workload, version, self.folder)
        has_catalog = self.system in POLICIES
        if has_catalog and self.system not in RULES:
            start = SUBMIT if self.servers is None else [*HELIX, "run"]
            command, answer = [*start, str(job), *self.options(version, self.allowed())], "s to answer"
        else:
            file = job if has_catalog else write_module(plain) if self.system == HAMILTON else plain
            request = {"keys": version.keys, "settings": version.settings, "budget": self.allowed()}
            script = str(Path(__file__).with_name("submitted.py"))
            command = [*SUBMIT, script, self.system, str(file), str(self.folder), json.dumps(request)]
            answer = "answered "
        done = sound(run(command, self.folder, {**SPARK, **(self.servers or {})}, answer=answer,
                         started=self.memory.watch))
        if has_catalog:
            return Measured(done.answered, done.seconds, bytes_below(self.catalog), stored_outputs(self.catalog, 1))
        outputs = json.loads(done.printed.partition(answer)[2].partition("\n")[0])
        stored = stored_bytes(self.folder) if self.system == HAMILTON else bytes_below(self.folder / "checkpoints")
        return Measured(done.answered, done.seconds, stored, outputs)

    def options(self, version: Version, budget: int | None) -> list[str]:
        """Return the options of the command line."""
        return [
            "--catalog", str(self.catalog), "--policy", POLICIES[self.system],
            *([] if budget is None else ["--budget", str(budget)]), *version.options,
        ]

    def allowed(self) -> int | None:
        """Return the budget of results, and room for records: existing ones, and as many as the last run wrote."""
        if self.budget is None:
            return None
        if (self.catalog / "helix.json").exists():
            records = other_bytes(self.catalog, self.workload)
            self._records, self._written = records, records - self._records
        return self.budget + self._records + max(0, self._written)


@contextmanager
def watched(begin: Begin, workload: str, memory: PeakMemory) -> Iterator[RunVersion]:
    """Give a function that saves a version under `helix watch`; the first one also starts the watch."""
    system, numbers, readers = Submitted(begin, workload, memory), count(1), list[Callable[[str], str]]()
    with ExitStack() as ends:

        def run_version(version: Version) -> Measured:
            start = time.perf_counter()
            job, _ = write_texts(workload, version, begin.folder)
            if not readers:
                command = [*HELIX, "watch", str(job), *system.options(version, begin.budget)]
                readers.append(ends.enter_context(watching(command, begin.folder, SPARK, memory.watch)))
            printed = readers[0]("from save to answer")
            answered = time.perf_counter() - start
            if "\nerror:" in f"\n{printed}":
                raise RuntimeError(printed[-3000:])
            outputs = stored_outputs(system.catalog, next(numbers))
            return Measured(answered, time.perf_counter() - start, bytes_below(system.catalog), outputs)

        yield run_version


def stored_outputs(catalog: Path, iterations: int) -> dict[str, Any]:
    """Wait until so many iterations are done, and return the newest one's outputs.

    Raises:
        RuntimeError: it takes too long.
    """
    from helix_spark.catalog.catalog import Catalog

    start = time.perf_counter()
    while time.perf_counter() - start < LONGEST_SECONDS:
        newest = Catalog.open(catalog, create=False).iterations(None, 1000)
        done = [record for record in newest if record.status == "done"]
        if len(done) >= iterations:
            outputs: dict[str, Any] = json.loads(done[0].outputs)
            return outputs
        time.sleep(0.1)
    raise RuntimeError("the iteration was not stored")


@contextmanager
def process_driver(mode: str, begin: Begin, workload: str, memory: PeakMemory) -> Iterator[RunVersion]:
    """Give a function that runs a version on a system in a mode: "process", "script" or "kept"."""
    begin.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as ends:
        if begin.system == DVC:
            yield Repro(begin, workload, memory).run
        elif mode == "script" and begin.system in POLICIES:
            yield ends.enter_context(watched(begin, workload, memory))
        else:
            is_kept = mode == "kept" and begin.system in POLICIES
            servers = ends.enter_context(own_servers()) if is_kept else None
            yield Submitted(begin, workload, memory, servers).run
