"""What a catalog forgets for good: iterations with all that was recorded of them, or results by name. No byte of it is
left in the catalog's folder afterwards.

A result that an iteration has which stays is kept, and so is its record.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import KINDS, IterationRecord
from helix_spark.catalog.segments.record_columns import record_of
from helix_spark.catalog.segments.record_log import RecordLog
from helix_spark.errors import CatalogError


@dataclass(frozen=True, slots=True)
class Selection:
    """What to forget.

    Attributes:
        workflow: of which; None for all.
        number: of one of its iterations; None for all.
        before: Unix seconds; only iterations that started earlier. None for all.
        node: only what this node made, and not the iterations themselves; None for all of them.
        downstream: also what was made of it.
        runs: only of these; None for all.
    """

    workflow: str | None = None
    number: int | None = None
    before: float | None = None
    node: str | None = None
    downstream: bool = False
    runs: frozenset[str] | None = None

    def has(self, iteration: IterationRecord) -> bool:
        """Return whether an iteration is selected."""
        return (
            self.workflow in (None, iteration.workflow) and self.number in (None, iteration.number)
            and (self.before is None or iteration.started < self.before)
            and (self.runs is None or iteration.run in self.runs)
        )

    @property
    def is_by_age(self) -> bool:
        """True if nobody has named what goes, but its age."""
        return self.before is not None or self.runs is not None


@dataclass(frozen=True)
class Forgetting:
    """What goes.

    Attributes:
        runs: the selected iterations, by run.
        whole: whether these go themselves, and not only what a node made in them.
        names: by run, the nodes whose results go.
        signatures: of results that go.
        shared: of results that stay, as another iteration has them.
        files: digests of the workflow files that stay.
    """

    runs: Mapping[str, IterationRecord]
    whole: bool
    names: Mapping[str, frozenset[str]]
    signatures: frozenset[str]
    shared: frozenset[str]
    files: frozenset[str]

    @cached_property
    def iterations(self) -> frozenset[tuple[str, int]]:
        """Workflow and number of the selected iterations."""
        return frozenset((one.workflow, one.number) for one in self.runs.values())

    def without(self, kind: str, fields: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the fields of a record, from JSON, without what is forgotten; None if all of it is, and for one that
        does not fit: nobody reads it, and what it is about cannot be told."""
        if not _fits(kind, fields):
            return None
        if kind == "artifacts":
            return None if fields.get("signature") in self.signatures else fields
        if kind == "results" and not {fields.get("signature"), fields.get("declared")}.isdisjoint(self.signatures):
            return None
        if kind == "files":
            return fields if fields.get("digest") in self.files else None
        if kind in ("iterations", "nodes"):
            is_hit = fields.get("run") in self.runs
        else:
            is_hit = (fields.get("workflow"), fields.get("iteration")) in self.iterations
        if not is_hit:
            return fields
        if self.whole or kind == "answers":  # of an answer is not known which node asked for it
            return None
        if kind not in ("iterations", "nodes"):
            return fields
        gone = self.names.get(fields["run"], frozenset())  # none of one that ended before its nodes were recorded
        if kind == "iterations":
            outputs = {name: value for name, value in mapping(fields.get("outputs", "{}")).items() if name not in gone}
            return {**fields, "outputs": json.dumps(outputs)}
        return {**fields, "code": ""} if fields.get("name") in gone else fields


_TYPES = {one.name: one.record_type for one in KINDS}


def _fits(kind: str, fields: Mapping[str, Any]) -> bool:
    if kind not in _TYPES:  # of a later version
        return not any(isinstance(fields.get(name), list | dict) for name in ("workflow", "iteration"))
    try:
        record_of(fields, _TYPES[kind])
    except ValueError:
        return False
    return True


def forgetting(
    records: RecordLog, selection: Selection, pinned: Collection[tuple[str, int]] = ()
) -> Forgetting:
    """Return what a selection has forgotten. Of what is selected by its age the pinned iterations stay. Raises
    CatalogError if one is pinned that was named."""
    iterations = records.rows(IterationRecord, "ORDER BY turn")
    runs = {one.run: one for one in iterations if selection.has(one)}
    kept = {run: one for run, one in runs.items() if (one.workflow, one.number) in pinned}
    if kept and not selection.is_by_age:
        first = min(kept.values(), key=lambda one: (one.workflow, one.number))
        raise CatalogError(f"iteration {first.number} of {first.workflow!r} is pinned",
                           remedy=f"`helix pin {first.number} {first.workflow} --remove` first")
    runs = {run: one for run, one in runs.items() if run not in kept}
    names, going, staying = dict[str, frozenset[str]](), set[str](), set[str]()
    for run, nodes in _graphs(records):
        hit = _hit(nodes, selection) if run in runs else frozenset()
        names[run] = hit
        for name, (_, signature) in nodes.items():
            (going if name in hit else staying).add(signature)
    whole = selection.node is None
    files = {one.file_digest for one in iterations if not (whole and one.run in runs)}
    return Forgetting(
        runs, whole, names, frozenset(going - staying), frozenset(going & staying), frozenset(files)
    )


def _graphs(records: RecordLog) -> Iterator[tuple[str, dict[str, tuple[list[str], str]]]]:
    """Yield each run with its nodes by name: what each reads, and its signature."""
    graphs: dict[str, dict[str, tuple[list[str], str]]] = {}
    for run, name, inputs, signature in records.select("SELECT run, name, inputs, signature FROM nodes ORDER BY turn"):
        graphs.setdefault(run, {})[name] = (json.loads(inputs), signature)
    yield from graphs.items()


def _hit(nodes: Mapping[str, tuple[list[str], str]], selection: Selection) -> frozenset[str]:
    """Return the nodes of one run whose results go.

    >>> graph = {"a": ([], ""), "b": (["a"], ""), "c": (["b"], ""), "d": ([], "")}
    >>> sorted(_hit(graph, Selection(node="b"))), sorted(_hit(graph, Selection(node="a", downstream=True)))
    (['b'], ['a', 'b', 'c'])
    """
    if selection.node is None:
        return frozenset(nodes)
    hit = {selection.node} & nodes.keys()
    more = hit if selection.downstream else set()
    while more:
        more = {name for name, (inputs, _) in nodes.items() if name not in hit and not hit.isdisjoint(inputs)}
        hit |= more
    return frozenset(hit)
