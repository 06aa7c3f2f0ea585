"""Secrets of a run that another user of the machine looks for: in command lines, and in files that others may read."""

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

from helix_spark.catalog.places.place import LocalPath
from helix_spark.engine.server.kept_servers import family
from tests.faults.row import Tally, fault

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
    """The command lines and files of a run, as any user of the machine can see them.

    Attributes:
        lines: command lines of its processes.
        exposed: files with a secret in them that others may read, by their names.
    """

    folder: Path
    lines: set[str] = field(default_factory=set)
    exposed: set[str] = field(default_factory=set)

    def look(self, command: int) -> None:
        for process in family(command):
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


@dataclass(frozen=True)
class Program:
    """A program with secrets.

    Attributes:
        words: of the command that runs it.
        printed: what it prints in the end.
    """

    file: str
    text: str
    words: tuple[str, ...]
    printed: str


PROGRAMS = (
    Program("script.py", SCRIPT, ("run", "script.py"), "done"),
    Program("script.py", SCRIPT, ("watch", "script.py"), "done"),
    Program("doubling.py", WORKFLOW, ("run", "doubling.py"), "doubled"),
)


def seen_secrets(folder: Path, program: Program) -> list[str]:
    """Run a program, and return the command lines and files in which others could read a secret of it.

    Raises:
        OSError: it did not run to its end.
    """
    (folder / program.file).write_text(program.text)
    (folder / "rows.csv").write_text("1\n2\n")
    watcher, output = followed(folder, [HELIX, *program.words], "; watching")
    if program.printed not in output or not any("SparkSubmit" in line for line in watcher.lines):
        raise OSError(f"it did not run to its end in a JVM: {output[-2000:]}")
    if program.text == SCRIPT and "[] []\n" not in output:
        return ["the program sees the server's token"]
    return [*filter(_tells, sorted(watcher.lines)), *sorted(watcher.exposed)]


def _tells(line: str) -> bool:
    return any(secret in line for secret in SECRETS.values()) or re.search(r"token\s*=", line) is not None


@fault("another user of the machine reads command lines and files while a program with secrets runs",
       "no secret and no token is seen", short=0, full=3, spark=True)
def seen_by_others(folder: LocalPath, count: int, tally: Tally) -> None:
    for index, work in tally.folders(folder, count):
        program = PROGRAMS[(index - 1) % len(PROGRAMS)]
        seen = seen_secrets(work, program)
        tally.expect(not seen, f"{' '.join(program.words)}: {seen}")
