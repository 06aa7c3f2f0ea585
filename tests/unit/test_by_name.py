"""Code that is reached by a name, and not by syntax: followed where the name is known, never reused where it is not."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.identity.signing import describe
from tests.unit.project import Project

FOLLOWED = {
    "a constant name": "import importlib\ndef f(x): return importlib.import_module('helpers').g(x)",
    "getattr of a module": "import helpers\ndef f(x): return getattr(helpers, x)(x)",
    "getattr of a class": "from helpers import K\ndef f(x): return getattr(K, x)(x)",
}


@pytest.mark.parametrize("way", FOLLOWED)
def test_a_name_that_is_known_is_followed(project: Project, way: str) -> None:
    helpers = "def g(x): return {}\nclass K:\n  def m(self): return {}"
    project.write(job=FOLLOWED[way], helpers=helpers.format(1, 1))
    before = project.trace()
    assert (before.unfollowed, before.random) == ((), ())
    assert before.digest != project.digest(helpers=helpers.format(2, 2))
    assert before.digest == project.digest(helpers=helpers.format(1, 1) + "\n# a note")


LOST = [
    ("def f(x): return eval(x)", "`f` calls eval (job.py:1)"),
    ("def f(x): return eval('x + 1')", "`f` calls eval (job.py:1)"),
    ("def f(x): return eval(f'{x} + 1')", "`f` calls eval (job.py:1)"),
    ("def f(x): return exec('1 +')", "`f` calls exec (job.py:1)"),
    ("def f(x): return list(map(eval, x))", "`f` calls eval (job.py:1)"),
    ("def f(x): return globals()[x]", "`f` calls globals (job.py:1)"),
    ("def f(x): return globals()['f'], globals()[x]", "`f` calls globals (job.py:1)"),
    ("def f(x): return dict(globals())", "`f` calls globals (job.py:1)"),
    ("import importlib\ndef f(x): return importlib.import_module(x)", "`f` imports a module by a name (job.py:2)"),
    (
        "import importlib\ndef f(x): return importlib.import_module(f'plugins.{x}')",
        "`f` imports a module by a name (job.py:2)",
    ),
    ("import importlib\ndef f(x): return importlib.import_module('.g')", "`f` imports a module by a name (job.py:2)"),
    ("import pydoc\ndef f(x): return pydoc.locate(x)", "`f` calls pydoc.locate (job.py:2)"),
    ("import yaml\ndef f(x): return yaml.unsafe_load(x)", "`f` calls yaml.unsafe_load"),
    ("import sys\ndef f(x): return sys.modules[x].g()", "`f` reads sys.modules (job.py:2)"),
    ("import sys\ndef f(x): return getattr(sys.modules[__name__], x)", "`f` reads sys.modules (job.py:2)"),
    ("def g(): return 1\ndef f(x): return g.__globals__[x]", "`f` reads __globals__ (job.py:2)"),
    ("def f(x): return x.__globals__['a']", "`f` reads __globals__ (job.py:1)"),
    ("import sys\ndef f(x): return sys._getframe(1)", "`f` calls sys._getframe (job.py:2)"),
    ("import inspect\ndef f(x): return inspect.currentframe()", "`f` calls inspect.currentframe (job.py:2)"),
    ("import runpy\ndef f(x): return runpy.run_path('conf.py')['A']", "`f` calls runpy.run_path"),
    ("import importlib.util as u\ndef f(x): return u.spec_from_file_location('c', 'c.py')", "`f` calls importlib"),
    ("def f(rows, n): return rows.query(f'age > @AGE_{n}')", "`f` has names looked up in a text"),
    ("def f(rows, n): return rows.query('age > @' + n)", "`f` has names looked up in a text"),
    ("import pandas as pd\ndef f(x): return pd.eval(f'AGE_{x} + 1')", "`f` calls pandas"),
    ("from importlib import import_module as i\nN = 'helpers'\ndef f(x): return i(N)", "`f` imports a module"),
    ("import importlib as i\ndef f(x): return i.import_module('.g', 'pack')", "`f` imports a module by a name"),
    ("E = '1 + 2'\ndef f(x): return eval(E)", "`f` calls eval (job.py:2)"),
    ("import pkgutil\ndef f(x): return pkgutil.resolve_name('helpers:g')(x)", "`f` calls pkgutil.resolve_name"),
    ("NAME = 'f'\ndef f(x): return globals().get(NAME)", "`f` calls globals (job.py:2)"),
    ("def f(x): return globals()['f'](x)", "`f` calls globals (job.py:1)"),
    ("import sys\ndef f(x): return sys.modules['job'].f(x)", "`f` reads sys.modules (job.py:2)"),
    ("import sys\ndef f(x): return sys.modules.get('job').f(x)", "`f` reads sys.modules (job.py:2)"),
    ("import traceback\ndef f(x): return traceback.format_stack()", "`f` calls traceback.format_stack (job.py:2)"),
    ("class A: pass\ndef f(x): return [one() for one in A.__subclasses__()]", "`f` reads __subclasses__ (job.py:2)"),
    ("class A: pass\ndef g(a): return a.__subclasses__()\ndef f(x): return g(A)", "`g` reads __subclasses__"),
]


@pytest.mark.parametrize(("text", "words"), LOST)
def test_a_route_that_cannot_be_followed_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    monkeypatch.chdir(project.folder)
    (sentence,) = project.write(job=text).trace().unfollowed
    assert sentence.startswith(words)


@pytest.mark.parametrize(
    "text",
    [
        "def f(x): return getattr(x, str(x)), getattr(x, 'a'), getattr(x, 'b', None)",
        "from pyspark.sql import functions as F\ndef f(x): return [getattr(F, a)('n') for a in ('mean', 'max')]",
        "from pyspark.sql import functions as F\ndef f(x): return getattr(F, 'mean')('n')",
        "import importlib\ndef f(x): return importlib.import_module('json').dumps(x)",
        "def f(rows, words): return rows.query(f'age > {words}'), rows.query('age > %s' % words)",
        "def f(tree, points): return tree.query(points), tree.query('age > 3'), tree.eval(), tree.query(...)",
        "def f(x):\n  def getattr(a, b): return b\n  return getattr(x, 'sample')",
        "def f(x):\n  class A:\n    'It is documented.'\n  return A()",
    ],
)
def test_what_is_plain_is_no_route(project: Project, text: str) -> None:
    traced = project.write(job=text).trace()
    assert (traced.unfollowed, traced.warnings, traced.random) == ((), (), ())


LINES = {
    "the line of a traceback": "def f(x):\n  try: g(x)\n  except ValueError as e: return e.__traceback__.tb_lineno",
    "the text of one": "import traceback\ndef f(x):\n  try: g(x)\n  except ValueError: return traceback.format_exc()",
    "the line of a warning": "import warnings\ndef f(x):\n  with warnings.catch_warnings(record=True) as c:\n    g(x)\n"
    "  return c[0].lineno",
    "a logger's format": "import logging\ndef f(x, h):\n  h.setFormatter(logging.Formatter('%(lineno)d %(message)s'))\n"
    "  g(x)",
    "the line of a function": "def f(x): return g.__code__.co_firstlineno",
    "a docstring": "def f(x): return g.__doc__",
    "a docstring by its name": "WHAT = '__doc__'\ndef f(x): return getattr(g, WHAT)",
    "a docstring by the name in a list": "WHAT = ['__doc__']\ndef f(x): return [getattr(g, name) for name in WHAT]",
    "a getter of docstrings": "import operator\ndef f(x): return operator.attrgetter('__doc__')(g)",
    "a library's look at a docstring": "from inspect import getdoc as told\ndef f(x): return told(g)",
    "the source of a function": "import inspect\ndef f(x): return inspect.getsource(g)",
}


@pytest.mark.parametrize("what", LINES)
def test_where_lines_are_read_the_texts_of_files_count(project: Project, what: str) -> None:
    text, helpers = f"from helpers import g\n{LINES[what]}", "def g(x): return x"
    before = project.write(job=text, helpers=helpers, other="").trace()
    assert (before.unfollowed, before.random, before.warnings) == ((), (), ())
    assert before.digest == project.digest(job=text, helpers=helpers, other="# a note\n")
    assert before.digest != project.digest(job=text, helpers=f"# a note\n{helpers}")
    assert before.digest != project.digest(job=f"# a note\n{text}", helpers=helpers)


def test_a_docstring_that_another_module_sets_counts(project: Project) -> None:
    job = "from helpers import note\n@note\ndef g(x): return x\ndef f(x): return g.__doc__"
    helpers = "def note(g):\n  g.__doc__ = {!r}\n  return g"
    before = project.write(job=job, helpers=helpers.format("one")).trace()
    assert (before.unfollowed, before.random, before.warnings) == ((), (), ())
    assert before.digest != project.digest(job=job, helpers=helpers.format("two"))


def test_a_docstring_of_a_class_in_a_file_without_functions_counts(project: Project) -> None:
    job = "from helpers import K\ndef f(x): return K.__doc__"
    before = project.digest(job=job, helpers="class K:\n  'one'")
    assert before != project.digest(job=job, helpers="class K:\n  'two'")


@pytest.mark.parametrize("told", ["print(traceback.format_exc())", "log.error('failed: ' + traceback.format_exc())"])
def test_tracebacks_that_are_only_told_read_no_lines(project: Project, told: str) -> None:
    body = f"def f(x):\n  try: return 1 / x\n  except: {told}\n"
    text = f"import logging, traceback\nlog = logging.getLogger('a')\n{body}"
    assert project.digest(job=text) == project.digest(job=f"# a note\n{text}")


FOUND = [
    ("import time\ndef f(x): return getattr(time, 'time')()", "calls time.time"),
    ("def f(x): return getattr(x, 'parse_args')()", "reads the command line (.parse_args())"),
]


@pytest.mark.parametrize(("text", "words"), FOUND)
def test_chance_is_seen_behind_a_name(project: Project, text: str, words: str) -> None:
    traced = project.write(job=text).trace()
    (sentence,) = traced.random
    assert words in sentence
    assert traced.unfollowed == ()


@pytest.mark.parametrize(
    "call",
    ["pd.DataFrame.query(x, 'a > @T')", "pd.DataFrame.eval(x, 'a + @T')", "getattr(x, 'query')('a > @T')"],
)
def test_names_in_texts_count_however_the_method_is_called(project: Project, call: str) -> None:
    text = f"import pandas as pd\nT = {{}}\ndef f(x): return {call}"
    assert project.digest(job=text.format(1)) != project.digest(job=text.format(2))


# What becomes of it


def reasons(**wishes: Any) -> tuple[str, ...]:
    wf = hx.Workflow("by_name")
    wf.source("data", hx.table(pd.DataFrame({"age": [1.0]})))

    @wf.reducer(output=True, **wishes)
    def count(data: pd.DataFrame) -> int:
        return int(eval(str(data.age[0])))

    return describe(compile_workflow(wf), {})["count"].random


def test_what_cannot_be_followed_is_not_reused_unless_it_is_declared() -> None:
    (why,) = reasons()
    assert "`count` calls eval (" in why
    assert "what it reaches cannot be followed (call it by its name, or declare it in depends_on=)" in why
    assert reasons(depends_on=[len]) == ()


def test_the_reader_of_a_source_has_to_call_by_name() -> None:
    wf = hx.Workflow("by_name")
    wf.output(wf.source("data", hx.reader(lambda spark: globals()[spark.version](spark), version="1")))
    (why,) = describe(compile_workflow(wf), {})["data"].random
    assert why.endswith("what it reaches cannot be followed (call it by its name)")
