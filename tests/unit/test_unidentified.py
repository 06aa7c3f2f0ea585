"""What has no identity makes its node "never reused", and hinders nobody."""

from __future__ import annotations

import pytest

from helix_spark.identity.code import trace
from tests.unit.project import Project

HELD = [
    "import queue\nHELD = queue.SimpleQueue()", "import random\nHELD = random.Random(7)",
    "import numpy as np\nHELD = np.random.default_rng(7)", "import re\nHELD = {'a': iter([1])}",
    "import sqlite3\nHELD = sqlite3.connect(':memory:')", "import socket\nHELD = [socket.socket()]",
    "HELD = open('/dev/null').readline", "HELD = (n for n in [1])",
    "class Client:\n    def __init__(self): self.connection = open('/dev/null')\nHELD = Client()",
]


@pytest.mark.parametrize("held", HELD)
def test_it_is_never_reused_and_hinders_nobody(project: Project, held: str) -> None:
    found = project.write(job=f"{held}\ndef f(x): return HELD, x").trace()
    (why,), (warning,) = found.random, found.warnings
    assert "`HELD" in why
    assert "cannot be identified" in why
    assert warning.startswith(f"`n` runs, and is never reused: {why}")


def test_a_default_without_identity_hinders_nobody(project: Project) -> None:
    found = project.write(job="def g(k=iter([])): return k\ndef f(x): return g()").trace()
    assert "default `k` of `g` cannot be identified" in found.random[0]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_streams_of_the_process_are_known_by_their_names(project: Project, stream: str) -> None:
    text = "import sys\nOUT = sys.__{0}__\ndef g(x, file=sys.__{0}__): return file\ndef f(x): return g(x), OUT"
    found = project.write(job=text.format(stream)).trace()
    assert (found.random, found.warnings) == ((), ())


def test_defaults_that_a_wrapper_has_copied_beyond_its_parameters_count(project: Project) -> None:
    text = "def g(*a): return a\ng.__defaults__ = ({}, 2)\ndef f(x): return g"
    project.check_differs(text.format(1), text.format(3))


def test_annotations_without_identity_hinder_nobody(project: Project) -> None:
    text = "import queue\ndef g(x: queue.SimpleQueue()) -> int: return x\ndef f(x): return map(g, x)"
    found = project.write(job=text).trace()
    assert "annotation `g.x` of `g` cannot be identified" in found.random[0]


KNOWN = {
    "a lock": ("HELD = threading.Lock()", "HELD = threading.Lock()  # another", "HELD = threading.RLock"),
    "a lock that is held": ("HELD = threading.Lock()", "HELD = threading.Lock()  # free",
                            "HELD = threading.Lock(); HELD.acquire()"),
    "a lock in use": ("HELD = threading.RLock()", "HELD = threading.RLock(); HELD.acquire()", "HELD = None"),
    "a semaphore": ("HELD = threading.Semaphore(2)", "HELD = threading.Semaphore(2)", "HELD = threading.Semaphore(3)"),
    "an event": ("HELD = threading.Event()", "HELD = threading.Event()", "HELD = threading.Event(); HELD.set()"),
    "a pool": ("HELD = ThreadPoolExecutor(2)", "HELD = ThreadPoolExecutor(2); HELD.submit(int).result()",
               "HELD = ThreadPoolExecutor(3)"),
    "a thread's own": ("HELD = threading.local(); HELD.a = 1", "HELD = threading.local(); HELD.a = 1",
                       "HELD = threading.local(); HELD.a = 2"),
    "a model": tuple(f"from sklearn.tree import DecisionTreeClassifier\n"
                     f"HELD = DecisionTreeClassifier(random_state=0).fit([[0], [1]], {labels})"
                     for labels in ("[0, 1]", "[0, 1]", "[1, 0]")),
    "types that are checked": tuple(f"from pydantic import validate_call\n"
                                    f"@validate_call(config=dict(strict={strict}))\ndef HELD(x: int) -> int: return x"
                                    for strict in (True, True, False)),
}
"""By what it is: it, the same, and another one."""


@pytest.mark.parametrize("name", KNOWN)
def test_what_keeps_order_among_threads_or_says_what_it_is_made_of_is_identified(project: Project, name: str) -> None:
    head = "import threading\nfrom concurrent.futures import ThreadPoolExecutor\n"
    first, same, other = (
        project.write(job=f"{head}{held}\ndef f(x): return HELD, x").trace() for held in KNOWN[name]
    )
    assert first.random == first.warnings == ()
    assert first.digest == same.digest != other.digest


HEAD = """
import queue
from functools import cache
class Model:
    def __init__(self): self.waiting = queue.SimpleQueue()
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
    assert "global `KEPT.waiting` of `model` cannot be identified" in trace(job.f, node="n").random[0]
    assert trace(project.load().f, node="n").digest == before.digest, "as another process begins"


def test_what_a_function_caches_is_known_by_its_code(project: Project) -> None:
    job = project.write(job=CACHED).load()
    before = trace(job.f, node="n")
    job.f(1)
    again = trace(job.f, node="n")
    assert (again.digest, again.random) == (before.digest, ())
