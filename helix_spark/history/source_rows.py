"""A program's questions, folded into one node for each line of its source, and the points of a search on one line."""

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
"""First words of a plan's step that holds rows from Python. PySpark adds some of its own, to save a model, say."""


def call_of(name: str) -> str:
    """Remove the number that tells nodes of one name apart.

    >>> call_of("model: LogisticRegression #12"), call_of("rows.count")
    ('model: LogisticRegression', 'rows.count')
    """
    call, mark, number = name.rpartition(" #")
    return call if mark and number.isdigit() else name


def line_name(name: str) -> str:
    """Return the name of a program's line from the name of one of its questions.

    >>> line_name("model: LogisticRegression #12"), line_name("rows.count #2")
    ('model', 'rows.count')
    """
    return call_of(name).partition(": ")[0]


def lines_of_source(nodes: Sequence[NodeRecord]) -> dict[str, tuple[NodeRecord, ...]]:
    """Group a program's questions by line, in order of start, names numbered; a workflow's node is its own group."""
    groups: defaultdict[tuple[str, str], list[NodeRecord]] = defaultdict(list)
    for node in nodes:
        is_question = PLACE.fullmatch(node.code) is not None
        groups[(line_name(node.name), node.code) if is_question else (node.name, "")].append(node)
    counts: Counter[str] = Counter()
    lines = {}

    def first_start(group: tuple[tuple[str, str], Iterable[NodeRecord]]) -> float:
        (_, place), members = group
        return min(node.started or 0.0 for node in members) if place else 0.0

    for (name, place), members in sorted(groups.items(), key=first_start):
        counts[name] += bool(place)
        lines[f"{name} #{counts[name]}" if counts[name] > 1 else name] = tuple(members)
    return lines


def source_rows(nodes: Sequence[NodeRecord]) -> tuple[NodeRecord, ...]:
    """Fold the questions of each line of a program into one node; return nodes of a workflow as they are."""
    lines = lines_of_source(nodes)
    name_of = {node.name: name for name, members in lines.items() for node in members}
    return tuple(_row(name, members, name_of) for name, members in lines.items())


def known_nodes(nodes: Sequence[NodeRecord]) -> tuple[NodeRecord, ...]:
    """Return the nodes that people may name: the lines of a program, then their questions; nodes of a workflow."""
    rows = source_rows(nodes)
    names = {row.name for row in rows}
    return (*rows, *(node for node in nodes if node.name not in names))


def _row(name: str, members: Sequence[NodeRecord], name_of: Mapping[str, str]) -> NodeRecord:
    """Fold the questions of one line into one node."""
    inputs = dict.fromkeys(name_of.get(node, node) for member in members for node in member.inputs)
    inputs.pop(name, None)
    members = [node for node in members if node.kind != "table"] or members
    if len(members) == 1:
        return replace(members[0], name=name, inputs=tuple(inputs))
    kinds = [node.kind for node in members]
    kind = next((kind for kind in ("learner", "write") if kind in kinds), kinds[0])
    fits = sorted((node for node in members if node.kind == "learner"), key=lambda node: node.started or 0.0)
    is_search = bool(fits) and "answer" in kinds
    return replace(
        members[0], name=name, inputs=tuple(inputs), kind=kind,
        state="compute" if any(node.state == "compute" for node in members) else "load", reason=_reason(members),
        declared=digest(*sorted(node.declared for node in members)),
        # The last fit of a search is that of its best point, on all rows: the result of the line.
        signature=fits[-1].signature if is_search else digest(*sorted(node.signature for node in members)),
        parts=parts_to_json(_merge_parts([part for node in members for part in parts_from_json(node.parts)])),
        seconds=_seconds(members),
        predicted_seconds=sum(node.predicted_seconds or 0.0 for node in members) or None,
        bytes=sum(node.bytes or 0 for node in members) or None,
        stored=all(node.stored for node in members), output=any(node.output for node in members),
        started=min((node.started for node in members if node.started is not None), default=None),
    )


