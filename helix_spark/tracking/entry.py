"""Build the entry of an iteration for MLflow: plain data, as it goes to the sender."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from helix_spark.catalog.records import NodeRecord
from helix_spark.drawing.graph import Stored
from helix_spark.drawing.svg import svg
from helix_spark.history.edit_message import edit_of
from helix_spark.history.metrics import Metrics, metrics_of, number
from helix_spark.history.value_text import node_json, result_text
from helix_spark.identity.difference import parts_from_json
from helix_spark.identity.parts import Group
from helix_spark.plots import plots_among
from helix_spark.run.tracker import Finished
from helix_spark.views.node_row import graph_of, recorded_rows
from helix_spark.views.notebook_views import plan_text

RUN_TAG = "helix.run"
"""The tag that identifies a run's iteration, so that an iteration sent again gets no second run."""

LONGEST_PARAMETER = 6000
LONGEST_TAG = 5000
LONGEST_NAME = 250
"""Characters that MLflow takes at most (`mlflow.utils.validation`)."""

_STATUS = {"done": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


def entry_of(finished: Finished, experiment: str | None, models: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return the entry of an iteration in JSON's types, with times in milliseconds since 1970.

    Args:
        models: by node name, a Spark ML model that its writer saved in FOLDER/sparkml: the ``folder``, the full
            ``class_name``, and the version of ``pyspark`` that wrote it.
    """
    record = finished.record
    outputs, parameters = json.loads(record.outputs), json.loads(record.parameters)
    started = round(record.started * 1000)
    run_metrics = {
        "seconds": record.seconds or 0.0, "seconds_of_nodes": sum(node.seconds or 0.0 for node in finished.nodes),
        "stored_bytes": float(sum(finished.stored.values())),
        **({} if finished.plan is None else {"seconds_of_everything": finished.plan.run_all_seconds}),
    }
    for state in ("load", "compute", "prune"):
        run_metrics[f"nodes.{state}"] = float(sum(node.state == state for node in finished.nodes))
    stage_parameters = (  # such as ``model.maxIter``
        (f"{node.name}.{part.label}", part.shown)
        for node in finished.nodes if node.kind in ("learner", "extractor")
        for part in parts_from_json(node.parts) if part.group is Group.PARAMETER and part.shown is not None
    )
    return {
        "experiment": experiment or record.workflow, "name": f"{record.workflow} {record.number}", "run": record.run,
        "title": f"iteration {record.number} of {record.workflow}",
        "status": _STATUS[record.status], "started": started, "ended": started + round((record.seconds or 0.0) * 1000),
        "parameters": {
            _name(name): value[:LONGEST_PARAMETER] for name, value in (*stage_parameters, *_run_parameters(parameters))
        },
        "metrics": {**dict(numbers(outputs)), **{f"helix.{name}": value for name, value in run_metrics.items()}},
        "tags": _tags(finished),
        "texts": _texts(finished), "models": dict(models),
    }


def _run_parameters(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the parameters of an iteration, and each option of a program's command line.

    >>> dict(_run_parameters({"reg": 0.1, "arguments": ["a.csv", "--depth", "3", "--fast", "--out=x"]}))
    {'reg': '0.1', 'arguments': 'a.csv --depth 3 --fast --out=x', 'depth': '3', 'fast': 'true', 'out': 'x'}
    """
    for name, value in parameters.items():
        if name != "arguments" or not isinstance(value, list):
            yield name, str(value)
            continue
        words = [str(word) for word in value]
        yield name, shlex.join(words)
        for word, following in pairwise([*words, "--"]):
            option, equals, argument = word.removeprefix("--").partition("=")
            if word.startswith("--") and option:
                yield option, argument if equals else "true" if following.startswith("--") else following


def numbers(outputs: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the numeric outputs, with dicts of numbers flattened, and the numbers of rows of tables.

    >>> dict(numbers({"auc": 0.9, "by_sex": {"F": 1, "M": {"old": 2}}, "ok": True, "rows": {"table": "t", "rows": 3}}))
    {'auc': 0.9, 'by_sex.F': 1.0, 'by_sex.M.old': 2.0, 'rows.rows': 3.0}
    """
    yield from ((_name(name), value) for name, value in Metrics(outputs).values.items())
    for name, value in outputs.items():
        if isinstance(value, Mapping) and result_text(value) and (rows := number(value.get("rows"))) is not None:
            yield _name(f"{name}.rows"), rows


def _tags(finished: Finished) -> dict[str, str]:
    record = finished.record
    tags = {
        RUN_TAG: record.run, "helix.workflow": record.workflow, "helix.iteration": str(record.number),
        "mlflow.source.type": "LOCAL", "mlflow.source.name": record.file or record.workflow,
    }
    if record.commit:
        tags |= {"mlflow.source.git.commit": record.commit, "helix.git.dirty": str(record.dirty).lower()}
    if note := "\n\n".join(filter(None, (record.message, edit_of(record)))):
        tags["mlflow.note.content"] = note
    if finished.tables:
        logged = [{"path": _table_path(name), "type": "table"} for name in finished.tables]
        tags["mlflow.loggedArtifacts"] = json.dumps(logged)  # MLflow's pages and `load_table` read this tag
    if record.error:
        tags["helix.error"] = record.error
    if primary := metrics_of(record).primary:
        tags["helix.primary_metric"] = _name(primary)
    signed = [node for node in finished.nodes if node.output or node.kind == "learner"]
    tags |= {_name(f"helix.signature.{node.name}"): node.signature for node in signed}
    return {name: value[:LONGEST_TAG] for name, value in tags.items()}


def _texts(finished: Finished) -> dict[str, str]:
    def stored(node: NodeRecord) -> Stored:  # at the end of the iteration, after the node's record was written
        return "stored" if node.signature in finished.live else "evicted" if node.stored else ""

    record, outputs = finished.record, json.loads(finished.record.outputs)
    proofs = {} if finished.plan is None else {node.name: node.proof for node in finished.plan.nodes}
    rows = [
        replace(row, stored=stored(node))
        for row, node in zip(recorded_rows(record, finished.nodes, {}, proofs), finished.nodes, strict=True)
    ]
    lines = "\n".join(f"{row.state:8} {row.title}: {row.why}" for row in rows)
    return {
        **{  # as `mlflow.log_table` writes them
            _table_path(name): json.dumps({"columns": list(table.names), "data": [list(row) for row in table.rows]})
            for name, table in finished.tables.items()
        },
        **{f"plots/{_name(name)}.vl.json": json.dumps(value) for name, value in plots_among(outputs).items()},
        "outputs.json": record.outputs,
        "plan.txt": lines if finished.plan is None else plan_text(finished.plan),
        "plan.json": json.dumps({
            "workflow": record.workflow, "iteration": record.number, **json.loads(record.plan),
            "nodes": [node_json(node, finished.live, proofs.get(node.name, "")) for node in finished.nodes],
        }, indent=1),
        "dag.svg": svg(graph_of(f"{record.workflow}, iteration {record.number}", rows)),
        "versions.json": record.versions,
    }


def _table_path(name: str) -> str:
    return f"tables/{_name(name)}.json"


def _name(text: str) -> str:
    """Return a name with the characters that MLflow allows.

    >>> _name("share > 50 %"), _name("../x"), _name("")
    ('share _ 50 _', '.._x', '_')
    """
    return re.sub(r"[^\w .:-]", "_", text)[:LONGEST_NAME] or "_"
