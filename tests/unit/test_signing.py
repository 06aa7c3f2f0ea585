"""Signatures through the graph: an edit touches its node and what is downstream of it, and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from inspect import isfunction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.ml import Pipeline, Transformer
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.clustering import KMeans
from pyspark.ml.feature import SQLTransformer
from pyspark.ml.param import Param, Params
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.answers.capture_nodes import capture_nodes
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.node import Dag
from helix_spark.errors import SourceError
from helix_spark.identity import data_version, signing
from helix_spark.identity.code import Description
from helix_spark.identity.data_version import WHOLE_BYTES, files_of, identify
from helix_spark.identity.objects.encoder import canonical
from helix_spark.identity.parts import digest
from helix_spark.identity.signing import Signed, describe, resolve
from helix_spark.regular_files import HASHED_BYTES, SAMPLED_BYTES, SAMPLES, sample_places

SETTINGS = {"spark.sql.ansi.enabled": "true"}
NOBODY = pd.DataFrame()


@dataclass(frozen=True)
class Version:
    """One version of a small census workflow; each field is something that an author edits."""

    path: str
    sep: str = ","
    scale: int = 1
    bins: int = 4
    reg: float = 0.1
    test: float = 0.2
    digits: int = 3
    rows_name: str = "rows"

    def workflow(self) -> hx.Workflow:
        wf = hx.Workflow("w")
        scale, digits = self.scale, self.digits
        wf.source("data", hx.csv(self.path, schema="age double, sex string", sep=self.sep))

        def scaled(data: DataFrame) -> DataFrame:
            return data.withColumn("age", data.age * scale)

        rows = wf.scanner(name=self.rows_name)(scaled)
        age = wf.extractor("age", hx.Bucketizer("age", bins=self.bins), on=rows)
        sex = wf.extractor("sex", hx.OneHot("sex"), on=rows)
        examples = wf.synthesizer(
            "examples", rows, features=[age, sex], label="sex = 'F'", split=hx.HashSplit(test=self.test)
        )
        model = wf.learner("model", LogisticRegression, on=examples, regParam=self.reg)
        wf.predict("predictions", model, examples)

        @wf.reducer(output=True)
        def accuracy(predictions: pd.DataFrame) -> float:
            return round(float((predictions.prediction == predictions.label).mean()), digits)

        return wf


def sign(wf: hx.Workflow, settings: dict[str, str] = SETTINGS, run: str = "run", **known: Any) -> dict[str, Signed]:
    dag = compile_workflow(wf)
    known = {"equivalent": {}, "known_random": {}} | known
    return resolve(dag, describe(dag, settings), run=run, **known)


def signatures(wf: hx.Workflow, settings: dict[str, str] = SETTINGS) -> dict[str, str]:
    return {name: own.signature for name, own in sign(wf, settings).items()}


@pytest.fixture
def version(tmp_path: Path) -> Version:
    file = tmp_path / "adult.data"
    file.write_text("39,F\n17,M\n")
    return Version(str(file))


def downstream(dag: Dag, name: str) -> set[str]:
    return {name, *dag.descendants([name])}


@pytest.mark.parametrize(
    ("edit", "node"),
    [
        ({"sep": ";"}, "data"), ({"scale": 2}, "rows"), ({"bins": 5}, "age.fit"), ({"test": 0.3}, "examples"),
        ({"reg": 0.01}, "model"), ({"digits": 2}, "accuracy"),
    ],
    ids=lambda edit: str(edit),
)
def test_an_edit_touches_its_node_and_its_descendants_alone(version: Version, edit: dict[str, Any], node: str) -> None:
    before, after = signatures(version.workflow()), signatures(replace(version, **edit).workflow())
    changed = {name for name in before if before[name] != after[name]}
    assert changed == downstream(compile_workflow(version.workflow()), node)


def test_the_same_declared_twice_has_the_same_signatures(version: Version) -> None:
    assert signatures(version.workflow()) == signatures(version.workflow())


def test_the_name_of_a_node_is_no_part_of_any_signature(version: Version) -> None:
    before, after = signatures(version.workflow()), signatures(replace(version, rows_name="people").workflow())
    assert before.pop("rows") == after.pop("people")
    assert before == after


def test_new_data_touches_everything_downstream_of_it(version: Version) -> None:
    before = signatures(version.workflow())
    Path(version.path).write_text("39,F\n18,M\n")
    after = signatures(version.workflow())
    assert {name for name in before if before[name] == after[name]} == set()


def test_the_same_data_elsewhere_is_the_same_data(version: Version, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    moved = tmp_path / "elsewhere" / "adult.data"
    moved.write_bytes(Path(version.path).read_bytes())
    assert signatures(version.workflow()) == signatures(replace(version, path=str(moved)).workflow())


def test_a_setting_that_changes_results_touches_what_spark_computes(version: Version) -> None:
    before = signatures(version.workflow())
    after = signatures(version.workflow(), {"spark.sql.ansi.enabled": "false"})
    assert all(before[name] != after[name] for name in before)


def test_input_order_counts() -> None:
    table = pd.DataFrame({"a": [1]})

    def build(swapped: bool) -> hx.Workflow:
        wf = hx.Workflow("w")
        wf.source("one", hx.table(table))
        wf.source("two", hx.table(pd.DataFrame({"a": [2]})))

        def first_minus_second(one: pd.DataFrame, two: pd.DataFrame) -> float:
            return float((one.a - two.a).sum())

        def second_minus_first(two: pd.DataFrame, one: pd.DataFrame) -> float:
            return float((one.a - two.a).sum())

        wf.reducer(name="difference", output=True)(second_minus_first if swapped else first_minus_second)
        return wf

    assert signatures(build(False))["difference"] != signatures(build(True))["difference"]


def extracted(make: Callable[[DataFrame], Column], **wishes: Any) -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))
    column = wf.extractor(name="column", **wishes)(make)
    wf.synthesizer("examples", hx.NodeRef(wf, "data"), features=[column], output=True)
    return wf


# What is said of rows, of kept columns and of storing


def predicted(
    by_name: bool = False, learned: dict[str, Any] | None = None, scored: dict[str, Any] | None = None,
    split: hx.HashSplit | None = None,
) -> dict[str, str]:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))
    a = wf.extractor("a_of", hx.Fields("a"), on=data)
    examples = wf.synthesizer("examples", data, features=[a], label="a", split=split)
    model = wf.learner("model", LogisticRegression, on="examples" if by_name else examples, **(learned or {}))
    wf.output(wf.predict("predictions", model, "examples" if by_name else examples, **(scored or {})))
    dag = capture_nodes(compile_workflow(wf), SETTINGS).dag  # a column `split` would count
    signed = resolve(dag, describe(dag, SETTINGS), run="run", equivalent={}, known_random={})
    return {name: own.signature for name, own in signed.items()}


@pytest.mark.parametrize("split", [None, hx.HashSplit()])
def test_naming_examples_by_text_says_the_same(split: hx.HashSplit | None) -> None:
    assert predicted(split=split) == predicted(by_name=True, split=split)


def test_rows_that_are_said_are_the_same_as_rows_that_follow_from_the_split() -> None:
    assert predicted() == predicted(learned={"rows": "all"}, scored={"rows": "all"})
    of_split = predicted(split=hx.HashSplit(), learned={"rows": "train"}, scored={"rows": "test"})
    assert of_split == predicted(split=hx.HashSplit())


def test_wishes_do_not_count() -> None:
    assert predicted(learned={"recompute": True, "keep": "never"}, scored={"keep_columns": ()}) == predicted()


LIMITS = {"low": 1, "high": 2}


def limited(data: DataFrame) -> Column:
    return data.a + LIMITS["low"]


def test_a_value_that_is_left_out_is_left_out_with_its_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(**wishes: Any) -> str:
        return signatures(extracted(limited, **wishes))["column"]

    counted, left_out = found(), found(exclude=["LIMITS"])
    monkeypatch.setitem(LIMITS, "low", 3)
    assert found() != counted
    assert found(exclude=["LIMITS"]) == left_out


def test_kept_columns_touch_the_predictions_alone() -> None:
    before, after = predicted(), predicted(scored={"keep_columns": ["rawPrediction"]})
    assert {name for name in before if before[name] != after[name]} == {"predictions"}


# Results that may differ each time


def aged(data: DataFrame) -> Column:
    return data.a + time.monotonic()


def shifted(data: DataFrame) -> Column:
    return data.a + 7


def test_what_may_differ_each_time_has_a_signature_of_its_run_and_so_have_its_heirs() -> None:
    one, other = sign(extracted(aged), run="one"), sign(extracted(aged), run="other")
    assert one["data"].signature == other["data"].signature
    for name in ("column", "examples"):
        assert one[name].random == ("column",)
        assert one[name].signature != other[name].signature
    assert one["column"].declared == other["column"].declared


def test_one_of_several_right_results_is_an_instance_that_all_made_of_it_belongs_to() -> None:
    declared = sign(extracted(shifted))["column"].declared
    several = {declared: "found by a run"}
    first, other = (sign(extracted(shifted), run=run, known_choices=several) for run in ("one", "other"))
    assert [first[name].instance for name in ("data", "column", "examples")] == ["", "new", ""]
    assert first["examples"].random == ()
    assert first["examples"].signature != other["examples"].signature
    known = {declared: first["column"].signature}
    later = sign(extracted(shifted), run="later", equivalent=known, known_choices=several)
    assert later["column"].instance == "earlier"
    assert later["examples"].signature == first["examples"].signature
    again = sign(extracted(shifted), run="later", equivalent=known, known_choices=several, renewed={declared})
    assert again["column"].instance == "new"
    assert again["examples"].signature not in (first["examples"].signature, other["examples"].signature)


def test_what_a_run_found_to_be_one_of_several_is_an_instance_from_then_on() -> None:
    declared = sign(extracted(shifted))["column"].declared
    signed = sign(extracted(shifted), known_choices={declared: "found by a run"}, equivalent={declared: declared})
    assert (signed["column"].instance, signed["column"].signature) == ("earlier", declared)


def test_what_does_not_differ_has_one_signature_in_all_runs() -> None:
    one, other = sign(extracted(shifted), run="one"), sign(extracted(shifted), run="other")
    assert one["examples"].signature == other["examples"].signature
    assert one["examples"].random == ()


def test_fixed_blames_no_one_and_is_the_stored_result_once_there_is_one() -> None:
    wf = extracted(aged, fixed=True)
    first = sign(wf, run="one")
    assert first["column"].random == ()
    assert first["column"].signature != first["column"].declared
    later = sign(wf, run="other", equivalent={first["column"].declared: first["column"].signature})
    assert later["examples"].signature == first["examples"].signature


def test_two_draws_that_are_declared_alike_are_two() -> None:
    wf = hx.Workflow("drawn")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))

    def draw(data: DataFrame) -> DataFrame:
        return data.withColumn("drawn", F.lit(time.time()))

    for name in ("one", "two"):
        wf.output(wf.scanner(name=name)(draw))
    signed = sign(wf, run="run")
    assert signed["one"].declared == signed["two"].declared
    assert signed["one"].signature != signed["two"].signature


def test_which_of_its_parameters_an_input_goes_to_counts() -> None:
    def report(name: str, *, rewritten: bool = False) -> Signed:
        wf = hx.Workflow("w")
        wf.source(name, hx.table(pd.DataFrame({"a": [1.0]})))

        def report(train: pd.DataFrame = NOBODY, test: pd.DataFrame = NOBODY) -> int:
            return len(train) - len(test)

        def the_same(learned: pd.DataFrame = NOBODY, tested: pd.DataFrame = NOBODY) -> int:
            return len(learned) - len(tested)

        wf.reducer(name="report", output=True)(the_same if rewritten else report)
        return sign(wf)["report"]

    assert report("train").signature != report("test").signature
    assert report("learned", rewritten=True).signature == report("train").signature


def test_of_which_stage_a_parameter_is_counts() -> None:
    def signature(sort: str, letters: str) -> bytes:
        param = Param(Params._dummy(), "k", "how many")
        param.parent = f"{sort}_{letters}"
        return canonical([{param: 2}], lambda inner, _: b"code" if isfunction(inner) else None)

    assert signature("PCA", "1a2b") == signature("PCA", "3c4d")
    assert signature("PCA", "1a2b") != signature("KMeans", "1a2b")


def clustered(**parameters: Any) -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))
    wf.learner("clusters", KMeans, on=hx.NodeRef(wf, "data"), output=True, **parameters)
    return wf


@pytest.mark.parametrize(
    ("one", "other"),
    [({"regParam": 0.1}, {"elasticNetParam": 0.1}),
     ({"maxIter": 5, "aggregationDepth": 10}, {"maxIter": 10, "aggregationDepth": 5})],
    ids=str,
)
def test_which_parameter_of_a_stage_has_a_value_counts(
    version: Version, one: dict[str, Any], other: dict[str, Any]
) -> None:
    def learned(parameters: dict[str, Any]) -> str:
        wf = version.workflow()
        wf.learner("other", LogisticRegression, on="examples", output=True, **parameters)
        return signatures(wf)["other"]

    assert learned(one) != learned(other)
    assert learned(one) == learned(dict(reversed(one.items())))  # in which order they are written does not


@pytest.mark.parametrize(
    ("one", "other"),
    [({"sep": "|"}, {"quote": "|"}), ({"nullValue": "NA"}, {"nanValue": "NA"}),
     ({"multiLine": True}, {"ignoreLeadingWhiteSpace": True})],
    ids=str,
)
def test_which_option_of_a_reader_has_a_value_counts(
    version: Version, one: dict[str, Any], other: dict[str, Any]
) -> None:
    def read(options: dict[str, Any]) -> str:
        wf = hx.Workflow("w")
        wf.output(wf.source("data", hx.csv(version.path, schema="age double", **options)))
        return signatures(wf)["data"]

    assert read(one) != read(other)


def blamed(what: Any, **parameters: Any) -> tuple[str, ...]:
    """Why the model that a stage learns may differ each time."""
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))
    wf.learner("model", what, on=hx.NodeRef(wf, "data"), output=True, **parameters)
    return describe(compile_workflow(wf), SETTINGS)["model"].random


class Cleaned(Transformer):
    """A stage of an author's own, whose code does as it is told."""

    def __init__(self, clean: Callable[..., Any]) -> None:
        super().__init__()
        self.clean = clean

    def _transform(self, dataset: DataFrame) -> DataFrame:
        cleaned: DataFrame = self.clean(dataset)
        return cleaned


