"""Reads of a program's Python functions in Spark's workers, by content, like the data of its plans.

They are recorded by the function's code, so that later runs check the same files before their questions. Reads that are
first observed while a question is answered become part of the question's identity, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace

from helix_spark.catalog.places.json_text import parsed_as
from helix_spark.hermetic.observed_inputs import NOTHING_OBSERVED, ObservedInputs, observed_from_json, reads_unknown
from helix_spark.hermetic.task import Purpose
from helix_spark.hermetic.worker_reports import WorkerReports
from helix_spark.identity.parts import digest


@dataclass(slots=True)
class WatchedFunctions:
    """The functions of one program. Its methods may be called from any thread.

    Attributes:
        recorded: returns the recorded reads of a function, as text, by its code.
        watched: True if Spark's workers share a folder with this process; else no reads are observed.
        home: working folder of functions in workers.
    """

    recorded: Callable[[str], str]
    watched: bool = True
    home: str = ""
    _reports: WorkerReports = field(default_factory=WorkerReports)
    _by_code: dict[str, ObservedInputs] = field(default_factory=dict)
    _learned: set[str] = field(default_factory=set)
    _doubts: dict[str, str] = field(default_factory=dict)
    _unknown: dict[str, str] = field(default_factory=dict)
    _observed: dict[str, ObservedInputs] = field(default_factory=dict)
    _signed: dict[tuple[str, str], ObservedInputs] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def purpose(self, code: str) -> Purpose:
        """Return the purpose of a function that is sent to workers."""
        return Purpose(code, self._reports.folder if self.watched and code else "", self.home)

    def places(self, code: str) -> tuple[str, ...]:
        """Return the recorded paths that a function reads."""
        return self._reads(code).places

    def identity(self, code: str) -> str:
        """Return the identity of a function's recorded reads, as they are now; empty if it reads nothing."""
        reads = self._reads(code)
        return self._identity(code, reads, reads.now())

    def _identity(self, code: str, recorded: ObservedInputs, now: ObservedInputs) -> str:
        if not recorded.reads:
            return ""
        self._unknown[code] = recorded.unknown or now.unknown
        identity = digest(now.to_json())
        self._signed[code, identity] = now
        return identity

    def unknown(self, code: str) -> tuple[str, ...]:
        """Return why reads of a function are unknown, as a phrase, once it has an identity; empty if they are known."""
        path = self._unknown.get(code, "")
        return (f"has Python code in it that {reads_unknown(path)}",) if path else ()

    def as_read(self, signed: Collection[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """Return functions with the identities of their reads, including the newest reads. `signed` are functions with
        their earlier identities, which they keep if data has changed since."""
        self._take_reports(signed)
        return tuple((code, self._current_identity(code, before)) for code, before in signed)

    def _current_identity(self, code: str, before: str) -> str:
        recorded = self._reads(code)
        now, earlier = recorded.now(), (self._signed.get((code, before)), self._observed.get(code))
        is_changed = any(reads is not None and not now.agrees(reads) for reads in earlier)
        return before if is_changed else self._identity(code, recorded, now)

    def _take_reports(self, signed: Collection[tuple[str, str]]) -> None:
        with self._lock:
            for code, reads in self._reports.take([code for code, _ in signed]).items():
                if reads.chance or reads.outside:
                    self._doubts[code] = f"has Python code in it that {(*reads.chance, *reads.outside)[0]}"
                self._observed[code] = self._observed.get(code, NOTHING_OBSERVED) | reads
                if reads.reads and not (recorded := self._reads(code)).agrees(reads):
                    self._by_code[code] = recorded | reads
                    self._learned.add(code)

    def doubt(self, signed: Collection[tuple[str, str]]) -> str:
        """Return why an answer may not be recorded, or nothing; `signed` are functions with earlier reads."""
        self._take_reports(signed)
        for code, before in signed:
            if code in self._doubts:
                return self._doubts[code]
            after = self.identity(code)
            if unknown := self.unknown(code):
                return unknown[0]
            if after != before:
                reads = self._reads(code)
                name, *others = *reads.files, *reads.environment, *reads.told
                names = f"{name} and {len(others)} more" if others else name
                return f"has Python code in it that reads {names}, which is new or has changed"
        return ""

    def learned(self) -> Iterator[tuple[str, str]]:
        """Return the new reads of this run by code, as texts for the record."""
        with self._lock:
            functions = sorted(self._learned)
            self._learned.clear()
        return ((code, replace(self._by_code[code], drew=False).to_json()) for code in functions)

    def close(self) -> None:
        self._reports.close()

    def _reads(self, code: str) -> ObservedInputs:
        if code not in self._by_code:
            text = self.recorded(code)
            try:
                parsed_as(text or "{}", dict[str, dict[str, str]])
                self._by_code[code] = observed_from_json(text)
            except (ValueError, TypeError):  # not written by Helix
                self._by_code[code] = NOTHING_OBSERVED
        return self._by_code[code]


def reads_of(code: str) -> str:
    """Return the identity under which the reads of a function are recorded."""
    return digest("reads of a function", code)
