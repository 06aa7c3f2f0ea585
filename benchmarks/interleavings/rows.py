"""The rows of simulated tables, in SQLite, so that the queries of the catalog's own ledgers can be asked of them."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

_EXCEPT = re.compile(r"\* EXCEPT \(([^)]*)\)")
"""DataFusion's, which SQLite does not know."""

_PURGED_EVERY = 400
"""Histories."""


class RowStore:
    """The rows of all simulated tables of this process, by table and file. A file's rows never change."""

    def __init__(self) -> None:
        self._base = sqlite3.connect(
            ":memory:", check_same_thread=False, isolation_level=None, cached_statements=1024
        )
        self._kinds: dict[str, Mapping[str, str]] = {}
        self._files = 0
        self.kept = 0
        self._histories = 0
        self._answers: dict[tuple[str, tuple[int, ...], str], dict[str, list[Any]]] = {}

    def table(self, name: str, kinds: Mapping[str, str]) -> None:
        """Has a table. Its columns, and their kinds, are those of one dataclass for good."""
        if name not in self._kinds:
            self._kinds[name] = dict(kinds)
            columns = ", ".join(f'"{column}"' for column in kinds)
            self._base.execute(f'CREATE TABLE "{name}" (file_, {columns})')
            self._base.execute(f'CREATE INDEX "{name}_file" ON "{name}" (file_)')

    def add(self, name: str, columns: Mapping[str, Sequence[Any]]) -> int:
        """The number of a new file with these rows."""
        self._files += 1
        given = [
            [json.dumps(value) for value in columns[column]] if kind == "strs" else columns[column]
            for column, kind in self._kinds[name].items()
        ]
        marks = ", ".join("?" * (len(given) + 1))
        self._base.executemany(
            f'INSERT INTO "{name}" VALUES ({marks})', [(self._files, *row) for row in zip(*given, strict=True)]
        )
        return self._files

    def merge(self, name: str, files: Collection[int]) -> int:
        """The number of a new file with the rows of some."""
        self._files += 1
        columns = ", ".join(f'"{column}"' for column in self._kinds[name])
        self._base.execute(
            f'INSERT INTO "{name}" SELECT {self._files}, {columns} FROM "{name}" WHERE file_ IN ({_listed(files)}) '
            "ORDER BY sequence, place"
        )
        return self._files

    def query(self, name: str, files: Collection[int], sql: str) -> dict[str, list[Any]]:
        """What a query gives, by column, of the rows of some files. It calls the table ``journal``."""
        asked = (name, tuple(files), sql)
        if asked not in self._answers:
            self._answers[asked] = self._queried(name, files, sql)
        return self._answers[asked]

    def _queried(self, name: str, files: Collection[int], sql: str) -> dict[str, list[Any]]:
        kinds = self._kinds[name]

        def without(found: re.Match[str]) -> str:
            left_out = {column.strip() for column in found[1].split(",")}
            return ", ".join(f'"{column}"' for column in kinds if column not in left_out)

        columns = ", ".join(f'"{column}"' for column in kinds)
        cursor = self._base.execute(
            f'WITH journal AS (SELECT {columns} FROM "{name}" WHERE file_ IN (SELECT value FROM json_each(?))) '
            + _EXCEPT.sub(without, sql), (json.dumps(list(files)),)
        )
        names = [one[0] for one in cursor.description]
        rows = cursor.fetchall()
        found = {each: [row[index] for row in rows] for index, each in enumerate(names)}
        for each in names:
            kind = kinds.get(each)
            if kind == "strs":
                found[each] = [json.loads(value) for value in found[each]]
            elif kind == "bool":
                found[each] = [None if value is None else bool(value) for value in found[each]]
        return found

    def keep(self) -> None:
        """What is there now is shared by histories to come."""
        self.kept = self._files

    def forget(self) -> None:
        """A history is over: now and then its rows, and those of others, are dropped."""
        self._histories += 1
        self._answers.clear()
        if self._histories % _PURGED_EVERY == 0:
            for name in self._kinds:
                self._base.execute(f'DELETE FROM "{name}" WHERE file_ > {self.kept}')


def _listed(files: Collection[int]) -> str:
    return ", ".join(map(str, files))


ROWS = RowStore()