class Statement(SQLTransformer):
    """Spark's, made without a JVM."""

    def __init__(self, statement: str) -> None:
        Params.__init__(self)
        self._set(statement=statement)


def evaluating(rows: DataFrame) -> DataFrame:
    column: Column = eval(rows.columns[0])
    return rows.select(column)


def registering(rows: DataFrame) -> DataFrame:
    rows.createOrReplaceTempView("cleaned")
    return rows


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (Cleaned(time.time), "is or holds time.time"),
        (Cleaned(evaluating), "evaluating` calls eval ("),
        (Statement("SELECT rand() FROM __THIS__"), "uses rand in SQL"),
    ],
)
def test_what_the_stages_of_a_parameter_do_is_seen_as_that_of_any_other(stage: Any, words: str, inside: bool) -> None:
    (why,) = blamed(Pipeline(stages=[stage])) if inside else blamed(Pipeline, stages=[stage])
    assert words in why


def test_what_the_stages_of_a_parameter_say_counts() -> None:
    def said(what: Any, **parameters: Any) -> Description:
        wf = hx.Workflow("w")
        wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))
        wf.learner("model", what, on=hx.NodeRef(wf, "data"), output=True, **parameters)
        return describe(compile_workflow(wf), SETTINGS)["model"]

    stages = [Cleaned(registering), Statement("SELECT a FROM __THIS__")]
    assert said(Pipeline, stages=stages).in_turns
    assert said(Pipeline(stages=stages)).in_turns


