"""Edits and changes of every day that mean nothing: nothing must be computed again."""

from benchmarks.adversarial_cases.case import Case

SAME = [
    Case("comment and docstring in a node and its helper", "same", """
--- helper.py
def clean(x):
    return x + 1
--- job.py
from helper import clean

def answer(data: pd.DataFrame) -> str:
    return str(clean(data.a.sum()))
""", """
--- edit helper.py
    return ==>     \"\"\"Cleans.\"\"\"\\n    # One more.\\n    return
--- edit job.py
    return ==>     # The sum.\\n    return
"""),
    Case("rename of a local", "same", """
--- job.py
def answer(data: pd.DataFrame) -> str:
    x = data.a.sum()
    return str([x + y for y in (1, 2)])
""", """
--- edit job.py
x = ==> total =
[x + ==> [total +
"""),
    Case("order of functions", "same", """
--- helper.py
def clean(x):
    return x + 1

def double(x):
    return clean(x) * 2
--- job.py
from helper import clean, double

def answer(data: pd.DataFrame) -> str:
    return str(clean(double(data.a.sum())))
""", """
--- helper.py
def double(x):
    return clean(x) * 2


def clean(x):
    return x + 1
"""),
    Case("helper moved to another module", "same", """
--- helper.py
def clean(x):
    return x + 1
--- job.py
from helper import clean

def answer(data: pd.DataFrame) -> str:
    return str(clean(data.a.sum()))
""", """
--- cleaning.py
def clean(x):
    return x + 1
--- edit job.py
from helper ==> from cleaning
"""),
    Case("module that became a package", "same", """
--- helper.py
def clean(x):
    return x + 1
--- job.py
from helper import clean

def answer(data: pd.DataFrame) -> str:
    return str(clean(data.a.sum()))
""", """
--- helper/__init__.py
def clean(x):
    return x + 1
--- python
import os
os.remove("helper.py")
"""),
    Case("type hints", "same", """
--- helper.py
def clean(x):
    return x + 1
--- job.py
from helper import clean

def answer(data: pd.DataFrame) -> str:
    total = clean(data.a.sum())
    return str(total)
""", """
--- edit helper.py
(x): ==> (x: float) -> float:
--- edit job.py
total = ==> total: float =
"""),
    Case("formatting", "same", """
--- job.py
def answer(data: pd.DataFrame) -> str:
    return str(data.assign(c=data.a + 1, d='x').groupby('b').c.sum().to_dict())
""", """
--- job.py
def answer(data: pd.DataFrame) -> str:
    return str(
        data.assign(
            c=(data.a + 1),
            d="x",
        )
        .groupby("b")
        .c.sum()
        .to_dict()
    )
"""),
    Case("order of imports and an import that is not used", "same", """
--- job.py
import os
import json

def answer(data: pd.DataFrame) -> str:
    return json.dumps(list(data.a)) + os.sep
""", """
--- edit job.py
import os\\nimport json ==> import json\\nimport os\\nimport textwrap
"""),
    Case("print added", "same", """
--- job.py
def answer(data: pd.DataFrame) -> str:
    return str(data.a.sum())
""", """
--- edit job.py
    return str ==>     print(len(data))\\n    return str
"""),
    Case("seconds that only a log gets", "same", """
--- job.py
import logging
import time

LOG = logging.getLogger(__name__)

def answer(data: pd.DataFrame) -> str:
    start = time.perf_counter()
    total = data.a.sum()
    LOG.info("took %.2f s", time.perf_counter() - start)
    return str(total)
""", """
--- edit job.py
    total = ==>     # The sum.\\n    total =
"""),
    Case("decorator that logs seconds", "same", """
--- timing.py
import functools
import logging
import time

def timed(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        start = time.monotonic()
        try:
            return function(*args, **kwargs)
        finally:
            logging.getLogger("timing").debug("%s took %s", function.__name__, time.monotonic() - start)
    return wrapper
--- job.py
from timing import timed

@timed
def clean(x):
    return x + 1

def answer(data: pd.DataFrame) -> str:
    return str(clean(data.a.sum()))
""", """
--- edit job.py
def answer ==> # The sum.\\ndef answer
"""),
    Case("bar of progress", "same", """
--- job.py
from tqdm import tqdm

def answer(data: pd.DataFrame) -> str:
    return str(sum(x for x in tqdm(data.a)))
""", """
--- edit job.py
def answer ==> # The sum.\\ndef answer
"""),
    Case("lock, logger with a handler and a pool of threads in globals", "same", """
--- job.py
import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

LOCK = threading.Lock()
LOG = logging.getLogger("job")
LOG.addHandler(logging.StreamHandler(sys.stderr))
POOL = ThreadPoolExecutor(2)

def answer(data: pd.DataFrame) -> str:
    with LOCK:
        LOG.warning("begins")
        return str(list(POOL.map(lambda x: x + 1, data.a)))
""", """
--- edit job.py
    with LOCK ==>     # One at a time.\\n    with LOCK
"""),
    Case("level of a logger", "same", """
--- job.py
import logging

logging.basicConfig(level=logging.INFO)
LOG = logging.getLogger(__name__)

def answer(data: pd.DataFrame) -> str:
    LOG.debug("rows: %s", len(data))
    return str(data.a.sum())
""", """
--- edit job.py
logging.INFO ==> logging.DEBUG
"""),
    Case("warnings that are ignored", "same", """
--- job.py
def answer(data: pd.DataFrame) -> str:
    return str(data.a.sum())
""", """
--- edit job.py
def answer ==> import warnings\\nwarnings.filterwarnings("ignore")\\n\\ndef answer
"""),
    Case("seeded generators in globals", "same", """
--- job.py
import random
import numpy as np

RNG = np.random.default_rng(1)
DICE = random.Random(2)

def answer(data: pd.DataFrame) -> str:
    return str([RNG.random(), DICE.random()])
""", """
--- edit job.py
def answer ==> # Draws.\\ndef answer
"""),
    Case("fitted model of sklearn in a global", "same", """
--- job.py
import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression

LINEAR = LogisticRegression().fit(np.array([[0.0], [1.0], [2.0]]), [0, 1, 1])
FOREST = RandomForestRegressor(3, random_state=1).fit(np.array([[0.0], [1.0], [2.0]]), [0, 1, 1])

def answer(data: pd.DataFrame) -> str:
    return str([LINEAR.predict([[3.0]]), FOREST.predict([[3.0]])])
""", """
--- edit job.py
def answer ==> # Predicts.\\ndef answer
"""),
    Case("pydantic settings, a field that nothing reads", "same", """
--- settings.py
from pydantic import BaseModel, field_validator

class Settings(BaseModel):
    depth: int = 3

    @field_validator("depth")
    @classmethod
    def positive(cls, value):
        return abs(value)

SETTINGS = Settings(depth=-4)
--- job.py
from settings import SETTINGS

def answer(data: pd.DataFrame) -> str:
    return str(SETTINGS.depth)
""", """
--- edit settings.py
    depth: int = 3 ==>     depth: int = 3\\n    title: str = "job"
"""),
    Case("dataclass, attrs class and enum with comments", "same", """
--- kinds.py
import enum
from dataclasses import dataclass, field
import attrs

class Color(enum.Enum):
    RED = "red"

@dataclass(frozen=True)
class Row:
    names: list = field(default_factory=list)

@attrs.define
class Span:
    start: int = attrs.field(default=1, converter=int)
--- job.py
from kinds import Color, Row, Span

SPAN = Span("3")

def answer(data: pd.DataFrame) -> str:
    return str([Color.RED, Row(["a"]), SPAN])
""", """
--- edit kinds.py
    RED ==>     # Warm.\\n    RED
    names ==>     # In order.\\n    names
    start ==>     # In letters.\\n    start
"""),
    Case("method that nothing calls in a class of settings", "same", """
--- settings.py
from dataclasses import dataclass

@dataclass
class Settings:
    depth: int = 3

SETTINGS = Settings()
--- job.py
from settings import SETTINGS

def answer(data: pd.DataFrame) -> str:
    return str(SETTINGS.depth)
""", """
--- edit settings.py
depth: int = 3 ==> depth: int = 3\\n\\n    def describe(self):\\n        return f"depth {self.depth}"
"""),
    Case("key of a configuration that the node does not read", "same", """
--- settings.yaml
model: {depth: 3}
--- settings.py
import yaml

with open("settings.yaml") as file:
    CONFIG = yaml.safe_load(file)
--- job.py
from settings import CONFIG

def answer(data: pd.DataFrame) -> str:
    return str(CONFIG["model"]["depth"])
""", """
--- settings.yaml
# The model.
model: {depth: 3}
report: {title: rows}
"""),
    Case("helper under functools.cache, file touched", "same", """
--- words.txt
one two
--- words.py
import functools
from pathlib import Path

@functools.cache
def words():
    return Path(__file__).with_name("words.txt").read_text().split()
--- job.py
from words import words

def answer(data: pd.DataFrame) -> str:
    return str(words())
""", """
--- python
import os
os.utime("words.txt")
os.utime("words.py")
"""),
    Case("source touched and its permission changed", "same", """
--- rows.csv
a
1
2
--- job.py
def job() -> hx.Workflow:
    wf = hx.Workflow("job")
    wf.source("rows", hx.csv("rows.csv", schema="a double", header=True))

    @wf.reducer(output=True)
    def answer(rows: pd.DataFrame) -> str:
        return str(rows.a.sum())

    return wf
""", """
--- python
import os
os.utime("rows.csv")
os.chmod("rows.csv", 0o600)
""", spark=True),
    Case("file beside those that a pattern picks", "same", """
--- parts/one.csv
a
1
--- job.py
from pathlib import Path

def answer(data: pd.DataFrame) -> str:
    return str(sum(pd.read_csv(path).a.sum() for path in sorted(Path("parts").glob("*.csv"))))
""", """
--- parts/README.md
The parts.
"""),
    Case("file replaced by a link to the same content", "same", """
--- words.txt
one
--- job.py
from pathlib import Path

def answer(data: pd.DataFrame) -> str:
    return Path("words.txt").read_text()
""", """
--- python
import os
os.makedirs("store")
os.rename("words.txt", "store/words.txt")
os.symlink("store/words.txt", "words.txt")
"""),
    Case("another working folder, files by __file__", "same", """
--- other/x.txt
--- words.txt
one
--- job.py
from pathlib import Path

def answer(data: pd.DataFrame) -> str:
    return Path(__file__).resolve().with_name("words.txt").read_text()
""", """
--- run
other ../job.py
"""),
    Case("project moved to another folder", "same", """
--- one/words.txt
one
--- one/helper.py
def clean(x):
    return x + 1
--- one/job.py
from helper import clean
from pathlib import Path

def answer(data: pd.DataFrame) -> str:
    return str(clean(data.a.sum())) + Path(__file__).with_name("words.txt").read_text()
--- run
one job.py
""", """
--- python
import os
os.rename("one", "two")
--- run
two job.py
"""),
    Case("compiled files deleted, a variable that nothing reads", "same", """
--- helper.py
def clean(x):
    return x + 1
--- job.py
from helper import clean

def answer(data: pd.DataFrame) -> str:
    return str(clean(data.a.sum()))
""", """
--- python
import shutil
shutil.rmtree("__pycache__", ignore_errors=True)
--- env
UNRELATED=1
LS_COLORS=x
"""),
    Case("upgrade of a package that no node uses", "same", """
--- site-packages/other/__init__.py
def clean(x):
    return x
--- site-packages/other-1.0.dist-info/METADATA
Metadata-Version: 2.1
Name: other
Version: 1.0
--- job.py
import other

def answer(data: pd.DataFrame) -> str:
    return str(data.a.sum())
""", """
--- edit site-packages/other-1.0.dist-info/METADATA
Version: 1.0 ==> Version: 1.1
"""),
    Case("node added, nodes declared in another order", "same", """
--- job.py
def job() -> hx.Workflow:
    wf = hx.Workflow("job")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    @wf.reducer(output=True)
    def first(data: pd.DataFrame) -> str:
        return str(data.a.min())

    @wf.reducer(output=True)
    def answer(data: pd.DataFrame) -> str:
        return str(data.a.sum())

    return wf
""", """
--- job.py
def job() -> hx.Workflow:
    wf = hx.Workflow("job")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    @wf.reducer(output=True)
    def answer(data: pd.DataFrame) -> str:
        return str(data.a.sum())

    @wf.reducer(output=True)
    def first(data: pd.DataFrame) -> str:
        return str(data.a.min())

    @wf.reducer()
    def further(data: pd.DataFrame) -> str:
        return str(data.a.max())

    return wf
"""),
    Case("function added to a helper module, constant that nothing reads", "same", """
--- helper.py
UNUSED = 1

def clean(x):
    return x + 1
--- job.py
import helper

def answer(data: pd.DataFrame) -> str:
    return str(helper.clean(data.a.sum()))
""", """
--- helper.py
UNUSED = 2

def other(x):
    return x + 2

def clean(x):
    return x + 1
"""),
    Case("temporary folder inside a node", "same", """
--- job.py
import tempfile
import uuid
from pathlib import Path

def answer(data: pd.DataFrame) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{uuid.uuid4()}.csv"
        data.to_csv(path)
        return str(pd.read_csv(path).a.sum())
""", """
--- edit job.py
def answer ==> # By a file.\\ndef answer
"""),
    Case("file that a node writes and reads", "same", """
--- job.py
from pathlib import Path

def answer(data: pd.DataFrame) -> str:
    Path("out").mkdir(exist_ok=True)
    data.to_csv("out/rows.csv", index=False)
    return str(pd.read_csv("out/rows.csv").a.sum())
""", """
--- edit job.py
def answer ==> # By a file.\\ndef answer
"""),
    Case("jobs of joblib and threads", "same", """
--- job.py
from concurrent.futures import ThreadPoolExecutor
from joblib import Parallel, delayed

def double(x):
    return 2 * x

def answer(data: pd.DataFrame) -> str:
    with ThreadPoolExecutor() as pool:
        tripled = list(pool.map(lambda x: 3 * x, data.a))
    return str([Parallel(n_jobs=2, prefer="threads")(delayed(double)(x) for x in data.a), tripled])
""", """
--- edit job.py
def answer ==> # Side by side.\\ndef answer
"""),
    Case("checks of the platform", "same", """
--- job.py
import os
import platform
import sys

JOBS = min(2, os.cpu_count() or 1)

def answer(data: pd.DataFrame) -> str:
    if platform.system() == "Windows" or sys.version_info < (3, 10):
        return "other"
    return str(JOBS)
""", """
--- edit job.py
def answer ==> # Here.\\ndef answer
"""),
    Case("template of jinja and a compiled pattern in globals", "same", """
--- job.py
import re
import jinja2

PAGE = jinja2.Environment().from_string("{{ total }} rows")
WORD = re.compile(r"\\w+")

def answer(data: pd.DataFrame) -> str:
    return PAGE.render(total=data.a.sum()) + str(WORD.findall("a b"))
""", """
--- edit job.py
def answer ==> # Here.\\ndef answer
"""),
    Case("session of requests in a global of a module", "same", """
--- client.py
import requests

SESSION = requests.Session()

def fetch(url):
    return SESSION.get(url).text

def clean(x):
    return x + 1
--- job.py
import client

def answer(data: pd.DataFrame) -> str:
    return str(client.clean(data.a.sum()))
""", """
--- edit client.py
    return x ==>     # Cleans.\\n    return x
"""),
    Case("text under `if __name__`", "same", """
--- job.py
def answer(data: pd.DataFrame) -> str:
    return str(data.a.sum())

if __name__ == "__main__":
    print("begins")
""", """
--- edit job.py
begins ==> starts
"""),
    Case("width of pandas' texts", "same", """
--- job.py
def answer(data: pd.DataFrame) -> str:
    return str(data.a.sum())
""", """
--- edit job.py
def answer ==> pd.set_option("display.width", 200)\\n\\ndef answer
"""),
]
