"""What the project puts into libraries counts as its other code does."""

from __future__ import annotations

import decimal
import gc
import keyword
import locale
import statistics
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from xml.sax import saxutils

import pandas as pd
import pytest
from pyspark.sql import DataFrame

from helix_spark.errors import Location
from helix_spark.identity.code import trace
from helix_spark.loaded_sources import read_program
from helix_spark.program.main_module import as_main
from tests.unit.project import Project

SPARK = "from pyspark.sql import DataFrame\ndef clean(x): return {0}\n"
PANDAS = "import pandas as pd\ndef helper(): return {0}\ndef clean(x): return helper()\n"

METHODS = {
    "of pandas": (f"{PANDAS}pd.DataFrame.hung = clean", "x.hung()"),
    "of a series": (f"{PANDAS}pd.Series.hung = clean", "x.a.hung()"),
    "of Spark": (f"{SPARK}DataFrame.hung = clean", "x.limit(1).hung()"),
    "instead of its own": (f"{SPARK}DataFrame.dropna = clean", "x.dropna()"),
    "property": (f"{SPARK}DataFrame.hung = property(clean)", "x.hung"),
    "static": (f"{SPARK}DataFrame.hung = staticmethod(clean)", "x.hung(x)"),
    "used in a function inside": (f"{SPARK}DataFrame.hung = clean", "[(lambda: y.hung())() for y in x]"),
    "by name": (f"{SPARK}setattr(DataFrame, 'hung', clean)", "getattr(x, 'hung')()"),
    "by the name that a constant holds": (f"{SPARK}DataFrame.hung = clean\nHOW = 'hung'", "getattr(x, HOW)()"),
    "by a name of several": (
        f"{PANDAS}pd.Series.hung = clean\nSTEPS = {{{{'a': ['dropna', 'hung']}}}}",
        "[getattr(x, step)() for step in STEPS['a']]",
    ),
    "accessor": (
        "import pandas as pd\n@pd.api.extensions.register_series_accessor('hung')\nclass Clean:\n"
        "  def __init__(self, x): ...\n  def clean(self): return {0}", "x.hung.clean()",
    ),
}

DATA = {
    "number": ("import pandas as pd\npd.DataFrame.hung = {0}", "x.hung"),
    "descriptor": (
        "import pandas as pd\nclass Get:\n  def __get__(self, one, kind): return {0}\npd.Series.hung = Get()",
        "x.a.hung",
    ),
    "cached": (
        "import functools\nimport pandas as pd\n@functools.lru_cache\ndef g(x): return {0}\npd.Series.hung = g",
        "x.hung()",
    ),
}

SCALER = "from sklearn.preprocessing import StandardScaler\n"

ESTIMATORS = {
    "named": (f"{SCALER}StandardScaler.hung = lambda self: {{0}}", "StandardScaler().hung()"),
    "of a base": (
        f"{SCALER}from sklearn.base import BaseEstimator\nBaseEstimator.hung = lambda self: {{0}}",
        "StandardScaler().hung()",
    ),
    "of an object": (f"{SCALER}StandardScaler.hung = lambda self: {{0}}\nSCALER = StandardScaler()", "SCALER.hung()"),
    "of a class of ours": (
        "from sklearn.base import BaseEstimator\nBaseEstimator.hung = lambda self: {0}\nclass A(BaseEstimator): pass",
        "A().hung()",
    ),
}

MEAN = "import statistics\nstatistics.mean = lambda x: {0}\n"

FUNCTIONS = {
    "module": f"{MEAN}def f(x): return statistics.mean(x)",
    "imported inside": f"{MEAN}def f(x):\n  import statistics as s\n  return s.mean(x)",
    "name imported inside": f"{MEAN}def f(x):\n  from statistics import mean\n  return mean(x)",
    "submodule": "import xml.sax.saxutils\nxml.sax.saxutils.escape = lambda x: {0}\n"
    "def f(x): return xml.sax.saxutils.escape(x)",
    "class": "import statistics\nclass N:\n  k = {0}\nstatistics.NormalDist = N\n"
    "def f(x): return statistics.NormalDist.k",
}


