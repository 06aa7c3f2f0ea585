"""Stages that cannot be had are found before anything runs: where they are declared, or before Spark is started."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.feature import StringIndexer

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.engine.lowering.stages import check_stages
from helix_spark.engine.server.session import Sessions
from helix_spark.errors import Location, NodeError, OperatorError
from tests.unit.project import Project

PATH = "pyspark.ml.classification.LogisticRegression"
TABLE = pd.DataFrame({"a": [1.0]})


class Classifier:
    """As another library has them."""

    def fit(self, table: object) -> Classifier:
        return self

    def transform(self, table: object) -> object:
        return table


def learned(what: Any, **parameters: Any) -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.learner("model", what, on=wf.source("data", hx.table(TABLE)), output=True, **parameters)
    return wf


@pytest.fixture
def without_spark(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A process in which whoever asks for a session fails; says who did."""
    asked: list[str] = []

    def refuse(self: Sessions) -> Any:
        asked.append("session")
        raise AssertionError("no Spark in this test")

    monkeypatch.setattr(Sessions, "get", refuse)
    return asked


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (Classifier, "learner 'model' was given tests.unit.test_stages_before_a_run.Classifier, which is no estimator"),
        (Classifier(), "was given an object of tests.unit.test_stages_before_a_run.Classifier"),
        (BinaryClassificationEvaluator, "no estimator or transformer of Spark ML"),
        (hx.OneHot("a"), "inside a function, such as a @wf.reducer"),
        ("LogisticRegression", "'LogisticRegression', which is no dotted path of a class"),
        (".mine.Encoder", "write the full path, such as pyspark.ml.classification.LogisticRegression"),
    ],
)
def test_what_is_no_stage_is_refused_where_it_is_declared(what: Any, words: str) -> None:
    with pytest.raises(OperatorError) as caught:
        learned(what)
    assert words in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def test_a_function_with_some_arguments_given_is_a_function() -> None:
    def make(depth: int, *, share: float) -> Any:
        raise AssertionError("it is called when the node runs")

    check_stages(compile_workflow(learned(partial(make, 2), share=0.5)).nodes)
    with pytest.raises(OperatorError, match="was given a function of share"):
        learned(partial(make, 2))


MISSING = "pyspark.ml.classification.LogisticRegresion"

WRONG = [
    (MISSING, {}, "pyspark.ml.classification has no 'LogisticRegresion'", "did you mean 'LogisticRegression'?"),
    ("pyspark.ml.clasification.LogisticRegression", {}, "No module named 'pyspark.ml.clasification'", "check the path"),
    (PATH, {"regparam": 1}, "takes no parameter 'regparam'", "did you mean 'regParam'?"),
    ("os.path.sep", {}, "was given an object of builtins.str, which is no estimator", "@wf.reducer"),
    ("pyspark.ml.evaluation.RankingEvaluator", {}, "no estimator or transformer of Spark ML", "@wf.reducer"),
]


@pytest.mark.parametrize(("path", "parameters", "what", "remedy"), WRONG)
def test_a_path_that_leads_to_no_stage_ends_a_plan_and_a_run_before_it_begins(
    tmp_path: Path, without_spark: list[str], path: str, parameters: dict[str, Any], what: str, remedy: str
) -> None:
    wf = learned(path, **parameters)
    with hx.Helix(tmp_path / "catalog") as helix:
        for begin in (helix.plan, helix.run):
            with pytest.raises(OperatorError) as caught:
                begin(wf)
            assert what in caught.value.what
            assert remedy in str(caught.value.remedy)
            assert caught.value.where == Location(__file__, learned.__code__.co_firstlineno + 2)
    assert without_spark == []
    assert not (tmp_path / "catalog").exists()


def test_only_what_is_to_be_computed_is_looked_at(tmp_path: Path, without_spark: list[str]) -> None:
    wf = learned(MISSING)
    wf.outputs.clear()

    @wf.reducer(output=True)
    def rows(data: pd.DataFrame) -> int:
        return len(data)

    with hx.Helix(tmp_path / "catalog") as helix:
        assert helix.run(wf)["rows"] == 1


def test_a_transformer_of_a_path_is_looked_at_as_well() -> None:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(TABLE))
    words = wf.extractor("words", "pyspark.ml.feature.Tokeniser", on=data, inputCol="a")
    index = wf.extractor("index", StringIndexer, on=data, inputCol="a")
    wf.synthesizer("examples", data, features=[words, index], output=True)
    dag = compile_workflow(wf)
    with pytest.raises(OperatorError, match=r"'words\.fit' is made by 'pyspark\.ml\.feature\.Tokeniser'"):
        check_stages(dag.nodes)
    check_stages(node for node in dag.nodes if not node.name.startswith("words"))


def test_a_module_of_the_authors_that_fails_is_the_nodes_error(project: Project) -> None:
    project.write(mine="raise RuntimeError('not today')\n")
    with pytest.raises(NodeError, match="learner 'model' failed: RuntimeError: not today"):
        check_stages(compile_workflow(learned("mine.Encoder")).nodes)
