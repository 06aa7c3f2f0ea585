"""Edits of the flights job."""

from __future__ import annotations

from benchmarks.scripts.edit import Change, Edit, Workload

ALL, FEATURES, LATE = ("situations", "examples", "predictions"), ("examples", "predictions"), ("predictions",)
JOB_END, PLAIN_END = "    return wf\n", "    return found\n"
JOB_MODEL, PLAIN_MODEL = "regParam=reg, maxIter=30)", "regParam=REG, maxIter=30)"
NUMBERS = "damp, haze, low, age, miles]"
PLAIN_NUMBERS = '"damp", "haze", "low", "age", "distance")'
JOB_RAIN, PLAIN_RAIN = "F.coalesce(situations.precip, F.lit(0.0)) * 100)", 'F.coalesce("precip", F.lit(0.0)) * 100)'
JOB_AGE = "return 2013 - F.coalesce(situations.built, F.lit(2001))"
PLAIN_AGE = '"age": 2013 - F.coalesce("built", F.lit(2001)),'
KNOWN = 'where("arr_delay IS NOT NULL")'


def _both(old: str, new: str) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    return ((old, new),), ((old, new),)


def _metric(name: str, returns: str, body: str) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """A look at the results at the end of both jobs; `body` is an expression of `p`, the scored rows."""
    job = f"    @wf.reducer(output=True)\n    def {name}(predictions: pd.DataFrame) -> {returns}:\n"
    job += f"        p = predictions\n        return {body}\n\n{JOB_END}"
    plain = f"    p = scored\n    found[{name!r}] = {body}\n{PLAIN_END}"
    return ((JOB_END, job),), ((PLAIN_END, plain),)


POOL = (
    Edit("later is late", "preparation", (("late: int = 15", "late: int = 30"),), (("LATE = 15", "LATE = 30"),),
         FEATURES),
    Edit("finer hours", "preparation", (("bins=12", "bins=24"),), (("BINS = 12", "BINS = 24"),), FEATURES),
    Edit("without the plane", "preparation", ((NUMBERS, "damp, haze, low, miles]"),),
         ((PLAIN_NUMBERS, '"damp", "haze", "low", "distance")'),), FEATURES),
    Edit("any rain", "preparation", ((JOB_RAIN, JOB_RAIN.replace("* 100", "* 1000")),),
         ((PLAIN_RAIN, PLAIN_RAIN.replace("* 100", "* 1000")),), FEATURES),
    Edit("old planes", "preparation", ((JOB_AGE, JOB_AGE.replace("return ", "return F.log1p(") + ")"),),
         ((PLAIN_AGE, PLAIN_AGE.replace("2013", "F.log1p(2013").rstrip(",") + "),"),), FEATURES),
    Edit("without outliers", "preparation", *_both(KNOWN, 'where("arr_delay IS NOT NULL AND arr_delay < 600")'), ALL),
    Edit("more regularisation", "learning", (("reg: float = 0.01", "reg: float = 0.1"),),
         (("REG = 0.01", "REG = 0.1"),), LATE),
    Edit("less regularisation", "learning", (("reg: float = 0.01", "reg: float = 0.001"),),
         (("REG = 0.01", "REG = 0.001"),), LATE),
    Edit("fewer iterations", "learning", ((JOB_MODEL, JOB_MODEL.replace("30", "15")),),
         ((PLAIN_MODEL, PLAIN_MODEL.replace("30", "15")),), LATE),
    Edit("elastic net", "learning", ((JOB_MODEL, JOB_MODEL.replace("30", "30, elasticNetParam=0.2")),),
         ((PLAIN_MODEL, PLAIN_MODEL.replace("30", "30, elasticNetParam=0.2")),), LATE),
    Edit("share of late flights", "post-processing", *_metric("late_share", "float", "float(p.label.mean())")),
    Edit("accuracy", "post-processing", *_metric("accuracy", "float", "float((p.prediction == p.label).mean())")),
    Edit("calibration", "post-processing",
         *_metric("calibration", "float", "float(abs(p.probability.str[1].mean() - p.label.mean()))")),
    Edit("the likeliest tenth", "post-processing",
         *_metric("likeliest", "float", "float(p.label[p.probability.str[1].rank(pct=True) > 0.9].mean())")),
)

WORKLOAD = Workload(
    "flights", ("situations", "examples", "predictions"), POOL,
    (
        "accuracy", "finer hours", "more regularisation", "the likeliest tenth", "later is late", "elastic net",
        "without outliers", "back 5", "calibration", "less regularisation",
    ),
)
