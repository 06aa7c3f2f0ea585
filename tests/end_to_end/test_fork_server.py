"""A fork server: commands that are handed to it run as in a process of their own. Without Spark."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helix_spark.engine.server.keeper import ForksApart
from helix_spark.engine.server.kept_servers import FOLDER_VARIABLE, MeetingPoint

SCRIPT = """
import json, os, random, signal, sys, time
from pathlib import Path
import numpy as np
import pyspark

def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

def told():
    mask = os.umask(0o77)
    return {
        "process": os.getpid(), "parent": parent_of(parent_of(os.getpid())), "folder": os.getcwd(), "mask": mask,
        "argv": sys.argv,
        "of terminal": os.environ.get("LS_COLORS"), "seed": os.environ.get("PYTHONHASHSEED"), "hash": hash("a"),
        "hangup is ignored": signal.getsignal(signal.SIGHUP) == signal.SIG_IGN, "path": sys.path,
        "drawn": [random.random(), float(np.random.rand())], "library": Path(pyspark.__file__).parent.name,
        "encodings": [sys.stdout.encoding, sys.stderr.errors], "prompt": sys.stderr.line_buffering,
    }

Path("seen.json").write_text(json.dumps(told()))
what = sys.argv[1] if sys.argv[1:] else ""
if what == "wait":
    print("begun", flush=True)
    time.sleep(60)
elif what == "echo":
    print(sys.stdin.read().upper())
    print("aside", file=sys.stderr)
    sys.exit(7)
elif what == "third":
    os.write(int(sys.argv[2]), b"by the third")
elif what == "die":
    os.kill(os.getpid(), signal.SIGSEGV)
