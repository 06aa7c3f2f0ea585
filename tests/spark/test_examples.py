"""The examples by task of the documentation: each runs as it stands, learns something, and reuses itself."""

from __future__ import annotations

import doctest
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import helix_spark as hx
from helix_spark.cli.author_file import build, find_factory, load_file
from tests.spark.workflows import computed

pytestmark = pytest.mark.spark

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = (DOCS / "reference.md").read_text()


def files_of(text: str) -> dict[str, str]:
    return dict(re.findall(r'```python title="(\w+)\.py"\n(.*?)```', text, re.DOTALL))


EXAMPLES = files_of((DOCS / "examples.md").read_text())
LEARNT: dict[str, Callable[[hx.Iteration], bool]] = {
    "churn": lambda it: it["scores"]["accuracy"] > 0.8, "species": lambda it: it["accuracy"] > 0.8,
    "prices": lambda it: it["rmse"] < 40, "groups": lambda it: it["silhouette"] > 0.7,
    "reviews": lambda it: it["accuracy"] > 0.9, "films": lambda it: it["rmse"] < 1.5,
}


# The model of films asks its server for what others know themselves.
@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name == "films" else pytest.mark.long) for name in EXAMPLES
])
def test_an_example_learns_and_reuses(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spark: SparkSession
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / f"{name}.py"
    file.write_text(EXAMPLES[name])
    factory = find_factory(load_file(file), file, None)
    with hx.Helix(tmp_path / "catalog", spark=spark, policy="always") as helix:
        first = helix.run(build(factory, file, []))
        assert LEARNT[name](first), first.outputs
        assert first.plan.warnings == ()
        assert computed(helix.run(build(factory, file, []))) == set()


def test_there_is_an_example_for_each_task() -> None:
    assert LEARNT.keys() == EXAMPLES.keys()


@pytest.mark.long
def test_the_reference_has_results_of_spark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("grades", "exam"):
        (tmp_path / f"{name}.py").write_text(files_of(REFERENCE)[name])
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    (shown,) = re.findall(r"#### Results of Spark\n.*?```pycon\n(.*?)```", REFERENCE, re.DOTALL)
    with hx.Helix(tmp_path / "catalog", spark=spark) as helix:
        test = doctest.DocTestParser().get_doctest(shown, {"helix": helix}, "reference.md", None, None)
        failed, _ = doctest.DocTestRunner().run(test)
    assert not failed, capsys.readouterr().out
