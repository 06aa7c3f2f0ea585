"""One experiment: a script of edits on several systems, in turn, and what came out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from benchmarks.harness import ROOT, measured_where
from benchmarks.iterating.measured import Begin, Measured, PeakMemory
from benchmarks.iterating.processes import driver
from benchmarks.iterating.report import disagreements
from benchmarks.iterating.session import HEAP, WarmDrivers
from benchmarks.iterating.systems import DVC, HAMILTON, ONLY, ORACLE, POLICIES, artifact_bytes
from benchmarks.scripts import workload_named
from benchmarks.scripts.edit import Version, versions

MODES = ("session", "process", "script", "kept")
Tell = Callable[[str], None]


class Driven(Protocol):
    """A system that runs."""

    def run(self, version: Version) -> Measured: ...


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is to be measured.

    Attributes:
        edits: how many edits at most; None for all.
        settings: of the job, beyond those of the workload.
        budget: what Helix may store, as a share of the bytes of one full version; None for no limit. Records come on
            top of it where each iteration is a process, and count where one session is told once.
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
        """Raises ValueError for a system or a heap that the mode does not have."""
        missing = [system for system in self.systems if self.mode not in ONLY.get(system, MODES)]
        if missing:
            raise ValueError(f"{self.mode} mode has no {', '.join(missing)}")
        if self.heap != HEAP and self.mode != "session":
            raise ValueError(f"{self.mode} mode starts drivers as their users do, with no heap of its own")

    @property
    def name(self) -> str:
        """Of its files.

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
        """The texts, first the unedited ones."""
        texts = (ROOT / "jobs" / f"{self.workload}.py", ROOT / "benchmarks" / "plain" / f"plain_{self.workload}.py")
        known = workload_named(self.workload)
        known = replace(known, settings={**known.settings, **self.settings})
        made = versions(known, self.script, *(text.read_text() for text in texts))
        return tuple(made)[: None if self.edits is None else self.edits + 1]

    def run(self, drivers: WarmDrivers, tell: Tell = lambda text: None) -> dict[str, Any]:
        """Runs the script on all systems, in turn.

        Args:
            drivers: of this workload; for session mode.
            tell: is told how it goes.

        Raises:
            RuntimeError: a system failed.
        """
        made = self.versions()
        found: dict[str, list[Measured]] = {system: [] for system in self.systems}
        with tempfile.TemporaryDirectory(prefix="helix-iterations-") as folder, ExitStack() as stack:
            records, limit = self._measured_before(drivers, Path(folder), made)
            memory = {system: stack.enter_context(PeakMemory()) for system in self.systems}
            running = {
                system: stack.enter_context(
                    self._driven(drivers, Begin(system, Path(folder) / system, limit, made, records), memory[system])
                )
                for system in self.systems
            }
            for one in made:
                for system, driven in running.items():
                    measured = driven.run(one)
                    found[system].append(measured)
                    tell(f"{one.kind}, {one.edit}: {system} answers after {measured.answer_seconds:.2f} s, "
                         f"busy {measured.busy_seconds:.2f} s")
                for sentence in _disagreements({name: runs[-1:] for name, runs in found.items()}, [one]):
                    tell(f"DIFFERENT: {sentence}")
        return {
            "workload": self.workload, "script": self.script, "mode": self.mode, "settings": dict(made[0].settings),
            "other_settings": dict(sorted(self.settings.items())),
            "heap": self.heap if self.mode == "session" else None,
            "budget": self.budget, "budget_bytes": limit, "versions": versions_of(self.systems),
            "measured": measured_where(),
            "kinds": [one.kind for one in made], "edits": [one.edit for one in made],
            "systems": {system: _figures(runs, memory[system]) for system, runs in found.items()},
            "disagreements": _disagreements(found, made),
        }

    def _measured_before(
        self, drivers: WarmDrivers, folder: Path, made: tuple[Version, ...]
    ) -> tuple[Path | None, int | None]:
        """The catalog of a run that is not recorded and stores everything, and the bytes of the budget.

        That run is of the first version where only a budget asks for it, of all where the oracle takes part.
        """
        wanted = made if ORACLE in self.systems else made[:1] if self.budget is not None else ()
        if not wanted:
            return None, None
        begin = Begin("always", folder / "measuring", None, wanted)
        catalog = begin.folder / "catalog"
        with PeakMemory() as memory, self._driven(drivers, begin, memory) as driven:
            driven.run(wanted[0])
            limit = None if self.budget is None else int(self.budget * artifact_bytes(catalog, self.workload))
            for one in wanted[1:]:
                driven.run(one)
        drivers.close("always")  # it would be warmer than the others
        return catalog, limit

    @contextmanager
    def _driven(self, drivers: WarmDrivers, begin: Begin, memory: PeakMemory) -> Iterator[Driven]:
        if self.mode == "session":
            with drivers.script(begin) as warm:
                memory.of(warm.pid)
                yield warm
            return
        made = driver(self.mode, begin, self.workload, memory)
        try:
            yield made
        finally:
            made.close()


def versions_of(systems: Sequence[str]) -> dict[str, str]:
    """Of the packages that these systems are made of.

    >>> list(versions_of(["plain", "cached"]))
    ['pyspark']
    """
    packages = {HAMILTON: "sf-hamilton", DVC: "dvc", **dict.fromkeys((*POLICIES, ORACLE), "helix-spark")}
    named = ["pyspark", *(packages[system] for system in systems if system in packages)]
    return {package: version(package) for package in dict.fromkeys(named)}


def _figures(runs: Sequence[Measured], memory: PeakMemory) -> dict[str, Any]:
    return {
        "answer_seconds": [round(one.answer_seconds, 4) for one in runs],
        "busy_seconds": [round(one.busy_seconds, 4) for one in runs],
        "stored_bytes": [one.stored_bytes for one in runs], "peak_rss_bytes": memory.bytes,
        "outputs": [one.outputs for one in runs],
    }


def _disagreements(found: Mapping[str, Sequence[Measured]], made: Sequence[Version]) -> list[str]:
    outputs = {system: [run.outputs for run in runs] for system, runs in found.items()}
    return disagreements(outputs, [one.edit for one in made])
