"""What stays on a server (models, what they return, checkpoints) is made again by what made it, where an answer comes
from the record and the server of that run has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyspark.sql.connect.proto as pb
from pyspark.ml.connect.serialize import deserialize_param

from helix_spark.plans.plan_messages import messages
from tests.fakes.connect_server import commands
from tests.fakes.programs import Program, Runs, rows


def evaluation(model: Any, spark: Any) -> Any:
    return model.evaluate(rows(spark))


def then_more(make: Callable[[Any, Any], Any], *, more: bool) -> Program:
    """A program that has an object made by a model and asks something of it, and by an edit something else."""
    def program(spark: Any) -> Any:
        from pyspark.ml.classification import LogisticRegression

        made = make(LogisticRegression(regParam=0.1).fit(rows(spark)), spark)
        made._call_java("first")
        return made._call_java("second") if more else None

    return program


def test_an_evaluation_on_record_is_made_again_where_more_is_asked_of_it(runs: Runs) -> None:
    runs.run(then_more(evaluation, more=False))
    assert not runs.run(then_more(evaluation, more=False)).started
    assert commands(runs.run(then_more(evaluation, more=True))) == ["fit", "evaluate", "second"]
    assert not runs.run(then_more(evaluation, more=True)).started


def test_rows_of_an_evaluation_can_be_asked_for_in_another_run(runs: Runs) -> None:
    def program(function: str) -> Program:
        def run(spark: Any) -> Any:
            from pyspark.ml.classification import LogisticRegression

            predictions = evaluation(LogisticRegression().fit(rows(spark)), spark).predictions
            return getattr(predictions, function)()

        return run

    runs.run(program("count"))
    assert not runs.run(program("count")).started
    assert commands(runs.run(program("collect"))) == ["fit", "evaluate"]


def test_an_evaluation_of_a_stored_model_reads_it(runs: Runs) -> None:
    runs.run(then_more(evaluation, more=False))
    (fit,) = [one.question for one in runs.answerer.answers if one.question.kind == "fit"]
    runs.record.models[fit.identity] = ("org.apache.spark.ml.classification.LogisticRegressionModel", "/somewhere")
    assert commands(runs.run(then_more(evaluation, more=True))) == ["read", "evaluate", "second"]


def test_a_summary_is_of_a_fit_where_the_model_was_read(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        from pyspark.ml.classification import LogisticRegression

        model = LogisticRegression().fit(rows(spark))
        model.transform(rows(spark)).collect()
        return model.hasSummary

    def edited(spark: Any) -> Any:
        from pyspark.ml.classification import LogisticRegression

        model = LogisticRegression().fit(rows(spark))
        model.transform(rows(spark).limit(1)).collect()
        return model._call_java("hasSummary"), model._call_java("numFeatures")

    runs.run(program)
    (fit,) = [one.question for one in runs.answerer.answers if one.question.kind == "fit"]
    runs.record.models[fit.identity] = ("org.apache.spark.ml.classification.LogisticRegressionModel", "/somewhere")
    runs.record.answers = {one: text for one, text in runs.record.answers.items() if one == fit.identity}
    assert commands(runs.run(edited)) == ["read", "fit", "hasSummary", "numFeatures"]


def test_each_of_several_objects_of_one_answer_can_be_asked(runs: Runs) -> None:
    def program(number: int) -> Program:
        def run(spark: Any) -> Any:
            from pyspark.ml.classification import RandomForestClassifier

            trees = RandomForestClassifier(seed=1).fit(rows(spark)).trees
            return len(trees), trees[number].depth

        return run

    runs.run(program(0))
    assert runs.returned == (3, 2)
    assert not runs.run(program(0)).started
    assert commands(runs.run(program(2))) == ["fit", "trees", "depth"]


def test_a_model_is_read_before_its_files_are_overwritten(runs: Runs) -> None:
    place = runs.folder / "model"
    place.mkdir()
    (place / "data").write_text("first")

    def program(*, more: bool) -> Program:
        def run(spark: Any) -> Any:
            from pyspark.ml.classification import LogisticRegressionModel

            model = LogisticRegressionModel.load("model")
            rows(spark).limit(1 + more).write.mode("overwrite").parquet("model")
            return model._call_java("second") if more else None

        return run

    runs.run(program(more=False))
    sent = [one.WhichOneof("command_type") for one in runs.run(program(more=True)).asked if isinstance(one, pb.Command)]
    assert sent == ["ml_command", "write_operation", "ml_command"]


def test_a_save_is_not_repeated_before_the_data_of_its_model_is_overwritten(runs: Runs) -> None:
    def program(spark: Any) -> None:
        from pyspark.ml.classification import LogisticRegression

        LogisticRegression().fit(rows(spark)).save("model")
        spark.range(1).write.mode("overwrite").csv("rows.csv")

    sent = [one for one in runs.run(program).asked if isinstance(one, pb.Command)]
    assert [one.ml_command.WhichOneof("command") for one in sent] == ["fit", "fetch", "write", None]


def test_a_program_is_never_given_an_id_of_a_server(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        from pyspark.ml.classification import RandomForestClassifier

        model = RandomForestClassifier(seed=1).fit(rows(spark))
        trees = model._call_java("trees").split(",")
        return [model._java_obj.ref_id, model._call_java("evaluate", rows(spark)), *trees]

    server = runs.run(program)
    assert all(one.startswith("helix-") for one in runs.returned)
    assert not {*server.models} & {*runs.returned}
    assert all(one.id in server.models for sent in server.asked for one in messages(sent) if hasattr(one, "id"))


def test_a_fit_is_sent_the_seed_that_python_gives_the_estimator(runs: Runs, control_draws: Callable[[], None]) -> None:
    control_draws()
    default: list[int] = []

    def program(spark: Any) -> None:
        from pyspark.ml.recommendation import ALS

        als = ALS(rank=1)
        default.append(als.getSeed())
        als.fit(rows(spark))
        als.copy({als.seed: 7}).fit(rows(spark))
        ALS(seed=8).fit(rows(spark))

    told = [one.ml_command for one in runs.run(program).asked if isinstance(one, pb.Command)]
    sent = [one.fit.params.params for one in told if one.HasField("fit")]
    assert [deserialize_param(one["seed"]) for one in sent] == [default[0], 7, 8]
    assert all({*one} == {"rank", "seed"} for one in (sent[0], sent[1]))


def test_a_matrix_says_whether_it_is_transposed_as_the_jvm_pickles_it(control_draws: Callable[[], None]) -> None:
    control_draws()
    from pyspark.ml.connect import serialize
    from pyspark.ml.linalg import DenseMatrix

    client: Any = None
    written = serialize.serialize_param(DenseMatrix(1, 2, [1.0, 2.0], True), client)
    assert repr(serialize.deserialize_param(written)) == "DenseMatrix(1, 2, [1.0, 2.0], 1)"


def test_a_parameter_that_is_cleared_has_its_default_again(runs: Runs, control_draws: Callable[[], None]) -> None:
    control_draws()

    def program(spark: Any) -> Any:
        from pyspark.ml.clustering import KMeans

        stage = KMeans(maxIter=3)
        stage.clear(stage.maxIter)
        return stage.getMaxIter()

    runs.run(program)
    assert runs.returned == 20