def test_where_the_stages_of_a_parameter_lead_may_be_declared() -> None:
    assert blamed(Pipeline, stages=[Cleaned(evaluating)], depends_on=[len]) == ()


DRAWS = "uses rand in SQL, which draws, and has no seed"


@pytest.mark.parametrize(
    ("label", "expected"),
    [("age > 30", ()), ("rand () > 0.5", (f"`examples` {DRAWS}",)), ("role = user", ()),
     ("born < current_date", ("`examples` uses current_date in SQL, which asks the clock",))],
)
def test_the_sql_of_a_label_may_be_chance(label: str, expected: tuple[str, ...]) -> None:
    wf = hx.Workflow("labelled")
    data = wf.source("data", hx.table(pd.DataFrame({"age": [1.0]})))
    age = wf.extractor("age_of", hx.Fields("age"), on=data)
    wf.output(wf.synthesizer("examples", data, features=[age], label=label))
    assert describe(compile_workflow(wf), SETTINGS)["examples"].random == expected


def read_a_view(spark: Any) -> DataFrame:
    frame: DataFrame = spark.range(3)
    frame.createOrReplaceTempView("numbers")
    return frame


def register_a_function(spark: Any) -> DataFrame:
    spark.udf.register("longer", len)
    frame: DataFrame = spark.range(3)
    return frame


