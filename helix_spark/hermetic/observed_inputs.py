"""What the author's code was seen to do, and files that it names: a library in C may read them unseen."""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import importlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePath
from types import CodeType, FunctionType
from typing import Any

from helix_spark.hermetic.asking import CodeOwner, kind_of
from helix_spark.hermetic.generators import ABSENT, AUTHOR_SEEDS, SHARED
from helix_spark.regular_files import OddFileError, content_fields, is_file_name, scan_folder
from helix_spark.visible_text import visible

NO_FILE = "no file"
"""Stands for the content of a device, a pipe, a name that no file can have: nobody knows whether it is the same."""

_MOST_NAMES = 1_000_000
"""Of a folder that has more, its names are not known."""


@dataclass(frozen=True, slots=True)
class ObservedInputs:
    """What one node's code did besides computing.

    Attributes:
        drew: whether it drew numbers.
        files, environment: what it read by itself, by path or name, with what identifies it: contents of files
            (`content_of`), variables (`value_of`).
        told: what else the system said of files and folders, as `system_digest` is asked, with what stands for it.
        generators: by module, what stands for the state from which a shared generator was drawn that the author's code
            has seeded (see `AuthorSeeds`); ABSENT for one that Helix seeded.
        chance: why its result may differ each time, as phrases with the author's line.
        outside: the same, of what it asked others: the network, other processes.
    """

    drew: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    chance: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    generators: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)

    def __or__(self, other: ObservedInputs) -> ObservedInputs:
        return ObservedInputs(
            self.drew or other.drew, chance=tuple(dict.fromkeys((*self.chance, *other.chance))),
            outside=tuple(dict.fromkeys((*self.outside, *other.outside))),
            **{kind: {**getattr(self, kind), **getattr(other, kind)} for kind in LOOKS},
        )

    @property
    def reads(self) -> bool:
        """Whether it read anything that counts."""
        return any(getattr(self, kind) for kind in LOOKS)

    @property
    def seeded(self) -> Mapping[str, str]:
        """The generators among them that the author's code has seeded."""
        return {name: state for name, state in self.generators.items() if state != ABSENT}

    @property
    def places(self) -> tuple[str, ...]:
        """The files that it read, and the folders whose names it looked through."""
        return (*self.files, *(what.partition(" of ")[2] for what in self.told if what.startswith(NAMES)))

    @property
    def unknown(self) -> str:
        """A path whose content cannot be known; empty if there is none."""
        named = (*self.files.items(), *self.told.items())
        return next((path for path, content in named if content == NO_FILE), "")

    def agrees(self, other: ObservedInputs) -> bool:
        """Return whether all that the other one read is known to be the same here."""
        return not other.unknown and all(getattr(self, kind).items() >= getattr(other, kind).items() for kind in LOOKS)

    def only(self, other: ObservedInputs) -> ObservedInputs:
        """Return this, as far as the other one read it."""
        reads: dict[str, Any] = {
            kind: {name: getattr(self, kind)[name] for name in getattr(other, kind)} for kind in LOOKS
        }
        return ObservedInputs(self.drew, **reads)

    def now(self) -> ObservedInputs:
        """Return the same of what is there now."""
        reads: dict[str, Any] = {kind: {name: LOOKS[kind](name) for name in getattr(self, kind)} for kind in LOOKS}
        return ObservedInputs(self.drew, **reads)

    def to_json(self) -> str:
        """Return the text for a record, without why a result differs; empty if there is nothing to say."""
        said: dict[str, Any] = {kind: dict(sorted(known.items())) for kind in LOOKS if (known := getattr(self, kind))}
        said |= {"drew": True, "generators": dict(sorted(self.generators.items()))} if self.drew else {}
        return json.dumps(said, sort_keys=True) if said else ""


NOTHING_OBSERVED = ObservedInputs()


def observed_from_json(text: str) -> ObservedInputs:
    """Return what `ObservedInputs.to_json` wrote. Older records do not say which generators were drawn from, all of
    which Helix had seeded. A stranger may have written it: a path that no file can have is cut, and its content is
    unknown. So is what a later version notes of more kinds."""
    told: dict[str, Any] = json.loads(text) if text else {}
    for folder, content in told.pop("listed", {}).items():  # as older records call it
        told.setdefault("told", {})[f"{NAMES} of {folder}"] = content
    strange = [*(told.keys() - {"drew", *LOOKS}), *(one for one in told.get("told", {}) if not is_file_name(one))]
    told["files"] = dict(
        (path, content) if is_file_name(path) else (visible(path[:200]), NO_FILE)
        for path, content in told.get("files", {}).items()
    )
    for name in strange:
        told["files"][f"what is noted as {visible(name[:200])}"] = NO_FILE
        told.pop(name, None)
        told.get("told", {}).pop(name, None)
    if told.get("drew"):
        told.setdefault("generators", dict.fromkeys(SHARED, ABSENT))
    return ObservedInputs(**told)


def reads_unknown(path: str) -> str:
    """Return why the result of code that reads a path is not reused, as what follows the name of the code."""
    return f"reads {visible(path[:200])}, which is no regular file on a disk"


def content_of(path: str) -> str:
    """Return what identifies the content at a path: the SHA-256 of a file, or of what tells a large one from others.
    The path may come from a record: nothing but a regular file of a disk is opened.

    >>> content_of("/no/such/file"), content_of("/dev/zero"), content_of("/dev")
    ('absent', 'no file', 'folder')
    """
    try:
        fields = content_fields(path)
        return str(fields[1]) if len(fields) == 2 else hashlib.sha256(repr(fields).encode()).hexdigest()
    except OddFileError as error:
        return "folder" if error.errno == errno.EISDIR else NO_FILE
    except OSError:
        return ABSENT


