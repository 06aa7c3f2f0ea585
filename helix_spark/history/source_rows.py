"""A plain program as its author knows it: a node for each line that asked something, called as the line calls it. A
search opens into its points."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from helix_spark.catalog.records import NodeRecord
from helix_spark.history.metrics import metric_text
from helix_spark.history.value_text import PLACE
from helix_spark.identity.difference import parts_from_json, parts_to_json
from helix_spark.identity.parts import Group, Part, digest
from helix_spark.sizes import seconds_text

_MOST_REASONS = 3
_MADE_BY_PYSPARK = "local relation "
"""How the step of a plan begins that holds rows of Python's; between other questions of a line pyspark makes them, such
as the metadata of a model that is saved."""


def call_of(name: str) -> str:
    """Return what a node is called without its number among those of its name.

    >>> call_of("model: LogisticRegression #12"), call_of("rows.count")
    ('model: LogisticRegression', 'rows.count')
    """
    call, mark, number = name.rpartition(" #")
    return call if mark and number.isdigit() else name


def line_name(name: str) -> str:
    """Return what a line of a program is called, by the name of one of its questions.

    >>> line_name("model: LogisticRegression #12"), line_name("rows.count #2")
    ('model', 'rows.count')
    """
    return call_of(name).partition(": ")[0]


def lines_of_source(nodes: Sequence[NodeRecord]) -> dict[str, tuple[NodeRecord, ...]]:
    """Group the questions of a program by the lines that asked them, in that order, by the names of these; of equal
    names the later ones have a number. Nodes of a workflow are by themselves."""
    groups: defaultdict[tuple[str, str], list[NodeRecord]] = defaultdict(list)
    for node in nodes:
        is_asked = PLACE.fullmatch(node.code) is not None
        groups[(line_name(node.name), node.code) if is_asked else (node.name, "")].append(node)
    seen: Counter[str] = Counter()
    lines = {}

    def began(line: tuple[object, Iterable[NodeRecord]]) -> float:
        return min((one.started or 0.0 for one in line[1] if PLACE.fullmatch(one.code)), default=0.0)

    for (name, place), members in sorted(groups.items(), key=began):
        seen[name] += bool(place)
        lines[f"{name} #{seen[name]}" if seen[name] > 1 else name] = tuple(members)
    return lines


def source_rows(nodes: Sequence[NodeRecord]) -> tuple[NodeRecord, ...]:
    """Fold the questions of each line of a program into one node; return nodes of a workflow as they are."""
    lines = lines_of_source(nodes)
    name_of = {one.name: name for name, members in lines.items() for one in members}
    return tuple(_row(name, members, name_of) for name, members in lines.items())


def known_nodes(nodes: Sequence[NodeRecord]) -> tuple[NodeRecord, ...]:
    """Return what people may ask for by its name: the lines of a program, then their questions; nodes of a workflow."""
    rows = source_rows(nodes)
    names = {one.name for one in rows}
    return (*rows, *(one for one in nodes if one.name not in names))


def _row(name: str, members: Sequence[NodeRecord], name_of: Mapping[str, str]) -> NodeRecord:
    read = (name_of.get(one, one) for member in members for one in member.inputs)
    inputs = tuple(one for one in dict.fromkeys(read) if one != name)
    members = [one for one in members if one.kind != "table"] or members
    if len(members) == 1:
        return replace(members[0], name=name, inputs=inputs)
    merged = merged_parts([parts_from_json(one.parts) for one in members])
    kinds = [one.kind for one in members]
    kind = next((one for one in ("learner", "write") if one in kinds), kinds[0])
    signatures = sorted(one.signature for one in members)
    fits = sorted((one for one in members if one.kind == "learner"), key=lambda one: one.started or 0.0)
    is_search = bool(fits) and "answer" in kinds
    return replace(
        members[0], name=name, inputs=inputs, kind=kind,
        state="compute" if any(one.state == "compute" for one in members) else "load", reason=_reason(members),
        declared=digest(*(one.declared for one in sorted(members, key=lambda one: one.declared))),
        # The last fit of a search is that of its best point, on all rows: the result of the line.
        signature=fits[-1].signature if is_search else digest(*signatures),
        parts=parts_to_json(merged), seconds=_seconds(members),
        predicted_seconds=sum(one.predicted_seconds or 0.0 for one in members) or None,
        bytes=sum(one.bytes or 0 for one in members) or None,
        stored=all(one.stored for one in members), output=any(one.output for one in members),
        started=min((one.started for one in members if one.started is not None), default=None),
    )


def _reason(members: Sequence[NodeRecord]) -> str:
    fresh = [one for one in members if one.state == "compute"]
    reasons = list(dict.fromkeys(one.reason for one in fresh or members))
    more = [f"and {len(reasons) - _MOST_REASONS} more"] if len(reasons) > _MOST_REASONS else []
    why = "; ".join([*reasons[:_MOST_REASONS], *more])
    return f"{len(fresh)} of {len(members)} answers are new: {why}" if fresh else why


def _seconds(members: Sequence[NodeRecord]) -> float | None:
    """Return the seconds of a line's questions; of those that ran side by side once."""
    ran = [(one.started, one.seconds) for one in members if one.seconds is not None]
    spans = [(started, started + seconds) for started, seconds in ran if started is not None]
    together = max(end for _, end in spans) - min(start for start, _ in spans) if len(spans) == len(ran) > 0 else None
    total = sum(seconds for _, seconds in ran)
    return None if not ran else total if together is None else min(total, together)


