"""What the columns of a table hold: types, nulls, distinct values, smallest and largest, how they are spread. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from helix_spark.visible_text import cut

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 5_000
"""The first ones of a table, which a profile is made of."""

BINS = 12
_MOST_VALUES, _LONGEST = 3, 40
_BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column of the rows that were looked at.

    Attributes:
        kind: its type.
        nulls: how many there are.
        distinct: how many different values; None where they are no plain values.
        least, most: as texts; empty where there is no order.
        counts: of numbers, how many fall into each of `BINS` stretches of one length from the least to the most.
        frequent: of whatever else, the most frequent values with their counts.
        note: of vectors, how long they are, and how many of their values are not zero.
    """

    name: str
    kind: str
    nulls: int
    distinct: int | None = None
    least: str = ""
    most: str = ""
    counts: tuple[int, ...] = ()
    frequent: tuple[tuple[str, int], ...] = ()
    note: str = ""

    @property
    def spread(self) -> str:
        """How it is spread, in a few characters."""
        if self.counts:
            top = max(self.counts)
            return "".join(_BLOCKS[math.ceil(count / top * 8) - 1] if count else " " for count in self.counts)
        return self.note or ", ".join(f"{value} ({count:,})" for value, count in self.frequent)


def profiled(table: pa.Table, names: Mapping[str, Sequence[str]] = MappingProxyType({})) -> tuple[ColumnProfile, ...]:
    """Return the columns of a table.

    Args:
        names: of the slots of its vectors, by column.

    >>> import pyarrow as pa
    >>> age, job = profiled(pa.table({"age": [20, 40, None], "job": ["a", "b", "a"]}))
    >>> age.nulls, age.distinct, age.least, age.most, age.spread
    (1, 2, '20', '40', '█          █')
    >>> job.spread
    'a (2), b (1)'
    """
    return tuple(
        _profiled(field.name, str(field.type).replace(" not null", ""), column.to_pylist(), names.get(field.name, ()))
        for field, column in zip(table.schema, table.columns, strict=True)
    )


def _profiled(name: str, kind: str, values: Sequence[Any], slots: Sequence[str]) -> ColumnProfile:
    there = [value for value in values if value is not None]
    nulls = len(values) - len(there)
    if there and all(type(value) in (int, float) for value in there):
        return _numbers(name, kind, nulls, there)
    if there and all(isinstance(value, list) for value in there):
        return ColumnProfile(name, _short_kind(kind), nulls, note=_vectors(there, slots))
    if there and all(isinstance(value, str | bool) for value in there):
        counted = Counter(there)
        frequent = tuple((cut(str(value), _LONGEST), count) for value, count in counted.most_common(_MOST_VALUES))
        return ColumnProfile(name, kind, nulls, len(counted), *_ends(there), frequent=frequent)
    try:
        return ColumnProfile(name, _short_kind(kind), nulls, len(set(there)), *_ends(there))
    except (TypeError, ValueError):  # nothing there, or no order among them
        return ColumnProfile(name, _short_kind(kind), nulls)


def _ends(values: Sequence[Any]) -> tuple[str, str]:
    """Return the least and the most. Raises TypeError where there is no order, ValueError where there are none."""
    return cut(str(min(values)), _LONGEST), cut(str(max(values)), _LONGEST)


def _numbers(name: str, kind: str, nulls: int, values: Sequence[float]) -> ColumnProfile:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ColumnProfile(name, kind, nulls, len(set(map(str, values))))
    least, most = min(finite), max(finite)
    counts = [0] * BINS
    for value in finite:
        counts[min(BINS - 1, int((value - least) / (most - least) * BINS)) if most > least else 0] += 1
    odd = len(values) - len(finite)
    return ColumnProfile(
        name, kind, nulls, len(set(finite)) + bool(odd), f"{least:.6g}", f"{most:.6g}", tuple(counts),
        note=f"{odd:,} are not finite" if odd else "",
    )


def _vectors(values: Sequence[list[Any]], slots: Sequence[str]) -> str:
    lengths = {len(value) for value in values}
    long = f"{min(lengths):,}" if len(lengths) == 1 else f"{min(lengths):,} to {max(lengths):,}"
    filled = sum(sum(1 for one in value if one) for value in values) / len(values)
    named = f", from `{slots[0]}` to `{slots[-1]}`" if slots else ""
    return f"{long} long, {filled:.3g} of them not zero{named}"


def vector_text(values: Sequence[Any], slots: Sequence[str], most: int) -> str:
    """Return a list of numbers, of a vector that is mostly zeros only what is not, by name where there are names; else
    empty.

    >>> vector_text([0.0, 1.0, 0.0, 0.5], ["a", "b", "c", "d"], 9)
    'b=1, d=0.5'
    >>> vector_text([0.5, 0.5], (), 9)
    ''
    """
    filled = [(place, value) for place, value in enumerate(values) if value]
    named = len(slots) == len(values)
    if not values or any(type(value) is not float for _, value in filled) or not (
        named or (len(values) > most and len(filled) * 2 < len(values))
    ):
        return ""
    shown = [f"{slots[place] if named else place}={value:.4g}" for place, value in filled[:most]]
    return ", ".join([*shown, *(["…"] if len(filled) > most else [])]) or "all zero"


def _short_kind(kind: str) -> str:
    return kind.replace("element: ", "").replace("item: ", "")
