"""What a catalog forgets for good: iterations with all that was recorded of them, or results by the node that made them
or by the source that they are made of. No byte of it is left in the catalog's folder afterwards.

A result that an iteration has which stays is kept, and so is its record.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import KINDS, QUESTION_KINDS, IterationRecord
from helix_spark.catalog.segments.record_index import record_of
from helix_spark.catalog.segments.record_log import RecordLog
from helix_spark.errors import CatalogError


@dataclass(frozen=True, slots=True)
class Selection:
    """What to forget.

    Attributes:
        workflow, number, runs: only of these iterations; None for all.
        before: Unix seconds; only iterations that started earlier. None for all.
        node: only what this node made (`downstream`: and what was made of it), not iterations; None for all.
        source: only what was made of the data at this path, or in this table, and not the iterations themselves.
    """

    workflow: str | None = None
    number: int | None = None
    before: float | None = None
    node: str | None = None
    downstream: bool = False
    source: str | None = None
    runs: frozenset[str] | None = None

    def selects(self, iteration: IterationRecord, pinned: Collection[tuple[str, int]]) -> bool:
        """Return whether an iteration is selected: by its age no pinned one is."""
        is_by_age = self.before is not None or self.runs is not None
        return (
            self.workflow in (None, iteration.workflow) and self.number in (None, iteration.number)
            and (self.before is None or iteration.started < self.before)
            and (self.runs is None or iteration.run in self.runs)
            and not (is_by_age and (iteration.workflow, iteration.number) in pinned)
        )

    @property
    def is_whole(self) -> bool:
        """Whether the iterations themselves are to be forgotten."""
        return self.node is None and self.source is None


@dataclass(frozen=True)
class Forgetting:
    """What goes.

    Attributes:
        runs: the iterations that it is about, by run.
        whole: whether these go themselves, and not only what some nodes made in them.
        names: by run, the nodes whose results go.
        signatures, attempts: of results that go.
        shared: of results that stay, as another iteration has them.
        texts: digests of those that nothing names any more.
        places: where data of the source was read that is forgotten, also as the same data from elsewhere.
        sources: all places that the selected iterations read.
        untold: iterations of which something stays although it is not known what that reads.
        seen: the number of the last segment that this was decided on: what comes later stays.
    """

    runs: Mapping[str, IterationRecord]
    whole: bool
    names: Mapping[str, frozenset[str]]
    signatures: frozenset[str]
    shared: frozenset[str]
    texts: frozenset[str]
    attempts: frozenset[str]
    places: tuple[str, ...] = ()
    sources: frozenset[str] = frozenset()
    untold: tuple[IterationRecord, ...] = ()
    seen: int = 0

    @cached_property
    def iterations(self) -> frozenset[tuple[str, int]]:
        """Workflow and number of the iterations that it is about."""
        return frozenset((one.workflow, one.number) for one in self.runs.values())

    def strip(self, number: int, kind: str, fields: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the fields of a record, from the JSON of a segment, without what is forgotten; None if all of it is,
        and for one that does not fit: nobody reads it, and what it is about cannot be told."""
        if kind in _TYPES:
            try:
                record_of(fields, _TYPES[kind])
            except ValueError:
                return None
        elif any(isinstance(fields.get(name), list | dict) for name in ("workflow", "iteration")):
            return None  # of a later version, and about what cannot be told
        if kind == "artifacts":
            return None if fields.get("attempt") in self.attempts else fields
        if kind == "files":
            return None if fields.get("digest") in self.texts and number <= self.seen + 1 else fields
        if number > self.seen:
            return fields
        if kind == "results" and not {fields.get("signature"), fields.get("declared")}.isdisjoint(self.signatures):
            return None
        if kind in ("iterations", "nodes"):
            is_hit = fields.get("run") in self.runs
        else:
            is_hit = (fields.get("workflow"), fields.get("iteration")) in self.iterations
        if not is_hit:
            return fields
        if self.whole or kind == "answers":  # of an answer is not known which node asked for it
            return None
        gone = self.names.get(fields.get("run", ""), frozenset())  # of a run that ended early no nodes are recorded
        if kind == "iterations":
            return _iteration_without(gone, fields)
        if kind == "nodes" and fields.get("name") in gone:  # what is shown of a plan or a value may be data
            parts = [[group, label, digest, None] for group, label, digest, _ in json.loads(fields["parts"])]
            return {**fields, "code": "", "reason": _FORGOTTEN, "parts": json.dumps(parts)}
        return fields


