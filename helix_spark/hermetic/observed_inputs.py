"""The observed inputs of the author's code, and files that it names: a library in C may read them unseen."""

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
"""Placeholder for the content of a device, a pipe, or an impossible file name: it cannot be compared."""

_MOST_NAMES = 1_000_000
"""Limit of names in a folder; a folder with more counts as unknown."""


@dataclass(frozen=True, slots=True)
class ObservedInputs:
    """Inputs that one node's code was observed to use.

    Attributes:
        drew: True if the code drew random numbers.
        files: digests of files that it read, by path (`content_of`).
        environment: digests of variables, by name (`value_of`).
        told: digests of other answers of the system, by query (`system_digest`).
        generators: digests of the states of shared generators that the author's code seeded and drew from, by module
            (see `AuthorSeeds`); ABSENT for one that Helix seeded.
        chance: why the result may differ each time, as phrases with the author's line.
        outside: requests to the network and other processes, and code of the project that is found by its name,
            likewise; `depends_on=` answers for them.
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
        """True if anything was read that counts."""
        return any(getattr(self, kind) for kind in LOOKS)

    @property
    def seeded(self) -> Mapping[str, str]:
        """States of the generators that the author's code has seeded."""
        return {name: state for name, state in self.generators.items() if state != ABSENT}

    @property
    def places(self) -> tuple[str, ...]:
        """Files that were read, and folders whose names were listed."""
        return (*self.files, *(query.partition(" of ")[2] for query in self.told if query.startswith(NAMES)))

    @property
    def unknown(self) -> str:
        """A path whose content is unknown; empty if there is none."""
        contents = (*self.files.items(), *self.told.items())
        return next((path for path, content in contents if content == NO_FILE), "")

    def agrees(self, other: ObservedInputs) -> bool:
        """Return whether all inputs of `other` are known and the same here."""
        return not other.unknown and all(getattr(self, kind).items() >= getattr(other, kind).items() for kind in LOOKS)

    def now(self) -> ObservedInputs:
        """Return the same inputs with their present digests."""
        reads: dict[str, Any] = {kind: {name: LOOKS[kind](name) for name in getattr(self, kind)} for kind in LOOKS}
        return ObservedInputs(self.drew, **reads)

    def to_json(self) -> str:
        """Return the text for a record, without `chance` and `outside`; empty if there is nothing to record."""
        fields: dict[str, Any] = {kind: dict(getattr(self, kind)) for kind in LOOKS if getattr(self, kind)}
        fields |= {"drew": True, "generators": dict(self.generators)} if self.drew else {}
        return json.dumps(fields, sort_keys=True) if fields else ""


NOTHING_OBSERVED = ObservedInputs()


def observed_from_json(text: str) -> ObservedInputs:
    """Parse the text that `ObservedInputs.to_json` wrote. Older records do not name the generators, all of which Helix
    had seeded. The text is untrusted: an impossible path is cut, and its content is unknown. So are fields of later
    versions."""
    fields: dict[str, Any] = json.loads(text) if text else {}
    for folder, content in fields.pop("listed", {}).items():  # the field's name in older records
        fields.setdefault("told", {})[f"{NAMES} of {folder}"] = content
    strange = [*(fields.keys() - {"drew", *LOOKS}), *(key for key in fields.get("told", {}) if not is_file_name(key))]
    fields["files"] = dict(
        (path, content) if is_file_name(path) else (visible(path[:200]), NO_FILE)
        for path, content in fields.get("files", {}).items()
    )
    for name in strange:
        fields["files"][f"what is noted as {visible(name[:200])}"] = NO_FILE
        fields.pop(name, None)
        fields.get("told", {}).pop(name, None)
    if fields.get("drew"):
        fields.setdefault("generators", dict.fromkeys(SHARED, ABSENT))
    return ObservedInputs(**fields)


def reads_unknown(path: str) -> str:
    """Return the reason against reuse of code that reads a path, to follow the name of the code."""
    return f"reads {visible(path[:200])}, which is no regular file on a disk"