def read_a_range(spark: Any) -> DataFrame:
    frame: DataFrame = spark.range(3)
    return frame


@pytest.mark.parametrize(("read", "expected"), [
    (read_a_view, True), (register_a_function, True), (read_a_range, False),
])
def test_what_the_reader_of_a_source_registers_is_known(read: Callable[[Any], DataFrame], expected: bool) -> None:
    wf = hx.Workflow("w")
    wf.output(wf.source("numbers", hx.reader(read, version="1")))
    assert describe(compile_workflow(wf), SETTINGS)["numbers"].in_turns is expected


def test_what_a_ready_made_node_depends_on_counts(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"

    def examples(text: str, **wishes: Any) -> Signed:
        words.write_text(text)
        wf = hx.Workflow("labelled")
        data = wf.source("data", hx.table(pd.DataFrame({"age": [1.0]})))
        age = wf.extractor("age_of", hx.Fields("age"), on=data)
        wf.output(wf.synthesizer("examples", data, features=[age], label="clean(age)", **wishes))
        return sign(wf)["examples"]

    assert examples("one", depends_on=[words]).signature != examples("two", depends_on=[words]).signature
    assert examples("one").signature == examples("two").signature


def test_so_may_be_that_of_a_transformer() -> None:
    wf = hx.Workflow("transformed")
    data = wf.source("data", hx.table(pd.DataFrame({"age": [1.0]})))
    statement = "SELECT *, rand() AS noise FROM __THIS__"
    noise = wf.extractor("noise", SQLTransformer, on=data, statement=statement)
    wf.output(wf.synthesizer("examples", data, features=[noise]))
    assert describe(compile_workflow(wf), SETTINGS)["noise"].random == (f"`noise` {DRAWS}",)


def test_what_a_parameter_draws_with_a_seed_is_one_of_several_results() -> None:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))
    stages = [Statement("SELECT rand(1) FROM __THIS__")]
    wf.learner("model", Pipeline, on=hx.NodeRef(wf, "data"), output=True, stages=stages)
    (choice,) = describe(compile_workflow(wf), SETTINGS)["model"].choices
    assert "uses rand in SQL" in choice


