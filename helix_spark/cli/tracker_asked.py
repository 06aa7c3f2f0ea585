"""The experiment tracker that a command was told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helix_spark.cli.options import Asked
from helix_spark.errors import ParameterError

if TYPE_CHECKING:
    from helix_spark.iteration.tracker import Tracker


def tracker_of(given: Asked) -> Tracker | None:
    """What iterations are shown in, if anything is.

    Raises:
        ParameterError: an option of MLflow's was given, and no MLflow.
    """
    if not given.mlflow:
        alone = "--experiment" if given.experiment is not None else "--log-models" if given.log_models else None
        if alone is not None:
            raise ParameterError(f"{alone} is about MLflow, and no MLflow is named",
                                 remedy=f"add --mlflow URI, or set HELIX_MLFLOW; or leave out {alone}")
        return None
    from helix_spark.tracking.mlflow_tracker import MlflowTracker

    return MlflowTracker(given.mlflow, experiment=given.experiment, log_models=given.log_models)
