"""What the author's Python reads while it runs counts from then on; what it asks the clock or others is chance."""

from __future__ import annotations

import configparser
import contextlib
import ctypes
import glob
import gzip
import importlib
import json
import os
import pickle
import pkgutil
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import date, datetime, timezone
from functools import partial
from importlib import metadata, resources
from pathlib import Path
from textwrap import dedent
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

import helix_spark as hx
from helix_spark.hermetic.action import Action, in_action
from helix_spark.hermetic.observed_inputs import ObservedInputs, observed_from_json
from helix_spark.hermetic.watch import Wrapped
from helix_spark.planner.problem import State

ROWS = pd.DataFrame({"a": [1.0, 2.0]})


def watched(call: Callable[[], Any]) -> ObservedInputs:
    action = Action("a")
    with in_action(action):
        call()
    return action.observed_inputs()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("one two")
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    np.save(tmp_path / "array.npy", np.arange(3))
    pq.write_table(pa.table({"a": [1]}), tmp_path / "rows.parquet")
    with sqlite3.connect(tmp_path / "base.db") as base:
        base.execute("CREATE TABLE t (a)")
    (tmp_path / "words.gz").write_bytes(gzip.compress(b"one"))
    (tmp_path / "tree.xml").write_text("<a/>")
    (tmp_path / "a.ini").write_text("[a]\n")
    (tmp_path / "resource_package").mkdir()
    (tmp_path / "resource_package" / "__init__.py").write_text("")
    (tmp_path / "resource_package" / "a.txt").write_text("one")
    monkeypatch.syspath_prepend(str(tmp_path))
    write_deltalake("delta", pa.table({"a": [1]}))
    return tmp_path


READS: dict[str, tuple[Callable[[], Any], str]] = {
    "open": (lambda: open("words.txt").read(), "words.txt"),  # noqa: PTH123, SIM115
    "a path": (lambda: Path("words.txt").read_text(), "words.txt"),
    "a descriptor": (lambda: os.close(os.open("words.txt", os.O_RDONLY)), "words.txt"),
    "pandas": (lambda: pd.read_csv("rows.csv"), "rows.csv"),
    "parquet by pandas": (lambda: pd.read_parquet("rows.parquet"), "rows.parquet"),
    "parquet": (lambda: pq.read_table("rows.parquet"), "rows.parquet"),
    "numpy": (lambda: np.load("array.npy"), "array.npy"),
    "sqlite": (lambda: sqlite3.connect("base.db").execute("SELECT * FROM t").fetchall(), "base.db"),
    "what is not there": (lambda: _tried("no.txt"), "no.txt"),
    "compressed": (lambda: gzip.open("words.gz").read(), "words.gz"),  # noqa: SIM115
    "XML": (lambda: ElementTree.parse("tree.xml"), "tree.xml"),
    "whether it is there": (lambda: os.path.exists("words.txt"), "words.txt"),  # noqa: PTH110
    "its times": (lambda: Path("words.txt").stat().st_mtime, "words.txt"),
    "a configuration": (lambda: configparser.ConfigParser().read("a.ini"), "a.ini"),
    "a resource": (lambda: resources.files("resource_package").joinpath("a.txt").read_text(), "resource_package/a.txt"),
    "a reader that is held": (lambda: partial(pd.read_csv, sep=",")("rows.csv"), "rows.csv"),
    "a Delta table": (lambda: DeltaTable("delta").version(), "delta/_delta_log/00000000000000000000.json"),
}


def _tried(path: str) -> None:
    with pytest.raises(FileNotFoundError):
        Path(path).read_text()


@pytest.mark.parametrize(("call", "file"), READS.values(), ids=READS)
def test_a_file_that_is_read_is_seen(folder: Path, call: Callable[[], Any], file: str) -> None:
    seen = watched(call)
    assert str(folder / file) in seen.files
    assert seen.chance == seen.outside == ()
    assert observed_from_json(seen.to_json()) == seen


