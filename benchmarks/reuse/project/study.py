"""A census job with one of everything that may be edited: helpers, closures, constants, classes, UDFs, a package."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import bands
import cleaning
import pandas as pd
from pyspark.ml.classification import LogisticRegression, LogisticRegressionModel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

import helix_spark as hx

SCHEMA = (
    "age double, workclass string, fnlwgt double, education string, education_num double, marital_status string, "
    "occupation string, relationship string, race string, sex string, capital_gain double, capital_loss double, "
    "hours_per_week double, native_country string, income string"
)
MIN_AGE = 18
LEVELS = {"likely": lambda chance: chance > 0.5}


class Hours:
    """What counts as full time."""

    full_time = 40.0
    sleep = 56.0


def log_of(column: Column, base: float) -> Column:
    return F.log1p(column) / math.log(base)


scaled = functools.partial(log_of, base=10.0)


def rounded(digits: int) -> Callable[[Callable[..., float]], Callable[..., float]]:
    def decorate(function: Callable[..., float]) -> Callable[..., float]:
        @functools.wraps(function)
        def call(*args: object) -> float:
            return round(function(*args), digits)

        return call

    return decorate


@rounded(digits=3)
def share(holds: pd.Series) -> float:
    return float(holds.mean())


def study(path: str) -> hx.Workflow:
    """The workflow over the census files in the folder `path`."""
    wf = hx.Workflow("study")
    wf.source("data", hx.csv(
        path, schema=SCHEMA, comment="|", nullValue="?", ignoreLeadingWhiteSpace=True, ignoreTrailingWhiteSpace=True,
    ))
    years_a_grade = 1.0

    @wf.scanner
    def rows(data: DataFrame) -> DataFrame:
        return cleaning.tidy(data)

    @wf.scanner
    def grown(rows: DataFrame) -> DataFrame:
        def of_age(age: Column) -> Column:
            return age >= MIN_AGE

        return rows.where(of_age(rows.age))

    @wf.extractor
    def capital(grown: DataFrame) -> Column:
        return scaled(grown.capital_gain) - scaled(grown.capital_loss)

    @wf.extractor
    def overtime(grown: DataFrame) -> Column:
        return F.greatest(grown.hours_per_week - Hours.full_time, F.lit(0.0))

    @wf.extractor
    def experience(grown: DataFrame) -> Column:
        return grown.age + 1 - grown.education_num * years_a_grade

    @wf.extractor
    def strain(grown: DataFrame) -> Column:
        def score(age: float, hours: float) -> float:
            return age * hours / 100

        return F.udf(score, "double")(grown.age, grown.hours_per_week)

    @wf.extractor
    def household(grown: DataFrame) -> Column:
        return F.udf(lambda relationship: cleaning.household(relationship), "double")(grown.relationship)

    @wf.extractor
    def leisure(grown: DataFrame) -> Column:
        return F.udf(cleaning.leisure, "double")(grown.hours_per_week)

    education_is = wf.extractor("education_is", hx.OneHot("education"), on=grown)
    age_bucket = wf.extractor("age_bucket", hx.Bucketizer("age", bins=5), on=grown)
    income = wf.synthesizer(
        "income", grown,
        features=[capital, overtime, experience, strain, household, leisure, education_is, age_bucket],
        label="income = '>50K'", split=hx.HashSplit(test=0.2, seed=1),
    )
    model = wf.learner("model", LogisticRegression, on=income, regParam=0.1, maxIter=20)
    wf.predict("predictions", model, income)

    @wf.reducer(output=True)
    def weights(model: LogisticRegressionModel) -> list[float]:
        return [float(weight) for weight in model.coefficients.toArray()]

    @wf.reducer(output=True)
    def profile(grown: pd.DataFrame) -> dict[str, float]:
        wives = grown.relationship.isin(["Wife"])
        return {"people": len(grown), "age": float(grown.age.mean()), "wives": int(wives.sum())}

    @wf.reducer(output=True)
    def accuracy(predictions: pd.DataFrame, threshold: float = 0.5) -> float:
        chance: pd.Series = predictions.probability.str[1]
        return share((chance > threshold) == (predictions.label == 1))

    @wf.reducer(output=True)
    def levels(predictions: pd.DataFrame) -> dict[str, int]:
        chance = predictions.probability.str[1]
        return {name: int(chance.map(holds).sum()) for name, holds in LEVELS.items()}

    @wf.reducer(output=True)
    def spread(predictions: pd.DataFrame) -> float:
        width: float = bands.spread(predictions.probability.str[1].tolist())
        return width

    return wf