def content_of(path: str) -> str:
    """Return the identity of the content at a path: the SHA-256 of a file, or of the identifying fields of a large one.
    The path may come from a record, so open regular files of a disk only.

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
"""Query of `value_of` for the names of all variables but those that follow, which the code has set itself."""

FOR_SPARK = ("SPARK_", "PYSPARK_", "PYTHON", "OMP_NUM_THREADS")
"""Prefixes of variables that Spark may set for its workers."""


def value_of(variable: str) -> str:
    """Return the digest of an environment variable, or of the names of all."""
    try:
        value = os.environ.get(variable)
        if variable.startswith(ALL_VARIABLES):
            own, ignored = variable.removeprefix(ALL_VARIABLES).split(), (*FOR_SPARK, "HELIX")
            value = " ".join(sorted(key for key in os.environ if key not in own and not key.startswith(ignored)))
    except UnicodeEncodeError:  # no variable has such a name
        value = None
    if value is None:
        return ABSENT
    return hashlib.sha256(f"{variable}={value}".encode(errors="surrogateescape")).hexdigest()


WORKING_FOLDER = "working folder of the process"
"""Query of `system_digest` for the working folder, to which relative paths belong."""

_QUERIES: Mapping[str, Callable[[str], object]] = {
    "entry points": lambda group: sorted(
        (point.group, point.name, point.value, dist.version)
        for dist in _metadata().distributions() for point in dist.entry_points if group in ("", point.group)
    ),
    "packages": lambda _: sorted((dist.metadata["Name"], dist.version) for dist in _metadata().distributions()),
    "package": lambda name: _metadata().distribution(name).read_text("METADATA"),
    "working folder": lambda _: Path.cwd(),
    "access": lambda path: [os.access(path, mode) for mode in (os.R_OK, os.W_OK, os.X_OK)],
    "link": os.readlink,
    "entries": lambda path: [_status(entry) for entry in _entries(path)],
    "status": lambda path: _status(Path(path)),
}


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with scan_folder(folder) as entries:
        ordered = sorted(islice(entries, _MOST_NAMES + 1), key=lambda entry: entry.name)
    if len(ordered) > _MOST_NAMES:
        raise OddFileError(errno.EFBIG, "it has too many names", folder)
    return [entry for entry in ordered if entry.name != "__pycache__"]


def _metadata() -> Any:
    return importlib.import_module("importlib.metadata")  # a slow import, seldom needed


def _status(path: Path | os.DirEntry[str]) -> tuple[object, ...]:
    status = path.stat()
    return path.name, status.st_mode, status.st_size, status.st_mtime_ns


NAMES = "names"
"""Query of `system_digest` for the names in a folder; `` like `` and a pattern may follow."""


def system_digest(query: str) -> str:
    """Return the digest of an answer of the system; open no file. A query is a key of `_QUERIES`, `NAMES`, or a field
    of a path's status, then " of ", then the path or package.

    >>> system_digest("mtime of /no/such/file"), system_digest("mode of /") == system_digest("mode of /.")
    ('absent', True)
    """
    word, _, path = query.partition(" of ")
    try:
        if word.startswith(NAMES):
            answer: object = fnmatch.filter([file.name for file in _entries(path)], word.partition(" like ")[2] or "*")
        else:
            answer = _QUERIES[word](path) if word in _QUERIES else getattr(Path(path).stat(), f"st_{word}", None)
        return hashlib.sha256(repr(answer).encode(errors="surrogateescape")).hexdigest()
    except OddFileError as error:
        return ABSENT if error.errno == errno.ENOTDIR else NO_FILE
    except (ImportError, OSError, ValueError):
        return ABSENT


LOOKS: Mapping[str, Callable[[str], str]] = {
    "files": content_of, "told": system_digest, "environment": value_of, "generators": AUTHOR_SEEDS.digest,
}
"""By field of `ObservedInputs`, the function that digests the present state of an input."""

_ATTACHED = re.compile(r"\battach\b(?:\s+database)?\s+['\"]([^'\"]+)", re.IGNORECASE)
"""A file in a SQL statement, which sqlite opens unseen."""


def files_named(function: Callable[..., Any]) -> Iterator[str]:
    """Yield the absolute paths of files that a function names or holds, and the author's functions that it calls."""
    waiting: list[object] = [getattr(function, "__wrapped__", function)]
    visited: set[int] = set()
    paths: dict[str, None] = {}
    while waiting:
        value = waiting.pop()
        if isinstance(value, FunctionType):
            if id(value) not in visited and kind_of(value.__code__.co_filename) is CodeOwner.AUTHOR:
                visited.add(id(value))
                waiting += [*(value.__defaults__ or ()), *_values_named(value.__code__, value.__globals__)]
                for cell in value.__closure__ or ():
                    with suppress(ValueError):  # the cell is empty
                        waiting.append(cell.cell_contents)
        elif issubclass(type(value), str | PurePath):  # `isinstance` would believe a proxy
            text = str(value)
            waiting += _ATTACHED.findall(text)
            # A bare name counts as a file if it has a suffix.
            is_path = 2 < len(text) < 1000 and ("/" in text or "." in text) and not {"\n", "\0"}.intersection(text)
            if is_path and Path(text).is_file():
                paths[str(Path(text).absolute())] = None
    yield from paths


def _values_named(code: CodeType, names: Mapping[str, object]) -> Iterator[object]:
    """Yield the constants of code, and the values of its names."""
    # Code uses `__file__` to find files next to it; reading those is observed.
    yield from (names[name] for name in code.co_names if name in names and name != "__file__")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _values_named(constant, names)
        yield from constant if isinstance(constant, tuple) else (constant,)
