"""Catalogs to show: one whose every text is hostile, and graphs of any size. Written without running anything."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow as pa

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord, ResultRecord, Status
from helix_spark.history.model_card import ModelCard
from helix_spark.identity.difference import parts_to_json
from helix_spark.identity.parts import Group, Part, digest
from tests.fakes.written_tables import written

HOSTILE = "<img src=x onerror=alert(1)>'\"</script><script>alert(2)</script>&amp;{{7*7}}../../etc/passwd"
"""Markup, quotes, a template's braces and a path: each page must show it as the text that it is."""


def run_id(number: int) -> str:
    """The id of a run."""
    return f"{number:032x}"


def hostile_catalog(root: Path) -> Catalog:
    """Two workflows; the first has iterations that are done, failed and running, a stored table, a value, an evicted
    model, and hostile text wherever text can be."""
    catalog = Catalog.open(root, create=True)
    workflow = f"w {HOSTILE}"
    names = (f"data {HOSTILE}", f"model+ {HOSTILE}", f"auc {HOSTILE}")
    for number, status in enumerate(("done", "done", "failed"), 1):
        _iteration(catalog, workflow, number, status, names if number > 1 else names[:2])  # type: ignore[arg-type]  # the words are states
    _store(catalog, workflow, names)
    catalog.leases.take(run_id(4))
    catalog.start_iteration(IterationRecord(
        run_id(4), workflow, 4, "running", 1.7e9, message=HOSTILE, parameters=json.dumps({HOSTILE: HOSTILE})
    ))
    _iteration(catalog, "other", 1, "done", ("data", "auc"), run=run_id(9))
    return catalog


def signature_of_node(name: str, number: int) -> str:
    """Each node has another signature in each iteration but the first of them."""
    return digest(name) if name.startswith("data") else digest(name, str(number))


def _iteration(
    catalog: Catalog, workflow: str, number: int, status: Status, names: tuple[str, ...], run: str = ""
) -> None:
    run = run or run_id(number)
    record = catalog.start_iteration(IterationRecord(
        run, workflow, number, "running", 1.7e9 + 60 * number, message=f"{HOSTILE} {number}",
        parameters=json.dumps({HOSTILE: f"{HOSTILE}{number}", "reg": 0.1 / number}),
        plan=json.dumps({
            "status": "optimal", "objective": 4.0, "bound": 4.0, "gap": 0.0, "solver": HOSTILE, "solver_seconds": 0.01,
            "policy": "joint", "budget": 2_000_000, "used": 1000, "predicted_seconds": 4.0, "run_all_seconds": 9.0,
        }),
        versions=json.dumps({"python": "3.11", HOSTILE: HOSTILE}),
    ))
    failed = status == "failed"
    nodes = [
        NodeRecord(
            run, workflow, number, name, "source" if place == 0 else HOSTILE, names[max(0, place - 1) : place],
            "load" if place == 0 and number > 1 else "compute", f"`{HOSTILE}` changed", signature_of_node(name, number),
            signature_of_node(name, number),
            parts_to_json([Part(Group.CODE, HOSTILE, digest(name, str(number)), f"{HOSTILE}{number}")]),
            code=f"def f():\n    return {number}  # {HOSTILE}\n", seconds=None if failed and place else 0.5 + place,
            predicted_seconds=1.0, bytes=1000, rows=3, output=place == len(names) - 1, started=0.5 * place,
        )
        for place, name in enumerate(names)
    ]
    card = fitted_card(HOSTILE).record(HOSTILE)
    assert card is not None
    results = [
        ResultRecord(
            node.declared, node.signature, workflow, node.name, node.kind, number, compute_seconds=1.0 + place,
            trained=card.digest if place == 1 else "",
        )
        for place, node in enumerate(nodes)
    ]
    outputs = {} if failed else {
        "auc": 0.8 + number / 100, f"{HOSTILE} loss": 1.0 / number, "text": HOSTILE, "nan": float("nan"),
        "nested": {HOSTILE: number}, "predictions": {"table": HOSTILE, "rows": 3},
    }
    error = f"`{names[1]}` failed: {HOSTILE}\n  at jobs/x.py:3" if failed else ""
    end = IterationRecord(
        run, workflow, record.number, status, record.started, 2.5, record.message, record.parameters,
        json.dumps(outputs), record.plan, record.versions, error=error,
    )
    catalog.append_iteration(end, nodes, results, [card])


