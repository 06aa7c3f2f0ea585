"""The record of an iteration, whichever front runs it: that it runs, what its plan expected, which file and which git
commit it comes from, how it ended.

Nothing here slows an answer: the file is read at once, for it may be edited while the run goes on; git is asked at once
too, but in a process of its own, and its answer is read behind the run's. No git and no repository are fine.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases.holders import writer
from helix_spark.catalog.places.json_text import is_too_deep
from helix_spark.catalog.records import (
    LARGEST_VALUE,
    FileRecord,
    IterationRecord,
    NodeRecord,
    ResultRecord,
    Status,
)
from helix_spark.errors import Location, OvertakenError, told_of
from helix_spark.history.table_preview import TablePreview
from helix_spark.identity.environment import package_version
from helix_spark.planner.plan import Plan

LONGEST_FILE = 512 * 1024
"""Bytes of a file whose text is recorded; hand-written files are far below that."""

GIT_SECONDS = 10.0
"""How long git may take to look at a repository; an answer that comes later is done without."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a workflow or a script comes from, as of the start of a run.

    Attributes:
        path: of its file; None if there is none.
        text: of the file; None if it cannot be recorded.
        digest: SHA-256 of its bytes, hex; empty without a file.
    """

    path: Path | None
    text: str | None
    digest: str
    _git: subprocess.Popen[str] | None

    @classmethod
    def read(cls, where: Location | None) -> Provenance:
        """Read the file at a location, and query git about it without waiting for its answer."""
        path = Path(where.file).absolute() if where is not None else None
        if path is None or not path.is_file():
            return cls(None, None, "", None)
        try:
            raw = path.read_bytes()
        except OSError:
            return cls(path, None, "", None)
        try:
            text = raw.decode() if len(raw) <= LONGEST_FILE else None
        except UnicodeDecodeError:
            text = None
        return cls(path, text, sha256(raw).hexdigest(), _ask_git(path))

    def file_record(self) -> FileRecord | None:
        """Return the file's text for the catalog; None if there is none."""
        if self.path is None or self.text is None:
            return None
        return FileRecord(self.digest, self.path.name, self.text)

    def stamped(self, record: IterationRecord) -> IterationRecord:
        """Return a record with the file and the commit."""
        if self.path is None:
            return record
        commit, dirty = self._commit(self.path)
        return replace(record, file=str(self.path), file_digest=self.digest, commit=commit, dirty=dirty)

    def _commit(self, path: Path) -> tuple[str, bool | None]:
        if self._git is None:
            return "", None
        try:
            said, _ = self._git.communicate(timeout=GIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._git.kill()
            self._git.communicate()
            return "", None
        lines = said.splitlines()
        commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), "")
        if self._git.returncode != 0 or commit in ("", "(initial)"):
            return "", None
        try:
            return commit, any(not line.startswith("#") for line in lines) or not _is_tracked(path)
        except subprocess.TimeoutExpired:
            return commit, None


def checkout_path(path: Path, number: int) -> Path:
    """Return the path to which `helix checkout` writes a file as an iteration had it.

    >>> checkout_path(Path("jobs/census.py"), 2)
    PosixPath('jobs/census.iteration-2.py')
    """
    return path.with_name(f"{path.stem}.iteration-{number}{path.suffix}")


def _ask_git(path: Path) -> subprocess.Popen[str] | None:
    """Start git, if the file may be in a repository. Untracked files, such as a catalog, are not looked for."""
    if not any((folder / ".git").exists() for folder in path.parents):
        return None
    try:
        return subprocess.Popen(
            ["git", "-C", str(path.parent), "status", "--porcelain=v2", "--branch", "--untracked-files=no"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=_environ(),
        )
    except OSError:
        return None


def _is_tracked(path: Path) -> bool:
    done = subprocess.run(
        ["git", "-C", str(path.parent), "ls-files", "--error-unmatch", "--", path.name],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environ(), check=False,
        timeout=GIT_SECONDS,
    )
    return done.returncode == 0


def _environ() -> dict[str, str]:
    """Return an environment in which git takes no lock, and looks at the file's own repository also within a hook."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return inherited | {"GIT_OPTIONAL_LOCKS": "0"}


def start_iteration(
    catalog: Catalog, run: str, workflow: str, number: int, started: float, message: str,
    parameters: Mapping[str, Any], plan: Mapping[str, Any] = MappingProxyType({}),
) -> IterationRecord:
    """Record that an iteration runs; return its record, with the number that it has.

    Args:
        number: the expected one.
        started: Unix seconds.
        plan: what the plan expects, see `plan_summary`.

    Raises:
        CatalogError: the catalog cannot be written.
    """
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
    """Return how a run ended, and the error as it is recorded; empty where it ended well.

    >>> ending_of(None), ending_of(KeyboardInterrupt()), ending_of(ValueError("no \\udcff.csv"))
    (('done', ''), ('interrupted', 'by Ctrl-C'), ('failed', 'ValueError: no \\\\udcff.csv'))
    """
    if error is None:
        return "done", ""
    # A path that is no text, say, must not keep the end from being recorded.
    text = told_of(error).encode(errors="backslashreplace").decode()
    return ("interrupted" if isinstance(error, KeyboardInterrupt | OvertakenError) else "failed"), text


def record_end(
    catalog: Catalog, ended: IterationRecord, nodes: Sequence[NodeRecord], results: Sequence[ResultRecord],
    texts: Iterable[FileRecord | None],
) -> None:
    """Record the end of an iteration, with its nodes, what it taught of results, and the texts that these refer to.

    Raises:
        CatalogError: the catalog cannot be written.
    """
    for text in texts:
        if text is not None:
            catalog.keep_file(text)
    catalog.append_iteration(ended, nodes, results)


def plan_summary(plan: Plan) -> dict[str, Any]:
    """Return figures of a plan, what it expected, and under which name an equal node is recorded."""
    return {
        **plan.figures, "budget": plan.budget, "used": plan.used,
        "merged": {alias: node.name for node in plan.nodes for alias in node.aliases},
    }


def with_ending(
    summary: str, edit: str, tables: Mapping[str, TablePreview], measured: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """Return what is recorded of a plan, with the edit, the digests of output tables, and how outputs were measured."""
    digests = {name: table.record(name).digest for name, table in tables.items()}
    more = {"edit": edit, "tables": digests, **measured}
    return json.dumps({**json.loads(summary), **{name: value for name, value in more.items() if value}})


def outputs_json(outputs: Mapping[str, Any]) -> str:
    """Return described outputs as they are recorded: huge or too deep values as a short description, too.

    >>> outputs_json({"auc": 0.9}), outputs_json({"text": "x" * 5_000_000})
    ('{"auc": 0.9}', '{"text": {"value": "str", "bytes": 5000002}}')
    """
    sizes = {name: len(json.dumps(value)) for name, value in outputs.items()}
    return json.dumps({
        name: value if sizes[name] <= LARGEST_VALUE and not is_too_deep([[value]])
        else {"value": type(value).__name__, "bytes": sizes[name]}
        for name, value in outputs.items()
    })
