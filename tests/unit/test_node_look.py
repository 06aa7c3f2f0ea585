"""One node of an iteration, looked at on the terminal: code, first rows, what its fit gave; of anybody's catalog."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.spark_types import slot_names_of
from helix_spark.catalog.tables.table_reading import FirstRows
from helix_spark.cli.main import helix
from helix_spark.cli.printing import print_card
from helix_spark.history.model_card import ModelCard, card_from
from helix_spark.history.table_preview import stored_rows, vector_text
from helix_spark.views.node_view import node_view
from tests.fakes.shown_catalogs import HOSTILE, fitted_card, hostile_catalog


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_catalog(tmp_path_factory.mktemp("looked") / "c").root


def shown(catalog: Path, name: str, *more: str) -> str:
    arguments = ("show", "2", "--node", name, "--workflow", f"w {HOSTILE}", "--catalog", str(catalog), *more)
    return CliRunner().invoke(helix, arguments).output


def test_a_fit_is_shown_with_its_weights_and_its_training(catalog: Path) -> None:
    told = shown(catalog, f"model+ {HOSTILE}")
    assert "objective 0.7 -> 0.4 in 2 steps" in told
    assert "age" in told
    assert "the 20 heaviest of 300 slots" in told
    assert "-    return 1" in told


def test_a_table_is_shown_by_its_first_rows_and_a_value_as_it_is(catalog: Path) -> None:
    assert "3 rows" in shown(catalog, f"data {HOSTILE}")
    assert json.loads(shown(catalog, f"auc {HOSTILE}", "--json"))["value"] == HOSTILE


@pytest.mark.parametrize("text", ["[" * 101 + "]" * 101, "{"])
def test_a_value_that_nobody_can_read_is_none(catalog: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    records = Catalog.open(catalog, create=False)
    iteration = next(one for one in records.iterations(f"w {HOSTILE}") if one.number == 2)

    artifact = records.artifact

    def damaged(signature: str) -> ArtifactRecord | None:
        live = artifact(signature)
        return None if live is None else replace(live, value=text)

    assert node_view(records, iteration, f"auc {HOSTILE}", None).value
    monkeypatch.setattr(records, "artifact", damaged)
    assert not node_view(records, iteration, f"auc {HOSTILE}", None).value


def test_what_is_stored_is_shown_with_what_it_saves(catalog: Path) -> None:
    told = CliRunner().invoke(helix, ["storage", "--catalog", str(catalog)]).output
    assert "of it stored results" in told
    assert re.search(r"data .* 2\.5 kB +1\.0 s ", told)


def test_a_node_that_is_not_there_is_told_with_what_is(catalog: Path) -> None:
    assert "did you mean" in shown(catalog, f"auc {HOSTILE}x")


@pytest.mark.parametrize("alter", [
    {"weights": [["a", [1.0, 2.0]]]}, {"weights": [["a", ["x"]]]}, {"parameters": [["a", "b"]]}, {"slots": "3"},
    {"parts": [3]}, {"parts": 3}, {"figures": [["a", float("inf")]]},
], ids=str)
def test_a_card_that_is_none_is_not_shown(alter: dict[str, Any]) -> None:
    card = asdict(fitted_card("a"))
    assert card_from(json.dumps(card)) == fitted_card("a")
    assert card_from(json.dumps(card | alter)) is None


def test_cards_inside_each_other_without_end_are_none() -> None:
    card = ModelCard("m")
    for _ in range(10):
        card = ModelCard("m", parts=(card,))
    assert card_from(card.text()) is None


def test_cells_of_any_kind_are_shown() -> None:
    maps = pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64()))
    table = pa.table({
        "none": pa.nulls(2), "odd": [float("nan"), 1.0], "list": [[0.0, 2.0], None], "texts": [["a"], ["b"]],
        "flag": [True, None], "map": maps, "struct": [{"a": 1}, None], "bytes": [b"a", b"b"],
    })
    record = ArtifactRecord("0" * 64, "0" * 32, "table", "published", "w", "n", 1, 0.0, rows=2)
    shown, note = stored_rows(FirstRows(table, 8, (), ()), record)
    assert (note, shown.whole) == ("", True)
    columns = dict(zip(shown.names, zip(*shown.rows, strict=True), strict=True))
    assert columns["none"] == ("null", "null")
    assert columns["list"] == ("[0, 2]", "null")
    assert columns["flag"] == (True, "null")


@pytest.mark.parametrize("schema", ["", "3", "{}", '{"fields": [{"name": "v", "metadata": 3}]}', json.dumps({"fields": [
    {"name": "v", "metadata": {"ml_attr": {"attrs": {"numeric": [{"idx": 5, "name": "x"}]}}}}]})], ids=str)
def test_names_of_slots_that_are_none_are_no_names(schema: str) -> None:
    assert slot_names_of(schema) == {}


def test_a_sparse_vector_is_shown_by_what_is_in_it() -> None:
    assert vector_text([0.0] * 99 + [2.0], (), 12) == "99=2"
    assert vector_text([1.0, 2.0], (), 12) == ""
    assert vector_text([0.0, 2.0], ("a", "b"), 12) == "b=2"


@pytest.mark.parametrize("width", [80, 60, 200])
def test_slots_keep_their_names_and_columns_are_left_out_where_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    classes = tuple(f"class of {name}" for name in "abcdefghijkl")
    slots = ("between_counts_husband", "between_counts_wife", f"between_{'long_' * 20}counts_married")
    print_card(ModelCard(
        "LogisticRegressionModel", columns=classes, slots=3,
        weights=tuple((name, tuple(-1234.56789 / (place + 1) for place in range(12))) for name in slots),
    ))
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= width
    for name in ("between_counts_husband", "between_counts_wife", "counts_married", "class of a", "-1235"):
        assert name in told
    assert ("more columns (--json has all)" in told) is (width < 200)
