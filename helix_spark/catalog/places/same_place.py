"""Whether a catalog's name still leads to the catalog that it led to: its folder may be deleted, or another catalog put
in its place, while a session goes on. A catalog is known by the id in its marker."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from helix_spark.catalog.places.catalog_folder import Layout, explained, make_catalog, marked_id
from helix_spark.errors import CatalogError


class SamePlace:
    """The place of one catalog, which may not be there yet."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._id: str | None = None
        with explained(layout, "read"), suppress(FileNotFoundError):
            self._id = marked_id(layout)

    def make(self) -> None:
        """Make the catalog, unless it is there. Raises CatalogError as `check` does, or where it cannot be made."""
        if self._id is not None:
            self.check()
            return
        make_catalog(self._layout)
        with explained(self._layout, "read"):
            self._id = marked_id(self._layout)

    def check(self) -> None:
        """Raises CatalogError if the catalog is gone, or its name leads to another one."""
        if self._id is None:
            return
        with explained(self._layout, "read"):
            what = self._change(self._id)
        if what:
            raise CatalogError(
                f"the catalog {self._layout.name} is not what it was: {what}",
                remedy="put it back where it was; what is there now is not written to, and a new run takes it as it is",
            )

    def _change(self, known: str) -> str:
        layout = self._layout
        if isinstance(layout.name, Path) and layout.name.resolve() != layout.root:
            return f"the link that led to {layout.root} leads elsewhere"
        try:
            return "" if marked_id(layout) == known else "another catalog was put in its place"
        except FileNotFoundError:
            return "its folder was moved or deleted, or what was in it is gone"
