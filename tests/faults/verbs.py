"""Runs commands of `helix` on a project, each in a process of its own that is watched: how it ended, how long it took,
how much memory it had at most, what it said.

Libraries are loaded once, and each command is a fork: hundreds of commands would wait for them otherwise.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.processes import ROOT, start_python

_MOST_MEMORY = 8 << 30
"""Bytes of addresses that a command gets: so much that a bomb shows, and the machine goes on."""


_ENOUGH = 3
"""Commands that hang, after which no others are tried: it is known by then."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended.

    Attributes:
        code: its exit code; below 0 the signal that ended it.
        peak: bytes of memory that it had at most.
        hung: whether it was ended because its time was over.
    """

    verb: tuple[str, ...]
    code: int
    seconds: float
    peak: int
    out: str
    err: str
    hung: bool


class Verbs:
    """A process that runs commands, one after the other, in projects' folders. A context manager.

    Attributes:
        indexes: folder of the indexes of catalogs, which is not in the home of whoever runs them.
    """

    def __init__(self, home: Path) -> None:
        self._home = home

    def __enter__(self) -> Verbs:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("HELIX_", "AWS_"))}
        environ |= {"HOME": str(self._home), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        self.indexes = tempfile.mkdtemp(prefix="helix-indexes-")
        environ["HELIX_INDEX"] = self.indexes
        self._process = start_python("-m", "tests.faults.verbs", env=environ, stdin=subprocess.PIPE, stderr=None)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        shutil.rmtree(self.indexes, ignore_errors=True)

    def outcomes(self, project: Path, verbs: Sequence[Sequence[str]], *, seconds: float = 30.0) -> list[Outcome]:
        """What comes of commands in a project's folder.

        Args:
            seconds: that each may take.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"project": str(project), "verbs": [list(verb) for verb in verbs], "seconds": seconds}
        self._process.stdin.write(f"{json.dumps(asked)}\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return [Outcome(**{**one, "verb": tuple(one["verb"])}) for one in answer]


def _watched(verb: Sequence[str], project: Path, seconds: float) -> Outcome:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begun, hung = time.monotonic(), False
        child = os.fork()
        if child == 0:
            _become(verb, project, out.fileno(), err.fileno())
        while True:
            ended, status, used = os.wait4(child, os.WNOHANG)
            if ended:
                break
            if time.monotonic() - begun > seconds and not hung:
                hung = True
                os.killpg(child, signal.SIGKILL)
            time.sleep(0.01)
        took = time.monotonic() - begun
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read(4 << 20).decode(errors="surrogateescape"))
    code = os.waitstatus_to_exitcode(status)
    return Outcome(tuple(verb), code, took, used.ru_maxrss * 1024, said[0], said[1], hung)


def _become(verb: Sequence[str], project: Path, out: int, err: int) -> None:
    """Ends this process as the command does."""
    code = 70
    try:
        os.setsid()
        os.chdir(project)
        os.dup2(out, 1)
        os.dup2(err, 2)
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _run(verb)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001  # as the interpreter would tell it
        traceback.print_exc()
        code = 1
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _run(verb: Sequence[str]) -> None:
    if verb[0] == "pages":
        _ask_pages()
        return
    from helix_spark.cli.main import helix

    sys.argv = ["helix", *verb]
    helix(list(verb))


def _ask_pages() -> None:
    """Every page that a link of another leads to, as far as 60; a line each."""
    import re
    from html import unescape

    from starlette.testclient import TestClient

    from helix_spark.catalog.catalog import Catalog
    from helix_spark.errors import CatalogError
    from helix_spark.ui.app import make_app

    try:
        pages = make_app(Catalog.open("catalog", create=False))
    except CatalogError as error:  # as the command that shows them tells it
        print(error)
        sys.exit(3)
    client = TestClient(pages, base_url="http://localhost", raise_server_exceptions=False)
    waiting, seen = ["/", "/metrics", "/storage"], set[str]()
    while waiting and len(seen) < 60:
        address = waiting.pop(0)
        if address in seen:
            continue
        seen.add(address)
        answer = client.get(address)
        print(answer.status_code, address.encode("ascii", "backslashreplace").decode())
        raw = "\x1b" in answer.text or "\u202e" in answer.text or "<script>alert" in answer.text
        print("RAW" if raw else "plain")
        found = re.findall(r'href="(/[^"]*)"', answer.text)
        waiting += [unescape(one).partition("#")[0] for one in found if not one.startswith("/assets")]


def main() -> None:
    # Loaded here once; nothing of them runs here, for threads do not come along into a fork.
    import deltalake
    import pandas
    import pyarrow.parquet
    import starlette.testclient

    import helix_spark.cli.main  # noqa: F401

    del deltalake, pandas, pyarrow, starlette
    for line in sys.stdin:
        asked = json.loads(line)
        found: list[Outcome] = []
        for verb in asked["verbs"]:
            if sum(one.hung for one in found) < _ENOUGH:
                found.append(_watched(verb, Path(asked["project"]), asked["seconds"]))
        print(json.dumps([asdict(one) for one in found]), flush=True)


if __name__ == "__main__":
    main()
