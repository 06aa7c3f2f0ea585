"""Edits of the census job itself."""

from __future__ import annotations

from benchmarks.edit_cases.case import Answer, Append, Case, Change, Edit

JOB, DATA = "census.py", "data/adult.data"

METRICS = frozenset({"accuracy", "auc"})
SCORED = METRICS | {"predictions"}
LEARNED = SCORED | {"model"}
CATEGORIES = frozenset(
    f"{name}_is" for name in (
        "education", "occupation", "marital_status", "workclass", "relationship", "race", "sex", "native_country"
    )
)
COLUMNS = CATEGORIES | {"age", "hours_per_week", "capital", "age_bucket"}
ASSEMBLED = LEARNED | COLUMNS | {"income"}
FITS = frozenset(f"{name}.fit" for name in (*CATEGORIES, "age_bucket"))
FROM_ROWS = ASSEMBLED | FITS | {"rows"}
ALL = FROM_ROWS | {"data"}

NEW_PEOPLE = """\
41, Private, 201520, Masters, 14, Married-civ-spouse, Exec-managerial, Husband, White, Male, 15024, 0, 50, United-States, >50K
23, Private, 122272, HS-grad, 9, Never-married, Sales, Own-child, White, Female, 0, 0, 30, United-States, <=50K
"""  # noqa: E501 - a line of data


def _case(name: str, *changes: Change, must_run: frozenset[str] = frozenset(), answer: Answer = "same") -> Case:
    return Case(name, "census", changes, must_run, answer)


def _edit(old: str, new: str) -> Edit:
    return Edit(JOB, old, new)


COSMETIC = (
    _case("comment", _edit(
        "        return F.log1p(rows.capital_gain)",
        "        # both are skewed\n        return F.log1p(rows.capital_gain)",
    )),
    _case("formatting", _edit(
        "        return float((predictions.prediction == predictions.label).mean())",
        "        return float(\n            (predictions.prediction  ==  predictions.label)\n"
        "            .mean(),\n        )\n",
    )),
    _case("docstring", _edit(
        '"""The chance that someone who earns more is scored above someone who does not (Mann-Whitney)."""',
        '"""Area under the curve of true over false positives."""',
    )),
    _case(
        "renamed local",
        _edit("        score = predictions.probability.str[1]", "        chance = predictions.probability.str[1]"),
        _edit("rank, positive = score.rank()", "rank, positive = chance.rank()"),
    ),
    _case("reordered imports", _edit(
        "from pyspark.sql import Column, DataFrame\nfrom pyspark.sql import functions as F\n",
        "from pyspark.sql import functions as F\nfrom pyspark.sql import DataFrame, Column\n",
    )),
)
"""Edits that may not run anything, whatever they touch."""

CENSUS = (
    *COSMETIC,
    _case("type annotation", _edit("        n, m = positive.sum()", "        n: int\n        n, m = positive.sum()")),
    _case("import that nothing uses", _edit("import sys\n", "import json\nimport sys\n")),
    _case("decorator option", _edit(
        "@wf.reducer(output=True)\n    def accuracy", '@wf.reducer(output=True, keep="always")\n    def accuracy',
    )),
    _case("another output", _edit('"predictions", model, income)', '"predictions", model, income, output=True)'),
          answer="new"),
    _case("reg", _edit("reg: float = 0.1", "reg: float = 0.01"), must_run=LEARNED, answer="new"),
    _case("iterations", _edit("maxIter=50", "maxIter=5"), must_run=LEARNED, answer="new"),
    _case("extractor added", _edit(
        'for name in ("age", "hours_per_week")]', 'for name in ("age", "hours_per_week", "education_num")]',
    ), must_run=ASSEMBLED | {"education_num"}, answer="new"),
    _case("extractor changed", _edit(
        "F.log1p(rows.capital_gain) - F.log1p(rows.capital_loss)",
        "F.log1p(rows.capital_gain) - F.sqrt(rows.capital_loss)",
    ), must_run=ASSEMBLED, answer="new"),
    _case(
        "extractor removed",
        _edit("[*numbers, capital, age_bucket, *categories]", "[*numbers, age_bucket, *categories]"),
        must_run=ASSEMBLED - {"capital"}, answer="new",
    ),
    _case("extractor's parameter", _edit("bins: int = 10", "bins: int = 4"),
          must_run=ASSEMBLED | {"age_bucket.fit"}, answer="new"),
    _case("extractors in another order", _edit(
        "[*numbers, capital, age_bucket, *categories]", "[capital, *numbers, age_bucket, *categories]",
    ), must_run=ASSEMBLED, answer="any"),
    _case("another split", _edit('data.income.endswith(".")', "data.age % 5 == 0"), must_run=FROM_ROWS, answer="new"),
    _case("reducer", _edit(
        "(predictions.prediction == predictions.label).mean()", "(predictions.prediction != predictions.label).mean()",
    ), must_run=frozenset({"accuracy"}), answer="new"),
    _case("reducer added", _edit("    return wf\n", (
        "    @wf.reducer(output=True)\n"
        "    def positives(predictions: pd.DataFrame) -> int:\n"
        "        return int(predictions.prediction.sum())\n\n"
        "    return wf\n"
    )), must_run=frozenset({"positives"}), answer="new"),
    _case("scanner", _edit(
        "        parted = data.withColumn(", "        parted = data.where('age > 20').withColumn(",
    ), must_run=FROM_ROWS, answer="new"),
    _case("source option", _edit('nullValue="?"', 'nullValue="Private"'), must_run=ALL, answer="new"),
    _case("source file appended", Append(DATA, NEW_PEOPLE), must_run=ALL, answer="new"),
    _case(
        "source file rewritten, same size and time",
        Edit(DATA, "39, State-gov, 77516, Bachelors, 13,", "97, State-gov, 77516, Doctorate, 16,", keep_time=True),
        must_run=ALL, answer="new",
    ),
)
