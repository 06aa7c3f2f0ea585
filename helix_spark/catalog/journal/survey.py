"""What a journal's folder holds, whatever state it is in: which entries of its log can be read, which files of rows
they name, and which files lie there besides. Reads each file by itself, checked and with limits, so that one that is
damaged hides no other, and follows no name that leads out of the folder. Changes nothing.
"""

from __future__ import annotations

import io
import operator
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.journal.log_end import head_file
from helix_spark.catalog.journal.own_files import StrangeFilesError, check_content, name_in
from helix_spark.catalog.journal.rows import PLACE, SEQUENCE
from helix_spark.catalog.places.delta_log import LONGEST_ENTRY, DeltaLog, actions_of
from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.places.place import Place, is_out_of_reach, text_in
from helix_spark.catalog.places.side_checksums import BadSealError, ChecksumError, beside, check_all, with_right_bits

if TYPE_CHECKING:
    import pyarrow as pa


_FILE = re.compile(rb"part-[\w.-]+\.parquet")

GONE = "is gone"
"""Why a file is unsound that is not there."""

_LARGEST_GAP = 1_000_000
"""Versions that may be missing in a row. No catalog has had so many runs."""


@dataclass(frozen=True, slots=True)
class Added:
    """A file of rows as the log has it. Its least and greatest sequence are None where the log does not tell them."""

    name: str
    size: int | None = None
    rows: int | None = None
    least: int | None = None
    most: int | None = None
    statistics: Mapping[str, Any] = field(default_factory=dict, compare=False)
    action: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(slots=True)
class _State:
    """What the sound entries say, as far as they were read."""

    added: dict[str, Added] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    metadata: Mapping[str, Any] | None = None
    protocol: Mapping[str, Any] | None = None

    def take(self, action: Mapping[str, Any]) -> None:
        if (add := action.get("add")) is not None:
            one = _added(add)
            self.added[one.name] = one
            self.named.add(one.name)
        if (remove := action.get("remove")) is not None:
            name = name_in(remove)
            self.added.pop(name, None)
            self.named.add(name)
        self.metadata = action.get("metaData") or self.metadata
        self.protocol = action.get("protocol") or self.protocol


@dataclass(frozen=True)
class Survey:
    """A journal as it lies there.

    Attributes:
        there: whether there is anything of it.
        head: the version that the head file names; None where that is no version, -1 where there is no such file.
        never_synced: whether the head file says that nobody was told of anything in it.
        newest: the greatest version that anything names.
        base: of the newest sound checkpoint: entries up to it are not needed; -1 where there is none.
        unsound: versions after the base whose entries cannot be used, and why.
        mentioned: files of rows that are named in what is left of the unsound ones.
        beside: names of other unsound files of the log, and why.
        added: the files of rows that the sound entries name, and did not remove.
        named: all that they ever named.
        turned: sound files of the log and of rows of which a bit is wrong, in them or in their checksums.
        sound: those of the added whose rows can all be read.
        bad: the others, and why.
        spare: rows of files that are not among the sound ones.
        metadata, protocol: the newest ones; None where none was found.
    """

    folder: Place
    there: bool
    head: int | None
    never_synced: bool
    newest: int
    base: int
    unsound: Mapping[int, str]
    mentioned: frozenset[str]
    beside: Mapping[str, str]
    turned: Mapping[Place, Content]
    added: Mapping[str, Added]
    named: frozenset[str]
    sound: tuple[RowFile, ...]
    bad: Mapping[str, str]
    spare: tuple[RowFile, ...]
    metadata: Mapping[str, Any] | None
    protocol: Mapping[str, Any] | None

    @property
    def covered(self) -> frozenset[tuple[int, int]]:
        """(sequence, place) of the rows that can be read as the log is."""
        return frozenset(key for file in self.sound for key in file.keys)


