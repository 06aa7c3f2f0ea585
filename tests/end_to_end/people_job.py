"""A workflow whose tables and model Spark stores; tests copy it into folders of their own."""

import pandas as pd
from pyspark.ml.classification import LogisticRegression

import helix_spark as hx


def people(reg: float = 0.1, threshold: float = 0.5) -> hx.Workflow:
    wf = hx.Workflow("people")
    data = wf.source("data", hx.csv("people.csv", schema="age double, sex string, rich int"))
    age = wf.extractor("age", hx.Fields("age"), on=data)
    sex = wf.extractor("sex", hx.OneHot("sex"), on=data)
    examples = wf.synthesizer("examples", data, features=[age, sex], label="rich", split=hx.HashSplit(test=0.3))
    model = wf.learner("model", LogisticRegression, on=examples, regParam=reg, maxIter=3)
    wf.predict("predictions", model, examples)

    @wf.reducer(output=True)
    def rich(predictions: pd.DataFrame) -> int:
        return int((predictions.prediction >= threshold).sum())

    @wf.reducer(output=True)
    def tested(predictions: pd.DataFrame) -> int:
        return len(predictions)

    return wf


if __name__ == "__main__":
    hx.main(people)
