"""Forget iterations with their records, a node's results, or all that derives from a source, to the last byte.

Results of remaining iterations stay, with their records.
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
    """The iterations or results to forget.

    Attributes:
        workflow, number, runs: only of these iterations; None for all.
        before: Unix seconds; only iterations that started earlier. None for all.
        node: only results of this node (with `downstream` also of its descendants), not iterations; None for all.
        source: only results derived from the data at this path, or in this table, not iterations; None for all.
    """

    workflow: str | None = None
    number: int | None = None
    before: float | None = None
    node: str | None = None
    downstream: bool = False
    source: str | None = None
    runs: frozenset[str] | None = None

    def selects(self, iteration: IterationRecord, pinned: Collection[tuple[str, int]]) -> bool:
        """Return whether an iteration is selected. Pinned iterations are never selected by age."""
        is_by_age = self.before is not None or self.runs is not None
        return (
            self.workflow in (None, iteration.workflow) and self.number in (None, iteration.number)
            and (self.before is None or iteration.started < self.before)
            and (self.runs is None or iteration.run in self.runs)
            and not (is_by_age and (iteration.workflow, iteration.number) in pinned)
        )

    @property
    def is_whole(self) -> bool:
        """True if the iterations themselves are selected."""
        return self.node is None and self.source is None


@dataclass(frozen=True)
class Forgetting:
    """The effects of a selection.

    Attributes:
        runs: the selected iterations, by run.
        whole: True if the iterations themselves are forgotten, and not only results of some nodes.
        names: nodes whose results are forgotten, by run.
        signatures, attempts: ids of the forgotten results.
        shared: signatures of results that stay because another iteration has them.
        texts: digests of texts to which no reference remains.
        locations: locations where the data of the source was read, also the same data from elsewhere.
        sources: all locations that the selected iterations read.
        unrecorded: iterations with a node that stays although its reads are not recorded.
        last: number of the last segment at the time of the decision: later records stay.
    """

    runs: Mapping[str, IterationRecord]
    whole: bool
    names: Mapping[str, frozenset[str]]
    signatures: frozenset[str]
    shared: frozenset[str]
    texts: frozenset[str]
    attempts: frozenset[str]
    locations: tuple[str, ...] = ()
    sources: frozenset[str] = frozenset()
    unrecorded: tuple[IterationRecord, ...] = ()
    last: int = 0

    @cached_property
    def iterations(self) -> frozenset[tuple[str, int]]:
        """Workflow and number of the selected iterations."""
        return frozenset((iteration.workflow, iteration.number) for iteration in self.runs.values())

    def strip(self, number: int, kind: str, fields: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return a record's fields, from the JSON of a segment, without forgotten data; None to delete the record. Also
        delete invalid records: readers skip them, and their iterations are unknown."""
        if kind in _TYPES:
            try:
                record_of(fields, _TYPES[kind])
            except ValueError:
                return None
        elif any(isinstance(fields.get(name), list | dict) for name in ("workflow", "iteration")):
            return None  # from a later version, and its iteration is unknown
        if kind == "artifacts":
            return None if fields.get("attempt") in self.attempts else fields
        if kind == "files":
            return None if fields.get("digest") in self.texts and number <= self.last + 1 else fields
        if number > self.last:
            return fields
        if kind == "results" and not {fields.get("signature"), fields.get("declared")}.isdisjoint(self.signatures):
            return None
        if kind in ("iterations", "nodes"):
            is_selected = fields.get("run") in self.runs
        else:
            is_selected = (fields.get("workflow"), fields.get("iteration")) in self.iterations
        if not is_selected:
            return fields
        if self.whole or kind == "answers":  # the node of an answer is unknown
            return None
        names = self.names.get(fields.get("run", ""), frozenset())  # a run that ended early has no nodes
        if kind == "iterations":
            return _iteration_without(names, fields)
        if kind == "nodes" and fields.get("name") in names:  # the shown texts of plans and values may be data
            parts = [[group, label, digest, None] for group, label, digest, _ in json.loads(fields["parts"])]
            return {**fields, "code": "", "reason": _FORGOTTEN, "parts": json.dumps(parts)}
        return fields


