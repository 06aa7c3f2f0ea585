"""Tables of rows on the simulated disk, behind as much of deltalake's front as the catalog's journals use.

deltalake is compiled, so that nothing can be stopped within it. Here each of its calls is taken step by step, in the
order in which deltalake takes them, with the same conditions: a commit is put in place if its number is free, a merge
is rebased unless what it replaces was replaced, a checkpoint is written and then pointed to. It is more permissive in
one thing: deltalake refuses to write with a view whose part of the log was cleaned up, here that succeeds.
"""

from __future__ import annotations

import json
import sys
import types
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from deltalake import exceptions

from benchmarks.interleavings.disk import SimPath, disk, written
from benchmarks.interleavings.rows import ROWS
from benchmarks.interleavings.world import world
from helix_spark.s3_access import StoreError

_HEADER, _ROW = 300, 60
"""Bytes of a file without rows, and of a row."""


@dataclass(frozen=True)
class _State:
    """A table at a version.

    Attributes:
        files: bytes and the number in `rows` of each file.
    """

    version: int
    files: Mapping[str, tuple[int, int]]
    settings: Mapping[str, str]
    kinds: Mapping[str, str]


@dataclass(frozen=True)
class _Commit:
    added: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    settings: Mapping[str, str] | None = None
    kinds: Mapping[str, str] | None = None

    def text(self, info: Mapping[str, str]) -> str:
        lines: list[dict[str, Any]] = [{"commitInfo": dict(info)}]
        lines += [{"remove": {"path": name}} for name in self.removed]
        lines += [{"add": {"path": name, "size": size}} for name, (size, _) in self.added.items()]
        return "".join(f"{json.dumps(line)}\n" for line in lines)


def _after(state: _State, commit: _Commit) -> _State:
    files = {name: file for name, file in state.files.items() if name not in commit.removed}
    return _State(
        state.version + 1, {**files, **commit.added}, commit.settings or state.settings, commit.kinds or state.kinds
    )


def _entry(folder: str, version: int) -> str:
    return f"{folder}/_delta_log/{version:020}.json"


def _checkpoint(folder: str, version: int) -> str:
    return f"{folder}/_delta_log/{version:020}.checkpoint.parquet"


def _new_file(folder: str, rows: int) -> str:
    return f"part-00000-{uuid.uuid4()}-c000.zstd.parquet"


def _versions(folder: str) -> tuple[list[int], list[int]]:
    """Those of the checkpoints and of the entries that are listed."""
    world().step("lists", f"{folder}/_delta_log")
    names = disk().folders.get(f"{folder}/_delta_log", {})
    checkpoints = sorted(int(name[:20]) for name in names if name.endswith(".checkpoint.parquet"))
    return checkpoints, sorted(int(name[:20]) for name in names if len(name) == 25)


def _read(path: str) -> Any:
    world().step("reads", path)
    file = disk().find(path)
    if file is None:
        raise exceptions.DeltaError(f"Object at location {path} not found")
    return file.made


def _load(folder: str, most: int | None = None) -> _State:
    checkpoints, entries = _versions(folder)
    if most is not None:
        checkpoints, entries = ([one for one in versions if one <= most] for versions in (checkpoints, entries))
    if not entries and not checkpoints:
        raise exceptions.TableNotFoundError(f"no log in {folder}")
    if checkpoints:
        state: _State = _read(_checkpoint(folder, checkpoints[-1]))
    elif entries[0] == 0:
        state = _State(-1, {}, {}, {})
    else:
        raise exceptions.DeltaError(f"the log of {folder} begins with entry {entries[0]}")
    return _followed(folder, state, entries)


def _followed(folder: str, state: _State, entries: list[int]) -> _State:
    """After all entries that follow a state."""
    waiting = [version for version in entries if version > state.version]
    if waiting and waiting != list(range(state.version + 1, waiting[-1] + 1)):
        raise exceptions.DeltaError(f"the log of {folder} has a gap: {waiting}")
    for version in waiting:
        state = _after(state, _read(_entry(folder, version)))
    return state


