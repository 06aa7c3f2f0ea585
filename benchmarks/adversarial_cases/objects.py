"""Code and state inside objects: of compiled classes, of libraries, of classes with manners of their own."""

from benchmarks.adversarial_cases.case import Case

OBJECTS = [
    Case("factory of a lazy proxy", "changed", """
--- weights.py
import lazy_object_proxy

def load():
    return {"x": 2}

WEIGHTS = lazy_object_proxy.Proxy(load)
--- job.py
from weights import WEIGHTS

def answer(data: pd.DataFrame) -> str:
    return str(WEIGHTS["x"] * data.a.sum())
""", """
--- edit weights.py
"x": 2 ==> "x": 3
"""),
    Case("order in memory of an array in a global", "changed", """
--- weights.py
import numpy as np

WEIGHTS = np.array([[1, 2], [3, 4]], order="C")
--- job.py
from weights import WEIGHTS

def answer(data: pd.DataFrame) -> str:
    return str(WEIGHTS.ravel(order="K").tolist())
""", """
--- edit weights.py
order="C" ==> order="F"
"""),
    Case("line that a warning names, moved by a comment", "changed", """
--- job.py
import warnings

def answer(data: pd.DataFrame) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("few rows")
    return str(caught[0].lineno)
""", """
--- edit job.py
def answer ==> # A comment.\\ndef answer
"""),
    Case("text of a traceback, moved by a comment", "changed", """
--- job.py
import traceback

def answer(data: pd.DataFrame) -> str:
    try:
        return str(1 / 0)
    except ZeroDivisionError:
        return traceback.format_exc().split(", in ")[0][-8:]
""", """
--- edit job.py
def answer ==> # A comment.\\ndef answer
"""),
    Case("line that a logger writes into a text", "changed", """
--- job.py
import io
import logging

def answer(data: pd.DataFrame) -> str:
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(lineno)d %(message)s"))
    logger = logging.getLogger("report")
    logger.addHandler(handler)
    logger.warning("few rows")
    return text.getvalue()
""", """
--- edit job.py
def answer ==> # A comment.\\ndef answer
"""),
]