def fitted_card(text: str) -> ModelCard:
    """What a fit gave, each text of it this one."""
    inside = ModelCard(text, labels=(text, "b"))
    return ModelCard(
        text, ((text, text, True), ("tol", text, False)), ((text, 3.0),), ("weight",),
        ((text, (1.5,)), ("age", (-0.5,))), 300, (0.7, 0.5, 0.4), parts=(inside,),
    )


def _store(catalog: Catalog, workflow: str, names: tuple[str, ...]) -> None:
    table = pa.table({"<script>alert": [HOSTILE, "b", None], "x": [1.0, 2.0, 3.0], "v": [[1.0, 2.0], None, [3.0]]})
    attempt = catalog.begin_attempt(signature_of_node(names[0], 1), "table")
    catalog.publish(ArtifactRecord(
        attempt.signature, attempt.attempt, "table", "published", workflow, names[0], 1, 1.7e9,
        write_seconds=0.2, **written(attempt, table),
    ))
    for name, kind, value in ((names[2], "value", json.dumps(HOSTILE)), (names[1], "model", None)):
        attempt = catalog.begin_attempt(signature_of_node(name, 2), kind)  # type: ignore[arg-type]  # the words are kinds
        if attempt.path is not None:
            attempt.path.make_folder()
        catalog.publish(ArtifactRecord(
            attempt.signature, attempt.attempt, kind, "published", workflow, name, 2, 1.7e9,  # type: ignore[arg-type]  # as above
            bytes=5 if kind == "model" else 0, value=value,
        ))
    catalog.evict_all({signature_of_node(names[1], 2): f"the budget is better spent {HOSTILE}"})


def graph_catalog(root: Path, workflow: str, nodes: int, seed: int = 0) -> Catalog:
    """One iteration of a workflow with so many nodes, each reading up to three of the forty before it."""
    catalog = Catalog.open(root, create=True)
    chance = random.Random(seed)
    run = digest(workflow)[:32]
    record = catalog.start_iteration(IterationRecord(run, workflow, 1, "running", 1.7e9))
    made = []
    for place in range(nodes):
        before = range(max(0, place - 40), place)
        inputs = tuple(f"node_{i}" for i in sorted(chance.sample(before, min(len(before), chance.randint(1, 3)))))
        made.append(NodeRecord(
            run, workflow, 1, f"node_{place}", "scanner", inputs, chance.choice(("load", "compute", "prune")),
            "never run before", digest(workflow, str(place)), digest(workflow, str(place)), "[]", seconds=0.1,
            predicted_seconds=0.1, started=0.1 * place,
        ))
    end = IterationRecord(run, workflow, record.number, "done", record.started, 1.0, outputs=json.dumps({"auc": 0.5}))
    catalog.append_iteration(end, made)
    return catalog


def family_catalog(root: Path, workflow: str, extractors: int, computed: tuple[int, ...] = (0,)) -> Catalog:
    """One iteration of a workflow with so many extractors, each with a fit of its own, all of them loaded but those
    computed."""
    catalog = Catalog.open(root, create=True)
    run = digest(workflow)[:32]
    record = catalog.start_iteration(IterationRecord(run, workflow, 1, "running", 1.7e9))
    made: list[NodeRecord] = []

    def add(name: str, kind: str, inputs: tuple[str, ...], state: str, output: bool = False) -> str:
        signature = digest(workflow, name)
        made.append(NodeRecord(
            run, workflow, 1, name, kind, inputs, state, "never run before", signature, signature, "[]", seconds=0.5,
            predicted_seconds=0.5, output=output,
        ))
        return name

    rows = add("rows", "scanner", (), "load")
    columns = []
    for place in range(extractors):
        state = "compute" if place in computed else "load"
        fit = add(f"column_{place}.fit", "extractor", (rows,), state)
        columns.append(add(f"column_{place}", "extractor", (rows, fit), state))
    examples = add("examples", "synthesizer", (rows, *columns), "compute")
    model = add("model", "learner", (examples,), "compute")
    add("auc", "reducer", (model, examples), "compute", output=True)
    end = IterationRecord(run, workflow, record.number, "done", record.started, 1.0, outputs=json.dumps({"auc": 0.5}))
    catalog.append_iteration(end, made)
    return catalog
