"""Which code is known to be pure, and which names are not."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

from helix_spark.identity.code import trace

LIMITS = {"least": 1}
FINISHED = threading.Event()


class Scale:
    by = 2

    def of(self, value: float) -> float:
        return value * self.by


def root(value: float) -> float:
    return math.sqrt(value) * LIMITS["least"]


def opens(data: Any) -> Any:
    with open("rows.csv") as file:  # noqa: PTH123 - what a user may write
        return file.read(), data


def gathers(data: Any) -> Any:
    return sorted({*data})


def imports(data: Any) -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit(data)


PURE: dict[str, Callable[[Any], Any]] = {
    "a table grouped": lambda data: pd.concat([data, data]).groupby("a").sum(),
    "numbers": lambda data: np.where(data.a > 3, np.log1p(data.b), 0).mean(),
    "the project's functions and classes": lambda data: Scale().of(root(data)),
    "a constant set": lambda data: [one for one in data if one in {"a", "b"}],
    "Spark's functions": lambda data: data.where(F.col("a") > 2),
}
DOUBTFUL: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a file": (opens, "builtins.open"),
    "a file by pandas": (lambda data: pd.read_csv("rows.csv"), "pandas.read_csv"),
    "draws": (lambda data: np.random.rand(), "numpy.random.rand"),
    "a set's order": (gathers, "a set that `gathers` makes"),
    "another library": (imports, "sklearn.linear_model.LinearRegression"),
    "an object of a class that may do anything": (lambda data: (data, FINISHED), "threading.Event"),
    "the module's name": (lambda data: __name__, "__name__"),
    "a builtin's own method": (lambda data: getattr.__call__(pd, data)("rows.csv"), "builtins.getattr.__call__"),
    "an attribute by its name": (lambda data: getattr(pd, data)("rows.csv"), "builtins.getattr"),
}


@pytest.mark.parametrize("what", PURE)
def test_code_is_known_to_be_pure(what: str) -> None:
    assert not trace(PURE[what], node="node").doubtful


@pytest.mark.parametrize("what", DOUBTFUL)
def test_code_is_not_known_to_be_pure(what: str) -> None:
    function, name = DOUBTFUL[what]
    assert name in trace(function, node="node").doubtful