"""

HELIX = [sys.executable, "-m", "helix_spark", "run"]


@pytest.fixture(scope="module")
def point(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MeetingPoint]:
    """The meeting point of a folder, in which this process works, that a fork server is kept for."""
    runtime, folder = tmp_path_factory.mktemp("runtime"), tmp_path_factory.mktemp("project")
    runtime.chmod(0o700)
    (folder / "script.py").write_text(SCRIPT)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(FOLDER_VARIABLE, str(runtime))
        patched.setenv("HELIX_SERVER", "auto")
        patched.setenv("CI", "true")  # where no keeper takes its place
        patched.delenv("PYTHONHASHSEED", raising=False)
        patched.chdir(folder)
        found = MeetingPoint.for_folder(str(folder))
        forks = ForksApart(found, dict(os.environ))
        interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as where a job in the background was first
        forks.start()
        signal.signal(signal.SIGINT, interrupted)
        await_true(found.forks.exists)
        yield found
        forks.end()
        await_true(lambda: not found.forks.exists())


def await_true(found: Callable[[], object], seconds: float = 120.0) -> None:
    since = time.monotonic()
    while not found():
        assert time.monotonic() - since < seconds
        time.sleep(0.02)


def seen(*words: str, code: int = 0, **given: Any) -> dict[str, Any]:
    """Return what the script saw when it was run, in the folder where the test works."""
    file = Path("seen.json")
    file.unlink(missing_ok=True)
    ended = subprocess.run([*HELIX, "script.py", "-q", *words], capture_output=True, text=True, check=False, **given)
    assert ended.returncode == code, ended.stderr
    found: dict[str, Any] = json.loads(file.read_text())
    return {**found, "stdout": ended.stdout, "stderr": ended.stderr}


def forked(point: MeetingPoint, **found: Any) -> bool:
    """Return whether a run was forked."""
    return bool(found["parent"] == ForksApart(point, {}).pid())  # whose child supervises the run


def by_itself(*words: str, **given: Any) -> dict[str, Any]:
    return seen(*words, env={**os.environ, "HELIX_SERVER": "off"}, **given)


def test_a_forked_run_is_as_one_by_itself(point: MeetingPoint) -> None:
    ours, apart = seen("--", "a", "b c"), by_itself("--", "a", "b c")
    assert forked(point, **ours)
    assert not forked(point, **apart)
    differing = {name for name in ours if ours[name] != apart[name]}
    assert differing == {"process", "parent", "drawn"}
    assert ours["seed"] == "0"


def test_each_run_draws_for_itself(point: MeetingPoint) -> None:
    one, other = seen(), seen()
    assert forked(point, **one)
    assert one["drawn"][0] != other["drawn"][0]
    assert one["drawn"][1] != other["drawn"][1]


def test_streams_and_the_exit_code_are_the_commands(point: MeetingPoint) -> None:
    found = seen("--", "echo", input="given", code=7)
    assert forked(point, **found)
    assert found["stdout"] == "GIVEN\n"
    assert "aside" in found["stderr"]


def test_a_descriptor_that_is_passed_on_is_there(point: MeetingPoint) -> None:
    ours, theirs = os.pipe()
    found = seen("--", "third", str(theirs), pass_fds=[theirs])
    os.close(theirs)
    assert forked(point, **found)
    assert os.read(ours, 100) == b"by the third"
    os.close(ours)


def test_mask_signals_and_variables_of_a_terminal_come_along(point: MeetingPoint) -> None:
    def before() -> None:
        os.umask(0o27)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    found = seen(env={**os.environ, "LS_COLORS": "bright"}, preexec_fn=before)
    assert forked(point, **found)
    assert (found["mask"], found["hangup is ignored"], found["of terminal"]) == (0o27, True, "bright")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_reaches_the_run(point: MeetingPoint, number: int, code: int) -> None:
    with waiting() as process:
        process.send_signal(number)
        assert process.wait(120) == code


def test_a_command_that_is_killed_takes_its_run_along(point: MeetingPoint) -> None:
    with waiting() as process:
        run = json.loads(Path("seen.json").read_text())["process"]
        process.kill()
        await_true(lambda: not Path(f"/proc/{run}").exists())


def test_a_run_that_is_killed_ends_its_command_alike(point: MeetingPoint) -> None:
    ended = subprocess.run([*HELIX, "script.py", "-q", "--", "die"], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGSEGV


def waiting() -> subprocess.Popen[str]:
    """Return a command whose script has begun, and waits."""
    Path("seen.json").unlink(missing_ok=True)
    process = subprocess.Popen(
        [*HELIX, "script.py", "-q", "--", "wait"], stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # background jobs have none
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.parametrize("run", [
    lambda: seen(env={**os.environ, "OMP_NUM_THREADS": "1"}),
    pytest.param(lambda: seen(env={**os.environ, "PYTHONHASHSEED": "5"}), marks=pytest.mark.long),
    pytest.param(lambda: seen(preexec_fn=lambda: os.nice(1)), marks=pytest.mark.long),
], ids=["a variable", "a seed", "a priority"])
def test_what_may_have_had_a_say_in_modules_must_be_the_same(
    point: MeetingPoint, run: Callable[[], dict[str, Any]]
) -> None:
    assert not forked(point, **run())
    assert forked(point, **seen())


def test_a_module_of_the_authors_is_not_hidden_by_one_that_is_loaded(point: MeetingPoint) -> None:
    own = Path("uvicorn.py")
    own.write_text("")
    try:
        assert not forked(point, **seen())
    finally:
        own.unlink()
    assert forked(point, **seen())


def test_other_folders_have_none(point: MeetingPoint, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    subprocess.run([*HELIX, "script.py", "-q"], cwd=tmp_path, check=True)
    assert not forked(point, **json.loads((tmp_path / "seen.json").read_text()))


def test_a_server_whose_files_were_replaced_takes_no_command(tmp_path: Path, point: MeetingPoint) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "sitecustomize.py").write_text("")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(library), os.environ.get("PYTHONPATH", "")])}
    (tmp_path / "script.py").write_text(SCRIPT)
    there = MeetingPoint.for_folder(str(tmp_path))
    forks = ForksApart(there, environ)
    forks.start()
    await_true(there.forks.exists)

    def is_forked() -> bool:
        subprocess.run([*HELIX, "script.py", "-q"], cwd=tmp_path, env=environ, check=True)
        return bool(json.loads((tmp_path / "seen.json").read_text())["parent"] == before)

    before = forks.pid()
    assert is_forked()
    (library / "sitecustomize.py").write_text("# another")
    assert not is_forked()
    await_true(lambda: not there.forks.exists())
    forks.start()
    await_true(there.forks.exists)
    forks.end()


@pytest.fixture
def apart(tmp_path: Path, point: MeetingPoint) -> Iterator[ForksApart]:
    """A fork server of a folder of the test's own, whose script waits for two seconds."""
    (tmp_path / "script.py").write_text(SCRIPT.replace("sleep(60)", "sleep(2)"))
    forks = ForksApart(MeetingPoint.for_folder(str(tmp_path)), dict(os.environ))
    forks.start()
    await_true(forks.point.forks.exists)
    yield forks
    forks.end()


