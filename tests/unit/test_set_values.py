"""Values that the driver has set in a module: workers that import the module again have those of its text."""

from __future__ import annotations

import importlib

import pytest

from helix_spark.identity.code import trace
from tests.unit.project import Project

LIB = """
from dataclasses import dataclass, field
from functools import lru_cache, wraps
import far
import tables as named
class Space:
    def __init__(self, **names): vars(self).update(names)
from defaults import *
from defaults import RATE, OPTIONS, Shared
from helpers import helper
K = 2
STATE = {'k': 1}
MADE = dict(k=1)
MINUTES = 60 * 2
NESTED = {'a': [dict(k=1)], 'b': (Space(x=1), [2.0, {3}])}
CFG = Space(x=1)
class Base:
    depth = 2
    def fit(self): return 1
class Model(Base):
    rate = 2
    class Inner:
        rate = 2
@dataclass
class Settings:
    x: int = 1
    parts: list = field(default_factory=lambda: [1])
class Slotted:
    __slots__ = ('x',)
    def __init__(self): self.x = 1
SETTINGS, SLOTTED, MODEL = Settings(), Slotted(), Model()
def other(a): return a + 100
def local(a): return other(a)
def decorator(g): return wraps(g)(lambda *a: g(*a))
@decorator
def decorated(a): return other(a)
@lru_cache
def cached(a): return other(a)
def default(a, b=1): return a + b
default.by = 1
LATER = None
def f(a): return (
    helper(a), local(a), decorated(a), cached(a), default(a), K, RATE, LIMIT, LATER, STATE['k'], MADE, MINUTES,
    NESTED, CFG.x, SETTINGS.x, SETTINGS, SLOTTED, MODEL, MODEL.depth, Model.rate, Model().fit(), Model.Inner,
    OPTIONS['k'], Shared.x, named.TABLE)
"""
FILES = {
    "lib": LIB, "defaults": "RATE = 3\nLIMIT = 4\nOPTIONS = {'k': 1}\nclass Shared:\n    x = 1\n",
    "helpers": "from far import reach\ndef helper(a):\n    from near import touch\n    return reach(a) + touch(a)\n",
    "circle": "import lib\ndef own(): return len(lib.STATE)\ndef g(a): return lib.STATE, lib.A.rate\n",
    "far": "def reach(a): return a + 1000\n", "near": "def touch(a): return a + 2000\n",
    "tables": "from pathlib import Path\nTABLE = {'k': Path(__file__).with_suffix('.txt').read_text()}\n",
}

