"""Changes of what the process has set: variables, libraries' settings and registries."""

from benchmarks.adversarial_cases.case import Case

SETTINGS = [
    Case("codec registered by an imported module", "changed", """
--- rot.py
import codecs

def encode(text, errors="strict"):
    return bytes((ord(letter) + 1) % 256 for letter in text), len(text)

def find(name):
    return codecs.CodecInfo(encode, None, name=name) if name == "rot_one" else None

codecs.register(find)
--- job.py
import rot

def answer(data: pd.DataFrame) -> str:
    return "".join(data.b).encode("rot_one").decode()
""", """
--- edit rot.py
+ 1) ==> + 2)
"""),
    Case("dialect of csv registered by an imported module", "changed", """
--- dialects.py
import csv

csv.register_dialect("ours", delimiter=";")
--- job.py
import csv
import dialects

def answer(data: pd.DataFrame) -> str:
    return str(next(csv.reader(["a;b|c"], dialect="ours")))
""", """
--- edit dialects.py
";" ==> "|"
"""),
    Case("type of files added to mimetypes", "changed", """
--- types_of_files.py
import mimetypes

mimetypes.add_type("text/one", ".ours")
--- job.py
import mimetypes
import types_of_files

def answer(data: pd.DataFrame) -> str:
    return str(mimetypes.guess_type("x.ours")[0])
""", """
--- edit types_of_files.py
text/one ==> text/two
"""),
    Case("constructor added to YAML's loader", "changed", """
--- tags.py
import yaml

yaml.SafeLoader.add_constructor("!twice", lambda loader, node: 2 * int(node.value))
--- job.py
import tags
import yaml

def answer(data: pd.DataFrame) -> str:
    return str(yaml.safe_load("!twice 4"))
""", """
--- edit tags.py
2 * int ==> 3 * int
"""),
    Case("adapter registered with sqlite3", "changed", """
--- adapters.py
import datetime
import sqlite3

sqlite3.register_adapter(datetime.date, lambda day: f"{day:%Y}")
--- job.py
import datetime
import sqlite3
import adapters

def answer(data: pd.DataFrame) -> str:
    with sqlite3.connect(":memory:") as base:
        return str(base.execute("select ?", [datetime.date(2020, 2, 3)]).fetchone()[0])
""", """
--- edit adapters.py
%Y ==> %m
"""),
    Case("first day of calendar's week", "changed", """
--- weeks.py
import calendar

calendar.setfirstweekday(6)
--- job.py
import calendar
import weeks

def answer(data: pd.DataFrame) -> str:
    return calendar.month(2020, 2)
""", """
--- edit weeks.py
(6) ==> (5)
"""),
    Case("length of reprlib's texts", "changed", """
--- short.py
import reprlib

reprlib.aRepr.maxlist = 2
--- job.py
import reprlib
import short

def answer(data: pd.DataFrame) -> str:
    return reprlib.repr(list(data.a))
""", """
--- edit short.py
= 2 ==> = 3
"""),
    Case("warnings that a module turns into errors", "changed", """
--- strict.py
import warnings

warnings.simplefilter("ignore")
--- job.py
import warnings
import strict

def answer(data: pd.DataFrame) -> str:
    try:
        warnings.warn("rows are few")
    except UserWarning:
        return "refused"
    return "taken"
""", """
--- edit strict.py
"ignore" ==> "error"
"""),
    Case("warnings that a variable turns into errors", "changed", """
--- job.py
import warnings

def answer(data: pd.DataFrame) -> str:
    try:
        warnings.warn("rows are few", ImportWarning)
    except ImportWarning:
        return "refused"
    return "taken"
""", """
--- env
PYTHONWARNINGS=error::ImportWarning
"""),
    Case("depth of recursion", "changed", """
--- limits.py
import sys

sys.setrecursionlimit(3000)
--- job.py
import limits

def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)

def answer(data: pd.DataFrame) -> str:
    try:
        return str(depth(4000))
    except RecursionError:
        return "too deep"
""", """
--- edit limits.py
3000 ==> 9000
"""),
    Case("level of a logger that the answer depends on", "changed", """
--- logs.py
import logging

logging.getLogger("job").setLevel(logging.INFO)
--- job.py
import logging
import logs

LOG = logging.getLogger("job")

def answer(data: pd.DataFrame) -> str:
    rows = data.head(2) if LOG.isEnabledFor(logging.DEBUG) else data
    return str(rows.a.sum())
""", """
--- edit logs.py
INFO ==> DEBUG
"""),
    Case("option of pandas set by an imported module", "changed", """
--- options.py
import pandas

pandas.set_option("display.precision", 3)
--- job.py
import options

def answer(data: pd.DataFrame) -> str:
    return str(data[["a"]] / 3)
""", """
--- edit options.py
3 ==> 4
"""),
    Case("accessor registered with pandas", "changed", """
--- accessors.py
import pandas

@pandas.api.extensions.register_dataframe_accessor("ours")
class Ours:
    def __init__(self, frame):
        self.frame = frame

    def total(self):
        return self.frame.a.sum() + 1
--- job.py
import accessors

def answer(data: pd.DataFrame) -> str:
    return str(data.ours.total())
""", """
--- edit accessors.py
+ 1 ==> + 2
"""),
    Case("name put into builtins", "changed", """
--- names.py
import builtins

builtins.LIMIT = 3
--- job.py
import names

def answer(data: pd.DataFrame) -> str:
    return str(LIMIT)
""", """
--- edit names.py
LIMIT = 3 ==> LIMIT = 4
"""),
    Case("function of a library replaced by an imported module", "changed", """
--- patch.py
import statistics

_mean = statistics.mean
statistics.mean = lambda values: _mean(values) + 1
--- job.py
import patch
import statistics

def answer(data: pd.DataFrame) -> str:
    return str(statistics.mean(data.a))
""", """
--- edit patch.py
+ 1 ==> + 2
"""),
    Case("context variable set at import", "changed", """
--- context.py
from contextvars import ContextVar

DEPTH = ContextVar("DEPTH", default=1)
--- enter.py
from context import DEPTH

DEPTH.set(3)
--- job.py
import enter
from context import DEPTH

def answer(data: pd.DataFrame) -> str:
    return str(DEPTH.get())
""", """
--- edit enter.py
(3) ==> (4)
"""),
    Case("attribute of a thread's own object", "changed", """
--- local.py
import threading

STATE = threading.local()
--- enter.py
from local import STATE

STATE.depth = 3
--- job.py
import enter
from local import STATE

def answer(data: pd.DataFrame) -> str:
    return str(getattr(STATE, "depth", None))
""", """
--- edit enter.py
= 3 ==> = 4
"""),
    Case("variables by their prefix", "changed", """
--- job.py
import os

def answer(data: pd.DataFrame) -> str:
    return str(sorted(name for name in os.environ if name.startswith("STEP_")))
""", """
--- env
STEP_ONE=1
"""),
    Case("variable in a path", "changed", """
--- job.py
import os

def answer(data: pd.DataFrame) -> str:
    return os.path.expandvars("$STEP_ROOT/words") + os.path.expanduser("~/words")
--- env
STEP_ROOT=/one
""", """
--- env
STEP_ROOT=/two
"""),
    Case("variable in a default argument", "changed", """
--- helper.py
import os

def clean(x, depth=os.environ.get("DEPTH", "1")):
    return x + float(depth)
--- job.py
from helper import clean

def answer(data: pd.DataFrame) -> str:
    return str(clean(data.a.sum()))
""", """
--- env
DEPTH=2
"""),
    Case("width of the terminal by a variable", "changed", """
--- job.py
import shutil
import textwrap

def answer(data: pd.DataFrame) -> str:
    return str(len(textwrap.wrap("word " * 100, shutil.get_terminal_size().columns)))
--- env
COLUMNS=80
""", """
--- env
COLUMNS=40
"""),
    Case("folder for temporary files", "changed", """
--- one/x.txt
--- two/x.txt
--- job.py
import os
import tempfile

def answer(data: pd.DataFrame) -> str:
    return os.path.basename(tempfile.gettempdir())
--- env
TMPDIR={folder}/one
""", """
--- env
TMPDIR={folder}/two
"""),
    Case("Python without assertions", "changed", """
--- helper.py
def check(x):
    try:
        assert x < 0
    except AssertionError:
        return "refused"
    return "taken"
--- job.py
from helper import check

def answer(data: pd.DataFrame) -> str:
    return check(data.a.sum())
""", """
--- env
PYTHONOPTIMIZE=1
"""),
    Case("seed of the hashes of texts", "changed", """
--- job.py
def answer(data: pd.DataFrame) -> str:
    return "".join({letter for letter in "abcdefghijkl"})
""", """
--- env
PYTHONHASHSEED=5
"""),
    Case("variable that an earlier node sets", "changed", """
--- job.py
import os

def first(data: pd.DataFrame) -> str:
    os.environ["STEP_MODE"] = "one"
    return "first"

def answer(data: pd.DataFrame, first: str) -> str:
    return os.environ.get("STEP_MODE", "")
""", """
--- edit job.py
"one" ==> "two"
""", nodes=("first", "answer")),
    Case("module that is there or not in sys.modules", "changed", """
--- part.py
--- extras.py
import part
--- job.py
import sys
import extras

def answer(data: pd.DataFrame) -> str:
    return str("part" in sys.modules)
""", """
--- edit extras.py
import part ==> pass
"""),
]
