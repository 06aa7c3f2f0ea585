"""Stages of Spark ML are told apart, though their identifiers end in random letters and are no part of a signature."""

from __future__ import annotations

from helix_spark.dag.compilation import compile_workflow
from helix_spark.identity.signing import describe, resolve
from tests.unit.project import Project

GRID = """
    from pyspark.ml import Pipeline, Transformer
    from pyspark.ml.param import Param, Params
    from pyspark.ml.tuning import ParamGridBuilder
    class Scale(Transformer):
        factor = Param(Params._dummy(), "factor", "by how much")
        def _transform(self, rows): return rows
    first, second = Scale(), Scale()
    STAGES = Pipeline(stages=[first, second])
    GRID = ParamGridBuilder().addGrid(first.factor, [1.0, 2.0]).build()
    def f(x): return STAGES, GRID
"""

AGAIN = """
    from pyspark.ml import UnaryTransformer
    from pyspark.sql.types import StringType
    class Clean(UnaryTransformer):
        def createTransformFunc(self): return str.upper
        def outputDataType(self): return StringType()
        def validateInputType(self, given): pass
    STAGES = [Clean().setInputCol("a").setOutputCol("b"), Clean().setInputCol("b").setOutputCol("c")]
    GRID = {STAGES[1].inputCol: ["a", "b"]}
    def f(x): return STAGES, GRID
"""

TUNED = """
    import pandas as pd
    import helix_spark as hx
    from pyspark.ml import Pipeline, Transformer
    from pyspark.ml.param import Param, Params
    from pyspark.ml.param.shared import HasOutputCol
    from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
    class Scale(Transformer, HasOutputCol):
        factor = Param(Params._dummy(), "factor", "by how much")
        def __init__(self):
            super().__init__()
            self._set(outputCol="scaled")
        def _transform(self, rows): return rows
    def build():
        wf = hx.Workflow("w")
        data = wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))
        first, second = Scale(), Scale()
        grid = ParamGridBuilder().addGrid(first.factor, [1.0, 2.0]).build()
        stages = Pipeline(stages=[first, second])
        wf.learner("model", CrossValidator, on=data, estimator=stages, estimatorParamMaps=grid, seed=1, output=True)
        return wf
"""


def test_a_grid_over_the_one_or_the_other_stage_of_a_class_differs(project: Project) -> None:
    project.check_differs(GRID, GRID.replace("addGrid(first", "addGrid(second"))


def test_stages_that_are_made_again_are_the_same(project: Project) -> None:
    assert project.digest(job=AGAIN) == project.digest(job=AGAIN)


def test_an_output_that_spark_names_is_another_each_time(project: Project) -> None:
    text = AGAIN.replace('.setOutputCol("c")', "")
    assert project.digest(job=text) != project.digest(job=text)


def test_a_grid_tells_the_stages_of_another_parameter_apart(project: Project) -> None:
    def signature(text: str) -> str:
        dag = compile_workflow(project.write(job=text).load().build())
        return resolve(dag, describe(dag, {}), run="r", equivalent={}, known_random={})["model"].signature

    assert signature(TUNED) == signature(TUNED)
    assert signature(TUNED) != signature(TUNED.replace("first.factor", "second.factor"))
