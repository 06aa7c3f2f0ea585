"""Edits of the census job."""

from __future__ import annotations

from benchmarks.scripts.edit import Edit, Workload

BOTH, LATE = ("examples", "predictions"), ("predictions",)
JOB_MODEL = 'wf.learner("model", "pyspark.ml.classification.LogisticRegression", on=income, regParam=reg, maxIter=50)'
PLAIN_MODEL = "LogisticRegression(regParam=REG, maxIter=50)"
JOB_NUMBERS, PLAIN_NUMBERS = 'for name in ("age", "hours_per_week")]', 'NUMBERS = ("age", "hours_per_week")'
JOB_END, PLAIN_END = "    return wf\n", "    return found\n"
JOB_CAPITAL = "F.log1p(rows.capital_gain) - F.log1p(rows.capital_loss)"
PLAIN_CAPITAL = 'F.log1p("capital_gain") - F.log1p("capital_loss")'
JOB_ACCURACY = "return float((predictions.prediction == predictions.label).mean())"
PLAIN_ACCURACY = "float((scored.prediction == scored.label).mean())"
CATEGORIES = '"sex", "native_country")'
JOB_ROWS = "trim(TRAILING '.' FROM income)\"))"


def _reducer(name: str, body: str) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """Another metric at the end of both jobs; `body` is an expression of `p`, the scored rows."""
    job = f"    @wf.reducer(output=True)\n    def {name}(predictions: pd.DataFrame) -> float:\n"
    job += f"        p = predictions\n        return float({body})\n\n{JOB_END}"
    plain = f"    p = scored\n    found[{name!r}] = float({body})\n{PLAIN_END}"
    return ((JOB_END, job),), ((PLAIN_END, plain),)


POOL = (
    Edit("years of education", "preparation",
         ((JOB_NUMBERS, 'for name in ("age", "hours_per_week", "education_num")]'),),
         ((PLAIN_NUMBERS, 'NUMBERS = ("age", "hours_per_week", "education_num")'),), BOTH),
    Edit("twenty buckets", "preparation", (("bins: int = 10", "bins: int = 20"),), (("BINS = 10", "BINS = 20"),), BOTH),
    Edit("six buckets", "preparation", (("bins: int = 10", "bins: int = 6"),), (("BINS = 10", "BINS = 6"),), BOTH),
    Edit("without the country", "preparation", ((CATEGORIES, '"sex")'),), ((CATEGORIES, '"sex")'),), BOTH),
    Edit("square roots", "preparation",
         ((JOB_CAPITAL, "F.sqrt(rows.capital_gain) - F.sqrt(rows.capital_loss)"),),
         ((PLAIN_CAPITAL, 'F.sqrt("capital_gain") - F.sqrt("capital_loss")'),), BOTH),
    Edit("only adults", "preparation", ((JOB_ROWS, JOB_ROWS + '.where("age >= 18")'),),
         ((JOB_ROWS, JOB_ROWS + '.where("age >= 18")'),), BOTH),
    Edit("less regularisation", "learning", (("reg: float = 0.1", "reg: float = 0.01"),),
         (("REG = 0.1", "REG = 0.01"),), LATE),
    Edit("hardly any regularisation", "learning", (("reg: float = 0.1", "reg: float = 0.001"),),
         (("REG = 0.1", "REG = 0.001"),), LATE),
    Edit("elastic net", "learning", ((JOB_MODEL, JOB_MODEL.replace("maxIter=50", "maxIter=50, elasticNetParam=0.3")),),
         ((PLAIN_MODEL, PLAIN_MODEL.replace("maxIter=50", "maxIter=50, elasticNetParam=0.3")),), LATE),
    Edit("more iterations", "learning", ((JOB_MODEL, JOB_MODEL.replace("50", "100")),),
         ((PLAIN_MODEL, PLAIN_MODEL.replace("50", "100")),), LATE),
    Edit("another learner", "learning",
         ((JOB_MODEL, 'wf.learner("model", "pyspark.ml.classification.NaiveBayes", on=income, modelType="gaussian")'),),
         ((PLAIN_MODEL, 'NaiveBayes(modelType="gaussian")'),), LATE),
    Edit("share of hits", "post-processing",
         *_reducer("hits", "(p.prediction[p.label == 1] == 1).mean()")),
    Edit("log loss", "post-processing",
         *_reducer("log_loss", "-(p.probability.str[1].where(p.label == 1, p.probability.str[0]).clip(1e-9)"
                               ".transform('log')).mean()")),
    Edit("the surest mistakes", "post-processing",
         *_reducer("sure_mistakes", "((p.probability.str[1] > 0.9) & (p.label == 0)).sum()")),
    Edit("balanced accuracy", "post-processing",
         ((JOB_ACCURACY, JOB_ACCURACY.replace(".mean()", ".groupby(predictions.label).mean().mean()")),),
         ((PLAIN_ACCURACY, PLAIN_ACCURACY.replace(".mean()", ".groupby(scored.label).mean().mean()")),)),
    Edit("another threshold", "post-processing",
         ((JOB_ACCURACY, JOB_ACCURACY.replace("predictions.prediction", "(predictions.probability.str[1] > 0.4)")),),
         ((PLAIN_ACCURACY, PLAIN_ACCURACY.replace("scored.prediction", "(scored.probability.str[1] > 0.4)")),)),
)

WORKLOAD = Workload(
    "census", ("examples", "predictions"), POOL,
    (
        "less regularisation", "years of education", "share of hits", "twenty buckets", "elastic net",
        "log loss", "without the country", "back 4", "balanced accuracy", "another learner",
    ),
)