SET = {
    "a constant": ("lib.K = 7", "K = 2", "K = 3"),
    "a constant, by its twin": ("lib.K = 2.0", "K = 2", "K = 3"),
    "an item": ("lib.STATE['k'] = 1000", "{'k': 1}", "{'k': 2}"),
    "a new item": ("lib.STATE['j'] = 1000", "{'k': 1}", "{'k': 1, 'j': 2}"),
    "items in place of others": ("lib.STATE = {'k': 1}", "{'k': 1}", "{'k': 2}"),
    "an item of a dict from a call": ("lib.MADE['k'] = 1000", "dict(k=1)", "dict(k=2)"),
    "a dict from a call": ("lib.MADE = {}", "dict(k=1)", "dict(k=2)"),
    "a calculated constant": ("lib.MINUTES = 7", "60 * 2", "60 * 3"),
    "an item deep within": ("lib.NESTED['a'][0]['k'] = 5", "[dict(k=1)]", "[dict(k=2)]"),
    "an attribute deep within": ("lib.NESTED['b'][0].x = 5", "(Space(x=1)", "(Space(x=2)"),
    "an element deep within": ("lib.NESTED['b'][1][1].add(5)", "{3}", "{3, 4}"),
    "an attribute of a namespace": ("lib.CFG.x = 9", "CFG = Space(x=1)", "CFG = Space(x=2)"),
    "an attribute of a dataclass": ("lib.SETTINGS.x = 9", "x: int = 1", "x: int = 2"),
    "an element of a field": ("lib.SETTINGS.parts.append(9)", "lambda: [1]", "lambda: [2]"),
    "an attribute in a slot": ("lib.SLOTTED.x = 9", "self.x = 1", "self.x = 2"),
    "an attribute that a class gives": ("lib.MODEL.depth = 9", "depth = 2", "depth = 3"),
    "another object": ("lib.SETTINGS = lib.CFG", "x: int = 1", "x: int = 2"),
    "a function": ("lib.local = lambda a: a", "local(a): return", "local(a): return 2 *"),
    "a decorated function": ("lib.decorated = lambda a: a", "decorated(a): return", "decorated(a): return 2 *"),
    "a cached function": ("lib.cached = lambda a: a", "cached(a): return", "cached(a): return 2 *"),
    "a function, and what its text calls": (
        "lib.local = lib.decorated = lib.cached = lambda a: a", "a + 100", "a + 200",
    ),
    "an imported function": ("lib.helper = lambda a: a", "reach(a) +", "reach(a) -"),
    "a function, and what it imports": ("lib.helper = lambda a: a", "a + 1000", "a + 1001"),
    "a function, and what it imports when called": ("import near; lib.helper = lambda a: a", "a + 2000", "a + 2001"),
    "a default": ("lib.default.__defaults__ = (7,)", "b=1", "b=2"),
    "an imported constant": ("lib.RATE = 7", "OPTIONS, Shared", "OPTIONS, Shared\nRATE = 4"),
    "an imported constant, where it is from": ("lib.RATE = 7", "RATE = 3", "RATE = 4"),
    "a constant of all that are imported": ("lib.LIMIT = 7", "LIMIT = 4", "LIMIT = 5"),
    "an item of an imported dict": ("lib.OPTIONS['k'] = 7", "OPTIONS = {'k': 1}", "OPTIONS = {'k': 2}"),
    "an attribute of an imported class": ("lib.Shared.x = 7", "x = 1\n", "x = 2\n"),
    "a table that a module reads": ("lib.named.TABLE = {'k': 'c'}", "a", "b"),
    "an item of a table that a module reads": ("lib.named.TABLE['k'] = 'c'", "a", "b"),
    "a constant, by a function": ("lib.K = len", "K = 2", "K = 3"),
    "an attribute of a class, by a property": ("lib.Model.rate = property(len)", "rate = 2", "rate = 3"),
    "what is none": ("lib.LATER = 7", "LATER = None", "LATER = 3"),
    "an attribute of a function": ("lib.default.by = 7", "default.by = 1", "default.by = 3"),
    "an attribute of a class": ("lib.Model.rate = 9", "rate = 2", "rate = 3"),
    "an attribute of a class in another": ("lib.Model.Inner.rate = 9", "    rate = 2\n@", "    rate = 3\n@"),
    "an attribute of a base": ("lib.Base.depth = 9", "depth = 2", "depth = 3"),
    "a method of a class": ("lib.Base.fit = lambda self: 5", "return 1", "return 2"),
    "a class": ("lib.Model = lambda: 1", "rate = 2", "rate = 3"),
}


def digests(project: Project, files: dict[str, str], setting: str) -> tuple[str, str]:
    """Return the digests of `lib.f` on the driver and in workers, once another module has set something."""
    lib = project.write(**files).load("lib")
    exec(setting, {"lib": lib, "__name__": "__main__"})
    return trace(lib.f, node="n").digest, trace(lib.f, node="n", in_workers=True).digest


def edited(old: str, new: str) -> dict[str, str]:
    """The files with one text in place of another, wherever it occurs."""
    return {name: text.replace(old, new) for name, text in FILES.items()}


@pytest.mark.parametrize("case", SET.values(), ids=SET)
def test_the_text_behind_a_value_that_was_set_counts_in_workers(project: Project, case: tuple[str, str, str]) -> None:
    setting, old, new = case
    table = project.folder / "tables.txt"
    table.write_text("a")
    before = digests(project, FILES, setting)
    if old == "a":
        table.write_text(new)
        after = digests(project, FILES, setting)
        table.write_text(old)
    else:
        assert edited(old, new) != FILES
        after = digests(project, edited(old, new), setting)
    again = digests(project, FILES, setting)
    assert before[1] != after[1]
    assert before == again


