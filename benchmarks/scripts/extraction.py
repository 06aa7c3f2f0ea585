"""Edits of the extraction job."""

from __future__ import annotations

from benchmarks.scripts.edit import Change, Edit, Workload

PAIRS, FEATURES, LATE = ("known", "examples", "judged"), ("examples", "judged"), ("judged",)
JOB_END, PLAIN_END = "    return wf\n", "    return found\n"
JOB_TRAINED = 'weightCol="weight", regParam=reg,\n        maxIter=50,\n'
PLAIN_TRAINED = 'weightCol="weight", regParam=REG, maxIter=50)'
JOB_WEIGHT, PLAIN_WEIGHT = 'F.abs(vote).cast("double")', 'F.abs("vote").cast("double")'
JOB_LEAST = "[(between, 5), (around, 8), (path, 5)]"
PLAIN_LEAST = '{"between": 5, "around": 8, "path": 5}'
MARRIAGE = '"bride", "marriage", "divorce")'
FAMILY = '"grandson", "granddaughter", "bear",'


def _both(old: str, new: str) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    return ((old, new),), ((old, new),)


def _metric(name: str, returns: str, body: str) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """A look at the results at the end of both jobs; `body` is an expression of `t`, the judged candidates."""
    job = f"    @wf.reducer(output=True)\n    def {name}(judged: pd.DataFrame) -> {returns}:\n"
    job += f"        t = judged\n        return {body}\n\n{JOB_END}"
    plain = f"    t = table\n    found[{name!r}] = {body}\n{PLAIN_END}"
    return ((JOB_END, job),), ((PLAIN_END, plain),)


POOL = (
    Edit("nearer names", "preparation", (("far: int = 40", "far: int = 25"),), (("FAR = 40", "FAR = 25"),), PAIRS),
    Edit("wider window", "preparation", (("window: int = 5", "window: int = 8"),), (("WINDOW = 5", "WINDOW = 8"),),
         FEATURES),
    Edit("no window", "preparation", (("window: int = 5", "window: int = 1"),), (("WINDOW = 5", "WINDOW = 1"),),
         FEATURES),
    Edit("rarer words", "preparation", ((JOB_LEAST, "[(between, 2), (around, 4), (path, 2)]"),),
         ((PLAIN_LEAST, '{"between": 2, "around": 4, "path": 2}'),), FEATURES),
    Edit("without the path", "preparation", ((JOB_LEAST, "[(between, 5), (around, 8)]"),),
         ((PLAIN_LEAST, '{"between": 5, "around": 8}'),), FEATURES),
    Edit("more words of marriage", "preparation", *_both(MARRIAGE, '"bride", "marriage", "divorce", "couple", "bear")'),
         FEATURES),
    Edit("fewer words of family", "preparation", *_both(FAMILY, '"grandson", "granddaughter",'), FEATURES),
    Edit("without the surname", "preparation",
         (("features=[*words, distance, same_surname]", "features=[*words, distance]"),),
         (('FEATURES = ("distance", "same_surname")', 'FEATURES = ("distance",)'),), FEATURES),
    Edit("more regularisation", "learning", (("reg: float = 0.01", "reg: float = 0.1"),),
         (("REG = 0.01", "REG = 0.1"),), LATE),
    Edit("less regularisation", "learning", (("reg: float = 0.01", "reg: float = 0.001"),),
         (("REG = 0.01", "REG = 0.001"),), LATE),
    Edit("elastic net", "learning", ((JOB_TRAINED, JOB_TRAINED.replace("50", "50, elasticNetParam=0.5")),),
         ((PLAIN_TRAINED, PLAIN_TRAINED.replace("50", "50, elasticNetParam=0.5")),), LATE),
    Edit("votes count alike", "learning", ((JOB_WEIGHT, "F.least(F.abs(vote), F.lit(1)).cast(\"double\")"),),
         ((PLAIN_WEIGHT, "F.least(F.abs(\"vote\"), F.lit(1)).cast(\"double\")"),), FEATURES),
    Edit("a higher threshold", "learning", ((JOB_TRAINED, JOB_TRAINED.replace("50", "50, threshold=0.7")),),
         ((PLAIN_TRAINED, PLAIN_TRAINED.replace("50", "50, threshold=0.7")),), LATE),
    Edit("share judged right", "post-processing",
         *_metric("accuracy", "float", "float((t.guess == t.truth).mean())")),
    Edit("the surest mistakes", "post-processing",
         *_metric("sure_mistakes", "list[str]", "sorted(t.left_name[(t.truth == 0) & (t.chance > 0.98)])[:3]")),
    Edit("missed couples", "post-processing",
         *_metric("missed", "int", "int(((t.truth == 1) & (t.guess == 0)).sum())")),
    Edit("precision of the surest", "post-processing",
         *_metric("surest", "float", "float(t.truth[t.chance > 0.9].mean())")),
)

WORKLOAD = Workload(
    "extraction", ("sentences", "parsed", "known", "examples", "judged"), POOL,
    (
        "missed couples", "more words of marriage", "less regularisation", "share judged right", "wider window",
        "elastic net", "without the path", "back 5", "the surest mistakes", "votes count alike",
    ),
    # Of the passages a share that is parsed in about ten seconds on two cores: some systems parse in every iteration.
    {"share": "20"},
)
