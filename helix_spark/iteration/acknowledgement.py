"""Tells people what a run has stored, once it survives a loss of power."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection

from helix_spark.catalog.records import ArtifactRecord
from helix_spark.errors import CatalogError
from helix_spark.iteration.tools import Tools

PATIENCE = 1.0
"""Seconds for which it may be left untold that a result is stored, so that one sync serves several."""


class Acknowledgement:
    """What a run has stored and not told yet."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._waiting: list[ArtifactRecord] = []
        self._given = time.monotonic()

    def add(self, record: ArtifactRecord) -> None:
        """Another result was published. It is told now, with those before it, if nothing was for a while."""
        self._waiting.append(record)
        if time.monotonic() - self._given > PATIENCE:
            with contextlib.suppress(CatalogError):  # it is tried again, and said, when all is stored
                self.give()

    def give(self, gone: Collection[str] = ()) -> None:
        """Syncs all records, and tells of what was stored.

        Args:
            gone: signatures of what is not stored any more.

        Raises CatalogError if the records cannot be synced: nobody may rely on what they say.
        """
        self._tools.catalog.sync()
        for record in self._waiting:
            if record.signature not in gone:
                self._tools.observer.stored(record.node, record.bytes)
        self._waiting.clear()
        self._given = time.monotonic()