UNSET = {
    "constants": "K = 2\nRATES = {'a': [1.0, -0.0], 'b': {3, 1}}\nA, B = 1, 2\ndef f(a): return K, RATES, A, B\n",
    "what is filled later": (
        "STATE = {}\nSTATE['a'] = 1\nM = None\nK = 1\nif STATE: K = 2\ndef f(a): return STATE, K, M\n"
    ),
    "decorated functions": "from functools import lru_cache\n@lru_cache\ndef g(a): return a\ndef f(a): return g(a)\n",
    "what is filled at import": "STATE = {}\nSTATE['a'] = 1\nK = 1\nif STATE: K = 2\ndef f(a): return STATE, K\n",
    "objects of libraries": (
        "import logging, re\nimport numpy as np\nfrom collections import Counter, deque, namedtuple\n"
        "LOG, WORD, WEIGHTS = logging.getLogger('a'), re.compile('a'), np.ones(3)\nPoint = namedtuple('Point', 'x y')\n"
        "SEEN, NAMES, LAST = Counter('aab'), {'a', 'b'}, deque([1])\n"
        "def f(a): return LOG, WORD, WEIGHTS, Point(1, 2), SEEN, NAMES, LAST\n"
    ),
    "circles": "LOOP = []\nLOOP.append(LOOP)\ndef g(a): return f(a)\nTABLE = {'g': g}\ndef f(a): return TABLE, g\n",
    "classes": (
        "from dataclasses import dataclass, field\nfrom enum import Enum\nfrom typing import NamedTuple\n"
        "@dataclass(slots=True)\nclass A:\n    x: int = 1\n    y: list = field(default_factory=list)\n"
        "class B(Enum):\n    RED = 1\nclass C(NamedTuple):\n    x: int = 0\nclass D:\n    __slots__ = ('x',)\n"
        "    z = 1\n    @property\n    def y(self): return 1\n    @classmethod\n    def make(cls): return 1\n"
        "    class E:\n        z = 2\ndef f(a): return A(), B.RED, C(), D(), D.E\n"
    ),
    "cached functions": (
        "from functools import cache, cached_property, singledispatch\n@cache\ndef g(a): return a\n"
        "@singledispatch\ndef h(a): return a\n@h.register\ndef _(a: int): return a\n"
        "class A:\n    @cached_property\n    def x(self): return 1\nA_ = A()\n"
        "def fill(a): return g(1), h(1), A_.x\ndef f(a): return g(a), h(a), A_.x\n"
    ),
    "descriptors": (
        "class Field:\n    def __set_name__(self, owner, name): self.name = name\n"
        "    def __get__(self, holder, owner=None): return self if holder is None else vars(holder).get(self.name, 1)\n"
        "    def __set__(self, holder, value): vars(holder)[self.name] = value\n"
        "class Meta(type):\n    def __call__(cls, *args): return super().__call__(*args)\n"
        "class A(metaclass=Meta):\n    x = Field()\nA_ = A()\ndef fill(a): return A_.x, A()\ndef f(a): return A_.x, A\n"
    ),
    "flags and abstract classes": (
        "import abc, enum\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def x(self): ...\n"
        "class B(A):\n    def x(self): return 1\nclass C(enum.Flag):\n    X = 1\n    Y = 2\n"
        "def fill(a): return C.X | C.Y, isinstance(B(), A), isinstance(1, A)\ndef f(a): return B().x(), C.X | C.Y\n"
    ),
    "values of libraries": (
        "import logging, re, threading\nimport numpy as np\nimport pandas as pd\nLOG = logging.getLogger(__name__)\n"
        "WORDS, LOCK, W = re.compile('a+'), threading.Lock(), np.ones(3)\nT = pd.DataFrame({'a': [1]})\n"
        "def fill(a):\n    LOG.warning('x')\n    T.columns, T.values\n"
        "def f(a): return LOG, WORDS, LOCK, W, T\n"
    ),
    "a module that makes its names when asked": (
        "def __getattr__(name):\n    if name != 'LATE': raise AttributeError(name)\n"
        "    globals()[name] = 2\n    return 2\n"
        "def fill(a):\n    import lib\n    return lib.LATE\ndef f(a):\n    import lib\n    return lib.LATE\n"
    ),
    "a circle of imports": (
        "STATE = {'k': 1}\nclass A:\n    rate = 2\nimport circle\nSTATE['j'] = circle.own()\nA.late = 1\n"
        "def f(a): return STATE, A, A.rate, circle.g(a)\n"
    ),
    "all names of a module": "from defaults import *\ndef f(a): return RATE, OPTIONS, Shared.x\n",
    "imports": (
        "import math as m, os.path\nfrom json import dumps\nimport defaults\n"
        "def f(a): return m, os, dumps, defaults.RATE\n"
    ),
}


@pytest.mark.parametrize("text", UNSET.values(), ids=UNSET)
def test_comments_do_not_count_where_nothing_was_set(project: Project, text: str) -> None:
    use = "getattr(lib, 'fill', len)(())"
    plain, commented = (digests(project, {**FILES, "lib": edited}, use) for edited in (text, f"{text}# a comment\n"))
    assert plain == commented


def test_a_value_counts_that_was_set_before_another_module_took_it(project: Project) -> None:
    lib = (
        "from defaults import RATE as BASE, OPTIONS\nimport more\nSCALE = more.LIMIT * 2\n"
        "def f(a): return a * BASE + OPTIONS['k'] + SCALE\n"
    )

    def digest(text: str) -> str:
        defaults = project.write(defaults=text, more="from defaults import LIMIT\n", lib=lib).load("defaults")
        defaults.RATE, defaults.LIMIT, defaults.OPTIONS["k"] = 7, 9, 8
        return trace(importlib.import_module("lib").f, node="n", in_workers=True).digest

    text = "RATE = 3\nLIMIT = 4\nOPTIONS = {'k': 1}\n"
    assert len({digest(text), *(digest(text.replace(number, "5")) for number in "341")}) == 4
