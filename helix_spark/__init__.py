"""Helix on Spark: declare a machine-learning workflow, edit it, and run only what the edit touched.

>>> import helix_spark as hx
>>> wf = hx.Workflow("hello")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helix_spark.hermetic.generators import AUTHOR_SEEDS, seed_stages_by_name
from helix_spark.hermetic.imported_values import note_imported_values
from helix_spark.import_reads import note_import_reads
from helix_spark.loaded_sources import note_loads
from helix_spark.versions import check_pair, refused_python

if TYPE_CHECKING:
    from helix_spark.cli.automatic import session
    from helix_spark.cli.main import main
    from helix_spark.engine.execution.observer import Observer, Silent
    from helix_spark.errors import (
        CatalogError,
        EndedError,
        HelixError,
        NodeError,
        NotStoredError,
        ParameterError,
        SetupError,
        SourceError,
        WorkflowError,
    )
    from helix_spark.helix import Helix
    from helix_spark.planner.plan import Plan
    from helix_spark.planner.storage import Policy
    from helix_spark.plots import plot
    from helix_spark.run.expiry import Expiry
    from helix_spark.run.iteration import Iteration, RecordedIteration
    from helix_spark.tracking.mlflow_tracker import MlflowTracker
    from helix_spark.workflow.declaration import NodeRef, metric
    from helix_spark.workflow.operators import HashSplit, TimeSplit
    from helix_spark.workflow.ready_made import Bucketizer, Fields, Interaction, OneHot
    from helix_spark.workflow.sources import csv, delta, json, parquet, reader, table, text
    from helix_spark.workflow.workflow import Workflow, fixed

__version__ = "0.1.0"

if refused_python():
    raise ImportError(refused_python())

__all__ = [
    "Bucketizer", "CatalogError", "EndedError", "Expiry", "Fields", "HashSplit", "Helix", "HelixError",
    "Interaction", "Iteration", "MlflowTracker", "NodeError", "NodeRef", "NotStoredError", "Observer", "OneHot",
    "ParameterError", "Plan", "Policy", "RecordedIteration", "SetupError", "Silent", "SourceError", "TimeSplit",
    "Workflow", "WorkflowError", "csv", "delta", "fixed", "json", "main", "metric", "parquet", "plot", "reader",
    "session", "table", "text",
]

_HOMES = {
    "helix_spark.cli.automatic": ("session",),
    "helix_spark.cli.main": ("main",),
    "helix_spark.run.expiry": ("Expiry",),
    "helix_spark.run.iteration": ("Iteration", "RecordedIteration"),
    "helix_spark.engine.execution.observer": ("Observer", "Silent"),
    "helix_spark.errors": (
        "CatalogError", "EndedError", "HelixError", "NodeError", "NotStoredError", "ParameterError", "SetupError",
        "SourceError", "WorkflowError",
    ),
    "helix_spark.helix": ("Helix",),
    "helix_spark.planner.plan": ("Plan",),
    "helix_spark.planner.storage": ("Policy",),
    "helix_spark.tracking.mlflow_tracker": ("MlflowTracker",),
    "helix_spark.workflow.operators": ("HashSplit", "TimeSplit"),
    "helix_spark.plots": ("plot",),
    "helix_spark.workflow.declaration": ("NodeRef", "metric"),
    "helix_spark.workflow.sources": ("csv", "delta", "json", "parquet", "reader", "table", "text"),
    "helix_spark.workflow.ready_made": ("Bucketizer", "Fields", "Interaction", "OneHot"),
    "helix_spark.workflow.workflow": ("Workflow", "fixed"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
"""Names are imported at their first use: reading a catalog declares nothing, and declaring runs nothing."""


note_loads()
note_import_reads()
note_imported_values()
seed_stages_by_name()  # before an author's file creates stages
AUTHOR_SEEDS.look()  # before an author's file seeds generators


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'helix_spark' has no attribute {name!r}")
    from importlib import import_module

    check_pair()
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext helix_spark``: cells of plain PySpark are answered from the catalog."""
    from helix_spark.cli.automatic import load_extension

    load_extension(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
