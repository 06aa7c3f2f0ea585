"""What several nodes read once (memos, lazy imports, threads that read ahead), and what an earlier node leaves."""

from benchmarks.adversarial_cases.case import Case

MEMOS = [
    Case("cached property of a file that two nodes ask for", "changed", """
--- words.txt
one two
--- words.py
from functools import cached_property
from pathlib import Path

class Words:
    def __init__(self, path):
        self.path = Path(path)

    @cached_property
    def all(self):
        return self.path.read_text().split()

WORDS = Words("words.txt")
--- job.py
from words import WORDS

def first(data: pd.DataFrame) -> str:
    return str(len(WORDS.all))

def answer(data: pd.DataFrame) -> str:
    return str(WORDS.all)
""", """
--- edit words.txt
two ==> three
""", nodes=("first", "answer")),
    Case("lazy proxy of a file", "changed", """
--- weights.json
{"x": 2}
--- weights.py
import json
from pathlib import Path

import lazy_object_proxy

WEIGHTS = lazy_object_proxy.Proxy(lambda: json.loads(Path("weights.json").read_text()))
--- job.py
from weights import WEIGHTS

def answer(data: pd.DataFrame) -> str:
    return str(WEIGHTS["x"] * data.a.sum())
""", """
--- edit weights.json
2 ==> 3
"""),
    Case("memoized list that a reused node extends", "changed", """
--- words.py
from functools import cache

@cache
def words():
    return ["a"]
--- job.py
from words import words

def first(data: pd.DataFrame) -> str:
    words().append("b")
    return "done"

def answer(data: pd.DataFrame, first: str) -> str:
    return str(words())
""", """
--- edit job.py
return str(words()) ==> return str(words()) + "."
""", nodes=("first", "answer")),
    Case("default list that a reused node extends", "changed", """
--- words.py
def remember(word, seen=[]):
    seen.append(word)
    return seen
--- job.py
from words import remember

def first(data: pd.DataFrame) -> str:
    remember("a")
    return "done"

def answer(data: pd.DataFrame, first: str) -> str:
    return str(remember("z"))
""", """
--- edit job.py
str(remember("z")) ==> str(remember("y"))
""", nodes=("first", "answer")),
    Case("constant of a module that a reused node sets", "changed", """
--- settings.py
DEPTH = 3

def depth():
    return DEPTH
--- job.py
import settings
from settings import depth

def first(data: pd.DataFrame) -> str:
    settings.DEPTH = 4
    return "done"

def answer(data: pd.DataFrame, first: str) -> str:
    return str(depth())
""", """
--- edit job.py
return str(depth()) ==> return str(depth()) + "."
""", nodes=("first", "answer")),
    Case("option of pandas that a reused node sets", "changed", """
--- job.py
def first(data: pd.DataFrame) -> str:
    pd.set_option("display.precision", 2)
    return "done"

def answer(data: pd.DataFrame, first: str) -> str:
    return str(data.a / 3)
""", """
--- edit job.py
data.a / 3 ==> data.a / 7
""", nodes=("first", "answer")),
    Case("order in which a set got its elements", "changed", """
--- kinds.py
KINDS = {0, 8}
--- job.py
from kinds import KINDS

def answer(data: pd.DataFrame) -> str:
    return str(list(KINDS))
""", """
--- edit kinds.py
{0, 8} ==> {8, 0}
"""),
    Case("row of an array, a view or a copy", "changed", """
--- weights.py
import numpy as np

WEIGHTS = np.zeros((2, 2))
FIRST = WEIGHTS[0]
--- job.py
from weights import FIRST, WEIGHTS

def answer(data: pd.DataFrame) -> str:
    FIRST[:] = data.a.sum()
    return str(WEIGHTS.sum())
""", """
--- edit weights.py
WEIGHTS[0] ==> WEIGHTS[0].copy()
"""),
    Case("sentinel compared by identity", "changed", """
--- sentinel.py
class Missing:
    pass

MISSING = Missing()
DEFAULTS = {"depth": MISSING}
--- job.py
from sentinel import DEFAULTS, MISSING

def answer(data: pd.DataFrame) -> str:
    return "missing" if DEFAULTS["depth"] is MISSING else "given"
""", """
--- edit sentinel.py
"depth": MISSING ==> "depth": Missing()
"""),
    Case("memory of joblib beside the job", "same", """
--- slow.py
from joblib import Memory

memory = Memory("cache", verbose=0)

@memory.cache
def slow(x):
    return x ** 2
--- job.py
from slow import slow

def answer(data: pd.DataFrame) -> str:
    return str(slow(3) + data.a.sum())
""", """
--- edit job.py
def answer ==> # A comment.\\ndef answer
"""),
]
