"""A catalog's paths and marker, and checks that a folder is a catalog. File operations are in `place.py`."""

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
"""Characters that deltalake (1.x) parses as parts of a URL: it panics, or reads another folder."""

SIGNATURE, ID = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{32}")
"""Names of results, and of attempts or runs."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of a catalog: its folder with links resolved, and the user's path if that differs."""

    root: Place
    alias: Place | None = None

    @property
    def name(self) -> Place:
        """The folder as the user wrote it."""
        return self.alias or self.root

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
        """Return the folder of all attempts of a kind, as ``SIGNATURE/ATTEMPT``; values have none."""
        return self.root / FOLDERS[kind]


def index_file(layout: Layout, catalog_id: str) -> Path | None:
    """Return the path of this user's index of a catalog, in HELIX_INDEX or the cache folder; None without a catalog."""
    if not catalog_id:
        return None
    name = hashlib.sha256(f"{layout.root}\0{catalog_id}".encode()).hexdigest()[:32]
    folder = os.environ.get("HELIX_INDEX")
    return (Path(folder) if folder else cache_folder() / "records") / f"{name}.sqlite"


def locate(root: str | os.PathLike[str], *, create: bool) -> Layout:
    """Return the layout at `root`, after all checks that need no write. Raises CatalogError; HelixError if this process
    was forked from one that opened a catalog."""
    check_catalogs_work()
    if isinstance(root, Path) and re.fullmatch("[a-z0-9]+:", root.parts[0] if root.parts else ""):
        raise NotACatalogError(f"the catalog {root} is an address in a Path, which drops a slash",
                               remedy="pass the address as text, not as a Path")
    if is_remote(root):
        layout = Layout(object_path(os.fspath(root)))
    else:
        # Behind a link, `..` is another folder on the disk than for libraries that shorten paths as text (deltalake).
        alias, folder = LocalPath(root).absolute(), LocalPath(root).resolve()
        layout = Layout(folder, None if folder == alias else alias)
        if unusable := _NO_TABLES.search(str(folder)):
            raise CatalogError(f"no tables can be stored at {folder}: Delta cannot read paths with {unusable[0]!r}",
                               remedy=f"name a folder whose path has no {unusable[0]!r}")
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
def explained(layout: Layout, action: str) -> Iterator[None]:
    """Raise an OSError of the block as a CatalogError with the `action` that failed."""
    try:
        yield
    except OSError as error:
        remedy = "check the store's credentials, which may have expired, this machine's clock, and the network"
        raise CatalogError(f"the catalog {layout.root} cannot be {action}: {error.strerror or error}",
                           remedy=remedy if is_remote(layout.root) else None) from error


def make_catalog(layout: Layout) -> None:
    """Make the catalog's folder and marker, unless they exist. The first process's marker stays."""
    from helix_spark.identity.environment import package_version  # readers do not need it

    with explained(layout, "made"):
        try:
            _read_marker(layout)
        except FileNotFoundError:
            pass
        except ValueError:  # rename the invalid marker
            layout.marker.move_to(layout.marker.with_name(f".{MARKER}.{uuid.uuid4().hex}"))
        else:
            return
        # Sync the folder once in a catalog's life, before it has any content.
        layout.root.make_folder(synced=True)
        by = f"helix_spark {package_version('helix_spark')}"
        new = {"layout": layout_number(layout), "created_by": by, "id": uuid.uuid4().hex}
        with suppress(FileExistsError):
            layout.marker.write_new(f"{json.dumps(new)}\n".encode(), synced=True)
        if isinstance(layout.marker, ObjectPath):
            check_conditional(layout.marker, text_in(layout.marker))


def layout_number(layout: Layout) -> int:
    """Return a catalog's layout version from its marker, or from its records if the marker cannot be read."""
    with suppress(FileNotFoundError, ValueError):
        return int(_read_marker(layout)["layout"])
    with suppress(NotADirectoryError):
        names = [entry.name for entry in layout.records.entries()]
        if any(name.endswith(".head") for name in names) and not any(name.endswith(".segment") for name in names):
            return 1
    return LAYOUT


def _read_marker(layout: Layout) -> dict[str, Any]:
    """Read the marker. Raises FileNotFoundError if there is none, ValueError if it names no layout, OSError."""
    try:
        marker = parsed(text_in(layout.marker))
    except OddFileError as error:
        raise ValueError("it is a link, no regular file, or too large") from error
    if not isinstance(marker, dict) or type(marker.get("layout")) is not int:
        raise ValueError("it names no layout")
    return marker


def _holds_records(layout: Layout) -> bool:
    """True if a folder has a catalog's content, regardless of its marker."""
    with suppress(NotADirectoryError):
        if any(entry.name.endswith((".segment", ".fold")) for entry in layout.records.entries()):
            return True
    return any(SIGNATURE.fullmatch(first) for kind in FOLDERS for first, _ in layout.attempts(kind).second_names())


def _has_marker(layout: Layout) -> bool:
    """Return whether a catalog's marker exists and can be read. Raises CatalogError if it cannot be read."""
    if isinstance(layout.marker, Path) and not os.path.lexists(layout.marker):
        return False
    try:
        marker = _read_marker(layout)
    except FileNotFoundError:
        return False
    except (ValueError, OSError) as error:
        if isinstance(error, ValueError) and _holds_records(layout):
            return True  # the next write replaces the marker, which has no other information
        why = error.strerror if isinstance(error, OSError) else error
        raise CatalogError(f"the marker {layout.marker} cannot be read: {why}",
                           remedy=f"restore {MARKER} from a copy, or name another folder") from error
    if marker["layout"] > LAYOUT:
        message = f"the catalog {layout.root} has layout {marker['layout']}; this helix_spark reads up to {LAYOUT}"
        raise CatalogError(message, exists=f"made by {marker.get('created_by', 'an unknown version')}",
                           remedy="upgrade helix_spark, or name another folder")
    return True


