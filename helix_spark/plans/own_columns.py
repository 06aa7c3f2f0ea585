"""Where a column that is named by a table (``rows.a``) is the one that its name alone finds (``F.col("a")``).

Spark finds ``rows.a`` by the id of `rows` in the plan, and ``F.col("a")`` among the columns of what the expression is
of; where that has none by the name it looks among columns that the same step made before, and some steps look at
columns that were left behind. So the two are the same if all steps from one to the other let a column of that name
through as it is. In doubt they are two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

_LETS_THROUGH = frozenset({
    "filter", "sort", "limit", "offset", "tail", "repartition", "repartition_by_expression", "hint", "sample",
    "deduplicate", "drop_na", "collect_metrics", "sample_by",
})
"""Relations with one input that have its columns, each under its name and with its values."""

_LOOKS_AT_COLUMNS = frozenset({"project", "with_columns", "aggregate", "unpivot", "group_map", "collect_metrics"})
"""Relations that find columns of their input alone."""

_LOOKS_AT_WHAT_IS_LEFT_BEHIND = frozenset({"filter", "sort", "repartition_by_expression", "sample_by"})
"""Relations that find a column that their input no longer has, below it."""

_PART = re.compile(r"`((?:[^`]|``)+)`|([^`.]+)")


@dataclass(frozen=True, slots=True)
class OwnColumns:
    """Columns of one plan that are named by their tables. Remembers how far it looked: a loop of the author's makes
    plans hundreds of relations deep, with columns of the first of them."""

    _found: dict[tuple[int, int, str], Any] = field(default_factory=dict)
    _whole: dict[tuple[int, str], bool] = field(default_factory=dict)

    def are_found_by_name(self, around: Any, plan_id: int, name: str, before: Iterable[Sequence[str]] = ()) -> bool:
        """Return whether a name alone finds the column that it finds in the table of a plan id, or none as well.

        Args:
            around: the relation (`spark.connect.Relation`) that the column is used in.
            name: as it is written in the plan: with a dot for a field, with backticks where it has odd letters.
            before: the names of each column that the relation makes before this one.
        """
        parts = parts_of_name(name)
        sort = around.WhichOneof("rel_type")
        if not parts or _may_be_among(parts[0], before):
            return False
        if sort in _LOOKS_AT_COLUMNS:
            return self._table(around, plan_id, name, parts) is not None
        if sort in _LOOKS_AT_WHAT_IS_LEFT_BEHIND:
            table = self._table(around, plan_id, name, parts)
            return table is not None and self._has_all(table, parts[0])
        return False

    def _table(self, around: Any, plan_id: int, name: str, parts: Sequence[str]) -> Any:
        """Return the table that a column is named by, if all relations in between let the column through."""
        passed, found, below = [], None, only_input(around)
        while below is not None:
            key = (below.common.plan_id, plan_id, name)
            if key in self._found:
                found = self._found[key]
                break
            passed.append(key)
            if below.common.plan_id == plan_id:
                found = below
                break
            through = self._selects(below, name, parts) if below.HasField("project") else _lets_through(below, parts)
            below = only_input(below) if through else None
        self._found.update(dict.fromkeys(passed, found))
        return found

    def _selects(self, relation: Any, name: str, parts: Sequence[str]) -> bool:
        """Return whether a select takes a column of its input as it is, and has no other that may go by this name."""
        columns = relation.project.expressions
        names = [_names(one) for one in columns]
        same = [one for one, of_one in zip(columns, names, strict=True) if _may_be_among(parts[0], [of_one])]
        if not all(names) or len(same) != 1 or not same[0].HasField("unresolved_attribute"):
            return False
        taken = same[0].unresolved_attribute
        if parts_of_name(taken.unparsed_identifier) != list(parts[:1]):
            return False
        return not taken.HasField("plan_id") or self._table(relation, taken.plan_id, name, parts) is not None

    def _has_all(self, relation: Any, name: str) -> bool:
        """Return whether a relation has a column by this name itself if there is one anywhere below it."""
        passed, answer = [], None
        while answer is None:
            key = (relation.common.plan_id, name)
            if key in self._whole:
                answer = self._whole[key]
                break
            passed.append(key)
            answer = _has_itself(relation, name)
            relation = only_input(relation)
        self._whole.update(dict.fromkeys(passed, answer))
        return answer


def only_input(relation: Any) -> Any:
    """Return the input of a relation that has one, and no other relation in it; else None."""
    made = getattr(relation, relation.WhichOneof("rel_type") or "unknown")
    inputs = [name for name in _inputs(made.DESCRIPTOR) if made.HasField(name)]
    return made.input if inputs == ["input"] else None


@cache
def _inputs(descriptor: Any) -> tuple[str, ...]:
    """Return the fields of a message that are one relation."""
    return tuple(
        one.name for one in descriptor.fields
        if one.message_type is not None and one.message_type.name == "Relation" and not one.is_repeated
    )


def called(column: Any) -> Sequence[str]:
    """Return the name that the author gives a column, which is an expression or an alias alone; empty if none."""
    if column.DESCRIPTOR.name == "Alias":
        return list(column.name)
    return list(column.alias.name) if column.HasField("alias") else ()


def _names(column: Any) -> Sequence[str]:
    """Return the name of a column, given or its own; empty where Spark makes one up."""
    if column.DESCRIPTOR.name == "Expression" and column.HasField("unresolved_attribute"):
        return parts_of_name(column.unresolved_attribute.unparsed_identifier)[-1:]
    return called(column)


def parts_of_name(name: str) -> list[str]:
    """Return the parts of a name as it is written in a plan; none if it is no name.

    >>> parts_of_name("a"), parts_of_name("s.f"), parts_of_name("`a.b`.c"), parts_of_name("`a``b`"), parts_of_name("a.")
    (['a'], ['s', 'f'], ['a.b', 'c'], ['a`b'], [])
    """
    found, place = [], 0
    while match := _PART.match(name, place):
        found.append(match[1].replace("``", "`") if match[1] is not None else match[2])
        place = match.end()
        if place == len(name):
            return found
        if name[place] != ".":
            return []
        place += 1
    return []


def _lets_through(relation: Any, parts: Sequence[str]) -> bool:
    """Return whether a relation has a column of its input under the same name, with the same values."""
    sort = relation.WhichOneof("rel_type")
    match sort:
        case "with_columns":
            changed = [alias.name for alias in relation.with_columns.aliases]
        case "with_columns_renamed":
            changed = [(one.col_name, one.new_col_name) for one in relation.with_columns_renamed.renames]
            changed += relation.with_columns_renamed.rename_columns_map.items()
        case "drop":
            changed = [*([name] for name in relation.drop.column_names), *map(_names, relation.drop.columns)]
            if not all(changed):
                return False
        case _:
            return sort in _LETS_THROUGH
    return not any(_may_be_among(part, changed) for part in parts)


def _has_itself(relation: Any, name: str) -> bool | None:
    """Return whether a relation surely has a column by this name if there is one anywhere below it; None if it has it
    where its input does."""
    sort = relation.WhichOneof("rel_type")
    made = getattr(relation, sort)
    match sort:
        case "project":
            return [name] in [list(_names(one)) for one in made.expressions]
        case "aggregate":
            columns = (*made.grouping_expressions, *made.aggregate_expressions)
            return not made.HasField("pivot") and [name] in [list(_names(one)) for one in columns]
        case "with_columns":  # a column that it replaces has the same name
            return None
        case "with_columns_renamed" | "drop":
            return None if _lets_through(relation, [name]) else False
    if sort in _LETS_THROUGH:
        return None
    return sort == "subquery_alias" or only_input(relation) is None  # Spark does not look below it


def _may_be_among(name: str, others: Iterable[Sequence[str]]) -> bool:
    """Return whether Spark may take a name for one of others. It compares letters beyond ASCII in its own way."""
    return any(
        name.lower() == one.lower() or not (name.isascii() and one.isascii()) for other in others for one in other
    )
