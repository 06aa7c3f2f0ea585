"""A workflow of three nodes that takes no Spark; `weight` is what an author edits."""

from __future__ import annotations

import pandas as pd

import helix_spark as hx


def workflow(weight: int = 1) -> hx.Workflow:
    wf = hx.Workflow("shared")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    @wf.scanner
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return data * 2

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> int:
        return int(rows.a.sum()) * weight

    return wf
