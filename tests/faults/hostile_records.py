"""Hostile records: texts that a terminal or a page would obey, values of no sense, JSON of no end, paths, bombs."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from helix_spark.catalog.places.place import LocalPath
from tests.faults.row import Tally, fault
from tests.faults.shared_catalogs import Shared, hostile, try_all, write_rows

GROUP = "records"
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b]8;;http://evil\x1b\\click\x9b31m\u202egnp.exe\u2066"
MARKUP = "[link=http://evil]here[/link] [bold red]x[/] <script>alert(1)</script>"
DEEP = "[" * 100_000 + "]" * 100_000


def _newest(row: dict[str, Any]) -> bool:
    return bool(row["number"] == 2)


@hostile(GROUP, "texts with escape codes, links and turned letters", short=True)
def escapes(shared: Shared) -> None:
    shared.change("iterations", message=ESCAPES, error=ESCAPES, file=ESCAPES, commit=ESCAPES)
    shared.change("nodes", reason=ESCAPES, code=f"def f():\n    {ESCAPES}\n", kind="scanner")
    shared.change("artifacts", lambda row: row["event"] != "published", why=ESCAPES)


@hostile(GROUP, "names with escape codes and forged lines", short=True)
def names(shared: Shared) -> None:
    forged = f"rows{ESCAPES}\n0 stored results: none\nall is sound"
    shared.change("nodes", lambda row: row["name"] == "rows" and row["iteration"] == 1, name=forged)
    shared.change("artifacts", lambda row: row["node"] == "rows", node=forged)
    shared.rewrite("iterations", lambda rows: [*rows, {**rows[-1], "workflow": forged, "run": "9" * 32}])


@hostile(GROUP, "names that are markup")
def markup(shared: Shared) -> None:
    shared.change("nodes", lambda row: row["name"] == "count" and row["iteration"] == 1, name=MARKUP, reason=MARKUP)
    shared.change("iterations", message=MARKUP)


@hostile(GROUP, "lone surrogates among the outputs", short=True)
def surrogates(shared: Shared) -> None:
    outputs = '{"total": 748500, "\\ud800": "\\udfff\\ud800", "\\udc80 auc": 0.5}'
    shared.change("iterations", _newest, outputs=outputs, parameters='{"\\ud800": "\\udfff"}')
    shared.change("nodes", parts='[["value", "\\ud800", "' + "0" * 64 + '", "\\udfff"]]')


@hostile(GROUP, "outputs nested without end", short=True)
def deep_outputs(shared: Shared) -> None:
    shared.change("iterations", lambda row: row["number"] == 1, outputs='{"a": ' + DEEP + "}")


@hostile(GROUP, "a plan, parameters and parts nested without end")
def deep_parts(shared: Shared) -> None:
    deep = '{"a":' * 50_000 + "1" + "}" * 50_000
    shared.change("iterations", _newest, plan=deep, parameters=deep, versions=deep, writer=deep)
    shared.change("nodes", parts=DEEP)


@hostile(GROUP, "JSON that is none, or of another kind", short=True)
def no_json(shared: Shared) -> None:
    shared.change(
        "iterations", _newest, outputs="[1, 2]", parameters="7", plan="{", versions="null", writer='"x"',
    )
    shared.change("nodes", lambda row: row["iteration"] == 1, parts="{}")


@hostile(GROUP, "a plan of no sense")
def odd_plan(shared: Shared) -> None:
    plan = {
        "merged": ["rows", 3], "left_out": [{"synthesizer": 3}, 7, None], "budget": "much", "used": -1e308,
        "run_all_seconds": 1e308, "predicted_seconds": -1e308, "solver": {"a": []}, "policy": 5,
    }
    shared.change("iterations", plan=json.dumps(plan))


@hostile(GROUP, "numbers that are none, endless, or beyond any sense", short=True)
def odd_numbers(shared: Shared) -> None:
    nan, endless = float("nan"), float("inf")
    shared.change("iterations", _newest, started=1e300, seconds=-endless, start_seconds=nan)
    shared.change(
        "nodes", lambda row: row["iteration"] == 1, seconds=nan, predicted_seconds=endless, bytes=-(2**62),
        rows=-1, started=-1e300,
    )
    shared.change(
        "artifacts", lambda row: row["node"] == "count", bytes=2**62, at=-1e300, write_seconds=nan,
        recompute_seconds=endless,
    )
    shared.change("results", compute_seconds=nan, load_seconds=-endless, bytes=-5, rows=-7)


@hostile(GROUP, "metrics from the least to the greatest")
def odd_metrics(shared: Shared) -> None:
    shared.change("iterations", _newest, outputs='{"total": 1.7e308, "auc": NaN, "x": 1' + "0" * 400 + "}")
    shared.change(
        "iterations", lambda row: row["number"] == 1, outputs='{"total": -1.7e308, "auc": Infinity, "x": 1}'
    )


@hostile(GROUP, "states, kinds and events that there are none of", short=True)
def odd_words(shared: Shared) -> None:
    shared.change("iterations", lambda row: row["number"] == 1, status="exploded")
    shared.change("nodes", lambda row: row["iteration"] == 1, state="<b>", kind="rocket")
    shared.change("artifacts", lambda row: row["node"] == "count", kind="pickle", event="published")
    shared.change("results", kind="rocket")


@hostile(GROUP, "ids that are paths, and pieces of SQL", short=True)
def odd_ids(shared: Shared) -> None:
    shared.change("iterations", lambda row: row["number"] == 1, run="../../../elsewhere/x", file_digest="' OR 1=1 --")
    shared.change("nodes", lambda row: row["iteration"] == 1, run="../../../elsewhere/x", signature="' OR 1=1 --")
    shared.change(
        "artifacts", lambda row: row["node"] == "rows", signature="../" * 20, attempt="../../../elsewhere",
    )
    shared.change("results", signature="' OR 1=1 --", declared="../x")


@hostile(GROUP, "the greatest number that there is as an iteration's", short=True)
def greatest_number(shared: Shared) -> None:
    shared.rewrite("iterations", lambda rows: [*rows, {**rows[-1], "number": 2**63 - 1, "run": "9" * 32}])


@hostile(GROUP, "numbers below one, and one that is missing")
def least_number(shared: Shared) -> None:
    shared.rewrite("iterations", lambda rows: [
        *rows, {**rows[-1], "number": -(2**63), "run": "9" * 32}, {**rows[-1], "number": None, "run": "8" * 32},
        {**rows[-1], "number": 0, "run": "7" * 32}, {**rows[-1], "workflow": None, "run": "6" * 32},
        {**rows[-1], "run": None},
    ])


@hostile(GROUP, "a text of a hundred million letters", short=True)
def long_text(shared: Shared) -> None:
    row = {**shared.rows("iterations")[-1], "message": "all work and no play " * 5_000_000, "run": "7" * 32}
    write_rows(shared.next_file(), [("iterations", row)])


@hostile(GROUP, "a text of a million letters in a hundred and fifty rows")
def repeated_text(shared: Shared) -> None:
    text = "all work and no play " * 50_000
    shared.rewrite("iterations", lambda rows: [
        *rows, *({**rows[-1], "message": text, "number": n, "run": f"{n:032x}"} for n in range(3, 150)),
    ])


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


@hostile(GROUP, "a file's text that is not of its digest")
def file_of_another_digest(shared: Shared) -> None:
    shared.change("files", text="import os; os.system('touch canary')\n")


@hostile(GROUP, "values nested without end, of no JSON, or huge", short=True)
def odd_values(shared: Shared) -> None:
    shared.change("artifacts", lambda row: row["node"] == "total", value=DEEP)
    shared.change("artifacts", lambda row: row["node"] == "count", value="{")


@hostile(GROUP, "a value of a hundred million letters")
def long_value(shared: Shared) -> None:
    shared.change("artifacts", lambda row: row["node"] == "count", value='"' + "x" * 100_000_000 + '"')


@hostile(GROUP, "a schema that carries a class, and one nested without end", short=True)
def odd_schemas(shared: Shared) -> None:
    trap = {"type": "udt", "pyClass": "catalog.trap.Trap", "serializedClass": "gASV", "sqlType": "long"}
    field = {"name": "a", "type": trap, "nullable": True, "metadata": {}}
    schema = json.dumps({"type": "struct", "fields": [field]})
    shared.change("artifacts", lambda row: row["node"] == "rows", schema=schema)
    shared.change("artifacts", lambda row: row["node"] == "doubled", schema='{"fields":' + DEEP + "}")


@hostile(GROUP, "wishes of no sense, of people without a name")
def odd_lists(shared: Shared) -> None:
    shared.change("artifacts", lambda row: row["kind"] == "table", insisted_by=["", "\x1b[2J", "a"] * 1000)


@hostile(GROUP, "fields of another type", usable=False, short=True)
def other_types(shared: Shared) -> None:
    shared.rewrite(
        "iterations", lambda rows: [{**row, "number": str(row["number"]), "outputs": {"a": 1}} for row in rows]
    )


@hostile(GROUP, "lists in the place of texts, texts in that of seconds", usable=False)
def other_texts(shared: Shared) -> None:
    shared.change("nodes", reason=["x", 7], seconds="long", stored=7, inputs="rows")


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
    from helix_spark.identity.parts import digest

    running = shared.catalog / "records" / "running"
    running.mkdir(exist_ok=True)
    node = {"name": 7, "kind": [], "inputs": [1, None], "state": {}, "reason": ESCAPES, "predicted_seconds": "long",
            "output": None}
    for number, text in (
        (3, json.dumps({"workflow": "job", "number": 3, "nodes": [node, node], "started": {"7": "x"}, "ended": [1],
                        "answered": "yes", "stored": [[1]]})), (4, DEEP),
    ):
        (running / f"{digest('job')[:32]}-{number}.json").write_text(text)
        _add_running(shared, number)


def _add_running(shared: Shared, number: int) -> None:
    run = f"{number:032x}"
    shared.rewrite("iterations", lambda rows: [
        *rows, {**rows[-1], "number": number, "run": run, "status": "running", "seconds": None},
    ])
    (shared.catalog / "leases" / run).write_text(json.dumps(
        {"host": ESCAPES, "machine": "elsewhere", "pid": 2**70, "started": "x", "expected": "long"}
    ))


@hostile(GROUP, "notes of a run that are a pipe, a lease that has no end")
def progress_is_a_pipe(shared: Shared) -> None:
    from helix_spark.identity.parts import digest

    running = shared.catalog / "records" / "running"
    running.mkdir(exist_ok=True)
    os.mkfifo(running / f"{digest('job')[:32]}-3.json")
    _add_running(shared, 3)
    (shared.catalog / "leases" / ("a" * 64)).symlink_to("/dev/zero")
    os.mkfifo(shared.catalog / "leases" / ("b" * 64))


@fault("a shared catalog with hostile records", "nothing executed, written outside, hung, obeyed or raised",
       short=0, full=99)
def hostile_records(folder: LocalPath, count: int, tally: Tally) -> None:
    try_all(folder, GROUP, count, tally)
