"""Edits of code that a node reaches by other ways than a name."""

from benchmarks.adversarial_cases.case import Case

CODE = [
    Case("registry filled by a decorator in a module that no node names", "changed", """
--- registry.py
HANDLERS = {}

def handler(function):
    HANDLERS[function.__name__] = function
    return function
--- plugins.py
from registry import handler

@handler
def clean(x):
    return x + 1
--- job.py
import plugins
from registry import HANDLERS

def answer(data: pd.DataFrame) -> str:
    return str(HANDLERS["clean"](data.a.sum()))
""", """
--- edit plugins.py
x + 1 ==> x + 2
"""),
    Case("order of functions that a decorator collects", "changed", """
--- steps.py
STEPS = []

def step(function):
    STEPS.append(function)
    return function

@step
def add(x):
    return x + 1

@step
def double(x):
    return x * 2
--- job.py
from steps import STEPS

def answer(data: pd.DataFrame) -> str:
    x = data.a.sum()
    for step in STEPS:
        x = step(x)
    return str(x)
""", """
--- steps.py
STEPS = []

def step(function):
    STEPS.append(function)
    return function

@step
def double(x):
    return x * 2

@step
def add(x):
    return x + 1
"""),
    Case("plugins found by pkgutil, one more file", "changed", """
--- plugins/__init__.py
--- plugins/one.py
WEIGHT = 1
--- job.py
import importlib
import pkgutil
import plugins

def answer(data: pd.DataFrame) -> str:
    names = [found.name for found in pkgutil.iter_modules(plugins.__path__)]
    return str(sum(importlib.import_module(f"plugins.{name}").WEIGHT for name in names))
""", """
--- plugins/two.py
WEIGHT = 10
"""),
    Case("subclasses collected by __init_subclass__ in another module", "changed", """
--- base.py
class Feature:
    known = {}

    def __init_subclass__(cls):
        Feature.known[cls.__name__] = cls
--- features.py
from base import Feature

class Age(Feature):
    weight = 2
--- job.py
import features
from base import Feature

def answer(data: pd.DataFrame) -> str:
    return str({name: found.weight for name, found in Feature.known.items()})
""", """
--- edit features.py
weight = 2 ==> weight = 3
"""),
    Case("abstract class with a class registered elsewhere", "changed", """
--- shapes.py
from abc import ABC

class Shape(ABC):
    pass

class Square:
    pass
--- registering.py
from shapes import Shape, Square

Shape.register(Square)
--- job.py
import registering
from shapes import Shape, Square

def answer(data: pd.DataFrame) -> str:
    return str(isinstance(Square(), Shape))
""", """
--- edit registering.py
Shape.register(Square) ==> pass
"""),
    Case("singledispatch with an implementation registered elsewhere", "changed", """
--- render.py
from functools import singledispatch

@singledispatch
def render(x):
    return "?"
--- renderers.py
from render import render

@render.register
def _(x: float):
    return f"{x:.1f}"
--- job.py
import renderers
from render import render

def answer(data: pd.DataFrame) -> str:
    return render(float(data.a.sum()))
""", """
--- edit renderers.py
.1f ==> .2f
"""),
    Case("module whose __getattr__ makes its names", "changed", """
--- lazy.py
_TABLE = {"depth": 3, "width": 4}

def __getattr__(name):
    if name.startswith("_"):
        raise AttributeError(name)
    return _TABLE[name]
--- job.py
import lazy

def answer(data: pd.DataFrame) -> str:
    return str(lazy.depth)
""", """
--- edit lazy.py
"depth": 3 ==> "depth": 5
"""),
    Case("package that imports its parts when they are asked for", "changed", """
--- tools/__init__.py
import importlib

def __getattr__(name):
    if name not in ("clean",):
        raise AttributeError(name)
    return importlib.import_module(f"tools.{name}").run
--- tools/clean.py
def run(x):
    return x + 1
--- job.py
import tools

def answer(data: pd.DataFrame) -> str:
    return str(tools.clean(data.a.sum()))
""", """
--- edit tools/clean.py
x + 1 ==> x + 2
"""),
    Case("package whose __getattr__ imports a part of another name", "changed", """
--- tools/__init__.py
import importlib

def __getattr__(name):
    if name not in ("clean",):
        raise AttributeError(name)
    return importlib.import_module(f"tools.by_{name}").run
--- tools/by_clean.py
def run(x):
    return x + 1
--- job.py
import tools

def answer(data: pd.DataFrame) -> str:
    return str(tools.clean(data.a.sum()))
""", """
--- edit tools/by_clean.py
x + 1 ==> x + 2
"""),
    Case("step called by the name in a YAML file", "changed", """
--- steps.yaml
step: trim
--- steps.py
def trim(x):
    return x - 1

def pad(x):
    return x + 1
--- job.py
import yaml
import steps

with open("steps.yaml") as file:
    CONFIG = yaml.safe_load(file)

def answer(data: pd.DataFrame) -> str:
    return str(getattr(steps, CONFIG["step"])(data.a.sum()))
""", """
--- edit steps.py
x - 1 ==> x - 2
"""),
    Case("functions of a module found by their prefix", "changed", """
--- checks.py
def check_positive(data):
    return bool((data.a > 0).all())
--- job.py
import checks

def answer(data: pd.DataFrame) -> str:
    return str({name: check(data) for name, check in vars(checks).items() if name.startswith("check_")})
""", """
--- checks.py
def check_positive(data):
    return bool((data.a > 0).all())

def check_small(data):
    return bool((data.a < 3).all())
"""),
    Case("annotation of the node's own function, read by its decorator", "changed", """
--- cast.py
import functools

def cast(function):
    @functools.wraps(function)
    def wrapper(data):
        return function.__annotations__["return"](function(data))
    return wrapper
--- job.py
from cast import cast

@cast
def answer(data: pd.DataFrame) -> int:
    return data.a.sum()
""", """
--- edit job.py
-> int ==> -> str
"""),
    Case("line of an exception, moved by a comment", "changed", """
--- job.py
def answer(data: pd.DataFrame) -> str:
    try:
        raise ValueError
    except ValueError as error:
        return str(error.__traceback__.tb_lineno)
""", """
--- edit job.py
def answer ==> # A comment.\\ndef answer
"""),
    Case("text of a function by inspect", "changed", """
--- helper.py
def clean(x):
    return x  # as it is
--- job.py
import inspect
from helper import clean

def answer(data: pd.DataFrame) -> str:
    return inspect.getsource(clean)
""", """
--- edit helper.py
as it is ==> as it was
"""),
    Case("docstring of a module", "changed", """
--- helper.py
\"\"\"Cleans rows.\"\"\"
--- job.py
import helper

def answer(data: pd.DataFrame) -> str:
    return helper.__doc__
""", """
--- edit helper.py
rows ==> columns
"""),
    Case("names of locals by locals()", "changed", """
--- job.py
def answer(data: pd.DataFrame) -> str:
    total = data.a.sum()
    return str(sorted(locals()))
""", """
--- edit job.py
total ==> sum_of_a
"""),
    Case("order of the fields of a dataclass", "changed", """
--- row.py
from dataclasses import dataclass

@dataclass
class Row:
    a: int = 1
    b: int = 1
--- job.py
from dataclasses import fields
from row import Row

def answer(data: pd.DataFrame) -> str:
    return str([one.name for one in fields(Row)])
""", """
--- row.py
from dataclasses import dataclass

@dataclass
class Row:
    b: int = 1
    a: int = 1
"""),
    Case("module that names where a class is", "changed", """
--- old.py
class Thing:
    pass
--- things.py
from old import Thing
--- job.py
from things import Thing

def answer(data: pd.DataFrame) -> str:
    return Thing.__module__
""", """
--- new.py
class Thing:
    pass
--- edit things.py
old ==> new
"""),
    Case("text of code in a file, run by exec", "changed", """
--- rule.txt
result = total + 1
--- job.py
def answer(data: pd.DataFrame) -> str:
    scope = {"total": data.a.sum()}
    with open("rule.txt") as file:
        exec(file.read(), scope)
    return str(scope["result"])
""", """
--- edit rule.txt
+ 1 ==> + 2
"""),
    Case("global that only an eval'd text names", "changed", """
--- job.py
LIMIT = 3
RULE = "LIM" + "IT * 2"

def answer(data: pd.DataFrame) -> str:
    return str(eval(RULE))
""", """
--- edit job.py
LIMIT = 3 ==> LIMIT = 4
"""),
    Case("import hook that compiles files of its own", "changed", """
--- rules.rule
LIMIT = 3
--- hook.py
import importlib.abc
import importlib.util
import sys
from pathlib import Path

class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        return importlib.util.spec_from_loader(name, self) if Path(f"{name}.rule").exists() else None

    def exec_module(self, module):
        exec(Path(f"{module.__name__}.rule").read_text(), vars(module))

sys.meta_path.append(Finder())
--- job.py
import hook
import rules

def answer(data: pd.DataFrame) -> str:
    return str(rules.LIMIT + data.a.sum())
""", """
--- edit rules.rule
3 ==> 4
"""),
    Case("class attribute that an earlier node changes", "changed", """
--- model.py
class Model:
    depth = 1
--- job.py
from model import Model

def first(data: pd.DataFrame) -> str:
    Model.depth = 3
    return "first"

def answer(data: pd.DataFrame, first: str) -> str:
    return str(Model.depth)
""", """
--- edit job.py
depth = 3 ==> depth = 4
""", nodes=("first", "answer")),
    Case("iterator in a global", "changed", """
--- job.py
import itertools

IDS = itertools.count(5)

def answer(data: pd.DataFrame) -> str:
    return str([next(IDS) for _ in data.a])
""", """
--- edit job.py
count(5) ==> count(6)
"""),
    Case("inner state of a closure", "changed", """
--- helper.py
def counter(start):
    count = start

    def following():
        nonlocal count
        count += 1
        return count
    return following
--- job.py
from helper import counter

following = counter(1)
following()

def answer(data: pd.DataFrame) -> str:
    return str(following())
""", """
--- edit job.py
counter(1)\\nfollowing() ==> counter(1)\\nfollowing()\\nfollowing()
"""),
]