def survey(folder: Place) -> Survey:
    """Looks at all of a journal. Raises OSError where it cannot be reached, which says nothing of what it holds."""
    log = DeltaLog(folder)
    is_own = log.folder.is_own_folder()  # what lies where a link leads is not looked at, and as good as gone
    entries, checkpoints = log.numbered() if is_own else ({}, {})
    head = _head(folder)
    state, base, beside, turned = _State(), -1, dict[str, str](), dict[Place, Content]()
    for version in sorted(checkpoints, reverse=True):
        try:
            found = _from_checkpoint(_content(checkpoints[version], LARGEST, turned))
        except UnsoundFileError as error:  # an old one, too: a journal is opened where all of them can be read
            turned.pop(checkpoints[version], None)
            beside[checkpoints[version].name] = str(error)
        else:
            state, base = (found, version) if base < 0 else (state, base)
    newest = _believed((*entries, *checkpoints, *(() if head is None else (head,))))
    head = None if head is not None and head > newest else head
    for version, entry in (*entries.items(), *checkpoints.items()):
        if version > newest:
            beside[entry.name] = "is numbered far beyond all others"
    unsound, mentioned = dict[int, str](), set[str]()
    for version in range(base + 1, newest + 1):
        of_version = entries.get(version)
        try:
            if of_version is None:
                raise UnsoundFileError(GONE)
            for action in _actions(_content(of_version, LONGEST_ENTRY, turned)):
                state.take(action)
        except UnsoundFileError as error:
            unsound[version] = str(error)
            if of_version is not None:
                turned.pop(of_version, None)
                mentioned |= _mentioned(of_version)
    sound_checkpoints = {number for number, file in checkpoints.items() if file.name not in beside}
    if is_own and (why := _bad_pointer(log, sound_checkpoints)):
        beside[log.pointer.name] = why
    sound, bad, saved = _looked_at(folder, state.added, turned)
    spare = (*saved, *_others(folder, state.added))
    there = bool(entries or checkpoints or spare or bad or head != -1)
    never_synced = head is not None and head < 0 and head_file(folder).exists()
    return Survey(
        folder, there, head, never_synced, newest, base, unsound, frozenset(mentioned), beside, turned, state.added,
        frozenset(state.named), sound, bad, spare, state.metadata, state.protocol,
    )


def _believed(versions: Iterable[int]) -> int:
    """The greatest of some versions, but for those that lie far beyond all others: a name or a head may say anything.

    >>> _believed([3, 1, 10**15, 2]), _believed([])
    (3, -1)
    """
    newest = -1
    for version in sorted(versions):
        if version - newest > _LARGEST_GAP:
            break
        newest = version
    return newest


def _head(folder: Place) -> int | None:
    try:
        return int(text_in(head_file(folder)))
    except FileNotFoundError:
        return -1
    except ValueError:
        return None
    except OSError as error:
        if is_out_of_reach(error):
            raise
        return None


