"""Fills a catalog with a long history without running it, to measure what history costs."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import IterationRecord, NodeRecord, ResultRecord
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.node import Dag
from helix_spark.identity.difference import parts_to_json
from helix_spark.identity.parts import digest
from helix_spark.identity.signing import describe, resolve
from helix_spark.workflow.workflow import Workflow

_MAINTAINED_EVERY = 20
"""Iterations between upkeeps; a session does it after each run, in the background."""

_AS_RUN = 100
"""The last iterations are recorded one by one, as runs do."""

_TOGETHER = 100
"""Nodes and results of earlier ones are recorded for this many at a time: upkeep has long since put them together."""


def filled_catalog(root: Path, workflow: Workflow, iterations: int) -> Catalog:
    """A catalog in which a workflow was run so often, its last third of nodes edited each time."""
    catalog = Catalog.open(root, create=True)
    past = _Past(compile_workflow(workflow), workflow.name, iterations)
    first_as_run = max(0, iterations - _AS_RUN)
    for number in range(first_as_run):
        past.happen(number)
        together = (number + 1) % _TOGETHER == 0 or number + 1 == first_as_run
        catalog.append_iteration(past.ended(number), *(past.taken() if together else ((), ())))
        if together:
            catalog.maintain()
    for number in range(first_as_run, iterations):
        past.happen(number)
        catalog.start_iteration(past.begun(number))
        catalog.append_iteration(past.ended(number), *past.taken())
        if number % _MAINTAINED_EVERY == 0:
            catalog.maintain()
    catalog.maintain()
    return catalog


@dataclass
class _Past:
    """What iterations would have recorded, numbered from 0 here and from 1 in their records."""

    dag: Dag
    workflow: str
    iterations: int
    nodes: list[NodeRecord] = field(default_factory=list)
    results: list[ResultRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        described = describe(self.dag, {})
        self.signed = resolve(self.dag, described, run=uuid.uuid4().hex, equivalent={}, known_random={})
        self.parts: Mapping[str, str] = {name: parts_to_json(own.parts) for name, own in self.signed.items()}
        self.edited = {node.name for node in self.dag.nodes[2 * len(self.dag.nodes) // 3 :]}
        self.runs = [uuid.uuid4().hex for _ in range(self.iterations)]

    def happen(self, number: int) -> None:
        """Adds an iteration's nodes and results to those that are not taken yet."""
        for node in self.dag.nodes:
            own, edited = self.signed[node.name].signature, node.name in self.edited
            signature = digest(own, str(number)) if edited else own
            self.nodes.append(NodeRecord(
                self.runs[number], self.workflow, number + 1, node.name, node.kind, node.inputs, "compute", "edited",
                signature, signature, self.parts[node.name], seconds=0.1, predicted_seconds=0.1,
            ))
            # Loads are on record as well: of what stays as it is there are as many records as iterations.
            computed = edited or number == 0
            self.results.append(ResultRecord(
                signature, signature, self.workflow, node.name, node.kind, number + 1,
                compute_seconds=0.1 if computed else None, load_seconds=None if computed else 0.05,
            ))

    def taken(self) -> tuple[list[NodeRecord], list[ResultRecord]]:
        taken = self.nodes, self.results
        self.nodes, self.results = [], []
        return taken

    def begun(self, number: int) -> IterationRecord:
        return IterationRecord(
            self.runs[number], self.workflow, number + 1, "running", 1e9 + 600.0 * number,
            message=f"try {number + 1}" if number % 3 == 0 else "",
            parameters=json.dumps({"reg": 0.1 / (1 + number // 2), "bins": 10 + number % 7}),
            plan=json.dumps({"status": "optimal", "policy": "rule", "run_all_seconds": 0.15 * len(self.dag.nodes)}),
        )

    def ended(self, number: int) -> IterationRecord:
        accuracy = 0.8 + 0.1 * math.tanh(number / self.iterations) + 0.01 * math.sin(number)
        outputs = json.dumps({"accuracy": accuracy, "auc": min(1.0, accuracy + 0.05)})
        return replace(self.begun(number), status="done", seconds=1.0, outputs=outputs)
