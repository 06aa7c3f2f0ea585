"""Where things are in a catalog's folder, and whether a folder is a catalog. Reads and writes the marker, no records.

What it takes to read and write there, on a disk or in an object store, is in `place.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helix_spark.cache_folder import cache_folder
from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.places.object_store import TRIED, ObjectPath, check_conditional, object_path
from helix_spark.catalog.places.place import LocalPath, Place, is_remote, text_in, what_is_there
from helix_spark.catalog.records import LAYOUT, ArtifactKind
from helix_spark.errors import CatalogError, NotACatalogError
from helix_spark.forks import check_catalogs_work
from helix_spark.regular_files import OddFileError

MARKER = "helix.json"

FOLDERS: Mapping[ArtifactKind, str] = {"table": "tables", "model": "models"}
_NO_TABLES = re.compile(r"[\[\]|\\^]|%[0-9A-Fa-f]{2}")
"""What deltalake (1.x) takes for part of a URL: it panics, or looks in another folder."""

SIGNATURE, ID = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{32}")
"""The name of a result, and that of an attempt or a run."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one catalog: its folder, links followed, and as it was named where that is another path."""

    root: Place
    given: Place | None = None

    @property
    def name(self) -> Place:
        """The folder as it was named."""
        return self.given or self.root

    @property
    def marker(self) -> Place:
        return self.root / MARKER

    @property
    def records(self) -> Place:
        return self.root / "records"

    @property
    def leases(self) -> Place:
        return self.root / "leases"

    def attempts(self, kind: ArtifactKind) -> Place:
        """The folder that holds all attempts of a kind, as ``SIGNATURE/ATTEMPT``; a value has none."""
        return self.root / FOLDERS[kind]


def index_file(layout: Layout, catalog_id: str) -> Path | None:
    """Return this user's index of a catalog's records, in HELIX_INDEX or the cache folder; None if it is not made."""
    if not catalog_id:
        return None
    name = hashlib.sha256(f"{layout.root}\0{catalog_id}".encode()).hexdigest()[:32]
    folder = os.environ.get("HELIX_INDEX")
    return (Path(folder) if folder else cache_folder() / "records") / f"{name}.sqlite"


def locate(root: str | os.PathLike[str], *, create: bool) -> Layout:
    """Return the layout at `root`, after all checks that can be made without writing. Raises CatalogError; HelixError
    if this process was forked from one that has opened a catalog."""
    check_catalogs_work()
    if isinstance(root, Path) and re.fullmatch("[a-z0-9]+:", root.parts[0] if root.parts else ""):
        raise NotACatalogError(f"the catalog {root} is an address that was made a path, which leaves out a slash",
                               remedy="give the address as text, not as a Path")
    if is_remote(root):
        layout = Layout(object_path(os.fspath(root)))
    else:
        # Behind a link, `..` is another folder to the disk than to libraries that shorten it as text, as deltalake.
        given, folder = LocalPath(root).absolute(), LocalPath(root).resolve()
        layout = Layout(folder, None if folder == given else given)
        if unusable := _NO_TABLES.search(str(folder)):
            raise CatalogError(f"no tables can be stored at {folder}: Delta cannot read paths with {unusable[0]!r}",
                               remedy="give a folder whose path is without it")
    with explained(layout, "read"):
        if _has_marker(layout):
            _check_no_links(layout)
        elif layout.root.exists():
            if not _holds_records(layout):
                _check_free(layout, create=create)
        elif not create:
            raise CatalogError(f"there is no catalog at {layout.root}",
                               remedy="name the folder of an earlier run, or run a workflow first")
    return layout


@contextmanager
def explained(layout: Layout, done: str) -> Iterator[None]:
    """Raise an OSError of the block as the CatalogError that says what could not be `done`."""
    try:
        yield
    except OSError as error:
        remedy = "check the store's credentials, which may have expired, this machine's clock, and the network"
        raise CatalogError(f"the catalog {layout.root} cannot be {done}: {error.strerror or error}",
                           remedy=remedy if is_remote(layout.root) else None) from error


