"""Helix on Spark: declare a machine-learning workflow, edit it, and run only what the edit touched.

>>> import helix_spark as hx
>>> wf = hx.Workflow("hello")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helix_spark.errors import HelixError
from helix_spark.workflow.operators import HashSplit
from helix_spark.workflow.sources import csv, delta, json, parquet, reader, table, text
from helix_spark.workflow.stages import Bucketizer, Fields, Interaction, OneHot
from helix_spark.workflow.workflow import NodeRef, Workflow, fixed

if TYPE_CHECKING:
    from helix_spark.cli.main import main
    from helix_spark.engine.iteration import Iteration
    from helix_spark.helix import Helix
    from helix_spark.planner.plan import Plan
    from helix_spark.tracking.mlflow_tracker import MlflowTracker

__version__ = "0.1.0"

__all__ = [
    "Bucketizer", "Fields", "HashSplit", "Helix", "HelixError", "Interaction", "Iteration", "MlflowTracker", "NodeRef",
    "OneHot", "Plan", "Workflow", "csv", "delta", "fixed", "json", "main", "parquet", "reader", "table", "text",
]

_LATER = {
    "Helix": "helix_spark.helix", "Iteration": "helix_spark.engine.iteration", "Plan": "helix_spark.planner.plan",
    "main": "helix_spark.cli.main", "MlflowTracker": "helix_spark.tracking.mlflow_tracker",
}
"""What declaring does not need is imported when it is first asked for."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'helix_spark' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)
