"""What a run reads changes under it: sources of Spark's and files of `depends_on`, at several moments, with the same
bytes back at the end of the run or not; and Delta tables of which two copies went apart."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd
from pyspark.sql import DataFrame, Row

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.failpoints import watched
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from tests.fakes.policy import loading
from tests.faults import spark_job
from tests.faults.job import Heard
from tests.faults.row import Tally, fault

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import SparkSession

VOID = "said; nothing made of it is found again; the runs after it are right, and reuse"
FIRST, OTHER = tuple(range(1, 100)), tuple(range(301, 400))
"""What the files hold, as lines; written in place, the one is as long as the other where each number has three digits.
"""


def _text(numbers: tuple[int, ...]) -> str:
    return "".join(f"{number:03}\n" for number in numbers)


@dataclass(frozen=True)
class Way:
    """A way in which what is read changes.

    Attributes:
        change, undo: given the file that is read, and a place beside its folder. Undone, its bytes are what they were.
    """

    name: str
    change: Callable[[Path, Path], object]
    undo: Callable[[Path, Path], object]


def _keeping_times(change: Callable[[Path, Path], object]) -> Callable[[Path, Path], None]:
    def changed(file: Path, aside: Path) -> None:
        before = file.stat()
        change(file, aside)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    return changed


def _write(numbers: tuple[int, ...]) -> Callable[[Path, Path], object]:
    return lambda file, _: file.write_text(_text(numbers))


def _append(file: Path, _: Path) -> None:
    with file.open("a") as stream:
        stream.write(_text(OTHER))


def _cut(file: Path, _: Path) -> None:
    os.truncate(file, len(_text(FIRST)))


def _replace(file: Path, aside: Path) -> None:
    aside.mkdir(exist_ok=True)
    file.rename(aside / "first")
    (aside / "other").write_text(_text(OTHER))
    (aside / "other").rename(file)


def _put_back(file: Path, aside: Path) -> None:
    (aside / "first").rename(file)


def _swap_folder(file: Path, aside: Path) -> None:
    file.parent.rename(aside)
    file.parent.mkdir()
    file.write_text(_text(OTHER))


def _swap_folder_back(file: Path, aside: Path) -> None:
    shutil.rmtree(file.parent)
    aside.rename(file.parent)


def _turn(to: str) -> Callable[[Path, Path], object]:
    """Turns the link that the file is at once, as a release is put in place."""

    def turned(file: Path, aside: Path) -> None:
        aside.mkdir(exist_ok=True)
        link = file.with_name(".turning")
        link.symlink_to(aside / to)
        link.rename(file)

    return turned


WAYS = (
    Way("rewritten in place", _write(OTHER), _write(FIRST)),
    Way("rewritten in place, its times put back", _keeping_times(_write(OTHER)), _keeping_times(_write(FIRST))),
    Way("appended to", _append, _cut),
    Way("replaced by a rename", _replace, _put_back),
    Way("a link that is turned", _turn("other"), _turn("first")),
    Way("in a folder that is another", _swap_folder, _swap_folder_back),
)


def _laid_out(folder: Path, way: Way) -> tuple[Path, Path]:
    """The file that is read, and the place beside it."""
    file, aside = folder / "data" / "n.csv", folder / "aside"
    file.parent.mkdir(parents=True)
    file.write_text(_text(FIRST))
    if "link" in way.name:
        aside.mkdir()
        file.rename(aside / "first")
        (aside / "other").write_text(_text(OTHER))
        file.symlink_to(aside / "first")
    return file, aside


class Editor(Heard):
    """Changes a file when one node begins, and puts it back when another one does, or when the answer is there."""

    def __init__(self, way: Way, file: Path, aside: Path, begin: str, end: str | None) -> None:
        super().__init__()
        self._way, self._file, self._aside, self._begin, self._end = way, file, aside, begin, end
        self.changed = self.undone = False
        self.stores = ""

    def planned(self, plan: Plan) -> None:
        self.at("planned")

    def node_started(self, name: str) -> None:
        self.at(name)

    def answered(self, seconds: float) -> None:
        self.at("answered")

    def storing(self, name: str) -> None:
        self.stores = name

    def at(self, moment: str) -> None:
        """A moment of the run has come."""
        if moment == self._begin and not self.changed:
            self._way.change(self._file, self._aside)
            self.changed = True
        elif moment == self._end and self.changed and not self.undone:
            self._way.undo(self._file, self._aside)
            self.undone = True

    def finish(self) -> None:
        """Puts the file back, if it is not yet."""
        if self.changed and not self.undone:
            self._way.undo(self._file, self._aside)
            self.undone = True


Made = Callable[[Path, int], hx.Workflow]
"""A workflow that reads a file; the number is the author's edit of its last nodes."""