class DeltaTable:
    """A table as one process sees it: see `deltalake.DeltaTable`."""

    def __init__(self, uri: str, version: int | None = None, storage_options: object = None) -> None:
        self._folder = uri
        self._state = _load(uri, version)

    @classmethod
    def create(
        cls, uri: str, schema: _Schema, *, mode: str, configuration: Mapping[str, str], storage_options: object
    ) -> DeltaTable:
        checkpoints, entries = _versions(uri)
        if not checkpoints and not entries:
            commit = _Commit(settings=dict(configuration), kinds=schema.kinds)
            ROWS.table(_name(uri), schema.kinds)
            _committed(uri, 0, commit, {})
        return cls(uri)

    def version(self) -> int:
        return self._state.version

    def update_incremental(self) -> None:
        """To the newest version: from the newest checkpoint, if it is a later one, and by the entries that follow."""
        checkpoints, entries = _versions(self._folder)
        state = self._state
        if checkpoints and checkpoints[-1] > state.version:
            state = _read(_checkpoint(self._folder, checkpoints[-1]))
        self._state = _followed(self._folder, state, entries)

    def schema(self) -> _Schema:
        return _Schema(self._state.kinds)

    def metadata(self) -> types.SimpleNamespace:
        return types.SimpleNamespace(configuration=dict(self._state.settings), partition_columns=[])

    def protocol(self) -> types.SimpleNamespace:
        return types.SimpleNamespace(min_reader_version=1)

    def file_uris(self) -> list[str]:
        return [f"{self._folder}/{name}" for name in self._state.files]

    def get_add_actions(self) -> _Result:
        files = self._state.files
        return _Result({"path": list(files), "size_bytes": [size for size, _ in files.values()]})

    def create_checkpoint(self) -> None:
        state = self._state
        written(
            _checkpoint(self._folder, state.version),
            lambda: disk().put(_checkpoint(self._folder, state.version), "", 200 + 40 * len(state.files), state),
        )
        text = json.dumps({"version": state.version})
        pointer = f"{self._folder}/_delta_log/_last_checkpoint"
        written(pointer, lambda: disk().put(pointer, text))

    @property
    def optimize(self) -> DeltaTable:
        return self

    def compact(self, *, target_size: int, **_options: object) -> dict[str, int]:
        """Merges the files that are smaller than a size; small ones first, up to that size together."""
        begun, chosen, size = self._state, list[str](), 0
        for name, (bytes_, _) in sorted(begun.files.items(), key=lambda one: one[1]):
            if size + bytes_ <= target_size:
                chosen.append(name)
                size += bytes_
        if len(chosen) < 2:
            return {"numFilesRemoved": 0}
        for name in chosen:
            _check_there(self._folder, name)
        number = ROWS.merge(_name(self._folder), [begun.files[name][1] for name in chosen])
        made, size = _new_file(self._folder, 0), max(size - _HEADER * (len(chosen) - 1), _HEADER)
        written(f"{self._folder}/{made}", lambda: disk().put(f"{self._folder}/{made}", "", size))
        commit = _Commit({made: (size, number)}, tuple(chosen))
        while True:
            try:
                _committed(self._folder, self._state.version + 1, commit, {})
            except exceptions.CommitFailedError:
                self.update_incremental()
                if not set(chosen) <= set(self._state.files):
                    raise
                continue
            self._state = _after(self._state, commit)
            return {"numFilesRemoved": len(chosen)}


def _check_there(folder: str, name: str) -> None:
    world().step("reads", f"{folder}/{name}")
    if disk().find(f"{folder}/{name}") is None:
        raise exceptions.DeltaError(f"Object at location {folder}/{name} not found")


def _committed(folder: str, version: int, commit: _Commit, info: Mapping[str, str]) -> None:
    """Puts an entry in place. Raises CommitFailedError if its number is taken, DeltaError if there is no answer."""
    path, text = _entry(folder, version), commit.text(info)
    try:
        written(path, lambda: disk().put_new(path, text, None, commit))
    except FileExistsError as error:
        raise exceptions.CommitFailedError(f"version {version} exists") from error
    except StoreError as error:
        raise exceptions.DeltaError(str(error)) from error


UNNAMED = "rows.unnamed"
"""The point at which a file of rows is there that no entry names yet."""


