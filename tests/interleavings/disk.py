"""The simulated place: files that appear whole, conditional writes, no links; as an object store has them.

A `SimPath` is a place of the catalog (`places.place.Place`). Each of its methods touches the disk in one
step, before which a driver may be stopped; deleting a folder takes a step a file.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, BinaryIO

from helix_spark.catalog.places.object_store import ObjectStatus
from tests.interleavings.world import world


@dataclass(slots=True)
class File:
    """A file; replaced whole."""

    content: bytes
    size: int
    mtime: float


@dataclass
class Disk:
    """Files by folder and name."""

    folders: dict[str, dict[str, File]] = field(default_factory=dict)

    def copy(self) -> Disk:
        """Files are replaced whole, so that copies may share them."""
        return Disk({name: dict(inside) for name, inside in self.folders.items()})

    def find(self, path: str) -> File | None:
        folder, _, name = path.rpartition("/")
        inside = self.folders.get(folder)
        return None if inside is None else inside.get(name)

    def get(self, path: str) -> File:
        found = self.find(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such object", path)
        return found

    def put(self, path: str, content: bytes, size: int | None = None) -> None:
        folder, _, name = path.rpartition("/")
        self.folders.setdefault(folder, {})[name] = File(content, len(content) if size is None else size, world().now)

    def put_new(self, path: str, content: bytes) -> None:
        if self.find(path) is not None:
            raise FileExistsError(errno.EEXIST, "the object exists already", path)
        self.put(path, content)

    def remove(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        inside = self.folders.get(folder)
        if inside is not None and inside.pop(name, None) is not None and not inside:
            del self.folders[folder]

    def below(self, path: str) -> Iterator[tuple[str, File]]:
        """All files under a folder, with their paths."""
        for folder, inside in list(self.folders.items()):
            if folder == path or folder.startswith(f"{path}/"):
                for name, file in list(inside.items()):
                    yield f"{folder}/{name}", file

    def is_folder(self, path: str) -> bool:
        return path in self.folders or any(folder.startswith(f"{path}/") for folder in self.folders)

    def children(self, path: str) -> list[str]:
        names = dict.fromkeys(self.folders.get(path, ()))
        beginning = len(path) + 1
        for folder in self.folders:
            if folder.startswith(f"{path}/"):
                names[folder[beginning:].partition("/")[0]] = None
        return sorted(names)


DISK: list[Disk] = []


def disk() -> Disk:
    return DISK[-1]


def written(path: str, write: Callable[[], None], *, is_new: bool = False) -> None:
    """One write, with what becomes of its answer. Raises StoreError where there is none.

    Args:
        is_new: it fails where the file is there. What was asked for again, as its answer was lost, fails by itself.
    """
    here = world()
    here.step("writes", path)
    told = here.told()
    if told == "failed":
        here.note("... which fails")
        raise here.refused()
    if told == "late":
        here.note("... which is carried out later, and not answered")
        here.later(lambda: _late(write))
        raise here.refused()
    write()
    if told == "lost":
        here.note("... whose answer is lost")
        raise here.refused()
    if told == "again" and is_new:
        here.note("... which was done, and is refused as it was asked for again")
        raise FileExistsError(errno.EEXIST, "the object exists already", path)


def _late(write: Callable[[], None]) -> None:
    with suppress(OSError):  # its condition may not hold any more
        write()


CREATED = "log.created"
"""A point of the simulation: a segment's file is made, its writer has not looked where it is."""

_NOT_SIMULATED = "no driver of the simulation does that"


