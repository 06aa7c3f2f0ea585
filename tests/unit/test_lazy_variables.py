"""What a function makes when it is first called, and keeps: a second run in one process signs as the first one did."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import pytest
from project import Project

from helix_spark.identity.code import trace

HEAD = """
import threading
class Model:
    def __init__(self, *given): self.given, self.lock = given, threading.Lock()
    def __call__(self, x): return x, self.given
"""
GLOBAL = HEAD + """
LANGUAGE = "en"
_KEPT = None
def model():
    global _KEPT
    if _KEPT is None:
        _KEPT = Model(LANGUAGE)
    return _KEPT
def f(x): return model()(x)
"""
KEPT = {
    "a global": GLOBAL,
    "steps": GLOBAL.replace("_KEPT = Model(LANGUAGE)", "made = Model(LANGUAGE)\n        _KEPT = made"),
    "an annotated one": GLOBAL.replace("_KEPT = None", "_KEPT: Model | None = None"),
    "an attribute": HEAD + """
class Keeper:
    kept_model = None
    @classmethod
    def get(cls):
        if cls.kept_model is None: cls.kept_model = Model(1)
        return cls.kept_model
def f(x): return Keeper.get()(x)
""",
    "by the name of the class": HEAD + """
class Keeper:
    kept_model = None
def model():
    if Keeper.kept_model is None: Keeper.kept_model = Model(1)
    return Keeper.kept_model
def f(x): return model()(x)
""",
    "the one object": """
import threading
class Keeper:
    kept_one = None
    def __init__(self): self.lock = threading.Lock()
    @classmethod
    def get(cls):
        if cls.kept_one is None: cls.kept_one = cls()
        return cls.kept_one
def f(x): return Keeper.get()
""",
    "two of them": GLOBAL + """
OTHER = None
def other():
    global OTHER
    if OTHER is None: OTHER = Model(model())
    return OTHER
def f(x): return other()(x), model()(x)
""",
}


@pytest.mark.parametrize("what", KEPT)
def test_a_second_run_signs_as_the_first(project: Project, what: str) -> None:
    job = project.write(job=KEPT[what]).load()
    before = trace(job.f, node="n").digest
    job.f(1)
    again = trace(job.f, node="n")
    assert (again.digest, again.random) == (before, ())
    assert trace(project.load().f, node="n").digest == before, "and so does another process"


def test_an_edit_beside_it_signs(project: Project) -> None:
    job = project.write(job=GLOBAL).load()
    trace(job.f, node="n")
    job.f(1)
    exec("def g(x): return model()(x + 1)", vars(job))
    assert trace(job.g, node="n").parts


def test_what_can_be_identified_counts(project: Project) -> None:
    text = "K = None\ndef k():\n    global K\n    K = K or 3\n    return K\ndef f(x): return k()"
    job = project.write(job=text).load()
    before = trace(job.f, node="n").digest
    job.f(1)
    assert trace(job.f, node="n").digest != before


GIVEN = GLOBAL.replace("def model()", "def model(x)").replace("l()(", "l(x)(")
TAKES = {
    "what it is given": GIVEN.replace("(LANGUAGE)", "(x)"),
    "what a choice depends on": GIVEN.replace("_KEPT = Model(L", "_KEPT = Model(1)\n        if x: _KEPT = Model(L"),
    "rows": HEAD + "_KEPT = None\ndef f(x):\n    global _KEPT\n    made = Model(x)\n    _KEPT = made\n    return _KEPT",
    "anything": GLOBAL.replace("_KEPT = None", "_KEPT = None\ndef put(m):\n    global _KEPT\n    _KEPT = m"),
    "what is put there by name": GLOBAL + "def put(m): globals()['_KEPT'] = m",
    "two makers": GLOBAL + "def g():\n    global _KEPT\n    _KEPT = Model(2)\ndef f(x): return (x and g()), model()",
    "what a function that is given something makes": HEAD + """
_KEPT = None
def f(x):
    global _KEPT
    if _KEPT is None:
        from threading import Lock
        _KEPT = Lock()
    return _KEPT
""",
    "the class that it is called of": HEAD + """
class Keeper:
    kept_model = None
    @classmethod
    def get(cls):
        if Keeper.kept_model is None: Keeper.kept_model = Model(cls)
        return Keeper.kept_model
