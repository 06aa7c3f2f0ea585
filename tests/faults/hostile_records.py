"""Hostile records: texts that a terminal or a page would obey, values of no sense, JSON of no end, paths, bombs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from typing import Any

from helix_spark.catalog.places.place import LocalPath
from helix_spark.identity.parts import digest
from tests.faults.shared_catalogs import Shared, hostile, hostile_row, write_rows

GROUP = "records"
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b]8;;http://evil\x1b\\click\x9b31m\u202egnp.exe\u2066"
MARKUP = "[link=http://evil]here[/link] [bold red]x[/] <script>alert(1)</script>"
DEEP = "[" * 100_000 + "]" * 100_000
NAN, ENDLESS = float("nan"), float("inf")


Row = dict[str, Any]
Which = Callable[[Row], bool]


def _all(row: Row) -> bool:
    return True


def _in(number: int) -> Which:
    """Records of an iteration, or of its nodes."""
    return lambda row: row.get("iteration", row.get("number")) == number


def _of(node: str) -> Which:
    return lambda row: row["node"] == node


def _named(name: str) -> Which:
    return lambda row: row["name"] == name and row["iteration"] == 1


def _changed(name: str, *changes: tuple[str, Which, Row], usable: bool = True, short: bool = False) -> None:
    """Add a catalog in which fields of records were changed: of which kind, which of them, and their new values."""
    @hostile(GROUP, name, usable=usable, short=short)
    def change(shared: Shared) -> None:
        for kind, which, cells in changes:
            shared.change(kind, which, **cells)


def _added(name: str, *rows: Row, short: bool = False) -> None:
    """Add a catalog with more records of iterations, each with some values for those of the newest."""
    @hostile(GROUP, name, short=short)
    def add(shared: Shared) -> None:
        shared.rewrite("iterations", lambda before: [*before, *({**before[-1], **row} for row in rows)])


_changed(
    "texts with escape codes, links and turned letters",
    ("iterations", _all, dict.fromkeys(("message", "error", "file", "commit"), ESCAPES)),
    ("nodes", _all, {"reason": ESCAPES, "code": f"def f():\n    {ESCAPES}\n", "kind": "scanner"}),
    ("artifacts", lambda row: row["event"] != "published", {"why": ESCAPES}), short=True,
)


@hostile(GROUP, "names with escape codes and forged lines", short=True)
def names(shared: Shared) -> None:
    forged = f"rows{ESCAPES}\n0 stored results: none\nall is sound"
    shared.change("nodes", _named("rows"), name=forged)
    shared.change("artifacts", _of("rows"), node=forged)
    shared.rewrite("iterations", lambda rows: [*rows, {**rows[-1], "workflow": forged, "run": "9" * 32}])


_changed(
    "names that are markup", ("nodes", _named("count"), {"name": MARKUP, "reason": MARKUP}),
    ("iterations", _all, {"message": MARKUP}),
)
_changed(
    "lone surrogates among the outputs",
    ("iterations", _in(2), {"outputs": '{"total": 748500, "\\ud800": "\\udfff\\ud800", "\\udc80 auc": 0.5}',
                            "parameters": '{"\\ud800": "\\udfff"}'}),
    ("nodes", _all, {"parts": '[["value", "\\ud800", "' + "0" * 64 + '", "\\udfff"]]'}), short=True,
)
_changed("outputs nested without end", ("iterations", _in(1), {"outputs": '{"a": ' + DEEP + "}"}), short=True)
_changed(
    "a plan, parameters and parts nested without end",
    ("iterations", _in(2), dict.fromkeys(
        ("plan", "parameters", "versions", "writer"), '{"a":' * 50_000 + "1" + "}" * 50_000)),
    ("nodes", _all, {"parts": DEEP}),
)
_changed(
    "JSON that is none, or of another kind",
    ("iterations", _in(2), {"outputs": "[1, 2]", "parameters": "7", "plan": "{", "versions": "null", "writer": '"x"'}),
    ("nodes", _in(1), {"parts": "{}"}), short=True,
)
_changed("a plan of no sense", ("iterations", _all, {"plan": json.dumps({
    "merged": ["rows", 3], "left_out": [{"synthesizer": 3}, 7, None], "budget": "much", "used": -1e308,
    "run_all_seconds": 1e308, "predicted_seconds": -1e308, "solver": {"a": []}, "policy": 5,
})}))
_changed(
    "numbers that are none, endless, or beyond any sense",
    ("iterations", _in(2), {"started": 1e300, "seconds": -ENDLESS, "start_seconds": NAN}),
    ("nodes", _in(1), {"seconds": NAN, "predicted_seconds": ENDLESS, "bytes": -(2**62), "rows": -1, "started": -1e300}),
    ("artifacts", _of("count"), {"bytes": 2**62, "at": -1e300, "write_seconds": NAN, "recompute_seconds": ENDLESS}),
    ("results", _all, {"compute_seconds": NAN, "load_seconds": -ENDLESS, "bytes": -5, "rows": -7}), short=True,
)
_changed(
    "metrics from the least to the greatest",
    ("iterations", _in(2), {"outputs": '{"total": 1.7e308, "auc": NaN, "x": 1' + "0" * 400 + "}"}),
    ("iterations", _in(1), {"outputs": '{"total": -1.7e308, "auc": Infinity, "x": 1}'}),
)
_changed(
    "states, kinds and events that there are none of",
    ("iterations", _in(1), {"status": "exploded"}), ("nodes", _in(1), {"state": "<b>", "kind": "rocket"}),
    ("artifacts", _of("count"), {"kind": "pickle", "event": "published"}), ("results", _all, {"kind": "rocket"}),
    short=True,
)
_changed(
    "ids that are paths, and pieces of SQL",
    ("iterations", _in(1), {"run": "../../../elsewhere/x", "file_digest": "' OR 1=1 --"}),
    ("nodes", _in(1), {"run": "../../../elsewhere/x", "signature": "' OR 1=1 --"}),
    ("artifacts", _of("rows"), {"signature": "../" * 20, "attempt": "../../../elsewhere"}),
    ("results", _all, {"signature": "' OR 1=1 --", "declared": "../x"}), short=True,
)
_added("the greatest number that there is as an iteration's", {"number": 2**63 - 1, "run": "9" * 32}, short=True)
_added(
    "numbers below one, and one that is missing", {"number": -(2**63), "run": "9" * 32},
    {"number": None, "run": "8" * 32}, {"number": 0, "run": "7" * 32}, {"workflow": None, "run": "6" * 32},
    {"run": None},
)
_added("a text of a million letters in a hundred and fifty rows", *(
    {"message": "all work and no play " * 50_000, "number": n, "run": f"{n:032x}"} for n in range(3, 150)
))


@hostile(GROUP, "a text of a hundred million letters", short=True)
def long_text(shared: Shared) -> None:
    row = {**shared.rows("iterations")[-1], "message": "all work and no play " * 5_000_000, "run": "7" * 32}
    write_rows(shared.next_file(), [("iterations", row)])


@hostile(GROUP, "nodes that read each other in a circle, themselves, and what is not there", short=True)
def circles(shared: Shared) -> None:
    reads = {"rows": ["doubled", "rows"], "doubled": ["rows"], "total": ["nothing", "", "total"], "data": ["count"]}
    shared.rewrite("nodes", lambda rows: [
        {**row, "inputs": reads.get(row["name"], row["inputs"])} if row["iteration"] == 1 else row for row in rows
    ])


@hostile(GROUP, "a chain of three thousand nodes, and two of one name")
def chain(shared: Shared) -> None:
    def longer(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        last = next(row for row in rows if row["iteration"] == 2 and row["name"] == "rows")
        new = [
            {**last, "name": f"n{n}", "inputs": [f"n{n - 1}"] if n else [],
             "signature": hashlib.sha256(str(n).encode()).hexdigest()} for n in range(3000)
        ]
        return [*rows, *new, new[-1]]

    shared.rewrite("nodes", longer)


@hostile(GROUP, "a node that reads a hundred thousand")
def many_inputs(shared: Shared) -> None:
    shared.rewrite("nodes", lambda rows: [
        {**row, "inputs": [f"x{n}" for n in range(100_000)]} if row["name"] == "total" else row for row in rows
    ])


@hostile(GROUP, "a file that is a pipe", short=True)
def file_is_a_pipe(shared: Shared) -> None:
    os.mkfifo(shared.outside / "pipe.py")
    shared.change("iterations", file=str(shared.outside / "pipe.py"))


@hostile(GROUP, "a file that has no end")
def file_is_endless(shared: Shared) -> None:
    shared.change("iterations", file="/dev/zero")


def _file_as(shared: Shared, file: str, name: str, text: str) -> None:
    digest = hashlib.sha256(text.encode()).hexdigest()
    row = {**shared.rows("files")[-1], "digest": digest, "name": name, "text": text}
    shared.rewrite("files", lambda rows: [*rows, row])
    shared.change("iterations", file=file, file_digest=digest)


@hostile(GROUP, "a file elsewhere, of a kind that a shell reads", short=True)
def file_elsewhere(shared: Shared) -> None:
    _file_as(shared, str(shared.home / ".bashrc.d" / "x.sh"), "x.sh", "touch canary\n")
    (shared.home / ".bashrc.d").mkdir()


@hostile(GROUP, "a file above, by a path with dots and a name of no sense")
def file_above(shared: Shared) -> None:
    _file_as(shared, str(shared.project / "sub" / ".." / ".." / "elsewhere" / "-rf .pth"), "../../x", "import os\n")
    (shared.project / "sub").mkdir()


TRAP = {"type": "udt", "pyClass": "catalog.trap.Trap", "serializedClass": "gASV", "sqlType": "long"}
SCHEMA = {"type": "struct", "fields": [{"name": "a", "type": TRAP, "nullable": True, "metadata": {}}]}

_changed("a file's text that is not of its digest", ("files", _all, {"text": "import os; os.system('touch canary')\n"}))
_changed(
    "values nested without end, of no JSON, or huge", ("artifacts", _of("total"), {"value": DEEP}),
    ("artifacts", _of("count"), {"value": "{"}), short=True,
)
_changed(
    "a value of a hundred million letters", ("artifacts", _of("count"), {"value": '"' + "x" * 100_000_000 + '"'}),
)
_changed(
    "a schema that carries a class, and one nested without end",
    ("artifacts", _of("rows"), {"schema": json.dumps(SCHEMA)}),
    ("artifacts", _of("doubled"), {"schema": '{"fields":' + DEEP + "}"}), short=True,
)
_changed("wishes of no sense, of people without a name", (
    "artifacts", lambda row: row["kind"] == "table", {"insisted_by": ["", "\x1b[2J", "a"] * 1000},
))
_changed(
    "lists in the place of texts, texts in that of seconds",
    ("nodes", _all, {"reason": ["x", 7], "seconds": "long", "stored": 7, "inputs": "rows"}), usable=False,
)


@hostile(GROUP, "fields of another type", usable=False, short=True)
def other_types(shared: Shared) -> None:
    shared.rewrite(
        "iterations", lambda rows: [{**row, "number": str(row["number"]), "outputs": {"a": 1}} for row in rows]
    )


@hostile(GROUP, "records without the fields that tell them apart", usable=False)
def no_fields(shared: Shared) -> None:
    shared.rewrite("iterations", lambda rows: [{"surprise": "x"}])


@hostile(GROUP, "kinds and fields that are pieces of SQL, or none that there are", short=True)
def odd_kinds(shared: Shared) -> None:
    sql = 'files"; DROP TABLE files; --'
    row = {**shared.rows("files")[-1], sql: sql, "\x1b[2J": {"a": [1, {}]}}
    write_rows(shared.next_file(), [(sql, row), ("files", row), ("", {}), ("notes", {"name": "form", "text": "x"})])


@hostile(GROUP, "notes of a run that are none: other types, nested without end", short=True)
def odd_progress(shared: Shared) -> None:
    node = {"name": 7, "kind": [], "inputs": [1, None], "state": {}, "reason": ESCAPES, "predicted_seconds": "long",
            "output": None}
    for number, text in (
        (3, json.dumps({"workflow": "job", "number": 3, "nodes": [node, node], "started": {"7": "x"}, "ended": [1],
                        "answered": "yes", "stored": [[1]]})), (4, DEEP),
    ):
        _running_notes(shared, number).write_text(text)


def _running_notes(shared: Shared, number: int) -> LocalPath:
    """The file for notes of an iteration that seems to be running."""
    run = f"{number:032x}"
    shared.rewrite("iterations", lambda rows: [
        *rows, {**rows[-1], "number": number, "run": run, "status": "running", "seconds": None},
    ])
    (shared.catalog / "leases" / run).write_text(json.dumps(
        {"host": ESCAPES, "machine": "elsewhere", "pid": 2**70, "started": "x", "expected": "long"}
    ))
    (shared.records / "running").mkdir(exist_ok=True)
    return shared.records / "running" / f"{digest('job')[:32]}-{number}.json"


@hostile(GROUP, "notes of a run that are a pipe, a lease that has no end")
def progress_is_a_pipe(shared: Shared) -> None:
    os.mkfifo(_running_notes(shared, 3))
    (shared.catalog / "leases" / ("a" * 64)).symlink_to("/dev/zero")
    os.mkfifo(shared.catalog / "leases" / ("b" * 64))


hostile_row("a shared catalog with hostile records", GROUP)
