"""The memory tier: results that the session still holds, by signature."""

from __future__ import annotations

from collections.abc import Iterable
from threading import RLock

from helix_spark.engine.results.node_results import ColumnResult, NodeResult, TableResult

KEPT_RUNS = 3
"""Runs for which a result is held after it was last part of a version: people go back one or two edits."""


class MemoryTier:
    """Holds values, models, collected rows and persisted DataFrames until no recent version has them."""

    def __init__(self) -> None:
        self._results: dict[str, NodeResult] = {}
        self._persisted: set[str] = set()
        self._unshared: list[tuple[int, TableResult]] = []
        self._last: dict[str, int] = {}
        self._run = 0
        self._lock = RLock()

    @property
    def held(self) -> frozenset[str]:
        """Signatures of what is held."""
        with self._lock:
            return frozenset(self._results)

    def get(self, signature: str) -> NodeResult | None:
        """Return the result of a signature; None if it is not in memory."""
        return self._results.get(signature)

    def put(self, signature: str, result: NodeResult, *, persisted: bool) -> None:
        """Hold a result: a table only where its rows are in memory, persisted by Spark or collected."""
        if isinstance(result, ColumnResult):
            return
        if isinstance(result, TableResult) and not (persisted or result.collected):
            return
        with self._lock:
            if (before := self._results.get(signature)) is not None and before is not result:
                self.drop(signature)
            self._results[signature] = result
            self._last[signature] = self._run
            if persisted:
                self._persisted.add(signature)

    def keep_apart(self, result: TableResult) -> None:
        """Hold a persisted table that no later run may reuse: its own iteration may still be asked for it."""
        with self._lock:
            self._unshared.append((self._run, result))

    def drop(self, signature: str) -> None:
        """Release one result."""
        with self._lock:
            self._last.pop(signature, None)
            result = self._results.pop(signature, None)
            if signature in self._persisted and isinstance(result, TableResult):
                result.unpin()
            self._persisted.discard(signature)

    def next_version(self, signatures: Iterable[str]) -> None:
        """Begin a run of a version with these signatures, and release what no recent version had."""
        with self._lock:
            self._run += 1
            self._last.update({s: self._run for s in signatures if s in self._results})
            for signature in [s for s, last in self._last.items() if last < self._run - KEPT_RUNS]:
                self.drop(signature)
            self._let_go_before(self._run - KEPT_RUNS)

    def clear(self) -> None:
        """Release everything."""
        with self._lock:
            for signature in list(self._results):
                self.drop(signature)
            self._let_go_before(self._run + 1)

    def _let_go_before(self, run: int) -> None:
        for _, result in [(last, result) for last, result in self._unshared if last < run]:
            result.unpin()
        self._unshared = [(last, result) for last, result in self._unshared if last >= run]