def merged_parts(several: Sequence[Sequence[Part]]) -> tuple[Part, ...]:
    """Return what the questions of one line are made of together: of a parameter each value that it has."""
    every = [part for parts in several for part in parts]
    plans = [part for part in every if part.group is Group.PLAN]
    # In an order that does not depend on which question comes first.
    steps = dict.fromkeys(line for text in sorted({part.shown or "" for part in plans}) for line in text.splitlines())
    text = "\n".join(line for line in steps if len(plans) == 1 or not line.startswith(_MADE_BY_PYSPARK))
    # Of some questions the words of the plan do not tell all: these have a digest of something else.
    own = sorted({part.digest for part in plans if part.digest != digest(part.shown or "")})
    code = sorted({part.digest for part in every if part.group is Group.CODE})
    models = sorted({part.digest for part in every if part.group is Group.INPUT})
    others = [part for part in every if part.group not in (Group.PLAN, Group.CODE, Group.INPUT)]
    label = line_name(plans[0].label) if plans else ""
    return (
        *([Part(Group.PLAN, label, digest(text, *own), text)] if plans else []),
        *([Part(Group.CODE, label, digest(*code), None)] if code else []),
        *([Part(Group.INPUT, "model", digest(*models), None)] if models else []),
        *{(part.group, part.label, part.digest): part for part in others}.values(),
    )


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a search: the parameters that differ between the points, in words; the metrics of its folds, as far as
    they are recorded; the seconds of its fits; whether something of it was computed in this run."""

    parameters: str
    metrics: tuple[float, ...]
    seconds: float
    is_new: bool

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Its parameters, the mean of its folds, each fold, and whether it is new, as texts."""
        folds = [metric_text(value) for value in self.metrics]
        mean = metric_text(sum(self.metrics) / len(self.metrics)) if self.metrics else ""
        return self.parameters or "all", mean, "  ".join(folds), f"new, {seconds_text(self.seconds)}" * self.is_new


def points_of(members: Sequence[NodeRecord], values: Mapping[str, float]) -> tuple[Point, ...]:
    """Return the points of a search, by the questions of its line, smaller values first; none of what is no search.
    `values` are those that evaluations gave, by name."""
    fits = {one.name: one for one in members if one.kind == "learner"}
    given = {
        name: [(part.label, part.shown or "") for part in parts_from_json(one.parts) if part.group is Group.PARAMETER]
        for name, one in fits.items()
    }
    evaluations = [one for one in members if one.kind == "answer" and not fits.keys().isdisjoint(one.inputs)]
    each = [[pair for name in one.inputs for pair in given.get(name, ())] for one in evaluations]
    common = set(each[0]).intersection(*each) if each else set()
    points: defaultdict[tuple[tuple[str, str], ...], list[NodeRecord]] = defaultdict(list)
    for given_pairs, one in sorted(zip(each, evaluations, strict=True), key=lambda entry: entry[1].started or 0.0):
        points[tuple(pair for pair in dict.fromkeys(given_pairs) if pair not in common)].append(one)

    def rank(pair: tuple[str, str]) -> tuple[str, float, str]:  # numbers by what they are, other values by their texts
        try:
            return pair[0], float(pair[1]), ""
        except ValueError:
            return pair[0], float("inf"), pair[1]

    found = []
    for pairs, repeats in sorted(points.items(), key=lambda entry: [*map(rank, entry[0])]):
        text = ", ".join(f"{label}={value}" for label, value in pairs)
        of = [fits[name] for one in repeats for name in one.inputs if name in fits]
        metrics = tuple(values[one.name] for one in repeats if one.name in values)
        is_new = any(one.state == "compute" for one in (*of, *repeats))
        found.append(Point(text, metrics, sum(one.seconds or 0.0 for one in of if one.state == "compute"), is_new))
    return tuple(found)
