"""Models of texts by name: words of vocabularies, names of classes, also where their examples were loaded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from pyspark.ml.feature import IDF, CountVectorizer, NGram, Tokenizer
from pyspark.sql import SparkSession

import helix_spark as hx
from helix_spark.cli.main import helix
from helix_spark.errors import OperatorError
from tests.fakes.policy import loading
from tests.spark.workflows import computed

pytestmark = pytest.mark.spark

MAIL = pd.DataFrame({
    "text": ["cheap pills today", "meet for lunch today", "cheap watches now", "minutes of the meeting", None] * 4,
    "kind": ["spam", "friends", "spam", "work", None] * 4,
})


def build(reg: float = 0.1) -> hx.Workflow:
    wf = hx.Workflow("mail")
    data = wf.source("data", hx.table(MAIL.dropna()))
    words = wf.extractor("words", Tokenizer, on=data, inputCol="text")
    pairs = wf.extractor("pairs", NGram, on=data, inputCol=words, n=2)
    counts = wf.extractor("counts", CountVectorizer, on=data, inputCol=words)
    rare = wf.extractor("rare", IDF, on=data, inputCol=counts)
    couples = wf.extractor("couples", CountVectorizer, on=data, inputCol=pairs)
    examples = wf.synthesizer("examples", data, features=[rare, couples], label="kind", keep=["kind"], output=True)
    wf.learner("model", "pyspark.ml.classification.LogisticRegression", on=examples, regParam=reg, output=True)
    return wf


def run(spark: SparkSession, folder: Path, workflow: hx.Workflow) -> Any:
    with hx.Helix(folder / "catalog", policy=loading("always"), spark=spark) as session:
        made = session.run(workflow)
        made.wait()
        return made


def shown(folder: Path, number: int, *more: str, node: str = "model") -> str:
    of = ["--node", node] if node else []
    command = ["show", str(number), "mail", *of, "--catalog", str(folder / "catalog"), *more]
    return CliRunner().invoke(helix, command, env={"COLUMNS": "80"}).stdout


def test_slots_are_words_and_classes_are_labels(spark: SparkSession, tmp_path: Path) -> None:
    first = run(spark, tmp_path, build())
    rows = first.pandas("examples")
    assert set(zip(rows.kind, rows.label, strict=True)) == {("friends", 0.0), ("spam", 1.0), ("work", 2.0)}
    again = run(spark, tmp_path, build(reg=0.2))
    assert computed(again) == {"model"}  # of examples that were loaded
    for number in (1, 2):
        card = json.loads(shown(tmp_path, number, "--json"))["model"]
        assert card["columns"] == card["labels"] == ["friends", "spam", "work"]
        names = {name for name, _ in card["weights"]}
        assert {"rare_cheap", "rare_today", "couples_cheap pills", "couples_of the"} <= names
        text = shown(tmp_path, number)
        assert "rare_cheap" in text
        assert "couples_cheap pills" in text
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.long
def test_counts_by_class_are_shown_by_name_and_stay_numbers_as_data(spark: SparkSession, tmp_path: Path) -> None:
    def counted(shift: int) -> hx.Workflow:
        wf = build()
        wf.predict("predictions", "model", "examples")

        @wf.reducer(output=True)
        def confusion(predictions: pd.DataFrame) -> pd.DataFrame:
            return pd.crosstab(predictions.label, predictions.prediction) + shift

        @wf.reducer(output=True)
        def wrong(predictions: pd.DataFrame) -> pd.DataFrame:
            return predictions[["kind", "label", "prediction"]].head(1 + shift)

        return wf

    for number, shift in ((1, 0), (2, 1)):  # the second one reads stored predictions
        made = run(spark, tmp_path, counted(shift))
        assert list(made.pandas("confusion").columns) == ["label", "0.0", "1.0", "2.0"]
        assert "<td>spam</td>" in made._repr_mimebundle_()["text/html"]
        text = shown(tmp_path, number, node="")
        assert re.search(r"label +friends +spam +work\n +friends +\d", text)
        assert re.search(r"spam +spam +spam", text)
        page = made.tables["confusion"].shown(20, 60)
        assert [name for name, _ in page.columns] == ["label", "friends", "spam", "work"]
        data = json.loads(shown(tmp_path, number, "--json", node=""))["tables"]["confusion"]
        assert data["classes"] == ["friends", "spam", "work"]
        assert [row[0] for row in data["rows"]] == [0.0, 1.0, 2.0]
    assert computed(made) == {"confusion", "wrong"}
    changed = CliRunner().invoke(helix, ["diff", "1", "2", "mail", "--catalog", str(tmp_path / "catalog")])
    assert re.search(r"label +friends +spam +work", changed.stdout)


def test_a_label_is_a_number_or_a_text_of_few_values(spark: SparkSession, tmp_path: Path) -> None:
    keys, odd = [f"k{n}" for n in range(101)], [str(n % 2) for n in range(101)]
    rows = pd.DataFrame({"key": keys, "odd": odd, "x": range(101)})

    def labelled(**labels: str) -> hx.Workflow:
        wf = hx.Workflow("w")
        data = wf.source("data", hx.table(rows))
        x = wf.extractor("x_of", hx.Fields("x"), on=data)
        wf.output(*(wf.synthesizer(name, data, features=[x], label=label) for name, label in labels.items()))
        return wf

    made = run(spark, tmp_path, labelled(number="odd", condition="key = 'k7'"))
    assert set(made.pandas("number").label) == set(made.pandas("condition").label) == {0.0, 1.0}
    with pytest.raises(OperatorError, match=r"its label is of type array<string>, which no learner takes"):
        run(spark, tmp_path, labelled(words="split(key, ' ')"))
    with pytest.raises(OperatorError, match=r"a text with more than 100 values"):
        run(spark, tmp_path, labelled(many="key"))