class SimPath:
    """A file or folder, there or not."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def __str__(self) -> str:
        return self.path

    def __fspath__(self) -> str:
        return self.path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SimPath) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __truediv__(self, key: str, /) -> SimPath:
        return SimPath(f"{self.path}/{key}")

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> SimPath:
        return SimPath(self.path.rpartition("/")[0])

    def with_name(self, name: str, /) -> SimPath:
        return self.parent / name

    # What a path does ----------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        world().step("looks for", self.path)
        return disk().find(self.path) is not None or disk().is_folder(self.path)

    def is_dir(self) -> bool:
        world().step("looks for", self.path)
        return disk().is_folder(self.path)

    is_own_folder = is_dir

    def is_file(self) -> bool:
        world().step("looks for", self.path)
        return disk().find(self.path) is not None

    def stat(self) -> ObjectStatus:
        world().step("looks at", self.path)
        file = disk().get(self.path)
        return ObjectStatus(file.size, file.mtime)

    lstat = stat

    def read_at_most(self, most: int) -> bytes:
        world().step("reads", self.path)
        if "/records/" in self.path and world().is_unread():
            raise world().refused()
        return disk().get(self.path).content

    def unlink(self, missing_ok: bool = False) -> None:
        if not missing_ok:
            self.stat()
        world().step("removes", self.path)
        disk().remove(self.path)

    def glob(self, pattern: str, /) -> Iterator[SimPath]:
        world().step("lists", self.path)
        here = disk()
        names = [name for name in here.children(self.path) if fnmatchcase(name, pattern)]
        yield from [self / name for name in names]

    def entries(self) -> list[ObjectStatus]:
        world().step("lists", self.path)
        found = disk().folders.get(self.path, {}).items()
        return [ObjectStatus(file.size, file.mtime, name) for name, file in found]

    # What can be done there ----------------------------------------------------------------------------------------

    def replace_text(self, text: str, *, synced: bool = False) -> None:
        written(self.path, lambda: disk().put(self.path, text.encode()))

    def write_new(self, content: bytes, *, synced: bool = False) -> None:
        written(self.path, lambda: disk().put_new(self.path, content), is_new=True)
        if self.path.endswith(".segment"):
            world().point(CREATED)

    def move_to(self, other: SimPath, /) -> None:
        written(other.path, lambda: disk().put(other.path, disk().get(self.path).content))
        self.unlink(missing_ok=True)

    def sync(self, files: Collection[SimPath], /) -> None:
        """Each must be there; what is written is kept anyhow."""
        for file in files:
            world().step("syncs", file.path)
            disk().get(file.path)

    def make_folder(self, *, synced: bool = False) -> None:
        """Nothing: a file's name makes its folders."""

    def make_new_folder(self, *, within: SimPath) -> None:
        if self.exists():
            raise FileExistsError(errno.EEXIST, "the folder exists already", self.path)

    def total_bytes(self) -> int:
        world().step("counts", self.path)
        return sum(file.size for _, file in disk().below(self.path))

    def last_modified(self) -> float | None:
        world().step("looks at", self.path)
        return max((file.mtime for _, file in disk().below(self.path)), default=None)

    def second_names(self, known: Collection[str] = (), /) -> Iterator[tuple[str, str]]:
        world().step("lists", self.path)
        names = (path[len(self.path) + 1 :].split("/") for path, _ in disk().below(self.path))
        yield from dict.fromkeys((first, second[0]) for first, *second in names if second)

    def files(self) -> Iterator[SimPath]:
        world().step("lists", self.path)
        if not disk().is_folder(self.path):
            raise FileNotFoundError(errno.ENOENT, "there is no such folder", self.path)
        yield from [SimPath(path) for path, _ in disk().below(self.path)]

    def delete_tree(self) -> None:
        for path in sorted(path for path, _ in disk().below(self.path)):
            world().step("removes", path)
            disk().remove(path)

    # What no driver does: it does not read results -------------------------------------------------------------------

    def open_binary(self) -> BinaryIO:
        raise NotImplementedError(_NOT_SIMULATED)

    def writable(self) -> AbstractContextManager[Any]:
        raise NotImplementedError(_NOT_SIMULATED)

    @property
    def spark_uri(self) -> str:
        raise NotImplementedError(_NOT_SIMULATED)
