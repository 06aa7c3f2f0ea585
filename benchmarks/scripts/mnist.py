"""Edits of the mnist job, with its seed: without one the answers of two systems cannot be compared."""

from __future__ import annotations

from benchmarks.scripts.edit import Change, Edit, Workload

ALL, FEATURES, LATE = ("images", "waves", "predictions"), ("waves", "predictions"), ("predictions",)
JOB_END, PLAIN_END = "    return wf\n", "    return found\n"
JOB_MODEL, PLAIN_MODEL = "regParam=reg, maxIter=30)", "regParam=REG, maxIter=30)"


def _metric(name: str, returns: str, body: str) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """A look at the results at the end of both jobs; `body` is an expression of `p`, the scored rows."""
    job = f"    @wf.reducer(output=True)\n    def {name}(predictions: pd.DataFrame) -> {returns}:\n"
    job += f"        p = predictions\n        return {body}\n\n{JOB_END}"
    plain = f"    p = scored\n    found[{name!r}] = {body}\n{PLAIN_END}"
    return ((JOB_END, job),), ((PLAIN_END, plain),)


def _setting(name: str, old: str, new: str, job_type: str) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    job = (f"{name}: {job_type} = {old}", f"{name}: {job_type} = {new}")
    return (job,), ((f"{name.upper()} = {old}", f"{name.upper()} = {new}"),)


POOL = (
    Edit("more dimensions", "preparation", *_setting("dimensions", "500", "700", "int"), FEATURES),
    Edit("fewer dimensions", "preparation", *_setting("dimensions", "500", "300", "int"), FEATURES),
    Edit("wider kernel", "preparation", *_setting("gamma", "0.005", "0.003", "float"), FEATURES),
    Edit("narrower kernel", "preparation", *_setting("gamma", "0.005", "0.01", "float"), FEATURES),
    Edit("another draw", "preparation", *_setting("seed", "1", "2", "int | None"), FEATURES),
    Edit("more regularisation", "learning", *_setting("reg", "0.0005", "0.005", "float"), LATE),
    Edit("no regularisation", "learning", *_setting("reg", "0.0005", "0.0", "float"), LATE),
    Edit("more iterations", "learning", ((JOB_MODEL, JOB_MODEL.replace("30", "45")),),
         ((PLAIN_MODEL, PLAIN_MODEL.replace("30", "45")),), LATE),
    Edit("elastic net", "learning", ((JOB_MODEL, JOB_MODEL.replace("30", "30, elasticNetParam=0.1")),),
         ((PLAIN_MODEL, PLAIN_MODEL.replace("30", "30, elasticNetParam=0.1")),), LATE),
    Edit("the worst digit", "post-processing",
         *_metric("worst", "float", "float((p.prediction == p.label).groupby(p.label).mean().min())")),
    Edit("how sure", "post-processing", *_metric("sure", "float", "float(p.probability.apply(max).mean())")),
    Edit("sure and wrong", "post-processing",
         *_metric("sure_and_wrong", "float",
                  "float(((p.probability.apply(max) > 0.9) & (p.prediction != p.label)).mean())")),
    Edit("digits by digit", "post-processing",
         *_metric("by_digit", "list[float]",
                  "[round(float(x), 2) for x in (p.prediction == p.label).groupby(p.label).mean()]")),
)

WORKLOAD = Workload(
    "mnist", ("images", "waves", "predictions"), POOL,
    (
        "the worst digit", "more regularisation", "wider kernel", "how sure", "more iterations", "fewer dimensions",
        "back 3", "sure and wrong", "another draw", "elastic net",
    ),
    {"size": "5000"},
)
