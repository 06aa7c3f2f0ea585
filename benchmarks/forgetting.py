"""Forgets the modules of a job, as `helix watch` does before it loads the job again, and keeps those of benchmarks."""

from __future__ import annotations

import sys

from helix_spark.cli.watching import forget_project


def forget_jobs() -> None:
    """The next import of a job's modules reads their texts. What measures lies in a checkout as well, and stays."""
    forget_project({name for name in sys.modules if name.partition(".")[0] == "benchmarks"})
