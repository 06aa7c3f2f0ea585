"""`jobs/genomics.py` in plain PySpark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pyspark.ml.clustering import KMeans
from pyspark.ml.feature import Word2Vec
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.plain.keeping import Keep
from jobs.datasets import craft, genes
from jobs.genomics import ARTICLES, LOOKED_AT, STEM, WORD, shared, similarities

SHARE = 100
LEAST = 3
DIMENSIONS = 40
PASSES = 5
WINDOW = 8
CLUSTERS = 20
SEED = 1


def sentences(spark: SparkSession) -> DataFrame:
    chosen = spark.read.json(craft(), schema=ARTICLES).where(F.pmod(F.xxhash64("pmid"), F.lit(100)) < SHARE)
    cut = chosen.select("pmid", F.posexplode(F.split("text", r"\n+|(?<=[.?!])\s+(?=[A-Z])")).alias("place", "s"))
    return cut.select("pmid", "place", F.regexp_extract_all("s", F.lit(f"({WORD})")).alias("words"))


def symbols(spark: SparkSession) -> DataFrame:
    listed = spark.read.csv(genes(), schema="gene int, type string, symbol string", header=True, sep="\t")
    named = listed.where("type = 'symbol'").select("gene", F.col("symbol").alias("name"))
    written = listed.join(named, "gene").select(
        F.upper("symbol").alias("written"), "name", (F.col("type") == "symbol").alias("official"),
    ).distinct()
    own = written.where("official").select("written", "name")
    other = written.where("NOT official").join(own.select("written"), "written", "left_anti")
    clear = other.groupBy("written").agg(F.min("name").alias("name"), F.max("name").alias("last"))
    return own.union(clear.where("name = last").select("written", "name"))


def mentions(tokens: DataFrame, symbols: DataFrame) -> DataFrame:
    gene_like = tokens.where(
        (F.length("word") >= LEAST) & (F.col("word") != F.lower("word")) & F.col("word").rlike("[A-Z].*[0-9A-Z]")
    )
    return gene_like.withColumn("written", F.upper("word")).join(symbols, "written").select(
        "pmid", "place", "at", "word", "name",
    )


def texts(tokens: DataFrame, mentions: DataFrame) -> DataFrame:
    named = tokens.join(mentions.drop("word"), ["pmid", "place", "at"], "left")
    word = F.coalesce(F.concat(F.lit("gene:"), "name"), F.lower("word"))
    together = named.groupBy("pmid", "place").agg(F.sort_array(F.collect_list(F.struct("at", word.alias("w")))))
    rows = together.toDF("pmid", "place", "pairs").select("pmid", "place", F.col("pairs.w").alias("words"))
    return rows.repartition(1).sortWithinPartitions("pmid", "place")


def gene_vectors(texts: DataFrame) -> DataFrame:
    model = Word2Vec(
        inputCol="words", outputCol="vector", vectorSize=DIMENSIONS, minCount=5, maxIter=PASSES, windowSize=WINDOW,
        seed=SEED,
    ).fit(texts)
    of_genes = model.getVectors().where("word LIKE 'gene:%'")
    named = of_genes.select(F.expr("substring(word, 6)").alias("gene"), F.col("vector").alias("features"))
    return named.repartition(1).sortWithinPartitions("gene")


def assigned(placed: DataFrame) -> DataFrame:
    groups = KMeans(k=CLUSTERS, seed=SEED, distanceMeasure="cosine").fit(placed)
    return groups.transform(placed).withColumn("features", vector_to_array(F.col("features")))


def answer(spark: SparkSession, keep: Keep) -> dict[str, object]:
    def words() -> DataFrame:
        return sentences(spark).select("pmid", "place", F.posexplode("words").alias("at", "word"))

    tokens = keep("tokens", words)
    written = keep("symbols", lambda: symbols(spark), once=True)
    marks = keep("mentions", lambda: mentions(tokens, written))
    placed = keep("vectors", lambda: gene_vectors(keep("texts", lambda: texts(tokens, marks))))
    of = keep("assigned", lambda: assigned(placed), once=True).toPandas()
    names, cosines = list(of.gene), similarities(of)
    nearest = {}
    for name in sorted(set(LOOKED_AT) & set(names)):
        ranked = cosines[names.index(name)].argsort()[::-1]
        nearest[name] = [names[place] for place in ranked if names[place] != name][:3]
    distances, labels = 1 - cosines, of.prediction.to_numpy()
    sizes = np.bincount(labels)
    means = np.stack([distances[:, labels == c].mean(axis=1) for c in np.unique(labels)], axis=1)
    own, rows = np.searchsorted(np.unique(labels), labels), np.arange(len(of))
    inside = means[rows, own] * sizes[labels] / np.maximum(sizes[labels] - 1, 1)
    means[rows, own] = np.inf
    outside = means.min(axis=1)
    scores = (outside - inside) / np.maximum(inside, outside)
    families = of.gene.str.extract(STEM)[0]
    annotations = spark.read.csv(
        str(Path(craft()).with_name("craft_pr_mentions.tsv")), header=True, sep="\t", quote="",
        schema="pmid string, spans string, pr string, text string",
    ).toPandas()
    said = marks.toPandas()
    looked_at = annotations[annotations.pmid.isin(said.pmid.unique())]
    marked = looked_at[looked_at.text.str.fullmatch(WORD) & looked_at.text.str.contains("[A-Z].*[0-9A-Z]")]
    pairs = set(zip(marked.pmid, marked.text, strict=True))
    outputs: dict[str, object] = {
        "nearest": nearest,
        "silhouette": float(np.where(sizes[labels] > 1, scores, 0.0).mean()),
        "family_lift": shared(of.prediction[families.notna()], families.dropna()) / shared(of.prediction),
        "found": len(pairs & set(zip(said.pmid, said.word, strict=True))) / len(pairs),
    }
    return outputs
