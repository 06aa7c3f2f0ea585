"""Objects that answer for themselves when they are looked at, and modules that are none: they count as what they are,
or are refused in words."""

from __future__ import annotations

import importlib.util

import pytest

from helix_spark.errors import SignatureError
from helix_spark.identity.code import trace
from tests.unit.project import Project

META = "class M(type):\n  def __getattr__(c, n): return {answer}\n"
ANY = META + "class A(metaclass=M):\n  def __init__(s): s.k = {{k}}\na = A()"
CLAIMS = "class A:\n  def __init__(s, v): s.v = v\n  __class__ = property(lambda s: {kind})\na = A({{{{'k': {{k}}}}}})"
FAILS = "class A:\n  def __init__(s): s.__dict__['k'] = {k}\n  def __getattr__(s, n): return {{}}[n]\n"

ODD = {
    "a metaclass that has everything": ANY.format(answer="1"),
    "a metaclass whose everything is called": ANY.format(answer="lambda *a: 3"),
    "a metaclass that fails": ANY.format(answer="[][3]"),
    "an object that fails": FAILS + "a = A()",
    "a function that fails": FAILS + "  def __call__(s, x): return s.k\na = A()",
    "an object without a class": "class A:\n  k = {k}\n  __class__ = property(lambda s: [][3])\na = A()",
    "an object that nobody may look at": "class A:\n  def __getattribute__(s, n): return [][{k}]\na = A()",
    **{f"what claims to be {kind}": CLAIMS.format(kind=kind) for kind in ("dict", "str", "type", "staticmethod")},
}
READS = ["def f(x): return a", "def f(x): return a.k", "L = [a]\ndef f(x): return L", "def f(x, y=a): return y"]


@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize("what", ODD)
def test_objects_that_answer_for_themselves(project: Project, what: str, reads: str) -> None:
    one, two = (_told(project, f"{ODD[what].format(k=k)}\n{reads}") for k in (1, 2))
    assert one != two or ("cannot be identified" in one and "\n  pass plain data" in one)


def _told(project: Project, text: str) -> str:
    """The digest, or what is said instead."""
    try:
        traced = project.write(job=text).trace()
    except SignatureError as error:
        return str(error)
    return "\n  ".join(traced.warnings).replace(" (pass", "\n  pass") if traced.random else traced.digest


@pytest.mark.skipif(importlib.util.find_spec("wrapt") is None, reason="wrapt is not installed")
@pytest.mark.parametrize("value", ["{'a': 1}", "[1]", "'a'", "3", "{3}", "ValueError(3)"])
def test_a_compiled_proxy_is_chance(project: Project, value: str) -> None:
    project.write(job=f"import wrapt\nC = wrapt.ObjectProxy({value})\ndef f(x): return C")
    assert project.trace().random[0].startswith("global `C` of `f` cannot be identified: it is a wrapt")


def test_a_proxy_that_poses_as_a_namespace_counts_with_its_class(project: Project) -> None:
    text = """
    import types
    class Lazy:
        __class__ = property(lambda self: types.SimpleNamespace)
        def answer(self): return 1
    lazy = Lazy()
    def f(x): return lazy.answer()
    """
    assert project.digest(job=text) != project.digest(job=text.replace("return 1", "return 2"))


REPLACED = "import sys\nclass Settings:\n  k = {k}\nsys.modules[__name__] = Settings()"
IMPORTS = {
    "at the top": "import conf_\ndef f(x): return conf_.k",
    "inside": "def f(x):\n  import conf_\n  return conf_.k",
    "by name": "def f(x):\n  from conf_ import k\n  return k",
}


@pytest.mark.parametrize("way", IMPORTS)
def test_an_object_in_the_place_of_a_module_counts(project: Project, way: str) -> None:
    project.write(job=IMPORTS[way])
    one, two = (project.digest(conf_=REPLACED.format(k=k)) for k in (1, 2))
    assert one != two


@pytest.mark.parametrize("makes", [
    "D = {'value': [K]}\ndef __getattr__(n): return D[n]",
    "def __getattr__(n): return K",
    "import sys, types\nclass C(types.ModuleType): value = property(lambda s: K)\nsys.modules[__name__].__class__ = C",
])
def test_what_a_module_makes_when_it_is_asked_counts(project: Project, makes: str) -> None:
    project.write(job="import lazy_\ndef f(x): return lazy_.value")
    assert project.digest(lazy_=f"K = 1\n{makes}") != project.digest(lazy_=f"K = 2\n{makes}")


def test_a_part_that_a_package_imports_when_it_is_asked_for_stays_its_own_to_give(project: Project) -> None:
    project.write(**{
        "lazy_pack/__init__": "def __getattr__(n):\n  from lazy_pack.clean import run\n  return run",
        "job": "import lazy_pack\ndef f(x): return lazy_pack.clean(x)",
    })
    one, two = (project.digest(**{"lazy_pack/clean": f"def run(x): return x + {k}"}) for k in (1, 2))
    assert one != two
    module = project.load()
    trace(module.f, node="n")
    assert module.f(1) == 3


@pytest.mark.parametrize("asks", [
    "return Thing.__module__", "return type(x).__module__", "return getattr(Thing, '__module__')",
    "return Thing.__qualname__", "return f'{Thing}'", "return pickle.dumps(Thing())",
])
def test_where_a_class_is_counts(project: Project, asks: str) -> None:
    project.write(old_place="class Thing: pass\nclass Other: pass", new_place="class Thing: pass")
    project.write(job=f"import pickle\nfrom places import Thing\ndef f(x): {asks}\nf.kind = Thing")
    one, two = (project.digest(places=f"from {place} import Thing") for place in ("old_place", "new_place"))
    assert one != two


def test_where_a_helper_is_does_not_count_where_it_is_only_called(project: Project) -> None:
    project.write(old_place="def help(x): return x", new_place="def help(x): return x")
    project.write(job="from places import help\ndef f(x): return help(x)")
    one, two = (project.digest(places=f"from {place} import help") for place in ("old_place", "new_place"))
    assert one == two


def test_a_node_may_be_an_object_that_fails_when_it_is_looked_at(project: Project) -> None:
    text = FAILS + "  def __call__(s, x): return s.k\nf = A()"
    one, two = (trace(project.write(job=text.format(k=k)).load().f, node="n").digest for k in (1, 2))
    assert one != two
