"""Tables among the outputs: on record with the iteration, shown, compared, exported and logged without Spark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from helix_spark.cli.main import helix
from helix_spark.history.table_preview import LARGEST, ROWS, TablePreview, preview_from, previewed, table_difference

JOB = """
import pandas as pd
import helix_spark as hx

def study() -> hx.Workflow:
    wf = hx.Workflow("study")

    @wf.scanner
    def rows() -> pd.DataFrame:
        return pd.DataFrame({{"word": [f"word {{n}}" for n in range(2000)], "n": range(2000)}})

    @wf.reducer(output=True)
    def confusion(rows: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({{"gold": ["a", "b"], "a": [{count}, 1], "b": [0, 2]}})

    wf.output(rows)
    return wf
"""


def command(*arguments: str) -> Result:
    return CliRunner().invoke(helix, list(arguments))


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What two runs said, of which the second counts otherwise."""
    monkeypatch.chdir(tmp_path)
    said = ""
    for count in (5, 7):
        (tmp_path / "study.py").write_text(JOB.format(count=count))
        done = command("run", "study.py", "-q", "--policy", "never")
        assert done.exit_code == 0, done.stderr
        said = done.stdout
    return said


def test_a_run_and_what_is_on_record_show_the_first_rows(printed: str) -> None:
    assert "the first 5 of 2,000 rows" in printed
    for said in (printed, command("show", "2").stdout):
        assert said.split("confusion 2 rows\n")[1].split("\n\n")[0].split() == ["gold", *"aba70b12"]
    found = json.loads(command("show", "2", "--json").stdout)["tables"]
    assert found["confusion"] == {
        "columns": [{"name": "gold", "type": "string"}, {"name": "a", "type": "int64"}, {"name": "b", "type": "int64"}],
        "rows": [["a", 7, 0], ["b", 1, 2]], "total": 2, "whole": True, "across": "",
        "classes": [],
    }
    assert (len(found["rows"]["rows"]), found["rows"]["total"], found["rows"]["whole"]) == (ROWS, 2000, False)


def test_a_narrow_terminal_shows_the_columns_that_fit(printed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "12")
    assert "1 more column" in " ".join(command("show", "2").stdout.split())


def test_rows_and_cells_that_differ(printed: str) -> None:
    said = command("diff", "1", "2").stdout
    assert "confusion 1 row changed" in said
    assert "5 → 7" in said
    found = json.loads(command("diff", "1", "2", "--json").stdout)["tables"]
    assert found == {"confusion": {
        "columns": ["gold", "a", "b"], "key": ["gold"], "added": [], "removed": [],
        "changed": [[["a", 5, 0], ["a", 7, 0]]], "partly": False,
    }}


def test_a_whole_table_on_record_is_exported_and_of_others_it_is_said_what_to_do(printed: str, tmp_path: Path) -> None:
    assert command("export", "1", "confusion", "then.parquet").exit_code == 0
    assert pyarrow.parquet.read_table("then.parquet").to_pydict() == {"gold": ["a", "b"], "a": [5, 1], "b": [0, 2]}
    assert command("export", "2", "confusion", "now.csv").exit_code == 0
    assert pyarrow.csv.read_csv("now.csv").to_pydict()["a"] == [7, 1]
    refused = command("export", "2", "rows", "rows.csv")
    assert "the first 500 of 2,000 rows are recorded" in refused.stderr
    assert 'keep="always"' in refused.stderr
    assert "output=True" not in refused.stderr


@given(st.lists(st.tuples(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=600), st.lists(st.floats())),
), max_size=5))
def test_whatever_a_table_holds_goes_on_record_as_json_and_comes_back(rows: list[tuple[object]]) -> None:
    try:
        table = pa.table({"a": pa.array([row[0] for row in rows])})
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
        return  # no column of anything
    kept = previewed(table, len(rows))
    assert preview_from(kept.text()) == kept
    assert len(kept.rows) == len(rows)


def test_a_wide_and_long_table_stays_small_on_record() -> None:
    kept = previewed(pa.table({f"column {n}": ["x" * 400] * 1000 for n in range(80)}), 1000)
    assert len(kept.text()) <= LARGEST
    assert not kept.whole
    assert len(kept.columns) == 60


@pytest.mark.parametrize("text", ["", "{", "[]", '{"columns": [["a", "b"]], "rows": [[[]]], "cut": false}'])
def test_a_text_that_is_no_table_is_none(text: str) -> None:
    assert preview_from(text) is None


@pytest.mark.parametrize(("names", "across"), [
    (("label", "0.0", "1.0"), "prediction"), (("prediction", "0", "1"), "label"),
    (("label_prediction", "0.0", "1.0"), ""),
])
def test_counts_by_class_get_the_names_of_classes(names: tuple[str, ...], across: str) -> None:
    first = ("0.0", "1.0") if "_" in names[0] else (0.0, 1.0)
    table = TablePreview(
        tuple((name, "any") for name in names), ((first[1], 4, 1), (first[0], 0, 2)), 2, False, across, ("ham", "spam")
    )
    assert table.named.names == (names[0], "ham", "spam")
    assert table.named.rows == (("spam", 4, 1), ("ham", 0, 2))
    assert preview_from(table.text()) == table


@pytest.mark.parametrize(("names", "rows", "across"), [
    (("label", "0", "1"), ((0.0, 4, 1), (1.0, 0, 2)), "sex"),
    (("age", "0", "1"), ((0.0, 4, 1), (1.0, 0, 2)), "prediction"),
    (("label", "0", "1"), ((2.0, 4, 1), (1.0, 0, 2)), "prediction"), (("label", "n"), ((0.5, 4), (1.0, 0)), ""),
])
def test_other_numbers_stay_numbers(names: tuple[str, ...], rows: Any, across: str) -> None:
    table = TablePreview(tuple((name, "any") for name in names), rows, len(rows), False, across, ("ham", "spam"))
    assert table.named.names == names
    assert {row[1:] for row in table.named.rows} == {row[1:] for row in rows}


def test_rows_without_a_name_are_there_or_not() -> None:
    def scores(*values: float) -> TablePreview:
        return TablePreview((("score", "double"),), tuple((value,) for value in values), len(values))

    found = table_difference(scores(0.5, 0.5, 0.25), scores(0.5, 0.75))
    assert (found.key, found.added, found.removed) == ((), ((0.75,),), ((0.5,), (0.25,)))


def test_a_column_that_is_gone_differs_in_each_row() -> None:
    old = TablePreview((("id", "int64"), ("x", "int64")), ((1, 2),), 1)
    new = TablePreview((("id", "int64"),), ((1,),), 1)
    assert table_difference(old, new).changed == (((1, 2), (1, None)),)
