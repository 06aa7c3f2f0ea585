"""Which genes belong together? Vectors of genes out of articles, clustered, after Helix's genomics workflow.

    helix run jobs/genomics.py
    helix run jobs/genomics.py --set clusters=12
    helix run jobs/genomics.py --set dimensions=50
    spark-submit jobs/genomics.py

90 articles of biomedicine are cut into sentences and words; words that a list of genes knows become genes; word2vec
places genes that stand among the same words close to each other; KMeans groups them.

Nobody has said which genes belong together, so two measures stand for quality. Of the names that CRAFT's annotators
marked, those of one word which are not written like plain words, the list finds two of three (`found`: 0.69 with the
defaults; insulin and Pten are not looked for and not counted). Genes of one family (the symbols up to their number:
BRCA1, BRCA2) share a cluster several times as often as chance has it (`family_lift`), though no symbol is looked into
when they are clustered.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from pyspark.ml.feature import Word2VecModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

sys.path.append(str(Path(__file__).resolve().parent.parent))  # so that `jobs` is found however this file is started

import helix_spark as hx
from jobs.datasets import craft, genes

if TYPE_CHECKING:
    import numpy as np

ARTICLES = "pmid string, text string"
WORD = r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*"
LOOKED_AT = ("PAX6", "BRCA1", "SHH", "KIT", "MYC")
STEM = re.compile(r"^([A-Z]{2,})\d")


def genomics(
    path: str = "", share: int = 100, least: int = 3, dimensions: int = 40, passes: int = 5, clusters: int = 20,
    seed: int = 1,
) -> hx.Workflow:
    """The workflow.

    `path`: a folder with files of your own in the place of the public ones; `share`: per cent of the articles; `least`:
    letters and digits of a word that may be a symbol; `dimensions`: of the vectors; `passes`: of word2vec over the
    text; `clusters`: how many; `seed`: of both learners, which makes each run give the same vectors.
    """
    wf = hx.Workflow("genomics")
    articles = craft(path)
    wf.source("articles", hx.json(articles, schema=ARTICLES))
    wf.source("gene_list", hx.csv(genes(path), schema="gene int, type string, symbol string", header=True, sep="\t"))
    wf.source("annotations", hx.csv(
        str(Path(articles).with_name("craft_pr_mentions.tsv")), schema="pmid string, spans string, pr string, "
        "text string", header=True, sep="\t", quote="",
    ))

    @wf.scanner
    def sentences(articles: DataFrame) -> DataFrame:
        """One row a sentence, with its words in order."""
        chosen = articles.where(F.pmod(F.xxhash64("pmid"), F.lit(100)) < share)
        cut = chosen.select("pmid", F.posexplode(F.split("text", r"\n+|(?<=[.?!])\s+(?=[A-Z])")).alias("place", "s"))
        return cut.select("pmid", "place", F.regexp_extract_all("s", F.lit(f"({WORD})")).alias("words"))

    @wf.scanner
    def symbols(gene_list: DataFrame) -> DataFrame:
        """What is written -> the gene's symbol. A synonym that two genes share, or that is a symbol, says nothing."""
        named = gene_list.where("type = 'symbol'").select("gene", F.col("symbol").alias("name"))
        written = gene_list.join(named, "gene").select(
            F.upper("symbol").alias("written"), "name", (F.col("type") == "symbol").alias("official"),
        ).distinct()
        own = written.where("official").select("written", "name")
        other = written.where("NOT official").join(own.select("written"), "written", "left_anti")
        clear = other.groupBy("written").agg(F.min("name").alias("name"), F.max("name").alias("last"))
        return own.union(clear.where("name = last").select("written", "name"))

    @wf.scanner
    def tokens(sentences: DataFrame) -> DataFrame:
        """One row a word."""
        return sentences.select("pmid", "place", F.posexplode("words").alias("at", "word"))

    @wf.synthesizer
    def mentions(tokens: DataFrame, symbols: DataFrame) -> DataFrame:
        """Words that name a gene: in the list, long enough, and not written as plain words are (the, Cell)."""
        gene_like = tokens.where(
            (F.length("word") >= least) & (F.col("word") != F.lower("word")) & F.col("word").rlike("[A-Z].*[0-9A-Z]")
        )
        return gene_like.withColumn("written", F.upper("word")).join(symbols, "written").select(
            "pmid", "place", "at", "word", "name",
        )

    @wf.synthesizer
    def texts(tokens: DataFrame, mentions: DataFrame) -> DataFrame:
        """Sentences again, with genes in the place of their mentions and other words in lower case."""
        named = tokens.join(mentions.drop("word"), ["pmid", "place", "at"], "left")
        word = F.coalesce(F.concat(F.lit("gene:"), "name"), F.lower("word"))
        together = named.groupBy("pmid", "place").agg(F.sort_array(F.collect_list(F.struct("at", word.alias("w")))))
        rows = together.toDF("pmid", "place", "pairs").select("pmid", "place", F.col("pairs.w").alias("words"))
        return rows.repartition(1).sortWithinPartitions("pmid", "place")

    wf.learner(
        "vectors", "pyspark.ml.feature.Word2Vec", on=texts, inputCol="words", outputCol="vector",
        vectorSize=dimensions, minCount=5, maxIter=passes, windowSize=8, seed=seed,
    )

    @wf.scanner
    def gene_vectors(vectors: Word2VecModel) -> DataFrame:
        """One row a gene; every word of the texts has a vector, and only genes are clustered."""
        of_genes = vectors.getVectors().where("word LIKE 'gene:%'")
        named = of_genes.select(F.expr("substring(word, 6)").alias("gene"), F.col("vector").alias("features"))
        return named.repartition(1).sortWithinPartitions("gene")  # the order decides where KMeans begins

    groups = wf.learner(
        "groups", "pyspark.ml.clustering.KMeans", on=gene_vectors, k=clusters, seed=seed, distanceMeasure="cosine",
    )
    wf.predict("assigned", groups, gene_vectors)

    @wf.reducer(output=True)
    def nearest(gene_vectors: pd.DataFrame) -> dict[str, list[str]]:
        """For some genes those whose vectors point most nearly the same way."""
        names, cosines = list(gene_vectors.gene), similarities(gene_vectors)
        found = {}
        for name in sorted(set(LOOKED_AT) & set(names)):
            order = cosines[names.index(name)].argsort()[::-1]
            found[name] = [names[place] for place in order if names[place] != name][:3]
        return found

    @wf.reducer(output=True)
    def silhouette(gene_vectors: pd.DataFrame, assigned: pd.DataFrame) -> float:
        """How much nearer a gene is to its own cluster than to the next one, from -1 to 1, by cosine distance."""
        import numpy as np

        of = gene_vectors.merge(assigned[["gene", "prediction"]], on="gene")
        distances, labels = 1 - similarities(of), of.prediction.to_numpy()
        own_size = np.bincount(labels)
        means = np.stack([distances[:, labels == c].mean(axis=1) for c in np.unique(labels)], axis=1)
        own = np.searchsorted(np.unique(labels), labels)
        rows = np.arange(len(of))
        inside = means[rows, own] * own_size[labels] / np.maximum(own_size[labels] - 1, 1)  # without itself
        means[rows, own] = np.inf
        outside = means.min(axis=1)
        scores = (outside - inside) / np.maximum(inside, outside)
        return float(np.where(own_size[labels] > 1, scores, 0.0).mean())

    @wf.reducer(output=True)
    def family_lift(assigned: pd.DataFrame) -> float:
        """How many times as often as any two genes do two of one family share a cluster."""
        families = assigned.gene.str.extract(STEM)[0]
        return shared(assigned.prediction[families.notna()], families.dropna()) / shared(assigned.prediction)

    @wf.reducer(output=True)
    def found(mentions: pd.DataFrame, annotations: pd.DataFrame) -> float:
        """Of the annotators' names of one word, but for those like plain words, the share found in the same article."""
        looked_at = annotations[annotations.pmid.isin(mentions.pmid.unique())]
        marked = looked_at[looked_at.text.str.fullmatch(WORD) & looked_at.text.str.contains("[A-Z].*[0-9A-Z]")]
        pairs = set(zip(marked.pmid, marked.text, strict=True))
        return len(pairs & set(zip(mentions.pmid, mentions.word, strict=True))) / len(pairs)

    return wf


def similarities(vectors: pd.DataFrame) -> np.ndarray:
    """Cosines between all rows' `features`."""
    import numpy as np

    rows = np.stack([np.asarray(vector) for vector in vectors.features])
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines: np.ndarray = units @ units.T
    return cosines


def shared(clusters: pd.Series, families: pd.Series | None = None) -> float:
    """The share of pairs (of one family, if any are given) that are in one cluster.

    >>> shared(pd.Series([0, 0, 1])), shared(pd.Series([0, 0, 1]), pd.Series(["A", "A", "B"]))
    (0.3333333333333333, 1.0)
    """
    of = pd.DataFrame({"cluster": clusters, "family": "" if families is None else families})
    together = of.groupby(["family", "cluster"]).size()
    every = of.groupby("family").size()
    return float((together * (together - 1)).sum() / (every * (every - 1)).sum())


if __name__ == "__main__":
    hx.main(genomics)
