"""The record of an iteration: its start and end, its plan's figures, its file and git commit.

The file is read at once, as it may be edited during the run. Git runs in a thread, and its result is read after the
run's answer. Neither git nor a repository is necessary.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases import writer
from helix_spark.catalog.places.json_text import is_too_deep
from helix_spark.catalog.records import LARGEST_VALUE, FileRecord, IterationRecord, NodeRecord, ResultRecord, Status
from helix_spark.errors import Location, StartedOverError, error_text
from helix_spark.identity.environment import package_version
from helix_spark.planner.plan import Plan

LONGEST_FILE = 512 * 1024
"""The most bytes of a file whose text is recorded; hand-written files are far below it."""

_LONGEST_ERROR = 100_000

GIT_SECONDS = 10.0
"""The most seconds of a git command; after them the commit is not recorded."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """The file and the commit of a workflow or a script at the start of a run. `text` is None if it cannot be recorded;
    `digest` is the hex SHA-256 of the file, empty without a file."""

    path: Path | None = None
    text: str | None = None
    digest: str = ""
    _commit: Future[tuple[str, bool | None]] | None = None

    @classmethod
    def read(cls, where: Location | None) -> Provenance:
        """Read the file at a location, and start git for its commit without waiting."""
        path = Path(where.file).absolute() if where is not None else None
        if path is None or not path.is_file():
            return cls()
        text = None
        try:
            raw = path.read_bytes()
            text = raw.decode() if len(raw) <= LONGEST_FILE else None
        except OSError:
            return cls(path)
        except UnicodeDecodeError:
            pass
        commit = None
        if any((folder / ".git").exists() for folder in path.parents):
            git = ThreadPoolExecutor(1, "helix-git")
            commit = git.submit(_commit_of, path)
            git.shutdown(wait=False)
        return cls(path, text, sha256(raw).hexdigest(), commit)

    def file_record(self) -> FileRecord | None:
        """Return the file's text for the catalog; None if there is none."""
        if self.path is None or self.text is None:
            return None
        return FileRecord(self.digest, self.path.name, self.text)

    def stamped(self, record: IterationRecord) -> IterationRecord:
        """Return a record with the file and the commit."""
        if self.path is None:
            return record
        commit, dirty = ("", None) if self._commit is None else self._commit.result()
        return replace(record, file=str(self.path), file_digest=self.digest, commit=commit, dirty=dirty)


def _commit_of(path: Path) -> tuple[str, bool | None]:
    """Return the commit of a file's repository, empty without one, and True if the repository differs from the commit
    or lacks the file, None if unknown. Git takes no lock, and uses the file's own repository even within a hook."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def run_git(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", "-C", str(path.parent), *command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env=inherited | {"GIT_OPTIONAL_LOCKS": "0"}, timeout=GIT_SECONDS, check=False,
        )

    try:  # without untracked files, such as a catalog
        status = run_git("status", "--porcelain=v2", "--branch", "--untracked-files=no")
        lines = status.stdout.splitlines() if status.returncode == 0 else []
        commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), "")
        if commit in ("", "(initial)"):
            return "", None
        is_edited = any(not line.startswith("#") for line in lines)
        return commit, is_edited or run_git("ls-files", "--error-unmatch", "--", path.name).returncode != 0
    except (OSError, subprocess.TimeoutExpired):
        return "", None


def start_iteration(
    catalog: Catalog, run: str, workflow: str, number: int, started: float, message: str,
    parameters: Mapping[str, Any], plan: Mapping[str, Any] = MappingProxyType({}),
) -> IterationRecord:
    """Record that an iteration has been running since `started`, in Unix seconds, with the figures of its plan, see
    `plan_summary`. Return its record, with its final number."""
    versions = {
        "helix_spark": package_version("helix-spark"), "python": platform.python_version(),
        "pyspark": package_version("pyspark"), "delta": package_version("delta-spark"),
    }
    return catalog.start_iteration(IterationRecord(
        run=run, workflow=workflow, number=number, status="running", started=started, message=message,
        parameters=json.dumps(dict(parameters)), plan=json.dumps(dict(plan)), versions=json.dumps(versions),
        writer=writer(),
    ))


def ending_of(error: BaseException | None) -> tuple[Status, str]:
    """Return the status of a run that ended, and the error's text for the record; empty without an error.

    >>> ending_of(None), ending_of(KeyboardInterrupt()), ending_of(ValueError("no \\udcff.csv"))
    (('done', ''), ('interrupted', 'by Ctrl-C'), ('failed', 'ValueError: no \\\\udcff.csv'))
    """
    if error is None:
        return "done", ""
    # A path that is not valid text must not prevent the record.
    text = error_text(error).encode(errors="backslashreplace").decode()
    return ("interrupted" if isinstance(error, KeyboardInterrupt | StartedOverError) else "failed"), text


def record_end(
    catalog: Catalog, begun: IterationRecord, provenance: Provenance, failure: BaseException | None,
    nodes: Sequence[NodeRecord], results: Sequence[ResultRecord], *, seconds: float, start_seconds: float,
    outputs: Mapping[str, Any], notes: Mapping[str, Any], changes: Iterable[str] = (), texts: Iterable[FileRecord] = (),
) -> IterationRecord:
    """Record the end of an iteration, with its nodes and results; return its record. `notes` are recorded with its
    plan; `changes` are sentences on changes while it ran."""
    status, error = ending_of(failure)
    plan = {**json.loads(begun.plan), **{name: note for name, note in notes.items() if note}}
    ended = provenance.stamped(replace(
        begun, status=status, error="\n".join(filter(None, (error, *changes)))[:_LONGEST_ERROR], seconds=seconds,
        start_seconds=start_seconds or None, outputs=outputs_json(outputs), plan=json.dumps(plan),
    ))
    catalog.append_iteration(ended, nodes, results, filter(None, (provenance.file_record(), *texts)))
    return ended


def plan_summary(plan: Plan) -> dict[str, Any]:
    """Return the figures of a plan, and the names under which equal nodes are recorded."""
    return {
        **plan.figures, "budget": plan.budget, "used": plan.used,
        "merged": {alias: node.name for node in plan.nodes for alias in node.aliases},
    }


def outputs_json(outputs: Mapping[str, Any]) -> str:
    """Return outputs as JSON for the record; a short description replaces huge or deeply nested values.

    >>> outputs_json({"auc": 0.9}), outputs_json({"text": "x" * 5_000_000})
    ('{"auc": 0.9}', '{"text": {"value": "str", "bytes": 5000002}}')
    """
    sizes = {name: len(json.dumps(value)) for name, value in outputs.items()}
    return json.dumps({
        name: value if sizes[name] <= LARGEST_VALUE and not is_too_deep([[value]])
        else {"value": type(value).__name__, "bytes": sizes[name]}
        for name, value in outputs.items()
    })
