"""Scripts of edits, as text: a file for each job.

A file has the kept results, the settings of the job and script 0, and then the pool of edits. The sections of an edit,
`--- job` and `--- plain`, have lines `OLD ==> NEW` for the two texts, in which `\\n` is a line break.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.reuse.cases import sections
from benchmarks.scripts.edit import Change, Edit, Workload

NAMES = ("census", "extraction", "flights", "genomics", "mnist")

_FIELD = re.compile(r"^(kept|settings|main|kind|stale): (.*)$", re.MULTILINE)


def workload_named(name: str) -> Workload:
    """Return the workload of a job."""
    head, *edits = Path(__file__).with_name(f"{name}.txt").read_text().split("\n=== ")
    fields = _fields(head)
    settings = dict(setting.split("=", 1) for setting in fields.get("settings", ()))
    return Workload(name, fields["kept"], tuple(map(_edit, edits)), fields["main"], settings)


def _fields(text: str) -> dict[str, tuple[str, ...]]:
    return {name: tuple(values.split(", ")) for name, values in _FIELD.findall(text.partition("\n--- ")[0])}


def _edit(text: str) -> Edit:
    name, fields, bodies = text.partition("\n")[0], _fields(text), dict(sections(text))
    [kind] = fields["kind"]
    return Edit(name, kind, _changes(bodies["job"]), _changes(bodies["plain"]), fields.get("stale", ()))  # type: ignore[arg-type]  # one of the kinds


def _changes(body: str) -> tuple[Change, ...]:
    lines = (line.split(" ==> ") for line in body.splitlines())
    return tuple((old.replace("\\n", "\n"), new.replace("\\n", "\n")) for old, new in lines)
