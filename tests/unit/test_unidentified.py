"""What has no identity makes its node "never reused", and hinders nobody."""

from __future__ import annotations

import pytest
from project import Project

from helix_spark.identity.code import trace

HELD = [
    "import threading\nHELD = threading.Lock()", "import random\nHELD = random.Random(7)",
    "import numpy as np\nHELD = np.random.default_rng(7)", "import re\nHELD = {'a': iter([1])}",
    "from concurrent.futures import ThreadPoolExecutor\nHELD = ThreadPoolExecutor(1)",
    "import sqlite3\nHELD = sqlite3.connect(':memory:')", "import socket\nHELD = [socket.socket()]",
    "from pydantic import TypeAdapter\nHELD = TypeAdapter(list[int])",
    "class Client:\n    def __init__(self): self.connection = open('/dev/null')\nHELD = Client()",
]


@pytest.mark.parametrize("held", HELD)
def test_it_is_never_reused_and_hinders_nobody(project: Project, held: str) -> None:
    found = project.write(job=f"{held}\ndef f(x): return HELD, x").trace()
    (why,), (warning,) = found.random, found.warnings
    assert "global `HELD" in why
    assert "cannot be identified" in why
    assert warning.startswith("`n` runs, and is never reused: global `HELD")


def test_annotations_without_identity_hinder_nobody(project: Project) -> None:
    text = "import threading\ndef g(x: threading.Lock()) -> int: return x\ndef f(x): return g(x)"
    found = project.write(job=text).trace()
    assert "annotation `g.x` of `g` cannot be identified" in found.random[0]


HEAD = """
import threading
from functools import cache
class Model:
    def __init__(self): self.lock = threading.Lock()
    def __call__(self, x): return x
"""
FILLED = HEAD + """
KEPT = None
def model():
    global KEPT
    KEPT = KEPT or Model()
    return KEPT
def f(x): return model()(x)
"""
CACHED = HEAD + """
@cache
def model(): return Model()
def f(x): return model()(x)
"""


def test_what_a_function_has_put_into_a_global_is_never_reused(project: Project) -> None:
    job = project.write(job=FILLED).load()
    before = trace(job.f, node="n")
    job.f(1)
    assert before.random == ()
    assert "global `KEPT.lock` of `model` cannot be identified" in trace(job.f, node="n").random[0]
    assert trace(project.load().f, node="n").digest == before.digest, "as another process begins"


def test_what_a_function_caches_is_known_by_its_code(project: Project) -> None:
    job = project.write(job=CACHED).load()
    before = trace(job.f, node="n")
    job.f(1)
    again = trace(job.f, node="n")
    assert (again.digest, again.random) == (before.digest, ())
