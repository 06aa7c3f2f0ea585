"""What people get wrong first: a typed error at their line, and names that the package itself gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.errors import HelixError, Location, OperatorError


def census() -> hx.Workflow:
    wf = hx.Workflow("census")
    wf.source("data", hx.table(pd.DataFrame({"a": [1]})), output=True)
    return wf


@pytest.mark.parametrize("verb", ["run", "plan"])
@pytest.mark.parametrize(
    ("given", "what", "remedy"),
    [
        (census, "helix.{} takes a workflow, not a function", "call it: helix.{}(census())"),
        ("census.py", "helix.{} takes a workflow, not a str", "pass a hx.Workflow"),
        (hx.NodeRef(census(), "data"), "helix.{} takes a workflow, not a NodeRef", "pass a hx.Workflow"),
    ],
)
def test_what_is_no_workflow_is_not_run(tmp_path: Path, verb: str, given: Any, what: str, remedy: str) -> None:
    with hx.Helix(tmp_path / "catalog") as helix, pytest.raises(hx.ParameterError) as caught:
        getattr(helix, verb)(given)
    assert (caught.value.what, caught.value.remedy) == (what.format(verb), remedy.format(verb))
    assert caught.value.where is not None
    assert caught.value.where.file == __file__
    assert not (tmp_path / "catalog").exists()


@pytest.mark.parametrize(
    ("declare", "what", "known"),
    [
        (lambda wf: wf.scanner("s", hx.Fields("a"), on="data", reads={}),
         "reads= is only for functions, and this node is not a function", "its positional arguments"),
        (lambda wf: wf.synthesizer("s", "data", features=[], name="t"),
         "name= is only for functions, and this node is not a function", "its positional arguments"),
    ],
)
def test_an_option_that_there_is_not(declare: Any, what: str, known: str) -> None:
    with pytest.raises(OperatorError) as caught:
        declare(census())
    assert caught.value.what == what
    assert known in str(caught.value.remedy)
    assert caught.value.where == Location(__file__, declare.__code__.co_firstlineno)


def test_a_function_is_declared_with_nothing_beside_it() -> None:
    with pytest.raises(OperatorError, match=r"reducer\(\) was given <.*>, 'total'") as caught:
        census().reducer(census, "total")  # type: ignore[call-overload]
    assert caught.value.remedy == "use it as a decorator: @wf.reducer"


@pytest.mark.parametrize(
    "make",
    [
        lambda: hx.Bucketizer("a", bins=1), lambda: hx.Bucketizer("a"), lambda: hx.Bucketizer("a", splits=[2, 1]),
        lambda: hx.Fields(), lambda: hx.Interaction("a"), lambda: hx.csv([]), lambda: hx.parquet(""),
        lambda: hx.table([1]),
    ],
)
def test_what_a_source_or_an_extractor_does_not_take_is_told_at_its_line(make: Any) -> None:
    with pytest.raises(OperatorError) as caught:
        make()
    assert caught.value.where == Location(__file__, make.__code__.co_firstlineno)


@pytest.mark.parametrize(
    "name", ["NodeError", "WorkflowError", "SourceError", "CatalogError", "ParameterError", "SetupError"]
)
def test_errors_that_people_catch_are_the_packages_own(name: str) -> None:
    assert name in hx.__all__
    assert issubclass(getattr(hx, name), HelixError)


def test_so_is_what_people_write_themselves() -> None:
    from helix_spark.engine.execution.observer import Observer
    from helix_spark.planner.storage import Policy

    assert {"Observer", "Policy"} <= set(hx.__all__)
    assert (hx.Observer, hx.Policy) == (Observer, Policy)


def test_a_learner_of_sklearn_is_told_where_it_belongs() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    with pytest.raises(OperatorError) as caught:
        census().learner("model", linear_model.LogisticRegression, on="data")
    assert "@wf.reducer" in str(caught.value.remedy)