def make_catalog(layout: Layout) -> None:
    """Make the catalog, unless it exists: its folder and its marker, of which the first process's stays."""
    from helix_spark.identity.environment import package_version  # who only reads needs none of it

    with explained(layout, "made"):
        try:
            _read_marker(layout)
        except FileNotFoundError:
            pass
        except ValueError:  # what lies in its place gets another name
            layout.marker.move_to(layout.marker.with_name(f".{MARKER}.{uuid.uuid4().hex}"))
        else:
            return
        # Synced once in a catalog's life, before anything else is in it.
        layout.root.make_folder(synced=True)
        by = f"helix_spark {package_version('helix_spark')}"
        new = {"layout": layout_number(layout), "created_by": by, "id": uuid.uuid4().hex}
        with suppress(FileExistsError):
            layout.marker.write_new(f"{json.dumps(new)}\n".encode(), synced=True)
        if isinstance(layout.marker, ObjectPath):
            check_conditional(layout.marker, text_in(layout.marker))


def layout_number(layout: Layout) -> int:
    """Return the layout of a catalog, by its marker; of one without a marker that can be read by its records."""
    with suppress(FileNotFoundError, ValueError):
        return int(_read_marker(layout)["layout"])
    with suppress(NotADirectoryError):
        names = [one.name for one in layout.records.entries()]
        if any(name.endswith(".head") for name in names) and not any(name.endswith(".segment") for name in names):
            return 1
    return LAYOUT


def _read_marker(layout: Layout) -> dict[str, Any]:
    """Read the marker. Raises FileNotFoundError if there is none, ValueError for one that names no layout, OSError."""
    try:
        marker = parsed(text_in(layout.marker))
    except OddFileError as error:
        raise ValueError("it is no file that a catalog has") from error
    if not isinstance(marker, dict) or type(marker.get("layout")) is not int:
        raise ValueError("it names no layout")
    return marker


def _holds_records(layout: Layout) -> bool:
    """True if a folder is a catalog by what it holds, whatever its marker says."""
    with suppress(NotADirectoryError):
        if any(one.name.endswith((".segment", ".fold")) for one in layout.records.entries()):
            return True
    return any(SIGNATURE.fullmatch(first) for kind in FOLDERS for first, _ in layout.attempts(kind).second_names())


def _has_marker(layout: Layout) -> bool:
    """Return whether a catalog's marker is there, and one that can be read. Raises CatalogError if it cannot."""
    if isinstance(layout.marker, Path) and not os.path.lexists(layout.marker):
        return False
    try:
        marker = _read_marker(layout)
    except FileNotFoundError:
        return False
    except (ValueError, OSError) as error:
        if isinstance(error, ValueError) and _holds_records(layout):
            return True  # the next write makes it anew: it says nothing that this does not
        why = error.strerror if isinstance(error, OSError) else error
        raise CatalogError(f"the marker {layout.marker} cannot be read: {why}",
                           remedy=f"restore {MARKER} from a copy, or name another folder") from error
    if marker["layout"] > LAYOUT:
        what = f"the catalog {layout.root} has layout {marker['layout']}; this helix_spark reads up to {LAYOUT}"
        raise CatalogError(what, exists=f"made by {marker.get('created_by', 'an unknown version')}",
                           remedy="upgrade helix_spark, or name another folder")
    return True


def _check_no_links(layout: Layout) -> None:
    """Check that the folders of a catalog are its own: by a link in one that is handed on, leases would be made and
    removed, records merged, and what no record names deleted elsewhere."""
    folders = (layout.root, layout.root / "records") if isinstance(layout.root, Path) else ()
    for folder in folders:
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            if link := next((one.path for one in entries if one.is_symlink()), None):
                remedy = "put what it leads to in its place, or mount it there; a link may lead to the whole catalog"
                raise CatalogError(f"{link} is a link; nothing of a catalog may lie elsewhere",
                                   exists=f"it leads to {Path(link).readlink()}", remedy=remedy)