CHANCE: dict[str, tuple[Callable[[], Any], str]] = {
    "the clock": (lambda: time.time(), "asks the clock, time.time"),
    "a timer": (lambda: time.perf_counter_ns(), "asks the clock, time.perf_counter_ns"),
    "the day": (date.today, "asks the clock"),
    "today's moment": (datetime.today, "asks the clock"),
    "the moment in Greenwich": (lambda: datetime.utcnow(), "asks the clock, datetime.utcnow"),
    "the moment": (lambda: datetime.now(), "asks the clock, datetime.now"),
    "the moment elsewhere": (lambda: datetime.now(timezone.utc), "asks the clock, datetime.now"),
    "the machine": (lambda: Path("/proc/loadavg").read_text(), "the state of the machine, /proc/loadavg"),
    "the system's entropy": (lambda: os.close(os.open("/dev/urandom", os.O_RDONLY)), "reads /dev/urandom"),
    "the name of the machine": (socket.gethostname, "the name of the machine"),
}


@pytest.mark.parametrize(("call", "words"), CHANCE.values(), ids=CHANCE)
def test_what_differs_each_time_is_seen(call: Callable[[], Any], words: str) -> None:
    def function() -> None:
        call()

    (why,) = watched(function).chance
    assert words in why
    assert "(test_watched.py:" in why


def _connect() -> None:
    with socket.socket() as asking, pytest.raises(OSError, match="refused"):
        asking.connect(("127.0.0.1", 9))


OTHERS: dict[str, tuple[Callable[[], Any], str]] = {
    "the network": (_connect, "asks the network (('127.0.0.1', 9))"),
    "a process": (lambda: subprocess.run(["true"], check=True), "starts another process"),
    "a shell": (lambda: os.system("true"), "starts another process"),
}


@pytest.mark.parametrize(("call", "words"), OTHERS.values(), ids=OTHERS)
def test_what_is_asked_of_others_is_seen(call: Callable[[], Any], words: str) -> None:
    seen = watched(call)
    assert words in seen.outside[0]
    assert "(test_watched.py:" in seen.outside[0]


def test_folders_and_variables_are_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAST", "3")
    seen = watched(lambda: (list(Path(folder).iterdir()), os.environ["LEAST"], os.environ.get("MOST")))
    assert seen.places == (str(folder),)
    assert seen.environment.keys() == {"LEAST", "MOST"}
    monkeypatch.setenv("LEAST", "4")
    assert not seen.now().agrees(seen)
    monkeypatch.setenv("LEAST", "3")
    assert seen.now().agrees(seen)


VARIABLES: dict[str, tuple[Callable[[], Any], str]] = {
    "names by a prefix": (lambda: [name for name in os.environ if name.startswith("STEP_")], "STEP_ONE"),
    "the folder for temporary files": (lambda: tempfile.gettempdir(), "TMPDIR"),
    "a variable that Python's library asks for": (shutil.get_terminal_size, "COLUMNS"),
}


