"""Scripts of edits, a module a job."""

from __future__ import annotations

from importlib import import_module

from benchmarks.scripts.edit import Workload

NAMES = ("census", "extraction", "flights", "genomics", "mnist")


def workload_named(name: str) -> Workload:
    """The workload of this name."""
    workload: Workload = import_module(f"benchmarks.scripts.{name}").WORKLOAD
    return workload