def write_deltalake(
    table: DeltaTable, data: _Table, *, mode: str, schema_mode: str | None, writer_properties: object,
    commit_properties: _Properties, post_commithook_properties: object,
) -> None:
    """Appends rows as the version after that of the table."""
    folder = table._folder
    columns = data.columns
    ROWS.table(_name(folder), data.schema.kinds)
    number = ROWS.add(_name(folder), columns)
    rows = len(next(iter(columns.values())))
    name, size = _new_file(folder, rows), _HEADER + _ROW * rows
    try:
        written(f"{folder}/{name}", lambda: disk().put(f"{folder}/{name}", "", size))
    except StoreError as error:
        raise exceptions.DeltaError(str(error)) from error
    commit = _Commit({name: (size, number)})
    world().point(UNNAMED)
    _committed(folder, table.version() + 1, commit, commit_properties.custom_metadata or {})
    table._state = _after(table._state, commit)


class QueryBuilder:
    def register(self, name: str, table: DeltaTable) -> QueryBuilder:
        self._table = table
        return self

    def execute(self, sql: str) -> QueryBuilder:
        self._sql = sql
        return self

    def read_all(self) -> _Result:
        state, folder = self._table._state, self._table._folder
        world().step("reads", f"{folder}, its files")
        for name in state.files:
            if disk().find(f"{folder}/{name}") is None:
                raise Exception(f"Object at location {folder}/{name} not found")  # as deltalake does
        return _Result(ROWS.query(_name(folder), [number for _, number in state.files.values()], self._sql))


def _name(folder: str) -> str:
    return SimPath(folder).name


# What stands for arro3, and for settings that are told to deltalake --------------------------------------------


class _Column(list[Any]):
    def to_pylist(self) -> list[Any]:
        return self


class _Result:
    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        self._columns = columns

    @property
    def column_names(self) -> list[str]:
        return list(self._columns)

    @property
    def num_rows(self) -> int:
        return max(map(len, self._columns.values()), default=0)

    def slice(self, start: int, rows: int) -> _Result:
        return _Result({name: values[start:start + rows] for name, values in self._columns.items()})

    def column(self, name: str) -> _Column:
        return _Column(self._columns[name])


@dataclass(frozen=True)
class _Schema:
    kinds: Mapping[str, str]

    @property
    def fields(self) -> list[types.SimpleNamespace]:
        return [types.SimpleNamespace(name=name) for name in self.kinds]

    def to_json(self) -> str:
        return json.dumps({"fields": [{"name": name, "type": _DELTA[kind]} for name, kind in self.kinds.items()]})


_DELTA = {
    "str": "string", "int": "long", "float": "double", "bool": "boolean",
    "strs": {"type": "array", "elementType": "string"},
}


class _Array(list[Any]):
    def __init__(self, values: Sequence[Any], type: str) -> None:
        super().__init__(values)
        for value in values:
            if isinstance(value, str):
                value.encode()
        self.kind = type


def _list_array(offsets: _Array, items: _Array) -> _Array:
    return _Array([items[begin:end] for begin, end in pairwise(offsets)], "strs")


class _Table:
    def __init__(self, columns: Mapping[str, _Array]) -> None:
        self.columns = columns

    @classmethod
    def from_pydict(cls, columns: Mapping[str, _Array]) -> _Table:
        return cls(columns)

    @property
    def schema(self) -> _Schema:
        return _Schema({name: array.kind for name, array in self.columns.items()})


class _DataType:
    string = staticmethod(lambda: "str")
    int32 = int64 = staticmethod(lambda: "int")
    float64 = staticmethod(lambda: "float")
    bool = staticmethod(lambda: "bool")


class _Properties:
    def __init__(self, **given: Any) -> None:
        self.custom_metadata: Mapping[str, str] | None = given.get("custom_metadata")


@contextmanager
def in_place_of_deltalake() -> Iterator[None]:
    """The journals of the catalog find this module where they import deltalake, which they do when they use it."""
    delta, arrow = types.ModuleType("deltalake"), types.ModuleType("arro3.core")
    for name in ("CommitProperties", "PostCommitHookProperties", "WriterProperties", "ColumnProperties"):
        setattr(delta, name, _Properties)
    for made in (DeltaTable, QueryBuilder, write_deltalake):
        setattr(delta, made.__name__, made)
    vars(delta)["exceptions"] = exceptions
    vars(arrow).update(Array=_Array, DataType=_DataType, Table=_Table, list_array=_list_array)
    before = {name: sys.modules.get(name) for name in ("deltalake", "arro3.core")}
    sys.modules.update({"deltalake": delta, "arro3.core": arrow})
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
