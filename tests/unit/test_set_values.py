"""Values that the driver has set in a module: workers that import the module again have those of its text."""

from __future__ import annotations

import pytest

from helix_spark.identity.code import trace
from tests.unit.project import Project

LIB = (
    "from defaults import RATE\nK = 2\nSTATE = {'k': 1}\ndef other(a): return a + 100\n"
    "def helper(a): return other(a)\nclass Model:\n    rate = 2\n    def fit(self): return 1\n"
    "def f(a): return helper(a) * K + STATE['k'] + Model().rate + RATE\n"
)
FILES = {"lib": LIB, "defaults": "RATE = 3\n"}

SET = {
    "a constant": ("lib.K = 7", "K = 2", "K = 3"),
    "an item": ("lib.STATE['k'] = 1000", "'k': 1", "'k': 2"),
    "a function": ("lib.helper = lambda a: a", "helper(a): return", "helper(a): return 2 *"),
    "a function, and what its text calls": ("lib.helper = lambda a: a", "a + 100", "a + 200"),
    "an imported constant": ("lib.RATE = 7", "import RATE", "import RATE\nRATE = 4"),
    "a constant, by a function": ("lib.K = len", "K = 2", "K = 3"),
    "an attribute of a class, by a property": ("lib.Model.rate = property(len)", "rate = 2", "rate = 3"),
    "an attribute of a class": ("lib.Model.rate = 9", "rate = 2", "rate = 3"),
    "a method of a class": ("lib.Model.fit = lambda self: 5", "return 1", "return 2"),
    "a class": ("lib.Model = lambda: 1", "rate = 2", "rate = 3"),
}


def digests(project: Project, files: dict[str, str], setting: str) -> tuple[str, str]:
    """Return the digests of `lib.f` on the driver and in workers, once another module has set something."""
    lib = project.write(**files).load("lib")
    exec(setting, {"lib": lib, "__name__": "__main__"})
    return trace(lib.f, node="n").digest, trace(lib.f, node="n", in_workers=True).digest


@pytest.mark.parametrize("case", SET.values(), ids=SET)
def test_the_text_behind_a_value_that_was_set_counts_in_workers(project: Project, case: tuple[str, str, str]) -> None:
    setting, old, new = case
    assert old in LIB
    before, after, again = (
        digests(project, {**FILES, "lib": text}, setting) for text in (LIB, LIB.replace(old, new), LIB)
    )
    assert before[1] != after[1]
    assert before == again


UNSET = {
    "constants": "K = 2\nRATES = {'a': [1.0, -0.0], 'b': {3, 1}}\nA, B = 1, 2\ndef f(a): return K, RATES, A, B\n",
    "what is filled later": (
        "STATE = {}\nSTATE['a'] = 1\nM = None\nK = 1\nif STATE: K = 2\ndef f(a): return STATE, K, M\n"
    ),
    "decorated functions": "from functools import lru_cache\n@lru_cache\ndef g(a): return a\ndef f(a): return g(a)\n",
    "classes": (
        "from dataclasses import dataclass, field\nfrom enum import Enum\nfrom typing import NamedTuple\n"
        "@dataclass(slots=True)\nclass A:\n    x: int = 1\n    y: list = field(default_factory=list)\n"
        "class B(Enum):\n    RED = 1\nclass C(NamedTuple):\n    x: int = 0\nclass D:\n    __slots__ = ('x',)\n"
        "    z = 1\n    @property\n    def y(self): return 1\n    @classmethod\n    def make(cls): return 1\n"
        "    class E:\n        z = 2\ndef f(a): return A(), B.RED, C(), D(), D.E\n"
    ),
    "imports": (
        "import math as m, os.path\nfrom json import dumps\nimport defaults\n"
        "def f(a): return m, os, dumps, defaults.RATE\n"
    ),
}


@pytest.mark.parametrize("text", UNSET.values(), ids=UNSET)
def test_comments_do_not_count_where_nothing_was_set(project: Project, text: str) -> None:
    plain, commented = (digests(project, {**FILES, "lib": edited}, "pass") for edited in (text, f"{text}# a comment\n"))
    assert plain == commented
