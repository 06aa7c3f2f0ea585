"""What makes objects the same or other ones, and what those that seldom count may hold after all."""

from benchmarks.adversarial_cases.case import Case

IDENTITY = [
    Case("groups that share one list, or not", "changed", """
--- groups.py
GROUPS = dict.fromkeys("xyz", [])
--- job.py
from groups import GROUPS

def answer(data: pd.DataFrame) -> str:
    for letter, value in zip(data.b, data.a):
        GROUPS[letter].append(value)
    return str(GROUPS)
""", """
--- edit groups.py
dict.fromkeys("xyz", []) ==> {letter: [] for letter in "xyz"}
"""),
    Case("closures that share a variable, or not", "changed", """
--- counting.py
def counter():
    count = 0

    def add():
        nonlocal count
        count += 1

    def total():
        return count
    return add, total

add, total = counter()
--- job.py
from counting import add, total

def answer(data: pd.DataFrame) -> str:
    add()
    return str(total())
""", """
--- edit counting.py
add, total = counter() ==> add, total = counter()[0], counter()[1]
"""),
    Case("order of the methods of a class, listed", "changed", """
--- checks.py
class Checks:
    def low(self, x):
        return x > 1

    def high(self, x):
        return x < 9
--- job.py
from checks import Checks

def answer(data: pd.DataFrame) -> str:
    return str([name for name in vars(Checks) if not name.startswith("_")])
""", """
--- checks.py
class Checks:
    def high(self, x):
        return x < 9

    def low(self, x):
        return x > 1
"""),
    Case("text of a class, moved to another module", "changed", """
--- old.py
class Model:
    pass
--- models.py
from old import Model
--- job.py
from models import Model

def answer(data: pd.DataFrame) -> str:
    return f"{type(Model())}"
""", """
--- new.py
class Model:
    pass
--- edit models.py
old ==> new
"""),
    Case("pickle of an object, its class moved", "changed", """
--- old.py
class Model:
    depth = 3
--- models.py
from old import Model
--- job.py
import hashlib
import pickle

from models import Model

def answer(data: pd.DataFrame) -> str:
    return hashlib.md5(pickle.dumps(Model())).hexdigest()
""", """
--- new.py
class Model:
    depth = 3
--- edit models.py
old ==> new
"""),
    Case("name of the module in which a helper is", "changed", """
--- old.py
def where():
    return __name__
--- helper.py
from old import where
--- job.py
from helper import where

def answer(data: pd.DataFrame) -> str:
    return where()
""", """
--- new.py
def where():
    return __name__
--- edit helper.py
old ==> new
"""),
    Case("file of the module in which a helper is", "changed", """
--- old.py
from pathlib import Path

def where():
    return Path(__file__).stem
--- helper.py
from old import where
--- job.py
from helper import where

def answer(data: pd.DataFrame) -> str:
    return where()
""", """
--- new.py
from pathlib import Path

def where():
    return Path(__file__).stem
--- edit helper.py
old ==> new
"""),
    Case("names of fields in a struct of msgspec", "changed", """
--- row.py
import msgspec

class Row(msgspec.Struct, rename="camel"):
    row_size: float
--- job.py
import msgspec

from row import Row

def answer(data: pd.DataFrame) -> str:
    return msgspec.json.encode(Row(float(data.a.sum()))).decode()
""", """
--- edit row.py
"camel" ==> "kebab"
"""),
    Case("initializer of a pool of threads", "changed", """
--- pool.py
import threading
from concurrent.futures import ThreadPoolExecutor

LOCAL = threading.local()

def prepare(depth):
    LOCAL.depth = depth

def depth():
    return LOCAL.depth

POOL = ThreadPoolExecutor(1, initializer=prepare, initargs=(3,))
--- job.py
from pool import POOL, depth

def answer(data: pd.DataFrame) -> str:
    return str(POOL.submit(depth).result())
""", """
--- edit pool.py
(3,) ==> (4,)
"""),
    Case("lock that a module holds", "changed", """
--- locks.py
import threading

LOCK = threading.Lock()
LOCK.acquire()
--- job.py
from locks import LOCK

def answer(data: pd.DataFrame) -> str:
    return "busy" if LOCK.locked() else "free"
""", """
--- edit locks.py
LOCK.acquire() ==> pass
"""),
    Case("lines that a reused node logs into a list", "changed", """
--- lines.py
import logging

LINES = []

class Keep(logging.Handler):
    def emit(self, record):
        LINES.append(record.getMessage())

logger = logging.getLogger("ours")
logger.setLevel("INFO")
logger.addHandler(Keep())
--- job.py
from lines import LINES, logger

def first(data: pd.DataFrame) -> int:
    logger.info("first: %d rows", len(data))
    return len(data)

def answer(data: pd.DataFrame, first: int) -> str:
    logger.info("answer: %d rows", first)
    return "; ".join(LINES)
""", """
--- edit job.py
"; ".join(LINES) ==> ", ".join(LINES)
""", nodes=("first", "answer")),
]
