"""Secrets of a run stay with its user: none stands in a command line, or in a file that others may read."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import pytest

HELIX = str(Path(sys.executable).with_name("helix"))

SECRETS = {"spark-defaults.conf": "secret-of-defaults", "key": "secret-of-script"}
"""By the file that holds it, which others cannot read."""

SCRIPT = '''
import os
from pyspark.sql import SparkSession
secret = open("conf/key").read()
spark = SparkSession.builder.config("spark.hadoop.fs.s3a.secret.key", secret).getOrCreate()
spark.conf.set("spark.hadoop.fs.s3a.session.token", secret)
print([name for name in os.environ if "TOKEN" in name], [name for name in spark.conf.getAll if "authenticate" in name])
spark.range(10).filter("id > 8").show()
print("done", flush=True)
'''

WORKFLOW = '''
from pyspark.sql import DataFrame, SparkSession
import helix_spark as hx

def numbers() -> hx.Workflow:
    wf = hx.Workflow("numbers")
    rows = wf.source("rows", hx.csv("rows.csv", schema="n int"))

    @wf.synthesizer(output=True)
    def doubled(rows: DataFrame) -> DataFrame:
        return rows.selectExpr("2 * n AS n")

    return wf
'''

_LARGEST = 30 << 20


@dataclass
class Watcher:
    """What any user of the machine could see of a run.

    Attributes:
        lines: command lines of its processes.
        exposed: files with a secret in them that others may read, by their names.
    """

    folder: Path
    lines: set[str] = field(default_factory=set)
    exposed: set[str] = field(default_factory=set)

    def look(self, command: int) -> None:
        for process in _with_descendants(command):
            with contextlib.suppress(OSError):
                self.lines.add(Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode())
        for path in self.files():
            try:
                if _others_may_read(path, self.folder) and _holds_secret(path):
                    self.exposed.add(str(path.relative_to(self.folder)))
            except FileNotFoundError:
                continue

    def files(self) -> Iterator[Path]:
        return (Path(folder, name) for folder, _, names in os.walk(self.folder) for name in names)


def _with_descendants(pid: int) -> list[int]:
    """A process, and all that it started, in whatever group or session they are."""
    children: dict[int, list[int]] = {}
    for stat_file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat_file.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat_file.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def _others_may_read(path: Path, top: Path) -> bool:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o044:
        return False
    inside = [parent for parent in path.parents if parent.is_relative_to(top) and parent != top]
    return all(parent.stat().st_mode & 0o011 for parent in inside)


def _holds_secret(path: Path) -> bool:
    secrets = [secret.encode() for secret in SECRETS.values()]
    content = path.read_bytes() if path.stat().st_size < _LARGEST else b""
    if path.suffix == ".parquet" and content.endswith(b"PAR1"):
        content += str(pq.read_table(path, partitioning=None).to_pylist()).encode()
    return any(secret in content for secret in secrets)


def followed(folder: Path, command: Sequence[str], until: str) -> tuple[Watcher, str]:
    """Run a command until it ends or has printed a word, and watch it as another user could."""
    conf, temporary = folder / "conf", folder / "tmp"
    for made in (conf, temporary):
        made.mkdir()
    conf.chmod(0o700)
    (conf / "spark-defaults.conf").write_text(f"spark.hadoop.fs.s3a.access.key {SECRETS['spark-defaults.conf']}\n")
    (conf / "key").write_text(SECRETS["key"])
    environ = {**os.environ, "TMPDIR": str(temporary), "SPARK_CONF_DIR": str(conf), "HELIX_CDS": "off"}
    output, watcher = folder / "output", Watcher(folder)
    with output.open("wb") as file, subprocess.Popen(
        command, cwd=folder, env=environ, stdout=file, stderr=file, start_new_session=True
    ) as process:
        while process.poll() is None and until not in output.read_text():
            watcher.look(process.pid)
            time.sleep(0.05)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
    watcher.look(process.pid)
    return watcher, output.read_text()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("command", ["watch", "run"])
def test_no_other_user_sees_the_secrets_of_a_script(tmp_path: Path, command: str) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    watcher, output = followed(tmp_path, [HELIX, command, "script.py"], "; watching")
    assert "[] []\n" in output, output
    assert "done" in output, output
    _assert_unseen(watcher)


@pytest.mark.slow
@pytest.mark.long
def test_no_other_user_sees_the_secrets_of_a_workflow(tmp_path: Path) -> None:
    (tmp_path / "doubling.py").write_text(WORKFLOW)
    (tmp_path / "rows.csv").write_text("1\n2\n")
    watcher, output = followed(tmp_path, [HELIX, "run", "doubling.py"], "; watching")
    assert "doubled" in output, output
    _assert_unseen(watcher)


def _assert_unseen(watcher: Watcher) -> None:
    jvms = [line for line in watcher.lines if "SparkSubmit" in line]
    assert jvms, "no JVM was seen"
    for line in watcher.lines:
        assert not any(secret in line for secret in SECRETS.values()), line
        assert not re.search(r"token\s*=", line), line
    assert watcher.exposed == set()