@pytest.fixture(autouse=True)
def _unpatched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leaves libraries as they were."""
    # Here, not at the top: the import takes a second, which processes without these tests save.
    from sklearn.base import BaseEstimator
    from sklearn.preprocessing import StandardScaler

    monkeypatch.setattr(keyword, "softkwlist", [*keyword.softkwlist])
    monkeypatch.setenv("HUNG_", "")
    for owner, name in ((statistics, "mean"), (statistics, "NormalDist"), (saxutils, "escape"), (DataFrame, "dropna")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    for kind in (pd.DataFrame, pd.Series, DataFrame, BaseEstimator, StandardScaler):
        monkeypatch.setattr(kind, "hung", None, raising=False)
    here, language = decimal.getcontext().copy(), locale.setlocale(locale.LC_ALL)
    with pd.option_context("display.precision", 6):
        yield
    decimal.setcontext(here)
    locale.setlocale(locale.LC_ALL, language)


@pytest.mark.filterwarnings("ignore:registration of accessor")
@pytest.mark.parametrize("way", METHODS | DATA | ESTIMATORS)
def test_what_was_hung_on_a_class_counts(project: Project, way: str) -> None:
    patch, use = (METHODS | DATA | ESTIMATORS)[way]
    one, two, again = (project.digest(job=f"{patch.format(k)}\ndef f(x): return {use}") for k in (1, 2, 1))
    assert one != two
    assert one == again


@pytest.mark.parametrize("way", FUNCTIONS)
def test_a_function_put_in_place_of_a_librarys_counts(project: Project, way: str) -> None:
    one, two, again = (project.digest(job=FUNCTIONS[way].format(k)) for k in (1, 2, 1))
    assert one != two
    assert one == again


def test_a_method_hung_on_a_class_that_is_imported_inside_counts(project: Project) -> None:
    text = f"{SCALER}StandardScaler.hung = lambda self: {{}}\ndef f(x):\n  import sklearn.preprocessing as p\n"
    text += "  return p.StandardScaler().hung()"
    assert project.digest(job=text.format(1)) != project.digest(job=text.format(2))


SPACY = {
    "component": ("@Language.component('shout')\ndef shout(doc): return {0}", "x.add_pipe('shout')"),
    "component by a variable": (
        "@Language.component('shout')\ndef shout(doc): return {0}\nPIPES = ['shout']", "[x.add_pipe(p) for p in PIPES]",
    ),
    "factory": (
        "@Language.factory('shout')\ndef shout(nlp, name): return lambda doc: {0}", "x.add_pipe('shout')",
    ),
    "default of a factory": (
        "@Language.factory('shout', default_config={{'k': {0}}})\ndef shout(nlp, name, k): return k",
        "x.add_pipe('shout')",
    ),
    "function of a registry": (
        "import spacy\n@spacy.registry.misc('shout')\ndef shout(): return {0}", "x.from_config({{'@misc': 'shout'}})",
    ),
    "getter of an extension": ("Doc.set_extension('shout', getter=lambda doc: {0}, force=True)", "x._.shout"),
    "default of an extension": ("Doc.set_extension('shout', default={0}, force=True)", "x._.shout"),
}


@pytest.mark.parametrize("way", SPACY)
def test_what_is_registered_under_a_name_counts_where_the_name_is_used(project: Project, way: str) -> None:
    pytest.importorskip("spacy")
    registering, use = SPACY[way]
    found = []
    for k in (1, 2, 1):
        _forget("shout")
        text = f"from spacy.language import Language\nfrom spacy.tokens import Doc\n{registering.format(k)}\n"
        found.append(project.digest(job=f"{text}def f(x): return {use}"))
    _forget("shout")
    one, two, again = found
    assert one != two
    assert one == again


def _forget(name: str) -> None:
    import catalogue
    from spacy.tokens.underscore import Underscore

    for key in [key for key in catalogue.REGISTRY if key[-1] == name]:
        del catalogue.REGISTRY[key]
    Underscore.doc_extensions.pop(name, None)


IN_HELPERS = {
    "another module": ("import pandas as pd\npd.DataFrame.hung = {0}", "import other\ndef f(x): return x.hung"),
    "a module that another one imports": (
        "import pandas as pd\npd.DataFrame.hung = {0}", "import between\ndef f(x): return x.hung",
    ),
    "a call": (
        "import pandas as pd\ndef hang():\n  pd.DataFrame.hung = {0}", "import other\nother.hang()\ndef f(x): return x",
    ),
    "a call of what imports itself": (
        "def hang():\n  import pandas as p\n  p.DataFrame.hung = {0}",
        "from other import hang\nhung = hang()\ndef f(x): return x",
    ),
    "a decorator": (
        "import pandas as pd\ndef hang(g):\n  setattr(pd.DataFrame, 'hung', g)\n  return g",
        "from other import hang\n@hang\ndef g(x): return {0}\ndef f(x): return x.hung()",
    ),
    "a loop": (
        "import pandas as pd\nif True:\n  for kind in (pd.DataFrame, pd.Series):\n    kind.hung = {0}",
        "import other\ndef f(x): return x",
    ),
    "a loop over what is put there": (
        "import pandas as pd\ndef g(x): return {0}\ndef h(x): return 3\n"
        "for name, code in {{'hung': g, 'other': h}}.items():\n  setattr(pd.DataFrame, name, code)",
        "import other\ndef f(x): return x.hung()",
    ),
    "a choice": (
        "import pandas as pd\nK = {0}\nmatch K:\n  case 1:\n    pd.DataFrame.hung = 1\n  case _:\n    pass",
        "import other\ndef f(x): return x.hung",
    ),
    "an attempt": (
        "try:\n  import absent_\nexcept ImportError:\n  import pandas\n  pandas.DataFrame.hung = {0}",
        "import other\ndef f(x): return x",
    ),
    "an item": ("import string\nvars(string)['hung'] = {0}", "import other\ndef f(x): return x"),
    "what is handed over": (
        "import codecs\ndef find(name): return None if name else {0}\ncodecs.register(find)",
        "import other\ndef f(x): return x.encode('mine')",
    ),
}


@pytest.mark.parametrize("way", IN_HELPERS)
def test_what_the_modules_that_are_loaded_with_it_do_counts(project: Project, way: str) -> None:
    other, job = IN_HELPERS[way]
    project.write(between="import other")
    one, two, again = (project.digest(job=job.format(k), other=other.format(k)) for k in (1, 2, 1))
    assert one != two
    assert one == again


PROXY = """
class Proxy:
  def __getattribute__(self, name): raise RuntimeError("outside of a context")
