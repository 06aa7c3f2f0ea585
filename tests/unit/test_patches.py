"""What the project puts into libraries counts as its other code does."""

from __future__ import annotations

import statistics
from xml.sax import saxutils

import pandas as pd
import pytest
from project import Project
from pyspark.sql import DataFrame
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler

from helix_spark.signature.code import trace

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
    "by the name that a constant holds": (f"{SPARK}DataFrame.hung = clean\nHOW = 'hung'", "getattr(x, HOW)()"),
    "by a name of several": (
        f"{PANDAS}pd.Series.hung = clean\nSTEPS = {{{{'a': ['dropna', 'hung']}}}}",
        "[getattr(x, step)() for step in STEPS['a']]",
    ),
    "accessor": (
        "import pandas as pd\n@pd.api.extensions.register_series_accessor('hung')\nclass Clean:\n"
        "  def __init__(self, x): ...\n  def clean(self): return {0}", "x.hung.clean()",
    ),
}

DATA = {
    "number": ("import pandas as pd\npd.DataFrame.hung = {0}", "x.hung"),
    "descriptor": (
        "import pandas as pd\nclass Get:\n  def __get__(self, one, kind): return {0}\npd.Series.hung = Get()",
        "x.a.hung",
    ),
    "cached": (
        "import functools\nimport pandas as pd\n@functools.lru_cache\ndef g(x): return {0}\npd.Series.hung = g",
        "x.hung()",
    ),
}

SCALER = "from sklearn.preprocessing import StandardScaler\n"

ESTIMATORS = {
    "named": (f"{SCALER}StandardScaler.hung = lambda self: {{0}}", "StandardScaler().hung()"),
    "of a base": (
        f"{SCALER}from sklearn.base import BaseEstimator\nBaseEstimator.hung = lambda self: {{0}}",
        "StandardScaler().hung()",
    ),
    "of an object": (f"{SCALER}StandardScaler.hung = lambda self: {{0}}\nSCALER = StandardScaler()", "SCALER.hung()"),
    "of a class of ours": (
        "from sklearn.base import BaseEstimator\nBaseEstimator.hung = lambda self: {0}\nclass A(BaseEstimator): pass",
        "A().hung()",
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
    for kind in (pd.DataFrame, pd.Series, DataFrame, BaseEstimator, StandardScaler):
        monkeypatch.setattr(kind, "hung", None, raising=False)


@pytest.mark.filterwarnings("ignore:registration of accessor")
@pytest.mark.parametrize("way", METHODS | DATA | ESTIMATORS)
def test_what_was_hung_on_a_class_counts(project: Project, way: str) -> None:
    patch, use = (METHODS | DATA | ESTIMATORS)[way]
    one, two, again = (project.digest(job=f"{patch.format(k)}\ndef f(x): return {use}") for k in (1, 2, 1))
    assert one != two
    assert one == again


@pytest.mark.parametrize("way", FUNCTIONS)
def test_a_function_put_in_place_of_a_librarys_counts(project: Project, way: str) -> None:
    one, two, again = (project.digest(job=FUNCTIONS[way].format(k)) for k in (1, 2, 1))
    assert one != two
    assert one == again


def test_a_method_hung_on_a_class_that_is_imported_inside_counts(project: Project) -> None:
    text = f"{SCALER}StandardScaler.hung = lambda self: {{}}\ndef f(x):\n  import sklearn.preprocessing as p\n"
    text += "  return p.StandardScaler().hung()"
    assert project.digest(job=text.format(1)) != project.digest(job=text.format(2))


SPACY = {
    "component": ("@Language.component('shout')\ndef shout(doc): return {0}", "x.add_pipe('shout')"),
    "component by a variable": (
        "@Language.component('shout')\ndef shout(doc): return {0}\nPIPES = ['shout']", "[x.add_pipe(p) for p in PIPES]",
    ),
    "factory": (
        "@Language.factory('shout')\ndef shout(nlp, name): return lambda doc: {0}", "x.add_pipe('shout')",
    ),
    "default of a factory": (
        "@Language.factory('shout', default_config={{'k': {0}}})\ndef shout(nlp, name, k): return k",
        "x.add_pipe('shout')",
    ),
    "function of a registry": (
        "import spacy\n@spacy.registry.misc('shout')\ndef shout(): return {0}", "x.from_config({{'@misc': 'shout'}})",
    ),
    "getter of an extension": ("Doc.set_extension('shout', getter=lambda doc: {0}, force=True)", "x._.shout"),
    "default of an extension": ("Doc.set_extension('shout', default={0}, force=True)", "x._.shout"),
}


@pytest.mark.parametrize("way", SPACY)
def test_what_is_registered_under_a_name_is_not_reused_where_the_name_is_used(project: Project, way: str) -> None:
    pytest.importorskip("spacy")
    registering, use = SPACY[way]
    text = f"from spacy.language import Language\nfrom spacy.tokens import Doc\n{registering.format(1)}\n"
    _forget("shout")
    lost = project.write(job=f"{text}def f(x): return {use}").trace().unfollowed
    _forget("shout")
    assert "find shout by a name it was registered under" in lost[0]


def test_what_a_function_registers_itself_is_no_other_once_it_has_run(project: Project) -> None:
    pytest.importorskip("spacy")
    text = """
        from spacy.language import Language
        from spacy.tokens import Doc
        def f(x):
            Doc.set_extension("shout", getter=lambda doc: 1, force=True)
            Doc.set_extension("quiet", default=None, force=True)
            @Language.component("shout")
            def shout(doc): return doc
            return x._.shout, x._.quiet, x.add_pipe("shout")
    """
    module = project.write(job=text).load()
    before = trace(module.f, node="n").unfollowed
    with pytest.raises(AttributeError):
        module.f(None)
    assert trace(module.f, node="n").unfollowed == before == ()
    _forget("shout")
    _forget("quiet")


def _forget(name: str) -> None:
    import catalogue
    from spacy.tokens.underscore import Underscore

    for key in [key for key in catalogue.REGISTRY if key[-1] == name]:
        del catalogue.REGISTRY[key]
    Underscore.doc_extensions.pop(name, None)


def test_what_is_hung_on_a_class_under_another_name_does_not_count(project: Project) -> None:
    patch, _ = METHODS["of Spark"]
    one, two = (project.digest(job=f"{patch.format(k)}\ndef f(x): return x.limit(1)") for k in (1, 2))
    assert one == two


def test_the_part_says_where_the_method_hangs(project: Project) -> None:
    patch, use = METHODS["of Spark"]
    parts = project.write(job=f"{patch.format(1)}\ndef f(x): return {use}").trace().parts
    assert [part.label for part in parts][:2] == ["f", "clean"]