def test_a_result_that_a_run_found_to_differ_is_treated_so_from_then_on() -> None:
    wf = extracted(shifted)
    declared = sign(wf)["column"].declared
    assert sign(wf, known_random={declared: "found by a run"})["examples"].random == ("column",)


def test_what_uses_a_package_that_was_replaced_under_the_process_is_this_runs_alone(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    def logged(data: DataFrame) -> Column:
        return F.lit(float(np.log(2)))

    wf = extracted(logged)
    before = sign(wf)
    others = {("numpy", np.__version__): "99.0", ("numpy", "0.1"): "98.0"}
    monkeypatch.setattr(signing, "replaced_packages", lambda: others)
    (why,) = describe(compile_workflow(wf), SETTINGS)["column"].random
    assert why.startswith(f"numpy {np.__version__} was replaced by 99.0 under this process")
    after, again = sign(wf, run="1"), sign(wf, run="2")
    assert after["column"].signature != again["column"].signature
    assert before["column"].declared != after["column"].declared  # what is on record of it is of no version alone
    assert after["examples"].random == ("column",)
    assert after["data"] == before["data"]


def test_an_equivalent_program_has_the_signature_it_stands_for() -> None:
    wf = extracted(shifted)
    before = sign(wf)
    after = sign(wf, equivalent={before["column"].declared: "f" * 64})
    assert after["column"].signature == "f" * 64
    assert after["column"].declared == before["column"].declared
    assert after["examples"].signature != before["examples"].signature


# Versions of data


def test_files_are_known_by_content_not_by_time(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("1")
    before = identify(hx.csv(str(file)))
    file.write_text("1")
    assert identify(hx.csv(str(file))).digest == before.digest
    file.write_text("2")
    assert identify(hx.csv(str(file))).digest != before.digest
    assert before.shown.startswith("1 file, 1 B, ")


def test_large_files_are_known_by_samples_too_and_it_is_said(tmp_path: Path) -> None:
    file, size = tmp_path / "large.csv", HASHED_BYTES + 1
    with file.open("wb") as stream:
        stream.truncate(size)  # nothing but holes: it takes no room
    before, status = identify(hx.csv(str(file))), file.stat()
    assert before.shown.endswith(", by size, time of change and samples")
    assert before.bytes == size
    seen = {before.digest}
    for place in (0, *sample_places(size, SAMPLED_BYTES // SAMPLES)[1:3], size - 1):
        with file.open("r+b") as stream:
            stream.seek(place)
            stream.write(b"x")
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        seen.add(identify(hx.csv(str(file))).digest)
    assert len(seen) == 5
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    assert identify(hx.csv(str(file))).digest not in seen


def test_of_files_of_all_sizes_it_is_said_how_many_are_sampled(tmp_path: Path) -> None:
    for name, size in (("a.csv", 1), ("b.csv", HASHED_BYTES + 1), ("c.csv", HASHED_BYTES)):
        with (tmp_path / name).open("wb") as stream:
            stream.truncate(size)
    assert identify(hx.csv(str(tmp_path))).shown.endswith(", 1 of them by size, time of change and samples")


def table_of(folder: Path, files: int, size: int) -> Path:
    """A folder of files with nothing but holes: they take no room."""
    folder.mkdir()
    for number in range(files):
        with (folder / f"part-{number}.csv").open("wb") as stream:
            stream.truncate(size)
    return folder


def test_many_files_that_are_large_together_are_sampled(tmp_path: Path) -> None:
    table = table_of(tmp_path / "table", WHOLE_BYTES // HASHED_BYTES + 1, HASHED_BYTES)
    (table / "small.csv").write_text("1")
    file, source = table / "part-0.csv", hx.csv(str(table))
    before, status = identify(source), file.stat()
    assert before.shown.endswith(", 9 of them by size, time of change and samples")
    os.utime(table / "small.csv", ns=(0, 0))  # it is still known by content
    assert identify(source).digest == before.digest
    (table / "small.csv").write_text("2")
    seen = {before.digest, identify(source).digest}
    for place in (0, HASHED_BYTES // 15, HASHED_BYTES - 1):
        with file.open("r+b") as stream:
            stream.seek(place)
            stream.write(b"x")
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        seen.add(identify(source).digest)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    seen.add(identify(source).digest)
    assert len(seen) == 6


def test_what_is_no_more_than_may_be_read_is_known_by_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_version, "WHOLE_BYTES", 4_000_000)
    table = table_of(tmp_path / "table", 2, 2_000_000)
    with (table / "large.csv").open("wb") as stream:
        stream.truncate(HASHED_BYTES + 1)  # sampled anyway, so it is no reason to sample the others
    source = hx.csv(str(table))
    before = identify(source)
    assert before.shown.endswith(", 1 of them by size, time of change and samples")
    os.utime(table / "part-0.csv", ns=(0, 0))
    assert identify(source).digest == before.digest
    monkeypatch.setattr(data_version, "WHOLE_BYTES", 3_999_999)
    assert identify(source).shown.endswith(f"{identify(source).digest[:7]}, by size, time of change and samples")


def test_no_file_is_known_in_two_ways_by_one_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(tmp_path / "table", 200, 50_000)
    source = hx.csv(str(table))
    by_content = identify(source)
    monkeypatch.setattr(data_version, "WHOLE_BYTES", 1_000_000)
    by_samples = identify(source)
    assert by_content.digest != by_samples.digest
    assert by_content.shown.endswith(by_content.digest[:7])
    assert by_samples.shown.endswith(", by size, time of change and samples")


def test_files_are_identified_as_they_always_were(tmp_path: Path) -> None:
    for name, text in (("a.csv", "1"), ("b.csv", "2")):
        (tmp_path / name).write_text(text)
    known = (digest(name, "content", sha256(text).hexdigest()) for name, text in (("a.csv", b"1"), ("b.csv", b"2")))
    assert identify(hx.csv(str(tmp_path))).digest == digest("files", *known)
    large = tmp_path / "large.csv"
    with large.open("wb") as stream:
        stream.truncate(HASHED_BYTES + 1)
    told = str(HASHED_BYTES + 1), str(large.stat().st_mtime_ns)
    blocks = [sha256(bytes(SAMPLED_BYTES // SAMPLES)).digest()] * SAMPLES
    assert identify(hx.csv(str(large))).digest == digest("files", digest("large.csv", "sampled", *told, *blocks))


def test_a_folder_is_its_files_but_not_the_ones_spark_skips(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    folder.mkdir()
    (folder / "part-0.csv").write_text("1")
    before = identify(hx.csv(str(folder))).digest
    (folder / "_SUCCESS").write_text("")
    (folder / ".part-0.csv.crc").write_text("x")
    assert identify(hx.csv(str(folder))).digest == before
    (folder / "part-1.csv").write_text("2")
    assert identify(hx.csv(str(folder))).digest != before
    assert identify(hx.csv(str(folder / "*.csv"))).digest != before


@pytest.mark.parametrize("skipped", ["_temporary", "_delta_log", ".ipynb_checkpoints", ".year=2020"])
def test_folders_that_spark_skips_do_not_count(tmp_path: Path, skipped: str) -> None:
    for folder in (tmp_path, tmp_path / skipped, tmp_path / "_year=2020"):
        folder.mkdir(exist_ok=True)
        (folder / "part-0.csv").write_text("1")
    before = identify(hx.csv(str(tmp_path))).digest
    (tmp_path / skipped / "part-0.csv").write_text("2")
    assert identify(hx.csv(str(tmp_path))).digest == before
    (tmp_path / "_year=2020" / "part-0.csv").write_text("2")  # named after a column
    assert identify(hx.csv(str(tmp_path))).digest != before


def test_files_behind_links_to_folders_count(tmp_path: Path) -> None:
    def version() -> str:
        return identify(hx.csv(str(tmp_path / "table"))).digest

    folder, elsewhere = tmp_path / "table", tmp_path / "elsewhere"
    for one in (folder, elsewhere):
        one.mkdir()
        (one / "part-0.csv").write_text("1")
    before = version()
    (folder / "linked").symlink_to(elsewhere)
    linked = version()
    (folder / "again").symlink_to(elsewhere)  # Spark reads it twice
    twice = version()
    (elsewhere / "part-0.csv").write_text("2")
    edited = version()
    assert len({before, linked, twice, edited}) == 4
    (elsewhere / "back").symlink_to(folder)  # round and round
    assert version() == edited


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("{2023,2025}.csv", ["2023.csv", "2025.csv"]),
        ("20{2{3,4},25}.csv", ["2023.csv", "2024.csv", "2025.csv"]),
        ("{b/,}2024.csv", ["2024.csv", "b/2024.csv"]),
        ("[^2]*", [".hidden/2023.csv", "b/2024.csv"]),
        ("*.csv", ["2023.csv", "2024.csv", "2025.csv"]),
    ],
)
def test_a_pattern_names_the_files_that_spark_reads(tmp_path: Path, pattern: str, names: list[str]) -> None:
    for name in ("2023.csv", "2024.csv", "2025.csv", "_log.csv", ".2025.csv", "b/2024.csv", ".hidden/2023.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    found = files_of(hx.csv(str(tmp_path / pattern)))
    assert [path.relative_to(tmp_path).as_posix() for _, path in found] == names


def test_a_link_that_leads_nowhere_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    for name in ("gone.csv", "*.csv"):
        with pytest.raises(SourceError, match="there is no data in it"):
            identify(hx.csv(str(tmp_path / name)))


def test_folders_below_the_base_path_count_for_spark_makes_columns_of_them(tmp_path: Path) -> None:
    def version(root: Path) -> str:
        return identify(hx.csv(str(root / "year=*"), schema="a int", basePath=str(root))).digest

    (tmp_path / "data" / "year=2020").mkdir(parents=True)
    (tmp_path / "data" / "year=2020" / "part.csv").write_text("1\n")
    first = version(tmp_path / "data")
    (tmp_path / "data").rename(tmp_path / "moved")
    assert version(tmp_path / "moved") == first
    (tmp_path / "moved" / "year=2020").rename(tmp_path / "moved" / "year=2021")
    assert version(tmp_path / "moved") != first


def test_data_out_of_reach_has_the_version_that_its_author_says() -> None:
    with pytest.raises(SourceError, match="is unknown: it is not on a file system") as caught:
        identify(hx.csv("s3a://bucket/a.csv"))
    assert 'version="..."' in str(caught.value)
    one, other = (identify(hx.csv("s3a://bucket/a.csv", version=v)).digest for v in ("1", "2"))
    assert one != other


def test_a_function_that_takes_long_to_be_called_is_named() -> None:
    """Each plan calls it."""
    wf = hx.Workflow("slow")
    wf.source("data", hx.table(pd.DataFrame({"x": [1]})))

    @wf.scanner
    def quick(data: DataFrame) -> DataFrame:
        return data.where("x > 0")

    @wf.scanner
    def slow(quick: DataFrame) -> DataFrame:
        time.sleep(0.6)
        return quick.where("x > 1")

    wf.output(slow)
    described = describe(capture_nodes(compile_workflow(wf), SETTINGS).dag, SETTINGS)
    told = re.match(r"`slow` takes (.*) s to be called, and each plan calls it", described["slow"].warnings[0])
    assert told is not None
    assert float(told[1]) >= 0.6, "more where the machine is busy"
    assert not described["quick"].warnings


def test_tables_in_memory_are_known_by_content() -> None:
    one, same, other = (identify(hx.table(pd.DataFrame({"a": [1, v]}))).digest for v in (2, 2, 3))
    assert one == same != other


def test_of_two_copies_of_a_delta_table_that_went_apart_neither_is_the_other(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_deltalake(str(one), pa.table({"n": [1]}))
    shutil.copytree(one, two)
    assert identify(hx.delta(one)).digest == identify(hx.delta(two)).digest, "moving a table does not change its data"
    for number, table in enumerate((one, two)):
        write_deltalake(str(table), pa.table({"n": [number]}), mode="append")
    apart = [identify(hx.delta(table)) for table in (one, two)]
    assert [found.shown for found in apart] == ["version 1", "version 1"]
    assert apart[0].digest != apart[1].digest
    assert identify(hx.delta(one, version=0)).digest == identify(hx.delta(two, version=0)).digest


def test_a_delta_table_of_which_a_commit_was_tidied_away_is_known_by_its_files(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path), pa.table({"n": [1]}))
    DeltaTable(str(tmp_path)).create_checkpoint()
    (tmp_path / "_delta_log" / f"{0:020}.json").unlink()
    found = identify(hx.delta(tmp_path))
    source = hx.delta(tmp_path, version=0)
    assert identify(source).digest == found.digest
    assert found.change(identify(source, contents=False)) is None
