"""How two signatures of a node differ, field by field, in words."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from helix_spark.identity.parts import Group, Part


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs between two versions of a node, with short texts before and after, if there are any."""

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
        for was, line in zip(plain_old[a:b], new[c:d], strict=False):
            step, now = was.partition(" `")[0], _PLACE.sub("", line)
            now = now.removeprefix(f"{step} ") if now.startswith(f"{step} `") else now  # without the kind of the step
            told.append(_placed(line, f"{was} became {now}"))
        told += [_placed(line, f"{_PLACE.sub('', line)} added") for line in new[c + pairs:d]]
        told += [f"{line} removed" for line in plain_old[a + pairs:b]]
    return told


def _placed(line: str, words: str) -> str:
    found = _PLACE.search(line)
    return f"{found[1]}: {words}" if found else words


def changes(before: Sequence[Part], after: Sequence[Part]) -> tuple[Change, ...]:
    """Return the fields that differ. Fields are matched by group and label, repeated labels in order; of a parameter
    with several values, as in a grid, the values that one side alone has.

    >>> grid = [Part(Group.PARAMETER, "regParam", one, one) for one in ("0.1", "1")]
    >>> print(*changes(grid[:1], grid))
    grid value `regParam` 1 added
    """
    fields: defaultdict[tuple[Group, str], tuple[list[Part], list[Part]]] = defaultdict(lambda: ([], []))
    for part in after:
        fields[part.group, part.label][1].append(part)
    for part in before:
        fields[part.group, part.label][0].append(part)
    found: list[Change] = []
    for (group, label), (was, now) in fields.items():
        gone, come = list(_beyond(was, now)), list(_beyond(now, was))
        pairs = min(len(gone), len(come))
        value = ""  # which one, of a grid
        if group is Group.PARAMETER and max(len(was), len(now)) > 1:
            group, label = Group.VALUE, f"grid value `{label}`"
            if len(gone) != len(come):
                pairs, value = 0, " {}"
        found += (Change(group, label, a.shown, b.shown, "changed") for a, b in zip(gone[:pairs], come, strict=False))
        found += (Change(group, label + value.format(one.shown), None, one.shown, "added") for one in come[pairs:])
        found += (Change(group, label + value.format(one.shown), one.shown, None, "removed") for one in gone[pairs:])
    return tuple(sorted(found, key=lambda one: ("changed", "added", "removed").index(one.sort)))


def _beyond(parts: Sequence[Part], others: Sequence[Part]) -> Iterator[Part]:
    there = Counter(one.digest for one in others)
    for part in parts:
        there[part.digest] -= 1
        if there[part.digest] < 0:
            yield part


def own_changes(before: Sequence[Part], after: Sequence[Part]) -> tuple[Change, ...]:
    """Return what changed in the node itself, its inputs aside."""
    return tuple(change for change in changes(before, after) if change.group is not Group.INPUT)


def parts_to_json(parts: Iterable[Part]) -> str:
    return json.dumps([[part.group, part.label, part.digest, part.shown] for part in parts])


def parts_from_json(text: str) -> tuple[Part, ...]:
    return tuple(Part(Group(group), label, digest, shown) for group, label, digest, shown in json.loads(text))
