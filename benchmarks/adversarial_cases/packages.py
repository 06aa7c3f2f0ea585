"""Changes of what is installed."""

from benchmarks.adversarial_cases.case import Case

PACKAGES = [
    Case("entry point of a package that is installed", "changed", """
--- site-packages/steps-1.0.dist-info/METADATA
Metadata-Version: 2.1
Name: steps
Version: 1.0
--- job.py
from importlib.metadata import entry_points

def answer(data: pd.DataFrame) -> str:
    return str(sorted(point.name for point in entry_points(group="steps")))
""", """
--- site-packages/more-1.0.dist-info/METADATA
Metadata-Version: 2.1
Name: more
Version: 1.0
--- site-packages/more-1.0.dist-info/entry_points.txt
[steps]
clean = more:clean
"""),
    Case("version of a package that is not imported", "changed", """
--- site-packages/steps-1.0.dist-info/METADATA
Metadata-Version: 2.1
Name: steps
Version: 1.0
--- job.py
from importlib.metadata import version

def answer(data: pd.DataFrame) -> str:
    return version("steps")
""", """
--- edit site-packages/steps-1.0.dist-info/METADATA
Version: 1.0 ==> Version: 1.1
"""),
    Case("file of an installed package, edited in place", "changed", """
--- site-packages/steps/__init__.py
def clean(x):
    return x + 1
--- site-packages/steps-1.0.dist-info/METADATA
Metadata-Version: 2.1
Name: steps
Version: 1.0
--- site-packages/steps-1.0.dist-info/RECORD
steps/__init__.py,sha256=abc,32
--- job.py
import steps

def answer(data: pd.DataFrame) -> str:
    return str(steps.clean(data.a.sum()))
""", """
--- edit site-packages/steps/__init__.py
x + 1 ==> x + 2
"""),
    Case("package without metadata on Python's path", "changed", """
--- site-packages/steps/__init__.py
from steps.clean import clean
--- site-packages/steps/clean.py
def clean(x):
    return x + 1
--- job.py
import steps

def answer(data: pd.DataFrame) -> str:
    return str(steps.clean(data.a.sum()))
""", """
--- edit site-packages/steps/clean.py
x + 1 ==> x + 2
"""),
    Case("upgrade of a package that another one imports without requiring it", "changed", """
--- site-packages/steps/__init__.py
from deeper import clean
--- site-packages/steps-1.0.dist-info/METADATA
Metadata-Version: 2.1
Name: steps
Version: 1.0
--- site-packages/steps-1.0.dist-info/RECORD
steps/__init__.py,,
--- site-packages/deeper/__init__.py
def clean(x):
    return x + 1
--- site-packages/deeper-1.0.dist-info/METADATA
Metadata-Version: 2.1
Name: deeper
Version: 1.0
--- site-packages/deeper-1.0.dist-info/RECORD
deeper/__init__.py,,
--- job.py
import steps

def answer(data: pd.DataFrame) -> str:
    return str(steps.clean(data.a.sum()))
""", """
--- edit site-packages/deeper/__init__.py
x + 1 ==> x + 2
--- python
import os
os.rename("site-packages/deeper-1.0.dist-info", "site-packages/deeper-1.1.dist-info")
--- edit site-packages/deeper-1.1.dist-info/METADATA
Version: 1.0 ==> Version: 1.1
"""),
    Case("optional dependency that is installed", "changed", """
--- site-packages/steps/__init__.py
try:
    from faster import clean
except ImportError:
    def clean(x):
        return x + 1
--- site-packages/steps-1.0.dist-info/METADATA
Metadata-Version: 2.1
Name: steps
Version: 1.0
--- site-packages/steps-1.0.dist-info/RECORD
steps/__init__.py,,
--- job.py
import steps

def answer(data: pd.DataFrame) -> str:
    return str(steps.clean(data.a.sum()))
""", """
--- site-packages/faster/__init__.py
def clean(x):
    return x + 2
--- site-packages/faster-1.0.dist-info/METADATA
Metadata-Version: 2.1
Name: faster
Version: 1.0
--- site-packages/faster-1.0.dist-info/RECORD
faster/__init__.py,,
"""),
    Case("module of the project that hides an installed one", "changed", """
--- site-packages/steps/__init__.py
def clean(x):
    return x + 1
--- site-packages/steps-1.0.dist-info/METADATA
Metadata-Version: 2.1
Name: steps
Version: 1.0
--- site-packages/steps-1.0.dist-info/RECORD
steps/__init__.py,,
--- job.py
import steps

def answer(data: pd.DataFrame) -> str:
    return str(steps.clean(data.a.sum()))
""", """
--- steps.py
def clean(x):
    return x + 2
"""),
    Case("portion of a namespace package", "changed", """
--- site-packages/space/one.py
WEIGHT = 1
--- job.py
import pkgutil
import space

def answer(data: pd.DataFrame) -> str:
    return str(sorted(found.name for found in pkgutil.iter_modules(space.__path__)))
""", """
--- space/two.py
WEIGHT = 2
"""),
    Case("settings file that an installed package reads at import", "changed", """
--- steps.ini
3
--- site-packages/steps/__init__.py
with open("steps.ini") as file:
    _depth = int(file.read())

def clean(x):
    return x + _depth
--- site-packages/steps-1.0.dist-info/METADATA
Metadata-Version: 2.1
Name: steps
Version: 1.0
--- site-packages/steps-1.0.dist-info/RECORD
steps/__init__.py,,
--- job.py
import steps

def answer(data: pd.DataFrame) -> str:
    return str(steps.clean(data.a.sum()))
""", """
--- steps.ini
4
"""),
    Case("variable that an installed package memoizes at import", "changed", """
--- site-packages/steps/__init__.py
import functools
import os

@functools.lru_cache
def _depth():
    return int(os.environ.get("STEPS_DEPTH", "3"))

_depth()

def clean(x):
    return x + _depth()
--- site-packages/steps-1.0.dist-info/METADATA
Metadata-Version: 2.1
Name: steps
Version: 1.0
--- site-packages/steps-1.0.dist-info/RECORD
steps/__init__.py,,
--- job.py
import steps

def answer(data: pd.DataFrame) -> str:
    return str(steps.clean(data.a.sum()))
""", """
--- env
STEPS_DEPTH=4
"""),
    Case("installed package configured by a call", "changed", """
--- site-packages/steps/__init__.py
class _State:
    __slots__ = ("depth",)

_state = _State()
_state.depth = 1

def configure(depth):
    _state.depth = depth

def clean(x):
    return x + _state.depth
--- site-packages/steps-1.0.dist-info/METADATA
Metadata-Version: 2.1
Name: steps
Version: 1.0
--- site-packages/steps-1.0.dist-info/RECORD
steps/__init__.py,,
--- setup_steps.py
import steps

steps.configure(depth=3)
--- job.py
import setup_steps
import steps

def answer(data: pd.DataFrame) -> str:
    return str(steps.clean(data.a.sum()))
""", """
--- edit setup_steps.py
depth=3 ==> depth=4
"""),
    Case("sitecustomize that changes a library", "changed", """
--- site-packages/sitecustomize.py
import statistics

statistics.median = lambda values: 1
--- job.py
import statistics

def answer(data: pd.DataFrame) -> str:
    return str(statistics.median(data.a))
""", """
--- edit site-packages/sitecustomize.py
values: 1 ==> values: 2
"""),
]
