"""Files, clocks and variables that a node reaches by roundabout ways."""

from benchmarks.adversarial_cases.case import Case

SURROUNDINGS = [
    Case("clock printed, output redirected", "changed", """
--- job.py
import contextlib
import io
import time

def report():
    print("done at", time.time())

def answer(data: pd.DataFrame) -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        report()
    return text.getvalue()
""", "", clock=True),
    Case("clock logged into a list", "changed", """
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
import time

from lines import LINES, logger

def answer(data: pd.DataFrame) -> str:
    start = time.time()
    logger.info("started at %f", start)
    return LINES[-1]
""", "", clock=True),
    Case("time that a logger's format adds", "changed", """
--- job.py
import io
import logging

def answer(data: pd.DataFrame) -> str:
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("report")
    logger.addHandler(handler)
    logger.warning("few rows")
    logger.removeHandler(handler)
    return text.getvalue()
""", "", clock=True),
    Case("present in a text for pandas, by a helper", "changed", """
--- helper.py
import pandas as pd

def parse(text="now"):
    return pd.to_datetime(text)
--- job.py
from helper import parse

def answer(data: pd.DataFrame) -> str:
    return str(parse())
""", "", clock=True),
    Case("present in a query of sqlite", "changed", """
--- job.py
import sqlite3

def answer(data: pd.DataFrame) -> str:
    with sqlite3.connect(":memory:") as base:
        return str(base.execute("select strftime('%f', 'now')").fetchone()[0])
""", "", clock=True),
    Case("address of an object in its text", "changed", """
--- job.py
class Model:
    pass

def answer(data: pd.DataFrame) -> str:
    return repr([Model() for _ in range(3)])
""", "", clock=True),
    Case("second in which the process began", "changed", """
--- job.py
import psutil

def answer(data: pd.DataFrame) -> str:
    return str(psutil.Process().create_time())
""", "", clock=True),
    Case("style of plots that a module reads from JSON", "changed", """
--- style.json
{"lines.linewidth": 2.0}
--- style.py
import json
from pathlib import Path

import matplotlib

matplotlib.rcParams.update(json.loads(Path("style.json").read_text()))
--- job.py
import matplotlib

import style

def answer(data: pd.DataFrame) -> str:
    return str(matplotlib.rcParams["lines.linewidth"])
""", """
--- edit style.json
2.0 ==> 3.0
"""),
    Case("dialect of csv, registered with what a JSON file says", "changed", """
--- dialect.json
{"delimiter": ";"}
--- dialects.py
import csv
import json

def register(path):
    with open(path) as file:
        csv.register_dialect("ours", **json.load(file))

register("dialect.json")
--- job.py
import csv

import dialects

def answer(data: pd.DataFrame) -> str:
    return str(next(csv.reader(["a;b|c"], dialect="ours")))
""", """
--- edit dialect.json
";" ==> "|"
"""),
    Case("digits that int may have, by a variable", "changed", """
--- env
PYTHONINTMAXSTRDIGITS=0
--- job.py
def answer(data: pd.DataFrame) -> str:
    try:
        return str(len(str(10 ** 5000)))
    except ValueError:
        return "too long"
""", """
--- env
PYTHONINTMAXSTRDIGITS=4300
"""),
]
