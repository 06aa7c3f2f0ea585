"""How two versions of a node differ, in words that people recognise."""

from __future__ import annotations

import pandas as pd
from pyspark.ml.classification import LogisticRegression

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.identity.difference import changes, parts_from_json, parts_to_json
from helix_spark.identity.parts import Group, Part, digest
from helix_spark.identity.signing import describe, resolve


def part(group: Group, label: str, value: str) -> Part:
    return Part(group, label, digest(value), value)


def said(before: list[Part], after: list[Part]) -> list[str]:
    return [str(change) for change in changes(before, after)]


def test_a_changed_an_added_and_a_removed_field() -> None:
    before = [part(Group.PARAMETER, "regParam", "0.1"), part(Group.SOURCE, "data", "version 3")]
    after = [part(Group.PARAMETER, "regParam", "0.01"), part(Group.VALUE, "BINS", "10")]
    assert said(before, after) == [
        "parameter `regParam` 0.1 -> 0.01", "value `BINS` added", "source `data` removed",
    ]


def test_equal_parts_differ_in_nothing() -> None:
    parts = [part(Group.CODE, "clean", "x"), part(Group.CODE, "clean", "y")]
    assert said(parts, parts) == []


def test_repeated_labels_are_matched_in_order() -> None:
    before = [part(Group.CODE, "clean", "x"), part(Group.CODE, "clean", "y")]
    after = [part(Group.CODE, "clean", "x"), part(Group.CODE, "clean", "z")]
    assert said(before, after) == ["code of `clean` y -> z"]


def test_parts_survive_their_record() -> None:
    parts = (part(Group.PARAMETER, "regParam", "0.1"), Part(Group.CODE, "f", digest("x"), None))
    assert parts_from_json(parts_to_json(parts)) == parts


LIMIT = 1


def helper(value: int) -> int:
    return value + LIMIT


def build(reg: float = 0.1, limit: int = 1) -> hx.Workflow:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(pd.DataFrame({"a": [limit]})))
    wf.learner("model", LogisticRegression, on=data, regParam=reg, output=True)

    @wf.reducer(output=True)
    def size(data: pd.DataFrame) -> int:
        return helper(len(data))

    return wf


def texts(before: hx.Workflow, after: hx.Workflow, node: str) -> list[str]:
    signed = []
    for wf in (before, after):
        dag = compile_workflow(wf)
        signed.append(resolve(dag, describe(dag, {}), run="r", equivalent={}, known_random={})[node])
    return said(list(signed[0].parts), list(signed[1].parts))


def test_a_parameter_of_a_learner() -> None:
    assert texts(build(), build(reg=0.01), "model") == ["parameter `regParam` 0.1 -> 0.01"]


def test_new_data_shows_its_versions() -> None:
    text, = texts(build(), build(limit=2), "data")
    assert text.startswith("source `data` 1 rows, ")
    assert "->" in text
    assert texts(build(), build(limit=2), "model") == ["input `data` changed"]


def test_a_constant_that_a_helper_reads(monkeypatch: object) -> None:
    global LIMIT
    before = compile_workflow(build())
    one = resolve(before, describe(before, {}), run="r", equivalent={}, known_random={})["size"]
    LIMIT = 2
    try:
        after = compile_workflow(build())
        other = resolve(after, describe(after, {}), run="r", equivalent={}, known_random={})["size"]
    finally:
        LIMIT = 1
    text, = said(list(one.parts), list(other.parts))
    assert "LIMIT" in text
    assert text.endswith("1 -> 2")