def _declaring(file: Path, edit: int) -> hx.Workflow:
    """data -> first -> second -> total: two functions that read a file which they declare."""
    wf = hx.Workflow("declaring")
    wf.source("data", hx.table(pd.DataFrame({"n": [1]})))

    @wf.scanner(depends_on=[file])
    def first(data: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"n": [int(line) for line in file.read_text().split()]})

    @wf.scanner(depends_on=[file])
    def second(first: pd.DataFrame) -> pd.DataFrame:
        return first.assign(m=sum(int(line) for line in file.read_text().split()))

    @wf.reducer(output=True)
    def total(second: pd.DataFrame) -> int:
        return int(second.n.sum()) + int(second.m.max()) + edit

    return wf


def _only(row: Row | None) -> int:
    """The number of a table of one row and one column."""
    assert row is not None
    return int(row[0])


def _sourcing(file: Path, edit: int) -> hx.Workflow:
    """data -> first -> second -> total: two functions that read a source of Spark's, one after the other."""
    wf = hx.Workflow("sourcing")
    wf.source("data", hx.csv(file, "n long"))

    @wf.reducer
    def first(data: DataFrame) -> int:
        return _only(data.selectExpr("sum(n)").first())

    @wf.reducer
    def second(data: DataFrame, first: int) -> int:
        return _only(data.where("n > 0").selectExpr("sum(n)").first())

    @wf.reducer(output=True)
    def total(first: int, second: int) -> int:
        return first + second + edit

    return wf


def _right(edit: int) -> dict[str, int]:
    return {"total": 2 * sum(FIRST) + edit}


Moments = tuple[str, str | None]
"""When the file changes, and when it is put back; None: not while the run lasts."""

DECLARED: tuple[Moments, ...] = (
    ("first", "second"), ("second", "total"), ("first", "answered"), ("planned", "first"), ("first", None),
)
SOURCED: tuple[Moments, ...] = (
    ("planned", "first"), ("data", "first"), ("data", "second"), ("data", "answered"), ("data", None),
)
"""Of `data` the rows are read when it begins: once for all, as several nodes read it."""


def _runs(
    folder: Path, way: Way, moments: Moments, made: Made, spark: SparkSession | None
) -> Iterator[str]:
    """What went wrong with runs of which the first one has what it reads change under it."""
    file, aside = _laid_out(folder, way)
    policy, catalog = loading("always"), folder / "catalog"
    editor = Editor(way, file, aside, *moments)
    with hx.Helix(catalog, policy=policy, observer=editor, spark=spark) as helix:
        outputs = dict(helix.run(made(file, 0)).outputs)
        helix.wait()
        editor.finish()
        if not editor.changed:
            yield "nothing was changed"
        if outputs != _right(0) and not editor.warnings:
            yield f"it answered {outputs} without a word"
        if (again := dict(helix.run(made(file, 1)).outputs)) != _right(1):
            yield f"the next run answered {again}"
    with hx.Helix(catalog, policy=policy, observer=Heard(), spark=spark) as helix:
        if (later := dict(helix.run(made(file, 2)).outputs)) != _right(2):
            yield f"a later session answered {later}"
        helix.wait()
        if State.COMPUTE in {helix.plan(made(file, 2))[name].state for name in ("first", "second", "total")}:
            yield "nothing is ever reused"
    if not Catalog.open(catalog, create=False).live():
        yield "nothing is stored in the end"


def _all(
    folder: Path, count: int, tally: Tally, made: Made, when: tuple[Moments, ...], spark: SparkSession | None = None
) -> None:
    chosen = [(way, moments) for moments in when for way in WAYS]
    for number in tally.rounds(count):
        way, moments = chosen[(number - 1) % len(chosen)]
        wrong = list(_runs(folder / str(number), way, moments, made, spark))
        until = f"until {moments[1]}" if moments[1] else "and stays so"
        tally.expect(not wrong, f"{way.name}, from {moments[0]} on, {until}: {'; '.join(wrong)}")


@fault("a file of depends_on that changes during a run", VOID, short=len(WAYS), full=len(WAYS) * len(DECLARED))
def declared_file(folder: Path, count: int, tally: Tally) -> None:
    _all(folder, count, tally, _declaring, DECLARED)


@fault("a source that changes during a run", VOID, short=0, full=len(WAYS) * len(SOURCED), spark=True)
def source_file(folder: Path, count: int, tally: Tally) -> None:
    from helix_spark.engine.server.session import Sessions

    with Sessions(settings=spark_job.SETTINGS) as sessions:
        _all(folder, count, tally, _sourcing, SOURCED, sessions.get())


def _written_again(file: Path, edit: int) -> hx.Workflow:
    """data -> rows -> total, where Spark reads the file once more to write the rows."""
    wf = hx.Workflow("written")
    wf.source("data", hx.csv(file, "n long"))

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return data.where("n > 0")

    @wf.reducer(output=True)
    def total(rows: DataFrame) -> int:
        return _only(rows.selectExpr("sum(n)").first()) + edit

    return wf