def _check_free(layout: Layout, *, create: bool) -> None:
    if not layout.root.is_dir():
        raise NotACatalogError(f"the catalog {layout.root} is a file, not a folder", remedy="name a folder")
    try:
        # Another process may be trying the disk, or writing the marker; one that was killed may have left leases alone.
        # Spark makes what is above a folder that it writes to, also where a catalog was moved away.
        if isinstance(layout.root, Path):
            next(layout.root.iterdir(), None)  # `glob` finds nothing where it may not look
        bare = (layout.records, *map(layout.attempts, FOLDERS))
        names = sorted(
            p.name for p in layout.root.glob("*")
            if not p.name.startswith((f".{MARKER}.", TRIED)) and p != layout.leases
            and not (p in bare and (p.is_own_folder() or isinstance(p, ObjectPath)) and not p.total_bytes())
        )
    except OSError as error:
        raise CatalogError(f"the folder {layout.root} cannot be read: {error.strerror}") from error
    if MARKER in names:
        return  # another process made it, after it was looked for
    if names:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise NotACatalogError(f"{layout.root} is not a catalog: it holds other files and no {MARKER}",
                               exists=f"it holds: {shown}", remedy="name a new or empty folder, or an earlier run's")
    if not create:
        raise CatalogError(f"{layout.root} is empty: there is no catalog in it", remedy="run a workflow first")


def check_writable(layout: Layout) -> None:
    """Raise CatalogError if a catalog cannot be written or made, or if its disk or store cannot keep two runs apart."""
    root, marker = layout.root, layout.marker
    with explained(layout, "read"):
        if isinstance(marker, ObjectPath) and marker.exists():
            # A new one is checked when it is made, which is before anything runs.
            check_conditional(marker, text_in(marker))
        if not isinstance(root, Path):
            return
        above = what_is_there(root)
        if not above.is_dir():
            raise CatalogError(f"the catalog {root} cannot be made: {above} is a file", remedy="name another folder")
        inside = (LocalPath(str(path)) for path in (layout.records, *map(layout.attempts, FOLDERS)))
        for each in (above, *(path for path in inside if path.exists())):
            if not os.access(each, os.W_OK | os.X_OK):
                remedy = "change the permission, or name another folder; plan, log and explain work without writing"
                raise CatalogError(f"the catalog {root} cannot be written: no permission to write in {each}",
                                   remedy=remedy)
        if marker.exists():
            return
        import tempfile  # no lookup needs it
        # A file is created only where there is none by a hard link: exFAT, FAT and some shared folders have none.
        with tempfile.NamedTemporaryFile(dir=above, prefix=TRIED) as file:
            other = Path(f"{file.name}.link")
            try:
                os.link(file.name, other)
            except OSError as error:
                raise CatalogError(f"the disk of {root} cannot hold a catalog: it has no hard links ({error.strerror})",
                                   exists="two runs at once could lose each other's records",
                                   remedy="name a folder on another disk, or a place in an object store") from error
            other.unlink()


class SamePlace:
    """The place of one catalog, which may not be there yet: its folder may be deleted, or another catalog put in its
    place, while a session goes on. A catalog is known by the id in its marker.

    Attributes:
        id: the catalog's; empty while it is not made.
        is_older: whether it was of an older layout when it was looked at first.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout, self.id, self._is_made = layout, "", False
        with explained(layout, "read"):
            try:
                marker = _read_marker(layout)
            except (FileNotFoundError, ValueError):
                self.is_older = layout_number(layout) < LAYOUT
            else:
                self.id, self._is_made, self.is_older = str(marker.get("id", "")), True, marker["layout"] < LAYOUT

    def make(self) -> None:
        """Make the catalog, unless it is there. Raises CatalogError as `check` does, or where it cannot be made."""
        if self._is_made:
            self.check()
            return
        make_catalog(self._layout)
        with explained(self._layout, "read"):
            self.id, self._is_made = str(_read_marker(self._layout).get("id", "")), True

    def check(self) -> None:
        """Raises CatalogError if the catalog is gone, or its name leads to another one."""
        if not self._is_made:
            return
        layout, what = self._layout, ""
        with explained(layout, "read"):
            if isinstance(layout.name, Path) and layout.name.resolve() != layout.root:
                what = f"the link that led to {layout.root} leads elsewhere"
            else:
                try:
                    if str(_read_marker(layout).get("id", "")) != self.id:
                        what = "another catalog was put in its place"
                except (FileNotFoundError, ValueError):
                    what = "its folder was moved or deleted, or what was in it is gone"
        if what:
            remedy = "put it back where it was; what is there now is not written to, and a new run takes it as it is"
            raise CatalogError(f"the catalog {layout.name} is not what it was: {what}", remedy=remedy)
