"""Edits of the genomics job."""

from __future__ import annotations

from benchmarks.scripts.edit import Change, Edit, Workload

CLUSTERS = ("assigned",)
VECTORS = ("vectors", *CLUSTERS)
TEXTS = ("mentions", "texts", *VECTORS)
JOB_END, PLAIN_END = "    return wf\n", "    return found\n"
JOB_KMEANS, PLAIN_KMEANS = 'seed=seed, distanceMeasure="cosine",', 'seed=SEED, distanceMeasure="cosine")'
GENE_LIKE = 'F.col("word").rlike("[A-Z].*[0-9A-Z]")'


def _metric(name: str, returns: str, body: str) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """A look at the results at the end of both jobs; `body` is an expression of `a`, the genes and their clusters."""
    job = f"    @wf.reducer(output=True)\n    def {name}(assigned: pd.DataFrame) -> {returns}:\n"
    job += f"        a = assigned\n        return {body}\n\n{JOB_END}"
    plain = f"    a = of\n    found[{name!r}] = {body}\n{PLAIN_END}"
    return ((JOB_END, job),), ((PLAIN_END, plain),)


def _setting(name: str, old: str, new: str) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    job = (f"{name}: int = {old}", f"{name}: int = {new}")
    return (job,), ((f"{name.upper()} = {old}", f"{name.upper()} = {new}"),)


POOL = (
    Edit("longer symbols", "preparation", *_setting("least", "3", "4"), TEXTS),
    Edit("symbols in capitals", "preparation", ((GENE_LIKE, 'F.col("word").rlike("[A-Z][A-Z].*")'),),
         ((GENE_LIKE, 'F.col("word").rlike("[A-Z][A-Z].*")'),), TEXTS),
    Edit("more dimensions", "preparation", *_setting("dimensions", "40", "60"), VECTORS),
    Edit("fewer dimensions", "preparation", *_setting("dimensions", "40", "25"), VECTORS),
    Edit("a narrower window", "preparation", (("windowSize=8", "windowSize=5"),), (("WINDOW = 8", "WINDOW = 5"),),
         VECTORS),
    Edit("fewer clusters", "learning", *_setting("clusters", "20", "12"), CLUSTERS),
    Edit("more clusters", "learning", *_setting("clusters", "20", "30"), CLUSTERS),
    Edit("plain distances", "learning", ((JOB_KMEANS, JOB_KMEANS.replace("cosine", "euclidean")),),
         ((PLAIN_KMEANS, PLAIN_KMEANS.replace("cosine", "euclidean")),), CLUSTERS),
    Edit("fewer steps", "learning", ((JOB_KMEANS, JOB_KMEANS + " maxIter=5,"),),
         ((PLAIN_KMEANS, PLAIN_KMEANS.replace('"cosine"', '"cosine", maxIter=5')),), CLUSTERS),
    Edit("the largest cluster", "post-processing",
         *_metric("largest", "float", "float(a.groupby('prediction').size().max() / len(a))")),
    Edit("how many genes", "post-processing", *_metric("genes_placed", "int", "len(a)")),
    Edit("genes beside a known one", "post-processing",
         *_metric("beside", "int", "int((a.prediction == a.prediction[a.gene == 'PAX6'].sum()).sum())")),
    Edit("other genes to look at", "post-processing", (('"PAX6", "BRCA1", "SHH"', '"PAX6", "SOX9", "TP53"'),),
         (("in sorted(set(LOOKED_AT)",
           'in sorted({"PAX6", "SOX9", "TP53", "KIT", "MYC"}'),)),
)

WORKLOAD = Workload(
    "genomics", ("tokens", "symbols", "mentions", "texts", "vectors", "assigned"), POOL,
    (
        "fewer clusters", "the largest cluster", "more dimensions", "how many genes", "longer symbols",
        "plain distances", "a narrower window", "back 5", "other genes to look at", "more clusters",
    ),
    {"share": "40"},
)
