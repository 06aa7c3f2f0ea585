"""Leases: one holder at a time, taken over from the dead and the frozen, and never what a right answer rests on."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from helix_spark.catalog import leases as leases_module
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases import Lease, Leases, this_process
from helix_spark.catalog.records import IterationRecord
from helix_spark.identity.parts import digest

NAME = digest("a")
BEAT = 0.2
"""Seconds between heartbeats of the processes here, of which ten may be missed, as of others."""
HOLDS = """
import sys
from helix_spark.catalog.leases import Leases
from helix_spark.catalog.places.place import LocalPath
leases = Leases(LocalPath(sys.argv[1]))
leases.heartbeat = float(sys.argv[3])
assert leases.take(sys.argv[2]) is None
print("taken", flush=True)
sys.stdin.readline()
leases.release(sys.argv[2])
"""

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "leases"


@pytest.fixture
def holding(folder: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start(name: str = NAME) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDS, str(folder), name, str(BEAT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_another_process_has_it_until_it_gives_it_back(folder: Path, holding: Start) -> None:
    other = holding(NAME)
    leases = Leases(folder)
    found = leases.take(NAME)
    assert found is not None
    assert found.holder is not None
    assert str(found.holder) == f"process {other.pid} on {this_process().host}"
    waited = threading.Thread(target=leases.wait, args=(NAME,))
    waited.start()
    other.communicate("\n")
    waited.join(10)
    assert not waited.is_alive()
    assert leases.take(NAME) is None


@pytest.mark.parametrize("how", ["taken", "waited for"])
def test_the_dead_hold_nothing(folder: Path, holding: Start, how: str) -> None:
    other = holding(NAME)
    other.send_signal(signal.SIGKILL)
    other.wait()
    leases = Leases(folder)
    assert leases.is_dead(NAME)
    if how == "waited for":
        leases.wait(NAME)
    assert leases.take(NAME) is None


def test_the_frozen_are_taken_over(folder: Path, holding: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "PATIENCE", 0.5)
    other = holding(NAME)
    other.send_signal(signal.SIGSTOP)
    leases = Leases(folder)
    assert leases.take(NAME) is not None
    leases.wait(NAME)
    assert leases.take(NAME) is None
    other.send_signal(signal.SIGCONT)
    other.communicate("\n")
    # Who woke up gives back what is not its own any more: nothing happens.
    assert leases.find(NAME).holder == this_process()  # type: ignore[union-attr]


def test_a_heartbeat_keeps_it(folder: Path, holding: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is told in heartbeats here, for a busy machine keeps their process waiting, too."""
    monkeypatch.setattr(leases_module, "PATIENCE", 5)
    holding(NAME)
    leases, beats = Leases(folder), list[Lease | None]()

    def heartbeats_until_now() -> int:
        found = leases.find(NAME)
        if found not in beats:
            beats.append(found)
        return len(beats)

    clock = ModuleType("time")
    vars(clock).update(vars(time), monotonic=heartbeats_until_now)
    monkeypatch.setattr(leases_module, "time", clock)
    assert not leases.wait(NAME, until=lambda: len(beats) > 8)
    assert None not in beats


def test_a_number_used_again_is_another_process(folder: Path) -> None:
    folder.mkdir()
    earlier = dataclasses.replace(this_process(), started="1")
    (folder / NAME).write_text(earlier.to_json())
    assert earlier.is_gone
    assert Leases(folder).take(NAME) is None


def test_a_process_that_proc_hides_is_not_gone(folder: Path, holding: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another user's is where /proc is mounted with hidepid."""
    other = holding(NAME)
    found = Leases(folder).find(NAME)
    assert found is not None
    assert found.holder is not None
    monkeypatch.setattr(leases_module, "_state_and_start", lambda pid: ("", ""))
    assert not found.holder.is_gone
    other.kill()
    other.wait()
    assert found.holder.is_gone


def test_of_another_machine_only_the_heartbeat_is_known(folder: Path) -> None:
    folder.mkdir()
    (folder / NAME).write_text(dataclasses.replace(this_process(), machine="elsewhere").to_json())
    leases = Leases(folder)
    assert not leases.is_dead(NAME)
    os.utime(folder / NAME, (0, 0))
    assert leases.is_dead(NAME)


def test_a_lease_of_garbage_is_waited_for_and_then_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "PATIENCE", 0.3)
    folder.mkdir()
    (folder / NAME).write_text("{")
    leases = Leases(folder)
    assert leases.take(NAME) is not None
    leases.wait(NAME)
    assert leases.take(NAME) is None
    assert Lease("", "[]", 0.0).holder is None


