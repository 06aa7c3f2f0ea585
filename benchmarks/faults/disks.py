"""Disks that lack something on which a catalog rests: told in words, and done without where that can be."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.faults.denied import can_deny
from benchmarks.faults.job import Heard, answers, run, workflow
from benchmarks.faults.kills import ended, start
from benchmarks.faults.row import Tally, fault
from benchmarks.faults.usable import all_of
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.verification import verify

_ROOT = Path(__file__).resolve().parents[2]
_TOOLS = ("mkfs.exfat", "mount.exfat-fuse", "losetup")


def _denied(lacks: str, root: Path, key: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.faults.denied", lacks, str(root), str(key), "1"], cwd=_ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )


def _wrong(root: Path, runs: int) -> str:
    """What is wrong with a catalog after so many runs; empty if nothing is."""
    catalog = Catalog.open(root, create=False)
    numbers = sorted(one.number for one in catalog.iterations("job") if one.status == "done")
    if numbers != list(range(1, runs + 1)):
        return f"iterations {numbers}"
    if bad := [str(each) for each in verify(catalog, deep=True).findings if each.bad]:
        return f"damaged: {bad[0]}"
    if damage := catalog.repair(dry_run=True).damage:
        return f"damaged: {damage[0]}"
    again = Heard()
    return "" if run(root, workflow(1), again) == answers(1) and "rows" not in again.names else "rows are not reused"


@fault("a disk without hard links, without syncs, without times that can be set: one driver, then two at once",
       "told once, in words; answers right, nothing lost", short=1, full=9)
def without(folder: Path, count: int, tally: Tally) -> None:
    ways = (("link", "hard links"), ("link,fsync,utime", "hard links"), ("fsync", "sync"), ("utime", "times of files"))
    if not can_deny():
        tally.note = "calls cannot be refused on this machine"
    for index in tally.rounds(count if can_deny() else 0):
        lacks, word = ways[(index - 1) % len(ways)]
        root = folder / str(index)
        first = ended(_denied(lacks, root, 1))
        told = [line for line in first if line.startswith("warning") and word in line]
        both = [_denied(lacks, root, key) for key in (2, 3)]
        printed = [ended(process) for process in both]
        later = [line for lines in printed for line in lines if "the disk of" in line]
        done = all("done True" in lines for lines in (first, *printed))
        wrong = "" if done and len(told) == 1 and not later else f"printed {first[-3:]} {printed[0][-3:]} {later}"
        tally.expect(not wrong and not (wrong := _wrong(root, 3)), f"without {lacks}: {wrong}")


@fault("a disk with neither hard links nor locks", "refused in words before anything runs; `doctor` says so, too",
       short=1, full=3)
def with_neither(folder: Path, count: int, tally: Tally) -> None:
    for index in range(count if can_deny() else 0):
        root = folder / str(index)
        printed = ended(_denied("link,flock", root, 1))
        refused = any("cannot hold a catalog" in line and "hard links nor locks" in line for line in printed)
        looked = subprocess.run(
            [sys.executable, "-m", "benchmarks.faults.denied", "link,flock", "doctor", "--catalog", str(root)],
            cwd=_ROOT, text=True, capture_output=True, timeout=120,
        )
        said = looked.returncode == 3 and "hard links nor locks" in looked.stdout
        tally.expect(refused and said and not root.exists(), f"{printed[-3:]} {looked.stdout[-300:]}")


@contextlib.contextmanager
def _mounted(folder: Path, size: int = 96 << 20) -> Iterator[Path]:
    """An exFAT disk of its own."""
    image, place = folder / "disk.img", folder / "mounted"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    def called(*command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    called("mkfs.exfat", str(image))
    device = called("losetup", "-f", "--show", str(image))
    try:
        called("mount.exfat-fuse", device, str(place))
        try:
            yield place
        finally:
            called("umount", "--lazy", str(place))  # a catalog is held open as long as somebody knows it
    finally:
        called("losetup", "-d", device)


def _can_mount() -> bool:
    return os.geteuid() == 0 and all(map(shutil.which, _TOOLS)) and Path("/dev/fuse").exists()


def _with_a_driver(processes: Sequence[subprocess.Popen[str]]) -> list[bool]:
    return ["done True" in ended(process) for process in processes]


@fault("an exFAT disk (no links, no upper and lower case, times of a second or two): drivers in turn and at once",
       "answers right, nothing lost, damage repaired", short=0, full=4)
def exfat(folder: Path, count: int, tally: Tally) -> None:
    if not _can_mount():
        tally.note = f"not injected: it takes root and {', '.join(_TOOLS)}"
        return
    with _mounted(folder) as disk:
        for index in tally.rounds(count):
            root = disk / f"catalog {index}"
            done = _with_a_driver([start(root, 1)]) + _with_a_driver([start(root, key) for key in (2, 3, 4)])
            before = all_of(root)
            newest = max((root / "records" / "iterations" / "_delta_log").glob("*.json"))
            newest.write_bytes(b"")
            Catalog.open(root, create=False).repair()
            wrong = _wrong(root, 4) if all(done) and before[5] == all_of(root)[5] else f"{done}"
            tally.expect(not wrong, wrong)