@pytest.mark.parametrize("what", VARIABLES)
def test_variables_that_are_asked_for_indirectly_count(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    call, variable = VARIABLES[what]
    seen = watched(call)
    assert not seen.chance
    assert seen.now() == seen == observed_from_json(seen.to_json())
    monkeypatch.setenv("HELIX_OF_ITS_OWN", "1")
    assert seen.now() == seen
    monkeypatch.setenv(variable, "41")
    assert seen.now() != seen


def test_names_that_the_code_has_set_itself_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def call() -> None:
        os.environ["STEP_TWO"] = "2"
        list(os.environ)

    seen = watched(call)
    monkeypatch.delenv("STEP_TWO")
    assert seen.now() == seen


def _describe(site: Path, name: str, points: str = "", version: str = "1.0") -> None:
    folder = site / f"{name}-1.0.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "entry_points.txt").write_text(points)


def _tried_version(name: str) -> None:
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.version(name)


INSTALLED: dict[str, tuple[Callable[[], Any], Callable[[Path], None], Callable[[Path], None]]] = {
    "a version": (
        lambda: metadata.version("steps"), lambda site: _describe(site, "more", version="1.1"),
        lambda site: _describe(site, "steps", version="1.1"),
    ),
    "whether a package is installed": (
        lambda: _tried_version("absent"),
        lambda site: _describe(site, "steps", version="1.1"), lambda site: _describe(site, "absent"),
    ),
    "entry points": (
        lambda: metadata.entry_points(group="steps"), lambda site: _describe(site, "more", "[others]\na = b:c\n"),
        lambda site: _describe(site, "more", "[steps]\na = b:c\n"),
    ),
    "all packages": (
        lambda: list(metadata.distributions()), lambda site: None, lambda site: _describe(site, "more"),
    ),
}


@pytest.mark.parametrize("what", INSTALLED)
def test_what_is_said_of_installed_packages_counts(folder: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    site = folder / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    _describe(site, "steps")
    call, other, change = INSTALLED[what]
    seen = watched(call)
    assert not seen.chance
    assert not [file for file in seen.files if "-info" in file]
    assert seen.now() == seen == observed_from_json(seen.to_json())
    for alter, counts in ((other, False), (change, True)):
        alter(site)
        importlib.invalidate_caches()
        assert (seen.now() != seen) is counts


def test_what_a_library_reads_as_a_function_imports_it_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = folder / "site-packages"
    site.mkdir()
    lines = "open('words.txt').read()", "os.environ.get('LATE_DEPTH')", "list(os.environ.items())"
    (site / "late_steps.py").write_text("\n".join(["import os", *lines]))
    monkeypatch.syspath_prepend(str(site))
    seen = watched(lambda: importlib.import_module("late_steps"))
    assert (list(seen.files), list(seen.environment)) == ([str(folder / "words.txt")], ["LATE_DEPTH"])
    monkeypatch.delitem(sys.modules, "late_steps")


def _in_a_thread() -> None:
    thread = threading.Thread(target=lambda: Path("words.txt").read_text())
    thread.start()
    thread.join()


def _touch(folder: Path) -> None:
    os.utime(folder / "words.txt", ns=(1, 1))


def _retarget(folder: Path) -> None:
    (folder / "link").unlink()
    (folder / "link").symlink_to("rows.csv")


def _kept() -> Any:
    status = os.stat("words.txt")  # noqa: PTH116
    return status.st_mtime


PATTERNS: dict[str, Callable[[], Any]] = {
    "of a path": lambda: list(Path().glob("*.csv")), "of glob": lambda: glob.glob("*.csv"),  # noqa: PTH207
    "of glob, from a folder": lambda: glob.glob(f"{os.getcwd()}/r*.csv"),  # noqa: PTH109, PTH207
}


@pytest.mark.parametrize("what", PATTERNS)
def test_only_names_that_a_pattern_has_count(folder: Path, what: str) -> None:
    seen = watched(PATTERNS[what])
    (folder / "README.md").write_text("not a table")
    assert seen.now() == seen == observed_from_json(seen.to_json())
    (folder / "rows2.csv").write_text("a")
    assert seen.now() != seen


@pytest.mark.parametrize("call", [lambda: list(Path().rglob("*.csv")), lambda: list(Path().glob("**/*.csv"))])
def test_new_folders_count_for_patterns_that_go_into_them(folder: Path, call: Callable[[], Any]) -> None:
    seen = watched(call)
    (folder / "more").mkdir()
    (folder / "more" / "rows.csv").write_text("a")
    assert seen.now() != seen


def _sizes() -> Any:
    with os.scandir(".") as entries:
        return [entry.stat().st_mtime for entry in entries]


TOLD: dict[str, tuple[Callable[[], Any], Callable[[Path], Any]]] = {
    "the time of change": (lambda: os.path.getmtime("words.txt"), _touch),  # noqa: PTH204
    "the time, of a path": (lambda: Path("words.txt").stat().st_mtime_ns, _touch),
    "the time, of a status that is kept": (_kept, _touch),
    "the permissions": (lambda: Path("words.txt").stat().st_mode, lambda folder: (folder / "words.txt").chmod(0o600)),
    "access": (lambda: os.access("words.txt", os.X_OK), lambda folder: (folder / "words.txt").chmod(0o755)),
    "whether it is there, as glob looks": (
        lambda: glob.glob("*/new.txt"), lambda folder: (folder / "delta" / "new.txt").write_text(""),  # noqa: PTH207
    ),
    "a program in a folder": (
        lambda: shutil.which("tool", path="."),
        lambda folder: ((folder / "tool").touch(), (folder / "tool").chmod(0o755)),
    ),
    "where a link leads": (lambda: os.readlink("link"), _retarget),  # noqa: PTH115
    "the real path": (lambda: Path("link").resolve(), _retarget),
    "what entries say": (_sizes, _touch),
    "the working folder": (Path.cwd, lambda folder: os.chdir(folder.parent)),
    "a file from there": (lambda: Path("words.txt").read_text(), lambda folder: os.chdir(folder.parent)),
    "its size": (
        lambda: Path("words.txt").stat().st_size, lambda folder: (folder / "words.txt").write_text("one two three"),
    ),
}


@pytest.mark.parametrize("what", TOLD)
def test_what_the_system_says_of_a_file_counts(folder: Path, what: str) -> None:
    (folder / "link").symlink_to("words.txt")
    call, change = TOLD[what]
    seen = watched(call)
    assert not seen.chance
    assert seen.now() == seen == observed_from_json(seen.to_json())
    change(folder)
    assert seen.now() != seen


UNTOLD: dict[str, Callable[[], Any]] = {
    "that it is there": lambda: Path("words.txt").exists(), "that it is a file": lambda: Path("words.txt").is_file(),
    "its size": lambda: os.path.getsize("words.txt"),  # noqa: PTH202
    "its content": lambda: Path("words.txt").read_text(), "names": lambda: os.listdir(),  # noqa: PTH208
    "a walk": lambda: list(os.walk(".")), "a pattern": lambda: list(Path().glob("*.txt")),
    "a file by pandas": lambda: pd.read_csv("rows.csv"),
}


@pytest.mark.parametrize("what", UNTOLD)
def test_the_time_of_change_counts_only_where_it_is_asked(folder: Path, what: str) -> None:
    seen = watched(UNTOLD[what])
    _touch(folder)
    (folder / "words.txt").chmod(0o600)
    assert seen.now() == seen


def test_data_in_an_installed_package_count_and_its_code_does_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = folder / "site-packages" / "fetching"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "words.txt").write_text("one")
    monkeypatch.syspath_prepend(str(package.parent))
    seen = watched(lambda: (pkgutil.get_data("fetching", "words.txt"), (package / "__init__.py").read_text()))
    assert list(seen.files) == [str(package / "words.txt")]


def test_what_a_thread_of_the_function_reads_is_seen(folder: Path) -> None:
    assert str(folder / "words.txt") in watched(_in_a_thread).files


def _scratch() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "a.txt").write_text("a")
        Path(scratch, "a.txt").read_text()