def begun_in(folder: Path, forks: ForksApart) -> subprocess.Popen[str]:
    """Return a command that a fork server has begun, and that waits."""
    command = [*HELIX, "script.py", "-q", "--", "wait"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    assert json.loads((folder / "seen.json").read_text())["parent"] == forks.pid()
    return process


def test_a_run_goes_on_when_its_server_is_told_to_end(tmp_path: Path, apart: ForksApart) -> None:
    process = begun_in(tmp_path, apart)
    apart.end()
    assert process.wait(120) == 0


def test_a_run_goes_on_when_its_server_is_killed(tmp_path: Path, apart: ForksApart) -> None:
    process = begun_in(tmp_path, apart)
    os.kill(apart.pid(), signal.SIGKILL)
    assert process.wait(120) == 0


def test_a_run_goes_on_when_its_supervisor_is_killed_and_the_command_waits_for_it(
    tmp_path: Path, apart: ForksApart
) -> None:
    process = begun_in(tmp_path, apart)
    run = json.loads((tmp_path / "seen.json").read_text())["process"]
    os.kill(int(Path(f"/proc/{run}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
    assert process.wait(120) == 1
    assert process.stderr is not None
    assert "was killed, so its exit code is unknown" in process.stderr.read()
    assert not Path(f"/proc/{run}").exists()


def test_what_a_frozen_server_hears_of_too_late_is_not_run_twice(tmp_path: Path, apart: ForksApart) -> None:
    server = apart.pid()
    os.kill(server, signal.SIGSTOP)
    (tmp_path / "count.py").write_text("import pyspark\nopen('ran.txt', 'a').write('once ')\n")
    subprocess.run([*HELIX, "count.py", "-q"], cwd=tmp_path, check=True)
    os.kill(server, signal.SIGCONT)
    begun_in(tmp_path, apart).wait(120)
    assert (tmp_path / "ran.txt").read_text() == "once "


WORKFLOW = """
import os
from pathlib import Path
import helix_spark as hx

def values(times: int = 3) -> hx.Workflow:
    supervisor = Path(f"/proc/{os.getppid()}/stat").read_text()
    Path("seen.txt").write_text(supervisor.rpartition(")")[2].split()[1])
    wf = hx.Workflow("values")

    @wf.reducer(output=True, depends_on=[])
    def total() -> int:
        return 5 * times

    return wf
"""


def test_a_run_without_spark_leaves_one_for_the_next(tmp_path: Path, point: MeetingPoint) -> None:
    (tmp_path / "values.py").write_text(WORKFLOW)
    environ = {**os.environ, "HELIX_SERVER": "on"}
    command = [*HELIX, "values.py", "--set"]
    there = MeetingPoint.for_folder(str(tmp_path))
    first = subprocess.run([*command, "times=2"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    try:
        assert "a process stays for the next runs in" in first.stderr
        await_true(there.forks.exists)
        again = subprocess.run([*command, "times=3"], cwd=tmp_path, env=environ, capture_output=True, text=True)
        assert int((tmp_path / "seen.txt").read_text()) == ForksApart(there, {}).pid()
        assert "total  15" in again.stdout
        assert "stays" not in again.stderr
        found = there.status()
        assert found is not None
        assert not found["spark"]
        assert found["idle_seconds"] < 5
    finally:
        there.stop()
    await_true(lambda: not there.forks.exists())


def test_a_run_that_is_refused_leaves_nothing(tmp_path: Path, point: MeetingPoint) -> None:
    environ = {**os.environ, "HELIX_SERVER": "on"}
    assert subprocess.run([*HELIX, "nowhere.py"], cwd=tmp_path, env=environ, capture_output=True).returncode == 2
    assert not MeetingPoint.for_folder(str(tmp_path)).keeper()


def test_one_that_cannot_begin_is_not_started_again_and_again(tmp_path: Path, point: MeetingPoint) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os\nopen('begun.txt', 'a').write('once ')\nos._exit(1)\n")
    there = MeetingPoint(tmp_path / "it")
    forks = ForksApart(there, {**os.environ, "PYTHONPATH": str(tmp_path), "PWD": str(tmp_path)})
    begun = Path("begun.txt")
    begun.unlink(missing_ok=True)
    for _ in range(3):
        forks.start()
    assert begun.read_text() == "once "
    begun.unlink()


def test_it_serves_where_no_extra_is_installed(tmp_path: Path, point: MeetingPoint) -> None:
    extras = ("uvicorn", "starlette", "mlflow", "obstore")
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({extras}))\n")
    there = MeetingPoint(tmp_path / "it")
    forks = ForksApart(there, {**os.environ, "PYTHONPATH": str(tmp_path), "PWD": str(tmp_path)})
    forks.start()
    await_true(there.forks.exists)
    forks.end()
