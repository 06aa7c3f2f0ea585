"""A tracker that remembers what it was told."""

from __future__ import annotations

from collections.abc import Callable

from helix_spark.run.tracker import Finished


class Remembering:
    """See `helix_spark.run.tracker.Tracker`."""

    def __init__(self) -> None:
        self.seen: list[Finished] = []
        self.closed = False

    def track(self, finished: Finished, warning: Callable[[str], None]) -> None:
        self.seen.append(finished)

    def close(self) -> None:
        self.closed = True