HARMLESS: dict[str, Callable[[], Any]] = {
    "nothing": lambda: ROWS.a.sum(), "an import": lambda: __import__("xml.dom.minidom"),
    "its own file": _scratch, "JSON": lambda: json.loads("[1]"), "groups": lambda: ROWS.groupby("a").sum(),
    "a message": lambda: __import__("logging").getLogger("x").warning("a"),
}


@pytest.mark.parametrize("call", HARMLESS.values(), ids=HARMLESS)
def test_what_is_harmless_is_not(call: Callable[[], Any]) -> None:
    seen = watched(call)
    assert not seen.reads
    assert seen.chance == seen.outside == ()


def test_all_is_put_back() -> None:
    before = time.time, type(os.environ).__getitem__, pq.read_table
    watched(time.time)
    assert (time.time, type(os.environ).__getitem__, pq.read_table) == before


def test_what_intercepts_is_put_in_place_once_for_all_functions_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[Wrapped] = []
    install = Wrapped.install
    monkeypatch.setattr(Wrapped, "install", lambda self: (installed.append(self), install(self)))
    wf = hx.Workflow("many")
    wf.source("rows", hx.table(ROWS))
    for number in range(5):

        def total(rows: pd.DataFrame, number: int = number) -> float:
            return float(rows.a.sum() + number + 0 * time.time())

        wf.reducer(name=f"total{number}", output=True)(total)
    before = time.time
    with hx.Helix(tmp_path / "catalog") as helix:
        done = helix.run(wf)
        assert len(installed) == 1
        assert time.time is before
        done.wait()
        again = helix.run(wf)
    assert set(again.plan.in_state(State.COMPUTE)) >= {f"total{number}" for number in range(5)}
    assert done["total4"] == 7.0


