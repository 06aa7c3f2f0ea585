"""Fills a catalog with a long history without running it, to measure what history costs."""

from __future__ import annotations

import json
import math
import uuid
from dataclasses import replace
from pathlib import Path

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import IterationRecord, NodeRecord, ResultRecord
from helix_spark.dag.compilation import compile_workflow
from helix_spark.signature.difference import parts_to_json
from helix_spark.signature.parts import digest
from helix_spark.signature.signing import describe, resolve
from helix_spark.workflow.workflow import Workflow

_MAINTAINED_EVERY = 20
"""Iterations between upkeeps; a session does it after each run, in the background."""


def filled_catalog(root: Path, workflow: Workflow, iterations: int) -> Catalog:
    """A catalog in which a workflow was run so often, its last third of nodes edited each time."""
    catalog = Catalog.open(root, create=True)
    dag = compile_workflow(workflow)
    described = describe(dag, {})
    signed = resolve(dag, described, run=uuid.uuid4().hex, equivalent={}, known_random={})
    edited = {node.name for node in dag.nodes[2 * len(dag.nodes) // 3 :]}
    for number in range(iterations):
        run = uuid.uuid4().hex
        record = catalog.start_iteration(IterationRecord(
            run, workflow.name, number + 1, "running", 1e9 + 600.0 * number,
            message=f"try {number + 1}" if number % 3 == 0 else "",
            parameters=json.dumps({"reg": 0.1 / (1 + number // 2), "bins": 10 + number % 7}),
            plan=json.dumps({"status": "optimal", "policy": "rule", "run_all_seconds": 0.15 * len(dag.nodes)}),
        ))
        nodes, results = [], []
        for node in dag.nodes:
            own = signed[node.name]
            signature = digest(own.signature, str(number)) if node.name in edited else own.signature
            nodes.append(NodeRecord(
                run, workflow.name, number + 1, node.name, node.kind, node.inputs, "compute", "edited", signature,
                signature, parts_to_json(own.parts), seconds=0.1, predicted_seconds=0.1,
            ))
            if node.name in edited or number == 0:
                results.append(ResultRecord(
                    signature, signature, workflow.name, node.name, node.kind, number + 1, compute_seconds=0.1
                ))
        accuracy = 0.8 + 0.1 * math.tanh(number / iterations) + 0.01 * math.sin(number)
        outputs = json.dumps({"accuracy": accuracy, "auc": min(1.0, accuracy + 0.05)})
        catalog.append_iteration(replace(record, status="done", seconds=1.0, outputs=outputs), nodes, results)
        if number % _MAINTAINED_EVERY == 0:
            catalog.maintain()
    catalog.maintain()
    return catalog
