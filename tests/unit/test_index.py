"""The index of a pandas DataFrame that a function returns: a table has none, so what it tells becomes columns."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from helix_spark.dag.node import Node
from helix_spark.engine.lowering.node_functions import checked, with_index
from helix_spark.engine.results.node_results import TableResult
from helix_spark.errors import Location, ResultTypeError
from helix_spark.workflow.operators import Form, Function, Kind, Result

PEOPLE = pd.DataFrame({
    "sex": ["F", "M", "F", "M"], "work": ["home", "home", "field", "field"], "year": [2019, 2020, 2019, 2020],
    "age": [20.0, 30.0, 40.0, 50.0], "born": pd.to_datetime(["2001-01-05", "2001-01-09", "2001-02-01", "2001-02-02"]),
})


def told() -> pd.DataFrame:
    return PEOPLE


NODE = Node(
    "told", Kind.REDUCER, Function(told, (), (), Form.PANDAS), (), Result.TABLE, Location("job.py", 7)
)


def table(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """The columns of the table that a returned DataFrame becomes."""
    result = checked(NODE, frame, None)  # type: ignore[arg-type]  # rows in memory need no session
    assert isinstance(result, TableResult)
    made: dict[str, list[Any]] = result.arrow().to_pydict()
    return made


@pytest.mark.parametrize(
    ("frame", "columns"),
    [
        (PEOPLE.groupby("sex")[["age"]].mean(), {"sex": ["F", "M"], "age": [30.0, 40.0]}),
        (PEOPLE.sex.value_counts().sort_index().to_frame(), {"sex": ["F", "M"], "count": [2, 2]}),
        (PEOPLE[["age"]].describe().loc[["count", "max"]], {"index": ["count", "max"], "age": [4.0, 50.0]}),
        (pd.crosstab(PEOPLE.sex, PEOPLE.year), {"sex": ["F", "M"], "2019": [2, 0], "2020": [0, 2]}),
        (PEOPLE.groupby(["sex", "work"])[["age"]].max(),
         {"sex": ["F", "F", "M", "M"], "work": ["field", "home"] * 2, "age": [40.0, 20.0, 50.0, 30.0]}),
        (PEOPLE.groupby("sex").agg({"age": ["min", "max"]}),
         {"sex": ["F", "M"], "age_min": [20.0, 30.0], "age_max": [40.0, 50.0]}),
        (PEOPLE.pivot_table(values=["age"], index="sex", columns="year"),
         {"sex": ["F", "M"], "age_2019": [30.0, None], "age_2020": [None, 40.0]}),
        (pd.concat([PEOPLE[["age"]].head(1)] * 2, keys=["first", "again"], names=["round", None]),
         {"round": ["first", "again"], "level_1": [0, 0], "age": [20.0, 20.0]}),
        (PEOPLE[["age"]].set_axis([0.5, 1.5, 2.5, 3.5]), {"index": [0.5, 1.5, 2.5, 3.5], "age": list(PEOPLE.age)}),
        (PEOPLE[["age"]].groupby(pd.cut(PEOPLE.age.rename("bracket"), [0, 35, 60]), observed=True).count(),
         {"bracket": ["(0, 35]", "(35, 60]"], "age": [2, 2]}),
        (PEOPLE.groupby(PEOPLE.born.dt.to_period("M"))[["age"]].sum(),
         {"born": ["2001-01", "2001-02"], "age": [50.0, 90.0]}),
        (PEOPLE.assign(kind=PEOPLE.work.astype("category")).groupby("kind", observed=True)[["age"]].max(),
         {"kind": ["field", "home"], "age": [50.0, 30.0]}),
    ],
    ids=["grouped", "counted", "described", "crossed", "two levels", "aggregated", "pivoted", "joined", "numbers",
         "intervals", "periods", "categories"],
)
def test_an_index_that_tells_something_becomes_columns(frame: pd.DataFrame, columns: dict[str, Any]) -> None:
    assert table(frame) == columns


@pytest.mark.parametrize(
    "frame",
    [
        PEOPLE[["age"]], PEOPLE[["age"]].iloc[::-1], PEOPLE.loc[PEOPLE.age > 25, ["age"]], PEOPLE[["age"]].head(0),
        pd.DataFrame({"age": []}, index=[]), pd.concat([PEOPLE[["age"]], PEOPLE[["age"]]]),
    ],
    ids=["plain", "reversed", "filtered", "empty", "empty index", "joined"],
)
def test_an_index_that_counts_rows_is_left_out(frame: pd.DataFrame) -> None:
    assert with_index(frame, NODE) is frame
    assert list(table(frame)) == ["age"]


def test_totals_stay_readable() -> None:
    report = pd.DataFrame({"n": [1, 2]})
    report.loc["total"] = report.sum()
    assert table(report) == {"index": ["0", "1", "total"], "n": [1, 2, 3]}


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        (PEOPLE[["sex", "age"]].set_index("sex", drop=False), "sex"),
        (PEOPLE[["age"]].rename_axis("age"), "age"),
        (PEOPLE.groupby([PEOPLE.born.dt.year, PEOPLE.born.dt.month])[["age"]].mean(), "born"),
    ],
    ids=["repeated", "differing", "two levels"],
)
def test_an_index_that_is_named_as_a_column_or_another_level_is_refused(frame: pd.DataFrame, name: str) -> None:
    with pytest.raises(ResultTypeError, match=f"cannot insert {name}, already exists") as caught:
        table(frame)
    assert "job.py:7" in str(caught.value)
    assert "reset_index(drop=True)" in str(caught.value)


def test_the_authors_own_dataframe_stays_as_it_is() -> None:
    frame = PEOPLE.groupby("sex").agg({"age": ["min", "max"]})
    before = frame.copy()
    table(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_a_table_of_arrow_is_taken_as_it_is() -> None:
    result = checked(NODE, pa.table({"a": [1]}), None)  # type: ignore[arg-type]  # as above
    assert isinstance(result, TableResult)
    assert result.arrow().to_pydict() == {"a": [1]}