def test_a_file_that_changes_while_it_is_read_is_chance(folder: Path) -> None:
    def read() -> None:
        Path("words.txt").read_text()
        os.utime("words.txt", ns=(1, 1))

    (why,) = watched(read).chance
    assert "was written to while it ran" in why


def counting(**wishes: Any) -> hx.Workflow:
    wf = hx.Workflow("counting")
    wf.source("data", hx.table(ROWS))

    @wf.reducer(keep="always", **wishes)
    def words(data: pd.DataFrame) -> int:
        return len(Path("words.txt").read_text().split())

    @wf.reducer(output=True)
    def doubled(words: int) -> int:
        return 2 * words

    return wf


def run(folder: Path, workflow: hx.Workflow) -> Any:
    """As a process of its own."""
    with hx.Helix(folder / "catalog") as helix:
        return helix.run(workflow)


def test_a_file_counts_by_its_content_from_then_on(folder: Path) -> None:
    first, again = run(folder, counting()), run(folder, counting())
    assert first["doubled"] == again["doubled"] == 4
    assert again.plan["words"].state is not State.COMPUTE
    (folder / "words.txt").write_text("one two three")
    edited = run(folder, counting())
    assert edited["doubled"] == 6
    assert "file `" in edited.plan["words"].reason
    assert "words.txt" in edited.plan["words"].reason
    (folder / "words.txt").write_text("one two")
    back = run(folder, counting())
    assert back["doubled"] == 4
    assert back.plan["words"].signature == first.plan["words"].signature


def test_a_file_decides_which_other_file_is_read(folder: Path) -> None:
    def chosen() -> hx.Workflow:
        wf = hx.Workflow("chosen")
        wf.source("data", hx.table(ROWS))

        @wf.reducer(output=True, keep="always")
        def read(data: pd.DataFrame) -> str:
            which = Path("which.txt").read_text()
            return which if which == "none" else Path(which).read_text()

        return wf

    def answer(which: str, one: str) -> str:
        (folder / "which.txt").write_text(which)
        (folder / "one.txt").write_text(one)
        found: str = run(folder, chosen())["read"]
        return found

    for which, one in [("one.txt", "1"), ("none", "1"), ("one.txt", "2"), ("none", "2"), ("one.txt", "3"),
                       ("none", "3"), ("one.txt", "1"), ("one.txt", "2"), ("one.txt", "4")]:
        assert answer(which, one) == ("none" if which == "none" else one)


def test_a_text_that_tells_where_an_object_is_in_memory_is_never_reused(folder: Path) -> None:
    def told() -> hx.Workflow:
        wf = hx.Workflow("told")
        wf.source("data", hx.table(ROWS))

        @wf.reducer(output=True, keep="always")
        def texts(data: pd.DataFrame) -> list[str]:
            return [repr(object())]

        return wf

    run(folder, told())
    again = run(folder, told())
    assert again.plan["texts"].state is State.COMPUTE
    assert "address" in again.plan["texts"].reason


@pytest.mark.long
def test_what_asks_the_clock_through_a_library_is_never_reused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = folder / "site-packages" / "stamps"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("from time import time\n\ndef stamp():\n    return time()\n")
    monkeypatch.syspath_prepend(str(library.parent))
    import stamps  # type: ignore[import-not-found]  # written here

    def stamped() -> hx.Workflow:
        wf = hx.Workflow("stamped")
        wf.source("data", hx.table(ROWS))

        @wf.reducer(output=True, keep="always")
        def stamp(data: pd.DataFrame) -> float:
            return float(stamps.stamp())

        return wf

    first, again = run(folder, stamped()), run(folder, stamped())
    assert first["stamp"] != again["stamp"]
    assert "asks the clock, time.time through stamps (test_watched.py:" in again.plan["stamp"].reason
    sys.modules.pop("stamps")


