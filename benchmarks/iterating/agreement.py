"""Whether systems gave the same answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TOLERANCE = 1e-6
"""Of numbers, relative and absolute: sums over rows that are divided otherwise, and optimisers fed with them, differ in
their last digits (by 2e-12 at most so far); small edits, such as ten times a small regularisation, change metrics by
some 1e-4."""


def disagreements(outputs: Mapping[str, Sequence[Mapping[str, Any]]], edits: Sequence[str]) -> list[str]:
    """Where systems differ from the first one, in sentences.

    Args:
        outputs: system -> the outputs of each iteration.

    >>> disagreements({"a": [{"x": 1.0}], "b": [{"x": 1.0000001}], "c": [{"x": 2.0}]}, ["first"])
    ["after 'first', c has x = 2.0 where a has 1.0"]
    """
    found = []
    reference, *others = outputs
    for number, edit in enumerate(edits):
        expected = outputs[reference][number]
        for system in others:
            got = outputs[system][number]
            found += [
                f"after {edit!r}, {system} has {name} = {got.get(name)} where {reference} has {expected.get(name)}"
                for name in sorted({*expected, *got}) if not same(expected.get(name), got.get(name))
            ]
    return found


def unseen(outputs: Sequence[Mapping[str, Any]], edits: Sequence[str]) -> list[str]:
    """Edits after which all outputs are what they were before: a stale result would not be noticed there.

    >>> unseen([{"x": 1.0}, {"x": 1.0}, {"x": 1.0, "y": 2}], ["first", "reg", "another metric"])
    ['reg']
    """
    pairs = zip(outputs, outputs[1:], edits[1:], strict=False)
    return [edit for before, after, edit in pairs if same(before, after)]


def same(one: Any, other: Any) -> bool:
    """Equal, numbers within `TOLERANCE`; tables are described by their rows.

    >>> same([1.0, "a"], [1.0000001, "a"]), same({"a": 1}, {"b": 1}), same(None, 0.0)
    (True, False, False)
    """
    if isinstance(one, bool | str) or one is None or isinstance(other, bool | str) or other is None:
        return bool(one == other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= TOLERANCE * max(1.0, abs(one), abs(other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, Sequence) and isinstance(other, Sequence):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