def _reason(members: Sequence[NodeRecord]) -> str:
    computed = [node for node in members if node.state == "compute"]
    reasons = list(dict.fromkeys(node.reason for node in computed or members))
    more = [f"and {len(reasons) - _MOST_REASONS} more"] if len(reasons) > _MOST_REASONS else []
    why = "; ".join([*reasons[:_MOST_REASONS], *more])
    return f"{len(computed)} of {len(members)} answers are new: {why}" if computed else why


def _seconds(members: Sequence[NodeRecord]) -> float | None:
    """Sum the seconds of a line's questions. Time in which several ran at once counts once."""
    times = [(node.started, node.seconds) for node in members if node.seconds is not None]
    if not times:
        return None
    total = sum(seconds for _, seconds in times)
    spans = [(started, started + seconds) for started, seconds in times if started is not None]
    if len(spans) < len(times):
        return total
    return min(total, max(end for _, end in spans) - min(start for start, _ in spans))


def _merge_parts(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Merge the parts of one line's questions. A parameter keeps each of its values."""
    plans = [part for part in parts if part.group is Group.PLAN]
    # Sorted, so that the order does not depend on which question comes first.
    steps = dict.fromkeys(line for text in sorted({part.shown or "" for part in plans}) for line in text.splitlines())
    text = "\n".join(line for line in steps if len(plans) == 1 or not line.startswith(_MADE_BY_PYSPARK))
    # The digest of some plans covers more than their words: keep these digests, too.
    plan_digests = sorted({part.digest for part in plans if part.digest != digest(part.shown or "")})
    code = sorted({part.digest for part in parts if part.group is Group.CODE})
    models = sorted({part.digest for part in parts if part.group is Group.INPUT})
    values = [part for part in parts if part.group not in (Group.PLAN, Group.CODE, Group.INPUT)]
    label = line_name(plans[0].label) if plans else ""
    return (
        *([Part(Group.PLAN, label, digest(text, *plan_digests), text)] if plans else []),
        *([Part(Group.CODE, label, digest(*code), None)] if code else []),
        *([Part(Group.INPUT, "model", digest(*models), None)] if models else []),
        *{(part.group, part.label, part.digest): part for part in values}.values(),
    )


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a search.

    Attributes:
        parameters: those that differ between the points, as text.
        metrics: the recorded metrics of its folds.
        seconds: the sum of its fits.
        is_new: True if this run computed any of it.
    """

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
    """Return the points of a search from the questions of its line, smaller values first; none if it is no search.
    `values` are the metrics of its evaluations, by name."""
    fits = {node.name: node for node in members if node.kind == "learner"}
    parameters = {
        name: [(part.label, part.shown or "") for part in parts_from_json(fit.parts) if part.group is Group.PARAMETER]
        for name, fit in fits.items()
    }
    evaluations = [node for node in members if node.kind == "answer" and not fits.keys().isdisjoint(node.inputs)]
    settings = [[pair for name in node.inputs for pair in parameters.get(name, ())] for node in evaluations]
    common = set(settings[0]).intersection(*settings) if settings else set()
    points: defaultdict[tuple[tuple[str, str], ...], list[NodeRecord]] = defaultdict(list)
    for pairs, node in sorted(zip(settings, evaluations, strict=True), key=lambda entry: entry[1].started or 0.0):
        points[tuple(pair for pair in dict.fromkeys(pairs) if pair not in common)].append(node)

    def rank(pair: tuple[str, str]) -> tuple[str, float, str]:  # numbers by their values, before other texts
        try:
            return pair[0], float(pair[1]), ""
        except ValueError:
            return pair[0], float("inf"), pair[1]

    return tuple(
        _point(point, folds, fits, values)
        for point, folds in sorted(points.items(), key=lambda entry: [*map(rank, entry[0])])
    )


def _point(
    pairs: Iterable[tuple[str, str]], folds: Sequence[NodeRecord], fits: Mapping[str, NodeRecord],
    values: Mapping[str, float],
) -> Point:
    models = [fits[name] for node in folds for name in node.inputs if name in fits]
    return Point(
        ", ".join(f"{label}={value}" for label, value in pairs),
        tuple(values[node.name] for node in folds if node.name in values),
        sum(node.seconds or 0.0 for node in models if node.state == "compute"),
        any(node.state == "compute" for node in (*models, *folds)),
    )
