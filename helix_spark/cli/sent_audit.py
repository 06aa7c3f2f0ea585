"""The process that audits a workflow which another one sends it (see `run.auditor`). Its author's code may
print: what it says itself goes out where its standard output was."""

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

_BEGAN = time.perf_counter()

FIRST_PART = 5.0
"""Seconds that the first part of an audit may take; each further one twice as many. What a part found is on record by
its end, so that who ends the process loses little."""


def main() -> None:
    """Read the job of this process, and print a line for each part of the audit. Where the process stays, wait until
    the catalog is idle; it ends when its time is over, or, unless it stays, with its parent."""
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
    while os.read(0, 1):  # not by `sys.stdin`: a thread that waits there is in the way of Python's own end
        pass
    _end()


def _end() -> None:
    rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def parts_of(job: Job) -> Iterator[dict[str, Any]]:
    """Audit what a job asks for; yield what was found, part by part, and the error that ended it, if one did."""
    from helix_spark.errors import HelixError

    try:
        yield from _audited(job)
    except Exception as error:  # noqa: BLE001 - the author's code may raise anything; it is told, and that is all
        yield {"error": error.what if isinstance(error, HelixError) else f"{type(error).__name__}: {error}"}


def _audited(job: Job) -> Iterator[dict[str, Any]]:
    from helix_spark.cli.schema import audit_json

    if isinstance(job.work, tuple):
        from helix_spark.cli.options import read_settings
        from helix_spark.cli.programs import ScriptFile

        path = Path(job.work[0])
        place = replace(read_settings(path, catalog=job.catalog), spark=job.settings)
        yield audit_json(ScriptFile(path, job.work[1:]).audit(place))
        return
    from helix_spark.engine.execution.observer import Silent
    from helix_spark.helix import Helix
    from helix_spark.loaded_sources import loading

    sys.path[:] = job.path
    linecache.cache.update(job.cells)
    package = sys.modules["helix_spark"]
    for name in package.__all__:
        getattr(package, name)  # classes go by the outermost name that is loaded, as where the workflow was declared
    with loading():
        workflow = pickle.loads(job.work)
    left, spent, portion = set(job.wanted), 0.0, FIRST_PART
    since: float | None = _BEGAN
    with Helix(
        job.catalog, shared=job.shared, settings=job.settings, observer=Silent(), one_run=True, audit="off"
    ) as helix:
        while left and spent < job.seconds:
            rest = job.seconds - spent
            found = helix.audit(workflow, wanted=left, seconds=min(portion, rest), since=since)
            yield audit_json(found)
            since = None
            left -= {one.signature for one in found.results}
            if not found.left or (portion >= rest and not found.results):
                return
            spent, portion = spent + found.seconds, 2 * portion


if __name__ == "__main__":
    main()
