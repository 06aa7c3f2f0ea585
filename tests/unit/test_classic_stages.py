"""Stages and models of Spark ML do as in a classic session, where pyspark's client alters or refuses their calls."""

from __future__ import annotations

import inspect
import pickle
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import Binarizer, MinHashLSH
from pyspark.ml.regression import LinearRegression
from pyspark.sql.types import FloatType

from helix_spark.plans import current_program
from tests.fakes.programs import Program, Runs, rows


def arguments(table: Any) -> list[Any]:
    """The values that a model's method is sent for a table, without those that are tables themselves."""
    plan = table._plan.to_proto(table._session.client).root
    literals = [one.param for one in plan.ml_relation.fetch.methods[-1].args if one.HasField("param")]
    return [getattr(one, one.WhichOneof("literal_type")) for one in literals]


def test_models_are_sent_arguments_by_keyword_and_defaults(runs: Runs) -> None:
    def program(spark: Any) -> list[Any]:
        model, table = MinHashLSH(inputCol="a", outputCol="hashes").fit(rows(spark)), rows(spark)
        return [arguments(one) for one in (
            model.approxSimilarityJoin(table, table, 0.5, "far"),
            model.approxSimilarityJoin(table, table, threshold=0.5, distCol="far"),
            model.approxSimilarityJoin(table, table, 0.5),
        )]

    runs.run(program)
    assert runs.returned == [[0.5, "far"], [0.5, "far"], [0.5, "distCol"]]


class StartsOverError(Exception):
    """Ends a program that needs a classic session."""


def call_of_jvm_stage(spark: Any) -> None:
    Binarizer(threshold=0.5, inputCol="a", outputCol="b")._transfer_params_to_java()


def other_format(spark: Any) -> None:
    model = LinearRegression().fit(rows(spark))
    assert model.write().format("internal") is not None
    model.write().format("pmml")


def join_with_itself(spark: Any) -> None:
    table = spark.range(3)
    counts = table.groupBy("id").count()
    table.join(counts, table.id == counts.id)
    table.join(table.filter("id > 1"), table.id == table.id)


def texts_of_json(spark: Any) -> None:
    spark.range(3).toJSON().collect()


def evaluation_by_another_threshold(spark: Any) -> None:
    model = LogisticRegression(threshold=0.4).fit(rows(spark))
    model.evaluate(rows(spark))
    model.setThreshold(0.9).evaluate(rows(spark))


@pytest.mark.parametrize(("act", "what"), [
    (call_of_jvm_stage, "Binarizer._java_obj"), (other_format, "pmml"), (join_with_itself, "either side"),
    (texts_of_json, ".toJSON"),
    (evaluation_by_another_threshold, r"\.evaluate of a model whose parameters were set"),
])
def test_what_only_the_jvm_can_do_needs_a_classic_session(runs: Runs, act: Program, what: str) -> None:
    def need_classic(what: str) -> None:
        raise StartsOverError(what)

    def program(spark: Any) -> None:
        (here,) = current_program.PROGRAMS
        here.need_classic = need_classic  # type: ignore[method-assign]  # as a program on the command line does
        with pytest.raises(StartsOverError, match=what):
            act(spark)

    runs.run(program)


def test_a_predicting_function_is_the_same_in_another_run_and_its_cache_another_one(
    runs: Runs, control_draws: Callable[[], None]
) -> None:
    from pyspark.ml.functions import predict_batch_udf

    def make_doubling() -> Any:
        return lambda batch: batch * 2

    keys = []

    def program(spark: Any) -> None:
        control_draws()
        predict = predict_batch_udf(make_doubling, return_type=FloatType(), batch_size=2)
        keys.append(inspect.getclosurevars(predict.func).nonlocals["model_uuid"])
        rows(spark).select(predict("a")).collect()

    runs.run(program)
    assert not runs.run(program).started
    assert keys[0] != keys[1]
    assert type(pickle.loads(pickle.dumps(keys[0]))) is uuid.UUID  # workers need not import more