@pytest.mark.long
def test_what_a_library_imports_by_its_name_is_never_reused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = folder / "site-packages" / "configured"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text(dedent("""
        import importlib
        def build(path):
            module, _, name = path.rpartition(".")
            return getattr(importlib.import_module(module), name)()
    """))
    (folder / "own_models.py").write_text("def model():\n    return 3\n")
    for place in (str(library.parent), str(folder)):
        monkeypatch.syspath_prepend(place)
    import configured  # type: ignore[import-not-found]  # written here

    def built(path: str, depends_on: list[Any] | None = None) -> Any:
        wf = hx.Workflow("built")
        wf.source("data", hx.table(ROWS))

        @wf.reducer(output=True, keep="always", depends_on=depends_on)
        def model(data: pd.DataFrame) -> int:
            return int(configured.build(path))

        run(folder, wf)
        return run(folder, wf).plan["model"].reason

    assert "imports own_models by its name through configured (test_watched.py:" in built("own_models.model")
    assert "by its name" not in built("builtins.int")
    assert "by its name" not in built("own_models.model", depends_on=[folder / "own_models.py"])
    for name in ("configured", "own_models"):
        sys.modules.pop(name)


def test_a_class_of_the_project_that_a_pickle_names_is_seen(folder: Path) -> None:
    (folder / "own_shapes.py").write_text("class Square:\n    pass\n")
    own = pickle.dumps(importlib.import_module("own_shapes").Square())
    table = pickle.dumps(ROWS)
    expected = "unpickles own_shapes.Square by its name (test_watched.py:"
    assert [why.startswith(expected) for why in watched(lambda: pickle.loads(own)).outside] == [True]
    sys.modules.pop("own_shapes")  # it is seen, too, where the pickle is what imports the module
    assert [why.startswith(expected) for why in watched(lambda: pickle.loads(own)).outside] == [True]
    assert not watched(lambda: pickle.loads(table)).outside
    sys.modules.pop("own_shapes")


def test_a_class_of_a_notebook_that_a_pickle_names_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "Shape", int, raising=False)
    assert watched(lambda: pickle.loads(b"c__main__\nShape\n.")).outside[0].startswith("unpickles __main__.Shape")


def test_files_that_are_declared_are_taken_for_all(folder: Path) -> None:
    run(folder, counting(depends_on=[len]))
    (folder / "words.txt").write_text("one two three")
    assert run(folder, counting(depends_on=[len])).plan["words"].state is not State.COMPUTE


@pytest.mark.parametrize("statement", ["attach 'base.db' as other", 'ATTACH DATABASE "base.db" AS other'])
def test_a_database_that_a_statement_attaches_counts(folder: Path, statement: str) -> None:
    def attaching() -> hx.Workflow:
        wf = hx.Workflow("attaching")
        wf.source("data", hx.table(ROWS))

        @wf.reducer(output=True, keep="always")
        def count(data: pd.DataFrame) -> int:
            with contextlib.closing(sqlite3.connect(":memory:")) as base:
                base.execute(statement)
                return int(base.execute("select count(*) from other.t").fetchone()[0])

        return wf

    first = run(folder, attaching())
    with sqlite3.connect(folder / "base.db") as base:
        base.execute("insert into t values (1)")
    assert (first["count"], run(folder, attaching())["count"]) == (0, 1)


def test_a_file_that_is_named_counts_though_nobody_sees_it_read(folder: Path) -> None:
    def reading() -> hx.Workflow:
        wf = hx.Workflow("in_c")
        wf.source("data", hx.table(ROWS))

        @wf.reducer(output=True, keep="always")
        def read(data: pd.DataFrame) -> str:
            library = ctypes.CDLL(None)
            descriptor, buffer = library.open(b"words.txt", 0), ctypes.create_string_buffer(100)
            size = library.read(descriptor, buffer, 100)
            library.close(descriptor)
            return f"{buffer.raw[:size].decode()} of {'words.txt'}"

        return wf

    first = run(folder, reading())
    (folder / "words.txt").write_text("three")
    assert first["read"] == "one two of words.txt"
    assert run(folder, reading())["read"] == "three of words.txt"