def _iteration_without(gone: Collection[str], fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of an iteration without the outputs of some nodes. Errors and edits may quote data."""
    plan = mapping(fields.get("plan", "{}"))
    names = _called(gone, plan)
    for each in plan.keys() & {"tables", "evaluated"}:
        plan[each] = _without_names(plan[each], names)
    plan.pop("edit", None)
    outputs = _without_names(mapping(fields.get("outputs", "{}")), names)
    error = {"error": _FORGOTTEN} if fields.get("error") else {}
    return {**fields, "outputs": json.dumps(outputs), "plan": json.dumps(plan), **error}


_FORGOTTEN = "forgotten"
"""Stands for a text that may have quoted data."""


def _called(names: Collection[str], plan: Mapping[str, Any]) -> set[str]:
    """Return all names of some nodes: also those under which equal ones were merged into them."""
    return {*names, *(alias for alias, name in plan.get("merged", {}).items() if name in names)}


def _without_names(values: Mapping[str, Any], gone: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in gone}


_TYPES = {one.name: one.record_type for one in KINDS}


class _Node(NamedTuple):
    inputs: list[str]
    signature: str
    kind: str
    reads: list[str]


def forgetting(records: RecordLog, selection: Selection, pinned: Collection[tuple[str, int]] = ()) -> Forgetting:
    """Return what a selection has forgotten, as of one look at the records. Of what is selected by its age the pinned
    iterations stay. Raises CatalogError if something of a pinned one is named."""
    iterations = records.rows(IterationRecord, "ORDER BY turn")
    selected = {one.run: one for one in iterations if selection.selects(one, pinned)}
    graphs: dict[str, dict[str, _Node]] = {}
    sql = "SELECT run, name, inputs, signature, kind, reads FROM nodes ORDER BY turn"
    for run, name, inputs, signature, kind, reads in records.select(sql):
        places_read = [""] if reads is None else json.loads(reads)
        graphs.setdefault(run, {})[name] = _Node(json.loads(inputs), signature, kind, places_read)
    looked_at = {run: graphs.get(run, {}) for run in selected}
    names, places = _hit(looked_at, selection)
    runs = selected if selection.is_whole else {run: one for run, one in selected.items() if names[run]}
    if kept := [(one.workflow, one.number) for one in runs.values() if (one.workflow, one.number) in pinned]:
        workflow, number = min(kept)
        raise CatalogError(f"iteration {number} of {workflow!r} is pinned",
                           remedy=f"`helix pin {number} {workflow} --remove` first")
    going, staying = set[str](), set[str]()
    for run, nodes in graphs.items():
        for name, node in nodes.items():
            (going if name in names.get(run, ()) else staying).add(node.signature)
    if selection.is_whole:  # of one that was killed no nodes are recorded
        numbers = {(one.workflow, one.number) for one in runs.values()}
        made = records.select("SELECT signature, workflow, iteration FROM artifacts WHERE event = 'published'")
        going |= {signature for signature, *iteration in made if tuple(iteration) in numbers}
    signatures = frozenset(going - staying)
    untold = tuple(
        one for run, one in selected.items()
        if selection.source is not None and (not looked_at[run] or any(
            "" in node.reads and name not in names[run] for name, node in looked_at[run].items()
        ))
    )
    known = frozenset(digest for (digest,) in records.select("SELECT DISTINCT digest FROM files"))
    attempts = records.select("SELECT DISTINCT signature, attempt FROM artifacts")
    return Forgetting(
        runs, selection.is_whole, names, signatures, frozenset(going & staying),
        known - frozenset(_named_texts(records, iterations, runs if selection.is_whole else {}, names, signatures)),
        frozenset(attempt for signature, attempt in attempts if signature in signatures), places,
        frozenset(place for nodes in looked_at.values() for node in nodes.values() for place in node.reads if place),
        untold, records.last,
    )


def _named_texts(
    records: RecordLog, iterations: Iterable[IterationRecord], gone: Collection[str],
    names: Mapping[str, frozenset[str]], signatures: Collection[str],
) -> Iterator[str]:
    """Yield the digests of texts that records name which stay: files, first rows of outputs, what fits gave."""
    for one in iterations:
        if one.run not in gone:
            yield one.file_digest
            plan = mapping(one.plan)
            yield from _without_names(plan.get("tables", {}), _called(names.get(one.run, ()), plan)).values()
    for trained, *known_by in records.select("SELECT trained, signature, declared FROM results WHERE trained != ''"):
        if set(known_by).isdisjoint(signatures):
            yield trained


def _hit(
    graphs: Mapping[str, Mapping[str, _Node]], selection: Selection
) -> tuple[dict[str, frozenset[str]], tuple[str, ...]]:
    """Return the names of the nodes that a selection hits, by run, and the places where these read data of a source.

    Of a source the same data is also what was read of it elsewhere: all that has the signature of a hit is hit.
    """
    source, node_name = selection.source, selection.node
    if source is None and node_name is None:
        return {run: frozenset(nodes) for run, nodes in graphs.items()}, ()
    if source is None:
        hit = {run: frozenset(name for name in nodes if name == node_name) for run, nodes in graphs.items()}
        if selection.downstream:
            hit = {run: _with_downstream(graphs[run], names) for run, names in hit.items()}
        return hit, ()
    # As records may have it: as it is named, and its path, also where links lead.
    wanted, plain = {source}, source.removeprefix("file://").removeprefix("file:")
    if "://" not in plain:
        path = Path(plain).expanduser().absolute()
        wanted |= {os.path.normpath(path), str(path.resolve())}
    hit, places, signatures, is_new = dict.fromkeys(graphs, frozenset[str]()), dict[str, None](), set[str](), True
    for run, nodes in graphs.items():
        for name, node in nodes.items():
            if read := [one for one in node.reads if one and any(_overlap(one, other) for other in wanted)]:
                hit[run] |= {name}
                places |= dict.fromkeys(read)
    while is_new:
        is_new = False
        for run, nodes in graphs.items():
            alike = {name for name, node in nodes.items() if node.signature in signatures} - hit[run]
            places |= dict.fromkeys(place for name in sorted(alike) for place in nodes[name].reads if place)
            names = _with_downstream(nodes, hit[run] | alike)
            if len(names) > len(hit[run]) or not {nodes[name].signature for name in names} <= signatures:
                hit[run], is_new = names, True
                signatures |= {nodes[name].signature for name in names}
    return hit, tuple(places)


def _with_downstream(nodes: Mapping[str, _Node], names: frozenset[str]) -> frozenset[str]:
    """Return nodes and all that is made of them. A script may carry what it was answered into all else that it asks.

    >>> graph = {name: _Node(inputs, "", "scanner", []) for name, inputs in (("a", []), ("b", ["a"]), ("c", []))}
    >>> sorted(_with_downstream(graph, frozenset({"a"})))
    ['a', 'b']
    """
    if names and QUESTION_KINDS.issuperset(node.kind for node in nodes.values()):
        return frozenset(nodes)
    more = names
    while more:
        more = frozenset(name for name, one in nodes.items() if name not in names and not names.isdisjoint(one.inputs))
        names |= more
    return names


def _overlap(one: str, other: str) -> bool:
    """Return whether two places have data in common, as far as their names tell: one is the other, or below it, also
    where names have wildcards.

    >>> _overlap("/data/people", "/data/people/2024.csv"), _overlap("/data/*/a.csv", "/data/2024"), _overlap("t", "t2")
    (True, True, False)
    """
    return all(
        a is None or b is None or a == b or fnmatchcase(a, b) or fnmatchcase(b, a)
        for a, b in zip_longest(_steps(one), _steps(other))
    )


_BRACES = re.compile(r"\{[^{}/]*\}")
"""Alternatives in one step of a pattern."""


def _steps(place: str) -> list[str]:
    """Return the steps of a path; of alternatives, which a record may have by the thousand, a wildcard or the folder
    that they are in.

    >>> _steps("/data/{a,{b,c}}.csv"), _steps("/data/{a/b,c}.csv")
    (['', 'data', '*.csv'], ['', 'data'])
    """
    while (plain := _BRACES.sub("*", place)) != place:
        place = plain
    return place.partition("{")[0].rstrip("/").split("/")