ALL_VARIABLES = "names of variables besides "
"""What `value_of` is asked where code looks through the names; those that it has set itself follow."""

FOR_SPARK = ("SPARK_", "PYSPARK_", "PYTHON", "OMP_NUM_THREADS")
"""How variables begin that Spark may set for its workers."""


def value_of(variable: str) -> str:
    """Return what stands for the value of an environment variable, or for the names of all."""
    try:
        value = os.environ.get(variable)
        if variable.startswith(ALL_VARIABLES):
            own, apart = variable.removeprefix(ALL_VARIABLES).split(), (*FOR_SPARK, "HELIX")
            value = " ".join(sorted(one for one in os.environ if one not in own and not one.startswith(apart)))
    except UnicodeEncodeError:  # no variable has such a name
        value = None
    if value is None:
        return ABSENT
    return hashlib.sha256(f"{variable}={value}".encode(errors="surrogateescape")).hexdigest()


WORKING_FOLDER = "working folder of the process"
"""What `system_digest` is asked where code names a file from there, or asks where it is."""

_SAYS: Mapping[str, Callable[[str], object]] = {
    "entry points": lambda group: sorted(
        (point.group, point.name, point.value, one.version)
        for one in _metadata().distributions() for point in one.entry_points if group in ("", point.group)
    ),
    "packages": lambda _: sorted((one.metadata["Name"], one.version) for one in _metadata().distributions()),
    "package": lambda name: _metadata().distribution(name).read_text("METADATA"),
    "working folder": lambda _: Path.cwd(),
    "access": lambda path: [os.access(path, how) for how in (os.R_OK, os.W_OK, os.X_OK)],
    "link": os.readlink,
    "entries": lambda path: [_status(one) for one in _entries(path)],
    "status": lambda path: _status(Path(path)),
}


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with scan_folder(folder) as entries:
        found = sorted(islice(entries, _MOST_NAMES + 1), key=lambda one: one.name)
    if len(found) > _MOST_NAMES:
        raise OddFileError(errno.EFBIG, "it has too many names", folder)
    return [one for one in found if one.name != "__pycache__"]


def _metadata() -> Any:
    return importlib.import_module("importlib.metadata")  # which takes long, and few ask


def _status(path: Path | os.DirEntry[str]) -> tuple[object, ...]:
    told = path.stat()
    return path.name, told.st_mode, told.st_size, told.st_mtime_ns


NAMES = "names"
"""What `system_digest` is asked for the names in a folder; `` like `` may follow, and a pattern that they have."""


def system_digest(asked: str) -> str:
    """Return what stands for what the system says of a path: a word of `_SAYS`, `NAMES`, or a field of its status,
    " of ", and the path, which may come from a record: no file is opened. Likewise of installed packages.

    >>> system_digest("mtime of /no/such/file"), system_digest("mode of /") == system_digest("mode of /.")
    ('absent', True)
    """
    word, _, path = asked.partition(" of ")
    try:
        if word.startswith(NAMES):
            said: object = fnmatch.filter([one.name for one in _entries(path)], word.partition(" like ")[2] or "*")
        else:
            said = _SAYS[word](path) if word in _SAYS else getattr(Path(path).stat(), f"st_{word}", None)
        return hashlib.sha256(repr(said).encode(errors="surrogateescape")).hexdigest()
    except OddFileError as error:
        return ABSENT if error.errno == errno.ENOTDIR else NO_FILE
    except (ImportError, OSError, ValueError):
        return ABSENT


LOOKS: Mapping[str, Callable[[str], str]] = {
    "files": content_of, "told": system_digest, "environment": value_of, "generators": AUTHOR_SEEDS.digest,
}
"""By field of `ObservedInputs`, what tells the present state of something that code read."""


_ATTACHED = re.compile(r"\battach\b(?:\s+database)?\s+['\"]([^'\"]+)", re.IGNORECASE)
"""A file in a statement, which sqlite opens unseen."""


def files_named(function: Callable[..., Any]) -> Iterator[str]:
    """Yield the absolute paths of files that a function names, or one of the author's that it calls, in it or held."""
    waiting: list[object] = [getattr(function, "__wrapped__", function)]
    met: set[int] = set()
    found: dict[str, None] = {}
    while waiting:
        one = waiting.pop()
        if isinstance(one, FunctionType):
            if id(one) not in met and kind_of(one.__code__.co_filename) is CodeOwner.AUTHOR:
                met.add(id(one))
                waiting += [*(one.__defaults__ or ()), *_values_named(one.__code__, one.__globals__)]
                for cell in one.__closure__ or ():
                    with suppress(ValueError):  # it is empty as yet
                        waiting.append(cell.cell_contents)
        elif issubclass(type(one), str | PurePath):  # a proxy says of itself that it is one
            text = str(one)
            # A name alone is that of a file if it has an ending; a path is no longer than 1,000 characters.
            waiting += _ATTACHED.findall(text)
            is_path = 2 < len(text) < 1000 and ("/" in text or "." in text) and not {"\n", "\0"}.intersection(text)
            if is_path and Path(text).is_file():
                found[str(Path(text).absolute())] = None
    yield from found


def _values_named(code: CodeType, names: Mapping[str, object]) -> Iterator[object]:
    """Yield the constants of code, and what its names hold."""
    # Where its own file lies, code asks for the sake of others beside it; what it reads of it is seen.
    yield from (names[name] for name in code.co_names if name in names and name != "__file__")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _values_named(constant, names)
        yield from constant if isinstance(constant, tuple) else (constant,)
