"""A plain program shown as its author knows it: a row for each line that asked something, a search by its points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pyspark.ml import Pipeline
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.feature import MaxAbsScaler
from pyspark.ml.regression import LinearRegression
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.cli.main import helix
from helix_spark.cli.programs import end_program
from helix_spark.history.comparison import compare
from helix_spark.history.edit_message import edit_of
from helix_spark.history.source_rows import source_rows
from helix_spark.plans import current_program
from helix_spark.program.plain_program import PlainProgram
from helix_spark.run.recorded_answers import RecordedAnswers
from helix_spark.sizes import format_seconds
from tests.fakes.connect_server import Regressing

HERE = Path(__file__).name


def run(catalog: Catalog, *strengths: float, quiet: bool = True) -> None:
    """Run a program with a search over some strengths, on a server that only counts."""
    program = PlainProgram(Path("train.py"), [], catalog, {}, print)
    program.server = Regressing()  # type: ignore[assignment]  # what it is asked here
    program.record = RecordedAnswers(catalog, program.name)
    program.begin()
    try:
        rows = program.session({}).read.csv("rows.csv", header=True)
        rows.count()
        scalers = [MaxAbsScaler(inputCol=name, outputCol=f"{name}_scaled") for name in "ab"]
        linear = LinearRegression()
        grid = ParamGridBuilder().addGrid(linear.regParam, [*strengths]).build()
        search = CrossValidator(
            estimator=Pipeline(stages=[*scalers, linear]), estimatorParamMaps=grid,
            evaluator=BinaryClassificationEvaluator(), numFolds=2, seed=3,
        )
        model: Any = search.fit(rows)
        BinaryClassificationEvaluator().evaluate(model.transform(rows))
        end_program(program, None, quiet=quiet)
    finally:
        program.session({}).stop()
        current_program.PROGRAMS.clear()


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """A program that ran three times: at first, unchanged, and with a third grid value."""
    folder = tmp_path_factory.mktemp("source_rows")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("rows.csv").write_text("a,b\n1,2\n")
        Path("train.py").write_text("import pyspark\n")
        made = Catalog.open(str(folder / "catalog"), create=True)
        for strengths in ((0.1, 0.2), (0.1, 0.2), (0.05, 0.1, 0.2)):
            run(made, *strengths)
    return made


def shown(catalog: Catalog, *words: str) -> str:
    found = CliRunner().invoke(helix, [*words, "--catalog", str(catalog.root)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_a_search_is_one_row_of_its_line(catalog: Catalog) -> None:
    newest, _, first = catalog.iterations("train")
    assert [node.name for node in source_rows(catalog.nodes(first))] == ["rows.count", "model", "areaUnderROC"]
    _, model, area = source_rows(catalog.nodes(newest))
    assert (model.kind, model.state, area.inputs) == ("learner", "compute", ("model",))


def test_an_added_grid_value_is_told_by_its_line_and_touches_no_other_point(catalog: Catalog) -> None:
    newest, unchanged, first = catalog.iterations("train")
    assert (edit_of(first), edit_of(unchanged)) == ("", "")
    assert edit_of(newest).startswith(f"grid value `regParam` 0.05 added, {HERE}:")
    fits = [node for node in catalog.nodes(newest) if node.kind == "learner" and node.state == "compute"]
    assert {node.reason for node in fits} == {"grid value `regParam` 0.05 added"}
    assert [*map(str, compare(catalog, unchanged, newest).differences["model"].changes)] == [
        "grid value `regParam` 0.05 added"
    ]


def test_a_search_opens_into_its_points(catalog: Catalog) -> None:
    text = shown(catalog, "show", "3", "--node", "model")
    lines = [line.split() for line in text.splitlines() if "regParam=" in line]
    assert [line[0] for line in lines] == ["regParam=0.05", "regParam=0.1", "regParam=0.2"]
    assert [line[1:4] for line in lines] == [["0.5", "0.5", "0.5"]] * 3
    assert ["new," in line for line in lines] == [True, False, False]


def test_lines_of_a_program_are_what_is_shown(catalog: Catalog) -> None:
    text = shown(catalog, "show", "3")
    assert "LinearRegression" not in text
    assert "grid value `regParam` 0.05 added" in " ".join(text.split())
    assert "LinearRegression" not in shown(catalog, "diff", "2", "3")


def test_the_log_has_a_line_an_iteration_and_more_where_that_is_asked(catalog: Catalog) -> None:
    lines = shown(catalog, "log").splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["3", "2", "1"]
    assert "areaUnderROC 0.5; grid value" in lines[1]
    assert f"grid value `regParam` 0.05 added, {HERE}" in " ".join(shown(catalog, "log", "-v").split())


def test_recorded_iterations_are_a_table_of_parameters_and_metrics(catalog: Catalog) -> None:
    with hx.Helix(catalog.root) as helix_of:
        table = helix_of.iterations("train").to_pandas()
        found = helix_of.iteration("train", 3)
    assert list(table["iteration"]) == [3, 2, 1]
    assert list(table["metrics.areaUnderROC"]) == [0.5, 0.5, 0.5]
    assert dict(found.metrics.values) == {"areaUnderROC": 0.5}
    assert found.parameters == {}


def test_a_run_saves_at_most_what_an_earlier_one_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("a,b\n1,2\n")
    Path("train.py").write_text("import pyspark\n")
    catalog = Catalog.open(str(tmp_path / "catalog"), create=True)
    run(catalog, 0.1, 0.2)
    monkeypatch.setattr(RecordedAnswers, "seconds", lambda record, identity: 500.0)
    run(catalog, 0.1, 0.2, quiet=False)
    took = catalog.iterations("train")[1].seconds
    assert took is not None
    assert f"about {format_seconds(took)} s of computing saved" in capsys.readouterr().err
