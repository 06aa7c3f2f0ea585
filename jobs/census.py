"""Who earns more than 50,000 a year? The census-income workflow on Adult (UCI): 32,561 rows to train with, 16,281 to
test with.

    helix run jobs/census.py
    helix run jobs/census.py --set reg=0.01       # a parameter of the function below
    helix watch jobs/census.py                    # runs at each save
    helix run jobs/census.py --set times=100      # on 4.9 million rows
    spark-submit jobs/census.py --set bins=20

Edit a line and run it again: only what the edit touches is computed.

With the defaults 83.4 % of the test rows are classified correctly (76.4 % earn no more than that), and the area under
the curve is 0.888.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

sys.path.append(str(Path(__file__).resolve().parent.parent))  # so that `jobs` is found however this file is started

import helix_spark as hx
from jobs.datasets import adult

if TYPE_CHECKING:
    import pandas as pd  # an annotation's text says enough; a run that needs no pandas does not wait for it

SCHEMA = (
    "age double, workclass string, fnlwgt double, education string, education_num double, marital_status string, "
    "occupation string, relationship string, race string, sex string, capital_gain double, capital_loss double, "
    "hours_per_week double, native_country string, income string"
)
CATEGORIES = ("education", "occupation", "marital_status", "workclass", "relationship", "race", "sex", "native_country")


def census(path: str = "", reg: float = 0.1, bins: int = 10, times: int = 1) -> hx.Workflow:
    """The workflow.

    `path`: the data, if not the public one; `reg`: regularisation; `bins`: age buckets; `times`: how often the rows are
    repeated, to see what becomes of it all with more of them.
    """
    wf = hx.Workflow("census")
    wf.source("data", hx.csv(
        path or adult(), schema=SCHEMA, comment="|", nullValue="?", ignoreLeadingWhiteSpace=True,
        ignoreTrailingWhiteSpace=True,
    ))

    # A node has its function's name, and reads the nodes that the function's parameters are named after.
    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        # UCI's file of the test rows ends its labels with a full stop; the file of the training rows does not.
        parted = data.withColumn("part", F.when(data.income.endswith("."), "test").otherwise("train"))
        trimmed = parted.withColumn("income", F.expr("trim(TRAILING '.' FROM income)"))
        return trimmed if times == 1 else trimmed.withColumn("copy", F.explode(F.sequence(F.lit(1), F.lit(times))))

    @wf.extractor
    def capital(rows: DataFrame) -> Column:
        return F.log1p(rows.capital_gain) - F.log1p(rows.capital_loss)

    # Buckets and categories are learned from the training rows alone, by the same split as the examples'.
    numbers = [wf.extractor(name, hx.Fields(name), on=rows) for name in ("age", "hours_per_week")]
    age_bucket = wf.extractor("age_bucket", hx.Bucketizer("age", bins=bins), on=rows, split="part")
    categories = [wf.extractor(f"{name}_is", hx.OneHot(name), on=rows, split="part") for name in CATEGORIES]

    # Examples: what the extractors made of each row as one vector, its label, and whether it trains or tests.
    income = wf.synthesizer(
        "income", rows, features=[*numbers, capital, age_bucket, *categories], label="income = '>50K'", split="part",
    )
    model = wf.learner("model", "pyspark.ml.classification.LogisticRegression", on=income, regParam=reg, maxIter=50)
    wf.predict("predictions", model, income)  # of the test rows

    # Outputs are what a run is for: what none of them needs is left out.
    @wf.reducer(output=True)
    def accuracy(predictions: pd.DataFrame) -> float:
        return float((predictions.prediction == predictions.label).mean())

    @wf.reducer(output=True)
    def auc(predictions: pd.DataFrame) -> float:
        """The chance that someone who earns more is scored above someone who does not (Mann-Whitney)."""
        score = predictions.probability.str[1]
        rank, positive = score.rank(), predictions.label == 1
        n, m = positive.sum(), (~positive).sum()
        return float((rank[positive].sum() - n * (n + 1) / 2) / (n * m))

    return wf


if __name__ == "__main__":
    hx.main(census)
