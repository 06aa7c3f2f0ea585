"""Names in hostile records that lead to what waits, never ends or acts when it is opened; and stored tables whose
metadata say what no table has."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from helix_spark.catalog.places.place import LocalPath
from helix_spark.hermetic.observed_inputs import ObservedInputs
from tests.faults.row import Tally, fault
from tests.faults.shared_catalogs import Shared, edited_log, hostile, try_all

GROUP = "names and metadata"

_NAMES: Mapping[str, Callable[[Shared], str]] = {
    "the kernel's log": lambda shared: "/proc/kmsg",
    "a process's memory": lambda shared: "/proc/self/mem",
    "a device without an end": lambda shared: "/dev/zero",
    "a terminal": lambda shared: "/dev/tty",
    "the standard input": lambda shared: "/dev/stdin",
    "a file of the kernel's": lambda shared: "/sys/kernel/notes",
    "a pipe": lambda shared: _pipe(shared),
    "a link to a pipe": lambda shared: _link(shared, _pipe(shared)),
    "a link to a device": lambda shared: _link(shared, "/dev/zero"),
    "a null byte": lambda shared: f"{shared.outside}/a\0b",
    "half a character": lambda shared: f"{shared.outside}/\ud800",
    "ten million letters": lambda shared: "/" + "a" * 10_000_000,
    "three million folders": lambda shared: "/a" * 3_000_000,
}


def _pipe(shared: Shared) -> str:
    os.mkfifo(shared.outside / "pipe")
    return str(shared.outside / "pipe")


def _link(shared: Shared, target: str) -> str:
    (shared.outside / "link").symlink_to(target)
    return str(shared.outside / "link")


def _add_names() -> None:
    """Add for each name a catalog whose records say that all nodes read a file, and a folder, of that name."""
    for title, name_in in _NAMES.items():
        def read(shared: Shared, name_in: Callable[[Shared], str] = name_in) -> None:
            name = name_in(shared)
            seen = ObservedInputs(files={name: "0" * 64}, told={f"names of {name}": "0" * 64})
            shared.change("results", observed=seen.to_json())

        hostile(GROUP, f"a node that read {title}", short=title in ("the kernel's log", "a pipe"))(read)


_ADDS: Mapping[str, tuple[str, Any]] = {
    "a size below nothing": ("size", -1),
    "a size of 10^30": ("size", 10**30),
    "a size that is a text": ("size", "many"),
    "statistics that are none": ("stats", '{"numRecords": 1e308}'),
    "statistics nested without end": ("stats", '{"a":' * 50_000 + "1" + "}" * 50_000),
    "a path of no file": ("path", "/proc/kmsg"),
    "a path that is none": ("path", None),
    "partition values that are a number": ("partitionValues", 3),
}
"""By what it is, the field of a table's `add` actions and its value."""


def _add_metadata() -> None:
    """Add for each odd value a catalog whose stored tables have it in their logs."""
    for title, (name, value) in _ADDS.items():
        def change(action: dict[str, Any], name: str = name, value: Any = value) -> dict[str, Any]:
            return {**action, "add": {**action["add"], name: value}} if "add" in action else action

        def write(shared: Shared, change: Callable[[dict[str, Any]], dict[str, Any]] = change) -> None:
            for node in ("rows", "doubled"):
                edited_log(Path(shared.log_of(node)), change)

        hostile(GROUP, f"stored tables with {title}", short=title == "a size of 10^30")(write)


_add_names()
_add_metadata()


@hostile(GROUP, "stored tables whose schemas are of other types")
def other_schemas(shared: Shared) -> None:
    odd = {"type": "struct", "fields": [{"name": 3, "type": "decimal(99,-1)", "nullable": "yes", "metadata": []}]}
    shared.change("artifacts", lambda row: row["kind"] == "table", schema=json.dumps(odd))


@fault("a shared catalog with names and metadata of no sense", "nothing opened that waits or acts, nothing raised",
       short=0, full=99)
def hostile_names(folder: LocalPath, count: int, tally: Tally) -> None:
    try_all(folder, GROUP, count, tally)
