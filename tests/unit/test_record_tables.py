"""`helix history`: all records as tables that other tools query."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable, QueryBuilder

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import KINDS
from helix_spark.cli.main import helix as command
from tests.fakes.doubled import workflow
from tests.fakes.observer import Warned

MANUAL = Path(__file__).parents[2] / "docs" / "operating.md"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("history") / "catalog"
    for weight in (1, 2):
        with hx.Helix(root, policy="always", observer=Warned()) as helix:
            helix.run(workflow(weight))
    return root


@pytest.mark.parametrize("form", ["delta", "parquet"])
def test_all_records_are_rows_in_the_order_of_their_appends(catalog: Path, tmp_path: Path, form: str) -> None:
    done = CliRunner().invoke(
        command, ["history", str(tmp_path / "out"), "--format", form, "--catalog", str(catalog)]
    )
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"wrote {tmp_path / 'out'}: 1 files, 4 iterations, 6 nodes")
    for kind in KINDS:
        place = tmp_path / "out" / kind.name
        table = DeltaTable(str(place)).to_pyarrow_table() if form == "delta" else pq.read_table(f"{place}.parquet")
        rows = Catalog.open(catalog, create=False)._records.rows(kind.record_type, "ORDER BY turn")
        found = [{name: tuple(one) if isinstance(one, list) else one for name, one in row.items()}
                 for row in sorted(table.to_pylist(), key=lambda row: (row["segment"], row["place"]))]
        for row in found:
            del row["segment"], row["place"]
        assert [kind.record_type(**row) for row in found] == rows


def test_the_queries_of_the_manual_answer(catalog: Path, tmp_path: Path) -> None:
    assert CliRunner().invoke(command, ["history", str(tmp_path / "out"), "--catalog", str(catalog)]).exit_code == 0
    tables = QueryBuilder()
    for kind in KINDS:
        tables.register(kind.name, DeltaTable(str(tmp_path / "out" / kind.name)))
    queries = re.findall(r"```sql\n(.*?)```", MANUAL.read_text(), re.DOTALL)
    answers = [pa.table(tables.execute(query).read_all()).to_pylist() for query in queries]
    seconds, nodes, stored = answers
    assert [(row["workflow"], row["number"]) for row in seconds] == [("shared", 1), ("shared", 2)]
    assert {row["name"]: row["times"] for row in nodes} | {"data": 2, "rows": 2} == {"data": 2, "rows": 2, "total": 2}
    assert {row["node"] for row in stored} == {"rows", "total"}


def test_nothing_is_written_over(catalog: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done = CliRunner().invoke(command, ["history", str(tmp_path / "out"), "--catalog", str(catalog)])
    assert done.exit_code == 2
    assert "exists" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []
