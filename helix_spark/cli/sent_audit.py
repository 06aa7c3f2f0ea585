"""The process of a background audit, see `run.auditor`. Only results go to stdout, as the author's code may print."""

from __future__ import annotations

import atexit
import json
import linecache
import math
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helix_spark.run.auditor import Job

_START = time.perf_counter()

FIRST_PART = 5.0
"""Seconds of the first part of an audit; each further part takes twice as many. Each part is recorded at its end, so
little is lost if the process is killed."""


def main() -> None:
    """Read the job and print a line for each part of the audit.

    A process that stays waits first until the catalog is idle; any other ends with its parent. Each ends in time.
    """
    from helix_spark.run.auditor import IDLE_SECONDS, JOB_FILE, OVERTIME

    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.nice(19)
    folder = Path(os.environ["TMPDIR"])
    atexit.register(rmtree, folder, ignore_errors=True)
    job: Job = pickle.loads((folder / JOB_FILE).read_bytes())
    signal.signal(signal.SIGALRM, lambda *_: _end())
    signal.alarm(math.ceil(IDLE_SECONDS + OVERTIME * job.seconds))
    if job.stays:
        time.sleep(IDLE_SECONDS)
    else:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    for part in parts_of(job):
        print(json.dumps(part), file=out, flush=True)


def _end_with_parent() -> None:
    while os.read(0, 1):  # a thread that waits in `sys.stdin` would block Python's shutdown
        pass
    _end()


def _end() -> None:
    rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def parts_of(job: Job) -> Iterator[dict[str, Any]]:
    """Run a job's audit; yield the JSON of each part, and the error that ended it, if any."""
    from helix_spark.errors import HelixError

    try:
        yield from _audited(job)
    except Exception as error:  # noqa: BLE001 - the author's code may raise anything; it is only reported
        yield {"error": error.what if isinstance(error, HelixError) else f"{type(error).__name__}: {error}"}


def _audited(job: Job) -> Iterator[dict[str, Any]]:
    from helix_spark.cli.schema import audit_json

    if isinstance(job.work, tuple):
        from helix_spark.cli.options import read_settings
        from helix_spark.cli.programs import ScriptFile

        path = Path(job.work[0])
        settings = replace(read_settings(path, catalog=job.catalog), spark=job.settings)
        yield audit_json(ScriptFile(path, job.work[1:]).audit(settings))
        return
    from helix_spark.engine.execution.observer import Silent
    from helix_spark.helix import Helix
    from helix_spark.loaded_sources import loading

    sys.path[:] = job.path
    linecache.cache.update(job.cells)
    package = sys.modules["helix_spark"]
    for name in package.__all__:
        getattr(package, name)  # loads its module, as in the process where the workflow was declared
    with loading():
        workflow = pickle.loads(job.work)
    remaining, spent, part_seconds = set(job.wanted), 0.0, FIRST_PART
    since: float | None = _START
    with Helix(
        job.catalog, shared=job.shared, settings=job.settings, observer=Silent(), one_run=True, audit="off"
    ) as helix:
        while remaining and spent < job.seconds:
            seconds = job.seconds - spent
            audit = helix.audit(workflow, wanted=remaining, seconds=min(part_seconds, seconds), since=since)
            yield audit_json(audit)
            since = None
            remaining -= {result.signature for result in audit.results}
            if not audit.left or (part_seconds >= seconds and not audit.results):
                return
            spent, part_seconds = spent + audit.seconds, 2 * part_seconds


if __name__ == "__main__":
    main()
