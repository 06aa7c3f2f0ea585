"""How two signatures of a node differ, field by field, in words."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from helix_spark.identity.parts import Group, Part


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs between two versions of a node: it was changed, added or removed. The short texts before
    and after are None where there is none to show."""

    group: Group
    label: str
    before: str | None
    after: str | None
    sort: str

    def __str__(self) -> str:
        """Return the change in words.

        >>> print(Change(Group.CODE, "helpers.clean", None, None, "changed"))
        code of `helpers.clean` changed
        >>> print(Change(Group.VALUE, "closure value `k`", "2", "3", "changed"))
        closure value `k` 2 -> 3
        """
        if self.group is Group.PLAN and self.sort == "changed":
            return "; ".join(step_changes(self.before or "", self.after or "")) or f"{self._named} changed"
        if self.sort == "changed" and self.before != self.after:
            before, after = ("?" if text is None else text for text in (self.before, self.after))
            return f"{self._named} {before} -> {after}"
        return f"{self._named} {self.sort}"

    @property
    def _named(self) -> str:
        """What it is and which; a label that quotes a name already is not quoted again."""
        noun = {Group.CODE: "code of ", Group.VALUE: "value "}.get(self.group, f"{self.group.value} ")
        if "`" not in self.label:
            return f"{noun}`{self.label}`"
        return self.label if "value" in self.label and self.group is Group.VALUE else f"{noun}{self.label}"


_PLACE = re.compile(r" \(([^()]+:\d+)\)$")
"""At the end of a step of a plan: the author's file and line."""


def step_changes(before: str, after: str) -> list[str]:
    """Return how the steps of two plans differ, in Spark's words and with the author's line. Lines alone do not count.

    >>> step_changes("filter `age > 17` (a.py:3)", "filter `age > 18` (a.py:4)")
    ['a.py:4: filter `age > 17` became `age > 18`']
    >>> step_changes("sort `a`", "sort `a`\\nlimit `limit 3`")
    ['limit `limit 3` added']
    """
    old, new = before.splitlines(), after.splitlines()
    plain_old, plain_new = ([_PLACE.sub("", line) for line in lines] for lines in (old, new))
    told: list[str] = []
    for sort, a, b, c, d in SequenceMatcher(a=plain_old, b=plain_new, autojunk=False).get_opcodes():
        if sort == "equal":
            continue
        pairs = min(b - a, d - c)
        told += [_placed(new[c + at], _became(plain_old[a + at], plain_new[c + at])) for at in range(pairs)]
        told += [_placed(line, f"{_PLACE.sub('', line)} added") for line in new[c + pairs:d]]
        told += [f"{line} removed" for line in plain_old[a + pairs:b]]
    return told


def _placed(line: str, words: str) -> str:
    found = _PLACE.search(line)
    return f"{found[1]}: {words}" if found else words


def _became(old: str, new: str) -> str:
    """Say how a step changed; do not repeat the step's kind."""
    step = old.partition(" `")[0]
    said_new = new.removeprefix(f"{step} ") if new.startswith(f"{step} `") else new
    return f"{old} became {said_new}"


def changes(before: Sequence[Part], after: Sequence[Part]) -> tuple[Change, ...]:
    """Return the fields that differ. Fields are matched by group and label, repeated labels in order; of a parameter
    with several values, as in a grid, the values that one side alone has.

    >>> grid = [Part(Group.PARAMETER, "regParam", one, one) for one in ("0.1", "1")]
    >>> print(*changes(grid[:1], grid))
    grid value `regParam` 1 added
    """
    old, new = _by_field(before), _by_field(after)
    found = [one for key in {**new, **old} for one in _field_changes(*key, old.get(key, []), new.get(key, []))]
    return tuple(sorted(found, key=lambda one: ("changed", "added", "removed").index(one.sort)))


def _field_changes(group: Group, label: str, old: Sequence[Part], new: Sequence[Part]) -> Iterator[Change]:
    gone, come = list(_beyond(old, new)), list(_beyond(new, old))
    if group is Group.PARAMETER and max(len(old), len(new)) > 1:
        group, label = Group.VALUE, f"grid value `{label}`"
        if len(gone) != len(come):
            yield from (Change(group, f"{label} {one.shown}", None, one.shown, "added") for one in come)
            yield from (Change(group, f"{label} {one.shown}", one.shown, None, "removed") for one in gone)
            return
    pairs = min(len(gone), len(come))
    yield from (Change(group, label, a.shown, b.shown, "changed") for a, b in zip(gone, come, strict=False))
    yield from (Change(group, label, None, one.shown, "added") for one in come[pairs:])
    yield from (Change(group, label, one.shown, None, "removed") for one in gone[pairs:])


def _beyond(parts: Sequence[Part], others: Sequence[Part]) -> Iterator[Part]:
    there = Counter(one.digest for one in others)
    for part in parts:
        there[part.digest] -= 1
        if there[part.digest] < 0:
            yield part


def _by_field(parts: Iterable[Part]) -> dict[tuple[Group, str], list[Part]]:
    found: dict[tuple[Group, str], list[Part]] = {}
    for part in parts:
        found.setdefault((part.group, part.label), []).append(part)
    return found


def own_changes(before: Sequence[Part], after: Sequence[Part]) -> tuple[Change, ...]:
    """Return what changed in the node itself, its inputs aside."""
    return tuple(change for change in changes(before, after) if change.group is not Group.INPUT)


def parts_to_json(parts: Iterable[Part]) -> str:
    return json.dumps([[part.group, part.label, part.digest, part.shown] for part in parts])


def parts_from_json(text: str) -> tuple[Part, ...]:
    return tuple(Part(Group(group), label, digest, shown) for group, label, digest, shown in json.loads(text))
