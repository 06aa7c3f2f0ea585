"""`helix convert`: the workflow that a plain program amounts to, as text."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from program_fakes import FakeRecord, FakeServer

from helix_spark.capture import recorded_call
from helix_spark.catalog.catalog import Catalog
from helix_spark.errors import HelixError
from helix_spark.program.conversion.lifted_sources import reads_apart
from helix_spark.program.conversion.lifting import Lifting
from helix_spark.program.conversion.met_statements import meet
from helix_spark.program.conversion.straight_text import statements_of
from helix_spark.program.conversion.workflow_text import workflow_text
from helix_spark.program.plain_program import PlainProgram

HEAD = '''
import sys
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.builder.config("spark.sql.shuffle.partitions", 3).getOrCreate()
rows = spark.read.option("header", True).csv("rows.csv")
'''

Convert = Callable[..., str]


@pytest.fixture
def convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Convert:
    """The workflow's declaration, from its first line on; all of the file where it is asked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    path = tmp_path / "train.py"

    def converted(text: str, *arguments: str, whole: bool = False) -> str:
        path.write_text(text if whole else HEAD + text)
        statements = statements_of(path.read_text(), str(path))
        program = PlainProgram(path, arguments, Catalog.open(str(tmp_path / "catalog"), create=True), {}, print)
        program.server, program.record = FakeServer(), FakeRecord()  # type: ignore[assignment]  # what they are asked here
        try:
            met = meet(program, statements)
            program.session({}).stop()
        finally:
            recorded_call.PROGRAMS.clear()
        lifted = Lifting("train.py", *reads_apart(statements, met)).lifted()
        found = workflow_text(lifted, path, tmp_path / "train_workflow.py", arguments)
        compile(found, "train_workflow.py", "exec")
        return found if whole else found[found.index("def train_workflow"):]

    return converted


def test_a_read_is_a_source_and_steps_of_one_table_are_one_node(convert: Convert) -> None:
    text = convert('rows = rows.dropna()\nrows = rows.where("a > 1").cache()\nrows.groupBy("a").count().show()\n')
    assert '''    rows_data = wf.source("rows_data", hx.csv("rows.csv", header=True, inferSchema=False))

    @wf.scanner(reads={"rows": rows_data})
    def rows(rows: DataFrame) -> DataFrame:
        rows = rows.dropna()
        return rows.where("a > 1")

    @wf.reducer(output=True)
    def shown(rows: DataFrame) -> DataFrame:
        return rows.groupBy("a").count()
''' in text


def test_a_fit_is_a_learner_by_its_constructor(convert: Convert) -> None:
    text = convert('lr = LogisticRegression(maxIter=3)\nmodel = lr.fit(rows)\nprint("classes:", model.numClasses)\n')
    assert 'model = wf.learner("model", LogisticRegression, on=rows, maxIter=3)' in text
    assert "    def classes(model):\n        return model.numClasses\n" in text


def test_a_stage_that_is_changed_is_built_by_a_function(convert: Convert) -> None:
    text = convert("lr = LogisticRegression()\nlr.setMaxIter(3)\nmodel = lr.fit(rows)\nprint(model.numClasses)\n")
    assert '''    def model_estimator():
        lr = LogisticRegression()
        lr.setMaxIter(3)
        return lr

    model = wf.learner("model", model_estimator, on=rows)
''' in text


def test_an_evaluator_is_in_the_reducer_that_uses_it(convert: Convert) -> None:
    text = convert(
        'model = LogisticRegression().fit(rows)\npredicted = model.transform(rows)\n'
        'evaluator = BinaryClassificationEvaluator()\nauc = evaluator.evaluate(predicted)\nprint(auc)\n'
    )
    assert 'predicted = wf.predict("predicted", model, rows, keep_columns=("features", "rawPrediction"))' in text
    assert '''    @wf.reducer(output=True)
    def auc(predicted: DataFrame):
        evaluator = BinaryClassificationEvaluator()
        return evaluator.evaluate(predicted)
''' in text


def test_a_loop_that_fits_is_one_reducer_with_what_it_fills(convert: Convert) -> None:
    text = convert(
        "found = {}\nfor step in (0.1, 0.2):\n"
        "    found[str(step)] = LogisticRegression(regParam=step).fit(rows).numClasses\nprint(found)\n"
    )
    assert '''    @wf.reducer(output=True)
    def found(rows: DataFrame):
        found = {}
        for step in (0.1, 0.2):
            found[str(step)] = LogisticRegression(regParam=step).fit(rows).numClasses
        return found
''' in text