def _iteration_without(nodes: Collection[str], fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of an iteration without the outputs of some nodes. Errors and edits may quote data."""
    plan = mapping(fields.get("plan", "{}"))
    names = _with_aliases(nodes, plan)
    for part in plan.keys() & {"tables", "evaluated"}:
        plan[part] = _without_names(plan[part], names)
    plan.pop("edit", None)
    outputs = _without_names(mapping(fields.get("outputs", "{}")), names)
    error = {"error": _FORGOTTEN} if fields.get("error") else {}
    return {**fields, "outputs": json.dumps(outputs), "plan": json.dumps(plan), **error}


_FORGOTTEN = "forgotten"
"""Replaces a text that may have quoted data."""


def _with_aliases(names: Collection[str], plan: Mapping[str, Any]) -> set[str]:
    """Return the names of nodes and of the equal nodes that were merged into them."""
    return {*names, *(alias for alias, name in plan.get("merged", {}).items() if name in names)}


def _without_names(values: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


_TYPES = {kind.name: kind.record_type for kind in KINDS}


class _Node(NamedTuple):
    inputs: list[str]
    signature: str
    kind: str
    reads: list[str]


def forgetting(records: RecordLog, selection: Selection, pinned: Collection[tuple[str, int]] = ()) -> Forgetting:
    """Return the effects of a selection on the records. Raises CatalogError if it affects a pinned iteration."""
    iterations = records.rows(IterationRecord, "ORDER BY turn")
    selected = {iteration.run: iteration for iteration in iterations if selection.selects(iteration, pinned)}
    graphs: dict[str, dict[str, _Node]] = {}
    sql = "SELECT run, name, inputs, signature, kind, reads FROM nodes ORDER BY turn"
    for run, name, inputs, signature, kind, reads in records.select(sql):
        locations = [""] if reads is None else json.loads(reads)
        graphs.setdefault(run, {})[name] = _Node(json.loads(inputs), signature, kind, locations)
    selected_graphs = {run: graphs.get(run, {}) for run in selected}
    names, source_locations = _selected_nodes(selected_graphs, selection)
    runs = selected if selection.is_whole else {run: iteration for run, iteration in selected.items() if names[run]}
    if conflicts := [key for iteration in runs.values() if (key := (iteration.workflow, iteration.number)) in pinned]:
        workflow, number = min(conflicts)
        raise CatalogError(f"iteration {number} of {workflow!r} is pinned",
                           remedy=f"`helix pin {number} {workflow} --remove` first")
    selected_results, remaining_results = set[str](), set[str]()
    for run, nodes in graphs.items():
        for name, node in nodes.items():
            (selected_results if name in names.get(run, ()) else remaining_results).add(node.signature)
    if selection.is_whole:  # a killed iteration has no nodes
        numbers = {(iteration.workflow, iteration.number) for iteration in runs.values()}
        stored = records.select("SELECT signature, workflow, iteration FROM artifacts WHERE event = 'published'")
        selected_results |= {signature for signature, *iteration in stored if tuple(iteration) in numbers}
    signatures = frozenset(selected_results - remaining_results)
    unrecorded = tuple(
        iteration for run, iteration in selected.items()
        if selection.source is not None and (not selected_graphs[run] or any(
            "" in node.reads and name not in names[run] for name, node in selected_graphs[run].items()
        ))
    )
    texts = frozenset(digest for (digest,) in records.select("SELECT DISTINCT digest FROM files"))
    attempts = records.select("SELECT DISTINCT signature, attempt FROM artifacts")
    return Forgetting(
        runs, selection.is_whole, names, signatures, frozenset(selected_results & remaining_results),
        texts - frozenset(_named_texts(records, iterations, runs if selection.is_whole else {}, names, signatures)),
        frozenset(attempt for signature, attempt in attempts if signature in signatures), source_locations,
        frozenset(filter(None, (
            location for nodes in selected_graphs.values() for node in nodes.values() for location in node.reads
        ))),
        unrecorded, records.last,
    )


def _named_texts(
    records: RecordLog, iterations: Iterable[IterationRecord], forgotten_runs: Collection[str],
    names: Mapping[str, frozenset[str]], signatures: Collection[str],
) -> Iterator[str]:
    """Yield the digests of texts that remaining records name: files, first rows of outputs, model cards."""
    for iteration in iterations:
        if iteration.run not in forgotten_runs:
            yield iteration.file_digest
            plan = mapping(iteration.plan)
            aliases = _with_aliases(names.get(iteration.run, ()), plan)
            yield from _without_names(plan.get("tables", {}), aliases).values()
    for trained, *keys in records.select("SELECT trained, signature, declared FROM results WHERE trained != ''"):
        if set(keys).isdisjoint(signatures):
            yield trained


def _selected_nodes(
    graphs: Mapping[str, Mapping[str, _Node]], selection: Selection
) -> tuple[dict[str, frozenset[str]], tuple[str, ...]]:
    """Return the names of the selected nodes by run, and the locations where these read data of a source.

    A source may have copies elsewhere: all nodes with the signature of a selected node are selected.
    """
    source, node_name = selection.source, selection.node
    if source is None and node_name is None:
        return {run: frozenset(nodes) for run, nodes in graphs.items()}, ()
    if source is None:
        selected = {run: frozenset(name for name in nodes if name == node_name) for run, nodes in graphs.items()}
        if selection.downstream:
            selected = {run: _with_downstream(graphs[run], names) for run, names in selected.items()}
        return selected, ()
    # Records may have the name, the path, or the path behind links.
    source_paths, plain = {source}, source.removeprefix("file://").removeprefix("file:")
    if "://" not in plain:
        path = Path(plain).expanduser().absolute()
        source_paths |= {os.path.normpath(path), str(path.resolve())}
    selected, locations = dict.fromkeys(graphs, frozenset[str]()), dict[str, None]()
    for run, nodes in graphs.items():
        for name, node in nodes.items():
            matches = [read for read in node.reads if read and any(_overlap(read, path) for path in source_paths)]
            if matches:
                selected[run] |= {name}
                locations |= dict.fromkeys(matches)
    signatures, is_new = set[str](), True
    while is_new:
        is_new = False
        for run, nodes in graphs.items():
            alike = {name for name, node in nodes.items() if node.signature in signatures} - selected[run]
            locations |= dict.fromkeys(read for name in sorted(alike) for read in nodes[name].reads if read)
            names = _with_downstream(nodes, selected[run] | alike)
            if len(names) > len(selected[run]) or not {nodes[name].signature for name in names} <= signatures:
                selected[run], is_new = names, True
                signatures |= {nodes[name].signature for name in names}
    return selected, tuple(locations)


def _with_downstream(nodes: Mapping[str, _Node], names: frozenset[str]) -> frozenset[str]:
    """Return nodes and their descendants. In a script, any later query may depend on an earlier answer.

    >>> graph = {name: _Node(inputs, "", "scanner", []) for name, inputs in (("a", []), ("b", ["a"]), ("c", []))}
    >>> sorted(_with_downstream(graph, frozenset({"a"})))
    ['a', 'b']
    """
    if names and QUESTION_KINDS.issuperset(node.kind for node in nodes.values()):
        return frozenset(nodes)
    children = names
    while children:
        remaining = nodes.keys() - names
        children = frozenset(name for name in remaining if not names.isdisjoint(nodes[name].inputs))
        names |= children
    return names


def _overlap(first: str, second: str) -> bool:
    """Return whether two locations, perhaps with wildcards, may share data: equal, or one below the other.

    >>> _overlap("/data/people", "/data/people/2024.csv"), _overlap("/data/*/a.csv", "/data/2024"), _overlap("t", "t2")
    (True, True, False)
    """
    return all(
        a is None or b is None or a == b or fnmatchcase(a, b) or fnmatchcase(b, a)
        for a, b in zip_longest(_steps(first), _steps(second))
    )


_BRACES = re.compile(r"\{[^{}/]*\}")
"""Alternatives in one step of a pattern."""


def _steps(pattern: str) -> list[str]:
    """Return the steps of a path. Alternatives, which may be thousands, become a wildcard, or end the path before them.

    >>> _steps("/data/{a,{b,c}}.csv"), _steps("/data/{a/b,c}.csv")
    (['', 'data', '*.csv'], ['', 'data'])
    """
    while (plain := _BRACES.sub("*", pattern)) != pattern:
        pattern = plain
    return pattern.partition("{")[0].rstrip("/").split("/")