@contextmanager
def _reading() -> Iterator[None]:
    """Raises what reading a file raises as what it says of the file, unless that cannot be reached."""
    try:
        yield
    except FileNotFoundError as error:
        raise UnsoundFileError(GONE) from error
    except OSError as error:
        if is_out_of_reach(error):
            raise
        raise UnsoundFileError(f"cannot be read: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class Content:
    """What a file held when its checksums were written.

    Attributes:
        sums: where these belong.
        damaged: the one of both that is.
        wrong: what is wrong with that one.
    """

    data: bytes
    sums: Place
    damaged: Place
    wrong: str


def _content(file: Place, most: int, turned: dict[Place, Content]) -> bytes:
    """What a file held when its checksums were written.

    Args:
        turned: is told where it does not hold that any more, or where the checksums are wrong themselves.

    Raises:
        UnsoundFileError: it is gone, empty, too large, no file, or does not match its checksums.
        OSError: it cannot be reached, which says nothing of what it holds.
    """
    with _reading():
        content = file.read_at_most(most)
        if not content:
            raise UnsoundFileError("is empty")
        try:
            check_all(file)
        except ChecksumError as error:
            assert isinstance(file, Path)
            if isinstance(error, BadSealError):
                turned[file] = Content(content, beside(file), beside(file), str(error))
                return content
            try:
                right = with_right_bits(file)
            except ChecksumError:
                raise UnsoundFileError("does not match its checksums") from error
            damaged = beside(file) if right == content else file
            turned[file] = Content(right, beside(file), damaged, f"the file {damaged.name} has a wrong bit")
            return right
    return content


def _actions(content: bytes) -> list[Mapping[str, Any]]:
    try:
        actions = list(actions_of(content.decode()))
        if not actions:
            raise UnsoundFileError("is empty")
        for action in actions:
            _State().take(action)  # so that none of an entry counts where one of its actions cannot be taken
    except (ValueError, KeyError, TypeError, AttributeError, StrangeFilesError) as error:
        raise UnsoundFileError("is garbage") from error
    return actions


def _mentioned(entry: Place) -> set[str]:
    try:
        with _reading():
            return {name.decode() for name in _FILE.findall(entry.read_at_most(LONGEST_ENTRY))}
    except UnsoundFileError:
        return set()


def _from_checkpoint(content: bytes) -> _State:
    import pyarrow as pa
    import pyarrow.parquet as pq

    state = _State()
    try:
        check_content(io.BytesIO(content), "it")
        table = pq.read_table(io.BytesIO(content), columns=["add", "metaData", "protocol"])
        for row in table.to_pylist(maps_as_pydicts="lossy"):
            state.take({kind: action for kind, action in row.items() if action is not None})
    except StrangeFilesError as error:
        raise UnsoundFileError(str(error)) from error
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnsoundFileError("is garbage") from error
    if state.metadata is None or state.protocol is None:
        raise UnsoundFileError("is garbage")
    return state


def _bad_pointer(log: DeltaLog, checkpoints: Collection[int]) -> str:
    try:
        return "" if log.pointed() in checkpoints else "names no checkpoint that can be read"
    except FileNotFoundError:
        return ""
    except OSError as error:
        if is_out_of_reach(error):
            raise
        return f"cannot be read: {error.strerror or error}"
    except (ValueError, KeyError, TypeError):
        return "is garbage"


def _added(add: Mapping[str, Any]) -> Added:
    """Raises ValueError, AttributeError or TypeError for what is garbage, statistics in it, too: who reads the table
    would fail of them."""
    name, size, stats = name_in(add), add.get("size"), parsed(add.get("stats") or "{}")
    rows, least, most = (
        stats.get("numRecords"), stats.get("minValues", {}).get(SEQUENCE), stats.get("maxValues", {}).get(SEQUENCE)
    )
    size, rows, least, most = (value if isinstance(value, int) else None for value in (size, rows, least, most))
    return Added(name, size, rows, least, most, stats, dict(add))


def _are_told_wrongly(table: pa.Table, stats: Mapping[str, Any]) -> bool:
    """Whether a file's statistics in the log leave out some of its rows: who asks for these passes the file over.

    >>> import pyarrow as pa
    >>> rows = pa.table({"a": [1, 5], "b": ["x", None]})
    >>> _are_told_wrongly(rows, {"minValues": {"a": 1, "b": "x"}, "maxValues": {"a": 5}, "nullCount": {"b": 1}})
    False
    >>> _are_told_wrongly(rows, {"maxValues": {"a": 4}}), _are_told_wrongly(rows, {"nullCount": {"b": 0}})
    (True, True)
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    def column(name: str) -> Any:
        plain = name in table.column_names and not pa.types.is_nested(table.schema.field(name).type)
        found = table.column(name) if plain else None
        return found.cast(pa.string()) if found is not None and pa.types.is_string_view(found.type) else found

    for side, outside in (("minValues", operator.gt), ("maxValues", operator.lt)):
        for name, told in stats.get(side, {}).items():
            found = None if (of := column(name)) is None else pc.min_max(of).as_py()[side[:3]]
            try:
                if found is not None and outside(told, found):
                    return True
            except TypeError:
                return True
    return any((of := column(name)) is not None and of.null_count != told
               for name, told in stats.get("nullCount", {}).items())


def _looked_at(
    folder: Place, added: Mapping[str, Added], turned: dict[Place, Content]
) -> tuple[tuple[RowFile, ...], dict[str, str], list[RowFile]]:
    """Those of the added files that are sound; why the others are not; and those of these whose rows can be had."""
    sound, bad, saved = list[RowFile](), dict[str, str](), list[RowFile]()
    for name, one in added.items():
        try:
            file = row_file(folder / name, turned)
        except UnsoundFileError as error:
            turned.pop(folder / name, None)
            bad[name] = str(error)
            continue
        if wrong := _told_wrongly(file, one):
            turned.pop(folder / name, None)
            bad[name] = wrong
            saved.append(file)
        else:
            sound.append(file)
    return tuple(sound), bad, saved


def _told_wrongly(file: RowFile, one: Added) -> str:
    """What of a file is not as the log has it; empty if nothing."""
    if one.rows not in (None, len(file.table)):
        return f"has {len(file.table)} rows, not {one.rows}"
    if one.size not in (None, file.size):
        return f"has {file.size:,} bytes, not {one.size:,}"
    return "has other rows than the log says" if _are_told_wrongly(file.table, one.statistics) else ""


def _others(folder: Place, added: Mapping[str, Added]) -> Iterator[RowFile]:
    for file in sorted(folder.glob("*.parquet"), key=str):
        if file.name not in added and not file.name.startswith("."):
            try:
                yield row_file(file, {})
            except UnsoundFileError:
                continue  # nobody was told of it


LARGEST = 1 << 30
"""Bytes of a file of rows that is read at most. Upkeep merges rows into files of some megabytes."""


@dataclass(frozen=True)
class RowFile:
    """A file whose rows can all be read.

    Attributes:
        name: in its folder.
        table: its rows.
        size: bytes.
    """

    name: str
    table: pa.Table
    size: int

    @cached_property
    def keys(self) -> frozenset[tuple[int, int]]:
        """(sequence, place) of each row: no two committed rows have the same."""
        return frozenset(zip(*(self.table.column(name).to_pylist() for name in (SEQUENCE, PLACE)), strict=True))

    @cached_property
    def sequences(self) -> frozenset[int]:
        """The versions that its rows were written for."""
        return frozenset(sequence for sequence, _ in self.keys)


class UnsoundFileError(Exception):
    """A file that holds nothing which can be relied on; says why."""


def row_file(file: Place, turned: dict[Place, Content]) -> RowFile:
    """A file of rows, once all of it was read and compared with its checksums.

    Args:
        turned: see `_content`.

    Raises:
        UnsoundFileError: it is gone, cut, garbage, too large, no file, or does not match its checksums.
        OSError: it cannot be reached, which says nothing of what it holds.
    """
    content = _content(file, LARGEST, turned)
    return RowFile(file.name, _decoded(content), len(content))


def _decoded(content: bytes) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        check_content(io.BytesIO(content), "it")
    except StrangeFilesError as error:
        raise UnsoundFileError(f"cannot be read: {error}") from error
    try:
        with pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True) as file:
            table = file.read()
        table.validate(full=True)
    # A damaged footer makes pyarrow fail in its own ways, down to names that are not Unicode.
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        raise UnsoundFileError("cannot be read") from error
    for name in (SEQUENCE, PLACE):
        if name not in table.column_names or not _counts(table.column(name)):
            raise UnsoundFileError(f"has no column {name!r} that numbers its rows")
    return table


def _counts(column: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_int64(column.type) and not column.null_count
