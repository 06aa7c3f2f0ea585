"""Exporting: a fitted model in a form that other tools read, outside of any catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def save_model(model: Any, folder: Path) -> str:
    """Writes a fitted Spark ML model into a folder that does not exist; returns the name of the class that reads it.

    A model is written as a pipeline of it: the one form that trackers load without knowing the model's own class.

    Raises:
        OSError: it is not in the folder: the workers of a cluster wrote it to their own disks.
    """
    from pyspark.ml import PipelineModel

    pipeline = model if isinstance(model, PipelineModel) else PipelineModel([model])
    pipeline.write().save(f"file://{folder}")
    if len(list(folder.rglob("metadata/part-*"))) < 1 + len(pipeline.stages):
        raise OSError("Spark's workers wrote it to disks of their own; they and the driver need one in common")
    return f"{PipelineModel.__module__}.{PipelineModel.__qualname__}"
