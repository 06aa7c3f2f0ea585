"""Shared catalogs of a team below the user's own: read in order, never written.

A catalog that cannot be read is skipped from then on, with a message; so is a damaged result. Its nodes are computed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, Generic, TypeVar

from helix_spark.catalog.records import ArtifactRecord, SharedArtifact
from helix_spark.catalog.segments.record_log import RecordLog
from helix_spark.errors import CatalogError, NotACatalogError


class RecordReader:
    """The records of a catalog, to read."""

    _records: RecordLog

    @property
    def rejections(self) -> tuple[str, ...]:
        """Reasons why invalid records were skipped so far."""
        return self._records.rejections


T = TypeVar("T")
C = TypeVar("C", bound=RecordReader, covariant=True)


class SharedCatalogs(Generic[C]):
    """Shared catalogs, each opened when it is first needed and then read as of its last `hold`.

    Args:
        names: folders, or addresses in object stores.
        open_catalog: opens a catalog, or raises CatalogError; returns None for the user's own catalog.

    Attributes:
        damaged: attempts of damaged results, which are skipped.
    """

    def __init__(self, names: Sequence[str], open_catalog: Callable[[str], C | None]) -> None:
        self.names = tuple(dict.fromkeys(names))
        self._open_catalog = open_catalog
        self.catalogs: dict[str, C | None] = {}
        self._unread: dict[str, str] = {}
        self.damaged = set[str]()
        self._lock = threading.RLock()

    @property
    def problems(self) -> tuple[str, ...]:
        """Messages about unreadable catalogs and rejected records."""
        rejections = (
            f"the shared catalog {name}: {why}" for name, catalog in self.catalogs.items()
            if catalog is not None and name not in self._unread for why in catalog.rejections[:1]
        )
        return (*self._unread.values(), *rejections)

    def open_all(self) -> tuple[C, ...]:
        """Open all, and return the readable ones. Raises NotACatalogError for a folder that never was a catalog."""
        catalogs = self.query(lambda catalog: catalog)  # type: ignore[misc]  # of a lambda, no method
        return tuple(catalog for _, catalog in catalogs)

    def query(self, look: Callable[[C], T]) -> Iterator[tuple[str, T]]:
        """Yield the name of each readable catalog, with the result of `look` for it."""
        for name in (name for name in self.names if name not in self._unread):
            try:
                with self._lock:
                    if name not in self.catalogs:
                        self.catalogs[name] = self._open_catalog(name)
                if (catalog := self.catalogs[name]) is None:
                    continue
                result = look(catalog)
            except NotACatalogError:
                raise
            except CatalogError as error:
                why = ": ".join(filter(None, (error.what, error.exists)))
                self._unread[name] = f"the shared catalog {name} cannot be used and is skipped: {why}"
                continue
            yield name, result

    def first(self, look: Callable[[C], T | None]) -> T | None:
        """Return the first result of `look` that is not None."""
        return next((result for _, result in self.query(look) if result is not None), None)

    def artifacts(self, look: Callable[[C], Mapping[str, ArtifactRecord]]) -> dict[str, ArtifactRecord]:
        """Return the stored results that `look` finds in each catalog, by signature; the first catalog wins."""
        artifacts, names = dict[str, ArtifactRecord](), [field.name for field in fields(ArtifactRecord)]
        for shared, live in self.query(look):
            for signature, record in live.items():
                if signature not in artifacts and record.attempt not in self.damaged:
                    values: dict[str, Any] = {name: getattr(record, name) for name in names}
                    artifacts[signature] = SharedArtifact(**values, shared=shared)
        return artifacts
