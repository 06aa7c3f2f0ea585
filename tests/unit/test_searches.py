"""Fits of a search run side by side where nobody says how many may, and where nobody can tell the difference."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.ml.base import Estimator

from helix_spark.program.plain_program import spread_searches
from tests.fakes.connect_server import FakeServer
from tests.fakes.programs import Runs, rows


class Busy(FakeServer):
    """Tells how many fits there were at a time: each waits for a second one, for so many seconds."""

    def __init__(self, patience: float) -> None:
        super().__init__()
        self.patience = patience
        self.now, self.most, self.changed = 0, 0, threading.Condition()

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Iterator[Any]:  # noqa: N802 - the service calls it so
        if request.plan.command.ml_command.WhichOneof("command") == "fit":
            with self.changed:
                self.now += 1
                self.most = max(self.most, self.now)
                self.changed.notify_all()
                self.changed.wait_for(lambda: self.most > 1, self.patience)
                self.now -= 1
        return super().ExecutePlan(request, metadata)


class Written(Estimator[Any]):
    """A stage in Python: here another name for one of Spark's."""

    def __init__(self, inside: Any) -> None:
        super().__init__()
        self.inside = inside

    def _fit(self, dataset: Any) -> Any:
        return self.inside.fit(dataset)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    spread_searches(lambda _: 2)
    yield Runs(tmp_path)
    spread_searches(lambda _: 1)


def searching(learner: Callable[[Any], Any] = lambda spark_s: spark_s, **given: int) -> Callable[[Any], None]:
    def program(spark: Any) -> None:
        from pyspark.ml.classification import LogisticRegression
        from pyspark.ml.evaluation import BinaryClassificationEvaluator
        from pyspark.ml.tuning import ParamGridBuilder, TrainValidationSplit

        logistic = LogisticRegression()
        grid = ParamGridBuilder().addGrid(logistic.regParam, [0.1, 0.2, 0.3, 0.4]).build()
        TrainValidationSplit(
            estimator=learner(logistic), estimatorParamMaps=grid, evaluator=BinaryClassificationEvaluator(), **given
        ).fit(rows(spark))
    return program


def most_at_a_time(runs: Runs, program: Callable[[Any], None], patience: float = 0.1) -> int:
    server = Busy(patience)
    runs.run(program, server=server)
    return server.most


def test_fits_of_sparks_own_stages_run_side_by_side(runs: Runs) -> None:
    assert most_at_a_time(runs, searching(), patience=60) == 2


def test_what_the_author_says_of_it_holds(runs: Runs) -> None:
    assert most_at_a_time(runs, searching(parallelism=1)) == 1


def test_stages_in_python_are_fitted_one_after_the_other(runs: Runs) -> None:
    assert most_at_a_time(runs, searching(Written)) == 1


def test_a_search_within_a_search_has_no_cores_of_its_own(runs: Runs) -> None:
    most: list[int] = []
    thread = threading.Thread(target=lambda: most.append(most_at_a_time(runs, searching())))
    thread.start()
    thread.join()
    assert most == [1]


def test_a_search_and_its_model_keep_what_their_author_gave(runs: Runs) -> None:
    def program(spark: Any) -> None:
        from pyspark.ml.classification import LogisticRegression
        from pyspark.ml.evaluation import BinaryClassificationEvaluator
        from pyspark.ml.tuning import CrossValidator

        logistic, evaluator = LogisticRegression(), BinaryClassificationEvaluator()
        grid: list[Any] = [{logistic.regParam: strength} for strength in (0.1, 0.2)]
        search = CrossValidator(estimator=logistic, estimatorParamMaps=grid, evaluator=evaluator, numFolds=2)
        model = search.fit(rows(spark))
        assert not search.isSet(search.parallelism)
        assert model.getEstimator() is logistic
        assert model.getEvaluator() is evaluator
        assert not model.hasParam("parallelism")

    assert most_at_a_time(runs, program, patience=60) == 2
