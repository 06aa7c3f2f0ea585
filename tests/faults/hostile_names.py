"""Names in hostile records that lead to what waits, never ends or acts when it is opened; and stored tables whose
metadata say what no table has."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from helix_spark.hermetic.observed_inputs import ObservedInputs
from tests.faults.shared_catalogs import Shared, edit_log, hostile, hostile_row

GROUP = "names and metadata"


def _pipe(shared: Shared) -> str:
    os.mkfifo(shared.outside / "pipe")
    return str(shared.outside / "pipe")


def _link(shared: Shared, target: str) -> str:
    (shared.outside / "link").symlink_to(target)
    return str(shared.outside / "link")


_NAMES: Mapping[str, str | Callable[[Shared], str]] = {
    "the kernel's log": "/proc/kmsg", "a process's memory": "/proc/self/mem", "a device without an end": "/dev/zero",
    "a terminal": "/dev/tty", "the standard input": "/dev/stdin", "a file of the kernel's": "/sys/kernel/notes",
    "a pipe": _pipe,
    "a link to a pipe": lambda shared: _link(shared, _pipe(shared)),
    "a link to a device": lambda shared: _link(shared, "/dev/zero"),
    "a null byte": lambda shared: f"{shared.outside}/a\0b",
    "half a character": lambda shared: f"{shared.outside}/\ud800",
    "ten million letters": "/" + "a" * 10_000_000, "three million folders": "/a" * 3_000_000,
}

for _title, _name in _NAMES.items():
    @hostile(GROUP, f"a node that read {_title}", short=_title in ("the kernel's log", "a pipe"))
    def read(shared: Shared, name: str | Callable[[Shared], str] = _name) -> None:
        """All nodes read a file, and a folder, of that name."""
        path = name if isinstance(name, str) else name(shared)
        observed = ObservedInputs(files={path: "0" * 64}, told={f"names of {path}": "0" * 64})
        shared.change("results", observed=observed.to_json())


_ADDS: Mapping[str, dict[str, Any]] = {
    "a size below nothing": {"size": -1}, "a size of 10^30": {"size": 10**30},
    "a size that is a text": {"size": "many"},
    "statistics that are none": {"stats": '{"numRecords": 1e308}'},
    "statistics nested without end": {"stats": '{"a":' * 50_000 + "1" + "}" * 50_000},
    "a path of no file": {"path": "/proc/kmsg"}, "a path that is none": {"path": None},
    "partition values that are a number": {"partitionValues": 3},
}
"""A field of a table's `add` actions, and its value."""

for _title, _add in _ADDS.items():
    @hostile(GROUP, f"stored tables with {_title}", short=_title == "a size of 10^30")
    def write(shared: Shared, add: dict[str, Any] = _add) -> None:
        for node in ("rows", "doubled"):
            edit_log(shared.log_of(node), add)


@hostile(GROUP, "stored tables whose schemas are of other types")
def other_schemas(shared: Shared) -> None:
    odd = {"type": "struct", "fields": [{"name": 3, "type": "decimal(99,-1)", "nullable": "yes", "metadata": []}]}
    shared.change("artifacts", lambda row: row["kind"] == "table", schema=json.dumps(odd))


hostile_row("a shared catalog with names and metadata of no sense", GROUP,
            "nothing opened that waits or acts, nothing raised")
