"""`jobs/extraction.py` in plain PySpark."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import CountVectorizer, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.plain.keeping import Keep
from jobs.datasets import fewrel, knowledgenet, spouses
from jobs.extraction import (
    CHILDREN,
    KNOWLEDGENET,
    PARSED,
    name_of,
    parse,
    passage_id,
    path_between,
    plain_name,
    says,
    span,
)

SHARE = 100
FAR = 40
WINDOW = 5
REG = 0.01
MARRIAGE = ("wife", "husband", "spouse", "marry", "wed", "widow", "widower", "bride", "marriage", "divorce")
FAMILY = (
    "brother", "sister", "father", "mother", "son", "daughter", "sibling", "parent", "child", "cousin", "uncle",
    "nephew", "grandson", "granddaughter", "bear",
)
LEAST = {"between": 5, "around": 8, "path": 5}
FEATURES = ("distance", "same_surname")


def fewrel_sentences(spark: SparkSession) -> DataFrame:
    relations = json.loads(Path(fewrel()).read_text())
    return spark.createDataFrame(pd.DataFrame([
        {
            "doc": f"fewrel-{relation}-{number}", "text": " ".join(one["tokens"]), "relation": relation,
            "facts": [
                {"s": span(one["tokens"], head), "o": span(one["tokens"], tail)}
                for head in one["h"][2] for tail in one["t"][2]
            ],
        }
        for relation, found in relations.items() for number, one in enumerate(found)
    ]), "doc string, text string, relation string, facts array<struct<s array<int>, o array<int>>>")


def parsed(passages: DataFrame, sentences: DataFrame) -> DataFrame:
    both = passages.select(passage_id().alias("doc"), "text").union(sentences.select("doc", "text"))
    chosen = both.where(F.pmod(F.xxhash64("doc"), F.lit(100)) < SHARE)
    return chosen.repartition(4, "doc").mapInPandas(parse, PARSED)


def candidates(parsed: DataFrame) -> DataFrame:
    left = parsed.select("*", F.posexplode("people").alias("i", "left"))
    pairs = left.select("*", F.posexplode("people").alias("j", "right")).drop("people")
    near = F.col("right.begin") - F.col("left.end")
    together = F.col("sentences")[F.col("left.begin")] == F.col("sentences")[F.col("right.begin")]
    named = pairs.where((F.col("i") < F.col("j")) & together & near.between(0, FAR)).withColumns({
        "left_name": name_of("left"), "right_name": name_of("right"),
    })
    return named.where("left_name <> right_name").drop("i", "j", "sentences")


def known(spark: SparkSession, found: DataFrame, passages: DataFrame, sentences: DataFrame) -> DataFrame:
    raw = spark.read.csv(spouses(), schema="one string, other string")
    pairs = raw.select(plain_name(F.col("one")).alias("left_name"), plain_name(F.col("other")).alias("right_name"))
    couples = pairs.union(pairs.select("right_name", "left_name")).distinct()
    people = couples.select("left_name").distinct()
    searched = passages.where("array_contains(annotated, 'SPOUSE')").select(
        passage_id().alias("doc"),
        F.expr("transform(filter(facts, f -> f.prop = 'SPOUSE'), f -> struct(f.s, f.o))").alias("facts"),
        F.lit(True).alias("couple"), F.lit(True).alias("complete"),
    )
    judgements = searched.union(sentences.select("doc", "facts", F.col("relation") == "P26", F.lit(False)))
    joined = (
        found.join(couples.withColumn("are_couple", F.lit(True)), ["left_name", "right_name"], "left")
        .join(people.withColumn("left_known", F.lit(True)), "left_name", "left")
        .join(people.toDF("right_name").withColumn("right_known", F.lit(True)), "right_name", "left")
        .join(judgements, "doc", "left")
    )
    is_marked = F.expr(
        "exists(facts, f -> (f.s[0] < left_to AND left_at < f.s[1] AND f.o[0] < right_to AND right_at < f.o[1])"
        " OR (f.o[0] < left_to AND left_at < f.o[1] AND f.s[0] < right_to AND right_at < f.s[1]))"
    )
    told = joined.withColumns({
        "left_at": F.col("starts")[F.col("left.begin")], "left_to": F.col("ends")[F.col("left.end") - 1],
        "right_at": F.col("starts")[F.col("right.begin")], "right_to": F.col("ends")[F.col("right.end") - 1],
    }).withColumn("truth", F.when(is_marked, F.col("couple").cast("double")).when(F.col("complete"), F.lit(0.0)))
    return told.drop("facts", "couple", "complete", "starts", "ends")


def words() -> dict[str, Column]:
    start, end = F.col("left.end"), F.col("right.begin")
    begin = F.greatest(F.col("left.begin") - WINDOW, F.lit(0))
    before = F.slice("lemmas", begin + 1, F.col("left.begin") - begin)
    after = F.slice("lemmas", F.col("right.end") + 1, F.lit(WINDOW))
    return {
        "between": F.transform(F.slice("lemmas", start + 1, end - start), F.lower),
        "around": F.concat(
            F.transform(before, lambda word: F.concat(F.lit("before "), F.lower(word))),
            F.transform(after, lambda word: F.concat(F.lit("after "), F.lower(word))),
        ),
        "path": F.udf(path_between, "array<string>", useArrow=True)(
            "heads", "deps", "lemmas", "left.begin", "left.end", "right.begin", "right.end",
        ),
    }


def vote() -> Column:
    gap = F.col("right.begin") - F.col("left.end")
    parents = says(F.col("around"), CHILDREN) & says(F.col("between"), ("and",)) & (gap <= 4)
    marriage, family = says(F.col("between"), MARRIAGE), says(F.col("between"), FAMILY)
    couple = F.coalesce("are_couple", F.lit(False))
    strangers = F.coalesce(F.col("left_known") & F.col("right_known"), F.lit(False)) & ~couple
    return (
        F.when(couple, 2).otherwise(0) + F.when(marriage & ~family & (gap <= 12), 1).otherwise(0)
        + F.when(parents, 1).otherwise(0)
        - F.when(strangers, 1).otherwise(0) - F.when(family & ~marriage, 1).otherwise(0)
        - F.when(~marriage & (gap > 12), 1).otherwise(0)
    )


def examples(rows: DataFrame) -> DataFrame:
    last = F.substring_index("left_name", " ", -1) == F.substring_index("right_name", " ", -1)
    rows = rows.withColumns(words()).withColumns({
        "distance": F.log1p(F.col("right.begin") - F.col("left.end")), "same_surname": last.cast("double"),
        "vote": vote(), "test": F.pmod(F.xxhash64("doc", F.lit(1)), F.lit(1_000_000)) < 500_000,
    }).withColumns({"weight": F.abs("vote").cast("double"), "label": (F.col("vote") > 0).cast("double")}).cache()
    counts = [
        CountVectorizer(inputCol=name, outputCol=f"{name}_words", minDF=float(least), binary=True)
        for name, least in LEAST.items()
    ]
    vectors = VectorAssembler(inputCols=[*(f"{name}_words" for name in LEAST), *FEATURES], outputCol="features")
    made = Pipeline(stages=[*counts, vectors]).fit(rows).transform(rows)
    return made.select("features", "label", "weight", "test", "truth", "left_name", "right_name", "doc")


def judged(examples: DataFrame) -> DataFrame:
    model = LogisticRegression(weightCol="weight", regParam=REG, maxIter=50).fit(examples.where("NOT test"))
    scored: DataFrame = model.transform(examples.where("test AND truth IS NOT NULL"))
    return scored.select(
        "doc", "left_name", "right_name", "truth", F.col("prediction").alias("guess"),
        F.element_at(vector_to_array(F.col("probability")), 2).alias("chance"),
    )


def answer(spark: SparkSession, keep: Keep) -> dict[str, object]:
    def assembled() -> DataFrame:
        passages = spark.read.json(knowledgenet(), schema=KNOWLEDGENET)
        sentences = keep("sentences", lambda: fewrel_sentences(spark))
        grammar = keep("parsed", lambda: parsed(passages, sentences))
        return examples(keep("known", lambda: known(spark, candidates(grammar), passages, sentences), once=True))

    table = keep("judged", lambda: judged(keep("examples", assembled)), once=True).toPandas()
    right = float(((table.guess == 1) & (table.truth == 1)).sum())
    outputs: dict[str, object] = {
        "precision": float(table.truth[table.guess == 1].mean()),
        "recall": float(table.guess[table.truth == 1].mean()),
        "f1": 2 * right / float((table.guess == 1).sum() + (table.truth == 1).sum()),
    }
    return outputs
