"""Whether a catalog's name still leads to the catalog that it led to: a link may be turned, a folder moved, or another
one put in its place, while a run goes on.

On a disk a folder is known by its number in the file system, and is held open, so that the number is given to no other
one; in an object store, and on a disk as well, by the id in its marker. Asked before each step that writes, and again
once a record is committed: on a disk that takes three looks at names, in a store one request. What is changed between
the look and the write behind it, some milliseconds, is told, and cannot be helped: libraries know files by names alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass

from helix_spark.catalog.places.catalog_folder import Layout, explained, make_catalog, marked_id
from helix_spark.catalog.places.place import Held
from helix_spark.errors import CatalogError

Check = Callable[[], None]
"""Raises MovedError where the catalog is not the one that it was, CatalogError where that cannot be told."""


class MovedError(CatalogError):
    """The catalog's name leads to something else than it did."""


def unchecked() -> None:
    """The check of what belongs to no catalog."""


@dataclass(frozen=True, slots=True)
class _Met:
    """A catalog as it was met.

    Attributes:
        id: in its marker; empty in one that an older version made.
        stamp: of the marker.
        folder: held open.
    """

    id: str
    stamp: Hashable
    folder: Held


class SamePlace:
    """The place of one catalog, which may not be there yet."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._met: _Met | None = None
        with explained(layout, "read"), suppress(FileNotFoundError):
            self._meet()

    def make(self) -> None:
        """Make the catalog, unless it is there. Raises CatalogError as `check` does, or where it cannot be made."""
        self._layout.root.try_out()
        if self._met is not None:
            self.check()
            return
        make_catalog(self._layout)
        with explained(self._layout, "read"):
            self._meet()

    def check(self) -> None:
        """Raises MovedError if the catalog's name leads elsewhere than when it was first met, or to something else;
        CatalogError if it cannot be told."""
        if self._met is None:
            return
        with explained(self._layout, "read"):
            what = self._changed(self._met)
        if what:
            raise MovedError(
                f"the catalog {self._layout.name} is not what it was: {what}",
                remedy="put it back where it was; what is there now is not written to, and a new run takes it as it is",
            )

    def _meet(self) -> None:
        # Held before its marker is read: what is read belongs to what is held, or else the next check says so.
        folder = self._layout.root.hold()
        self._met = _Met(*marked_id(self._layout), folder)

    def _changed(self, met: _Met) -> str:
        """In words; empty if nothing has."""
        layout = self._layout
        if not met.folder.is_at(layout.root):
            return "its folder was moved or deleted" if not layout.root.exists() else "another folder is in its place"
        if not met.folder.is_at(layout.name):
            return f"the link that led to {layout.root} leads elsewhere"
        if layout.marker.stamp() == met.stamp:
            return ""
        try:
            there = _Met(*marked_id(layout), met.folder)
        except FileNotFoundError:
            return "what was in it is gone"
        if there.id != met.id:
            return "another catalog was put in its place"
        self._met = there
        return ""
