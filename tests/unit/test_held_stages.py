"""A stage of Spark ML that code holds, and that leaves its seed to chance, is seen wherever it is held."""

from __future__ import annotations

import pytest
from project import Project

from helix_spark.signature.functions.randomness import stages_in

IMPORTS = "from pyspark.ml import Pipeline\nfrom pyspark.ml.tuning import CrossValidator as C\n"

HELD = [
    "{made}\ndef f(x): return held.fit(x).transform(x)",
    "{made}\ndef f(x):\n  def g(): return held.fit(x)\n  return g()",
    "{made}\ndef f(x, one=held): return one.fit(x)",
    "{made}\nheld = {{'a': [held]}}\ndef f(x): return held['a'][0].fit(x)",
    "{made}\nheld = Pipeline(stages=[C(seed=1), held])\ndef f(x): return held.fit(x)",
    "{made}\nclass Box: one = held\ndef f(x): return Box.one.fit(x)",
    "{made}\nclass Box: pass\nbox = Box()\nbox.one = held\ndef f(x): return box.one.fit(x)",
    "{made}\nclass Box:\n  def __init__(self, one): self.one = one\n  def a(self, x): return self.one\nf = Box(held).a",
    "{made}\nimport functools\ndef g(one, x): return one.fit(x)\nf = functools.partial(g, held)",
]


@pytest.mark.parametrize("text", HELD)
def test_a_stage_that_code_holds_is_taken_to_draw_unless_it_has_a_seed(project: Project, text: str) -> None:
    project.write(job=IMPORTS + text.format(made="held = C()"))
    found = project.trace().random
    assert found
    assert all("a CrossValidator without a seed (give it seed=...)" in sentence for sentence in found)
    project.write(job=IMPORTS + text.format(made="held = C(seed=7)"))
    assert project.trace().random == ()


def test_a_list_that_is_in_itself_has_an_end() -> None:
    endless: list[object] = [1]
    endless.append(endless)
    assert list(stages_in([endless, {"a": endless}])) == []