def _check_no_links(layout: Layout) -> None:
    """Check that a catalog's folders hold no links: a foreign one's leases and deletions would go elsewhere."""
    folders = (layout.root, layout.root / "records") if isinstance(layout.root, Path) else ()
    for folder in folders:
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            if link := next((entry.path for entry in entries if entry.is_symlink()), None):
                remedy = "move or mount its target there; only the whole catalog may be behind a link"
                raise CatalogError(f"{link} is a link, which a catalog may not contain",
                                   exists=f"it leads to {Path(link).readlink()}", remedy=remedy)


def _check_free(layout: Layout, *, create: bool) -> None:
    if not layout.root.is_dir():
        raise NotACatalogError(f"the catalog {layout.root} is a file, not a folder", remedy="name a folder")
    try:
        # Another process may be testing the disk or writing the marker, and a killed process may have left only leases.
        # Spark creates missing parents of its output folders, also after a catalog was moved away.
        if isinstance(layout.root, Path):
            next(layout.root.iterdir(), None)  # `glob` is silent without permission
        may_be_empty = (layout.records, *map(layout.attempts, FOLDERS))
        names = sorted(
            path.name for path in layout.root.glob("*")
            if not path.name.startswith((f".{MARKER}.", TRIED)) and path != layout.leases and not (
                path in may_be_empty and (path.is_own_folder() or isinstance(path, ObjectPath))
                and not path.total_bytes()
            )
        )
    except OSError as error:
        raise CatalogError(f"the folder {layout.root} cannot be read: {error.strerror}") from error
    if MARKER in names:
        return  # another process made it meanwhile
    if names:
        listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise NotACatalogError(f"{layout.root} is not a catalog: it holds other files and no {MARKER}",
                               exists=f"it holds: {listed}", remedy="name a new or empty folder, or an earlier run's")
    if not create:
        raise CatalogError(f"{layout.root} is empty: there is no catalog in it", remedy="run a workflow first")


def check_writable(layout: Layout) -> None:
    """Raise CatalogError if a catalog cannot be written or made, or its disk or store does not isolate runs."""
    root, marker = layout.root, layout.marker
    with explained(layout, "read"):
        if isinstance(marker, ObjectPath) and marker.exists():
            # A new marker is checked when it is made, which is before anything runs.
            check_conditional(marker, text_in(marker))
        if not isinstance(root, Path):
            return
        above = what_is_there(root)
        if not above.is_dir():
            raise CatalogError(f"the catalog {root} cannot be made: {above} is a file", remedy="name another folder")
        inside = (LocalPath(str(path)) for path in (layout.records, *map(layout.attempts, FOLDERS)))
        for folder in (above, *(path for path in inside if path.exists())):
            if not os.access(folder, os.W_OK | os.X_OK):
                remedy = "change the permission, or name another folder; plan, log and explain work without writing"
                raise CatalogError(f"the catalog {root} cannot be written: no permission to write in {folder}",
                                   remedy=remedy)
        if marker.exists():
            return
        import tempfile  # no lookup needs it
        # Exclusive creation of files uses hard links, which exFAT, FAT and some shared folders do not have.
        with tempfile.NamedTemporaryFile(dir=above, prefix=TRIED) as file:
            link = Path(f"{file.name}.link")
            try:
                os.link(file.name, link)
            except OSError as error:
                raise CatalogError(f"the disk of {root} cannot hold a catalog: it has no hard links ({error.strerror})",
                                   exists="concurrent runs could lose each other's records",
                                   remedy="name a folder on another disk, or in an object store") from error
            link.unlink()


class CatalogLocation:
    """The location of a catalog, which may not exist yet. During a session, its folder may be deleted, or replaced by
    another catalog, whose marker has another id.

    Attributes:
        id: the catalog's id; empty until the catalog is made.
        is_older: True until its older layout is taken over, as far as this process knows.
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
        """Make the catalog, unless it exists. Raises CatalogError like `check`, or if it cannot be made."""
        if self._is_made:
            self.check()
            return
        make_catalog(self._layout)
        with explained(self._layout, "read"):
            self.id, self._is_made = str(_read_marker(self._layout).get("id", "")), True

    def check(self) -> None:
        """Raise CatalogError if the catalog is gone, or its name leads to another one."""
        if not self._is_made:
            return
        layout, why = self._layout, ""
        with explained(layout, "read"):
            if isinstance(layout.name, Path) and layout.name.resolve() != layout.root:
                why = f"the link that led to {layout.root} leads elsewhere"
            else:
                try:
                    if str(_read_marker(layout).get("id", "")) != self.id:
                        why = "another catalog was put in its place"
                except (FileNotFoundError, ValueError):
                    why = "its folder was moved, deleted or emptied"
        if why:
            remedy = "put it back; this run does not write to the folder that is there now, but a new run does"
            raise CatalogError(f"the catalog {layout.name} is not what it was: {why}", remedy=remedy)