def f(x): return Keeper.get()(x)
""",
}


@pytest.mark.parametrize("what", TAKES)
def test_what_may_be_made_of_something_else_is_chance(project: Project, what: str) -> None:
    job = project.write(job=TAKES[what]).load()
    trace(job.f, node="n")
    job.f(1)
    assert "cannot be identified" in trace(job.f, node="n").random[0]


def _made_of_other_things(job: ModuleType) -> None:
    job.f(1)
    job.LANGUAGE = "de"


def _made_by_other_code(job: ModuleType) -> None:
    job.f(1)
    exec("def model():\n    global _KEPT\n    _KEPT = _KEPT or Model('de')\n    return _KEPT", vars(job))


def _never_seen_empty(job: ModuleType) -> None:
    job.f(1)
    exec("def model():\n    global _KEPT\n    _KEPT = _KEPT or Model(LANGUAGE)\n    return _KEPT", vars(job))


@pytest.mark.parametrize("between", [_made_of_other_things, _made_by_other_code, _never_seen_empty])
def test_what_was_made_by_other_code_is_chance(project: Project, between: Callable[[ModuleType], None]) -> None:
    job = project.write(job=GLOBAL).load()
    trace(job.f, node="n")
    between(job)
    assert "global `_KEPT.lock` of `model` cannot be identified" in trace(job.f, node="n").random[0]


@pytest.mark.parametrize("first", ["Model('de')", "None; _KEPT = Model('de')"])
def test_what_is_there_at_first_is_chance(project: Project, first: str) -> None:
    job = project.write(job=GLOBAL.replace("_KEPT = None", f"_KEPT = {first}")).load()
    assert "cannot be identified" in trace(job.f, node="n").random[0]


@pytest.mark.parametrize("text", [
    "import job\ndef put(m): job._KEPT = m",
    "def put(job, m): job._KEPT = m",
    "def put(job, m): setattr(job, '_KEPT', m)",
    "def put(job, m): vars(job).update(_KEPT=m)",
    "def put(job, m): [setattr(job, name, m) for name in ('_KEPT', 'OTHER')]",
])
def test_what_another_module_may_put_there_is_chance(project: Project, text: str) -> None:
    job = project.write(job="import other\n" + GLOBAL, other=text).load()
    trace(job.f, node="n")
    job.f(1)
    assert "cannot be identified" in trace(job.f, node="n").random[0]


def test_variables_of_that_name_in_other_functions_do_not_matter(project: Project) -> None:
    job = project.write(job="import other\n" + GLOBAL, other="_KEPT = 2\ndef g(): _KEPT = 3").load()
    trace(job.f, node="n")
    job.f(1)
    assert trace(job.f, node="n").random == ()


@pytest.mark.parametrize(("cell", "signs"), [
    ("job.f(1)", True), ("job._KEPT = None", True), ("job._KEPT = job.Model('de')", False), ("%no Python", True),
    ("%job._KEPT", False), ("await job._KEPT.what()", True), ("setattr(job, '_KEPT', 3)", False),
])
def test_what_a_cell_of_a_notebook_may_have_put_there_is_chance(
    project: Project, monkeypatch: pytest.MonkeyPatch, cell: str, signs: bool
) -> None:
    job = project.write(job=GLOBAL).load()
    names = vars(sys.modules["__main__"])
    monkeypatch.setitem(names, "job", job)
    cells = ["", "trace(job.f)"]
    monkeypatch.setitem(names, "In", cells)
    before = trace(job.f, node="n").digest
    job.f(1)
    cells.append(cell)
    again = trace(job.f, node="n")
    if signs:
        assert (again.digest, again.random) == (before, ())
    else:
        assert "cannot be identified" in again.random[0]


def test_what_is_typed_can_be_read_nowhere(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    job = project.write(job=GLOBAL).load()
    trace(job.f, node="n")
    job.f(1)
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert "cannot be identified" in trace(job.f, node="n").random[0]


HELD = [
    "import threading\nHELD = threading.Lock()", "import random\nHELD = random.Random(7)",
    "import numpy as np\nHELD = np.random.default_rng(7)", "import re\nHELD = {'a': iter([1])}",
    "from concurrent.futures import ThreadPoolExecutor\nHELD = ThreadPoolExecutor(1)",
    "import sqlite3\nHELD = sqlite3.connect(':memory:')", "import socket\nHELD = [socket.socket()]",
    "class Client:\n    def __init__(self): self.connection = open('/dev/null')\nHELD = Client()",
]


@pytest.mark.parametrize("held", HELD)
def test_what_has_no_identity_is_never_reused_and_hinders_nobody(project: Project, held: str) -> None:
    found = project.write(job=f"{held}\ndef f(x): return HELD, x").trace()
    (why,), (warning,) = found.random, found.warnings
    assert "global `HELD" in why
    assert "cannot be identified" in why
    assert warning.startswith("`n` runs, and is never reused: global `HELD")
