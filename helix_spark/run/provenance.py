"""Where an iteration's workflow comes from: the file that declares it, and the git commit that the file is at.

Nothing here slows an answer: the file is read at once, for it may be edited while the run goes on; git is asked at once
too, but in a process of its own, and its answer is read behind the run's. No git and no repository are fine.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from helix_spark.catalog.records import FileRecord, IterationRecord
from helix_spark.errors import Location
from helix_spark.identity.environment import package_version

LONGEST_FILE = 512 * 1024
"""Bytes of a file whose text is recorded; hand-written files are far below that."""

GIT_SECONDS = 10.0
"""How long git may take to look at a repository; an answer that comes later is done without."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a workflow comes from, as of the start of a run.

    Attributes:
        path: of the file that declares it; None if there is none.
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
        return cls(path, _text(raw), sha256(raw).hexdigest(), _ask(path))

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
        if self._git.returncode != 0:
            return "", None
        lines = said.splitlines()
        commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), "")
        if not commit or commit == "(initial)":
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


def _text(raw: bytes) -> str | None:
    if len(raw) > LONGEST_FILE:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _ask(path: Path) -> subprocess.Popen[str] | None:
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


def versions_json() -> str:
    """Return the versions of Helix, Python, PySpark and Delta as they are recorded."""
    return json.dumps({
        "helix_spark": package_version("helix-spark"), "python": platform.python_version(),
        "pyspark": package_version("pyspark"), "delta": package_version("delta-spark"),
    })
