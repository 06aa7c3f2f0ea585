"""Differences between two signatures of a node, field by field, in words."""

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
    """A field that differs between two versions of a node, with short texts. `sort`: "changed", "added", "removed"."""

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
        """The kind of the field and its label, quoted unless it already contains a quoted name."""
        noun = {Group.CODE: "code of ", Group.VALUE: "value "}.get(self.group, f"{self.group.value} ")
        if "`" not in self.label:
            return f"{noun}`{self.label}`"
        return self.label if "value" in self.label and self.group is Group.VALUE else f"{noun}{self.label}"


_PLACE = re.compile(r" \(([^()]+:\d+)\)$")
"""At the end of a step of a plan: the author's file and line."""


def step_changes(before: str, after: str) -> list[str]:
    """Return the differing steps of two plans, in Spark's words and with the author's lines; ignore moved lines.

    >>> step_changes("filter `age > 17` (a.py:3)", "filter `age > 18` (a.py:4)")
    ['a.py:4: filter `age > 17` became `age > 18`']
    >>> step_changes("sort `a`", "sort `a`\\nlimit `limit 3`")
    ['limit `limit 3` added']
    """
    old, new = before.splitlines(), after.splitlines()
    plain_old, plain_new = ([_PLACE.sub("", line) for line in lines] for lines in (old, new))
    sentences: list[str] = []
    for sort, a, b, c, d in SequenceMatcher(a=plain_old, b=plain_new, autojunk=False).get_opcodes():
        if sort == "equal":
            continue
        pairs = min(b - a, d - c)
        for was, line in zip(plain_old[a:b], new[c:d], strict=False):
            step, now = was.partition(" `")[0], _PLACE.sub("", line)
            now = now.removeprefix(f"{step} ") if now.startswith(f"{step} `") else now  # without the kind of the step
            sentences.append(_with_place(line, f"{was} became {now}"))
        sentences += [_with_place(line, f"{_PLACE.sub('', line)} added") for line in new[c + pairs:d]]
        sentences += [f"{line} removed" for line in plain_old[a + pairs:b]]
    return sentences


def _with_place(line: str, words: str) -> str:
    place = _PLACE.search(line)
    return f"{place[1]}: {words}" if place else words


def changes(before: Sequence[Part], after: Sequence[Part]) -> tuple[Change, ...]:
    """Return the fields that differ. Fields are matched by group and label; those with the same label in order. For a
    parameter with several values, as in a grid, these are the values of only one side.

    >>> grid = [Part(Group.PARAMETER, "regParam", value, value) for value in ("0.1", "1")]
    >>> print(*changes(grid[:1], grid))
    grid value `regParam` 1 added
    """
    fields: defaultdict[tuple[Group, str], tuple[list[Part], list[Part]]] = defaultdict(lambda: ([], []))
    for part in after:
        fields[part.group, part.label][1].append(part)
    for part in before:
        fields[part.group, part.label][0].append(part)
    differences: list[Change] = []
    for (group, label), (was, now) in fields.items():
        removed, added = list(_missing_from(now, was)), list(_missing_from(was, now))
        pairs = min(len(removed), len(added))
        value = ""  # the value in a grid
        if group is Group.PARAMETER and max(len(was), len(now)) > 1:
            group, label = Group.VALUE, f"grid value `{label}`"
            if len(removed) != len(added):
                pairs, value = 0, " {}"
        differences += (
            Change(group, label, old.shown, new.shown, "changed")
            for old, new in zip(removed[:pairs], added, strict=False)
        )
        for part in added[pairs:]:
            differences.append(Change(group, label + value.format(part.shown), None, part.shown, "added"))
        for part in removed[pairs:]:
            differences.append(Change(group, label + value.format(part.shown), part.shown, None, "removed"))
    return tuple(sorted(differences, key=lambda change: ("changed", "added", "removed").index(change.sort)))


def _missing_from(others: Sequence[Part], parts: Sequence[Part]) -> Iterator[Part]:
    """Yield the parts whose digests others lack; of equal ones, those in excess."""
    counts = Counter(part.digest for part in others)
    for part in parts:
        counts[part.digest] -= 1
        if counts[part.digest] < 0:
            yield part


def own_changes(before: Sequence[Part], after: Sequence[Part]) -> tuple[Change, ...]:
    """Return the changes of the node itself, without those of its inputs."""
    return tuple(change for change in changes(before, after) if change.group is not Group.INPUT)


def parts_to_json(parts: Iterable[Part]) -> str:
    return json.dumps([[part.group, part.label, part.digest, part.shown] for part in parts])


def parts_from_json(text: str) -> tuple[Part, ...]:
    return tuple(Part(Group(group), label, digest, shown) for group, label, digest, shown in json.loads(text))