def test_what_a_loop_prints_is_what_its_reducer_gives(convert: Convert) -> None:
    text = convert("for least in (1, 2):\n    print(least, rows.where(f'a > {least}').count())\n")
    assert "def printed_10(rows: DataFrame):" in text
    assert "        return printed\n" in text


def test_a_variable_with_several_values_is_given_in_each_function(convert: Convert) -> None:
    text = convert(
        "least = 1\nfew = rows.where(f'a > {least}')\nleast = 2\nless = few.where(f'b > {least}')\nless.show()\n"
    )
    assert "    def few(rows: DataFrame) -> DataFrame:\n        least = 1\n" in text
    assert "    def less(few: DataFrame) -> DataFrame:\n        least = 2\n" in text


def test_what_is_split_is_drawn_once(convert: Convert) -> None:
    text = convert("train, test = rows.randomSplit([0.8, 0.2])\nprint(train.count(), test.count())\n")
    assert text.count("fixed=True") == 2
    assert text.count("train, test = rows.randomSplit([0.8, 0.2], seed=11)") == 2


def test_a_view_is_made_where_sql_names_it(convert: Convert) -> None:
    text = convert('rows.createOrReplaceTempView("people")\nspark.sql("SELECT a FROM people").show()\n')
    assert '''    def shown(rows: DataFrame) -> DataFrame:
        spark = SparkSession.active()
        rows.createOrReplaceTempView("people")
        return spark.sql("SELECT a FROM people")
''' in text


def test_a_summary_is_asked_of_a_model_that_is_fitted_there(convert: Convert) -> None:
    text = convert("model = LogisticRegression().fit(rows)\nprint(model.summary.totalIterations)\n")
    assert "        model = LogisticRegression().fit(rows)\n        return model.summary.totalIterations\n" in text


def test_the_command_line_is_a_parameter(convert: Convert) -> None:
    text = convert("kept = rows.where(sys.argv[1])\nkept.show()\n", "a > 1")
    assert "def train_workflow(arguments: tuple[str, ...] = ('a > 1',)) -> hx.Workflow:" in text
    assert "return rows.where(argv[1])" in text


def test_what_main_does_stands_in_the_workflow(convert: Convert) -> None:
    body = "\n".join(f"    {line}" for line in HEAD.splitlines()[8:])
    text = convert(
        f"{HEAD[:HEAD.index('spark =')]}\nSCHEMA = '''\n  a\n'''\n\ndef least():\n    return 1\n\ndef main(most):\n    "
        f"spark = SparkSession.builder.getOrCreate()\n{body}\n    # Few.\n"
        "    few = rows.where(f'a > {least()} and a < {most}')\n    print(few.count(), SCHEMA)\n"
        "    rows.select('''a\n''').show()\n\nif __name__ == '__main__':\n    main(3)\n", whole=True,
    )
    assert "most = 3\n" in text
    assert "    def few(rows: DataFrame) -> DataFrame:\n        # Few.\n" in text
    assert "return rows.select('''a\n''')\n" in text
    assert "def main(" not in text


def test_what_is_not_lifted_is_said_with_its_line(convert: Convert) -> None:
    text = HEAD + 'few = rows.where("a > 1")\nfew.write.mode("overwrite").parquet("out")\nrows.foreach(len)\n'
    found = convert(text, whole=True)
    assert "- train.py:11 writes, which no workflow does: `helix export` writes 'few' to a file" in found
    assert "- train.py:12 is there for what it does: rows.foreach(len)" in found
    assert "--conf spark.sql.shuffle.partitions=3" in found


def test_a_read_inside_a_function_is_said(convert: Convert) -> None:
    text = convert(
        "from pyspark.sql import SparkSession\n\ndef load(session):\n    return session.read.csv('rows.csv')\n\n"
        "spark = SparkSession.builder.getOrCreate()\nrows = load(spark)\nrows.groupBy('_c0').count().show()\n",
        whole=True,
    )
    assert "- train.py:7 reads what nobody follows inside `rows`, which is computed each time: make a wf.source" in text
    assert "reads what nobody follows" not in convert("rows.count()\n")


def test_a_program_that_leaves_in_the_middle_is_refused(convert: Convert) -> None:
    with pytest.raises(HelixError, match="leaves main in the middle"):
        convert("import pyspark\ndef main():\n    if pyspark:\n        return\n    print(1)\nmain()\n", whole=True)