current = Proxy()
try: current.k = 1
except RuntimeError: pass
try: current.register(lambda x: x)
except RuntimeError: pass
def f(x): return x
"""


def test_an_object_that_answers_for_itself_ends_nothing(project: Project) -> None:
    assert project.digest(job=PROXY) == project.digest(job=PROXY)


@pytest.mark.parametrize(("effect", "told"), [
    ("def find(name, lock=queue.SimpleQueue()): return None\ncodecs.register(find)", "default `lock`"),
    ("LOCK = queue.SimpleQueue()\ncodecs.register(lambda name: LOCK and None)", "global `LOCK`"),
])
def test_an_effect_without_identity_is_told(project: Project, effect: str, told: str) -> None:
    traced = project.write(job=f"import codecs, queue\n{effect}\ndef f(x): return x").trace()
    (sentence,) = (*traced.unfollowed, *traced.random)
    assert told in sentence
    assert "cannot be identified" in sentence


CONFIGURED = {
    "an option": "import pandas as pd\npd.set_option('display.precision', {0})",
    "a context": "import decimal\ndecimal.getcontext().prec = 1{0}",
    "an object that a library gave": "import decimal\ncontext = decimal.getcontext()\ncontext.prec = 1{0}",
    "filters": "import warnings\nwarnings.filterwarnings('ignore', message='{0}')",
    "a level": "import logging\nlogging.getLogger('a').setLevel(1{0})",
    "a variable": "import os\nos.environ.setdefault('HUNG_', '{0}')",
    "a locale": "import locale\nlocale.setlocale(locale.LC_ALL, ('C', 'C.UTF-8')[{0} - 1])",
    "a library's table": "import keyword\nkeyword.softkwlist[0] = '{0}'",
    "a library's table, imported": "from keyword import softkwlist\nsoftkwlist[0] = '{0}'",
    "a method of it": "import mimetypes\nmimetypes.types_map.update(hung='{0}')",
    "a function": "import mimetypes\nmimetypes.add_type('text/{0}', '.hung')",
    "with a value of one's own": "import mimetypes\nKIND = 'text/{0}'\nmimetypes.add_type(KIND, '.hung')",
    "in a loop": "import mimetypes\nfor one in ['{0}']:\n  mimetypes.add_type(one, '.hung')",
    "by a function of one's own": "import mimetypes\ndef set(): mimetypes.add_type('text/{0}', '.hung')\nset()",
}


@pytest.mark.parametrize("way", CONFIGURED)
def test_what_a_library_was_told_counts(project: Project, way: str) -> None:
    project.write(job="import other\ndef f(x): return str(x)")
    one, two, again = (project.digest(other=CONFIGURED[way].format(k)) for k in (1, 2, 1))
    assert one != two
    assert one == again


READ = {
    "by itself": "import json, keyword\nkeyword.softkwlist[0] = json.load(open('words.json'))",
    "by a function": "import keyword\ndef set(at): keyword.softkwlist[0] = open(at).read()\nset('words.json')",
}


@pytest.mark.parametrize("way", READ)
def test_the_files_that_a_library_is_told_of_count(
    project: Project, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.chdir(project.folder)
    found = []
    for word in ("1", "2", "1"):
        (project.folder / "words.json").write_text(word)
        found.append(project.digest(job="import other\ndef f(x): return str(x)", other=READ[way]))
    assert found[0] == found[2] != found[1]


HARMLESS = [
    "h = logging.StreamHandler(sys.__stderr__)\nlogging.getLogger('hung').addHandler(h)",
    "logging.basicConfig(handlers=[logging.StreamHandler(sys.__stderr__)])",
    "HERE = Path(__file__).parent\nos.makedirs(HERE, exist_ok=True)",
    "c = sqlite3.connect(':memory:')\nc.execute('select 1')",
    "atexit.register(threading.Lock().locked)",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_a_library_was_told_forbids_no_reuse(project: Project, text: str) -> None:
    heads = "import atexit, logging, os, sqlite3, sys, threading\nfrom pathlib import Path\n"
    traced = project.write(job=f"{heads}{text}\ndef f(x): return x").trace()
    assert not traced.random
    assert not traced.unfollowed


NO_EFFECTS = [
    "import pandas as pd\nrows = pd.DataFrame()\nrows['a'] = {0}",
    "import pytest\n@pytest.mark.parametrize('a', [{0}])\ndef test(a): return {0}",
    "import logging\nlogging.getLogger('a').debug({0})",
    "import codecs\ndef find(name): return {0}\nif __name__ == '__main__':\n  codecs.register(find)",
    "import pandas as pd\ndef hang(): pd.DataFrame.hung = {0}",
    "import os\ndef make():\n  def g(): os.environ['HUNG_'] = '{0}'\n  return g\nmade = make()",
    "import sys\nsys.path.insert(0, '/nowhere/{0}')\nprint({0})",
    "class Own: pass\nOwn.k = {0}\nTABLE = {{}}\nTABLE['k'] = {0}",
]


@pytest.mark.parametrize("text", NO_EFFECTS)
def test_what_changes_no_library_does_not_count(project: Project, text: str) -> None:
    project.write(job="import other\ndef f(x): return x")
    assert project.digest(other=text.format(1)) == project.digest(other=text.format(2))


def test_an_effect_whose_edit_is_not_loaded_yet_does_not_count(project: Project) -> None:
    text = "import pandas as pd\npd.DataFrame.hung = {}\ndef f(x): return x.hung"
    job = project.write(job=text.format(1)).load()
    before = trace(job.f, node="n").digest
    project.write(job=text.format(2))
    assert trace(job.f, node="n").digest == before
    assert trace(project.load().f, node="n").digest != before


def test_a_module_that_is_loaded_no_more_is_not_kept(project: Project) -> None:
    project.write(job="import pandas as pd\nclass Big: pass\nbig = Big()\npd.DataFrame.hung = 1\ndef f(x): return x")
    kept = []
    for _ in range(2):
        job = project.load()
        kept.append(weakref.ref(job.big))
        trace(job.f, node="n")
    del job
    project.forget()
    gc.collect()
    assert [big() for big in kept] == [None, None]


def test_effects_of_the_module_that_declares_a_node_count(project: Project) -> None:
    text = "import pandas as pd\nimport helpers\npd.DataFrame.hung = {}"
    project.write(helpers="def f(x): return x.hung")
    found = []
    for k in (1, 2):
        job = project.write(job=text.format(k)).load()
        found.append(trace(job.helpers.f, node="n", where=Location(str(job.__file__), 3)).digest)
    assert len(set(found)) == 2


def test_effects_do_not_count_for_what_has_no_code_of_the_project(project: Project) -> None:
    from sklearn.preprocessing import StandardScaler

    job = project.write(job="import pandas as pd\npd.DataFrame.hung = 1").load()
    where = Location(str(job.__file__), 3)
    assert trace(StandardScaler, node="n", where=where) == trace(StandardScaler, node="n")


@pytest.mark.parametrize(("first", "then"), [
    (["pd.DataFrame.hung = 1"], ["pd.DataFrame.hung = 2"]), (["%no Python", "pd.DataFrame.hung = 1"], []),
])
def test_effects_of_the_cells_of_a_notebook_count(
    project: Project, monkeypatch: pytest.MonkeyPatch, first: list[str], then: list[str]
) -> None:
    names = vars(sys.modules["__main__"])
    monkeypatch.setitem(names, "pd", pd)
    found = []
    for cells in (first, then, first):
        monkeypatch.setitem(names, "In", ["", *cells, "plt.plot(x)"])
        f = FunctionType((lambda x: x.hung).__code__, names)
        found.append(trace(f, node="n").digest)
    assert found[0] == found[2] != found[1]


def test_an_effect_of_a_file_that_was_edited_since_its_import_is_never_reused(project: Project) -> None:
    job = project.write(job="import pandas as pd\npd.DataFrame.hung = 1\ndef f(x): return x.hung").load()
    project.write(job="import pandas as pd\npd.DataFrame.hung = 20\ndef f(x): return x.hung")
    doubt = "job.py changes a library as it is imported, and was edited since"
    assert trace(job.f, node="n").unfollowed == (doubt,)
    assert project.trace().unfollowed == ()


@pytest.mark.parametrize("edit", ["before it is read", "as it runs"])
def test_a_program_that_calls_its_own_function_counts_as_it_was_read(tmp_path: Path, edit: str) -> None:
    file = tmp_path / "job.py"
    file.write_text("def main(): ...\nmain()\ndef f(x): return x")
    with as_main(file, []) as names:
        exec(compile(read_program(names["__file__"]), names["__file__"], "exec"), names)
        if edit == "as it runs":
            file.write_text("import pandas as pd\npd.DataFrame.hung = 20\ndef main(): ...\nmain()\ndef f(x): return x")
        doubts = trace(names["f"], node="n").unfollowed
    assert bool(doubts) == (edit == "as it runs")


def test_a_call_of_what_was_edited_since_its_import_counts_in_doubt(project: Project) -> None:
    project.write(other="import pandas as pd\ndef hang(): pd.DataFrame.hung = 1")
    job = project.write(job="import other\nother.hang()\ndef f(x): return x.hung").load()
    project.write(other="def hang(): print('It hangs nothing any more.')")
    assert "call at import" in [part.label for part in trace(job.f, node="n").parts]


def test_the_part_says_where_the_method_hangs(project: Project) -> None:
    patch, use = METHODS["of Spark"]
    parts = project.write(job=f"{patch.format(1)}\ndef f(x): return {use}").trace().parts
    assert [part.label for part in parts][:3] == ["f", "import effects", "clean"]
