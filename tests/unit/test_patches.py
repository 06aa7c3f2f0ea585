"""What the project puts into libraries counts as its other code does."""

from __future__ import annotations

import statistics
from xml.sax import saxutils

import pandas as pd
import pytest
from project import Project
from pyspark.sql import DataFrame

SPARK = "from pyspark.sql import DataFrame\ndef clean(x): return {0}\n"
PANDAS = "import pandas as pd\ndef helper(): return {0}\ndef clean(x): return helper()\n"

METHODS = {
    "of pandas": (f"{PANDAS}pd.DataFrame.hung = clean", "x.hung()"),
    "of a series": (f"{PANDAS}pd.Series.hung = clean", "x.a.hung()"),
    "of Spark": (f"{SPARK}DataFrame.hung = clean", "x.limit(1).hung()"),
    "instead of its own": (f"{SPARK}DataFrame.dropna = clean", "x.dropna()"),
    "property": (f"{SPARK}DataFrame.hung = property(clean)", "x.hung"),
    "static": (f"{SPARK}DataFrame.hung = staticmethod(clean)", "x.hung(x)"),
    "used in a function inside": (f"{SPARK}DataFrame.hung = clean", "[(lambda: y.hung())() for y in x]"),
    "by name": (f"{SPARK}setattr(DataFrame, 'hung', clean)", "getattr(x, 'hung')()"),
    "accessor": (
        "import pandas as pd\n@pd.api.extensions.register_series_accessor('hung')\nclass Clean:\n"
        "  def __init__(self, x): ...\n  def clean(self): return {0}", "x.hung.clean()",
    ),
}

MEAN = "import statistics\nstatistics.mean = lambda x: {0}\n"

FUNCTIONS = {
    "module": f"{MEAN}def f(x): return statistics.mean(x)",
    "imported inside": f"{MEAN}def f(x):\n  import statistics as s\n  return s.mean(x)",
    "name imported inside": f"{MEAN}def f(x):\n  from statistics import mean\n  return mean(x)",
    "submodule": "import xml.sax.saxutils\nxml.sax.saxutils.escape = lambda x: {0}\n"
    "def f(x): return xml.sax.saxutils.escape(x)",
    "class": "import statistics\nclass N:\n  k = {0}\nstatistics.NormalDist = N\n"
    "def f(x): return statistics.NormalDist.k",
}


@pytest.fixture(autouse=True)
def _unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves libraries as they were."""
    for owner, name in ((statistics, "mean"), (statistics, "NormalDist"), (saxutils, "escape"), (DataFrame, "dropna")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    for kind in (pd.DataFrame, pd.Series, DataFrame):
        monkeypatch.setattr(kind, "hung", None, raising=False)


@pytest.mark.filterwarnings("ignore:registration of accessor")
@pytest.mark.parametrize("way", METHODS)
def test_a_method_that_was_hung_on_a_class_counts(project: Project, way: str) -> None:
    patch, use = METHODS[way]
    one, two, again = (project.digest(job=f"{patch.format(k)}\ndef f(x): return {use}") for k in (1, 2, 1))
    assert one != two
    assert one == again


@pytest.mark.parametrize("way", FUNCTIONS)
def test_a_function_put_in_place_of_a_librarys_counts(project: Project, way: str) -> None:
    one, two, again = (project.digest(job=FUNCTIONS[way].format(k)) for k in (1, 2, 1))
    assert one != two
    assert one == again


def test_what_is_hung_on_a_class_under_another_name_does_not_count(project: Project) -> None:
    patch, _ = METHODS["of Spark"]
    one, two = (project.digest(job=f"{patch.format(k)}\ndef f(x): return x.limit(1)") for k in (1, 2))
    assert one == two


def test_the_part_says_where_the_method_hangs(project: Project) -> None:
    patch, use = METHODS["of Spark"]
    parts = project.write(job=f"{patch.format(1)}\ndef f(x): return {use}").trace().parts
    assert [part.label for part in parts] == ["f", "clean"]
