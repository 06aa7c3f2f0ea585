"""What a function makes when it is first called, and keeps: a second run in one process signs as the first one did."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
from project import Project

from helix_spark.identity.code import trace

NAME = "_" + "FILLED"
"""Of the variable, which the texts here call another name: this file is of the project, too, as are all others of the
suite."""


def named(text: str) -> str:
    return text.replace("_KEEP", NAME).replace("OTHER", f"{NAME}_TOO")


class Named(Project):
    def write(self, **modules: str) -> Project:
        return super().write(**{module: named(text) for module, text in modules.items()})


@pytest.fixture
def project(project: Project) -> Iterator[Project]:
    made = Named(project.folder)
    yield made
    made.forget()


HEAD = """
import threading
class Model:
    def __init__(self, *given): self.given, self.lock = given, threading.Lock()
    def __call__(self, x): return x, self.given
"""
GLOBAL = HEAD + """
LANGUAGE = "en"
_KEEP = None
def model():
    global _KEEP
    if _KEEP is None:
        _KEEP = Model(LANGUAGE)
    return _KEEP
def f(x): return model()(x)
"""
KEPT = {
    "a global": GLOBAL,
    "steps": GLOBAL.replace("_KEEP = Model(LANGUAGE)", "made = Model(LANGUAGE)\n        _KEEP = made"),
    "an annotated one": GLOBAL.replace("_KEEP = None", "_KEEP: Model | None = None"),
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


def test_variables_of_that_name_in_other_functions_do_not_matter(project: Project) -> None:
    job = project.write(job="import other\n" + GLOBAL, other="_KEEP = 2\ndef g(): _KEEP = 3").load()
    trace(job.f, node="n")
    job.f(1)
    assert trace(job.f, node="n").random == ()


def test_what_can_be_identified_counts(project: Project) -> None:
    text = "K = None\ndef k():\n    global K\n    K = K or 3\n    return K\ndef f(x): return k()"
    job = project.write(job=text).load()
    before = trace(job.f, node="n").digest
    job.f(1)
    assert trace(job.f, node="n").digest != before


GIVEN = GLOBAL.replace("def model()", "def model(x)").replace("l()(", "l(x)(")
TAKES = {
    "what it is given": GIVEN.replace("(LANGUAGE)", "(x)"),
    "what a choice depends on": GIVEN.replace("_KEEP = Model(L", "_KEEP = Model(1)\n        if x: _KEEP = Model(L"),
    "rows": HEAD + "_KEEP = None\ndef f(x):\n    global _KEEP\n    made = Model(x)\n    _KEEP = made\n    return _KEEP",
    "anything": GLOBAL.replace("_KEEP = None", "_KEEP = None\ndef put(m):\n    global _KEEP\n    _KEEP = m"),
    "what is put there by name": GLOBAL + "def put(m): globals()['_KEEP'] = m",
    "two makers": GLOBAL + "def g():\n    global _KEEP\n    _KEEP = Model(2)\ndef f(x): return (x and g()), model()",
    "what a function that is given something makes": HEAD + """
_KEEP = None
def f(x):
    global _KEEP
    if _KEEP is None:
        from threading import Lock
        _KEEP = Lock()
    return _KEEP
""",
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
    exec(named("def model():\n    global _KEEP\n    _KEEP = _KEEP or Model('de')\n    return _KEEP"), vars(job))


def _never_seen_empty(job: ModuleType) -> None:
    job.f(1)
    exec(named("def model():\n    global _KEEP\n    _KEEP = _KEEP or Model(LANGUAGE)\n    return _KEEP"), vars(job))


@pytest.mark.parametrize("between", [_made_of_other_things, _made_by_other_code, _never_seen_empty])
def test_what_was_made_by_other_code_is_chance(project: Project, between: Callable[[ModuleType], None]) -> None:
    job = project.write(job=GLOBAL).load()
    trace(job.f, node="n")
    between(job)
    assert "cannot be identified" in trace(job.f, node="n").random[0]


@pytest.mark.parametrize("first", ["Model('de')", "None; _KEEP = Model('de')"])
def test_what_is_there_at_first_is_chance(project: Project, first: str) -> None:
    job = project.write(job=GLOBAL.replace("_KEEP = None", f"_KEEP = {first}")).load()
    assert "cannot be identified" in trace(job.f, node="n").random[0]


@pytest.mark.parametrize("text", [
    "import job\ndef put(m): job._KEEP = m",
    "def put(job, m): job._KEEP = m",
    "def put(job, m): setattr(job, '_KEEP', m)",
    "def put(job, m): vars(job).update(_KEEP=m)",
    "def put(job, m): [setattr(job, name, m) for name in ('_KEEP', 'K')]",
])
def test_what_another_module_may_put_there_is_chance(project: Project, text: str) -> None:
    job = project.write(job="import other\n" + GLOBAL, other=text).load()
    trace(job.f, node="n")
    job.f(1)
    assert "cannot be identified" in trace(job.f, node="n").random[0]


@pytest.mark.parametrize(("cell", "signs"), [
    ("job.f(1)", True), ("job._KEEP = None", True), ("job._KEEP = job.Model('de')", False), ("%no Python", True),
    ("%job._KEEP", False), ("await job._KEEP.what()", False), ("setattr(job, '_KEEP', 3)", False),
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
    cells.append(named(cell))
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
    "from pydantic import TypeAdapter\nHELD = TypeAdapter(list[int])",
    "class Client:\n    def __init__(self): self.connection = open('/dev/null')\nHELD = Client()",
]


@pytest.mark.parametrize("held", HELD)
def test_what_has_no_identity_is_never_reused_and_hinders_nobody(project: Project, held: str) -> None:
    found = project.write(job=f"{held}\ndef f(x): return HELD, x").trace()
    (why,), (warning,) = found.random, found.warnings
    assert "global `HELD" in why
    assert "cannot be identified" in why
    assert warning.startswith("`n` runs, and is never reused: global `HELD")
