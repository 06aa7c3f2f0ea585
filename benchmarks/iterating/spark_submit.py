"""How a process of a job is started, the same for every system."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks.iterating.systems import ROOT

SUBMIT = [str(Path(sys.executable).with_name("spark-submit")), "--master", "local[*]", "--conf",
          "spark.ui.enabled=false"]


def environment() -> dict[str, str]:
    """As in an activated environment: its own Spark and Python, and the project on the path of Spark's workers."""
    spark_home = find_spec("pyspark")
    assert spark_home is not None
    assert spark_home.origin is not None
    return {
        **os.environ, "SPARK_HOME": str(Path(spark_home.origin).parent), "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
