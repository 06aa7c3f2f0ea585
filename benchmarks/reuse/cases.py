"""Cases of reuse as text: small projects, each with one change and the expected outcome.

A file below `cases/` has, in this order, comments (`#`), groups of nodes (`group NAME: NODES`), sections of a project
that all its cases share, and cases:

    === NAME
    OPTION: VALUE
    --- FILE            the text of a file before the change
    --- then
    --- SECTION         the change

A section of a change is a file, or begins with a verb:

    --- edit FILE           lines `OLD ==> NEW`; the old text must be there once, and `\\n` is a line break
    --- edit-all FILE       the same for each place of the old text
    --- edit-in-place FILE  the same as `edit`, and the file keeps its time of change
    --- append FILE         text for the end of a file
    --- python              code that is run in the project's folder
    --- env                 lines `NAME=VALUE` for the runs from then on; `{folder}` is the project's
    --- run                 the working folder, the file and the arguments of the runs from then on

The fields of `Case` say which options there are.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).with_name("cases")

_OPTION = re.compile(r"(expected|nodes|spark|clock|job|runs|equal-plans|restart|again): (.*)\n")
_GROUP = re.compile(r"^group (\w+): (.*)$", re.MULTILINE)


class EditError(Exception):
    """The old text of an edit is missing, or not unique."""


@dataclass(frozen=True, slots=True)
class Case:
    """A small project and one change.

    Attributes:
        before: sections of files, or the body of a function where a set of cases is one project.
        after: sections of the change.
        expected: `changed` if the answer differs after the change, `same` if it does not, `any` if rounding decides.
            Undeclared inputs: `draw`, `read` or `innocent`.
        nodes: the functions in the text of a job that has no workflow.
        spark: the project needs Spark.
        clock: the answer differs in each run; the second run must compute it.
        job: the file of the project that is run, without its ending.
        runs: nodes whose result differs afterwards, and the columns that their tables read (columns are never stored by
            themselves). No other node may be computed.
        equal_plans: only compared query plans can tell that nothing must run.
        restart: the edit has effect only in a new process, like an upgraded package.
        again: the edit is repeated at the end, when nothing may run.
    """

    name: str
    before: str = ""
    after: str = ""
    expected: str = "changed"
    nodes: tuple[str, ...] = ("answer",)
    spark: bool = False
    clock: bool = False
    job: str = ""
    runs: frozenset[str] = frozenset()
    equal_plans: bool = False
    restart: bool = False
    again: bool = False


def read_cases(name: str) -> list[Case]:
    """Return the cases of a set, which is a folder below `cases/`, file by file."""
    return [
        _case(text, _groups(shared))
        for file in sorted((FOLDER / name).glob("*.txt"))
        for shared, *cases in [("\n" + file.read_text()).split("\n=== ")]
        for text in cases
    ]


def read_project(name: str) -> dict[str, str]:
    """Return the sections that all cases of one file share, by name. `name` is the file's, without its ending."""
    shared = ("\n" + (FOLDER / f"{name}.txt").read_text()).partition("\n=== ")[0]
    return dict(sections(shared))


def sections(text: str) -> list[tuple[str, str]]:
    """Split a text at its lines `--- NAME` into names and bodies.

    >>> sections("--- a.py\\nx = 1\\n\\n--- run\\n. a.py")
    [('a.py', 'x = 1\\n'), ('run', '. a.py\\n')]
    """
    parts = ("\n" + text.strip("\n")).split("\n--- ")[1:]
    return [(name.strip(), body.strip("\n") + "\n") for name, _, body in (part.partition("\n") for part in parts)]


def change(folder: Path, name: str, body: str) -> bool:
    """Make the change of a section to the files in a folder; return False if its verb changes no files.

    Raises:
        EditError: an old text is missing, or not unique.
    """
    verb, _, rest = name.partition(" ")
    path = folder / rest
    if verb in ("edit", "edit-all", "edit-in-place"):
        times = path.stat()
        path.write_text(_edited(path.read_text(), body, rest, once=verb != "edit-all"))
        if verb == "edit-in-place":
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    elif verb == "append":
        path.write_text(path.read_text() + body)
    elif verb == "python":
        subprocess.run([sys.executable, "-c", body], cwd=folder, check=True)
    else:
        return False
    return True


def changed_files(case: Case) -> list[str]:
    """Return the files that the verbs of a change name."""
    return [name.partition(" ")[2] for name, _ in sections(case.after)]


def _edited(text: str, body: str, file: str, *, once: bool) -> str:
    for old, new in replacements(body):
        count = text.count(old)
        if count == 0 or (once and count > 1):
            raise EditError(f"{file} has {count} times, not once: {old!r}")
        text = text.replace(old, new)
    return text


def replacements(body: str) -> list[tuple[str, str]]:
    """Return the old and new texts of lines `OLD ==> NEW`."""
    lines = (line.replace("\\n", "\n").split(" ==> ") for line in body.splitlines())
    return [(old, new) for old, new in lines]


def _groups(shared: str) -> dict[str, frozenset[str]]:
    groups = dict[str, frozenset[str]]()
    for name, nodes in _GROUP.findall(shared):
        groups[name] = _nodes(nodes, groups)
    return groups


def _nodes(text: str, groups: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return the nodes that a text names: nodes and groups, without those after a minus."""
    nodes = set[str]()
    for word in text.split():
        if word.startswith("-"):
            nodes.remove(word[1:])
        else:
            nodes |= groups.get(word, {word})
    return frozenset(nodes)


def _case(text: str, groups: Mapping[str, frozenset[str]]) -> Case:
    name, _, rest = text.partition("\n")
    options = dict[str, str]()
    while match := _OPTION.match(rest):
        options[match[1]] = match[2]
        rest = rest[match.end():]
    before, _, after = ("\n" + rest).partition("\n--- then\n")
    return Case(
        name, before.strip("\n"), after.strip("\n"), options.get("expected", "changed"),
        tuple(options.get("nodes", "answer").split()), "spark" in options, "clock" in options, options.get("job", ""),
        _nodes(options.get("runs", ""), groups), "equal-plans" in options, "restart" in options, "again" in options,
    )