@pytest.mark.parametrize("left", ["", "\0\0\0"])
def test_a_lease_whose_bytes_went_with_the_power_is_nobodys(folder: Path, left: str) -> None:
    folder.mkdir()
    leases = Leases(folder)
    for again in range(2):
        (folder / NAME).write_text(left)
        assert leases.is_dead(NAME)
        assert NAME in leases.dead(untouched=60.0)
        looks = iter((False, True))  # it is not looked at twice
        assert leases.wait(NAME, until=lambda looks=looks: next(looks)) if again else leases.take(NAME) is None


def test_a_folder_that_cannot_be_written_leases_to_everybody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    leases = Leases(tmp_path / "file" / "leases")
    assert leases.take(NAME) is None
    leases.release(NAME)


def test_one_of_many_threads_and_objects_writes_the_file(folder: Path) -> None:
    leases = Leases(folder)
    threads = [threading.Thread(target=leases.take, args=(NAME,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(7):
        leases.release(NAME)
    assert leases.find(NAME) is not None
    leases.release(NAME)
    assert list(folder.iterdir()) == []


def test_what_one_at_a_time_does_is_left_to_who_does_it(folder: Path) -> None:
    folder.mkdir()
    (folder / NAME).write_text(dataclasses.replace(this_process(), pid=1, started="").to_json())
    with Leases(folder).alone(NAME) as alone:
        assert alone is None
    assert (folder / NAME).exists()


def test_who_was_stopped_while_it_was_alone_finds_that_another_took_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases_module, "PATIENCE", 0.2)
    with Leases(folder).alone(NAME) as alone:
        assert alone is not None
        assert alone()
        # As if it were another process, which lives and is silent.
        other = dataclasses.replace(this_process(), pid=1, started="")
        (folder / NAME).write_text(other.to_json())
        os.utime(folder / NAME, (0, 0))
        assert not alone()
        with Leases(folder).alone(NAME) as taken_over:
            assert taken_over is not None
            assert taken_over()
        assert not alone()
    assert list(folder.iterdir()) == []


def test_a_run_whose_process_is_gone_has_died(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path, create=True)
    run = "1" * 32
    catalog.leases.take(run)
    started = catalog.start_iteration(IterationRecord(run, "census", 0, "running", 0.0))
    assert [each.status for each in catalog.iterations()] == ["running"]
    catalog.leases.release(run)
    assert [each.status for each in catalog.iterations()] == ["died"]
    catalog.append_iteration(dataclasses.replace(started, status="done"))
    assert [each.status for each in catalog.iterations()] == ["done"]


def test_gc_takes_what_the_dead_left_at_once_and_nothing_of_the_living(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path, create=True)
    attempt = catalog.begin_attempt(NAME, "table")
    assert attempt.path is not None
    attempt.path.mkdir(parents=True)
    assert catalog.gc(dry_run=False, grace_seconds=0.0) == ()
    gone = dataclasses.replace(this_process(), started="1")
    (catalog.root / "leases" / attempt.attempt).write_text(gone.to_json())
    (leftover,) = catalog.gc(dry_run=False)
    assert leftover.why == f"never published; its writer, {gone}, has ended"
    assert not attempt.path.exists()
    assert list((catalog.root / "leases").iterdir()) == []


def abroad(tmp_path: Path) -> tuple[Catalog, Path, Path]:
    """A catalog, what a writer on another machine has written so far, and its lease; our clock is ten days ahead."""
    catalog = Catalog.open(tmp_path, create=True)
    attempt = catalog.begin_attempt(NAME, "table")
    assert isinstance(attempt.path, Path)
    attempt.path.mkdir(parents=True)
    lease = tmp_path / "leases" / attempt.attempt
    lease.write_text(dataclasses.replace(this_process(), machine="elsewhere").to_json())
    behind = time.time() - 10 * 24 * 3600
    for path in (lease, attempt.path):
        os.utime(path, (behind, behind))
    return catalog, attempt.path, lease


def test_gc_takes_nothing_of_a_living_writer_whose_clock_is_days_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases_module, "PATIENCE", 0.5)
    catalog, written, lease = abroad(tmp_path)
    begun, beaten = time.time(), threading.Event()

    def beat() -> None:
        while not beaten.wait(0.1):
            behind = time.time() - 10 * 24 * 3600
            os.utime(lease, (behind, behind))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        assert catalog.gc(dry_run=False) == ()
    finally:
        beaten.set()
        thread.join()
    assert time.time() - begun >= 0.5
    assert written.exists()
    assert lease.exists()


def test_gc_takes_what_a_writer_elsewhere_left_that_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "PATIENCE", 0.2)
    catalog, written, lease = abroad(tmp_path)
    (leftover,) = catalog.gc(dry_run=False)
    assert "has ended" in leftover.why
    assert not leftover.certain
    assert not written.exists()
    assert not lease.exists()
