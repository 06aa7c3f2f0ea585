"""Failures of the author's own code: the run fails, names the line, and keeps what was computed before."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.errors import HelixError, NodeError
from tests.faults.job import PEOPLE, Heard, run
from tests.faults.row import Tally, fault


def _workflow(kind: int) -> hx.Workflow:
    wf = hx.Workflow("author")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return data.assign(a=data.a * 2)

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> int:
        match kind:
            case 0:
                return int(rows.a.sum())
            case 1:
                raise ValueError("no such person")
            case 2:
                return 1 // (len(rows) - len(rows))
            case 3:
                return int(rows.b.sum())
            case 4:
                assert len(rows) == 0, "too many rows"
            case 5:
                raise SystemExit(3)
            case 6:
                return int(dict[str, int]()["a"])
        return object()  # type: ignore[return-value]  # what an author may return by mistake

    return wf


@fault("the author's function fails", "the run fails and names it; what was computed is kept", short=3, full=21)
def fails(folder: Path, count: int, tally: Tally) -> None:
    for index in range(count):
        catalog, kind = folder / str(index), 1 + index % 7
        try:
            run(catalog, _workflow(kind))
            what = "it was taken for well"
        except HelixError as error:
            named = kind == 7 or (isinstance(error, NodeError) and "authors.py:" in str(error))
            what = "" if named and "total" in str(error) else f"it says {error}"
        record = Catalog.open(catalog, create=False).iterations()[0]
        kept = {each.node for each in Catalog.open(catalog, create=False).live()}
        heard = Heard()
        again = run(catalog, _workflow(0), heard)
        what = what or ("" if record.status == "failed" and record.error else f"recorded as {record.status}")
        what = what or ("" if "rows" in kept else "`rows` was lost")
        what = what or ("" if again == {"total": int(PEOPLE.a.sum()) * 2} else f"then it answers {again}")
        tally.expect(not what, f"way {kind}: {what}")
