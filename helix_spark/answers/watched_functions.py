"""What a program's Python functions read in Spark's workers: it counts by content, as what its plans read does.

A function is known by its code. What it read is on record under that, so that later runs look at the same files before
they ask anything. What it was first seen to read while it answered a question counts in that question's identity, too.
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
    """Those of one program. Its methods may be called from any thread.

    Attributes:
        recorded: what a function was seen to read by earlier runs, as a text; by its code.
        watched: whether Spark's workers share a folder with this process; else nothing is seen.
        home: the folder that functions are to find themselves in there.
    """

    recorded: Callable[[str], str]
    watched: bool = True
    home: str = ""
    _reports: WorkerReports = field(default_factory=WorkerReports)
    _known: dict[str, ObservedInputs] = field(default_factory=dict)
    _learned: set[str] = field(default_factory=set)
    _doubts: dict[str, str] = field(default_factory=dict)
    _unknown: dict[str, str] = field(default_factory=dict)
    _seen: dict[str, ObservedInputs] = field(default_factory=dict)
    _signed: dict[tuple[str, str], ObservedInputs] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def purpose(self, code: str) -> Purpose:
        """Return what a function is sent to workers for."""
        return Purpose(code, self._reports.folder if self.watched and code else "", self.home)

    def places(self, code: str) -> tuple[str, ...]:
        """Return the paths that a function is known to read."""
        return self._reads(code).places

    def identity(self, code: str) -> str:
        """Return the identity of what a function is known to read, as it is now; empty where it reads nothing."""
        seen = self._reads(code)
        return self._identity(code, seen, seen.now())

    def _identity(self, code: str, seen: ObservedInputs, now: ObservedInputs) -> str:
        if not seen.reads:
            return ""
        self._unknown[code] = seen.unknown or now.unknown
        identity = digest(now.to_json())
        self._signed[code, identity] = now
        return identity

    def unknown(self, code: str) -> tuple[str, ...]:
        """Return why what a function reads cannot be known, as a phrase, once it has an identity; nothing if it can."""
        path = self._unknown.get(code, "")
        return (f"has Python code in it that {reads_unknown(path)}",) if path else ()

    def as_read(self, signed: Collection[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """Return functions with the identities of what they were seen to read just now, for the first time, too. They
        are `signed` by code, each with the identity of what it was known to read then; so is what was changed since."""
        self._take(signed)
        return tuple((code, self._read_since(code, before)) for code, before in signed)

    def _read_since(self, code: str, before: str) -> str:
        seen = self._reads(code)
        now, known = seen.now(), (self._signed.get((code, before)), self._seen.get(code))
        is_changed = any(one is not None and not now.agrees(one) for one in known)
        return before if is_changed else self._identity(code, seen, now)

    def _take(self, signed: Collection[tuple[str, str]]) -> None:
        with self._lock:
            for code, seen in self._reports.take([code for code, _ in signed]).items():
                if seen.chance or seen.outside:
                    self._doubts[code] = f"has Python code in it that {(*seen.chance, *seen.outside)[0]}"
                known, self._seen[code] = self._reads(code), self._seen.get(code, NOTHING_OBSERVED) | seen
                if seen.reads and not known.agrees(seen):
                    self._known[code] = known | seen
                    self._learned.add(code)

    def doubt(self, signed: Collection[tuple[str, str]]) -> str:
        """Return why what some functions gave just now is no answer for another run, as a phrase; else empty. They are
        signed by code, each with the identity of what it was known to read then."""
        self._take(signed)
        for code, before in signed:
            if code in self._doubts:
                return self._doubts[code]
            after = self.identity(code)
            if unknown := self.unknown(code):
                return unknown[0]
            if after != before:
                seen = self._reads(code)
                name, *more = *seen.files, *seen.environment, *seen.told
                read = f"{name} and {len(more)} more" if more else name
                return f"has Python code in it that reads {read}, which is new, or was changed meanwhile"
        return ""

    def learned(self) -> Iterator[tuple[str, str]]:
        """Return what was learned in this run, as texts for the record, by code."""
        with self._lock:
            learned = sorted(self._learned)
            self._learned.clear()
        return ((code, replace(self._known[code], drew=False).to_json()) for code in learned)

    def close(self) -> None:
        self._reports.close()

    def _reads(self, code: str) -> ObservedInputs:
        if code not in self._known:
            text = self.recorded(code)
            try:
                parsed_as(text or "{}", dict[str, dict[str, str]])
                self._known[code] = observed_from_json(text)
            except (ValueError, TypeError):  # no text of ours: then nothing is known
                self._known[code] = NOTHING_OBSERVED
        return self._known[code]


def reads_of(code: str) -> str:
    """Return the identity under which the reads of a function are recorded."""
    return digest("reads of a function", code)
