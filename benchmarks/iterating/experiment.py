"""One experiment: a script of edits on several systems, in turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.harness import measured_where, new_folder, say
from benchmarks.iterating.measured import Begin, Measured, PeakMemory, RunVersion, peak_memory
from benchmarks.iterating.processes import process_driver
from benchmarks.iterating.report import disagreements
from benchmarks.iterating.session import HEAP, WarmDrivers
from benchmarks.iterating.systems import DVC, HAMILTON, ONLY, ORACLE, POLICIES
from benchmarks.scripts import Version, versions, workload_named

MODES = ("session", "process", "script", "kept")


@dataclass(frozen=True, slots=True)
class Experiment:
    """A measurement.

    Attributes:
        edits: the number of edits at most; None for all.
        settings: of the job, beyond those of the workload.
        budget: limit of Helix's storage, as a share of the bytes of one full version; None for no limit. Records come
            on top of it where each iteration is a process, and count in a session.
        heap: of each system's driver in session mode, as Spark writes it.
    """

    workload: str
    script: int
    mode: str
    systems: tuple[str, ...]
    edits: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    budget: float | None = None
    heap: str = HEAP

    def __post_init__(self) -> None:
        """Raise ValueError for a system or a heap that the mode does not have."""
        missing = [system for system in self.systems if self.mode not in ONLY.get(system, MODES)]
        if missing:
            raise ValueError(f"{self.mode} mode has no {', '.join(missing)}")
        if self.heap != HEAP and self.mode != "session":
            raise ValueError(f"{self.mode} mode starts drivers as their users do, with no heap of its own")

    @property
    def name(self) -> str:
        """The name of its file.

        >>> Experiment("census", 0, "session", ("helix",), budget=0.3).name
        'iterations-census-0-session-budget-0.3'
        >>> Experiment("flights", 0, "session", ("helix",), settings={"times": "10"}).name
        'iterations-flights-0-session-times-10'
        """
        limit = "" if self.budget is None else f"-budget-{self.budget:g}"
        others = "".join(f"-{setting}-{value}" for setting, value in sorted(self.settings.items()))
        heap = "" if self.heap == HEAP else f"-heap-{self.heap}"
        return f"iterations-{self.workload}-{self.script}-{self.mode}{limit}{others}{heap}"

    def versions(self) -> tuple[Version, ...]:
        """Return the texts, first the unedited ones."""
        workload = workload_named(self.workload)
        workload = replace(workload, settings={**workload.settings, **self.settings})
        return tuple(versions(workload, self.script))[: None if self.edits is None else self.edits + 1]

    def run(self, drivers: WarmDrivers) -> dict[str, Any]:
        """Run the script on all systems, in turn.

        Args:
            drivers: of this workload; for session mode.

        Raises:
            RuntimeError: a system failed.
        """
        texts = self.versions()
        runs: dict[str, list[Measured]] = {system: [] for system in self.systems}
        with new_folder() as folder, ExitStack() as ends:
            records, limit = self._measured_before(drivers, folder, texts)
            memory = {system: ends.enter_context(peak_memory()) for system in self.systems}
            functions = {
                system: ends.enter_context(
                    self._driver(drivers, Begin(system, folder / system, limit, texts, records), memory[system])
                )
                for system in self.systems
            }
            for text in texts:
                for system, run_version in functions.items():
                    measured = run_version(text)
                    runs[system].append(measured)
                    say(f"{text.kind}, {text.edit}: {system} answers after {measured.answer_seconds:.2f} s, "
                        f"busy {measured.busy_seconds:.2f} s")
        outputs = {system: [run.outputs for run in runs[system]] for system in self.systems}
        return {
            "workload": self.workload, "script": self.script, "mode": self.mode, "settings": dict(texts[0].settings),
            "other_settings": dict(sorted(self.settings.items())),
            "heap": self.heap if self.mode == "session" else None,
            "budget": self.budget, "budget_bytes": limit, "versions": versions_of(self.systems),
            "measured": measured_where(),
            "kinds": [text.kind for text in texts], "edits": [text.edit for text in texts],
            "systems": {system: _figures(runs[system], memory[system]) for system in self.systems},
            "disagreements": disagreements(outputs, [text.edit for text in texts]),
        }

    def _measured_before(
        self, drivers: WarmDrivers, folder: Path, texts: tuple[Version, ...]
    ) -> tuple[Path | None, int | None]:
        """Return the catalog of a run that stores everything and is not part of the result, and the bytes of the
        budget.

        The run is of all versions for the oracle, and of the first one for a budget alone.
        """
        script = texts if ORACLE in self.systems else texts[:1] if self.budget is not None else ()
        if not script:
            return None, None
        from helix_spark.catalog.catalog import Catalog

        begin = Begin("always", folder / "measuring", None, script)
        catalog, limit = begin.folder / "catalog", None
        with peak_memory() as memory, self._driver(drivers, begin, memory) as run_version:
            for number, text in enumerate(script):
                run_version(text)
                if number == 0 and self.budget is not None:
                    view = Catalog.open(catalog, create=False).snapshot(self.workload)
                    limit = int(self.budget * view.artifact_bytes)
        drivers.close("always")  # it would be warmer than the others
        return catalog, limit

    @contextmanager
    def _driver(self, drivers: WarmDrivers, begin: Begin, memory: PeakMemory) -> Iterator[RunVersion]:
        if self.mode == "session":
            with drivers.script(begin) as worker:
                memory.watch(worker.pid)
                yield worker.run
        else:
            with process_driver(self.mode, begin, self.workload, memory) as run_version:
                yield run_version


def versions_of(systems: Sequence[str]) -> dict[str, str]:
    """Return the versions of the packages that systems are made of.

    >>> list(versions_of(["plain", "cached"]))
    ['pyspark']
    """
    packages = {HAMILTON: "sf-hamilton", DVC: "dvc", **dict.fromkeys((*POLICIES, ORACLE), "helix-spark")}
    names = ["pyspark", *(packages[system] for system in systems if system in packages)]
    return {package: version(package) for package in dict.fromkeys(names)}


def _figures(runs: Sequence[Measured], memory: PeakMemory) -> dict[str, Any]:
    return {
        "answer_seconds": [round(run.answer_seconds, 4) for run in runs],
        "busy_seconds": [round(run.busy_seconds, 4) for run in runs],
        "stored_bytes": [run.stored_bytes for run in runs], "peak_rss_bytes": memory.bytes,
        "outputs": [run.outputs for run in runs],
    }
