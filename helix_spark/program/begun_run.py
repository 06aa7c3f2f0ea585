"""The iteration of a run of a program, from its begin: on record once Spark is waited for, so that others can look on,
and at the run's end at the latest."""

from __future__ import annotations

import json
import threading
import time
import uuid

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases.holders import writer
from helix_spark.catalog.records import IterationRecord
from helix_spark.iteration.provenance import versions_json
from helix_spark.program.plain_program import PlainProgram

_LOOK_BACK = 10
"""Iterations among which the last one that ended is looked for: others of the program may run side by side."""


def begun_run(program: PlainProgram) -> IterationRecord:
    """The iteration of a program's run, which has a lease of its name; begun by the first who asks.

    Raises:
        CatalogError: the catalog cannot be written.
    """
    with _LOCK:
        if program.begun is None:
            catalog, run = program.catalog, uuid.uuid4().hex
            catalog.make()
            catalog.leases.take(run)
            try:
                program.begun = catalog.start_iteration(_iteration(program, run))
            except BaseException:
                catalog.leases.release(run)
                raise
        return program.begun


_LOCK = threading.Lock()


def _iteration(program: PlainProgram, run: str) -> IterationRecord:
    return IterationRecord(
        run=run, workflow=program.name, number=1, status="running",
        started=time.time() - (time.perf_counter() - program.began), message=program.message,
        parameters=json.dumps({"arguments": list(program.arguments)} if program.arguments else {}),
        versions=versions_json(), writer=writer(),
    )


def run_before(catalog: Catalog, name: str) -> IterationRecord | None:
    """The last run of a program that has ended, by which what it asks is on record; None if there is none."""
    ended = (one for one in catalog.iterations(name, _LOOK_BACK) if one.status not in ("running", "died"))
    return next(ended, None)