@fault("a source that changes while a table is written behind the answer", "not stored; the runs after it are right",
       short=0, full=2 * len(WAYS), spark=True)
def written_source(folder: Path, count: int, tally: Tally) -> None:
    from helix_spark.engine.server.session import Sessions

    with Sessions(settings=spark_job.SETTINGS) as sessions:
        for index in range(count):
            way, undone = WAYS[index % len(WAYS)], index < len(WAYS)
            wrong = _written_while_it_changes(folder / str(index), way, undone=undone, spark=sessions.get())
            tally.expect(not wrong, f"{way.name}, {'put back' if undone else 'for good'}: {wrong}")


def _written_while_it_changes(folder: Path, way: Way, *, undone: bool, spark: SparkSession) -> str:
    file, aside = _laid_out(folder, way)
    policy, catalog = loading("always"), folder / "catalog"
    editor = Editor(way, file, aside, "store.begun", "store.written" if undone else None)

    def told(point: str) -> None:
        if editor.stores == "rows":
            editor.at(point)

    right = sum(FIRST)
    with hx.Helix(catalog, policy=policy, observer=editor, spark=spark) as helix, watched(told):
        first = helix.run(_written_again(file, 0))["total"]
        helix.wait()
    editor.finish()
    with hx.Helix(catalog, policy=policy, observer=Heard(), spark=spark) as helix:
        again = helix.run(_written_again(file, 1))["total"]
    if not editor.changed:
        return "nothing was changed"
    return "" if (first, again) == (right, right + 1) else f"{first}, then {again}"


APART: tuple[tuple[str, Callable[[Path, int], object]], ...] = (
    ("append other rows", lambda table, number: _deltas(table, "append", [number * 1000])),
    ("overwrite it by other rows", lambda table, number: _deltas(table, "overwrite", [number * 1000, number])),
    ("delete other rows", lambda table, number: _delta_table(table).delete(f"n = {number}")),
    ("update a row", lambda table, number: _delta_table(table).update({"n": f"n + {number}"}, predicate="n = 1")),
)
"""What is done to each of two copies of a Delta table, in as many commits: given the copy and its number."""


def _deltas(table: Path, mode: Literal["append", "overwrite"], numbers: list[int]) -> None:
    import pyarrow as pa
    from deltalake import write_deltalake

    write_deltalake(str(table), pa.table({"n": pa.array(numbers, pa.int64())}), mode=mode)


def _delta_table(table: Path) -> DeltaTable:
    from deltalake import DeltaTable

    return DeltaTable(str(table))


def _copies(folder: Path, apart: Callable[[Path, int], object]) -> tuple[Path, Path]:
    one, two = folder / "one", folder / "two"
    _deltas(one, "append", [*range(10)])
    shutil.copytree(one, two)
    for number, table in enumerate((one, two), 1):
        apart(table, number)
    return one, two


def _sum_of(table: Path, edit: int = 0) -> hx.Workflow:
    """data -> doubled -> total, over a Delta table."""
    wf = hx.Workflow("copies")
    wf.source("data", hx.delta(table))

    @wf.scanner
    def doubled(data: DataFrame) -> DataFrame:
        return data.selectExpr("n * 2 as n")

    @wf.reducer(output=True)
    def total(doubled: DataFrame) -> int:
        return _only(doubled.selectExpr("sum(n)").first()) + edit

    return wf


def _held_by(table: Path) -> int:
    numbers: list[int] = _delta_table(table).to_pyarrow_table()["n"].to_pylist()
    return 2 * sum(numbers)


@fault("two copies of a Delta table that went apart, read one after the other", "each gives its own answer",
       short=0, full=4 * len(APART), spark=True)
def copies_apart(folder: Path, count: int, tally: Tally) -> None:
    from helix_spark.engine.server.session import Sessions

    with Sessions(settings=spark_job.SETTINGS) as sessions:
        for index in range(count):
            what, apart = APART[index % len(APART)]
            in_place, policy = index // len(APART) % 2 == 1, "always" if index // len(APART) < 2 else "never"
            where = "in the place of the first" if in_place else "beside"
            one, two = _copies(folder / str(index), apart)
            right, wrong = (_held_by(one), _held_by(two)), ""
            with hx.Helix(
                folder / str(index) / "catalog", policy=loading(policy), observer=Heard(),
                spark=sessions.get(),
            ) as helix:
                first = helix.run(_sum_of(one))["total"]
                helix.wait()
                if in_place:
                    one.rename(one.with_name("before"))
                    two.rename(one)
                second = helix.run(_sum_of(one if in_place else two))["total"]
                if (first, second) != right:
                    wrong = f"{first} and {second} for {right}"
            tally.expect(not wrong, f"{what}, {where}, {policy}: {wrong}")
