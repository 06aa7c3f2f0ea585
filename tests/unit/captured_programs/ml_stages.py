"""Stages of Spark ML in functions of tables."""

from __future__ import annotations

from pyspark.ml.feature import (
    Binarizer,
    Bucketizer,
    ElementwiseProduct,
    FeatureHasher,
    HashingTF,
    NGram,
    Normalizer,
    PolynomialExpansion,
    RegexTokenizer,
    SQLTransformer,
    StopWordsRemover,
    Tokenizer,
    VectorAssembler,
    VectorSizeHint,
    VectorSlicer,
)
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame


def assembled(rows: DataFrame) -> DataFrame:
    made = VectorAssembler(inputCols=["id", "v2"], outputCol="features", handleInvalid="keep").transform(rows)
    return made.select("id", "features")


def bucketed(rows: DataFrame) -> DataFrame:
    stage = Bucketizer(splits=[-float("inf"), 0.0, 1.0, float("inf")], inputCol="v2", outputCol="bucket")
    return stage.setHandleInvalid("keep").transform(rows).select("id", "bucket")


def bucketed_many(rows: DataFrame) -> DataFrame:
    splits = [[0.0, 1.0, 1e9], [-1e9, 0.0, 1e9]]
    stage = Bucketizer(splitsArray=splits, inputCols=["id2", "v2"], outputCols=["a", "b"], handleInvalid="keep")
    return stage.transform(rows.withColumn("id2", rows.id.cast("double"))).select("id", "a", "b")


def by_sql(rows: DataFrame) -> DataFrame:
    return SQLTransformer(statement="SELECT id, v2 * 2 AS twice FROM __THIS__ WHERE v2 > 0").transform(rows)


def tokenized(rows: DataFrame) -> DataFrame:
    words = Tokenizer(inputCol="k", outputCol="words").transform(rows.na.fill("", ["k"]))
    words = StopWordsRemover(inputCol="words", outputCol="kept", stopWords=["a"]).transform(words)
    words = NGram(n=2, inputCol="kept", outputCol="grams").transform(words)
    return HashingTF(inputCol="kept", outputCol="tf", numFeatures=16, binary=True).transform(words).select("id", "tf",
        "grams")


def tokenized_by_regex(rows: DataFrame) -> DataFrame:
    stage = RegexTokenizer(inputCol="k", outputCol="words", pattern="\\W", minTokenLength=0)
    return stage.transform(rows.na.fill("", ["k"])).select("id", "words")


def hashed(rows: DataFrame) -> DataFrame:
    return FeatureHasher(inputCols=["k", "v2"], outputCol="h", numFeatures=32).transform(rows).select("id", "h")


def vectors(rows: DataFrame) -> DataFrame:
    found = VectorAssembler(inputCols=["id", "v2"], outputCol="raw", handleInvalid="keep").transform(rows)
    found = VectorSizeHint(inputCol="raw", size=2, handleInvalid="skip").transform(found)
    found = Normalizer(p=1.0, inputCol="raw", outputCol="unit").transform(found)
    found = PolynomialExpansion(degree=2, inputCol="unit", outputCol="poly").transform(found)
    found = VectorSlicer(inputCol="poly", outputCol="part", indices=[0, 2]).transform(found)
    scale = ElementwiseProduct(scalingVec=Vectors.dense([2.0, 3.0]), inputCol="part", outputCol="scaled")
    return scale.transform(found).select("id", "scaled", "part")


def binarized(rows: DataFrame) -> DataFrame:
    return Binarizer(threshold=0.5, inputCol="v2", outputCol="big").transform(rows).select("id", "big")

