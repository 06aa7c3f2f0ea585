"""Chance and readers that are reached as values: in tables, partials, fields, defaults, parameters of nodes."""

from __future__ import annotations

import pytest

from tests.unit.project import Project

FOREST = "from sklearn.ensemble import RandomForestClassifier as R\n"
FOREST_OF = FOREST + "from functools import partial\nM = partial(R, {})\ndef f(x): return M({})"
FIELD = "from dataclasses import dataclass, field\n{}\n@dataclass\nclass A:\n  t: object = field(default_factory={})\n"

RANDOM = [
    ("import datetime as d\nD = {'a': d.datetime.now}\ndef f(x): return D['a']()", "holds datetime.datetime.now"),
    (FIELD.format("import time", "time.time") + "def f(x): return A()", "holds time.time"),
]


@pytest.mark.parametrize(("text", "words"), RANDOM)
def test_chance_that_is_held_is_seen(project: Project, text: str, words: str) -> None:
    (sentence,) = project.write(job=text).trace().random
    assert words in sentence


@pytest.mark.parametrize(
    "text",
    [
        FOREST + "D = {'a': R(random_state=1)}\ndef f(x): return D['a'].fit(x)",
        FOREST + "D = {'a': R}\ndef f(x): return D['a'](random_state=1).fit(x)",
        FOREST + "D = {'a': R}\ndef f(x, **options): return D['a'](**options).fit(x)",
        FOREST + "class C:\n  model = R\nP = {'random_state': 1}\ndef f(x): return C.model(**P).fit(x)",
        FOREST + "D = {'a': R}\ndef g(kind): return kind(random_state=1)\ndef f(x): return g(D['a'])",
        FOREST + "D = {'a': R()}\ndef f(x): return D['a'].set_params(random_state=1).fit(x)",
        FOREST_OF.format("random_state=1", ""), FOREST_OF.format("n_estimators=3", "random_state=1"),
        FOREST + "KINDS = (R,)\ndef f(x): return isinstance(x, KINDS)",
        FOREST + "import models\ndef f(x, name): return getattr(models, name)(x)",
        FOREST + "from dataclasses import dataclass\n@dataclass\nclass A:\n  m: R = None\ndef f(x): return A()",
        "from sklearn.model_selection import KFold\nK = KFold(3)\ndef f(x): return K.split(x)",
        "from pyspark.ml.clustering import KMeans\nM = {'k': KMeans}\ndef f(x): return M['k'](seed=1).fit(x)",
        "from functools import partial\nw = partial(open, mode='w')\ndef f(x): w(x).write(x)",
        "import functools as t, numpy as np\nG = t.partial(np.random.default_rng, 7)\ndef f(x): return G()",
        FIELD.format("", "list") + "def f(x): return A()",
        "import datetime as d, json, pathlib\nD = [json.loads, d.datetime, pathlib.Path]\ndef f(x): return D[0](x)",
        "from pyspark.sql import functions as F\nD = {'a': F.mean}\ndef f(x): return D['a'](x)",
    ],
)
def test_what_is_held_and_plain_or_seeded_is_neither(project: Project, text: str) -> None:
    traced = project.write(job=text, models=FOREST).trace()
    assert traced.random == ()


def test_fields_of_pydantic_are_seen(project: Project) -> None:
    pytest.importorskip("pydantic")
    text = """
        import time
        from pydantic import BaseModel, Field
        class A(BaseModel):
            t: float = Field(default_factory=time.time)
        def f(x): return A()
    """
    (sentence,) = project.write(job=text).trace().random
    assert sentence.endswith("is or holds time.time")
