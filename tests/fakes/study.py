"""A workflow whose author forgot to declare what it reads."""

from __future__ import annotations

HIDDEN = "HELIX_TEST_HIDDEN"

PROGRAM = f'''
import ctypes

import pandas as pd

import helix_spark as hx


def hidden() -> int:
    """What its author forgot to declare."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    return int(getenv(b"{HIDDEN}") or b"0")


def study() -> hx.Workflow:
    wf = hx.Workflow("study")
    wf.source("data", hx.table(pd.DataFrame({{"a": [3.0, 1.0, 2.0]}})))

    @wf.scanner(keep="always")
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return data * 2

    @wf.scanner(keep="always", depends_on=["all that it reads"])
    def noisy(rows: pd.DataFrame) -> pd.DataFrame:
        return rows + hidden()

    @wf.reducer(keep="always")
    def total(noisy: pd.DataFrame) -> float:
        return float(noisy.a.sum())

    @wf.reducer(keep="always", output=True)
    def answer(total: float) -> float:
        return total + 1

    @wf.reducer(keep="always", output=True)
    def count(rows: pd.DataFrame) -> int:
        return len(rows)

    return wf
'''
