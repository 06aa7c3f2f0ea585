"""What is wrong with a journal, and what can be made of it. Changes nothing.

Rows whose entry is lost are looked for in the files that no entry names: each row has the version that it was written
for (`SEQUENCE`) and its place in it, which tells whether it is there already.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.journal.retyping import in_columns, is_kind, rows_that_lose
from helix_spark.catalog.journal.rows import (
    PLACE,
    SEQUENCE,
    Misfit,
    Row,
    RowType,
    from_columns,
    other_types,
    table_schema,
)
from helix_spark.catalog.journal.survey import Added, RowFile, Survey, survey
from helix_spark.catalog.places.json_text import parsed
from helix_spark.errors import DamagedRecordsError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Mending:
    """What can be made of a journal.

    Attributes:
        found: files that no sound entry names, with the (sequence, place) of their rows that are taken up again.
        cut: versions that cannot be read, and of which nobody was told that they were recorded.
        lost: versions that were recorded, and whose rows are nowhere.
        lost_rows: how many rows were in files that cannot be read, and are nowhere else.
        unread: why the log cannot be read, or be appended to, although each of its files can be read; else empty.
        retyped: files whose columns have other types than records have, with what is wrong; they are written anew.
        lost_values: how many of their rows have a value that is none of its column.
    """

    survey: Survey
    found: tuple[tuple[RowFile, frozenset[tuple[int, int]]], ...] = ()
    cut: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()
    lost_rows: int = 0
    unread: str = ""
    retyped: Mapping[str, str] = field(default_factory=dict)
    lost_values: int = 0

    @property
    def is_needed(self) -> bool:
        return self.needs_commit or bool(self.survey.beside or self.survey.turned) or self.survey.head is None

    @property
    def needs_commit(self) -> bool:
        """Whether the log itself cannot be read as it is."""
        return bool(self.survey.unsound or self.survey.bad or self.unread or self.retyped)

    @property
    def kept(self) -> tuple[RowFile, ...]:
        """The files that stay as they are."""
        return tuple(file for file in self.survey.sound if file.name not in self.retyped)

    @property
    def loses(self) -> bool:
        """Whether something is lost that was on record."""
        return bool(self.lost or self.lost_rows or self.lost_values)

    @property
    def found_rows(self) -> int:
        return sum(len(keys) for _, keys in self.found)

    def rows_again(self) -> Iterator[pa.Table]:
        """The rows that are taken up again."""
        import pyarrow as pa

        for file, keys in self.found:
            pairs = zip(*(file.table.column(name).to_pylist() for name in (SEQUENCE, PLACE)), strict=True)
            yield file.table.filter(pa.array([pair in keys for pair in pairs]))

    def damage(self) -> Iterator[str]:
        """What is wrong, a sentence each."""
        name = self.survey.folder.name
        for versions, why in _runs(self.survey.unsound):
            yield f"{name}: log {'entry' if ' ' not in versions else 'entries'} {versions} {_plural(why, versions)}"
        for file, why in (*self.survey.beside.items(), *self.survey.bad.items(), *self.retyped.items()):
            yield f"{name}: the file {file} {why}"
        for each in self.survey.turned.values():
            yield f"{name}: {each.wrong}"
        if self.survey.head is None:
            yield f"{name}: the file {name}.head holds no version"
        if self.unread:
            yield f"{name}: {self.unread}"


def _runs(unsound: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    """Neighbours that have one reason together.

    >>> list(_runs({1: "is gone", 2: "is gone", 4: "is empty"}))
    [('1 to 2', 'is gone'), ('4', 'is empty')]
    """
    versions = sorted(unsound)
    while versions:
        first, why, length = versions[0], unsound[versions[0]], 1
        while length < len(versions) and versions[length] == first + length and unsound[versions[length]] == why:
            length += 1
        yield (f"{first} to {first + length - 1}" if length > 1 else str(first)), why
        versions = versions[length:]


def _plural(why: str, versions: str) -> str:
    return why.replace("is ", "are ", 1) if " " in versions else why


def mending_of(seen: Survey) -> Mending:
    """What can be made of a journal, as it was seen."""
    open_versions = _open(seen)
    found = tuple(_found_again(seen, open_versions))
    taken = frozenset(key for _, keys in found for key in keys)
    there = {sequence for sequence, _ in seen.covered | taken}
    merged = _merged_without_a_word(seen, seen.covered | taken)
    # Version 0 makes the table, and has no rows; what upkeep merged is where it was, too.
    missing = [version for version in seen.unsound if version > 0 and version not in there | merged]
    headless = seen.head is None or (seen.head < 0 and not seen.never_synced and seen.newest > 1)
    told = seen.head if seen.head is not None and not headless else seen.newest
    lost_rows = 0
    for name in seen.bad:
        one = seen.added[name]
        if one.least is None or one.least <= told:
            again = sum(_is_within(one, key[0]) for key in taken)
            lost_rows += max((1 if one.rows is None else one.rows) - again, 0)
    return Mending(
        seen, found, tuple(version for version in missing if version > told),
        tuple(version for version in missing if version <= told), lost_rows,
    )


def _is_within(one: Added, sequence: int) -> bool:
    return (one.least is None or one.least <= sequence) and (one.most is None or sequence <= one.most)


def _open(seen: Survey) -> frozenset[int]:
    """The versions of which rows may be in files that no sound entry names."""
    found = set(seen.unsound)
    for name in seen.bad:
        found.update(each for each in _sequences(seen) if _is_within(seen.added[name], each))
    return frozenset(found)


def _sequences(seen: Survey) -> frozenset[int]:
    return frozenset(sequence for file in seen.spare for sequence in file.sequences)


def _merged_without_a_word(seen: Survey, there: frozenset[tuple[int, int]]) -> frozenset[int]:
    """Lost versions of upkeep, which are no loss: each wrote a file that no sound entry names, of rows that are all
    there, the last of them those of the version before."""
    return frozenset(
        max(file.sequences) + 1 for file in seen.spare
        if len(file.sequences) > 1 and file.name not in seen.named and file.keys <= there
    ) & seen.unsound.keys()


def _found_again(
    seen: Survey, versions: frozenset[int]
) -> Iterator[tuple[RowFile, frozenset[tuple[int, int]]]]:
    """Of several files that have rows of one version, those that a commit which failed left behind are passed over:
    only what is committed is merged with other rows, and what an entry names, lost or not, was committed."""
    there, of_file, committed = set(seen.covered), dict[int, str](), seen.mentioned | seen.bad.keys()
    texts: set[str] | None = None
    for file in sorted(
        seen.spare, key=lambda file: (file.name not in committed, -len(file.sequences), file.name)
    ):
        keys = {key for key in file.keys - there if key[0] in versions}
        if len(file.sequences) == 1 and file.name not in committed:
            texts = _texts(seen.sound) if texts is None else texts
            if file.sequences & of_file.keys() or _texts([file]) <= texts:
                continue
        if keys:
            there |= keys
            of_file.update(dict.fromkeys((key[0] for key in keys), file.name))
            yield file, frozenset(keys)


def _texts(files: Collection[RowFile]) -> set[str]:
    """What rows say, whatever version they were written for: a commit that is outrun is tried again for a later one."""
    return {
        json.dumps({name: value for name, value in row.items() if name not in (SEQUENCE, PLACE)}, default=str)
        for file in files for row in file.table.to_pylist()
    }


def examined(journal: Journal[Row]) -> Mending:
    """What can be made of a journal. Changes nothing. Raises OSError where it cannot be reached."""
    mending = _with_types(mending_of(survey(journal.folder)), journal.row_type)
    if mending.survey.there and not mending.is_needed:
        try:
            journal.query("SELECT * FROM journal WHERE false")
        except DamagedRecordsError as error:
            return replace(mending, unread=error.what)
    return mending


def _with_types(mending: Mending, row_type: type[RowType]) -> Mending:
    """With what of a journal has other types than its records have."""
    import pyarrow as pa

    known, retyped, lost = pa.schema(table_schema(row_type)), dict[str, str](), 0
    for file in mending.survey.sound:
        odd = [one.name for one in file.table.schema if one.name in known.names and not is_kind(
            one.type, known.field(one.name).type)]
        if odd:
            retyped[file.name] = f"has columns of another type than records have: {', '.join(odd)}"
            lost += rows_that_lose(file.table.select(odd), known)
    return replace(mending, unread=_odd_schema(mending.survey, row_type), retyped=retyped, lost_values=lost)


def _odd_schema(seen: Survey, row_type: type[RowType]) -> str:
    """What is wrong with the columns that a journal's log tells of; empty if nothing, or if no entry tells of any."""
    import pyarrow as pa

    if seen.metadata is None:
        return ""
    try:
        text = seen.metadata["schemaString"]
        if odd := other_types(text, row_type):
            return f"its columns have another type than records have: {', '.join(odd)}"
        there = {*pa.schema(table_schema(row_type)).names}
        there.update(name for file in seen.sound for name in file.table.column_names)
        strange = sorted({one["name"] for one in parsed(text)["fields"]} - there)
        return f"its schema has columns that nothing has: {', '.join(strange)}" if strange else ""
    except (ValueError, KeyError, TypeError):
        return "its schema is none"


def rows_of(mending: Mending, row_type: type[Row]) -> list[Row | Misfit]:
    """All rows that can be had of a journal, in their order, those that do not fit as well."""
    tables = [*(file.table for file in mending.survey.sound), *mending.rows_again()]
    found = in_columns(tables, row_type)
    return [] if found is None else from_columns(found.to_pydict(), row_type)
